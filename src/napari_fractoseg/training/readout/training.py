"""Training of a readout as `fractoseg train` and the dock ask for it: learnt, judged, recorded."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from napari_fractoseg.datasets.dataset import TrainingSet
from napari_fractoseg.evaluation.evaluate import Evaluation, evaluate_job
from napari_fractoseg.jobs import Job, Progress, as_part
from napari_fractoseg.models.card import ModelCard
from napari_fractoseg.models.devices import Device
from napari_fractoseg.models.model import SegmentationModel
from napari_fractoseg.training.data.split import Split
from napari_fractoseg.training.loop import FineTuned
from napari_fractoseg.training.outcome import figures_of, lineage_of, validation_report
from napari_fractoseg.training.plan import TrainingPlan
from napari_fractoseg.training.readout.learning import knows_all, learn_readout
from napari_fractoseg.training.readout.plan import ReadoutPlan

__all__ = ["readout_plan", "train_readout"]

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
        the parent as it segments, mirror images included, if it knows all classes.
    """
    choices = readout_plan(plan)
    job = learn_readout(start, split.learn, choices, device, renamed)
    model = yield from as_part(job, 0, 100, "", span=_LEARNT)
    before: dict[str, float] = {}
    metrics: dict[str, Any] = {}
    if split.validation is not None:
        evaluation = yield from _judged(model, split.validation, device, _LEARNT)
        if not renamed and knows_all(start.card.scheme, split.validation):
            parent = yield from _judged(start, split.validation, device, _LEARNT + _JUDGED)
            before = figures_of(parent.pooled)
        metrics = {"validation": validation_report(evaluation, 1, before, split)}
    yield Progress(100, 100, "judged")
    recorded = {**plan.to_dict(), "steps_done": 1, "readout": dataclasses.asdict(choices)}
    card = replace(
        model.card,
        name=name,
        description=_description(start.card, split.learn),
        lineage=lineage_of(start, split, recorded),
        metrics=metrics,
    )
    result = SegmentationModel(card, model.network)
    return FineTuned(result, [], 1, before, split.notes)


def _judged(
    model: SegmentationModel, by: TrainingSet, device: Device | None, done: int
) -> Job[Evaluation]:
    job = evaluate_job(model, by, device)
    return (yield from as_part(job, done, 100, "judging", span=_JUDGED))


def _description(start: ModelCard, learn: TrainingSet) -> str:
    painted = sum(learn.pixel_counts().values())
    return (
        f"A readout of what {start.name} sees, learnt from {painted} labelled pixels of "
        f"{len(learn)} images."
    )
