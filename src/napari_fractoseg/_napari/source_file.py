"""Layers that have the file that they came from, as those that napari opened."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from napari.layers import Layer

from napari_fractoseg._napari.layer_metadata import FILE_KEY

try:  # The only private name of napari that we use: `layer.source` cannot be set by public ones.
    from napari.layers._source import layer_source
except ImportError:  # napari moved it
    layer_source = None

__all__ = ["layer_of_file"]


def layer_of_file(path: Path | None, data: Any, arguments: dict[str, Any], kind: str) -> Layer:
    """Return a new layer whose ``source.path`` is a file, as of layers that napari opens.

    Where this napari does not let us say so, the file is kept in the metadata alone, where
    `file_of` finds it, too.

    Parameters
    ----------
    path : Path or None
        File of the layer; None if it is of none.
    data, arguments, kind
        Layer data for napari.
    """
    if path is None:
        return Layer.create(data, arguments, kind)
    source: AbstractContextManager[Any] = nullcontext()
    if layer_source is not None:
        source = layer_source(path=str(path))
    with source:
        layer = Layer.create(data, arguments, kind)
    if layer.source.path is None:
        layer.metadata = {FILE_KEY: str(path), **layer.metadata}
    return layer
