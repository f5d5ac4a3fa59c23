"""Agreement of two judges on the classes of the same points: Cohen's kappa."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from napari_fractoseg.arrays import without_nan
from napari_fractoseg.errors import OptionError
from napari_fractoseg.intervals import CONFIDENCE, normal_quantile

__all__ = ["Agreement", "cohens_kappa"]


@dataclass(frozen=True)
class Agreement:
    """Agreement of two operators, or of an operator and a model, beyond chance.

    Parameters
    ----------
    kappa : float
        Cohen's kappa: 1 for full agreement, 0 for that of chance; NaN if it is not defined.
    standard_error : float
        Its standard error; NaN if there is none.
    agreement : float
        Fraction of the points with the same class; NaN without points.
    n : int or float
        Number of points.
    confidence : float
        Confidence of the interval.
    not_known : str
        Why kappa is not known, as part of a sentence; empty where it is.
    """

    kappa: float
    standard_error: float
    agreement: float
    n: float
    confidence: float = CONFIDENCE
    not_known: str = ""

    @property
    def low(self) -> float:
        """Lower limit of the interval, not below -1; NaN if there is none."""
        return self._bounded(self.kappa - self._half_width)

    @property
    def high(self) -> float:
        """Upper limit of the interval, not above 1; NaN if there is none."""
        return self._bounded(self.kappa + self._half_width)

    @property
    def _half_width(self) -> float:
        return normal_quantile(self.confidence) * self.standard_error

    @staticmethod
    def _bounded(limit: float) -> float:
        return limit if math.isnan(limit) else min(max(limit, -1.0), 1.0)

    def to_dict(self) -> dict[str, Any]:
        """Return all figures as plain JSON types; what is not known is None."""
        figures = {
            "kappa": self.kappa,
            "standard_error": self.standard_error,
            "low": self.low,
            "high": self.high,
            "agreement": self.agreement,
        }
        known = without_nan(figures)
        return {"n": self.n, "confidence": self.confidence, **known, "not_known": self.not_known}

    def __str__(self) -> str:
        if self.not_known:
            return f"Cohen's kappa is not known: {self.not_known}"
        level = f"{100 * self.confidence:g} %"
        return (
            f"Cohen's kappa {self.kappa:.2f} ({level} interval {self.low:.2f} to {self.high:.2f}; "
            f"{100 * self.agreement:.0f} % of {self.n:g} points alike)"
        )


def cohens_kappa(counts: Any, *, confidence: float = CONFIDENCE) -> Agreement:
    r"""Measure how far two judges agree beyond chance.

    Parameters
    ----------
    counts : array of shape (K, K)
        Number of points of each class of the first judge (rows) and of the second (columns).
    confidence : float
        Confidence of the interval.

    Returns
    -------
    Agreement
        Kappa with standard error and interval.

    Raises
    ------
    OptionError
        If it is no square matrix of numbers of points.

    Notes
    -----
    With the fractions :math:`p_{ij}` of the points and their sums over rows and columns,

    .. math::

        p_o = \sum_i p_{ii}, \qquad p_e = \sum_i p_{i+} p_{+i}, \qquad
        \kappa = \frac{p_o - p_e}{1 - p_e} .

    The standard error is the asymptotic one for any kappa, not that of the hypothesis that
    kappa is 0:

    .. math::

        S^2 = \frac{\sum_i p_{ii} [1 - (p_{i+} + p_{+i})(1 - \kappa)]^2
        + (1 - \kappa)^2 \sum_{i \ne j} p_{ij} (p_{+i} + p_{j+})^2
        - [\kappa - p_e (1 - \kappa)]^2}{n (1 - p_e)^2} .

    References
    ----------
    Cohen, J., Educ. Psychol. Meas. 20 (1960) 37-46.
    Fleiss, J. L., Cohen, J. & Everitt, B. S., "Large sample standard errors of kappa and
    weighted kappa", Psychol. Bull. 72 (1969) 323-327.

    Examples
    --------
    >>> from napari_fractoseg.evaluation.agreement import cohens_kappa
    >>> print(cohens_kappa([[20, 5], [10, 15]]))
    Cohen's kappa 0.40 (95 % interval 0.15 to 0.65; 70 % of 50 points alike)
    """
    table = np.asarray(counts, np.float64)
    is_square = table.ndim == 2 and table.shape[0] == table.shape[1]
    if not (is_square and np.isfinite(table).all() and (table >= 0).all()):
        raise OptionError(
            f"{table.tolist()} is no square matrix of numbers of points. Give a row for each class "
            "of the first judge, and a column for each of the second."
        )
    n = float(table.sum())
    if not n:
        return Agreement(math.nan, math.nan, math.nan, 0, confidence, "no point was judged by both")
    p = table / n
    rows, columns, same = p.sum(axis=1), p.sum(axis=0), np.diag(p)
    observed, expected = float(same.sum()), float(rows @ columns)
    if np.count_nonzero(rows) == np.count_nonzero(columns) == 1 and observed:
        why = "both judges gave all points the same class, so that chance would agree as well"
        return Agreement(math.nan, math.nan, observed, n, confidence, why)
    kappa = (observed - expected) / (1 - expected)
    weights = (1 - kappa) * (columns[:, None] + rows[None, :])
    squares = p * (np.eye(len(p)) - weights) ** 2
    variance = squares.sum() - (kappa - expected * (1 - kappa)) ** 2
    error = math.sqrt(max(variance, 0) / n) / (1 - expected)
    return Agreement(kappa, error, observed, n, confidence)
