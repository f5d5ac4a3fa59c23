"""Annotations: VIA documents, and label images made from them."""

from napari_fractoseg.annotations.raster import rasterise
from napari_fractoseg.annotations.via import AnnotatedImage, Region, read_via

__all__ = ["AnnotatedImage", "Region", "rasterise", "read_via"]
