"""Parts that the commands share: options, error messages, progress and tables."""

from __future__ import annotations

import functools
import inspect
import math
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar, get_args, get_origin

import typer
from pydantic import Field
from pydantic.dataclasses import dataclass
from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as ProgressBar
from rich.table import Column, Table
from typer.core import TyperGroup

from napari_fractoseg.bar_option import AUTO, BarChoice
from napari_fractoseg.errors import FractosegError
from napari_fractoseg.jobs import Job, Progress, Throttle, drain
from napari_fractoseg.options import OptionField, described, option_fields
from napari_fractoseg.text import printable

if TYPE_CHECKING:
    from napari_fractoseg.models.model import SegmentationModel

__all__ = [
    "DeviceOption",
    "Group",
    "LabelClassesOption",
    "LabelOptions",
    "ModelOption",
    "OptionsOf",
    "OverwriteOption",
    "command",
    "failure_text",
    "figure",
    "make_console",
    "option_hint",
    "print_notes",
    "say",
    "table_of",
    "watch",
]

R = TypeVar("R")

LOG_EVERY_S = 30.0


class Group(TyperGroup):
    """Group of commands in which an expected error is one line and exit code 2.

    Other errors are bugs and keep their traceback.
    """

    def invoke(self, ctx: Any) -> Any:
        """Run a command, and print an expected error as one line."""
        try:
            return super().invoke(ctx)
        except FractosegError as error:
            # None if the group's own options were wrong.
            command = self.get_command(ctx, ctx.invoked_subcommand or "")
            text = " ".join(str(error).splitlines())
            say(f"error: {text}{option_hint(command, error.options)}", err=True)
            raise typer.Exit(2) from error
        except BrokenPipeError:  # such as `| head`: click ends quietly
            raise
        except OSError as error:  # such as a folder that must not be written to, or a full disk
            where = f"{error.filename}: " if error.filename else ""
            say(f"error: {where}{error.strerror or error}", err=True)
            raise typer.Exit(2) from error


def failure_text(path: Path, message: str) -> str:
    """Return the line on a file that failed, which names it once.

    Parameters
    ----------
    path : Path
        The file; its name is shown.
    message : str
        Message of the error, which may begin with the path, the name, or the name of the image.

    Examples
    --------
    >>> from pathlib import Path
    >>> from napari_fractoseg.cli.options import failure_text
    >>> failure_text(Path("in/a.tif"), "in/a.tif cannot be read. Copy it again.")
    'failed: a.tif: cannot be read. Copy it again.'
    """
    names = [printable(str(name)) for name in (path.absolute(), path, path.name)]
    starts = [f"{name}{end}" for name in names for end in (": ", " ")]
    starts.append(f"{printable(path.stem)}: ")  # "a" may also be a word
    said = next((start for start in starts if message.startswith(start)), "")
    message = message.removeprefix(said)
    return f"failed: {printable(path.name)}: {message}"


def option_hint(command: Any, parameters: Sequence[str]) -> str:
    """Return a sentence that names the options of a command that would help against an error.

    Parameters
    ----------
    command : click's Command or None
        Command that is running; only its options are named.
    parameters : sequence of str
        Names of parameters, as `FractosegError.options` has them, such as ``several=first``.

    Returns
    -------
    str
        Sentence such as ``" Option: --several first."``; empty if the command has none of them.
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


ModelOption = Annotated[
    str, typer.Option("--model", help="'default', the name of a model, or a model folder.")
]
DeviceOption = Annotated[str, typer.Option("--device", help="auto, cpu, cuda, cuda:1 or mps.")]
LabelClassesOption = Annotated[
    Path | None,
    typer.Option(
        "--classes",
        metavar="JSON",
        help="Classes of the label values; by default those recorded with the labels, or in "
        "classes.json beside them.",
    ),
]
OverwriteOption = Annotated[
    bool, typer.Option("--overwrite", help="Replace results that are already there.")
]


@described
@dataclass(frozen=True)
class LabelOptions:
    """What masks mean, and pixels without a label."""

    mask_values: Annotated[
        str | None,
        Field(
            description="What the values in mask files mean, such as "
            "'0=background,1=transgranular,2=intergranular'; others are unlabelled. 'research': as "
            "the code of arXiv 1908.02242 wrote them."
        ),
    ] = None
    unlabelled: Annotated[
        Literal["ignore", "background"], Field(description="What pixels without a label mean.")
    ] = "ignore"
    exclude_bar: BarChoice = AUTO

    @property
    def values(self) -> dict[int, str] | None:
        """Value in the mask files -> name of a class; None if nothing was said."""
        from napari_fractoseg.annotations.formats.masks import parse_mask_values

        return parse_mask_values(self.mask_values) if self.mask_values else None

    @property
    def unlabelled_as(self) -> str | None:
        """Name of the class that pixels without a label are given; None if they stay without."""
        return None if self.unlabelled == "ignore" else self.unlabelled

    def reading(self, model: SegmentationModel | None) -> dict[str, Any]:
        """Return the arguments of `read_training_set`, with the classes of a model, if any."""
        from napari_fractoseg.classes import DEFAULT_SCHEME

        return {
            "scheme": model.card.scheme if model else DEFAULT_SCHEME,
            "mask_values": self.values,
            "unlabelled_as": self.unlabelled_as,
            "exclude_bar": self.exclude_bar,
        }


class OptionsOf:
    """Mark on a parameter of a command: each field of a class becomes an option.

    Parameters
    ----------
    settings : type
        Pydantic dataclass whose fields become options.
    *names : str
        Names of the fields that are offered; by default all.
    without : tuple of str
        Names of fields that are not offered.
    flags : mapping of str to tuple of str
        Name of a field -> how its option is written where it is not ``--name``.
    only_given : bool
        Whether the command gets a dict of the options that were given, rather than the class
        with its defaults: for options that go before those of a file.
    default_text : callable, optional
        Function from the name of a field to a text on what is taken when it is not given.
    """

    def __init__(
        self,
        settings: type,
        *names: str,
        without: tuple[str, ...] = (),
        flags: Mapping[str, tuple[str, ...]] | None = None,
        only_given: bool = False,
        default_text: Callable[[str], str] | None = None,
    ) -> None:
        self.settings, self.only_given = settings, only_given
        self._default_text = default_text
        known = option_fields(settings)
        self.fields = {n: known[n] for n in names or known if n not in without}
        self._flags = flags or {}

    def parameters(self) -> Iterator[inspect.Parameter]:
        """Yield a parameter for each field, of which typer makes an option."""
        for field in self.fields.values():
            kind, default = _command_line_type(field), field.default
            if self.only_given:
                kind, default = kind | None, None
            dashed = f"--{field.name.replace('_', '-')}"
            flag = self._flags.get(field.name, (_flag(dashed, field, default),))
            text = field.description
            if self._default_text is not None:
                text = f"{text.removesuffix('.')} (default: {self._default_text(field.name)})."
            option = typer.Option(*flag, help=text, min=field.lowest, max=field.highest)
            yield inspect.Parameter(
                field.name,
                inspect.Parameter.KEYWORD_ONLY,
                default=inspect.Parameter.empty if default is ... else default,
                annotation=Annotated[kind, option],
            )

    def collect(self, given: dict[str, Any]) -> Any:
        """Take the options out of the arguments, and return them as the command wants them.

        Parameters
        ----------
        given : dict
            Name -> value of all arguments; those of this class are removed.

        Returns
        -------
        object
            Object of the class, or a dict of the options that were given.
        """
        values = {name: given.pop(name) for name in self.fields}
        if self.only_given:
            return {name: value for name, value in values.items() if value is not None}
        return self.settings(**values)


def _command_line_type(field: OptionField) -> Any:
    """Return the type of a field as typer takes it: a list where several values may be given."""
    kind = field.type
    if get_origin(kind) is tuple:
        kind = list[get_args(kind)[0]]  # type: ignore[misc]
    return kind | None if field.is_optional else kind


def _flag(dashed: str, field: OptionField, default: Any) -> str:
    """Return the flag of an option; one that is not off by default can be said both ways."""
    return f"{dashed}/--no-{dashed[2:]}" if field.type is bool and default is not False else dashed


def command(function: Callable[..., None]) -> Callable[..., None]:
    """Return a command for typer, whose parameters marked with `OptionsOf` are options.

    Parameters
    ----------
    function : callable
        Command as it is written, with a parameter for each group of options.
    """
    signature = inspect.signature(function, eval_str=True)
    groups: dict[str, OptionsOf] = {}
    parameters: list[inspect.Parameter] = []
    for parameter in signature.parameters.values():
        marks = [m for m in get_args(parameter.annotation)[1:] if isinstance(m, OptionsOf)]
        if marks:
            groups[parameter.name] = marks[0]
            parameters += marks[0].parameters()
        else:
            parameters.append(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY))

    @functools.wraps(function)
    def run(**given: Any) -> None:
        collected = {name: group.collect(given) for name, group in groups.items()}
        function(**given, **collected)

    run.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {p.name: p.annotation for p in parameters}
    del run.__wrapped__  # typer would look at what is wrapped
    return run


def watch(job: Job[R], what: str, also: Callable[[Progress], object] | None = None) -> R:
    """Run a job with a bar in a terminal, and with a line now and then in a log file.

    Parameters
    ----------
    job : Job
        Work to do.
    what : str
        Word for the work, such as ``segmenting``.
    also : callable, optional
        Function that gets each `Progress`, too.

    Returns
    -------
    object
        Result of the job.
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
            text = printable(f"{what}: {progress.message}{figures}")
            total = progress.total or None  # not known yet
            bar.update(row, completed=progress.done, total=total, description=text)
            if not console.is_terminal and throttle.ready():
                where = f" ({progress.done} of {total})" if total else ""
                typer.echo(f"{text}{where}", err=True)

        return drain(job, report)


def say(text: str, *, err: bool = False) -> None:
    """Print text, of which a terminal takes nothing for a command (`printable`).

    Parameters
    ----------
    text : str
        Text, of which parts such as names of files may come from other people.
    err : bool
        Whether it goes to the error output.
    """
    typer.echo(printable(text), err=err)


def table_of(columns: Iterable[str], rows: Iterable[Iterable[object]]) -> Table:
    """Return a table of texts, of which a terminal takes nothing for a command (`printable`)."""
    table = Table(*(Column(printable(column), overflow="fold") for column in columns))
    for row in rows:
        table.add_row(*map(printable, row))
    return table


def make_console() -> Console:
    """Return a console that prints text as it is; in pipes its lines are 140 characters wide."""
    width = None if sys.stdout.isatty() else 140
    return Console(width=width, markup=False, highlight=False, emoji=False)


def print_notes(notes: Iterable[str]) -> None:
    """Print notes on a result to the error output, a line for each."""
    for note in notes:
        say(f"note: {note}", err=True)


def figure(value: float) -> str:
    """Return a number with three decimals, as text; a dash if it is not a number."""
    return "-" if math.isnan(value) else f"{value:.3f}"
