"""Where the results of tiles are put together."""

from __future__ import annotations

from typing import Any

import numpy.typing as npt

from napari_fractoseg.tiling.tiles import Tile

__all__ = ["Canvas"]


class Canvas:
    """Collects the cores of tiles in one plane of an array.

    Parameters
    ----------
    array : array of shape (..., Y, X)
        Anything that can be written by index, such as numpy or zarr.
    index : tuple of int
        The plane on the leading axes.
    """

    def __init__(self, array: Any, index: tuple[int, ...] = ()) -> None:
        self._array, self._index = array, index

    def put(self, tile: Tile, core: npt.NDArray[Any]) -> None:
        """Write the core of a tile, an array of the core's shape."""
        if core.shape != tile.core.shape:
            raise ValueError(f"The core has shape {tile.core.shape}, the result {core.shape}.")
        self._array[(*self._index, *tile.core.slices)] = core
