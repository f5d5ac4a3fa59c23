"""Regions made of masks that annotation files hold, such as COCO's run lengths.

A mask becomes polygons along the edges of its pixels, so that the labels drawn of them are the
same pixels again; one with holes or several parts becomes several polygons.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_fractoseg.errors import AnnotationError

__all__ = ["MOST_PIXELS", "mask_of_runs", "outlines_of_mask"]

MOST_PIXELS = 2**25
"""Most pixels of a mask, after it is cut to what it covers; tracing takes 50 bytes for each."""

_LONGEST_SIDE = 2**24
"""Most rows or columns of an image, so that the number of its pixels is an ordinary one."""

_MOST_CHARACTERS = 12
"""Most characters of one number in compressed run lengths: 5 bits each, so that 60 are enough."""

_Mask = npt.NDArray[np.bool_]


def outlines_of_mask(mask: _Mask, row: int = 0, column: int = 0) -> list[dict[str, Any]]:
    """Return VIA's ``shape_attributes`` of the polygons that cover the pixels of a mask.

    Parameters
    ----------
    mask : ndarray of bool, shape (Y, X)
        Pixels that are covered.
    row, column : int
        Place of its first pixel in the image.

    Examples
    --------
    >>> import numpy as np
    >>> from napari_fractoseg.annotations.formats.neighbours.filled import outlines_of_mask
    >>> outlines_of_mask(np.ones((2, 3), bool), row=5)
    [{'name': 'polygon', 'all_points_x': [0, 3, 3, 0], 'all_points_y': [5, 5, 7, 7]}]
    """
    # Imported here because it takes half a second, and few files hold masks.
    from napari_fractoseg.annotations.trace import trace_polygons

    shapes = []
    for polygon in trace_polygons(mask.astype(np.uint8)):
        xs, ys = polygon.columns + column, polygon.rows + row
        shapes.append(
            {
                "name": "polygon",
                "all_points_x": xs.astype(int).tolist(),
                "all_points_y": ys.astype(int).tolist(),
            }
        )
    return shapes


def mask_of_runs(runs: Mapping[str, Any]) -> tuple[_Mask, int, int]:
    """Return the pixels of a mask that COCO writes as run lengths.

    Parameters
    ----------
    runs : mapping
        ``size``: rows and columns of the image; ``counts``: lengths of runs outside and inside
        the mask in turn, down the columns one after the other, as a list or compressed to a text.

    Returns
    -------
    mask : ndarray of bool, shape (Y, X)
        Pixels of the mask, cut to the box that it covers; empty if it covers nothing.
    row, column : int
        Place of its first pixel in the image.

    Raises
    ------
    AnnotationError
        If sizes and counts do not fit together, or the mask is too large.

    Notes
    -----
    A compressed number has 5 bits a character, from the lowest, in ASCII from 48 on; bit 6 says
    that more follow, and the sign is that of the last. From the fourth number on, it is the
    difference to the number before the last, as in ``maskApi.c`` of pycocotools.
    """
    height, width = _size(runs.get("size"))
    counts = runs.get("counts")
    lengths = _decompressed(counts) if isinstance(counts, str) else counts
    if not isinstance(lengths, list) or not all(type(n) is int and n >= 0 for n in lengths):
        raise AnnotationError(f"counts {str(counts)[:40]!r} are no run lengths")
    if sum(lengths) != height * width:
        raise AnnotationError(
            f"run lengths of {sum(lengths)} pixels do not fit an image of {width} x {height}"
        )
    ends = np.cumsum(np.array(lengths, dtype=np.int64))
    starts, stops = ends[0:-1:2], ends[1::2]
    is_filled = stops > starts
    starts, stops = starts[is_filled], stops[is_filled]
    if not len(starts):
        return np.zeros((0, 0), dtype=bool), 0, 0
    left, right = int(starts[0] // height), int((stops[-1] - 1) // height) + 1
    if (right - left) * height > MOST_PIXELS:
        raise AnnotationError(f"a mask of {right - left} x {height} pixels, which is too large")
    changes = np.zeros((right - left) * height + 1, dtype=np.int8)
    changes[starts - left * height] = 1
    changes[stops - left * height] -= 1  # a run may begin where another one ends
    mask = np.cumsum(changes[:-1], dtype=np.int8).astype(bool).reshape(right - left, height).T
    rows = np.flatnonzero(mask.any(axis=1))
    top, bottom = int(rows[0]), int(rows[-1]) + 1
    return mask[top:bottom], top, left


def _size(size: object) -> tuple[int, int]:
    if isinstance(size, list) and len(size) == 2:
        rows, columns = size
        if all(type(n) is int and 0 < n <= _LONGEST_SIDE for n in size):
            return rows, columns
    raise AnnotationError(f"size {str(size)[:40]!r} is not rows and columns of an image")


def _decompressed(text: str) -> list[int]:
    numbers: list[int] = []
    value = n_characters = 0
    for character in text:
        bits = ord(character) - 48
        if not 0 <= bits < 64 or n_characters >= _MOST_CHARACTERS:
            raise AnnotationError(f"counts {text[:40]!r} are no compressed run lengths")
        value |= (bits & 0x1F) << (5 * n_characters)
        n_characters += 1
        if bits & 0x20:
            continue
        if bits & 0x10:
            value -= 1 << (5 * n_characters)
        numbers.append(value + numbers[-2] if len(numbers) > 2 else value)
        value = n_characters = 0
    if n_characters:
        raise AnnotationError(f"counts {text[:40]!r} end within a number")
    return numbers
