"""Files of points: one CSV table that other programs read, with the plan in one of its cells."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from napari_fractoseg.classes import ClassScheme, class_name
from napari_fractoseg.errors import OptionError, translated
from napari_fractoseg.measurement.tables import csv_text, read_texts
from napari_fractoseg.text import listed, printable

__all__ = ["PLACES", "point_text", "read_points"]

PLACES = ("point", "image", "plane", "row_px", "column_px", "stratum")
"""Columns of the places, in the order of the file."""
_PLAN = "plan"
_FORMAT = 1
"""Version of the plan's layout, raised when older programs would misunderstand one."""


def point_text(points: pd.DataFrame, plan: Mapping[str, Any]) -> str:
    """Return points and plan as the text of a CSV file."""
    table = points.copy()
    cell = json.dumps({"format": _FORMAT, **plan})
    table[_PLAN] = [cell, *[""] * (len(points) - 1)]
    return csv_text(table)


def read_points(path: Path) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Read a file of points, and check all of it but for the answers.

    Parameters
    ----------
    path : Path
        CSV file that `point_text` was written to, as it is or saved by another program.

    Returns
    -------
    points : DataFrame
        Places, sorted by number, and answers and times of each operator, as texts.
    plan : dict
        Other parameters of the point count.

    Raises
    ------
    OptionError, ClassSchemeError
        If it is no file of points; says which column, row or value is wrong.
    """
    table = read_texts(path, "a file of points").map(printable)
    table.columns = pd.Index([_title(title) for title in table])
    _check_columns(path, table)
    plan = _plan(path, table)
    points = table[[*PLACES]].copy()
    for title, least in (("point", 1), ("row_px", 0), ("column_px", 0)):
        points[title] = [
            _whole(path, row, title, text, least) for row, text in enumerate(points[title], start=2)
        ]
    points["plane"] = [
        " ".join(str(_whole(path, row, "plane", part, 1)) for part in text.split())
        for row, text in enumerate(points["plane"], start=2)
    ]
    _check_rows(path, points, plan["stratum_px"])
    for operator in _operators(table):
        points[f"answer_{operator}"] = table[f"answer_{operator}"]
        times = f"time_{operator}"
        points[times] = table[times] if times in table else pd.Series("", table.index, object)
    return points.sort_values("point", ignore_index=True), plan


def _title(title: object) -> str:
    """Return the title of a column, in which the name of an operator is as it is kept."""
    kind, line, operator = str(title).strip().partition("_")
    return f"{kind}_{class_name(operator)}" if line and kind in ("answer", "time") else str(title)


def _operators(table: pd.DataFrame) -> list[str]:
    titles = map(str, table.columns)
    return [title.removeprefix("answer_") for title in titles if title.startswith("answer_")]


def _check_columns(path: Path, table: pd.DataFrame) -> None:
    if missing := [title for title in (*PLACES, _PLAN) if title not in table]:
        raise OptionError(
            f"{path} is no file of points: it has no column {listed(missing)}; its columns are "
            f"{listed(table.columns)}. Use a file that was made for a point count."
        )
    if twice := sorted(set(table.columns[table.columns.duplicated()])):
        raise OptionError(f"{path} has columns twice: {listed(twice)}. Keep one of each.")
    if not len(table):
        raise OptionError(f"{path} has no points. Plan new ones.")
    if "" in _operators(table):
        raise OptionError(
            f"{path}: the column 'answer_' has no operator. Call it answer_ and the name of the "
            "person who looked, such as answer_Ada."
        )


def _check_rows(path: Path, points: pd.DataFrame, strata: Mapping[str, int]) -> None:
    numbers = list(points["point"])
    if twice := sorted({number for number in numbers if numbers.count(number) > 1}):
        raise OptionError(f"{path}: point {listed(twice)} is there twice. Keep one row for each.")
    for point in points[~points["stratum"].isin(strata)].itertuples():
        raise OptionError(
            f"{path}, point {point.point}: the stratum {point.stratum!r} is not one of the plan, "
            f"which has {listed(strata)}. Put back what the file had."
        )


def _plan(path: Path, table: pd.DataFrame) -> dict[str, Any]:
    cells = [cell for cell in table[_PLAN] if cell.strip()]
    remedy = "Put back the cell of the column 'plan' of the file that was made for the point count."
    if len(cells) != 1:
        raise OptionError(f"{path} has {len(cells)} plans of points instead of one. {remedy}")
    with translated(OptionError, f"{path}: the plan of the points cannot be read", remedy):
        found = json.loads(cells[0])
        if int(found["format"]) > _FORMAT:
            raise OptionError(f"{path} was written by a newer version. Update this one.")
        spacing = found["spacing_px"]
        return {
            "design": str(found["design"]),
            "seed": int(found["seed"]),
            "spacing_px": None if spacing is None else float(spacing),
            "stratum_px": {str(name): _area(px) for name, px in found["stratum_px"].items()},
            "excluded_px": int(found["excluded_px"]),
            "unlabelled_px": int(found["unlabelled_px"]),
            "scheme": ClassScheme.from_dict(found["scheme"]),
        }


def _area(px: Any) -> int:
    if int(px) != px or px < 1:
        raise ValueError(f"{px} is no area in pixels")
    return int(px)


def _whole(path: Path, row: int, title: str, text: str, least: int) -> int:
    """Return a whole number of a cell, also where another program wrote it as 3.0."""
    try:
        number = float(text)
        if number == int(number) and number >= least:
            return int(number)
    except (ValueError, OverflowError):
        pass
    raise OptionError(
        f"{path}, row {row}: {title} is {text!r}, and not a whole number from {least}. Put back "
        "what the file had."
    )
