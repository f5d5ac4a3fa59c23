"""Cross around the point that is looked at: the pixel in its middle stays free."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from napari.layers import Image, Layer, Vectors

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
        Viewer that gets the layer of the mark.
    """

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        self._viewer = unwrapped(viewer)
        self._image: Image | None = None
        self._pixel: tuple[int, ...] = ()
        self.layer: Vectors | None = None

    def is_shown_by(self, layer: Layer) -> bool:
        """Tell whether a layer is that of the mark."""
        return self.layer is not None and layer == self.layer

    def show(self, image: Image, pixel: tuple[int, ...]) -> None:
        """Mark a pixel of an image, instead of the one before; what is selected stays so.

        Parameters
        ----------
        image : Image
            Layer of the image.
        pixel : tuple of int
            Index of the pixel on all axes of the layer.
        """
        layers = self._viewer.layers
        if self.layer is None or self.layer not in layers or image is not self._image:
            self.remove()
            selection = layers.selection
            active, chosen = selection.active, set(selection)
            self.layer = self._viewer.add_layer(
                Vectors(
                    np.zeros((0, 2, image.ndim)),
                    ndim=image.ndim,
                    name=unique_name(_NAME, [layer.name for layer in layers]),
                    metadata=metadata_with({"helper": "point"}),
                    edge_color=_COLOR,
                    vector_style="line",
                    opacity=1.0,
                    **placement(image),
                )
            )
            selection.clear()
            selection.update(chosen)
            selection.active = active
            camera_of(self._viewer).events.zoom.connect(self._draw)
        self._image, self._pixel = image, pixel
        self._draw()

    def remove(self) -> None:
        """Remove the mark, if there is one."""
        layer, self.layer, self._image = self.layer, None, None
        if layer is not None:
            camera_of(self._viewer).events.zoom.disconnect(self._draw)
            if layer in self._viewer.layers:
                self._viewer.layers.remove(layer)

    def _draw(self, _event: Any = None) -> None:
        if self.layer is None or self._image is None:
            return
        per_px = screen_px(self._viewer, self._image)
        self.layer.data = _cross(self._pixel, per_px)
        self.layer.edge_width = _WIDTH_SCREEN_PX / per_px


def _cross(pixel: tuple[int, ...], per_px: float) -> npt.NDArray[np.float64]:
    """Return four vectors that point away from a pixel, as napari takes them."""
    gap = max(_GAP_SCREEN_PX / per_px, _LEAST_GAP_PX)
    arms = np.zeros((len(_ARMS), 2, len(pixel)))
    arms[:, 0] = pixel
    arms[:, 0, -2:] += _ARMS * gap
    arms[:, 1, -2:] = _ARMS * _ARM_SCREEN_PX / per_px
    return arms
