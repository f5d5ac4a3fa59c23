"""Reading and writing of the CSV files of VIA 1 and VIA 2."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from napari_fractoseg.annotations.document import (
    AnnotatedImage,
    Flavour,
    Region,
    ViaDocument,
    is_number,
)
from napari_fractoseg.annotations.formats.csv_rows import (
    ATTRIBUTES,
    COLUMNS,
    COUNT,
    FILE_ATTRIBUTES,
    HEADER,
    NAME,
    NUMBER,
    SHAPE,
    SIZE,
    WRONG_CELLS,
    Header,
    Tally,
    find_header,
    read_rows,
)
from napari_fractoseg.annotations.formats.entries import make_region
from napari_fractoseg.annotations.formats.json_text import dumps, is_encodable, is_too_deep
from napari_fractoseg.errors import AnnotationError

__all__ = ["flavour_of_text", "parse", "render"]

# Where VIA 2 has no value it writes JavaScript's word for it; texts that say so are left alone.
_UNDEFINED = re.compile(r'"(?:[^"\\]|\\.)*"|(?<=:)\s*undefined(?=\s*[,}])')
_NO_VALUE = "\0undefined"
_EXAMPLE = '{"name":"point","cx":1,"cy":2}'


def flavour_of_text(text: str) -> Flavour | None:
    """Return the flavour of VIA's CSV by its header; None if the text is something else.

    Examples
    --------
    >>> from napari_fractoseg.annotations.formats.via_csv import flavour_of_text
    >>> flavour_of_text("#filename,file_size,region_shape_attributes")
    <Flavour.VIA1_CSV: 'via1-csv'>
    """
    header = find_header(text)
    return header.flavour if header else None


@dataclass
class _Entry:
    """Image entry while its rows are being read."""

    attributes: dict[str, Any] = field(default_factory=dict)
    extras: dict[str, str] = field(default_factory=dict)
    regions: list[tuple[str, Region]] = field(default_factory=list)
    counts: set[str] = field(default_factory=set)

    def ordered(self) -> tuple[Region, ...]:
        """Return the regions by number if these are 0 to n - 1, else in the order of the rows."""
        order = {str(n): n for n in range(len(self.regions))}
        if {number for number, _ in self.regions} == set(order):
            return tuple(r for _, r in sorted(self.regions, key=lambda pair: order[pair[0]]))
        return tuple(region for _, region in self.regions)


def parse(text: str, source: str) -> ViaDocument:
    """Return VIA 1's or VIA 2's CSV as a document.

    Parameters
    ----------
    text : str
        Content of the file, without a byte order mark.
    source : str
        Name of the file, with which error messages begin.

    Returns
    -------
    ViaDocument
        Document with an image for each file name and size, in the order of
        their first rows. A row whose shape or attributes cannot be read is a
        region with a problem, and keeps the text of these cells to be written
        again.

    Raises
    ------
    AnnotationError
        If no row has the right number of cells.
    """
    header = find_header(text)
    if header is None or header.flavour is Flavour.VIA3_CSV:
        raise AnnotationError(
            f"{source}: no header of VIA 1 or 2 in {text[:60]!r}. The first line must be "
            f"{HEADER!r}; export the annotations from VIA again."
        )
    tally = Tally()
    for column in sorted(set(header.columns) - {*COLUMNS, ""}):
        tally["Ignored columns that VIA does not have"].append(repr(column))
    entries: dict[tuple[str, int | str | None], _Entry] = {}
    for line, cells in read_rows(header, source):
        if row := _row(cells, header, tally, line):
            entry = entries.setdefault((row[NAME], _size(row[SIZE])), _Entry())
            _add(row, entry, tally, line)
    if not entries and WRONG_CELLS in tally:
        raise AnnotationError(
            f"{source}: no row has the {len(header.columns)} cells of the header; the first is "
            f"{tally[WRONG_CELLS][0]}. Export the annotations from VIA again."
        )
    images = []
    for (name, size), entry in entries.items():
        image = AnnotatedImage(name, entry.ordered(), size, entry.attributes, extras=entry.extras)
        images.append(image)
        if entry.counts - {"", str(len(entry.regions))}:
            tally["Images with fewer or more regions than region_count says"].append(repr(name))
        if any(number and not is_number(number) for number, _ in entry.regions):
            tally["Images whose regions have names, which become numbers"].append(repr(name))
    return ViaDocument(tuple(images), header.flavour, notes=tally.notes)


def _row(cells: tuple[str, ...], header: Header, tally: Tally, line: int) -> dict[str, str] | None:
    """Return column -> cell; None, with a note, if there are too few or too many."""
    surplus = len(cells) - len(header.columns)
    if surplus > 0 and header.columns[0] == NAME:
        # VIA does not quote file names: a comma in one makes it several cells.
        cells = (header.delimiter.join(cells[: surplus + 1]), *cells[surplus + 1 :])
    row = dict.fromkeys(COLUMNS, "") | dict(zip(header.columns, cells, strict=False))
    if len(cells) != len(header.columns) or (surplus > 0 and not _is_plausible(row)):
        tally[WRONG_CELLS].append(f"line {line}")
        return None
    if surplus > 0:
        tally["File names with commas put together again"].append(f"line {line}")
    return row


def _is_plausible(row: Mapping[str, str]) -> bool:
    objects = (row[column].strip() for column in (FILE_ATTRIBUTES, SHAPE, ATTRIBUTES))
    return not isinstance(_size(row[SIZE]), str) and all(c[:1] in ("", "{") for c in objects)


def _size(cell: str) -> int | str | None:
    text = cell.strip()
    if text == "-1" or (text.isascii() and is_number(text)):
        return int(text)
    return None if text in ("", "undefined") else cell


def _add(row: Mapping[str, str], entry: _Entry, tally: Tally, line: int) -> None:
    common, shape, attributes = (
        _read_cell(row[column], column, tally, line)
        for column in (FILE_ATTRIBUTES, SHAPE, ATTRIBUTES)
    )
    if common is None:
        tally["Not understood: file_attributes that are not JSON"].append(f"line {line}")
        entry.extras[FILE_ATTRIBUTES] = row[FILE_ATTRIBUTES]
    entry.attributes |= common or {}
    entry.counts.add(row[COUNT].strip())
    broken = {c: row[c] for c, cell in ((SHAPE, shape), (ATTRIBUTES, attributes)) if cell is None}
    if broken:
        said = " and ".join(f"{column} {cell[:50]!r}" for column, cell in broken.items())
        problem = f"{said} (line {line}): no JSON object such as {_EXAMPLE}"
        region = Region(shape or {}, attributes or {}, broken, problem)
    elif shape or attributes:
        region = make_region(shape, attributes)
    else:
        return
    entry.regions.append((row[NUMBER].strip(), region))


def _read_cell(cell: str, column: str, tally: Tally, line: int) -> dict[str, Any] | None:
    """Return the JSON object in a cell, or the pairs of VIA 0.1b; None if it is neither."""
    cell = cell.strip()
    if cell in ("", "{}", "null", "undefined"):
        return {}
    if not cell.startswith("{"):
        return _read_pairs(cell, column)
    if (found := _load(cell)) is not None or "undefined" not in cell:
        return found
    found = _load(_UNDEFINED.sub(_marked, cell)) or {}
    kept = {key: value for key, value in found.items() if value != _NO_VALUE}
    remark = "Left out attributes whose value is 'undefined', VIA's word for none"
    tally[remark] += [f"line {line}"] * (len(found) - len(kept))
    return kept if found else None


def _load(text: str) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = json.loads(text, strict=False)
    except (ValueError, RecursionError):
        return None
    return None if is_too_deep(found) else found


def _marked(match: re.Match[str]) -> str:
    return match[0] if match[0].startswith('"') else json.dumps(_NO_VALUE)


def _read_pairs(cell: str, column: str) -> dict[str, Any] | None:
    """Read ``name=polygon;all_points_x=[1:2:3]``, as VIA 0.1b has it."""
    pairs = dict(pair.partition("=")[::2] for pair in cell.split(";") if "=" in pair)
    if column != SHAPE or "name" not in pairs:
        return pairs or None
    numbers = ",".join(f'"{k}":{v.replace(":", ",")}' for k, v in pairs.items() if k != "name")
    coordinates = _load(f"{{{numbers}}}")
    return None if coordinates is None else {"name": pairs["name"], **coordinates}


def render(document: ViaDocument) -> str:
    """Return a document as the CSV of its flavour, VIA 1 or VIA 2, byte for byte as VIA has it.

    Parameters
    ----------
    document : ViaDocument
        Document to write. Shapes are written as they are; CSV has no place for
        keys and extras, nor for regions with neither shape nor attributes.

    Returns
    -------
    str
        Text of the file, with LF between the lines.

    Raises
    ------
    AnnotationError
        If VIA could not read a file name back, or two images have the same
        name and size.
    ValueError, TypeError
        If a value is of a type that JSON does not have.
    """
    is_via1 = document.flavour is Flavour.VIA1_CSV
    images: dict[str, str] = {}
    for image in document:
        size = "-1" if image.size is None else str(image.size)
        start = f"{_checked(image.filename, is_via1)},{_checked(size)}"
        if start in images:
            raise AnnotationError(
                f"Two images are called {image.filename!r} and have the size {size}; CSV cannot "
                "tell them apart. Rename one of them, or write JSON or a project."
            )
        common = _cell(image.attributes, image.extras.get(FILE_ATTRIBUTES))
        count = len(image.regions)
        rows = [
            f"{start},{common},{count},{number},{_cell(region.shape, region.extras.get(SHAPE))},"
            f"{_cell(region.attributes, region.extras.get(ATTRIBUTES))}"
            for number, region in enumerate(image.regions)
        ]
        images[start] = "\n".join(rows or [f'{start},{common},0,0,"{{}}","{{}}"'])
    return "\n".join(["#" * is_via1 + HEADER, *images.values()])


def _checked(text: str, is_via1: bool = False) -> str:
    bad = [c for c in text if c in ',"\n\r' or not is_encodable(c)]
    if bad or (is_via1 and text.startswith("#")):
        raise AnnotationError(
            f"The file name {text!r} cannot be written as CSV: VIA would not read back the "
            f"{(bad or '#')[0]!r} in it. Rename the image, or write JSON or a project."
        )
    return text


def _cell(values: Mapping[str, Any], raw: object) -> str:
    """Return values as a quoted cell of JSON; without values, the text that was read, if any."""
    text = raw if isinstance(raw, str) and not values else dumps(dict(values))
    return '"' + text.replace('"', '""') + '"'
