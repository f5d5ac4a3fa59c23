"""Familiarity of a plane: whether it looks like what a model learnt, crop by crop.

A plane is looked at in crops of 320 pixels of the network, at the finest reduction of the model:
all of it, or 16 crops that are spread over a larger one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import torch
from torch.nn.functional import adaptive_avg_pool2d

from napari_fractoseg.images import Micrograph
from napari_fractoseg.images.lazy import Rows
from napari_fractoseg.inference.device_io import Transfers, transfers_for
from napari_fractoseg.inference.multiscale import PlaneWindows
from napari_fractoseg.jobs import Job, Progress, as_part
from napari_fractoseg.models.devices import Device, choose_device, translate_out_of_memory
from napari_fractoseg.models.model import SegmentationModel
from napari_fractoseg.models.networks.encoder_stage import EncoderStage
from napari_fractoseg.models.networks.optimise import folded
from napari_fractoseg.models.networks.readout import network_below
from napari_fractoseg.models.readme import untold_reason
from napari_fractoseg.models.side_files.familiarity import (
    BLOCK_PX,
    FEWEST_BLOCKS,
    STRIDE,
    blocks_of,
)
from napari_fractoseg.models.side_files.window_statistics import WINDOW_BLOCKS, BlockMap
from napari_fractoseg.results.familiar import Familiar, unlike_text, untold_text
from napari_fractoseg.tiling import Box, Tile, reflected_window

__all__ = ["BlockReader", "Familiar", "FamiliarityReader", "unlike_text", "untold_of"]

MOST_CROPS = 16
"""Crops in which a plane is looked at, at most."""
_PARTS = 8
"""Parts along the edge of a block that are excluded or not."""


class BlockReader:
    """Reads what the encoder of a model sees in planes, block by block (`BlockMap`).

    Parameters
    ----------
    model : SegmentationModel
        Model whose encoder looks.
    reduction : int or Fraction
        Image pixels along the edge of a network pixel; 1/2 where the image is enlarged twice.
    device : Device, optional
        Device that computes; by default the best one there is.
    """

    def __init__(
        self, model: SegmentationModel, reduction: int | Fraction, device: Device | None = None
    ) -> None:
        self._device, self._reduction = device or choose_device(), Fraction(reduction)
        network = folded(network_below(model.network)).to(  # type: ignore[call-overload]
            device=self._device.torch, memory_format=torch.channels_last
        )
        self._stage_of = EncoderStage(network, STRIDE)
        self._transfers: Transfers = transfers_for(self._device.torch)

    def size_of(self, plane: Micrograph) -> tuple[int, int]:
        """Return rows and columns of blocks that a plane is looked at in."""
        edge_px = int(BLOCK_PX * self._reduction)
        rows, columns = (max(1, round(length / edge_px)) for length in plane.shape)
        return rows, columns

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
        edge_px = int(BLOCK_PX * self._reduction)
        rows, columns, covers = _crops(self.size_of(plane), most_crops)
        windows = PlaneWindows(plane, self._transfers)
        pieces: list[list[BlockMap]] = []
        for number, (row0, row1) in enumerate(rows):
            pieces.append([])
            for place, (column0, column1) in enumerate(columns):
                yield Progress(number * len(columns) + place, len(rows) * len(columns))
                blocks = (row0, row1, column0, column1)
                box = Box(*(edge_px * block for block in blocks))
                with translate_out_of_memory(self._device, "Choose the CPU."):
                    inputs = windows.of([Tile(box, box)], *self._reduction.as_integer_ratio())
                    excluded = _excluded(plane, box, edge_px)
                    found = blocks_of(self._stage_of, inputs.to(self._device.torch), excluded)
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
        form = model.familiarity.form
        scale = Fraction(min(model.card.inference.reductions), form.finest) * model.image_scale
        self._readers = {
            reduction: BlockReader(model, _scaled(reduction * scale), device)
            for reduction in set(form.reductions)
        }

    def job(self, plane: Micrograph) -> Job[Familiar | None]:
        """Look at a plane, and compare it with what the model learnt.

        Parameters
        ----------
        plane : Micrograph
            Plane with its grey range.

        Yields
        ------
        Progress
            Before each crop.

        Returns
        -------
        Familiar or None
            None if the plane is too small, or too much of it is excluded, to tell.
        """
        if min(min(reader.size_of(plane)) for reader in self._readers.values()) < FEWEST_BLOCKS:
            return None
        pieces = {}
        for number, (reduction, reader) in enumerate(sorted(self._readers.items())):
            looking = reader.pieces_job(plane)
            looking = as_part(looking, number, len(self._readers), "looking", span=1)
            pieces[reduction] = yield from looking
        judgement = self._familiarity.judge(pieces)
        return None if judgement is None else Familiar(judgement.scores, judgement.limit)


def untold_of(model: SegmentationModel, n_planes: int = 1) -> str:
    """Return a sentence on why it is not known whether images look like what a model learnt.

    Parameters
    ----------
    model : SegmentationModel
        Model that was to look.
    n_planes : int
        Number of planes that it segmented, without being able to tell of any.

    Returns
    -------
    str
        Empty if there are no planes.
    """
    if not n_planes:
        return ""
    known = model.familiarity
    if known is None or not known.is_enough:
        reason = untold_reason(model.card.lineage.plan)
        return untold_text(reason or "the model has no statistics of its training images")
    return untold_text("the image is too small, or too much is excluded")


def _scaled(edge: Fraction) -> Fraction:
    """Return an edge of network pixels of which blocks have whole image pixels."""
    return Fraction(max(1, round(edge))) if BLOCK_PX % edge.denominator else edge


def _excluded(plane: Micrograph, box: Box, edge_px: int) -> torch.Tensor | None:
    """Return the share of each eighth of a block in a box that is excluded; None for nothing."""
    if plane.excluded is None or plane.excluded.is_bands:  # which are filled by mirror images
        return None
    mask, rows = Rows(plane.excluded, 0, plane.used_shape[0]), []
    for row in range(box.row0, box.row1, edge_px):
        band = reflected_window(mask, Box(row, row + edge_px, box.column0, box.column1))
        size = (_PARTS, _PARTS * (box.shape[1] // edge_px))
        rows.append(adaptive_avg_pool2d(torch.from_numpy(band)[None, None].float(), size))
    return torch.cat(rows, dim=2)


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
    return BlockMap(
        *(
            np.concatenate([np.concatenate([getattr(p, n) for p in row], axis=1) for row in pieces])
            for n in ("mean", "spread", "shares")
        )
    )
