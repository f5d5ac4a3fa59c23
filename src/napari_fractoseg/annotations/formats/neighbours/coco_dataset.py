"""Reading of COCO files that programs other than VIA write.

CVAT, Label Studio, Roboflow, makesense.ai, pycocotools and others differ in numbers of images and
categories, in supercategories, in closed and open outlines, and in masks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from napari_fractoseg.annotations.document import AnnotatedImage, Flavour, Region, ViaDocument
from napari_fractoseg.annotations.formats.coco import (
    STANDARD,
    are_numbers,
    image_of,
    outlined,
)
from napari_fractoseg.annotations.formats.csv_rows import Tally
from napari_fractoseg.annotations.formats.entries import as_mapping, choice_among, make_region
from napari_fractoseg.annotations.formats.neighbours.filled import mask_of_runs, outlines_of_mask
from napari_fractoseg.errors import AnnotationError

__all__ = ["is_coco_dataset", "parse"]

CATEGORY, SUPERCATEGORY = "category", "supercategory"
"""Region attributes that the category of an annotation, and what that belongs to, become."""

_NO_SUPERCATEGORY = ("", "none", "None")
_LOOKED_AT = 20
"""Number of images and annotations by which a file is told."""


def is_coco_dataset(data: object) -> bool:
    """Tell whether JSON data are COCO's, whoever wrote them.

    It says nothing about VIA's own export, which `formats.coco` reads.
    """
    if not isinstance(data, Mapping):
        return False
    images, annotations = data.get("images"), data.get("annotations")
    if not (isinstance(images, list) and isinstance(annotations, list)):
        return False
    entries = [*images[:_LOOKED_AT], *annotations[:_LOOKED_AT]]
    if not entries or not all(isinstance(entry, Mapping) for entry in entries):
        return not entries and isinstance(data.get("categories"), list)
    has_names = any("file_name" in image for image in images[:_LOOKED_AT])
    return has_names and all("image_id" in a for a in annotations[:_LOOKED_AT])


def parse(data: Mapping[str, Any], source: str) -> ViaDocument:
    """Return a COCO file as a document.

    Parameters
    ----------
    data : mapping
        JSON data of a file for which `is_coco_dataset` is true.
    source : str
        Name of the file, with which error messages begin.

    Returns
    -------
    ViaDocument
        Document in which the category is the region attribute ``category``, a dropdown of all
        categories of the file; a supercategory is an attribute of its own, and so is what CVAT
        writes as ``attributes``. Images keep ``width`` and ``height`` as extras.

    Raises
    ------
    AnnotationError
        If an image has no file name, or the file holds COCO's panoptic segments.
    """
    if any("segments_info" in as_mapping(a) for a in data["annotations"][:_LOOKED_AT]):
        raise AnnotationError(
            f"{source} holds panoptic segments of COCO, whose regions are in PNG files beside it. "
            "Export instances (polygons or masks) instead, or make a folder of masks of the PNGs."
        )
    tally = Tally()
    categories = _categories(data.get("categories"), tally)
    images: dict[str, AnnotatedImage] = {}
    for number, entry in enumerate(data["images"]):
        image = image_of(entry, f"{source}, image {number}")
        if images.setdefault(str(entry.get("id")), image) is not image:
            tally["Left out images with the id of an earlier one"].append(repr(image.filename))
    regions: dict[str, list[Region]] = {identity: [] for identity in images}
    for number, annotation in enumerate(data["annotations"]):
        entry, where = as_mapping(annotation), f"annotation {number}"
        identity = str(entry.get("image_id"))
        if identity not in regions:
            tally["Skipped annotations of images that are not in the file"].append(where)
            continue
        attributes = categories.get(str(entry.get("category_id")), {})
        if not attributes:
            tally["Annotations without a category of the file"].append(where)
        made = list(_regions(entry, attributes | _attributes(entry), tally, where))
        if len(made) > 1:
            tally["Annotations of several parts, each made a region"].append(where)
        regions[identity] += made
    found = tuple(
        AnnotatedImage(image.filename, tuple(regions[identity]), extras=image.extras)
        for identity, image in images.items()
    )
    names = dict.fromkeys(attributes[CATEGORY] for attributes in categories.values())
    definitions = choice_among(CATEGORY, names)
    return ViaDocument(found, Flavour.COCO_DATASET, definitions, notes=tally.notes)


def _categories(categories: object, tally: Tally) -> dict[str, dict[str, Any]]:
    """Return id of a category -> attributes of its regions."""
    found: dict[str, dict[str, Any]] = {}
    for category in categories if isinstance(categories, list) else []:
        entry = as_mapping(category)
        if entry.get("id") in (None, ""):
            tally["Ignored categories without an id"].append(repr(entry.get("name"))[:40])
            continue
        identity = str(entry["id"])
        attributes = {CATEGORY: str(entry.get("name") or identity)}
        above = str(entry.get(SUPERCATEGORY) or "")
        if above not in (*_NO_SUPERCATEGORY, attributes[CATEGORY]):
            attributes[SUPERCATEGORY] = above
        if found.setdefault(identity, attributes) != attributes:
            tally["Ignored categories with the id of an earlier one"].append(
                repr(attributes[CATEGORY])
            )
    return found


def _attributes(annotation: Mapping[str, Any]) -> dict[str, Any]:
    """Return what CVAT and others say about a region beside its category."""
    said = as_mapping(annotation.get("attributes"))
    return {k: v for k, v in said.items() if k not in (CATEGORY, SUPERCATEGORY)}


def _regions(
    annotation: Mapping[str, Any], attributes: Mapping[str, Any], tally: Tally, where: str
) -> Iterator[Region]:
    known = (*STANDARD, "attributes")
    extras = {key: value for key, value in annotation.items() if key not in known}
    segmentation, box = annotation.get("segmentation"), annotation.get("bbox")
    if annotation.get("iscrowd") in (1, True, "1"):
        tally["Annotations of crowds (iscrowd), taken for areas like the others"].append(where)
    if isinstance(segmentation, Mapping):
        yield from _regions_of_runs(segmentation, attributes, extras, tally, where)
        return
    parts = segmentation if isinstance(segmentation, list) else []
    if parts and not isinstance(parts[0], list):
        parts = [parts]
    parts = [part for part in parts if part != []]
    for part in parts:
        yield outlined(part, box, attributes, extras)
    if parts:
        return
    if are_numbers(box) and len(box) == 4:
        tally["Annotations without an outline, of which the box is taken"].append(where)
        shape = dict(zip(("x", "y", "width", "height"), box, strict=True))
        yield make_region({"name": "rect", **shape}, attributes, extras)
    else:
        problem = f"no outline in segmentation {segmentation!r:.40}, no box in bbox {box!r:.40}"
        yield Region({}, attributes, extras, problem)


def _regions_of_runs(
    runs: Mapping[str, Any],
    attributes: Mapping[str, Any],
    extras: Mapping[str, Any],
    tally: Tally,
    where: str,
) -> Iterator[Region]:
    try:
        shapes = outlines_of_mask(*mask_of_runs(runs))
    except AnnotationError as error:
        yield Region({}, attributes, extras, str(error))
        return
    if not shapes:
        tally["Skipped masks without a pixel"].append(where)
    for shape in shapes:
        yield make_region(shape, attributes, extras)
