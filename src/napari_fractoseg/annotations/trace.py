"""Outlines of label images as polygons, in pixel edges.

This undoes `rasterise`: exact outlines, drawn in any order, give the labels again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from skimage.measure import approximate_polygon, label

from napari_fractoseg.annotations.document import UNKNOWN_SIZE, AnnotatedImage, Region
from napari_fractoseg.annotations.shapes import Vertices
from napari_fractoseg.classes import UNLABELLED, ClassScheme
from napari_fractoseg.errors import AnnotationError

__all__ = ["TracedPolygon", "image_from_labels", "trace_polygons"]

_Indices: TypeAlias = npt.NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class TracedPolygon:
    """Outline of a piece of a label image.

    Parameters
    ----------
    value : int
        Label value of the pixels inside.
    rows, columns : ndarray of float64, shape (n,)
        Vertices of an open ring in pixel edges, clockwise on the screen.
    area_px : int
        Number of pixels of the piece, before any simplification.
    """

    value: int
    rows: npt.NDArray[np.float64]
    columns: npt.NDArray[np.float64]
    area_px: int

    def to_shape(self) -> dict[str, Any]:
        """Return VIA's ``shape_attributes``: whole numbers as int, others to 3 decimals."""
        xs, ys = _plain(self.columns), _plain(self.rows)
        return {"name": "polygon", "all_points_x": xs, "all_points_y": ys}


def trace_polygons(
    labels: npt.NDArray[Any], *, tolerance_px: float = 0.0, min_area_px: int = 0
) -> list[TracedPolygon]:
    """Outline the 4-connected regions of equal value along the edges of their pixels.

    Parameters
    ----------
    labels : ndarray of int, shape (Y, X)
        Label values; 0 is unlabelled and not traced.
    tolerance_px : float
        Distance in pixels by which an outline may move when it is simplified
        (Douglas-Peucker). At 0 it is exact, with whole numbers. Above 0,
        neighbours may gap or overlap, and a thin piece cross itself, by up to
        the tolerance; an outline left with fewer than 3 points or no area
        stays exact.
    min_area_px : int
        Least area of a region in pixels, counted before holes are cut; smaller
        ones are left out.

    Returns
    -------
    list of TracedPolygon
        Outlines in the raster order of the first pixels of the regions, then
        of their pieces.

    Raises
    ------
    AnnotationError
        If the labels are not 2D whole numbers, or they or the tolerance negative.

    Notes
    -----
    At tolerance 0 no polygons overlap: the order of drawing does not matter.
    VIA's polygons have no holes: a region with holes, be they unlabelled or of
    another class, is cut along a horizontal edge of pixels through each hole,
    on both sides as far as the outside of the region; holes beside each other
    share a cut. So no piece has a hole: it would hold a closed path round an old
    hole, whose cut crosses it, or round a cut, which would not reach the outside.

    Pixels that touch only at a corner are not connected. An outline may
    therefore touch itself at a vertex, but never crosses itself; the even-odd
    and the non-zero rule fill it alike.

    Examples
    --------
    >>> import numpy as np
    >>> from napari_fractoseg.annotations.trace import trace_polygons
    >>> (polygon,) = trace_polygons(np.array([[0, 0, 0], [0, 2, 2]]))
    >>> polygon.value, polygon.area_px
    (2, 2)
    >>> polygon.columns.tolist(), polygon.rows.tolist()
    ([1.0, 3.0, 3.0, 1.0], [1.0, 1.0, 2.0, 2.0])
    """
    labels = np.asarray(labels)
    _check(labels, tolerance_px)
    if labels.size == 0:
        return []
    regions = _regions(labels, min_area_px)
    pieces = _without_holes(regions)
    areas = np.bincount(pieces.ravel())
    found: dict[int, list[TracedPolygon]] = {}
    for ring in _rings(pieces):
        first = int(ring[0][0]), int(ring[1][0])
        rows, columns = _simplified(ring, tolerance_px) if tolerance_px > 0 else ring
        polygon = TracedPolygon(int(labels[first]), rows, columns, int(areas[pieces[first]]))
        found.setdefault(int(regions[first]), []).append(polygon)
    return [polygon for polygons in found.values() for polygon in polygons]


def image_from_labels(
    labels: npt.NDArray[Any],
    scheme: ClassScheme,
    *,
    filename: str,
    attribute: str = "name",
    size: int = UNKNOWN_SIZE,
    tolerance_px: float = 0.0,
    min_area_px: int = 0,
) -> AnnotatedImage:
    """Return a label image as an image entry of a VIA file.

    Parameters
    ----------
    labels : ndarray of int, shape (Y, X)
        Class values; 0 is unlabelled.
    scheme : ClassScheme
        Classes of the label values.
    filename : str
        Name of the image file.
    attribute : str
        Name of the region attribute that is to hold the class.
    size : int
        Size of the image file in bytes, -1 if unknown.
    tolerance_px : float
        Distance in pixels by which outlines may move when they are simplified;
        at 0 they are exact.
    min_area_px : int
        Least area of a region in pixels; smaller ones are left out.

    Returns
    -------
    AnnotatedImage
        Entry with one polygon for each region or piece of a region.

    Raises
    ------
    ClassSchemeError
        If a value belongs to no class.
    AnnotationError
        If the labels are not 2D whole numbers, or they or the tolerance negative.
    """
    labels = np.asarray(labels)
    scheme.check_labels(labels)
    polygons = trace_polygons(labels, tolerance_px=tolerance_px, min_area_px=min_area_px)
    regions = tuple(
        Region(polygon.to_shape(), {attribute: scheme.by_value(polygon.value).name})
        for polygon in polygons
    )
    return AnnotatedImage(filename, regions, size)


def _plain(values: npt.NDArray[np.float64]) -> list[int | float]:
    rounded = (round(value, 3) for value in values.tolist())
    return [int(value) if value.is_integer() else value for value in rounded]


def _check(labels: npt.NDArray[Any], tolerance_px: float) -> None:
    if labels.ndim != 2 or labels.dtype.kind not in "iub":
        raise AnnotationError(
            f"Labels have the shape {labels.shape} and the type {labels.dtype}; they must be 2D "
            "and whole numbers. Pass one plane (Y, X), converted with astype('uint8')."
        )
    if labels.size and labels.min() < UNLABELLED:
        raise AnnotationError(
            f"Labels hold the value {labels.min()}; they start at 0, which means unlabelled. "
            "Set negative labels to 0."
        )
    if not 0 <= tolerance_px < np.inf:
        raise AnnotationError(
            f"tolerance_px is {tolerance_px}; it cannot be negative or infinite. Use 0 for exact "
            "outlines, or 1 or 2 for simpler ones."
        )


def _regions(labels: npt.NDArray[Any], min_area_px: int) -> _Indices:
    """Return an array that numbers the 4-connected regions of at least this area from 1."""
    regions: _Indices = label(labels, background=UNLABELLED, connectivity=1)
    keep = np.bincount(regions.ravel()) >= min_area_px
    return np.where(keep[regions], regions, 0)


def _without_holes(regions: _Indices) -> _Indices:
    """Return an array that numbers pieces of regions from 1, cut so that none has a hole."""
    joined = (regions[:-1] == regions[1:]) & (regions[1:] > 0)
    boxes = ndimage.find_objects(regions)
    for region in _with_holes(regions):
        rows, columns = box = boxes[region - 1]
        joined[rows.start : rows.stop - 1, columns] &= ~_cuts(regions[box] == region)
    # A row between each two rows of pixels holds whether the pixel above is joined to that below.
    doubled = np.zeros((2 * len(regions) - 1, regions.shape[1]), dtype=regions.dtype)
    doubled[::2] = regions
    doubled[1::2] = np.where(joined, regions[:-1], 0)
    return np.asarray(label(doubled, background=0, connectivity=1)[::2])


def _with_holes(regions: _Indices) -> _Indices:
    """Return the numbers of the regions that have holes.

    A region has 1 - E holes. With 4-connected pixels, its Euler number E is
    pixels - pairs of neighbours + blocks of 2 x 2 pixels.
    """
    beside = regions[:, :-1] == regions[:, 1:]
    below = regions[:-1] == regions[1:]
    block = beside[:-1] & beside[1:] & below[:, :-1]
    n = int(regions.max()) + 1
    pixels = np.bincount(regions.ravel(), minlength=n)
    pairs = np.bincount(regions[:, :-1][beside], minlength=n)
    pairs += np.bincount(regions[:-1][below], minlength=n)
    blocks = np.bincount(regions[:-1, :-1][block], minlength=n)
    holed = (pixels > 0) & (pixels - pairs + blocks < 1)
    return np.flatnonzero(holed[1:]) + 1


def _cuts(region: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Return which pixels of a region are to be cut from the one below, shape (Y - 1, X)."""
    padded = np.pad(~region, 1, constant_values=True)
    background, _ = ndimage.label(padded, structure=np.ones((3, 3)))
    outside = background == background[0, 0]
    boxes = ndimage.find_objects(background)
    spans = {n: (rows.start, rows.stop) for n, (rows, _) in enumerate(boxes, 1)}
    del spans[int(background[0, 0])]
    cut = np.zeros(padded.shape, dtype=bool)  # along the upper edges of pixels
    for hole, edge in _shared_edges(spans).items():
        column = int(np.argmax(background[min(edge, spans[hole][1] - 1)] == hole))
        ends = np.flatnonzero(outside[edge - 1] | outside[edge])
        after = int(np.searchsorted(ends, column))
        cut[edge, ends[after - 1] + 1 : ends[after]] = True
    return cut[2:-1, 1:-1] & region[:-1] & region[1:]


def _shared_edges(spans: dict[int, tuple[int, int]]) -> dict[int, int]:
    """Return hole -> an edge in its span, near the middle; as few different ones as possible."""
    groups: dict[int, list[int]] = {}
    group = [0, -1]  # what the spans of a group have in common
    for hole, (start, stop) in sorted(spans.items(), key=lambda item: item[1][1]):
        if start > group[1]:
            group = [start, stop]
        group[0] = max(group[0], start)
        groups[hole] = group
    return {hole: sum(common) // 2 for hole, common in groups.items()}


def _rings(pieces: _Indices) -> Iterator[Vertices]:
    """Yield the outline of each piece, from the corner of its first pixel, in raster order.

    The sides of a pixel are 0 (upper, runs east), 1 (right, south), 2 (lower,
    west) and 3 (left, north). A run is a straight line of sides; at its end the
    outline turns right, or left if the pixel ahead is of the same piece. All
    runs are found at once, and then followed from one to the next.
    """
    flat, width = np.pad(pieces, 1).ravel(), pieces.shape[1] + 2
    steps = (1, width, -1, -width)
    same = [(flat == np.roll(flat, -step)) & (flat > 0) for step in steps]
    starts, following = [], []
    for way, step in enumerate(steps):
        side = ~same[way - 1] & (flat > 0)
        straight = side & same[way] & np.roll(side, -step)
        first = np.flatnonzero(side & ~np.roll(straight, step))
        last = np.flatnonzero(side & ~straight)
        if way % 2:  # sorted along their direction, starts and ends of runs pair up
            first, last = (i[np.argsort(i % width, kind="stable")] for i in (first, last))
        left, right = last + step + steps[way - 1], last
        turns = np.where(same[way][last], left * 4 + (way - 1) % 4, right * 4 + (way + 1) % 4)
        starts.append(first * 4 + way)
        following.append(turns)
    codes = np.concatenate(starts)  # of runs: four times the first pixel, plus the direction
    order = np.argsort(codes)
    then = order[np.searchsorted(codes, np.concatenate(following), sorter=order)].tolist()
    pixels, ways = codes // 4, codes % 4
    # VIA's coordinates of the start of each run; the pad of one pixel is taken off.
    rows = (pixels // width - (ways < 2)).astype(np.float64)
    columns = (pixels % width - ((ways == 0) | (ways == 3))).astype(np.float64)
    _, heads = np.unique(flat[starts[0] // 4], return_index=True)
    for head in np.sort(heads).tolist():
        ring, run = [head], then[head]
        while run != head:
            ring.append(run)
            run = then[run]
        yield rows[ring], columns[ring]


def _simplified(ring: Vertices, tolerance_px: float) -> Vertices:
    """Return a ring with fewer vertices, or as it is if it would lose its area."""
    closed = np.column_stack([np.append(values, values[0]) for values in ring])
    y, x = approximate_polygon(closed, tolerance_px).T
    twice_the_area = x[:-1] @ y[1:] - x[1:] @ y[:-1]  # positive if clockwise
    return (y[:-1], x[:-1]) if twice_the_area > 0 else ring
