"""Quick test whether a file can hold annotations, without parsing it.

napari asks about every JSON and CSV file that is dropped on it, and some have
hundreds of megabytes: looking for a few words takes a fraction of the time.
"""

from __future__ import annotations

import codecs
import zipfile
from pathlib import Path
from typing import BinaryIO

from napari_fractoseg.files import would_be_waited_for

__all__ = ["ROI", "UTF16", "ZIP", "holds_rois", "may_be_annotations", "names_annotations"]

UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
"""Byte order marks of UTF-16 texts, in which words cannot be looked for as bytes."""

_WORDS = (
    (b"filename", b'"regions"'),
    (b"filename", b"region_shape_attributes"),
    (b'"_via_img_metadata"',),
    (b"VGG Image Annotator", b'"annotations"'),
    (b'"metadata"', b'"project"'),
    (b'"region"', b'"file"'),
    (b"CSV_HEADER",),
    (b'"file_name"', b'"annotations"'),
    (b'"imagePath"', b'"shapes"'),
    (b"<annotation", b"<object"),
    (b"<annotation", b"<filename"),
)
"""Groups of words: every file of annotations that is text has all the words of one of them."""

ROI, ZIP = b"Iout", b"PK\x03\x04"
"""First bytes of ImageJ's ROIs, alone and in a zip file."""

_OWN_WORDS = (
    b'"_via_img_metadata"', b'"shape_attributes"', b"region_shape_attributes",
    b"CSV_HEADER = metadata_id", b'"shape_type"', b"<bndbox>", b'"category_id"',
)  # fmt: skip
"""Words that hardly any file but one with annotations has."""

_CHUNK_BYTES = 1 << 22
_HEAD_BYTES = 1 << 16
_LONGEST_WORD = 40


def may_be_annotations(path: Path) -> bool:
    """Tell whether a file has the words that annotation files of a known kind have.

    Raises
    ------
    OSError
        If the file cannot be read.
    """
    if would_be_waited_for(path):
        return False
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
        start = head.removeprefix(codecs.BOM_UTF8).lstrip()
        if head.startswith(ZIP):
            return holds_rois(file)
        if head.startswith((*UTF16, ROI)):
            return True
        if not start.startswith((b"{", b"[", b"#", b'"#', b"<")):
            # The header of a CSV file is its first line, but for comments.
            return _has_words(head, set())
        file.seek(0)
        return _has_words_somewhere(file)


def holds_rois(file: BinaryIO) -> bool:
    """Tell whether a zip file has files of ROIs, by its table of contents."""
    try:
        with zipfile.ZipFile(file) as archive:
            return any(name.lower().endswith(".roi") for name in archive.namelist())
    except (zipfile.BadZipFile, ValueError, NotImplementedError):
        return False


def _has_words_somewhere(file: BinaryIO) -> bool:
    found: set[bytes] = set()
    tail = b""
    while chunk := file.read(_CHUNK_BYTES):
        # A word may lie across the border of two chunks.
        data = tail + chunk
        if _has_words(data, found):
            return True
        tail = data[-_LONGEST_WORD:]
    return False


def _has_words(data: bytes, found: set[bytes]) -> bool:
    """Add the words that occur to those found before, and tell whether a group is complete."""
    for word in dict.fromkeys(word for line in _WORDS for word in line):
        if word not in found and word in data:
            found.add(word)
    return any(found.issuperset(line) for line in _WORDS)


def names_annotations(path: Path) -> bool:
    """Tell whether a file that cannot be parsed held annotations, by words others do not have.

    Raises
    ------
    OSError
        If the file cannot be read.
    """
    if would_be_waited_for(path):
        return False
    with path.open("rb") as file:
        head = file.read(_CHUNK_BYTES)
    return any(word in head for word in _OWN_WORDS)
