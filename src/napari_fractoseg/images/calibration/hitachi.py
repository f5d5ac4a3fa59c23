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
_AGREE = 0.01
"""Largest relative difference of the pixel size and that of the magnification: it has 3 digits."""
_CONDITION = re.compile(r"(Vacc|Mag|WD)=x?([0-9.]+)([a-zA-Z]*)", re.ASCII)
"""Entries in the line ``Condition=Vacc=15.0kV Mag=x1.20k WD=7.9mm``."""
_NAMES = {"Vacc": "AcceleratingVoltage", "Mag": "Magnification", "WD": "WorkingDistance"}


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


def _condition(text: str) -> dict[str, str]:
    """Return the entries in the line on the condition, named and written as in the longer text."""
    entries = {}
    for name, value, unit in _CONDITION.findall(text):
        written = f"{value} {unit}" if name != "Mag" else value + "e3" * (unit == "k")
        entries[_NAMES[name]] = written.strip()
    return entries


def _facts(given: Mapping[str, str], source: str, shape: tuple[int, int]) -> SemFacts:
    entries = {**_condition(given.get("Condition", "")), **given}
    um = length_um(entries.get("PixelSize"), "nm")
    match = re.fullmatch(r"(\d{1,9})x(\d{1,9})", entries.get("DataSize", ""), re.ASCII)
    frame = (float(match[2]), float(match[1])) if match else None
    size = for_frame(agreed([] if um is None else [Said(um, source)]), frame, shape)
    magnification = positive(entries.get("Magnification"))
    notes = []
    if size.x_um and not magnification:
        notes.append(unconfirmed(source))
    if size.x_um and magnification:
        by_magnification = _PRINT_UM / magnification / (frame or shape)[1]
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
