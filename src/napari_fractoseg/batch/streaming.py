"""An image that is larger than the memory: block by block into results on disk.

In this process or by workers, the blocks are the same, and so are the labels. A
run that was killed is gone on with.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict
from typing import Any

from napari_fractoseg import __version__
from napari_fractoseg.batch.blocks import (
    Block,
    BlockResult,
    block_edge_px,
    block_job,
    boxes,
    measure,
    segment_block,
    suggest_tile,
)
from napari_fractoseg.batch.executing import Unit, Workers, work_through
from napari_fractoseg.batch.loading import predictor_of
from napari_fractoseg.batch.tasks import LABELS, SegmentTask
from napari_fractoseg.batch.zarr_labels import ZarrLabels, read_header
from napari_fractoseg.classes import ClassScheme
from napari_fractoseg.images import GreyRange, MicrographStack
from napari_fractoseg.inference.looking import levels_of
from napari_fractoseg.inference.plane import numbered
from napari_fractoseg.inference.predictor import Prediction
from napari_fractoseg.inference.record import CONFIDENCE, MARGIN, LeftOut, RunRecord
from napari_fractoseg.jobs import Job, Progress, as_part

__all__ = ["StreamedRun"]

_BLOCKS_PER_WORKER = 2
"""At least: with fewer, most workers would wait for the last one."""
_SMALLEST_TILE_PX = 1024


class StreamedRun:
    """The segmentation of one image into results on disk.

    Parameters
    ----------
    task : SegmentTask
        Names image and results.
    stack : MicrographStack
        The image.
    sha256 : str
        Of the image.
    workers : Workers, optional
        Who computes the blocks; by default this process.

    Attributes
    ----------
    predictor : Predictor
        Of this process.
    devices : dict of str to None
        What computed blocks, in the order of their appearance.
    tile_px : int
        Edge of the smallest tiles that were used.
    """

    def __init__(
        self,
        task: SegmentTask,
        stack: MicrographStack,
        sha256: str,
        workers: Workers | None = None,
    ) -> None:
        self._task, self._stack, self._sha256, self._workers = task, stack, sha256, workers
        self._record = RunRecord()
        self.devices: dict[str, None] = {}
        self.tile_px = 0

    def job(self) -> Job[Prediction]:
        """Label what is not labelled yet, and put the results in their place.

        Yields
        ------
        Progress
            Steps are pixels.

        Returns
        -------
        Prediction
            Its arrays are the results on disk.
        """
        outputs = yield from self._open()
        yield from self._by_workers(self._workers) if self._workers else self._here()
        self._record.refuse_if_all_are_damaged(list(self._stack.indices()))
        for kind, output in outputs.items():
            yield from as_part(output.add_levels(), self._total, self._total, "finishing")
            self._describe(kind, output)
        arrays = {kind: output.finish() for kind, output in outputs.items()}
        return Prediction(
            arrays[LABELS],
            arrays.get(CONFIDENCE),
            arrays.get(MARGIN),
            self.predictor.model.card.scheme,
            self._record.left_out,
            tuple(dict.fromkeys(self._record.notes)),
        )

    # ---- the results --------------------------------------------------------------------

    def _open(self) -> Job[dict[str, ZarrLabels]]:
        """Choose the tiles, and begin the results or go on with those of a run that was stopped."""
        task, wanted = self._task, self._task.settings.tile_px
        # Tiles depend on the memory that is free now; a run that goes on needs those it had.
        earlier = [read_header(path) for path in task.arrays.values()]
        self.predictor = predictor_of(task.settings, wanted or (earlier[0] or {}).get("tile_px"))
        goes_on = earlier == [self._header(kind) for kind in task.arrays]
        if not goes_on:
            if wanted is None and self._workers is not None:
                wanted = yield from self._tile_for(self._workers)
            self.predictor = predictor_of(task.settings, wanted)
        return {
            kind: ZarrLabels(path, self._header(kind), anew=not goes_on)
            for kind, path in task.arrays.items()
        }

    def _tile_for(self, workers: Workers) -> Job[int]:
        """Return a tile for which the workers have memory, and of which each gets some blocks."""
        tile_px, units = 0, deque([Unit(suggest_tile, (self._task,))])
        with closing(work_through(workers, units)) as finished:
            for item in finished:
                if item is not None:
                    tile_px = int(item[1].result())
                yield Progress(0, self._total, "asking for the memory there is")
        enough = _BLOCKS_PER_WORKER * workers.count() if workers.count else 0
        while tile_px // 2 >= _SMALLEST_TILE_PX and self._n_blocks(tile_px) < enough:
            tile_px //= 2
        return tile_px

    def _n_blocks(self, tile_px: int) -> int:
        edge_px = block_edge_px(levels_of(self.predictor.model, tile_px))
        return self._stack.n_planes * len(list(boxes(self._plane_shape, edge_px)))

    def _header(self, kind: str) -> dict[str, Any]:
        """Return what a result is, and what a run must have in common to go on with it."""
        inference = self.predictor.model.card.inference
        return {
            "shape": list(self._stack.shape),
            "axes": [asdict(axis) for axis in self._stack.axes or ()],
            "dtype": "uint8" if kind == LABELS else "float32",
            "image": self._sha256,
            "model": self.predictor.model.digest,
            "reductions": list(inference.reductions),
            "flips": inference.flips,
            "halo_px": inference.halo_px,
            "tile_px": self._tile_px,
        }

    def _describe(self, kind: str, output: ZarrLabels) -> None:
        scheme, palette = self.predictor.model.card.scheme, self._task.settings.palette
        shown = scheme if palette is None else scheme.with_palette(palette)
        output.describe(
            output.path.stem,
            self._task.path,
            shown if kind == LABELS else None,
            self._stack.pixel_size_um,
            self._provenance(shown),
        )

    def _provenance(self, scheme: ClassScheme) -> dict[str, Any]:
        """Return where the result comes from, as a layer of napari says it."""
        model, settings = self.predictor.model, self._task.settings
        return {
            "version": __version__,
            "model": str(settings.model),
            "model_name": model.card.name,
            "model_digest": model.digest,
            "scheme": scheme.to_dict(),
            "image": self._stack.name,
            "planes": "all",
            "device": ", ".join(self.devices),
            "flips": model.card.inference.flips,
            "tile_px": self.tile_px,
            "halo_px": self.predictor.tiler.halo_px,
        }

    # ---- the blocks ---------------------------------------------------------------------

    @property
    def _tile_px(self) -> int:
        return self.predictor.tiler.tile_px

    @property
    def _plane_shape(self) -> tuple[int, int]:
        return self._stack.shape[-2], self._stack.shape[-1]

    @property
    def _total(self) -> int:
        return self._stack.n_planes * self._plane_shape[0] * self._plane_shape[1]

    def _blocks(self, index: tuple[int, ...], known_range: GreyRange) -> Iterator[Block]:
        for box in boxes(self._plane_shape, block_edge_px(self.predictor.engine.levels)):
            yield Block(self._task, self._tile_px, index, box, known_range)

    def _here(self) -> Job[None]:
        """Label all planes in this process."""
        done, stack = 0, self._stack
        for number, index in enumerate(stack.indices()):
            plane = numbered("plane", number, stack.n_planes)
            found = measure(self._task, index)
            if isinstance(found, LeftOut):
                self._record.left_out[index] = found
                done += _size(self._plane_shape)
                continue
            blocks = list(self._blocks(index, found))
            for place, block in enumerate(blocks):
                text = ", ".join(filter(None, (plane, numbered("block", place, len(blocks)))))
                size = _size(block.box.shape)
                job = block_job(block)
                self._take(block, (yield from as_part(job, done, self._total, text, span=size)))
                done += size
                yield Progress(done, self._total, text)

    def _by_workers(self, workers: Workers) -> Job[None]:
        """Have the planes measured and their blocks labelled by other processes."""
        units = deque(
            Unit(measure, (self._task, index), size=0, key=index) for index in self._stack.indices()
        )
        done, n_done = 0, 0
        with closing(work_through(workers, units)) as finished:
            for item in finished:
                if item is not None:
                    unit, future = item
                    done += self._take_unit(unit, future.result(), units)
                    n_done += isinstance(unit.key, Block)
                yield Progress(done, self._total, f"{n_done} blocks done")

    def _take_unit(self, unit: Unit, found: Any, units: deque[Unit]) -> int:
        """Take what a worker found; return how many pixels are done with it."""
        if isinstance(found, LeftOut):
            self._record.left_out[unit.key] = found
            return _size(self._plane_shape)
        if isinstance(found, GreyRange):
            # In front: the blocks of a plane that was just read come before other planes.
            blocks = list(self._blocks(unit.key, found))
            units.extendleft(
                Unit(segment_block, (block,), _size(block.box.shape), block)
                for block in reversed(blocks)
            )
            return 0
        self._take(unit.key, found)
        return unit.size

    def _take(self, block: Block, result: BlockResult) -> None:
        self._record.notes.extend(result.notes)
        self.devices[result.device] = None
        self.tile_px = min(self.tile_px or result.tile_px, result.tile_px)
        if block.index not in self._record.finished:
            self._record.finished.append(block.index)

    @property
    def written(self) -> list[str]:
        """Names of the results."""
        return [path.name for path in self._task.arrays.values()]


def _size(shape: tuple[int, int]) -> int:
    return shape[0] * shape[1]
