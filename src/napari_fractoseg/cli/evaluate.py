"""Command ``fractoseg evaluate``: a model compared with labelled images."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_fractoseg import __version__
from napari_fractoseg.annotations.options import AnnotationOptions
from napari_fractoseg.batch.settings import SegmentSettings
from napari_fractoseg.cli.options import (
    DeviceOption,
    LabelOptions,
    ModelOption,
    OptionsOf,
    OverwriteOption,
    command,
    figure,
    make_console,
    print_notes,
    say,
    table_of,
    watch,
)
from napari_fractoseg.files import check_writable, refuse_existing, write_bytes

if TYPE_CHECKING:
    from napari_fractoseg.evaluation.evaluate import Evaluation

__all__ = ["evaluate"]


@command
def evaluate(
    images: Annotated[Path, typer.Option("--images", help="Folder of images.")],
    labels: Annotated[Path, typer.Option("--labels", help="Folder of masks, or annotations.")],
    out: Annotated[Path, typer.Option("-o", "--out", metavar="REPORT", help="JSON to write.")],
    annotations: Annotated[AnnotationOptions, OptionsOf(AnnotationOptions)],
    masks: Annotated[LabelOptions, OptionsOf(LabelOptions)],
    seen: Annotated[SegmentSettings, OptionsOf(SegmentSettings, "scale")],
    model: ModelOption = "default",
    device: DeviceOption = "auto",
    overwrite: OverwriteOption = False,
) -> None:
    """Compare a model with labels, image by image."""
    if not overwrite:
        refuse_existing(out, replaceable=True)
    check_writable(out.parent)
    from napari_fractoseg.datasets.sources import read_training_set
    from napari_fractoseg.evaluation.evaluate import evaluate_job
    from napari_fractoseg.models.devices import choose_device
    from napari_fractoseg.models.model import load_model

    loaded = load_model(model)
    reference = read_training_set(
        images,
        labels,
        annotations=annotations,
        predictions_as_truth=True,  # two models may be compared: it is said, not refused
        **masks.reading(loaded),
    )
    print_notes(reference.notes)
    chosen_device = choose_device(device)
    job = evaluate_job(loaded, reference, chosen_device, seen.scale, with_confidence=True)
    evaluation = watch(job, "evaluating")
    print_notes(evaluation.scale_notes)
    report = {
        "fractoseg_version": __version__,
        "device": chosen_device.label,
        "model": {"name": model, "title": loaded.card.name, "sha256": loaded.digest},
        "data": reference.digests(),
        **evaluation.to_dict(),
    }
    write_bytes(out, (json.dumps(report, indent=2) + "\n").encode(), overwrite=overwrite)
    _print_evaluation(evaluation)
    if evaluation.reliability is not None:
        say(evaluation.reliability.text)
    say(f"Written: {out}")


def _print_evaluation(evaluation: Evaluation) -> None:
    rows = {**evaluation.images, "all pixels": evaluation.pooled}
    columns = ("image", "agreement", "mode agreement", "mean IoU", "fraction error")
    figures = [
        (name, *map(figure, (c.agreement, c.mode_agreement, c.mean_iou, c.fraction_error)))
        for name, c in rows.items()
    ]
    make_console().print(table_of(columns, figures))
    iou, f1 = evaluation.pooled.iou, evaluation.pooled.f1
    classes = [(name, figure(iou[name]), figure(f1[name])) for name in iou]
    make_console().print(table_of(("class", "IoU", "F1"), classes))
