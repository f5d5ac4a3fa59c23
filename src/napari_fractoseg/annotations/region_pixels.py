"""Pixels that a region covers, found for each kind of shape.

A pixel belongs to a region if its centre lies inside. Centres on the outline
itself belong to polygons and lines, not to circles and ellipses; to rectangles
on the left and at the top. So two polygons with a common edge may share pixels.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt
import skimage.draw

from napari_fractoseg.annotations.document import Region
from napari_fractoseg.annotations.shapes import ellipse_axes

__all__ = ["Pixels", "pixels_of", "to_pixel_centres", "to_pixel_edges"]

# Flat indices, each once: one array a region, and far smaller than a mask of the image.
Pixels: TypeAlias = npt.NDArray[np.intp]
_Coordinates = TypeVar("_Coordinates", float, npt.NDArray[np.float64])

_BAND_PX = 64


def to_pixel_centres(
    rows: _Coordinates, columns: _Coordinates
) -> tuple[_Coordinates, _Coordinates]:
    """Return VIA's coordinates as those of arrays and napari.

    VIA counts pixel edges: the first pixel reaches from 0 to 1. Arrays count
    pixel centres: it reaches from -0.5 to 0.5.
    """
    return rows - 0.5, columns - 0.5


def to_pixel_edges(rows: _Coordinates, columns: _Coordinates) -> tuple[_Coordinates, _Coordinates]:
    """Return coordinates of arrays and napari (pixel centres) as VIA's (pixel edges)."""
    return rows + 0.5, columns + 0.5


def pixels_of(
    region: Region, shape: tuple[int, int], half_width_px: float, point_radius_px: float
) -> Pixels:
    """Return the pixels that a region covers.

    Parameters
    ----------
    region : Region
        Region of any kind of shape that is not damaged.
    shape : tuple of int
        Rows and columns of the image.
    half_width_px : float
        Reach of polylines to either side, in pixels.
    point_radius_px : float
        Radius of the disks that stand for points, in pixels.

    Returns
    -------
    ndarray of intp, shape (n,)
        Indices of pixels in the flattened image, each once.
    """
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


def _rectangle(attributes: Mapping[str, Any], shape: tuple[int, int]) -> Pixels:
    x, y, width, height = (float(attributes[k]) for k in ("x", "y", "width", "height"))
    # After resizing in VIA, widths and heights may be negative.
    top, left = to_pixel_centres(min(y, y + height), min(x, x + width))
    bottom, right = to_pixel_centres(max(y, y + height), max(x, x + width))
    rows = _span(math.ceil(top), math.ceil(bottom), shape[0])
    columns = _span(math.ceil(left), math.ceil(right), shape[1])
    return _flat(rows[:, None], columns, shape).ravel()


def _polygon(
    rows: npt.NDArray[np.float64], columns: npt.NDArray[np.float64], shape: tuple[int, int]
) -> Pixels:
    # Double clicks in VIA leave polygons of one or two points; skimage may draw those.
    if len({*zip(rows.tolist(), columns.tolist(), strict=True)}) < 3:
        return np.empty(0, dtype=np.intp)
    if _runs_along_pixels(rows, columns):
        return _stepped(rows, columns, shape)
    inside_rows, inside_columns = skimage.draw.polygon(rows, columns, shape)
    return _flat(inside_rows, inside_columns, shape)


def _runs_along_pixels(rows: npt.NDArray[np.float64], columns: npt.NDArray[np.float64]) -> bool:
    """Tell whether every side of a ring lies on pixel edges, as in rings traced from labels."""
    straight = (rows == np.roll(rows, 1)) | (columns == np.roll(columns, 1))
    return bool(straight.all() and (rows % 1 == 0.5).all() and (columns % 1 == 0.5).all())


def _stepped(
    rows: npt.NDArray[np.float64], columns: npt.NDArray[np.float64], shape: tuple[int, int]
) -> Pixels:
    """Return the pixels inside a ring that runs along pixel edges, by the even-odd rule.

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
) -> Pixels:
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
) -> Pixels:
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
) -> Iterator[Pixels]:
    """Yield the pixels within reach of a segment, in bands of rows: a diagonal has a huge box."""
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


def _span(start: int, stop: int, size: int) -> Pixels:
    return np.arange(min(max(start, 0), size), min(max(stop, 0), size), dtype=np.intp)


def _flat(rows: Pixels, columns: Pixels, shape: tuple[int, int]) -> Pixels:
    return rows * shape[1] + columns
