"""Resolution of screens and prints, which other programs take for a pixel size."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path

from napari_fractoseg.errors import ImageError, translated
from napari_fractoseg.files import would_be_waited_for
from napari_fractoseg.images.axes import SAME_EDGE
from napari_fractoseg.images.formats.sem_tags import read_tags
from napari_fractoseg.images.formats.tiff import TIFF_SUFFIXES

__all__ = ["INCH_UM", "UNIT_UM", "print_dpi", "print_edges_um"]

INCH_UM = 25400.0
UNIT_UM = {2: INCH_UM, 3: 10000.0}
"""Micrometres in the units of a TIFF's resolution: inch and centimetre."""
_DPI = (72, 75, 96, 100, 120, 144, 150, 180, 200, 240, 300, 360, 400, 600, 720, 1200, 2400)
"""Dots per inch of screens and prints."""


def print_dpi(um: float, also: Iterable[float] = ()) -> float | None:
    """Return the dots per inch of a pixel, if screens or prints have that many; None if not.

    Parameters
    ----------
    um : float
        Edge of a pixel in micrometres.
    also : iterable of float
        Dots per inch that count, too, such as those that a file says.

    Examples
    --------
    >>> from napari_fractoseg.images.calibration.prints import print_dpi
    >>> round(print_dpi(264.583)), print_dpi(0.088)
    (96, None)
    """
    if not um > 0:
        return None
    dpi = INCH_UM / um
    known = (*_DPI, *also)
    return dpi if any(math.isclose(dpi, each, rel_tol=SAME_EDGE) for each in known) else None


def print_edges_um(path: Path) -> tuple[float, float] | None:
    """Return the edges of a pixel in the print that a TIFF asks for; these are no pixel size.

    Parameters
    ----------
    path : Path
        Image file.

    Returns
    -------
    tuple of float or None
        Edges along a column and along a row in micrometres; None if the file is no TIFF, or says
        none.
    """
    if path.suffix.lower() not in TIFF_SUFFIXES or not path.is_file() or would_be_waited_for(path):
        return None
    try:
        with translated(ImageError, f"{path} cannot be read as an image"):
            tags = read_tags(path)
    except ImageError:
        return None
    unit_um = UNIT_UM.get(tags.resolution_unit)
    if unit_um is None or tags.resolution is None or not min(tags.resolution) > 0:
        return None
    y, x = (unit_um / density for density in tags.resolution)
    return y, x
