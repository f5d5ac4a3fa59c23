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

from napari_fractoseg.annotations.options import AnnotationOptions
from napari_fractoseg.cli.options import (
    AttributeOption,
    DeviceOption,
    MaskValuesOption,
    NewClassesOption,
    SeveralOption,
    SeveralRule,
    SkipDamagedOption,
    SkipUnclassifiedOption,
    Unlabelled,
    UnlabelledOption,
    figure,
    label_options,
    make_console,
    print_notes,
    watch,
)
from napari_fractoseg.errors import TrainingError
from napari_fractoseg.files import refuse_existing

if TYPE_CHECKING:
    from napari_fractoseg.classes import ClassScheme
    from napari_fractoseg.datasets.dataset import TrainingSet

__all__ = ["stop_on_ctrl_c", "train"]


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
        list[Path], typer.Option("--labels", help="Its folder of masks, or VIA file; repeatable.")
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
        int | None,
        typer.Option("--max-steps", help="Steps at most (default: 600, or what the time allows)."),
    ] = None,
    max_minutes: Annotated[
        float | None, typer.Option("--max-minutes", help="Minutes at most, instead of steps.")
    ] = None,
    mask_values: MaskValuesOption = None,
    unlabelled: UnlabelledOption = Unlabelled.ignore,
    attribute: AttributeOption = None,
    new_classes: NewClassesOption = False,
    several: SeveralOption = SeveralRule.error,
    skip_unclassified: SkipUnclassifiedOption = False,
    skip_damaged: SkipDamagedOption = False,
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
        float | None,
        typer.Option("--learning-rate", help="Default: 0.0001 with --from, else 0.002."),
    ] = None,
    patience: Annotated[
        int | None,
        typer.Option(
            "--patience",
            help="Validations without improvement that end the training (default: 8 with --from, "
            "else 12).",
        ),
    ] = None,
    plan: Annotated[
        Path | None,
        typer.Option(
            "--plan",
            help="Training plan (JSON, or the card.json of a model to train it again); options go "
            "before it, it goes before the preset.",
        ),
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

    What neither an option nor --plan says is taken from a preset, the same as in
    the window: with --from small steps that stay close to that model, else those
    for a new network. Without --max-steps and --max-minutes it takes 600 steps at
    most; with --max-minutes alone, the time ends it.

    Ctrl-C ends the training and keeps the best model so far; the exit code is
    then 130. A training that was killed goes on with --resume, as if nothing
    had happened.
    """
    refuse_existing(out, history)
    for option, value in (("--encoder", encoder), ("--encoder-weights", encoder_weights)):
        if parent and value:
            raise TrainingError(
                f"{option} {value} does not go with --from {parent}: the encoder is that of the "
                "model. Leave one of them out."
            )
    from napari_fractoseg.datasets.sources import read_training_sets
    from napari_fractoseg.models.devices import choose_device
    from napari_fractoseg.models.model import load_model
    from napari_fractoseg.models.readme import kept_text
    from napari_fractoseg.models.registry import check_place
    from napari_fractoseg.training.distributed import Processes, is_first_process
    from napari_fractoseg.training.fit import train_job
    from napari_fractoseg.training.plan import plan_entries
    from napari_fractoseg.training.presets import suggested_plan

    check_place(out)
    checkpoint = out.with_name(f"{out.name}.checkpoint")
    if is_first_process():
        _check_checkpoint(checkpoint, resume)
    start = load_model(parent) if parent else None
    chosen_plan = suggested_plan(
        start.card if start else None,
        plan_entries(plan) if plan else {},
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
    options = AnnotationOptions(
        attribute, new_classes, several.value, skip_unclassified, skip_damaged
    )
    training_set = read_training_sets(
        images,
        labels,
        share or (),
        annotations=options,
        **label_options(mask_values, unlabelled, start),
    )
    chosen_device = choose_device(device)
    if is_first_process():
        pixels = ", ".join(f"{n} {px} px" for n, px in training_set.pixel_counts().items())
        typer.echo(f"Training on {chosen_device.label}: {len(training_set)} images ({pixels}).")
        print_notes(training_set.notes)
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
    typer.echo(f"Saved {out}. {kept_text(model.card)}")
    _print_validation(model.card.metrics.get("validation"))
    if stop.is_set():
        typer.echo("The training was stopped before its end; this is the best so far.", err=True)
        raise typer.Exit(130)
    typer.echo(f"Next: fractoseg segment IMAGES -o RESULTS --model {out}")


def _check_checkpoint(checkpoint: Path, resume: bool) -> None:
    """Refuse a training that is running, and one that was interrupted unless it goes on."""
    from napari_fractoseg.training.run_lock import refuse_running

    refuse_running(checkpoint)
    if not resume:
        refuse_existing(
            checkpoint,
            remedy="A training of this model was interrupted: go on with --resume, or remove it.",
        )


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
