"""Reading and writing of the JSON of VIA 1 and VIA 2: annotations, projects, attributes files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeGuard

from napari_fractoseg.annotations.document import (
    UNKNOWN_SIZE,
    AnnotatedImage,
    Flavour,
    Region,
    ViaDocument,
    is_number,
)
from napari_fractoseg.annotations.formats.csv_rows import Tally
from napari_fractoseg.annotations.formats.entries import (
    as_mapping,
    make_region,
    no_mappings,
    with_extras,
)
from napari_fractoseg.errors import AnnotationError

__all__ = ["DEFAULT_NAME", "default_settings", "flavour_of_data", "parse", "render"]

METADATA, SETTINGS, DEFINITIONS = "_via_img_metadata", "_via_settings", "_via_attributes"
VERSION, ORDER = "_via_data_format_version", "_via_image_id_list"
DATA_FORMAT = "2.0.10"

DEFAULT_NAME = "fractoseg"
"""Name of a project until it is named after its file."""

_ENTRY_KEYS = ("filename", "size", "regions", "file_attributes")
_VIA1_KEYS = ("fileref", "base64_img_data")
_REGION_KEYS = ("shape_attributes", "region_attributes")


def flavour_of_data(data: object) -> Flavour | None:
    """Return the flavour of VIA 1 or VIA 2 JSON by its content; None if it is something else."""
    if isinstance(data, Mapping) and isinstance(data.get(METADATA), Mapping):
        return Flavour.VIA2_PROJECT
    if isinstance(data, Mapping) and set(data) == {"region", "file"}:
        return Flavour.VIA2_ATTRIBUTES if _are_definitions(data) else None
    entries = [entry for entry in _as_entries(data).values() if _is_entry(entry)]
    regions = [r for entry in entries for r in _region_list(entry) if isinstance(r, Mapping)]
    has_via_regions = not regions or any(key in r for r in regions for key in _REGION_KEYS)
    if not has_via_regions or not any("filename" in e and "regions" in e for e in entries):
        return None
    return _layout(entries)


def _are_definitions(data: Mapping[str, Any]) -> bool:
    return all(
        isinstance(group, Mapping) and all("type" in as_mapping(d) for d in group.values())
        for group in data.values()
    )


def _as_entries(data: object) -> Mapping[str, Any]:
    """Return the image entries; in a list, each index becomes a key, as VIA does."""
    if isinstance(data, list):
        return {str(index): entry for index, entry in enumerate(data)}
    return as_mapping(data)


def _is_entry(value: object) -> TypeGuard[Mapping[str, Any]]:
    return isinstance(value, Mapping) and ("filename" in value or "regions" in value)


def _region_list(entry: Mapping[str, Any]) -> list[Any]:
    regions = entry.get("regions")
    if isinstance(regions, Mapping):
        return list(regions.values())
    return regions if isinstance(regions, list) else []


def _layout(entries: Sequence[Mapping[str, Any]]) -> Flavour:
    """Return VIA 1 or VIA 2, by the layout of image entries.

    VIA 1 has regions in a mapping, VIA 2 in a list; without regions, keys that
    only VIA 1 writes tell.
    """
    kinds = [type(entry.get("regions")) for entry in entries]
    if dict in kinds or list in kinds:
        return Flavour.VIA1 if dict in kinds else Flavour.VIA2
    has_own_keys = any(key in entry for entry in entries for key in _VIA1_KEYS)
    return Flavour.VIA1 if has_own_keys else Flavour.VIA2


def parse(data: Any, flavour: Flavour, source: str) -> ViaDocument:
    """Return JSON data of VIA 1 or VIA 2 as a document.

    Parameters
    ----------
    data : dict or list
        JSON data of the file.
    flavour : Flavour
        Flavour of the data, as `flavour_of_data` returns it.
    source : str
        Name of the file, with which error messages begin.

    Raises
    ------
    AnnotationError
        If the entries are not what VIA writes.
    """
    if flavour is Flavour.VIA2_ATTRIBUTES:
        return ViaDocument((), flavour, definitions=dict(data))
    tally = Tally()
    if flavour is not Flavour.VIA2_PROJECT:
        images, others = _images(_as_entries(data), flavour, source, tally)
        return ViaDocument(images, flavour, extras=others, notes=tally.notes)
    images, others = _images(data[METADATA], flavour, source, tally)
    known = (METADATA, SETTINGS, DEFINITIONS, VERSION, ORDER)
    extras = {key: value for key, value in data.items() if key not in known}
    extras |= {METADATA: others} if others else {}
    if data.get(VERSION, DATA_FORMAT) != DATA_FORMAT:
        extras[VERSION] = data[VERSION]
    if data.get(ORDER, keys := [image.image_key for image in images]) != keys:
        extras[ORDER] = data[ORDER]
    return ViaDocument(
        images,
        flavour,
        definitions=as_mapping(data.get(DEFINITIONS)),
        settings=as_mapping(data.get(SETTINGS)),
        extras=extras,
        notes=tally.notes,
    )


def _images(
    entries: Mapping[str, Any], flavour: Flavour, source: str, tally: Tally
) -> tuple[tuple[AnnotatedImage, ...], dict[str, Any]]:
    """Return the images, and the entries between them that are no images."""
    others = {key: value for key, value in entries.items() if not _is_entry(value)}
    if others:
        tally["Kept, but not understood: entries that are no images"] += map(repr, others)
    images = tuple(
        _image(key, entry, flavour, f"{source}, image {key!r}", tally)
        for key, entry in entries.items()
        if key not in others
    )
    return images, others


def _image(
    key: str, entry: Mapping[str, Any], flavour: Flavour, where: str, tally: Tally
) -> AnnotatedImage:
    if not isinstance(entry.get("filename"), str):
        raise AnnotationError(
            f"{where}: no file name in {entry!r:.80}. Add one, or remove the entry from the file."
        )
    regions = entry.get("regions")
    # VIA 1 writes regions in a mapping, VIA 2 in a list; either is read.
    if isinstance(regions, list if flavour is Flavour.VIA1 else dict):
        tally[f"Images whose regions are written as {flavour.label} has them"].append(repr(key))
    if isinstance(regions, dict) and not all(map(is_number, regions)):
        tally["Images whose regions have names, which become numbers"].append(repr(key))
    empty = _VIA1_KEYS if flavour is Flavour.VIA1 else ()
    extras = {
        k: v for k, v in entry.items() if k not in _ENTRY_KEYS and not (k in empty and v == "")
    }
    image = AnnotatedImage(
        entry["filename"],
        _regions(regions, where),
        _size(entry.get("size"), where),
        as_mapping(entry.get("file_attributes")),
        extras=extras | no_mappings(entry, "file_attributes"),
    )
    return image if image.image_key == key else replace(image, key=key)


def _size(size: object, where: str) -> int | str | None:
    if isinstance(size, float) and size.is_integer():
        return int(size)
    if size is None or (isinstance(size, int | str) and not isinstance(size, bool)):
        return size
    raise AnnotationError(f"{where}: size {size!r} is no number of bytes. Write -1 if unknown.")


def _regions(regions: object, where: str) -> tuple[Region, ...]:
    if regions is None:
        return ()
    if isinstance(regions, Mapping):
        # Files in the wild have them sorted as text: 0, 1, 10, 11, ..., 2.
        numbered = all(is_number(str(k)) for k in regions)
        keys = sorted(regions, key=int) if numbered else list(regions)
        return tuple(_region(regions[k]) for k in keys)
    if isinstance(regions, list):
        return tuple(_region(r) for r in regions)
    raise AnnotationError(
        f"{where}: its regions are {regions!r:.60}, neither a list nor an object. Remove the "
        "entry, or export the annotations from VIA again."
    )


def _region(region: object) -> Region:
    if not isinstance(region, Mapping):
        return Region({}, extras={"region": region}, problem=f"{region!r:.60} is no region")
    extras = {k: v for k, v in region.items() if k not in _REGION_KEYS}
    extras |= no_mappings(region, *_REGION_KEYS)
    return make_region(region.get("shape_attributes"), region.get("region_attributes"), extras)


def render(document: ViaDocument) -> dict[str, Any]:
    """Return a document as the JSON data of its flavour: VIA 1, VIA 2, project or attributes.

    Raises
    ------
    AnnotationError
        If two images would have the same key.
    """
    if document.flavour is Flavour.VIA2_ATTRIBUTES:
        return dict(document.definitions)
    entry_of = _ENTRIES.get(document.flavour, _via2_entry)
    entries: dict[str, Any] = {}
    for image in document:
        if image.image_key in entries:
            raise AnnotationError(
                f"Two images have the key {image.image_key!r} (file name and size); VIA would "
                "keep the last one only. Rename one of them."
            )
        entries[image.image_key] = entry_of(image)
    if document.flavour is not Flavour.VIA2_PROJECT:
        return entries | dict(document.extras)
    return _project(document, entries)


def _via1_entry(image: AnnotatedImage) -> dict[str, Any]:
    entry = {
        "fileref": "",
        "size": image.size,
        "filename": image.filename,
        "base64_img_data": "",
        "file_attributes": dict(image.attributes),
        "regions": {str(i): _region_data(r) for i, r in enumerate(image.regions)},
    }
    return with_extras(_without_missing_size(entry), image.extras)


def _project_entry(image: AnnotatedImage) -> dict[str, Any]:
    # VIA 2.0.10 and later drop entries without a size, and then stop at their keys.
    return _via2_entry(image if image.size is not None else replace(image, size=UNKNOWN_SIZE))


def _via2_entry(image: AnnotatedImage) -> dict[str, Any]:
    entry = {
        "filename": image.filename,
        "size": image.size,
        "regions": [_region_data(r) for r in image.regions],
        "file_attributes": dict(image.attributes),
    }
    return with_extras(_without_missing_size(entry), image.extras)


_ENTRIES = {Flavour.VIA1: _via1_entry, Flavour.VIA2_PROJECT: _project_entry}


def _without_missing_size(entry: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in entry.items() if k != "size" or v is not None}


def _region_data(region: Region) -> Any:
    if set(region.extras) == {"region"} and region.problem:
        return region.extras["region"]
    data = {"shape_attributes": dict(region.shape), "region_attributes": dict(region.attributes)}
    return with_extras(data, region.extras)


def _project(document: ViaDocument, entries: dict[str, Any]) -> dict[str, Any]:
    extras = dict(document.extras)
    order = extras.pop(ORDER, None)
    others = as_mapping(extras.pop(METADATA, None))
    fits = isinstance(order, list) and sorted(map(str, order)) == sorted(entries)
    return {
        SETTINGS: dict(document.settings) or default_settings(),
        METADATA: {**entries, **others},
        DEFINITIONS: dict(document.definitions) or {"region": {}, "file": {}},
        VERSION: extras.pop(VERSION, DATA_FORMAT),
        # VIA stops half-way at a key that is no image.
        ORDER: order if fits else list(entries),
        **extras,
    }


def default_settings(name: str = DEFAULT_NAME, region_label: str = "") -> dict[str, Any]:
    """Return VIA 2.0.11's settings, all of them: VIA wants them complete.

    Parameters
    ----------
    name : str
        Name of the project.
    region_label : str
        Attribute that labels and colours the regions on screen; empty for VIA's own choice.
    """
    return {
        "ui": {
            "annotation_editor_height": 25,
            "annotation_editor_fontsize": 0.8,
            "leftsidebar_width": 18,
            "image_grid": {
                "img_height": 80,
                "rshape_fill": "none",
                "rshape_fill_opacity": 0.3,
                "rshape_stroke": "yellow",
                "rshape_stroke_width": 2,
                "show_region_shape": True,
                "show_image_policy": "all",
            },
            "image": {
                "region_label": region_label or "__via_region_id__",
                "region_color": region_label or "__via_default_region_color__",
                "region_label_font": "10px Sans",
                "on_image_annotation_editor_placement": "NEAR_REGION",
            },
        },
        "core": {"buffer_size": 18, "filepath": {}, "default_filepath": ""},
        "project": {"name": name},
    }
