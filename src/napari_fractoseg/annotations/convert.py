"""Annotation files and folders of masks, from one to the other."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from napari_fractoseg.annotations.convert_settings import Converted, ConvertSettings
from napari_fractoseg.annotations.document import AnnotatedImage, Flavour, ViaDocument
from napari_fractoseg.annotations.flavours import in_flavour
from napari_fractoseg.annotations.formats.mask_folders import (
    document_of_masks,
    write_masks,
)
from napari_fractoseg.annotations.image_lookup import ImageFolder
from napari_fractoseg.annotations.stacks import assemble
from napari_fractoseg.annotations.via import read_via, write_via
from napari_fractoseg.errors import AnnotationError
from napari_fractoseg.files import refuse_existing
from napari_fractoseg.jobs import Job

__all__ = ["ConvertSettings", "Converted", "convert_job"]


def convert_job(
    source: Path, out: Path, to: Flavour | None, settings: ConvertSettings | None = None
) -> Job[Converted]:
    """Convert a VIA file, or a folder of masks, to a VIA file or a folder of masks.

    Parameters
    ----------
    source : Path
        A VIA file of any flavour, or a folder of masks.
    out : Path
        File to write; a folder for masks.
    to : Flavour or None
        Flavour to write; None writes masks: ``NAME_labels.tif`` for each image
        and the classes in ``classes.json``.
    settings : ConvertSettings, optional
        Choices.

    Yields
    ------
    Progress
        After each image.

    Returns
    -------
    Converted

    Raises
    ------
    AnnotationError, ImageError, ClassSchemeError, OutputExistsError
        If something does not fit, naming file, image and region.
    """
    settings = settings or ConvertSettings()
    if not settings.overwrite:
        refuse_existing(out, remedy="Choose another name, or replace it (--overwrite).")
    if source.is_dir():
        document = yield from document_of_masks(source, settings)
    else:
        document = read_via(source, strict=settings.strict)
    images = settings.images or (source if source.is_dir() else source.parent)
    if to is None:
        try:
            return (yield from write_masks(document, ImageFolder.scan(images), out, settings))
        except AnnotationError as error:
            raise AnnotationError(f"{source}: {_with_options(error)}") from error
    if to is Flavour.COCO:
        document = _with_image_shapes(document, ImageFolder.scan(images))
    converted = in_flavour(document, to)
    try:
        notes = write_via(
            converted, out, overwrite=settings.overwrite, attribute=settings.attribute
        )
    except AnnotationError as error:
        raise AnnotationError(_with_options(error)) from error
    n_regions = sum(len(image.regions) for image in converted)
    return Converted(out, len(converted), n_regions, (*converted.notes, *notes))


_OPTIONS = {
    "Name the attribute that holds the class": "--attribute",
    "Name one of these": "--attribute",
    "or name the attribute": "--attribute",
    "have new classes made of them": "--new-classes",
    "have the first of them taken": "--several first",
    "which leaves such regions out": "--skip-unclassified",
}
"""Remedy in a message -> option of ``fractoseg convert``."""


def _with_options(error: AnnotationError) -> str:
    text = str(error)
    for remedy, option in _OPTIONS.items():
        text = text.replace(remedy, f"{remedy} ({option})")
    return text


def _with_image_shapes(document: ViaDocument, folder: ImageFolder) -> ViaDocument:
    """COCO wants the size of each image in pixels."""
    unknown = [image for image in document if not {"width", "height"} <= set(image.extras)]
    assembly = assemble(unknown, folder)
    shapes = {id(image): stack.plane_shape for stack in assembly.stacks for image in stack.images}

    def with_shape(image: AnnotatedImage) -> AnnotatedImage:
        if id(image) not in shapes:
            return image
        height, width = shapes[id(image)]
        return replace(image, extras={**image.extras, "width": width, "height": height})

    images = tuple(with_shape(image) for image in document)
    return replace(document, images=images, notes=(*document.notes, *assembly.notes))
