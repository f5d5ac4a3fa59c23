"""How far windows of an image are from those of other images: statistics and their limit.

The features of a window are mean and standard deviation of each channel of an encoder; the
distance is what the first principal components of the training windows leave (the residual of
Haoqi Wang et al., "ViM: Out-of-distribution with virtual-logit matching", CVPR 2022).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

__all__ = [
    "WINDOW_BLOCKS",
    "BlockMap",
    "Pieces",
    "WindowSize",
    "WindowSource",
    "source_of",
]

WINDOW_BLOCKS = 5
"""Edge in blocks of the windows that are judged: 320 network pixels."""
_SMALL_WINDOW = 3
"""Edge in blocks of the windows where there are too few of the usual ones."""
_FEWEST_WINDOWS = 9
"""Windows of a set of images from which statistics are worth something."""
_COMPONENTS = 8
"""Principal components of the windows that are left out of the distance."""
_FEWEST_GROUPS = 4
"""Groups of images from which each in turn is left out; of fewer, quarters of each image are."""
_FLOOR = 0.02
"""Smallest spread of a channel among the windows, in parts of its mean."""
_PRIOR_SPREAD, _PRIOR_COUNT = 0.25, 8
"""Spread of log scores among unseen images that is expected, and how many images that counts."""
_QUANTILE = 0.98
_FEW_IMAGES = 1.25
"""Factor on a limit from quarters of images: other images differ more than quarters of one do."""
_SMALL_QUANTILE = 0.9
"""Share of an image's windows whose largest distance counts, where they are smaller than usual:
a plane is unlike if a tenth of its windows is, and a small one has one window."""
_FEWEST_LEFT = 0.5
"""Share of a window that must not be excluded, or nothing is said of it."""

WindowSize = tuple[int, int]
"""Rows and columns of a window in blocks."""


@dataclass(frozen=True, eq=False)
class BlockMap:
    """Mean and spread of each channel in the blocks of a piece of an image.

    Parameters
    ----------
    mean, spread : ndarray of float32, shape (Y, X, C)
        Mean and standard deviation of C channels in Y x X blocks.
    used : ndarray of float32, shape (Y, X), optional
        Share of each block that is not excluded, and that mean and spread are of; by default all.
    """

    mean: npt.NDArray[np.float32]
    spread: npt.NDArray[np.float32]
    used: npt.NDArray[np.float32] | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of blocks."""
        rows, columns = self.mean.shape[:2]
        return rows, columns

    @property
    def shares(self) -> npt.NDArray[np.float32]:
        """Share of each block that is not excluded, shape (Y, X)."""
        return np.ones(self.shape, np.float32) if self.used is None else self.used

    def windows(self, size: WindowSize, step: WindowSize = (1, 1)) -> npt.NDArray[np.float64]:
        """Return what is told of each window: mean and spread of its pixels, shape (y, x, 2 C).

        Parameters
        ----------
        size : tuple of int
            Rows and columns of a window in blocks; a map with fewer has one window there.
        step : tuple of int
            About how many blocks lie between the starts of two windows; the first and the last
            window touch the edges.

        Returns
        -------
        ndarray of float64, shape (y, x, 2 C)
            NaN of windows that are excluded for more than half.
        """
        part = [min(edge, length) for edge, length in zip(size, self.shape, strict=True)]
        starts = np.ix_(*map(_starts, self.shape, part, step))

        def means(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
            seen = np.lib.stride_tricks.sliding_window_view(values, part, axis=(0, 1))
            return np.asarray(seen[starts].mean(axis=(-2, -1)))

        shares = self.shares.astype(np.float64)[..., None]
        left = means(shares)
        left = np.where(left >= _FEWEST_LEFT, left, np.nan)
        level = self.mean.astype(np.float64)
        mean = means(shares * level) / left
        square = means(shares * (self.spread.astype(np.float64) ** 2 + level**2)) / left
        return np.concatenate([mean, np.sqrt(np.maximum(square - mean**2, 0))], axis=-1)


Pieces = Sequence[Sequence[BlockMap]]
"""Pieces of a plane, row by row: one that covers it, or several beside one another."""


def _starts(length: int, part: int, step: int) -> npt.NDArray[np.intp]:
    count = -(-(length - part) // step) + 1
    return np.unique(np.linspace(0, length - part, count).round().astype(np.intp))


@dataclass(frozen=True, eq=False)
class WindowSource:
    """Statistics of the images of one training for windows of a size, and their limit.

    Parameters
    ----------
    size : tuple of int
        Rows and columns of the windows in blocks.
    fitted : _Statistics
        Statistics of the windows of the images.
    limit : float
        Distance that an unseen image like them stays below.
    """

    size: WindowSize
    fitted: _Statistics
    limit: float

    def scores(self, pieces: Pieces) -> npt.NDArray[np.float64]:
        """Return the distance of each window of a plane, shape (y, x); NaN where excluded."""
        return np.block([[self._scores(piece) for piece in row] for row in pieces])

    def _scores(self, piece: BlockMap) -> npt.NDArray[np.float64]:
        windows = piece.windows(self.size, _step(self.size))
        return self.fitted.scores(_flat(windows)).reshape(windows.shape[:2])


def source_of(
    maps: Sequence[BlockMap],
    images: Sequence[int],
    groups: Sequence[int],
    largest: WindowSize = (WINDOW_BLOCKS, WINDOW_BLOCKS),
) -> WindowSource | None:
    """Return the statistics of the images of a training; None of too few.

    Parameters
    ----------
    maps : sequence of BlockMap
        Pieces of the images.
    images, groups : sequence of int
        Of each piece: number of its image, and of the images that are left out together.
    largest : tuple of int
        Largest rows and columns of a window, those of a plane that is smaller than one: small
        windows differ more from one another, and have a limit of their own.
    """
    room = max(min(m.shape) for m in maps)
    for edge in (min(WINDOW_BLOCKS, room), min(_SMALL_WINDOW, room)):
        full = _Windows.of(maps, (edge, edge), (1, 1), images, groups)
        if len(full.rows) < _FEWEST_WINDOWS:
            continue
        size = (min(edge, largest[0]), min(edge, largest[1]))
        fitted = _Statistics.of(full.rows, full.images)
        limit = _limit(maps, (edge, edge), size, images, groups)
        return None if math.isnan(limit) else WindowSource(size, fitted, limit)
    return None


@dataclass(frozen=True, eq=False)
class _Statistics:
    """Mean and spread of windows, and the components in which they vary most."""

    mean: npt.NDArray[np.float64]
    spread: npt.NDArray[np.float64]
    axes: npt.NDArray[np.float64]

    @classmethod
    def of(cls, windows: npt.NDArray[np.float64], images: npt.NDArray[np.intp]) -> _Statistics:
        """Fit windows, shape (n, D), of images that count alike."""
        _, number, count = np.unique(images, return_inverse=True, return_counts=True)
        weights = 1 / count[number]
        weights /= weights.sum()
        mean = weights @ windows
        floor = _FLOOR * np.abs(mean) + 1e-3 * np.median(np.abs(mean)) + 1e-9
        spread = np.sqrt(weights @ (windows - mean) ** 2 + floor**2)
        rows = (windows - mean) / spread * np.sqrt(weights)[:, None]
        # Far faster than a decomposition of the rows themselves; few leading axes are exact enough.
        axes = np.linalg.eigh(rows.T @ rows)[1].T[::-1]
        return cls(mean, spread, axes[: min(_COMPONENTS, len(windows) // 3)])

    def scores(self, windows: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return the distance of each window, shape (n,): what the components leave of it."""
        rows = (windows - self.mean) / self.spread
        rest = rows - rows @ self.axes.T @ self.axes
        return np.asarray(np.sqrt((rest**2).mean(axis=-1)))


def _step(size: WindowSize) -> WindowSize:
    """Return how far apart windows are judged: they overlap by about half."""
    return -(-size[0] // 2), -(-size[1] // 2)


def _flat(windows: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return windows.reshape(-1, windows.shape[-1])


@dataclass(frozen=True, eq=False)
class _Windows:
    """Windows of several pieces of images: their image, and the group they are left out with."""

    rows: npt.NDArray[np.float64]
    images: npt.NDArray[np.intp]
    groups: npt.NDArray[np.intp]

    @classmethod
    def of(
        cls,
        maps: Sequence[BlockMap],
        size: WindowSize,
        step: WindowSize,
        images: Sequence[int],
        groups: Sequence[int] | None,
    ) -> _Windows:
        """Cut windows; without groups the quarters of each image are groups."""
        found: list[npt.NDArray[np.float64]] = []
        places: list[tuple[int, int]] = []
        for number, block_map in enumerate(maps):
            windows = block_map.windows(size, step)
            found.append(_flat(windows))
            for place in np.ndindex(windows.shape[:2]):
                lower, right = (
                    2 * n >= length for n, length in zip(place, windows.shape, strict=False)
                )
                quarter = 4 * images[number] + 2 * lower + right
                places.append((images[number], quarter if groups is None else groups[number]))
        of_image, of_group = np.array(places, np.intp).T
        rows = np.concatenate(found)
        is_left = ~np.isnan(rows).any(axis=1)
        return cls(rows[is_left], of_image[is_left], of_group[is_left])


def _limit(
    maps: Sequence[BlockMap],
    fitted_size: WindowSize,
    size: WindowSize,
    images: Sequence[int],
    groups: Sequence[int],
) -> float:
    """Return the distance that an unseen image like these stays below, with probability 0.98.

    Windows of a size are compared with statistics of those of another one, if it is smaller. Each
    group of images is left out in turn; of the largest distance of each the logarithm is
    taken, and a prediction limit of a normal distribution is computed (Gerald Hahn and William
    Meeker, "Statistical Intervals", 1991, section 4.7), whose spread is mixed with what is
    expected, as a few groups cannot tell it. Of fewer than four groups quarters of each image are
    left out instead; NaN if all windows are in one of them.
    """
    judged = _Windows.of(maps, size, _step(size), images, groups)
    by_group = len(set(judged.groups)) >= _FEWEST_GROUPS
    if not by_group:
        judged = _Windows.of(maps, size, _step(size), images, None)
    dense = _Windows.of(maps, fitted_size, (1, 1), images, groups if by_group else None)
    largest = []
    for group in sorted(set(judged.groups) & set(dense.groups)):
        kept = dense.groups != group
        if not kept.any():
            return math.nan
        fitted = _Statistics.of(dense.rows[kept], dense.images[kept])
        scores = fitted.scores(judged.rows[judged.groups == group])
        largest.append(
            scores.max() if size == fitted_size else np.quantile(scores, _SMALL_QUANTILE)
        )
    logs = np.log(np.maximum(largest, 1e-9))
    count = len(logs)
    freedom = _PRIOR_COUNT + count - 1
    total = _PRIOR_COUNT * _PRIOR_SPREAD**2 + ((logs - logs.mean()) ** 2).sum()
    factor = special.stdtrit(freedom, _QUANTILE) * math.sqrt(1 + 1 / count)
    limit = float(np.exp(logs.mean() + factor * math.sqrt(total / freedom)))
    return limit if by_group else _FEW_IMAGES * limit
