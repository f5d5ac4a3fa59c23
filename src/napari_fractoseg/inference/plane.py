"""Segmentation of one plane, scale level by scale level and tile by tile."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager

import numpy as np
import numpy.typing as npt
import torch

from napari_fractoseg.errors import ImageError
from napari_fractoseg.images import GreyRange, Micrograph, MicrographStack
from napari_fractoseg.inference.backend import Engine
from napari_fractoseg.inference.device_io import WriteBehind
from napari_fractoseg.inference.multiscale import (
    Level,
    PlaneWindows,
    ScaleProbabilities,
    cells_of,
    label_core,
    tile_batches,
    work_of,
)
from napari_fractoseg.inference.result import LeftOut, RunRecord
from napari_fractoseg.jobs import Job, Progress, as_part
from napari_fractoseg.models.devices import translate_out_of_memory
from napari_fractoseg.results.journal import TileJournal
from napari_fractoseg.tiling import Box, Canvas, Tile

__all__ = ["PlaneRun", "measured_plane", "measuring_text", "numbered"]


class PlaneRun:
    """Segmentation of one plane into arrays that are given.

    Parameters
    ----------
    engine : Engine
        Model on its device, with tiles.
    plane : Micrograph
        Plane to segment.
    labels : Canvas
        Array that the class values are written into.
    uncertainties : mapping of str to Canvas
        Arrays that the kinds of uncertainty (`CONFIDENCE`, `MARGIN`) are written into; empty
        for none.
    record : RunRecord
        Record of the run; finished tiles are counted in it.
    write_behind : WriteBehind
        Queue through which results are stored; the caller closes it, so that none is left.
    total : int
        Work of the whole run in blocks of 32 x 32 px.
    within : Box, optional
        Part of the plane to segment; by default all of it.
    index : tuple of int
        Index of the plane on the leading axes of its stack.
    journal : TileJournal, optional
        Journal of the tiles that are written: those in it are not computed again, others are
        added when they are written.
    """

    def __init__(
        self,
        engine: Engine,
        plane: Micrograph,
        labels: Canvas,
        uncertainties: Mapping[str, Canvas],
        record: RunRecord,
        write_behind: WriteBehind,
        *,
        total: int,
        within: Box | None = None,
        index: tuple[int, ...] = (),
        journal: TileJournal | None = None,
    ) -> None:
        self._index, self._journal = index, journal
        self._engine, self._model = engine, engine.model_for(total)
        self._plane, self._record, self._write_behind = plane, record, write_behind
        self._labels, self._uncertainties = labels, uncertainties
        self._shape, self._within = plane.used_shape, within
        self._work = work_of(engine.levels, self._shape, within)
        self._done = self._n_tiles = 0
        with self._memory():
            self._windows = PlaneWindows(plane, engine.transfers)
            values = np.array(self._model.card.scheme.values, np.uint8)
            self._values = engine.transfers.to_device(values).to(engine.device.torch)

    def job(self) -> Job[None]:
        """Segment the plane.

        Yields
        ------
        Progress
            Between two batches of tiles, and between their flips.
        """
        yield from self._label_part(self._engine.levels, self._within, ())

    def _label_part(
        self, levels: Sequence[Level], within: Box | None, coarser: tuple[ScaleProbabilities, ...]
    ) -> Job[None]:
        """Compute a part of the plane at one scale level, and each tile of it at the finer ones."""
        level, finer = levels[0], levels[1:]
        size = 1 if finer else self._engine.batch_size
        for tiles in tile_batches(level, self._shape, within, size):
            batch = [tile for tile in tiles if not self._is_done(tile, finer)]
            self._done += sum(self._cost(t, level, finer) for t in tiles if t not in batch)
            if not batch:
                continue
            found = yield from self._see(level, batch)
            for tile, probabilities in zip(batch, found, strict=True):
                scale = level.scale
                own = ScaleProbabilities(
                    probabilities, tile.window, scale.reduction, scale.enlargement
                )
                if finer:
                    yield from self._label_part(finer, tile.core, (*coarser, own))
                else:
                    self._decide(tile, (*coarser, own))

    def _is_done(self, tile: Tile, finer: Sequence[Level]) -> bool:
        """Whether a tile, or all finer tiles in it, were written before, or are all excluded."""
        excluded = self._excluded(tile.core)
        if excluded is not None and excluded.all():
            return True
        if self._journal is None:
            return False
        if not finer:
            return (self._index, tile.core) in self._journal
        inner = finer[0].tiler.tiles(self._shape, tile.core)
        return all(self._is_done(part, finer[1:]) for part in inner)

    def _excluded(self, core: Box) -> npt.NDArray[np.bool_] | None:
        """Return the excluded pixels of a core; None if there are none."""
        mask = self._plane.excluded
        return None if mask is None else mask.in_box(*core.slices)

    def _cost(self, tile: Tile, level: Level, finer: Sequence[Level]) -> int:
        """Return the work of a tile, finer tiles in it and flips included."""
        below = work_of(finer, self._shape, tile.core).cells if finer else 0
        return self._model.n_flips * (cells_of(tile, level.scale) + below)

    def _see(self, level: Level, batch: Sequence[Tile]) -> Job[torch.Tensor]:
        """Return the probabilities of a batch of windows at one scale level, shape (N, K, Y, X)."""
        model, scale = self._model, level.scale
        total = self._work.cells * model.n_flips
        text = numbered("tile", self._n_tiles, self._work.tiles)
        if self._done:
            yield Progress(self._done, total, text)
        span = model.n_flips * sum(cells_of(tile, scale) for tile in batch)
        with self._memory():
            windows = self._windows.of(batch, scale.reduction, scale.enlargement)
            job = model.scale_job(windows, scale)
            found = yield from as_part(job, self._done, total, text, span=span)
        self._done += span
        return found

    def _decide(self, tile: Tile, by_scale: Sequence[ScaleProbabilities]) -> None:
        """Choose the classes of a tile's core, and queue them for write-behind."""
        transfers = self._engine.transfers
        with self._memory():
            labels, uncertainty, total = label_core(
                self._model, by_scale, tile.core, self._values, self._uncertainties
            )
            sum_there = transfers.from_device(total)
            coming = [(self._labels, transfers.from_device(labels))]
            for kind, canvas in self._uncertainties.items():
                coming.append((canvas, transfers.from_device(uncertainty[kind])))
        self._n_tiles += 1

        def deliver() -> None:
            if not np.isfinite(sum_there()):
                raise self._engine.no_numbers()
            excluded = self._excluded(tile.core)
            for canvas, fetched in coming:
                found = fetched()
                if excluded is not None:
                    found = np.where(excluded, found.dtype.type(0), found)
                canvas.put(tile, found)
            if self._journal is not None:
                self._journal.note(self._index, tile.core)
            self._record.n_tiles += 1

        self._write_behind.send(deliver)

    def _memory(self) -> AbstractContextManager[None]:
        tile_px = self._engine.levels[-1].tiler.tile_px
        remedy = f"Use smaller tiles than {tile_px} px, or the CPU."
        return translate_out_of_memory(self._engine.device, remedy)


def measured_plane(
    image: MicrographStack, index: tuple[int, ...] = (), known_range: GreyRange | None = None
) -> Micrograph | LeftOut:
    """Load a plane and measure its grey range, or say why it must be left unlabelled.

    Parameters
    ----------
    image : MicrographStack
        Image that the plane belongs to.
    index : tuple of int
        Index of the plane on the leading axes.
    known_range : GreyRange, optional
        Grey range of the plane, if it was measured before.
    """
    area = image.excluded
    try:
        if area is not None and area.of_plane(index).is_all:
            name = f"{image.name}, {image.plane_name(index)}" if index else image.name
            return LeftOut(f"{name}: all of it is excluded; left unlabelled.", is_damaged=False)
        plane = image.plane(index, known_range)
        if known_range is None and plane.is_constant:
            reason = f"{plane.name}: all grey levels are {plane.data[0, 0]:g}; left unlabelled."
            return LeftOut(reason, is_damaged=False)
        plane.grey_range  # noqa: B018 - measured, and refused, here
    except ImageError as error:
        return LeftOut(str(error), is_damaged=True)
    return plane


def measuring_text(number: int, count: int) -> str:
    """Return the progress message while the grey levels of a plane are measured."""
    return ", ".join(filter(None, (numbered("plane", number, count), "measuring grey levels")))


def numbered(what: str, number: int, count: int) -> str:
    """Return text such as ``plane 3 of 5`` for number 2; empty if there is only one."""
    return f"{what} {number + 1} of {count}" if count > 1 else ""
