"""Models: card, network, where they are kept, and the device they run on."""

__all__ = ["DEFAULT_MODEL"]

DEFAULT_MODEL = "default"
"""Name that stands for the bundled model."""
