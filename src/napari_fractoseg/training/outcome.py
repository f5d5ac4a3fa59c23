"""What a card says of a training: figures on held-out pixels, and where the model comes from."""

from __future__ import annotations

import datetime
import math
from collections.abc import Mapping
from typing import Any

from napari_fractoseg.evaluation.confusion import Confusion
from napari_fractoseg.evaluation.evaluate import Evaluation
from napari_fractoseg.models.card import Lineage
from napari_fractoseg.models.model import SegmentationModel
from napari_fractoseg.text import printable
from napari_fractoseg.training.data.split import Split

__all__ = ["figures_of", "lineage_of", "validation_report"]


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
        "fraction_error": _number(pooled.fraction_error),
        "classes": {
            name: {"iou": _number(pooled.iou[name]), "labelled_px": int(px)}
            for name, px in zip(names, counts, strict=True)
        },
        "notes": list(map(printable, split.notes)),
    }


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


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value
