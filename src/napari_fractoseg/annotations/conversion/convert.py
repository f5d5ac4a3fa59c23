"""Conversion of annotation files and folders of masks into one another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Literal

from napari_fractoseg.annotations.conversion.flavours import in_flavour, named_after
from napari_fractoseg.annotations.conversion.mask_folders import (
    document_of_masks,
    write_masks,
)
from napari_fractoseg.annotations.conversion.settings import Converted, ConvertSettings
from napari_fractoseg.annotations.document import AnnotatedImage, Flavour, ViaDocument
from napari_fractoseg.annotations.formats import coco_write
from napari_fractoseg.annotations.formats.masks import parse_mask_values, read_scheme
from napari_fractoseg.annotations.image_lookup import ImageLookup
from napari_fractoseg.annotations.options import AnnotationOptions
from napari_fractoseg.annotations.raster import Overlap
from napari_fractoseg.annotations.reading import is_annotation_folder, read_annotations
from napari_fractoseg.annotations.source import AnnotationSource
from napari_fractoseg.annotations.stacks import assemble
from napari_fractoseg.annotations.via import write_via
from napari_fractoseg.classes import DEFAULT_SCHEME, ClassScheme
from napari_fractoseg.errors import AnnotationError, OutputError
from napari_fractoseg.files import check_writable, hold, refuse_existing, sweep_drafts
from napari_fractoseg.jobs import Job, drain

__all__ = ["ConvertSettings", "Converted", "convert", "convert_job"]

_MASKS, _IGNORE = "masks", "ignore"
_TARGETS = (
    *(Flavour.VIA2_PROJECT, Flavour.VIA2, Flavour.VIA2_CSV),
    *(Flavour.VIA1, Flavour.VIA1_CSV, Flavour.VIA3, Flavour.COCO),
)


def convert(
    source: Path | str,
    out: Path | str,
    to: str = Flavour.VIA2_PROJECT.value,
    *,
    images: Path | str | None = None,
    attribute: str | None = None,
    classes: ClassScheme | Path | str | None = None,
    new_classes: bool = False,
    several: Literal["error", "first"] = "error",
    skip_unclassified: bool = False,
    overlap: Overlap = "later",
    unlabelled: str = _IGNORE,
    mask_values: Mapping[int, str] | str | None = None,
    tolerance_px: float = 0.0,
    min_area_px: int = 0,
    skip_damaged: bool = False,
    all_as: str | None = None,
    overwrite: bool = False,
) -> Converted:
    """Convert annotations of VIA and other programs, and masks: ``fractoseg convert``.

    Parameters
    ----------
    source : Path or str
        A file of the VGG Image Annotator (VIA) of any version, of COCO, LabelMe, Pascal VOC or
        ImageJ; a folder of the files of LabelMe, Pascal VOC or ImageJ; or a folder of masks.
    out : Path or str
        File to write; a folder for masks.
    to : str
        Layout to write: ``via2-project``, ``via2``, ``via2-csv``, ``via1``, ``via1-csv``,
        ``via3``, ``coco``, or ``masks``, which are ``NAME_labels.tif`` for each image and the
        classes in ``classes.json``.
    images : Path or str, optional
        Folder of the images, if not that of `source`.
    attribute : str, optional
        Region attribute that holds the class, or the categories of COCO; by default the
        one that fits.
    classes : ClassScheme, Path or str, optional
        Classes that are known, or a JSON file of them, such as ``classes.json`` beside
        masks.
    new_classes : bool
        Whether unknown values become classes of their own.
    several : {"error", "first"}
        Whether a region with ticks of two classes is an error, or of the first of them.
    skip_unclassified, skip_damaged : bool
        Whether regions without a class, or damaged ones, are left out rather than refused.
    overlap : {"later", "smaller", "unlabelled"}
        Region that gets the pixels that two regions cover: the later one of the file, the
        smaller one, or neither.
    unlabelled : str
        Class of the pixels without a region, such as ``background``; ``ignore`` leaves
        them unlabelled.
    mask_values : mapping of int to str, or str, optional
        Value in the masks -> class name; as text, what ``--mask-values`` takes.
    tolerance_px : float
        Distance in pixels by which polygons made from masks may leave the edges of the pixels.
    min_area_px : int
        Least area of a region made from a mask, in pixels; smaller ones are left out.
    all_as : str, optional
        Class of all regions, whatever they say: for files whose regions have no attribute.
    overwrite : bool
        Whether existing files are replaced.

    Returns
    -------
    Converted
        File or folder that was written, with counts and notes on what was left out.

    Raises
    ------
    AnnotationError, ImageError, ClassSchemeError, OutputExistsError
        If something does not fit, naming file, image and region.
    OutputError
        If it cannot be written, or another conversion is writing it.

    Notes
    -----
    A new folder of masks appears when all of them are complete; in an existing one, each file is
    replaced when the new one is complete.

    Examples
    --------
    >>> import napari_fractoseg as nf
    >>> nf.convert("via_region_data.json", "masks", "masks").n_images  # doctest: +SKIP
    16
    """
    if isinstance(classes, Path | str):
        classes = read_scheme(Path(classes))
    if isinstance(mask_values, str):
        mask_values = parse_mask_values(mask_values)
    settings = ConvertSettings(
        images=None if images is None else Path(images),
        annotations=AnnotationOptions(
            attribute, new_classes, several, skip_unclassified, skip_damaged, all_as
        ),
        scheme=classes,
        mask_values=mask_values,
        overlap=overlap,
        unannotated=None if unlabelled == _IGNORE else unlabelled,
        tolerance_px=tolerance_px,
        min_area_px=min_area_px,
        overwrite=overwrite,
    )
    return drain(convert_job(Path(source), Path(out), _target(to), settings))


def _target(to: str) -> Flavour | None:
    """Return the flavour of the file to write, None for masks."""
    if to == _MASKS:
        return None
    if to not in _TARGETS:
        raise AnnotationError(
            f"{to!r} is nothing to convert to. Choose one of {', '.join(_TARGETS)}, {_MASKS}."
        )
    return Flavour(to)


def convert_job(
    source: Path, out: Path, to: Flavour | None, settings: ConvertSettings | None = None
) -> Job[Converted]:
    """Convert annotations, or a folder of masks, to a VIA file or a folder of masks.

    Parameters
    ----------
    source : Path
        Annotations that `read_annotations` reads, or a folder of masks.
    out : Path
        File to write; a folder for masks.
    to : Flavour or None
        Flavour to write; None writes masks: ``NAME_labels.tif`` for each image
        and the classes in ``classes.json``.
    settings : ConvertSettings, optional
        Choices that the source leaves open.

    Yields
    ------
    Progress
        Number of images done, after each image.

    Returns
    -------
    Converted
        File or folder that was written, with counts and notes on what was left out.

    Raises
    ------
    AnnotationError, ImageError, ClassSchemeError, OutputExistsError
        If something does not fit, naming file, image and region.
    OutputError
        If it cannot be written, or another conversion is writing it.
    """
    settings = settings or ConvertSettings()
    if not settings.overwrite:
        refuse_existing(out, replaceable=True)
    check_writable(out.parent)
    refusal = OutputError(f"Another conversion is writing {out}. Wait until it ends.")
    with hold(out.absolute(), refusal):  # that of `.` has a name
        if not settings.overwrite:  # another one may have ended while this one waited
            refuse_existing(out, replaceable=True)
        sweep_drafts(out.parent)
        return (yield from _convert(source, out, to, settings))


def _convert(
    source: Path, out: Path, to: Flavour | None, settings: ConvertSettings
) -> Job[Converted]:
    options = settings.annotations
    if source.is_dir() and not is_annotation_folder(source):
        document = yield from document_of_masks(source, settings)
    else:
        document = read_annotations(source, strict=not options.skip_damaged)
    if not document:
        raise AnnotationError(
            f"{source}: there is no image in it ({document.flavour.label}), so there is nothing to "
            "convert. Name the file that holds the annotations."
        )
    try:
        # Masks and COCO have to know the images, and so do files that do not name theirs.
        are_wanted = to in (None, Flavour.COCO) or document.flavour is Flavour.IMAGEJ_ROI
        lookup = _images_of(source, settings) if are_wanted else ImageLookup(source, ())
        opened = AnnotationSource(document, lookup, options).with_names().all_as(options.all_as)
        if to is None:
            return (yield from write_masks(opened, out, settings))
        if options.all_as is not None and any(image.drawable for image in document):
            opened.mapping(settings.scheme or DEFAULT_SCHEME)  # refuses a class that is not known
        document, attribute = _to_write(opened, to)
    except AnnotationError as error:
        raise error.at(source) from error
    document = named_after(document, out)
    notes = write_via(document, out, overwrite=settings.overwrite, attribute=attribute)
    n_regions = sum(len(image.regions) for image in document)
    return Converted(out, len(document), n_regions, (*document.notes, *notes))


def _to_write(source: AnnotationSource, to: Flavour) -> tuple[ViaDocument, str | None]:
    """Return what a file of a flavour can hold of a source, and the attribute for categories."""
    document, options = source.document, source.options
    if to is not Flavour.COCO:
        return in_flavour(document, to), options.attribute
    return coco_write.holdable(
        in_flavour(_with_image_shapes(document, source.lookup), to),
        options.attribute,
        skip_unclassified=options.skip_unclassified,
    )


def _images_of(source: Path, settings: ConvertSettings) -> ImageLookup:
    if settings.images is not None:
        return ImageLookup.scan(settings.images, follow_links=True)
    return ImageLookup.scan(source if source.is_dir() else source.parent)


def _with_image_shapes(document: ViaDocument, images: ImageLookup) -> ViaDocument:
    """Return a document whose images have width and height in pixels, as COCO wants them."""
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
