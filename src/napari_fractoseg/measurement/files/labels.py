"""Labels of a file as they are measured: classes, pixel size and where that comes from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from napari_fractoseg.annotations.formats.masks import SCHEME_FILE, read_scheme
from napari_fractoseg.classes import DEFAULT_SCHEME, ClassScheme
from napari_fractoseg.errors import ClassSchemeError, ImageError
from napari_fractoseg.images import TIFF_SUFFIXES, MicrographStack, read_image, read_mask
from napari_fractoseg.images.calibration import PixelSize
from napari_fractoseg.images.calibration.claims import same_edges
from napari_fractoseg.images.reading import safe_facts
from napari_fractoseg.results.record import LabelRecord, scheme_in
from napari_fractoseg.text import listed

__all__ = ["CONFIDENCE", "LABELS", "open_labels", "scheme_of"]

LABELS, CONFIDENCE = "_labels", "_confidence"


def scheme_of(
    files: Iterable[tuple[Path, Mapping[str, Any]]], scheme: ClassScheme | None = None
) -> ClassScheme:
    """Return the classes of label files: those given, else those of the first that says them.

    A file says them itself, as labels of this program do, or by ``classes.json`` beside it.

    Parameters
    ----------
    files : iterable of (Path, mapping)
        Label files, and what is stored with the labels of each (`read_entries`).
    scheme : ClassScheme, optional
        Classes that are given.

    Raises
    ------
    ClassSchemeError
        If there is a ``classes.json`` that has no classes.
    """
    said = (found for file in files if (found := _scheme_said(*file)) is not None)
    return scheme or next(said, DEFAULT_SCHEME)


def _scheme_said(path: Path, entries: Mapping[str, Any]) -> ClassScheme | None:
    """Return the classes that a file records, or else those that are said beside it."""
    recorded, beside = scheme_in(entries), path.parent / SCHEME_FILE
    return read_scheme(beside) if recorded is None and beside.is_file() else recorded


def open_labels(
    path: Path, entries: Mapping[str, Any], scheme: ClassScheme, *, is_given: bool = False
) -> tuple[Any, float | None, str]:
    """Return labels, read in parts where they are large, the file's pixel size, and its origin.

    Parameters
    ----------
    path : Path
        Label file.
    entries : mapping
        What is stored with the labels (`read_entries`).
    scheme : ClassScheme
        Classes that are measured.
    is_given : bool
        Whether a user said that these are the classes, which then goes before ``classes.json``
        beside the file, though not before what the file itself records.

    Raises
    ------
    FractosegError
        If the file cannot be read, or its labels are of other classes.
    """
    record = LabelRecord.from_dict(entries)
    said = scheme_in(entries) if is_given else _scheme_said(path, entries)
    if said is not None and not said.is_like(scheme):
        own, wanted = (listed(f"{c.value} {c.name}" for c in each) for each in (said, scheme))
        raise ClassSchemeError(
            f"Its classes ({own}) are not those that are measured ({wanted}). Measure it apart."
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
