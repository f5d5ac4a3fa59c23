"""What the card of a model says its confidence is worth; never imports PyTorch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from napari_fractoseg.models.card import CALIBRATED, ModelCard, entries_of, is_number
from napari_fractoseg.text import printable

__all__ = ["confidence_text", "reliability_bins"]

_SHOWN_AT = 0.9
"""Confidence at which a sentence tells how many pixels were right."""
_FEW_PX = 100
"""Pixels of a bin from which on its share of right ones is told in a sentence."""
_BIN = ("low", "high", "confidence", "accuracy", "n_px")


def confidence_text(card: ModelCard) -> str:
    """Return what the card of a model says its confidence is worth.

    Parameters
    ----------
    card : ModelCard
        Card of the model.

    Returns
    -------
    str
        One or two sentences, such as "Calibrated on unseen specimens. Where it says 0.87 to 0.93,
        88 % of the pixels were right against polygons; expected calibration error 0.03.", or
        "Not calibrated: nothing was held out to compare it with."
    """
    found = entries_of(card.metrics.get(CALIBRATED))
    references = _references(found)
    if not references:
        why = found.get("why")
        reason = why if isinstance(why, str) and why else "nothing was held out to compare it with"
        return f"Not calibrated: {printable(reason)}."
    tried = found.get("on")
    where = f" on {printable(tried)}" if isinstance(tried, str) and tried else ""
    errors = _against({name: f"{row['ece']:.2f}" for name, row in references.items()})
    bins = {name: row for name, entries in references.items() if (row := _shown_bin(entries))}
    error = f"expected calibration error {errors}"
    if not bins:
        return f"Calibrated{where}; {error}."
    low, high = next((row["low"], row["high"]) for row in bins.values())
    right = _against({name: f"{100 * row['accuracy']:.0f} %" for name, row in bins.items()})
    return (
        f"Calibrated{where}. Where it says {low:.2f} to {high:.2f}, so many pixels were right: "
        f"{right}; {error}."
    )


def reliability_bins(card: ModelCard) -> dict[str, list[dict[str, float]]]:
    """Return the reliability tables on a card: reference -> bins, empty if it has none.

    A bin has ``low`` and ``high``, the mean ``confidence`` of its pixels, ``accuracy``, the share
    of them that were right, and their number ``n_px``.
    """
    found = entries_of(card.metrics.get(CALIBRATED))
    return {name: list(_bins(entries)) for name, entries in _references(found).items()}


def _references(found: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Return the figures against each reference, of those that have an error."""
    references = entries_of(found.get("references")).items()
    return {name: row for name, e in references if is_number((row := entries_of(e)).get("ece"))}


def _against(figures: Mapping[str, str]) -> str:
    return ", ".join(f"{figure} against {printable(name)}" for name, figure in figures.items())


def _shown_bin(entries: Mapping[str, Any]) -> dict[str, float]:
    """Return the bin that holds `_SHOWN_AT`; empty if it has too few pixels to be told of."""
    for row in _bins(entries):
        if row["low"] <= _SHOWN_AT < row["high"] and row["n_px"] >= _FEW_PX:
            return row
    return {}


def _bins(entries: Mapping[str, Any]) -> Iterator[dict[str, float]]:
    """Yield the bins of a reliability table on a card; those without pixels have figures of 0."""
    rows = entries.get("bins")
    for row in rows if isinstance(rows, list | tuple) else ():
        figures = entries_of(row)
        if all(is_number(figures.get(key)) for key in _BIN):
            yield {key: float(figures[key]) for key in _BIN}
