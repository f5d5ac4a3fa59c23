"""Pixel size and other facts that microscopes and programs write into and beside image files.

A module for each vendor; `read` asks all of them. Print resolution is never a pixel size.
"""

from napari_fractoseg.images.calibration.facts import PixelSize, SemFacts, known_size
from napari_fractoseg.images.calibration.read import sem_facts

__all__ = ["PixelSize", "SemFacts", "known_size", "sem_facts"]
