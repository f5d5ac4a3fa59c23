"""Raw tags of a TIFF in which microscopes write, of limited size and without a guess at them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import tifffile

from napari_fractoseg.images.formats.tiff import quiet_tifffile

__all__ = [
    "AUTHOR",
    "COMMENT",
    "DESCRIPTION",
    "FEI",
    "FEI_OLD",
    "FEI_XML",
    "TESCAN",
    "ZEISS",
    "TiffTags",
    "read_tags",
]

DESCRIPTION, ZEISS, FEI_OLD, FEI, FEI_XML = 270, 34118, 34680, 34682, 34683
COMMENT, AUTHOR, TESCAN = 40092, 40093, 50431
_WANTED = (DESCRIPTION, ZEISS, FEI_OLD, FEI, FEI_XML, COMMENT, AUTHOR, TESCAN)
_X_RESOLUTION, _Y_RESOLUTION, _UNIT = 282, 283, 296
_MOST_BYTES = 2**22
"""Bytes of a tag that are read: the longest that a microscope is known to write has 88 KB."""


@dataclass(frozen=True)
class TiffTags:
    """Tags of the first page of a TIFF.

    Parameters
    ----------
    shape : tuple of int
        Rows and columns of the page.
    raw : dict of int to bytes
        Number of a tag -> its bytes as they are in the file, of those that microscopes write.
    resolution : tuple of float or None
        Pixels along a column and along a row in a unit of length: that of a print, but in files
        of ImageJ. None if one of them is not said.
    resolution_unit : int
        1 none, 2 inch, 3 centimetre.
    """

    shape: tuple[int, int]
    raw: Mapping[int, bytes]
    resolution: tuple[float, float] | None = None
    resolution_unit: int = 2

    def text(self, code: int, encoding: str = "") -> str:
        """Return the text of a tag up to the first NUL; empty if there is no such tag.

        Parameters
        ----------
        code : int
            Number of the tag.
        encoding : str
            Encoding of the text; by default UTF-8, or Latin where it is none.
        """
        data = self.raw.get(code, b"")
        if encoding:
            return data.decode(encoding, "replace").partition("\0")[0]
        data = data.partition(b"\0")[0]
        try:
            return data.decode()
        except UnicodeDecodeError:
            return data.decode("cp1252", "replace")


def read_tags(path: Path) -> TiffTags:
    """Read the tags of the first page of a TIFF that microscopes write; no pixels.

    Parameters
    ----------
    path : Path
        TIFF file.

    Returns
    -------
    TiffTags
        The tags; of one that is longer than 4 MB the beginning.
    """
    with quiet_tifffile(), tifffile.TiffFile(path) as tif:
        page, handle = tif.pages.first, tif.filehandle
        raw = {}
        for code in _WANTED:
            tag = page.tags.get(code)
            if tag is not None:
                handle.seek(tag.valueoffset)
                raw[code] = bytes(handle.read(min(int(tag.valuebytecount), _MOST_BYTES)))
        values = [page.tags.valueof(code) for code in (_Y_RESOLUTION, _X_RESOLUTION)]
        ratios = [_ratio(value) for value in values]
        resolution = None if None in ratios else (ratios[0] or 0.0, ratios[1] or 0.0)
        unit = int(page.tags.valueof(_UNIT, 2))
        return TiffTags((page.imagelength, page.imagewidth), raw, resolution, unit)


def _ratio(value: object) -> float | None:
    """Return the quotient of a rational number of TIFF; None if it is none."""
    if isinstance(value, tuple) and len(value) == 2 and value[1]:
        return float(value[0]) / float(value[1])
    return None
