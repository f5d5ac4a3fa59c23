"""Calibration: how many pixels are right where a model says 0.9, and its temperature.

A model is calibrated if, of the pixels at which the class it chose has the probability p, the
share p is right.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy.optimize import minimize_scalar

from napari_fractoseg.arrays import without_nan
from napari_fractoseg.models.model import tempered

__all__ = [
    "N_BINS",
    "Calibration",
    "LabelledProbabilities",
    "Reliability",
    "calibrated",
    "fitted_temperature",
]

N_BINS = 15
"""Bins of equal width from 0 to 1 in which confidence and accuracy are compared."""
TEMPERATURES = (0.5, 10.0)
"""Range of temperatures that are fitted: few pixels can ask for any."""
_MOST_PX = 2**15
"""Pixels of an image that a temperature is fitted to, at most: neighbours say the same."""
_AT_ONCE = 2**22
"""Pixels that are compared at once."""
_LEAST = 1e-7
"""Probability that smaller ones are taken for, so that their logarithm is a number."""


@dataclass(frozen=True, eq=False)
class Reliability:
    """Reliability table: what a model was sure of, and how much of that was right.

    Parameters
    ----------
    n_px : ndarray of float64, shape (15,)
        Number of labelled pixels whose confidence is in each of 15 bins of equal width, 0 to 1.
    confidence, right : ndarray of float64, shape (15,)
        Sum of the confidences in each bin, and number of pixels whose class was right.
    brier_sum, nll_sum : float
        Sums over all pixels of the Brier score and of the negative log-likelihood.

    Examples
    --------
    >>> import numpy as np
    >>> from napari_fractoseg.evaluation.calibration import Reliability
    >>> probabilities = np.array([[0.9, 0.9, 0.9, 0.9], [0.1, 0.1, 0.1, 0.1]])
    >>> found = Reliability.of(probabilities, np.array([0, 0, 0, 1]))
    >>> round(found.ece, 2)  # it says 0.9, and 0.75 are right
    0.15
    """

    n_px: npt.NDArray[np.float64]
    confidence: npt.NDArray[np.float64]
    right: npt.NDArray[np.float64]
    brier_sum: float
    nll_sum: float

    @classmethod
    def of(
        cls, probabilities: npt.NDArray[Any], channels: npt.NDArray[Any], n_px: float | None = None
    ) -> Reliability:
        """Compare probabilities with the classes that pixels have.

        Parameters
        ----------
        probabilities : ndarray of float, shape (K, n)
            Probability of each of K classes at n pixels.
        channels : ndarray of int, shape (n,)
            Number of the class that each pixel has, 0 to K - 1.
        n_px : float, optional
            Number of pixels that these stand for; by default n.
        """
        count = len(channels)
        weight = 1.0 if n_px is None or not count else n_px / count
        if count > _AT_ONCE:
            starts = range(0, count, _AT_ONCE)
            parts = [slice(start, start + _AT_ONCE) for start in starts]
            tables = [cls.of(probabilities[:, part], channels[part]) for part in parts]
            return functools.reduce(operator.add, tables).scaled(weight)
        found = np.asarray(probabilities, np.float64)
        own = found[channels, np.arange(count)]
        confidence, chosen = found.max(axis=0, initial=0), found.argmax(axis=0)
        bins = np.minimum((confidence * N_BINS).astype(np.intp), N_BINS - 1)
        table = np.stack([np.ones(count), confidence, chosen == channels])
        sums = [weight * np.bincount(bins, row, N_BINS).astype(np.float64) for row in table]
        brier = (found**2).sum(axis=0) - 2 * own + 1
        nll = -np.log(np.maximum(own, _LEAST))
        return cls(
            sums[0], sums[1], sums[2], weight * float(brier.sum()), weight * float(nll.sum())
        )

    def __add__(self, other: Reliability) -> Reliability:
        return Reliability(
            self.n_px + other.n_px,
            self.confidence + other.confidence,
            self.right + other.right,
            self.brier_sum + other.brier_sum,
            self.nll_sum + other.nll_sum,
        )

    def scaled(self, factor: float) -> Reliability:
        """Return the table as if each pixel counted `factor` times."""
        return Reliability(
            factor * self.n_px,
            factor * self.confidence,
            factor * self.right,
            factor * self.brier_sum,
            factor * self.nll_sum,
        )

    @property
    def total_px(self) -> float:
        """Number of labelled pixels."""
        return float(self.n_px.sum())

    @property
    def accuracy(self) -> float:
        """Share of the pixels whose class was right, 0-1; NaN without pixels."""
        return self._mean(self.right.sum())

    @property
    def mean_confidence(self) -> float:
        """Mean confidence, 0-1; above `accuracy` if the model is too sure. NaN without pixels."""
        return self._mean(self.confidence.sum())

    @property
    def ece(self) -> float:
        r"""Expected calibration error, 0-1: 0 where each bin is right as often as it says.

        Notes
        -----
        :math:`\sum_b n_b / n \, |acc_b - conf_b|` over 15 bins of equal width: Guo, C., Pleiss,
        G., Sun, Y. & Weinberger, K. Q., "On calibration of modern neural networks", ICML 2017,
        equation 3.
        """
        return self._mean(np.abs(self.right - self.confidence).sum())

    @property
    def brier(self) -> float:
        """Brier score, 0-2: mean of the sum over classes of (probability - truth) squared.

        Notes
        -----
        Brier, G. W., "Verification of forecasts expressed in terms of probability", Monthly
        Weather Review 78 (1950), equation 2.
        """
        return self._mean(self.brier_sum)

    @property
    def nll(self) -> float:
        """Mean negative log-likelihood of the right class, in nats."""
        return self._mean(self.nll_sum)

    @property
    def text(self) -> str:
        """Sentence on how sure the model was and how much was right, of how many pixels."""
        return (
            f"Confidence: {self.mean_confidence:.3f} on average, and {self.accuracy:.3f} of the "
            f"{self.total_px:.0f} labelled pixels are right (expected calibration error "
            f"{self.ece:.3f}, {N_BINS} bins)."
        )

    def _mean(self, total: float) -> float:
        return float(total) / self.total_px if self.total_px else float("nan")

    def to_dict(self) -> dict[str, Any]:
        """Return the figures and the table as plain JSON types; NaN becomes None."""
        edges = np.arange(N_BINS + 1) / N_BINS
        held = np.maximum(self.n_px, 1e-300)
        table = (edges[:-1], edges[1:], self.confidence / held, self.right / held, self.n_px)
        names = ("low", "high", "confidence", "accuracy")
        figures: dict[str, Any] = {
            "labelled_px": round(self.total_px),
            "accuracy": self.accuracy,
            "mean_confidence": self.mean_confidence,
            "ece": self.ece,
            "brier": self.brier,
            "nll": self.nll,
            "bins": [
                {name: round(float(v), 4) for name, v in zip(names, row, strict=False)}
                | {"n_px": round(row[-1])}
                for row in zip(*table, strict=True)
                if row[-1]
            ],
        }
        found: dict[str, Any] = without_nan(figures)
        return found


@dataclass(frozen=True, eq=False)
class LabelledProbabilities:
    """Probabilities that a model gave some labelled pixels of an image, and what these are.

    Parameters
    ----------
    probabilities : ndarray of float32, shape (K, n)
        Probability of each of K classes.
    channels : ndarray of int, shape (n,)
        Number of the class that each pixel has.
    n_px : float
        Number of pixels that these stand for.
    """

    probabilities: npt.NDArray[np.float32]
    channels: npt.NDArray[np.intp]
    n_px: float

    @classmethod
    def sampled(
        cls, probabilities: npt.NDArray[np.float32], channels: npt.NDArray[np.intp]
    ) -> LabelledProbabilities:
        """Return at most 32768 random pixels of those of an image, the same each time."""
        count = len(channels)
        if count > _MOST_PX:
            kept = np.random.default_rng(0).choice(count, _MOST_PX, replace=False)
            probabilities, channels = probabilities[:, kept], channels[kept]
        return cls(np.ascontiguousarray(probabilities), channels, float(count))

    def reliability(self, temperature: float = 1.0) -> Reliability:
        """Return the reliability table at a temperature, for all pixels of the image."""
        there = torch.from_numpy(self.probabilities)[..., None]
        found = tempered(there, temperature)[..., 0].numpy()
        return Reliability.of(found, self.channels, self.n_px)


def fitted_temperature(
    samples: Sequence[LabelledProbabilities], weights: Sequence[float] | None = None
) -> float:
    """Return the temperature at which what pixels are is most likely, between 0.5 and 10.

    Parameters
    ----------
    samples : sequence of LabelledProbabilities
        Labelled pixels that the model did not learn from.
    weights : sequence of float, optional
        Weight of each sample; by default the number of pixels that it stands for.

    Notes
    -----
    It minimises the negative log-likelihood, which has one minimum in 1 / T: Guo et al., ICML
    2017, section 4.2.
    """
    weights = [s.n_px for s in samples] if weights is None else weights
    logs = [np.log(np.maximum(s.probabilities, _LEAST), dtype=np.float64) for s in samples]

    def nll(log_temperature: float) -> float:
        total = 0.0
        for sample, log_p, weight in zip(samples, logs, weights, strict=True):
            scores = log_p / np.exp(log_temperature)
            own = scores[sample.channels, np.arange(len(sample.channels))]
            total += weight * float((np.log(np.exp(scores).sum(axis=0)) - own).mean())
        return total

    low, high = np.log(TEMPERATURES)
    found = minimize_scalar(nll, bounds=(low, high), method="bounded", options={"xatol": 1e-4})
    return round(float(np.exp(found.x)), 3)


@dataclass(frozen=True, eq=False)
class Calibration:
    """A temperature, and how reliable the confidence is with it.

    Parameters
    ----------
    temperature : float
        Temperature that was fitted to all samples.
    groups : mapping of str to float
        Group -> temperature fitted to the others; empty if there is one group only.
    before, after : mapping of str to Reliability
        Name of a sample -> its reliability table at the temperature 1, and at that of its group:
        its own pixels have no part in it, unless there is one group only.
    """

    temperature: float
    groups: Mapping[str, float]
    before: Mapping[str, Reliability]
    after: Mapping[str, Reliability]

    @property
    def is_nested(self) -> bool:
        """Whether each table is at a temperature that was fitted to pixels of other groups."""
        return len(self.groups) > 1

    def pooled(self, names: Sequence[str]) -> tuple[Reliability, Reliability]:
        """Return the tables of several samples together, at temperature 1 and calibrated."""
        before, after = (
            functools.reduce(operator.add, (tables[name] for name in names))
            for tables in (self.before, self.after)
        )
        return before, after


def calibrated(
    samples: Mapping[str, LabelledProbabilities],
    groups: Mapping[str, str] | None = None,
    weights: Mapping[str, float] | None = None,
) -> Calibration:
    """Fit a temperature, and judge it on pixels that it was not fitted to.

    Parameters
    ----------
    samples : mapping of str to LabelledProbabilities
        Name -> labelled pixels of an image, that the model did not learn from; at least one.
    groups : mapping of str to str, optional
        Name -> group, such as the specimen: a sample is judged at the temperature of the other
        groups. By default each sample is a group of its own.
    weights : mapping of str to float, optional
        Name -> weight of the sample in the fit; by default its number of pixels.
    """
    group_of = {name: name for name in samples} if groups is None else groups
    every = sorted({group_of[name] for name in samples})

    def fitted(names: Sequence[str]) -> float:
        by = None if weights is None else [weights[name] for name in names]
        return fitted_temperature([samples[name] for name in names], by)

    temperature, others = fitted(list(samples)), {}
    if len(every) > 1:
        for group in every:
            others[group] = fitted([name for name in samples if group_of[name] != group])
    return Calibration(
        temperature,
        others,
        {name: sample.reliability() for name, sample in samples.items()},
        {
            name: sample.reliability(others.get(group_of[name], temperature))
            for name, sample in samples.items()
        },
    )
