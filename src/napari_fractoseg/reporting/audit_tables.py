"""Tables of a point count, from its result as plain JSON types."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from napari_fractoseg.models.card import entries_of
from napari_fractoseg.reporting.tables import (
    NO_FIGURE,
    ReportTable,
    fraction_text,
    interval_text,
    number_text,
)

__all__ = ["audit_tables", "other_entries"]

_SHOWN = ("sentence", "manual", "confusion", "adjusted", "caveats")
_ADJUSTED = {
    "areas": "of the area",
    "of_modes": "of the modes",
    "users": "user's accuracy",
    "producers": "producer's accuracy",
}


def audit_tables(audit: Mapping[str, Any]) -> tuple[ReportTable, ...]:
    """Return the fractions by hand, the confusion matrix and the corrected fractions.

    Parameters
    ----------
    audit : mapping
        Result of a point count as plain JSON types. What it has not is left out.
    """
    manual = [row for row in audit.get("manual") or () if isinstance(row, Mapping)]
    tables = (_manual(manual), _confusion(audit.get("confusion")), _adjusted(audit.get("adjusted")))
    return tuple(table for table in tables if table is not None)


def other_entries(audit: Mapping[str, Any]) -> dict[str, Any]:
    """Return the entries of a point count that are in none of its tables, with readable names."""
    return {
        str(name).replace("_", " "): value for name, value in audit.items() if name not in _SHOWN
    }


def _manual(rows: Sequence[Mapping[str, Any]]) -> ReportTable | None:
    if not rows:
        return None
    columns = {
        "class": [str(row.get("class_name", "")) for row in rows],
        "of": [str(row.get("of", "")) for row in rows],
        "hits": [_number(row.get("hits")) for row in rows],
        "points": [_number(row.get("n_points")) for row in rows],
        "fraction": [fraction_text(_float(row.get("value"))) for row in rows],
        "interval": [_interval(row) for row in rows],
    }
    return ReportTable.of("Fractions by hand", columns)


def _confusion(confusion: Any) -> ReportTable | None:
    """Return the numbers of points for each class of the labels (row) and by hand (column)."""
    entries = entries_of(confusion)
    labels, by_hand = entries.get("labels") or (), entries.get("by_hand") or ()
    points = entries.get("points") or ()
    if not points or len(points) != len(labels):
        return None
    columns = {"labels": [str(name) for name in labels]}
    for number, name in enumerate(by_hand):
        columns[f"by hand: {name}"] = [_number(row[number]) for row in points]
    return ReportTable.of("Points by class of the labels and by hand", columns)


def _adjusted(adjusted: Any) -> ReportTable | None:
    entries = entries_of(adjusted)
    classes = list(entries_of(entries.get("areas")))
    if not classes:
        return None
    mapped = entries_of(entries.get("mapped"))
    columns = {
        "class": [str(name) for name in classes],
        "by the labels": [fraction_text(_float(mapped.get(name))) for name in classes],
    }
    for kind, title in _ADJUSTED.items():
        found = [entries_of(entries_of(entries.get(kind)).get(name)) for name in classes]
        columns[title] = [_with_interval(figures) for figures in found]
    overall = _with_interval(entries_of(entries.get("overall")))
    notes = " ".join(str(note) for note in entries.get("notes") or ())
    note = f"By the labels: of the area. The labels are right in {overall} of the area. {notes}"
    return ReportTable.of("Corrected by the points", columns, note=note.strip())


def _with_interval(figures: Mapping[str, Any]) -> str:
    value, interval = fraction_text(_float(figures.get("value"))), _interval(figures)
    return value if interval == NO_FIGURE else f"{value} ({interval})"


def _interval(figures: Mapping[str, Any]) -> str:
    return interval_text(_float(figures.get("low")), _float(figures.get("high")))


def _number(value: Any) -> str:
    return number_text(_float(value), 6)


def _float(value: Any) -> float:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number else math.nan
