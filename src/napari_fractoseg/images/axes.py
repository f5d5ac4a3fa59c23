"""Axes of images: see `napari_fractoseg.axes`."""

from napari_fractoseg.axes import Axis, pixel_size_um

__all__ = ["Axis", "pixel_size_um"]
