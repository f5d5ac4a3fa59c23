"""Texts of the training dock: progress and result of a run."""

from __future__ import annotations

import html
from collections.abc import Iterator

from napari_fractoseg._napari.train.request import Trained
from napari_fractoseg.jobs import Progress, duration_text
from napari_fractoseg.models.readme import kept_text

__all__ = ["result_html", "training_text"]


def training_text(progress: Progress, remaining_s: float | None) -> str:
    """Return the progress of a training as ``step 12 · loss 0.41 · IoU 0.62 · 40 s left``."""
    if progress.total == 0:
        return f"{progress.message} …"
    return " · ".join(_parts(progress, remaining_s))


def _parts(progress: Progress, remaining_s: float | None) -> Iterator[str]:
    yield progress.message
    for key, word in (("loss", "loss"), ("mean_iou", "IoU")):
        if key in progress.metrics:
            yield f"{word} {progress.metrics[key]:.2f}"
    if remaining_s is not None:
        yield f"at most {duration_text(remaining_s)} left"


def result_html(trained: Trained) -> str:
    """Return HTML on a result: mean IoU before and after, IoU of each class, weights kept."""
    result, figures = trained.result, trained.validation
    steps = f"{len(result.history)} steps" if result.history else "learnt"
    head = f"<b>{html.escape(trained.folder.name)}</b>: {steps} in {duration_text(trained.seconds)}"
    kept = kept_text(result.model.card)
    if figures is None:
        return f"{head}. {html.escape(' '.join((kept, *trained.notes)))}"
    before = figures["mean_iou_before"]
    change = "" if before is None else f" (before: {before:.2f})"
    classes = ", ".join(
        f"{html.escape(name)} {row['iou']:.2f} <small>({row['labelled_px']:,} px)</small>"
        for name, row in figures["classes"].items()
        if row["iou"] is not None and row["labelled_px"]
    )
    where = html.escape(", ".join(figures["images"]))
    notes = "".join(f"<br><small>{html.escape(note)}</small>" for note in trained.notes)
    return (
        f"{head}<br>Held-out pixels of {where}: mean IoU <b>{figures['mean_iou']:.2f}</b>{change}"
        f"<br>IoU {classes}<br>{kept}{notes}"
    )
