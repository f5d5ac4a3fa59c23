"""The facets at each point of a plane, from the finest to the coarsest."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_fractoseg.annotations.facets.facet import Facet
from napari_fractoseg.annotations.facets.hierarchy import STEP, Hierarchy
from napari_fractoseg.annotations.facets.regions import Integers
from napari_fractoseg.errors import ImageError

__all__ = ["FacetTree"]

_SIZE_WEIGHT = 0.1


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
    leaves: Integers
    hierarchies: tuple[Hierarchy, ...]

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

    def likely(self, row: int, column: int, area_px: float) -> Facet:
        """Return the facet at a point that is most likely one, of about an area in pixels.

        Parameters
        ----------
        row, column : int
            Pixel of the plane.
        area_px : float
            Area to look for, such as `RecentSizes.next_px`. A facet of another size needs
            clearer edges: the square of the ratio's logarithm counts against it.

        Raises
        ------
        ImageError
            If the point is outside the plane.
        """
        levels = self._levels(row, column)
        clearness = np.array([self.hierarchies[which].clearness[node] for which, node in levels])
        areas = np.array([self._area_px(place) for place in levels], dtype=np.float64)
        away = np.log(areas / max(area_px, 1.0))
        return self._facet(levels, int((clearness - _SIZE_WEIGHT * away**2).argmax()))

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
            if before + area - common >= STEP * common:
                levels.append((which, node))
                inside[:] = False
                inside[members] = True
                before = area
        return levels


def _filled(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Return a mask with its holes filled: what does not reach the outside of its bounding box."""
    outside, _ = ndimage.label(np.pad(~mask, 1, constant_values=True))
    filled: npt.NDArray[np.bool_] = outside[1:-1, 1:-1] != outside[0, 0]
    return filled
