"""Conversion between napari layers and micrographs, labels and class schemes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from napari.layers import Image, Labels, Layer
from napari.utils.colormaps import DirectLabelColormap

from napari_fractoseg._napari.layer_metadata import (
    METADATA_KEY,
    add_facts,
    facts_of,
    metadata_with,
)
from napari_fractoseg._napari.widgets.plain_text import plain_text
from napari_fractoseg.classes import UNLABELLED, ClassScheme
from napari_fractoseg.errors import ClassSchemeError
from napari_fractoseg.images import MicrographStack

if TYPE_CHECKING:
    import napari.viewer

__all__ = [
    "LABELS_OPACITY",
    "apply_scheme",
    "bind_class_keys",
    "class_colormap",
    "class_features",
    "current_plane",
    "image_text",
    "images_of",
    "is_segmentable",
    "labels_layer",
    "pixel_at",
    "pixel_size_um",
    "placement",
    "scheme_of",
    "stack_of",
    "uncertainty_layer",
    "unique_name",
]

_BRUSH_PX = 20
LABELS_OPACITY = 0.45


def is_segmentable(layer: Layer) -> bool:
    """Tell whether a layer is an image to segment: an Image layer that is no map of uncertainty."""
    return isinstance(layer, Image) and METADATA_KEY not in layer.metadata


def stack_of(layer: Image) -> MicrographStack:
    """Return an image layer as a stack; nothing is copied or loaded.

    Parameters
    ----------
    layer : Image
        Image layer, greyscale or RGB, with any leading axes; level 0 of a multiscale layer
        is taken.

    Raises
    ------
    ImageError
        If the layer is empty.
    """
    data = layer.data[0] if layer.multiscale else layer.data
    is_loaded = isinstance(data, np.ndarray)
    path = layer.source.path
    return MicrographStack(
        data,
        rgb=bool(layer.rgb),
        pixel_size_um=pixel_size_um(layer),
        name=str(layer.name),
        file=None if is_loaded or not path else Path(path),
    )


def pixel_size_um(layer: Layer) -> float | None:
    """Return the edge of a pixel in micrometres; None without units of length or square pixels."""
    sizes = [
        (abs(float(scale)) * unit).to("micrometer").magnitude
        for scale, unit in zip(layer.scale[-2:], layer.units[-2:], strict=True)
        if (1 * unit).is_compatible_with("micrometer")
    ]
    if len(sizes) < 2 or not math.isclose(*sizes, rel_tol=1e-3):
        return None
    return float(sizes[-1])


def image_text(stack: MicrographStack) -> str:
    """Return two lines of text on an image: its size and planes, and its pixel size."""
    rows, columns = stack.shape[-2:]
    planes = "1 plane" if stack.n_planes == 1 else f"{stack.n_planes} planes"
    size = stack.pixel_size_um
    scale = "pixel size unknown" if size is None else f"{size:.3g} µm/px"
    return f"{columns} × {rows} px, {planes}\n{scale}"  # noqa: RUF001 - as people write sizes


def placement(layer: Layer) -> dict[str, Any]:
    """Return the scale, place and units of a layer, as arguments for a layer of the same shape."""
    return {
        "scale": np.array(layer.scale),
        "translate": np.array(layer.translate),
        "rotate": np.array(layer.rotate),
        "shear": np.array(layer.shear),
        "affine": np.array(layer.affine.affine_matrix),
        "units": tuple(layer.units),
        "axis_labels": tuple(layer.axis_labels),
    }


def current_plane(
    layer: Layer, point: Sequence[float], units: Sequence[Any] | None = None
) -> tuple[int, ...]:
    """Return the plane of a layer at a point of the viewer.

    Parameters
    ----------
    layer : Layer
        Image layer, whose last two axes are the plane.
    point : sequence of float
        Point in world coordinates, such as ``viewer.dims.point``.
    units : sequence of pint.Unit, optional
        Units of `point`, such as ``viewer.dims.units``; by default those of the layer.

    Returns
    -------
    tuple of int
        Index of the plane on the leading axes; the nearest one if the point is outside.
    """
    position = layer.world_to_data(_in_units_of(layer, point, units))
    leading = layer.ndim - 2
    shape = layer.data[0].shape if layer.multiscale else layer.data.shape
    return tuple(
        int(np.clip(round(float(p)), 0, length - 1))
        for p, length in zip(position[:leading], shape[:leading], strict=True)
    )


def pixel_at(
    layer: Layer, point: Sequence[float], units: Sequence[Any] | None = None
) -> tuple[int, ...] | None:
    """Return the pixel of a layer at a point of the viewer, None outside the layer.

    Parameters
    ----------
    layer : Layer
        Layer of one resolution.
    point : sequence of float
        Point in world coordinates, such as the position of a mouse event.
    units : sequence of pint.Unit, optional
        Units of `point`, such as ``viewer.dims.units``; by default those of the layer.
    """
    position = layer.world_to_data(_in_units_of(layer, point, units))
    pixel = tuple(round(float(p)) for p in position)
    inside = all(0 <= p < length for p, length in zip(pixel, layer.data.shape, strict=True))
    return pixel if inside else None


def images_of(viewer: napari.viewer.Viewer, labels: Labels) -> list[Image]:
    """Return the image layers that have the shape of labels, first the one they are about.

    Then the uppermost comes first, as in napari's layer list.
    """
    shape = tuple(labels.data.shape)
    fitting = [
        layer
        for layer in reversed(viewer.layers)
        if is_segmentable(layer) and stack_of(layer).shape == shape
    ]
    wanted = facts_of(labels).get("image")
    return sorted(fitting, key=lambda layer: layer.name != wanted)


def _in_units_of(layer: Layer, point: Sequence[float], units: Sequence[Any] | None) -> list[float]:
    """Return a point with its last coordinates converted to the units of a layer."""
    converted = [float(p) for p in point]
    for i in range(1, min(len(converted), len(units or ()), layer.ndim) + 1):
        quantity = 1 * (units or ())[-i]
        if quantity.is_compatible_with(layer.units[-i]):
            converted[-i] *= quantity.to(layer.units[-i]).magnitude
    return converted


def unique_name(base: str, taken: Iterable[str]) -> str:
    """Return `base`, or ``base [2]``, ``base [3]`` ... if that name is taken.

    Examples
    --------
    >>> from napari_fractoseg._napari.layers import unique_name
    >>> unique_name("a", ["a", "a [2]"])
    'a [3]'
    """
    names = set(taken)
    name, number = base, 1
    while name in names:
        number += 1
        name = f"{base} [{number}]"
    return name


def class_colormap(scheme: ClassScheme) -> DirectLabelColormap:
    """Return the colours of a scheme; unlabelled and unknown values are transparent."""
    colors = {c.value: np.array(c.rgba, dtype=np.float32) for c in scheme}
    return DirectLabelColormap(color_dict={None: "transparent", UNLABELLED: "transparent"} | colors)


def class_features(scheme: ClassScheme) -> dict[str, list[Any]]:
    """Return the feature table that makes napari's status bar name the class under the cursor."""
    return {
        "index": [UNLABELLED, *scheme.values],
        "class": ["unlabelled", *map(plain_text, scheme.names)],
    }


def scheme_of(layer: Layer | None) -> ClassScheme | None:
    """Return the class scheme of a labels layer of ours, None for any other layer."""
    if not isinstance(layer, Labels):
        return None
    try:
        return ClassScheme.from_dict(facts_of(layer)["scheme"])
    except (TypeError, KeyError, ClassSchemeError):
        return None


def apply_scheme(layer: Labels, scheme: ClassScheme) -> None:
    """Give a labels layer names, colours and keys of a scheme's classes, and keep the scheme."""
    add_facts(layer, {"scheme": scheme.to_dict()})
    layer.colormap = class_colormap(scheme)
    layer.features = class_features(scheme)
    bind_class_keys(layer, scheme)


def bind_class_keys(layer: Labels, scheme: ClassScheme) -> None:
    """Make the keys 1 to 9 select the class of that value while a labels layer is active.

    They take the place of napari's tool keys on this layer only; the tools
    keep their letters (P paint, F fill, E erase, Z pan and zoom).
    """
    for value in scheme.values:
        if value <= 9:
            layer.bind_key(str(value), _selector(value), overwrite=True)


def _selector(value: int) -> Callable[[Labels], None]:
    def select(layer: Labels) -> None:
        layer.selected_label = value

    return select


def labels_layer(
    labels: npt.NDArray[np.uint8],
    scheme: ClassScheme,
    *,
    name: str,
    place: dict[str, Any] | None = None,
    metadata: dict[str, Any] | None = None,
) -> Labels:
    """Return a new labels layer with class names and colours, ready to paint on.

    Parameters
    ----------
    labels : ndarray of uint8, shape (..., Y, X)
        Class values; the layer shares the array.
    scheme : ClassScheme
        Classes with names, colours and keys.
    name : str
        Name of the layer.
    place : dict, optional
        Scale, place and units of the layer, as `placement` returns them.
    metadata : dict, optional
        Facts to keep with the layer, entries of `LayerFacts`.
    """
    layer = Labels(
        labels,
        name=plain_text(name),
        opacity=LABELS_OPACITY,
        metadata=metadata_with(metadata),
        **(place or {}),
    )
    apply_scheme(layer, scheme)
    layer.selected_label = scheme.values[0]
    layer.brush_size = _BRUSH_PX
    return layer


def uncertainty_layer(
    uncertainty: npt.NDArray[np.float32],
    *,
    name: str,
    place: dict[str, Any] | None = None,
    metadata: dict[str, Any] | None = None,
) -> Image:
    """Return a new image layer of uncertainty, hidden at first.

    Parameters
    ----------
    uncertainty : ndarray of float32, shape (..., Y, X)
        Confidence or margin, 0-1.
    name : str
        Name of the layer.
    place : dict, optional
        Scale, place and units of the layer, as `placement` returns them.
    metadata : dict, optional
        Facts to keep with the layer, entries of `LayerFacts`.
    """
    return Image(
        uncertainty,
        name=plain_text(name),
        colormap="viridis",
        contrast_limits=(0, 1),
        visible=False,
        metadata=metadata_with(metadata),
        **(place or {}),
    )
