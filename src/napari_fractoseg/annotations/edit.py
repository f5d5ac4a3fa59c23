"""Regions in VIA's words, made from shapes that were drawn or changed outside VIA."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import chain, count
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from napari_fractoseg.annotations.class_mapping import ClassMapping
from napari_fractoseg.annotations.document import (
    TEXT,
    AttributeDefinition,
    Region,
    ViaDocument,
)
from napari_fractoseg.annotations.formats.entries import as_mapping
from napari_fractoseg.errors import AnnotationError

__all__ = [
    "DEFAULT_ATTRIBUTE",
    "ClassWords",
    "number",
    "shape_of_box",
    "shape_of_points",
    "with_class",
    "with_one_class",
]

DEFAULT_ATTRIBUTE = "name"
"""Region attribute for the class where no file names one, as in the files of arXiv 1908.02242."""

_DECIMALS = 3
"""Decimals of a coordinate, as many as VIA writes."""

_SAME_PX = 10**-_DECIMALS


@dataclass(frozen=True)
class ClassWords:
    """Words in which an annotation file says which class a region belongs to.

    Parameters
    ----------
    attribute : str
        Name of the region attribute that holds the class.
    mapping : ClassMapping or None
        Mapping of the file's values to classes; None where the classes are not known.
    definition : AttributeDefinition
        Type and options of the attribute.
    """

    attribute: str
    mapping: ClassMapping | None = None
    definition: AttributeDefinition = TEXT

    def word(self, class_name: str) -> str:
        """Return the word for a class.

        It is a value that the file has for it, else an option of the
        attribute, else the name of the class.
        """
        if self.mapping is None:
            return class_name
        for value, name in self.mapping.classes.items():
            if name == class_name and value:
                return value
        scheme = self.mapping.scheme
        for option, text in self.definition.options.items():
            found = scheme.get(option) or scheme.get(text)
            if found is not None and found.name == class_name:
                return option
        return class_name

    def value(self, class_name: str) -> str | dict[str, bool]:
        """Return the attribute's value for a class: a word, or for a checkbox word -> True."""
        word = self.word(class_name)
        return {word: True} if self.definition.kind == "checkbox" else word

    def class_name(self, region: Region) -> str:
        """Return the class a region has so far, empty if it has none."""
        if self.mapping is None:
            return ""
        try:
            found = self.mapping.class_of(region, "region")
        except AnnotationError:  # drawn anew, or with a value that is no class
            return ""
        return "" if found is None else found.name


def with_class(region: Region, class_name: str, words: ClassWords) -> Region:
    """Return a region that belongs to a class; it is not touched if it does already.

    Parameters
    ----------
    region : Region
        Region to change; its other attributes are kept.
    class_name : str
        Name of the class. Empty takes the value away, unless `words` has no
        mapping: then classes are not known, and nothing was said.
    words : ClassWords
        Words of the file for its classes.
    """
    if words.class_name(region) == class_name:
        return region
    attributes = {k: v for k, v in region.attributes.items() if k != words.attribute}
    if class_name:
        value = words.value(class_name)
        if isinstance(region.attributes.get(words.attribute), Mapping) and isinstance(value, str):
            value = {value: True}
        attributes[words.attribute] = value
    return replace(region, attributes=attributes)


def with_one_class(
    document: ViaDocument, class_name: str, attribute: str | None = None
) -> tuple[ViaDocument, str]:
    """Return a document all of whose regions are of one class, and the attribute that says so.

    Parameters
    ----------
    document : ViaDocument
        Document to change; its damaged regions stay as they are.
    class_name : str
        Name of the class.
    attribute : str, optional
        Region attribute that gets the class, in place of what it says; by default one that no
        region has: ``name``, else ``class``, ``class 2`` and so on.
    """
    defined = as_mapping(document.definitions.get("region"))
    if attribute is None:
        used = {n for image in document for r in image.regions for n in r.attributes} | set(defined)
        names = chain((DEFAULT_ATTRIBUTE, "class"), (f"class {n}" for n in count(2)))
        attribute = next(name for name in names if name not in used)
    value = ClassWords(attribute, definition=document.definition(attribute)).value(class_name)
    images = [
        replace(
            image,
            regions=tuple(
                r if r.problem else replace(r, attributes={**r.attributes, attribute: value})
                for r in image.regions
            ),
        )
        for image in document
    ]
    if document.flavour.has_definitions and attribute not in defined:
        choice = {"type": "radio", "description": "", "options": {class_name: class_name}}
        region = {**defined, attribute: {**choice, "default_options": {}}}
        document = replace(document, definitions={**document.definitions, "region": region})
    return document.with_images(images), attribute


def shape_of_points(
    kind: Literal["polygon", "polyline"],
    rows: npt.NDArray[np.float64],
    columns: npt.NDArray[np.float64],
) -> dict[str, Any]:
    """Return VIA's ``shape_attributes`` of a polygon or polyline with vertices in pixel edges."""
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
    """Return VIA's ``shape_attributes`` of a shape that fills a box given by its four corners.

    Parameters
    ----------
    kind : {"rect", "ellipse", "point"}
        Shape in the box. A turned rectangle becomes a polygon, as VIA has no
        such rectangles; an ellipse with equal half axes becomes a circle; a
        point lies in the middle.
    rows, columns : ndarray of float64, shape (4,)
        Corners of the box, one after the other around it, in pixel edges.
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
