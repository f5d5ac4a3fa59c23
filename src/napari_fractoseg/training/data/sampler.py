"""Random patches around labelled pixels, each class equally often."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import torch

from napari_fractoseg.classes import UNLABELLED
from napari_fractoseg.datasets.dataset import TrainingPair, TrainingSet
from napari_fractoseg.tiling import Box, reflected_window
from napari_fractoseg.training.data.augment import change_appearance, change_geometry, window_px
from napari_fractoseg.training.plan import TrainingPlan

__all__ = ["PatchSampler", "reduce_image"]


def reduce_image(image: npt.NDArray[np.float32], reduction: int) -> npt.NDArray[np.float32]:
    """Return the means of an image over squares, shape (Y, X), with `reduction` pixels a side.

    Beyond its edge the image is reflected, so that all squares are full.
    """
    if reduction == 1:
        return image
    rows, columns = (-(-n // reduction) * reduction for n in image.shape)
    full = reflected_window(image, Box(0, rows, 0, columns))
    blocks = full.reshape(rows // reduction, reduction, columns // reduction, reduction)
    reduced: npt.NDArray[np.float32] = blocks.mean(axis=(1, 3), dtype=np.float32)
    return reduced


def reduce_labels(labels: npt.NDArray[np.uint8], reduction: int) -> npt.NDArray[np.uint8]:
    """Return the label at the centre of each square of `reduction` pixels a side, shape (Y, X)."""
    half = reduction // 2
    rows, columns = (-(-n // reduction) * reduction for n in labels.shape)
    full = reflected_window(labels, Box(0, rows, 0, columns))
    return full[half::reduction, half::reduction]


class _Source:
    """Image with labels at the network's resolution, and the places of each class.

    Parameters
    ----------
    pair : TrainingPair
        Image with labels at full resolution.
    reduction : int
        Image pixels to one network pixel, along each axis.
    """

    def __init__(self, pair: TrainingPair, reduction: int) -> None:
        self.image = reduce_image(pair.image.normalised(), reduction)
        self.labels = reduce_labels(pair.labels, reduction)
        flat = self.labels.ravel()
        self.places = {
            int(v): np.flatnonzero(flat == v).astype(np.int64)
            for v in np.unique(flat)
            if v != UNLABELLED
        }


class PatchSampler:
    """Source of random training patches.

    An image is drawn by its share, a class that it has with equal chance, a
    pixel of this class, and a patch around that pixel. Each patch depends only
    on the plan's seed, its step and its number: a run that is taken up again,
    or shared by several processes, sees the same patches.

    Parameters
    ----------
    training_set : TrainingSet
        Images with labels to draw from.
    plan : TrainingPlan
        Seed, patch size, reduction and augmentation.
    """

    def __init__(self, training_set: TrainingSet, plan: TrainingPlan) -> None:
        self._plan, self._scheme = plan, training_set.scheme
        sources = [(_Source(p, plan.reduction), p.share) for p in training_set.pairs]
        self._sources = [source for source, _ in sources if source.places]
        shares = np.array([share for source, share in sources if source.places])
        self._chances = shares / shares.sum()

    def batch(self, step: int, numbers: Iterable[int]) -> tuple[torch.Tensor, torch.Tensor]:
        """Return patches of a step.

        Parameters
        ----------
        step : int
            Number of the step in the run.
        numbers : iterable of int
            Numbers of the patches within the step.

        Returns
        -------
        images : Tensor of float32, shape (N, 1, P, P)
            Normalised grey levels.
        targets : Tensor of int64, shape (N, P, P)
            Channel index of the right class, or `IGNORE_INDEX` where unlabelled.
        """
        patches = (self._patch(np.random.default_rng((self._plan.seed, step, n))) for n in numbers)
        images, targets = zip(*patches, strict=True)
        return torch.stack(images), torch.cat(targets)

    def _patch(self, rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        plan = self._plan
        source = self._sources[rng.choice(len(self._sources), p=self._chances)]
        scale = float(np.exp(rng.uniform(*np.log(plan.scale_range))))
        box = _window_around(source, window_px(plan.patch_px, scale), plan.patch_px // 4, rng)
        image = torch.from_numpy(reflected_window(source.image, box))[None]
        targets = torch.from_numpy(self._scheme.to_targets(reflected_window(source.labels, box)))
        image, targets = change_geometry(image, targets[None], plan.patch_px, rng)
        return change_appearance(image, plan.augmentation, rng), targets


def _window_around(source: _Source, edge: int, reach: int, rng: np.random.Generator) -> Box:
    """Return a square window around a random pixel of a random class, moved by up to `reach`."""
    places = source.places[int(rng.choice(list(source.places)))]
    row, column = divmod(int(rng.choice(places)), source.labels.shape[1])
    row0 = row - edge // 2 + int(rng.integers(-reach, reach + 1))
    column0 = column - edge // 2 + int(rng.integers(-reach, reach + 1))
    return Box(row0, row0 + edge, column0, column0 + edge)
