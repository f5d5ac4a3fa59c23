"""The info bar of a micrograph: rows in which the microscope wrote, that show no specimen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from napari_fractoseg.images.calibration.facts import MOST_BAR, SemFacts
from napari_fractoseg.images.lazy import ArrayLike
from napari_fractoseg.images.normalisation import to_grey

__all__ = ["InfoBar", "find_info_bar"]

_FEWEST_ROWS = 12
_LEAST_PART = 0.015
"""Smallest part of the rows that an info bar has."""
_EDGE_ROWS = 2
"""Rows at the very edge that may belong to the image: some microscopes leave one."""
_LINE_ROWS = 2
"""Largest thickness of a line in a bar, or of its frame."""
_LEAST, _WIDEST = 0.02, 0.035
"""Parts of the grey range by which the ground of a bar may vary, as JPEG makes it."""
_NOISE = 6.0
"""How many times the mean deviation of the ground at the edge it may vary."""
_GROUND = 0.2
"""Least part of a row of the bar that is ground: the rest is text."""
_MOSTLY = 0.5
"""Least part of the whole bar that is ground."""
_CLEAN = 0.95
"""Least part of a row between lines of text, or of a frame, that has one grey level."""
_JUMP = 0.4
"""Least difference of the parts of ground in the first row of the bar and in the one before it."""
_BLURRED_ROWS = 8
"""Rows in which JPEG mixes bar and image."""
_CONTRAST = 0.25
"""Least difference of text and ground, as a part of the grey range."""
_FEWEST_EDGES = 12
"""Least number of changes between text and ground in the richest row."""
_MARK_PART = 0.04
"""Least width of a micron bar that is drawn over the image, as a part of the columns."""

_MOST_BAND_PX = 2**24
"""Pixels near an edge that are looked at: of images of more than 64 megapixels, fewer rows."""
_FEWEST_LEVELS = 32
"""Least number of grey levels of an image."""


@dataclass(frozen=True)
class InfoBar:
    """Rows of a micrograph that show no specimen, and why they are thought so.

    Parameters
    ----------
    rows : tuple of int or None
        First row of the bar and the one after its last; None if there is no bar.
    why : str
        Sentence for the user: where the rows come from, or why there are none.
    is_over_image : bool
        Whether text, or a micron bar, is drawn over the image, so that no rows can be left out.
    """

    rows: tuple[int, int] | None
    why: str
    is_over_image: bool = False


def find_info_bar(image: ArrayLike, facts: SemFacts | None = None) -> InfoBar:
    """Find the info bar of a micrograph.

    Parameters
    ----------
    image : array of shape (Y, X), or (Y, X, 3 or 4)
        Grey levels or colours; of large ones only the rows near the edges are read.
    facts : SemFacts, optional
        What the file says (`sem_facts`): the rows of the image are taken from there, if it says
        them reliably; otherwise they are looked for.

    Returns
    -------
    InfoBar
        The rows, always from an edge on, or None with the reason. In doubt there is no bar: nothing
        of the image is cut off.

    Notes
    -----
    A bar that is looked for is a band at the upper or lower edge, at most a quarter of the rows.
    Each of its rows is mostly ground of one grey level, or a line; it begins within one row, across
    the whole width; and there is text in it, with rows that are clean above and below.

    Examples
    --------
    >>> import numpy as np
    >>> from napari_fractoseg.images.bars.info_bar import find_info_bar
    >>> find_info_bar(np.zeros((100, 80), np.uint8)).rows is None
    True
    """
    facts = facts or SemFacts()
    n_rows = image.shape[0]
    if facts.image_rows is not None and facts.image_rows < n_rows:
        return InfoBar(
            (facts.image_rows, n_rows),
            f"{facts.image_rows_from} says that the image has {facts.image_rows} rows; those below "
            "were added to it.",
        )
    lower = _band(image, "lower")
    found = "At the {} edge there is a band of one grey level with text."
    if height := _height(lower, n_rows):
        return InfoBar((n_rows - height, n_rows), found.format("lower"))
    if height := _height(_band(image, "upper"), n_rows):  # read only now
        return InfoBar((0, height), found.format("upper"))
    if _has_micron_bar(lower):
        also = f" ({facts.overlay})" if facts.overlay else ""
        return InfoBar(
            None,
            f"Text and a micron bar are drawn over the image{also}: no rows can be left out "
            "without cutting off some of it.",
            True,
        )
    if facts.image_rows == n_rows:
        return InfoBar(None, f"{facts.image_rows_from} says that all rows are image.")
    return InfoBar(None, "There is no band of one grey level with text at an edge.")


def _band(image: ArrayLike, edge: Literal["lower", "upper"]) -> npt.NDArray[np.float64]:
    """Return the rows near an edge as grey levels, the outermost first, scaled to 0-1."""
    n_rows = image.shape[0]
    count = min(int(n_rows * MOST_BAR) + 1, _MOST_BAND_PX // max(image.shape[1], 1) + 1)
    if count < _FEWEST_ROWS:  # too few to tell, and a wide plane is long to read
        return np.zeros((0, image.shape[1]))
    rows = slice(max(n_rows - count, 0), n_rows) if edge == "lower" else slice(0, count)
    raw: npt.NDArray[Any] = np.asarray(image[rows])
    if raw.dtype.kind == "c":  # no grey levels
        return np.zeros((0, image.shape[1]))
    grey = to_grey(raw) if raw.ndim == 3 else raw.astype(np.float64)
    grey = grey[::-1] if edge == "lower" else grey
    low, high = (float(grey.min()), float(grey.max())) if grey.size else (0.0, 0.0)
    if not np.isfinite(high - low) or high <= low:
        return np.zeros((0, grey.shape[1]))
    return (grey - low) / (high - low)


def _height(band: npt.NDArray[np.float64], n_rows: int) -> int:
    """Return the rows of a bar at the edge of an image of `n_rows` rows; 0 if there is none."""
    if len(band) < _FEWEST_ROWS or band.shape[1] < _FEWEST_ROWS:
        return 0
    outer = band[:_FEWEST_ROWS]
    is_near = np.abs(outer - np.median(outer, axis=1)[:, None]) <= _WIDEST
    edge = np.flatnonzero(is_near.mean(axis=1) >= _CLEAN)
    if not edge.size or edge[0] > _EDGE_ROWS:  # as of most images: the rest is not looked at
        return 0
    middle = np.median(band, axis=1)
    away = np.abs(band - middle[:, None])
    first, ground = int(edge[0]), float(np.median(middle[edge]))
    tolerance = float(np.clip(_NOISE * away[edge].mean(), _LEAST, _WIDEST))
    on_ground = np.abs(band - ground) <= tolerance
    clean = (away <= tolerance).mean(axis=1) >= _CLEAN
    last = _last_row(on_ground.mean(axis=1), clean, first)
    height = 0 if last is None else last + 1
    if not max(_FEWEST_ROWS, _LEAST_PART * n_rows) <= height < len(band):
        return 0
    inside = slice(first, height)
    return height if _has_text(band[inside], on_ground[inside], ground) else 0


def _last_row(
    share: npt.NDArray[np.float64], clean: npt.NDArray[np.bool_], first: int
) -> int | None:
    """Return the innermost row of a bar: the line of its frame, or the last row of ground.

    None if the bar does not begin at once, across the whole width.
    """
    belongs = share >= _GROUND
    last, last_clean, foreign = first, first, 0
    for number in range(first, len(belongs)):
        foreign = 0 if belongs[number] else foreign + 1
        if foreign > _LINE_ROWS:
            break
        last = number if belongs[number] else last
        last_clean = number if belongs[number] and clean[number] else last_clean
    beyond = (clean & ~belongs)[last + 1 : last + 2 + _LINE_ROWS]
    n_lines = int(np.argmin(beyond)) if not beyond.all() else len(beyond)
    if 0 < n_lines <= _LINE_ROWS:
        return last + n_lines
    for row in (last, last_clean):
        after = share[row + 1 : row + 2]
        if row - last_clean <= _BLURRED_ROWS and after.size and share[row] - after[0] >= _JUMP:
            return row
    return None


def _has_text(
    bar: npt.NDArray[np.float64], on_ground: npt.NDArray[np.bool_], ground: float
) -> bool:
    """Whether there are lines of text on the ground of a bar, and clean rows between them."""
    marks = ~on_ground
    edges = (marks[:, 1:] != marks[:, :-1]).sum(axis=1)
    strong = np.abs(bar - ground) >= _CONTRAST
    n_marks = int(marks.sum())
    is_mostly_ground = on_ground.mean() >= _MOSTLY
    return bool(
        is_mostly_ground
        and edges.max() >= _FEWEST_EDGES
        and n_marks
        and strong.sum() / n_marks >= 0.3
        and (on_ground.mean(axis=1) >= _CLEAN).sum() >= 2
    )


def _has_micron_bar(band: npt.NDArray[np.float64]) -> bool:
    """Whether there is an exact white rectangle with a dark outline, as wide as a micron bar."""
    white = band >= 1.0
    least = max(int(_MARK_PART * band.shape[1]), _FEWEST_ROWS)
    counts = white.sum(axis=1)
    spans = [_longest_run(white[k]) if counts[k] >= least else (0, 0) for k in range(len(band))]
    for number, (start, stop) in enumerate(spans):
        if stop - start < least or (number and spans[number - 1] == (start, stop)):
            continue
        end = number
        while end < len(spans) and spans[end] == (start, stop):
            end += 1
        if 2 <= end - number <= least // 3 and number > 0 and end < len(spans):
            outline = np.concatenate([band[number - 1, start:stop], band[end, start:stop]])
            if (outline <= _WIDEST).mean() >= _CLEAN / 2:
                return np.unique(band).size >= _FEWEST_LEVELS  # else labels, or a drawing
    return False


def _longest_run(row: npt.NDArray[np.bool_]) -> tuple[int, int]:
    """Return begin and end of the longest run of True."""
    changes = np.flatnonzero(np.diff(np.concatenate([[False], row, [False]]).astype(np.int8)))
    begins, ends = changes[::2], changes[1::2]
    if not begins.size:
        return 0, 0
    longest = int((ends - begins).argmax())
    return int(begins[longest]), int(ends[longest])
