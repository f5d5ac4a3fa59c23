"""Statistics of arrays of any size, block by block, and figures as JSON takes them."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = [
    "Remaining",
    "blocks",
    "is_constant",
    "n_not_finite",
    "percentiles",
    "ranked",
    "value_counts",
    "without_nan",
]

_BLOCK_PX = 2**22
_LOADED_PX = 2**26
"""Largest array in memory of which numpy computes percentiles, which is faster."""
_DIGIT_BITS = 16


class Remaining:
    """Elements of a plane outside a mask, for statistics: read block by block, never as a whole.

    Parameters
    ----------
    plane : array of shape (Y, X)
        Numpy array, or lazy array whose rows can be sliced.
    mask : array of bool, shape (Y, X)
        Elements that do not count; numpy or lazy.
    """

    def __init__(self, plane: Any, mask: Any) -> None:
        self._plane, self._mask = plane, mask
        self.dtype = np.dtype(plane.dtype)
        n_left = sum(int(block.size - np.count_nonzero(block)) for block in blocks(mask))
        self.shape = (n_left,)

    def blocks(self) -> Iterator[npt.NDArray[Any]]:
        """Yield the elements that count, in blocks."""
        rows, columns = self._plane.shape
        height = max(1, _BLOCK_PX // columns)
        for row in range(0, rows, height):
            part = slice(row, row + height)
            values = np.asarray(self._plane[part, :])[~np.asarray(self._mask[part, :])]
            if values.size:
                yield values


def blocks(data: Any) -> Iterator[npt.NDArray[Any]]:
    """Yield all elements of an array in blocks of about 4 million.

    Parameters
    ----------
    data : array of shape (..., X), or Remaining
        Numpy array, or lazy array whose rows can be sliced.
    """
    if isinstance(data, Remaining):
        yield from data.blocks()
        return
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
    """Return the number of NaN and infinite elements of an array."""
    if np.dtype(data.dtype).kind != "f":
        return 0
    return sum(int(b.size - np.count_nonzero(np.isfinite(b))) for b in blocks(data))


def is_constant(data: Any) -> bool:
    """Whether all elements of an array are equal."""
    first = None
    for block in blocks(data):
        first = block.flat[0] if first is None else first
        if not (block == first).all():
            return False
    return True


def value_counts(data: Any) -> dict[int, int]:
    """Return each value of an array with the number of times it occurs.

    Parameters
    ----------
    data : array of bool or integers
        Array of any shape, in memory or on disk.
    """
    kind = np.dtype(data.dtype)
    if kind.itemsize > 2:
        found, counts = np.unique(np.asarray(data[...]), return_counts=True)
        return dict(zip(found.tolist(), counts.tolist(), strict=True))
    counts = _digit_counts(data, {0}, 0, 8 * kind.itemsize)[0]
    return {int(_of_key(int(key), kind)): int(counts[key]) for key in np.flatnonzero(counts)}


def percentiles(data: Any, wanted: Sequence[float]) -> list[float]:
    """Return percentiles of an array, interpolated linearly as by `numpy.percentile`.

    Arrays that are large or on disk are counted block by block, never loaded as a whole.

    Parameters
    ----------
    data : array of real, finite numbers
        Array of any shape, in memory or on disk.
    wanted : sequence of float
        Percentiles to compute, each 0-100.
    """
    kind = np.dtype(data.dtype)
    n_elements = math.prod(data.shape)
    if isinstance(data, np.ndarray) and kind.itemsize > 2 and n_elements <= _LOADED_PX:
        return [float(v) for v in np.percentile(data.astype(np.float64, copy=False), wanted)]
    position = np.asarray(wanted) / 100 * (n_elements - 1)
    first = np.floor(position).astype(int)
    second = np.minimum(first + 1, n_elements - 1)
    found = ranked(data, {*first.tolist(), *second.tolist()})
    low, high = (np.array([found[k] for k in ranks.tolist()]) for ranks in (first, second))
    return [float(v) for v in low + (high - low) * (position - first)]


def ranked(data: Any, ranks: Collection[int]) -> dict[int, float]:
    """Return the elements of some ranks (order statistics): rank -> element.

    Parameters
    ----------
    data : array of real, finite numbers
        Array of any shape, in memory or on disk.
    ranks : collection of int
        Positions in sorted order; 0 is that of the smallest element.

    Notes
    -----
    Radix selection: the elements become unsigned integers of the same order, whose
    digits of 16 bits are counted, the first digit in the first pass over the data,
    and in each further pass the next one of those that begin as a wanted one does.
    """
    bits = 8 * min(np.dtype(data.dtype).itemsize, 8)
    digit = min(bits, _DIGIT_BITS)
    begins = dict.fromkeys(ranks, 0)
    places = {rank: rank for rank in ranks}
    """Rank of each wanted element among the elements with the same leading digits."""
    for shift in range(bits - digit, -1, -digit):
        counts = _digit_counts(data, set(begins.values()), shift, digit)
        for rank in ranks:
            up_to = counts[begins[rank]].cumsum()
            value = int(np.searchsorted(up_to, places[rank], side="right"))
            places[rank] -= int(up_to[value - 1]) if value else 0
            begins[rank] = begins[rank] << digit | value
    return {rank: _of_key(key, np.dtype(data.dtype)) for rank, key in begins.items()}


def _digit_counts(
    data: Any, begins: Collection[int], shift: int, digit: int
) -> dict[int, npt.NDArray[np.int64]]:
    """Return the histogram of a digit of the keys, for each of the leading digits `begins`."""
    counts = {begin: np.zeros(2**digit, np.int64) for begin in begins}
    for block in blocks(data):
        keys = _keys(block.reshape(-1))
        digits = (keys >> shift & (2**digit - 1)).astype(np.int64)
        is_first = keys.dtype.itemsize * 8 == shift + digit
        above = None if is_first else keys >> (shift + digit)
        for begin, count in counts.items():
            chosen = digits if above is None else digits[above == begin]
            count += np.bincount(chosen, minlength=len(count))
    return counts


def _keys(block: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return unsigned integers that sort like the numbers of a block."""
    kind = _native(block.dtype)
    unsigned = np.dtype(f"u{kind.itemsize}")
    keys = np.asarray(block.astype(kind).view(unsigned))
    sign = unsigned.type(1 << (8 * kind.itemsize - 1))
    if kind.kind == "i":
        keys = keys ^ sign
    if kind.kind == "f":  # IEEE 754: negative numbers are ordered the other way round
        keys = np.where(keys & sign, ~keys, keys ^ sign)
    return keys


def _of_key(key: int, kind: np.dtype[Any]) -> float:
    """Return the number that `_keys` turned into this key."""
    kind = _native(kind)
    unsigned, sign = np.dtype(f"u{kind.itemsize}"), 1 << (8 * kind.itemsize - 1)
    if kind.kind == "i" or (kind.kind == "f" and key & sign):
        key ^= sign
    elif kind.kind == "f":
        key ^= 2 * sign - 1
    return float(np.array([key], unsigned).view(kind)[0])


def _native(kind: np.dtype[Any]) -> np.dtype[Any]:
    """Return a type in native byte order, with 64 bits at most."""
    return np.dtype(np.float64) if kind.itemsize > 8 else kind.newbyteorder("=")


def without_nan(value: Any) -> Any:
    """Return a number, or the values of a dictionary, with None instead of NaN, as JSON has none.

    Examples
    --------
    >>> from napari_fractoseg.arrays import without_nan
    >>> without_nan({"a": 0.5, "b": float("nan"), "c": {"n": 3}})
    {'a': 0.5, 'b': None, 'c': {'n': 3}}
    """
    if isinstance(value, dict):
        return {k: without_nan(v) for k, v in value.items()}
    return None if isinstance(value, float) and math.isnan(value) else value
