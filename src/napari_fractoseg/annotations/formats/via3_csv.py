"""Reading of CSV exports of VIA 3, which are never written."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from napari_fractoseg.annotations.document import Flavour, ViaDocument
from napari_fractoseg.annotations.formats.csv_rows import (
    WRONG_CELLS,
    Header,
    Tally,
    find_header,
    read_rows,
)
from napari_fractoseg.annotations.formats.json_text import is_too_deep
from napari_fractoseg.annotations.formats.via3 import Attributes, Record, images_of
from napari_fractoseg.errors import AnnotationError

__all__ = ["parse_csv"]

_ATTRIBUTES = re.compile(r'\s*"?#\s*ATTRIBUTES?\s*=\s*(.*)')


def parse_csv(text: str, source: str) -> ViaDocument:
    """Return VIA 3's CSV export of regions as a document.

    Parameters
    ----------
    text : str
        Content of the file, without a byte order mark.
    source : str
        Name of the file, with which error messages begin.

    Returns
    -------
    ViaDocument
        Document with those files about which more is said than what happens
        at a time, as CSV does not tell images from videos.

    Raises
    ------
    AnnotationError
        If the text holds temporal segments instead of regions, or no readable row.
    """
    header = find_header(text)
    columns = header.columns if header else ()
    if header is None or not {"file_list", "spatial_coordinates"} <= set(columns):
        raise AnnotationError(
            f"{source} has no regions: its columns are {', '.join(columns) or 'unknown'}, as in "
            "VIA 3's export of temporal segments. Export the regions, or save the project in VIA "
            "and open that."
        )
    tally = Tally()
    attributes = Attributes(_commented_attributes(header, tally))
    records = [
        record
        for line, cells in read_rows(header, source)
        if (record := _row(cells, columns, attributes, tally, line))
    ]
    shown = {record.file: record.file for record in records if record.z == []}
    if not records and tally:
        raise AnnotationError(
            f"{source}: no row could be read. {' '.join(tally.notes)} Export the annotations from "
            "VIA 3 again."
        )
    images = tuple(images_of(shown, records, tally))
    return ViaDocument(images, Flavour.VIA3_CSV, attributes.definitions, notes=tally.notes)


def _commented_attributes(header: Header, tally: Tally) -> Mapping[str, Any]:
    for comment in header.comments:
        if match := _ATTRIBUTES.match(comment):
            # Spreadsheet programs add commas.
            found = _load(match[1].rstrip(", "))
            if isinstance(found, Mapping):
                return found
    tally["Attributes are called by their numbers, as the names are not in the file"].append("")
    return {}


def _load(text: str) -> object:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return None if is_too_deep(found) else found


def _row(
    cells: tuple[str, ...],
    columns: tuple[str, ...],
    attributes: Attributes,
    tally: Tally,
    line: int,
) -> Record | None:
    if len(cells) != len(columns):
        tally[WRONG_CELLS].append(f"line {line}")
        return None
    row = dict(zip(columns, cells, strict=True))
    listed, times = _load(row["file_list"]), _load(row.get("temporal_coordinates", "[]"))
    names = listed if isinstance(listed, list) else []
    are_names = bool(names) and all(isinstance(name, str) for name in names)
    if not (are_names and isinstance(times, list)):
        tally["Skipped rows whose file or times cannot be read"].append(f"line {line}")
        return None
    if len(names) > 1:
        tally["Annotations of several files shown together, given to the first"].append(
            f"line {line}"
        )
    xy, said = _load(row["spatial_coordinates"]), _load(row.get("metadata", "{}"))
    broken = [c for c, value in (("spatial_coordinates", xy), ("metadata", said)) if value is None]
    problem = f"{broken[0]} {row[broken[0]]!r:.50} (line {line}) is no JSON" if broken else ""
    mid = row.get("metadata_id", "")
    return Record(str(names[0]), mid, times, xy, attributes.values(said), problem)
