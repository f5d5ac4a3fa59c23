"""What a conversion is told, and what it tells."""

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
    """What a conversion cannot know by itself.

    Parameters
    ----------
    images : Path or None
        Folder of the images; by default that of the annotation file.
    annotations : AnnotationOptions
        Which class a region is of, and what is left out.
    scheme : ClassScheme or None
        Classes that are known; by default those beside the masks, or intergranular,
        transgranular and background.
    mask_values : mapping of int to str or None
        Value in the masks -> class name.
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
