"""Line that the user draws over the scale bar of an image."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from napari.layers import Image, Shapes

from napari_fractoseg._napari.layer_metadata import facts_of, metadata_with
from napari_fractoseg._napari.layers import placement, unique_name
from napari_fractoseg._napari.widgets.plain_text import plain_text
from napari_fractoseg.images.calibration.by_hand import BarLine

if TYPE_CHECKING:
    import napari.viewer

__all__ = ["bar_layer", "draw_bar", "line_on"]

_BAR = "scale bar"
_COLOR = "#ffb000"
_WIDTH_SCREEN_SHARE = 400


def draw_bar(viewer: napari.viewer.Viewer, image: Image) -> Shapes:
    """Return the layer for the line over an image's scale bar, ready to be drawn on."""
    layer = bar_layer(viewer, image)
    if layer is None:
        place = placement(image)
        ours = {
            key: value[-2:] if key in ("scale", "translate", "units", "axis_labels") else value
            for key, value in place.items()
        }
        if image.ndim > 2:  # a bar is the same on all planes
            del ours["rotate"], ours["shear"], ours["affine"]
        layer = Shapes(
            ndim=2,
            name=plain_text(unique_name(f"{image.name} · {_BAR}", [x.name for x in viewer.layers])),
            edge_color=_COLOR,
            edge_width=max(1.0, image.data.shape[-1 if not image.rgb else -2] / _WIDTH_SCREEN_SHARE)
            if not image.multiscale
            else 1.0,
            metadata=metadata_with({"helper": _BAR, "image": str(image.name)}),
            **ours,
        )
        viewer.add_layer(layer)
    layer.visible = True
    viewer.layers.selection.active = layer
    layer.mode = "add_line"
    return layer


def bar_layer(viewer: napari.viewer.Viewer, image: Image) -> Shapes | None:
    """Return the layer of the line over an image's scale bar, None if there is none."""
    for layer in viewer.layers:
        facts = facts_of(layer)
        is_bar = isinstance(layer, Shapes) and facts.get("helper") == _BAR
        if is_bar and facts.get("image") == image.name:
            return layer
    return None


def line_on(layer: Shapes | None, image: Image, error_px: float = 1.0) -> BarLine | None:
    """Return the line that was drawn last, in pixels of an image; None if there is none.

    Parameters
    ----------
    layer : Shapes or None
        Layer of the line.
    image : Image
        Image that it is on.
    error_px : float
        How well its length is known, in pixels of the image.
    """
    if layer is None or not layer.nshapes:
        return None
    ends = np.asarray(layer.data[-1], float)[[0, -1], -2:]
    world = [np.asarray(layer.data_to_world(_padded(end, layer.ndim)))[-2:] for end in ends]
    start, end = (image.world_to_data(_padded(at, image.ndim))[-2:] for at in world)
    return BarLine(tuple(map(float, start)), tuple(map(float, end)), error_px)


def _padded(place: np.ndarray, ndim: int) -> np.ndarray:
    """Return a row and column as a point of more axes, on the first plane."""
    return np.concatenate([np.zeros(ndim - 2), place])
