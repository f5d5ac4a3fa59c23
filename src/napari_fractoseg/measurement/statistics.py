"""Mean of fields with its interval, in the manner of ASTM E562.

The number of observations is never the number of pixels: pixels of one facet say the same. It is
the number of fields, images or specimens, whatever is independent.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from napari_fractoseg.arrays import without_nan
from napari_fractoseg.errors import OptionError
from napari_fractoseg.intervals import CONFIDENCE, check_confidence, wilson_interval

__all__ = ["Estimate", "block_bootstrap", "design_effect", "smallest"]

_NEAR_BOUND = 0.05
"""Means that are as near to 0 or 1 have the interval that is not symmetric."""
_MOST_ALIKE, _MANY_FIELDS = 3.0, 64
"""Largest design effect of an interval of more fields than this: beyond, facets reach farther than
a neighbouring field. Of fewer fields it is large by a gradient across the image as well."""
_MOST_FIELDS = 10**9
_ROUNDING = 1e-9
_RESAMPLES = 4999


@dataclass(frozen=True)
class Estimate:
    r"""Estimate of a fraction: mean of some observations, with its interval.

    Parameters
    ----------
    mean : float
        Mean of the observations, 0-1; NaN without any.
    s : float
        Their standard deviation (with n - 1); NaN below two observations.
    n : int
        Number of independent observations.
    unit : str
        What an observation is, in the plural: ``fields``, ``images`` or ``specimens``.
    confidence : float
        Confidence of the interval.
    design_effect : float
        How much larger the variance of the mean is than for independent observations, 1 or
        more (`design_effect`). It widens the interval that is shown; Student's is that of E562.

    Notes
    -----
    In the manner of ASTM E562, with Student's t of :math:`n - 1` degrees of freedom,

    .. math::

        \mathrm{CI} = t s / \sqrt n, \qquad
        \%\mathrm{RA} = 100 \, \mathrm{CI} / \mathrm{mean} .

    References
    ----------
    ASTM E562, "Standard test method for determining volume fraction by systematic manual point
    count".

    Examples
    --------
    >>> from napari_fractoseg.measurement.statistics import Estimate
    >>> hits = [3, 4.5, 2, 5, 3, 4, 3.5, 2.5, 4, 3]
    >>> estimate = Estimate.of(h / 25 for h in hits)
    >>> print(estimate)
    13.8 % (95 % interval 11.1 to 16.5 %; n = 10 fields)
    >>> round(estimate.relative_accuracy_percent, 2), estimate.fields_needed(10)
    (19.21, 31)
    """

    mean: float
    s: float
    n: int
    unit: str = "fields"
    confidence: float = CONFIDENCE
    design_effect: float = 1.0

    def __post_init__(self) -> None:
        check_confidence(self.confidence)

    @classmethod
    def of(
        cls,
        values: Iterable[float],
        unit: str = "fields",
        confidence: float = CONFIDENCE,
        design_effect: float = 1.0,
    ) -> Estimate:
        """Return the estimate from observations; those that are NaN, so undefined, are left out.

        Parameters
        ----------
        values : iterable of float
            One value for each field, image or specimen.
        unit : str
            What an observation is, in the plural.
        confidence : float
            Confidence of the interval.
        design_effect : float
            How much larger the variance of their mean is than if they were independent.
        """
        found = np.array(list(values), np.float64)
        found = found[~np.isnan(found)]
        n = len(found)
        mean = float(found.mean()) if n else math.nan
        s = math.nan
        if n > 1:  # equal values have no spread, whatever rounding does to their mean
            s = 0.0 if found.min() == found.max() else float(found.std(ddof=1))
        return cls(mean, s, n, unit, confidence, design_effect)

    @property
    def t(self) -> float:
        """Quantile of Student's t with n - 1 degrees of freedom; NaN below two observations."""
        return self._t_of(self.n) if self.n > 1 else math.nan

    def _t_of(self, n: int) -> float:
        return float(stats.t.ppf((1 + self.confidence) / 2, n - 1))

    @property
    def half_width(self) -> float:
        """Half-width of Student's interval (the 95 % CI of E562); NaN below two observations."""
        return self.t * self.s / math.sqrt(self.n) if self.n > 1 else math.nan

    @property
    def low(self) -> float:
        """Lower limit of Student's interval, which can be below 0; NaN if there is none."""
        return self.mean - self.half_width

    @property
    def high(self) -> float:
        """Upper limit of Student's interval, which can be above 1; NaN if there is none."""
        return self.mean + self.half_width

    @property
    def relative_accuracy_percent(self) -> float:
        """%RA: half-width in percent of the mean; NaN without an interval and for a mean of 0."""
        return 100 * self.half_width / self.mean if self.mean else math.nan

    @property
    def bounded(self) -> tuple[float, float]:
        r"""Interval of a fraction that is not symmetric and never leaves 0-1; NaN if there is none.

        Notes
        -----
        Wilson's interval with the quantile of Student's t, of the effective number of points
        :math:`n^* = p (1 - p) n / s^2` that would spread as much as the observations do, less
        the design effect. Where a fraction is small, fields are skewed, and Student's interval
        covers too seldom.

        References
        ----------
        Kott, P. S. & Carr, D. A., "Developing an estimation strategy for a pesticide data
        program", J. Off. Stat. 13 (1997) 367-383; compared by Franco, C. et al., J. Surv. Stat.
        Methodol. 7 (2019) 334-364.
        """
        if not (self.s > 0 and 0 < self.mean < 1):
            return math.nan, math.nan
        effective = self.mean * (1 - self.mean) * self.n / (self.design_effect * self.s**2)
        limits = wilson_interval(self.mean * effective, effective, quantile=self.t)
        return float(limits[0]), float(limits[1])

    @property
    def shown(self) -> tuple[float, float]:
        """Interval to show: Student's, or `bounded` for a mean below 5 or above 95 %.

        Student's is wider by the root of the design effect. `bounded` is shown as well where
        it would leave 0-1, which no fraction can. NaN if there is none (`no_interval` says why).
        """
        if self.no_interval:
            return math.nan, math.nan
        is_near = not _NEAR_BOUND <= self.mean <= 1 - _NEAR_BOUND
        half = self.half_width * math.sqrt(self.design_effect)
        low, high = self.mean - half, self.mean + half
        return self.bounded if is_near or low < 0 or high > 1 else (low, high)

    @property
    def no_interval(self) -> str:
        """Why there is no interval, as part of a sentence; empty where there is one.

        Observations that are all the same have a half-width of 0 by the formula, but their
        spread says nothing: a rare class is missing in a few fields by chance.
        """
        if self.n < 2:
            unit = self.unit.removesuffix("s") if self.n == 1 else self.unit
            return f"{self.n or 'no'} {unit}, and it takes two"
        if self.s == 0:
            return f"all {self.n} {self.unit} have the same value"
        if self.design_effect > _MOST_ALIKE and self.n > _MANY_FIELDS:
            return (
                f"neighbouring {self.unit} are nearly the same, as where they are smaller than "
                "facets, and it takes larger ones"
            )
        return ""

    def fields_needed(self, wanted_ra_percent: float) -> int | None:
        r"""Return how many observations a %RA takes, those that are there among them.

        Parameters
        ----------
        wanted_ra_percent : float
            Wanted %RA, above 0.

        Returns
        -------
        int or None
            Smallest n with :math:`100 \, t_{n-1} s / (\sqrt n \, \mathrm{mean})` at most the
            wanted %RA. None where there is no interval (`no_interval`) or the mean is 0.

        Raises
        ------
        OptionError
            If the wanted %RA is not above 0.
        """
        if not wanted_ra_percent > 0:
            raise OptionError(
                f"A relative accuracy of {wanted_ra_percent:g} % cannot be reached. Ask for more "
                "than 0 %, such as 10 %."
            )
        if self.no_interval or not self.mean > 0:
            return None
        wanted = wanted_ra_percent * (1 + _ROUNDING) / 100 * self.mean
        return smallest(2, lambda n: self._t_of(n) * self.s / math.sqrt(n) <= wanted)

    def accuracy_text(self, wanted_ra_percent: float = 10) -> str:
        """Return the %RA and how many observations a wanted %RA takes; empty without an interval.

        Examples
        --------
        >>> from napari_fractoseg.measurement.statistics import Estimate
        >>> Estimate.of([0.2, 0.3, 0.4]).accuracy_text()
        '%RA 82.8; fields for 10 %RA: 46'
        """
        needed = None if self.no_interval else self.fields_needed(wanted_ra_percent)
        if needed is None:
            return ""
        accuracy = f"%RA {self.relative_accuracy_percent:.3g}"
        return f"{accuracy}; {self.unit} for {wanted_ra_percent:g} %RA: {needed}"

    def to_dict(self) -> dict[str, Any]:
        """Return all figures as plain JSON types; what is not known is None."""
        low, high = self.shown
        figures: dict[str, Any] = {
            "mean": self.mean,
            "s": self.s,
            "confidence": self.confidence,
            "half_width": self.half_width,
            "student_low": self.low,
            "student_high": self.high,
            "design_effect": self.design_effect,
            "low": low,
            "high": high,
            "relative_accuracy_percent": self.relative_accuracy_percent,
        }
        known = without_nan(figures)
        return {"n": self.n, "unit": self.unit, **known, "no_interval": self.no_interval}

    def __str__(self) -> str:
        if not self.n:
            return f"not known (no {self.unit})"
        decimals = 1 if 0.01 <= self.mean <= 0.99 else 2
        mean = f"{100 * self.mean:.{decimals}f} %"
        if self.no_interval:
            return f"{mean} (no interval: {self.no_interval})"
        low, high = (f"{100 * limit:.{decimals}f}" for limit in self.shown)
        level = f"{100 * self.confidence:g} %"
        return f"{mean} ({level} interval {low} to {high} %; n = {self.n} {self.unit})"


def smallest(first: int, is_enough: Callable[[int], bool]) -> int | None:
    """Return the smallest number that is enough, if all larger ones are enough as well."""
    high = first
    while not is_enough(high):
        if high > _MOST_FIELDS:
            return None
        high *= 2
    low = high // 2 if high > first else first - 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if is_enough(middle) else (middle, high)
    return high


def design_effect(values: Iterable[float], rows: Iterable[int], columns: Iterable[int]) -> float:
    r"""Return how much larger the variance of a mean is, since neighbouring fields are alike.

    Parameters
    ----------
    values : iterable of float
        One value for each field of an image; those that are NaN are left out.
    rows, columns : iterable of int
        Place of each field in the grid, in fields.

    Returns
    -------
    float
        Factor of the variance, 1 or more; 1 where neighbours are no more alike than others, or
        where nothing can be said.

    Notes
    -----
    Facets that lie across the edge of two squares are in both, so that these are not quite
    independent. With the differences :math:`d_i = x_i - \bar x` and the :math:`P` pairs of
    squares that share an edge,

    .. math::

        \max\Bigl(1, 1 + \frac{2}{n s^2} \sum_{(i,j)} \bigl(d_i d_j + s^2 / n\bigr)\Bigr) .

    This is the variance of Conley (1999) with a reach of one field; :math:`s^2 / n` takes back
    that differences from their own mean are negatively correlated. The name is that of Kish
    (1965). How often the interval then holds the truth is in ``benchmarks/coverage.py``.

    References
    ----------
    Conley, T. G., "GMM estimation with cross sectional dependence", J. Econometrics 92 (1999)
    1-45. Kish, L., "Survey sampling", Wiley, 1965, section 8.2.

    Examples
    --------
    >>> from napari_fractoseg.measurement.statistics import design_effect
    >>> places = [0, 0, 1, 1], [0, 1, 0, 1]
    >>> design_effect([0.2, 0.2, 0.4, 0.4], *places), design_effect([0.2, 0.4, 0.4, 0.2], *places)
    (1.5, 1.0)
    """
    found = np.array(list(values), np.float64)
    places = np.column_stack([list(rows), list(columns)])[~np.isnan(found)]
    found = found[~np.isnan(found)]
    n = len(found)
    if n < 2 or found.min() == found.max():
        return 1.0
    differences, variance = found - found.mean(), float(found.var(ddof=1))
    of_place = dict(zip(map(tuple, places.tolist()), differences, strict=True))
    alike = [
        d * of_place[neighbour]
        for (row, column), d in of_place.items()
        for neighbour in ((row + 1, column), (row, column + 1))
        if neighbour in of_place
    ]
    excess = 2 * (sum(alike) + len(alike) * variance / n) / (n * variance)
    return max(1.0, 1 + float(excess))


def block_bootstrap(
    values: Iterable[float], confidence: float = CONFIDENCE, seed: int = 0
) -> tuple[float, float] | None:
    """Return the bootstrap interval of the mean of blocks of one image.

    Parameters
    ----------
    values : iterable of float
        One value for each block (field); those that are NaN are left out.
    confidence : float
        Confidence of the interval.
    seed : int
        Seed of the random resampling: the same blocks give the same interval.

    Returns
    -------
    tuple of float or None
        Limits. None below three blocks of different values, from which nothing can be drawn.

    Notes
    -----
    Whole blocks are drawn, since pixels of a facet are not independent; bias-corrected and
    accelerated (`scipy.stats.bootstrap`). It says nothing of other images, and with few blocks
    it is narrower than Student's interval, which covers better (``benchmarks/coverage.py``).

    Examples
    --------
    >>> from napari_fractoseg.measurement.statistics import block_bootstrap
    >>> low, high = block_bootstrap([0.2, 0.3, 0.4, 0.5])
    >>> 0.2 <= low < 0.35 < high <= 0.5
    True
    """
    check_confidence(confidence)
    found = np.array(list(values), np.float64)
    found = found[~np.isnan(found)]
    if len(np.unique(found)) < 3:
        return None
    done = stats.bootstrap(
        (found,),
        np.mean,
        n_resamples=_RESAMPLES,
        confidence_level=confidence,
        rng=np.random.default_rng(seed),
        vectorized=True,
    )
    limits = done.confidence_interval
    return float(limits.low), float(limits.high)
