"""Area fractions corrected for the errors of the labels, from points that a person checked.

Labels that are wrong here and there give a biased fraction, however many pixels there are. Points
at which a person told the true class say how often each label is right, and so what the areas are.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from napari_fractoseg.arrays import without_nan
from napari_fractoseg.errors import OptionError
from napari_fractoseg.intervals import CONFIDENCE, normal_quantile, wilson_interval
from napari_fractoseg.text import listed

__all__ = ["AdjustedAreas", "Proportion", "adjusted_areas", "adjusted_areas_of_points"]

_Floats = npt.NDArray[np.float64]
_TITLES = {
    "areas": "area_fraction",
    "of_modes": "fraction_of_modes",
    "users": "users_accuracy",
    "producers": "producers_accuracy",
}
"""Figures of each class, and their columns in the table."""


@dataclass(frozen=True)
class Proportion:
    """Estimate of an area fraction or an accuracy, from checked points.

    Parameters
    ----------
    value : float
        Estimate, 0-1; NaN where its denominator is 0.
    standard_error : float
        Its standard error; NaN where it is not known.
    low, high : float
        Interval to show, which never leaves 0-1 and is not symmetric; NaN if there is none.
    confidence : float
        Confidence of the intervals.
    """

    value: float
    standard_error: float
    low: float
    high: float
    confidence: float = CONFIDENCE

    @property
    def half_width(self) -> float:
        """Half-width of the symmetric interval of the literature: 1.96 standard errors for 95 %."""
        return normal_quantile(self.confidence) * self.standard_error

    def to_dict(self) -> dict[str, float | None]:
        """Return the figures as plain JSON types; what is not known is None."""
        figures = {
            "value": self.value,
            "standard_error": self.standard_error,
            "half_width": self.half_width,
            "low": self.low,
            "high": self.high,
        }
        found: dict[str, float | None] = without_nan(figures)
        return found

    def __str__(self) -> str:
        if math.isnan(self.value):
            return "not known"
        level = f"{100 * self.confidence:g} %"
        limits = f"{level} interval {100 * self.low:.1f} to {100 * self.high:.1f} %"
        return f"{100 * self.value:.1f} % ({limits})"


@dataclass(frozen=True, eq=False)
class AdjustedAreas:
    """Error-adjusted area fractions of classes, and the accuracy of the labels.

    Parameters
    ----------
    classes : tuple of str
        Names of the classes.
    areas : tuple of Proportion
        Fraction of the area that each class really has.
    of_modes : tuple of Proportion
        Fraction of each class in the area that really shows a fracture mode, such as
        i / (i + t); NaN for classes that are no fracture mode.
    users : tuple of Proportion
        User's accuracy: how much of the area with this label is of the class.
    producers : tuple of Proportion
        Producer's accuracy: how much of the area of the class has its label.
    overall : Proportion
        Overall accuracy: how much of the area has the right label.
    matrix : ndarray of float, shape (K, K)
        Estimated fraction of the area for each label (row) and each true class (column).
    n_points : int or float
        Number of checked points.
    total_px : int or float
        Area that the fractions are of.
    notes : tuple of str
        Sentences about what could not be computed, and why.
    """

    classes: tuple[str, ...]
    areas: tuple[Proportion, ...]
    of_modes: tuple[Proportion, ...]
    users: tuple[Proportion, ...]
    producers: tuple[Proportion, ...]
    overall: Proportion
    matrix: _Floats
    n_points: float
    total_px: float
    notes: tuple[str, ...] = ()

    @property
    def mapped(self) -> tuple[float, ...]:
        """Fraction of the area with each label, which is not corrected (or its estimate)."""
        return tuple(float(value) for value in self.matrix.sum(axis=1))

    def table(self) -> pd.DataFrame:
        """Return a row for each class: fractions and accuracies with errors and intervals."""
        rows = []
        for number, name in enumerate(self.classes):
            row: dict[str, Any] = {"class_name": name, "mapped_fraction": self.mapped[number]}
            for what in ("areas", "of_modes", "users", "producers"):
                figures = getattr(self, what)[number].to_dict()
                title = _TITLES[what]
                row |= {title if k == "value" else f"{title}_{k}": v for k, v in figures.items()}
            rows.append(row)
        return pd.DataFrame(rows)

    def to_dict(self) -> dict[str, Any]:
        """Return all figures as plain JSON types; what is not known is None."""
        return {
            "confidence": self.overall.confidence,
            "n_points": self.n_points,
            "total_px": self.total_px,
            "mapped": dict(zip(self.classes, self.mapped, strict=True)),
            **{
                kind: {
                    name: figure.to_dict()
                    for name, figure in zip(self.classes, getattr(self, kind), strict=True)
                }
                for kind in _TITLES
            },
            "overall": self.overall.to_dict(),
            "matrix": self.matrix.tolist(),
            "notes": list(self.notes),
        }

    def __str__(self) -> str:
        parts = [f"{n} {p}" for n, p in zip(self.classes, self.areas, strict=True)]
        text = f"{listed(parts)}; corrected by {self.n_points:g} checked points"
        return f"{text}, overall accuracy {self.overall}."


def adjusted_areas(
    confusion: Any,
    mapped_px: Sequence[float],
    classes: Sequence[str] | None = None,
    *,
    modes: Sequence[str] | None = None,
    confidence: float = CONFIDENCE,
) -> AdjustedAreas:
    r"""Correct area fractions for the errors of the labels; the points were drawn by label.

    Parameters
    ----------
    confusion : array of shape (K, K)
        Number of checked points: **rows are the labels** (the map), **columns the true
        classes** (the reference). Halves are allowed. A `Confusion` has it the other way
        round: give ``confusion.counts.T``.
    mapped_px : sequence of K numbers
        Area with each label. Its unit does not count: pixels, hectares.
    classes : sequence of K str, optional
        Names of the classes; by default ``class 1`` and so on.
    modes : sequence of str, optional
        Classes that are fracture modes, for `AdjustedAreas.of_modes`; by default all of them.
    confidence : float
        Confidence of the intervals.

    Returns
    -------
    AdjustedAreas
        Areas, accuracies, standard errors and intervals.

    Raises
    ------
    OptionError
        If the numbers do not fit together, or a label that has area has no point.

    Notes
    -----
    With :math:`W_i` the fraction of the area with label :math:`i`, :math:`n_{ij}` the points of
    label :math:`i` and true class :math:`j`, and :math:`n_i` all points of label :math:`i`,

    .. math::

        \hat p_j = \sum_i W_i \frac{n_{ij}}{n_i}, \qquad
        S(\hat p_j)^2 = \sum_i W_i^2 \frac{\hat q_{ij} (1 - \hat q_{ij})}{n_i - 1}, \qquad
        \hat q_{ij} = \frac{n_{ij}}{n_i} .

    Standard errors and ``half_width`` are those of Olofsson et al. The interval ``low`` to
    ``high`` of areas and overall accuracy is made of the Wilson intervals of the labels (Zou et
    al.): :math:`\hat p_j - \sqrt{\sum_i W_i^2 (\hat q_{ij} - l_{ij})^2}` to
    :math:`\hat p_j + \sqrt{\sum_i W_i^2 (u_{ij} - \hat q_{ij})^2}`. The symmetric one covers
    far too seldom where errors are rare, and is of no width where no point shows one; see
    ``benchmarks/coverage.py``. That of ratios (user's and producer's accuracy, fraction of the
    modes) is made in the same way of the residuals, whose two parts are correlated, as both
    are shares of the same points.

    References
    ----------
    Olofsson, P. et al., "Good practices for estimating area and assessing accuracy of land
    change", Remote Sens. Environ. 148 (2014) 42-57, eqs. 5-11.
    Zou, G. Y., Huang, W. & Zhang, X., "A note on confidence interval estimation for a linear
    function of binomial proportions", Comput. Stat. Data Anal. 53 (2009) 1080-1085.

    Examples
    --------
    >>> import napari_fractoseg as nf
    >>> found = nf.adjusted_areas([[45, 5], [5, 95]], [3000, 7000], ["inter", "trans"])
    >>> [round(area.value, 3) for area in found.areas], round(found.overall.value, 3)
    ([0.305, 0.695], 0.935)
    """
    counts = np.asarray(confusion, np.float64)
    if counts.ndim != 2 or counts.shape[0] != counts.shape[1]:
        raise OptionError(
            f"A confusion matrix has as many rows as columns, this one is {counts.shape}. Give a "
            "row for each label and a column for each true class."
        )
    names = [f"class {n + 1}" for n in range(len(counts))] if classes is None else list(classes)
    if not len(counts) == len(mapped_px) == len(names):
        raise OptionError(
            f"The confusion matrix has {len(counts)} classes, there are {len(mapped_px)} mapped "
            f"areas and {len(names)} names. Give as many of each."
        )
    # strata are the labels: points of stratum i have label i
    cube = np.zeros((len(counts),) * 3)
    for stratum, row in enumerate(counts):
        cube[stratum, stratum] = row
    sizes = dict(zip(names, map(float, mapped_px), strict=True))
    return _estimated(cube, sizes, names, modes, confidence)


def adjusted_areas_of_points(
    strata: Iterable[Hashable],
    labels: Iterable[Hashable],
    references: Iterable[Hashable],
    stratum_px: Mapping[Any, float],
    classes: Sequence[Hashable] | None = None,
    *,
    modes: Sequence[Hashable] | None = None,
    weights: Iterable[float] | None = None,
    confidence: float = CONFIDENCE,
) -> AdjustedAreas:
    r"""Correct area fractions by points that were drawn in strata which are not the labels.

    Such as after the points were drawn by the labels of that time, and the image was segmented
    again or corrected since; or where the strata are images.

    Parameters
    ----------
    strata, labels, references : iterable, one entry for each point
        Stratum in which the point was drawn, label that it has now, class that it really has.
    stratum_px : mapping
        Stratum -> its area when the points were drawn.
    classes : sequence, optional
        Classes in the order of the result; by default all of labels and references, sorted.
    modes : sequence, optional
        Classes that are fracture modes, for `AdjustedAreas.of_modes`; by default all of them.
    weights : iterable of float, optional
        How much each entry counts; by default 1. A point on a border is two entries that
        count half, one for each class.
    confidence : float
        Confidence of the intervals.

    Returns
    -------
    AdjustedAreas
        Areas, accuracies, standard errors and intervals.

    Raises
    ------
    OptionError
        If the numbers do not fit together, or a stratum that has area has no point.

    Notes
    -----
    With :math:`N_h` the area of stratum :math:`h` and :math:`\bar y_h` the mean of an indicator
    :math:`y` of its :math:`n_h` points (1 where the true class is :math:`j`),

    .. math::

        \hat p = \sum_h N_h \bar y_h / N, \qquad
        S(\hat p)^2 = \sum_h N_h^2 s_{yh}^2 / (N^2 n_h) .

    User's and producer's accuracy are ratios :math:`\hat R = \sum N_h \bar y_h / \sum N_h \bar
    x_h` (:math:`y`: label and class are :math:`j`; :math:`x`: the label is :math:`j`, or the
    class is), with :math:`S(\hat R)^2 = \sum N_h^2 (s_{yh}^2 + \hat R^2 s_{xh}^2 - 2 \hat R
    s_{xyh}) / (n_h (\sum N_h \bar x_h)^2)`. The factor :math:`1 - n_h / N_h` is left out, as
    points are few against pixels. Where the strata are the labels, all this is that of
    `adjusted_areas`.

    References
    ----------
    Stehman, S. V., "Estimating area and map accuracy for stratified random sampling when the
    strata are different from the map classes", Int. J. Remote Sens. 35 (2014) 4923-4939.

    Examples
    --------
    >>> from napari_fractoseg.evaluation.adjusted_areas import adjusted_areas_of_points
    >>> found = adjusted_areas_of_points("AAABBB", "itittt", "iittti", {"A": 100, "B": 300})
    >>> [round(area.value, 4) for area in found.areas]
    [0.4167, 0.5833]
    """
    points = list(zip(strata, labels, references, strict=True))
    used = {entry for point in points for entry in point[1:]}
    order = sorted(used, key=str) if classes is None else list(classes)
    if unknown := sorted({str(entry) for entry in used if entry not in order}):
        raise OptionError(
            f"Points are of classes that are not asked for: {listed(unknown)}. The classes are "
            f"{listed(order)}."
        )
    names = list(stratum_px)
    if unknown := sorted({str(stratum) for stratum, *_ in points if stratum not in stratum_px}):
        raise OptionError(
            f"Points are of strata without an area: {listed(unknown)}. The strata are "
            f"{listed(names)}."
        )
    cube = np.zeros((len(names), len(order), len(order)))
    counts = [1.0] * len(points) if weights is None else list(weights)
    for (stratum, label, reference), count in zip(points, counts, strict=True):
        cube[names.index(stratum), order.index(label), order.index(reference)] += count
    sizes = {str(name): float(stratum_px[name]) for name in names}
    shown = None if modes is None else list(map(str, modes))
    return _estimated(cube, sizes, list(map(str, order)), shown, confidence)


def _estimated(
    cube: _Floats,
    stratum_px: Mapping[str, float],
    classes: Sequence[str],
    modes: Sequence[str] | None,
    confidence: float,
) -> AdjustedAreas:
    """Return the estimates from points by stratum, label and true class."""
    strata, areas = list(stratum_px), np.array(list(stratum_px.values()), np.float64)
    _check(cube, areas, strata)
    is_mode = _are_modes(classes, modes)
    used = areas > 0
    sample = _Sample(cube[used], areas[used] / areas.sum(), confidence)
    kinds = range(len(classes))
    hit = [_only(cube.shape[1:], label=k, reference=k) for k in kinds]
    labelled = [_only(cube.shape[1:], label=k) for k in kinds]
    true = [_only(cube.shape[1:], reference=k) for k in kinds]
    return AdjustedAreas(
        classes=tuple(classes),
        areas=tuple(sample.mean(true[k]) for k in kinds),
        of_modes=tuple(
            sample.ratio(true[k], np.sum(true, axis=0, where=is_mode[:, None, None]))
            if is_mode[k]
            else sample.unknown
            for k in kinds
        ),
        users=tuple(sample.ratio(hit[k], labelled[k]) for k in kinds),
        producers=tuple(sample.ratio(hit[k], true[k]) for k in kinds),
        overall=sample.mean(np.eye(len(classes))),
        matrix=np.einsum("h,hij->ij", sample.weights / sample.n, sample.cube),
        n_points=float(cube.sum()),
        total_px=float(areas.sum()),
        notes=_notes(sample, _those(strata, used)),
    )


def _are_modes(classes: Sequence[str], modes: Sequence[str] | None) -> npt.NDArray[np.bool_]:
    if unknown := [mode for mode in modes or () if mode not in classes]:
        raise OptionError(
            f"Fracture modes {listed(unknown)} are not among the classes {listed(classes)}."
        )
    return np.array([modes is None or name in modes for name in classes])


def _check(cube: _Floats, areas: _Floats, strata: Sequence[str]) -> None:
    for what, values in (("numbers of points", cube), ("areas", areas)):
        if not (np.isfinite(values).all() and (values >= 0).all()):
            raise OptionError(f"The {what} are not all 0 or more: {values.tolist()}.")
    n = cube.sum(axis=(1, 2))
    if not areas.sum() > 0:
        raise OptionError("No label has any area. Segment or label the image first.")
    if missing := _those(strata, (n == 0) & (areas > 0)):
        raise OptionError(
            f"No point was checked in {listed(missing)}, which have area. Check at least two "
            "points in each."
        )
    if extra := _those(strata, (n > 0) & (areas == 0)):
        raise OptionError(
            f"Points were checked in {listed(extra)}, which have no area. If the labels were "
            "changed since the points were drawn, use adjusted_areas_of_points."
        )


def _those(names: Sequence[str], are_wanted: npt.NDArray[np.bool_]) -> list[str]:
    return [name for name, is_wanted in zip(names, are_wanted, strict=True) if is_wanted]


def _notes(sample: _Sample, strata: Sequence[str]) -> tuple[str, ...]:
    alone = _those(strata, sample.n <= 1)
    if not alone:
        return ()
    return (
        f"No standard errors: only one point was checked in {listed(alone)}, which has no spread. "
        "Check at least two.",
    )


def _only(
    shape: tuple[int, ...], label: int | None = None, reference: int | None = None
) -> _Floats:
    """Return the indicator of points with this label, true class, or both."""
    chosen = np.zeros(shape)
    rows = slice(None) if label is None else label
    chosen[rows, slice(None) if reference is None else reference] = 1
    return chosen


@dataclass(frozen=True, eq=False)
class _Sample:
    """Checked points by stratum, label and true class, with the fraction of each stratum."""

    cube: _Floats
    weights: _Floats
    confidence: float

    @property
    def n(self) -> _Floats:
        return np.asarray(self.cube.sum(axis=(1, 2)))

    @property
    def unknown(self) -> Proportion:
        return Proportion(math.nan, math.nan, math.nan, math.nan, self.confidence)

    def share(self, indicator: _Floats) -> _Floats:
        """Return the fraction of the points of each stratum that the indicator is 1 for."""
        return np.asarray((self.cube * indicator).sum(axis=(1, 2)) / self.n)

    def error(self, mean_of_squares: _Floats, mean: _Floats) -> float:
        """Return the standard error of a sum over strata of weight times mean."""
        if (self.n <= 1).any():
            return math.nan
        spread = np.maximum(mean_of_squares - mean**2, 0) / (self.n - 1)  # s² / n
        return float(np.sqrt((self.weights**2 * spread).sum()))

    def mean(self, indicator: _Floats) -> Proportion:
        """Estimate the fraction of the area that an indicator is 1 for."""
        share = self.share(indicator)
        value = float((self.weights * share).sum())
        low, high = wilson_interval(share * self.n, self.n, self.confidence)
        down, up = (
            float(np.sqrt((self.weights**2 * (limit - share) ** 2).sum())) for limit in (low, high)
        )
        limits = max(value - down, 0.0), min(value + up, 1.0)
        return Proportion(value, self.error(share, share), *limits, self.confidence)

    def ratio(self, part: _Floats, whole: _Floats) -> Proportion:
        """Estimate the ratio of two areas, one of which is a part of the other."""
        y, x = self.share(part), self.share(whole)
        denominator = float((self.weights * x).sum())
        if denominator == 0:
            return self.unknown
        value = min(float((self.weights * y).sum()) / denominator, 1.0)
        # residuals y - R x are (1 - R) for a part, -R for the rest of the whole
        squares = (1 - value) ** 2 * y + value**2 * (x - y)
        error = self.error(squares, y - value * x) / denominator
        down, up = (width / denominator for width in self._ratio_widths(value, part, whole - part))
        limits = max(value - down, 0.0), min(value + up, 1.0)
        return Proportion(value, error, *limits, self.confidence)

    def _ratio_widths(self, value: float, part: _Floats, rest: _Floats) -> tuple[float, float]:
        """Return how far the residuals (1 - R) part - R rest may be lower, and higher."""
        (share, low, high), (other, other_low, other_high) = map(self._limits, (part, rest))
        # both are shares of the same points, so that more of one is less of the other
        z2 = normal_quantile(self.confidence) ** 2
        one, two = ((each * self.n + z2 / 2) / (self.n + z2) for each in (share, other))
        correlation = -np.minimum(np.sqrt(one * two / ((1 - one) * (1 - two))), 1)

        def width(of_part: _Floats, of_rest: _Floats) -> float:
            first, second = (1 - value) * of_part, value * of_rest
            squares = first**2 + second**2 - 2 * correlation * first * second
            return float(np.sqrt((self.weights**2 * squares).sum()))

        return width(share - low, other_high - other), width(high - share, other - other_low)

    def _limits(self, indicator: _Floats) -> tuple[_Floats, _Floats, _Floats]:
        """Return share and Wilson limits by stratum; 0 for labels that occur at no point of it."""
        share = self.share(indicator)
        is_seen = self.cube.sum(axis=2, keepdims=True) > 0
        is_possible = (is_seen * indicator).any(axis=(1, 2))
        low, high = wilson_interval(share * self.n, self.n, self.confidence)
        return share, np.where(is_possible, low, 0), np.where(is_possible, high, 0)
