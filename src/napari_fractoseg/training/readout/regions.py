"""Regions of planes, in which features are read and labels are given while somebody paints.

Imports no PyTorch.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from napari_fractoseg.tiling import Box

__all__ = ["Region", "RegionLabels", "nearest_first", "regions_of"]

_WHOLE_PX, _EDGE_PX = 1344, 1024
"""Longest edge of a plane that is one region, and of a region of larger planes: each is one tile of
the network with its halo."""


@dataclass(frozen=True)
class Region:
    """Rectangle of a plane.

    Parameters
    ----------
    plane : tuple of int
        Index of the plane on the leading axes of its stack.
    box : Box
        Pixels of the plane.
    """

    plane: tuple[int, ...]
    box: Box

    @property
    def key(self) -> tuple[int | slice, ...]:
        """Index of the region in an array of shape (..., Y, X)."""
        return (*self.plane, *self.box.slices)


@dataclass(frozen=True, eq=False)
class RegionLabels:
    """Labels of a region that a readout learns from.

    Parameters
    ----------
    painted : ndarray of uint8, shape of the region
        Class values where a person painted, 0 elsewhere.
    answer : ndarray of uint8, same shape, or None
        Class values that a model gave before anybody painted; None if there are none.
    """

    painted: npt.NDArray[np.uint8]
    answer: npt.NDArray[np.uint8] | None = None

    def without(self, excluded: npt.NDArray[np.bool_]) -> RegionLabels:
        """Return the labels outside a mask of the region's shape."""
        kept = np.where(excluded, np.uint8(0), self.painted)
        answer = None if self.answer is None else np.where(excluded, np.uint8(0), self.answer)
        return RegionLabels(kept, answer)


def regions_of(plane: tuple[int, ...], shape: tuple[int, int]) -> list[Region]:
    """Return the regions of a plane, which cover it exactly once.

    Parameters
    ----------
    plane : tuple of int
        Index of the plane on the leading axes of its stack.
    shape : tuple of int
        Rows and columns of the plane.

    Examples
    --------
    >>> from napari_fractoseg.training.readout.regions import regions_of
    >>> [region.box.shape for region in regions_of((), (1280, 1280))]
    [(1280, 1280)]
    >>> [region.box.shape for region in regions_of((3,), (1000, 2048))]
    [(1000, 1024), (1000, 1024)]
    """
    rows, columns = map(_parts, shape)
    return [
        Region(plane, Box(row0, row1, column0, column1))
        for row0, row1 in rows
        for column0, column1 in columns
    ]


def _parts(length: int) -> list[tuple[int, int]]:
    """Return about equal parts of a length; all but the last are multiples of 64 px."""
    n_parts = 1 if length <= _WHOLE_PX else math.ceil(length / _EDGE_PX)
    edge = math.ceil(length / n_parts / 64) * 64
    return [(start, min(start + edge, length)) for start in range(0, length, edge)]


def nearest_first(regions: Iterable[Region], view: Box) -> list[Region]:
    """Return regions by their distance from what is seen: first those that are in the view.

    Parameters
    ----------
    regions : iterable of Region
        Regions of one plane.
    view : Box
        Pixels of the plane that are seen.

    Examples
    --------
    >>> from napari_fractoseg.tiling import Box
    >>> from napari_fractoseg.training.readout.regions import nearest_first, regions_of
    >>> found = nearest_first(regions_of((), (64, 4096)), Box(0, 64, 2100, 2200))
    >>> [region.box.column0 for region in found]
    [2048, 1024, 3072, 0]
    """
    row, column = (view.row0 + view.row1) / 2, (view.column0 + view.column1) / 2

    def distance(region: Region) -> tuple[int, float]:
        box = region.box
        outside = max(
            box.row0 - view.row1 + 1,
            view.row0 - box.row1 + 1,
            box.column0 - view.column1 + 1,
            view.column0 - box.column1 + 1,
            0,
        )
        middle = (box.row0 + box.row1) / 2 - row, (box.column0 + box.column1) / 2 - column
        return outside, math.hypot(*middle)

    return sorted(regions, key=distance)
