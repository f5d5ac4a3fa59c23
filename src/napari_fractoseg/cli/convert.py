"""Command ``fractoseg convert``: annotations and masks into one another."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from napari_fractoseg.annotations.options import AnnotationOptions
from napari_fractoseg.cli.options import (
    LabelOptions,
    OptionsOf,
    OverwriteOption,
    command,
    print_notes,
    say,
    watch,
)
from napari_fractoseg.text import counted

__all__ = ["convert"]


Target = Literal["via2-project", "via2", "via2-csv", "via1", "via1-csv", "via3", "coco", "masks"]
OverlapRule = Literal["later", "smaller", "unlabelled"]


@command
def convert(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="IN",
            help="File of VIA, COCO, LabelMe, Pascal VOC or ImageJ; folder of masks, or of files "
            "of the last three.",
        ),
    ],
    out: Annotated[
        Path, typer.Option("-o", "--out", metavar="OUT", help="File to write; folder for masks.")
    ],
    annotations: Annotated[AnnotationOptions, OptionsOf(AnnotationOptions)],
    masks: Annotated[LabelOptions, OptionsOf(LabelOptions, without=("exclude_bar",))],
    to: Annotated[Target, typer.Option("--to", help="What to write.")] = "via2-project",
    images: Annotated[
        Path | None, typer.Option("--images", help="Folder of the images, if not that of IN.")
    ] = None,
    classes: Annotated[
        Path | None,
        typer.Option("--classes", help="Class scheme (JSON), such as classes.json beside masks."),
    ] = None,
    overlap: Annotated[
        OverlapRule, typer.Option("--overlap", help="Who gets pixels of two regions.")
    ] = "later",
    tolerance_px: Annotated[
        float, typer.Option("--tolerance-px", min=0, help="Simplify polygons by so much.")
    ] = 0.0,
    min_area_px: Annotated[
        int, typer.Option("--min-area-px", min=0, help="Leave smaller regions of masks out.")
    ] = 0,
    overwrite: OverwriteOption = False,
) -> None:
    """Convert annotations of VIA and other programs, and masks, into one another.

    Polygons made of masks follow the edges of the pixels, so that masks made
    of them are the same again; --tolerance-px 1 makes them handier to edit.
    """
    from napari_fractoseg.annotations.conversion.convert import ConvertSettings, convert_job
    from napari_fractoseg.annotations.document import Flavour
    from napari_fractoseg.annotations.formats.masks import read_scheme

    settings = ConvertSettings(
        images=images,
        annotations=annotations,
        scheme=read_scheme(classes) if classes else None,
        mask_values=masks.values,
        overlap=overlap,
        unannotated=masks.unlabelled_as,
        tolerance_px=tolerance_px,
        min_area_px=min_area_px,
        overwrite=overwrite,
    )
    flavour = None if to == "masks" else Flavour(to)
    result = watch(convert_job(source, out, flavour, settings), "converting")
    print_notes(result.notes)
    written = f"{counted(result.n_images, 'image')}, {counted(result.n_regions, 'region')}"
    say(f"Written: {result.out} ({written})")
