"""Label images drawn from the regions of an image.

Which pixels a region covers is found in `region_pixels`; here it is decided
what becomes of pixels that several regions cover, or none.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias, get_args

import numpy as np
import numpy.typing as npt

from napari_fractoseg.annotations.class_mapping import ClassMapping
from napari_fractoseg.annotations.document import AnnotatedImage, Region
from napari_fractoseg.annotations.region_pixels import (
    Pixels,
    pixels_of,
    to_pixel_centres,
    to_pixel_edges,
)
from napari_fractoseg.annotations.shapes import problem_of
from napari_fractoseg.classes import UNLABELLED, ClassScheme, FractureClass
from napari_fractoseg.errors import AnnotationError

__all__ = [
    "Overlap",
    "Rasterised",
    "hidden_regions",
    "rasterise",
    "to_pixel_centres",
    "to_pixel_edges",
]

_LINE_WIDTH_PX = _POINT_RADIUS_PX = 3.0

Overlap: TypeAlias = Literal["later", "smaller", "unlabelled"]
"""Rule for a pixel in several regions: it belongs to the later or smaller one, or to none."""


@dataclass(frozen=True, eq=False)
class Rasterised:
    """Labels drawn from the regions of an image, and what became of the regions.

    Parameters
    ----------
    labels : ndarray of uint8, shape (Y, X)
        Class values; 0 is unlabelled.
    overlaps : mapping of (str, str) to int
        (class below, class drawn over it) -> pixels, in the order of the file
        whatever the overlap rule. Regions of the same class count too; a pixel
        under three regions counts twice.
    empty : tuple of int
        Numbers (from 0) of the regions that cover no pixel: outside the image
        or too small.
    skipped : int
        Number of damaged regions, which are left out.
    """

    labels: npt.NDArray[np.uint8]
    overlaps: Mapping[tuple[str, str], int]
    empty: tuple[int, ...]
    skipped: int


def rasterise(
    image: AnnotatedImage,
    shape: tuple[int, int],
    mapping: ClassMapping,
    *,
    overlap: Overlap = "later",
    unannotated: str | None = None,
    line_width_px: float = _LINE_WIDTH_PX,
    point_radius_px: float = _POINT_RADIUS_PX,
) -> Rasterised:
    """Draw the regions of an image as labels.

    Parameters
    ----------
    image : AnnotatedImage
        Image whose regions are drawn; damaged ones are left out and counted.
    shape : tuple of int
        Rows and columns of the image.
    mapping : ClassMapping
        Mapping of each region to its class.
    overlap : {"later", "smaller", "unlabelled"}
        Rule for a pixel in several regions: it belongs to the one that comes
        later in the file; or to the one that covers fewer pixels of the image,
        of equal ones to the later; or, if their classes differ, to none.
    unannotated : str, optional
        Class of the pixels without a region, such as ``background``; by
        default they are unlabelled. Contested pixels, and those of regions
        that the mapping leaves out, are not without a region.
    line_width_px : float
        Width of polylines in pixels. A closed one is a line too, not an area.
    point_radius_px : float
        Radius of the disks that stand for points, in pixels.

    Returns
    -------
    Rasterised
        Labels of the image, with counts of overlaps and of regions left out.

    Raises
    ------
    AnnotationError
        If a region has no class, naming image and region; if an argument is
        not one of those above.
    ClassSchemeError
        If `unannotated` is not a class of the mapping's scheme.

    Notes
    -----
    Rectangles, circles and ellipses are tested by their formula, lines by the
    distance to the nearest segment, polygons by the even-odd rule.
    """
    _check_overlap(overlap)
    if not (line_width_px > 0 and point_radius_px > 0):
        raise AnnotationError(
            f"line width {line_width_px} px and point radius {point_radius_px} px must be above 0."
        )
    fill = None if unannotated is None else mapping.scheme.find(unannotated).value
    canvas = _Canvas(shape, overlap)
    empty: list[int] = []
    for number, its_class, pixels in _placed(
        image, shape, mapping, line_width_px / 2, point_radius_px
    ):
        if its_class is None:
            canvas.left_out.append(pixels)
            continue
        canvas.draw(its_class.value, pixels)
        if not pixels.size:
            empty.append(number)
    skipped = sum(_is_damaged(region) for region in image.regions)
    labels = canvas.finished(fill)
    return Rasterised(labels, canvas.named_overlaps(mapping.scheme), tuple(empty), skipped)


def hidden_regions(
    image: AnnotatedImage,
    shape: tuple[int, int],
    mapping: ClassMapping,
    *,
    overlap: Overlap = "later",
) -> frozenset[int]:
    """Return which regions with a class no pixel of the labels shows.

    Parameters
    ----------
    image : AnnotatedImage
        Image whose regions are drawn.
    shape : tuple of int
        Rows and columns of the image.
    mapping : ClassMapping
        Mapping of each region to its class.
    overlap : {"later", "smaller", "unlabelled"}
        Rule for a pixel in several regions, as in `rasterise`.

    Returns
    -------
    frozenset of int
        Numbers (from 0) of regions outside the image, too small, or under other ones.

    Raises
    ------
    AnnotationError
        If a region has no class, naming image and region; if `overlap` is not one of those above.
    """
    _check_overlap(overlap)
    placed = [
        (number, its_class.value, pixels)
        for number, its_class, pixels in _placed(
            image, shape, mapping, _LINE_WIDTH_PX / 2, _POINT_RADIUS_PX
        )
        if its_class is not None
    ]
    taken = np.zeros(math.prod(shape), dtype=bool)
    if overlap == "unlabelled":
        canvas = _Canvas(shape, overlap)
        for _, value, pixels in placed:
            canvas.draw(value, pixels)
        for pixels in canvas.contested:
            taken[pixels] = True
    if overlap == "smaller":
        placed.sort(key=lambda item: -item[2].size)
    hidden = set()
    for number, _, pixels in reversed(placed):
        if taken[pixels].all():
            hidden.add(number)
        taken[pixels] = True
    return frozenset(hidden)


def _check_overlap(overlap: str) -> None:
    if overlap not in get_args(Overlap):
        raise AnnotationError(f"overlap={overlap!r} is none of {', '.join(get_args(Overlap))}.")


def _is_damaged(region: Region) -> bool:
    return bool(region.problem or problem_of(region.shape))


def _placed(
    image: AnnotatedImage,
    shape: tuple[int, int],
    mapping: ClassMapping,
    half_width_px: float,
    point_radius_px: float,
) -> Iterator[tuple[int, FractureClass | None, Pixels]]:
    """Yield number, class and pixels of each region that can be drawn."""
    for number, region in enumerate(image.regions):
        if not _is_damaged(region):
            its_class = mapping.class_of(region, f"image {image.filename!r}, region {number}")
            yield number, its_class, pixels_of(region, shape, half_width_px, point_radius_px)


@dataclass
class _Canvas:
    """Labels being drawn, later regions over earlier ones, with a record of the overlaps."""

    shape: tuple[int, int]
    overlap: Overlap
    drawn: list[tuple[int, Pixels]] = field(default_factory=list)
    contested: list[Pixels] = field(default_factory=list)
    left_out: list[Pixels] = field(default_factory=list)
    overlaps: Counter[tuple[int, int]] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.labels = np.zeros(math.prod(self.shape), dtype=np.uint8)

    def draw(self, value: int, pixels: Pixels) -> None:
        below = self.labels[pixels]
        if below.any():
            counts = np.bincount(below)
            for other in np.flatnonzero(counts):
                if other != UNLABELLED:
                    self.overlaps[int(other), value] += int(counts[other])
            self.contested.append(pixels[(below != UNLABELLED) & (below != value)])
        self.labels[pixels] = value
        if self.overlap == "smaller":
            self.drawn.append((value, pixels))

    def finished(self, fill: int | None) -> npt.NDArray[np.uint8]:
        labels = self.labels
        if self.overlaps:
            # The sort is stable: of equally large regions the later is still drawn last.
            for value, pixels in sorted(self.drawn, key=lambda item: -item[1].size):
                labels[pixels] = value
        if self.overlap == "unlabelled":
            for pixels in self.contested:
                labels[pixels] = UNLABELLED
        if fill is not None:
            blank = labels == UNLABELLED
            for pixels in (*self.contested, *self.left_out):
                blank[pixels] = False
            labels[blank] = fill
        return labels.reshape(self.shape)

    def named_overlaps(self, scheme: ClassScheme) -> dict[tuple[str, str], int]:
        names = {c.value: c.name for c in scheme}
        return {(names[a], names[b]): n for (a, b), n in self.overlaps.items()}
