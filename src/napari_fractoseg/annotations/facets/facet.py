"""A facet: its pixels, and the outline that is shown of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["Facet"]


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

    def is_same_as(self, other: Facet) -> bool:
        """Tell whether another facet of the plane has the same pixels."""
        boxes = (self.rows, self.columns), (other.rows, other.columns)
        return boxes[0] == boxes[1] and np.array_equal(self.mask, other.mask)

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
