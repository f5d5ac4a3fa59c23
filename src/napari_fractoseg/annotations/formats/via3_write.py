"""Writing of VIA 3 projects, in the layout of VIA 3.0.10."""

from __future__ import annotations

import math
from collections.abc import Container, Iterable, Iterator, Mapping
from itertools import chain, count
from typing import Any

from napari_fractoseg.annotations.conversion.definitions import complete_definitions
from napari_fractoseg.annotations.document import AnnotatedImage, Region, ViaDocument
from napari_fractoseg.annotations.formats.coco_write import outline_of
from napari_fractoseg.annotations.formats.csv_rows import Tally
from napari_fractoseg.annotations.formats.entries import as_mapping
from napari_fractoseg.annotations.shapes import closed_ring, problem_of

__all__ = ["render"]

_CREATOR = "VGG Image Annotator (http://www.robots.ox.ac.uk/~vgg/software/via)"
_FORMAT = "3.1.1"
_IMAGE, _LOCAL, _HTTP = 2, 1, 2
_TYPES = {"text": 1, "checkbox": 2, "radio": 3, "dropdown": 4, "image": 5}
_ANCHORS = {"region": "FILE1_Z0_XY1", "file": "FILE1_Z0_XY0"}
_ROUND = {
    "point": (1, ("cx", "cy")),
    "circle": (3, ("cx", "cy", "r")),
    "ellipse": (4, ("cx", "cy", "rx", "ry")),
}
"""Kind of a shape -> its number in VIA 3, and VIA 2's names of its coordinates."""

_MID_DIGITS = 8


def render(document: ViaDocument, name: str) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return a document as the JSON data of a VIA 3 project.

    Parameters
    ----------
    document : ViaDocument
        Document to write; a turned ellipse becomes a polygon of 72 points.
    name : str
        Name of the project, which VIA shows.

    Returns
    -------
    data : dict
        JSON data of the file. There is no date, so that equal documents make equal files.
    notes : tuple of str
        Sentences on what VIA 3 cannot hold.
    """
    tally = Tally()
    attributes = _Attributes(document)
    files: dict[str, Any] = {}
    metadata: dict[str, Any] = {}
    for image in document:
        vid = _free(image.key, files, count(1))
        files[vid] = _file(image, vid)
        for mid, entry in _entries(image, attributes, tally):
            numbers = (f"{vid}_{n:0{_MID_DIGITS}d}" for n in count(len(metadata) + 1))
            metadata[_free(mid, metadata, numbers)] = {"vid": vid, "flg": 0, "z": [], **entry}
        if set(image.extras) - {"width", "height"}:
            tally["Images with extra keys, which VIA 3 cannot hold"].append(repr(image.filename))
    data = {
        "project": {
            "pid": "__VIA_PROJECT_ID__",
            "rev": "__VIA_PROJECT_REV_ID__",
            "rev_timestamp": "__VIA_PROJECT_REV_TIMESTAMP__",
            "pname": name,
            "data_format_version": _FORMAT,
            "creator": _CREATOR,
            "created": 0,
            "vid_list": list(files),
        },
        "config": {
            "file": {"loc_prefix": {"1": "", "2": "", "3": "", "4": ""}},
            "ui": {
                "file_content_align": "center",
                "file_metadata_editor_visible": True,
                "spatial_metadata_editor_visible": True,
                "spatial_region_label_attribute_id": "",
                "gtimeline_visible_row_count": "4",
            },
        },
        "attribute": attributes.data,
        "file": files,
        "metadata": metadata,
        "view": {vid: {"fid_list": [vid]} for vid in files},
    }
    return data, tally.notes


class _Attributes:
    """Attributes of a document by VIA 3's numbers.

    Parameters
    ----------
    document : ViaDocument
        Document whose attributes are told by their values where it does not define them.
    """

    def __init__(self, document: ViaDocument) -> None:
        self.data: dict[str, Any] = {}
        self._numbers: dict[tuple[str, str], str] = {}
        for group, anchor in _ANCHORS.items():
            for name, said in complete_definitions(document)[group].items():
                number = str(len(self.data) + 1)
                self._numbers[group, name] = number
                self.data[number] = {"aname": name, "anchor_id": anchor, **_definition(said)}

    def values(
        self, group: str, said: Mapping[str, Any], tally: Tally, where: str
    ) -> dict[str, str]:
        """Return number of an attribute -> value; VIA 3 has texts only."""
        values = {}
        for name, value in said.items():
            number = self._numbers[group, name]
            is_checkbox = self.data[number]["type"] == _TYPES["checkbox"]
            if isinstance(value, Mapping):
                ticked = [str(option) for option, on in value.items() if on]
                if any("," in option for option in ticked):
                    tally["Options with a comma, which VIA 3 takes for two"].append(where)
                text = ",".join(ticked)
            else:
                if not isinstance(value, str):
                    tally["Values that are no texts, written as texts"].append(where)
                text = "" if value is None else str(value)
            if is_checkbox != isinstance(value, Mapping):
                tally["Values that do not fit the type of their attribute"].append(where)
            values[number] = text
        return values


def _definition(said: object) -> dict[str, Any]:
    definition = as_mapping(said)
    kind = str(definition.get("type", "text"))
    entry: dict[str, Any] = {
        "type": _TYPES.get(kind, _TYPES["text"]),
        "desc": str(definition.get("description") or ""),
    }
    if entry["type"] == _TYPES["text"]:
        return entry | {"default_option_id": str(definition.get("default_value") or "")}
    options = as_mapping(definition.get("options"))
    ticked = [
        str(option) for option, on in as_mapping(definition.get("default_options")).items() if on
    ]
    entry["options"] = {str(option): str(text or "") for option, text in options.items()}
    return entry | {"default_option_id": ",".join(ticked)}


def _free(wanted: str, taken: Container[str], numbers: Iterable[object]) -> str:
    """Return a key as it is wanted, if it is not taken; else the first number that is not."""
    keys = chain([wanted] if wanted else [], map(str, numbers))
    return next(key for key in keys if key not in taken)


def _file(image: AnnotatedImage, fid: str) -> dict[str, Any]:
    name, is_remote = image.filename, image.filename.startswith(("http://", "https://"))
    place = _HTTP if is_remote else _LOCAL
    return {"fid": fid, "fname": name, "type": _IMAGE, "loc": place, "src": name}


def _entries(
    image: AnnotatedImage, attributes: _Attributes, tally: Tally
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield key and content of what VIA 3 says about a file: its own values, and its regions.

    The key is that which the region had in VIA 3; else it is empty.
    """
    if image.attributes:
        where = repr(image.filename)
        yield "", {"xy": [], "av": attributes.values("file", image.attributes, tally, where)}
    for number, region in enumerate(image.regions):
        where = f"{image.filename!r} region {number}"
        is_damaged = bool(region.problem or problem_of(region.shape))
        if is_damaged and "xy" not in region.extras:
            tally["Left out damaged regions"].append(where)
            continue
        if set(region.extras) - {"mid", "xy"}:
            tally["Regions with extra keys, which VIA 3 cannot hold"].append(where)
        values = attributes.values("region", region.attributes, tally, where)
        xy = region.extras["xy"] if is_damaged else _xy(region, tally, where)
        yield str(region.extras.get("mid") or ""), {"xy": xy, "av": values}


def _xy(region: Region, tally: Tally, where: str) -> list[float]:
    """Return VIA 3's number of the shape of a region, and its coordinates in pixel edges."""
    shape = closed_ring(region.shape, closed=False)
    if region.kind == "ellipse" and float(shape.get("theta") or 0) % math.pi:
        tally["Turned ellipses, which VIA 3 does not have, as polygons of 72 points"].append(where)
        return [7, *outline_of(region)]
    if region.kind == "rect":
        x, y, width, height = (_number(shape[k]) for k in ("x", "y", "width", "height"))
        box = min(x, x + width), min(y, y + height), abs(width), abs(height)
        return [2, *box]
    if region.kind in _ROUND:
        kind, keys = _ROUND[region.kind]
        return [kind, *(_number(shape[key]) for key in keys)]
    points = zip(shape["all_points_x"], shape["all_points_y"], strict=True)
    kind = 6 if region.kind == "polyline" else 7
    return [kind, *(_number(value) for point in points for value in point)]


def _number(value: Any) -> float:
    """Return a coordinate as it is; scripts write some as text."""
    return value if isinstance(value, int | float) else float(value)
