"""The COCO files that VIA 2 exports: read, and written in the layout of VIA 2.0.11."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any

from napari_fractoseg.annotations._entries import as_mapping, make_region
from napari_fractoseg.annotations._via_csv import Tally
from napari_fractoseg.annotations.document import AnnotatedImage, Flavour, Region, ViaDocument
from napari_fractoseg.annotations.shapes import closed_ring, ellipse_axes, problem_of
from napari_fractoseg.errors import AnnotationError

__all__ = ["is_via_coco", "parse", "render"]

VIA = "VGG Image Annotator"
INFO = {
    "version": "1.0",
    "description": f"Exported to COCO format in the layout of {VIA} 2.0.11 by napari-fractoseg",
    "contributor": "",
    "url": "http://www.robots.ox.ac.uk/~vgg/software/via/",
    "date_created": "",
}
LICENSE = {"id": 0, "name": "Unknown License", "url": ""}

DEFAULT_ATTRIBUTE = "class"
"""Name of the attribute where categories have no supercategory."""

_STANDARD = (
    "segmentation", "area", "bbox", "iscrowd", "keypoints", "num_keypoints",
    "id", "image_id", "category_id",
)  # fmt: skip
_LEAST_NUMBERS = 6
_CURVE_DEGREES = 5
_TOLERANCE_PX = 0.01
_NO_ID = ("", "None")


def is_via_coco(data: object) -> bool:
    """Tell VIA's COCO exports from other JSON, also from the COCO of others."""
    return (
        isinstance(data, Mapping)
        and isinstance(data.get("images"), list)
        and isinstance(data.get("annotations"), list)
        and VIA in str(as_mapping(data.get("info")).get("description"))
    )


def parse(data: Mapping[str, Any], source: str) -> ViaDocument:
    """Make a document of a COCO export.

    Parameters
    ----------
    data : mapping
        That `is_via_coco` knows.
    source : str
        Begins the errors.

    Returns
    -------
    ViaDocument
        Categories become values of the attribute that their supercategory
        names. Images keep ``width`` and ``height``, where they are known, as
        extras; the numbers that join images, annotations and categories are
        not kept, as VIA makes new ones for each export.

    Raises
    ------
    AnnotationError
        If an image has no file name.
    """
    tally = Tally()
    definitions, values = _categories(data.get("categories"), tally)
    names: dict[str, AnnotatedImage] = {}
    for number, image in enumerate(data["images"]):
        identity = str(as_mapping(image).get("id"))
        parsed = _image(image, f"{source}, image {number}")
        if names.setdefault(identity, parsed) is not parsed:
            # VIA 2.0.10 takes the digits that all file names begin with for the ids.
            tally["Left out images with the id of an earlier one, which gets their regions"].append(
                repr(parsed.filename)
            )
    regions: dict[str, list[Region]] = {identity: [] for identity in names}
    for number, annotation in enumerate(data["annotations"]):
        entry = as_mapping(annotation)
        identity, category = str(entry.get("image_id")), str(entry.get("category_id"))
        if identity not in regions:
            tally["Skipped annotations of images that are not in the file"].append(
                f"annotation {number}"
            )
            continue
        if category not in values:
            tally["Annotations without a category of the file"].append(f"annotation {number}")
        made = list(_regions(entry, values.get(category, {})))
        if len(made) > 1:
            tally["Annotations of several parts, each made a region"].append(f"annotation {number}")
        regions[identity] += made
    images = tuple(
        AnnotatedImage(image.filename, tuple(regions[identity]), extras=image.extras)
        for identity, image in names.items()
    )
    return ViaDocument(images, Flavour.COCO, definitions, notes=tally.notes)


def _categories(
    categories: object, tally: Tally
) -> tuple[dict[str, dict[str, Any]], dict[str, dict[str, str]]]:
    """Return VIA 2's definitions, and id of the category -> attribute -> value."""
    named: dict[str, Any] = {}
    values: dict[str, dict[str, str]] = {}
    for category in categories if isinstance(categories, list) else []:
        identity = str(as_mapping(category).get("id"))
        attribute = str(as_mapping(category).get("supercategory") or DEFAULT_ATTRIBUTE)
        value = str(as_mapping(category).get("name") or identity)
        if identity in _NO_ID:
            tally["Ignored categories without an id"].append(repr(value))
        # VIA 2.0.9 repeats all of them for each image.
        elif values.setdefault(identity, {attribute: value}) != {attribute: value}:
            tally["Ignored categories with the id of an earlier one"].append(repr(value))
        else:
            dropdown = {"type": "dropdown", "description": "", "options": {}, "default_options": {}}
            named.setdefault(attribute, dropdown)["options"][value] = value
    return {"region": named, "file": {}}, values


def _image(image: object, where: str) -> AnnotatedImage:
    name = as_mapping(image).get("file_name")
    if not isinstance(name, str):
        raise AnnotationError(
            f"{where}: no file_name in {image!r:.80}. Add one, or remove the image from the file."
        )
    return AnnotatedImage(name, extras=_sides(as_mapping(image)))


def _sides(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return width and height, where they are known: VIA writes -1 where they are not."""
    sides = {side: values.get(side) for side in ("width", "height")}
    return {side: n for side, n in sides.items() if isinstance(n, int | float) and n > 0}


def _regions(annotation: Mapping[str, Any], attributes: Mapping[str, str]) -> Iterator[Region]:
    extras = {key: value for key, value in annotation.items() if key not in _STANDARD}
    segmentation, keypoints = annotation.get("segmentation"), annotation.get("keypoints")
    if isinstance(segmentation, Mapping):
        problem = "a run-length encoded mask, which is no shape of VIA"
        yield Region({}, attributes, extras, problem)
        return
    parts = segmentation if isinstance(segmentation, list) else []
    if parts and not isinstance(parts[0], list):  # VIA 2.0.8 and 2.0.9
        parts = [parts]
    parts = [part for part in parts if part != []]
    if not parts and isinstance(keypoints, list) and len(keypoints) == 3:
        point = {"name": "point", "cx": keypoints[0], "cy": keypoints[1]}
        yield make_region(point, attributes, extras)
    elif not parts:
        yield Region({}, attributes, extras, f"no outline in segmentation {segmentation!r:.40}")
    for part in parts:
        yield _outlined(part, annotation.get("bbox"), attributes, extras)


def _outlined(
    part: object, bbox: object, attributes: Mapping[str, str], extras: Mapping[str, Any]
) -> Region:
    if not isinstance(part, list) or len(part) < _LEAST_NUMBERS or len(part) % 2:
        problem = f"segmentation {part!r:.40} is not x, y of three points or more"
        return Region({"name": "polygon"}, attributes, extras, problem)
    shape = {"name": "polygon", "all_points_x": part[::2], "all_points_y": part[1::2]}
    if problem_of(shape) or not _are_numbers(part):
        return make_region(shape, attributes, extras)
    polygon = closed_ring(shape, closed=False)
    # A flat rectangle looks like a closed triangle.
    rect = _as_rect(shape, bbox) or _as_rect(polygon, bbox)
    return make_region(rect or polygon, attributes, extras)


def _are_numbers(values: object) -> bool:
    return isinstance(values, list) and all(isinstance(value, int | float) for value in values)


def _as_rect(polygon: Mapping[str, Any], bbox: Any) -> dict[str, Any] | None:
    """Return the rectangle that a polygon is; None if it is another shape."""
    xs, ys = polygon["all_points_x"], polygon["all_points_y"]
    left, top, right, bottom = min(xs), min(ys), max(xs), max(ys)
    points = list(zip(xs, ys, strict=True))
    is_upright = all(a[0] == b[0] or a[1] == b[1] for a, b in pairwise(points))
    corners = {(left, top), (right, top), (right, bottom), (left, bottom)}
    if len(points) != 4 or set(points) != corners or not is_upright:
        return None
    width, height = right - left, bottom - top
    # Differences of decimal fractions are not exact; the box has the numbers as they were drawn.
    if _are_numbers(bbox) and bbox[:2] == [left, top] and len(bbox) == 4:
        width = bbox[2] if abs(left + bbox[2] - right) < _TOLERANCE_PX else width
        height = bbox[3] if abs(top + bbox[3] - bottom) < _TOLERANCE_PX else height
    return {"name": "rect", "x": left, "y": top, "width": width, "height": height}


def render(
    document: ViaDocument, attribute: str | None = None
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return a document as COCO data in the layout of VIA 2.0.11.

    Parameters
    ----------
    document : ViaDocument
        Circles and ellipses become polygons of 72 points.
    attribute : str, optional
        Its values become the categories, with the attribute as their
        supercategory. By default the only dropdown or radio attribute, or the
        only one that the regions have.

    Returns
    -------
    data : dict
        ``area`` is that of the outline, as COCO has it; VIA writes the area of
        its box. There is no date, so that equal documents make equal files.
    notes : tuple of str
        What COCO cannot hold.

    Raises
    ------
    AnnotationError
        If several attributes could name the categories.
    """
    tally = Tally()
    name = attribute or _category_attribute(document)
    options = filter(str.strip, document.definition(name).options)
    ids = {value: number for number, value in enumerate(options, 1)}
    annotations: list[dict[str, Any]] = []
    images = []
    for number, image in enumerate(document, 1):
        sides = {"width": -1, "height": -1} | _sides(image.extras)
        file = {"file_name": image.filename, "license": LICENSE["id"], "date_captured": ""}
        images.append({"id": number, **sides, **file})
        if image.attributes:
            tally["Images whose attributes COCO cannot hold"].append(repr(image.filename))
        for region, value in _writable(image, name, tally):
            joined = {
                "id": len(annotations) + 1,
                "image_id": number,
                "category_id": ids.setdefault(value, len(ids) + 1),
            }
            extras = {key: v for key, v in region.extras.items() if key not in _STANDARD}
            annotations.append(_geometry(region) | joined | extras)
    data = {
        "info": dict(INFO),
        "images": images,
        "annotations": annotations,
        "licenses": [dict(LICENSE)],
        "categories": [{"supercategory": name, "id": n, "name": v} for v, n in ids.items()],
    }
    return data, tally.notes


def _category_attribute(document: ViaDocument) -> str:
    attributed = [r for image in document for r in image.drawable if r.attributes]
    used = list(dict.fromkeys(name for r in attributed for name in r.attributes))
    shared = [name for name in used if all(r.ticked(name) for r in attributed)]
    defined = as_mapping(document.definitions.get("region"))
    choices = [n for n in defined if document.definition(n).kind in ("dropdown", "radio")]
    for names in (choices, shared, [n for n in shared if n in choices], used):
        if len(names) == 1:
            return str(names[0])
    if not used:
        return DEFAULT_ATTRIBUTE
    raise AnnotationError(
        f"COCO holds one attribute of a region, and {used} could be it. Make one of them, "
        "and no other, a dropdown or radio attribute in VIA and save the project, or name it "
        "(attribute=)."
    )


def _writable(image: AnnotatedImage, name: str, tally: Tally) -> Iterator[tuple[Region, str]]:
    """Yield the regions that COCO can hold, with their categories; the rest is noted."""
    for number, region in enumerate(image.regions):
        place = f"{image.filename!r} region {number}"
        values = region.ticked(name)
        if region.problem or problem_of(region.shape):
            tally["Left out damaged regions"].append(place)
        elif region.kind == "polyline":
            tally["Left out polylines, which COCO does not have"].append(place)
        elif region.kind == "polygon" and len(_outline(region)) < _LEAST_NUMBERS:
            tally["Left out polygons of fewer than three points"].append(place)
        elif not values:
            tally[f"Left out regions without a value of {name!r}"].append(place)
        else:
            if len(values) > 1:
                tally[f"Regions written once for each value of {name!r}"].append(place)
            if set(region.attributes) != {name}:
                tally["Regions whose other attributes COCO cannot hold"].append(place)
            yield from ((region, value) for value in values)


def _geometry(region: Region) -> dict[str, Any]:
    outline = _outline(region)
    if region.kind == "point":
        box = {"segmentation": [[]], "area": 0, "bbox": [*outline, 0, 0], "iscrowd": 0}
        return box | {"keypoints": [*outline, 2], "num_keypoints": 1}
    xs, ys = outline[::2], outline[1::2]
    left, top = min(xs), min(ys)
    sides = _short(max(xs) - left), _short(max(ys) - top)
    if region.kind == "rect":
        sides = abs(_number(region.shape["width"])), abs(_number(region.shape["height"]))
    # The shoelace formula.
    after = [*xs[1:], xs[0]], [*ys[1:], ys[0]]
    twice = sum(x * y1 - x1 * y for x, y, x1, y1 in zip(xs, ys, *after, strict=True))
    box = {"area": _short(abs(twice) / 2), "bbox": [left, top, *sides], "iscrowd": 0}
    return {"segmentation": [outline], **box}


def _outline(region: Region) -> list[float]:
    """Return x, y, x, y, ... of a shape."""
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
