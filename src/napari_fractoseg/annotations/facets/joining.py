"""Ways to join the regions of a partition two by two: trees, as the parent of each node."""

from __future__ import annotations

import heapq

import numpy as np

from napari_fractoseg.annotations.facets.regions import Borders, Integers

__all__ = ["by_dynamics", "by_mean_border", "cut"]

_AREA_EXPONENT = 0.1


def _root(above: list[int], node: int) -> int:
    """Return the root of a node in a forest, and shorten the way there."""
    while above[node] != node:
        above[node] = above[above[node]]
        node = above[node]
    return node


def by_dynamics(borders: Borders) -> list[int]:
    """Return the parents of a tree that joins the least deep region first, over its lowest pass.

    Notes
    -----
    Watershed hierarchy by dynamics: the borders of the minimum spanning tree of passes, each
    with the height of the pass above the shallower of the two minima that it joins.

    References
    ----------
    Najman, Cousty, Perret: Playing with Kruskal: algorithms for morphological trees in
    edge-weighted graphs. ISMM 2013.
    """
    minima = list(borders.minima)
    n = len(minima)
    above = list(range(n))
    passes = []
    for border in np.argsort(borders.weakest, kind="stable").tolist():
        one, other = borders.first[border], borders.second[border]
        a, b = _root(above, one), _root(above, other)
        if a == b:
            continue
        if minima[a] > minima[b]:
            a, b = b, a
        passes.append((borders.weakest[border] - minima[b], one, other))
        above[b] = a
    passes.sort()
    above = list(range(2 * n - 1))
    parents = list(range(2 * n - 1))
    for node, (_, one, other) in enumerate(passes, start=n):
        a, b = _root(above, one), _root(above, other)
        parents[a] = parents[b] = above[a] = above[b] = node
    return parents


def cut(regions: Integers, parents: list[int], at_most: int) -> Integers:
    """Join the regions below the last nodes of a tree, so that at most so many are left."""
    n = (len(parents) + 1) // 2
    kept_from = n + max(0, n - at_most)
    owner = list(range(len(parents)))
    for node in range(len(parents) - 2, -1, -1):
        if parents[node] < kept_from:
            owner[node] = owner[parents[node]]
    number: Integers = np.unique(np.array(owner[:n]), return_inverse=True)[1].astype(np.int32)
    return number[regions]


def by_mean_border(borders: Borders, areas: list[int]) -> list[int]:
    """Return the parents of a tree that joins the two regions with the weakest border first.

    The weakness is the mean strength along the border, times a low power of the smaller area,
    so that small regions are joined a little earlier.
    """
    areas = list(areas)
    n = len(areas)
    sums: list[dict[int, tuple[float, int]]] = [{} for _ in range(n)]
    for one, other, mean, length in zip(
        borders.first, borders.second, borders.mean, borders.length, strict=True
    ):
        sums[one][other] = sums[other][one] = mean * length, length

    def entry(one: int, other: int) -> tuple[float, int, int]:
        total, length = sums[one][other]
        return total / length * min(areas[one], areas[other]) ** _AREA_EXPONENT, one, other

    heap = [entry(one, other) for one in range(n) for other in sums[one] if one < other]
    heapq.heapify(heap)
    parents = list(range(2 * n - 1))
    while heap:
        _, one, other = heapq.heappop(heap)
        if parents[one] != one or parents[other] != other:
            continue
        node = len(sums)
        parents[one] = parents[other] = node
        areas.append(areas[one] + areas[other])
        sums.append(_joined(sums, one, other, node))
        for neighbour in sums[node]:
            heapq.heappush(heap, entry(neighbour, node))
    return parents


def _joined(
    sums: list[dict[int, tuple[float, int]]], one: int, other: int, node: int
) -> dict[int, tuple[float, int]]:
    """Return the borders of two regions that become one; their neighbours get them, too."""
    borders = sums[one]
    borders.pop(other)
    sums[other].pop(one)
    for neighbour, (total, length) in sums[other].items():
        more, longer = borders.get(neighbour, (0.0, 0))
        borders[neighbour] = total + more, length + longer
    for neighbour, border in borders.items():
        sums[neighbour].pop(one, None)
        sums[neighbour].pop(other, None)
        sums[neighbour][node] = border
    sums[one] = sums[other] = {}
    return borders
