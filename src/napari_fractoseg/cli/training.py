"""``fractoseg train`` and ``fractoseg evaluate``."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from napari_fractoseg import __version__
from napari_fractoseg.cli.common import (
    DeviceOption,
    MaskValuesOption,
    ModelOption,
    OverwriteOption,
    Unlabelled,
    UnlabelledOption,
    figure,
    make_console,
    watch,
)
from napari_fractoseg.errors import TrainingError
from napari_fractoseg.files import refuse_existing

if TYPE_CHECKING:
    from napari_fractoseg.training.evaluate import Evaluation
    from napari_fractoseg.training.plan import TrainingPlan

__all__ = ["evaluate", "stop_on_ctrl_c", "train"]


def train(
    images: Annotated[list[Path], typer.Option("--images", help="Folder of images; repeatable.")],
    labels: Annotated[
        list[Path], typer.Option("--labels", help="Its folder of masks, or VIA JSON; repeatable.")
    ],
    out: Annotated[Path, typer.Option("-o", "--out", metavar="MODELDIR", help="The new model.")],
    share: Annotated[
        list[float] | None,
        typer.Option("--share", help="How often its images are drawn; once for each --images."),
    ] = None,
    parent: Annotated[
        str | None, typer.Option("--from", metavar="NAME_OR_DIR", help="Model to fine-tune.")
    ] = None,
    encoder: Annotated[
        str | None, typer.Option("--encoder", help="Encoder of a new network, as smp names it.")
    ] = None,
    max_steps: Annotated[int | None, typer.Option("--max-steps")] = None,
    max_minutes: Annotated[float | None, typer.Option("--max-minutes")] = None,
    mask_values: MaskValuesOption = None,
    unlabelled: UnlabelledOption = Unlabelled.ignore,
    seed: Annotated[int | None, typer.Option("--seed")] = None,
    device: DeviceOption = "auto",
    validation: Annotated[
        list[str] | None,
        typer.Option("--validation", metavar="NAME", help="Image to hold out; repeatable."),
    ] = None,
    plan: Annotated[
        Path | None, typer.Option("--plan", help="Training plan (JSON); options go before it.")
    ] = None,
    name: Annotated[str | None, typer.Option("--name", metavar="TITLE")] = None,
    description: Annotated[str | None, typer.Option("--description")] = None,
    licence: Annotated[str | None, typer.Option("--licence")] = None,
    half: Annotated[bool, typer.Option("--half", help="Store weights in half precision.")] = False,
    history: Annotated[
        Path | None, typer.Option("--history", metavar="CSV", help="Write loss, rate and scores.")
    ] = None,
) -> None:
    """Train a model on images with labels, or fine-tune one.

    Ctrl-C ends the training and keeps the best model so far; the exit code is
    then 130.
    """
    refuse_existing(out, history)
    if parent and encoder:
        raise TrainingError(
            f"--encoder {encoder} does not go with --from {parent}: the encoder is that of the "
            "model. Leave one of them out."
        )
    from napari_fractoseg.models.devices import choose_device
    from napari_fractoseg.models.model import load_model
    from napari_fractoseg.training.dataset import read_training_sets
    from napari_fractoseg.training.trainer import train_job

    chosen_plan = _plan(
        plan, encoder=encoder, max_steps=max_steps, max_minutes=max_minutes, seed=seed
    )
    start = load_model(parent) if parent else None
    training_set = read_training_sets(
        images, labels, share or (), **_label_options(mask_values, unlabelled, start)
    )
    chosen_device = choose_device(device)
    pixels = ", ".join(f"{n} {px} px" for n, px in training_set.pixel_counts().items())
    typer.echo(f"Training on {chosen_device.label}: {len(training_set)} images ({pixels}).")
    with stop_on_ctrl_c() as stop:
        result = watch(
            train_job(
                training_set,
                plan=chosen_plan,
                start=start,
                name=name or out.name,
                validation=validation or (),
                device=chosen_device,
                should_stop=stop.is_set,
            ),
            "training",
        )
    texts = {"description": description, "licence": licence}
    model = result.model.with_card(**{k: v for k, v in texts.items() if v is not None})
    model.save(out, half=half)
    if history:
        result.write_history(history)
    typer.echo(f"Saved {out}: the weights of step {result.best_step} of {len(result.history)}.")
    if stop.is_set():
        typer.echo("The training was stopped before its end; this is the best so far.", err=True)
        raise typer.Exit(130)
    typer.echo(f"Next: fractoseg segment IMAGES -o RESULTS --model {out}")


def evaluate(
    images: Annotated[Path, typer.Option("--images", help="Folder of images.")],
    labels: Annotated[Path, typer.Option("--labels", help="Folder of masks, or VIA JSON.")],
    out: Annotated[Path, typer.Option("-o", "--out", metavar="REPORT", help="JSON to write.")],
    model: ModelOption = "default",
    mask_values: MaskValuesOption = None,
    unlabelled: UnlabelledOption = Unlabelled.ignore,
    device: DeviceOption = "auto",
    overwrite: OverwriteOption = False,
) -> None:
    """Compare a model with labels, image by image."""
    if not overwrite:
        refuse_existing(out, remedy="Choose another name, or replace it (--overwrite).")
    from napari_fractoseg.models.devices import choose_device
    from napari_fractoseg.models.model import load_model
    from napari_fractoseg.training.dataset import read_training_set
    from napari_fractoseg.training.evaluate import evaluate_job

    loaded = load_model(model)
    reference = read_training_set(images, labels, **_label_options(mask_values, unlabelled, loaded))
    chosen_device = choose_device(device)
    evaluation = watch(evaluate_job(loaded, reference, chosen_device), "evaluating")
    report = {
        "fractoseg_version": __version__,
        "device": chosen_device.label,
        "model": {"name": model, "title": loaded.card.name, "sha256": loaded.digest},
        "data": reference.digests(),
        **evaluation.to_dict(),
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    _print_evaluation(evaluation)
    typer.echo(f"Written: {out}")


@contextmanager
def stop_on_ctrl_c() -> Iterator[threading.Event]:
    """Turn the first Ctrl-C into an event; the second one interrupts as usual."""
    stop = threading.Event()

    def ask_to_stop(_number: int, _frame: object) -> None:
        signal.signal(signal.SIGINT, before)
        stop.set()
        typer.echo("\nStopping after this step. Ctrl-C again gives up at once.", err=True)

    before = signal.getsignal(signal.SIGINT)
    if before is not signal.SIG_IGN:  # a shell makes background jobs ignore it: leave it so
        signal.signal(signal.SIGINT, ask_to_stop)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, before)


def _plan(path: Path | None, **given: Any) -> TrainingPlan:
    from napari_fractoseg.training.plan import TrainingPlan

    base = TrainingPlan.from_json(path) if path else TrainingPlan()
    explicit = {name: value for name, value in given.items() if value is not None}
    return TrainingPlan.from_dict({**base.to_dict(), **explicit})


def _label_options(mask_values: str | None, unlabelled: Unlabelled, model: Any) -> dict[str, Any]:
    from napari_fractoseg.annotations.masks import parse_mask_values
    from napari_fractoseg.classes import DEFAULT_SCHEME

    return {
        "scheme": model.card.scheme if model else DEFAULT_SCHEME,
        "mask_values": parse_mask_values(mask_values) if mask_values else None,
        "unlabelled_as": None if unlabelled is Unlabelled.ignore else unlabelled.value,
    }


def _print_evaluation(evaluation: Evaluation) -> None:
    rows = {**evaluation.images, "all pixels": evaluation.pooled}
    table = Table("image", "agreement", "mode agreement", "mean IoU", "fraction error")
    for name, c in rows.items():
        figures = (c.agreement, c.mode_agreement, c.mean_iou, c.fraction_error)
        table.add_row(name, *map(figure, figures))
    make_console().print(table)
    iou, f1 = evaluation.pooled.iou, evaluation.pooled.f1
    classes = Table("class", "IoU", "F1")
    for name in iou:
        classes.add_row(name, figure(iou[name]), figure(f1[name]))
    make_console().print(classes)
