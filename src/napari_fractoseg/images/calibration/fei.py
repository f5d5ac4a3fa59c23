"""FEI and Thermo Fisher: sections of text in two tags, XML in a third one (also of Phenom)."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from dataclasses import replace

from napari_fractoseg.images.calibration.facts import (
    MOST_BAR,
    PixelSize,
    Said,
    SemFacts,
    agreed,
    for_frame,
)
from napari_fractoseg.images.calibration.texts import (
    iso_date,
    length_um,
    number,
    positive,
    sections,
    voltage_kv,
)
from napari_fractoseg.images.formats.sem_tags import FEI, FEI_OLD, FEI_XML, TiffTags

__all__ = ["read_fei", "read_fei_xml"]

_Sections = Mapping[str, Mapping[str, str]]


def read_fei(tags: TiffTags) -> SemFacts | None:
    """Return what FEI's sections of text say; None if there are none."""
    found: dict[str, Mapping[str, str]] = {}
    for code in (FEI_OLD, FEI):
        found |= sections(tags.text(code))
    if not {"Beam", "Image"} & {*found}:
        return None
    beam, image, detectors = (_of(found, name) for name in ("Beam", "Image", "Detectors"))
    column = _of(found, beam.get("Beam", ""))
    frame = _pair(image, "ResolutionY", "ResolutionX")
    size = for_frame(_pixel_size(found, frame), frame, tags.shape)
    facts = SemFacts(
        size,
        instrument=f"FEI / Thermo Fisher {_of(found, 'System').get('SystemType', '')}".strip(),
        detector=detectors.get("Name", ""),
        voltage_kv=voltage_kv(beam.get("HV")),
        working_distance_mm=positive(column.get("WD"), 1e3),
        date=_date(found),
    )
    return _with_rows(facts, frame, tags.shape, "FEI [Image] ResolutionY")


def _pixel_size(found: _Sections, frame: tuple[float, float] | None) -> PixelSize:
    """Return the pixel size of the scan; of a camera, the field of view over its pixels."""
    beam = _of(found, "Beam")
    names = [name for name in (beam.get("Scan", ""), "Scan") if name in found and name]
    x, y = [], []
    for name in dict.fromkeys(names):
        x += _said(found[name].get("PixelWidth"), f"FEI [{name}] PixelWidth")
        y += _said(found[name].get("PixelHeight"), f"FEI [{name}] PixelHeight")
    if frame is not None:
        fields_of_view = (
            (beam.get("Beam", ""), "HFW", "VFW"),
            ("Scan", "HorFieldsize", "VerFieldsize"),
        )
        for name, width, height in fields_of_view:
            fields = _of(found, name)
            x += _said(fields.get(width), f"FEI [{name}] {width} / ResolutionX", frame[1])
            y += _said(fields.get(height), f"FEI [{name}] {height} / ResolutionY", frame[0])
    return agreed(x, y)


def _said(text: str | None, source: str, n_pixels: float = 1.0) -> list[Said]:
    """Return a statement in metres on a number of pixels, if there is one."""
    um = length_um(text, "m")
    return [] if um is None else [Said(um / n_pixels, source)]


def _date(found: _Sections) -> str:
    """Return the date; that of ``[User]`` is written as the country of the microscope does."""
    created = _of(found, "PrivateFei").get("TimeOfCreation", "").split()
    user = _of(found, "User")
    if len(created) == 2 and (match := re.fullmatch(r"(\d\d)\.(\d\d)\.(\d{4})", created[0])):
        return iso_date(f"{match[3]}-{match[2]}-{match[1]}", created[1])
    return iso_date(user.get("Date"), user.get("Time"))


def _with_rows(
    facts: SemFacts, frame: tuple[float, float] | None, shape: tuple[int, int], source: str
) -> SemFacts:
    """Return the facts with the rows of the image, where an info bar was added below them."""
    if frame is None or frame[1] != shape[1]:
        return facts
    rows = frame[0]
    if rows.is_integer() and (1 - MOST_BAR) * shape[0] <= rows <= shape[0]:
        return replace(facts, image_rows=int(rows), image_rows_from=source)
    return facts


def _of(found: _Sections, name: str) -> Mapping[str, str]:
    return found.get(name, {}) if name else {}


def _pair(fields: Mapping[str, str], first: str, second: str) -> tuple[float, float] | None:
    """Return two numbers above 0, or None."""
    pair = positive(fields.get(first)), positive(fields.get(second))
    return None if pair[0] is None or pair[1] is None else (pair[0], pair[1])


# ---- XML --------------------------------------------------------------------------------


def read_fei_xml(tags: TiffTags) -> SemFacts | None:
    """Return what the XML of Thermo Fisher or Phenom says; None if there is none."""
    text = tags.raw.get(FEI_XML, b"").rstrip(b"\0 \r\n\t")
    if not text or b"<!DOCTYPE" in text or b"<!ENTITY" in text:
        return None
    root = ET.fromstring(text)  # noqa: S314 - without a DOCTYPE there is nothing to expand
    if root.tag == "FeiImage":
        return _phenom(root)
    return _thermo(root, tags.shape) if root.tag == "Metadata" else None


def _phenom(root: ET.Element) -> SemFacts:
    scan = root.find("acquisition/scan")
    scan = root if scan is None else scan
    voltage, distance = scan.find("highVoltage"), root.find("workingDistance")
    date, _, time = root.findtext("time", "").partition("T")
    return SemFacts(
        agreed(
            _element(root.find("pixelWidth"), "Phenom pixelWidth"),
            _element(root.find("pixelHeight"), "Phenom pixelHeight"),
        ),
        instrument=f"Phenom {root.findtext('instrument/type', '').removeprefix('Phenom')}".strip(),
        detector=scan.findtext("detector", "").strip(),
        voltage_kv=None if voltage is None else voltage_kv(voltage.text, voltage.get("unit", "V")),
        working_distance_mm=_millimetres(distance),
        date=iso_date(date, time),
    )


def _thermo(root: ET.Element, shape: tuple[int, int]) -> SemFacts:
    area, fov = root.find(".//ScanSettings/ScanArea"), root.find(".//Optics/ScanFieldOfView")
    x, y = (
        _element(root.find(f".//BinaryResult/PixelSize/{axis}"), f"Thermo Fisher PixelSize/{axis}")
        for axis in "XY"
    )
    if area is not None and fov is not None:
        for said, axis, side in ((x, "X", "Width"), (y, "Y", "Height")):
            count = positive(area.findtext(side))
            length = length_um(fov.findtext(axis), "m")
            if count and length is not None:
                said.append(Said(length / count, f"Thermo Fisher ScanFieldOfView/{axis}"))
    columns, rows = (positive(root.findtext(f".//BinaryResult/ImageSize/{a}")) for a in "XY")
    frame = None if columns is None or rows is None else (rows, columns)
    date, _, time = root.findtext(".//AcquisitionDatetime", "").partition("T")
    facts = SemFacts(
        for_frame(agreed(x, y), frame, shape),
        instrument=f"FEI / Thermo Fisher {root.findtext('.//InstrumentClass', '')}".strip(),
        detector=root.findtext(".//DetectorName", ""),
        voltage_kv=voltage_kv(root.findtext(".//AccelerationVoltage")),
        working_distance_mm=positive(root.findtext(".//Optics/WorkingDistance"), 1e3),
        date=iso_date(date, time[:8]),
    )
    return _with_rows(facts, frame, shape, "Thermo Fisher ImageSize/Y")


def _element(element: ET.Element | None, source: str) -> list[Said]:
    """Return the statement of an element with its unit as attribute, if there is one."""
    if element is None or number(element.text) is None:
        return []
    power = element.get("unitPrefixPower", "1")
    unit = element.get("unit", "") if power in ("0", "1") else "?"
    um = length_um(element.text, unit or "?")
    return [] if um is None else [Said(um, source)]


def _millimetres(element: ET.Element | None) -> float | None:
    um = None if element is None else length_um(element.text, element.get("unit", "") or "?")
    return None if um is None else positive(f"{um / 1e3:.12g}")
