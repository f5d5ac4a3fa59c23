"""Commands ``fractoseg segment`` and ``fractoseg demo``: class labels for images."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_fractoseg.batch.settings import SegmentSettings
from napari_fractoseg.cli.measure import write_report
from napari_fractoseg.cli.options import (
    DeviceOption,
    OptionsOf,
    OverwriteOption,
    command,
    failure_text,
    figure,
    make_console,
    option_hint,
    print_notes,
    say,
    table_of,
    watch,
)
from napari_fractoseg.files import refuse_existing

if TYPE_CHECKING:
    from napari_fractoseg.batch import BatchReport, Workers
    from napari_fractoseg.evaluation.confusion import Confusion

__all__ = ["demo", "segment"]

MOST_ROWS = 24
_MOST_NAMES = 3


@command
def segment(
    ctx: typer.Context,
    inputs: Annotated[list[Path], typer.Argument(metavar="INPUT...", help="Images and folders.")],
    out: Annotated[
        Path,
        typer.Option(
            "-o", "--out", metavar="OUTDIR", help="Results folder; or NAME.zarr, of one image."
        ),
    ],
    settings: Annotated[SegmentSettings, OptionsOf(SegmentSettings, without=("name",))],
    stack: Annotated[
        bool, typer.Option("--stack", help="The images of a folder are planes of one stack.")
    ] = False,
    overwrite: OverwriteOption = False,
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Go on with a run that was stopped; skip what is done."),
    ] = False,
    report: Annotated[
        bool,
        typer.Option(
            "--report",
            help="Also measure the labels in the results folder, and write report.html; fractoseg "
            "measure has options for it.",
        ),
    ] = False,
    yes: Annotated[
        bool, typer.Option("--yes", help="Also do a run that takes more than a day.")
    ] = False,
    workers: Annotated[
        int | None,
        typer.Option("--workers", min=1, help="Processes on this machine; needs the extra dask."),
    ] = None,
    scheduler: Annotated[
        str | None,
        typer.Option(
            "--scheduler",
            metavar="ADDRESS",
            help="Use the workers of a Dask cluster: tls://..., or tcp://..., where whoever "
            "reaches the port can run code as you.",
        ),
    ] = None,
    tls_ca_file: Annotated[
        Path | None,
        typer.Option("--tls-ca-file", help="Certificate of the authority, for tls:// (PEM)."),
    ] = None,
    tls_cert: Annotated[
        Path | None, typer.Option("--tls-cert", help="Your certificate, for tls:// (PEM).")
    ] = None,
    tls_key: Annotated[
        Path | None,
        typer.Option("--tls-key", help="Its private key, unless it is in the same file."),
    ] = None,
) -> None:
    """Label the pixels of images and folders of images.

    Writes NAME_labels.tif (class values; of a zarr NAME_labels.zarr),
    fractions.csv and run.json. Large images are read and written in parts. A file
    or plane that fails is reported, the others are done, and the exit code is 1.
    With --overwrite, all results of an image that is segmented again are
    replaced; those of other images stay in the folder and in the reports.
    """
    from napari_fractoseg import batch

    is_name = out.suffix.lower() == ".zarr"
    if is_name:
        settings = replace(settings, zarr=True, name=out.stem)
    out = (out.parent if is_name else out).absolute()
    tasks = batch.plan(inputs, out, settings, overwrite=overwrite, resume=resume, stack=stack)
    labels = out / f"{settings.name}.zarr" if is_name else out
    page = out / "report.html"
    if report and not (overwrite or resume):
        refuse_existing(page, replaceable=True)
    if not tasks:
        say(f"Nothing to do: all is done already. The results are in {out}")
        if report and not write_report(labels, inputs, page):
            raise typer.Exit(1)
        return
    try:
        with _who_works(workers, scheduler, (tls_ca_file, tls_cert, tls_key)) as crew:
            done = watch(batch.run(tasks, crew, yes=yes), "segmenting")
    except (KeyboardInterrupt, SystemExit):  # the latter of SIGTERM
        say(f"Stopped. What is finished stays in {out}; --resume goes on from there.", err=True)
        raise
    _print_batch(done, ctx)
    is_whole = not done.failed and all(r.status == "done" for r in done.segmented)
    if report and done.segmented:
        is_whole &= write_report(labels, inputs, page)
    if not is_whole:
        raise typer.Exit(1)


def _who_works(
    workers: int | None, scheduler: str | None, tls: tuple[Path | None, Path | None, Path | None]
) -> AbstractContextManager[Workers | None]:
    """Return a context with the workers of a run; with None if this process computes."""
    if workers is not None and scheduler is not None:
        raise typer.BadParameter("Choose one: --workers starts processes, --scheduler uses others.")
    ca_file, cert, key = tls
    if any(tls) and not (scheduler and ca_file and cert):
        raise typer.BadParameter("--tls-ca-file and --tls-cert go together, with --scheduler.")
    if workers is None and scheduler is None:
        return nullcontext()
    from napari_fractoseg.batch import dask_workers, local_workers, tls_security

    if workers is not None:
        return local_workers(workers)
    return dask_workers(
        str(scheduler), tls_security(ca_file, cert, key) if ca_file and cert else None
    )


def demo(
    ctx: typer.Context,
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
    from napari_fractoseg.evaluation.confusion import Confusion
    from napari_fractoseg.samples.synthetic import synthetic_fracture

    sample = synthetic_fracture(seed=0, shape=(640, 640))
    folder = _new_folder(out)
    image, exact = folder / "synthetic.png", folder / "synthetic_exact.tif"
    iio.imwrite(image, sample.image)
    tifffile.imwrite(exact, sample.labels, compression="zlib")
    say("A synthetic fracture surface (seed 0, never trained on) was made: no micrograph.")
    settings = batch.SegmentSettings(device=device, overlay=True)
    (task,) = batch.plan([image], folder, settings)
    report = watch(batch.run([task]), "segmenting")
    _print_batch(report, ctx)
    if report.failed:
        raise typer.Exit(1)
    labels = tifffile.imread(task.labels_path)
    _print_agreement(Confusion.of(sample.labels, labels, DEFAULT_SCHEME))
    say(f"Device: {report.results[0].device}. {time.perf_counter() - began:.1f} s in all.")
    say(f"\nLook at {task.overlay_path()}\nIn napari: napari {image} {task.labels_path}")
    say("Own images: fractoseg segment IMAGES -o RESULTS --overlay")


def _new_folder(wanted: Path) -> Path:
    """Make a folder with the wanted name, or with a number behind it; return its path."""
    wanted = wanted.absolute()
    folder, number = wanted, 2
    while folder.exists():
        folder, number = wanted.with_name(f"{wanted.name}-{number}"), number + 1
    folder.mkdir(parents=True)
    return folder


def _print_batch(report: BatchReport, ctx: typer.Context) -> None:
    fractions = report.mode_fractions
    if len(fractions):
        rows = fractions.head(MOST_ROWS).reset_index().to_numpy()
        table = table_of(
            ("file", "plane", *map(str, fractions.columns)),
            [(file, plane, *map(figure, parts)) for file, plane, *parts in rows],
        )
        make_console().print("Part of the fracture modes' area:", table)
        if len(fractions) > MOST_ROWS:
            say(f"... and {len(fractions) - MOST_ROWS} more in fractions.csv")
    _print_bars(report)
    _print_untold(report)
    for result in report.results:
        print_notes(result.notes)
    for result in report.failed:
        hint = option_hint(ctx.command, result.options)
        say(f"{failure_text(result.path, result.error)}{hint}", err=True)
    done = len(report.segmented)
    say(
        f"{done} of {len(report.results)} files segmented in {report.seconds:.1f} s. "
        f"Results, {' and '.join(path.name for path in report.paths)} are in {report.out}"
    )


def _print_bars(report: BatchReport) -> None:
    """Say which rows were left out, once for all files of which they are the same."""
    from napari_fractoseg.images import ExcludedArea

    files: dict[str, list[str]] = {}
    for result in report.segmented:
        if result.excluded.get("rows"):
            area = ExcludedArea.from_dict(result.excluded, result.shape)
            text = f"{area.rows_text} left out (info bar). {area.source}" if area else ""
            files.setdefault(text, []).append(result.path.name)
    _say_of_files(files)


def _print_untold(report: BatchReport) -> None:
    """Say of which files it is not known whether they look like what the model learnt."""
    files: dict[str, list[str]] = {}
    for result in report.segmented:
        if result.untold:
            files.setdefault(result.untold, []).append(result.path.name)
    _say_of_files(files)


def _say_of_files(files: Mapping[str, Sequence[str]]) -> None:
    """Print each sentence once, behind the names of the files that it is about."""
    for text, names in files.items():
        more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
        say(f"{', '.join(names[:_MOST_NAMES])}{more}: {text}")


def _print_agreement(confusion: Confusion) -> None:
    say(
        "Against the exact labels of the synthetic surface: "
        f"{figure(confusion.agreement)} of all pixels agree, "
        f"{figure(confusion.mode_agreement)} where both name a fracture mode; "
        f"the fractions are {figure(confusion.fraction_error)} off."
    )
