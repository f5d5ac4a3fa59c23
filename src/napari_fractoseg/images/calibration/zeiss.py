"""Zeiss: names and values, line by line, in the tag 34118."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from napari_fractoseg.images.calibration.facts import PixelSize, Said, SemFacts, agreed, for_frame
from napari_fractoseg.images.calibration.texts import (
    iso_date,
    length_um,
    number,
    positive,
    voltage_kv,
)
from napari_fractoseg.images.formats.sem_tags import ZEISS, TiffTags

__all__ = ["read_zeiss"]

_KEY = re.compile(r"[A-Z]{2}_[A-Z0-9_]+", re.ASCII)
_SMARTSEM_COLUMNS = 1024
"""Columns of the frame that the unnamed pixel size refers to, whatever is stored."""
_PLACE = 3
"""Place of the pixel size in metres among the values without a name."""
_MAGNIFICATION = re.compile(r"([\d.]{1,20})\s{0,3}(K?)\s{0,3}X", re.ASCII)


def read_zeiss(tags: TiffTags) -> SemFacts | None:
    """Return what the tag of Zeiss says; None if there is none."""
    if ZEISS not in tags.raw:
        return None
    entries, unnamed = _entries(tags.text(ZEISS))
    height, width = (length_um(entries.get(f"AP_{name}")) for name in ("HEIGHT", "WIDTH"))
    return SemFacts(
        _pixel_size(entries, unnamed, width, height, tags.shape),
        instrument=f"Zeiss {entries.get('SV_SERIAL_NUMBER', '')}".strip(),
        detector=entries.get("DP_DETECTOR_CHANNEL", "") or entries.get("DP_DETECTOR_TYPE", ""),
        voltage_kv=voltage_kv(entries.get("AP_ACTUALKV"), "?"),
        working_distance_mm=_millimetres(entries.get("AP_WD")),
        magnification=_magnification(entries.get("AP_MAG", "")),
        date=iso_date(entries.get("AP_DATE"), entries.get("AP_TIME")),
    )


def _entries(text: str) -> tuple[Mapping[str, str], list[str]]:
    """Return key -> value, and the lines in front of them, which have no name."""
    entries: dict[str, str] = {}
    unnamed: list[str] = []
    key = ""
    for raw in text.splitlines():
        line = raw.strip()
        if _KEY.fullmatch(line):
            key = line
        elif key:
            value = re.split("[=:]", line, maxsplit=1)[-1] if re.search("[=:]", line) else ""
            entries.setdefault(key, value.strip())
            key = ""
        elif not entries:
            unnamed.append(line)
    return entries, unnamed


def _pixel_size(
    entries: Mapping[str, str],
    unnamed: list[str],
    width: float | None,
    height: float | None,
    shape: tuple[int, int],
) -> PixelSize:
    """Return the pixel size; ``AP_PIXEL_SIZE`` is that of a frame of 1024 columns, and not used."""
    rows, columns = shape
    said = []
    stored = length_um(entries.get("AP_IMAGE_PIXEL_SIZE"))
    if stored is not None:
        said.append(Said(stored, "Zeiss ap_image_pixel_size"))
    if width is not None:
        said.append(Said(width / columns, "Zeiss ap_width / columns"))
    precise = number(unnamed[_PLACE]) if len(unnamed) > _PLACE else None
    in_full = Said((precise or 0) * 1e6 * _SMARTSEM_COLUMNS / columns, "Zeiss, values without name")
    said += [in_full] if precise else []
    size = agreed(said)
    if width and height and stored is not None and stored > 0:
        size = for_frame(size, (height / stored, width / stored), shape)
    elif width and height:  # only the field of view is known: the image must be all of it
        size = for_frame(size, (columns * height / width, columns), shape)
        if size.x_um and abs(rows / columns / (height / width) - 1) > _SAME_SHAPE:
            size = size.unknown(
                f"The image has {columns} x {rows} px, which is not the shape of the field that "
                "Zeiss ap_width and ap_height say: it was cut. Give the pixel size by hand."
            )
    if size.x_um is not None and in_full.agrees(Said(size.x_um, "")):  # the others have 4 digits
        size = replace(size, x_um=in_full.um, y_um=in_full.um)
    return size


_SAME_SHAPE = 0.02
"""Largest relative difference of the shape of the image and that of its field of view."""


def _magnification(text: str) -> float | None:
    """Return the number in ``50.00 K X`` or ``105 X``."""
    match = _MAGNIFICATION.fullmatch(text)
    return positive(match[1], 1e3 if match[2] else 1.0) if match else None


def _millimetres(text: str | None) -> float | None:
    um = length_um(text)
    return None if um is None else positive(f"{um / 1e3:.12g}")
