"""The dock "Segment fracture modes"."""
