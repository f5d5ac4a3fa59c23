"""Lazy arrays: views of arrays on disk that read, and convert, only what is sliced."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from numbers import Integral
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from napari_fractoseg.images.chunks import ChunkCount, count_chunks

__all__ = [
    "ArrayLike",
    "AtIndex",
    "Converted",
    "LazyArray",
    "Rows",
    "at_index",
    "chunk_counts",
    "converted",
]

Convert = Callable[[npt.NDArray[Any]], npt.NDArray[Any]]


class ArrayLike(Protocol):
    """Protocol of the properties that numpy, dask and zarr arrays have in common."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Length of each axis."""

    @property
    def dtype(self) -> Any:
        """Type of the elements."""

    def __getitem__(self, key: Any) -> Any: ...


class LazyArray:
    """Base of arrays that are read when they are sliced, with integers and slices.

    Parameters
    ----------
    shape : tuple of int
        Length of each axis.
    dtype : numpy dtype
        Type of the elements.
    """

    def __init__(self, shape: tuple[int, ...], dtype: Any) -> None:
        self.shape = tuple(int(n) for n in shape)
        self.dtype: np.dtype[Any] = np.dtype(dtype)

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    def __getitem__(self, key: Any) -> npt.NDArray[Any]:
        keys = key if isinstance(key, tuple) else (key,)
        at = next((i for i, k in enumerate(keys) if k is Ellipsis), len(keys))
        before, after = keys[:at], keys[at + 1 :]
        rest = self.ndim - len(before) - len(after)
        if rest < 0:
            raise IndexError(f"{len(keys)} indices for an array of shape {self.shape}")
        keys = (*before, *[slice(None)] * rest, *after)
        for k, length in zip(keys, self.shape, strict=True):
            if isinstance(k, Integral) and not -length <= int(k) < length:
                raise IndexError(f"index {k} is out of range for an array of shape {self.shape}")
        return self._read(keys)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        if copy is False:
            raise ValueError("An array on disk cannot be used without reading it.")
        return np.asarray(self[...], dtype=dtype)

    def _read(self, keys: tuple[Any, ...]) -> npt.NDArray[Any]:
        """Read the elements at `keys`: an integer or a slice for each axis."""
        raise NotImplementedError

    def chunk_counts(self, at: Mapping[int, int]) -> list[ChunkCount]:  # noqa: ARG002
        """Count the chunks of the zarr arrays that are viewed.

        Parameters
        ----------
        at : mapping of int to int
            Axis -> index, where only a part of the array is looked at.
        """
        return []


class AtIndex(LazyArray):
    """An array with the index on one axis fixed, such as one channel of several.

    Parameters
    ----------
    data : array
        Array to view, such as zarr.
    axis, index : int
        Axis that is left out, and the index on it.
    """

    def __init__(self, data: Any, axis: int, index: int) -> None:
        super().__init__((*data.shape[:axis], *data.shape[axis + 1 :]), data.dtype)
        self._data, self._axis, self._index = data, axis, index

    def _read(self, keys: tuple[Any, ...]) -> npt.NDArray[Any]:
        at = self._axis
        return np.asarray(self._data[(*keys[:at], self._index, *keys[at:])])

    def chunk_counts(self, at: Mapping[int, int]) -> list[ChunkCount]:
        """Count the chunks at the index."""
        inside = {axis + (axis >= self._axis): index for axis, index in at.items()}
        return chunk_counts(self._data, {**inside, self._axis: self._index})


class Converted(LazyArray):
    """An array whose elements, or samples (colours), are computed from those of another one.

    Parameters
    ----------
    data : array
        Array to convert, such as zarr.
    convert : callable
        Function of an ndarray that returns one of the same type. Without a sample
        axis it must work on each element by itself.
    sample_axis : int, optional
        Axis of the samples; it is moved to the end, and `convert` always gets all samples.
    n_samples : int, optional
        Number of samples that `convert` returns; by default as many as there are.
    """

    def __init__(
        self,
        data: Any,
        convert: Convert,
        sample_axis: int | None = None,
        n_samples: int | None = None,
    ) -> None:
        shape = list(data.shape)
        if sample_axis is not None:
            samples = shape.pop(sample_axis)
            shape.append(n_samples or samples)
        super().__init__(tuple(shape), data.dtype)
        self._data, self._convert, self._sample_axis = data, convert, sample_axis

    def _read(self, keys: tuple[Any, ...]) -> npt.NDArray[Any]:
        if self._sample_axis is None:
            return self._convert(np.asarray(self._data[keys]))
        *places, sample = keys
        before, after = places[: self._sample_axis], places[self._sample_axis :]
        block = np.asarray(self._data[(*before, slice(None), *after)])
        n_kept = sum(isinstance(k, slice) for k in before)  # integers take an axis away
        return self._convert(np.moveaxis(block, n_kept, -1))[..., sample]

    def chunk_counts(self, at: Mapping[int, int]) -> list[ChunkCount]:
        """Count the chunks of the array that is converted."""
        return chunk_counts(self._data, at if self._sample_axis is None else {})


class Rows(LazyArray):
    """Some rows of a plane.

    Parameters
    ----------
    data : array of shape (Y, X)
        Lazy array to view.
    first, end : int
        The first row, and the one after the last.
    """

    def __init__(self, data: Any, first: int, end: int) -> None:
        super().__init__((end - first, data.shape[1]), data.dtype)
        self._data, self._rows = data, range(first, end)

    def _read(self, keys: tuple[Any, ...]) -> npt.NDArray[Any]:
        rows: Any = self._rows[keys[0]]
        if isinstance(rows, range):
            rows = slice(rows.start, rows.stop if rows.stop >= 0 else None, rows.step)
        return np.asarray(self._data[rows, keys[1]])


def at_index(data: Any, axis: int, index: int) -> Any:
    """Return an array with the index on one axis fixed: a view of numpy, `AtIndex` of others."""
    if isinstance(data, np.ndarray):
        keys: tuple[Any, ...] = (slice(None),) * axis + (index,)
        return data[keys]
    return AtIndex(data, axis, index)


def converted(
    data: Any,
    convert: Convert | None,
    sample_axis: int | None = None,
    n_samples: int | None = None,
) -> Any:
    """Return a converted array: at once if it is in memory, a `Converted` if it is on disk.

    Parameters are those of `Converted`. Without `convert` only the sample axis is moved.
    """
    if not isinstance(data, np.ndarray) or (convert and isinstance(data, np.memmap)):
        return Converted(data, convert or np.asarray, sample_axis, n_samples)
    moved = data if sample_axis is None else np.moveaxis(data, sample_axis, -1)
    return convert(moved) if convert else moved


def chunk_counts(data: Any, at: Mapping[int, int] | None = None) -> list[ChunkCount]:
    """Count the chunks of the zarr arrays behind an array; empty if there are none.

    Parameters
    ----------
    data : array
        A lazy array, or one of zarr itself on a local disk. Behind others, such as those of
        dask, nobody can look.
    at : mapping of int to int, optional
        Axis -> index, where only a part of the array is looked at.
    """
    if isinstance(data, LazyArray):
        return data.chunk_counts(at or {})
    root = getattr(getattr(data, "store", None), "root", None)
    if not isinstance(root, Path):
        return []
    folder = root / str(getattr(data, "path", ""))
    count = count_chunks(folder, root.name, at)
    return [] if count is None else [count]
