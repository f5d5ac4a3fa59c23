from .document import AnnotatedImage, Flavour, Region, ViaDocument
from .options import AnnotationOptions
from .raster import rasterise
from .reading import read_annotations
from .via import read_via, write_via

__all__ = [
    "AnnotatedImage",
    "AnnotationOptions",
    "Flavour",
    "Region",
    "ViaDocument",
    "rasterise",
    "read_annotations",
    "read_via",
    "write_via",
]
