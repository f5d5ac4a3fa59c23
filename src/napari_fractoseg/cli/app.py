"""Program ``fractoseg``: its commands joined into one typer application.

Libraries that need PyTorch are imported inside the commands, so that ``--help`` is quick.
"""

from __future__ import annotations

from typing import Annotated

import typer

from napari_fractoseg import __version__
from napari_fractoseg.cli.convert import convert
from napari_fractoseg.cli.evaluate import evaluate
from napari_fractoseg.cli.measure import measure
from napari_fractoseg.cli.models import doctor, models_app
from napari_fractoseg.cli.options import Group
from napari_fractoseg.cli.points import points
from napari_fractoseg.cli.segment import demo, segment
from napari_fractoseg.cli.train import train

__all__ = ["app"]

app = typer.Typer(
    cls=Group,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Segment, learn and measure fracture modes in SEM micrographs.",
)
for command in (segment, measure, points, train, evaluate, convert, doctor, demo):
    app.command()(command)
app.add_typer(models_app, name="models")


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
