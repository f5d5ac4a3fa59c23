"""Reading of the COCO files that VIA 2 exports, and of what those of others share with them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any, TypeGuard

from napari_fractoseg.annotations.document import AnnotatedImage, Flavour, Region, ViaDocument
from napari_fractoseg.annotations.formats.csv_rows import Tally
from napari_fractoseg.annotations.formats.entries import as_mapping, make_region
from napari_fractoseg.annotations.shapes import closed_ring, problem_of
from napari_fractoseg.errors import AnnotationError

__all__ = ["are_numbers", "image_of", "is_via_coco", "known_sides", "outlined", "parse"]

VIA = "VGG Image Annotator"

DEFAULT_ATTRIBUTE = "class"
"""Name of the attribute where categories have no supercategory."""

STANDARD = (
    "segmentation", "area", "bbox", "iscrowd", "keypoints", "num_keypoints",
    "id", "image_id", "category_id",
)  # fmt: skip
LEAST_NUMBERS = 6
_TOLERANCE_PX = 0.01
_NO_ID = ("", "None")


def is_via_coco(data: object) -> bool:
    """Tell whether JSON data are a COCO export of VIA; the COCO files of others are not."""
    return (
        isinstance(data, Mapping)
        and isinstance(data.get("images"), list)
        and isinstance(data.get("annotations"), list)
        and VIA in str(as_mapping(data.get("info")).get("description"))
    )


def parse(data: Mapping[str, Any], source: str) -> ViaDocument:
    """Return a COCO export as a document.

    Parameters
    ----------
    data : mapping
        JSON data of a file for which `is_via_coco` is true.
    source : str
        Name of the file, with which error messages begin.

    Returns
    -------
    ViaDocument
        Document in which categories are values of the attribute that their
        supercategory names. Images keep ``width`` and ``height``, where they
        are known, as extras; the numbers that join images, annotations and
        categories are not kept, as VIA makes new ones for each export.

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
        parsed = image_of(image, f"{source}, image {number}")
        if names.setdefault(identity, parsed) is not parsed:
            # VIA 2.0.10 takes the digits that all file names begin with for the ids.
            tally["Left out images with the id of an earlier one, which gets their regions"].append(
                repr(parsed.filename)
            )
    regions: dict[str, list[Region]] = {identity: [] for identity in names}
    for number, entry in _distinct(data["annotations"], tally):
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


def _distinct(annotations: list[Any], tally: Tally) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Yield annotations with their numbers, but each once.

    VIA 2.0.10 writes a region with several dropdown or radio attributes once for each of them,
    all with the same number and the same category.
    """
    known: dict[str, Mapping[str, Any]] = {}
    for number, annotation in enumerate(annotations):
        entry = as_mapping(annotation)
        earlier = known.setdefault(str(entry["id"]), entry) if "id" in entry else entry
        if earlier is not entry and earlier == entry:
            tally["Left out copies of an earlier annotation"].append(f"annotation {number}")
        else:
            yield number, entry


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


def image_of(image: object, where: str) -> AnnotatedImage:
    """Return an entry of COCO's images; the errors begin with `where`.

    Raises
    ------
    AnnotationError
        If it has no file name.
    """
    name = as_mapping(image).get("file_name")
    if not isinstance(name, str):
        raise AnnotationError(
            f"{where}: no file_name in {image!r:.80}. Add one, or remove the image from the file."
        )
    return AnnotatedImage(name, extras=known_sides(as_mapping(image)))


def known_sides(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the width and height in pixels that are known: VIA writes -1 for others."""
    sides = {side: values.get(side) for side in ("width", "height")}
    return {side: n for side, n in sides.items() if isinstance(n, int | float) and n > 0}


def _regions(annotation: Mapping[str, Any], attributes: Mapping[str, str]) -> Iterator[Region]:
    extras = {key: value for key, value in annotation.items() if key not in STANDARD}
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
        yield outlined(part, annotation.get("bbox"), attributes, extras)


def outlined(
    part: object, bbox: object, attributes: Mapping[str, Any], extras: Mapping[str, Any]
) -> Region:
    """Return a region of one part of COCO's segmentation: x, y, x, y, ... in pixel edges.

    Four corners of an upright rectangle become one, with the numbers of the box if that fits.
    """
    if not isinstance(part, list) or len(part) < LEAST_NUMBERS or len(part) % 2:
        problem = f"segmentation {part!r:.40} is not x, y of three points or more"
        return Region({"name": "polygon"}, attributes, extras, problem)
    shape = {"name": "polygon", "all_points_x": part[::2], "all_points_y": part[1::2]}
    if problem_of(shape) or not are_numbers(part):
        return make_region(shape, attributes, extras)
    polygon = closed_ring(shape, closed=False)
    # A flat rectangle looks like a closed triangle.
    rect = _as_rect(shape, bbox) or _as_rect(polygon, bbox)
    return make_region(rect or polygon, attributes, extras)


def are_numbers(values: object) -> TypeGuard[list[Any]]:
    """Tell whether a value is a list of numbers."""
    return isinstance(values, list) and all(isinstance(value, int | float) for value in values)


def _as_rect(polygon: Mapping[str, Any], bbox: Any) -> dict[str, Any] | None:
    """Return ``shape_attributes`` of the rectangle that a polygon is; None if it is none."""
    xs, ys = polygon["all_points_x"], polygon["all_points_y"]
    left, top, right, bottom = min(xs), min(ys), max(xs), max(ys)
    points = list(zip(xs, ys, strict=True))
    is_upright = all(a[0] == b[0] or a[1] == b[1] for a, b in pairwise(points))
    corners = {(left, top), (right, top), (right, bottom), (left, bottom)}
    if len(points) != 4 or set(points) != corners or not is_upright:
        return None
    width, height = right - left, bottom - top
    # Differences of decimal fractions are not exact; the box has the numbers as they were drawn.
    if are_numbers(bbox) and bbox[:2] == [left, top] and len(bbox) == 4:
        width = bbox[2] if abs(left + bbox[2] - right) < _TOLERANCE_PX else width
        height = bbox[3] if abs(top + bbox[3] - bottom) < _TOLERANCE_PX else height
    return {"name": "rect", "x": left, "y": top, "width": width, "height": height}
