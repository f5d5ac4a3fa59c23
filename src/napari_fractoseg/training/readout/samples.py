"""Samples that a readout is fitted to: features of painted pixels, and of pixels of the model."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from napari_fractoseg.classes import UNLABELLED, ClassScheme
from napari_fractoseg.training.readout.features import PlaneFeatures

__all__ = ["Samples", "painted_samples", "prior_samples"]

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
) -> Samples:
    """Sample the painted pixels of a plane.

    Parameters
    ----------
    features : PlaneFeatures
        Features of the plane.
    painted : ndarray of uint8, shape (Y, X)
        Class values where a person painted, 0 elsewhere.
    scheme : ClassScheme
        Classes of these values.
    random : numpy.random.Generator
        Chooses among many.
    """
    rows, columns = np.nonzero(painted != UNLABELLED)
    channels = _channels(painted[rows, columns], scheme)
    chosen = [
        random.permutation(found)[:_MOST_PX]
        for channel in range(len(scheme))
        if len(found := np.flatnonzero(channels == channel))
    ]
    kept = np.sort(np.concatenate(chosen)) if chosen else np.zeros(0, np.intp)
    return Samples(features.at(rows[kept], columns[kept]), channels[kept], len(rows))


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
        Features of the plane.
    answer : ndarray of uint8, shape (Y, X)
        Class values that the model gave; 0 where it gave none.
    painted : ndarray of uint8, shape (Y, X)
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
    return Samples(features.at(rows, columns), _channels(answer[rows, columns], scheme), count)


def _channels(values: npt.NDArray[np.uint8], scheme: ClassScheme) -> npt.NDArray[np.intp]:
    table = np.zeros(256, dtype=np.intp)
    table[list(scheme.values)] = np.arange(len(scheme))
    return table[values]
