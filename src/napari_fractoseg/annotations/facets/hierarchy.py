"""A hierarchy of regions: a binary tree whose nodes are ranges of its leaves."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from napari_fractoseg.annotations.facets.regions import Integers, Regions

__all__ = ["STEP", "Hierarchy"]

STEP = 1.1
"""Least ratio of all pixels to the common ones of two facets to choose between at a point."""
_LEAST_STRENGTH = 1e-3
"""Edge strength that counts as none, of the mean of the plane."""


@dataclass(frozen=True, eq=False)
class Hierarchy:
    """Binary tree of regions; its leaves are numbered so that each node is a range of them.

    Parameters
    ----------
    parents : ndarray of int32, shape (n,)
        Parent of each node, larger than the node; the root is its own.
    first, stop : ndarray of int32, shape (n,)
        Range of the leaves' places below each node.
    order : ndarray of int32, shape (leaves,)
        Leaf at each place.
    areas : ndarray of int32, shape (n,)
        Pixels of each node, in the working resolution.
    boxes : ndarray of int32, shape (n, 4)
        First row and column, and those after the last, of each node.
    clearness : ndarray of float32, shape (n,)
        How likely each node is a facet by its outline: the logarithm of the mean edge strength
        along the border over that within, times the area over the square of the outline's
        length. Larger is clearer.
    """

    parents: Integers
    first: Integers
    stop: Integers
    order: Integers
    areas: Integers
    boxes: Integers
    clearness: npt.NDArray[np.float32]

    @classmethod
    def of(cls, parents: list[int], regions: Regions) -> Hierarchy:
        """Complete a tree that is given by the parent of each node."""
        n, n_leaves = len(parents), len(regions.areas)
        counts = [1] * n_leaves + [0] * (n - n_leaves)
        areas = regions.areas.tolist() + [0] * (n - n_leaves)
        boxes = np.concatenate([regions.boxes, np.zeros((n - n_leaves, 4), np.int32)])
        boxes[n_leaves:, :2] = np.iinfo(np.int32).max
        for node, parent in enumerate(parents[:-1]):
            counts[parent] += counts[node]
            areas[parent] += areas[node]
            np.minimum(boxes[parent, :2], boxes[node, :2], out=boxes[parent, :2])
            np.maximum(boxes[parent, 2:], boxes[node, 2:], out=boxes[parent, 2:])
        first, used = [0] * n, [0] * n
        for node in range(n - 2, -1, -1):
            parent = parents[node]
            first[node] = first[parent] + used[parent]
            used[parent] += counts[node]
        above, begin, sizes = (np.array(x, np.int32) for x in (parents, first, areas))
        stop = begin + np.array(counts, np.int32)
        order = np.argsort(begin[:n_leaves]).astype(np.int32)
        clearness = _clearness(above, begin, stop, sizes, regions)
        return cls(above, begin, stop, order, sizes, boxes, clearness)

    def levels(self, leaf: int) -> Iterator[int]:
        """Yield a leaf and the regions that contain it, each noticeably larger than the last."""
        node, least = leaf, 0.0
        while True:
            if self.areas[node] >= least:
                yield node
                least = float(self.areas[node]) * STEP
            parent = int(self.parents[node])
            if parent == node:
                return
            node = parent

    def members(self, node: int) -> Integers:
        """Return the leaves below a node."""
        return self.order[self.first[node] : self.stop[node]]

    @property
    def memory_bytes(self) -> int:
        """Bytes of all arrays."""
        arrays = (self.parents, self.first, self.stop, self.order, self.areas)
        return sum(array.nbytes for array in (*arrays, self.boxes, self.clearness))


def _clearness(
    parents: Integers, first: Integers, stop: Integers, areas: Integers, regions: Regions
) -> npt.NDArray[np.float32]:
    """Return the clearness of each node of a hierarchy; `Hierarchy` says what it is.

    The borders of a node are those of its leaves without those between its leaves, which count
    twice. Sums over leaves are differences of running sums, as a node is a range of leaves.
    """
    borders, n_leaves = regions.borders, len(regions.areas)
    place = first[:n_leaves]
    one, other = place[np.array(borders.first, int)], place[np.array(borders.second, int)]
    length = np.array(borders.length, np.float64)
    splits = _splits(parents, first, np.minimum(one, other), np.maximum(one, other))

    def over_leaves(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        running = np.zeros(n_leaves + 1)
        np.cumsum(np.bincount(place, values, n_leaves), out=running[1:])
        return np.asarray(running[stop] - running[first])

    def around(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        of_leaves, within = np.zeros(n_leaves + 1), np.zeros(n_leaves + 1)
        np.cumsum(np.bincount(one, values, n_leaves) + np.bincount(other, values, n_leaves),
                  out=of_leaves[1:])  # fmt: skip
        np.cumsum(np.bincount(splits, values, n_leaves), out=within[1:])
        inner = within[stop - 1] - within[first]
        return np.asarray(of_leaves[stop] - of_leaves[first] - 2 * inner)

    border_px = around(length)
    outline_px = border_px + over_leaves(regions.margins.astype(np.float64))
    none = max(
        _LEAST_STRENGTH * float(regions.strengths.sum() / regions.areas.sum()),
        float(np.finfo(np.float32).tiny),
    )
    at_border = around(np.array(borders.mean) * length) / np.maximum(border_px, 1)
    inside = over_leaves(regions.strengths) / areas
    contrast = np.maximum(at_border, none) / np.maximum(inside, none)
    clear = contrast * areas / np.maximum(outline_px, 1) ** 2
    return np.asarray(np.log(clear), dtype=np.float32)


def _splits(parents: Integers, first: Integers, low: Integers, high: Integers) -> Integers:
    """Return where the smallest node with both of two leaves is divided into its two parts.

    Parameters
    ----------
    parents : ndarray of int32, shape (n,)
        Parent of each node, larger than the node; the root is its own.
    first : ndarray of int32, shape (n,)
        First place of the leaves below each node.
    low, high : ndarray of int32
        Places of the two leaves, the lower and the higher one.

    Returns
    -------
    ndarray of int32
        Place of the last leaf of the first part.
    """
    n, n_leaves = len(parents), (len(parents) + 1) // 2
    second_part = np.zeros(n, np.int32)
    np.maximum.at(second_part, parents[:-1], first[:-1])
    split_of = second_part - 1
    divided = np.zeros(n_leaves, np.int32)  # the node that is divided at each place
    divided[split_of[n_leaves:]] = np.arange(n_leaves, n)
    # Of all nodes divided between two leaves, the one with both is the largest.
    largest, found = divided, np.zeros(len(low), np.int32)
    width, distance = 1, high - low
    while len(low) and width <= distance.max():
        fits = (distance >= width) & (distance < 2 * width)
        found[fits] = np.maximum(largest[low[fits]], largest[high[fits] - width])
        largest = np.maximum(largest[:-width], largest[width:])
        width *= 2
    return np.asarray(split_of[found])
