"""Command ``fractoseg train``: a new or fine-tuned model from labelled images."""

from __future__ import annotations

import math
import signal
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from pydantic import Field
from pydantic.dataclasses import dataclass

from napari_fractoseg.annotations.options import AnnotationOptions
from napari_fractoseg.cli.options import (
    DeviceOption,
    LabelOptions,
    OptionsOf,
    command,
    figure,
    make_console,
    print_notes,
    say,
    table_of,
    watch,
)
from napari_fractoseg.errors import TrainingError
from napari_fractoseg.files import check_writable, refuse_existing
from napari_fractoseg.models import DEFAULT_MODEL
from napari_fractoseg.options import described
from napari_fractoseg.text import counted, printable
from napari_fractoseg.training.plan import TrainingPlan, plan_entries
from napari_fractoseg.training.presets import FINE_TUNING, NEW_NETWORK, suggested_plan

if TYPE_CHECKING:
    from napari_fractoseg.classes import ClassScheme
    from napari_fractoseg.datasets.dataset import TrainingSet
    from napari_fractoseg.training.logs import TensorBoardLog
    from napari_fractoseg.training.loop import FineTuned

__all__ = ["stop_on_ctrl_c", "train"]


_FROM_PLAN = (
    *("method", "encoder", "encoder_weights", "max_steps", "max_minutes", "seed", "split"),
    *("optimiser", "learning_rate", "patience"),
)
"""Entries of a training plan that are options of the command."""


@described
@dataclass(frozen=True)
class TrainOptions:
    """What `fractoseg train` is asked for, beside data and plan."""

    parent: Annotated[str | None, Field(description="Model to fine-tune: name or folder.")] = None
    or_random: Annotated[
        bool, Field(description="Go on with random weights if those asked for cannot be fetched.")
    ] = False
    validation: Annotated[
        tuple[str, ...], Field(description="Image to hold out, without suffix; repeatable.")
    ] = ()
    classes: Annotated[
        str | None,
        Field(
            description="Classes of the new model, with commas; those of --from keep what they "
            "know."
        ),
    ] = None
    rename: Annotated[
        tuple[str, ...], Field(description="NEW=OLD: rename a class of --from; repeatable.")
    ] = ()
    name: Annotated[str | None, Field(description="Title of the new model.")] = None
    description: Annotated[
        str | None, Field(description="What the card says the model is for.")
    ] = None
    licence: Annotated[str | None, Field(description="Licence that the card names.")] = None
    half: Annotated[bool, Field(description="Store weights in half precision.")] = False
    history: Annotated[
        Path | None, Field(description="CSV to write: loss, rate and scores of each step.")
    ] = None
    tensorboard: Annotated[
        Path | None, Field(description="Folder to write TensorBoard logs into.")
    ] = None
    resume: Annotated[bool, Field(description="Go on with a training that was interrupted.")] = (
        False
    )
    devices: Annotated[int, Field(ge=1, description="Processes on each machine.")] = 1
    nodes: Annotated[int, Field(ge=1, description="Machines.")] = 1
    strategy: Annotated[
        str, Field(description="How processes share the work, as Lightning Fabric names it: ddp.")
    ] = "auto"


def _preset_text(name: str) -> str:
    """Return the default of an entry of the plan, as the presets have it, for the help text."""
    tuned, new = (getattr(preset, name) for preset in (FINE_TUNING, NEW_NETWORK))
    if name in ("max_steps", "max_minutes"):
        return "600 steps, or what the time allows"
    return f"{new}" if tuned == new else f"{tuned} with --from, else {new}"


@command
def train(
    images: Annotated[list[Path], typer.Option("--images", help="Folder of images; repeatable.")],
    labels: Annotated[
        list[Path],
        typer.Option("--labels", help="Its folder of masks, or annotations; repeatable."),
    ],
    out: Annotated[Path, typer.Option("-o", "--out", metavar="MODELDIR", help="The new model.")],
    options: Annotated[TrainOptions, OptionsOf(TrainOptions, flags={"parent": ("--from",)})],
    chosen: Annotated[
        dict[str, Any],
        OptionsOf(TrainingPlan, *_FROM_PLAN, only_given=True, default_text=_preset_text),
    ],
    annotations: Annotated[AnnotationOptions, OptionsOf(AnnotationOptions)],
    masks: Annotated[LabelOptions, OptionsOf(LabelOptions)],
    share: Annotated[
        list[float] | None,
        typer.Option("--share", help="How often its images are drawn; once for each --images."),
    ] = None,
    predictions_as_truth: Annotated[
        bool,
        typer.Option(
            "--predictions-as-truth",
            help="Learn also from masks that a model gave and nobody touched since.",
        ),
    ] = False,
    device: DeviceOption = "auto",
    plan: Annotated[
        Path | None,
        typer.Option(
            "--plan",
            help="Training plan (JSON, or the card.json of a model to train it again); options go "
            "before it, it goes before the preset.",
        ),
    ] = None,
) -> None:
    """Train a model on images with labels, or fine-tune one.

    What neither an option nor --plan says is taken from a preset, the same as in
    the window: with --from small steps that stay close to that model, else those
    for a new network. Without --max-steps and --max-minutes it takes 600 steps at
    most; with --max-minutes alone, the time ends it.

    With --method readout it takes seconds: what the model of --from sees (by
    default the bundled one) is summed up anew, and its network stays as it is.

    Ctrl-C ends the training and keeps the best model so far; the exit code is
    then 130. A training that was killed goes on with --resume, as if nothing
    had happened.
    """
    refuse_existing(out, options.history)
    _refuse_another_encoder(options.parent, chosen)
    from napari_fractoseg.datasets.sources import read_training_sets
    from napari_fractoseg.models.devices import choose_device
    from napari_fractoseg.models.model import load_model
    from napari_fractoseg.training.distributed import Processes, is_first_process
    from napari_fractoseg.training.fit import train_job

    checkpoint = out.with_name(f"{out.name}.checkpoint")
    is_first = is_first_process()
    with ExitStack() as stack:
        if is_first:
            stack.enter_context(_places(out, checkpoint, options))
        entries = plan_entries(plan) if plan else {}
        parent = options.parent or _parent_of({**entries, **chosen})
        start = load_model(parent) if parent else None
        chosen_plan = suggested_plan(start.card if start else None, entries, **chosen)
        training_set = read_training_sets(
            images,
            labels,
            share or (),
            annotations=annotations,
            predictions_as_truth=predictions_as_truth,
            **masks.reading(start),
        )
        chosen_device = choose_device(device)
        if is_first:
            pixels = ", ".join(f"{n} {px} px" for n, px in training_set.pixel_counts().items())
            what = f"{counted(len(training_set), 'image')} ({pixels})"
            say(f"Training on {chosen_device.label}: {what}.")
            print_notes(training_set.notes)
        stop = stack.enter_context(stop_on_ctrl_c())
        job = train_job(
            training_set,
            plan=chosen_plan,
            start=start,
            scheme=_scheme(options.classes, training_set),
            renamed=_renamed(options.rename),
            name=options.name or printable(out.name),
            validation=options.validation,
            device=chosen_device,
            processes=Processes(options.devices, options.nodes, options.strategy),
            should_stop=stop.is_set,
            checkpoint=checkpoint,
            or_random=options.or_random,
        )
        with _log(options.tensorboard if is_first else None) as log:
            result = watch(job, "training", log)
        if not is_first:
            return
        print_notes(log.notes if log else ())
        _save(result, out, checkpoint, options)
    if stop.is_set():
        say("The training was stopped before its end; this is the best so far.", err=True)
        raise typer.Exit(130)
    say(f"Next: fractoseg segment IMAGES -o RESULTS --model {out}")


@contextmanager
def _places(out: Path, checkpoint: Path, options: TrainOptions) -> Iterator[None]:
    """Have the places of all results for this training, and see that they can be written."""
    from napari_fractoseg.models.registry import check_place
    from napari_fractoseg.training.run_lock import hold_model

    for place in (out, options.history):
        if place is not None:
            check_writable(place.parent)
    if options.tensorboard is not None:
        check_writable(options.tensorboard)
    check_place(out)
    with hold_model(out):
        _check_checkpoint(checkpoint, options.resume)
        yield


def _refuse_another_encoder(parent: str | None, chosen: Mapping[str, Any]) -> None:
    for option in ("encoder", "encoder_weights"):
        if parent and option in chosen:
            raise TrainingError(
                f"--{option.replace('_', '-')} {chosen[option]} does not go with --from {parent}: "
                "the encoder is that of the model. Leave one of them out."
            )


def _parent_of(entries: Mapping[str, Any]) -> str | None:
    """Return the model to start from if none is named: a readout needs one."""
    return DEFAULT_MODEL if entries.get("method") == "readout" else None


def _save(result: FineTuned, out: Path, checkpoint: Path, options: TrainOptions) -> None:
    """Write model and history, and print how good the model is."""
    from napari_fractoseg.models.confidence import confidence_text
    from napari_fractoseg.models.readme import kept_text, painted_text
    from napari_fractoseg.training.checkpoint import kept_in

    texts = {"description": options.description, "licence": options.licence}
    model = result.model.with_card(**{k: v for k, v in texts.items() if v is not None})
    with kept_in(checkpoint):
        model.save(out, half=options.half)
    checkpoint.unlink(missing_ok=True)
    for note in result.notes:
        say(note)
    sentences = filter(None, (kept_text(model.card), painted_text(model.card)))
    say(" ".join((f"Saved {out}.", *sentences)))
    _print_validation(model.card.metrics.get("validation"))
    say(f"Confidence: {confidence_text(model.card)}")
    if options.history:
        result.write_history(options.history)


def _check_checkpoint(checkpoint: Path, resume: bool) -> None:
    """Refuse a training that is running, and one that was interrupted unless it is resumed."""
    from napari_fractoseg.training.run_lock import refuse_running

    refuse_running(checkpoint)
    if not resume:
        refuse_existing(
            checkpoint,
            remedy="A training of this model was interrupted: go on with --resume, or remove it.",
        )


@contextmanager
def stop_on_ctrl_c() -> Iterator[threading.Event]:
    """Give an event that the first Ctrl-C sets; the second one interrupts as usual."""
    stop = threading.Event()

    def ask_to_stop(_number: int, _frame: object) -> None:
        signal.signal(signal.SIGINT, before)
        stop.set()
        say("\nStopping after this step. Ctrl-C again gives up at once.", err=True)

    before = signal.getsignal(signal.SIGINT)
    if before is not signal.SIG_IGN:  # a shell makes background jobs ignore it: leave it so
        signal.signal(signal.SIGINT, ask_to_stop)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, before)


def _log(folder: Path | None) -> AbstractContextManager[TensorBoardLog | None]:
    if folder is None:
        return nullcontext()
    from napari_fractoseg.training.logs import TensorBoardLog

    return TensorBoardLog(folder)


def _scheme(names: str | None, training_set: TrainingSet) -> ClassScheme | None:
    """Return the scheme of the class names in a text with commas, in this order; None if none."""
    if names is None:
        return None
    wanted = [name.strip() for name in names.split(",")]
    larger = training_set.scheme.with_names(wanted)
    return replace(larger, classes=tuple(larger.find(name) for name in wanted))


def _renamed(pairs: Iterable[str]) -> dict[str, str]:
    renamed = {}
    for pair in pairs:
        new, equals, old = pair.partition("=")
        if not (equals and new.strip() and old.strip()):
            raise TrainingError(f"--rename {pair!r} is not of the form NEW=OLD.")
        renamed[new.strip()] = old.strip()
    return renamed


def _print_validation(figures: Any) -> None:
    if figures is None:
        return
    rows = [
        (name, figure(math.nan if row["iou"] is None else row["iou"]), row["labelled_px"])
        for name, row in figures["classes"].items()
    ]
    make_console().print(table_of(("class", "IoU", "held-out pixels"), rows))
    before = figures["mean_iou_before"]
    compared = "" if before is None else f" (the parent: {figure(before)})"
    images = ", ".join(figures["images"])
    say(f"Held-out pixels of {images}: mean IoU {figure(figures['mean_iou'])}{compared}.")
