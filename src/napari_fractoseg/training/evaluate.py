"""How well a model agrees with labels, image by image."""

from __future__ import annotations

import functools
import operator
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from napari_fractoseg.images import MicrographStack
from napari_fractoseg.inference.predictor import Predictor
from napari_fractoseg.jobs import Job, Progress
from napari_fractoseg.models.devices import Device
from napari_fractoseg.models.model import SegmentationModel
from napari_fractoseg.training.dataset import TrainingSet
from napari_fractoseg.training.metrics import Confusion

__all__ = ["Evaluation", "evaluate_job"]

R = TypeVar("R")


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Agreement of a model with labels.

    Parameters
    ----------
    images : mapping of str to Confusion
        One for each image.
    """

    images: Mapping[str, Confusion]

    @property
    def pooled(self) -> Confusion:
        """All pixels of all images together."""
        return functools.reduce(operator.add, self.images.values())

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain JSON types."""
        return {
            "classes": list(self.pooled.scheme.names),
            "pooled": self.pooled.to_dict(),
            "images": {name: confusion.to_dict() for name, confusion in self.images.items()},
        }


def evaluate_job(
    model: SegmentationModel, reference: TrainingSet, device: Device | None = None
) -> Job[Evaluation]:
    """Segment the images of a set and compare with their labels.

    Parameters
    ----------
    model : SegmentationModel
        What to judge.
    reference : TrainingSet
        Images with labels; unlabelled pixels do not count. Its classes are
        matched to those of the model by name.
    device : Device, optional
        By default `choose_device`.

    Yields
    ------
    Progress
        After each image.

    Returns
    -------
    Evaluation

    Raises
    ------
    TrainingError
        If the labels use classes that the model does not know.
    """
    matched = reference.with_scheme(model.card.scheme)
    predictor = Predictor(model, device)
    confusions: dict[str, Confusion] = {}
    for number, (pair, name) in enumerate(
        zip(matched.pairs, matched.digests(), strict=True), start=1
    ):
        stack = MicrographStack(pair.image.data, name=pair.name)
        prediction = yield from _as_part(predictor.run(stack), number - 1, len(matched), name)
        confusions[name] = Confusion.of(pair.labels, prediction.labels, matched.scheme)
        yield Progress(number, len(matched), name)
    return Evaluation(confusions)


def _as_part(job: Job[R], done: int, total: int, message: str) -> Job[R]:
    """Run a job inside another: its steps are cancel points of the outer one."""
    while True:
        try:
            next(job)
        except StopIteration as stop:
            result: R = stop.value
            return result
        yield Progress(done, total, message)
