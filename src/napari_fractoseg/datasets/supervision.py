"""Supervision: which pixels of a labels layer a user answers for, so that they may teach.

A labels layer that began as a prediction is dense. Learning from all of it
would teach a model mostly what it said itself. So what the user changed, and
what the user marked as checked, is the truth; the untouched rest teaches nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_fractoseg.classes import UNLABELLED, ClassScheme
from napari_fractoseg.datasets.dataset import TrainingPair
from napari_fractoseg.errors import TrainingError
from napari_fractoseg.images import MicrographStack
from napari_fractoseg.text import size_text

__all__ = [
    "LEARNT",
    "NOT_LEARNT",
    "Corrections",
    "TaughtPixels",
    "changed_labels",
    "judged_strokes",
    "painted_pairs",
]


@dataclass(frozen=True, eq=False)
class Corrections:
    """Labels with a record of which pixels a user answers for.

    Parameters
    ----------
    labels : ndarray of int, shape (..., Y, X)
        Class values as they are now; 0 is unlabelled.
    predicted : ndarray of int, same shape, or None
        Class values that the model gave; None if the labels did not begin as a
        prediction: then all of them were painted.
    checked : ndarray of bool, same shape, or None
        Checked areas: True where the user said that the labels are right.
    excluded : ndarray of bool, shape (Y, X), or None
        True where planes show no specimen, such as the info bar: labels there teach nothing.

    Examples
    --------
    >>> import numpy as np
    >>> from napari_fractoseg.datasets.supervision import Corrections
    >>> predicted = np.array([[1, 1, 2, 2]])
    >>> labels = np.array([[1, 2, 2, 0]])
    >>> checked = np.array([[False, False, True, False]])
    >>> Corrections(labels, predicted, checked).truth
    array([[0, 2, 2, 0]], dtype=uint8)
    """

    labels: npt.NDArray[np.integer[Any]]
    predicted: npt.NDArray[np.integer[Any]] | None = None
    checked: npt.NDArray[np.bool_] | None = None
    excluded: npt.NDArray[np.bool_] | None = None

    def __post_init__(self) -> None:
        for what, array in (("prediction", self.predicted), ("checked area", self.checked)):
            if array is not None and array.shape != self.labels.shape:
                raise TrainingError(
                    f"The labels have {size_text(self.labels.shape)}, their {what} "
                    f"{size_text(array.shape)}. They belong to different images; duplicate the "
                    "layer and paint there."
                )

    @property
    def labelled(self) -> npt.NDArray[np.bool_]:
        """Mask of the pixels that have a label, and are not excluded."""
        labelled: npt.NDArray[np.bool_] = self.labels != UNLABELLED
        return labelled if self.excluded is None else labelled & ~self.excluded

    @property
    def n_px(self) -> int:
        """Number of the pixels that are not excluded."""
        size = int(np.prod(self.labels.shape))
        if self.excluded is None:
            return size
        return size // self.excluded.size * int(np.count_nonzero(~self.excluded))

    @property
    def corrected(self) -> npt.NDArray[np.bool_]:
        """Mask of the labelled pixels whose class the user changed or painted."""
        labelled = self.labelled
        return labelled if self.predicted is None else labelled & (self.labels != self.predicted)

    @property
    def confirmed(self) -> npt.NDArray[np.bool_]:
        """Mask of the labelled pixels that the user left as they were and marked as checked."""
        if self.checked is None:
            return np.zeros(self.labels.shape, dtype=bool)
        confirmed: npt.NDArray[np.bool_] = self.checked & self.labelled
        return confirmed & ~self.corrected

    @property
    def untouched(self) -> npt.NDArray[np.bool_]:
        """Mask of the labelled pixels that only the model answers for: they teach nothing."""
        return self.labelled & ~self.corrected & ~self.confirmed

    @property
    def truth(self) -> npt.NDArray[np.uint8]:
        """Class values that may be learnt from, 0 elsewhere."""
        return self._labels_where(self.corrected | self.confirmed)

    def _labels_where(self, mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.uint8]:
        return np.where(mask, self.labels, UNLABELLED).astype(np.uint8)

    def plane(self, index: tuple[int, ...]) -> Corrections:
        """Return the part for one plane, by its index on the leading axes."""
        predicted, checked = self.predicted, self.checked
        return Corrections(
            np.asarray(self.labels[index]),
            None if predicted is None else np.asarray(predicted[index]),
            None if checked is None else np.asarray(checked[index]),
            self.excluded,
        )

    def parts(self) -> tuple[npt.NDArray[np.uint8], ...]:
        """Return the labels of corrections, and those of checked areas, as separate arrays.

        Training draws patches from each by turns: corrections are few beside
        what was right already, but they are what has to be learnt. Arrays
        without a label are left out.
        """
        parts = (self._labels_where(self.corrected), self._labels_where(self.confirmed))
        return tuple(part for part in parts if part.any())


_MOST = 0.5
"""Largest share of a plane that hands usually paint; programs label nearly all of it."""


@dataclass(frozen=True)
class TaughtPixels:
    """Numbers of pixels of a labels array that teach and that do not.

    Parameters
    ----------
    total : int
        Number of all pixels that are not excluded.
    corrected, confirmed, untouched : int
        Numbers of labelled pixels that the user changed or painted, that the
        user marked as checked, and that only the model answers for.
    by_value : dict of int to int
        Class value -> number of pixels that teach this class.
    in_labelled_planes : int
        Number of all pixels of the planes that have any label.
    """

    total: int
    corrected: int
    confirmed: int
    untouched: int
    by_value: dict[int, int]
    in_labelled_planes: int

    @property
    def n_taught(self) -> int:
        """Number of pixels that teach something: corrected and checked ones."""
        return self.corrected + self.confirmed

    @property
    def labelled(self) -> int:
        """Number of pixels with a label, whoever answers for it."""
        return self.n_taught + self.untouched

    @property
    def is_dense(self) -> bool:
        """Whether so much is labelled that a program may have done it.

        That is more than half of the planes that have any label: labels of one plane of
        a stack are dense, too.
        """
        return self.labelled > _MOST * self.in_labelled_planes

    @classmethod
    def of(cls, corrections: Corrections) -> TaughtPixels:
        """Return the numbers of pixels of a labels array, counted plane by plane."""
        areas = np.zeros(3, dtype=np.int64)
        by_value: Counter[int] = Counter()
        in_labelled_planes = 0
        for index in np.ndindex(corrections.labels.shape[:-2]):
            plane = corrections.plane(index)
            corrected, confirmed = plane.corrected, plane.confirmed
            labelled = np.count_nonzero(plane.labelled)
            counts = np.count_nonzero(corrected), np.count_nonzero(confirmed)
            areas += (*counts, labelled - sum(counts))
            in_labelled_planes += plane.n_px if labelled else 0
            values, n_px = np.unique(plane.labels[corrected | confirmed], return_counts=True)
            by_value.update(dict(zip(values.tolist(), n_px.tolist(), strict=True)))
        corrected_px, confirmed_px, untouched_px = areas.tolist()
        return cls(
            corrections.n_px,
            corrected_px,
            confirmed_px,
            untouched_px,
            dict(sorted(by_value.items())),
            in_labelled_planes,
        )


LEARNT, NOT_LEARNT = 1, 2
"""Values of `judged_strokes`: strokes that a new model agrees with, and others."""


def changed_labels(
    painted: Corrections, after: npt.NDArray[np.integer[Any]]
) -> npt.NDArray[np.uint8]:
    """Return the new class of the pixels to which a new model gives another class.

    Parameters
    ----------
    painted : Corrections
        Labels of the earlier model's result; where the user painted on it nothing is compared.
    after : ndarray of int, same shape
        Class values that the new model gave; 0 is unlabelled.

    Returns
    -------
    ndarray of uint8, same shape
        Class values of `after` where the earlier model gave another class, 0 elsewhere.
    """
    return np.where(painted.untouched & (painted.labels != after), after, UNLABELLED).astype(
        np.uint8
    )


def judged_strokes(
    painted: Corrections, after: npt.NDArray[np.integer[Any]]
) -> npt.NDArray[np.uint8]:
    """Tell where a new model agrees with what a user painted on the result of an earlier one.

    Parameters
    ----------
    painted : Corrections
        Labels of the earlier result, with the user's strokes on them.
    after : ndarray of int, same shape
        Class values that the new model gave; 0 is unlabelled.

    Returns
    -------
    ndarray of uint8, same shape
        `LEARNT` or `NOT_LEARNT` where the user painted and the new model gave a class, 0
        elsewhere.
    """
    judged = np.where(painted.labels == after, LEARNT, NOT_LEARNT)
    seen = painted.corrected & (after != UNLABELLED)
    return np.where(seen, judged, UNLABELLED).astype(np.uint8)


def painted_pairs(
    image: MicrographStack, corrections: Corrections, scheme: ClassScheme
) -> Iterator[TrainingPair]:
    """Yield what was painted on an image or stack, plane by plane.

    Parameters
    ----------
    image : MicrographStack
        Image or stack; only planes with painted pixels are loaded.
    corrections : Corrections
        Labels of the same shape, with the pixels that the user answers for.
    scheme : ClassScheme
        Classes of the label values.

    Yields
    ------
    TrainingPair
        Plane with the labels that teach; a plane with corrections and with
        checked areas makes a pair of each. The group of all is the name of the
        image.

    Raises
    ------
    TrainingError
        If image and labels have different shapes.
    ClassSchemeError
        If a label value is no class.
    """
    if corrections.labels.shape != image.shape:
        raise TrainingError(
            f"{image.name}: the image has {size_text(image.shape)}, its labels "
            f"{size_text(corrections.labels.shape)}. They must be the same; were the labels made "
            "for another image?"
        )
    for index in image.indices():
        of_plane = corrections.plane(index)
        scheme.check_labels(of_plane.labels)
        parts = of_plane.parts()
        if parts:
            plane = image.plane(index)
            for labels in parts:
                yield TrainingPair(plane, labels, group=image.name)
