"""Header and rows that all of VIA's CSV files are made of, and the tally of what was skipped."""

from __future__ import annotations

import csv
import io
import re
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from napari_fractoseg.annotations.document import Flavour
from napari_fractoseg.errors import AnnotationError

__all__ = ["Header", "Tally", "find_header", "read_rows"]

HEADER = (
    "filename,file_size,file_attributes,region_count,region_id,"
    "region_shape_attributes,region_attributes"
)
COLUMNS = tuple(HEADER.split(","))
NAME, SIZE, FILE_ATTRIBUTES, COUNT, NUMBER, SHAPE, ATTRIBUTES = COLUMNS

WRONG_CELLS = "Skipped rows with a wrong number of cells"

_LONGEST_HEADER = 2000
_LIMIT_LOCK = threading.Lock()
_VIA3_HEADER = re.compile(r'\s*"?#\s*CSV_HEADER\s*=\s*(metadata_id\s*,.*)')


class Tally(defaultdict[str, list[str]]):
    """Kind of thing that happened while reading -> the places where, such as ``line 3``."""

    def __init__(self) -> None:
        super().__init__(list)

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences for the user: each kind of thing with its count and the first places."""
        return tuple(f"{what}: {len(places)}{_listed(places)}." for what, places in self.items())


def _listed(places: list[str]) -> str:
    named = list(dict.fromkeys(p for p in places if p))
    more = ", ..." if len(named) > 5 else ""
    return f" ({', '.join(named[:5])}{more})" if named else ""


class Header(NamedTuple):
    """First lines of one of VIA's CSV files, and the rows that follow them.

    Parameters
    ----------
    flavour : Flavour
        Kind of VIA file that the header tells.
    columns : tuple of str
        Names of the columns.
    delimiter : str
        Character between two cells.
    comments : tuple of str
        Lines above the header.
    body : str
        Text below the header.
    """

    flavour: Flavour
    columns: tuple[str, ...]
    delimiter: str = ","
    comments: tuple[str, ...] = ()
    body: str = ""


def find_header(text: str) -> Header | None:
    """Return the header of VIA's CSV, which may follow comments; None if there is none."""
    comments: list[str] = []
    end = 0
    for line in io.StringIO(text, newline=""):
        end += len(line)
        if header := _header_of(line):
            return header._replace(comments=tuple(comments), body=text[end:])
        if line.strip() and not line.lstrip(' "').startswith("#"):
            return None
        comments.append(line.rstrip("\r\n"))
    return None


def _header_of(line: str) -> Header | None:
    if match := _VIA3_HEADER.match(line):
        return Header(Flavour.VIA3_CSV, _names(match[1].split(",")))
    for delimiter in ",;\t" if len(line) < _LONGEST_HEADER else "":
        columns = _names(next(csv.reader([line], delimiter=delimiter, skipinitialspace=True), []))
        if {NAME, SHAPE} <= set(columns):
            is_via1 = line.lstrip(' "').startswith("#")
            return Header(Flavour.VIA1_CSV if is_via1 else Flavour.VIA2_CSV, columns, delimiter)
    return None


def _names(cells: list[str]) -> tuple[str, ...]:
    return _without_empty_end([cell.strip(' "#\r\n') for cell in cells])


def _without_empty_end(cells: list[str], least: int = 0) -> tuple[str, ...]:
    """Return cells without the empty ones at the end that VIA 1.0.2 and spreadsheets add."""
    count = len(cells)
    while count > least and not cells[count - 1].strip():
        count -= 1
    return tuple(cells[:count])


def read_rows(header: Header, source: str) -> list[tuple[int, tuple[str, ...]]]:
    """Return the line number and the cells of each row that is neither blank nor a comment.

    Raises
    ------
    AnnotationError
        If the text cannot be split into cells; the message begins with `source`.
    """
    lines = io.StringIO(header.body, newline="")
    reader = csv.reader(lines, delimiter=header.delimiter)
    start = len(header.comments) + 2
    line = start
    rows: list[tuple[int, tuple[str, ...]]] = []
    try:
        with _long_cells():
            for raw in reader:
                cells = _without_empty_end(raw, len(header.columns))
                if any(cell.strip() for cell in cells) and not _is_comment(cells, header):
                    rows.append((line, cells))
                line = start + reader.line_num
    except csv.Error as error:
        raise AnnotationError(
            f"{source}, line {line}: no CSV ({error}). Export the annotations from VIA again."
        ) from error
    return rows


@contextmanager
def _long_cells() -> Iterator[None]:
    """Lift Python's limit of 131072 characters a cell, an outline of some 13000 points.

    It is a setting of the whole process: it is put back, and threads take turns.
    """
    with _LIMIT_LOCK:
        before = csv.field_size_limit(max(csv.field_size_limit(), 2**31 - 1))
        try:
            yield
        finally:
            csv.field_size_limit(before)


def _is_comment(cells: tuple[str, ...], header: Header) -> bool:
    if _names(list(cells)) == header.columns:
        return True
    return cells[0].startswith("#") and len(cells) != len(header.columns)
