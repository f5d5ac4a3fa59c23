"""Layer of the excluded area of an image, which the user paints on, outlines in, or deletes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image, Labels, Layer
from napari.utils.colormaps import DirectLabelColormap

from napari_fractoseg._napari.layer_metadata import facts_of, metadata_with
from napari_fractoseg._napari.layers import placement, stack_of, unique_name
from napari_fractoseg._napari.widgets.plain_text import plain_text
from napari_fractoseg.images import ExcludedArea
from napari_fractoseg.images.memory import array_bytes, refuse_if_too_large

if TYPE_CHECKING:
    import napari.viewer

__all__ = ["HELPER", "add_layer", "area_in", "is_excluded_layer", "layer_of", "put_in_place"]

HELPER = "excluded"
"""Word in `LayerFacts.helper` of a layer of the excluded area, and in its name."""

_VALUE, _COLOR, _OPACITY, _BRUSH_PX = 1, "#7d8597", 0.65, 40


def is_excluded_layer(layer: Layer | None) -> bool:
    """Tell whether a layer shows the excluded area of an image."""
    return isinstance(layer, Labels) and facts_of(layer).get("helper") == HELPER


def layer_of(viewer: napari.viewer.Viewer, image: Image) -> Labels | None:
    """Return the layer of the excluded area of an image, None if there is none."""
    for layer in viewer.layers:
        is_its = facts_of(layer).get("excluded_for") == str(image.unique_id)
        if is_its and is_excluded_layer(layer):
            return layer
    return None


def add_layer(viewer: napari.viewer.Viewer, image: Image, area: ExcludedArea | None) -> Labels:
    """Add the layer of the excluded area of an image; it counts for all planes.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Viewer that gets the layer.
    image : Image
        Layer of the image.
    area : ExcludedArea or None
        What is excluded so far.

    Raises
    ------
    ImageError
        If there is no memory for it.
    """
    shape = stack_of(image).shape[-2:]
    refuse_if_too_large(array_bytes(shape, np.uint8), f"The excluded area of {image.name}")
    data = np.zeros(shape, np.uint8) if area is None else np.asarray(area.of_plane()[...], np.uint8)
    layer = Labels(
        data,
        name=unique_name(plain_text(f"{image.name} · {HELPER}"), [x.name for x in viewer.layers]),
        metadata=metadata_with(
            {"helper": HELPER, "excluded_for": str(image.unique_id), "image": str(image.name)}
        ),
        opacity=_OPACITY,
        colormap=DirectLabelColormap(color_dict={None: _COLOR, 0: "transparent"}),
        **_place(image),
    )
    layer.selected_label, layer.brush_size = _VALUE, _BRUSH_PX
    viewer.add_layer(layer)
    return layer


def area_in(layer: Labels, shape: tuple[int, ...]) -> ExcludedArea | None:
    """Return a copy of the area that a layer shows; None if there is nothing on it.

    Raises
    ------
    ImageError
        If the layer has another size than the image, as it was replaced.
    """
    return ExcludedArea.of_mask(np.asarray(layer.data), shape, f"The layer {layer.name}.")


def put_in_place(layer: Labels, image: Image) -> None:
    """Lay the layer over its image again, after the image was scaled, moved or turned."""
    for name, value in _place(image).items():
        if name != "axis_labels":
            setattr(layer, name, value)


def _place(image: Image) -> dict[str, Any]:
    """Return the placement of an image for a layer that has only its rows and columns."""
    place = placement(image)
    if image.ndim == 2:
        return place
    plane = (image.ndim - 2, image.ndim - 1)
    affine = (*plane, image.ndim)
    return {
        **{name: place[name][-2:] for name in ("scale", "translate", "units", "axis_labels")},
        "rotate": place["rotate"][np.ix_(plane, plane)],
        "shear": place["shear"][-1:],
        "affine": place["affine"][np.ix_(affine, affine)],
    }
