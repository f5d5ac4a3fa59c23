"""Strokes of a layer whose other labels are renewed again and again. Imports no napari."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_fractoseg.classes import UNLABELLED

__all__ = ["Box", "Brushed", "LiveLabels"]

Box = tuple[slice, ...]
_LARGEST_LOOKED_THROUGH_PX = 2**24
"""Largest plane that is compared as a whole after a change that no event tells the place of."""


@dataclass(frozen=True, eq=False)
class Brushed:
    """Pixels that a brush went over, whether their label changed or not.

    Parameters
    ----------
    box : tuple of slice
        Box on all axes of the labels.
    mask : ndarray of bool, shape of the box
        Pixels of the box that were under the brush.
    value : int
        Class value that was painted.
    """

    box: Box
    mask: npt.NDArray[np.bool_]
    value: int


@dataclass(frozen=True, eq=False)
class _Stroke:
    """Change of what is painted: where, and what was painted there before and since.

    One that confirms (`confirms`) is of the class that was shown already, so that napari knows
    nothing of it; it may belong to a stroke that did change labels (`joins`).
    """

    box: Box
    mask: npt.NDArray[np.bool_]
    was: npt.NDArray[np.uint8]
    now: npt.NDArray[np.uint8]
    confirms: bool = False
    joins: bool = False


class LiveLabels:
    """Labels of a layer in three parts: strokes, first answer, and the answer that is shown.

    Whatever is shown, `painted` has what a person painted, and nothing else. Arrays that are
    given are changed in place.

    Parameters
    ----------
    labels : ndarray of int, shape (..., Y, X)
        Labels of the layer, which the user paints on.
    first : ndarray of uint8, same shape
        What the model gave before anything was painted; 0 where nothing was labelled.
    painted : ndarray of uint8, same shape
        What is painted already, 0 elsewhere.

    Attributes
    ----------
    answer : ndarray of uint8, shape of the labels
        What was learnt, 0 at painted pixels: the prediction that corrections are told from.
    n_strokes : int
        Number of strokes since the beginning, less those that were undone.

    Examples
    --------
    >>> import numpy as np
    >>> from napari_fractoseg._napari.live.strokes import LiveLabels
    >>> labels = np.array([[1, 1, 1, 2]], np.uint8)
    >>> live = LiveLabels(labels, labels.copy(), np.zeros_like(labels))
    >>> labels[0, 1] = 2  # the user paints
    >>> live.note_stroke((slice(0, 1), slice(1, 2)))
    True
    >>> live.show((slice(0, 1), slice(0, 4)), np.array([[2, 1, 2, 2]], np.uint8))
    >>> labels
    array([[2, 2, 2, 2]], dtype=uint8)
    >>> live.show_first(), labels
    (None, array([[1, 2, 1, 2]], dtype=uint8))
    """

    def __init__(
        self,
        labels: npt.NDArray[np.integer[Any]],
        first: npt.NDArray[np.uint8],
        painted: npt.NDArray[np.uint8],
    ) -> None:
        self.labels, self.first, self.painted = labels, first, painted
        self.answer = np.where(painted == UNLABELLED, first, UNLABELLED).astype(np.uint8)
        self._done: list[_Stroke] = []
        self._undone: list[_Stroke] = []

    @property
    def n_strokes(self) -> int:
        """Number of strokes."""
        return sum(not stroke.joins for stroke in self._done)

    def shown(self, box: Box) -> npt.NDArray[np.uint8]:
        """Return the labels as they are without a stroke that goes on."""
        painted = self.painted[box]
        return np.where(painted != UNLABELLED, painted, self.answer[box])

    # ---- the user paints ----------------------------------------------------------------

    def note_stroke(self, box: Box) -> bool:
        """Take note of what a stroke changed; labels that it erased are no longer painted.

        Parameters
        ----------
        box : tuple of slice
            Box that the stroke lies in, on all axes of the labels.

        Returns
        -------
        bool
            Whether it changed anything.
        """
        labels, painted = self.labels[box], self.painted[box]
        mask = labels != self.shown(box)
        if not mask.any():
            return False
        now = labels[mask].astype(np.uint8)
        self._done.append(_Stroke(box, mask, painted[mask], now))
        self._undone.clear()
        painted[mask] = now
        self.answer[box][mask] = UNLABELLED
        return True

    def confirm(self, brushed: Brushed, joins: bool = False) -> bool:
        """Take note of a stroke of the class that is shown already: it is painted now.

        Parameters
        ----------
        brushed : Brushed
            Where the brush went; pixels that show another class are left out.
        joins : bool
            Whether it is the part of the last stroke that changed no label.

        Returns
        -------
        bool
            Whether any of it was not painted before.
        """
        labels, painted = self.labels[brushed.box], self.painted[brushed.box]
        mask = brushed.mask & (labels == brushed.value) & (painted == UNLABELLED)
        if brushed.value == UNLABELLED or not mask.any():
            return False
        now = np.full(np.count_nonzero(mask), brushed.value, np.uint8)
        self._done.append(_Stroke(brushed.box, mask, painted[mask], now, True, joins))
        painted[mask] = now
        self.answer[brushed.box][mask] = UNLABELLED
        return True

    def note_change(self, plane: tuple[int, ...]) -> Box | None:
        """Find out what changed: the last stroke was undone or done again, or a program wrote.

        Strokes that only confirmed go and come with the stroke before them, as napari does not
        know of them.

        Parameters
        ----------
        plane : tuple of int
            Index of the plane that is shown.

        Returns
        -------
        tuple of slice or None
            Box of the change; None if nothing changed.
        """
        for source, target, is_undo in (
            (self._undone, self._done, False),
            (self._done, self._undone, True),
        ):
            last = next((s for s in reversed(source) if not s.confirms), None)
            if last is not None and self._is_replayed(last, is_undo):
                moved = _moved(source, is_undo)
                target += moved
                for stroke in moved:
                    self._set(stroke, stroke.was if is_undo else stroke.now)
                return _around([stroke.box for stroke in moved])
        rows, columns = self.labels.shape[-2:]
        box = (*(slice(i, i + 1) for i in plane), slice(0, rows), slice(0, columns))
        if rows * columns > _LARGEST_LOOKED_THROUGH_PX or not self.note_stroke(box):
            return None
        return box

    def _is_replayed(self, stroke: _Stroke, is_undo: bool) -> bool:
        """Whether labels changed exactly where a stroke was, away from it or back to it."""
        labels = self.labels[stroke.box]
        changed = labels != self.shown(stroke.box)
        if not changed.any() or bool((changed & ~stroke.mask).any()):
            return False
        found = labels[stroke.mask]
        if not is_undo:
            return bool((found == stroke.now).all())
        drawn = stroke.now != UNLABELLED
        return bool((found[drawn] != stroke.now[drawn]).all())

    def _set(self, stroke: _Stroke, values: npt.NDArray[np.uint8]) -> None:
        painted, answer = self.painted[stroke.box], self.answer[stroke.box]
        painted[stroke.mask] = values
        left = np.where(values == UNLABELLED, self.labels[stroke.box][stroke.mask], UNLABELLED)
        answer[stroke.mask] = left
        if stroke.confirms:  # something else may have been learnt there meanwhile
            shown = self.labels[stroke.box]
            shown[stroke.mask] = np.where(values == UNLABELLED, shown[stroke.mask], values)

    # ---- what is learnt is shown --------------------------------------------------------

    def show(
        self,
        box: Box,
        learnt: npt.NDArray[np.uint8],
        checked: npt.NDArray[np.bool_] | None = None,
    ) -> None:
        """Show what was learnt in a box, but for what is painted, or being painted just now.

        Parameters
        ----------
        box : tuple of slice
            Box on all axes of the labels.
        learnt : ndarray of uint8, shape (Y, X)
            Class values for the box.
        checked : ndarray of bool, optional
            Mask of the pixels in the box that the user said are right: they stay as they are.
        """
        labels, painted, answer = self.labels[box], self.painted[box], self.answer[box]
        held = labels != self.shown(box)  # by a stroke whose mouse button is still down
        free = ~held & (painted == UNLABELLED)
        answer[~free] = UNLABELLED
        if checked is not None:
            free &= ~checked
        learnt = np.broadcast_to(learnt, labels.shape)
        answer[free] = learnt[free]
        labels[free] = learnt[free]

    def show_first(self, with_strokes: bool = True) -> None:
        """Show the first answer again, everywhere, with or without the strokes on it."""
        self.answer[...] = np.where(self.painted == UNLABELLED, self.first, UNLABELLED)
        self.labels[...] = self.shown(...) if with_strokes else self.first  # type: ignore[arg-type]


def _moved(strokes: list[_Stroke], is_undo: bool) -> list[_Stroke]:
    """Take the last stroke that napari knows of from a list, with those that confirmed after it.

    Parameters
    ----------
    strokes : list
        Strokes in the order of painting, or those that were undone, the last one first.
    is_undo : bool
        Whether they are in the order of painting.
    """
    moved = [strokes.pop()]
    while strokes and (moved[-1] if is_undo else strokes[-1]).confirms:
        moved.append(strokes.pop())
    return moved


def _around(boxes: list[Box]) -> Box:
    """Return the box around boxes."""
    return tuple(
        slice(min(part.start for part in parts), max(part.stop for part in parts))
        for parts in zip(*boxes, strict=True)
    )
