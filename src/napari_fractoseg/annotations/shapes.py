"""Shapes of VIA: a check whether they can be drawn, and their outlines in pixel edges.

The origin is the top left corner of the image, x points right and y down; a
pixel in row r and column c covers y from r to r + 1 and x from c to c + 1.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from pydantic import Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from napari_fractoseg.annotations.document import Region
from napari_fractoseg.errors import AnnotationError

__all__ = [
    "AREAS",
    "KINDS",
    "closed_ring",
    "open_ring",
    "outline_px",
    "problem_of",
    "ring_area_px2",
]

Vertices: TypeAlias = tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]

AREAS = ("rect", "circle", "ellipse", "polygon")
"""Kinds of shapes that have an area."""

KINDS = (*AREAS, "polyline", "point")
"""Kinds of shapes that VIA has on images."""

_CURVE_POINTS = 180

_FARTHEST_PX = 1e9
"""Largest coordinate in pixels: beyond it, scikit-image's integers overflow."""

_Number = Annotated[float, Field(allow_inf_nan=False, ge=-_FARTHEST_PX, le=_FARTHEST_PX)]
_Radius = Annotated[float, Field(allow_inf_nan=False, ge=0, le=_FARTHEST_PX)]
_Numbers = Annotated[list[_Number], Field(min_length=1)]


@dataclass
class _Rect:
    name: Literal["rect"]
    x: _Number
    y: _Number
    width: _Number
    height: _Number


@dataclass
class _Circle:
    name: Literal["circle"]
    cx: _Number
    cy: _Number
    r: _Radius


@dataclass
class _Ellipse:
    name: Literal["ellipse"]
    cx: _Number
    cy: _Number
    rx: _Radius
    ry: _Radius
    theta: _Number = 0.0


@dataclass
class _Points:
    name: Literal["polygon", "polyline"]
    all_points_x: _Numbers
    all_points_y: _Numbers


@dataclass
class _Point:
    name: Literal["point"]
    cx: _Number
    cy: _Number


_SHAPE: TypeAdapter[Any] = TypeAdapter(
    Annotated[_Rect | _Circle | _Ellipse | _Points | _Point, Field(discriminator="name")]
)


def problem_of(shape: Mapping[str, Any]) -> str:
    """Return why a shape cannot be drawn; an empty text if it can be.

    Parameters
    ----------
    shape : mapping
        VIA's ``shape_attributes``: ``name`` of the kind, and coordinates in pixels.

    Examples
    --------
    >>> from napari_fractoseg.annotations.shapes import problem_of
    >>> problem_of({"name": "point", "cx": 1, "cy": 2})
    ''
    >>> problem_of({"name": "square"})
    "shape 'square' is none of rect, circle, ellipse, polygon, polyline, point"
    """
    name = shape.get("name")
    if name not in KINDS:
        return f"shape {name!r} is none of {', '.join(KINDS)}"
    try:
        parsed = _SHAPE.validate_python(dict(shape))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"][1:])
        if first["type"] == "missing":
            return f"{name} without {where}"
        return f"{name}, {where} {str(first['input'])[:40]!r}: {first['msg']}"
    if isinstance(parsed, _Points) and len(parsed.all_points_x) != len(parsed.all_points_y):
        return (
            f"{name} with {len(parsed.all_points_x)} x and {len(parsed.all_points_y)} y coordinates"
        )
    return ""


def outline_px(region: Region, where: str = "region") -> Vertices:
    """Return the outline of a region as rows and columns, in pixel edges.

    Parameters
    ----------
    region : Region
        Region of any kind of shape. A polyline gives its points, a point itself.
    where : str
        Place that the error names, such as ``image 'a.png', region 3``.

    Returns
    -------
    rows, columns : ndarray of float64, shape (n,)
        Vertices in pixel edges. A ring is open: its last vertex is not its first.

    Raises
    ------
    AnnotationError
        If the shape cannot be drawn.

    Notes
    -----
    Ellipse: x = cx + rx cos t cos θ - ry sin t sin θ, y = cy + rx cos t sin θ
    + ry sin t cos θ, as in VIA's source; θ turns clockwise on the screen.
    """
    if region.problem or (problem := problem_of(region.shape)):
        raise AnnotationError(
            f"{where}: {region.problem or problem}. Draw it again in VIA, or leave damaged "
            "regions out."
        )
    shape = region.shape
    if region.kind in ("polygon", "polyline"):
        columns = np.asarray(shape["all_points_x"], dtype=np.float64)
        rows = np.asarray(shape["all_points_y"], dtype=np.float64)
        return open_ring(rows, columns) if region.kind == "polygon" else (rows, columns)
    if region.kind == "rect":
        x, y, width, height = (float(shape[k]) for k in ("x", "y", "width", "height"))
        return np.array([y, y, y + height, y + height]), np.array([x, x + width, x + width, x])
    cx, cy = float(shape["cx"]), float(shape["cy"])
    if region.kind == "point":
        return np.array([cy]), np.array([cx])
    rx, ry, theta = ellipse_axes(shape)
    t = np.linspace(0, 2 * math.pi, _CURVE_POINTS, endpoint=False)
    along, across = rx * np.cos(t), ry * np.sin(t)
    rows = cy + along * math.sin(theta) + across * math.cos(theta)
    columns = cx + along * math.cos(theta) - across * math.sin(theta)
    return rows, columns


def ellipse_axes(shape: Mapping[str, Any]) -> tuple[float, float, float]:
    """Return both half axes in pixels and the turn in radians of a circle or an ellipse."""
    if shape["name"] == "circle":
        return float(shape["r"]), float(shape["r"]), 0.0
    return float(shape["rx"]), float(shape["ry"]), float(shape.get("theta", 0.0))


def open_ring(rows: npt.NDArray[np.float64], columns: npt.NDArray[np.float64]) -> Vertices:
    """Return rows and columns of a ring without its last vertex if that repeats the first."""
    if len(rows) > 1 and rows[0] == rows[-1] and columns[0] == columns[-1]:
        return rows[:-1], columns[:-1]
    return rows, columns


def ring_area_px2(rows: Sequence[float], columns: Sequence[float]) -> float:
    """Return the area inside a ring in square pixels, by the shoelace formula.

    Examples
    --------
    >>> from napari_fractoseg.annotations.shapes import ring_area_px2
    >>> ring_area_px2([0, 0, 2], [0, 3, 3])
    3.0
    """
    after = [*columns[1:], columns[0]], [*rows[1:], rows[0]]
    return abs(sum(x * y1 - x1 * y for x, y, x1, y1 in zip(columns, rows, *after, strict=True))) / 2


def closed_ring(shape: Mapping[str, Any], closed: bool) -> dict[str, Any]:
    """Return the ``shape_attributes`` of a polygon as a closed or an open ring.

    A closed ring repeats its first point at the end, as VIA 1 has it. Other
    shapes, and polygons without points, are returned as they are.
    """
    result = dict(shape)
    xs, ys = shape.get("all_points_x"), shape.get("all_points_y")
    if shape.get("name") != "polygon" or not (isinstance(xs, list) and isinstance(ys, list)):
        return result
    if not xs or len(xs) != len(ys):
        return result
    is_closed = len(xs) > 1 and (xs[0], ys[0]) == (xs[-1], ys[-1])
    if closed and not is_closed:
        result |= {"all_points_x": [*xs, xs[0]], "all_points_y": [*ys, ys[0]]}
    elif is_closed and not closed:
        result |= {"all_points_x": xs[:-1], "all_points_y": ys[:-1]}
    return result
