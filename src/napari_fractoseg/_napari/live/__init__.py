"""Learning while somebody paints: a readout is fitted after each stroke, and labels the rest."""
