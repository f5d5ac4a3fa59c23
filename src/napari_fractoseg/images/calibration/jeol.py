"""JEOL: a file ``.txt`` beside the image; the image itself says nothing."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from napari_fractoseg.images.calibration.facts import (
    MOST_BAR,
    PixelSize,
    Said,
    SemFacts,
    agreed,
    for_frame,
    length_text,
    unconfirmed,
)
from napari_fractoseg.images.calibration.texts import (
    iso_date,
    length_um,
    number,
    positive,
    voltage_kv,
)

__all__ = ["read_jeol_sidecar"]

_ENTRY = re.compile(r"\${1,2}([A-Z][A-Z0-9_]*)[ \t]*([^\r\n]*)", re.ASCII)
_PRINT_UM = 120e3
"""Width of the print to which the magnification refers: that of the 8530F and of most others."""
_WIDE_PRINT_UM = 128e3
_WIDE = re.compile(r"4700F|(JSM-)?IT\d+.*")
"""Instruments with a wider print."""
_AGREE = 0.015
"""Largest relative difference of micron bar and magnification: the bar has whole pixels."""


def read_jeol_sidecar(text: str, shape: tuple[int, int]) -> SemFacts | None:
    """Return what a file ``.txt`` says; None if it is none of JEOL."""
    entries: dict[str, str] = {}
    for line in text.splitlines():
        match = _ENTRY.fullmatch(line.strip())
        if match:
            entries.setdefault(match[1], match[2].strip())
    if not {"CM_FORMAT", "CM_MAG", "SM_MICRON_BAR"} & {*entries}:
        return None
    frame = _full_size(entries)
    size, is_estimated, notes = _pixel_size(entries, frame or shape)
    rows = None
    if frame is not None and frame[1] == shape[1] and frame[0] >= (1 - MOST_BAR) * shape[0]:
        rows = int(frame[0]) if frame[0] <= shape[0] else None
    return SemFacts(
        for_frame(size, frame, shape),
        is_estimated and size.x_um is not None,
        instrument=f"JEOL {entries.get('CM_INSTRUMENT', '')}".strip(),
        detector=entries.get("CM_DETECTOR", "") or entries.get("CM_SIGNAL", ""),
        voltage_kv=voltage_kv(entries.get("CM_ACCEL_VOLT"), "kV"),
        working_distance_mm=positive(entries.get("SM_WD")),
        magnification=positive(entries.get("CM_MAG")),
        date=iso_date(entries.get("CM_DATE"), entries.get("CM_TIME")),
        image_rows=rows,
        image_rows_from="" if rows is None else "JEOL $CM_FULL_SIZE",
        overlay="JEOL $$SM_MICRON_MARKER" if entries.get("SM_MICRON_MARKER") else "",
        notes=notes,
    )


def _full_size(entries: Mapping[str, str]) -> tuple[float, float] | None:
    """Return rows and columns of the image without the info bar."""
    match = re.fullmatch(r"(\d{1,9}) +(\d{1,9})", entries.get("CM_FULL_SIZE", ""), re.ASCII)
    return (float(match[2]), float(match[1])) if match and "0" not in match.groups() else None


def _pixel_size(
    entries: Mapping[str, str], frame: tuple[float, float]
) -> tuple[PixelSize, bool, tuple[str, ...]]:
    """Return the pixel size, whether it is estimated, and notes."""
    by_magnification = _by_magnification(entries, frame[1])
    marker, bar = length_um(entries.get("SM_MICRON_MARKER")), number(entries.get("SM_MICRON_BAR"))
    field = length_um((entries.get("CM_FIELD_OF_VIEW", "").split() or [""])[0], "mm")
    if marker is not None and bar is not None:
        said = Said(marker / bar if bar else math.nan, "JEOL sidecar, micron bar")
    elif field is not None:
        said = Said(field / frame[1], "JEOL sidecar, field of view")
    elif by_magnification is not None:
        said = by_magnification
    else:
        return PixelSize(), False, ()
    size = agreed([said])
    if said is by_magnification:
        return size, True, (
            "The pixel size is estimated from the magnification, which refers to a print of 120 or "
            "128 mm: it may be 7 % off. Check it with the scale bar.",
        )  # fmt: skip
    return size, False, _doubt(said, by_magnification)


def _doubt(said: Said, by_magnification: Said | None) -> tuple[str, ...]:
    """Return a note if the magnification stands for another pixel size on both kinds of print."""
    if said.is_absurd:
        return ()
    if by_magnification is None:
        return (unconfirmed(said.source),)
    um = by_magnification.um
    both = {um, um * _WIDE_PRINT_UM / _PRINT_UM, um * _PRINT_UM / _WIDE_PRINT_UM}
    if any(math.isclose(said.um, one, rel_tol=_AGREE) for one in both):
        return ()
    return (
        f"{said.source} says {length_text(said.um)} a pixel, the magnification stands for about "
        f"{length_text(um)}: check it with the scale bar.",
    )


def _by_magnification(entries: Mapping[str, str], columns: float) -> Said | None:
    magnification = number(entries.get("CM_MAG"))
    if magnification is None:
        return None
    is_wide = _WIDE.fullmatch(entries.get("CM_INSTRUMENT", "")) is not None
    width = _WIDE_PRINT_UM if is_wide else _PRINT_UM
    um = width / magnification / columns if magnification else math.nan
    return Said(um, "JEOL sidecar, estimated from the magnification")
