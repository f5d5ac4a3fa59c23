"""Pixel sizes that programs write for programs: OME-TIFF, ImageJ, our own results, OME-Zarr."""

from __future__ import annotations

import html
import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from napari_fractoseg.images.axes import edges_um, micrometres_in
from napari_fractoseg.images.calibration.facts import (
    PixelSize,
    Said,
    SemFacts,
    agreed,
    length_text,
)
from napari_fractoseg.images.calibration.prints import print_dpi
from napari_fractoseg.images.calibration.texts import length_um
from napari_fractoseg.images.formats.sem_tags import DESCRIPTION, TiffTags
from napari_fractoseg.images.formats.zarr import ZARR_SCALE
from napari_fractoseg.images.ome_zarr import read_metadata

__all__ = [
    "OWN_NAMESPACE",
    "OWN_SIZE",
    "own_entries",
    "own_size",
    "read_description",
    "read_zarr_scale",
]

OWN_SIZE = "PhysicalSize"
"""Beginning of the names of the entries that our TIFFs have in their description, as in OME."""
_FROM = "PhysicalSizeFrom"
OWN_NAMESPACE = "napari-fractoseg"
"""Namespace of the comment in the OME-XML of our TIFFs that holds our entries as JSON."""
_OWN_COMMENT = re.compile(
    rf"""<(?:\w{{1,20}}:)?CommentAnnotation\b[^<>]{{0,500}}Namespace=["']{OWN_NAMESPACE}["'][^<>]{{0,500}}>"""
    r"\s*<(?:\w{1,20}:)?Value>([^<]*)</"
)
_PIXELS = re.compile(r"<(?:\w{1,20}:)?Pixels\b([^<>]{0,20000})")
_ATTRIBUTE = re.compile(r"""\b(\w{1,40})\s{0,9}=\s{0,9}(?:"([^"]{0,200})"|'([^']{0,200})')""")
_INCH = 2
_PRINT_UNITS = ("inch", "inches", "in", "cm", "centimeter", "pixel", "pixels", "")
"""Units of ImageJ by which it hands on the resolution of a print, or none."""


def own_size(size: PixelSize) -> dict[str, Any]:
    """Return the entries of the description of a TIFF of ours that say its pixel size.

    Parameters
    ----------
    size : PixelSize
        Edges of a pixel; if they are not known there are no entries.
    """
    if size.x_um is None or size.y_um is None:
        return {}
    entries: dict[str, Any] = {_FROM: size.source} if size.source else {}
    for axis, um in (("X", size.x_um), ("Y", size.y_um)):
        entries |= {f"{OWN_SIZE}{axis}": um, f"{OWN_SIZE}{axis}Unit": "µm"}
    return entries


def own_entries(text: str) -> dict[str, Any]:
    """Return the entries that this program wrote into the description of a TIFF; empty if none.

    Parameters
    ----------
    text : str
        Description: OME-XML with a comment in our namespace, or JSON, as earlier versions wrote.
    """
    if text.startswith("<"):
        match = _OWN_COMMENT.search(text)
        text = html.unescape(match[1]) if match else ""
    if not text.startswith("{"):
        return {}
    try:
        entries = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return entries if isinstance(entries, dict) else {}


def read_description(tags: TiffTags) -> SemFacts | None:
    """Return the pixel size in a TIFF's description; None if no program wrote one there."""
    text = tags.text(DESCRIPTION).strip()
    if text.startswith("ImageJ="):
        return _of_size(_imagej(text, tags))
    own = own_entries(text)
    if own:
        return _of_size(_own(own))
    if text.startswith("<") and (match := _PIXELS.search(text)):
        said = {
            name: html.unescape(double or single)
            for name, double, single in _ATTRIBUTE.findall(match[1])
        }
        return _of_size(_not_print(_physical(said, "OME-TIFF PhysicalSize"), tags))
    return None


def read_zarr_scale(path: Path) -> SemFacts:
    """Return the scale of an OME-Zarr image."""
    metadata = read_metadata(path)
    edges = None if metadata is None else edges_um(metadata.axes)
    if edges is None:
        return SemFacts()
    y, x = (Said(um, ZARR_SCALE) for um in edges)
    return SemFacts(agreed([x], [y]))


def _of_size(size: PixelSize) -> SemFacts | None:
    return SemFacts(size) if size.source or size.notes else None


def _own(entries: Mapping[str, Any]) -> PixelSize:
    """Return the pixel size in entries that `own_size` and tifffile write."""
    said = {str(k): str(v) for k, v in entries.items() if isinstance(v, str | int | float)}
    size = _physical(said, "this program's TIFF")
    origin = said.get(_FROM, "")[:200]
    return PixelSize(size.x_um, size.y_um, origin, size.notes) if origin and size.x_um else size


def _physical(said: Mapping[str, str], source: str) -> PixelSize:
    """Return the pixel size that entries named as in OME say; the default unit is µm."""
    x, y = (
        [Said(um, source)]
        if (um := length_um(said.get(f"{OWN_SIZE}{axis}"), said.get(f"{OWN_SIZE}{axis}Unit", "µm")))
        is not None
        else []
        for axis in "XY"
    )
    return agreed(x, y) if x and y else PixelSize()


def _imagej(text: str, tags: TiffTags) -> PixelSize:
    """Return the pixel size that ImageJ was given: pixels in a unit that is none of a print."""
    entries = dict(line.partition("=")[::2] for line in text.splitlines())
    unit = entries.get("unit", "").strip().replace("\\u00B5", "µ").replace("\\u00b5", "µ")
    factor = micrometres_in(unit)
    if unit.lower() in _PRINT_UNITS or factor is None or tags.resolution is None:
        return PixelSize()
    y, x = (
        Said(factor / density if density else math.nan, "ImageJ scale")
        for density in tags.resolution
    )
    return _not_print(agreed([x], [y]), tags)


def _not_print(size: PixelSize, tags: TiffTags) -> PixelSize:
    """Return a pixel size, unknown if it is that of a screen or print of the image."""
    if size.x_um is None:
        return size
    of_file = tags.resolution[1:] if tags.resolution and tags.resolution_unit == _INCH else ()
    dpi = print_dpi(size.x_um, of_file)
    if dpi is not None:
        return size.unknown(
            f"{size.source} says {length_text(size.x_um)} a pixel, which is {dpi:.0f} dots per "
            "inch: the resolution of a screen or print. Give the pixel size by hand."
        )
    return size
