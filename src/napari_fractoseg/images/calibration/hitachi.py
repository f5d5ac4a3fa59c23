"""Hitachi: entries in the tag 40092 (XPComment), or in a file ``.txt`` beside the image."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from napari_fractoseg.images.calibration.facts import (
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
    positive,
    sections,
    voltage_kv,
)
from napari_fractoseg.images.formats.sem_tags import AUTHOR, COMMENT, TiffTags

__all__ = ["read_hitachi", "read_hitachi_sidecar"]

_SECTION = "SemImageFile"
_PRINT_UM = 127e3
"""Width of the print to which Hitachi's magnification refers."""
_AGREE = 5e-3
"""Largest relative difference of the pixel size and that of the magnification."""


def read_hitachi(tags: TiffTags) -> SemFacts | None:
    """Return what Hitachi's comment says; None if there is none."""
    found = sections(tags.text(COMMENT, "utf-16-le"))
    entries = {**found.get(_SECTION, {}), **found[""]}
    if "PixelSize" not in entries:
        return None
    named = {"InstructName": tags.text(AUTHOR, "utf-16-le"), **entries}
    return _facts(named, "Hitachi PixelSize", tags.shape)


def read_hitachi_sidecar(text: str, shape: tuple[int, int]) -> SemFacts | None:
    """Return what a file ``.txt`` says; None if it is none of Hitachi."""
    entries = sections(text).get(_SECTION)
    return None if entries is None else _facts(entries, "Hitachi sidecar, PixelSize", shape)


def _facts(entries: Mapping[str, str], source: str, shape: tuple[int, int]) -> SemFacts:
    um = length_um(entries.get("PixelSize"), "nm")
    match = re.fullmatch(r"(\d{1,9})x(\d{1,9})", entries.get("DataSize", ""), re.ASCII)
    frame = (float(match[2]), float(match[1])) if match else None
    size = for_frame(agreed([] if um is None else [Said(um, source)]), frame, shape)
    magnification = positive(entries.get("Magnification"))
    notes = []
    if size.x_um and not (magnification and frame):
        notes.append(unconfirmed(source))
    if size.x_um and magnification and frame:
        by_magnification = _PRINT_UM / magnification / frame[1]
        if not math.isclose(size.x_um, by_magnification, rel_tol=_AGREE):
            notes.append(
                f"{source} says {length_text(size.x_um)} a pixel, the magnification stands for "
                f"{length_text(by_magnification)}: check it with the scale bar."
            )
    distance = length_um(entries.get("WorkingDistance"), "um")
    return SemFacts(
        size,
        instrument=f"Hitachi {entries.get('InstructName', '')}".strip(),
        detector=entries.get("SignalName", ""),
        voltage_kv=voltage_kv(entries.get("AcceleratingVoltage")),
        working_distance_mm=distance / 1e3 if distance is not None and distance > 0 else None,
        magnification=magnification,
        date=iso_date(entries.get("Date"), entries.get("Time")),
        notes=tuple(notes),
    )
