"""Blocks: parts of planes that are labelled by themselves, in this process or in others.

A block is as large as a tile of the coarsest scale level, or some of them, and begins at
a chunk of the zarr: no two processes write into the same chunk. The same blocks
give the same labels, whoever computes them; bit for bit, if the processes have as
many threads, for the last digit of a sum depends on their number.
"""

from __future__ import annotations

import functools
import itertools
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
    "segment_block",
    "suggest_tile",
]


@dataclass(frozen=True)
class Run:
    """What all blocks of a run have in common.

    Parameters
    ----------
    task : SegmentTask
        Names image and results.
    tile_px : int
        As for `Predictor`.
    key : str
        Of this run alone: what a process keeps for it is not used by another one.
    """

    task: SegmentTask
    tile_px: int
    key: str


@dataclass(frozen=True)
class Block:
    """A part of a plane.

    Parameters
    ----------
    run : Run
        What it is part of.
    index : tuple of int
        The plane on the leading axes.
    box : Box
        The part.
    known_range : GreyRange
        Of the whole plane.
    """

    run: Run
    index: tuple[int, ...]
    box: Box
    known_range: GreyRange


@dataclass(frozen=True)
class BlockResult:
    """What there is to say of a finished block.

    Parameters
    ----------
    device : str
        What computed it, for people.
    tile_px : int
        Edge of the tiles at the end: memory may have run out.
    notes : tuple of str
        What the user should know.
    """

    device: str
    tile_px: int
    notes: tuple[str, ...]


def block_edge_px(levels: Sequence[Level]) -> int:
    """Return the edge of a block: a multiple of all strides and of the chunks."""
    multiple = math.lcm(CHUNK_PX, *(level.scale.stride_px for level in levels))
    return -(-levels[0].tiler.tile_px // multiple) * multiple


def boxes(shape: tuple[int, int], edge_px: int) -> Iterator[Box]:
    """Yield the boxes of a plane's blocks, row by row.

    The last one of a row or column is up to half as long again, so that none is a
    sliver, most of which would be halo.
    """
    spans = (list(_spans(length, edge_px)) for length in shape)
    for (row0, row1), (column0, column1) in itertools.product(*spans):
        yield Box(row0, row1, column0, column1)


def _spans(length: int, edge_px: int) -> Iterator[tuple[int, int]]:
    count = max(1, round(length / edge_px))
    for number in range(count):
        yield number * edge_px, length if number == count - 1 else (number + 1) * edge_px


def block_job(block: Block) -> Job[BlockResult]:
    """Label a block; tiles that an earlier run wrote are not computed again.

    Yields
    ------
    Progress
        As of `Predictor`.
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
    """Label a block in a process that has been given to us."""
    with ONE_AT_A_TIME:
        use_own_threads()
        return drain(block_job(block))


def measure(run: Run, index: tuple[int, ...]) -> GreyRange | LeftOut:
    """Return the grey range of a plane, or why it is left unlabelled."""
    with ONE_AT_A_TIME:
        plane = measured_plane(_image_of(run), index)
        return plane if isinstance(plane, LeftOut) else plane.grey_range


def forget() -> None:
    """Close the image, and give back what else this process keeps for a run."""
    _made_ready.cache_clear()
    _image_of.cache_clear()


@functools.lru_cache(maxsize=1)
def _image_of(run: Run) -> MicrographStack:
    """Open an image for all its blocks: of a folder, each file is looked at."""
    return run.task.read()


@functools.lru_cache(maxsize=1)
def _made_ready(run: Run) -> tuple[MicrographStack, Predictor]:
    """Make image and network ready for all blocks; memory that ran out once is heeded."""
    image, predictor = _image_of(run), predictor_of(run.task.settings, run.tile_px)
    predictor.expect(image)
    return image, predictor


def suggest_tile(task: SegmentTask) -> int:
    """Return the largest tile for which this process has memory."""
    with ONE_AT_A_TIME:
        use_own_threads()
        return predictor_of(task.settings, None, memory_for_a_tile()).tiler.tile_px
