"""Annotation files and folders of masks, from one to the other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import tifffile

from napari_fractoseg.annotations.assembly import assemble, draw_labels_job, short_name
from napari_fractoseg.annotations.conversion import in_flavour, project_of
from napari_fractoseg.annotations.document import AnnotatedImage, Flavour, ViaDocument
from napari_fractoseg.annotations.lookup import ImageFolder
from napari_fractoseg.annotations.mapping import (
    RESEARCH_MASK_VALUES,
    ClassMapping,
    map_classes,
)
from napari_fractoseg.annotations.masks import (
    LABEL_SUFFIX,
    SCHEME_FILE,
    mask_stem,
    read_label_mask,
    read_scheme,
)
from napari_fractoseg.annotations.raster import Overlap
from napari_fractoseg.annotations.trace import image_from_labels
from napari_fractoseg.annotations.via import read_via, write_via
from napari_fractoseg.classes import DEFAULT_SCHEME, ClassScheme
from napari_fractoseg.errors import AnnotationError
from napari_fractoseg.files import refuse_existing, write_bytes
from napari_fractoseg.images import find_images
from napari_fractoseg.jobs import Job, Progress

__all__ = ["ConvertSettings", "Converted", "convert_job"]


@dataclass(frozen=True)
class ConvertSettings:
    """What a conversion cannot know by itself.

    Parameters
    ----------
    images : Path or None
        Folder of the images; by default that of the annotation file.
    attribute : str or None
        Region attribute that holds the class, or the categories of COCO; by default the one that
        fits.
    scheme : ClassScheme or None
        Classes that are known; by default those beside the masks, or intergranular,
        transgranular and background.
    mask_values : mapping of int to str or None
        Value in the masks -> class name.
    new_classes : bool
        Whether unknown values become classes.
    several : {"error", "first"}
        Whether a region whose ticked options are different classes is an error, or drawn as the
        first of them in the order of the scheme.
    skip_unclassified : bool
        Whether regions without a class are left out of masks, rather than an error.
    strict : bool
        Whether a damaged region is an error.
    overlap : {"later", "smaller", "unlabelled"}
        See `rasterise`.
    unannotated : str or None
        Class of pixels without a region.
    tolerance_px : float
        By how much polygons may leave the edges of the pixels.
    min_area_px : int
        Smaller connected regions are left out.
    overwrite : bool
        Replace existing files.
    """

    images: Path | None = None
    attribute: str | None = None
    scheme: ClassScheme | None = None
    mask_values: Mapping[int, str] | None = None
    new_classes: bool = False
    several: Literal["error", "first"] = "error"
    skip_unclassified: bool = False
    strict: bool = True
    overlap: Overlap = "later"
    unannotated: str | None = None
    tolerance_px: float = 0.0
    min_area_px: int = 0
    overwrite: bool = False


@dataclass(frozen=True)
class Converted:
    """What came out of a conversion.

    Parameters
    ----------
    out : Path
        The file or folder that was written.
    n_images, n_regions : int
        What is in it.
    notes : tuple of str
        What was left out, mended or could not be kept.
    """

    out: Path
    n_images: int
    n_regions: int
    notes: tuple[str, ...]


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
        document = yield from _document_of_masks(source, settings)
    else:
        document = read_via(source, strict=settings.strict)
    images = settings.images or (source if source.is_dir() else source.parent)
    if to is None:
        try:
            return (yield from _write_masks(document, ImageFolder.scan(images), out, settings))
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


def _document_of_masks(masks: Path, settings: ConvertSettings) -> Job[ViaDocument]:
    scheme, notes = settings.scheme or DEFAULT_SCHEME, []
    if settings.mask_values is not None:
        scheme = scheme.with_names(settings.mask_values.values())
        if dict(settings.mask_values) == dict(RESEARCH_MASK_VALUES):
            notes.append(
                "Values are read as the research code writes them: 0 background, 1 transgranular, "
                "2 intergranular; its own table of classes has 1 and 2 the other way round."
            )
    elif settings.scheme is None and (masks / SCHEME_FILE).is_file():
        scheme = read_scheme(masks / SCHEME_FILE)
    attribute = settings.attribute or "name"
    folder = ImageFolder.scan(settings.images) if settings.images else None
    images, paths = [], find_images(masks)
    for done, path in enumerate(paths, 1):
        image = image_from_labels(
            read_label_mask(path, scheme, settings.mask_values),
            scheme,
            filename=f"{mask_stem(path)}.png",
            attribute=attribute,
            tolerance_px=settings.tolerance_px,
            min_area_px=settings.min_area_px,
        )
        found = folder.candidates(image) if folder else ()
        if len(found) == 1:
            image = replace(image, filename=found[0].name, size=found[0].stat().st_size)
        elif folder:
            number = "several images" if found else "no image"
            notes.append(f"{path.name}: {number} of that name in {folder.root}.")
        images.append(image)
        yield Progress(done, len(paths), f"image {done} of {len(paths)}")
    if not folder:
        notes.append(
            "Images are named after their masks, NAME.png; name the image folder for their own "
            "file names."
        )
    return replace(project_of(tuple(images), scheme, attribute), notes=tuple(notes))


def _write_masks(
    document: ViaDocument, folder: ImageFolder, out: Path, settings: ConvertSettings
) -> Job[Converted]:
    annotated = [image for image in document if image.regions]
    mapping = map_classes(
        document,
        settings.scheme or DEFAULT_SCHEME,
        attribute=settings.attribute,
        values={"": None} if settings.skip_unclassified else None,
        new_classes=settings.new_classes,
        several=settings.several,
    )
    assembly = assemble(annotated, folder)
    if not assembly.stacks:
        raise AnnotationError(
            f"the size of masks is that of the images, and none of {len(annotated)} annotated "
            f"images has a file in {folder.root} that can be used: "
            f"{'; '.join(note.rstrip('.') for note in assembly.notes[:3])}. Name the image folder "
            "(--images)."
        )
    found = [image for stack in assembly.stacks for image in stack.images]
    names = [short_name(image) for image in found]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise AnnotationError(
            f"several images are called {twice[:5]}; their masks would overwrite one another. "
            "Rename the images."
        )
    # An error is raised before anything is written, rather than half-way.
    left_out = {id(image): _count_left_out(image, mapping) for image in annotated}
    notes = [*document.notes, *assembly.notes]
    n_regions = done = 0
    for stack in assembly.stacks:
        for image in stack.images:
            drawn = yield from draw_labels_job(
                [image],
                stack.plane_shape,
                mapping,
                overlap=settings.overlap,
                unannotated=settings.unannotated,
            )
            path = out / f"{short_name(image)}{LABEL_SUFFIX}.tif"
            path.parent.mkdir(parents=True, exist_ok=True)
            tifffile.imwrite(path, drawn.labels, compression="zlib")
            notes += [f"{image.filename}: {note}" for note in drawn.notes]
            n_regions += len(image.drawable) - left_out[id(image)]
            done += 1
            yield Progress(done, len(names), f"image {done} of {len(names)}")
    if several := mapping.several_ticked(found):
        notes.append(f"{several} regions have several ticks; the first class counts.")
    if unclassified := sum(left_out[id(image)] for image in found):
        notes.append(f"{unclassified} regions without a class are left out.")
    scheme = mapping.scheme.to_json().encode("utf-8")
    write_bytes(out / SCHEME_FILE, scheme, overwrite=settings.overwrite)
    return Converted(out, len(names), n_regions, tuple(notes))


def _count_left_out(image: AnnotatedImage, mapping: ClassMapping) -> int:
    return sum(
        mapping.class_of(region, f"image {image.filename!r}, region {number}") is None
        for number, region in enumerate(image.regions)
        if not region.problem
    )


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
