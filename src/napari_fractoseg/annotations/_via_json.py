"""VIA 1 and VIA 2 JSON: annotations, projects, attributes files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from napari_fractoseg.annotations._entries import as_mapping, make_region
from napari_fractoseg.annotations.document import (
    AnnotatedImage,
    Flavour,
    Region,
    ViaDocument,
    is_number,
)
from napari_fractoseg.errors import AnnotationError

__all__ = ["default_settings", "flavour_of_data", "parse", "render"]

METADATA, SETTINGS, DEFINITIONS = "_via_img_metadata", "_via_settings", "_via_attributes"
VERSION, ORDER = "_via_data_format_version", "_via_image_id_list"
DATA_FORMAT = "2.0.10"

_ENTRY_KEYS = ("filename", "size", "regions", "file_attributes")
_VIA1_KEYS = ("fileref", "base64_img_data")
_REGION_KEYS = ("shape_attributes", "region_attributes")


def flavour_of_data(data: object) -> Flavour | None:
    """Tell VIA 1 and VIA 2 JSON by its content; None if it is something else."""
    if isinstance(data, Mapping) and isinstance(data.get(METADATA), Mapping):
        return Flavour.VIA2_PROJECT
    if isinstance(data, Mapping) and set(data) == {"region", "file"}:
        return Flavour.VIA2_ATTRIBUTES if _are_definitions(data) else None
    entries = _as_entries(data)
    if not entries or not all(isinstance(entry, Mapping) for entry in entries.values()):
        return None
    if not any("filename" in entry and "regions" in entry for entry in entries.values()):
        return None
    return _layout(entries.values())


def _are_definitions(data: Mapping[str, Any]) -> bool:
    return all(
        isinstance(group, Mapping) and all("type" in as_mapping(d) for d in group.values())
        for group in data.values()
    )


def _as_entries(data: object) -> Mapping[str, Any] | None:
    """Return the image entries; in a list, each index becomes a key, as VIA does."""
    if isinstance(data, list):
        return {str(index): entry for index, entry in enumerate(data)}
    return data if isinstance(data, Mapping) else None


def _layout(entries: Iterable[Mapping[str, Any]]) -> Flavour:
    """VIA 1 has regions in a mapping and writes two keys that VIA 2 does not know."""
    is_via1 = any(
        isinstance(e.get("regions"), Mapping) or any(k in e for k in _VIA1_KEYS) for e in entries
    )
    return Flavour.VIA1 if is_via1 else Flavour.VIA2


def parse(data: Any, flavour: Flavour, source: str) -> ViaDocument:
    """Make a document of JSON data of the flavour that `flavour_of_data` told.

    Raises
    ------
    AnnotationError
        If the entries are not what VIA writes; begins with `source`.
    """
    if flavour is Flavour.VIA2_ATTRIBUTES:
        return ViaDocument((), flavour, definitions=dict(data))
    if flavour is not Flavour.VIA2_PROJECT:
        return ViaDocument(_images(_as_entries(data) or {}, source), flavour)
    images = _images(data[METADATA], source)
    known = (METADATA, SETTINGS, DEFINITIONS, VERSION, ORDER)
    extras = {key: value for key, value in data.items() if key not in known}
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
    )


def _images(entries: Mapping[str, Any], source: str) -> tuple[AnnotatedImage, ...]:
    return tuple(_image(key, entry, source) for key, entry in entries.items())


def _image(key: str, entry: object, source: str) -> AnnotatedImage:
    where = f"{source}, image {key!r}"
    if not isinstance(entry, Mapping) or not isinstance(entry.get("filename"), str):
        raise AnnotationError(
            f"{where}: no file name in {entry!r:.80}. Add one, or remove the entry from the file."
        )
    image = AnnotatedImage(
        entry["filename"],
        _regions(entry.get("regions"), where),
        _size(entry.get("size"), where),
        as_mapping(entry.get("file_attributes")),
        extras={
            k: v
            for k, v in entry.items()
            if k not in _ENTRY_KEYS and not (k in _VIA1_KEYS and v == "")
        },
    )
    if image.image_key == key:
        return image
    return AnnotatedImage(
        image.filename, image.regions, image.size, image.attributes, key, image.extras
    )


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
    shape = region.get("shape_attributes")
    if shape is not None and not isinstance(shape, Mapping):
        extras["shape_attributes"] = shape
    return make_region(shape, region.get("region_attributes"), extras)


def render(document: ViaDocument) -> dict[str, Any]:
    """Return a document as the JSON data of its flavour: VIA 1, VIA 2, project or attributes.

    Raises
    ------
    AnnotationError
        If two images would have the same key.
    """
    if document.flavour is Flavour.VIA2_ATTRIBUTES:
        return dict(document.definitions)
    entry_of = _via1_entry if document.flavour is Flavour.VIA1 else _via2_entry
    entries: dict[str, Any] = {}
    for image in document:
        if image.image_key in entries:
            raise AnnotationError(
                f"Two images have the key {image.image_key!r} (file name and size); VIA would "
                "keep the last one only. Rename one of them."
            )
        entries[image.image_key] = entry_of(image)
    if document.flavour is not Flavour.VIA2_PROJECT:
        return entries
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
    return _without_missing_size(entry) | dict(image.extras)


def _via2_entry(image: AnnotatedImage) -> dict[str, Any]:
    entry = {
        "filename": image.filename,
        "size": image.size,
        "regions": [_region_data(r) for r in image.regions],
        "file_attributes": dict(image.attributes),
    }
    return _without_missing_size(entry) | dict(image.extras)


def _without_missing_size(entry: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in entry.items() if k != "size" or v is not None}


def _region_data(region: Region) -> Any:
    if set(region.extras) == {"region"} and region.problem:
        return region.extras["region"]
    data = {"shape_attributes": dict(region.shape), "region_attributes": dict(region.attributes)}
    return data | dict(region.extras)


def _project(document: ViaDocument, entries: dict[str, Any]) -> dict[str, Any]:
    extras = dict(document.extras)
    order = extras.pop(ORDER, None)
    fits = isinstance(order, list) and sorted(map(str, order)) == sorted(entries)
    return {
        SETTINGS: dict(document.settings) or default_settings(),
        METADATA: entries,
        DEFINITIONS: dict(document.definitions) or {"region": {}, "file": {}},
        VERSION: extras.pop(VERSION, DATA_FORMAT),
        ORDER: order if fits else list(entries),
        **extras,
    }


def default_settings(name: str = "fractoseg", region_label: str = "") -> dict[str, Any]:
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
