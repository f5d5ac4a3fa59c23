"""Familiarity of a plane: whether it looks like what a model learnt, crop by crop.

A plane is looked at in crops of 320 pixels of the network, at the finest reduction of the model:
all of it, or 16 crops that are spread over a larger one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from napari_fractoseg.images import Micrograph
from napari_fractoseg.inference.device_io import Transfers, transfers_for
from napari_fractoseg.inference.multiscale import PlaneWindows
from napari_fractoseg.jobs import Job, Progress
from napari_fractoseg.models.devices import Device, choose_device, translate_out_of_memory
from napari_fractoseg.models.familiarity import BLOCK_PX, WINDOW_BLOCKS, BlockMap, blocks_of
from napari_fractoseg.models.model import SegmentationModel
from napari_fractoseg.models.optimise import folded
from napari_fractoseg.models.readout import network_below
from napari_fractoseg.results.familiar import Familiar, unlike_text
from napari_fractoseg.tiling import Box, Tile

__all__ = ["BlockReader", "Familiar", "FamiliarityReader", "unlike_text"]

MOST_CROPS = 16
"""Crops in which a plane is looked at, at most."""


class BlockReader:
    """Reads what the encoder of a model sees in planes, block by block (`BlockMap`).

    Parameters
    ----------
    model : SegmentationModel
        Model whose encoder looks.
    reduction : int
        Edge of the blocks of image pixels that are averaged to one network pixel.
    device : Device, optional
        Device that computes; by default the best one there is.
    """

    def __init__(
        self, model: SegmentationModel, reduction: int, device: Device | None = None
    ) -> None:
        self._device, self._reduction = device or choose_device(), reduction
        network = folded(network_below(model.network))
        self._network = network.to(self._device.torch)
        self._transfers: Transfers = transfers_for(self._device.torch)

    def pieces_job(
        self, plane: Micrograph, most_crops: int = MOST_CROPS
    ) -> Job[list[list[BlockMap]]]:
        """Look at a plane.

        Parameters
        ----------
        plane : Micrograph
            Plane with its grey range; one on disk is read crop by crop.
        most_crops : int
            Largest number of crops.

        Yields
        ------
        Progress
            Before each crop.

        Returns
        -------
        list of list of BlockMap
            Crops side by side, row by row; they cover the plane, or are spread over it.
        """
        edge_px = BLOCK_PX * self._reduction
        size = [max(1, round(length / edge_px)) for length in plane.shape]
        rows, columns, covers = _crops(size, most_crops)
        windows = PlaneWindows(plane, self._transfers)
        pieces: list[list[BlockMap]] = []
        for number, (row0, row1) in enumerate(rows):
            pieces.append([])
            for place, (column0, column1) in enumerate(columns):
                yield Progress(number * len(columns) + place, len(rows) * len(columns))
                blocks = (row0, row1, column0, column1)
                box = Box(*(edge_px * block for block in blocks))
                with translate_out_of_memory(self._device, "Choose the CPU."):
                    inputs = windows.of([Tile(box, box)], self._reduction)
                    found = blocks_of(self._network, inputs.to(self._device.torch))
                pieces[-1].append(found)
        return [[_joined(pieces)]] if covers else pieces


class FamiliarityReader:
    """Tells how familiar planes are to a model.

    Parameters
    ----------
    model : SegmentationModel
        Model with enough statistics of its training images.
    device : Device, optional
        Device that computes; by default the best one there is.
    """

    def __init__(self, model: SegmentationModel, device: Device | None = None) -> None:
        assert model.familiarity is not None  # noqa: S101 - asked before
        self._familiarity = model.familiarity
        form, finest = model.familiarity.form, min(model.card.inference.reductions)
        reduction = max(1, round(form.reduction * finest / form.finest))
        self._reader = BlockReader(model, reduction, device)

    def job(self, plane: Micrograph) -> Job[Familiar]:
        """Look at a plane, and compare it with what the model learnt.

        Parameters
        ----------
        plane : Micrograph
            Plane with its grey range.

        Yields
        ------
        Progress
            Before each crop.
        """
        pieces = yield from self._reader.pieces_job(plane)
        judgement = self._familiarity.judge(pieces)
        return Familiar(judgement.scores, judgement.limit)


_Spans = list[tuple[int, int]]


def _crops(size: Sequence[int], most: int) -> tuple[_Spans, _Spans, bool]:
    """Return start and stop in blocks of the crops along both axes, and whether they cover all."""
    counts = [-(-length // WINDOW_BLOCKS) for length in size]
    if math.prod(counts) <= most:
        rows, columns = (
            [(length * n // count, length * (n + 1) // count) for n in range(count)]
            for length, count in zip(size, counts, strict=True)
        )
        return rows, columns, True
    n_rows = min(max(round(math.sqrt(most * size[0] / size[1])), 1), most, counts[0])
    n_columns = min(most // n_rows, counts[1])
    n_rows = min(most // n_columns, counts[0])
    return _spread(size[0], n_rows), _spread(size[1], n_columns), False


def _spread(length: int, count: int) -> _Spans:
    edge = min(WINDOW_BLOCKS, length)
    last = length - edge
    starts = [last // 2] if count == 1 else [round(last * n / (count - 1)) for n in range(count)]
    return [(start, start + edge) for start in starts]


def _joined(pieces: Sequence[Sequence[BlockMap]]) -> BlockMap:
    """Return the map of a plane whose crops cover it without gaps."""
    mean, spread = (
        np.concatenate([np.concatenate([getattr(p, name) for p in row], axis=1) for row in pieces])
        for name in ("mean", "spread")
    )
    return BlockMap(mean, spread)
