"""Samples that a readout is fitted to: features of painted pixels, and of pixels of the model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch

from napari_fractoseg.classes import UNLABELLED, ClassScheme
from napari_fractoseg.images import GreyRange, Micrograph
from napari_fractoseg.inference.predictor import Predictor
from napari_fractoseg.jobs import Job
from napari_fractoseg.tiling import Box
from napari_fractoseg.training.readout.features import PlaneFeatures

__all__ = ["Samples", "answer_job", "painted_samples", "prior_samples", "values_in"]

_MOST_PX = 8000
"""Painted pixels of a class in a plane that are sampled; neighbours are nearly the same."""


@dataclass(frozen=True, eq=False)
class Samples:
    """Features with the class that they are of.

    Parameters
    ----------
    features : Tensor of float32, shape (n, D)
        Features of n pixels.
    channels : ndarray of int, shape (n,)
        Channel of the class of each, in the order of a scheme.
    n_px : int
        Number of pixels that they stand for: those that were painted, or looked at for the
        model's answer.
    """

    features: torch.Tensor
    channels: npt.NDArray[np.intp]
    n_px: int = 0

    @classmethod
    def joined(cls, parts: list[Samples]) -> Samples:
        """Return several as one."""
        return cls(
            torch.cat([part.features for part in parts]),
            np.concatenate([part.channels for part in parts]),
            sum(part.n_px for part in parts),
        )

    def __len__(self) -> int:
        return len(self.channels)

    def targets(self, n_classes: int) -> torch.Tensor:
        """Return 1 for the class of each sample, 0 for others: float32, shape (n, K)."""
        return torch.eye(n_classes)[torch.from_numpy(self.channels)]


def painted_samples(
    features: PlaneFeatures,
    painted: npt.NDArray[np.uint8],
    scheme: ClassScheme,
    random: np.random.Generator,
    most_px: int = _MOST_PX,
) -> Samples:
    """Sample the painted pixels of a plane, or of a part of it.

    Parameters
    ----------
    features : PlaneFeatures
        Features of that part.
    painted : ndarray of uint8, shape of ``features.box``, or with a bar below it
        Class values where a person painted, 0 elsewhere; in excluded pixels, too.
    scheme : ClassScheme
        Classes of these values.
    random : numpy.random.Generator
        Chooses among many.
    most_px : int
        Pixels of a class that are sampled at most.
    """
    rows, columns = np.nonzero(painted != UNLABELLED)
    channels = _channels(painted[rows, columns], scheme)
    chosen = [
        random.permutation(found)[:most_px]
        for channel in range(len(scheme))
        if len(found := np.flatnonzero(channels == channel))
    ]
    kept = np.sort(np.concatenate(chosen)) if chosen else np.zeros(0, np.intp)
    return Samples(_at(features, rows[kept], columns[kept]), channels[kept], len(rows))


def prior_samples(
    features: PlaneFeatures,
    answer: npt.NDArray[np.uint8],
    painted: npt.NDArray[np.uint8],
    scheme: ClassScheme,
    random: np.random.Generator,
    count: int,
) -> Samples:
    """Sample pixels that nobody painted, with the class that a model gave them.

    Parameters
    ----------
    features : PlaneFeatures
        Features of a plane, or of a part of it.
    answer : ndarray of uint8, shape of ``features.box``, or with a bar below it
        Class values that the model gave; 0 where it gave none, as in excluded pixels.
    painted : ndarray of uint8, same shape
        Class values where a person painted, 0 elsewhere.
    scheme : ClassScheme
        Classes of these values.
    random : numpy.random.Generator
        Chooses the pixels.
    count : int
        Number of pixels to choose, at most.
    """
    rows, columns = (random.integers(0, length, count) for length in answer.shape)
    kept = (answer[rows, columns] != UNLABELLED) & (painted[rows, columns] == UNLABELLED)
    rows, columns = rows[kept], columns[kept]
    found = _at(features, rows, columns)
    return Samples(found, _channels(answer[rows, columns], scheme), count)


def _at(
    features: PlaneFeatures, rows: npt.NDArray[np.intp], columns: npt.NDArray[np.intp]
) -> torch.Tensor:
    """Return the features at pixels of their box, counted from its corner."""
    return features.at(rows + features.box.row0, columns + features.box.column0)


def answer_job(
    predictor: Predictor, plane: Micrograph, within: Box | None = None
) -> Job[npt.NDArray[np.uint8]]:
    """Segment a plane, or a part, with the model whose answer is sampled; returns class values."""
    stack = replace(plane.stack, data=np.asarray(plane.data[...]))
    labels = np.zeros(stack.shape, np.uint8)
    known: dict[tuple[int, ...], GreyRange] = {}
    if plane.known_range is not None:
        known[()] = plane.known_range
    yield from predictor.run_into(stack, labels, within=within, known_ranges=known)
    return labels if within is None else labels[within.slices]


def values_in(
    before: ClassScheme, after: ClassScheme, renamed: Mapping[str, str] | None = None
) -> npt.NDArray[np.uint8]:
    """Return a table: class value in one scheme -> that in another, 0 for unknown ones."""
    table = np.zeros(256, np.uint8)
    for fracture_class in after:
        found = before.get((renamed or {}).get(fracture_class.name, fracture_class.name))
        if found is not None:
            table[found.value] = fracture_class.value
    return table


def _channels(values: npt.NDArray[np.uint8], scheme: ClassScheme) -> npt.NDArray[np.intp]:
    table = np.zeros(256, dtype=np.intp)
    table[list(scheme.values)] = np.arange(len(scheme))
    return table[values]
