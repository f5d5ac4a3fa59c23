"""Training of a model step by step, as a job that reports progress after each step."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd

from napari_fractoseg.datasets.dataset import TrainingSet
from napari_fractoseg.errors import OutputError
from napari_fractoseg.files import draft_of
from napari_fractoseg.jobs import Job, Progress, Throttle
from napari_fractoseg.models.devices import Device, choose_device, translate_out_of_memory
from napari_fractoseg.models.model import SegmentationModel
from napari_fractoseg.training.data.split import Split
from napari_fractoseg.training.distributed import Processes, is_first_process
from napari_fractoseg.training.plan import TrainingPlan
from napari_fractoseg.training.run_lock import hold_checkpoint
from napari_fractoseg.training.state import TrainingRun

__all__ = ["FineTuned", "Trainer"]

_CHECKPOINT_INTERVAL_S = 60.0


@dataclass(frozen=True, eq=False)
class FineTuned:
    """Result of a training run.

    Parameters
    ----------
    model : SegmentationModel
        Trained model, with plan, data hashes and figures in its card.
    history : list of dict
        Rows, one a step: ``step``, ``loss``, ``learning_rate``; at validations
        also ``mean_iou`` and ``iou CLASS``, 0-1.
    best_step : int
        Step whose weights were kept; 0 if none did better than the parent.
    before : dict of str to float
        Figures of the parent on the held-out pixels, judged as the model is, but rescaled where
        it segments them so (`parent_choice`); empty for a new network.
    after : dict of str to float
        Figures of the weights of the best step on the held-out pixels, judged
        in the same way; empty if no step did better than the parent, or nothing
        is known of one.
    before_unscaled : dict of str to float
        Figures of the parent's weights on these images as they are, with which those of the new
        weights were compared; empty as `before`.
    notes : tuple of str
        Sentences on what the figures cannot tell, such as that one class only
        validates. They are the same for a run that was interrupted and taken up
        again.
    """

    model: SegmentationModel
    history: list[dict[str, float]] = field(default_factory=list)
    best_step: int = 0
    before: dict[str, float] = field(default_factory=dict)
    after: dict[str, float] = field(default_factory=dict)
    before_unscaled: dict[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def with_metrics(self, **entries: Any) -> FineTuned:
        """Return the result with more figures on the card of its model."""
        metrics = {**self.model.card.metrics, **entries}
        return replace(self, model=self.model.with_card(metrics=metrics))

    def with_pixel_size(self, pixel_size_um: float | None, note: str) -> FineTuned:
        """Return the result with the pixel size of its images on the card, or a note on it."""
        model = self.model.with_card(pixel_size_um=pixel_size_um)
        return replace(self, model=model, notes=(*self.notes, *filter(None, [note])))

    def write_history(self, path: Path | str) -> None:
        """Write the history as a CSV file with a row for each step."""
        with draft_of(Path(path), overwrite=True) as draft:
            pd.DataFrame(self.history).to_csv(draft, index=False)


class Trainer:
    """Training of a model by a plan.

    Parameters
    ----------
    model : SegmentationModel
        Model to start from: new or to be fine-tuned. It is not changed.
    plan : TrainingPlan
        Optimiser, patches, validation, limits and seed.
    device : Device, optional
        Processor or GPU to train on; by default the best one there is.
    processes : Processes
        Numbers of processes that share each step; by default one.
    """

    def __init__(
        self,
        model: SegmentationModel,
        plan: TrainingPlan,
        device: Device | None = None,
        processes: Processes = Processes(),  # noqa: B008 - frozen
    ) -> None:
        self._start = model
        self._device = device or choose_device()
        self._plan = plan
        self._processes = processes

    def run(
        self,
        training_set: TrainingSet,
        validation_set: TrainingSet | None = None,
        should_stop: Callable[[], bool] | None = None,
    ) -> Job[FineTuned]:
        """Train on one set, and choose the best weights by another.

        Parameters
        ----------
        training_set : TrainingSet
            Images with labels that teach.
        validation_set : TrainingSet, optional
            Images with labels that validate; without it the last weights are kept.
        should_stop : callable, optional
            Function that is asked after each step; True makes it the last one.

        Yields
        ------
        Progress
            Steps done, with the loss and at validations the figures.

        Returns
        -------
        FineTuned
            Model with its history of losses and figures.
        """
        scheme = self._start.card.scheme
        if validation_set is not None:
            validation_set = validation_set.with_scheme(scheme)
        split = Split(training_set.with_scheme(scheme), validation_set)
        return (yield from self.run_split(split, should_stop))

    def run_split(
        self,
        split: Split,
        should_stop: Callable[[], bool] | None = None,
        checkpoint: Path | None = None,
    ) -> Job[FineTuned]:
        """Train on one part of a split, and choose the best weights by the other.

        Parameters
        ----------
        split : Split
            Labels to learn from, and labels to choose the best weights by. Its
            classes are those of the model. Without validation the last weights
            are kept.
        should_stop : callable, optional
            Function that is asked after each step; True makes it the last one.
            Unlike closing the job, this keeps what was learnt.
        checkpoint : Path, optional
            File to write the state to, at least once a minute. If it is there,
            the run goes on from it, as if it had never been interrupted. During
            the run no other run can take it. If it cannot be written, such as on a
            full disk, the run goes on and tries it again; progress says so.

        Yields
        ------
        Progress
            Steps done, with ``loss``; ``mean_iou`` and ``iou CLASS`` after
            validations.

        Returns
        -------
        FineTuned
            Model with its history of losses and figures.

        Raises
        ------
        TrainingError
            If fewer than two classes are labelled, the loss is not finite, the
            checkpoint is of another run, or a run is going on with it.
        OutputError
            If nothing can be written where the checkpoint is to be.
        OutOfMemoryError
            If the device has too little memory.
        """
        split.learn.check_teachable()
        # Of several processes, the first one writes for all.
        written = checkpoint if is_first_process() else None
        with nullcontext() if written is None else hold_checkpoint(written):
            run = TrainingRun(self._start, self._plan, self._device, split, self._processes)
            if checkpoint is not None and checkpoint.exists():
                run.restore(checkpoint)
            try:
                yield from self._steps(run, should_stop or _never, checkpoint)
                model = yield from run.result()
            finally:
                run.patches.close()
        return FineTuned(
            model,
            run.history,
            run.best_step,
            run.before,
            run.after,
            run.before_unscaled,
            run.split.notes,
        )

    def _steps(
        self, run: TrainingRun, should_stop: Callable[[], bool], checkpoint: Path | None
    ) -> Job[None]:
        plan, validates = run.plan, run.split.validation is not None
        began = time.monotonic() - run.elapsed_s
        due = Throttle(_CHECKPOINT_INTERVAL_S)
        due.ready()
        unkept = ""
        if validates and run.knows and not run.history:
            yield Progress(0, plan.max_steps, "validating")
            text = "the parent" + " on images as they are" * run.rescales_for_parent
            yield Progress(0, plan.max_steps, text, (yield from run.validate(0)))
        while run.n_steps < plan.max_steps and not run.is_stuck:
            used = (time.monotonic() - began) / 60 / (plan.max_minutes or math.inf)
            with translate_out_of_memory(self._device, "Use a smaller batch or patch."):
                position = max((run.n_steps + 0.5) / plan.max_steps, used)
                metrics = run.step(min(1.0, position))
            step = run.n_steps
            ends = run.team.any(used >= 1 or should_stop()) or step == plan.max_steps
            if validates and (ends or step % plan.validate_every == 0):
                yield Progress(step, plan.max_steps, "validating", metrics)
                metrics |= yield from run.validate(step)
            run.elapsed_s = time.monotonic() - began
            if checkpoint is not None and (due.ready() or ends or "mean_iou" in metrics):
                unkept = _try_to_save(run, checkpoint)
            yield Progress(step, plan.max_steps, f"step {step}{unkept}", metrics)
            if ends:
                break


def _try_to_save(run: TrainingRun, checkpoint: Path) -> str:
    """Write a checkpoint; return a text on why that cannot be done now, empty if it was done."""
    try:
        run.save(checkpoint)
    except OutputError as error:  # hours of work are worth more than a checkpoint
        return f" (it goes on, but if it were interrupted now, steps would be lost: {error})"
    return ""


def _never() -> bool:
    return False
