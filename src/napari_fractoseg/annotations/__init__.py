"""Annotations: VIA documents, and label images made from them."""

from napari_fractoseg.annotations.document import (
    AnnotatedImage,
    Flavour,
    Region,
    ViaDocument,
)
from napari_fractoseg.annotations.raster import rasterise
from napari_fractoseg.annotations.via import read_via, write_via

__all__ = [
    "AnnotatedImage",
    "Flavour",
    "Region",
    "ViaDocument",
    "rasterise",
    "read_via",
    "write_via",
]
