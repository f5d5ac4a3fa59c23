"""A plane seen at several resolutions: which windows, and what they say of a pixel.

A coarse scale level needs wide surroundings but is cheap, a fine one the other way
round. So the plane is cut into large tiles for the coarsest level, and each of
them into smaller ones for the next: no resolution pays for the surroundings of
another one.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, islice
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from napari_fractoseg.images import Micrograph
from napari_fractoseg.inference.device_io import Transfers
from napari_fractoseg.inference.result import CONFIDENCE, MARGIN
from napari_fractoseg.models.model import ScaleLevel, SegmentationModel, enlarged, reduced
from napari_fractoseg.tiling import Box, Tile, Tiler, reflected_window

__all__ = [
    "CELL_PX",
    "Level",
    "PlaneWindows",
    "ScaleProbabilities",
    "Work",
    "cells_of",
    "decided",
    "levels_of",
    "tile_batches",
    "work_of",
]

CELL_PX = 32
"""Work is counted in blocks of this edge that the network sees."""
_BAND_PX = 2**21
"""Pixels that are normalised, or whose probabilities are put together, at once."""
_SLAB_BYTES = 2**26
"""Of grey levels that are read at once."""


@dataclass(frozen=True)
class Level:
    """A scale level of a model and the tiles that a plane is cut into for it."""

    scale: ScaleLevel
    tiler: Tiler


@dataclass(frozen=True)
class Work:
    """What a plane costs: blocks of 32 x 32 px to be seen, and tiles that decide pixels."""

    cells: int
    tiles: int
    largest: int = 0
    """Cells of the largest window: what has to be in memory at once."""


def levels_of(model: SegmentationModel, tile_px: int) -> tuple[Level, ...]:
    """Return the scale levels of a model with their tiles, the coarsest first.

    Parameters
    ----------
    model : SegmentationModel
        Model whose scale levels are taken.
    tile_px : int
        Largest edge of a core at the finest scale level, in image pixels; rounded up to
        its stride. At the others a core has as many reduced pixels.
    """
    scales = model.scale_levels
    finest = scales[-1].reduction
    levels = []
    for number, scale in enumerate(scales):
        # A core of a coarse level is where finer ones start, too.
        stride = math.lcm(*(other.stride_px for other in scales[number:]))
        core_px = _up(tile_px * scale.reduction // finest, stride)
        levels.append(Level(scale, Tiler(core_px, _up(scale.halo_px, stride), stride)))
    return tuple(levels)


def _up(length: int, multiple: int) -> int:
    return -(-length // multiple) * multiple


def cells_of(tile: Tile, scale: ScaleLevel) -> int:
    """Return how much of the network's work a window is."""
    rows, columns = tile.window.shape
    return max(1, rows * columns // (scale.reduction * CELL_PX) ** 2)


def work_of(levels: Sequence[Level], shape: tuple[int, int], within: Box | None) -> Work:
    """Return what a plane of a shape costs, flips not counted."""
    level, finer = levels[0], levels[1:]
    cells = tiles = largest = 0
    for tile in level.tiler.tiles(shape, within):
        own = cells_of(tile, level.scale)
        below = work_of(finer, shape, tile.core) if finer else Work(0, 1)
        cells, tiles = cells + own + below.cells, tiles + below.tiles
        largest = max(largest, own, below.largest)
    return Work(cells, tiles, largest)


def tile_batches(
    level: Level, shape: tuple[int, int], within: Box | None, batch_size: int
) -> Iterator[list[Tile]]:
    """Yield the tiles of a level in batches of windows of the same shape."""
    tiles = level.tiler.tiles(shape, within)
    for _, alike in groupby(tiles, key=lambda tile: tile.window.shape):
        while batch := list(islice(alike, batch_size)):
            yield batch


class PlaneWindows:
    """Windows of a plane as the network sees them.

    Parameters
    ----------
    plane : Micrograph
        Where they are cut.
    transfers : Transfers
        To the device. With `by_table` a quarter or half of the bytes goes there, and there is no
        arithmetic on the CPU; the windows are the same.
    """

    def __init__(self, plane: Micrograph, transfers: Transfers) -> None:
        self._plane, self._transfers = plane, transfers
        self._dtype = np.dtype(plane.data.dtype)
        self._table: torch.Tensor | None = None
        if transfers.by_table and self._dtype.kind in "iu" and self._dtype.itemsize <= 2:
            self._table = transfers.to_device(plane.grey_range.table(self._dtype))

    def of(self, batch: Sequence[Tile], reduction: int) -> torch.Tensor:
        """Return the windows of tiles, shape (N, 1, Y, X), normalised and reduced."""
        return torch.cat([self._window(tile.window, reduction) for tile in batch])

    def _window(self, window: Box, reduction: int) -> torch.Tensor:
        """Cut, normalise and reduce a window, band by band: coarse windows are large.

        What is read at once is higher than what is normalised at once: on disk, chunks at the
        border of two parts are read twice.
        """
        parts = []
        for slab in _bands(window, reduction, _SLAB_BYTES // self._dtype.itemsize):
            levels = self._brought(reflected_window(self._plane.data, slab))
            for band in _bands(slab, reduction):
                grey = self._normalised(levels[band.relative_to(slab).slices])
                parts.append(reduced(grey[None, None], reduction))
        return torch.cat(parts, dim=2)

    def _brought(self, levels: npt.NDArray[Any]) -> Any:
        """Move grey levels to the device if they are looked up there: their bits."""
        if self._table is None:
            return levels
        native = np.ascontiguousarray(levels, self._dtype.newbyteorder("="))
        return self._transfers.to_device(native.view(f"u{self._dtype.itemsize}"))

    def _normalised(self, levels: Any) -> torch.Tensor:
        if self._table is None:
            return self._transfers.to_device(self._plane.grey_range.apply(levels))
        return self._table[levels.long()]


def _bands(box: Box, multiple: int, most_px: int = _BAND_PX) -> Iterator[Box]:
    """Cut a box into bands of rows, each as high as a multiple, but for the last one."""
    rows, columns = box.shape
    height = max(1, most_px // (columns * multiple)) * multiple
    for start in range(box.row0, box.row0 + rows, height):
        yield Box(start, min(start + height, box.row1), box.column0, box.column1)


@dataclass(frozen=True, eq=False)
class ScaleProbabilities:
    """Probabilities of a window at one scale level.

    Parameters
    ----------
    probabilities : Tensor of float32, shape (K, y, x)
        Of the reduced pixels of the window.
    window : Box
        In image pixels; starts at a multiple of the reduction.
    reduction : int
        Image pixels to a reduced one.
    """

    probabilities: torch.Tensor
    window: Box
    reduction: int

    def of(self, box: Box) -> torch.Tensor:
        """Return the probabilities of the image pixels of a box in the window, shape (K, Y, X)."""
        inside = box.relative_to(self.window)
        (row0, row1), row = _span(inside.row0, inside.row1, self.reduction)
        (column0, column1), column = _span(inside.column0, inside.column1, self.reduction)
        part = self.probabilities[:, row0:row1, column0:column1]
        rows, columns = box.shape
        full = enlarged(part[None], self.reduction)[0]
        return full[:, row : row + rows, column : column + columns]


def _span(start: int, stop: int, reduction: int) -> tuple[tuple[int, int], int]:
    """Return the reduced pixels that image pixels are interpolated from, and where these begin."""
    if reduction == 1:
        return (start, stop), 0
    first = max(start // reduction - 1, 0)
    return (first, -(-stop // reduction) + 1), start - first * reduction


def decided(
    by_scale: Sequence[ScaleProbabilities],
    core: Box,
    values: torch.Tensor,
    uncertainties: Collection[str] = (),
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Decide the pixels of a core by the mean of all scale levels.

    Parameters
    ----------
    by_scale : sequence of ScaleProbabilities
        Each with a window that holds the core.
    core : Box
        Pixels to decide.
    values : Tensor of uint8, shape (K,)
        Class value of each channel.
    uncertainties : collection of str
        What else is wanted: `CONFIDENCE`, the probability of the chosen class, and
        `MARGIN`, by how much it is above that of the next one.

    Returns
    -------
    labels : Tensor of uint8, shape of the core
        Class values, on the device of the probabilities.
    uncertainty : dict of str to Tensor of float32, shape of the core
        What is wanted.
    """
    first, *others = by_scale
    device = first.probabilities.device
    labels = torch.empty(core.shape, dtype=torch.uint8, device=device)
    uncertainty = {kind: torch.empty(core.shape, device=device) for kind in uncertainties}
    for band in _bands(core, 1):
        rows = band.relative_to(core).slices
        mean = sum((part.of(band) for part in others), start=first.of(band)) / len(by_scale)
        highest, channel = mean.max(dim=0)
        labels[rows] = values[channel]
        if CONFIDENCE in uncertainty:
            uncertainty[CONFIDENCE][rows] = highest
        if MARGIN in uncertainty:
            rest = mean.scatter(0, channel[None], 0.0)
            uncertainty[MARGIN][rows] = highest - rest.amax(dim=0)
    return labels, uncertainty
