"""Facets of labelled planes: their regions, sizes and shapes, and the boundaries of the modes."""
