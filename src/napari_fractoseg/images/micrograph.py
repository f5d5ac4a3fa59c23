"""Micrographs and stacks of them, grey levels, and the one normalisation.

The normalisation is the same everywhere: the 1st and 99th percentile of a
plane's grey levels become -1 and 1, and what lies beyond is cut at -2 and 2.
It does not change when all grey levels are multiplied or shifted, so a plane
stored as uint8, uint16 or float gives the same labels. It is computed once for
a whole plane, never for a tile, so that tiles agree, and for each plane of a
stack by itself, so that a plane gives the same labels alone and in its stack.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from napari_fractoseg.arrays import is_constant, n_not_finite, percentiles
from napari_fractoseg.axes import Axis
from napari_fractoseg.errors import ImageError
from napari_fractoseg.images.lazy import LazyArray

__all__ = ["GreyRange", "LazyPlane", "Micrograph", "MicrographStack", "has_colours", "to_grey"]

LOW_PERCENTILE, HIGH_PERCENTILE = 1.0, 99.0
CUT = 2.0
_LAZY_PX = 2**26


class ArrayLike(Protocol):
    """What a numpy, dask or zarr array has in common."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Length of each axis."""

    @property
    def dtype(self) -> Any:
        """Type of the elements."""

    def __getitem__(self, key: Any) -> Any: ...


def to_grey(image: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Turn an RGB or RGBA image into luminance.

    Parameters
    ----------
    image : ndarray of shape (..., 3) or (..., 4)
        Colour image; an alpha channel is left out.

    Returns
    -------
    ndarray of float64, shape (...)
        ``0.2125 R + 0.7154 G + 0.0721 B`` in the grey levels of the input.

    Notes
    -----
    The weights of ITU-R BT.709 that `skimage.color.rgb2gray` uses. That
    function scales integers by the range of their type; here the levels stay
    as they are.
    """
    weights = np.array([0.2125, 0.7154, 0.0721])
    grey: npt.NDArray[np.float64] = image[..., :3].astype(np.float64) @ weights
    return grey


def has_colours(
    shape: tuple[int, ...], rgb: bool | None = None, *, name: str = "image", remedy: str = ""
) -> bool:
    """Tell whether the last axis of an array holds colours, or refuse to guess.

    Parameters
    ----------
    shape : tuple of int
        Of the array.
    rgb : bool, optional
        What the caller knows about it.
    name, remedy : str
        Used in the message; the remedy is a sentence.

    Raises
    ------
    ImageError
        If it is not known and the last of three or more axes is as short as that
        of colours: (Y, X, 3) would become Y images of 3 pixels width.
    """
    if rgb is not None:
        return rgb
    if len(shape) < 3 or shape[-1] > 4:
        return False
    remedy = remedy or (
        "Pass rgb=True if it holds 3 or 4 colours, rgb=False if it is the width of the images; "
        "of grey levels with one or two channels pass image[..., 0]."
    )
    raise ImageError(
        f"{name}: the last axis of an array of shape {tuple(shape)} may hold colours or pixels. "
        f"{remedy}"
    )


@dataclass(frozen=True)
class GreyRange:
    """The two grey levels that become -1 and 1.

    Parameters
    ----------
    low, high : float
        In the grey levels of the image; ``low <= high``.
    """

    low: float
    high: float

    @classmethod
    def of(cls, plane: ArrayLike) -> GreyRange:
        """Measure a plane of shape (Y, X): its 1st and 99th percentile.

        Where these two are equal (nearly constant planes), minimum and maximum
        are taken.
        """
        low, high = percentiles(plane, (LOW_PERCENTILE, HIGH_PERCENTILE))
        if low == high:
            low, high = percentiles(plane, (0, 100))
        return cls(low, high)

    def apply(self, data: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Normalise grey levels; a constant image gives zeros.

        Parameters
        ----------
        data : ndarray, any shape

        Returns
        -------
        ndarray of float32, same shape
            Between -2 and 2.
        """
        if self.high == self.low:
            return np.zeros(data.shape, dtype=np.float32)
        levels = data.astype(np.float64)
        levels -= (self.low + self.high) / 2
        levels /= (self.high - self.low) / 2
        return np.clip(levels, -CUT, CUT, out=levels).astype(np.float32)

    def table(self, dtype: npt.DTypeLike) -> npt.NDArray[np.float32]:
        """Normalise all numbers of a type, for devices on which looking up is fastest.

        Parameters
        ----------
        dtype : dtype
            Integers of 8 or 16 bits.

        Returns
        -------
        ndarray of float32, shape (256,) or (65536,)
            In the order of the bits, read as an unsigned number: -1 comes last.
        """
        kind = np.dtype(dtype)
        numbers = np.arange(2 ** (8 * kind.itemsize), dtype=f"u{kind.itemsize}")
        return self.apply(numbers.view(kind.newbyteorder("=")))


@dataclass(frozen=True, eq=False)
class Micrograph:
    """One grey-level image.

    Parameters
    ----------
    data : array of shape (Y, X)
        Finite grey levels of any real type: numpy, or what is read when it is
        sliced (`LazyPlane`, whose levels `grey_range` checks).
    pixel_size_um : float or None
        Edge of a pixel in micrometres; None where it is not known.
    name : str
        Used in messages and file names.
    known_range : GreyRange, optional
        Its `grey_range`, if it was measured before.
    """

    data: Any
    pixel_size_um: float | None = None
    name: str = "image"
    known_range: GreyRange | None = None

    def __post_init__(self) -> None:
        data = self.data
        if len(data.shape) != 2:
            raise ImageError(
                f"{self.name}: expected an image of shape (Y, X), got {data.shape}. Select one "
                "plane, or mark the last axis as RGB."
            )
        if data.dtype.kind not in "buif":
            raise ImageError(
                f"{self.name}: grey levels of type {data.dtype} cannot be segmented. Convert the "
                "image to uint8, uint16 or float32."
            )
        if 0 in data.shape:
            raise ImageError(f"{self.name}: the image is empty, its shape is {data.shape}.")
        if not isinstance(data, LazyPlane):
            self._refuse_not_finite()

    def _refuse_not_finite(self) -> None:
        if bad := n_not_finite(self.data):
            raise ImageError(
                f"{self.name}: {bad} of {math.prod(self.shape)} pixels are NaN or infinite. "
                "Replace them by grey levels, or leave this image out."
            )

    @functools.cached_property
    def grey_range(self) -> GreyRange:
        """The grey levels that become -1 and 1.

        Raises
        ------
        ImageError
            If a plane on disk, which is read for this, holds NaN or infinite values.
        """
        if self.known_range is not None:
            return self.known_range
        if isinstance(self.data, LazyPlane):
            self._refuse_not_finite()
        return GreyRange.of(self.data)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        rows, columns = self.data.shape
        return rows, columns

    @property
    def is_constant(self) -> bool:
        """Whether it shows nothing: all grey levels are the same."""
        return is_constant(self.data)

    def normalised(self) -> npt.NDArray[np.float32]:
        """Return the grey levels as the networks see them, shape (Y, X)."""
        return self.grey_range.apply(np.asarray(self.data[...]))


class LazyPlane(LazyArray):
    """A plane of an array on disk; what is sliced is read, and turned to grey.

    Parameters
    ----------
    data : array of shape (..., Y, X), or (..., Y, X, 3 or 4) if `rgb`
        Such as dask or zarr.
    index : tuple of int
        The plane on the leading axes.
    rgb : bool
        Whether the last axis holds colours.
    """

    def __init__(self, data: ArrayLike, index: tuple[int, ...] = (), rgb: bool = False) -> None:
        super().__init__(data.shape[len(index) :][:2], np.float64 if rgb else data.dtype)
        self._data, self._index, self._rgb = data, index, rgb

    def _read(self, keys: tuple[Any, ...]) -> npt.NDArray[Any]:
        block = np.asarray(self._data[(*self._index, *keys)])
        return to_grey(block) if self._rgb else block


@dataclass(frozen=True, eq=False)
class MicrographStack:
    """Any number of planes of one size; read one at a time.

    Parameters
    ----------
    data : array of shape (..., Y, X), or (..., Y, X, 3 or 4) if `rgb`
        A numpy, dask or zarr array, or a memory map. Only single planes are loaded,
        of large ones only parts.
    rgb : bool
        Whether the last axis holds colours.
    pixel_size_um : float or None
        Edge of a pixel in micrometres.
    name : str
        Used in messages and file names.
    axes : tuple of Axis or None
        One for each axis of `shape`; None where it is not known what they are.

    Examples
    --------
    >>> import numpy as np
    >>> from napari_fractoseg.images import MicrographStack
    >>> stack = MicrographStack(np.zeros((2, 4, 5), np.uint8))
    >>> stack.shape, list(stack.indices())
    ((2, 4, 5), [(0,), (1,)])
    """

    data: ArrayLike
    rgb: bool = False
    pixel_size_um: float | None = None
    name: str = "image"
    axes: tuple[Axis, ...] | None = None

    def __post_init__(self) -> None:
        shape = tuple(self.data.shape)
        if self.rgb and (len(shape) < 3 or shape[-1] not in (3, 4)):
            raise ImageError(
                f"{self.name}: an RGB image needs 3 or 4 colours on its last axis, the shape is "
                f"{shape}. Convert it to grey levels."
            )
        if len(self.shape) < 2:
            raise ImageError(f"{self.name}: expected at least two axes (Y, X), got {shape}.")
        if 0 in shape:
            raise ImageError(f"{self.name}: the image is empty, its shape is {shape}.")
        if self.axes is not None and len(self.axes) != len(self.shape):
            raise ImageError(
                f"{self.name}: {len(self.axes)} axes were named ("
                f"{', '.join(axis.name for axis in self.axes)}) of an image of shape {self.shape}. "
                "Name each of them, but not that of the colours."
            )

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape without the colour axis: (..., Y, X)."""
        shape = tuple(int(n) for n in self.data.shape)
        return shape[:-1] if self.rgb else shape

    @property
    def n_planes(self) -> int:
        """Number of planes."""
        return int(np.prod(self.shape[:-2], dtype=np.int64))

    def indices(self) -> Iterator[tuple[int, ...]]:
        """Yield the index of each plane on the leading axes, in order."""
        yield from np.ndindex(self.shape[:-2])

    def plane(
        self, index: tuple[int, ...] = (), known_range: GreyRange | None = None
    ) -> Micrograph:
        """Load one plane; one of more than 64 megapixels on disk is read when it is sliced.

        Parameters
        ----------
        index : tuple of int
            One number for each leading axis; empty for a single image.
        known_range : GreyRange, optional
            Its grey range, if it was measured before; a plane on disk is then not read
            for it again.
        """
        name = f"{self.name}, {self.plane_name(index)}" if index else self.name
        data: Any
        if math.prod(self.shape[-2:]) > _LAZY_PX and not _in_memory(self.data):
            data = LazyPlane(self.data, index, self.rgb)
        else:
            data = np.asarray(self.data[index] if index else self.data[...])
            data = to_grey(data) if self.rgb else data
        return Micrograph(data, self.pixel_size_um, name, known_range)

    def plane_name(self, index: tuple[int, ...]) -> str:
        """Return the name of a plane for people, counted from 1: ``plane 3 of 5 (index 2)``."""
        number = int(np.ravel_multi_index(index, self.shape[:-2])) + 1 if index else 1
        where = f" (index {', '.join(map(str, index))})" if index else ""
        return f"plane {number} of {self.n_planes}{where}"


def _in_memory(data: Any) -> bool:
    return isinstance(data, np.ndarray) and not isinstance(data, np.memmap)
