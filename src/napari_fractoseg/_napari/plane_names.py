"""Which image a plane of a stack is: told in docks, and in the corner of napari's canvas."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

from napari.layers import Layer

from napari_fractoseg._napari.layer_metadata import PLANE_NAMES_KEY
from napari_fractoseg._napari.layers import shown_plane
from napari_fractoseg._napari.per_viewer import PerViewer
from napari_fractoseg.text import printable

if TYPE_CHECKING:
    import napari.viewer

__all__ = ["PlaneOverlay", "plane_overlay_of", "shown_plane_name"]


def shown_plane_name(viewer: napari.viewer.Viewer, layer: Layer | None) -> str:
    """Return the name of the image that is shown of a stack; empty if the planes have no names."""
    names = [] if layer is None else layer.metadata.get(PLANE_NAMES_KEY, [])
    index = shown_plane(viewer, layer) if layer is not None and names else ()
    if len(index) != 1 or not index[0] < len(names):
        return ""
    return printable(names[index[0]])


class PlaneOverlay:
    """Text in the corner of the canvas that names the image that is shown of a stack.

    It is shown only for stacks whose planes have names, and takes the place of no other text.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Viewer in whose canvas it is.
    """

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        self._viewer, self._said = weakref.ref(viewer), ""
        viewer.dims.events.current_step.connect(self.update)
        for event in (viewer.layers.events.inserted, viewer.layers.events.removed):
            event.connect(self.update)
        viewer.layers.selection.events.active.connect(self.update)
        self.update()

    def update(self, _event: Any = None) -> None:
        """Name the plane that is shown now."""
        viewer = self._viewer()
        if viewer is None:
            return
        text = _text_of(viewer)
        if text.visible and text.text != self._said:  # of the user, or of another plugin
            return
        active = viewer.layers.selection.active
        layers = (active, *(layer for layer in reversed(viewer.layers) if layer.visible))
        names = (shown_plane_name(viewer, layer) for layer in layers)
        said = next(filter(None, names), "")
        if said != self._said:
            self._said = text.text = said
            text.visible = bool(said)


def _text_of(viewer: napari.viewer.Viewer) -> Any:
    canvas = getattr(viewer, "canvas", None)  # napari 0.9, and before
    return viewer.text_overlay if canvas is None else canvas.overlays.text


_known = PerViewer(PlaneOverlay)


def plane_overlay_of(viewer: napari.viewer.Viewer) -> PlaneOverlay:
    """Return the overlay of a viewer, which is made when it is first asked for."""
    return _known.of(viewer)
