"""Floating-point precision of a network."""

from typing import Literal

__all__ = ["Precision"]

Precision = Literal["auto", "single", "half"]
"""Floating-point precision of the network: ``auto`` is half on CUDA devices and single elsewhere.
Half is used only if the model's probabilities change by less than 0.01 with it."""
