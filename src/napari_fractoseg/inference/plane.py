"""One plane -> labels, look by look and tile by tile."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from napari_fractoseg.images import GreyRange, Micrograph
from napari_fractoseg.inference.engine import Engine
from napari_fractoseg.inference.looking import (
    Level,
    Seen,
    cells_of,
    decided,
    tile_batches,
    windows,
    work_of,
)
from napari_fractoseg.inference.record import RunRecord, TileJournal
from napari_fractoseg.jobs import Job, Progress, as_part
from napari_fractoseg.models.devices import translate_out_of_memory
from napari_fractoseg.tiling import Box, Canvas, Tile

__all__ = ["PlaneRun", "numbered"]


class PlaneRun:
    """The labelling of one plane.

    Parameters
    ----------
    engine : Engine
        What sees the tiles.
    plane : Micrograph
        What is labelled.
    canvases : sequence of Canvas
        For the labels and, if there is a second one, the probability of the chosen
        class.
    record : RunRecord
        Its tiles are counted.
    total : int
        Blocks of 32 x 32 px that the network will see in the whole run.
    within : Box, optional
        Part of the plane to label; by default all of it.
    index : tuple of int
        The plane on the leading axes of its stack.
    journal : TileJournal, optional
        Tiles in it are not computed again; others are added when they are written.
    """

    def __init__(
        self,
        engine: Engine,
        plane: Micrograph,
        canvases: Sequence[Canvas],
        record: RunRecord,
        *,
        total: int,
        within: Box | None = None,
        index: tuple[int, ...] = (),
        journal: TileJournal | None = None,
    ) -> None:
        self._index, self._journal = index, journal
        self._engine, self._model = engine, engine.model_for(total)
        self._plane, self._canvases, self._record = plane, canvases, record
        self._within = within
        self._grey_range = GreyRange.of(plane.data)
        self._work = work_of(engine.levels, plane.shape, within)
        self._done = self._n_tiles = 0

    def job(self) -> Job[None]:
        """Label the plane.

        Yields
        ------
        Progress
            Between two times that the network sees a batch of tiles.
        """
        yield from self._look(self._engine.levels, self._within, ())

    def _look(
        self, levels: Sequence[Level], within: Box | None, coarser: tuple[Seen, ...]
    ) -> Job[None]:
        """See a part of the plane at one resolution, and each tile of it at the finer ones."""
        level, finer = levels[0], levels[1:]
        size = 1 if finer else self._engine.batch_size
        for tiles in tile_batches(level, self._plane.shape, within, size):
            batch = [tile for tile in tiles if not self._is_written(tile, finer)]
            self._done += sum(self._cost(t, level, finer) for t in tiles if t not in batch)
            if not batch:
                continue
            found = yield from self._see(level, batch)
            for tile, probabilities in zip(batch, found, strict=True):
                seen = (*coarser, Seen(probabilities, tile.window, level.look.reduction))
                if finer:
                    yield from self._look(finer, tile.core, seen)
                else:
                    self._decide(tile, seen)

    def _is_written(self, tile: Tile, finer: Sequence[Level]) -> bool:
        """Whether a tile, or all the finer ones in it, were written by an earlier run."""
        if self._journal is None:
            return False
        if not finer:
            return (self._index, tile.core) in self._journal
        inner = finer[0].tiler.tiles(self._plane.shape, tile.core)
        return all(self._is_written(part, finer[1:]) for part in inner)

    def _cost(self, tile: Tile, level: Level, finer: Sequence[Level]) -> int:
        """Return the work that a tile is, the finer ones in it included."""
        below = work_of(finer, self._plane.shape, tile.core).cells if finer else 0
        return self._model.n_mirrorings * (cells_of(tile, level.look) + below)

    def _see(self, level: Level, batch: Sequence[Tile]) -> Job[torch.Tensor]:
        """Return the probabilities of a batch of windows at one resolution."""
        model, look = self._model, level.look
        total = self._work.cells * model.n_mirrorings
        text = numbered("tile", self._n_tiles, self._work.tiles)
        if self._done:
            yield Progress(self._done, total, text)
        span = model.n_mirrorings * sum(cells_of(tile, look) for tile in batch)
        tile_px = self._engine.levels[-1].tiler.tile_px
        remedy = f"Use smaller tiles than {tile_px} px, or the CPU."
        with translate_out_of_memory(self._engine.device, remedy):
            job = model.look_job(windows(self._plane, self._grey_range, batch, look.reduction))
            found = yield from as_part(job, self._done, total, text, span=span)
        self._done += span
        return found

    def _decide(self, tile: Tile, seen: Sequence[Seen]) -> None:
        labels, *confidences = self._canvases
        channels, certainty = decided(seen, tile.core, with_certainty=bool(confidences))
        labels.put(tile, self._model.card.scheme.to_labels(channels))
        for canvas in confidences:
            if certainty is not None:
                canvas.put(tile, certainty)
        if self._journal is not None:
            self._journal.note(self._index, tile.core)
        self._n_tiles += 1
        self._record.n_tiles += 1


def numbered(what: str, number: int, count: int) -> str:
    """Count for people, from 1; a single one needs no words."""
    return f"{what} {number + 1} of {count}" if count > 1 else ""
