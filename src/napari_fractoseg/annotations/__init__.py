"""Annotations: VIA documents, and label images made from them.

The names are loaded when they are first used, so that the command line can describe the
options of annotations without waiting for numpy.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_fractoseg.annotations.document import (
        AnnotatedImage,
        Flavour,
        Region,
        ViaDocument,
    )
    from napari_fractoseg.annotations.options import AnnotationOptions
    from napari_fractoseg.annotations.raster import rasterise
    from napari_fractoseg.annotations.via import read_via, write_via

__all__ = [
    "AnnotatedImage",
    "AnnotationOptions",
    "Flavour",
    "Region",
    "ViaDocument",
    "rasterise",
    "read_via",
    "write_via",
]

_MODULES = {
    "AnnotatedImage": "document",
    "AnnotationOptions": "options",
    "Flavour": "document",
    "Region": "document",
    "ViaDocument": "document",
    "rasterise": "raster",
    "read_via": "via",
    "write_via": "via",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
