"""Which specimen each image is of: by a pattern on its name, or by a table that is joined."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any

import pandas as pd

from napari_fractoseg.errors import OptionError
from napari_fractoseg.measurement.tables import read_texts
from napari_fractoseg.text import listed

__all__ = ["specimens_of"]

_COLUMNS = ("image", "specimen")
_MOST_LISTED = 20


def specimens_of(
    images: Iterable[str], group_by: str | Path | Mapping[str, str] | pd.DataFrame
) -> pd.DataFrame:
    r"""Return the specimen of each image, and what else a table says of the image.

    Parameters
    ----------
    images : iterable of str
        Names of the images.
    group_by : str, Path, mapping of str to str, or DataFrame
        A regular expression with one group, which is the specimen where it is found in the
        name of an image; or a CSV file (``.csv``) or table with the columns ``image`` and
        ``specimen``, others being kept; or image -> specimen. Images are found in it by their
        name, or by their name without folder and ending where that is the name of one only.

    Returns
    -------
    DataFrame
        One row for each image, in their order: ``image``, ``specimen``, and the other columns
        of the table.

    Raises
    ------
    OptionError
        If images have no specimen (they are listed), or pattern or table cannot be used.

    Examples
    --------
    >>> from napari_fractoseg.measurement.specimens import specimens_of
    >>> specimens_of(["s17_1.tif", "s17_2.tif", "s9_1.tif"], r"(s\d+)_")["specimen"].tolist()
    ['s17', 's17', 's9']
    """
    names = list(dict.fromkeys(images))
    if isinstance(group_by, str) and not group_by.lower().endswith(".csv"):
        return _by_pattern(names, group_by)
    if isinstance(group_by, Mapping):
        group_by = pd.DataFrame(list(group_by.items()), columns=list(_COLUMNS))
    if isinstance(group_by, pd.DataFrame):
        return _by_table(names, group_by, "the table of specimens")
    table = read_texts(Path(group_by), "a table of specimens").map(str.strip)
    return _by_table(names, table, str(group_by))


def _by_pattern(names: Sequence[str], pattern: str) -> pd.DataFrame:
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise OptionError(
            f"The pattern {pattern!r} of the specimens is no regular expression: {error}."
        ) from error
    if expression.groups != 1:
        raise OptionError(
            f"The pattern {pattern!r} of the specimens has {expression.groups} groups; it takes "
            r"one, around the name of the specimen, such as (s\d+)_."
        )
    found = {name: match[1] for name in names if (match := expression.search(name)) and match[1]}
    _refuse_missing(names, found, f"the pattern {pattern!r}")
    return pd.DataFrame({"image": names, "specimen": [found[name] for name in names]})


def _by_table(names: Sequence[str], table: pd.DataFrame, where: str) -> pd.DataFrame:
    table = table.rename(columns={c: low for c in table if (low := _folded(c)) in _COLUMNS})
    if missing := [column for column in _COLUMNS if list(table.columns).count(column) != 1]:
        raise OptionError(
            f"{where} has not one column {listed(missing)}; its columns are "
            f"{listed(table.columns)}. Name them image and specimen."
        )
    listed_images = [str(entry) for entry in table["image"]]
    if twice := sorted({name for name in listed_images if listed_images.count(name) > 1}):
        raise OptionError(f"{where} names images twice: {_some(twice)}. Keep one row for each.")
    rows = _rows(names, listed_images)
    specimens = [str(entry) if pd.notna(entry) else "" for entry in table["specimen"]]
    found = {name: specimens[row] for name, row in rows.items() if specimens[row].strip()}
    _refuse_missing(names, found, where)
    joined = table.iloc[[rows[name] for name in names]].reset_index(drop=True)
    others = {c: _numbers(joined[c]) for c in joined if c not in _COLUMNS}
    return pd.DataFrame({"image": names, "specimen": [found[n] for n in names], **others})


def _folded(column: object) -> str:
    return str(column).strip().casefold()


def _rows(names: Sequence[str], listed_images: Sequence[str]) -> dict[str, int]:
    """Return the row of each image, by its name or else by its stem, if that is of one only."""
    exact = {entry: row for row, entry in enumerate(listed_images)}
    stems: dict[str, list[int]] = {}
    for row, entry in enumerate(listed_images):
        stems.setdefault(_stem(entry), []).append(row)
    own = [_stem(name) for name in names]
    rows = {}
    for name, stem in zip(names, own, strict=True):
        if name in exact:
            rows[name] = exact[name]
        elif len(stems.get(stem, ())) == 1 and own.count(stem) == 1:
            rows[name] = stems[stem][0]
    return rows


def _stem(name: str) -> str:
    return PurePath(name.replace("\\", "/")).stem


def _numbers(column: pd.Series[Any]) -> pd.Series[Any]:
    """Return a column as numbers if all its entries are some, empty ones apart."""
    if pd.api.types.is_numeric_dtype(column):
        return column
    filled = column.astype(str).str.strip() != ""
    numbers = pd.to_numeric(column.where(filled), errors="coerce")
    return numbers if filled.any() and numbers[filled].notna().all() else column


def _refuse_missing(names: Sequence[str], found: Mapping[str, str], where: str) -> None:
    if missing := [name for name in names if name not in found]:
        raise OptionError(
            f"{len(missing)} of {len(names)} images have no specimen in {where}: {_some(missing)}. "
            "Add them, or leave these images out.",
            options=("group_by",),
        )


def _some(names: Sequence[str]) -> str:
    more = len(names) - _MOST_LISTED
    return listed(names[:_MOST_LISTED]) + (f" and {more} more" if more > 0 else "")
