"""Settings and results of a conversion between annotation files and folders of masks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from napari_fractoseg.annotations.options import STRICT, AnnotationOptions
from napari_fractoseg.annotations.raster import Overlap
from napari_fractoseg.classes import ClassScheme

__all__ = ["ConvertSettings", "Converted"]


@dataclass(frozen=True)
class ConvertSettings:
    """Choices that a conversion cannot know by itself.

    Parameters
    ----------
    images : Path or None
        Folder of the images; by default that of the annotation file.
    annotations : AnnotationOptions
        Choice of the class of a region, and of what is left out.
    scheme : ClassScheme or None
        Classes that are known; by default those beside the masks, or intergranular,
        transgranular and background.
    mask_values : mapping of int to str or None
        Value in the masks -> class name; None takes the values of the scheme.
    overlap : {"later", "smaller", "unlabelled"}
        Region that gets the pixels that two regions cover: the later one of the file, the
        smaller one, or neither.
    unannotated : str or None
        Class of the pixels without a region; None leaves them unlabelled.
    tolerance_px : float
        Distance in pixels by which polygons made from masks may leave the edges of the pixels.
    min_area_px : int
        Least area of a region made from a mask, in pixels; smaller ones are left out.
    overwrite : bool
        Whether existing files are replaced.
    """

    images: Path | None = None
    annotations: AnnotationOptions = STRICT
    scheme: ClassScheme | None = None
    mask_values: Mapping[int, str] | None = None
    overlap: Overlap = "later"
    unannotated: str | None = None
    tolerance_px: float = 0.0
    min_area_px: int = 0
    overwrite: bool = False


@dataclass(frozen=True)
class Converted:
    """Result of a conversion.

    Parameters
    ----------
    out : Path
        File or folder that was written.
    n_images, n_regions : int
        Numbers of images and of regions that were written.
    notes : tuple of str
        Sentences on what was left out, mended or could not be kept.
    """

    out: Path
    n_images: int
    n_regions: int
    notes: tuple[str, ...]
