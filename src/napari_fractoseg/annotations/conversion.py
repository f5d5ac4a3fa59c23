"""A document for another version of VIA."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from napari_fractoseg.annotations._via_json import default_settings
from napari_fractoseg.annotations.document import AnnotatedImage, Flavour, Region, ViaDocument
from napari_fractoseg.annotations.shapes import closed_ring
from napari_fractoseg.classes import ClassScheme

__all__ = ["class_definitions", "in_flavour", "merged", "project_of"]

_CSV = (Flavour.VIA1_CSV, Flavour.VIA2_CSV)
_VIA1 = (Flavour.VIA1, Flavour.VIA1_CSV)
_OWN_EXTRAS = {
    Flavour.COCO: ("id", "width", "height"),
    Flavour.VIA3: ("mid",),
    Flavour.VIA3_CSV: ("mid",),
}
"""Extras that mean something in one flavour only."""


def in_flavour(document: ViaDocument, flavour: Flavour) -> ViaDocument:
    """Return a document as another version of VIA would have it.

    Parameters
    ----------
    document : ViaDocument
        Of any flavour.
    flavour : Flavour
        The one that is wanted.

    Returns
    -------
    ViaDocument
        Polygons are closed for VIA 1 and open for VIA 2. What the flavour
        cannot hold (types of attributes, settings, extra keys) is left out,
        and a note says so.

    Examples
    --------
    >>> from napari_fractoseg.annotations.conversion import in_flavour
    >>> from napari_fractoseg.annotations.document import Flavour, ViaDocument
    >>> in_flavour(ViaDocument(()), Flavour.VIA2_PROJECT).settings["project"]
    {'name': 'fractoseg'}
    """
    if document.flavour is flavour:
        return document
    converted = replace(
        document,
        images=tuple(_image(image, document.flavour, flavour) for image in document),
        flavour=flavour,
        settings={},
        extras={},
        definitions={},
        notes=(*document.notes, *_losses(document, flavour)),
    )
    if flavour is Flavour.VIA2_PROJECT:
        definitions = _complete(document)
        return replace(converted, settings=default_settings(), definitions=definitions)
    if flavour is Flavour.COCO:  # categories come from them
        return replace(converted, definitions=document.definitions)
    return converted


def _image(image: AnnotatedImage, source: Flavour, target: Flavour) -> AnnotatedImage:
    dropped = _OWN_EXTRAS.get(source, ())
    if target is Flavour.COCO:
        kept = {k: v for k, v in image.extras.items() if k in ("width", "height")}
    else:
        kept = {k: v for k, v in image.extras.items() if k not in dropped}
    is_csv = target in _CSV
    return replace(
        image,
        regions=tuple(_region(r, dropped, target) for r in image.regions),
        # VIA 2 up to 2.0.7 discards entries whose key is not file name and size.
        key="" if is_csv or source in _OWN_EXTRAS else image.key,
        size=-1 if is_csv and image.size is None else image.size,
        extras={} if is_csv else kept,
    )


def _region(region: Region, dropped: tuple[str, ...], target: Flavour) -> Region:
    return replace(
        region,
        shape=closed_ring(region.shape, target.is_closed),
        extras={}
        if target in _CSV
        else {k: v for k, v in region.extras.items() if k not in dropped},
    )


def _losses(document: ViaDocument, target: Flavour) -> Iterator[str]:
    has_types = any(document.definitions.get(group) for group in ("region", "file"))
    if has_types and not target.has_definitions and target is not Flavour.COCO:
        yield (
            f"Types and options of the attributes are not kept by {target.label}; a VIA 2 project "
            "keeps them."
        )
    if target in _CSV:
        extra = sum(
            bool(set(i.extras) - set(_OWN_EXTRAS.get(document.flavour, ()))) for i in document
        )
        if extra:
            yield f"Extra keys of {extra} images are not kept by CSV; JSON keeps them."
    if target in _VIA1:
        turned = sum(bool(r.shape.get("theta")) for i in document for r in i.regions)
        if turned:
            yield f"{turned} ellipses are turned; VIA 1 shows them upright."


def _complete(document: ViaDocument) -> dict[str, Any]:
    """Return definitions of all attributes; those that are not defined become texts."""
    groups: dict[str, dict[str, Any]] = {
        group: dict(document.definitions.get(group) or {}) for group in ("region", "file")
    }
    used = {
        "region": (r.attributes for i in document for r in i.regions),
        "file": (i.attributes for i in document),
    }
    for group, occurring in used.items():
        for attributes in occurring:
            for name in attributes:
                text = {"type": "text", "description": "", "default_value": ""}
                groups[group].setdefault(name, text)
    return groups


def class_definitions(scheme: ClassScheme, attribute: str) -> dict[str, Any]:
    """Return VIA 2's definitions with one attribute: radio buttons for the classes of a scheme."""
    options = {c.name: c.description.partition(":")[0] or c.name for c in scheme}
    radio = {"type": "radio", "description": scheme.name, "options": options, "default_options": {}}
    return {"region": {attribute: radio}, "file": {}}


def project_of(
    images: tuple[AnnotatedImage, ...], scheme: ClassScheme, attribute: str, name: str = "fractoseg"
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


def merged(original: ViaDocument, changed: ViaDocument) -> ViaDocument:
    """Return a document with some of its images replaced, and everything else as it was.

    Parameters
    ----------
    original : ViaDocument
        The file that was read.
    changed : ViaDocument
        Images take the place of those of the same file name, with their own
        attributes and extras kept; others are added. Definitions are joined.

    Returns
    -------
    ViaDocument
        In the flavour of `original`.
    """
    adapted = in_flavour(changed, original.flavour)
    new = {image.filename: image for image in adapted}
    images = []
    for image in original:
        replacement = new.pop(image.filename, None)
        images.append(image if replacement is None else replace(image, regions=replacement.regions))
    definitions = _joined(original.definitions, changed.definitions)
    return replace(
        original,
        images=(*images, *new.values()),
        definitions=definitions if original.flavour.has_definitions else original.definitions,
        notes=(*original.notes, *adapted.notes),
    )


def _joined(kept: Mapping[str, Any], added: Mapping[str, Any]) -> dict[str, Any]:
    """Join definitions; options of an attribute that both define are joined too."""
    result = {group: dict(kept.get(group) or {}) for group in ("region", "file")}
    for group, definitions in added.items():
        for name, definition in (definitions or {}).items():
            known = result.setdefault(group, {}).get(name)
            if known is None:
                result[group][name] = definition
            elif isinstance(known.get("options"), Mapping):
                options = {**definition.get("options", {}), **known["options"]}
                result[group][name] = {**known, "options": options}
    return result
