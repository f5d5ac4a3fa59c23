"""VGG Image Annotator (VIA) files -> annotated images.

So far VIA 2: the annotations JSON and the project JSON.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from napari_fractoseg.errors import AnnotationError

__all__ = ["AnnotatedImage", "Region", "is_via", "read_via"]


@dataclass(frozen=True)
class Region:
    """One annotated shape.

    Parameters
    ----------
    shape : mapping
        VIA's ``shape_attributes``: ``name`` and coordinates. Coordinates are
        pixel edges: x from 0 to the width of the image, y to its height.
    attributes : mapping
        VIA's ``region_attributes``.
    """

    shape: Mapping[str, Any]
    attributes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def kind(self) -> str:
        """``rect``, ``circle``, ``ellipse``, ``polygon``, ``polyline`` or ``point``."""
        return str(self.shape.get("name", ""))


@dataclass(frozen=True)
class AnnotatedImage:
    """An image entry of a VIA file.

    Parameters
    ----------
    filename : str
        As the file says; it is data, not a path to be trusted.
    regions : tuple of Region
        In drawing order.
    size_bytes : int or None
        Size of the image file, None where VIA did not know it.
    attributes : mapping
        VIA's ``file_attributes``.
    """

    filename: str
    regions: tuple[Region, ...]
    size_bytes: int | None = None
    attributes: Mapping[str, Any] = field(default_factory=dict)


def is_via(path: Path | str) -> bool:
    """Whether a JSON file is a VIA 2 annotation or project file, judged by its content."""
    try:
        document = _load(Path(path))
    except AnnotationError:
        return False
    return _entries(document) is not None


def read_via(path: Path | str) -> list[AnnotatedImage]:
    """Read the annotated images of a VIA 2 file.

    Parameters
    ----------
    path : Path or str
        VIA 2 annotations JSON or project JSON.

    Returns
    -------
    list of AnnotatedImage
        In the order of the file.

    Raises
    ------
    AnnotationError
        If it is no VIA 2 file, naming file, image and region.
    """
    path = Path(path)
    entries = _entries(_load(path))
    if entries is None:
        raise AnnotationError(
            f"{path} is not a VIA 2 annotation file. Export it from VIA by Annotation > Export "
            "Annotations (as json)."
        )
    return [_image(path, key, entry) for key, entry in entries.items()]


def _load(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise AnnotationError(f"{path} cannot be read: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:
        raise AnnotationError(
            f"{path} is not JSON ({error}). Export the annotations from VIA again."
        ) from error


def _entries(document: Any) -> Mapping[str, Any] | None:
    """Return the image entries of a VIA 2 document, None if it is something else."""
    if not isinstance(document, dict):
        return None
    entries = document.get("_via_img_metadata", document)
    if not isinstance(entries, dict):
        return None
    if entries is document and not entries:
        return None
    fits = all(isinstance(e, dict) and "filename" in e and "regions" in e for e in entries.values())
    return entries if fits else None


def _image(path: Path, key: str, entry: Mapping[str, Any]) -> AnnotatedImage:
    regions = entry["regions"] or []
    if not isinstance(regions, list):
        raise AnnotationError(
            f"{path}, image {key!r}: regions are {type(regions).__name__}, not a list (VIA 1 "
            "layout). Open the file in VIA 2 and export it again."
        )
    size = entry.get("size")
    return AnnotatedImage(
        filename=str(entry["filename"]),
        regions=tuple(_region(path, key, i, region) for i, region in enumerate(regions)),
        size_bytes=int(size) if isinstance(size, int | str) and _is_size(size) else None,
        attributes=entry.get("file_attributes") or {},
    )


def _is_size(size: int | str) -> bool:
    return str(size).isdigit()


def _region(path: Path, key: str, number: int, region: Any) -> Region:
    shape = region.get("shape_attributes") if isinstance(region, dict) else None
    if not isinstance(shape, dict) or not isinstance(shape.get("name"), str):
        raise AnnotationError(
            f"{path}, image {key!r}, region {number}: no shape in {str(region)[:80]!r}. Draw it "
            "again in VIA, or remove it from the file."
        )
    return Region(shape, region.get("region_attributes") or {})
