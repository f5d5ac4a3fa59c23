"""The command line: a thin door to the library, and the only place that prints.

What needs PyTorch is imported inside the commands, so that ``--help`` is quick.
"""

from __future__ import annotations

import enum
import importlib.metadata
import json
import math
import platform
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer
from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as ProgressBar
from rich.table import Table
from typer.core import TyperGroup

from napari_fractoseg import __version__
from napari_fractoseg.errors import FractosegError, TrainingError
from napari_fractoseg.files import refuse_existing
from napari_fractoseg.jobs import Job, Progress, Throttle, drain

if TYPE_CHECKING:
    from napari_fractoseg.batch import BatchReport
    from napari_fractoseg.training.evaluate import Evaluation
    from napari_fractoseg.training.metrics import Confusion
    from napari_fractoseg.training.plan import TrainingPlan

__all__ = ["app", "main"]

R = TypeVar("R")

MOST_ROWS = 24
LOG_EVERY_S = 30.0


class _Group(TyperGroup):
    """Errors of ours are one line and exit code 2; others are bugs and keep their traceback."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except FractosegError as error:
            typer.echo(f"error: {' '.join(str(error).splitlines())}", err=True)
            raise typer.Exit(2) from error
        except OSError as error:  # such as a folder that must not be written to, or a full disk
            where = f"{error.filename}: " if error.filename else ""
            typer.echo(f"error: {where}{error.strerror or error}", err=True)
            raise typer.Exit(2) from error


class Target(enum.StrEnum):
    """What annotations are converted to."""

    via2 = "via2"
    via2_project = "via2-project"
    via2_csv = "via2-csv"
    via1 = "via1"
    via1_csv = "via1-csv"
    coco = "coco"
    masks = "masks"


class OverlapRule(enum.StrEnum):
    """To whom pixels belong that two regions cover."""

    later = "later"
    smaller = "smaller"
    unlabelled = "unlabelled"


class Unlabelled(enum.StrEnum):
    """What pixels without a label mean."""

    ignore = "ignore"
    background = "background"


app = typer.Typer(
    cls=_Group,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Segment, learn and measure fracture modes in SEM micrographs.",
)
models_app = typer.Typer(no_args_is_help=True, help="Models that come with the package, and own.")
app.add_typer(models_app, name="models")

ModelOption = Annotated[
    str, typer.Option("--model", help="'default', the name of a model, or a model folder.")
]
DeviceOption = Annotated[str, typer.Option("--device", help="auto, cpu, cuda, cuda:1 or mps.")]
OverwriteOption = Annotated[
    bool, typer.Option("--overwrite", help="Replace results that are already there.")
]
MaskValuesOption = Annotated[
    str | None,
    typer.Option(
        "--mask-values",
        help="What the values in mask files mean, such as "
        "'0=background,1=transgranular,2=intergranular'; others are unlabelled. 'research': as the "
        "code of arXiv 1908.02242 wrote them.",
    ),
]
UnlabelledOption = Annotated[
    Unlabelled, typer.Option("--unlabelled", help="What pixels without a label mean.")
]


def main() -> None:
    """Run the command line."""
    app()


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"fractoseg {__version__}")
        raise typer.Exit


@app.callback()
def _common(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Segment, learn and measure fracture modes in SEM micrographs."""


@app.command()
def segment(
    inputs: Annotated[list[Path], typer.Argument(metavar="INPUT...", help="Images and folders.")],
    out: Annotated[Path, typer.Option("-o", "--out", metavar="OUTDIR", help="Results folder.")],
    model: ModelOption = "default",
    device: DeviceOption = "auto",
    overlay: Annotated[bool, typer.Option("--overlay", help="Also write overlay PNGs.")] = False,
    confidence: Annotated[
        bool, typer.Option("--confidence", help="Also write the probability of the chosen class.")
    ] = False,
    overwrite: OverwriteOption = False,
    tile_px: Annotated[
        int | None, typer.Option("--tile-px", min=32, help="Edge of a tile; smaller needs less.")
    ] = None,
    flips: Annotated[
        bool | None, typer.Option("--flips/--no-flips", help="Average mirror images.")
    ] = None,
) -> None:
    """Label the pixels of images and folders of images.

    Writes NAME_labels.tif (class values), fractions.csv and run.json. A file
    that fails is reported, the others are done, and the exit code is 1.
    """
    from napari_fractoseg import batch

    settings = batch.SegmentSettings(model, device, tile_px, flips, overlay, confidence)
    tasks = batch.plan(inputs, out, settings, overwrite=overwrite)
    try:
        report = _watch(batch.run(tasks), "segmenting")
    except KeyboardInterrupt:
        typer.echo(f"Stopped. What is finished stays in {out}.", err=True)
        raise
    _print_batch(report)
    if report.failed:
        raise typer.Exit(1)


@app.command()
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
    with _stop_on_ctrl_c() as stop:
        result = _watch(
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


@app.command()
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
    evaluation = _watch(evaluate_job(loaded, reference, chosen_device), "evaluating")
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


@app.command()
def convert(
    source: Annotated[
        Path, typer.Argument(metavar="IN", help="VIA file of any version, or folder of masks.")
    ],
    out: Annotated[
        Path, typer.Option("-o", "--out", metavar="OUT", help="File to write; folder for masks.")
    ],
    to: Annotated[Target, typer.Option("--to", help="What to write.")] = Target.via2_project,
    images: Annotated[
        Path | None, typer.Option("--images", help="Folder of the images, if not that of IN.")
    ] = None,
    attribute: Annotated[
        str | None, typer.Option("--attribute", help="Region attribute that holds the class.")
    ] = None,
    classes: Annotated[
        Path | None,
        typer.Option("--classes", help="Class scheme (JSON), such as classes.json beside masks."),
    ] = None,
    new_classes: Annotated[
        bool, typer.Option("--new-classes", help="Make classes of unknown values.")
    ] = False,
    overlap: Annotated[
        OverlapRule, typer.Option("--overlap", help="Who gets pixels of two regions.")
    ] = OverlapRule.later,
    unlabelled: UnlabelledOption = Unlabelled.ignore,
    mask_values: MaskValuesOption = None,
    tolerance_px: Annotated[
        float, typer.Option("--tolerance-px", min=0, help="Simplify polygons by so much.")
    ] = 0.0,
    min_area_px: Annotated[
        int, typer.Option("--min-area-px", min=0, help="Leave smaller regions of masks out.")
    ] = 0,
    skip_damaged: Annotated[
        bool, typer.Option("--skip-damaged", help="Do not draw damaged regions; say how many.")
    ] = False,
    overwrite: OverwriteOption = False,
) -> None:
    """Convert annotations between the versions of VIA, COCO, and masks.

    Polygons made of masks follow the edges of the pixels, so that masks made
    of them are the same again; --tolerance-px 1 makes them handier to edit.
    """
    from napari_fractoseg.annotations.convert import ConvertSettings, convert_job, read_scheme
    from napari_fractoseg.annotations.document import Flavour
    from napari_fractoseg.annotations.masks import parse_mask_values

    settings = ConvertSettings(
        images=images,
        attribute=attribute,
        scheme=read_scheme(classes) if classes else None,
        mask_values=parse_mask_values(mask_values) if mask_values else None,
        new_classes=new_classes,
        strict=not skip_damaged,
        overlap=overlap.value,
        unannotated=None if unlabelled is Unlabelled.ignore else unlabelled.value,
        tolerance_px=tolerance_px,
        min_area_px=min_area_px,
        overwrite=overwrite,
    )
    flavour = None if to is Target.masks else Flavour(to.value)
    result = _watch(convert_job(source, out, flavour, settings), "converting")
    for note in result.notes:
        typer.echo(f"note: {note}", err=True)
    typer.echo(f"Written: {result.out} ({result.n_images} images, {result.n_regions} regions)")


@models_app.command("list")
def list_models() -> None:
    """List the models that can be chosen by name."""
    from napari_fractoseg.models.zoo import list_models as entries

    table = Table("name", "title", "classes", "folder")
    for entry in entries():
        classes = ", ".join(entry.card.scheme.names)
        table.add_row(entry.key, entry.title, classes, str(entry.folder))
    _console().print(table)


@models_app.command("info")
def show_model(
    name: Annotated[str, typer.Argument(help="'default', the name of a model, or a folder.")],
) -> None:
    """Show the card of a model."""
    from napari_fractoseg.models.card import ModelCard
    from napari_fractoseg.models.zoo import find_model

    folder = find_model(name)
    card = ModelCard.read(folder)
    typer.echo(f"{card.name}\n{card.description}\n\nFolder: {folder}")
    typer.echo(f"Network: {card.architecture} with encoder {card.encoder}")
    typer.echo(f"Licence: {card.licence or 'not stated'}\n")
    table = Table("value", "class", "colour", "fracture mode", "looks like")
    for c in card.scheme:
        mode = "yes" if c.is_fracture_mode else "no"
        table.add_row(str(c.value), c.name, c.color, mode, c.description)
    _console().print(table)
    details = json.loads(card.to_json())
    for key in ("inference", "metrics", "lineage"):
        typer.echo(f"{key}: {json.dumps(details[key], indent=2)}")


@app.command()
def doctor() -> None:
    """Show versions, devices and models, and what is missing."""
    typer.echo(f"fractoseg {__version__}, Python {platform.python_version()}, {sys.platform}")
    table = Table("package", "version")
    for package in ("torch", "torchvision", "segmentation-models-pytorch", "lightning-fabric",
                    "numpy", "scikit-image", "zarr", "napari"):  # fmt: skip
        table.add_row(package, _version_of(package) or "not installed")
    bindings = [
        f"{b} {v}" for b in ("PyQt6", "PySide6", "PyQt5", "PySide2") if (v := _version_of(b))
    ]
    table.add_row("Qt binding", ", ".join(bindings) or "none")
    _console().print(table)
    if not bindings or not _version_of("napari"):
        typer.echo("The napari plugin needs napari with Qt: pip install 'napari-fractoseg[all]'")
    _print_devices()
    from napari_fractoseg.models.zoo import list_models as entries
    from napari_fractoseg.models.zoo import user_folder

    found = [e.key for e in entries()]
    typer.echo(f"Models: {', '.join(found) or 'none'}. Own models are kept in {user_folder()}")


@app.command()
def demo(
    out: Annotated[Path, typer.Option("-o", "--out", help="Results folder.")] = Path(
        "fractoseg-demo"
    ),
    device: DeviceOption = "auto",
) -> None:
    """Segment a synthetic fracture surface with the bundled model."""
    began = time.perf_counter()
    import imageio.v3 as iio
    import tifffile

    from napari_fractoseg import batch
    from napari_fractoseg.classes import DEFAULT_SCHEME
    from napari_fractoseg.samples.synthetic import synthetic_fracture
    from napari_fractoseg.training.metrics import Confusion

    sample = synthetic_fracture(seed=0, shape=(640, 640))
    folder = _new_folder(out)
    image, exact = folder / "synthetic.png", folder / "synthetic_exact.tif"
    iio.imwrite(image, sample.image)
    tifffile.imwrite(exact, sample.labels, compression="zlib")
    typer.echo("A synthetic fracture surface (seed 0, never trained on) was made: no micrograph.")
    settings = batch.SegmentSettings(device=device, overlay=True)
    (task,) = batch.plan([image], folder, settings)
    report = _watch(batch.run([task]), "segmenting")
    _print_batch(report)
    if report.failed:
        raise typer.Exit(1)
    labels = tifffile.imread(task.labels_path)
    _print_agreement(Confusion.of(sample.labels, labels, DEFAULT_SCHEME))
    typer.echo(f"Device: {report.results[0].device}. {time.perf_counter() - began:.1f} s in all.")
    typer.echo(f"\nLook at {task.overlay_path()}\nIn napari: napari {image} {task.labels_path}")
    typer.echo("Own images: fractoseg segment IMAGES -o RESULTS --overlay")


def _watch(job: Job[R], what: str) -> R:
    """Run a job with a bar in a terminal, and with a line now and then in a log file."""
    console, throttle = Console(stderr=True, markup=False, highlight=False), Throttle(LOG_EVERY_S)
    throttle.ready()
    columns = (
        BarColumn(),
        TextColumn("{task.description}", markup=False),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with ProgressBar(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        row = bar.add_task(what, total=None)

        def report(progress: Progress) -> None:
            figures = "".join(f", {k} {v:.4g}" for k, v in progress.metrics.items())
            text = f"{what}: {progress.message}{figures}"
            bar.update(row, completed=progress.done, total=progress.total, description=text)
            if not console.is_terminal and throttle.ready():
                typer.echo(f"{text} ({progress.done} of {progress.total})", err=True)

        return drain(job, report)


@contextmanager
def _stop_on_ctrl_c() -> Iterator[threading.Event]:
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


def _new_folder(wanted: Path) -> Path:
    """Make the folder, or one with a number behind its name."""
    wanted = wanted.absolute()
    folder, number = wanted, 2
    while folder.exists():
        folder, number = wanted.with_name(f"{wanted.name}-{number}"), number + 1
    folder.mkdir(parents=True)
    return folder


def _console() -> Console:
    """Make a console that takes text as it is, and does not fold tables in pipes at 80."""
    width = None if sys.stdout.isatty() else 140
    return Console(width=width, markup=False, highlight=False, emoji=False)


def _print_batch(report: BatchReport) -> None:
    fractions = report.mode_fractions
    if len(fractions):
        table = Table("file", "plane", *map(str, fractions.columns))
        for file, plane, *parts in fractions.head(MOST_ROWS).reset_index().to_numpy():
            table.add_row(file, plane, *map(_figure, parts))
        _console().print("Part of the fracture modes' area:", table)
        if len(fractions) > MOST_ROWS:
            typer.echo(f"... and {len(fractions) - MOST_ROWS} more in fractions.csv")
    for result in report.failed:
        typer.echo(f"failed: {result.path.name}: {result.error}", err=True)
    done = len(report.results) - len(report.failed)
    typer.echo(
        f"{done} of {len(report.results)} files segmented in {report.seconds:.1f} s. "
        f"Results, fractions.csv and run.json are in {report.out}"
    )


def _print_evaluation(evaluation: Evaluation) -> None:
    rows = {**evaluation.images, "all pixels": evaluation.pooled}
    table = Table("image", "agreement", "mode agreement", "mean IoU", "fraction error")
    for name, c in rows.items():
        figures = (c.agreement, c.mode_agreement, c.mean_iou, c.fraction_error)
        table.add_row(name, *map(_figure, figures))
    _console().print(table)
    iou, f1 = evaluation.pooled.iou, evaluation.pooled.f1
    classes = Table("class", "IoU", "F1")
    for name in iou:
        classes.add_row(name, _figure(iou[name]), _figure(f1[name]))
    _console().print(classes)


def _print_agreement(confusion: Confusion) -> None:
    typer.echo(
        "Against the exact labels of the synthetic surface: "
        f"{_figure(confusion.agreement)} of all pixels agree, "
        f"{_figure(confusion.mode_agreement)} where both name a fracture mode; "
        f"the fractions are {_figure(confusion.fraction_error)} off."
    )


def _print_devices() -> None:
    try:
        from napari_fractoseg.models.devices import list_devices

        devices = list_devices()
    except (ImportError, OSError) as error:  # a broken PyTorch is what a doctor must survive
        typer.echo(f"PyTorch cannot be used: {error}", err=True)
        return
    for device in devices:
        typer.echo(f"Device {device.name}: {device.label}")
        if device.why_not_gpu:
            typer.echo(f"  No GPU is used. {device.why_not_gpu}")


def _version_of(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _figure(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3f}"


if __name__ == "__main__":
    main()
