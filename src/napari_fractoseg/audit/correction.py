"""Fractions corrected for the errors of the labels that an audit found."""

from __future__ import annotations

import math
from collections.abc import Mapping

import pandas as pd

from napari_fractoseg.audit.manual import strata_without_answers
from napari_fractoseg.audit.points import PointCount
from napari_fractoseg.evaluation.adjusted_areas import AdjustedAreas, adjusted_areas_of_points
from napari_fractoseg.text import listed

__all__ = ["NO_LABEL", "confusion_of", "corrected_areas", "labelled_areas"]

NO_LABEL = "(no label)"
"""Row of the confusion matrix of points at which the labels have no class any more."""

_LEAST_IN_STRATUM = 2
"""Points that a stratum needs, to have a spread."""


def confusion_of(count: PointCount, judged: pd.DataFrame) -> pd.DataFrame:
    """Return the points by class of the labels (rows) and class by hand (columns)."""
    sums = judged.groupby(["label", "class_name"])["weight"].sum().unstack(fill_value=0)
    names = list(count.scheme.names)
    return sums.reindex(index=_labels(count, judged), columns=names, fill_value=0.0)


def _labels(count: PointCount, judged: pd.DataFrame) -> list[str]:
    is_missing = bool((judged["label"] == NO_LABEL).any())
    return [*count.scheme.names, *([NO_LABEL] if is_missing else [])]


def corrected_areas(
    count: PointCount, judged: pd.DataFrame, confidence: float
) -> tuple[AdjustedAreas | None, list[str]]:
    """Return the corrected areas, and sentences on what they lack.

    Parameters
    ----------
    count : PointCount
        Points; the classes of their plan are the strata.
    judged : DataFrame
        What was told (`judged_points`), with the class of the labels, ``label``.
    confidence : float
        Confidence of the intervals.
    """
    missing = strata_without_answers(count, judged)
    if judged.empty:
        return None, []
    if missing and count.design == "stratified":
        return None, [
            f"Nothing is known of the whole area yet: no point of {listed(missing)} is told. Each "
            "class of the plan has to have some."
        ]
    of_stratum, areas, reasons = _strata(count, judged)
    found = adjusted_areas_of_points(
        judged["stratum"].map(of_stratum),
        judged["label"],
        judged["class_name"],
        areas,
        _labels(count, judged),
        modes=[mode.name for mode in count.scheme.fracture_modes],
        weights=judged["weight"],
        confidence=confidence,
    )
    return found, [*reasons, *found.notes]


def labelled_areas(
    count: PointCount,
    now: Mapping[int, str],
    adjusted: AdjustedAreas | None,
    labelled_px: Mapping[str, int],
) -> dict[str, float]:
    """Return class -> fraction of the area with its label.

    Parameters
    ----------
    count : PointCount
        Points.
    now : mapping of int to str
        Number of a point -> class of the labels there.
    adjusted : AdjustedAreas or None
        Corrected areas.
    labelled_px : mapping of str to int
        Class -> area of the labels as they are now; empty if that is not known.
    """
    names = count.scheme.names
    if whole := sum(labelled_px.values()):
        return {name: labelled_px.get(name, 0) / whole for name in names}
    strata = zip(count.points["point"], count.points["stratum"], strict=True)
    if all(now[point] == stratum for point, stratum in strata):
        return {name: count.stratum_px.get(name, 0) / count.analysed_px for name in names}
    if adjusted is None:
        return dict.fromkeys(names, math.nan)
    mapped = dict(zip(adjusted.classes, adjusted.mapped, strict=True))
    return {name: mapped[name] for name in names}


def _strata(
    count: PointCount, judged: pd.DataFrame
) -> tuple[Mapping[str, str], Mapping[str, int], list[str]]:
    """Return class of the plan -> stratum, stratum -> area, and what was taken together.

    Only where each pixel had the same chance may strata be joined.
    """
    names = list(count.stratum_px)
    own = {name: name for name in names}
    if count.design == "stratified":
        return own, count.stratum_px, []
    n = judged.drop_duplicates("point")["stratum"].value_counts().reindex(names, fill_value=0)
    few = [name for name in names if n[name] < _LEAST_IN_STRATUM]
    others = sorted((name for name in names if name not in few), key=lambda name: n[name])
    if not few:
        return own, count.stratum_px, []
    if others and sum(n[name] for name in few) < _LEAST_IN_STRATUM:
        few.append(others[0])
    together = " and ".join(few)
    own |= dict.fromkeys(few, together)
    areas = dict.fromkeys(own.values(), 0)
    for name, area in count.stratum_px.items():
        areas[own[name]] += area
    if len(few) == 1:
        return own, areas, []
    return own, areas, [f"Few points are in {listed(few)}: they are corrected as one."]
