"""Documents changed as a whole: for another version of VIA, joined, or with other definitions."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from napari_fractoseg.annotations.conversion.definitions import (
    class_definitions,
    complete_definitions,
    joined_definitions,
)
from napari_fractoseg.annotations.document import (
    UNKNOWN_SIZE,
    AnnotatedImage,
    Flavour,
    Region,
    ViaDocument,
)
from napari_fractoseg.annotations.formats.csv_rows import COLUMNS
from napari_fractoseg.annotations.formats.entries import as_mapping
from napari_fractoseg.annotations.formats.via_json import DEFAULT_NAME, default_settings
from napari_fractoseg.annotations.image_lookup import EMBEDDED, UNNAMED
from napari_fractoseg.annotations.shapes import closed_ring
from napari_fractoseg.classes import ClassScheme
from napari_fractoseg.text import counted

__all__ = [
    "edited",
    "in_flavour",
    "joined",
    "named_after",
    "project_of",
]

_CSV = (Flavour.VIA1_CSV, Flavour.VIA2_CSV)
_VIA1 = (Flavour.VIA1, Flavour.VIA1_CSV)
SIDES = ("width", "height")
"""Names of extras for the size of an image in pixels, which COCO writes."""

_OWN_EXTRAS = {
    Flavour.COCO: ("id", *SIDES),
    Flavour.VIA3: ("mid",),
    Flavour.VIA3_CSV: ("mid",),
    Flavour.COCO_DATASET: SIDES,
    Flavour.LABELME: (*SIDES, EMBEDDED),
    Flavour.PASCAL_VOC: SIDES,
    Flavour.IMAGEJ_ROI: ("roi", UNNAMED),
}
"""Names of extras that mean something in one flavour only."""

_MOST_NAMES = 5


def in_flavour(document: ViaDocument, flavour: Flavour) -> ViaDocument:
    """Return a document as another version of VIA would have it.

    Parameters
    ----------
    document : ViaDocument
        Document of any flavour.
    flavour : Flavour
        Flavour of the result.

    Returns
    -------
    ViaDocument
        Document whose polygons are closed for VIA 1 and open for VIA 2. What
        the flavour cannot hold (types of attributes, settings, extra keys) is
        left out, and a note says so.

    Examples
    --------
    >>> from napari_fractoseg.annotations.conversion.flavours import in_flavour
    >>> from napari_fractoseg.annotations.document import Flavour, ViaDocument
    >>> in_flavour(ViaDocument(()), Flavour.VIA2_PROJECT).settings["project"]
    {'name': 'fractoseg'}
    """
    if document.flavour is flavour:
        return document
    images, renamed = _with_unique_keys(
        [_image(image, document.flavour, flavour) for image in document], flavour
    )
    converted = replace(
        document,
        images=images,
        flavour=flavour,
        settings={},
        extras=document.extras if _keeps_extras(document, flavour) else {},
        definitions={},
        notes=(*document.notes, *_losses(document, flavour), *renamed),
    )
    if flavour is Flavour.VIA2_PROJECT:
        definitions = complete_definitions(document)
        return replace(converted, settings=default_settings(), definitions=definitions)
    if flavour is Flavour.VIA3:
        return replace(converted, definitions=complete_definitions(document))
    if flavour is Flavour.COCO:  # categories come from them
        return replace(converted, definitions=document.definitions)
    return converted


def _keeps_extras(document: ViaDocument, target: Flavour) -> bool:
    """Tell whether entries beside the images of a file can stand beside them in the other too."""
    json_of_images = (Flavour.VIA1, Flavour.VIA2)
    return document.flavour in json_of_images and target in (*json_of_images, Flavour.VIA2_PROJECT)


def _with_unique_keys(
    images: list[AnnotatedImage], target: Flavour
) -> tuple[tuple[AnnotatedImage, ...], tuple[str, ...]]:
    """Give keys that occur twice a number: VIA 3 and COCO may show one file several times."""
    taken: set[str] = set()
    result, repeated = [], []
    for image in images:
        key, number = image.image_key, 2
        while key in taken:
            key, number = f"{image.image_key}-{number}", number + 1
        taken.add(key)
        if key != image.image_key:
            repeated.append(repr(image.filename))
        is_new = key != image.image_key and target is not Flavour.VIA3
        result.append(replace(image, key=key) if is_new else image)
    if target in (*_CSV, Flavour.VIA3) or not repeated:  # CSV has no keys, VIA 3 numbers
        return tuple(images), ()
    named = ", ".join(repeated[:_MOST_NAMES])
    note = f"{len(repeated)} images have the name and size of an earlier one ({named}); their keys"
    return tuple(result), (f"{note} are numbered, which VIA reads since 2.0.8.",)


def _image(image: AnnotatedImage, source: Flavour, target: Flavour) -> AnnotatedImage:
    is_csv = target in _CSV
    needs_size = is_csv or target is Flavour.VIA2_PROJECT
    regions = (
        replace(
            region,
            shape=closed_ring(region.shape, target.is_closed),
            extras=_extras(region.extras, source, target),
        )
        for region in image.regions
        # Of what other programs could not say, there is nothing that VIA could keep.
        if source.is_via or not region.problem
    )
    return replace(
        image,
        regions=tuple(region for region in regions if not (is_csv and _is_blank(region))),
        # VIA 2 up to 2.0.7 discards entries whose key is not file name and size.
        key=""
        if is_csv or Flavour.VIA3 in (source, target) or source in _OWN_EXTRAS
        else image.key,
        size=UNKNOWN_SIZE if image.size is None and needs_size else image.size,
        extras=_extras(image.extras, source, target),
    )


def _is_blank(region: Region) -> bool:
    """Tell whether a row of CSV for a region would say nothing but that its image is there."""
    return not (region.shape or region.attributes or region.extras)


def _extras(extras: Mapping[str, Any], source: Flavour, target: Flavour) -> dict[str, Any]:
    """Return the extras of an image or a region that another flavour can hold."""
    if target in _CSV:
        return {k: v for k, v in extras.items() if source in _CSV and k in COLUMNS}
    lost = set(_OWN_EXTRAS.get(source, ())) - set(SIDES if target is Flavour.COCO else ())
    return {k: v for k, v in extras.items() if k not in lost}


def _losses(document: ViaDocument, target: Flavour) -> Iterator[str]:
    has_types = any(document.definitions.get(group) for group in ("region", "file"))
    if has_types and not target.has_definitions and target is not Flavour.COCO:
        yield (
            f"Types and options of the attributes are not kept by {target.label}; a VIA 2 project "
            "keeps them."
        )
    has_lost_extras = document.extras and not _keeps_extras(document, target)
    if document.settings or has_lost_extras:
        yield f"Settings and extra keys of the file are not kept by {target.label}."
    if target in _CSV:
        yield from _losses_of_csv(document, target)
    if target in _VIA1:
        turned = sum(bool(r.shape.get("theta")) for i in document for r in i.regions)
        if turned:
            yield f"{turned} ellipses are turned; VIA 1 shows them upright."
        ticked = sum(
            any(not isinstance(value, str) for value in r.attributes.values())
            for image in document
            for r in image.regions
        )
        if ticked:
            regions = counted(ticked, "region has", "regions have")
            yield (
                f"{regions} values that are no texts, such as ticks of checkboxes; "
                "VIA 1 shows texts only."
            )


def _losses_of_csv(document: ViaDocument, target: Flavour) -> Iterator[str]:
    own = set(_OWN_EXTRAS.get(document.flavour, ()))
    regions = [region for image in document for region in image.regions]
    images = sum(bool(set(image.extras) - own) for image in document)
    if images:
        yield f"Extra keys of {counted(images, 'image')} are not kept by CSV; JSON keeps them."
    extra = sum(bool(set(region.extras) - own) for region in regions)
    if extra:
        yield f"Extra keys of {counted(extra, 'region')} are not kept by CSV; JSON keeps them."
    blank = sum(
        _is_blank(replace(region, extras=_extras(region.extras, document.flavour, target)))
        for region in regions
    )
    if blank:
        yield f"{blank} damaged regions without shape and attributes are not kept by CSV."


def project_of(
    images: tuple[AnnotatedImage, ...],
    scheme: ClassScheme,
    attribute: str,
    name: str = DEFAULT_NAME,
) -> ViaDocument:
    """Return a VIA 2 project of images whose regions name classes of a scheme.

    In VIA the attribute is a row of radio buttons, and labels and colours the
    regions.
    """
    return ViaDocument(
        images,
        Flavour.VIA2_PROJECT,
        definitions=class_definitions(scheme, attribute),
        settings=default_settings(name, attribute),
    )


def named_after(document: ViaDocument, path: Path) -> ViaDocument:
    """Return a project without a name of its own with that of the file it is written to.

    VIA shows the name and proposes it when the project is saved. Other documents stay as they are.
    """
    project = as_mapping(document.settings.get("project"))
    if document.flavour is not Flavour.VIA2_PROJECT or project.get("name") != DEFAULT_NAME:
        return document
    settings = {**document.settings, "project": {**project, "name": path.stem}}
    return replace(document, settings=settings)


def edited(document: ViaDocument, images: Mapping[str, AnnotatedImage]) -> ViaDocument:
    """Return a document with some of its images replaced, and everything else as it was.

    Parameters
    ----------
    document : ViaDocument
        Document to take everything else from.
    images : mapping of str to AnnotatedImage
        Key of an image (`AnnotatedImage.image_key`, as file names may repeat)
        -> the image with its new regions.
    """
    return document.with_images([images.get(image.image_key, image) for image in document])


def joined(first: ViaDocument, second: ViaDocument, prefer: Container[str] = ()) -> ViaDocument:
    """Return a document with the images and the attributes of both.

    Parameters
    ----------
    first : ViaDocument
        Document whose flavour, settings and unknown keys are kept.
    second : ViaDocument
        Document whose images and attributes are added, in the flavour of `first`.
    prefer : container of str
        Keys of images that are taken from `second` where both have them.
    """
    added = in_flavour(second, first.flavour)
    known = {image.image_key for image in first}
    newer = {image.image_key: image for image in added}
    images = [
        newer[image.image_key] if image.image_key in newer and image.image_key in prefer else image
        for image in first
    ]
    images += [image for key, image in newer.items() if key not in known]
    definitions = joined_definitions(first.definitions, second.definitions)
    return replace(
        first,
        images=tuple(images),
        definitions=definitions if first.flavour.has_definitions else first.definitions,
    )
