"""Models: a network with its card, the folder it is kept in, and the device it runs on.

For *model card, scale level, flips, parent* see ``docs/reference/glossary.md``.
"""

__all__ = ["DEFAULT_MODEL"]

DEFAULT_MODEL = "default"
"""Name by which users ask for the model that comes with the package."""
