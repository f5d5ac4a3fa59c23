"""Whether annotations fit the image files that were found for them.

An image that was scaled, cut or replaced since it was annotated has the right name, and its regions
lie elsewhere: nothing fails, and the labels are wrong.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path, PurePath

from napari_fractoseg.annotations.document import AnnotatedImage
from napari_fractoseg.annotations.image_lookup import name_parts
from napari_fractoseg.annotations.shapes import outline_px
from napari_fractoseg.text import counted

__all__ = ["fit_notes"]

_LEAST_PX, _LEAST_SHARE = 5.0, 0.01
"""Distance by which regions may reach beyond an image: VIA's do by a few pixels, drawn in haste."""

_MOST_NAMES = 3


def fit_notes(
    found: Iterable[tuple[AnnotatedImage, Path, tuple[int, ...]]],
) -> tuple[str, ...]:
    """Return sentences on images that seem to be others than those that were annotated.

    Parameters
    ----------
    found : iterable of (AnnotatedImage, Path, tuple of int)
        Images of an annotation file, with the file that was found for each, and its shape, which
        begins with rows and columns.

    Returns
    -------
    tuple of str
        One sentence for the images whose width and height are not those that the annotations say;
        one for those of the others beyond which regions reach by more than 5 pixels and 1 % of the
        side; one for files of the very name whose size in bytes is another one than VIA noted.
    """
    sides, beyond, changed = {}, {}, {}
    for image, path, (height, width, *_) in found:
        noted = image.extras.get("width"), image.extras.get("height")
        if None not in noted and noted != (width, height):
            sides[path.name] = f"{width} x {height} px, annotated {noted[0]} x {noted[1]}"
        elif reach := _reach_beyond(image, height, width):
            beyond[path.name] = f"{width} x {height} px, regions {reach}"
        elif (n_bytes := _other_bytes(image, path)) is not None:
            changed[path.name] = f"{n_bytes} bytes, annotated {image.size_bytes}"
    remedy = "Their regions may lie elsewhere: use the images that were annotated"
    texts = (
        (
            "image has another size than the annotations say",
            "images have another size than the annotations say",
            sides,
            f". {remedy}.",
        ),
        (
            "image is smaller than what its regions cover",
            "images are smaller than what their regions cover",
            beyond,
            f". {remedy}.",
        ),
        (
            "image file has changed since it was annotated",
            "image files have changed since they were annotated",
            changed,
            ".",
        ),
    )
    return tuple(
        f"{counted(len(all_), one, several)}: {_listed(all_)}{end}"
        for one, several, all_, end in texts
        if all_
    )


def _listed(reasons: Mapping[str, str]) -> str:
    named = [f"{name} ({reason})" for name, reason in reasons.items()]
    return ", ".join(named[:_MOST_NAMES]) + (", ..." if len(named) > _MOST_NAMES else "")


def _reach_beyond(image: AnnotatedImage, height: int, width: int) -> str:
    """Return how far the regions of an image reach if it is too far; else an empty text."""
    outlines = [outline_px(region) for region in image.drawable]
    if not outlines:
        return ""
    low_y, high_y = (f(float(f(rows)) for rows, _ in outlines) for f in (min, max))
    low_x, high_x = (f(float(f(columns)) for _, columns in outlines) for f in (min, max))
    spare_x, spare_y = (max(_LEAST_PX, _LEAST_SHARE * side) for side in (width, height))
    is_beyond = (
        low_x < -spare_x
        or low_y < -spare_y
        or high_x > width + spare_x
        or high_y > height + spare_y
    )
    return f"from {low_x:.0f}, {low_y:.0f} to {high_x:.0f}, {high_y:.0f}" if is_beyond else ""


def _other_bytes(image: AnnotatedImage, path: Path) -> int | None:
    """Return the size of a file in bytes, if it is another one than VIA noted for that name."""
    parts = name_parts(image.filename)
    if image.size_bytes is None or not parts or PurePath(parts[-1]).name != path.name:
        return None
    if not path.is_file():
        return None
    n_bytes = path.stat().st_size
    return None if n_bytes == image.size_bytes else n_bytes
