"""Pixels of each label value, kept up to date while somebody paints."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from threading import Lock
from typing import Any

import numpy as np

from napari_fractoseg.arrays import value_counts
from napari_fractoseg.jobs import Job, Progress

__all__ = ["RunningCounts", "count_job"]

_BAND_PX = 1024
"""Number of rows that are counted at once: those of a chunk of our zarr files."""
_SMALL = 2**16

_Band = tuple[tuple[int, ...], int]
"""Index of a plane, and the number of a band of its rows."""


class RunningCounts:
    """Numbers of pixels of each label value in planes that somebody paints on.

    Planes are counted in bands of 1024 rows, and after a stroke only the bands that it
    touched are counted again. `job` may run in a thread while `forget` is called from another.

    Parameters
    ----------
    labels : array of int, shape (..., Y, X)
        Label values, in memory or on disk; read as it is sliced.
    exclude : array of shape (Y, X), optional
        Non-zero where nothing is counted, on all planes; it is sliced by rows.

    Attributes
    ----------
    labels : array of int, shape (..., Y, X)
        Array that is counted.
    first : tuple of int
        Index of the plane that is counted before all others.

    Examples
    --------
    >>> import numpy as np
    >>> from napari_fractoseg.jobs import drain
    >>> from napari_fractoseg.measurement.counts import RunningCounts
    >>> labels = np.array([[[1, 2]], [[2, 2]]], np.uint8)
    >>> counts = RunningCounts(labels)
    >>> drain(counts.job())
    >>> counts.of_plane((0,)), counts.of_all()
    ({1: 1, 2: 1}, {1: 1, 2: 3})
    >>> labels[0, 0, 0] = 2
    >>> counts.forget((0,))
    >>> print(counts.of_plane((0,)))
    None
    """

    def __init__(self, labels: Any, exclude: Any = None) -> None:
        self.labels, self._exclude = labels, exclude
        self.first: tuple[int, ...] = (0,) * (len(labels.shape) - 2)
        self._n_bands = max(1, math.ceil(labels.shape[-2] / _BAND_PX))
        self._counted: dict[_Band, Mapping[int, int]] = {}
        self._missing: dict[_Band, None] = {}
        self._n_times: Counter[_Band] = Counter()
        """How often each band was forgotten: one that is being counted meanwhile is void."""
        self._lock = Lock()
        self.forget()

    @property
    def n_planes(self) -> int:
        """Number of planes."""
        return math.prod(self.labels.shape[:-2])

    @property
    def n_missing_px(self) -> int:
        """Number of pixels that are still to be counted, about."""
        rows, columns = map(int, self.labels.shape[-2:])
        return len(self._missing) * min(_BAND_PX, rows) * columns

    def forget(
        self, index: tuple[int, ...] | None = None, rows: tuple[int, int] | None = None
    ) -> None:
        """Count labels again, as they were changed.

        Parameters
        ----------
        index : tuple of int, optional
            Plane that was changed; by default all of them.
        rows : tuple of int, optional
            First changed row of the plane, and the one after the last; by default all rows.
        """
        planes = list(np.ndindex(self.labels.shape[:-2])) if index is None else [index]
        bands = range(self._n_bands)
        if rows is not None:
            bands = range(max(rows[0], 0) // _BAND_PX, math.ceil(rows[1] / _BAND_PX))
        with self._lock:
            for band in ((plane, number) for plane in planes for number in bands):
                self._counted.pop(band, None)
                self._missing[band] = None
                self._n_times[band] += 1

    def job(self) -> Job[None]:
        """Count what is missing: the plane `first`, then the others.

        Yields
        ------
        Progress
            Number of bands that are counted.
        """
        while (band := self._next()) is not None:
            before = self._n_times[band]
            counts = self._count(band)
            with self._lock:
                if self._n_times[band] == before:
                    self._counted[band] = counts
                    self._missing.pop(band, None)
            total = self.n_planes * self._n_bands
            yield Progress(len(self._counted), total, "counting the classes")

    def _next(self) -> _Band | None:
        with self._lock:
            wanted = ((self.first, number) for number in range(self._n_bands))
            of_first = next((band for band in wanted if band in self._missing), None)
            return next(iter(self._missing), None) if of_first is None else of_first

    def _count(self, band: _Band) -> dict[int, int]:
        index, number = band
        rows = slice(number * _BAND_PX, (number + 1) * _BAND_PX)
        labels = np.asarray(self.labels[(*index, rows)])
        if self._exclude is not None:
            labels = labels[np.asarray(self._exclude[rows]) == 0]
        if labels.dtype.itemsize > 2 and labels.size and 0 <= labels.min() <= labels.max() < _SMALL:
            labels = labels.astype(np.uint16)  # which are counted without sorting them
        return value_counts(labels)

    def of_plane(self, index: tuple[int, ...]) -> dict[int, int] | None:
        """Return label value -> number of pixels of a plane; None while it is not counted."""
        return self._sum([index])

    def of_all(self) -> dict[int, int] | None:
        """Return label value -> number of pixels of all planes; None while they are not counted."""
        return self._sum(list(np.ndindex(self.labels.shape[:-2])))

    def n_labelled_planes(self) -> int:
        """Return the number of planes that have any label, among those that are counted."""
        with self._lock:
            return len({index for (index, _), found in self._counted.items() if any(found)})

    def _sum(self, planes: list[tuple[int, ...]]) -> dict[int, int] | None:
        total: Counter[int] = Counter()
        with self._lock:
            for band in ((plane, number) for plane in planes for number in range(self._n_bands)):
                if band not in self._counted:
                    return None
                total.update(self._counted[band])
        return dict(sorted(total.items()))


def count_job(*counts: RunningCounts) -> Job[None]:
    """Count what is missing in several arrays by turns, each with the plane that is first.

    Parameters
    ----------
    *counts : RunningCounts
        Counts of arrays.

    Yields
    ------
    Progress
        Number of bands of one of the arrays that are counted.
    """
    jobs = [each.job() for each in counts]
    while jobs:
        for job in list(jobs):
            try:
                yield next(job)
            except StopIteration:
                jobs.remove(job)
