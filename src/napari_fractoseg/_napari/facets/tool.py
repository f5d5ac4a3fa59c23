"""Tool that outlines the facet under the cursor and gives it a class by a click."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any, TypeAlias
from weakref import WeakSet

import numpy as np
from napari.layers import Image, Labels, Vectors
from qtpy.QtCore import QObject, Signal

from napari_fractoseg._napari.corrections import is_teachable
from napari_fractoseg._napari.jobs import Run, State
from napari_fractoseg._napari.layer_metadata import METADATA_KEY
from napari_fractoseg._napari.layers import (
    current_plane,
    images_of,
    paint_without_brush,
    pixel_at,
    placement,
    stack_of,
    unique_name,
    unwrapped,
)
from napari_fractoseg._napari.widgets.plain_text import plain_text
from napari_fractoseg.annotations.facets import Facet, FacetTree, TreeCache, facet_tree_job
from napari_fractoseg.images import MicrographStack
from napari_fractoseg.jobs import Job

if TYPE_CHECKING:
    import napari.viewer

__all__ = ["FACET_KEYS", "FacetTool", "can_have_facets"]

FACET_KEYS = "click: paint · Esc: end\nShift + wheel: coarser, finer"
"""Text for users on how the tool is used."""

_CACHE_BYTES = 256 * 2**20
_OUTLINE_COLOR = "#ffd54a"
_OUTLINE_SCREEN_PX = 2.5
_TREMBLE_SCREEN_PX = 4
"""Way on the screen that the mouse may move during a click."""

_tools: WeakSet[FacetTool] = WeakSet()

_Plane: TypeAlias = tuple[Any, tuple[int, ...]]
_MouseEvents: TypeAlias = Generator[None, None, None]


def can_have_facets(layer: object) -> bool:
    """Tell whether facets can be painted on a layer: labels of a user, in one resolution."""
    return isinstance(layer, Labels) and is_teachable(layer) and not layer.multiscale


def _job(stack: MicrographStack, index: tuple[int, ...]) -> Job[FacetTree]:
    """Read a plane and find its facets; nothing of it happens in the GUI thread."""
    return (yield from facet_tree_job(stack.plane(index)))


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
        self._outline: Vectors | None = None
        self._trees: TreeCache[_Plane] = TreeCache(_CACHE_BYTES)
        self._images: dict[Any, Image] = {}
        self._run: Run | None = None
        self._run_plane: _Plane | None = None
        self._failed: set[_Plane] = set()
        self._facet_plane: tuple[int, ...] = ()
        self._shown_before: tuple[int, ...] = ()
        self._pixel: tuple[int, ...] | None = None
        self._area_px: float | None = None
        self._double_clicks: list[Callable[..., Any]] = []
        self._is_changing = False
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
        self._add_outline(layer)
        viewer = self.viewer
        viewer.mouse_move_callbacks.append(self._on_move)
        viewer.mouse_drag_callbacks.append(self._on_press)
        viewer.mouse_wheel_callbacks.append(self._on_wheel)
        # Two facets clicked quickly are no double click, which would zoom.
        self._double_clicks = list(viewer.mouse_double_click_callbacks)
        viewer.mouse_double_click_callbacks[:] = [self._on_double_click]
        viewer.dims.events.current_step.connect(self._on_plane)
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
        viewer.mouse_double_click_callbacks[:] = self._double_clicks
        viewer.dims.events.current_step.disconnect(self._on_plane)
        layer.events.mode.disconnect(self._on_mode)
        layer.bind_key("Escape", None)
        paint_without_brush(layer, begins=False)
        self.facet = self._pixel = None
        outline, self._outline = self._outline, None
        if outline is not None and outline in viewer.layers:
            viewer.layers.remove(outline)
        if self._run is not None and not self._run.state.has_ended:
            self._run.abandon()
        self._run = None
        self._say("")

    def _add_outline(self, labels: Labels) -> None:
        """Add the layer of the outline above all others; the labels layer stays selected."""
        names = [layer.name for layer in self.viewer.layers]
        outline = Vectors(
            np.zeros((0, 2, labels.ndim)),
            ndim=labels.ndim,
            name=plain_text(unique_name(f"{labels.name} · facet", names)),
            metadata={METADATA_KEY: {"helper": "facet"}},
            edge_color=_OUTLINE_COLOR,
            vector_style="line",
            opacity=1.0,
            **placement(labels),
        )
        self._is_changing = True
        self._outline = outline
        self.viewer.add_layer(outline)
        self.viewer.layers.selection.active = labels
        self._is_changing = False

    def _on_active(self, _event: Any = None) -> None:
        if self.is_on and not self._is_changing:
            if self.viewer.layers.selection.active is not self.labels:
                self.stop()
        elif not self.is_on:
            self._say("")

    def _on_removed(self, event: Any) -> None:
        if event.value in (self.labels, self._outline):
            self.stop()
        elif isinstance(event.value, Image):
            self._forget(event.value)

    def _on_mode(self, event: Any) -> None:
        if str(event.mode) != "pan_zoom":
            self.stop()

    def _on_escape(self, _layer: Labels) -> None:
        self.stop()

    def _on_double_click(self, _viewer: Any, event: Any) -> None:
        self._paint(event)

    # ---- facets of the plane that is shown ----------------------------------------------

    def _plane(self) -> tuple[Image, _Plane] | None:
        """Return the image that facets are found in, with the plane at the cursor."""
        if self.labels is None:
            return None
        images = images_of(self.viewer, self.labels)
        if not images:
            return None
        index = self._shown if self._pixel is None else self._pixel[:-2]
        return images[0], (images[0].unique_id, index)

    @property
    def _shown(self) -> tuple[int, ...]:
        """Index of the plane that is shown now on the leading axes of the labels."""
        assert self.labels is not None  # noqa: S101 - asked only while the tool is on
        return current_plane(self.labels, self.viewer.dims.point, self._units)

    @property
    def _units(self) -> Any:
        return getattr(self.viewer.dims, "units", None)  # older versions of napari have none

    def _tree(self) -> FacetTree | None:
        """Return the facets of the plane at the cursor; None while they are being found."""
        found = self._plane()
        if found is None:
            return None
        image, plane = found
        tree = self._trees.get(plane)
        if tree is None and plane not in self._failed:
            self._find(image, plane)
        return tree

    def _find(self, image: Image, plane: _Plane) -> None:
        if self._run is not None and not self._run.state.has_ended:
            if self._run_plane == plane:
                return
            self._run.abandon()
        if plane[0] not in self._images:
            self._images[plane[0]] = image
            image.events.data.connect(self._on_data)
        run = Run(_job(stack_of(image), plane[1]), "facets")
        self._run, self._run_plane = run, plane
        run.progressed.connect(self._on_progress)
        run.ended.connect(self._on_found)
        run.start()
        self._say("Finding the facets of this plane …")

    def _on_progress(self) -> None:
        run = self._run
        if run is not None and run.progress is not None and not run.state.has_ended:
            done, total = run.progress.done, run.progress.total
            self._say(f"Finding the facets of this plane: {done} of {total} …")

    def _on_found(self) -> None:
        run, plane = self._run, self._run_plane
        if run is None or plane is None or not self.is_on:
            return
        if run.state is State.DONE:
            self._trees.put(plane, run.result)
            self._say(FACET_KEYS)
            self._show_facet()
        elif run.state is State.FAILED:  # napari shows why
            self._failed.add(plane)
            self._say("No facets could be found on this plane.")

    def _on_data(self, event: Any) -> None:
        self._forget(event.source)
        if self.is_on:
            self._begin_plane()

    def _forget(self, image: Image) -> None:
        """Forget the facets of an image that has changed or was removed."""
        if self._images.pop(image.unique_id, None) is not None:
            image.events.data.disconnect(self._on_data)
        self._trees.forget(lambda plane: plane[0] == image.unique_id)
        self._failed = {plane for plane in self._failed if plane[0] != image.unique_id}

    def _on_plane(self, _event: Any = None) -> None:
        """Find the facets of the plane that is shown now, if it is another one."""
        if self.is_on and self._shown != self._shown_before:  # also sent when the outline changes
            self._begin_plane()

    def _begin_plane(self) -> None:
        self._shown_before, self._pixel = self._shown, None
        self._draw(None)
        if self._tree() is not None:
            self._say(FACET_KEYS)

    # ---- the mouse ----------------------------------------------------------------------

    def _on_move(self, _viewer: Any, event: Any) -> None:
        self._go_to(event)
        self._show_facet()

    def _go_to(self, event: Any) -> None:
        """Take over the pixel under the cursor; none in a three-dimensional view."""
        self._pixel = None
        if self.labels is not None and self.viewer.dims.ndisplay == 2:
            self._pixel = pixel_at(self.labels, event.position, self._units)

    def _show_facet(self) -> None:
        """Outline the facet under the cursor; the one that is outlined stays while inside it."""
        pixel = self._pixel
        tree = None if pixel is None else self._tree()
        if pixel is None or tree is None:
            self._draw(None)
            return
        row, column = pixel[-2:]
        shown = self.facet if self._facet_plane == pixel[:-2] else None
        if shown is not None and shown.contains(row, column):
            return
        if self._area_px is None:
            self._area_px = tree.typical_area_px
        self._draw(tree.near(row, column, self._area_px))

    def _on_wheel(self, _viewer: Any, event: Any) -> None:
        if "Shift" not in event.modifiers:
            return
        self._go_to(event)
        self._show_facet()
        pixel, tree = self._pixel, None if self._pixel is None else self._tree()
        if pixel is None or tree is None or self.facet is None:
            return
        # Some systems turn a wheel with Shift into a sideways one.
        steps = 1 if float(np.sum(event.delta)) > 0 else -1
        row, column = pixel[-2:]
        facet = tree.next_at(row, column, self.facet, steps)
        self._area_px = float(facet.region_px)
        self._draw(facet)

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
        if self.labels is None or self.facet is None:
            return
        rows, columns = self.facet.indices()
        plane = [np.full_like(rows, number) for number in self._facet_plane]
        indices = (*plane, rows, columns)
        if self.labels.preserve_labels:
            is_free = np.asarray(self.labels.data[indices]) == 0
            indices = tuple(axis[is_free] for axis in indices)
        self.labels.data_setitem(indices, self.labels.selected_label)

    # ---- what is shown ------------------------------------------------------------------

    def _draw(self, facet: Facet | None) -> None:
        """Outline a facet of the plane at the cursor, or none."""
        self.facet = facet
        if self._outline is None or self.labels is None:
            return
        if facet is None:
            if len(self._outline.data):
                self._outline.data = np.zeros((0, 2, self.labels.ndim))
            return
        self._facet_plane = () if self._pixel is None else self._pixel[:-2]
        lines = facet.outline()
        vectors = np.zeros((len(lines), 2, self.labels.ndim))
        vectors[:, 0, :-2] = self._facet_plane
        vectors[:, 0, -2:] = lines[:, 0]
        vectors[:, 1, -2:] = lines[:, 1] - lines[:, 0]
        self._outline.data = vectors
        scene = getattr(self.viewer, "scene", self.viewer)  # where napari 0.9 has the camera
        screen_px = scene.camera.zoom * abs(float(self.labels.scale[-1]))
        self._outline.edge_width = _OUTLINE_SCREEN_PX / screen_px

    def _say(self, text: str) -> None:
        if text != self.text or not text:
            self.text = text
            self.changed.emit()
