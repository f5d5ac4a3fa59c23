"""The precision of a network's numbers."""

from typing import Literal

__all__ = ["Precision"]

Precision = Literal["auto", "single", "half"]
"""Of the network's numbers: half on CUDA devices and single elsewhere, or what is asked for. Half
is used only where the model's probabilities stay the same but for the third digit."""
