"""``fractoseg train``."""

from __future__ import annotations

import enum
import math
import signal
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from napari_fractoseg.cli.options import (
    DeviceOption,
    MaskValuesOption,
    Unlabelled,
    UnlabelledOption,
    figure,
    label_options,
    make_console,
    watch,
)
from napari_fractoseg.errors import TrainingError
from napari_fractoseg.files import refuse_existing

if TYPE_CHECKING:
    from napari_fractoseg.classes import ClassScheme
    from napari_fractoseg.datasets.dataset import TrainingSet
    from napari_fractoseg.training.plan import TrainingPlan

__all__ = ["stop_on_ctrl_c", "train"]


_STEPS_THAT_TIME_ENDS = 1_000_000


class EncoderWeights(enum.StrEnum):
    """What the encoder of a new network has learnt before."""

    none = "none"
    imagenet = "imagenet"
    micronet = "micronet"
    imagenet_micronet = "imagenet-micronet"


class SplitBy(enum.StrEnum):
    """How pixels are held out for validation."""

    auto = "auto"
    images = "images"
    blocks = "blocks"
    none = "none"


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
    encoder_weights: Annotated[
        EncoderWeights | None,
        typer.Option(
            "--encoder-weights",
            help="What it has learnt before; fetched once (micronet: NASA's micrographs).",
        ),
    ] = None,
    or_random: Annotated[
        bool,
        typer.Option("--or-random", help="Go on with random weights if they cannot be fetched."),
    ] = False,
    max_steps: Annotated[
        int | None, typer.Option("--max-steps", help="Steps at most (default: 600).")
    ] = None,
    max_minutes: Annotated[
        float | None, typer.Option("--max-minutes", help="Minutes at most, instead of steps.")
    ] = None,
    mask_values: MaskValuesOption = None,
    unlabelled: UnlabelledOption = Unlabelled.ignore,
    predictions_as_truth: Annotated[
        bool,
        typer.Option(
            "--predictions-as-truth",
            help="Learn also from masks that a model gave and nobody touched since.",
        ),
    ] = False,
    seed: Annotated[
        int | None, typer.Option("--seed", help="The same seed repeats a training on the CPU.")
    ] = None,
    device: DeviceOption = "auto",
    validation: Annotated[
        list[str] | None,
        typer.Option("--validation", metavar="NAME", help="Image to hold out; repeatable."),
    ] = None,
    split: Annotated[
        SplitBy | None,
        typer.Option("--split", help="How to hold out pixels for validation (default: auto)."),
    ] = None,
    classes: Annotated[
        str | None,
        typer.Option(
            "--classes",
            metavar="NAMES",
            help="Classes of the new model, with commas; those of --from keep what they know.",
        ),
    ] = None,
    rename: Annotated[
        list[str] | None,
        typer.Option("--rename", metavar="NEW=OLD", help="Rename a class of --from; repeatable."),
    ] = None,
    optimiser: Annotated[
        str | None,
        typer.Option("--optimiser", help="adamw (default), adam, sgd, rmsprop or adadelta."),
    ] = None,
    learning_rate: Annotated[
        float | None, typer.Option("--learning-rate", help="Default: 0.001.")
    ] = None,
    patience: Annotated[
        int | None,
        typer.Option("--patience", help="Validations without improvement that end the training."),
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
    tensorboard: Annotated[
        Path | None, typer.Option("--tensorboard", metavar="DIR", help="Write TensorBoard logs.")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with a training that was interrupted.")
    ] = False,
    devices: Annotated[int, typer.Option("--devices", help="Processes on each machine.")] = 1,
    nodes: Annotated[int, typer.Option("--nodes", help="Machines.")] = 1,
    strategy: Annotated[
        str, typer.Option("--strategy", help="As Lightning Fabric names it, such as ddp.")
    ] = "auto",
) -> None:
    """Train a model on images with labels, or fine-tune one.

    Ctrl-C ends the training and keeps the best model so far; the exit code is
    then 130. A training that was killed goes on with --resume, as if nothing
    had happened.
    """
    refuse_existing(out, history)
    checkpoint = out.with_name(f"{out.name}.checkpoint")
    if not resume:
        refuse_existing(
            checkpoint,
            remedy="A training of this model was interrupted: go on with --resume, or remove it.",
        )
    for option, value in (("--encoder", encoder), ("--encoder-weights", encoder_weights)):
        if parent and value:
            raise TrainingError(
                f"{option} {value} does not go with --from {parent}: the encoder is that of the "
                "model. Leave one of them out."
            )
    from napari_fractoseg.datasets.sources import read_training_sets
    from napari_fractoseg.models.devices import choose_device
    from napari_fractoseg.models.model import load_model
    from napari_fractoseg.models.registry import check_place
    from napari_fractoseg.training.distributed import Processes, is_first_process
    from napari_fractoseg.training.fit import train_job

    check_place(out)
    chosen_plan = _plan(
        plan,
        encoder=encoder,
        encoder_weights=None if encoder_weights is None else encoder_weights.value,
        max_steps=max_steps,
        max_minutes=max_minutes,
        seed=seed,
        split=None if split is None else split.value,
        optimiser=optimiser,
        learning_rate=learning_rate,
        patience=patience,
    )
    start = load_model(parent) if parent else None
    training_set = read_training_sets(
        images,
        labels,
        share or (),
        **label_options(mask_values, unlabelled, start),
        predictions_as_truth=predictions_as_truth,
    )
    chosen_device = choose_device(device)
    if is_first_process():
        pixels = ", ".join(f"{n} {px} px" for n, px in training_set.pixel_counts().items())
        typer.echo(f"Training on {chosen_device.label}: {len(training_set)} images ({pixels}).")
    with stop_on_ctrl_c() as stop, _log(tensorboard if is_first_process() else None) as log:
        job = train_job(
            training_set,
            plan=chosen_plan,
            start=start,
            scheme=_scheme(classes, training_set),
            renamed=_renamed(rename),
            name=name or out.name,
            validation=validation or (),
            device=chosen_device,
            processes=Processes(devices, nodes, strategy),
            should_stop=stop.is_set,
            checkpoint=checkpoint,
            or_random=or_random,
        )
        result = watch(job, "training", log)
    if not is_first_process():
        return
    texts = {"description": description, "licence": licence}
    model = result.model.with_card(**{k: v for k, v in texts.items() if v is not None})
    model.save(out, half=half)
    checkpoint.unlink(missing_ok=True)
    if history:
        result.write_history(history)
    for note in result.notes:
        typer.echo(note)
    typer.echo(f"Saved {out}: the weights of step {result.best_step} of {len(result.history)}.")
    _print_validation(model.card.metrics.get("validation"))
    if stop.is_set():
        typer.echo("The training was stopped before its end; this is the best so far.", err=True)
        raise typer.Exit(130)
    typer.echo(f"Next: fractoseg segment IMAGES -o RESULTS --model {out}")


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
    if "max_minutes" in explicit and "max_steps" not in explicit and path is None:
        explicit["max_steps"] = _STEPS_THAT_TIME_ENDS  # the time was asked for, not the steps
    return TrainingPlan.from_dict({**base.to_dict(), **explicit})


def _log(folder: Path | None) -> AbstractContextManager[Any]:
    if folder is None:
        return nullcontext()
    from napari_fractoseg.training.logs import TensorBoardLog

    return TensorBoardLog(folder)


def _scheme(names: str | None, training_set: TrainingSet) -> ClassScheme | None:
    """Return the classes that were asked for, in this order."""
    if names is None:
        return None
    wanted = [name.strip() for name in names.split(",")]
    larger = training_set.scheme.with_names(wanted)
    return replace(larger, classes=tuple(larger.find(name) for name in wanted))


def _renamed(pairs: list[str] | None) -> dict[str, str]:
    renamed = {}
    for pair in pairs or ():
        new, equals, old = pair.partition("=")
        if not (equals and new.strip() and old.strip()):
            raise TrainingError(f"--rename {pair!r} is not of the form NEW=OLD.")
        renamed[new.strip()] = old.strip()
    return renamed


def _print_validation(figures: Any) -> None:
    if figures is None:
        return
    table = Table("class", "IoU", "held-out pixels")
    for name, row in figures["classes"].items():
        iou = math.nan if row["iou"] is None else row["iou"]
        table.add_row(name, figure(iou), str(row["labelled_px"]))
    make_console().print(table)
    before = figures["mean_iou_before"]
    compared = "" if before is None else f" (the parent: {figure(before)})"
    typer.echo(
        f"Held-out pixels of {', '.join(figures['images'])}: mean IoU "
        f"{figure(figures['mean_iou'])}{compared}."
    )
