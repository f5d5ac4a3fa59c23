"""Command ``fractoseg points``: points at which a person checks labels."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from napari_fractoseg.cli.options import LabelClassesOption, command, say, watch
from napari_fractoseg.text import counted

__all__ = ["points"]


@command
def points(
    labels: Annotated[
        list[Path],
        typer.Argument(metavar="LABELS...", help="Label images, OME-Zarr labels, and folders."),
    ],
    out: Annotated[
        Path,
        typer.Option("-o", "--out", metavar="CSV", help="File of the points; it must not exist."),
    ],
    n_points: Annotated[
        int,
        typer.Option("-n", "--n-points", min=1, help="Number of points; of a grid about as many."),
    ] = 100,
    design: Annotated[
        Literal["grid", "stratified", "random"],
        typer.Option(
            "--design",
            help="grid: a regular grid that begins at random in each plane; stratified: random "
            "points in the area of each class, so that rare ones have enough; random: in the whole "
            "area.",
        ),
    ] = "grid",
    seed: Annotated[
        int | None,
        typer.Option(
            "--seed", min=0, help="The same labels and seed give the same points (default: drawn)."
        ),
    ] = None,
    exclude: Annotated[
        Path | None,
        typer.Option(
            "--exclude", metavar="MASK", help="Mask, not 0 where there are no points in any image."
        ),
    ] = None,
    classes: LabelClassesOption = None,
) -> None:
    """Draw points at which a person says what is there, to check labels.

    The points are answered in napari, or in a column answer_NAME of the file; fractoseg
    measure --points tells what they say. A file that exists is never replaced, for it
    may have answers.
    """
    from napari_fractoseg.annotations.formats.masks import read_scheme
    from napari_fractoseg.audit.files import plan_files_job
    from napari_fractoseg.files import check_writable, refuse_existing
    from napari_fractoseg.measurement.files.inputs import find_label_files

    refuse_existing(out)
    check_writable(out.parent)
    job = plan_files_job(
        find_label_files(labels),
        n_points=n_points,
        design=design,
        seed=seed,
        scheme=None if classes is None else read_scheme(classes),
        exclude=exclude,
    )
    count = watch(job, "drawing points")
    count.write(out)
    strata = count.points["stratum"].value_counts()
    where = ", ".join(f"{strata.get(name, 0)} in {name}" for name in count.stratum_px)
    images = counted(len(count.images), "image")
    say(f"{counted(len(count), 'point')} on {images} ({where}; seed {count.seed}): {out}")
