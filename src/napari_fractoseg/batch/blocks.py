"""Blocks: parts of large planes that are segmented one by one, in this process or in others.

A block is as large as one or several tiles of the coarsest scale level, and starts at a
chunk of the zarr, so that no two processes write into the same chunk. A block gets the
same labels whichever process computes it; bit for bit if the processes have equally many
threads, on whose number the last digit of a sum depends.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from napari_fractoseg.batch.cluster import memory_for_a_tile, use_own_threads
from napari_fractoseg.batch.executors import ONE_AT_A_TIME
from napari_fractoseg.batch.model_cache import predictor_of
from napari_fractoseg.batch.tasks import LABELS, SegmentTask
from napari_fractoseg.images import GreyRange, MicrographStack
from napari_fractoseg.inference.multiscale import Level
from napari_fractoseg.inference.plane import measured_plane
from napari_fractoseg.inference.predictor import Predictor
from napari_fractoseg.inference.result import CONFIDENCE, MARGIN, LeftOut, RunRecord
from napari_fractoseg.jobs import Job, drain
from napari_fractoseg.results.familiar import Familiar
from napari_fractoseg.results.label_writer import CHUNK_PX, ZarrLabels
from napari_fractoseg.tiling import Box

__all__ = [
    "Block",
    "BlockResult",
    "Run",
    "block_edge_px",
    "block_job",
    "boxes",
    "forget",
    "measure",
    "n_boxes",
    "segment_block",
    "suggest_tile",
]


@dataclass(frozen=True)
class Run:
    """The segmentation of one image, which all of its blocks have in common.

    Parameters
    ----------
    task : SegmentTask
        Task with the paths of image and results, and the settings.
    tile_px : int
        Edge of a tile's core in image pixels.
    key : str
        Unique text, so that what a process caches for this run is not used by another one.
    """

    task: SegmentTask
    tile_px: int
    key: str


@dataclass(frozen=True)
class Block:
    """A part of a plane that is segmented as one piece.

    Parameters
    ----------
    run : Run
        Run that the block belongs to.
    index : tuple of int
        Index of the plane on the leading axes.
    box : Box
        Pixels of the block.
    known_range : GreyRange
        Grey range of the whole plane.
    """

    run: Run
    index: tuple[int, ...]
    box: Box
    known_range: GreyRange


@dataclass(frozen=True)
class BlockResult:
    """Report of a finished block; its labels are in the result on disk.

    Parameters
    ----------
    device : str
        Name of the device that computed it, for users.
    tile_px : int
        Edge of the tiles' cores at the end, smaller if memory ran out.
    notes : tuple of str
        Sentences for the user, such as that memory ran out.
    """

    device: str
    tile_px: int
    notes: tuple[str, ...]


def block_edge_px(levels: Sequence[Level]) -> int:
    """Return the edge of a block in pixels: a multiple of all strides and of the zarr chunks."""
    multiple = math.lcm(CHUNK_PX, *(level.scale.stride_px for level in levels))
    return -(-levels[0].tiler.tile_px // multiple) * multiple


def boxes(shape: tuple[int, int], edge_px: int) -> Iterator[Box]:
    """Yield the boxes of the blocks of a plane, row by row.

    The last block of a row or column is up to 1.5 times as long as `edge_px`, so that
    none is a sliver, most of which would be halo.
    """
    rows, columns = shape
    for row0, row1 in _spans(rows, edge_px):
        for column0, column1 in _spans(columns, edge_px):
            yield Box(row0, row1, column0, column1)


def n_boxes(shape: tuple[int, int], edge_px: int) -> int:
    """Return the number of boxes of a plane, without making them."""
    return math.prod(_n_spans(length, edge_px) for length in shape)


def _n_spans(length: int, edge_px: int) -> int:
    return max(1, round(length / edge_px))


def _spans(length: int, edge_px: int) -> Iterator[tuple[int, int]]:
    count = _n_spans(length, edge_px)
    for number in range(count):
        yield number * edge_px, length if number == count - 1 else (number + 1) * edge_px


def block_job(block: Block) -> Job[BlockResult]:
    """Segment a block; tiles that an earlier run wrote are not computed again.

    Yields
    ------
    Progress
        After each batch of tiles (`Predictor.run_into`).

    Returns
    -------
    BlockResult
        Device, tile size and notes.
    """
    record, (image, predictor) = RunRecord(), _made_ready(block.run)
    outputs = {kind: ZarrLabels(path) for kind, path in block.run.task.arrays.items()}
    labels = outputs.pop(LABELS)
    yield from predictor.run_into(
        image,
        labels.array,
        outputs[CONFIDENCE].array if CONFIDENCE in outputs else None,
        [block.index],
        block.box,
        record,
        labels.journal(block.index, block.box),
        margin=outputs[MARGIN].array if MARGIN in outputs else None,
        known_ranges={block.index: block.known_range},
    )
    return BlockResult(
        predictor.engine.label, predictor.tiler.tile_px, tuple(dict.fromkeys(record.notes))
    )


def segment_block(block: Block) -> BlockResult:
    """Segment a block in a worker process, one at a time; see `block_job`."""
    with ONE_AT_A_TIME:
        use_own_threads()
        return drain(block_job(block))


def measure(run: Run, index: tuple[int, ...]) -> GreyRange | LeftOut:
    """Measure the grey range of a plane of a run, or return why it is left unlabelled."""
    with ONE_AT_A_TIME:
        plane = measured_plane(_image_of(run), index)
        return plane if isinstance(plane, LeftOut) else plane.grey_range


def look_job(run: Run, index: tuple[int, ...], known_range: GreyRange) -> Job[Familiar | None]:
    """Tell how familiar a plane of a run is to the model; None if that is not known or wanted."""
    image, predictor = _made_ready(run)
    return (yield from predictor.familiar_job(image.plane(index, known_range)))


def look(run: Run, index: tuple[int, ...], known_range: GreyRange) -> Familiar | None:
    """Do `look_job` in a worker process."""
    with ONE_AT_A_TIME:
        use_own_threads()
        return drain(look_job(run, index, known_range))


def forget() -> None:
    """Close the image and drop the predictor that this process caches for a run."""
    _made_ready.cache_clear()
    _image_of.cache_clear()


@functools.lru_cache(maxsize=1)
def _image_of(run: Run) -> MicrographStack:
    """Open the image of a run once for all blocks: of a folder each file is checked."""
    return run.task.read()


@functools.lru_cache(maxsize=1)
def _made_ready(run: Run) -> tuple[MicrographStack, Predictor]:
    """Return image and predictor of a run, made once for all blocks.

    If memory ran out for one block, the tiles stay small for the others.
    """
    image, predictor = _image_of(run), predictor_of(run.task.settings, run.tile_px)
    predictor.expect(image)
    return image, predictor


def suggest_tile(task: SegmentTask) -> int:
    """Return the edge in pixels of the largest tile for which this process has memory."""
    with ONE_AT_A_TIME:
        use_own_threads()
        return predictor_of(task.settings, None, memory_for_a_tile()).tiler.tile_px
