"""Fractions by hand: what the points of an operator say of the area, with their uncertainty."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from napari_fractoseg.arrays import without_nan
from napari_fractoseg.audit.points import PointCount
from napari_fractoseg.errors import OptionError
from napari_fractoseg.evaluation.adjusted_areas import AdjustedAreas, adjusted_areas_of_points
from napari_fractoseg.intervals import CONFIDENCE, wilson_interval
from napari_fractoseg.measurement.estimates import ANALYSED, MODES
from napari_fractoseg.measurement.statistics import Estimate, smallest

__all__ = ["ManualFraction", "judged_points", "manual_fractions", "strata_without_answers"]

_LEAST_FIELDS = 5
"""Fields of which the spread says how sure the fraction is; with fewer the points do."""


def judged_points(count: PointCount, operator: str) -> pd.DataFrame:
    """Return what an operator told: a row for each point and class.

    Parameters
    ----------
    count : PointCount
        Points with answers.
    operator : str
        Name of the operator.

    Returns
    -------
    DataFrame
        ``point``, ``image``, ``plane``, ``field`` (number of the plane of all images),
        ``stratum``, ``class_name`` and ``weight``: 1, or twice a half for a point on a border.
        Points that the operator could not tell are left out.
    """
    rows = [
        (point, found.name, 1 / len(classes))
        for point, classes in count.classes_at(operator)
        for found in classes
    ]
    told = pd.DataFrame(rows, columns=["point", "class_name", "weight"])
    places = count.points[["point", "image", "plane", "stratum"]]
    fields = places.groupby(["image", "plane"], sort=False).ngroup()
    places = places.assign(field=fields)
    return told.merge(places, on="point", how="left")


def strata_without_answers(count: PointCount, judged: pd.DataFrame) -> list[str]:
    """Return the classes of a plan of whose area nothing was told yet."""
    answered = set(judged["stratum"])
    return [name for name in count.stratum_px if name not in answered]


@dataclass(frozen=True)
class ManualFraction:
    """Fraction of a class by hand, from what an operator saw at the points.

    Parameters
    ----------
    class_name : str
        Name of the class.
    of : str
        Denominator: ``analysed area`` or ``area that shows a fracture mode``.
    value : float
        Estimate, 0-1; NaN where it is not known.
    low, high : float
        Its interval; NaN where there is none.
    hits, n_points : float
        Points of the class, and of the denominator; points on a border count half.
    n_judged : int
        Points that the operator told, of whatever class.
    n_effective : float
        Number of independent points that would be as sure.
    fields : Estimate or None
        Where the spread of the fields says how sure it is: mean, s, n and %RA of the fields.
    confidence : float
        Confidence of the interval.
    """

    class_name: str
    of: str
    value: float
    low: float
    high: float
    hits: float
    n_points: float
    n_judged: int
    n_effective: float
    fields: Estimate | None = None
    confidence: float = CONFIDENCE

    @property
    def half_width(self) -> float:
        """Half of the width of the interval; NaN if there is none."""
        return (self.high - self.low) / 2

    def points_needed(self, half_width: float) -> int | None:
        r"""Return how many points it takes for a half-width of the interval, by what was found.

        Parameters
        ----------
        half_width : float
            Wanted half-width, such as 0.05 for 5 percentage points.

        Returns
        -------
        int or None
            Number of points that are told, those that were among them. None where nothing is
            known yet.

        Raises
        ------
        OptionError
            If the half-width is not between 0 and 0.5.

        Notes
        -----
        Smallest :math:`n` of which Wilson's interval of this fraction is as narrow, where
        :math:`n` points are as sure as :math:`n \, n^* / n_0` independent ones: :math:`n_0`
        points were told, and were as sure as :math:`n^*`. Where the fields say how sure it is,
        the further points have to be in further fields.
        """
        if not 0 < half_width < 0.5:
            raise OptionError(
                f"A half-width of {half_width:g} is not between 0 and 0.5. Use 0.05 for 5 "
                "percentage points."
            )
        if math.isnan(self.value) or not self.n_effective > 0:
            return None
        each = self.n_effective / self.n_judged
        t = None if self.fields is None else self.fields.t

        def is_enough(n: int) -> bool:
            limits = wilson_interval(self.value * n * each, n * each, self.confidence, quantile=t)
            return float(limits[1] - limits[0]) / 2 <= half_width

        return smallest(1, is_enough)

    def to_dict(self) -> dict[str, Any]:
        """Return all figures as plain JSON types; what is not known is None."""
        figures = {
            "value": self.value,
            "low": self.low,
            "high": self.high,
            "half_width": self.half_width,
            "hits": self.hits,
            "n_points": self.n_points,
            "n_judged": self.n_judged,
            "n_effective": self.n_effective,
        }
        return {
            "class_name": self.class_name,
            "of": self.of,
            "confidence": self.confidence,
            **without_nan(figures),
            "fields": None if self.fields is None else self.fields.to_dict(),
        }

    def __str__(self) -> str:
        if math.isnan(self.value):
            return "not known"
        level = f"{100 * self.confidence:g} %"
        points = f"{self.n_points:g} point{'s' * (self.n_points != 1)}"
        fields = "" if self.fields is None else f" in {self.fields.n} {self.fields.unit}"
        return (
            f"{100 * self.value:.1f} % ({level} interval {100 * self.low:.1f} to "
            f"{100 * self.high:.1f} %; {points}{fields})"
        )


def manual_fractions(
    count: PointCount,
    operator: str,
    confidence: float = CONFIDENCE,
    *,
    judged: pd.DataFrame | None = None,
) -> tuple[ManualFraction, ...]:
    r"""Estimate the fractions from the points of an operator alone.

    Parameters
    ----------
    count : PointCount
        Points with answers.
    operator : str
        Name of the operator.
    confidence : float
        Confidence of the intervals.
    judged : DataFrame, optional
        What the operator told, if it is known already (`judged_points`).

    Returns
    -------
    tuple of ManualFraction
        Of each class in the analysed area, then of each fracture mode in the area that shows
        one, such as i / (i + t).

    Notes
    -----
    Of a grid, or of random points in the whole area, it is the fraction of the points,
    :math:`R = \sum y_f / \sum x_f` with :math:`y_f` points of the class and :math:`x_f` points
    of the denominator in field (plane) :math:`f`. With five fields or more that have points the
    interval is in the manner of ASTM E562, by Student's t of the fields

    .. math::

        z_f = R + (y_f - R x_f) / \bar x ,

    which are the fractions of the fields :math:`y_f / x_f` where each has as many points. Below,
    it is Wilson's interval of the points. Of a stratified plan it is the sum over the strata, see
    `adjusted_areas_of_points`.

    References
    ----------
    ASTM E562, "Standard test method for determining volume fraction by systematic manual point
    count". Cochran, W. G., "Sampling Techniques", 3rd ed. (1977), chapter 6 (ratios).
    """
    told = judged_points(count, operator) if judged is None else judged
    modes = [mode.name for mode in count.scheme.fracture_modes]
    wanted = [(name, ANALYSED) for name in count.scheme.names] + [(name, MODES) for name in modes]
    samples = [_Sample.of_class(told, name, of, modes) for name, of in wanted]
    if count.design != "stratified":
        return tuple(_of_all_points(sample, confidence) for sample in samples)
    if strata_without_answers(count, told):
        return tuple(sample.fraction(confidence) for sample in samples)
    strata = adjusted_areas_of_points(
        told["stratum"],
        told["class_name"],
        told["class_name"],
        count.stratum_px,
        count.scheme.names,
        modes=modes,
        weights=told["weight"],
        confidence=confidence,
    )
    return tuple(_of_strata(sample, strata, confidence) for sample in samples)


@dataclass(frozen=True, eq=False)
class _Sample:
    """What was told, as to the fraction of one class."""

    judged: pd.DataFrame
    class_name: str
    of: str
    modes: Sequence[str]
    hits: pd.Series[float]
    """Weight of each row of what was told in the class, and in the denominator."""
    whole: pd.Series[float]

    @classmethod
    def of_class(cls, judged: pd.DataFrame, name: str, of: str, modes: Sequence[str]) -> _Sample:
        is_whole = judged["class_name"].isin(modes) | (of == ANALYSED)
        hits = judged["weight"] * (judged["class_name"] == name)
        return cls(judged, name, of, modes, hits, judged["weight"] * is_whole)

    def fraction(self, confidence: float) -> ManualFraction:
        """Return the numbers of points, without an estimate."""
        return ManualFraction(
            class_name=self.class_name,
            of=self.of,
            value=math.nan,
            low=math.nan,
            high=math.nan,
            hits=float(self.hits.sum()),
            n_points=float(self.whole.sum()),
            n_judged=int(self.judged["point"].nunique()),
            n_effective=math.nan,
            confidence=confidence,
        )


def _of_all_points(sample: _Sample, confidence: float) -> ManualFraction:
    """Return the fraction where each pixel had the same chance."""
    found = sample.fraction(confidence)
    if not found.n_points:
        return found
    value = found.hits / found.n_points
    fields = _of_fields(sample, value, confidence)
    if fields is None:
        low, high = wilson_interval(found.hits, found.n_points, confidence)
        limits = float(low), float(high)
        n_effective = found.n_points
    else:
        limits = fields.shown
        n_effective = value * (1 - value) * fields.n / fields.s**2
    return replace(
        found,
        value=value,
        low=limits[0],
        high=limits[1],
        n_effective=n_effective,
        fields=fields,
    )


def _of_fields(sample: _Sample, value: float, confidence: float) -> Estimate | None:
    """Return the estimate of the fields; None where they are too few, or all alike."""
    fields, place = np.unique(sample.judged["field"], return_inverse=True)
    if len(fields) < _LEAST_FIELDS:
        return None
    y, x = (np.bincount(place, each) for each in (sample.hits, sample.whole))
    is_stack = sample.judged["image"].nunique() < len(fields)
    values = value + (y - value * x) / x.mean()
    found = Estimate.of(values, "planes" if is_stack else "images", confidence)
    return None if found.no_interval else found


def _of_strata(sample: _Sample, strata: AdjustedAreas, confidence: float) -> ManualFraction:
    """Return the fraction of a stratified plan: that of each stratum, weighted by its area."""
    found = sample.fraction(confidence)
    if not found.n_points:
        return found
    kinds = strata.areas if sample.of == ANALYSED else strata.of_modes
    area = kinds[strata.classes.index(sample.class_name)]
    spread = area.value * (1 - area.value)
    n_effective = found.n_points
    if spread and area.standard_error > 0:
        n_effective = spread / area.standard_error**2
    return replace(found, value=area.value, low=area.low, high=area.high, n_effective=n_effective)
