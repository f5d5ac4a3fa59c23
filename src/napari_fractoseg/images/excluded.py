"""Excluded area of an image: what shows no specimen, such as the info bar.

Nothing there is segmented, learnt from, or measured: its labels are 0, and what networks see of it
comes from the image beside it.
"""

from __future__ import annotations

import functools
import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_fractoseg.arrays import Remaining, blocks, percentiles
from napari_fractoseg.errors import ImageError
from napari_fractoseg.images.bars.info_bar import InfoBar
from napari_fractoseg.images.lazy import ArrayLike, AtIndex, LazyArray
from napari_fractoseg.images.lazy import Rows as LazyRows
from napari_fractoseg.text import listed, size_text

__all__ = ["ExcludedArea", "FilledPlane", "PlaneMask"]

Rows = tuple[int, int]


@dataclass(frozen=True, eq=False)
class ExcludedArea:
    """Area of an image that shows no specimen.

    Parameters
    ----------
    shape : tuple of int
        Shape of the image, (..., Y, X).
    bands : tuple of (int, int)
        Bands of rows, over the whole width, on all planes: first row, and the one after the last.
    mask : array of shape (Y, X) or (..., Y, X), optional
        Array that is not 0 (or True) in what is excluded beside the bands; numpy or lazy.
    source : str
        Sentence for the user: where the area comes from.

    Raises
    ------
    ImageError
        If a band is no range of rows of the image, or the mask has another shape or holds NaN.

    Examples
    --------
    >>> from napari_fractoseg.images import ExcludedArea
    >>> area = ExcludedArea((6, 4), bands=((4, 6),), source="Zeiss")
    >>> area.of_plane()[3:5, :2].tolist()
    [[False, False], [True, True]]
    """

    shape: tuple[int, ...]
    bands: tuple[Rows, ...] = ()
    mask: ArrayLike | None = None
    source: str = ""

    def __post_init__(self) -> None:
        n_rows = self.shape[-2]
        for first, end in self.bands:
            if not 0 <= first < end <= n_rows:
                raise ImageError(
                    f"Rows {first} to {end - 1} cannot be excluded of an image of {n_rows} rows. "
                    f"Give rows from 0 to {n_rows - 1}."
                )
        if self.mask is not None:
            shape = tuple(int(n) for n in self.mask.shape)
            if shape not in (self.shape, self.shape[-2:]):
                raise ImageError(
                    f"The excluded area has {size_text(shape)}, the image {size_text(self.shape)}. "
                    "Give a mask of the size of the image, or of one plane."
                )
            if n_nan := _count_nan(self.mask):
                raise ImageError(
                    f"The mask of the excluded area is not a number (NaN) in {n_nan} pixels, so it "
                    "does not say whether they are excluded. Set them to 0 or 1."
                )

    @classmethod
    def of_bar(cls, bar: InfoBar, shape: Sequence[int]) -> ExcludedArea | None:
        """Return the area of an info bar that was found; None if there is none."""
        if bar.rows is None:
            return None
        return cls(tuple(shape), bands=(bar.rows,), source=bar.why)

    @property
    def used_shape(self) -> tuple[int, int]:
        """Rows and columns of a plane without a bar at the lower edge: tiles are laid over them.

        Raises
        ------
        ImageError
            If all rows are excluded.
        """
        return self._used_rows[1], self.shape[-1]

    @property
    def first_row(self) -> int:
        """First row below a bar at the upper edge; 0 without one.

        Raises
        ------
        ImageError
            If all rows are excluded.
        """
        return self._used_rows[0]

    @property
    def _used_rows(self) -> Rows:
        return self.of_plane((0,) * (len(self.shape) - 2)).used_rows

    def of_plane(self, index: tuple[int, ...] = ()) -> PlaneMask:
        """Return the mask of a plane, by its index on the leading axes."""
        mask: Any = self.mask
        if mask is not None and len(mask.shape) > 2:
            for place in index:
                mask = AtIndex(mask, 0, place)
        rows, columns = self.shape[-2:]
        return PlaneMask((rows, columns), self.bands, mask)

    def same_on_all_planes(self) -> ExcludedArea:
        """Return what is excluded of the first plane, for all planes."""
        mask: Any = self.mask
        while mask is not None and len(mask.shape) > 2:
            mask = AtIndex(mask, 0, 0)
        return ExcludedArea(self.shape, self.bands, mask, self.source)

    @property
    def rows_text(self) -> str:
        """Rows of the bands for users, such as ``rows 691 to 767``; empty without any."""
        spans = [f"{first} to {end - 1}" for first, end in self.bands]
        return f"rows {listed(spans)}" if spans else ""

    @property
    def text(self) -> str:
        """What is excluded, and why, for users."""
        parts = [self.rows_text, "a mask" * (self.mask is not None)]
        what = " and ".join(filter(None, parts)) or "nothing"
        return f"{what} ({self.source.rstrip('.')})" if self.source else what

    def joined(self, other: ExcludedArea | None) -> ExcludedArea:
        """Return the area that is excluded here or in another one of the same image."""
        if other is None:
            return self
        source = " ".join(dict.fromkeys(filter(None, (self.source, other.source))))
        masks = [area.mask for area in (self, other) if area.mask is not None]
        mask = _Either(self.shape, masks) if len(masks) > 1 else next(iter(masks), None)
        bands = tuple(dict.fromkeys((*self.bands, *other.bands)))
        return ExcludedArea(self.shape, bands, mask, source)

    @property
    def as_mask(self) -> ArrayLike:
        """Mask of all planes, lazy: of shape (Y, X) where it is the same in each, else (..., Y, X).

        In whole rows it is a `PlaneMask`.
        """
        if self.mask is None or len(self.mask.shape) == 2:
            return self.of_plane()
        bands = PlaneMask((self.shape[-2], self.shape[-1]), self.bands)
        return _Either(self.shape, [bands, self.mask])

    def to_dict(self) -> dict[str, Any]:
        """Return rows and source as plain JSON types; of a mask only that there is one."""
        return {
            "rows": [list(band) for band in self.bands],
            "has_mask": self.mask is not None,
            "source": self.source,
        }

    @classmethod
    def from_dict(
        cls, data: Mapping[str, Any], shape: Sequence[int], mask: ArrayLike | None = None
    ) -> ExcludedArea | None:
        """Return the area that `to_dict` described, with its mask; None if nothing is excluded."""
        bands = tuple((int(first), int(end)) for first, end in data.get("rows", ()))
        if not bands and mask is None:
            return None
        return cls(tuple(shape), bands, mask, str(data.get("source", "")))

    @classmethod
    def of_mask(
        cls, mask: npt.NDArray[Any], shape: Sequence[int], source: str = ""
    ) -> ExcludedArea | None:
        """Return the area of a mask of one plane: whole rows as bands, the rest as a mask.

        Parameters
        ----------
        mask : ndarray of shape (Y, X)
            Array that is not 0 where all planes are excluded; it is copied.
        shape : sequence of int
            Shape of the image, (..., Y, X).
        source : str
            Sentence for the user: where the area comes from.

        Returns
        -------
        ExcludedArea or None
            None if nothing is excluded.
        """
        is_excluded = np.array(mask != 0)
        whole = is_excluded.all(axis=1)
        ends = np.flatnonzero(np.diff(np.concatenate([[False], whole, [False]]).astype(np.int8)))
        bands = tuple((int(first), int(end)) for first, end in ends.reshape(-1, 2))
        is_excluded[whole] = False
        rest = is_excluded if is_excluded.any() else None
        return cls(tuple(shape), bands, rest, source) if bands or rest is not None else None

    @property
    def where(self) -> str:
        """Words for the area, such as ``rows 691 to 767``; rows are counted from 0."""
        drawn = "" if self.mask is None else "an area that was drawn"
        return listed(filter(None, (self.rows_text, drawn)))

    @functools.cached_property
    def key(self) -> tuple[Any, ...]:
        """What is equal for areas of the same pixels; masks on disk are told by themselves."""
        mask = self.mask
        if isinstance(mask, np.ndarray):
            digest = hashlib.sha256(np.packbits(mask != 0).tobytes()).hexdigest()
            return self.shape, self.bands, digest
        return self.shape, self.bands, None if mask is None else id(mask)


def _count_nan(mask: Any) -> int:
    """Return how many elements of a mask in memory are not a number."""
    is_float = isinstance(mask, np.ndarray) and mask.dtype.kind == "f"
    return int(np.isnan(mask).sum()) if is_float else 0


class PlaneMask(LazyArray):
    """Mask of the excluded pixels of a plane: True there; nothing is held in memory for bands.

    Parameters
    ----------
    shape : tuple of int
        Rows and columns of the plane.
    bands : sequence of (int, int)
        Bands of rows that are excluded.
    mask : array of shape (Y, X), optional
        Array that is not 0 in what is excluded beside them.
    """

    def __init__(
        self, shape: tuple[int, int], bands: Sequence[Rows], mask: ArrayLike | None = None
    ) -> None:
        super().__init__(shape, np.bool_)
        self._mask = mask
        self._rows = np.zeros(shape[0], np.bool_)
        for first, end in bands:
            self._rows[first:end] = True

    @property
    def used_rows(self) -> Rows:
        """Rows between bands at the upper and the lower edge: the first, and one after the last.

        Raises
        ------
        ImageError
            If all rows are excluded.
        """
        left = np.flatnonzero(~self._rows)
        if not left.size:
            raise ImageError(
                f"All {self.shape[0]} rows of the image are excluded. Exclude fewer rows."
            )
        return int(left[0]), int(left[-1]) + 1

    def from_row(self, first: int) -> PlaneMask:
        """Return the mask of the rows from one on."""
        bands = [(max(a - first, 0), b - first) for a, b in self.area.bands if b > first]
        mask: Any = self._mask
        if mask is not None:
            is_array = isinstance(mask, np.ndarray)
            mask = mask[first:] if is_array else LazyRows(mask, first, self.shape[0])
        return PlaneMask((self.shape[0] - first, self.shape[1]), bands, mask)

    @functools.cached_property
    def is_bands(self) -> bool:
        """Whether only bands at the edges are excluded."""
        first, end = self.used_rows
        return self._mask is None and not self._rows[first:end].any()

    @property
    def area(self) -> ExcludedArea:
        """The area of an image of this one plane."""
        edges = np.flatnonzero(np.diff(np.concatenate([[0], self._rows.astype(np.int8), [0]])))
        bands = tuple(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))
        return ExcludedArea((self.shape[0], self.shape[1]), bands, self._mask)

    @property
    def is_all(self) -> bool:
        """Whether nothing is left of the plane."""
        return bool(self._rows.all()) or (
            self._mask is not None and all(block.all() for block in blocks(self))
        )

    def remaining(self, plane: ArrayLike) -> ArrayLike | Remaining:
        """Return the elements of a plane that are left, for statistics."""
        if self.is_bands and isinstance(plane, np.ndarray):
            return plane[slice(*self.used_rows)]
        return Remaining(plane, self)

    def in_box(self, rows: slice, columns: slice) -> npt.NDArray[np.bool_] | None:
        """Return the mask in a part of the plane; None if nothing is excluded there."""
        if self._mask is None and not self._rows[rows].any():
            return None
        found = self[rows, columns]
        return found if found.any() else None

    def _read(self, keys: tuple[Any, ...]) -> npt.NDArray[np.bool_]:
        columns = np.zeros(self.shape[1], np.bool_)[keys[1]]
        found: npt.NDArray[np.bool_] = np.logical_or.outer(self._rows[keys[0]], columns)
        if self._mask is not None:
            found |= np.asarray(self._mask[keys]) != 0
        return found


class _Either(LazyArray):
    """What one of several masks excludes; each has the shape of the image, or of a plane."""

    def __init__(self, shape: tuple[int, ...], masks: Sequence[ArrayLike]) -> None:
        super().__init__(shape, np.bool_)
        self._masks = masks

    def _read(self, keys: tuple[Any, ...]) -> npt.NDArray[np.bool_]:
        parts = [np.asarray(m[keys[-2:] if len(m.shape) == 2 else keys]) != 0 for m in self._masks]
        found: npt.NDArray[np.bool_] = functools.reduce(np.logical_or, parts)
        return found


class FilledPlane(LazyArray):
    """A plane as networks see it: excluded pixels are filled from the image.

    Bands at the edges are mirrored from the rows beside them, as windows are beyond the edges of an
    image; other excluded pixels get the median of the grey levels that are left.

    Parameters
    ----------
    plane : array of shape (Y, X)
        Grey levels; numpy or lazy.
    mask : PlaneMask
        Excluded pixels.
    """

    def __init__(self, plane: ArrayLike, mask: PlaneMask) -> None:
        super().__init__(tuple(plane.shape), plane.dtype)
        self._plane, self._mask = plane, mask
        first, end = mask.used_rows
        position = (np.arange(self.shape[0]) - first) % max(2 * (end - first - 1), 1)
        mirrored = np.minimum(position, 2 * (end - first - 1) - position)
        self._source = first + (mirrored if end - first > 1 else 0 * position)

    @functools.cached_property
    def _fill(self) -> Any:
        remaining = self._mask.remaining(self._plane)
        if not math.prod(remaining.shape):
            raise ImageError("All of the image is excluded. Exclude less of it.")
        (median,) = percentiles(remaining, [50])
        return np.asarray(median).astype(self.dtype)

    def _read(self, keys: tuple[Any, ...]) -> npt.NDArray[Any]:
        rows = np.atleast_1d(self._source[keys[0]])
        if not rows.size:
            return np.asarray(self._plane[keys])
        first, end = int(rows.min()), int(rows.max()) + 1
        block = np.array(self._plane[(slice(first, end), keys[1])])
        if not self._mask.is_bands:
            block[self._mask[(slice(first, end), keys[1])]] = self._fill
        taken: npt.NDArray[Any] = block[rows - first]
        return taken if np.ndim(self._source[keys[0]]) else taken[0]
