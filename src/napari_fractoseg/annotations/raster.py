"""Regions -> label image.

A pixel belongs to a region if its centre lies inside. Centres on the outline
itself belong to polygons and lines, not to circles and ellipses; to rectangles
on the left and at the top. So two polygons with a common edge may share pixels.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, TypeVar, get_args

import numpy as np
import numpy.typing as npt
import skimage.draw

from napari_fractoseg.annotations.document import AnnotatedImage, Region
from napari_fractoseg.annotations.mapping import ClassMapping
from napari_fractoseg.annotations.shapes import ellipse_axes, problem_of
from napari_fractoseg.classes import UNLABELLED, ClassScheme
from napari_fractoseg.errors import AnnotationError

__all__ = ["Overlap", "Rasterised", "rasterise", "to_pixel_centres", "to_pixel_edges"]

Overlap: TypeAlias = Literal["later", "smaller", "unlabelled"]
"""Which region a pixel belongs to that lies in several; see `rasterise`."""

# Flat indices, each once: one array a region, and far smaller than a mask of the image.
_Pixels: TypeAlias = npt.NDArray[np.intp]
_Coordinates = TypeVar("_Coordinates", float, npt.NDArray[np.float64])

_BAND_PX = 64


def to_pixel_centres(
    rows: _Coordinates, columns: _Coordinates
) -> tuple[_Coordinates, _Coordinates]:
    """Turn VIA's coordinates into those of arrays and napari.

    VIA counts pixel edges: the first pixel reaches from 0 to 1. Arrays count
    pixel centres: it reaches from -0.5 to 0.5.
    """
    return rows - 0.5, columns - 0.5


def to_pixel_edges(rows: _Coordinates, columns: _Coordinates) -> tuple[_Coordinates, _Coordinates]:
    """Undo `to_pixel_centres`."""
    return rows + 0.5, columns + 0.5


@dataclass(frozen=True, eq=False)
class Rasterised:
    """The regions of an image as labels, and what became of them.

    Parameters
    ----------
    labels : ndarray of uint8, shape (Y, X)
        Class values; 0 is unlabelled.
    overlaps : mapping of (str, str) to int
        (class below, class drawn over it) -> pixels, in the order of the file
        whatever the overlap rule. Regions of the same class count too; a pixel
        under three regions counts twice.
    empty : tuple of int
        Numbers of the regions that cover no pixel: outside the image or too
        small.
    skipped : int
        Damaged regions, which are left out.
    """

    labels: npt.NDArray[np.uint8]
    overlaps: Mapping[tuple[str, str], int]
    empty: tuple[int, ...]
    skipped: int


def rasterise(
    image: AnnotatedImage,
    shape: tuple[int, int],
    mapping: ClassMapping,
    *,
    overlap: Overlap = "later",
    unannotated: str | None = None,
    line_width_px: float = 3.0,
    point_radius_px: float = 3.0,
) -> Rasterised:
    """Draw the regions of an image as labels.

    Parameters
    ----------
    image : AnnotatedImage
        Its damaged regions are left out and counted.
    shape : tuple of int
        Rows and columns of the image.
    mapping : ClassMapping
        Tells the class of each region.
    overlap : {"later", "smaller", "unlabelled"}
        A pixel in several regions belongs to the one that comes later in the
        file; or to the one that covers fewer pixels of the image, of equal
        ones to the later; or, if their classes differ, to none.
    unannotated : str, optional
        Class of the pixels without a region, such as ``background``; by
        default they are unlabelled. Contested pixels, and those of regions
        that the mapping leaves out, are not without a region.
    line_width_px : float
        Width of polylines. A closed one is a line too, not an area.
    point_radius_px : float
        Radius of the disks that stand for points.

    Returns
    -------
    Rasterised

    Raises
    ------
    AnnotationError
        If a region has no class, naming image and region; if an argument is
        not one of those above.
    ClassSchemeError
        If `unannotated` is not a class of the mapping's scheme.

    Notes
    -----
    Rectangles, circles and ellipses are tested by their formula, lines by the
    distance to the nearest segment, polygons by the even-odd rule.
    """
    if overlap not in get_args(Overlap):
        raise AnnotationError(f"overlap={overlap!r} is none of {', '.join(get_args(Overlap))}.")
    if not (line_width_px > 0 and point_radius_px > 0):
        raise AnnotationError(
            f"line width {line_width_px} px and point radius {point_radius_px} px must be above 0."
        )
    fill = None if unannotated is None else mapping.scheme.find(unannotated).value
    canvas = _Canvas(shape, overlap)
    empty: list[int] = []
    skipped = 0
    for number, region in enumerate(image.regions):
        if region.problem or problem_of(region.shape):
            skipped += 1
            continue
        its_class = mapping.class_of(region, f"image {image.filename!r}, region {number}")
        pixels = _pixels(region, shape, line_width_px / 2, point_radius_px)
        if its_class is None:
            canvas.left_out.append(pixels)
            continue
        canvas.draw(its_class.value, pixels)
        if not pixels.size:
            empty.append(number)
    labels = canvas.finished(fill)
    return Rasterised(labels, canvas.named_overlaps(mapping.scheme), tuple(empty), skipped)


@dataclass
class _Canvas:
    """Draws later regions over earlier ones, and remembers where that matters."""

    shape: tuple[int, int]
    overlap: Overlap
    drawn: list[tuple[int, _Pixels]] = field(default_factory=list)
    contested: list[_Pixels] = field(default_factory=list)
    left_out: list[_Pixels] = field(default_factory=list)
    overlaps: Counter[tuple[int, int]] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.labels = np.zeros(math.prod(self.shape), dtype=np.uint8)

    def draw(self, value: int, pixels: _Pixels) -> None:
        below = self.labels[pixels]
        if below.any():
            counts = np.bincount(below)
            for other in np.flatnonzero(counts):
                if other != UNLABELLED:
                    self.overlaps[int(other), value] += int(counts[other])
            self.contested.append(pixels[(below != UNLABELLED) & (below != value)])
        self.labels[pixels] = value
        if self.overlap == "smaller":
            self.drawn.append((value, pixels))

    def finished(self, fill: int | None) -> npt.NDArray[np.uint8]:
        labels = self.labels
        if self.overlaps:
            # The sort is stable: of equally large regions the later is still drawn last.
            for value, pixels in sorted(self.drawn, key=lambda item: -item[1].size):
                labels[pixels] = value
        if self.overlap == "unlabelled":
            for pixels in self.contested:
                labels[pixels] = UNLABELLED
        if fill is not None:
            blank = labels == UNLABELLED
            for pixels in (*self.contested, *self.left_out):
                blank[pixels] = False
            labels[blank] = fill
        return labels.reshape(self.shape)

    def named_overlaps(self, scheme: ClassScheme) -> dict[tuple[str, str], int]:
        names = {c.value: c.name for c in scheme}
        return {(names[a], names[b]): n for (a, b), n in self.overlaps.items()}


def _pixels(
    region: Region, shape: tuple[int, int], half_width_px: float, point_radius_px: float
) -> _Pixels:
    """Return the pixels of a region that is not damaged."""
    if region.kind == "rect":
        return _rectangle(region.shape, shape)
    if region.kind in ("polygon", "polyline"):
        rows, columns = to_pixel_centres(
            np.asarray(region.shape["all_points_y"], dtype=np.float64),
            np.asarray(region.shape["all_points_x"], dtype=np.float64),
        )
        if region.kind == "polyline":
            return _line(rows, columns, half_width_px, shape)
        return _polygon(rows, columns, shape)
    row, column = to_pixel_centres(float(region.shape["cy"]), float(region.shape["cx"]))
    if region.kind == "point":
        return _ellipse(row, column, (point_radius_px, point_radius_px, 0.0), shape)
    return _ellipse(row, column, ellipse_axes(region.shape), shape)


def _rectangle(attributes: Mapping[str, Any], shape: tuple[int, int]) -> _Pixels:
    x, y, width, height = (float(attributes[k]) for k in ("x", "y", "width", "height"))
    # After resizing in VIA, widths and heights may be negative.
    top, left = to_pixel_centres(min(y, y + height), min(x, x + width))
    bottom, right = to_pixel_centres(max(y, y + height), max(x, x + width))
    rows = _span(math.ceil(top), math.ceil(bottom), shape[0])
    columns = _span(math.ceil(left), math.ceil(right), shape[1])
    return _flat(rows[:, None], columns, shape).ravel()


def _polygon(
    rows: npt.NDArray[np.float64], columns: npt.NDArray[np.float64], shape: tuple[int, int]
) -> _Pixels:
    # Double clicks in VIA leave polygons of one or two points; skimage may draw those.
    if len({*zip(rows.tolist(), columns.tolist(), strict=True)}) < 3:
        return np.empty(0, dtype=np.intp)
    if _runs_along_pixels(rows, columns):
        return _stepped(rows, columns, shape)
    inside_rows, inside_columns = skimage.draw.polygon(rows, columns, shape)
    return _flat(inside_rows, inside_columns, shape)


def _runs_along_pixels(rows: npt.NDArray[np.float64], columns: npt.NDArray[np.float64]) -> bool:
    """Whether every side lies on the edges of pixels, as those traced from labels do."""
    straight = (rows == np.roll(rows, 1)) | (columns == np.roll(columns, 1))
    return bool(straight.all() and (rows % 1 == 0.5).all() and (columns % 1 == 0.5).all())


def _stepped(
    rows: npt.NDArray[np.float64], columns: npt.NDArray[np.float64], shape: tuple[int, int]
) -> _Pixels:
    """Fill a ring along the edges of pixels by the even-odd rule.

    scikit-image compares each pixel with each vertex, which takes half a
    minute for a traced image of 1280 x 1280 pixels; here no centre lies on a
    side, so counting the upright sides to the left of it is exact.
    """
    edges = [
        np.clip(c + 0.5, 0, n).astype(np.intp) for c, n in ((rows, shape[0]), (columns, shape[1]))
    ]
    (top, left), (bottom, right) = ((int(e.min()) for e in edges), (int(e.max()) for e in edges))
    if bottom == top or right == left:
        return np.empty(0, dtype=np.intp)
    row, column = edges[0] - top, edges[1] - left
    upright = columns == np.roll(columns, -1)
    ends = np.sort(np.stack([row, np.roll(row, -1)])[:, upright], axis=0)
    sides = np.zeros((bottom - top + 1, right - left + 1), dtype=np.int32)
    np.add.at(sides, (ends[0], column[upright]), 1)
    np.add.at(sides, (ends[1], column[upright]), -1)
    crossed = sides.cumsum(axis=0)[:-1].cumsum(axis=1)[:, :-1]
    inside_rows, inside_columns = np.nonzero(crossed & 1)
    return _flat(inside_rows + top, inside_columns + left, shape)


def _ellipse(
    row: float, column: float, axes: tuple[float, float, float], shape: tuple[int, int]
) -> _Pixels:
    along, across, theta = axes
    if along == 0 or across == 0:
        return np.empty(0, dtype=np.intp)
    # VIA turns clockwise on the screen, skimage the other way.
    rows, columns = skimage.draw.ellipse(row, column, across, along, shape, rotation=-theta)
    return _flat(rows, columns, shape)


def _line(
    rows: npt.NDArray[np.float64],
    columns: npt.NDArray[np.float64],
    half_width_px: float,
    shape: tuple[int, int],
) -> _Pixels:
    """Return the pixels at most half a width away from a line."""
    vertices = list(zip(rows.tolist(), columns.tolist(), strict=True))
    found = [
        pixels
        for start, end in zip(vertices, vertices[1:] or vertices, strict=False)
        for pixels in _segment(start, end, half_width_px, shape)
    ]
    return np.unique(np.concatenate(found)) if found else np.empty(0, dtype=np.intp)


def _segment(
    start: tuple[float, float], end: tuple[float, float], reach: float, shape: tuple[int, int]
) -> Iterator[_Pixels]:
    """Yield the pixels near a segment, in bands of rows: a long diagonal has a huge box."""
    (row, column), (down, right) = start, (end[0] - start[0], end[1] - start[1])
    length2 = down * down + right * right or 1.0
    first, last = sorted((row, end[0]))
    rows = _span(math.ceil(first - reach), math.floor(last + reach) + 1, shape[0])
    for top in range(0, len(rows), _BAND_PX):
        band = rows[top : top + _BAND_PX, None]
        ends = [0.0, 1.0]
        if down:
            beyond = (float(band[0, 0]) - reach, float(band[-1, 0]) + reach)
            ends = [min(max((r - row) / down, 0.0), 1.0) for r in beyond]
        low, high = sorted(column + t * right for t in ends)
        columns = _span(math.floor(low - reach), math.ceil(high + reach) + 1, shape[1])
        t = np.clip(((band - row) * down + (columns - column) * right) / length2, 0, 1)
        distance2 = (band - row - t * down) ** 2 + (columns - column - t * right) ** 2
        inside = np.nonzero(distance2 <= reach * reach)
        yield _flat(band[inside[0], 0], columns[inside[1]], shape)


def _span(start: int, stop: int, size: int) -> _Pixels:
    return np.arange(min(max(start, 0), size), min(max(stop, 0), size), dtype=np.intp)


def _flat(rows: _Pixels, columns: _Pixels, shape: tuple[int, int]) -> _Pixels:
    return rows * shape[1] + columns
