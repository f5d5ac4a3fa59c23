"""The elements of arrays of any size, block by block: counts, percentiles, what is not finite."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["blocks", "is_constant", "level_counts", "n_not_finite", "percentiles", "value_counts"]

_BLOCK_PX = 2**22


def blocks(data: Any) -> Iterator[npt.NDArray[Any]]:
    """Yield all elements of an array, at most some 4 million at a time.

    Parameters
    ----------
    data : array of shape (..., X)
        Numpy, or anything of shape (Y, X) whose rows can be sliced.
    """
    if isinstance(data, np.ndarray) and (data.flags.c_contiguous or data.ndim < 2):
        flat = data.reshape(-1)  # a view
        for start in range(0, flat.size, _BLOCK_PX):
            yield flat[start : start + _BLOCK_PX]
        return
    if len(data.shape) > 2:
        for part in data:
            yield from blocks(part)
        return
    rows, columns = data.shape
    height = max(1, _BLOCK_PX // columns)
    for row in range(0, rows, height):
        yield np.asarray(data[row : row + height, :])


def n_not_finite(data: Any) -> int:
    """Count NaN and infinite values."""
    if np.dtype(data.dtype).kind != "f":
        return 0
    return sum(int(b.size - np.count_nonzero(np.isfinite(b))) for b in blocks(data))


def is_constant(data: Any) -> bool:
    """Whether all elements are the same."""
    first = None
    for block in blocks(data):
        first = block.flat[0] if first is None else first
        if not (block == first).all():
            return False
    return True


def level_counts(data: Any) -> tuple[int, npt.NDArray[np.int64]]:
    """Count how often each level occurs.

    Parameters
    ----------
    data : array of bool, or of integers of at most 16 bits

    Returns
    -------
    lowest : int
        The level that the first count belongs to.
    counts : ndarray of int64, shape (256,) or (65536,)
        Of ``lowest``, ``lowest + 1`` and so on.
    """
    kind = np.dtype(data.dtype)
    lowest = int(np.iinfo(kind).min) if kind.kind == "i" else 0
    counts = np.zeros(2 ** (8 * kind.itemsize), dtype=np.int64)
    for block in blocks(data):
        counts += np.bincount(block.reshape(-1).astype(np.int64) - lowest, minlength=len(counts))
    return lowest, counts


def value_counts(data: Any) -> dict[int, int]:
    """Count how often each value occurs that does.

    Parameters
    ----------
    data : array of bool or integers
    """
    kind = np.dtype(data.dtype)
    if kind.itemsize > 2:
        found, counts = np.unique(np.asarray(data[...]), return_counts=True)
        return dict(zip(found.tolist(), counts.tolist(), strict=True))
    lowest, counts = level_counts(data)
    return {int(level) + lowest: int(counts[level]) for level in np.flatnonzero(counts)}


def percentiles(data: Any, wanted: Sequence[float]) -> list[float]:
    """Return percentiles, interpolated linearly; exactly those of `numpy.percentile`.

    Levels of at most 16 bits are counted block by block; others are loaded.

    Parameters
    ----------
    data : array of real numbers
    wanted : sequence of float
        0-100.
    """
    kind = np.dtype(data.dtype)
    if kind.kind not in "bui" or kind.itemsize > 2:
        levels = np.asarray(data[...]).astype(np.float64, copy=False)
        return [float(v) for v in np.percentile(levels, wanted)]
    lowest, counts = level_counts(data)
    below = counts.cumsum()
    position = np.asarray(wanted) / 100 * (below[-1] - 1)
    first = np.floor(position)
    # The k-th smallest element is the first level up to which more than k elements are counted.
    low, high = (
        np.searchsorted(below, np.minimum(k, below[-1] - 1), side="right") + lowest
        for k in (first, first + 1)
    )
    return [float(v) for v in low + (high - low) * (position - first)]
