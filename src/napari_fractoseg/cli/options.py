"""What the commands share: options, how errors and progress are shown, and tables."""

from __future__ import annotations

import enum
import math
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Annotated, Any, TypeVar

import typer
from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as ProgressBar
from typer.core import TyperGroup

from napari_fractoseg.annotations.options import AnnotationOptions
from napari_fractoseg.errors import FractosegError
from napari_fractoseg.jobs import Job, Progress, Throttle, drain

__all__ = [
    "AttributeOption",
    "DeviceOption",
    "Group",
    "MaskValuesOption",
    "ModelOption",
    "NewClassesOption",
    "OverwriteOption",
    "SeveralOption",
    "SeveralRule",
    "SkipDamagedOption",
    "SkipUnclassifiedOption",
    "Unlabelled",
    "UnlabelledOption",
    "figure",
    "label_options",
    "make_console",
    "option_hint",
    "print_notes",
    "watch",
]

R = TypeVar("R")

LOG_EVERY_S = 30.0


class Group(TyperGroup):
    """Errors of ours are one line and exit code 2; others are bugs and keep their traceback."""

    def invoke(self, ctx: Any) -> Any:
        """Run a command."""
        try:
            return super().invoke(ctx)
        except FractosegError as error:
            # None if the group's own options were wrong.
            command = self.get_command(ctx, ctx.invoked_subcommand or "")
            text = " ".join(str(error).splitlines())
            typer.echo(f"error: {text}{option_hint(command, error.options)}", err=True)
            raise typer.Exit(2) from error
        except BrokenPipeError:  # such as `| head`: click ends quietly
            raise
        except OSError as error:  # such as a folder that must not be written to, or a full disk
            where = f"{error.filename}: " if error.filename else ""
            typer.echo(f"error: {where}{error.strerror or error}", err=True)
            raise typer.Exit(2) from error


def option_hint(command: Any, parameters: Sequence[str]) -> str:
    """Name the options of a command that would help against an error.

    Parameters
    ----------
    command : click's Command or None
        The one that is running: no other options are named.
    parameters : sequence of str
        Of a `FractosegError`.

    Returns
    -------
    str
        Such as ``" Option: --several first."``; empty if the command has none of them.
    """
    flags = {
        known.name: flag
        for known in (command.params if command is not None else ())
        for flag in known.opts
        if flag.startswith("--")
    }
    found = []
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name in flags:
            found.append(f"{flags[name]} {value}".strip())
    return f" Option{'s' * (len(found) > 1)}: {', '.join(found)}." if found else ""


class SeveralRule(enum.StrEnum):
    """What a region is whose ticked options are different classes."""

    error = "error"
    first = "first"


class Unlabelled(enum.StrEnum):
    """What pixels without a label mean."""

    ignore = "ignore"
    background = "background"


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
AttributeOption = Annotated[
    str | None, typer.Option("--attribute", help=AnnotationOptions.describe("attribute"))
]
NewClassesOption = Annotated[
    bool, typer.Option("--new-classes", help=AnnotationOptions.describe("new_classes"))
]
SeveralOption = Annotated[
    SeveralRule, typer.Option("--several", help=AnnotationOptions.describe("several"))
]
SkipUnclassifiedOption = Annotated[
    bool, typer.Option("--skip-unclassified", help=AnnotationOptions.describe("skip_unclassified"))
]
SkipDamagedOption = Annotated[
    bool, typer.Option("--skip-damaged", help=AnnotationOptions.describe("skip_damaged"))
]


def watch(job: Job[R], what: str, also: Callable[[Progress], object] | None = None) -> R:
    """Run a job with a bar in a terminal, and with a line now and then in a log file.

    `also` gets each `Progress`, too.
    """
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
            if also is not None:
                also(progress)
            figures = "".join(f", {k} {v:.4g}" for k, v in progress.metrics.items())
            text = f"{what}: {progress.message}{figures}"
            total = progress.total or None  # not known yet
            bar.update(row, completed=progress.done, total=total, description=text)
            if not console.is_terminal and throttle.ready():
                where = f" ({progress.done} of {total})" if total else ""
                typer.echo(f"{text}{where}", err=True)

        return drain(job, report)


def make_console() -> Console:
    """Make a console that takes text as it is, and does not fold tables in pipes at 80."""
    width = None if sys.stdout.isatty() else 140
    return Console(width=width, markup=False, highlight=False, emoji=False)


def print_notes(notes: Iterable[str]) -> None:
    """Print what somebody should know about a result, a line for each matter."""
    for note in notes:
        typer.echo(f"note: {note}", err=True)


def figure(value: float) -> str:
    """Return a number for a table or sentence; a dash where there is none."""
    return "-" if math.isnan(value) else f"{value:.3f}"


def label_options(mask_values: str | None, unlabelled: Unlabelled, model: Any) -> dict[str, Any]:
    """Return the options for reading labels, as the library takes them."""
    from napari_fractoseg.annotations.formats.masks import parse_mask_values
    from napari_fractoseg.classes import DEFAULT_SCHEME

    return {
        "scheme": model.card.scheme if model else DEFAULT_SCHEME,
        "mask_values": parse_mask_values(mask_values) if mask_values else None,
        "unlabelled_as": None if unlabelled is Unlabelled.ignore else unlabelled.value,
    }
