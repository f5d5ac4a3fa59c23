"""Measurements on class labels: area fractions, overlays."""

from napari_fractoseg.measure.fractions import class_fractions
from napari_fractoseg.measure.overlay import overlay

__all__ = ["class_fractions", "overlay"]
