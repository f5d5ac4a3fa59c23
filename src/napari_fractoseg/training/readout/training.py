"""Training of a readout as `fractoseg train` and the dock ask for it: learnt, judged, recorded."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import replace

from napari_fractoseg.datasets.dataset import TrainingSet
from napari_fractoseg.errors import FractosegError, ModelError, translated
from napari_fractoseg.evaluation.evaluate import Evaluation, evaluate_job
from napari_fractoseg.inference.magnification import NONE
from napari_fractoseg.jobs import Job, Progress, as_part
from napari_fractoseg.models.card import ModelCard
from napari_fractoseg.models.devices import Device
from napari_fractoseg.models.model import SegmentationModel
from napari_fractoseg.text import counted
from napari_fractoseg.training.data.pixel_size import parent_choice
from napari_fractoseg.training.data.split import Split
from napari_fractoseg.training.loop import FineTuned
from napari_fractoseg.training.outcome import figures_of, judged_card, lineage_of
from napari_fractoseg.training.plan import TrainingPlan
from napari_fractoseg.training.readout.cost import KeepingCost
from napari_fractoseg.training.readout.learning import knows_all, learn_readout
from napari_fractoseg.training.readout.plan import ReadoutPlan
from napari_fractoseg.training.readout.rehearsal import rehearsal_job

__all__ = ["readout_plan", "readout_text", "train_readout", "with_rehearsal_job"]

_LEARNT, _JUDGED = 70, 15
"""Parts of the progress in hundredths: what is learnt, and what each of two models is judged by."""


def readout_plan(plan: TrainingPlan) -> ReadoutPlan:
    """Return the choices of a readout for a training plan."""
    choices = ReadoutPlan(seed=plan.seed)
    reductions = sorted(set(plan.readout_reductions or choices.reductions))
    return replace(choices, reductions=tuple(reductions))


def train_readout(
    start: SegmentationModel,
    split: Split,
    plan: TrainingPlan,
    name: str,
    device: Device | None = None,
    renamed: Mapping[str, str] | None = None,
) -> Job[FineTuned]:
    """Learn a readout from one part of a split, and judge it and its parent by the other.

    Parameters
    ----------
    start : SegmentationModel
        Model whose features are read.
    split : Split
        Labels that teach, and labels that validate, in the classes of the new model.
    plan : TrainingPlan
        Seed and scale levels.
    name : str
        Title of the new model.
    device : Device, optional
        Device that computes; by default the best one there is.
    renamed : mapping of str to str, optional
        New name of a class -> its name in `start`.

    Yields
    ------
    Progress
        Hundredths of the work.

    Returns
    -------
    FineTuned
        The readout, whether it does better than its parent or not: `before` has the figures of
        the parent as it segments, rescaled and with mirror images, if it knows all classes.
    """
    choices = readout_plan(plan)
    costs: list[KeepingCost] = []
    job = learn_readout(start, split.learn, choices, device, renamed, costs.append)
    model = yield from as_part(job, 0, 100, "", span=_LEARNT)
    before: dict[str, float] = {}
    card = replace(model.card, metrics={})
    if split.validation is not None:
        evaluation = yield from _judged(model, split.validation, device, _LEARNT)
        if not renamed and knows_all(start.card.scheme, split.validation):
            scale = parent_choice(start.card, split.validation)
            judging = _judged(start, split.validation, device, _LEARNT + _JUDGED, scale)
            parent = yield from judging
            before = figures_of(parent.pooled)
        card = judged_card(card, evaluation, 1, before, split)
    yield Progress(100, 100, "judged")
    recorded = {**plan.to_dict(), "steps_done": 1, "readout": dataclasses.asdict(choices)}
    result = model.with_card(
        name=name,
        description=readout_text(start.card, split.learn),
        inference=card.inference,
        lineage=lineage_of(start, split, recorded),
        metrics=card.metrics,
    )
    if model.rehearsal is not None:
        result = result.with_rehearsal(model.rehearsal)
    notes = (*start.notes, *split.notes, *(cost.text for cost in costs))
    return FineTuned(result, [], 1, before, notes=notes)


def _judged(
    model: SegmentationModel,
    by: TrainingSet,
    device: Device | None,
    done: int,
    scale: str = NONE,
) -> Job[Evaluation]:
    job = evaluate_job(model, by, device, scale, with_confidence=True)
    return (yield from as_part(job, done, 100, "judging", span=_JUDGED))


def readout_text(start: ModelCard, learn: TrainingSet) -> str:
    """Return the description of a readout on its card."""
    painted = sum(learn.pixel_counts().values())
    return (
        f"A readout of what {start.name} sees, learnt from {painted} labelled pixels of "
        f"{counted(len(learn), 'image')}."
    )


def with_rehearsal_job(
    result: FineTuned,
    start: SegmentationModel | None,
    taught: TrainingSet,
    plan: TrainingPlan,
    device: Device | None = None,
) -> Job[FineTuned]:
    """Add a rehearsal sample to the model of a training, which stays as it is if that goes wrong.

    Parameters
    ----------
    result : FineTuned
        Result of a training.
    start : SegmentationModel or None
        Model that it started from; where no step did better, its sample stays.
    taught : TrainingSet
        Images that taught.
    plan : TrainingPlan
        Seed, and scale levels of readouts that are to rehearse it.
    device : Device, optional
        Device that computes.

    Yields
    ------
    Progress
        After each tile; the steps of the training are done.

    Returns
    -------
    FineTuned
        With a sample, or with a note on why there is none.
    """
    if result.model.rehearsal is not None:  # a readout that was learnt on the way
        return result
    is_start = start is not None and (
        not result.best_step and result.model.card.inference.combine == start.card.inference.combine
    )
    if start is not None and start.rehearsal is not None and is_start:
        return replace(result, model=result.model.with_rehearsal(start.rehearsal))
    steps = plan.max_steps
    try:
        with translated(ModelError, "It cannot be made"):
            job = rehearsal_job(result.model, taught, readout_plan(plan), device)
            sample = yield from as_part(job, steps, steps, "sampling what it sees")
    except FractosegError as error:  # minutes or hours of training are worth more than a sample
        note = (
            "The model is complete but for its rehearsal sample: what is learnt from it in seconds "
            f"may forget other images. {error}"
        )
        return replace(result, notes=(*result.notes, note))
    return replace(result, model=result.model.with_rehearsal(sample))
