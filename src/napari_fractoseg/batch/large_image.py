"""Segmentation of an image that is larger than memory, block by block into results on disk.

Blocks and labels are the same, whether this process or workers compute them. A run that
was killed is continued.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict
from typing import Any

from napari_fractoseg.batch.blocks import (
    Block,
    BlockResult,
    Run,
    block_edge_px,
    block_job,
    boxes,
    forget,
    look,
    look_job,
    measure,
    n_boxes,
    segment_block,
    suggest_tile,
)
from napari_fractoseg.batch.executors import Unit, Units, Workers, result_of, work_through
from napari_fractoseg.batch.model_cache import model_of
from napari_fractoseg.batch.provenance import record_of, shown_scheme
from napari_fractoseg.batch.tasks import KINDS, LABELS, SegmentTask
from napari_fractoseg.errors import OutputExistsError
from napari_fractoseg.files import hold
from napari_fractoseg.images import ChunkWatch, GreyRange, MicrographStack
from napari_fractoseg.inference.familiarity import untold_of
from napari_fractoseg.inference.known_results import remember_result
from napari_fractoseg.inference.magnification import Magnification
from napari_fractoseg.inference.multiscale import levels_of
from napari_fractoseg.inference.plane import measuring_text, numbered
from napari_fractoseg.inference.predictor import Prediction
from napari_fractoseg.inference.result import CONFIDENCE, MARGIN, LeftOut, RunRecord
from napari_fractoseg.jobs import Job, Progress, as_part
from napari_fractoseg.results.familiar import Familiar
from napari_fractoseg.results.label_writer import ZarrLabels, discard_draft, read_header, restore
from napari_fractoseg.results.record import digest_job

__all__ = ["StreamedRun"]

_BLOCKS_PER_WORKER = 2
"""Smallest number of blocks for each worker: with fewer, most would wait for the last one."""
_SMALLEST_TILE_PX = 1024


class StreamedRun:
    """The segmentation of one image into results on disk.

    Parameters
    ----------
    task : SegmentTask
        Task with the paths of image and results, and the settings.
    stack : MicrographStack
        The image, opened.
    sha256 : str
        SHA-256 of the image file.
    workers : Workers, optional
        Workers that compute the blocks; by default this process does.

    Attributes
    ----------
    devices : dict of str to None
        Names of the devices that computed blocks, in the order of their appearance.
    tile_px : int
        Edge of the smallest tiles' cores that were used.
    seen : Magnification
        Scale at which the model sees the image.
    """

    def __init__(
        self,
        task: SegmentTask,
        stack: MicrographStack,
        sha256: str,
        workers: Workers | None = None,
    ) -> None:
        self._task, self._stack, self._sha256, self._workers = task, stack, sha256, workers
        model = model_of(task.settings)
        self.seen = Magnification.of(model.card, stack.pixel_size_um, task.settings.scale)
        self._model = model.at_scale(self.seen.scale)
        self._record, self._watch = RunRecord(), ChunkWatch(stack)
        self._outputs: dict[str, ZarrLabels] = {}
        self.devices: dict[str, None] = {}
        self.tile_px = 0

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Have the results for this run alone while the block runs, and repair what a kill left.

        Raises
        ------
        OutputExistsError
            If another run is writing the same results.
        """
        result = self._task.labels_path
        refusal = OutputExistsError(f"Another run is writing {result}. Wait for it, or stop it.")
        with hold(result, refusal):
            for path in self._task.arrays.values():
                restore(path)
            try:
                yield
            finally:
                forget()

    def job(self) -> Job[Prediction]:
        """Segment the tiles that are missing, and complete the results, which are drafts yet.

        Yields
        ------
        Progress
            After each batch of tiles or block; steps are pixels.

        Returns
        -------
        Prediction
            Labels and uncertainty, arrays on disk.
        """
        self._outputs = yield from self._open()
        yield from self._by_workers(self._workers) if self._workers else self._here()
        self._record.refuse_if_all_are_damaged(list(self._stack.indices()))
        self._record.take_notes(self._stack, self._watch)
        if self._task.settings.familiarity and not self._record.familiarity:
            n_planes = self._stack.n_planes - len(self._record.left_out)
            self._record.untold = untold_of(self._model, n_planes)
        for kind, output in self._outputs.items():
            yield from as_part(output.add_levels(), self._total, self._total, "finishing")
            yield from as_part(self._describe(kind, output), self._total, self._total, "finishing")
            if kind == LABELS:
                yield from as_part(
                    output.add_mask(self._stack.excluded), self._total, self._total, "finishing"
                )
            yield from as_part(output.write_tiff(), self._total, self._total, "writing TIFF")
        arrays = {kind: output.array for kind, output in self._outputs.items()}
        return Prediction(
            arrays[LABELS],
            arrays.get(CONFIDENCE),
            arrays.get(MARGIN),
            self._model.card.scheme,
            self._record.left_out,
            tuple(dict.fromkeys(self._record.notes)),
            self._record.is_partial,
            dict(sorted(self._record.familiarity.items())),
            self._record.untold,
        )

    def finish(self) -> None:
        """Move the results to their places, when `job` has ended."""
        # The plan has asked whether results may be replaced. First all are placed: a run that
        # is killed until then goes on from the drafts.
        for output in self._outputs.values():
            output.place(overwrite=True)
        for output in self._outputs.values():
            output.settle()
        for path in (self._task.path_of(kind) for kind in KINDS):
            discard_draft(path)

    # ---- the results --------------------------------------------------------------------

    def _open(self) -> Job[dict[str, ZarrLabels]]:
        """Choose the tile size; begin the results, or continue those of a stopped run."""
        task, settings = self._task, self._task.settings
        # Tiles depend on the memory that is free now; a run that goes on needs those it had.
        earlier = [read_header(path) for path in task.arrays.values()]
        before = (earlier[0] or {}).get("tile_px")
        suggested = None
        if settings.tile_px is None and (before is None or settings.max_memory_gb is not None):
            suggested = yield from self._suggested_tile()
        self._use_tiles(settings.tile_px or min(filter(None, (before, suggested))))
        goes_on = earlier == [self._header(kind) for kind in task.arrays]
        if not goes_on and settings.tile_px is None:
            self._use_tiles(suggested or (yield from self._suggested_tile()))
        return {
            kind: ZarrLabels(path, self._header(kind), anew=not goes_on)
            for kind, path in task.arrays.items()
        }

    def _use_tiles(self, tile_px: int) -> None:
        self._levels = levels_of(self._model, tile_px)
        tile_px, key = self._levels[-1].tiler.tile_px, uuid.uuid4().hex
        self._run = Run(self._task, tile_px, key, self.seen.scale)

    def _suggested_tile(self) -> Job[int]:
        """Return a tile size for which there is memory and that gives each worker some blocks."""
        if self._workers is None:
            return suggest_tile(self._task, self.seen.scale)
        tile_px, units = 0, Units([Unit(suggest_tile, (self._task, self.seen.scale))])
        with closing(work_through(self._workers, units)) as finished:
            for item in finished:
                if item is not None:
                    tile_px = int(result_of(item[1]))
                yield Progress(0, self._total, self._workers.waiting_text or "looking for memory")
        enough = _BLOCKS_PER_WORKER * self._workers.count() if self._workers.count else 0
        while tile_px // 2 >= _SMALLEST_TILE_PX and self._n_blocks(tile_px) < enough:
            tile_px //= 2
        return tile_px

    def _n_blocks(self, tile_px: int) -> int:
        edge_px = block_edge_px(levels_of(self._model, tile_px))
        return self._stack.n_planes * n_boxes(self._plane_shape, edge_px)

    def _header(self, kind: str) -> dict[str, Any]:
        """Return the header of a result: all that a run must have in common to continue it."""
        inference = self._model.card.inference
        return {
            "shape": list(self._stack.shape),
            "axes": [asdict(axis) for axis in self._stack.axes or ()],
            "dtype": "uint8" if kind == LABELS else "float32",
            "image": self._sha256,
            "excluded": {} if self._stack.excluded is None else self._stack.excluded.to_dict(),
            "channel": self._task.settings.channel,
            "arrays": list(self._task.arrays),
            "model": self._model.digest,
            "reductions": list(inference.reductions),
            "flips": inference.flips,
            "smoothing_px": inference.smoothing_px,
            "halo_px": inference.halo_px,
            "tile_px": self._run.tile_px,
            "scale": str(self.seen.scale),
        }

    def _describe(self, kind: str, output: ZarrLabels) -> Job[None]:
        """Write what a result is and where it comes from, of labels with their hash."""
        is_labels = kind == LABELS
        digest = (yield from digest_job(output.array)) if is_labels else ""
        record = record_of(
            self._task,
            self._stack,
            self._model,
            device=", ".join(self.devices),
            tile_px=self.tile_px,
            halo_px=self.halo_px,
            labels_sha256=digest,
            familiarity=dict(sorted(self._record.familiarity.items())),
            untold=self._record.untold,
        )
        output.describe(
            output.path.stem,
            self._task.path,
            shown_scheme(self._task, self._model.card.scheme) if is_labels else None,
            self._stack.pixel_size_um,
            record,
            self._stack.pixel_size_from,
        )
        remember_result(record, output.array.shape)

    # ---- the blocks ---------------------------------------------------------------------

    @property
    def halo_px(self) -> int:
        """Width in pixels of the halo of the tiles at the finest scale level."""
        return self._levels[-1].tiler.halo_px

    @property
    def _plane_shape(self) -> tuple[int, int]:
        return self._stack.used_shape

    @property
    def _total(self) -> int:
        return self._stack.n_planes * self._plane_shape[0] * self._plane_shape[1]

    def _blocks(self, index: tuple[int, ...], known_range: GreyRange) -> Iterator[Block]:
        for box in boxes(self._plane_shape, block_edge_px(self._levels)):
            yield Block(self._run, index, box, known_range)

    def _here(self) -> Job[None]:
        """Segment all planes in this process."""
        done, stack = 0, self._stack
        for number, index in enumerate(stack.indices()):
            plane = numbered("plane", number, stack.n_planes)
            yield Progress(done, self._total, measuring_text(number, stack.n_planes))
            found = measure(self._run, index)
            if isinstance(found, LeftOut):
                self._record.left_out[index] = found
                done += _size(self._plane_shape)
                continue
            n_blocks = n_boxes(self._plane_shape, block_edge_px(self._levels))
            for place, block in enumerate(self._blocks(index, found)):
                text = ", ".join(filter(None, (plane, numbered("block", place, n_blocks))))
                size = _size(block.box.shape)
                job = block_job(block)
                self._take((yield from as_part(job, done, self._total, text, span=size)))
                done += size
                yield Progress(done, self._total, text)
            looking = look_job(self._run, index, found)
            self._note(index, (yield from as_part(looking, done, self._total, plane)))

    def _by_workers(self, workers: Workers) -> Job[None]:
        """Let workers measure the planes and segment their blocks."""
        units = Units(
            Unit(measure, (self._run, index), size=0, key=index) for index in self._stack.indices()
        )
        done, n_done = 0, 0
        with closing(work_through(workers, units)) as finished:
            for item in finished:
                if item is not None:
                    unit, future = item
                    done += self._take_unit(unit, result_of(future), units)
                    n_done += isinstance(unit.key, Block)
                text = workers.waiting_text or f"{n_done} blocks done"
                yield Progress(done, self._total, text)

    def _take_unit(self, unit: Unit, found: Any, units: Units) -> int:
        """Handle the result of a call; return the number of pixels that are finished by it."""
        if isinstance(found, LeftOut):
            self._record.left_out[unit.key] = found
            return _size(self._plane_shape)
        if isinstance(found, GreyRange):
            # In front: the blocks of a plane that was just read come before other planes.
            units.add_first(
                Unit(segment_block, (block,), _size(block.box.shape), block)
                for block in self._blocks(unit.key, found)
            )
            units.add_first([Unit(look, (self._run, unit.key, found), size=0, key=unit.key)])
            return 0
        if unit.function is look:
            self._note(unit.key, found)
            return 0
        self._take(found)
        return unit.size

    def _note(self, index: tuple[int, ...], found: Familiar | None) -> None:
        if found is not None:
            self._record.familiarity[index] = found

    def _take(self, result: BlockResult) -> None:
        self._record.notes.extend(result.notes)
        self.devices[result.device] = None
        self.tile_px = min(self.tile_px or result.tile_px, result.tile_px)


def _size(shape: tuple[int, int]) -> int:
    return shape[0] * shape[1]
