"""Regions of a partition of a plane: their sizes, the edges in them, and their borders."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import ndimage

__all__ = ["Borders", "Integers", "Regions"]

Integers: TypeAlias = npt.NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class Borders:
    """Borders between neighbouring regions, each once, and the depth of the regions.

    Parameters
    ----------
    first, second : list of int
        The two regions of each border, the one of the lower number first.
    weakest : list of float
        Edge strength at the lowest pass between the two.
    mean : list of float
        Mean edge strength along the border; of two pixels that touch, the stronger one counts.
    length : list of int
        Length of the border in pixels.
    minima : list of float
        Least edge strength in each region.
    """

    first: list[int]
    second: list[int]
    weakest: list[float]
    mean: list[float]
    length: list[int]
    minima: list[float]

    @classmethod
    def of(cls, regions: Integers, strength: npt.NDArray[np.float32]) -> Borders:
        """Find the borders in a partition, whose regions are numbered from 0."""
        n = int(regions.max()) + 1
        keys, values = [], []
        for one, other in (
            (np.s_[:, :-1], np.s_[:, 1:]),
            (np.s_[:-1], np.s_[1:]),
        ):
            a, b = regions[one].astype(np.int64), regions[other].astype(np.int64)
            is_border = a != b
            keys.append((np.minimum(a, b) * n + np.maximum(a, b))[is_border])
            values.append(np.maximum(strength[one], strength[other])[is_border])
        key, value = np.concatenate(keys), np.concatenate(values)
        order = np.lexsort((value, key))
        key, value = key[order], value[order].astype(np.float64)
        starts = np.flatnonzero(np.r_[True, key[1:] != key[:-1]][: len(key)])
        length = np.diff(np.r_[starts, len(key)])
        total = np.add.reduceat(value, starts) if len(starts) else np.zeros(0)
        minima = ndimage.minimum(strength, regions, np.arange(n))
        return cls(
            (key[starts] // n).tolist(),
            (key[starts] % n).tolist(),
            value[starts].tolist(),
            (total / np.maximum(length, 1)).tolist(),
            length.tolist(),
            np.asarray(minima, dtype=np.float64).tolist(),
        )


@dataclass(frozen=True, eq=False)
class Regions:
    """What is known of each region of a partition.

    Parameters
    ----------
    areas : ndarray of int32, shape (n,)
        Pixels of each region.
    boxes : ndarray of int32, shape (n, 4)
        First row and column, and those after the last.
    strengths : ndarray of float64, shape (n,)
        Sum of the edge strength of the pixels.
    margins : ndarray of int64, shape (n,)
        Length of the plane's margin along the region, in pixels.
    borders : Borders
        Borders between regions.
    """

    areas: Integers
    boxes: Integers
    strengths: npt.NDArray[np.float64]
    margins: npt.NDArray[np.int64]
    borders: Borders

    @classmethod
    def of(cls, numbers: Integers, strength: npt.NDArray[np.float32]) -> Regions:
        """Look at the regions of a partition, which are numbered from 0."""
        areas = np.bincount(numbers.ravel()).astype(np.int32)
        margin = np.concatenate([numbers[0], numbers[-1], numbers[:, 0], numbers[:, -1]])
        boxes = [
            (rows.start, columns.start, rows.stop, columns.stop)
            for rows, columns in ndimage.find_objects(numbers + 1)
        ]
        return cls(
            areas,
            np.array(boxes, np.int32),
            np.bincount(numbers.ravel(), strength.ravel()).astype(np.float64),
            np.bincount(margin, minlength=len(areas)),
            Borders.of(numbers, strength),
        )
