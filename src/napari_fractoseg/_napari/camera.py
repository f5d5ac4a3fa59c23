"""Moves sliders and camera of a viewer to a pixel of a layer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_fractoseg._napari.layers import unwrapped
from napari_fractoseg.tiling import Box

if TYPE_CHECKING:
    import napari.viewer
    from napari.layers import Layer

__all__ = ["camera_of", "go_to_pixel", "grid_of", "scale_bar_of", "screen_px", "seen_middle"]


def camera_of(viewer: napari.viewer.Viewer) -> Any:
    """Return the camera of a viewer, which napari 0.9 has at another place than those before."""
    return getattr(viewer, "scene", viewer).camera


def scale_bar_of(viewer: napari.viewer.Viewer) -> Any:
    """Return the scale bar of a viewer, which napari 0.9 has at another place than those before."""
    canvas = getattr(viewer, "canvas", None)
    return viewer.scale_bar if canvas is None else canvas.overlays.scale_bar


def grid_of(viewer: napari.viewer.Viewer) -> Any:
    """Return the grid of a viewer, which napari 0.9 has at another place than those before."""
    return getattr(viewer, "canvas", viewer).grid


def screen_px(viewer: napari.viewer.Viewer, layer: Layer) -> float:
    """Return how many pixels of the screen a pixel of a layer is wide now."""
    return float(camera_of(viewer).zoom) * _width(viewer, layer)


def seen_middle(layer: Layer, shape: tuple[int, int], most_px: int) -> Box:
    """Return the middle of what is seen of a plane.

    Parameters
    ----------
    layer : Layer
        Image or labels layer whose last two axes are rows and columns.
    shape : tuple of int
        Rows and columns of the plane.
    most_px : int
        Largest edge of the box in pixels.
    """
    corners = np.asarray(layer.corner_pixels)
    if layer.multiscale:
        corners = corners * np.asarray(layer.downsample_factors[layer.data_level])[: layer.ndim]
    spans = []
    for first, last, length in zip(*corners[:, -2:].tolist(), shape, strict=True):
        edge = max(1, min(int(last - first) + 1, most_px, length))
        start = min(max(int(first + last + 1 - edge) // 2, 0), length - edge)
        spans += [start, start + edge]
    return Box(*spans)


def go_to_pixel(
    viewer: napari.viewer.Viewer,
    layer: Layer,
    pixel: tuple[float, ...],
    magnification: float | None = None,
) -> None:
    """Show the plane of a pixel, with the pixel in the middle of the canvas.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Viewer that has the layer.
    layer : Layer
        Layer whose last two axes are rows and columns.
    pixel : tuple of float
        Index of the pixel on all axes of the layer, or a place between pixels.
    magnification : float, optional
        Pixels of the screen that a pixel of the layer is to be wide (`screen_px`); by default
        the zoom stays as it is.
    """
    viewer = unwrapped(viewer)
    dims = viewer.dims
    world = layer.data_to_world(pixel)
    offset = dims.ndim - layer.ndim
    factors = _factors(viewer, layer)
    for axis, coordinate in enumerate(world[:-2]):
        dims.set_point(axis + offset, float(coordinate) * factors[axis])
    camera = camera_of(viewer)
    row, column = (float(at) * by for at, by in zip(world[-2:], factors[-2:], strict=True))
    camera.center = (0, row, column)
    if magnification is not None:
        camera.zoom = magnification / _width(viewer, layer)


def _width(viewer: napari.viewer.Viewer, layer: Layer) -> float:
    """Return the width of a pixel of a layer in the units of the viewer."""
    factor: float = _factors(viewer, layer)[-1]
    return float(np.abs(layer.scale[-1])) * factor


def _factors(viewer: napari.viewer.Viewer, layer: Layer) -> list[float]:
    """Return for each axis of a layer the length of its unit in units of the viewer."""
    shown = getattr(viewer.layers, "units", None)  # None where layers do not go together
    if shown is None or len(shown) < layer.ndim:
        return [1.0] * layer.ndim
    pairs = zip(layer.units, shown[-layer.ndim :], strict=True)
    return [float((1 * own).to(unit).magnitude) for own, unit in pairs]
