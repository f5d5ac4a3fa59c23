"""What a viewer shows during a point count: one image, its points, and nothing of the labels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image, Layer, Points
from qtpy.QtCore import QObject, Signal

from napari_fractoseg._napari.audit.point_mark import PointMark
from napari_fractoseg._napari.camera import go_to_pixel, grid_of, screen_px
from napari_fractoseg._napari.layer_metadata import metadata_with
from napari_fractoseg._napari.layers import (
    PAINTED_COLOR,
    is_segmentable,
    placement,
    stack_of,
    unique_name,
    unwrapped,
)
from napari_fractoseg._napari.widgets.plain_text import plain_text
from napari_fractoseg.audit.points import BORDER, CANT_TELL, Place, PointCount
from napari_fractoseg.classes import ClassScheme
from napari_fractoseg.text import listed, printable

if TYPE_CHECKING:
    import napari.viewer

__all__ = ["PointsView", "missing_text", "named_images"]

_RING_SCREEN_PX, _RING_WIDTH = 11, 0.15
_HELP = "1–9 class, B border, X can't tell, Backspace undo, N / P next / previous"  # noqa: RUF001
_OPEN, _UNSURE = (1.0, 1.0, 1.0, 1.0), (0.55, 0.55, 0.55, 1.0)
"""Colours of rings without an answer, and of those that could not be told or are on a border."""
_LEAST_SEEN_PX, _SEEN_SHARE = 200, 1 / 3
"""How much of an image is seen at first: a share of its shorter side, but not less than this."""
_CANVAS_PX = 700


class PointsView(QObject):
    """View of a point count in a viewer.

    From `begin` to `end`, all layers that could tell the answer are hidden, also those that are
    added meanwhile: only the image of the current point is seen, with the points on it and a
    cross around the current one. Then every layer is shown or hidden as it was before, and the
    points stay above them until another count begins.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Viewer that has the images.
    parent : QObject, optional
        Owner of the view.
    """

    changed = Signal()
    """Signal that a layer was added, removed, shown or hidden by somebody else."""

    def __init__(self, viewer: napari.viewer.Viewer, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._viewer = unwrapped(viewer)
        self._mark = PointMark(viewer)
        self._before: dict[Layer, bool] = {}
        self._images: dict[str, Image] = {}
        self._points: dict[str, Points] = {}
        self._magnification: float | None = None
        self._is_at_work = self._is_on = False
        self._current: Image | None = None
        self._active_before: Layer | None = None
        self._was_grid = False

    # ---- begin and end ------------------------------------------------------------------

    def begin(self, images: Mapping[str, Image]) -> None:
        """Hide all layers, and show points from now on.

        Parameters
        ----------
        images : mapping of str to Image
            Name of an image in the point count -> its layer.
        """
        self._images = dict(images)
        self._is_on, self._magnification, self._current = True, None, None
        self._active_before = self._viewer.layers.selection.active
        self._at_work(self._remove_points)
        grid = grid_of(self._viewer)  # else the cross would be in a cell of its own
        self._was_grid, grid.enabled = bool(grid.enabled), False
        for layer in list(self._viewer.layers):
            self._hide(layer)
        events = self._viewer.layers.events
        events.inserted.connect(self._on_inserted)
        events.removed.connect(self._on_removed)

    def end(self) -> None:
        """Remove the cross, and show again what was shown before."""
        if not self._is_on:
            return
        self._is_on = False
        events = self._viewer.layers.events
        events.inserted.disconnect(self._on_inserted)
        events.removed.disconnect(self._on_removed)
        self._at_work(self._restore)

    def _restore(self) -> None:
        layers = self._viewer.layers
        self._mark.remove()
        grid_of(self._viewer).enabled = self._was_grid
        for points in self._points.values():
            points.visible = True
            points.border_color = np.insert(points.border_color[:, :3], 3, 1, axis=1)
        for layer, was_visible in self._before.items():
            layer.events.visible.disconnect(self._on_visible)
            _show_layer(layer, was_visible)
        if self._active_before in layers:
            layers.selection.active = self._active_before
        self._before, self._images = {}, {}
        self._current = self._active_before = None

    def _remove_points(self) -> None:
        """Remove the points of the count before: they would tell what another person said."""
        for points in self._points.values():
            if points in self._viewer.layers:
                self._viewer.layers.remove(points)
        self._points = {}

    def _at_work(self, change: Any, *args: Any) -> None:
        """Change layers without taking that for something that the user did."""
        was_at_work, self._is_at_work = self._is_at_work, True
        try:
            change(*args)
        finally:
            self._is_at_work = was_at_work

    def _hide(self, layer: Layer) -> None:
        self._before[layer] = bool(layer.visible)
        self._at_work(setattr, layer, "visible", False)
        layer.events.visible.connect(self._on_visible)

    def _on_inserted(self, event: Any) -> None:
        if self._is_at_work:
            return
        layer = unwrapped(event.value)
        self._hide(layer)
        self.changed.emit()

    def _on_removed(self, event: Any) -> None:
        layer = unwrapped(event.value)
        if layer in self._before:
            layer.events.visible.disconnect(self._on_visible)
            layer.visible = self._before.pop(layer)  # as it was, should it be added again
        if not self._is_at_work:
            self.changed.emit()

    def _on_visible(self, _event: Any = None) -> None:
        if not self._is_at_work:
            self.changed.emit()

    # ---- what is there ------------------------------------------------------------------

    def image(self, name: str) -> Image | None:
        """Return the layer of an image, also one that was opened meanwhile; None without one."""
        known = self._images.get(name)
        if known is not None and known in self._viewer.layers:
            return known
        return named_images(self._viewer).get(name)

    def shown_against(self) -> list[str]:
        """Return the names of layers that somebody shows though they could tell the answer."""
        return [
            str(layer.name)
            for layer in self._before
            if layer.visible and layer is not self._current and layer in self._viewer.layers
        ]

    # ---- a point ------------------------------------------------------------------------

    def show(self, count: PointCount, operator: str, point: int) -> str:
        """Go to a point; return why it cannot be seen, or an empty text.

        Parameters
        ----------
        count : PointCount
            Points with answers.
        operator : str
            Person whose answers are shown; those of others are not.
        point : int
            Number of the point.
        """
        place = count.place(point)
        image = self.image(place.image)
        problem = missing_text(place, image)
        if problem or image is None:
            self._at_work(self._mark.hide)
            return problem
        self._at_work(self._show, count, operator, point, image)
        return ""

    def _show(self, count: PointCount, operator: str, point: int, image: Image) -> None:
        place = count.place(point)
        viewer = self._viewer
        viewer.dims.ndisplay = 2
        if viewer.dims.order != (as_read := tuple(range(viewer.dims.ndim))):
            viewer.dims.order = as_read
        if self._current is not None and self._current in viewer.layers:
            self._magnification = screen_px(viewer, self._current)  # as the user likes it
        if image is not self._current:
            for layer in self._before:
                _show_layer(layer, layer is image)
        _show_layer(image, True)
        pixel = (*place.index, place.row_px, place.column_px)
        is_first = self._magnification is None
        wanted = _first_magnification(image) if is_first else self._magnification
        go_to_pixel(viewer, image, pixel, wanted)
        self._current = image
        for name, points in self._points.items():
            _show_layer(points, name == place.image)
        self._show_points(count, operator, point, image)
        self._mark.show(image, pixel)

    def _show_points(self, count: PointCount, operator: str, point: int, image: Image) -> None:
        """Show the points of an image, those with an answer in the colour of the class."""
        name = count.place(point).image
        table = count.points[count.points["image"] == name]
        told = count.answers(operator)
        answers = [told.get(int(point), "") for point in table["point"]]
        layer = self._points.get(name)
        if layer is None or layer not in self._viewer.layers:
            pixels = [_pixel_of(count.place(int(point))) for point in table["point"]]
            names = [x.name for x in self._viewer.layers]
            layer = self._points[name] = Points(
                np.array(pixels, np.float64),
                name=plain_text(unique_name(f"{name} · points of {operator}", names)),
                size=1,
                canvas_size_limits=(_RING_SCREEN_PX, _RING_SCREEN_PX),
                face_color="transparent",
                border_width=_RING_WIDTH,
                metadata=metadata_with({"helper": "points", "image": name}),
                **placement(image),
            )
            self._viewer.add_layer(layer)
            layer.editable = False
            self._viewer.layers.selection.active = layer
        layer.help = _HELP  # instead of keys that are ours now
        layer.features = {
            "point": table["point"].to_numpy(),
            "answer": [plain_text(answer) for answer in answers],
        }
        colors = np.array([_color(answer, count.scheme) for answer in answers])
        colors[(table["point"] == point).to_numpy(), 3] = 0  # the cross has its middle free
        layer.border_color = colors


def named_images(viewer: napari.viewer.Viewer) -> dict[str, Image]:
    """Return the image layers of a viewer, by the names that a point count has for them."""
    layers = unwrapped(viewer).layers
    return {printable(layer.name): layer for layer in layers if is_segmentable(layer)}


def missing_text(place: Place, image: Image | None) -> str:
    """Return why a point cannot be shown on an image layer; an empty text if it can."""
    if image is None:
        return (
            f"The image {place.image} is not open. Open it, or give its layer this name; or go on "
            "with points of other images (N)."
        )
    shape = stack_of(image).shape
    pixel = _pixel_of(place)
    if len(pixel) == len(shape) and all(at < n for at, n in zip(pixel, shape, strict=True)):
        return ""
    return (
        f"The point at {listed(pixel)} (counted from 0) does not lie in {image.name}, which has "
        f"{listed(shape)} pixels. Open the image that the points were planned on."
    )


def _show_layer(layer: Layer, is_shown: bool) -> None:
    """Show or hide a layer; napari would draw anew also where nothing changes."""
    if bool(layer.visible) != is_shown:
        layer.visible = is_shown


def _pixel_of(place: Place) -> tuple[int, ...]:
    return (*place.index, place.row_px, place.column_px)


def _first_magnification(image: Image) -> float:
    rows, columns = stack_of(image).shape[-2:]
    return _CANVAS_PX / max(_LEAST_SEEN_PX, min(rows, columns) * _SEEN_SHARE)


def _color(answer: str, scheme: ClassScheme) -> tuple[float, ...]:
    if not answer:
        return _OPEN
    if answer == CANT_TELL or BORDER in answer:
        return _UNSURE
    told = scheme.find(answer)
    return (*PAINTED_COLOR[:3], 1.0) if told.is_transparent else (*told.rgba[:3], 1.0)
