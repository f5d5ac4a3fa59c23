"""Command ``fractoseg info``: what image files say about how they were taken."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_fractoseg.cli.options import make_console, print_notes, say, table_of

if TYPE_CHECKING:
    from napari_fractoseg.images.calibration import SemFacts
    from napari_fractoseg.images.file_info import FileInfo

__all__ = ["info"]

_COLUMNS = ("file", "size in px", "pixel size", "from", "detector", "beam", "date", "info bar")


def info(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE...", help="Image files, and folders of them.")
    ],
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON rather than a table, with all facts.")
    ] = False,
) -> None:
    """Show pixel size, detector, voltage and info bar of SEM files.

    The pixel size is what the microscope wrote into the file or beside it (FEI / Thermo Fisher,
    Zeiss, TESCAN, Hitachi, JEOL, Phenom), or a program (OME-TIFF, OME-Zarr, ImageJ). The
    resolution of a print is never taken for it. A file that cannot be read is reported, and the
    exit code is 1.
    """
    from napari_fractoseg.images.file_info import file_info

    found = [file_info(path) for path in _images(files)]
    if as_json:
        say(json.dumps([one.to_dict() for one in found], indent=2))
    else:
        make_console().print(table_of(_COLUMNS, map(_row, found)))
        for one in found:
            print_notes(f"{one.path.name}: {note}" for note in one.facts.notes)
    for one in found:
        if one.error:
            say(f"failed: {one.error}", err=True)
    if any(one.error for one in found):
        raise typer.Exit(1)


def _images(files: list[Path]) -> Iterator[Path]:
    from napari_fractoseg.images import find_images
    from napari_fractoseg.images.formats.zarr import is_zarr

    for path in files:
        if path.is_dir() and not is_zarr(path):
            yield from find_images(path)
        else:
            yield path


def _row(found: FileInfo) -> tuple[str, ...]:
    from napari_fractoseg.text import size_text

    facts, bar = found.facts, found.bar
    rows = "-"
    if bar is not None and bar.rows is not None:
        rows = f"rows {bar.rows[0]} to {bar.rows[1] - 1}"
    elif bar is not None and bar.is_over_image:
        rows = "over the image"
    return (
        found.path.name,
        size_text(found.shape).removesuffix(" px") if found.shape else "cannot be read",
        facts.pixel_size.text or "unknown",
        facts.pixel_size_from or "-",
        facts.detector or "-",
        _beam(facts) or "-",
        facts.date.replace("T", " ") or "-",
        rows,
    )


def _beam(facts: SemFacts) -> str:
    """Return voltage, working distance and magnification, as far as they are known."""
    known = (
        ("", facts.voltage_kv, " kV"),
        ("WD ", facts.working_distance_mm, " mm"),
        ("", facts.magnification, "x"),
    )
    return ", ".join(f"{word}{value:.4g}{unit}" for word, value, unit in known if value)
