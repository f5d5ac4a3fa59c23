"""Cross around the point that is looked at: the pixel in its middle stays free."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from napari.layers import Image, Vectors

from napari_fractoseg._napari.camera import camera_of, screen_px
from napari_fractoseg._napari.layer_metadata import metadata_with
from napari_fractoseg._napari.layers import placement, unique_name, unwrapped

if TYPE_CHECKING:
    import napari.viewer

__all__ = ["PointMark"]

_NAME, _COLOR = "what is under the cross?", "#ffd54a"
_GAP_SCREEN_PX, _ARM_SCREEN_PX, _WIDTH_SCREEN_PX = 7, 22, 2.5
_LEAST_GAP_PX = 1.0
"""Least half width of the gap, in pixels of the image: the pixel itself is never covered."""
_ARMS = np.array([(-1, 0), (1, 0), (0, -1), (0, 1)], np.float64)


class PointMark:
    """Four arms around a pixel, of the same length on the screen at every zoom.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Viewer that gets the layer of the mark; stacks and single planes have a layer each, as
        napari takes long to add and remove one.
    """

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        self._viewer = unwrapped(viewer)
        self._image: Image | None = None
        self._pixel: tuple[int, ...] = ()
        self._layers: dict[int, Vectors] = {}
        self._follows_zoom = False

    def show(self, image: Image, pixel: tuple[int, ...]) -> None:
        """Mark a pixel of an image, instead of the one before; what is selected stays so.

        Parameters
        ----------
        image : Image
            Layer of the image.
        pixel : tuple of int
            Index of the pixel on all axes of the layer.
        """
        layer = self._layers.get(image.ndim)
        if layer is None or layer not in self._viewer.layers:
            self._add(image)
        elif image is not self._image:
            for name, value in placement(image).items():
                setattr(layer, name, value)
        self._image, self._pixel = image, pixel
        self._draw()
        for n_axes, other in self._layers.items():
            if other.visible != (n_axes == image.ndim):
                other.visible = n_axes == image.ndim

    def _add(self, image: Image) -> None:
        layers = self._viewer.layers
        selection = layers.selection
        active, chosen = selection.active, set(selection)
        layer = self._layers[image.ndim] = Vectors(
            np.zeros((0, 2, image.ndim)),
            ndim=image.ndim,
            name=unique_name(_NAME, [layer.name for layer in layers]),
            metadata=metadata_with({"helper": "point"}),
            edge_color=_COLOR,
            vector_style="line",
            opacity=1.0,
            **placement(image),
        )
        self._viewer.add_layer(layer)
        selection.clear()
        selection.update(chosen)
        selection.active = active
        if not self._follows_zoom:
            self._follows_zoom = True
            camera_of(self._viewer).events.zoom.connect(self._draw)

    def hide(self) -> None:
        """Show no mark until there is another one."""
        for layer in self._layers.values():
            layer.visible = False

    def remove(self) -> None:
        """Remove the mark, if there is one."""
        if self._follows_zoom:
            self._follows_zoom = False
            camera_of(self._viewer).events.zoom.disconnect(self._draw)
        for layer in self._layers.values():
            if layer in self._viewer.layers:
                self._viewer.layers.remove(layer)
        self._layers, self._image = {}, None

    def _draw(self, _event: Any = None) -> None:
        image = self._image
        if image is None or image not in self._viewer.layers:
            return
        per_px = screen_px(self._viewer, image)
        layer = self._layers[image.ndim]
        layer.data = _cross(self._pixel, per_px)
        layer.edge_width = _WIDTH_SCREEN_PX / per_px


def _cross(pixel: tuple[int, ...], per_px: float) -> npt.NDArray[np.float64]:
    """Return four vectors that point away from a pixel, as napari takes them."""
    gap = max(_GAP_SCREEN_PX / per_px, _LEAST_GAP_PX)
    arms = np.zeros((len(_ARMS), 2, len(pixel)))
    arms[:, 0] = pixel
    arms[:, 0, -2:] += _ARMS * gap
    arms[:, 1, -2:] = _ARMS * _ARM_SCREEN_PX / per_px
    return arms
