"""Gives an image and all layers made from it a pixel size, and takes it back."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt
from napari.layers import Image, Layer

from napari_fractoseg._napari.calibrate.family import family_of
from napari_fractoseg._napari.calibrate.sizes import remember_size, remembered
from napari_fractoseg._napari.camera import camera_of, go_to_pixel, scale_bar_of, screen_px
from napari_fractoseg._napari.layer_metadata import unwrapped
from napari_fractoseg._napari.layers import in_units_of, shown_plane
from napari_fractoseg.images.calibration import PixelSize

if TYPE_CHECKING:
    import napari.viewer

__all__ = ["can_take_back", "give_size", "take_back"]

_PIXEL, _MICROMETRE = "pixel", "micrometer"
_SAME = 1e-9


@dataclass(frozen=True)
class _Scale:
    """Scale and units of the rows and columns of a layer, with what is kept about its size."""

    edges: tuple[float, float]
    units: tuple[Any, Any]
    entry: dict[str, Any]


@dataclass(frozen=True)
class _Change:
    """What an image had before it was given a size, and what it had after."""

    before: _Scale
    after: _Scale
    had_bar: bool


_changes: WeakKeyDictionary[Layer, _Change] = WeakKeyDictionary()


def give_size(
    viewer: napari.viewer.Viewer,
    image: Image,
    size: PixelSize,
    also: Iterable[Layer] = (),
    *,
    but: Iterable[Layer] = (),
) -> tuple[Layer, ...]:
    """Give an image a pixel size, and all layers that were made from it; the view stays.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Viewer that has the layers. Its scale bar is shown.
    image : Image
        Layer of a micrograph.
    size : PixelSize
        Edges of a pixel; if they are unknown, the layers get pixels as their unit.
    also : iterable of Layer
        Layers that are of this image, of those that may as well be of another (`family_of`).
    but : iterable of Layer
        Layers that stay as they are, although they were made from it.

    Returns
    -------
    tuple of Layer
        The layers that were changed beside the image.

    Notes
    -----
    Layers keep their place relative to the image, and the image its place relative to the origin:
    the translations are scaled, too.
    """
    before = _scale_of(image)
    if size.x_um is None or size.y_um is None:
        after = _Scale((1.0, 1.0), (_PIXEL, _PIXEL), {})
    else:
        after = _Scale((size.y_um, size.x_um), (_MICROMETRE, _MICROMETRE), size.to_dict())
    changed = _set_scale(viewer, image, after, also, but)
    bar = scale_bar_of(viewer)
    _changes[unwrapped(image)] = _Change(before, _scale_of(image), bool(bar.visible))
    if size.x_um is not None:
        bar.visible = True
    return changed


def can_take_back(image: Layer) -> bool:
    """Tell whether an image still has the pixel size that it was given here."""
    change = _changes.get(unwrapped(image))
    if change is None:
        return False
    now = _scale_of(image)
    return now.units == change.after.units and np.allclose(
        now.edges, change.after.edges, rtol=_SAME, atol=0
    )


def take_back(viewer: napari.viewer.Viewer, image: Image, also: Iterable[Layer] = ()) -> None:
    """Give an image, and what was made from it meanwhile, the scale and units of before.

    Parameters are those of `give_size`.
    """
    if can_take_back(image):
        change = _changes.pop(unwrapped(image))
        _set_scale(viewer, image, change.before, also)
        scale_bar_of(viewer).visible = change.had_bar


def _scale_of(layer: Layer) -> _Scale:
    y, x = (float(abs(edge)) for edge in layer.scale[-2:])
    return _Scale((y, x), tuple(layer.units[-2:]), remembered(layer))


def _set_scale(
    viewer: napari.viewer.Viewer,
    image: Image,
    scale: _Scale,
    also: Iterable[Layer] = (),
    but: Iterable[Layer] = (),
) -> tuple[Layer, ...]:
    family, left, chosen = family_of(viewer, image), list(but), list(also)
    others = (*family.sure, *(layer for layer in family.perhaps if layer in chosen))
    layers = [layer for layer in others if layer not in left]
    view, magnification = _view(viewer, image), screen_px(viewer, image)
    factors = np.asarray(scale.edges) / np.abs(image.scale[-2:])
    places = {layer: _place_in(image, layer) for layer in layers}
    origin = image.world_to_data(np.zeros(image.ndim))[-2:]
    _scale_layer(image, factors, scale)
    _move(image, np.zeros(2), np.asarray(origin))
    for layer, place in places.items():
        _scale_layer(layer, factors, scale)
        _move(layer, _world_of(image, place), np.zeros(2))
    go_to_pixel(viewer, image, view, magnification)
    return tuple(layers)


def _scale_layer(layer: Layer, factors: npt.NDArray[Any], scale: _Scale) -> None:
    edges = np.array(layer.scale)
    edges[-2:] *= factors
    layer.scale = edges
    layer.units = (*layer.units[:-2], *scale.units)
    remember_size(layer, scale.entry)


def _place_in(image: Layer, layer: Layer) -> npt.NDArray[Any]:
    """Return the row and column of an image at which the first pixel of a layer lies."""
    world = np.zeros(image.ndim)
    world[-2:] = _world_of(layer, np.zeros(2))
    return np.asarray(image.world_to_data(world)[-2:])


def _world_of(layer: Layer, place: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return where a row and column of a layer lie in the world, on its first plane."""
    data = np.zeros(layer.ndim)
    data[-2:] = place
    return np.asarray(layer.data_to_world(data)[-2:])


def _move(layer: Layer, world: npt.NDArray[Any], place: npt.NDArray[Any]) -> None:
    """Move a layer so that a row and column of it lie at a place in the world."""
    shift = np.asarray(world) - _world_of(layer, place)
    linear = np.asarray(layer.affine.linear_matrix)[-2:, -2:]
    translate = np.array(layer.translate)
    translate[-2:] += np.linalg.solve(linear, shift)
    layer.translate = translate


def _view(viewer: napari.viewer.Viewer, image: Image) -> tuple[float, ...]:
    """Return the place of the image, in its own pixels, that is in the middle of the view."""
    units = getattr(viewer.layers, "units", None)
    centre = (*([0.0] * (image.ndim - 2)), *camera_of(viewer).center[-2:])
    world = in_units_of(image, centre, None if units is None else units[-image.ndim :])
    return (*shown_plane(viewer, image), *map(float, image.world_to_data(world)[-2:]))
