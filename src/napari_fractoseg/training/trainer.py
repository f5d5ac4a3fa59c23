"""The training loop, as a job: one step between two yields."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from napari_fractoseg.classes import DEFAULT_SCHEME
from napari_fractoseg.jobs import Job, Progress, drain
from napari_fractoseg.models.card import ModelCard
from napari_fractoseg.models.devices import Device, choose_device, translate_out_of_memory
from napari_fractoseg.models.model import SegmentationModel
from napari_fractoseg.training.dataset import TrainingSet, read_training_set
from napari_fractoseg.training.plan import TrainingPlan
from napari_fractoseg.training.state import TrainingRun, choose_precision

__all__ = ["FineTuned", "Trainer", "continued_plan", "new_model", "train", "train_job"]


@dataclass(frozen=True, eq=False)
class FineTuned:
    """The result of a training run.

    Parameters
    ----------
    model : SegmentationModel
        With plan, data hashes and figures in its card.
    history : list of dict
        ``step``, ``loss``, ``learning_rate``; ``mean_iou`` at validations.
    best_step : int
        Step whose weights were kept.
    """

    model: SegmentationModel
    history: list[dict[str, float]] = field(default_factory=list)
    best_step: int = 0

    def write_history(self, path: Path | str) -> None:
        """Write the history as CSV."""
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        pd.DataFrame(self.history).to_csv(path, index=False)


def new_model(plan: TrainingPlan, training_set: TrainingSet, name: str) -> SegmentationModel:
    """Make a network with random weights, repeatable by the plan's seed."""
    options: dict[str, Any] = {}
    if plan.decoder_channels:
        options = {
            "decoder_channels": plan.decoder_channels,
            "encoder_depth": len(plan.decoder_channels),
        }
    card = ModelCard(
        name=name, scheme=training_set.scheme, architecture=plan.architecture, encoder=plan.encoder
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(plan.seed)
        return SegmentationModel.create(card, **options)


class Trainer:
    """Trains a model by a plan.

    Parameters
    ----------
    model : SegmentationModel
        The start: new or to be fine-tuned. It is not changed.
    plan : TrainingPlan
        How to train.
    device : Device, optional
        By default `choose_device`.
    """

    def __init__(
        self, model: SegmentationModel, plan: TrainingPlan, device: Device | None = None
    ) -> None:
        self._start, self._plan = model, plan
        self._device = device or choose_device()

    def run(
        self,
        training_set: TrainingSet,
        validation_set: TrainingSet | None = None,
        should_stop: Callable[[], bool] | None = None,
    ) -> Job[FineTuned]:
        """Train.

        Parameters
        ----------
        training_set : TrainingSet
            To learn from; its classes are those of the model.
        validation_set : TrainingSet, optional
            Images to choose the best weights by. Without it the last weights
            are kept.
        should_stop : callable, optional
            Asked after each step; True makes it the last one. Unlike closing
            the job, this keeps what was learnt.

        Yields
        ------
        Progress
            After each step, with ``loss``; ``mean_iou`` after validations.

        Returns
        -------
        FineTuned

        Raises
        ------
        TrainingError
            If fewer than two classes are labelled or the loss is not finite.
        OutOfMemoryError
            If the device has too little memory.
        """
        training_set = training_set.with_scheme(self._start.card.scheme)
        training_set.check_teachable()
        plan = replace(self._plan, precision=choose_precision(self._plan, self._device))
        run = TrainingRun(self._start, plan, self._device, training_set)
        remedy = "Use a smaller batch or patch."
        began = time.monotonic()
        for step in range(1, plan.max_steps + 1):
            minutes = (time.monotonic() - began) / 60
            used = minutes / (plan.max_minutes or math.inf)
            with translate_out_of_memory(self._device, remedy):
                metrics = run.step(step, min(1.0, max((step - 0.5) / plan.max_steps, used)))
            is_stopped = should_stop is not None and should_stop()
            is_last = step == plan.max_steps or used >= 1 or is_stopped
            if validation_set is not None and (is_last or step % plan.validate_every == 0):
                yield Progress(step, plan.max_steps, "validating", metrics)
                metrics |= yield from run.validate(step, validation_set)
            yield Progress(step, plan.max_steps, f"step {step}", metrics)
            if is_last:
                break
        return FineTuned(run.result(validation_set), run.history, run.best_step)


def continued_plan(plan: TrainingPlan, parent: ModelCard) -> TrainingPlan:
    """Return a plan with the choices that a fine-tuned model takes from its parent.

    These are architecture, encoder, reductions and flips: the network was made
    for them.
    """
    reductions = parent.inference.reductions
    learnt_at = parent.lineage.plan.get("reduction")
    return replace(
        plan,
        architecture=parent.architecture,
        encoder=parent.encoder,
        reduction=learnt_at if learnt_at in reductions else reductions[0],
        test_reductions=reductions,
        test_flips=parent.inference.flips,
    )


def train_job(
    training_set: TrainingSet,
    *,
    plan: TrainingPlan | None = None,
    start: SegmentationModel | None = None,
    name: str = "own model",
    validation: Sequence[str] = (),
    device: Device | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> Job[FineTuned]:
    """Train a new model, or fine-tune one.

    Parameters
    ----------
    training_set : TrainingSet
        Images with labels.
    plan : TrainingPlan, optional
        How to train.
    start : SegmentationModel, optional
        Model to fine-tune: its network, classes and test-time choices are
        kept. By default the network is new.
    name : str
        Title of the model.
    validation : sequence of str
        Names of images that are held out to choose the best weights by.
    device : Device, optional
        By default `choose_device`.
    should_stop : callable, optional
        See `Trainer.run`.

    Yields
    ------
    Progress
        After each step.

    Returns
    -------
    FineTuned

    Raises
    ------
    TrainingError
        If data, plan and model do not fit together.
    """
    plan = plan or TrainingPlan()
    if start is None:
        model = new_model(plan, training_set, name)
    else:
        plan = continued_plan(plan, start.card)
        training_set = training_set.with_scheme(start.card.scheme)
        model = start.with_card(name=name, description=f"Fine-tuned from {start.card.name}.")
    held_out = None
    if validation:
        training_set, held_out = training_set.split(validation)
    return (yield from Trainer(model, plan, device).run(training_set, held_out, should_stop))


def train(
    images: Path | str,
    labels: Path | str,
    *,
    plan: TrainingPlan | None = None,
    start: SegmentationModel | None = None,
    name: str = "own model",
    mask_values: Mapping[int, str] | None = None,
    unlabelled_as: str | None = None,
    validation: Sequence[str] = (),
    device: str = "auto",
) -> FineTuned:
    """Train a model on images with labels.

    Parameters
    ----------
    images : Path or str
        Folder of images.
    labels : Path or str
        Folder of masks named like the images, or a VIA 2 JSON file.
    plan : TrainingPlan, optional
        How to train; 600 steps by default.
    start : SegmentationModel, optional
        Model to fine-tune: its network, classes and test-time choices are
        kept. By default the network is new.
    name : str
        Title of the model.
    mask_values : mapping of int to str, optional
        Value in the mask files -> class name, see `read_training_set`.
    unlabelled_as : str, optional
        Class that pixels without a label belong to; by default they teach
        nothing.
    validation : sequence of str
        Names of images (without suffix) that are held out to choose the best
        weights by. Hold out whole specimens: images of one fracture surface
        are alike.
    device : str
        ``auto``, ``cpu``, ``cuda``, ``cuda:1`` or ``mps``.

    Returns
    -------
    FineTuned
        With ``model``, to be saved by ``model.save(folder)``, and ``history``.

    Raises
    ------
    TrainingError, AnnotationError, ImageError, ClassSchemeError
        If data, plan and model do not fit together.
    DeviceError
        If the device is not there or its memory runs out.

    Examples
    --------
    >>> import napari_fractoseg as nf
    >>> result = nf.train("images", "labels", validation=["s17_3"])  # doctest: +SKIP
    >>> result.model.save("my-model")  # doctest: +SKIP
    """
    training_set = read_training_set(
        images,
        labels,
        scheme=DEFAULT_SCHEME if start is None else start.card.scheme,
        mask_values=mask_values,
        unlabelled_as=unlabelled_as,
    )
    return drain(
        train_job(
            training_set,
            plan=plan,
            start=start,
            name=name,
            validation=validation,
            device=choose_device(device),
        )
    )
