"""Regions that were drawn or changed outside VIA."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from napari_fractoseg.annotations.document import Region
from napari_fractoseg.annotations.mapping import ClassMapping
from napari_fractoseg.errors import AnnotationError

__all__ = ["in_own_words", "number", "shape_of_box", "shape_of_points", "value_of", "with_class"]

_DECIMALS = 3
"""As many as VIA writes."""

_SAME_PX = 10**-_DECIMALS


def value_of(mapping: ClassMapping | None, class_name: str) -> str:
    """Return the attribute value by which a file names a class: its own word, or the name."""
    if mapping is not None:
        for value, name in mapping.classes.items():
            if name == class_name and value:
                return value
    return class_name


def in_own_words(region: Region, attribute: str, mapping: ClassMapping | None) -> Region:
    """Return a region with the file's own value instead of the name of the class."""
    value = value_of(mapping, str(region.attributes[attribute]))
    return replace(region, attributes={**region.attributes, attribute: value})


def with_class(
    region: Region, attribute: str, class_name: str, mapping: ClassMapping | None
) -> Region:
    """Return a region that belongs to a class; it is not touched if it does already.

    Parameters
    ----------
    region : Region
        Its other attributes are kept.
    attribute : str
        The attribute that holds the class.
    class_name : str
        Empty takes the value away, unless there is no mapping: then classes
        are not known, and nothing was said.
    mapping : ClassMapping or None
        Of the file it came from, so that the file's own words are used.
    """
    if _class_name(region, mapping) == class_name:
        return region
    attributes = {k: v for k, v in region.attributes.items() if k != attribute}
    if class_name:
        value = value_of(mapping, class_name)
        is_checkbox = isinstance(region.attributes.get(attribute), Mapping)
        attributes[attribute] = {value: True} if is_checkbox else value
    return replace(region, attributes=attributes)


def _class_name(region: Region, mapping: ClassMapping | None) -> str:
    """Return the class a region has so far, empty if it has none."""
    if mapping is None:
        return ""
    try:
        found = mapping.class_of(region, "region")
    except AnnotationError:  # drawn anew, or with a value that is no class
        return ""
    return "" if found is None else found.name


def shape_of_points(
    kind: Literal["polygon", "polyline"],
    rows: npt.NDArray[np.float64],
    columns: npt.NDArray[np.float64],
) -> dict[str, Any]:
    """Return VIA's ``shape_attributes`` of vertices in pixel edges."""
    return {
        "name": kind,
        "all_points_x": [number(x) for x in columns],
        "all_points_y": [number(y) for y in rows],
    }


def shape_of_box(
    kind: Literal["rect", "ellipse", "point"],
    rows: npt.NDArray[np.float64],
    columns: npt.NDArray[np.float64],
) -> dict[str, Any]:
    """Return VIA's ``shape_attributes`` of what lies in a box given by its four corners.

    Parameters
    ----------
    kind : {"rect", "ellipse", "point"}
        A turned rectangle becomes a polygon, VIA has none; an ellipse with
        equal half axes a circle; a point lies in the middle.
    rows, columns : ndarray of float64, shape (4,)
        Corners in order, in pixel edges.
    """
    cy, cx = float(rows.mean()), float(columns.mean())
    if kind == "point":
        return {"name": "point", "cx": number(cx), "cy": number(cy)}
    if kind == "rect":
        is_upright = np.allclose([rows[0], columns[1]], [rows[1], columns[2]]) or np.allclose(
            [columns[0], rows[1]], [columns[1], rows[2]]
        )
        if not is_upright:
            return shape_of_points("polygon", rows, columns)
        x, y = float(columns.min()), float(rows.min())
        width, height = float(np.ptp(columns)), float(np.ptp(rows))
        return {
            "name": "rect", "x": number(x), "y": number(y),
            "width": number(width), "height": number(height),
        }  # fmt: skip
    along = columns[1] - columns[0], rows[1] - rows[0]
    across = columns[2] - columns[1], rows[2] - rows[1]
    rx, ry = math.hypot(*along) / 2, math.hypot(*across) / 2
    centre = {"cx": number(cx), "cy": number(cy)}
    # napari keeps vertices in single precision.
    if math.isclose(rx, ry, rel_tol=0, abs_tol=_SAME_PX):
        return {"name": "circle", **centre, "r": number(rx)}
    theta = math.atan2(along[1], along[0])
    return {
        "name": "ellipse", **centre, "rx": number(rx), "ry": number(ry), "theta": number(theta),
    }  # fmt: skip


def number(value: float) -> int | float:
    """Return a coordinate with VIA's three decimals; whole ones as whole numbers."""
    rounded = round(float(value), _DECIMALS)
    return int(rounded) if rounded.is_integer() else rounded
