"""Way of the brush over a labels layer: napari tells only of pixels whose label changes."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from napari.layers import Labels

from napari_fractoseg._napari.live.strokes import Brushed

if TYPE_CHECKING:
    import napari.viewer

__all__ = ["BrushWay", "brushed_pixels"]


class BrushWay:
    """Places that the brush goes over while the left mouse button is down.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Viewer that has the layer.
    labels : Labels
        Layer that is painted on.
    plane : tuple of int
        Index of the plane that is shown.
    event : Event
        Mouse event that begins the stroke.
    """

    def __init__(
        self, viewer: napari.viewer.Viewer, labels: Labels, plane: tuple[int, ...], event: Any
    ) -> None:
        self._labels, self._plane = labels, plane
        self._value, self._size = int(labels.selected_label), float(labels.brush_size)
        self._points: list[npt.NDArray[np.float64]] = []
        self._is_brush = (
            str(labels.mode) == "paint"
            and event.button == 1
            and str(labels.cursor) != "circle_frozen"  # its size is being changed
            and not labels.preserve_labels
            and labels.n_edit_dimensions == 2
            and viewer.dims.ndisplay == 2
            and tuple(viewer.dims.order[-2:]) == (viewer.dims.ndim - 2, viewer.dims.ndim - 1)
        )
        self.add(event)

    def add(self, event: Any) -> None:
        """Note where the mouse is."""
        if self._is_brush:
            self._points.append(np.asarray(self._labels.world_to_data(event.position))[-2:])

    def brushed(self) -> Brushed | None:
        """Return the pixels that the brush went over; None if there are none, or no brush."""
        if not self._points:
            return None
        shape, scale = self._labels.data.shape[-2:], np.asarray(self._labels.scale)[-2:]
        found = brushed_pixels(np.array(self._points), self._size, shape, scale)
        if found is None:
            return None
        (rows, columns), mask = found
        box = (*(slice(i, i + 1) for i in self._plane), rows, columns)
        return Brushed(box, mask.reshape([part.stop - part.start for part in box]), self._value)


def brushed_pixels(
    way: npt.NDArray[np.float64],
    size_px: float,
    shape: tuple[int, ...],
    scale: npt.ArrayLike = (1.0, 1.0),
) -> tuple[tuple[slice, slice], npt.NDArray[np.bool_]] | None:
    """Return the pixels under a round brush that is moved along a line.

    Parameters
    ----------
    way : ndarray of float, shape (n, 2)
        Places in (row, column) that the middle of the brush was at, joined by straight lines.
    size_px : float
        Diameter of the brush, in pixels of the axis with the smaller scale.
    shape : tuple of int
        Rows and columns of the plane.
    scale : array_like of float, shape (2,)
        Size of a pixel in rows and columns.

    Returns
    -------
    tuple or None
        Box in rows and columns, and mask of that box; None if no pixel is under the brush.
    """
    radius = np.floor(size_px / 2) + 0.5
    stretch = np.abs(np.asarray(scale, float))
    stretch = stretch / stretch.min()
    reach = np.floor(radius / stretch).astype(int)
    offsets = np.ogrid[-reach[0] : reach[0] + 1, -reach[1] : reach[1] + 1]
    disc = (offsets[0] * stretch[0]) ** 2 + (offsets[1] * stretch[1]) ** 2 <= radius**2
    middles = _stepped(way, size_px)
    limits = np.array(shape)
    low = np.clip(middles.min(axis=0) - reach, 0, limits)
    high = np.clip(middles.max(axis=0) + reach + 1, 0, limits)
    if (low >= high).any():
        return None
    mask = np.zeros(high - low, bool)
    for middle in middles:
        corner = middle - reach
        first, last = np.maximum(corner, low), np.minimum(middle + reach + 1, high)
        if (first < last).all():
            (row0, column0), (row1, column1) = first - corner, last - corner
            under = disc[row0:row1, column0:column1]
            (row0, column0), (row1, column1) = first - low, last - low
            mask[row0:row1, column0:column1] |= under
    box = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    return ((box[0], box[1]), mask) if mask.any() else None


def _stepped(way: npt.NDArray[np.float64], size_px: float) -> npt.NDArray[np.intp]:
    """Return pixels along a line of places, each once, as near to one another as in napari."""
    parts = [way[:1]]
    for start, end in itertools.pairwise(way):
        n_steps = round(np.abs(end - start).max() / size_px * 4)
        parts.append(np.linspace(start, end, n_steps + 1)[min(n_steps, 1) :])
    return np.unique(np.round(np.concatenate(parts)).astype(np.intp), axis=0)
