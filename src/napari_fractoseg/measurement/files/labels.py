"""Labels of a file as they are measured: classes, pixel size and where that comes from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from napari_fractoseg.classes import DEFAULT_SCHEME, ClassScheme
from napari_fractoseg.errors import ClassSchemeError, ImageError
from napari_fractoseg.images import TIFF_SUFFIXES, MicrographStack, read_image, read_mask
from napari_fractoseg.images.calibration import PixelSize
from napari_fractoseg.images.calibration.claims import same_edges
from napari_fractoseg.images.reading import safe_facts
from napari_fractoseg.results.record import LabelRecord, scheme_in

__all__ = ["CONFIDENCE", "LABELS", "open_labels", "scheme_of"]

LABELS, CONFIDENCE = "_labels", "_confidence"


def scheme_of(
    entries: Iterable[Mapping[str, Any]], scheme: ClassScheme | None = None
) -> ClassScheme:
    """Return the classes of label files: those given, else those of the first that records them.

    Parameters
    ----------
    entries : iterable of mapping
        What is stored with the labels of each file (`read_entries`).
    scheme : ClassScheme, optional
        Classes that are given.
    """
    recorded = (found for each in entries if (found := scheme_in(each)) is not None)
    return scheme or next(recorded, DEFAULT_SCHEME)


def open_labels(
    path: Path, entries: Mapping[str, Any], scheme: ClassScheme
) -> tuple[Any, float | None, str]:
    """Return labels, read in parts where they are large, the file's pixel size, and its origin.

    Parameters
    ----------
    path : Path
        File of labels.
    entries : mapping
        What is stored with them (`read_entries`).
    scheme : ClassScheme
        Classes that are measured.

    Raises
    ------
    FractosegError
        If the file cannot be read, or its labels are of other classes.
    """
    recorded, record = scheme_in(entries), LabelRecord.from_dict(entries)
    if recorded is not None and recorded.to_dict() != scheme.to_dict():
        raise ClassSchemeError(
            f"Its classes ({recorded.name}: {', '.join(recorded.names)}) are not those "
            f"that are measured ({', '.join(scheme.names)}). Measure it apart."
        )
    if not path.is_dir() and record is None:
        facts = safe_facts(path)
        return _plain_labels(path), facts.pixel_size_um, facts.pixel_size_from
    stack = _with_origin(read_image(path, rgb=False), record)
    if np.dtype(stack.data.dtype).kind not in "iu":
        raise ImageError(f"Its values are of type {stack.data.dtype}, not class values.")
    return stack.data, stack.pixel_size_um, stack.pixel_size_from


def _with_origin(stack: MicrographStack, record: LabelRecord | None) -> MicrographStack:
    """Return labels with the origin of their pixel size that is recorded, if it is still that."""
    size = PixelSize.from_dict({} if record is None else record.pixel_size)
    if not size.source or not same_edges(size, stack.pixel_size):
        return stack
    return replace(stack, pixel_size_from=size.source)


def _plain_labels(path: Path) -> Any:
    """Return labels that another program wrote: a mask, or a TIFF with several planes."""
    if path.suffix.lower() in TIFF_SUFFIXES:
        with suppress(ImageError):  # which is told better of a mask
            stack = read_image(path)
            if len(stack.shape) > 2 and not stack.rgb and np.dtype(stack.data.dtype).kind in "iu":
                return stack.data
    return read_mask(path)
