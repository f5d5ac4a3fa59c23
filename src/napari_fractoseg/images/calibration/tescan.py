"""TESCAN: a text in the tag 50431, after a thumbnail, or in a file ``.hdr`` beside the image."""

from __future__ import annotations

import re
from collections.abc import Mapping

from napari_fractoseg.images.calibration.facts import MOST_BAR, Said, SemFacts, agreed, unconfirmed
from napari_fractoseg.images.calibration.texts import (
    iso_date,
    length_um,
    number,
    positive,
    sections,
    voltage_kv,
)
from napari_fractoseg.images.formats.sem_tags import TESCAN, TiffTags

__all__ = ["read_tescan", "read_tescan_sidecar"]

_BEGINNING = "AccFrames="
_LINE_END = re.compile(r"[\r\n\0]+")


def read_tescan(tags: TiffTags) -> SemFacts | None:
    """Return what TESCAN's tag says; None if there is none."""
    text = tags.raw.get(TESCAN, b"").decode("latin-1")  # a picture comes first
    if not text:
        return None
    entries: dict[str, str] = {}
    for line in _LINE_END.split(text[max(text.find(_BEGINNING), 0) :]):
        key, _, value = line.partition("=")
        entries.setdefault(key.strip(), value.strip())
    return _facts(entries, "TESCAN PixelSize", tags.shape)


def read_tescan_sidecar(text: str, shape: tuple[int, int]) -> SemFacts | None:
    """Return what a file ``.hdr`` says; None if it is none of TESCAN."""
    found = sections(text)
    main = found.get("MAIN", {})
    if not {"PixelSizeX", "Device"} & {*main}:
        return None
    return _facts({**found.get("SEM", {}), **main}, "TESCAN sidecar, PixelSize", shape)


def _facts(entries: Mapping[str, str], source: str, shape: tuple[int, int]) -> SemFacts:
    x, y = (
        [Said(um, f"{source}{axis}")]
        if (um := length_um(entries.get(f"PixelSize{axis}"), "m")) is not None
        else []
        for axis in "XY"
    )
    strip = number(entries.get("ImageStripSize"))
    has_strip = strip is not None and strip.is_integer() and 0 < strip <= MOST_BAR * shape[0]
    return SemFacts(
        agreed(x, y),
        instrument=f"TESCAN {entries.get('Device', '')}".strip(),
        detector=entries.get("Detector", ""),
        voltage_kv=voltage_kv(entries.get("HV")),
        working_distance_mm=positive(entries.get("WD"), 1e3),
        magnification=positive(entries.get("Magnification")),
        date=iso_date(entries.get("Date"), entries.get("Time")),
        image_rows=shape[0] - int(strip or 0) if has_strip else None,
        image_rows_from="TESCAN ImageStripSize" if has_strip else "",
        notes=(unconfirmed(x[0].source),) if x and not y else (),
    )
