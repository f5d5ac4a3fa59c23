"""Results as TIFF, also those that are larger than the memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tifffile

from napari_fractoseg.classes import ClassScheme
from napari_fractoseg.files import draft_of

__all__ = ["write_tiff"]

_TILE_PX = 1024
_CLASSIC_BYTES = 2**31
"""Up to which a classic TIFF is written; tifffile does not ask when it compresses."""


def write_tiff(path: Path, data: Any, scheme: ClassScheme | None = None) -> None:
    """Write a result; above 2 GB a BigTIFF.

    Parameters
    ----------
    path : Path
        Is replaced.
    data : array of shape (..., Y, X)
        If it is not in memory, it is read and written tile by tile.
    scheme : ClassScheme, optional
        What the values mean, written with them.
    """
    classes = {"classes": {c.value: c.name for c in scheme}} if scheme else {}
    is_large = int(np.prod(data.shape, dtype=np.int64)) * data.dtype.itemsize > _CLASSIC_BYTES
    options: dict[str, Any] = {
        "compression": "zlib",
        "photometric": "minisblack",
        "metadata": classes,
        "bigtiff": is_large,
    }
    if not isinstance(data, np.ndarray):
        options |= {"tile": (_TILE_PX, _TILE_PX), "shape": data.shape, "dtype": data.dtype}
    with draft_of(path, overwrite=True) as draft:
        whole = isinstance(data, np.ndarray)
        tifffile.imwrite(draft, data if whole else _tiles(data), **options)


def _tiles(data: Any) -> Iterator[npt.NDArray[Any]]:
    """Yield the tiles of all planes; those at the edges are filled up with 0."""
    for index in np.ndindex(data.shape[:-2]):
        for row in range(0, data.shape[-2], _TILE_PX):
            for column in range(0, data.shape[-1], _TILE_PX):
                rows, columns = slice(row, row + _TILE_PX), slice(column, column + _TILE_PX)
                part = np.asarray(data[(*index, rows, columns)])
                missing = [(0, _TILE_PX - length) for length in part.shape]
                yield np.pad(part, missing)
