"""Folders of masks with their classes, read as annotations and written from them."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path

import tifffile

from napari_fractoseg.annotations.class_mapping import RESEARCH_MASK_VALUES
from napari_fractoseg.annotations.conversion.flavours import project_of
from napari_fractoseg.annotations.conversion.settings import Converted, ConvertSettings
from napari_fractoseg.annotations.document import AnnotatedImage, ViaDocument
from napari_fractoseg.annotations.edit import DEFAULT_ATTRIBUTE
from napari_fractoseg.annotations.formats.masks import (
    LABEL_SUFFIX,
    SCHEME_FILE,
    image_of_mask,
    mask_stem,
    read_label_mask,
    read_scheme,
)
from napari_fractoseg.annotations.image_lookup import ImageLookup
from napari_fractoseg.annotations.shapes import ring_area_px2
from napari_fractoseg.annotations.source import AnnotationSource
from napari_fractoseg.annotations.stacks import draw_labels_job, short_name
from napari_fractoseg.annotations.trace import image_from_labels
from napari_fractoseg.classes import DEFAULT_SCHEME
from napari_fractoseg.errors import AnnotationError
from napari_fractoseg.files import draft_folder, draft_of, write_bytes
from napari_fractoseg.images import find_images
from napari_fractoseg.jobs import Job, Progress
from napari_fractoseg.text import counted, listed

__all__ = ["document_of_masks", "write_masks"]

_SMALL_PX, _MANY_SMALL = 16, 100
"""Area of a region that is hardly more than noise, and number of them that is worth a word."""

_MOST_NAMES = 3


def document_of_masks(masks: Path, settings: ConvertSettings) -> Job[ViaDocument]:
    """Trace the masks in a folder.

    Parameters
    ----------
    masks : Path
        Folder of label masks.
    settings : ConvertSettings
        Classes, mask values, folder of the images, and how outlines are traced.

    Yields
    ------
    Progress
        Number of masks done, after each mask.

    Returns
    -------
    ViaDocument
        VIA 2 project, with notes on what was guessed.
    """
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
    attribute = settings.annotations.attribute or DEFAULT_ATTRIBUTE
    lookup = None
    if settings.images is not None:
        lookup = ImageLookup.scan(settings.images, without=masks, follow_links=True)
    images, paths, n_small = [], find_images(masks), {}
    for done, path in enumerate(paths, 1):
        image = image_from_labels(
            read_label_mask(path, scheme, settings.mask_values),
            scheme,
            filename=f"{mask_stem(path)}.png",
            attribute=attribute,
            tolerance_px=settings.tolerance_px,
            min_area_px=settings.min_area_px,
        )
        found = None if lookup is None else image_of_mask(path, lookup)
        if found is not None:
            image = replace(image, filename=found.name, size=found.stat().st_size)
        elif lookup is not None:
            notes.append(f"{path.name}: no image of that name in {lookup.root}.")
        images.append(image)
        n_small[path.name] = _n_small(image)
        yield Progress(done, len(paths), f"image {done} of {len(paths)}")
    if lookup is None:
        notes.append(
            "Images are named after their masks, NAME.png; name the image folder for their own "
            "file names."
        )
    if many := {name: n for name, n in n_small.items() if n >= _MANY_SMALL}:
        notes.append(
            f"{sum(many.values())} regions of {counted(len(many), 'mask')} "
            f"({listed([*many][:_MOST_NAMES])}) are smaller than {_SMALL_PX} px, which makes the "
            "file slow in VIA and napari. A "
            f"least area of {_SMALL_PX} px (min_area_px) leaves them out."
        )
    return replace(project_of(tuple(images), scheme, attribute), notes=tuple(notes))


def _n_small(image: AnnotatedImage) -> int:
    """Return the number of polygons of fewer pixels than are worth an outline."""
    outlines = (r.shape for r in image.regions)
    areas = (ring_area_px2(s["all_points_y"], s["all_points_x"]) for s in outlines)
    return sum(area < _SMALL_PX for area in areas)


def write_masks(source: AnnotationSource, out: Path, settings: ConvertSettings) -> Job[Converted]:
    """Draw the regions of a document as masks, the size of their images.

    Parameters
    ----------
    source : AnnotationSource
        Document with its images and the choice of classes.
    out : Path
        Folder to write ``NAME_labels.tif`` and ``classes.json`` into. A new one appears when all
        of them are complete.
    settings : ConvertSettings
        Known classes, and what becomes of pixels in several regions or in none.

    Yields
    ------
    Progress
        Number of images done, after each image.

    Returns
    -------
    Converted
        Folder that was written, with counts and notes.

    Raises
    ------
    AnnotationError
        If no image has a file, several have the same name, or a region has no class.
    """
    mapping, assembly = source.mapping(settings.scheme or DEFAULT_SCHEME), source.assembly
    if not assembly.stacks:
        raise AnnotationError(
            f"the size of masks is that of the images, and none of {len(source.annotated)} "
            f"annotated images has a file in {source.lookup.root} that can be used: "
            f"{'; '.join(note.rstrip('.') for note in assembly.notes[:3])}. Name the image folder.",
            options=("images",),
        )
    found = [image for stack in assembly.stacks for image in stack.images]
    names = [short_name(image) for image in found]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise AnnotationError(
            f"several images are called {twice[:5]}; their masks would overwrite one another. "
            "Rename the images."
        )
    mapping.left_out(source.annotated)  # raises before anything is written, not half-way
    notes = [*source.document.notes, *assembly.notes]
    n_regions = done = 0
    with _folder_for(out) as folder:
        for stack in assembly.stacks:
            for image in stack.images:
                drawn = yield from draw_labels_job(
                    [image],
                    stack.plane_shape,
                    mapping,
                    overlap=settings.overlap,
                    unannotated=settings.unannotated,
                )
                path = folder / f"{short_name(image)}{LABEL_SUFFIX}.tif"
                with draft_of(path, overwrite=settings.overwrite) as draft:
                    tifffile.imwrite(draft, drawn.labels, compression="zlib")
                notes += [f"{image.filename}: {note}" for note in drawn.notes]
                n_regions += len(image.drawable) - mapping.left_out([image])
                done += 1
                yield Progress(done, len(names), f"image {done} of {len(names)}")
        scheme = mapping.scheme.to_json().encode("utf-8")
        write_bytes(folder / SCHEME_FILE, scheme, overwrite=settings.overwrite)
    notes += mapping.notes(found)
    return Converted(out, len(names), n_regions, tuple(notes))


def _folder_for(out: Path) -> AbstractContextManager[Path]:
    """Return a context with the folder to write masks into: a draft, if it is a new one."""
    return nullcontext(out) if out.is_dir() else draft_folder(out)
