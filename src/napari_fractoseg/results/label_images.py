"""Metadata of OME-Zarr images and label images. Reads small files only; never imports zarr."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from napari_fractoseg.classes import (
    DEFAULT_SCHEME,
    PALETTES,
    UNLABELLED,
    ClassScheme,
    FractureClass,
)
from napari_fractoseg.errors import ClassSchemeError, ImageError
from napari_fractoseg.images.ome_zarr import LabelNames, NgffMetadata, read_metadata

__all__ = ["FRACTOSEG_ATTRIBUTE", "NgffImage", "read_ngff"]

FRACTOSEG_ATTRIBUTE = "fractoseg"
"""Name of the attribute of a zarr group that holds the provenance of our labels."""

_COLOURS = PALETTES["standard"]


@dataclass(frozen=True)
class NgffImage:
    """Metadata of an OME-Zarr image or label image.

    Parameters
    ----------
    metadata : NgffMetadata
        Arrays, axes and scale of the image.
    scheme : ClassScheme or None
        Classes of a label image; None if the values have no names.
    provenance : dict
        Origin of labels or uncertainty that this program wrote: image, model, settings. Empty
        for other files.
    """

    metadata: NgffMetadata
    scheme: ClassScheme | None
    provenance: Mapping[str, Any]


def read_ngff(folder: Path) -> NgffImage | None:
    """Read the metadata of an OME-Zarr group, and of its classes if it holds labels.

    Parameters
    ----------
    folder : Path
        Folder of the group.

    Returns
    -------
    NgffImage or None
        The metadata; None if the folder is something else, does not name its axes, or is
        damaged.
    """
    try:
        metadata = read_metadata(folder)
    except ImageError:
        return None
    if metadata is None or not metadata.axes:
        return None
    provenance = metadata.attributes.get(FRACTOSEG_ATTRIBUTE)
    provenance = provenance if isinstance(provenance, dict) else {}
    return NgffImage(metadata, _scheme(metadata.labels, provenance), provenance)


def _own_scheme(provenance: Mapping[str, Any]) -> ClassScheme | None:
    """Return the class scheme in the provenance, with aliases; None if there is none."""
    try:
        return ClassScheme.from_dict(provenance["scheme"])
    except (KeyError, ClassSchemeError):
        return None


def _scheme(labels: LabelNames | None, provenance: Mapping[str, Any]) -> ClassScheme | None:
    """Return the classes of a label image, by preference those in the provenance, or None."""
    if labels is None:
        return None
    if (own := _own_scheme(provenance)) is not None:
        return own
    named = {value: name for value, name in labels.names.items() if value != UNLABELLED}
    if not named:
        return None
    try:
        classes = tuple(
            _class(value, name, labels.colors.get(value)) for value, name in sorted(named.items())
        )
        return ClassScheme(_scheme_name(classes), classes)
    except ClassSchemeError:  # such as values above 255
        return None


def _class(value: int, name: str, rgba: Sequence[int] | None) -> FractureClass:
    """Return a class of a label image; what OME-Zarr does not say is as in the default scheme."""
    if rgba is None:
        color = _COLOURS[(value - 1) % len(_COLOURS)]
    else:
        digits = bytes(rgba).hex().ljust(8, "f")
        color = f"#{digits[:6] if digits.endswith('ff') else digits}"
    known = DEFAULT_SCHEME.get(name)
    if known is not None:
        return replace(known, value=value, name=name, color=color)
    new = FractureClass(value, name, color)
    return replace(new, is_fracture_mode=not new.is_transparent)


def _scheme_name(classes: Sequence[FractureClass]) -> str:
    known = all(DEFAULT_SCHEME.get(c.name) is not None for c in classes)
    return DEFAULT_SCHEME.name if known else "classes"
