"""Micrographs: single grey-level planes, and stacks of them."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_fractoseg.arrays import is_constant, n_not_finite
from napari_fractoseg.errors import ImageError
from napari_fractoseg.images.axes import Axis, edges_um
from napari_fractoseg.images.calibration.facts import PixelSize
from napari_fractoseg.images.excluded import ExcludedArea, FilledPlane, PlaneMask
from napari_fractoseg.images.lazy import ArrayLike, LazyArray, Rows
from napari_fractoseg.images.normalisation import GreyRange, to_grey
from napari_fractoseg.options import is_truth_value
from napari_fractoseg.text import listed, size_text

__all__ = ["LazyPlane", "Micrograph", "MicrographStack"]

_LAZY_PX = 2**26


@dataclass(frozen=True, eq=False)
class Micrograph:
    """One plane of grey levels.

    Parameters
    ----------
    data : array of shape (Y, X)
        Finite grey levels of any real type: numpy, or a `LazyPlane` on disk, whose levels
        are checked when `grey_range` is measured.
    pixel_size_um : float or None
        Edge of a pixel in micrometres; None where it is not known.
    name : str
        Name of the plane in messages and file names.
    known_range : GreyRange, optional
        Grey range of the plane, if it was measured before.
    excluded : PlaneMask, optional
        Pixels that show no specimen, and that `data` have filled from the image; their labels are
        0, and nothing is learnt from them.
    """

    data: Any
    pixel_size_um: float | None = None
    name: str = "image"
    known_range: GreyRange | None = None
    excluded: PlaneMask | None = None

    def __post_init__(self) -> None:
        data = self.data
        if len(data.shape) != 2:
            raise ImageError(
                f"{self.name}: expected one plane, got {size_text(data.shape)}. Select one "
                "plane, or mark the last axis as RGB."
            )
        if data.dtype.kind not in "buif":
            raise ImageError(
                f"{self.name}: grey levels of type {data.dtype} cannot be segmented. Convert the "
                "image to uint8, uint16 or float32."
            )
        if 0 in data.shape:
            raise ImageError(f"{self.name}: the image is empty, it has {size_text(data.shape)}.")
        if self.excluded is not None and self.excluded.shape != tuple(data.shape):
            raise ImageError(
                f"{self.name}: the excluded area is that of {size_text(self.excluded.shape)}, the "
                f"plane has {size_text(data.shape)}. Give that of this plane."
            )
        if not isinstance(data, LazyArray):
            self._refuse_not_finite()

    def _refuse_not_finite(self) -> None:
        if bad := n_not_finite(self.data):
            raise ImageError(
                f"{self.name}: {bad} of {math.prod(self.shape)} pixels are NaN or infinite. "
                "Replace them by grey levels, or leave this image out."
            )

    @functools.cached_property
    def grey_range(self) -> GreyRange:
        """Grey range of the plane: the two levels that become -1 and 1 for the network.

        Raises
        ------
        ImageError
            If a plane on disk, which is read for this, has NaN or infinite values.
        """
        if self.known_range is not None:
            return self.known_range
        if isinstance(self.data, LazyArray):
            self._refuse_not_finite()
        if self.excluded is None:
            return GreyRange.of(self.data)
        return GreyRange.of(self.excluded.remaining(self.data))

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        rows, columns = self.data.shape
        return rows, columns

    @property
    def used_shape(self) -> tuple[int, int]:
        """Rows and columns without a bar at the lower edge: tiles are laid over them."""
        rows, columns = self.shape
        return (rows if self.excluded is None else self.excluded.used_rows[1]), columns

    @property
    def used(self) -> Any:
        """Grey levels of `used_shape`: beyond a bar, an image goes on as beyond its edge."""
        n_rows = self.used_shape[0]
        if n_rows == self.shape[0]:
            return self.data
        return _rows_of(self.data, 0, n_rows)

    def below_bar(self) -> Micrograph:
        """Return the plane from the first row below a bar at the upper edge on, with its levels."""
        if self.excluded is None or not (first := self.excluded.used_rows[0]):
            return self
        data = _rows_of(self.data, first, self.shape[0])
        mask = self.excluded.from_row(first)
        return replace(self, data=data, known_range=self.grey_range, excluded=mask)

    @property
    def is_constant(self) -> bool:
        """Whether all grey levels are the same, so that the plane shows nothing."""
        return is_constant(self.data)

    @property
    def stack(self) -> MicrographStack:
        """The plane as an image of its own, with what is excluded of it."""
        area = None if self.excluded is None else self.excluded.area
        return MicrographStack(self.data, False, self.pixel_size_um, self.name, excluded=area)

    def normalised(self) -> npt.NDArray[np.float32]:
        """Return the normalised grey levels that networks take, shape (Y, X), -2 to 2."""
        return self.grey_range.apply(np.asarray(self.data[...]))


def _rows_of(data: Any, first: int, end: int) -> Any:
    """Return some rows of a plane: a view, which reads nothing."""
    return Rows(data, first, end) if isinstance(data, LazyArray) else data[first:end]


class LazyPlane(LazyArray):
    """A plane of an array on disk, read and turned to grey when it is sliced.

    Parameters
    ----------
    data : array of shape (..., Y, X), or (..., Y, X, 3 or 4) if `rgb`
        Array of planes, such as dask or zarr.
    index : tuple of int
        Index of the plane on the leading axes.
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
    """An image of one or more planes of one size, which are read one at a time.

    Parameters
    ----------
    data : array of shape (..., Y, X), or (..., Y, X, 3 or 4) if `rgb`
        A numpy, dask or zarr array, or a memory map. Only single planes are loaded,
        of large ones only parts.
    rgb : bool
        Whether the last axis holds colours.
    pixel_size_um : float or None
        Edge of a pixel in micrometres; None where it is not known.
    name : str
        Name of the image in messages and file names.
    axes : tuple of Axis or None
        Axis for each entry of `shape`; None where it is not known what they are.
    notes : tuple of str
        Sentences for the user on what of its file is not read.
    file : Path or None
        File that another program opened and reads `data` from, such as a zarr behind an array
        of dask; it is only looked at for what is missing in it (`ChunkWatch`).
    pixel_size_from : str
        Origin of the pixel size in words, such as ``Zeiss ap_image_pixel_size``.
    excluded : ExcludedArea, optional
        What of the image shows no specimen, such as an info bar.

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
    notes: tuple[str, ...] = ()
    file: Path | None = None
    pixel_size_from: str = ""
    excluded: ExcludedArea | None = None

    def __post_init__(self) -> None:
        shape = tuple(self.data.shape)
        if self.rgb and (len(shape) < 3 or shape[-1] not in (3, 4)):
            raise ImageError(
                f"{self.name}: an RGB image needs 3 or 4 colours on its last axis, this one has "
                f"{shape[-1]}. Convert it to grey levels."
            )
        if is_truth_value(self.pixel_size_um):
            raise ImageError(
                f"{self.name}: the pixel size is {self.pixel_size_um}. It is a number of µm, or "
                "None where it is not known."
            )
        if len(self.shape) < 2:
            raise ImageError(f"{self.name}: expected rows and columns, got {size_text(shape)}.")
        if 0 in shape:
            raise ImageError(f"{self.name}: the image is empty, it has {size_text(shape)}.")
        if self.excluded is not None and self.excluded.shape != self.shape:
            raise ImageError(
                f"{self.name}: the excluded area is that of {size_text(self.excluded.shape)}, the "
                f"image has {size_text(self.shape)}. Give that of this image."
            )
        if self.axes is not None and len(self.axes) != len(self.shape):
            raise ImageError(
                f"{self.name}: {len(self.axes)} axes were named ("
                f"{listed(axis.name for axis in self.axes)}) of an image of "
                f"{size_text(self.shape)}. Name each of them, but not that of the colours."
            )

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape without the colour axis: (..., Y, X)."""
        shape = tuple(int(n) for n in self.data.shape)
        return shape[:-1] if self.rgb else shape

    @property
    def used_shape(self) -> tuple[int, int]:
        """Rows and columns of a plane without a bar at the lower edge: tiles are laid over them."""
        rows, columns = self.shape[-2:]
        return (rows, columns) if self.excluded is None else self.excluded.used_shape

    @property
    def first_row(self) -> int:
        """First row below a bar at the upper edge; 0 without one."""
        return 0 if self.excluded is None else self.excluded.first_row

    @property
    def pixel_size(self) -> PixelSize:
        """Edges of a pixel, which need not be square, and their origin."""
        y_um, x_um = edges_um(self.axes or ()) or (self.pixel_size_um, self.pixel_size_um)
        return PixelSize(x_um, y_um, self.pixel_size_from)

    def of_size(self, size: PixelSize) -> MicrographStack:
        """Return the stack with another pixel size, whatever its file says.

        Parameters
        ----------
        size : PixelSize
            Edges of a pixel, which are known.
        """
        axes = self.axes or tuple(
            Axis.named(name) for name in ("t", "z", "y", "x")[-len(self.shape) :]
        )
        *leading, y, x = axes
        y, x = (
            replace(axis, unit="micrometer", scale=um or 1.0)
            for axis, um in ((y, size.y_um), (x, size.x_um))
        )
        return replace(
            self,
            axes=(*leading, y, x),
            pixel_size_um=size.square_um,
            pixel_size_from=size.source,
        )

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

        What is excluded is filled (`FilledPlane`), so that nobody sees an info bar.

        Parameters
        ----------
        index : tuple of int
            Index of the plane, a number for each leading axis; empty for a single image.
        known_range : GreyRange, optional
            Grey range of the plane, if it was measured before; a plane on disk is then not
            read for it again.
        """
        name = f"{self.name}, {self.plane_name(index)}" if index else self.name
        data: Any
        if math.prod(self.shape[-2:]) > _LAZY_PX and not _in_memory(self.data):
            data = LazyPlane(self.data, index, self.rgb)
        else:
            data = np.asarray(self.data[index] if index else self.data[...])
            data = to_grey(data) if self.rgb else data
        mask = None if self.excluded is None else self.excluded.of_plane(index)
        if mask is not None:
            filled = FilledPlane(data, mask)
            data = filled if isinstance(data, LazyArray) else filled[...]
        return Micrograph(data, self.pixel_size_um, name, known_range, mask)

    def plane_name(self, index: tuple[int, ...]) -> str:
        """Return the name of a plane for users, counted from 1: ``plane 3 of 5 (index 2)``."""
        number = int(np.ravel_multi_index(index, self.shape[:-2])) + 1 if index else 1
        where = f" (index {', '.join(map(str, index))})" if index else ""
        return f"plane {number} of {self.n_planes}{where}"


def _in_memory(data: Any) -> bool:
    return isinstance(data, np.ndarray) and not isinstance(data, np.memmap)
