"""Tool that outlines the facet under the cursor and gives it a class by a click."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any, TypeAlias
from weakref import WeakSet

import numpy as np
from napari.layers import Image, Labels
from qtpy.QtCore import QObject, Signal

from napari_fractoseg._napari.corrections import is_teachable
from napari_fractoseg._napari.excluded import labels_mask
from napari_fractoseg._napari.facets.finder import FacetFinder
from napari_fractoseg._napari.facets.outline import FacetOutline
from napari_fractoseg._napari.layers import (
    images_of,
    paint_without_brush,
    pixel_at,
    shown_plane,
    unwrapped,
)
from napari_fractoseg.annotations.facets import Facet, FacetTree

if TYPE_CHECKING:
    import napari.viewer

__all__ = ["FACET_KEYS", "FacetTool", "can_have_facets"]

FACET_KEYS = "click: paint · Esc: end\nShift + wheel: coarser, finer"
"""Text for users on how the tool is used."""

_NOT_FLAT = "Facets are painted where rows and columns are seen: leave the 3D view or rolled axes."
_TREMBLE_SCREEN_PX = 4
"""Way on the screen that the mouse may move during a click."""

_tools: WeakSet[FacetTool] = WeakSet()

_MouseEvents: TypeAlias = Generator[None, None, None]


def can_have_facets(layer: object) -> bool:
    """Tell whether facets can be painted on a layer: labels of a user, in one resolution."""
    return isinstance(layer, Labels) and is_teachable(layer) and not layer.multiscale


class FacetTool(QObject):
    """Tool to paint whole facets on the labels layer that is selected.

    While it is on, moving the mouse outlines the facet under the cursor, Shift and the wheel make
    it coarser or finer, and a click gives it the selected class, as one step of napari's undo.
    Dragging moves the view as ever. It ends with `stop`, Esc, a tool of napari, or when another
    layer is selected. The facets of a plane are found in the background when it is first shown.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Viewer whose labels layers are painted on.
    parent : QObject, optional
        Owner of the tool.

    Attributes
    ----------
    labels : Labels or None
        Layer that is painted on; None while the tool is off.
    facet : Facet or None
        Facet that is outlined.
    text : str
        Text for users on what the tool does or waits for; empty while it is off.
    """

    changed = Signal()
    """Signal that the tool was switched on or off, or that `text` is new."""

    def __init__(self, viewer: napari.viewer.Viewer, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.viewer = unwrapped(viewer)  # layers are compared by identity
        self.labels: Labels | None = None
        self.facet: Facet | None = None
        self.text = ""
        self._outline: FacetOutline | None = None
        self._finder = FacetFinder(self.viewer, self)
        self._finder.changed.connect(self._on_finder)
        self._finder.outdated.connect(self._begin_plane)
        self._facet_plane: tuple[int, ...] = ()
        self._shown_before: tuple[int, ...] = ()
        self._pixel: tuple[int, ...] | None = None
        self._is_kept = False
        self._double_clicks: list[Callable[..., Any]] = []
        _tools.add(self)
        viewer = self.viewer
        viewer.layers.selection.events.active.connect(self._on_active)
        viewer.layers.events.removed.connect(self._on_removed)

    @property
    def is_on(self) -> bool:
        """Whether the tool follows the mouse."""
        return self.labels is not None

    # ---- on and off ---------------------------------------------------------------------

    def start(self) -> bool:
        """Switch the tool on for the selected layer; return whether it is on then."""
        layer = self.viewer.layers.selection.active
        if self.is_on:
            return True
        if not can_have_facets(layer):
            self._say("Select a labels layer to paint on first.")
            return False
        assert isinstance(layer, Labels)  # noqa: S101 - told by `can_have_facets`
        if not images_of(self.viewer, layer):
            self._say("There is no image of the size of this labels layer to find facets in.")
            return False
        for other in tuple(_tools):
            if other.labels is layer:  # of another dock
                other.stop()
        layer.visible = True
        layer.mode = "pan_zoom"  # a drag moves the view, and no brush paints
        self.labels = layer
        paint_without_brush(layer, begins=True)
        self._outline = FacetOutline(self.viewer, layer)
        self._outline.add()
        viewer = self.viewer
        viewer.mouse_move_callbacks.append(self._on_move)
        viewer.mouse_drag_callbacks.append(self._on_press)
        viewer.mouse_wheel_callbacks.append(self._on_wheel)
        # Two facets clicked quickly are no double click, which would zoom.
        self._double_clicks = list(viewer.mouse_double_click_callbacks)
        viewer.mouse_double_click_callbacks[:] = [self._on_double_click]
        viewer.dims.events.current_step.connect(self._on_plane)
        viewer.dims.events.ndisplay.connect(self._begin_plane)
        viewer.dims.events.order.connect(self._begin_plane)
        layer.events.mode.connect(self._on_mode)
        layer.bind_key("Escape", self._on_escape, overwrite=True)
        self._begin_plane()
        return True

    def stop(self) -> None:
        """Switch the tool off and remove the outline."""
        layer, self.labels = self.labels, None
        if layer is None:
            return
        viewer = self.viewer
        viewer.mouse_move_callbacks.remove(self._on_move)
        viewer.mouse_drag_callbacks.remove(self._on_press)
        viewer.mouse_wheel_callbacks.remove(self._on_wheel)
        viewer.mouse_double_click_callbacks.remove(self._on_double_click)
        viewer.mouse_double_click_callbacks[:0] = self._double_clicks
        viewer.dims.events.current_step.disconnect(self._on_plane)
        viewer.dims.events.ndisplay.disconnect(self._begin_plane)
        viewer.dims.events.order.disconnect(self._begin_plane)
        layer.events.mode.disconnect(self._on_mode)
        layer.bind_key("Escape", None)
        paint_without_brush(layer, begins=False)
        self.facet = self._pixel = None
        outline, self._outline = self._outline, None
        if outline is not None:
            outline.remove()
        self._finder.cancel()
        self._say("")

    def _on_active(self, _event: Any = None) -> None:
        if not self.is_on:
            self._say("")
        elif self._outline is not None and self._outline.is_changing:
            return
        elif self.viewer.layers.selection.active is not self.labels:
            self.stop()

    def _on_removed(self, event: Any) -> None:
        layer, outline = event.value, self._outline
        if layer is self.labels or (outline is not None and outline.is_shown_by(layer)):
            self.stop()
        elif isinstance(layer, Image):
            self._finder.forget(layer)

    def _on_mode(self, event: Any) -> None:
        if str(event.mode) != "pan_zoom":
            self.stop()

    def _on_escape(self, _layer: Labels) -> None:
        self.stop()

    def _on_double_click(self, _viewer: Any, event: Any) -> None:
        self._paint(event)

    # ---- facets of the plane that is shown ----------------------------------------------

    def _image(self) -> Image | None:
        """Return the image that facets are found in."""
        images = [] if self.labels is None else images_of(self.viewer, self.labels)
        return images[0] if images else None

    @property
    def _shown(self) -> tuple[int, ...]:
        """Index of the plane that is shown now on the leading axes of the labels."""
        assert self.labels is not None  # noqa: S101 - asked only while the tool is on
        return shown_plane(self.viewer, self.labels)

    @property
    def _units(self) -> Any:
        return getattr(self.viewer.dims, "units", None)  # older versions of napari have none

    @property
    def _is_flat(self) -> bool:
        """Whether rows and columns are seen, rather than a volume or a cut through planes."""
        dims = self.viewer.dims
        return set(dims.displayed) == {dims.ndim - 2, dims.ndim - 1}

    def _tree(self) -> FacetTree | None:
        """Return the facets of the plane at the cursor; None while they are being found."""
        image = self._image()
        if image is None or not self._is_flat:
            return None
        index = self._shown if self._pixel is None else self._pixel[:-2]
        return self._finder.tree(image, index)

    def _on_finder(self) -> None:
        """Tell what the finder says, and outline what it has found."""
        if self.is_on:
            self._say(self._finder.text or FACET_KEYS)
            if not self._finder.text:
                self._show_facet()

    def _on_plane(self, _event: Any = None) -> None:
        """Find the facets of the plane that is shown now, if it is another one."""
        if self.is_on and self._shown != self._shown_before:  # also sent when the outline changes
            self._begin_plane()

    def _begin_plane(self, _event: Any = None) -> None:
        if not self.is_on:
            return
        self._shown_before, self._pixel = self._shown, None
        self._draw(None)
        self._tree()
        self._say((self._finder.text or FACET_KEYS) if self._is_flat else _NOT_FLAT)

    # ---- the mouse ----------------------------------------------------------------------

    def _on_move(self, _viewer: Any, event: Any) -> None:
        self._go_to(event)
        self._show_facet()

    def _go_to(self, event: Any) -> None:
        """Take over the pixel under the cursor; none in a view that is not of whole planes."""
        self._pixel = None
        if self.labels is not None and self._is_flat:
            self._pixel = pixel_at(self.labels, event.position, self._units)

    def _show_facet(self) -> None:
        """Outline the facet under the cursor; one that was chosen or painted stays while inside."""
        pixel, image = self._pixel, self._image()
        tree = None if pixel is None else self._tree()
        if pixel is None or tree is None or image is None or self._is_left_out(pixel):
            self._draw(None)
            return
        row, column = pixel[-2:]
        shown = self.facet if self._facet_plane == pixel[:-2] else None
        if self._is_kept and shown is not None and shown.contains(row, column):
            return
        self._is_kept = False
        area_px = self._finder.sizes(image).next_px(tree.typical_area_px)
        facet = tree.likely(row, column, area_px)
        if shown is None or not facet.is_same_as(shown):
            self._draw(facet)

    def _is_left_out(self, pixel: tuple[int, ...]) -> bool:
        """Whether a pixel is left out of the image, such as one of its info bar."""
        mask = None if self.labels is None else labels_mask(self.viewer, self.labels, self._image())
        return mask is not None and bool(mask[pixel[-2:]])

    def _on_wheel(self, _viewer: Any, event: Any) -> None:
        if "Shift" not in event.modifiers:
            return
        self._go_to(event)
        self._show_facet()
        pixel, tree = self._pixel, None if self._pixel is None else self._tree()
        if pixel is None or tree is None or self.facet is None or self._is_left_out(pixel):
            return
        # Some systems turn a wheel with Shift into a sideways one.
        steps = 1 if float(np.sum(event.delta)) > 0 else -1
        row, column = pixel[-2:]
        self._draw(tree.next_at(row, column, self.facet, steps))
        self._is_kept = True

    def _on_press(self, _viewer: Any, event: Any) -> _MouseEvents:
        """Paint when the left button is released where it was pressed; a drag moves the view."""
        if event.button != 1 or event.modifiers:
            return
        pressed_at = np.array(event.pos)
        yield
        while event.type == "mouse_move":
            if np.abs(np.array(event.pos) - pressed_at).max() > _TREMBLE_SCREEN_PX:
                return
            yield
        self._paint(event)

    def _paint(self, event: Any) -> None:
        """Give the facet under the cursor the selected class."""
        self._go_to(event)
        self._show_facet()
        image = self._image()
        if self.labels is None or self.facet is None or image is None:
            return
        rows, columns = self.facet.indices()
        mask = labels_mask(self.viewer, self.labels, image)
        if mask is not None:
            kept = ~mask[...][rows, columns]
            rows, columns = rows[kept], columns[kept]
        plane = [np.full_like(rows, number) for number in self._facet_plane]
        indices = (*plane, rows, columns)
        if self.labels.preserve_labels:
            is_free = np.asarray(self.labels.data[indices]) == 0
            indices = tuple(axis[is_free] for axis in indices)
        self.labels.data_setitem(indices, self.labels.selected_label)
        self._finder.sizes(image).note(self.facet.region_px)
        self._is_kept = True

    # ---- what is shown ------------------------------------------------------------------

    def hide_outline(self) -> None:
        """Remove the layer of the outline until the mouse moves over the image again."""
        if self._outline is not None:
            self.facet = None
            self._outline.remove()

    def _draw(self, facet: Facet | None) -> None:
        """Outline a facet of the plane at the cursor, or none."""
        self.facet = facet
        if facet is not None and self._pixel is not None:
            self._facet_plane = self._pixel[:-2]
        if self._outline is not None:
            self._outline.show(facet, self._facet_plane)

    def _say(self, text: str) -> None:
        if text != self.text or not text:
            self.text = text
            self.changed.emit()
