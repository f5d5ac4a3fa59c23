"""Reading of VIA 3 projects; `via3_write` writes them.

Shapes and attributes come as VIA 2 has them. What is about a time of a video
or sound has no place in a document of images: it is skipped, and counted in
the notes.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple, TypeGuard

from napari_fractoseg.annotations.document import AnnotatedImage, Flavour, Region, ViaDocument
from napari_fractoseg.annotations.formats.csv_rows import Tally
from napari_fractoseg.annotations.formats.entries import as_mapping, make_region
from napari_fractoseg.errors import AnnotationError

__all__ = ["Attributes", "Record", "images_of", "is_via3", "parse"]

_SHAPES = {
    1: ("POINT", "point", 2, 2),
    2: ("RECTANGLE", "rect", 4, 4),
    3: ("CIRCLE", "circle", 3, 3),
    4: ("ELLIPSE", "ellipse", 4, 4),
    5: ("LINE", "polyline", 4, 4),
    6: ("POLYLINE", "polyline", 2, math.inf),
    7: ("POLYGON", "polygon", 2, math.inf),
    8: ("EXTREME_RECTANGLE", "rect", 8, 8),
    9: ("EXTREME_CIRCLE", "circle", 6, 6),
}
"""Number of a shape in VIA 3 -> names in VIA 3 and VIA 2, least and most coordinates."""
_KEYS = {
    1: ("cx", "cy"),
    2: ("x", "y", "width", "height"),
    3: ("cx", "cy", "r"),
    4: ("cx", "cy", "rx", "ry"),
}
_FARTHEST_PX = 1e9
_TYPES = {"1": "text", "2": "checkbox", "3": "radio", "4": "dropdown", "5": "image"}
_GROUPS = {"FILE1_Z0_XY1": "region", "FILE1_Z0_XY0": "file"}
_VIDEO_OR_SOUND = ("4", "8")
_DELETED_OR_HIDDEN = 3
_FLAGGING_VERSION = "3.1.0"


def is_via3(data: object) -> bool:
    """Tell whether JSON data are a VIA 3 project."""
    keys = ("project", "metadata", "file")
    return isinstance(data, Mapping) and all(isinstance(data.get(k), Mapping) for k in keys)


class Attributes:
    """Attributes of a VIA 3 file in VIA 2's words.

    Parameters
    ----------
    raw : mapping
        Number of an attribute -> its definition, or its name alone.
    """

    def __init__(self, raw: Mapping[str, Any]) -> None:
        self.names: dict[str, str] = {}
        self.checkboxes: set[str] = set()
        self.definitions: dict[str, dict[str, Any]] = {"region": {}, "file": {}}
        taken: set[tuple[str, str]] = set()
        for aid, said in raw.items():
            # VIA 3.0.0 to 3.0.2 write only the names to CSV.
            attribute = said if isinstance(said, Mapping) else {"aname": said}
            anchor = str(attribute.get("anchor_id", ""))
            name = str(attribute.get("aname") or aid)
            name = f"{name} ({aid})" if (anchor, name) in taken else name
            taken.add((anchor, name))
            self.names[aid] = name
            kind = _TYPES.get(str(attribute.get("type")), "text")
            if kind == "checkbox":
                self.checkboxes.add(aid)
            if anchor in _GROUPS:
                self.definitions[_GROUPS[anchor]][name] = _definition(kind, attribute)

    def values(self, av: object) -> dict[str, Any]:
        """Return name -> value for the attributes of a region or file, given by their numbers."""
        return {
            self.names.get(aid, aid): _ticked(value) if aid in self.checkboxes else value
            for aid, value in as_mapping(av).items()
        }


def _definition(kind: str, attribute: Mapping[str, Any]) -> dict[str, Any]:
    definition = {"type": kind, "description": str(attribute.get("desc", ""))}
    default = str(attribute.get("default_option_id") or "")
    if kind == "text":
        return definition | {"default_value": default}
    options = dict(as_mapping(attribute.get("options")))
    return definition | {"options": options, "default_options": _ticked(default)}


def _ticked(value: object) -> Any:
    """Return VIA 2's checkbox, option -> True, for VIA 3's text of options with commas."""
    if not isinstance(value, str):
        return value
    return {option: True for option in value.split(",") if option}


class Record(NamedTuple):
    """Entry of VIA 3's metadata: a region, or what is said about a file or a time.

    Parameters
    ----------
    file : str
        Number of the file that it is about; in CSV its name.
    mid : str
        Number of the entry.
    z : object
        Times in a video or sound; empty for images.
    xy : object
        Number of the shape and its coordinates in pixels; empty for what is
        about a whole file.
    values : dict
        Name of an attribute -> value.
    problem : str
        Reason why the entry cannot be read; empty if it can be.
    """

    file: str
    mid: str
    z: object
    xy: object
    values: dict[str, Any]
    problem: str = ""


def parse(data: Mapping[str, Any], source: str) -> ViaDocument:
    """Return a VIA 3 project as a document.

    Parameters
    ----------
    data : mapping
        JSON data of a file for which `is_via3` is true.
    source : str
        Name of the file, with which error messages begin.

    Returns
    -------
    ViaDocument
        Document with the images in the order in which VIA shows them. The key
        of an image is VIA's number of the file; a region has its ``mid`` as an
        extra.

    Raises
    ------
    AnnotationError
        If a file has neither name nor source.
    """
    tally = Tally()
    files = {fid: as_mapping(file) for fid, file in data["file"].items()}
    views = {
        vid: _texts(as_mapping(view).get("fid_list"))
        for vid, view in as_mapping(data.get("view")).items()
    }
    attributes = Attributes(as_mapping(data.get("attribute")))
    records = list(_records(data, files, views, attributes, tally))
    shown: dict[str, str] = {}
    for fid in dict.fromkeys([*_view_order(data, views), *files]):
        file = files.get(fid, {})
        if str(file.get("type")) in _VIDEO_OR_SOUND:
            tally["Skipped videos and sound files"].append(repr(file.get("fname")))
        elif fid in files:
            shown[fid] = _name(fid, file, source)
    images = tuple(images_of(shown, records, tally))
    return ViaDocument(images, Flavour.VIA3, attributes.definitions, notes=tally.notes)


def _records(
    data: Mapping[str, Any],
    files: Mapping[str, Any],
    views: Mapping[str, list[str]],
    attributes: Attributes,
    tally: Tally,
) -> Iterator[Record]:
    has_flags = data["project"].get("data_format_version") == _FLAGGING_VERSION
    for mid, said in data["metadata"].items():
        record = as_mapping(said)
        flags = record.get("flg")
        vid = str(record.get("vid"))
        shown = views.get(vid) or [vid]
        if has_flags and isinstance(flags, int) and flags & _DELETED_OR_HIDDEN:
            tally["Skipped annotations that are deleted or hidden in VIA"].append(mid)
        elif shown[0] not in files:
            tally["Skipped annotations of files that are not in the project"].append(mid)
        else:
            if len(shown) > 1:
                tally["Annotations of several files shown together, given to the first"].append(mid)
            values = attributes.values(record.get("av"))
            yield Record(shown[0], mid, record.get("z"), record.get("xy"), values)


def _view_order(data: Mapping[str, Any], views: Mapping[str, list[str]]) -> Iterator[str]:
    # Up to VIA 3.0.2 the list is not in the project.
    listed = data["project"].get("vid_list") or data.get("vid_list")
    for vid in dict.fromkeys([*_texts(listed), *views]):
        yield from views.get(vid, ())


def _texts(numbers: object) -> list[str]:
    return [str(number) for number in numbers] if isinstance(numbers, list) else []


def _name(fid: str, file: Mapping[str, Any], source: str) -> str:
    if name := str(file.get("fname") or ""):
        return name
    uri = str(file.get("src") or "")
    name = re.split(r"[/\\]", uri)[-1] if not uri.startswith("data:") else f"file {fid}"
    if not name:
        raise AnnotationError(
            f"{source}, file {fid!r}: neither fname nor src says what it is called. Add "
            "a name, or remove the file in VIA."
        )
    return name


def images_of(
    shown: Mapping[str, str], records: Iterable[Record], tally: Tally
) -> Iterator[AnnotatedImage]:
    """Yield files as annotated images.

    Parameters
    ----------
    shown : mapping of str to str
        Number of a file -> its name, for the files that are images.
    records : iterable of Record
        Entries with regions and values, of any file.
    tally : Tally
        Tally to which entries that are skipped are added.
    """
    regions: dict[str, list[Region]] = {file: [] for file in shown}
    said: dict[str, dict[str, Any]] = {file: {} for file in shown}
    for record in records:
        if record.file not in shown or record.z not in ([], None):
            tally["Skipped annotations of videos, sounds and times in them"].append("")
        elif record.xy in ([], None) and not record.problem:
            said[record.file] |= record.values
        else:
            regions[record.file].append(_region(record))
    for file, name in shown.items():
        key = "" if file == name else file
        yield AnnotatedImage(name, tuple(regions[file]), attributes=said[file], key=key)


def _region(record: Record) -> Region:
    shape = record.problem or _shape(record.xy)
    if isinstance(shape, str):
        return Region({}, record.values, {"mid": record.mid, "xy": record.xy}, problem=shape)
    return make_region(shape, record.values, {"mid": record.mid})


def _shape(xy: object) -> dict[str, Any] | str:
    """Return VIA 2's ``shape_attributes`` for VIA 3's numbers, or the reason if there are none."""
    if not _are_numbers(xy) or xy[0] not in _SHAPES:
        return f"{xy!r:.60} is not one of VIA 3's shapes 1 to 9 and its coordinates"
    kind, numbers = xy[0], xy[1:]
    title, name, least, most = _SHAPES[kind]
    if not least <= len(numbers) <= most or (most == math.inf and len(numbers) % 2):
        several = " or more, two for each point" if most == math.inf else ""
        return f"{title} of {len(numbers)} numbers instead of {least}{several}"
    if kind in _KEYS:
        return {"name": name, **dict(zip(_KEYS[kind], numbers, strict=True))}
    xs, ys = numbers[::2], numbers[1::2]
    if name == "rect":
        box = {"x": min(xs), "y": min(ys), "width": max(xs) - min(xs), "height": max(ys) - min(ys)}
        return {"name": name, **box}
    if name == "circle":
        return _circle_through(xs, ys)
    return {"name": name, "all_points_x": xs, "all_points_y": ys}


def _are_numbers(values: object) -> TypeGuard[list[Any]]:
    return (
        isinstance(values, list)
        and bool(values)
        and all(isinstance(n, int | float) and abs(n) < _FARTHEST_PX for n in values)
    )


def _circle_through(xs: list[Any], ys: list[Any]) -> dict[str, Any] | str:
    """Return the circle through three points, by the perpendicular bisectors of two sides."""
    ax, ay = xs[0], ys[0]
    bx, by, cx, cy = xs[1] - ax, ys[1] - ay, xs[2] - ax, ys[2] - ay
    twice_area = 2 * (bx * cy - by * cx)
    if not twice_area:
        return f"EXTREME_CIRCLE through points on one line, x {xs} and y {ys}"
    b, c = bx * bx + by * by, cx * cx + cy * cy
    x, y = (cy * b - by * c) / twice_area, (bx * c - cx * b) / twice_area
    return {"name": "circle", "cx": ax + x, "cy": ay + y, "r": math.hypot(x, y)}
