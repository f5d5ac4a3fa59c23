"""Connected regions of label values in planes of any size, block by block, merged to the whole.

A *piece* is a connected region of a block; a *region* is one of the plane, of one or several
pieces. Areas, boxes and moments of pieces are whole numbers, so that their sums are exact
whatever the blocks; only shapes need the pixels of a region together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import ConvexHull
from scipy.spatial.distance import pdist
from skimage.measure import find_contours, label, regionprops

from napari_fractoseg.classes import UNLABELLED, ClassScheme
from napari_fractoseg.errors import OptionError
from napari_fractoseg.tiling import Box

__all__ = ["SHAPES", "Merged", "Pieces", "Source"]

SHAPES = ("perimeter", "solidity", "feret_max")
_SUMMED = ("area", "row", "column", "row_row", "column_column", "row_column")
_LEAST = ("first", "row0", "column0")
_MOST = ("row1", "column1")

_Table = dict[str, npt.NDArray[Any]]
_Ids = npt.NDArray[np.intp]


@dataclass(frozen=True)
class Source:
    """Plane of labels, with what is measured in it, read in boxes.

    Parameters
    ----------
    labels : array of int, shape (Y, X)
        Class values of `scheme`, in memory or on disk; 0 is unlabelled.
    scheme : ClassScheme
        Classes of the label values.
    exclude : array of shape (Y, X), optional
        Not zero where the plane is not analysed.
    values : mapping of str to array of shape (Y, X)
        Values whose means are wanted, by name.
    """

    labels: Any
    scheme: ClassScheme
    exclude: Any = None
    values: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if len(self.labels.shape) != 2:
            raise OptionError(
                f"Labels have shape {tuple(self.labels.shape)}; facets are those of one plane "
                "(rows, columns). Pass the planes of a stack one at a time."
            )
        if 0 in self.labels.shape:
            raise OptionError(
                f"Labels have shape {tuple(self.labels.shape)}: there is no pixel to measure. "
                "Pass a plane that has some."
            )
        self.scheme.check_labels(np.zeros(0, np.dtype(self.labels.dtype)))
        others = {**self.values, "excluded area": self.exclude}
        for name, array in others.items():
            if array is not None and tuple(array.shape) != self.shape:
                raise OptionError(
                    f"The array of {name} has shape {tuple(array.shape)}, the labels {self.shape}. "
                    "Pass arrays of the same plane."
                )

    @property
    def shape(self) -> tuple[int, int]:
        """Number of rows and columns."""
        rows, columns = self.labels.shape
        return int(rows), int(columns)

    def read(self, box: Box) -> npt.NDArray[Any]:
        """Return the labels in a box; 0 where the plane is excluded."""
        labels = np.asarray(self.labels[box.slices])
        if not set(np.unique(labels).tolist()) <= {UNLABELLED, *self.scheme.values}:
            self.scheme.check_labels(labels)
        labels = labels.astype(np.uint8, copy=False)
        if self.exclude is not None:
            labels = np.where(self._excluded(box), np.uint8(UNLABELLED), labels)
        return labels

    def analysed(self, box: Box) -> npt.NDArray[np.bool_]:
        """Return which pixels of a box are not excluded."""
        return ~self._excluded(box)

    def near_excluded(self, box: Box) -> npt.NDArray[np.bool_]:
        """Return which pixels of a box have an excluded one above, below, left or right."""
        rows, columns = self.shape
        wide = Box(
            max(box.row0 - 1, 0),
            min(box.row1 + 1, rows),
            max(box.column0 - 1, 0),
            min(box.column1 + 1, columns),
        )
        grown: npt.NDArray[np.bool_] = ndimage.binary_dilation(self._excluded(wide))
        return grown[box.relative_to(wide).slices]

    def _excluded(self, box: Box) -> npt.NDArray[np.bool_]:
        if self.exclude is None:
            return np.zeros(box.shape, bool)
        return np.asarray(self.exclude[box.slices]).astype(bool)


@dataclass(frozen=True)
class Merged:
    """Regions of a plane, in the order of their first pixels.

    Parameters
    ----------
    table : dict of str to ndarray
        What is known of each region: whole numbers ``area``, ``value``, ``first``, ``row0`` to
        ``column1``, moments; sums of values; shapes.
    of_piece : ndarray of int
        Number of the region of each piece, from 0.
    """

    table: _Table
    of_piece: _Ids


class Pieces:
    """Connected regions of the blocks of a plane, and which of them are one region.

    Blocks come row by row, as those of `tiling.grid`.

    Parameters
    ----------
    source : Source
        Plane that is read.
    connectivity : {1, 2}
        1: pixels that share an edge are connected; 2: those that share a corner as well.
    min_area_px : int
        Shapes of smaller regions are not measured.
    """

    def __init__(self, source: Source, connectivity: int, min_area_px: int) -> None:
        self._source, self._connectivity, self._min_area_px = source, connectivity, min_area_px
        rows, columns = source.shape
        fits = rows * columns * max(rows, columns) ** 2 < 2**63
        self._whole_number: Any = np.int64 if fits else object
        self._tables: list[_Table] = []
        self._same: list[npt.NDArray[np.intp]] = []
        self._n = 0
        self._above, self._top, self._bottom = np.zeros((3, 2, columns), np.int64)
        """Pieces and values along the row above the row of blocks, its first and its last row."""
        self._right = np.zeros((2, 0), np.int64)
        """Pieces and values along the last column of the block before."""

    def numbered(self, box: Box) -> tuple[npt.NDArray[Any], _Ids, int]:
        """Return the labels of a block, its pieces numbered from 1, and their number."""
        labels = self._source.read(box)
        ids, n = label(labels, background=0, connectivity=self._connectivity, return_num=True)
        return labels, ids, int(n)

    def add(self, box: Box) -> None:
        """Measure the pieces of the next block."""
        labels, ids, n = self.numbered(box)
        table = _piece_table(labels, ids, n, box)
        width = self._source.shape[1]
        table["first"] = table.pop("first_row") * width + table.pop("first_column")
        table |= _about_origin(table, box, self._whole_number)
        table |= {name: _sums(array, ids, n, box) for name, array in self._source.values.items()}
        table["touches_excluded"] = np.zeros(n, bool)
        if self._source.exclude is not None:
            near = np.bincount(ids[self._source.near_excluded(box)], minlength=n + 1)
            table["touches_excluded"] = near[1:] > 0
        is_whole = ~_is_cut(table, box, self._source.shape)
        wanted = is_whole & (table["area"] >= self._min_area_px)
        table |= _shapes_of(ids, wanted)
        self._tables.append(table)
        self._connect(labels, ids, box)
        self._n += n

    def _connect(self, labels: npt.NDArray[Any], ids: _Ids, box: Box) -> None:
        """Note which pieces of this block continue those of the blocks at its left and above."""
        columns = slice(box.column0, box.column1)
        left = self._line(labels[:, 0], ids[:, 0])
        if box.column0 > 0:
            self._join(self._right, left)
        self._right = self._line(labels[:, -1], ids[:, -1])
        self._top[:, columns] = self._line(labels[0], ids[0])
        self._bottom[:, columns] = self._line(labels[-1], ids[-1])
        if box.column1 == self._source.shape[1]:
            if box.row0 > 0:
                self._join(self._above, self._top)
            self._above = self._bottom.copy()

    def _line(self, labels: npt.NDArray[Any], ids: _Ids) -> npt.NDArray[np.int64]:
        return np.stack([np.where(ids > 0, ids + self._n, 0), labels]).astype(np.int64)

    def _join(self, before: npt.NDArray[np.int64], after: npt.NDArray[np.int64]) -> None:
        """Note which pieces along two neighbouring lines are connected."""
        n = before.shape[1]
        for shift in (0,) if self._connectivity == 1 else (-1, 0, 1):
            one = before[:, max(-shift, 0) : n - max(shift, 0)]
            two = after[:, max(shift, 0) : n - max(-shift, 0)]
            same = (one[1] == two[1]) & (one[1] != UNLABELLED)
            pairs = np.stack([one[0][same], two[0][same]], axis=1)
            self._same.append(np.unique(pairs, axis=0) - 1)

    def merged(self) -> Merged:
        """Return the regions of the plane, in the order of their first pixels."""
        names = self._tables[0]
        pieces = {name: np.concatenate([t[name] for t in self._tables]) for name in names}
        pairs = np.concatenate([np.zeros((0, 2), np.intp), *self._same])
        graph = coo_array((np.ones(len(pairs), bool), pairs.T), shape=(self._n, self._n))
        n, of_piece = connected_components(graph, directed=False)
        first = np.full(n, np.iinfo(np.int64).max)
        np.minimum.at(first, of_piece, pieces["first"])
        place = np.empty(n, np.intp)
        place[np.argsort(first)] = np.arange(n)
        of_piece = place[of_piece]
        table = {name: _merge(name, column, of_piece, n) for name, column in pieces.items()}
        return Merged(table, of_piece)

    def shapes(self, regions: Merged, number: int) -> dict[str, float]:
        """Return the shape of one region, whose box is read again."""
        box = Box(*(int(regions.table[k][number]) for k in ("row0", "row1", "column0", "column1")))
        labels = self._source.read(box)
        same = labels == regions.table["value"][number]
        ids = label(same, connectivity=self._connectivity)
        column = int(regions.table["first"][number]) % self._source.shape[1] - box.column0
        mask = (ids == ids[0, column]).astype(np.uint8)
        return {name: float(shape[0]) for name, shape in _shapes_of(mask, np.ones(1, bool)).items()}


def _merge(name: str, pieces: npt.NDArray[Any], of_piece: _Ids, n: int) -> npt.NDArray[Any]:
    if name in _LEAST:
        merged = np.full(n, np.iinfo(np.int64).max)
        np.minimum.at(merged, of_piece, pieces)
        return merged
    if name in _MOST or pieces.dtype == bool:
        merged = np.zeros(n, pieces.dtype)
        np.maximum.at(merged, of_piece, pieces)
        return merged
    if name == "value" or name in SHAPES:
        merged = np.zeros(n, pieces.dtype)
        merged[of_piece] = pieces
        return merged
    merged = np.zeros(n, pieces.dtype)
    np.add.at(merged, of_piece, pieces)
    return merged


def _runs(ids: _Ids) -> tuple[_Ids, _Ids]:
    """Return the first pixel, and the number of pixels, of each run of equal ids in a row."""
    begins = np.ones(ids.shape, bool)
    np.not_equal(ids[:, 1:], ids[:, :-1], out=begins[:, 1:])
    starts = np.flatnonzero(begins)
    return starts, np.diff(starts, append=ids.size)


def _piece_table(labels: npt.NDArray[Any], ids: _Ids, n: int, box: Box) -> _Table:
    """Return areas, values and boxes of the pieces of a block; moments about its corner."""
    starts, lengths = _runs(ids)
    of_run = ids.reshape(-1)[starts]
    starts, lengths, of_run = (each[of_run > 0] for each in (starts, lengths, of_run))
    piece, (row, column) = of_run - 1, np.divmod(starts, box.shape[1])
    last = lengths - 1
    columns = lengths * column + lengths * last // 2
    squares = lengths * column**2 + column * lengths * last + last * lengths * (2 * last + 1) // 6
    summed = (lengths, row * lengths, columns, row**2 * lengths, squares, row * columns)
    first = np.zeros(n, np.intp)
    first[piece[::-1]] = np.arange(len(piece))[::-1]  # the last one that is written stays
    least, most = np.full((2, n), np.iinfo(np.int64).max), np.zeros((2, n), np.int64)
    np.minimum.at(least[0], piece, row + box.row0)
    np.minimum.at(least[1], piece, column + box.column0)
    np.maximum.at(most[0], piece, row + box.row0 + 1)
    np.maximum.at(most[1], piece, column + box.column0 + lengths)
    return {
        # float64 holds these sums exactly: they are below 2**53 in blocks of up to 8192 pixels
        **{
            k: np.bincount(piece, v, n).astype(np.int64)
            for k, v in zip(_SUMMED, summed, strict=True)
        },
        "value": labels.reshape(-1)[starts[first]].astype(np.int64),
        "row0": least[0],
        "column0": least[1],
        "row1": most[0],
        "column1": most[1],
        "first_row": row[first] + box.row0,
        "first_column": column[first] + box.column0,
    }


def _about_origin(table: _Table, box: Box, whole_number: Any) -> _Table:
    """Return moments about the first pixel of the plane instead of that of the block."""
    area, r, c, rr, cc, rc = (table[name].astype(whole_number) for name in _SUMMED)
    up, left = box.row0, box.column0
    return {
        "area": area,
        "row": r + area * up,
        "column": c + area * left,
        "row_row": rr + 2 * up * r + area * up**2,
        "column_column": cc + 2 * left * c + area * left**2,
        "row_column": rc + up * c + left * r + area * (up * left),
    }


def _sums(array: Any, ids: _Ids, n: int, box: Box) -> npt.NDArray[Any]:
    """Return the sum of values in each piece: exact where they are whole numbers."""
    values = np.asarray(array[box.slices])
    kind = np.dtype(np.float64 if values.dtype.kind == "f" else np.int64)
    starts, _ = _runs(ids)
    sums = np.zeros(n + 1, kind)
    np.add.at(
        sums, ids.reshape(-1)[starts], np.add.reduceat(values.reshape(-1), starts, dtype=kind)
    )
    return sums[1:]


def _is_cut(table: _Table, box: Box, shape: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """Whether pieces reach a side of their block beyond which the plane goes on."""
    rows, columns = shape
    cut: npt.NDArray[np.bool_] = (
        ((table["row0"] == box.row0) & (box.row0 > 0))
        | ((table["row1"] == box.row1) & (box.row1 < rows))
        | ((table["column0"] == box.column0) & (box.column0 > 0))
        | ((table["column1"] == box.column1) & (box.column1 < columns))
    )
    return cut


def _shapes_of(ids: npt.NDArray[Any], wanted: npt.NDArray[np.bool_]) -> _Table:
    """Return the shapes of the wanted regions of an array of ids from 1; NaN for the others."""
    shapes = {name: np.full(len(wanted), np.nan) for name in SHAPES}
    numbers = np.zeros(len(wanted) + 1, ids.dtype)
    numbers[1:][wanted] = np.flatnonzero(wanted) + 1
    for region in regionprops(numbers[ids]):
        values = region.perimeter, region.solidity, _feret_max(region.image_convex)
        for name, value in zip(SHAPES, values, strict=True):
            shapes[name][region.label - 1] = value
    return shapes


def _feret_max(hull: npt.NDArray[np.bool_]) -> float:
    """Return the largest distance on the outline of a convex mask, as scikit-image does.

    The outline's own convex hull has the same one, of far fewer points.
    """
    outline = np.vstack(find_contours(np.pad(hull, 1), 0.5, fully_connected="high"))
    corners = outline[ConvexHull(outline).vertices]
    return float(pdist(corners).max())
