"""Folders of masks with their classes: read as annotations, and written from them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import tifffile

from napari_fractoseg.annotations.class_mapping import (
    RESEARCH_MASK_VALUES,
    ClassMapping,
    map_classes,
)
from napari_fractoseg.annotations.convert_settings import Converted, ConvertSettings
from napari_fractoseg.annotations.document import AnnotatedImage, ViaDocument
from napari_fractoseg.annotations.flavours import project_of
from napari_fractoseg.annotations.formats.masks import (
    LABEL_SUFFIX,
    SCHEME_FILE,
    mask_stem,
    read_label_mask,
    read_scheme,
)
from napari_fractoseg.annotations.image_lookup import ImageFolder
from napari_fractoseg.annotations.stacks import assemble, draw_labels_job, short_name
from napari_fractoseg.annotations.trace import image_from_labels
from napari_fractoseg.classes import DEFAULT_SCHEME
from napari_fractoseg.errors import AnnotationError
from napari_fractoseg.files import write_bytes
from napari_fractoseg.images import find_images
from napari_fractoseg.jobs import Job, Progress

__all__ = ["document_of_masks", "write_masks"]


def document_of_masks(masks: Path, settings: ConvertSettings) -> Job[ViaDocument]:
    """Trace the masks in a folder: a VIA 2 project, with notes on what was guessed."""
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


def write_masks(
    document: ViaDocument, folder: ImageFolder, out: Path, settings: ConvertSettings
) -> Job[Converted]:
    """Draw the regions of a document as masks, the size of their images."""
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
