"""Excluded area of an image, from a labels layer or from shapes that a user drew."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from napari.layers import Labels, Layer, Shapes

from napari_fractoseg._napari.layers import in_units_of
from napari_fractoseg._napari.via.shape_regions import shape_of
from napari_fractoseg.annotations import Region
from napari_fractoseg.annotations.raster import to_pixel_edges
from napari_fractoseg.annotations.region_pixels import pixels_of
from napari_fractoseg.errors import ImageError
from napari_fractoseg.images.memory import array_bytes, refuse_if_too_large

__all__ = ["DrawnArea", "excluded_area", "print_of_shapes"]


@dataclass(frozen=True, eq=False)
class DrawnArea:
    """Area that shapes cover, in the pixels of an image.

    Parameters
    ----------
    regions : tuple of (int or None, Region, float)
        For each shape its plane, counted over all leading axes, or None where it is on all of
        them; its region; and the half-width of its line in pixels, for lines.
    shape : tuple of int
        Shape of the image, (..., Y, X).
    """

    regions: tuple[tuple[int | None, Region, float], ...]
    shape: tuple[int, ...]

    def mask(self) -> npt.NDArray[np.bool_]:
        """Return the mask of the area: of a plane, or of all planes where they differ.

        Raises
        ------
        ImageError
            If there is no memory for it.
        """
        on_all = all(plane is None for plane, _, _ in self.regions)
        shape = self.shape[-2:] if on_all else self.shape
        refuse_if_too_large(array_bytes(shape, bool), "The excluded area")
        mask = np.zeros((1 if on_all else math.prod(shape[:-2]), math.prod(shape[-2:])), bool)
        rows, columns = shape[-2:]
        for plane, region, half_width_px in self.regions:
            inside = pixels_of(region, (rows, columns), half_width_px, 0)
            mask[slice(None) if plane is None or on_all else plane, inside] = True
        return mask.reshape(shape)


def excluded_area(layer: Layer, labels: Labels, *, on_all_planes: bool) -> DrawnArea | Any:
    """Return the area that is excluded from labels: an array that is not 0 there, or shapes.

    Parameters
    ----------
    layer : Layer
        Labels layer, or shapes layer, of the excluded area.
    labels : Labels
        Layer that is measured.
    on_all_planes : bool
        Whether shapes count on all planes, rather than on that which they were drawn on.

    Raises
    ------
    ImageError
        If there is nothing in the layer.
    """
    if isinstance(layer, Labels):
        return layer.data[0] if layer.multiscale else layer.data
    assert isinstance(layer, Shapes)  # noqa: S101 - no other kind is offered
    if not len(layer.data):
        raise ImageError(
            f"The layer {layer.name} of the excluded area has no shape. Draw one around what is "
            "not to be measured, or choose none."
        )
    shape = tuple(int(n) for n in (labels.data[0] if labels.multiscale else labels.data).shape)
    return DrawnArea(tuple(_regions(layer, labels, shape, on_all_planes)), shape)


def _regions(
    layer: Shapes, labels: Labels, shape: tuple[int, ...], on_all_planes: bool
) -> Iterator[tuple[int | None, Region, float]]:
    widths = np.broadcast_to(np.asarray(layer.edge_width, float), len(layer.data))
    for vertices, kind, width in zip(layer.data, layer.shape_type, widths, strict=True):
        place = _in_pixels(layer, labels, np.asarray(vertices, float))
        plane = None if on_all_planes or layer.ndim < len(shape) else _plane_of(place, shape)
        rows, columns = to_pixel_edges(place[:, -2], place[:, -1])
        yield plane, Region(shape_of(str(kind), rows, columns)), float(width) / 2


def _plane_of(place: npt.NDArray[np.float64], shape: tuple[int, ...]) -> int | None:
    leading = shape[:-2]
    if not leading:
        return None
    index = np.clip(np.round(place[:, :-2].mean(axis=0)), 0, np.array(leading) - 1)
    return int(np.ravel_multi_index(tuple(index.astype(int).tolist()), leading))


def _in_pixels(
    layer: Shapes, labels: Labels, vertices: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Return vertices of shapes in the pixels of a labels layer, on the axes that it has."""
    n = labels.ndim
    pixels = []
    for vertex in vertices:
        world = [float(x) for x in layer.data_to_world(vertex)]
        world = [0.0] * (n - len(world)) + in_units_of(labels, world, layer.units)[-n:]
        pixels.append(labels.world_to_data(world))
    return np.array(pixels, np.float64)


def print_of_shapes(layer: Shapes) -> tuple[Any, ...]:
    """Return what tells whether shapes are still as they were."""
    return tuple(
        (str(kind), np.asarray(v, float).tobytes(), float(width))
        for kind, v, width in zip(
            layer.shape_type,
            layer.data,
            np.broadcast_to(np.asarray(layer.edge_width, float), len(layer.data)),
            strict=True,
        )
    )
