"""Command ``fractoseg measure``: fractions of the classes with their uncertainty."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_fractoseg.cli.options import (
    OverwriteOption,
    command,
    figure,
    make_console,
    say,
    table_of,
    watch,
)

if TYPE_CHECKING:
    from napari_fractoseg.measurement.measure import Measurement

__all__ = ["measure"]


@command
def measure(
    labels: Annotated[
        list[Path],
        typer.Argument(metavar="LABELS...", help="Label images, OME-Zarr labels, and folders."),
    ],
    out: Annotated[Path, typer.Option("-o", "--out", metavar="DIR", help="Folder for the tables.")],
    fields: Annotated[
        str,
        typer.Option(
            "--fields",
            help="each: a plane is a field; grid:512um or grid:320px: squares of a grid in each; "
            "grid:4x4: as many fields along each side.",
        ),
    ] = "each",
    group_by: Annotated[
        str | None,
        typer.Option(
            "--group-by",
            metavar="PATTERN|CSV",
            help="Specimen of each image: a regular expression with one group, such as "
            "'^(s\\d+)_', or a CSV file with the columns image and specimen.",
        ),
    ] = None,
    pixel_size_um: Annotated[
        float | None,
        typer.Option(
            "--pixel-size-um",
            min=1e-9,
            metavar="X",
            help="Edge of a pixel in micrometres, of all files; by default what each file says.",
        ),
    ] = None,
    exclude: Annotated[
        Path | None,
        typer.Option(
            "--exclude", metavar="MASK", help="Mask, not 0 where nothing is measured in any image."
        ),
    ] = None,
    classes: Annotated[
        Path | None,
        typer.Option(
            "--classes",
            metavar="JSON",
            help="Classes of the label values; by default those recorded with the labels.",
        ),
    ] = None,
    overwrite: OverwriteOption = False,
) -> None:
    """Measure how much of the surface each class takes, with a 95 % interval.

    Writes fractions.csv (estimates and intervals), groups.csv (specimens or images),
    fields.csv, files.csv and measurement.json. A file that cannot be measured is
    reported, the others are measured, and the exit code is 1.
    """
    from napari_fractoseg.annotations.formats.masks import read_scheme
    from napari_fractoseg.measurement.files import (
        find_label_files,
        measure_files_job,
        refuse_measured,
    )

    if not overwrite:
        refuse_measured(out)
    job = measure_files_job(
        find_label_files(labels),
        scheme=None if classes is None else read_scheme(classes),
        fields=fields,
        pixel_size_um=pixel_size_um,
        group_by=group_by,
        exclude=exclude,
    )
    found = watch(job, "measuring")
    paths = found.write(out, overwrite=overwrite)
    if found.measurement is not None:
        _print(found.measurement)
    for row in found.failed.itertuples():
        say(f"failed: {row.file}: {row.error}", err=True)
    say(f"Written to {out}: {', '.join(path.name for path in paths)}")
    if len(found.failed):
        raise typer.Exit(1)


def _print(measurement: Measurement) -> None:
    columns = ("class", "of", "mean and interval", "%RA", "needed for 10 %RA")
    rows = [
        (
            found.class_name,
            found.of,
            str(found.sampling),
            figure(found.sampling.relative_accuracy_percent),
            found.sampling.fields_needed(10) or "-",
        )
        for found in measurement.estimates
    ]
    make_console().print(table_of(columns, rows))
    say(str(measurement))
    for caveat in measurement.caveats:
        say(f"- {caveat}")
