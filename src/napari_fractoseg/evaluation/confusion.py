"""Confusion matrices of labels, and figures of agreement computed from them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from skimage.metrics import contingency_table

from napari_fractoseg.arrays import without_nan
from napari_fractoseg.classes import UNLABELLED, ClassScheme

__all__ = ["Confusion"]


@dataclass(frozen=True, eq=False)
class Confusion:
    """Confusion matrix of labels, with the figures of agreement that follow from it.

    Parameters
    ----------
    counts : ndarray of int64, shape (K, K)
        Number of pixels; rows are reference classes, columns predicted classes, both in the
        order of the scheme.
    scheme : ClassScheme
        Classes of the label values.

    Examples
    --------
    >>> import numpy as np
    >>> from napari_fractoseg.classes import DEFAULT_SCHEME
    >>> from napari_fractoseg.evaluation.confusion import Confusion
    >>> reference = np.array([[1, 1, 2, 2, 0]])
    >>> predicted = np.array([[1, 2, 2, 2, 1]])
    >>> Confusion.of(reference, predicted, DEFAULT_SCHEME).agreement
    0.75
    """

    counts: npt.NDArray[np.int64]
    scheme: ClassScheme

    @classmethod
    def of(
        cls, reference: npt.NDArray[Any], predicted: npt.NDArray[Any], scheme: ClassScheme
    ) -> Confusion:
        """Compare two label images; pixels that are unlabelled in the reference do not count.

        Parameters
        ----------
        reference, predicted : ndarray of int, same shape
            Label images, class values of the scheme.
        scheme : ClassScheme
            Classes of the label values.
        """
        scheme.check_labels(reference)
        scheme.check_labels(predicted)
        table = np.zeros((256, 256), dtype=np.int64)
        found = contingency_table(reference, predicted, ignore_labels=[UNLABELLED], normalize=False)
        dense = found.toarray().astype(np.int64)
        table[: dense.shape[0], : dense.shape[1]] = dense
        values = list(scheme.values)
        return cls(table[np.ix_(values, values)], scheme)

    def __add__(self, other: Confusion) -> Confusion:
        return Confusion(self.counts + other.counts, self.scheme)

    @property
    def n_px(self) -> int:
        """Number of pixels that are labelled in the reference and predicted as a class."""
        return int(self.counts.sum())

    @property
    def agreement(self) -> float:
        """Fraction of pixels with the same class on both sides (accuracy); NaN without pixels."""
        return _ratio(np.trace(self.counts), self.counts.sum())

    @property
    def mode_agreement(self) -> float:
        """Agreement among the pixels that both sides call a fracture mode; NaN without any."""
        modes = self._modes
        return _ratio(np.trace(modes), modes.sum())

    @property
    def iou(self) -> dict[str, float]:
        """Intersection over union by class name; NaN for classes on neither side."""
        hits = np.diag(self.counts)
        union = self.counts.sum(axis=0) + self.counts.sum(axis=1) - hits
        return {n: _ratio(*v) for n, *v in zip(self.scheme.names, hits, union, strict=True)}

    @property
    def f1(self) -> dict[str, float]:
        """F1 score (Dice coefficient) by class name; NaN for classes on neither side."""
        hits = np.diag(self.counts)
        both = self.counts.sum(axis=0) + self.counts.sum(axis=1)
        return {n: _ratio(*v) for n, *v in zip(self.scheme.names, 2 * hits, both, strict=True)}

    @property
    def mean_iou(self) -> float:
        """Mean of `iou` over the classes that occur on either side."""
        values = [v for v in self.iou.values() if not np.isnan(v)]
        return float(np.mean(values)) if values else float("nan")

    @property
    def mode_fractions(self) -> tuple[dict[str, float], dict[str, float]]:
        """Area fraction of each fracture mode by name, in the reference and in the prediction."""
        index = self._mode_index
        names = [self.scheme.names[i] for i in index]
        sides = (self.counts.sum(axis=1)[index], self.counts.sum(axis=0)[index])
        reference, predicted = (
            {n: _ratio(v, side.sum()) for n, v in zip(names, side, strict=True)} for side in sides
        )
        return reference, predicted

    @property
    def fraction_error(self) -> float:
        """Error of the fraction: half the sum of the absolute differences of `mode_fractions`.

        With two modes this is the absolute error of i / (i + t).
        """
        reference, predicted = self.mode_fractions
        return float(sum(abs(predicted[n] - reference[n]) for n in reference) / 2)

    @property
    def _mode_index(self) -> list[int]:
        return [i for i, c in enumerate(self.scheme) if c.is_fracture_mode]

    @property
    def _modes(self) -> npt.NDArray[np.int64]:
        return self.counts[np.ix_(self._mode_index, self._mode_index)]

    def to_dict(self) -> dict[str, Any]:
        """Return all figures as plain JSON types; NaN becomes None."""
        reference, predicted = self.mode_fractions
        figures = {
            "labelled_px": self.n_px,
            "agreement": self.agreement,
            "mode_agreement": self.mode_agreement,
            "mean_iou": self.mean_iou,
            "iou": self.iou,
            "f1": self.f1,
            "mode_fractions_reference": reference,
            "mode_fractions_predicted": predicted,
            "fraction_error": self.fraction_error,
            "confusion_matrix": self.counts.tolist(),
        }
        found: dict[str, Any] = without_nan(figures)
        return found


def _ratio(part: Any, whole: Any) -> float:
    return float(part) / float(whole) if whole else float("nan")
