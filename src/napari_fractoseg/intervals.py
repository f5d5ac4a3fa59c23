"""Interval of a proportion that is not symmetric: near 0 and 1 symmetric ones cover too seldom."""

from __future__ import annotations

from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_fractoseg.errors import OptionError

__all__ = ["CONFIDENCE", "check_confidence", "normal_quantile", "wilson_interval"]

CONFIDENCE = 0.95
"""Confidence of all intervals, unless another is asked for."""


def check_confidence(confidence: float) -> None:
    """Raise unless this is a confidence between 0 and 1.

    Raises
    ------
    OptionError
        If it is not, such as 95 instead of 0.95.
    """
    if not 0 < confidence < 1:
        raise OptionError(
            f"A confidence of {confidence:g} is not between 0 and 1. Use 0.95 for 95 %."
        )


def normal_quantile(confidence: float = CONFIDENCE) -> float:
    """Return how many standard errors a two-sided interval is wide to each side; 1.96 for 95 %."""
    check_confidence(confidence)
    return NormalDist().inv_cdf((1 + confidence) / 2)


def wilson_interval(
    hits: Any, n: Any, confidence: float = CONFIDENCE, *, quantile: float | None = None
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    r"""Return the Wilson interval of a proportion, element by element.

    Parameters
    ----------
    hits, n : float or array of float
        Hits, and points that were looked at. Halves are allowed, for a point on a border
        counts half; so is an effective number of points.
    confidence : float
        Confidence of the interval, between 0 and 1.
    quantile : float, optional
        Quantile to use instead of that of the normal distribution, such as one of Student's t.

    Returns
    -------
    low, high : ndarray of float
        Limits, in 0-1; NaN where `n` is 0: without a point there is no interval.

    Raises
    ------
    OptionError
        If there are more hits than points, or fewer than none.

    Notes
    -----
    With :math:`p = k / n` and the quantile :math:`z`,

    .. math::

        \frac{p + z^2 / 2n \pm z \sqrt{p (1 - p) / n + z^2 / 4 n^2}}{1 + z^2 / n} .

    For whole numbers these are the limits of
    ``scipy.stats.binomtest(k, n).proportion_ci(method="wilson")``.

    References
    ----------
    Wilson, E. B., "Probable inference, the law of succession, and statistical inference",
    J. Am. Stat. Assoc. 22 (1927) 209-212.

    Examples
    --------
    >>> from napari_fractoseg.intervals import wilson_interval
    >>> low, high = wilson_interval(15, 50)
    >>> print(f"{low:.5f} to {high:.5f}")
    0.19104 to 0.43750
    """
    hits, n = np.broadcast_arrays(np.asarray(hits, np.float64), np.asarray(n, np.float64))
    if ((hits < 0) | (hits > n)).any():
        wrong = np.argmax(((hits < 0) | (hits > n)).ravel())
        raise OptionError(
            f"{hits.ravel()[wrong]:g} hits of {n.ravel()[wrong]:g} points are not possible. Count "
            "the hits among the points."
        )
    z2 = (normal_quantile(confidence) if quantile is None else quantile) ** 2
    known = np.where(n > 0, n, np.nan)
    share = hits / known
    middle = (share + z2 / (2 * known)) / (1 + z2 / known)
    half = np.sqrt(z2 * share * (1 - share) / known + (z2 / (2 * known)) ** 2) / (1 + z2 / known)
    # Without a hit the lower limit is 0 but for rounding, and so for all hits.
    low = np.where(hits == 0, np.minimum(known, 0), middle - half)
    high = np.where(hits == n, np.maximum(np.minimum(known, 1), 1), middle + half)
    return np.clip(low, 0, 1), np.clip(high, 0, 1)
