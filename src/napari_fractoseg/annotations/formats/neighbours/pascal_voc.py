"""Reading of Pascal VOC's XML files, one for each image: boxes, turned boxes and polygons.

LabelImg, CVAT, Roboflow and makesense.ai write them, and the LabelMe of the web, without boxes.
"""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from napari_fractoseg.annotations.document import AnnotatedImage, Flavour, Region, ViaDocument
from napari_fractoseg.annotations.formats.csv_rows import Tally
from napari_fractoseg.annotations.formats.entries import choice_among, make_region
from napari_fractoseg.errors import AnnotationError, translated
from napari_fractoseg.text import counted

__all__ = ["parse", "root_of"]

NAME = "name"
"""Region attribute that the name of an object becomes."""

_SHAPES = ("bndbox", "robndbox", "polygon", "part")
_NOTHING_SAID = ("", "0", "Unspecified")
"""Texts of ``pose``, ``truncated``, ``difficult`` and ``occluded`` that say nothing."""


def root_of(text: str, source: str) -> ET.Element | None:
    """Return the root of an XML text if it is Pascal VOC's, None if it is something else.

    Parameters
    ----------
    text : str
        Content of the file.
    source : str
        Name of the file, with which error messages begin.

    Raises
    ------
    AnnotationError
        If it is no XML, or defines a document type or entities, as no annotation file does.
    """
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise AnnotationError(
            f"{source} defines a document type or entities, which annotations do not need. Remove "
            "its <!DOCTYPE ...> if you trust the file."
        )
    remedy = "Was it cut off, or edited by hand? Write the annotations again."
    with translated(AnnotationError, f"{source} is not valid XML", remedy):
        root = ET.fromstring(text)  # noqa: S314 - without a DOCTYPE there is nothing to expand
    if root.tag != "annotation" or not any(child.tag in ("filename", "object") for child in root):
        return None
    return root


def parse(root: ET.Element, source: str) -> ViaDocument:
    """Return a Pascal VOC file as a document of one image.

    Parameters
    ----------
    root : Element
        Root of the XML, from `root_of`.
    source : str
        Name of the file, after which the image is called if it has no name.

    Returns
    -------
    ViaDocument
        Document in which names of objects are the region attribute ``name``. Boxes reach from
        ``xmin`` to ``xmax``, taken for pixel edges as most programs write them.
    """
    tally = Tally()
    regions = tuple(
        region
        for number, entry in enumerate(root.iter("object"))
        for region in _regions(entry, tally, f"object {number}")
    )
    names = dict.fromkeys(r.attributes[NAME] for r in regions if NAME in r.attributes)
    size = root.find("size")
    sides = (
        {} if size is None else {side: _number(size.findtext(side)) for side in ("width", "height")}
    )
    image = AnnotatedImage(
        _text(root, "filename") or f"{Path(source).stem}.png",
        regions,
        extras={side: n for side, n in sides.items() if isinstance(n, int) and n > 0},
    )
    return ViaDocument((image,), Flavour.PASCAL_VOC, choice_among(NAME, names), notes=tally.notes)


def _text(element: ET.Element, tag: str) -> str:
    return (element.findtext(tag) or "").strip()


def _regions(entry: ET.Element, tally: Tally, where: str) -> Iterator[Region]:
    if _text(entry, "deleted") == "1":
        tally["Skipped objects that are deleted"].append(where)
        return
    attributes = {NAME: name} if (name := _text(entry, NAME)) else {}
    for child in entry:
        text = (child.text or "").strip()
        is_said = child.tag not in (NAME, *_SHAPES) and not len(child)
        if is_said and text not in _NOTHING_SAID and child.tag not in ("id", "date", "deleted"):
            attributes.setdefault(str(child.tag), text)
    if entry.find("part") is not None:
        tally["Left out parts of objects, such as heads and hands"].append(where)
    shape = _shape(entry)
    if isinstance(shape, str):
        yield Region({}, attributes, problem=shape)
    else:
        yield make_region(shape, attributes)


def _shape(entry: ET.Element) -> dict[str, Any] | str:
    """Return VIA's ``shape_attributes`` of an object, or the reason if there are none."""
    polygon, box, turned = (entry.find(tag) for tag in ("polygon", "bndbox", "robndbox"))
    if polygon is not None and len(polygon):
        return _polygon(polygon)
    if box is not None:
        left, top, right, bottom = (
            _number(box.findtext(tag)) for tag in ("xmin", "ymin", "xmax", "ymax")
        )
        if any(isinstance(n, str) for n in (left, top, right, bottom)):
            return f"bndbox of {left}, {top}, {right}, {bottom}, which are not four numbers"
        return {"name": "rect", "x": left, "y": top, "width": right - left, "height": bottom - top}
    if turned is not None:
        return _turned(turned)
    return "neither bndbox nor polygon"


def _number(text: str | None) -> Any:
    """Return a number as it is written, whole or not; the text if it is none."""
    try:
        value = float(text or "")
    except ValueError:
        return repr(text)[:40]
    return int(value) if value.is_integer() else value


def _polygon(polygon: ET.Element) -> dict[str, Any] | str:
    """Return a polygon of x1, y1, x2, y2, ..., or of points as the LabelMe of the web has them."""
    points = [(p.findtext("x"), p.findtext("y")) for p in polygon.findall("pt")]
    if not points:
        tags = {str(child.tag): child.text for child in polygon}
        numbers = [n for n in range(1, len(tags) + 1) if f"x{n}" in tags]
        points = [(tags[f"x{n}"], tags.get(f"y{n}")) for n in numbers]
    if len(points) < 3:
        return f"a polygon of {counted(len(points), 'point')}"
    xs, ys = ([_number(point[axis]) for point in points] for axis in (0, 1))
    return {"name": "polygon", "all_points_x": xs, "all_points_y": ys}


def _turned(box: ET.Element) -> dict[str, Any] | str:
    """Return the corners of a box that is turned clockwise about its middle, by radians."""
    cx, cy, width, height, angle = (
        _number(box.findtext(tag)) for tag in ("cx", "cy", "w", "h", "angle")
    )
    if any(isinstance(n, str) or not math.isfinite(n) for n in (cx, cy, width, height, angle)):
        return f"robndbox of {cx}, {cy}, {width}, {height}, {angle}, which are not five numbers"
    corners = [(-width, -height), (width, -height), (width, height), (-width, height)]
    cos, sin = math.cos(angle) / 2, math.sin(angle) / 2
    return {
        "name": "polygon",
        "all_points_x": [round(cx + x * cos - y * sin, 3) for x, y in corners],
        "all_points_y": [round(cy + x * sin + y * cos, 3) for x, y in corners],
    }
