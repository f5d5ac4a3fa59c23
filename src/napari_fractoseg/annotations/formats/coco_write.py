"""Writing of COCO files in the layout of VIA 2.0.11."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from napari_fractoseg.annotations.document import AnnotatedImage, Region, ViaDocument
from napari_fractoseg.annotations.formats.coco import (
    DEFAULT_ATTRIBUTE,
    LEAST_NUMBERS,
    STANDARD,
    VIA,
    known_sides,
)
from napari_fractoseg.annotations.formats.csv_rows import Tally
from napari_fractoseg.annotations.formats.entries import as_mapping
from napari_fractoseg.annotations.shapes import closed_ring, ellipse_axes, problem_of, ring_area_px2
from napari_fractoseg.errors import AnnotationError
from napari_fractoseg.text import counted

__all__ = ["holdable", "outline_of", "render"]

INFO = {
    "version": "1.0",
    "description": f"Exported to COCO format in the layout of {VIA} 2.0.11 by napari-fractoseg",
    "contributor": "",
    "url": "http://www.robots.ox.ac.uk/~vgg/software/via/",
    "date_created": "",
}
LICENSE = {"id": 0, "name": "Unknown License", "url": ""}

_CURVE_DEGREES = 5


def holdable(
    document: ViaDocument, attribute: str | None = None, *, skip_unclassified: bool = False
) -> tuple[ViaDocument, str | None]:
    """Return the regions of a document that COCO can hold, and the attribute of the categories.

    Parameters
    ----------
    document : ViaDocument
        Document to write.
    attribute : str, optional
        Name of the region attribute whose values become the categories, as in `render`.
    skip_unclassified : bool
        Whether regions without a value of it are left out rather than refused.

    Returns
    -------
    document : ViaDocument
        Document without the other regions; its notes say which were left out.
    attribute : str or None
        Attribute to give to `render`; None where no region is left.

    Raises
    ------
    AnnotationError
        If several attributes could name the categories, or regions have no value of it.
    """
    name, tally = _category_attribute(document, attribute), Tally()
    images = [
        replace(image, regions=tuple(region for region, _ in _holdable(image, name, tally)))
        for image in document
    ]
    lost = tally.get(_without_value(name), [])
    if lost and not skip_unclassified:
        raise AnnotationError(
            f"{counted(len(lost), 'region has', 'regions have')} no value of {name!r} to become a "
            f"category, such as {lost[0]}. Give each a value in VIA, or say which class all "
            "regions are, or have these left out.",
            options=("all_as", "skip_unclassified", "attribute"),
        )
    held = replace(document.with_images(images), notes=(*document.notes, *tally.notes))
    return held, name if any(image.regions for image in images) else None


def render(
    document: ViaDocument, attribute: str | None = None
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return a document as COCO data in the layout of VIA 2.0.11.

    Parameters
    ----------
    document : ViaDocument
        Document to write; circles and ellipses become polygons of 72 points.
    attribute : str, optional
        Name of the region attribute whose values become the categories, with
        the attribute as their supercategory. By default the only dropdown or
        radio attribute, or the only one that the regions have.

    Returns
    -------
    data : dict
        JSON data of the file. ``area`` is that of the outline, as COCO has it;
        VIA writes the area of its box. There is no date, so that equal
        documents make equal files.
    notes : tuple of str
        Sentences on what COCO cannot hold.

    Raises
    ------
    AnnotationError
        If several attributes could name the categories, or `attribute` is not there.
    """
    tally = Tally()
    name = _category_attribute(document, attribute)
    options = filter(str.strip, document.definition(name).options)
    ids = {value: number for number, value in enumerate(options, 1)}
    annotations: list[dict[str, Any]] = []
    images = []
    for number, image in enumerate(document, 1):
        sides = {"width": -1, "height": -1} | known_sides(image.extras)
        file = {"file_name": image.filename, "license": LICENSE["id"], "date_captured": ""}
        images.append({"id": number, **sides, **file})
        if image.attributes or set(image.extras) - set(sides):
            tally["Images whose attributes or extra keys COCO cannot hold"].append(
                repr(image.filename)
            )
        for region, value in _writable(image, name, tally):
            joined = {
                "id": len(annotations) + 1,
                "image_id": number,
                "category_id": ids.setdefault(value, len(ids) + 1),
            }
            extras = {key: v for key, v in region.extras.items() if key not in STANDARD}
            annotations.append(_geometry(region) | joined | extras)
    data = {
        "info": dict(INFO),
        "images": images,
        "annotations": annotations,
        "licenses": [dict(LICENSE)],
        "categories": [{"supercategory": name, "id": n, "name": v} for v, n in ids.items()],
    }
    return data, tally.notes


def _category_attribute(document: ViaDocument, wanted: str | None) -> str:
    attributed = [r for image in document for r in image.drawable if r.attributes]
    used = list(dict.fromkeys(name for r in attributed for name in r.attributes))
    shared = [name for name in used if all(r.ticked(name) for r in attributed)]
    defined = as_mapping(document.definitions.get("region"))
    if wanted is not None:
        if wanted in (*used, *defined):
            return wanted
        raise AnnotationError(
            f"No region has an attribute {wanted!r}; there are {used or 'none'}. Name one of "
            "these.",
            options=("attribute",),
        )
    choices = [n for n in defined if document.definition(n).kind in ("dropdown", "radio")]
    for names in (choices, shared, [n for n in shared if n in choices], used):
        if len(names) == 1:
            return str(names[0])
    if not used:
        return DEFAULT_ATTRIBUTE
    raise AnnotationError(
        f"COCO holds one attribute of a region, and {used} could be it. Make one of them, "
        "and no other, a dropdown or radio attribute in VIA and save the project, or name the "
        "attribute.",
        options=("attribute",),
    )


def _holdable(image: AnnotatedImage, name: str, tally: Tally) -> Iterator[tuple[Region, str]]:
    """Yield the regions that COCO can hold, with their places; add the rest to the tally."""
    for number, region in enumerate(image.regions):
        place = f"{image.filename!r} region {number}"
        if region.problem or problem_of(region.shape):
            tally["Left out damaged regions"].append(place)
        elif region.kind == "polyline":
            tally["Left out polylines, which COCO does not have"].append(place)
        elif region.kind == "polygon" and len(outline_of(region)) < LEAST_NUMBERS:
            tally["Left out polygons of fewer than three points"].append(place)
        elif not region.ticked(name):
            tally[_without_value(name)].append(place)
        else:
            yield region, place


def _without_value(name: str) -> str:
    return f"Left out regions without a value of {name!r}"


def _writable(image: AnnotatedImage, name: str, tally: Tally) -> Iterator[tuple[Region, str]]:
    """Yield the regions to write, with their categories; the tally gets what is lost."""
    for region, place in _holdable(image, name, tally):
        values = region.ticked(name)
        if len(values) > 1:
            tally[f"Regions written once for each value of {name!r}"].append(place)
        if set(region.attributes) != {name}:
            tally["Regions whose other attributes COCO cannot hold"].append(place)
        yield from ((region, value) for value in values)


def _geometry(region: Region) -> dict[str, Any]:
    outline = outline_of(region)
    if region.kind == "point":
        box = {"segmentation": [[]], "area": 0, "bbox": [*outline, 0, 0], "iscrowd": 0}
        return box | {"keypoints": [*outline, 2], "num_keypoints": 1}
    xs, ys = outline[::2], outline[1::2]
    left, top = min(xs), min(ys)
    sides = _short(max(xs) - left), _short(max(ys) - top)
    if region.kind == "rect":
        sides = abs(_number(region.shape["width"])), abs(_number(region.shape["height"]))
    box = {"area": _short(ring_area_px2(ys, xs)), "bbox": [left, top, *sides], "iscrowd": 0}
    return {"segmentation": [outline], **box}


def outline_of(region: Region) -> list[float]:
    """Return the vertices of a region as x, y, x, y, ... in pixel edges."""
    shape = closed_ring(region.shape, closed=False)
    if region.kind == "polygon":
        points = zip(shape["all_points_x"], shape["all_points_y"], strict=True)
        return [_number(value) for point in points for value in point]
    if region.kind == "rect":
        x, y, width, height = (_number(shape[k]) for k in ("x", "y", "width", "height"))
        return [x, y, x + width, y, x + width, y + height, x, y + height]
    if region.kind == "point":
        return [_number(shape["cx"]), _number(shape["cy"])]
    rx, ry, theta = ellipse_axes(shape)
    outline = []
    for degrees in range(0, 360, _CURVE_DEGREES):
        along = rx * math.cos(math.radians(degrees))
        across = ry * math.sin(math.radians(degrees))
        x = float(shape["cx"]) + along * math.cos(theta) - across * math.sin(theta)
        y = float(shape["cy"]) + along * math.sin(theta) + across * math.cos(theta)
        outline += [_short(x), _short(y)]
    return outline


def _number(value: Any) -> float:
    """Return a coordinate as it is; scripts write some as text."""
    return value if isinstance(value, int | float) else _short(float(value), 15)


def _short(value: float, decimals: int = 3) -> float:
    rounded = round(value, decimals)
    return int(rounded) if rounded == int(rounded) else rounded
