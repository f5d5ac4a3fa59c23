"""What a card says of a training: figures on held-out pixels, and where the model comes from."""

from __future__ import annotations

import datetime
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from napari_fractoseg.arrays import without_nan
from napari_fractoseg.datasets.dataset import TrainingSet
from napari_fractoseg.evaluation.calibration import calibrated
from napari_fractoseg.evaluation.confusion import Confusion
from napari_fractoseg.evaluation.evaluate import Evaluation, evaluate_job
from napari_fractoseg.jobs import Job, as_part
from napari_fractoseg.models.card import Lineage, ModelCard
from napari_fractoseg.models.devices import Device
from napari_fractoseg.models.model import SegmentationModel
from napari_fractoseg.text import counted, printable
from napari_fractoseg.training.data.sample import few_images
from napari_fractoseg.training.data.split import Split

__all__ = [
    "PaintedShare",
    "figures_of",
    "judged_card",
    "lineage_of",
    "painted_job",
    "validation_report",
]

_FEWEST_PX = 1000
"""Held-out pixels from which on a temperature is fitted."""
_MOST_IMAGES = 8
"""Images whose painted pixels are looked at again: on each the whole model is run."""


def figures_of(confusion: Confusion) -> dict[str, float]:
    """Return the intersections over union, 0-1: ``mean_iou``, and ``iou CLASS`` for each class."""
    ious = {f"iou {name}": value for name, value in confusion.iou.items() if not math.isnan(value)}
    return {"mean_iou": confusion.mean_iou, **ious}


def validation_report(
    evaluation: Evaluation, step: int, before: Mapping[str, float], split: Split
) -> dict[str, Any]:
    """Return the entry ``validation`` of a card's metrics.

    Parameters
    ----------
    evaluation : Evaluation
        Agreement of the model with the held-out pixels.
    step : int
        Step whose weights were kept; 0 if they are the parent's.
    before : mapping
        Figures of the parent on the same pixels (`figures_of`); empty if there is none.
    split : Split
        What was held out, with notes on what the figures cannot tell.
    """
    pooled, counts = evaluation.pooled, evaluation.pooled.counts.sum(axis=1)
    names = pooled.scheme.names
    return {
        "images": tuple(map(printable, evaluation.images)),
        "step": step,
        "mean_iou_before": before.get("mean_iou"),
        "mean_iou": pooled.mean_iou,
        "fraction_error": without_nan(pooled.fraction_error),
        "classes": {
            name: {"iou": without_nan(pooled.iou[name]), "labelled_px": int(px)}
            for name, px in zip(names, counts, strict=True)
        },
        "notes": list(map(printable, split.notes)),
    }


def judged_card(
    card: ModelCard, evaluation: Evaluation, step: int, before: Mapping[str, float], split: Split
) -> ModelCard:
    """Return a card with the figures on held-out pixels, and a temperature that is fitted to them.

    Parameters
    ----------
    card : ModelCard
        Card of the model that was evaluated, at temperature 1.
    evaluation : Evaluation
        Agreement of the model with the held-out pixels, with its confidence.
    step, before, split
        See `validation_report`.
    """
    temperature, figures = _calibration(evaluation, split)
    report = validation_report(evaluation, step, before, split)
    card = replace(card, metrics={"validation": report})
    return card.with_temperature(temperature, figures)


def _calibration(evaluation: Evaluation, split: Split) -> tuple[float, dict[str, Any]]:
    """Return a temperature that is fitted to held-out pixels, and the entry of the metrics."""
    n_px, n_classes = evaluation.pooled.n_px, np.count_nonzero(evaluation.pooled.counts.sum(axis=1))
    if n_px < _FEWEST_PX:
        return 1.0, {"why": f"only {n_px} labelled pixels were held out to compare it with"}
    if n_classes < 2:
        return 1.0, {"why": "only one class was held out to compare it with"}
    samples = {name: found for name, found in evaluation.samples.items() if found.n_px}
    found = calibrated(samples)
    before, after = found.pooled(list(samples))
    where = _held_out_text(split)
    judged = (
        "Each image was judged at a temperature that was fitted to the others."
        if found.is_nested
        else "The error is that on these same pixels, so it is a little optimistic."
    )
    return found.temperature, {
        "temperature": found.temperature,
        "on": where,
        "method": f"Temperature {found.temperature:g}, fitted to {where}. {judged}",
        "ece_before": without_nan(before.ece),
        "references": {"the labels": after.to_dict()},
    }


def _held_out_text(split: Split) -> str:
    """Return what was held out in words, such as "3 held-out blocks of 2 images it learnt from"."""
    assert split.validation is not None  # noqa: S101 - it was evaluated
    taught = {pair.image_digest for pair in split.learn.pairs}
    digests = {pair.image_digest for pair in split.validation.pairs}
    parts = []
    if whole := digests - taught:
        parts.append(counted(len(whole), "held-out image"))
    if cut := digests & taught:
        n_blocks = sum(len(split.held_out.get(digest, ())) for digest in cut)
        blocks, images = counted(n_blocks, "held-out block"), counted(len(cut), "image")
        parts.append(f"{blocks} of {images} that it learnt from")
    return " and ".join(parts)


@dataclass(frozen=True)
class PaintedShare:
    """How many of the pixels that a model learnt from come out as they were painted.

    Parameters
    ----------
    right : float
        Share of these pixels, 0-1.
    classes : mapping of str to float
        The same for each class that was painted.
    n_px : int
        Number of pixels that were looked at.
    n_images : int
        Number of images that were looked at.
    of_images : int
        Number of images that it learnt from.
    """

    right: float
    classes: Mapping[str, float]
    n_px: int
    n_images: int
    of_images: int

    def to_dict(self) -> dict[str, Any]:
        """Return the entry ``painted`` of a card's metrics."""
        return {**asdict(self), "right": without_nan(self.right)}


def painted_job(
    model: SegmentationModel, learnt: TrainingSet, device: Device | None, done: int, total: int
) -> Job[PaintedShare]:
    """Segment images that a model learnt from, and compare them with what was painted.

    Parameters
    ----------
    model : SegmentationModel
        Model that has learnt.
    learnt : TrainingSet
        Images with labels that taught; of many a few are looked at (`few_images`).
    device : Device or None
        Device that computes; None takes the best one there is.
    done, total : int
        Steps of the training, for the progress.

    Yields
    ------
    Progress
        Steps of the training, between images.
    """
    looked_at = few_images(learnt, _MOST_IMAGES)
    job = evaluate_job(model, looked_at, device)
    pooled = (yield from as_part(job, done, total, "")).pooled
    painted, right = pooled.counts.sum(axis=1), pooled.counts.diagonal()
    classes = {
        name: float(r / n)
        for name, n, r in zip(pooled.scheme.names, painted, right, strict=True)
        if n
    }
    n_images, of_images = (len({p.image_digest for p in s.pairs}) for s in (looked_at, learnt))
    return PaintedShare(pooled.agreement, classes, pooled.n_px, n_images, of_images)


def lineage_of(start: SegmentationModel, split: Split, plan: Mapping[str, Any]) -> Lineage:
    """Return where a model comes from that was trained now.

    Parameters
    ----------
    start : SegmentationModel
        Model that the training started from.
    split : Split
        Data that taught, and what was held out of them.
    plan : mapping
        Training plan as JSON types, with what else repeats the training.
    """
    from napari_fractoseg import __version__

    return Lineage(
        parent=start.digest or None,
        plan=plan,
        data=split.learn.digests(),
        held_out={
            digest: tuple((b.row0, b.row1, b.column0, b.column1) for b in boxes)
            for digest, boxes in split.held_out.items()
        },
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        fractoseg_version=__version__,
    )
