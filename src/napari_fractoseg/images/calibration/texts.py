"""Parts of the texts that microscopes write: encodings, numbers with units, dates."""

from __future__ import annotations

import math
import re

from napari_fractoseg.images.axes import micrometres_in

__all__ = ["decoded", "iso_date", "length_um", "number", "positive", "sections", "voltage_kv"]

_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?", re.ASCII)
_LONGEST_NUMBER = 64
_VOLTS = {"v": 1e-3, "volt": 1e-3, "volts": 1e-3, "kv": 1.0, "": 1e-3}
"""Kilovolts in a unit of voltage; without one it is volts."""
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_TIME = re.compile(r"(\d{1,2}):(\d{2})(?::(\d{2}))?\s*([AP]M)?", re.ASCII | re.IGNORECASE)
_BOMS = ((b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be"), (b"\xef\xbb\xbf", "utf-8"))


def decoded(data: bytes) -> str:
    """Return the text of a file beside an image: UTF-16 or UTF-8 with a mark, else Latin."""
    for mark, encoding in _BOMS:
        if data.startswith(mark):
            return data[len(mark) :].decode(encoding, "replace")
    return data.decode("cp1252", "replace")


def sections(text: str) -> dict[str, dict[str, str]]:
    r"""Return the entries ``key=value`` of a text by their section ``[Name]``.

    Examples
    --------
    >>> from napari_fractoseg.images.calibration.texts import sections
    >>> sections("a=1\n[Beam]\nHV=5000")
    {'': {'a': '1'}, 'Beam': {'HV': '5000'}}
    """
    found: dict[str, dict[str, str]] = {"": {}}
    current = found[""]
    for raw in text.splitlines():
        line = raw.strip()
        if line.startswith("["):
            current = found.setdefault(line[1:].removesuffix("]"), {})
        elif "=" in line:
            key, _, value = line.partition("=")
            current.setdefault(key.strip(), value.strip())
    return found


def number(text: str | None) -> float | None:
    """Return a number in the notation of programs; None if nothing is said, else NaN if none.

    Examples
    --------
    >>> from napari_fractoseg.images.calibration.texts import number
    >>> number("2.5012e-6"), number(""), number("2,5")
    (2.5012e-06, None, nan)
    """
    text = (text or "").strip()
    if not text:
        return None
    if len(text) > _LONGEST_NUMBER or not _NUMBER.fullmatch(text):
        return math.nan
    return float(text)


def positive(text: str | None, factor: float = 1.0) -> float | None:
    """Return a number above 0 times a factor; None if it is anything else."""
    value = number(text)
    if value is None or not 0 < value * factor < math.inf:
        return None
    return float(f"{value * factor:.12g}")  # without the noise of another unit


def length_um(text: str | None, unit: str = "") -> float | None:
    """Return a length in micrometres; None if nothing is said, NaN if it is no length.

    Parameters
    ----------
    text : str or None
        Number, with or without its unit.
    unit : str
        Unit, where the text has none.

    Examples
    --------
    >>> from napari_fractoseg.images.calibration.texts import length_um
    >>> length_um("100um"), length_um("2.5 nm"), length_um("3e-6", "m"), length_um("4 parsec")
    (100.0, 0.0025, 3.0, nan)
    """
    text = (text or "").strip()
    if not text:
        return None
    match = _NUMBER.match(text)
    if match is None or len(text) > _LONGEST_NUMBER:
        return math.nan
    factor = micrometres_in(text[match.end() :].strip() or unit)
    return math.nan if factor is None else float(match[0]) * factor


def voltage_kv(text: str | None, unit: str = "") -> float | None:
    """Return a voltage in kilovolts, without its sign; None if it is none above 0."""
    text = (text or "").strip()
    match = _NUMBER.match(text)
    if match is None or len(text) > _LONGEST_NUMBER:
        return None
    factor = _VOLTS.get((text[match.end() :].strip() or unit).lower())
    return None if factor is None else positive(match[0].lstrip("+-"), factor)


def iso_date(date: str | None, time: str | None = "") -> str:
    """Return date and time as ISO 8601; empty if they are none, or day and month cannot be told.

    Examples
    --------
    >>> from napari_fractoseg.images.calibration.texts import iso_date
    >>> iso_date("25 Sep 2018", "8:20:42"), iso_date("06/13/2016", "05:06:40 PM")
    ('2018-09-25T08:20:42', '2016-06-13T17:06:40')
    >>> iso_date("11/10/2023"), iso_date("2021/06/23", "16:43:33")
    ('', '2021-06-23T16:43:33')
    """
    day = _day(re.split(r"[^0-9A-Za-z]+", (date or "").strip()))
    if day is None:
        return ""
    year, month, number_of_day = day
    text = f"{year:04d}-{month:02d}-{number_of_day:02d}"
    match = _TIME.fullmatch((time or "").strip())
    if match is None:
        return text
    hour, minute, second = (int(part or 0) for part in match.groups()[:3])
    if match[4]:
        hour = hour % 12 + 12 * (match[4].upper() == "PM")
    if hour > 23 or minute > 59 or second > 59:
        return text
    return f"{text}T{hour:02d}:{minute:02d}:{second:02d}"


def _day(parts: list[str]) -> tuple[int, int, int] | None:
    """Return year, month and day of the three parts of a date."""
    if len(parts) != 3 or any(len(part) > 9 for part in parts):
        return None
    first, second, third = parts
    if second[:3].lower() in _MONTHS:  # 25 Sep 2018
        second = str(_MONTHS.index(second[:3].lower()) + 1)
        found = [(third, second, first)]
    elif len(first) == 4:  # 2018-09-25
        found = [(first, second, third)]
    else:  # 09/25/2018 in America, 25.09.2018 elsewhere
        found = [(third, first, second), (third, second, first)]
    if not all(part.isascii() and part.isdecimal() for part in (first, second, third)):
        return None
    days = {(int(y), int(m), int(d)) for y, m, d in found}
    possible = {(y, m, d) for y, m, d in days if 1900 < y < 2200 and 0 < m < 13 and 0 < d < 32}
    return possible.pop() if len(possible) == 1 else None
