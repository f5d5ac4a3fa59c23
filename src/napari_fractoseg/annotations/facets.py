"""Facets of a plane at every size, found by their edges: what a click on the plane can mean.

Three hierarchies of regions are made of one fine partition of the plane. In two of them, for fine
and for coarse edges, a region is joined to its neighbour over the lowest pass between them, those
that are least deep first (*dynamics*); in the third, the two regions whose common border is weakest
on average. The first follow closed edges, the last survives gaps in them, and a click offers the
regions of all.
``docs/benchmarks.md`` has what was tried.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from skimage.segmentation import watershed
from skimage.transform import downscale_local_mean

from napari_fractoseg.errors import ImageError
from napari_fractoseg.images import Micrograph
from napari_fractoseg.jobs import Job, Progress, drain

__all__ = ["Facet", "FacetTree", "TreeCache", "facet_tree", "facet_tree_job"]

_Key = TypeVar("_Key")

_Integers: TypeAlias = npt.NDArray[np.int32]

_SIGMAS_PX, _COARSE_SIGMA_PX = (1.5, 3.0), 4.0
_WORKING_PX = 1024
_MOST_PX = 2**26
_REGION_PX = 32
"""Pixels a region of the fine partition has on average, at least."""
_STEP = 1.1
"""Least ratio of all pixels to the common ones of two facets to choose between at a point."""
_AREA_EXPONENT = 0.1
_STAGES = ("grey levels", "edges", "regions", "closed edges", "mean borders")


@dataclass(frozen=True, eq=False)
class Facet:
    """Facet of a plane: connected pixels without holes around a point.

    Parameters
    ----------
    rows, columns : slice
        Bounding box in the plane, in pixels.
    mask : ndarray of bool, shape of the bounding box
        Pixels of the facet.
    level : int
        Place in the list of facets at the point, from 0 for the finest.
    region_px : int
        Pixels without the holes that were filled: the area in `FacetTree.areas_px`.
    """

    rows: slice
    columns: slice
    mask: npt.NDArray[np.bool_]
    level: int
    region_px: int

    @property
    def area_px(self) -> int:
        """Number of pixels."""
        return int(np.count_nonzero(self.mask))

    def contains(self, row: int, column: int) -> bool:
        """Tell whether a pixel of the plane belongs to the facet."""
        row, column = row - self.rows.start, column - self.columns.start
        inside = 0 <= row < self.mask.shape[0] and 0 <= column < self.mask.shape[1]
        return inside and bool(self.mask[row, column])

    def indices(self) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
        """Return rows and columns of the pixels in the plane."""
        rows, columns = np.nonzero(self.mask)
        return rows + self.rows.start, columns + self.columns.start

    def outline(self) -> npt.NDArray[np.float64]:
        """Return the outline as straight lines along the edges of pixels.

        Returns
        -------
        ndarray of float64, shape (n, 2, 2)
            Two ends (row, column) of each line, in coordinates of pixel centres.

        Examples
        --------
        >>> import numpy as np
        >>> from napari_fractoseg.annotations.facets import Facet
        >>> Facet(slice(5, 6), slice(7, 8), np.ones((1, 1), bool), 0, 1).outline()[:, 0].tolist()
        [[4.5, 6.5], [5.5, 6.5], [4.5, 6.5], [4.5, 7.5]]
        """
        padded = np.pad(self.mask, 1)
        lying, upright = padded[1:] != padded[:-1], padded[:, 1:] != padded[:, :-1]
        corner = np.array([self.rows.start, self.columns.start]) - 0.5
        lines = []
        for changes, axis in ((lying, 0), (upright, 1)):
            # Runs of changes along the other axis become one line each.
            along = changes if axis == 0 else changes.T
            edges = np.diff(np.pad(along, ((0, 0), (1, 1))).astype(np.int8), axis=1)
            across, start = np.nonzero(edges == 1)
            stop = np.nonzero(edges == -1)[1]
            ends = [np.stack([across, place - 1], axis=1) for place in (start, stop)]
            line = np.stack(ends, axis=1) if axis == 0 else np.stack(ends, axis=1)[..., ::-1]
            lines.append(line + corner)
        return np.concatenate(lines)


@dataclass(frozen=True, eq=False)
class _Hierarchy:
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
    """

    parents: _Integers
    first: _Integers
    stop: _Integers
    order: _Integers
    areas: _Integers
    boxes: _Integers

    @classmethod
    def of(cls, parents: list[int], leaf_areas: _Integers, leaf_boxes: _Integers) -> _Hierarchy:
        """Complete a tree that is given by the parent of each node."""
        n, n_leaves = len(parents), len(leaf_areas)
        counts = [1] * n_leaves + [0] * (n - n_leaves)
        areas = leaf_areas.tolist() + [0] * (n - n_leaves)
        boxes = np.concatenate([leaf_boxes, np.zeros((n - n_leaves, 4), np.int32)])
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
        begin = np.array(first, np.int32)
        return cls(
            np.array(parents, np.int32),
            begin,
            begin + np.array(counts, np.int32),
            np.argsort(begin[:n_leaves]).astype(np.int32),
            np.array(areas, np.int32),
            boxes,
        )

    def levels(self, leaf: int) -> Iterator[int]:
        """Yield a leaf and the regions that contain it, each noticeably larger than the last."""
        node, least = leaf, 0.0
        while True:
            if self.areas[node] >= least:
                yield node
                least = float(self.areas[node]) * _STEP
            parent = int(self.parents[node])
            if parent == node:
                return
            node = parent

    def members(self, node: int) -> _Integers:
        """Return the leaves below a node."""
        return self.order[self.first[node] : self.stop[node]]

    @property
    def memory_bytes(self) -> int:
        """Bytes of all arrays."""
        arrays = (self.parents, self.first, self.stop, self.order, self.areas, self.boxes)
        return sum(array.nbytes for array in arrays)


@dataclass(frozen=True, eq=False)
class FacetTree:
    """Facets of a plane at every size, as `facet_tree` finds them.

    Parameters
    ----------
    shape : tuple of int
        Rows and columns of the plane.
    reduction : int
        Pixels of the plane along the edge of a pixel of `leaves`.
    leaves : ndarray of int32
        Fine partition of the reduced plane: number of each pixel's region.
    hierarchies : tuple
        How these regions are joined.

    Examples
    --------
    >>> import numpy as np
    >>> from napari_fractoseg.annotations.facets import facet_tree
    >>> from napari_fractoseg.images import Micrograph
    >>> plane = np.zeros((40, 60))
    >>> plane[:, 30:] = 100
    >>> tree = facet_tree(Micrograph(plane))
    >>> tree.near(20, 10, 1200).area_px
    1200
    """

    shape: tuple[int, int]
    reduction: int
    leaves: _Integers
    hierarchies: tuple[_Hierarchy, ...]

    @property
    def memory_bytes(self) -> int:
        """Bytes that the tree takes in memory."""
        return self.leaves.nbytes + sum(h.memory_bytes for h in self.hierarchies)

    def areas_px(self, row: int, column: int) -> tuple[int, ...]:
        """Return the area of each facet at a point in pixels, from the finest to the coarsest.

        From each to the next, at least 10 % of the area changes; holes are not counted.

        Raises
        ------
        ImageError
            If the point is outside the plane.
        """
        return tuple(self._area_px(place) for place in self._levels(row, column))

    @property
    def typical_area_px(self) -> float:
        """Area in pixels to begin with: a sixteenth of the plane's longer side, squared."""
        return (max(self.shape) / 16) ** 2

    def at(self, row: int, column: int, level: int) -> Facet:
        """Return the facet of a level at a point.

        Parameters
        ----------
        row, column : int
            Pixel of the plane, which the facet contains.
        level : int
            Place in `areas_px`, 0 for the finest; beyond the last the coarsest is given.

        Raises
        ------
        ImageError
            If the point is outside the plane.
        """
        return self._facet(self._levels(row, column), level)

    def near(self, row: int, column: int, area_px: float) -> Facet:
        """Return the facet at a point that is nearest to an area in pixels.

        Raises
        ------
        ImageError
            If the point is outside the plane.
        """
        levels = self._levels(row, column)
        return self._facet(levels, self._nearest(levels, area_px))

    def next_at(self, row: int, column: int, facet: Facet, steps: int) -> Facet:
        """Return the facet at a point that is so many levels coarser than another one, or finer.

        Parameters
        ----------
        row, column : int
            Pixel of the plane; it need not be the one at which `facet` was found.
        facet : Facet
            Facet to start from.
        steps : int
            Number of levels, negative for finer ones.

        Raises
        ------
        ImageError
            If the point is outside the plane.
        """
        levels, level = self._levels(row, column), facet.level
        if level >= len(levels) or self._area_px(levels[level]) != facet.region_px:
            level = self._nearest(levels, facet.region_px)  # it was found at another point
        return self._facet(levels, level + steps)

    def _area_px(self, place: tuple[int, int]) -> int:
        which, node = place
        return int(self.hierarchies[which].areas[node]) * self.reduction**2

    def _nearest(self, levels: list[tuple[int, int]], area_px: float) -> int:
        areas = np.array([self._area_px(place) for place in levels], dtype=np.float64)
        return int(np.abs(np.log(areas / max(area_px, 1.0))).argmin())

    def _facet(self, levels: list[tuple[int, int]], level: int) -> Facet:
        """Return the facet of a level, or the last one on that side, with its holes filled."""
        level = min(max(level, 0), len(levels) - 1)
        which, node = levels[level]
        hierarchy, k = self.hierarchies[which], self.reduction
        top, left, bottom, right = hierarchy.boxes[node].tolist()
        places = hierarchy.first[self.leaves[top:bottom, left:right]]
        mask = _filled((places >= hierarchy.first[node]) & (places < hierarchy.stop[node]))
        rows = slice(top * k, min(bottom * k, self.shape[0]))
        columns = slice(left * k, min(right * k, self.shape[1]))
        fine = mask.repeat(k, axis=0).repeat(k, axis=1)
        fine = fine[: rows.stop - rows.start, : columns.stop - columns.start]
        return Facet(rows, columns, fine, level, self._area_px((which, node)))

    def _levels(self, row: int, column: int) -> list[tuple[int, int]]:
        """Return hierarchy and node of each facet at a point, in the order of their areas."""
        if not (0 <= row < self.shape[0] and 0 <= column < self.shape[1]):
            raise ImageError(
                f"The point (row {row}, column {column}) is outside the plane of "
                f"{self.shape[0]} x {self.shape[1]} pixels. Choose a point inside."
            )
        leaf = int(self.leaves[row // self.reduction, column // self.reduction])
        found = sorted(
            (int(hierarchy.areas[node]), which, node)
            for which, hierarchy in enumerate(self.hierarchies)
            for node in hierarchy.levels(leaf)
        )
        leaf_areas = self.hierarchies[0].areas
        levels: list[tuple[int, int]] = []
        before, inside = 0, np.zeros(int(self.leaves.max()) + 1, dtype=bool)
        for area, which, node in found:
            members = self.hierarchies[which].members(node)
            common = int(leaf_areas[members[inside[members]]].sum())
            if before + area - common >= _STEP * common:
                levels.append((which, node))
                inside[:] = False
                inside[members] = True
                before = area
        return levels


class TreeCache(Generic[_Key]):
    """Facets of planes that were looked at, within an amount of memory.

    The trees that were not used for longest are forgotten first; the newest always stays.

    Parameters
    ----------
    most_bytes : int
        Memory of all trees.
    """

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._trees: dict[_Key, FacetTree] = {}

    def get(self, key: _Key) -> FacetTree | None:
        """Return the facets of a plane, None if they are not there."""
        tree = self._trees.pop(key, None)
        if tree is not None:
            self._trees[key] = tree  # the last is the one used last
        return tree

    def put(self, key: _Key, tree: FacetTree) -> None:
        """Keep the facets of a plane, and forget others if need be."""
        self._trees.pop(key, None)
        self._trees[key] = tree
        while len(self._trees) > 1 and self.memory_bytes > self._most_bytes:
            del self._trees[next(iter(self._trees))]

    def forget(self, is_gone: Callable[[_Key], bool]) -> None:
        """Forget the facets of planes that are gone."""
        self._trees = {key: tree for key, tree in self._trees.items() if not is_gone(key)}

    @property
    def memory_bytes(self) -> int:
        """Bytes of all trees that are kept."""
        return sum(tree.memory_bytes for tree in self._trees.values())


def facet_tree(plane: Micrograph) -> FacetTree:
    """Find the facets of a plane at every size.

    Parameters
    ----------
    plane : Micrograph
        Plane of at most 64 megapixels in memory. One of more than 1024 pixels in a direction is
        reduced first, so that facets follow its edges to a few pixels.

    Raises
    ------
    ImageError
        If the plane is too large, or has NaN or infinite values.
    """
    return drain(facet_tree_job(plane))


def facet_tree_job(plane: Micrograph) -> Job[FacetTree]:
    """Find the facets of a plane at every size as a job; `facet_tree` has the parameters."""
    rows, columns = plane.shape
    if rows * columns > _MOST_PX:
        raise ImageError(
            f"{plane.name}: facets are found on planes of at most 64 megapixels, this one has "
            f"{rows} x {columns} pixels. Crop it, or paint with the brush."
        )
    reduction = -(-max(rows, columns) // _WORKING_PX)
    grey = _reduced(plane.normalised(), reduction)
    yield _finished(1)
    strength = _edge_strength(grey)
    yield _finished(2)
    leaves = _fine_regions(strength)
    yield _finished(3)
    parents = _by_dynamics(_Borders.of(leaves, strength))
    leaves = _cut(leaves, parents, max(1, leaves.size // _REGION_PX))
    borders = _Borders.of(leaves, strength)
    areas = np.bincount(leaves.ravel()).astype(np.int32)
    boxes = np.array([_bounds(box) for box in ndimage.find_objects(leaves + 1)], np.int32)
    coarse = _Borders.of(leaves, _gradient(grey, _COARSE_SIGMA_PX))
    joined = [_by_dynamics(borders), _by_dynamics(coarse)]
    yield _finished(4)
    joined.append(_by_mean_border(borders, areas.tolist()))
    yield _finished(5)
    hierarchies = tuple(_Hierarchy.of(parents, areas, boxes) for parents in joined)
    return FacetTree((rows, columns), reduction, leaves, hierarchies)


def _finished(n_stages: int) -> Progress:
    return Progress(n_stages, len(_STAGES), _STAGES[n_stages - 1])


def _bounds(box: tuple[slice, slice]) -> tuple[int, int, int, int]:
    rows, columns = box
    return rows.start, columns.start, rows.stop, columns.stop


def _reduced(grey: npt.NDArray[np.float32], reduction: int) -> npt.NDArray[np.float32]:
    """Return the mean grey levels of blocks of pixels; those cut off by the margin are repeated."""
    if reduction == 1:
        return grey
    missing = [(0, -length % reduction) for length in grey.shape]
    padded = np.pad(grey, missing, mode="edge")
    reduced: npt.NDArray[np.float32] = downscale_local_mean(padded, (reduction, reduction))
    return reduced.astype(np.float32)


def _edge_strength(grey: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    fine, coarse = (_gradient(grey, sigma) for sigma in _SIGMAS_PX)
    mean: npt.NDArray[np.float32] = (fine + coarse) / np.float32(2)
    return mean


def _gradient(grey: npt.NDArray[np.float32], sigma_px: float) -> npt.NDArray[np.float32]:
    gradient: npt.NDArray[np.float32] = ndimage.gaussian_gradient_magnitude(grey, sigma_px)
    return gradient


def _fine_regions(strength: npt.NDArray[np.float32]) -> _Integers:
    """Return the number of each pixel's region, from 0: a region for each minimum of strength."""
    regions: _Integers = watershed(strength).astype(np.int32)
    return np.maximum(regions - 1, 0)  # a plane without edges has no minimum: one region


@dataclass(frozen=True, eq=False)
class _Borders:
    """Borders between neighbouring regions, each once, and the depth of the regions."""

    first: list[int]
    second: list[int]
    weakest: list[float]
    mean: list[float]
    length: list[int]
    minima: list[float]

    @classmethod
    def of(cls, regions: _Integers, strength: npt.NDArray[np.float32]) -> _Borders:
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


def _root(above: list[int], node: int) -> int:
    """Return the root of a node in a forest, and shorten the way there."""
    while above[node] != node:
        above[node] = above[above[node]]
        node = above[node]
    return node


def _by_dynamics(borders: _Borders) -> list[int]:
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


def _cut(regions: _Integers, parents: list[int], at_most: int) -> _Integers:
    """Join the regions below the last nodes of a tree, so that at most so many are left."""
    n = (len(parents) + 1) // 2
    kept_from = n + max(0, n - at_most)
    owner = list(range(len(parents)))
    for node in range(len(parents) - 2, -1, -1):
        if parents[node] < kept_from:
            owner[node] = owner[parents[node]]
    number: _Integers = np.unique(np.array(owner[:n]), return_inverse=True)[1].astype(np.int32)
    return number[regions]


def _by_mean_border(borders: _Borders, areas: list[int]) -> list[int]:
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


def _filled(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Return a mask with its holes filled: what does not reach the outside of its bounding box."""
    outside, _ = ndimage.label(np.pad(~mask, 1, constant_values=True))
    filled: npt.NDArray[np.bool_] = outside[1:-1, 1:-1] != outside[0, 0]
    return filled
