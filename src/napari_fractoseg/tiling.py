"""Tiles of a plane: geometry of cores and halos, without any model or image.

A tile is a core, whose pixels it decides, and a halo around it. A pixel's label
depends on its surroundings, so the halo is computed as well and thrown away:
nothing is blended, no seam appears. Windows (core and halo) start and end at
multiples of the network's stride, so that the pooling grids of all tiles coincide
with those of the whole image. They end where the image ends: only what is missing
to the next multiple is reflected.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Box", "Canvas", "Tile", "Tiler", "grid", "reflected_window"]


@dataclass(frozen=True)
class Box:
    """Half-open rectangle of pixels: rows ``row0 .. row1 - 1``, and columns likewise."""

    row0: int
    row1: int
    column0: int
    column1: int

    @property
    def shape(self) -> tuple[int, int]:
        """Number of rows and columns."""
        return self.row1 - self.row0, self.column1 - self.column0

    @property
    def slices(self) -> tuple[slice, slice]:
        """Slices that cut the box out of an array of shape (Y, X)."""
        return slice(self.row0, self.row1), slice(self.column0, self.column1)

    def overlaps(self, other: Box) -> bool:
        """Whether any pixel is in both boxes."""
        return (
            self.row0 < other.row1
            and other.row0 < self.row1
            and self.column0 < other.column1
            and other.column0 < self.column1
        )

    def clipped(self, shape: tuple[int, int]) -> Box:
        """Return the part of the box in a plane of some rows and columns; it may be empty."""
        rows, columns = shape
        row0, column0 = min(self.row0, rows), min(self.column0, columns)
        return Box(row0, min(self.row1, rows), column0, min(self.column1, columns))

    def common(self, other: Box) -> Box:
        """Return what two boxes that overlap have in common."""
        return Box(
            max(self.row0, other.row0),
            min(self.row1, other.row1),
            max(self.column0, other.column0),
            min(self.column1, other.column1),
        )

    def below(self, row: int) -> Box:
        """Return the part of the box from a row on, in rows that are counted from there."""
        return Box(max(self.row0 - row, 0), max(self.row1 - row, 0), self.column0, self.column1)

    def grown(self, margin_px: int) -> Box:
        """Return the box with so many pixels more on each side."""
        return Box(
            self.row0 - margin_px,
            self.row1 + margin_px,
            self.column0 - margin_px,
            self.column1 + margin_px,
        )

    def bands(self, most_px: int, multiple: int = 1) -> Iterator[Box]:
        """Yield bands of rows, about `most_px` pixels each; each starts at a multiple of rows."""
        rows, columns = self.shape
        height = max(1, most_px // (columns * multiple)) * multiple
        for start in range(self.row0, self.row0 + rows, height):
            yield Box(start, min(start + height, self.row1), self.column0, self.column1)

    def relative_to(self, other: Box) -> Box:
        """Return the box in coordinates that start at the upper left corner of `other`."""
        return Box(
            self.row0 - other.row0,
            self.row1 - other.row0,
            self.column0 - other.column0,
            self.column1 - other.column0,
        )


def grid(shape: tuple[int, int], edge_px: int) -> Iterator[Box]:
    """Yield the squares of a grid over a plane, row by row; the last ones may be smaller.

    Parameters
    ----------
    shape : tuple of int
        Rows and columns of the plane.
    edge_px : int
        Edge of a square in pixels.

    Examples
    --------
    >>> from napari_fractoseg.tiling import grid
    >>> [box.shape for box in grid((100, 150), 100)]
    [(100, 100), (100, 50)]
    """
    rows, columns = shape
    for row, column in itertools.product(range(0, rows, edge_px), range(0, columns, edge_px)):
        yield Box(row, min(row + edge_px, rows), column, min(column + edge_px, columns))


@dataclass(frozen=True)
class Tile:
    """Spatial location of a tile in a plane: the pixels it decides, and those it needs for that.

    Parameters
    ----------
    core : Box
        Pixels whose labels this tile decides; inside the image.
    window : Box
        Pixels that are computed, core and halo; it reaches beyond the image by less than the
        network's stride.
    """

    core: Box
    window: Box

    def cut(self, plane: Any) -> npt.NDArray[Any]:
        """Return the pixels of the window in a plane (Y, X), reflected beyond the plane's edges."""
        return reflected_window(plane, self.window)

    def keep(self, result: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return the part of a result of shape (..., window Y, window X) that is in the core."""
        rows, columns = self.core.relative_to(self.window).slices
        return result[..., rows, columns]


@dataclass(frozen=True)
class Tiler:
    """Cuts planes into tiles whose cores cover them exactly once.

    Parameters
    ----------
    tile_px : int
        Largest edge of a core in image pixels, a multiple of `multiple_px`.
    halo_px : int
        Width of the halo in image pixels, a multiple of `multiple_px`; there is none
        beyond the edges of the image.
    multiple_px : int
        Stride of the network in image pixels: windows start and end at multiples of it.

    Examples
    --------
    >>> from napari_fractoseg.tiling import Tiler
    >>> [t.core for t in Tiler(64, 32).tiles((40, 100))]
    [Box(row0=0, row1=40, column0=0, column1=64), Box(row0=0, row1=40, column0=64, column1=100)]
    """

    tile_px: int
    halo_px: int
    multiple_px: int = 32

    def __post_init__(self) -> None:
        if self.multiple_px < 1 or self.tile_px < 1 or self.halo_px < 0:
            raise ValueError(f"Tile sizes must be positive, got {self}.")
        for name in ("tile_px", "halo_px"):
            if getattr(self, name) % self.multiple_px:
                raise ValueError(
                    f"{name} is {getattr(self, name)}, not a multiple of {self.multiple_px}."
                )

    def tiles(self, shape: tuple[int, int], within: Box | None = None) -> Iterator[Tile]:
        """Yield the tiles of a plane, row by row; the cores cover it exactly once.

        Parameters
        ----------
        shape : tuple of int
            Rows and columns of the plane.
        within : Box, optional
            Part of the plane to cover; by default all of it.

        Yields
        ------
        Tile
            Tile of the plane; windows inside the image have the same shape, those at its
            edges are smaller.
        """
        region = self._aligned(within or Box(0, shape[0], 0, shape[1]))
        ends = [-(-length // self.multiple_px) * self.multiple_px for length in shape]
        height, width = map(self._core_length, region.shape)
        for row in range(region.row0, region.row1, height):
            for column in range(region.column0, region.column1, width):
                yield Tile(
                    Box(
                        row,
                        min(row + height, region.row1),
                        column,
                        min(column + width, region.column1),
                    ),
                    Box(
                        max(row - self.halo_px, 0),
                        min(row + height + self.halo_px, ends[0]),
                        max(column - self.halo_px, 0),
                        min(column + width + self.halo_px, ends[1]),
                    ),
                )

    def _aligned(self, region: Box) -> Box:
        """Return a box extended to the left and up, to multiples of the network's stride."""
        row0, column0 = (
            start // self.multiple_px * self.multiple_px for start in (region.row0, region.column0)
        )
        return Box(row0, region.row1, column0, region.column1)

    def _core_length(self, length: int) -> int:
        """Return the edge of cores along a length: about equal, so that the last is no sliver."""
        parts = -(-length // self.tile_px)
        return -(-length // (parts * self.multiple_px)) * self.multiple_px


def reflected_window(plane: Any, window: Box) -> npt.NDArray[Any]:
    """Return a copy of the window of a plane (Y, X), which is reflected beyond its edges."""
    rows = _reflect(window.row0, window.row1, plane.shape[0])
    columns = _reflect(window.column0, window.column1, plane.shape[1])
    row0, column0 = rows.min(), columns.min()
    block = np.array(plane[row0 : rows.max() + 1, column0 : columns.max() + 1], order="C")
    if window.row0 < 0 or window.row1 > plane.shape[0]:
        block = block.take(rows - row0, axis=0)
    if window.column0 < 0 or window.column1 > plane.shape[1]:
        block = block.take(columns - column0, axis=1)
    return block


def _reflect(start: int, stop: int, length: int) -> npt.NDArray[np.intp]:
    """Return indices ``start .. stop - 1``, reflected into ``0 .. length - 1`` at its ends."""
    period = max(2 * (length - 1), 1)
    position = np.arange(start, stop) % period
    return np.minimum(position, period - position) if length > 1 else np.zeros_like(position)


class Canvas:
    """One plane of an array, into which the cores of tiles are written.

    Parameters
    ----------
    array : array of shape (..., Y, X)
        Array that can be written to by index, such as numpy or zarr.
    index : tuple of int
        Index of the plane on the leading axes.
    first_row : int
        Row of the plane that is row 0 of the tiles.
    within : Box, optional
        Part that may be written, in rows and columns of the tiles: cores reach beyond it where it
        does not begin at a multiple of the network's stride.
    """

    def __init__(
        self,
        array: Any,
        index: tuple[int, ...] = (),
        first_row: int = 0,
        within: Box | None = None,
    ) -> None:
        self._array, self._index = array, index
        self._first_row, self._within = first_row, within

    def put(self, tile: Tile, core: npt.NDArray[Any]) -> None:
        """Write `core`, an array of the shape of the tile's core, to its place in the plane."""
        if core.shape != tile.core.shape:
            raise ValueError(f"The core has shape {tile.core.shape}, the result {core.shape}.")
        place = tile.core if self._within is None else tile.core.common(self._within)
        rows, columns = place.slices
        rows = slice(rows.start + self._first_row, rows.stop + self._first_row)
        own = place.relative_to(tile.core).slices
        self._array[(*self._index, rows, columns)] = core[own]
