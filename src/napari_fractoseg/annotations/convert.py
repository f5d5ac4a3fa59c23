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
from napari_fractoseg.annotations.image_lookup import ImageLookup
from napari_fractoseg.annotations.source import AnnotationSource
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
        refuse_existing(out, replaceable=True)
    options = settings.annotations
    if source.is_dir():
        document = yield from document_of_masks(source, settings)
    else:
        document = read_via(source, strict=not options.skip_damaged)
    if to is None:
        opened = AnnotationSource(document, _images_of(source, settings), options)
        try:
            return (yield from write_masks(opened, out, settings))
        except AnnotationError as error:
            raise error.at(source) from error
    if to is Flavour.COCO:
        document = _with_image_shapes(document, _images_of(source, settings))
    converted = in_flavour(document, to)
    notes = write_via(converted, out, overwrite=settings.overwrite, attribute=options.attribute)
    n_regions = sum(len(image.regions) for image in converted)
    return Converted(out, len(converted), n_regions, (*converted.notes, *notes))


def _images_of(source: Path, settings: ConvertSettings) -> ImageLookup:
    if settings.images is not None:
        return ImageLookup.scan(settings.images, follow_links=True)
    return ImageLookup.scan(source if source.is_dir() else source.parent)


def _with_image_shapes(document: ViaDocument, images: ImageLookup) -> ViaDocument:
    """COCO wants the size of each image in pixels."""
    unknown = [image for image in document if not {"width", "height"} <= set(image.extras)]
    assembly = assemble(images.find_all(unknown))
    shapes = {id(image): stack.plane_shape for stack in assembly.stacks for image in stack.images}

    def with_shape(image: AnnotatedImage) -> AnnotatedImage:
        if id(image) not in shapes:
            return image
        height, width = shapes[id(image)]
        return replace(image, extras={**image.extras, "width": width, "height": height})

    complete = tuple(with_shape(image) for image in document)
    return replace(document, images=complete, notes=(*document.notes, *assembly.notes))
