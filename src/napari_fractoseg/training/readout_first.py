"""Training that goes on from a model by way of a readout: what was learnt in seconds is the mark.

A readout is learnt first. Where classes are new it is what the training of all weights starts
from: Ananya Kumar et al., "Fine-tuning can distort pretrained features and underperform
out-of-distribution", ICLR 2022 (linear probing, then fine-tuning). In the end the better one is
kept, so that a long training is never worse than the short one.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from napari_fractoseg.arrays import without_nan
from napari_fractoseg.classes import ClassScheme
from napari_fractoseg.datasets.dataset import TrainingSet
from napari_fractoseg.evaluation.evaluate import Evaluation, evaluate_job
from napari_fractoseg.jobs import Job, as_part
from napari_fractoseg.models.card import CALIBRATED, LEARNT_FROM_ALL
from napari_fractoseg.models.change_classes import with_classes
from napari_fractoseg.models.devices import Device
from napari_fractoseg.models.model import SegmentationModel
from napari_fractoseg.training.data.sample import few_images
from napari_fractoseg.training.data.split import Split
from napari_fractoseg.training.distributed import Processes
from napari_fractoseg.training.loop import FineTuned, Trainer
from napari_fractoseg.training.outcome import (
    PaintedShare,
    judged_card,
    painted_job,
)
from napari_fractoseg.training.plan import TrainingPlan
from napari_fractoseg.training.presets import continued_plan
from napari_fractoseg.training.readout.learning import knows_all, learn_readout
from napari_fractoseg.training.readout.training import readout_plan, readout_text

__all__ = ["FineTuning"]

_START, _READOUT, _DEEP = "start", "readout", "deep"
"""Names of the candidates on a card: the parent, the readout, and all weights trained."""
_MOST_IMAGES = 32
"""Images that the readout is learnt from: more take minutes, and hardly change it."""


@dataclass(frozen=True, eq=False)
class FineTuning:
    """Training of all weights that goes on from a model.

    Parameters
    ----------
    start : SegmentationModel
        Model to go on from.
    plan : TrainingPlan
        Plan of the training.
    split : Split
        Labels that teach, and labels that validate, in the classes of the new model.
    name : str
        Title of the new model.
    renamed : mapping of str to str
        New name of a class -> its name in `start`.
    device : Device or None
        Device that computes; None takes the best one there is.
    processes : Processes
        Numbers of processes that share each step.
    should_stop : callable, optional
        Function that is asked after each step; True makes it the last one.
    checkpoint : Path, optional
        File of the state of the training of all weights. A readout is learnt again when the run
        is taken up again.
    everything : TrainingSet, optional
        All labels of both parts of the split. A readout that is kept learns from them in the end,
        as it would have without longer training. By default it never sees what is held out.
    """

    start: SegmentationModel
    plan: TrainingPlan
    split: Split
    name: str
    renamed: Mapping[str, str] = field(default_factory=dict)
    device: Device | None = None
    processes: Processes = field(default_factory=Processes)
    should_stop: Callable[[], bool] | None = None
    checkpoint: Path | None = None
    everything: TrainingSet | None = None

    @property
    def scheme(self) -> ClassScheme:
        """Classes of the new model."""
        return self.split.learn.scheme

    @property
    def knows_classes(self) -> bool:
        """Whether the model to go on from knows all classes that are painted."""
        return knows_all(self.start.card.scheme, self.split.learn, self.renamed)

    @property
    def reads_first(self) -> bool:
        """Whether a readout is learnt first.

        It knows only what is painted, if that has new classes: it is none for a class that the
        model knows and that nobody painted.
        """
        counts, known = self.split.learn.pixel_counts(), self.start.card.scheme
        kept = [c.name for c in self.scheme if known.get(self.renamed.get(c.name, c.name))]
        has_all = self.knows_classes or all(counts[name] for name in kept)
        return self.plan.readout_first and has_all

    def job(self) -> Job[FineTuned]:
        """Train, and return the best of what is there.

        Yields
        ------
        Progress
            Steps done; 0 of 0 while a readout is learnt.
        """
        if not self.reads_first:
            return (yield from self._train(self._with_classes()))
        job = self._readout_of(self.split.learn)
        readout = yield from as_part(job, 0, 0, "learning to sum up what the model sees")
        start = self._with_classes() if self.knows_classes else readout
        result = yield from self._train(start)
        if self.split.validation is None:
            return (yield from self._best_on_painted(result, readout, start))
        return (yield from self._best_on_held_out(result, readout, start))

    def _readout_of(self, learn: TrainingSet) -> Job[SegmentationModel]:
        taught = few_images(learn, _MOST_IMAGES)
        found = yield from learn_readout(
            self.start, taught, readout_plan(self.plan), self.device, self.renamed
        )
        # Its parent is that of the whole training; it learnt from images as they are.
        card = replace(found.card, pixel_size_um=None)
        return SegmentationModel(card, found.network, self.start.digest, rehearsal=found.rehearsal)

    def _with_classes(self) -> SegmentationModel:
        return with_classes(self.start, self.scheme, renamed=self.renamed, seed=self.plan.seed)

    def _train(self, model: SegmentationModel) -> Job[FineTuned]:
        text = f"Fine-tuned from {self.start.card.name}."
        model = model.with_card(name=self.name, description=text)
        plan = continued_plan(self.plan, model.card)
        trainer = Trainer(model, plan, self.device, self.processes)
        return (yield from trainer.run_split(self.split, self.should_stop, self.checkpoint))

    # ---- the best of what is there ------------------------------------------------------

    def _best_on_held_out(
        self, result: FineTuned, readout: SegmentationModel, start: SegmentationModel
    ) -> Job[FineTuned]:
        """Keep what does best on the held-out pixels; a training has judged itself and its start.

        Parameters
        ----------
        result : FineTuned
            Result of the training of all weights, which is its start if no step did better.
        readout : SegmentationModel
            The readout that was learnt first.
        start : SegmentationModel
            What that training started from, which may be the readout.
        """
        first = _READOUT if start is readout else _START
        kept = _DEEP if result.best_step else first
        figures = {
            first: result.before_unscaled.get("mean_iou"),
            _DEEP: result.after.get("mean_iou"),
        }
        model, report = result.model, dict(result.model.card.metrics["validation"])
        if start is readout:
            result, report = replace(result, before={}), {**report, "mean_iou_before": None}
        else:
            evaluation = yield from self._judged(readout, len(result.history))
            figures[_READOUT] = evaluation.pooled.mean_iou
            if figures[_READOUT] > report["mean_iou"]:
                card = judged_card(readout.card, evaluation, 0, result.before, self.split)
                kept, model = _READOUT, SegmentationModel(card, readout.network)
                report = card.metrics["validation"]
        candidates = _entry(kept, "mean_iou", figures)
        metrics = {**model.card.metrics, "validation": report, "candidates": candidates}
        if kept == _READOUT and self.everything is not None:
            temperature = model.card.inference.temperature
            return (yield from self._learnt_from_all(result, metrics, self.everything, temperature))
        return self._kept(result, kept, model, metrics, readout)

    def _learnt_from_all(
        self,
        result: FineTuned,
        metrics: Mapping[str, Any],
        everything: TrainingSet,
        temperature: float,
    ) -> Job[FineTuned]:
        """Keep the readout that is learnt from all labels; none of its pixels is unseen then.

        Parameters
        ----------
        result : FineTuned
            Result of the training of all weights.
        metrics : mapping
            Figures of the readout that was learnt without the held-out pixels.
        everything : TrainingSet
            All labels.
        temperature : float
            Temperature of that readout, fitted to the held-out pixels.
        """
        done, total = len(result.history), self.plan.max_steps
        job = self._readout_of(everything)
        readout = yield from as_part(job, done, total, "learning from what was held out, too")
        readout = readout.with_card(
            inference=replace(readout.card.inference, temperature=temperature)
        )
        share = yield from painted_job(readout, everything, self.device, done, total)
        metrics = {
            **metrics,
            "painted": share.to_dict(),
            "candidates": {**metrics["candidates"], LEARNT_FROM_ALL: True},
        }
        kept = self._kept(result, _READOUT, readout, metrics, readout)
        lineage = replace(
            kept.model.card.lineage,
            data=everything.digests(),
            held_out=dict.fromkeys(self.split.held_out, ()),
        )
        text = readout_text(self.start.card, everything)
        return replace(kept, model=kept.model.with_card(lineage=lineage, description=text))

    def _judged(self, model: SegmentationModel, n_steps: int) -> Job[Evaluation]:
        assert self.split.validation is not None  # noqa: S101 - asked before
        job = evaluate_job(model, self.split.validation, self.device, with_confidence=True)
        return (yield from as_part(job, n_steps, self.plan.max_steps, ""))

    def _best_on_painted(
        self, result: FineTuned, readout: SegmentationModel, start: SegmentationModel
    ) -> Job[FineTuned]:
        """Keep the trained weights unless another candidate has more painted pixels right."""
        models = {_DEEP: result.model, _READOUT: readout}
        if start is not readout:
            models[_START] = start
        shares: dict[str, PaintedShare] = {}
        for name, model in models.items():
            shares[name] = yield from painted_job(
                model, self.split.learn, self.device, len(result.history), self.plan.max_steps
            )
        kept = max(shares, key=lambda name: shares[name].right)
        figures = {name: share.right for name, share in shares.items()}
        metrics = {
            "painted": shares[kept].to_dict(),
            "candidates": _entry(kept, "painted", figures),
        }
        if kept == _START and CALIBRATED in start.card.metrics:
            metrics[CALIBRATED] = start.card.metrics[CALIBRATED]
        return self._kept(result, kept, models[kept], metrics, readout)

    def _kept(
        self,
        result: FineTuned,
        kept: str,
        model: SegmentationModel,
        metrics: Mapping[str, Any],
        readout: SegmentationModel,
    ) -> FineTuned:
        """Return the result of a training with the candidate that was kept."""
        card, choices = result.model.card, readout_plan(self.plan)
        plan = {**card.lineage.plan, "readout": dataclasses.asdict(choices)}
        text = readout_text(self.start.card, self.split.learn)
        card = replace(
            card,
            inference=model.card.inference,
            description=text if kept == _READOUT else card.description,
            lineage=replace(card.lineage, plan=plan),
            metrics=metrics,
        )
        best_step = result.best_step if kept == _DEEP else 0
        chosen = SegmentationModel(card, model.network)
        chosen.familiarity = model.familiarity
        result = replace(result, model=chosen, best_step=best_step)
        if kept != _READOUT or readout.rehearsal is None:
            return result
        return replace(result, model=result.model.with_rehearsal(readout.rehearsal))


def _entry(kept: str, by: str, figures: Mapping[str, float | None]) -> dict[str, Any]:
    """Return the entry ``candidates`` of a card's metrics.

    Parameters
    ----------
    kept : str
        Name of the candidate that was kept.
    by : {"mean_iou", "painted"}
        Figure that was compared: mean IoU on held-out pixels, or the share of the painted pixels
        that come out as they were painted.
    figures : mapping of str to float or None
        This figure of each candidate; None if no step of a training did better than its start.
    """
    return {"kept": kept, "by": by, "figures": without_nan(dict(figures))}
