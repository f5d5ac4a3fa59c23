"""Measurements on class labels: area fractions of the fracture modes, and overlay pictures.

For *class, fracture mode, background, unlabelled* see ``docs/reference/glossary.md``.
"""

from napari_fractoseg.measurement.fractions import class_fractions
from napari_fractoseg.measurement.overlay import overlay

__all__ = ["class_fractions", "overlay"]
