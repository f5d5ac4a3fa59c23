"""Choice of images, and of rectangles of images, for validation, by counts of labelled pixels."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from napari_fractoseg.tiling import Box

__all__ = ["choose_blocks", "choose_groups", "grown"]

_GRID = 6
"""Cells a side of the grid along which rectangles are cut."""
_MAX_BLOCKS = 3
_EXHAUSTIVE = 12
"""Largest number of groups for which all ways to choose are compared."""


def _distance(
    inside: npt.NDArray[np.int64], lost: npt.NDArray[np.int64], total: npt.NDArray[np.int64],
    held_out: float,
) -> float:  # fmt: skip
    """Return how far a choice is from the wanted part of each class; infinite if one is lost."""
    labelled = total > 0
    kept = total[labelled] - inside[labelled] - lost[labelled]
    if (kept <= 0).any() or not inside.any():
        return float("inf")
    shares = inside[labelled] / total[labelled]
    return float(np.abs(shares - held_out).sum() + (lost[labelled] / total[labelled]).sum() / 2)


def choose_groups(counts: npt.NDArray[np.int64], held_out: float) -> frozenset[int]:
    """Choose the groups of images whose labelled pixels come nearest to the wanted part.

    Parameters
    ----------
    counts : ndarray of int64, shape (groups, classes)
        Number of labelled pixels of each class in each group.
    held_out : float
        Part of the labelled pixels of each class to hold out, 0-1.

    Returns
    -------
    frozenset of int
        Rows of the groups to hold out; empty if a class would be lost.
    """
    n_groups, total = len(counts), counts.sum(axis=0)
    size = max(1, round(held_out * n_groups))
    nothing = np.zeros_like(total)

    def score(rows: Sequence[int]) -> float:
        return _distance(counts[list(rows)].sum(axis=0), nothing, total, held_out)

    if n_groups <= _EXHAUSTIVE:
        best = min(itertools.combinations(range(n_groups), size), key=score)
    else:
        best = ()
        for _ in range(size):
            rest = [row for row in range(n_groups) if row not in best]
            best = (*best, min(rest, key=lambda row: score((*best, row))))
    return frozenset(best) if np.isfinite(score(best)) else frozenset()


def choose_blocks(
    labels: Sequence[npt.NDArray[np.uint8]],
    values: Sequence[int],
    held_out: float,
    gap_px: int,
) -> tuple[Box, ...]:
    """Choose rectangles of images to hold out, one by one while they approach the wanted part.

    Parameters
    ----------
    labels : sequence of ndarray of uint8, shape (Y, X)
        Class values of images of one shape; the rectangles are the same for all.
    values : sequence of int
        Class values to count.
    held_out : float
        Part of the labelled pixels of each class to hold out, 0-1.
    gap_px : int
        Width around a rectangle, in image pixels, that is lost for learning.

    Returns
    -------
    tuple of Box
        Rectangles to hold out; empty if a class would be lost.
    """
    sums = _summed_area(labels, values)
    total = sums[-1, -1]
    candidates = list(_rectangles(labels[0].shape))
    blocks: tuple[Box, ...] = ()
    best = float("inf")
    while len(blocks) < _MAX_BLOCKS:
        scored = [
            (_distance(*_inside_and_lost(sums, (*blocks, box), gap_px), total, held_out), box)
            for box in candidates
            if not any(_near(box, other, gap_px) for other in blocks)
        ]
        score, box = min(scored, key=lambda entry: entry[0], default=(best, None))
        if box is None or not score < best:
            break
        best, blocks = score, (*blocks, box)
    return blocks


def _summed_area(
    labels: Sequence[npt.NDArray[np.uint8]], values: Sequence[int]
) -> npt.NDArray[np.int64]:
    """Return sums over all pixels above and left of each corner, shape (Y + 1, X + 1, K)."""
    rows, columns = labels[0].shape
    sums = np.zeros((rows + 1, columns + 1, len(values)), dtype=np.int64)
    for array in labels:
        for channel, value in enumerate(values):
            sums[1:, 1:, channel] += array == value
    summed: npt.NDArray[np.int64] = sums.cumsum(axis=0).cumsum(axis=1)
    return summed


def _count(sums: npt.NDArray[np.int64], box: Box) -> npt.NDArray[np.int64]:
    count: npt.NDArray[np.int64] = (
        sums[box.row1, box.column1] - sums[box.row0, box.column1]
        - sums[box.row1, box.column0] + sums[box.row0, box.column0]
    )  # fmt: skip
    return count


def _inside_and_lost(
    sums: npt.NDArray[np.int64], boxes: Sequence[Box], gap_px: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the labelled pixels of each class inside blocks, and in the gap around them."""
    shape = (sums.shape[0] - 1, sums.shape[1] - 1)
    inside = sum((_count(sums, box) for box in boxes), np.zeros(sums.shape[-1], np.int64))
    reach = sum(
        (_count(sums, grown(box, gap_px, shape)) for box in boxes),
        np.zeros(sums.shape[-1], np.int64),
    )
    return inside, reach - inside


def _rectangles(shape: tuple[int, ...]) -> Iterable[Box]:
    """Yield the rectangles along the grid that cover at most half of the image."""
    edges = [np.unique(np.linspace(0, n, _GRID + 1).round().astype(int)) for n in shape]
    spans = [list(itertools.combinations(map(int, e), 2)) for e in edges]
    for (row0, row1), (column0, column1) in itertools.product(*spans):
        if (row1 - row0) * (column1 - column0) <= shape[0] * shape[1] / 2:
            yield Box(row0, row1, column0, column1)


def grown(box: Box, width: int, shape: tuple[int, ...]) -> Box:
    """Return a box with a rim of some pixels, cut at the edges of an image of that shape."""
    return Box(
        max(box.row0 - width, 0),
        min(box.row1 + width, shape[0]),
        max(box.column0 - width, 0),
        min(box.column1 + width, shape[1]),
    )


def _near(one: Box, other: Box, gap_px: int) -> bool:
    """Tell whether the gaps around two blocks overlap."""
    reach = 2 * gap_px
    return (
        one.row0 < other.row1 + reach
        and other.row0 < one.row1 + reach
        and one.column0 < other.column1 + reach
        and other.column0 < one.column1 + reach
    )
