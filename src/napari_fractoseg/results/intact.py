"""Whether a result on disk is whole, told from its header and size without reading its pixels."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import tifffile

from napari_fractoseg.errors import ImageError, translated
from napari_fractoseg.images import TIFF_SUFFIXES
from napari_fractoseg.results.editable_labels import PREDICTED
from napari_fractoseg.results.label_images import read_ngff

__all__ = ["is_intact", "size_of"]

_PNG_START, _PNG_END = b"\x89PNG\r\n\x1a\n", b"IEND\xaeB`\x82"


def size_of(path: Path) -> tuple[int, int]:
    """Return the bytes and the number of the files of a result: a file, or a folder (zarr).

    Of what is not there, or a link that leads nowhere, both are 0.
    """
    if not os.path.exists(path):  # noqa: PTH110 - also takes names that are too long
        return 0, 0
    parts = [p for p in path.rglob("*") if p.is_file()] if path.is_dir() else [path]
    return sum(part.stat().st_size for part in parts), len(parts)


def is_intact(path: Path, size: tuple[int, int] | None = None) -> bool:
    """Whether a result is there and whole, as it was written or as a person changed it since.

    Parameters
    ----------
    path : Path
        TIFF or PNG file, or folder of an OME-Zarr group.
    size : tuple of int, optional
        `size_of` the result when it was written. Zarr must still have it, for files of a zarr
        may be missing without a trace; one that was painted on in napari need not.

    Returns
    -------
    bool
        False if it is missing, cut off, empty or something else. Changed bytes in the middle
        of a file are not found.
    """
    try:
        with translated(ImageError, str(path)):
            if path.is_dir():
                return _is_whole_zarr(path, size)
            if path.suffix.lower() in TIFF_SUFFIXES:
                return _is_whole_tiff(path)
            return path.is_file() and _is_whole_png(path)
    except ImageError:
        return False


def _is_whole_zarr(path: Path, size: tuple[int, int] | None) -> bool:
    is_known = size is None or (path / PREDICTED).is_dir() or size_of(path) == size
    return is_known and read_ngff(path) is not None


def _is_whole_tiff(path: Path) -> bool:
    """Whether the description, and all strips and tiles that the pages name, are in the file."""
    if not path.is_file():
        return False
    n_bytes = path.stat().st_size
    with tifffile.TiffFile(path) as tif:
        if not len(tif.pages):
            return False
        first = tif.pages.first
        tif.filehandle.seek(first.offset)
        (n_tags,) = struct.unpack(tif.tiff.tagnoformat, tif.filehandle.read(tif.tiff.tagnosize))
        if len(first.tags) < n_tags:  # tifffile leaves out those whose value is cut off
            return False
        ends = [
            start + length
            for page in tif.pages
            for start, length in zip(page.dataoffsets, page.databytecounts, strict=True)
        ]
        return max(ends, default=0) <= n_bytes


def _is_whole_png(path: Path) -> bool:
    with path.open("rb") as file:
        starts_well = file.read(len(_PNG_START)) == _PNG_START
        file.seek(-len(_PNG_END), 2)
        return starts_well and file.read() == _PNG_END
