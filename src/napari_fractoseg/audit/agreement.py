"""Agreement at points: of an operator and the labels, and of two operators."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from napari_fractoseg.audit.points import PointCount
from napari_fractoseg.evaluation.agreement import Agreement, cohens_kappa
from napari_fractoseg.intervals import CONFIDENCE

__all__ = ["agreement_of", "operators_kappa", "shares_of"]

Shares = Mapping[int, Mapping[str, float]]
"""Number of a point -> class -> how much of the point is of it."""


def shares_of(count: PointCount, operator: str) -> dict[int, dict[str, float]]:
    """Return what an operator told: number of the point -> class -> 1, or a half on a border."""
    return {
        point: {found.name: 1 / len(classes) for found in classes}
        for point, classes in count.classes_at(operator)
    }


def operators_kappa(
    count: PointCount, first: str, second: str, *, confidence: float = CONFIDENCE
) -> Agreement:
    """Measure how far two operators agree beyond chance.

    Parameters
    ----------
    count : PointCount
        Points with answers of both.
    first, second : str
        Names of the operators.
    confidence : float
        Confidence of the interval.

    Returns
    -------
    Agreement
        Cohen's kappa of the points that both could tell. On a border they agree as far as they
        name the same classes. Points of a stratified plan count by the area that they stand for.

    Examples
    --------
    >>> import numpy as np
    >>> import napari_fractoseg as nf
    >>> from napari_fractoseg.audit.agreement import operators_kappa
    >>> count = nf.plan_points(np.ones((9, 9), int), n_points=4, design="random", seed=1)
    >>> for point, (ada, ben) in enumerate(["ii", "ii", "tt", "ti"], start=1):
    ...     count = count.answered(point, ada, "Ada").answered(point, ben, "Ben")
    >>> round(operators_kappa(count, "Ada", "Ben").kappa, 2)
    0.5
    """
    one, two = shares_of(count, first), shares_of(count, second)
    return agreement_of(count, one, two, confidence)


def agreement_of(
    count: PointCount, first: Shares, second: Shares, confidence: float = CONFIDENCE
) -> Agreement:
    """Measure the agreement of two judges at the points that both told."""
    names = count.scheme.names
    both = [point for point in first if point in second]
    counts = np.zeros((len(names), len(names)))
    for point, weight in _weights(count, both).items():
        counts += weight * _crossed(first[point], second[point], names)
    return replace(cohens_kappa(counts, confidence=confidence), n=len(both))


def _weights(count: PointCount, points: Sequence[int]) -> dict[int, float]:
    """Return how much each point counts: the area it stands for in a stratified plan.

    Their sum is the number of points that would be as sure if each counted the same (Kish).
    """
    if count.design != "stratified" or not points:
        return dict.fromkeys(points, 1.0)
    stratum = dict(zip(count.points["point"], count.points["stratum"], strict=True))
    strata = [stratum[point] for point in points]
    areas = np.array([count.stratum_px[s] / strata.count(s) for s in strata])
    return dict(zip(points, areas * areas.sum() / (areas**2).sum(), strict=True))


def _crossed(
    first: Mapping[str, float], second: Mapping[str, float], names: Sequence[str]
) -> npt.NDArray[np.float64]:
    """Return a point by class of both judges; they agree as far as they name the same."""
    one, two = (np.array([judge.get(name, 0.0) for name in names]) for judge in (first, second))
    same = np.minimum(one, two)
    rest = 1 - same.sum()
    crossed = np.diag(same)
    return crossed + np.outer(one - same, two - same) / rest if rest > 0 else crossed
