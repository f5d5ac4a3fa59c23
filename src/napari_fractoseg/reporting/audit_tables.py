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

_SHOWN = (
    *("sentence", "manual", "labelled", "confusion", "adjusted", "agreement", "caveats"),
    *("operators", "other_operators"),
)
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
    others = [other for other in audit.get("other_operators") or () if isinstance(other, Mapping)]
    tables = (
        _manual(audit),
        _confusion(audit.get("confusion")),
        _adjusted(audit.get("adjusted")),
        *map(_manual, others),
        _agreements(audit, others),
    )
    return tuple(table for table in tables if table is not None)


def other_entries(audit: Mapping[str, Any]) -> dict[str, Any]:
    """Return the entries of a point count that are in none of its tables, with readable names."""
    return {
        str(name).replace("_", " "): value for name, value in audit.items() if name not in _SHOWN
    }


def _manual(audit: Mapping[str, Any]) -> ReportTable | None:
    rows = [row for row in audit.get("manual") or () if isinstance(row, Mapping)]
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
    operator = f" ({audit['operator']})" if audit.get("operator") else ""
    return ReportTable.of(f"Fractions by hand{operator}", columns)


def _agreements(
    audit: Mapping[str, Any], others: Sequence[Mapping[str, Any]]
) -> ReportTable | None:
    """Return Cohen's kappa of each operator with the labels, and of each two operators."""
    found = [(str(a.get("operator", "")), "labels", a.get("agreement")) for a in (audit, *others)]
    pairs = [pair for pair in audit.get("operators") or () if isinstance(pair, Mapping)]
    found += [(str(pair.get("first", "")), str(pair.get("second", "")), pair) for pair in pairs]
    known = [(one, two, entries_of(figures)) for one, two, figures in found if entries_of(figures)]
    if not known:
        return None
    columns = {
        "between": [f"{one} and {two}" for one, two, _ in known],
        "points": [_number(figures.get("n")) for *_, figures in known],
        "alike": [fraction_text(_float(figures.get("agreement"))) for *_, figures in known],
        "Cohen's kappa": [number_text(_float(figures.get("kappa")), 2) for *_, figures in known],
        "interval": [_kappa_interval(figures) for *_, figures in known],
    }
    return ReportTable.of("Agreement", columns)


def _kappa_interval(figures: Mapping[str, Any]) -> str:
    low, high = (_float(figures.get(name)) for name in ("low", "high"))
    return NO_FIGURE if math.isnan(low) else f"{low:.2f} to {high:.2f}"


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
