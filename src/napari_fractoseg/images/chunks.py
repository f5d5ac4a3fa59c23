"""Chunks of zarr arrays that are not there: zarr takes them as one grey level without a word."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from napari_fractoseg.images.zarr_header import ZarrHeader, read_header

__all__ = ["ChunkCount", "count_chunks"]

_MOST_CHUNKS = 4 * 10**6
"""Number of chunks above which they are not counted, which would take minutes."""


@dataclass(frozen=True)
class ChunkCount:
    """Number of the chunks of an array that are there, at one moment.

    Parameters
    ----------
    name : str
        Name of the array's file, for users.
    n_there, n_chunks : int
        Number of chunks that are there, and that there should be. A shard counts as one.
    fill_value : str
        Value that is taken for the others, as a text.
    """

    name: str
    n_there: int
    n_chunks: int
    fill_value: str

    @property
    def n_missing(self) -> int:
        """Number of chunks that are not there."""
        return self.n_chunks - self.n_there


def count_chunks(folder: Path, name: str, at: Mapping[int, int] | None = None) -> ChunkCount | None:
    """Count the chunks of a zarr array by the names of its files; none is opened.

    Parameters
    ----------
    folder : Path
        Folder of the array on a local disk.
    name : str
        Name of the array for users.
    at : mapping of int to int, optional
        Axis -> index, where only a part of the array is looked at, such as one channel.

    Returns
    -------
    ChunkCount or None
        The count; None if there is no array, or if it has too many chunks to count them.
    """
    header = read_header(folder)
    if header is None or not header.shape:
        return None
    wanted = [range(n) for n in header.grid]
    for axis, index in (at or {}).items():
        number = index // header.chunks[axis]
        wanted[axis] = range(number, number + 1)
    n_chunks = math.prod(map(len, wanted))
    if math.prod(header.grid) > _MOST_CHUNKS:
        return None
    n_there = sum(1 for _ in _found(folder, header, wanted))
    fill_value = "0" if header.fill_value is None else str(header.fill_value)
    return ChunkCount(name, n_there, n_chunks, fill_value)


def _found(folder: Path, header: ZarrHeader, wanted: list[range]) -> Iterator[str]:
    """Yield the names of the files of the wanted chunks."""
    if header.separator == "/":
        yield from _nested(folder.joinpath(*header.key_prefix), wanted)
    else:
        start = "".join(f"{part}." for part in header.key_prefix)
        for name in _names(folder):
            numbers = name.removeprefix(start).split(".") if name.startswith(start) else []
            fits = map(_is_number_in, numbers, wanted)
            if len(numbers) == len(wanted) and all(fits):
                yield name


def _nested(folder: Path, wanted: list[range]) -> Iterator[str]:
    """Yield the names of the files of chunks that have a folder for each axis but the last."""
    first, *rest = wanted
    for name in _names(folder):
        if _is_number_in(name, first):
            yield from _nested(folder / name, rest) if rest else (name,)


def _names(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)  # noqa: PTH208 - there may be a million
    except OSError:  # not there, or a file
        return []


def _is_number_in(text: str, numbers: range) -> bool:
    return text.isascii() and text.isdecimal() and int(text) in numbers and str(int(text)) == text
