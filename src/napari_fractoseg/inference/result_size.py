"""Memory that the labels and uncertainty of a segmentation take. Never imports PyTorch."""

from __future__ import annotations

import math

from napari_fractoseg.errors import OutOfMemoryError
from napari_fractoseg.images import MicrographStack
from napari_fractoseg.images.memory import free_memory, size_text

__all__ = ["require_memory", "result_bytes", "too_large"]

_SHARE = 0.5
"""Fraction of the free memory that results may take; tiles and the window need the rest."""
_LABEL_BYTES = 2
"""Bytes for each pixel of labels: the labels, and a copy of the prediction to find corrections."""
_UNCERTAINTY_BYTES = 4


def result_bytes(image: MicrographStack, n_planes: int, n_uncertainties: int = 0) -> int:
    """Return the memory in bytes that the result of a segmentation takes.

    Parameters
    ----------
    image : MicrographStack
        Image that is segmented.
    n_planes : int
        Number of its planes that are segmented.
    n_uncertainties : int
        Number of kinds of uncertainty (confidence, margin) that are kept, 0 to 2.

    Examples
    --------
    >>> import numpy as np
    >>> from napari_fractoseg.images import MicrographStack
    >>> from napari_fractoseg.inference.result_size import result_bytes
    >>> result_bytes(MicrographStack(np.zeros((5, 10, 10))), 2, n_uncertainties=1)
    1200
    """
    px_bytes = _LABEL_BYTES + _UNCERTAINTY_BYTES * n_uncertainties
    return n_planes * math.prod(image.shape[-2:]) * px_bytes


def require_memory(
    image: MicrographStack,
    n_planes: int,
    n_uncertainties: int = 0,
    *,
    reserved: int = 0,
    free: int | None = None,
) -> None:
    """Raise unless a result, and those of runs that wait, take at most half of the free memory.

    Parameters
    ----------
    image, n_planes, n_uncertainties
        Image, number of its planes, and kinds of uncertainty kept, as in `result_bytes`.
    reserved : int
        Bytes that the results of runs in the queue will take.
    free : int, optional
        Free memory in bytes; by default that of this computer now.

    Raises
    ------
    OutOfMemoryError
        If there is not enough memory; says the size, and what to do.
    """
    free = free_memory() if free is None else free
    needed = result_bytes(image, n_planes, n_uncertainties)
    if needed + reserved > _SHARE * free:
        raise too_large(image.name, needed, free)


def too_large(name: str, needed: int, free: int | None = None) -> OutOfMemoryError:
    """Return the error for a result of `needed` bytes, which says what to do instead."""
    have = "" if free is None else f", and only {size_text(free)} are free"
    return OutOfMemoryError(
        f"{name}: the result takes {size_text(needed)} of memory{have}. Choose a folder under "
        "Advanced > Save to zarr: then it is written there and read as it is needed."
    )
