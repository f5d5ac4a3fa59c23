"""The dock "Train on corrections"."""
