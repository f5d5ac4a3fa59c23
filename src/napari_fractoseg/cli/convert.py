"""``fractoseg convert``."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import Annotated

import typer

from napari_fractoseg.annotations.options import AnnotationOptions
from napari_fractoseg.cli.options import (
    AttributeOption,
    MaskValuesOption,
    NewClassesOption,
    OverwriteOption,
    SeveralOption,
    SeveralRule,
    SkipDamagedOption,
    SkipUnclassifiedOption,
    Unlabelled,
    UnlabelledOption,
    print_notes,
    watch,
)

__all__ = ["convert"]


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
    attribute: AttributeOption = None,
    classes: Annotated[
        Path | None,
        typer.Option("--classes", help="Class scheme (JSON), such as classes.json beside masks."),
    ] = None,
    new_classes: NewClassesOption = False,
    several: SeveralOption = SeveralRule.error,
    skip_unclassified: SkipUnclassifiedOption = False,
    skip_damaged: SkipDamagedOption = False,
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
    overwrite: OverwriteOption = False,
) -> None:
    """Convert annotations between the versions of VIA, COCO, and masks.

    Polygons made of masks follow the edges of the pixels, so that masks made
    of them are the same again; --tolerance-px 1 makes them handier to edit.
    """
    from napari_fractoseg.annotations.convert import ConvertSettings, convert_job
    from napari_fractoseg.annotations.document import Flavour
    from napari_fractoseg.annotations.formats.masks import parse_mask_values, read_scheme

    settings = ConvertSettings(
        images=images,
        annotations=AnnotationOptions(
            attribute, new_classes, several.value, skip_unclassified, skip_damaged
        ),
        scheme=read_scheme(classes) if classes else None,
        mask_values=parse_mask_values(mask_values) if mask_values else None,
        overlap=overlap.value,
        unannotated=None if unlabelled is Unlabelled.ignore else unlabelled.value,
        tolerance_px=tolerance_px,
        min_area_px=min_area_px,
        overwrite=overwrite,
    )
    flavour = None if to is Target.masks else Flavour(to.value)
    result = watch(convert_job(source, out, flavour, settings), "converting")
    print_notes(result.notes)
    typer.echo(f"Written: {result.out} ({result.n_images} images, {result.n_regions} regions)")
