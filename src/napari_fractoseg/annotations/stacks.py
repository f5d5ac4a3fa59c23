"""Annotated images grouped into stacks by the shape of their files, and drawn as labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_fractoseg.annotations.class_mapping import ClassMapping
from napari_fractoseg.annotations.document import AnnotatedImage
from napari_fractoseg.annotations.fit import fit_notes
from napari_fractoseg.annotations.image_lookup import FoundImages, name_parts
from napari_fractoseg.annotations.raster import Overlap, rasterise
from napari_fractoseg.errors import ImageError
from napari_fractoseg.images import image_shape
from napari_fractoseg.jobs import Job, Progress
from napari_fractoseg.text import counted

__all__ = ["AnnotatedStack", "Assembly", "DrawnLabels", "assemble", "draw_labels_job", "short_name"]


@dataclass(frozen=True)
class AnnotatedStack:
    """Annotated images whose files have the same shape and type.

    Parameters
    ----------
    images : tuple of AnnotatedImage
        Image entries of the annotation file, one for each plane.
    paths : tuple of Path
        Files of the images, in the same order.
    shape : tuple of int
        Shape of one file's array: (Y, X), or (Y, X, 3 or 4) in colour.
    dtype : numpy.dtype
        Type of the files' grey levels or colours.
    """

    images: tuple[AnnotatedImage, ...]
    paths: tuple[Path, ...]
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def rgb(self) -> bool:
        """Whether the images are in colour."""
        return len(self.shape) == 3

    @property
    def plane_shape(self) -> tuple[int, int]:
        """Numbers of rows and columns of each image."""
        return self.shape[0], self.shape[1]


@dataclass(frozen=True)
class Assembly:
    """Images of an annotation file, grouped into stacks, and those without a file.

    Parameters
    ----------
    stacks : tuple of AnnotatedStack
        Images whose files were found, in the order of the document.
    missing : tuple of AnnotatedImage
        Images whose file was not found, or cannot be used.
    notes : tuple of str
        Sentences on why images are missing, and on those that seem to be others than those that
        were annotated.
    """

    stacks: tuple[AnnotatedStack, ...]
    missing: tuple[AnnotatedImage, ...]
    notes: tuple[str, ...]


def assemble(images: FoundImages) -> Assembly:
    """Group annotated images whose files have the same shape and type.

    Parameters
    ----------
    images : FoundImages
        Annotated images with and without files, as `ImageLookup.find_all` returns them.

    Returns
    -------
    Assembly
        Stacks of images, and those that cannot be used.
    """
    groups: dict[tuple[tuple[int, ...], np.dtype[Any]], list[tuple[AnnotatedImage, Path]]] = {}
    unusable: list[AnnotatedImage] = []
    notes: list[str] = []
    sizes: list[tuple[AnnotatedImage, Path, tuple[int, ...]]] = []
    for image, path in images.found:
        try:
            shape, dtype = image_shape(path)
        except ImageError as error:
            unusable.append(image)
            notes.append(str(error))
            continue
        if len(shape) == 2 or (len(shape) == 3 and shape[-1] in (3, 4)):
            groups.setdefault((shape, dtype), []).append((image, path))
            sizes.append((image, path, shape))
        else:
            unusable.append(image)
            notes.append(f"{path.name} has shape {shape}; only single images are opened.")
    stacks = tuple(
        AnnotatedStack(tuple(i for i, _ in found), tuple(p for _, p in found), shape, dtype)
        for (shape, dtype), found in groups.items()
    )
    notes += [*images.notes, *fit_notes(sizes)]
    return Assembly(stacks, (*unusable, *images.missing), tuple(notes))


@dataclass(frozen=True, eq=False)
class DrawnLabels:
    """Labels drawn from the regions of one or several images.

    Parameters
    ----------
    labels : ndarray of uint8, shape (Y, X) or (Z, Y, X)
        Class values; 3D if there is more than one image.
    overlaps : mapping of (str, str) to int
        (Class below, class drawn over it) -> number of pixels that both cover.
    notes : tuple of str
        Sentences on regions that overlap or cover no pixel.
    """

    labels: npt.NDArray[np.uint8]
    overlaps: Mapping[tuple[str, str], int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def draw_labels_job(
    images: Sequence[AnnotatedImage],
    plane_shape: tuple[int, int],
    mapping: ClassMapping,
    *,
    overlap: Overlap = "later",
    unannotated: str | None = None,
) -> Job[DrawnLabels]:
    """Draw the regions of images of one shape as labels.

    Parameters
    ----------
    images : sequence of AnnotatedImage
        Images whose regions are drawn, one for each plane.
    plane_shape : tuple of int
        Rows and columns of each image.
    mapping : ClassMapping
        Mapping of attribute values to classes.
    overlap : {"later", "smaller", "unlabelled"}
        Region that gets the pixels that several cover, as in `rasterise`.
    unannotated : str, optional
        Class of the pixels without a region; by default they are unlabelled.

    Yields
    ------
    Progress
        Number of images done, after each image.

    Returns
    -------
    DrawnLabels
        Labels of all images, with counts of overlaps.
    """
    labels = np.zeros((len(images), *plane_shape), dtype=np.uint8)
    overlaps: Counter[tuple[str, str]] = Counter()
    n_empty = 0
    for done, (plane, image) in enumerate(zip(labels, images, strict=True), 1):
        drawn = rasterise(image, plane_shape, mapping, overlap=overlap, unannotated=unannotated)
        plane[...] = drawn.labels
        overlaps.update(drawn.overlaps)
        n_empty += len(drawn.empty)
        yield Progress(done, len(images), f"image {done} of {len(images)}")
    notes = []
    different = {pair: n for pair, n in overlaps.items() if pair[0] != pair[1]}
    if different:
        listed = ", ".join(f"{a} / {b} {n} px" for (a, b), n in different.items())
        notes.append(f"Regions of different classes overlap ({listed}); {_RULES[overlap]}.")
    if n_empty:
        notes.append(f"{counted(n_empty, 'region covers', 'regions cover')} no pixel.")
    return DrawnLabels(labels if len(images) > 1 else labels[0], dict(overlaps), tuple(notes))


_RULES: Mapping[Overlap, str] = {
    "later": "the later region wins",
    "smaller": "the smaller region wins",
    "unlabelled": "these pixels are left unlabelled",
}


def short_name(image: AnnotatedImage) -> str:
    """Return the name of an image without folders and suffix.

    Examples
    --------
    >>> from napari_fractoseg.annotations import AnnotatedImage
    >>> from napari_fractoseg.annotations.stacks import short_name
    >>> short_name(AnnotatedImage("x/s17_3.jpg"))
    's17_3'
    """
    parts = name_parts(image.filename)
    return Path(parts[-1]).stem if parts else image.filename or "image"
