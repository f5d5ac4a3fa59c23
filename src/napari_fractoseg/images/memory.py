"""Memory that reading takes, asked for before anything is read."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import psutil

from napari_fractoseg.errors import ImageError

__all__ = ["array_bytes", "free_memory", "refuse_if_not_in", "refuse_if_too_large", "size_text"]

_ALWAYS_FINE = 2**26
"""Bytes for which nobody is asked whether they are free."""

_MOST_PACKED = 10**5
"""How many times smaller than its image a file can be: a blank one packed by zlib is 1000 times."""


def free_memory() -> int:
    """Return the memory of the computer that is free now, in bytes."""
    return int(psutil.virtual_memory().available)


def array_bytes(shape: Sequence[int], dtype: Any) -> int:
    """Return the size of an array in bytes.

    Examples
    --------
    >>> from napari_fractoseg.images.memory import array_bytes
    >>> array_bytes((10**9, 10**9), "u2")
    2000000000000000000
    """
    return math.prod(int(n) for n in shape) * int(np.dtype(dtype).itemsize)


def refuse_if_too_large(n_bytes: int, what: str) -> None:
    """Raise unless there is memory for what is going to be read.

    Parameters
    ----------
    n_bytes : int
        Memory that is taken at once, in bytes.
    what : str
        What takes it, such as "a.tif: a strip of it".

    Raises
    ------
    ImageError
        If less is free; the message says both sizes.
    """
    if n_bytes > _ALWAYS_FINE and n_bytes > (free := free_memory()):
        raise ImageError(
            f"{what} would take {size_text(n_bytes)} of memory, of which {size_text(free)} are "
            "free. Close other programs, or save the image in tiles or chunks of some megapixels "
            "(tiled TIFF, OME-Zarr), if its size is right at all."
        )


def refuse_if_not_in(file_bytes: int, n_bytes: int, what: str) -> None:
    """Raise if an image is so much larger than its file that the size it says is wrong.

    Parameters
    ----------
    file_bytes : int
        Size of the file.
    n_bytes : int
        Size of the image in memory, as the file says.
    what : str
        Name of the file.

    Raises
    ------
    ImageError
        If the file is more than a hundred thousand times smaller.
    """
    if n_bytes > _ALWAYS_FINE and n_bytes > _MOST_PACKED * file_bytes:
        raise ImageError(
            f"{what} would take {size_text(n_bytes)} of memory, but the file has only "
            f"{size_text(file_bytes)}: the size that it says is wrong. Copy or export it again."
        )


def size_text(n_bytes: float) -> str:
    """Return a size for users.

    Examples
    --------
    >>> from napari_fractoseg.images.memory import size_text
    >>> size_text(1536), size_text(1.5 * 2**30)
    ('2 KB', '1.5 GB')
    """
    for unit in ("bytes", "KB", "MB"):
        if n_bytes < 1024:
            return f"{n_bytes:.0f} {unit}"
        n_bytes /= 1024
    return f"{n_bytes:.1f} GB"
