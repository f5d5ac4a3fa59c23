"""Scale levels of a plane: the windows that are computed at each, and their mean probabilities.

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
from napari_fractoseg.inference.result import CONFIDENCE, MARGIN, probability_of
from napari_fractoseg.models.model import (
    ScaleLevel,
    SegmentationModel,
    enlarged,
    network_pixels,
    reduced,
)
from napari_fractoseg.tiling import Box, Tile, Tiler, reflected_window

__all__ = [
    "CELL_PX",
    "Level",
    "PlaneWindows",
    "ScaleProbabilities",
    "Work",
    "cells_of",
    "label_core",
    "levels_of",
    "tile_batches",
    "work_of",
]

CELL_PX = 32
"""Edge in network pixels of the blocks in which work is counted (for progress and memory)."""
_BAND_PX = 2**21
"""Number of pixels that are normalised, or whose probabilities are averaged, at once."""
_SLAB_BYTES = 2**26
"""Size of the grey levels that are read from a plane at once."""


@dataclass(frozen=True)
class Level:
    """A scale level of a model, and the tiler that cuts planes into tiles for it."""

    scale: ScaleLevel
    tiler: Tiler


@dataclass(frozen=True)
class Work:
    """Work of a plane: blocks of 32 x 32 px to compute, and number of tiles that decide pixels."""

    cells: int
    tiles: int
    largest: int = 0
    """Blocks of 32 x 32 px in the largest window, which must fit into memory."""


def levels_of(model: SegmentationModel, tile_px: int) -> tuple[Level, ...]:
    """Return the scale levels of a model with their tiles, the coarsest first.

    Parameters
    ----------
    model : SegmentationModel
        Model whose scale levels are taken.
    tile_px : int
        Largest edge of a core at the finest scale level, in image pixels; rounded up to
        its stride. At coarser levels a core has as many pixels of the network.
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
    """Return the work of a tile's window at a scale level, in blocks of 32 x 32 px."""
    rows, columns = tile.window.shape
    seen_px = rows * columns * scale.enlargement**2
    return max(1, seen_px // (scale.reduction * CELL_PX) ** 2)


def work_of(levels: Sequence[Level], shape: tuple[int, int], within: Box | None) -> Work:
    """Return the work of a plane, or of the part `within`, at all scale levels, without flips."""
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
    """Yield the tiles of a scale level in lists of at most `batch_size`, alike in window shape."""
    tiles = level.tiler.tiles(shape, within)
    for _, alike in groupby(tiles, key=lambda tile: tile.window.shape):
        while batch := list(islice(alike, batch_size)):
            yield batch


class PlaneWindows:
    """Windows of a plane as input of the network: normalised and reduced grey levels.

    Parameters
    ----------
    plane : Micrograph
        Plane that the windows are cut from.
    transfers : Transfers
        Copies to the device. With `by_table` the stored grey levels are copied (a quarter or half
        of the bytes) and normalised on the device; the windows are the same.
    """

    def __init__(self, plane: Micrograph, transfers: Transfers) -> None:
        self._plane, self._transfers, self._used = plane, transfers, plane.used
        self._dtype = np.dtype(plane.data.dtype)
        self._table: torch.Tensor | None = None
        if transfers.by_table and self._dtype.kind in "iu" and self._dtype.itemsize <= 2:
            self._table = transfers.to_device(plane.grey_range.table(self._dtype))

    def of(self, batch: Sequence[Tile], reduction: int, enlargement: int = 1) -> torch.Tensor:
        """Return the windows of N tiles at a scale level: float32, shape (N, 1, Y, X)."""
        return torch.cat([self._window(tile.window, reduction, enlargement) for tile in batch])

    def _window(self, window: Box, reduction: int, enlargement: int) -> torch.Tensor:
        """Cut, normalise and reduce a window, band by band: coarse windows are large.

        More rows are read at once than are normalised at once: on disk, chunks at the border of
        two reads are decoded twice. What is enlarged takes a pixel more on each side along.
        """
        parts, margin = [], 1 if enlargement > 1 else 0
        for slab in window.bands(_SLAB_BYTES // self._dtype.itemsize, reduction):
            read = slab.grown(margin)
            levels = self._brought(reflected_window(self._used, read))
            for band in slab.bands(_BAND_PX // enlargement**2, reduction):
                grey = self._normalised(levels[band.grown(margin).relative_to(read).slices])
                parts.append(network_pixels(grey[None, None], reduction, enlargement))
        return torch.cat(parts, dim=2)

    def _brought(self, levels: npt.NDArray[Any]) -> Any:
        """Copy the bits of grey levels to the device if a table is looked up there."""
        if self._table is None:
            return levels
        native = np.ascontiguousarray(levels, self._dtype.newbyteorder("="))
        return self._transfers.to_device(native.view(f"u{self._dtype.itemsize}"))

    def _normalised(self, levels: Any) -> torch.Tensor:
        if self._table is None:
            return self._transfers.to_device(self._plane.grey_range.apply(levels))
        return self._table[levels.long()]


@dataclass(frozen=True, eq=False)
class ScaleProbabilities:
    """Probabilities of a window at one scale level.

    Parameters
    ----------
    probabilities : Tensor of float32, shape (K, y, x)
        Probability of each class at each pixel of the network in the window.
    window : Box
        The window in image pixels; it starts at a multiple of the reduction.
    reduction : int
        Edge of the block of (enlarged) image pixels that became one pixel of the network.
    enlargement : int
        How many times the image was enlarged before.
    """

    probabilities: torch.Tensor
    window: Box
    reduction: int
    enlargement: int = 1

    def of(self, box: Box) -> torch.Tensor:
        """Return the probabilities at the image pixels of a box in the window, shape (K, Y, X)."""
        inside, parts = box.relative_to(self.window), self.enlargement
        (row0, row1), row = _span(inside.row0 * parts, inside.row1 * parts, self.reduction)
        (column0, column1), column = _span(
            inside.column0 * parts, inside.column1 * parts, self.reduction
        )
        part = self.probabilities[:, row0:row1, column0:column1]
        rows, columns = box.shape
        full = enlarged(part[None], self.reduction)[0]
        cut = full[:, row : row + rows * parts, column : column + columns * parts]
        return reduced(cut, parts)


def _span(start: int, stop: int, reduction: int) -> tuple[tuple[int, int], int]:
    """Return the range of network pixels that image pixels need, and where these begin in it."""
    if reduction == 1:
        return (start, stop), 0
    first = max(start // reduction - 1, 0)
    return (first, -(-stop // reduction) + 1), start - first * reduction


def label_core(
    model: SegmentationModel,
    by_scale: Sequence[ScaleProbabilities],
    core: Box,
    values: torch.Tensor,
    uncertainties: Collection[str] = (),
) -> tuple[torch.Tensor, dict[str, torch.Tensor], torch.Tensor]:
    """Choose the class of each pixel of a core by its probability over all scale levels.

    Parameters
    ----------
    model : SegmentationModel
        Model that combines its scale levels.
    by_scale : sequence of ScaleProbabilities
        Probabilities at each scale level; each window contains the core.
    core : Box
        Pixels whose class is chosen.
    values : Tensor of uint8, shape (K,)
        Class value of each of the K channels.
    uncertainties : collection of str
        Kinds of uncertainty to return: `CONFIDENCE`, the probability of the chosen class, and
        `MARGIN`, by how much it is above that of the next one, and that of a channel
        (`probability_of`), all at the temperature of the model.

    Returns
    -------
    labels : Tensor of uint8, shape of the core
        Class values, on the device of the probabilities.
    uncertainty : dict of str to Tensor of float32, shape of the core
        Values of each kind that was asked for, 0 to 1.
    total : Tensor of float32, no axes
        Sum of the highest probabilities: NaN if any probability is, with which a network that
        computes beyond the range of its numbers would otherwise choose the first class.
    """
    device = by_scale[0].probabilities.device
    labels = torch.empty(core.shape, dtype=torch.uint8, device=device)
    uncertainty = {kind: torch.empty(core.shape, device=device) for kind in uncertainties}
    total = torch.zeros((), device=device)
    finest = max(part.enlargement for part in by_scale)
    for band in core.bands(_BAND_PX // finest**2):
        rows = band.relative_to(core).slices
        mean = model.combined([part.of(band) for part in by_scale])
        highest, channel = mean.max(dim=0)
        labels[rows] = values[channel]
        total += highest.sum()
        if uncertainty:  # labels never depend on the temperature, not even by rounding
            shown = model.calibrated(mean)
            for kind, found in uncertainty.items():
                found[rows] = _uncertainty(kind, shown, channel)
    return labels, uncertainty, total


def _uncertainty(kind: str, shown: torch.Tensor, channel: torch.Tensor) -> torch.Tensor:
    """Return one kind of uncertainty from probabilities (K, Y, X) and the channels chosen."""
    own = shown.gather(0, channel[None])[0]
    if kind == CONFIDENCE:
        return own
    if kind == MARGIN:
        return own - shown.scatter(0, channel[None], 0.0).amax(dim=0)
    channels = range(len(shown))
    return shown[next(number for number in channels if probability_of(number) == kind)]
