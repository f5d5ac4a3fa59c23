"""Conversion between napari layers and micrographs, labels and class schemes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

import numpy as np
import numpy.typing as npt
from napari.layers import Image, Labels, Layer
from napari.settings import get_settings
from napari.utils.colormaps import DirectLabelColormap

from napari_fractoseg._napari.calibrate.sizes import size_of
from napari_fractoseg._napari.layer_metadata import (
    METADATA_KEY,
    add_facts,
    facts_of,
    file_of,
    metadata_with,
    opened_from,
    unwrapped,
)
from napari_fractoseg._napari.source_file import layer_of_file
from napari_fractoseg._napari.widgets.plain_text import plain_text
from napari_fractoseg.classes import UNLABELLED, ClassScheme
from napari_fractoseg.errors import ClassSchemeError
from napari_fractoseg.images import MicrographStack
from napari_fractoseg.images.axes import Axis
from napari_fractoseg.images.calibration import PixelSize

if TYPE_CHECKING:
    import napari.viewer

__all__ = [
    "LABELS_OPACITY",
    "PAINTED_COLOR",
    "apply_scheme",
    "class_colormap",
    "class_features",
    "current_plane",
    "image_text",
    "images_of",
    "in_units_of",
    "is_segmentable",
    "labels_layer",
    "make_paintable",
    "paint_without_brush",
    "pixel_at",
    "pixel_size_um",
    "placement",
    "planes_first",
    "scheme_of",
    "shown_plane",
    "stack_of",
    "start_brush",
    "uncertainty_layer",
    "unique_name",
    "unique_names",
    "unwrapped",
]

_BRUSH_PX = 20
_CLASS_KEYS = tuple("123456789")
_TOOLS = {
    "erase": "erase",
    "paint": "paint",
    "polygon": "polygon",
    "fill": "fill",
    "picker": "pick",
    "pan_zoom": "pan_zoom",
    "transform": "transform",
}
"""Word for a tool in the names of napari's actions -> mode of a labels layer."""
_LOOKING = ("pan_zoom", "transform")
"""Tools of a labels layer that change and choose no label."""
LABELS_OPACITY = 0.45

PAINTED_COLOR = (1.0, 0.72, 0.88, 0.75)
"""Colour of a transparent class, such as background, while its layer is painted on: a pale pink,
which neither micrographs (grey) nor our palettes have, and which hides less than the classes do."""


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
    path, size = file_of(layer), size_of(layer)
    return MicrographStack(
        data,
        rgb=bool(layer.rgb),
        pixel_size_um=size.square_um,
        name=str(layer.name),
        axes=_axes(layer, size),
        file=None if is_loaded else path,
        pixel_size_from=size.source,
    )


def _axes(layer: Image, size: PixelSize) -> tuple[Axis, ...] | None:
    """Return the axes of an image whose pixels are not square, None of any other."""
    if size.square_um is not None or size.x_um is None or size.y_um is None:
        return None
    leading = [Axis.named(str(label) or "axis") for label in layer.axis_labels[:-2]]
    edges = (("y", size.y_um), ("x", size.x_um))
    return (*leading, *(Axis.named(name, "micrometer", um) for name, um in edges))


def pixel_size_um(layer: Layer) -> float | None:
    """Return the edge of a pixel in micrometres; None if it is not known or not square."""
    return size_of(layer).square_um


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


def planes_first(layer: Image, taken: Iterable[str]) -> Image:
    """Return a new layer of an image (Y, X, Z) with its planes on the first axis; data are shared.

    Parameters
    ----------
    layer : Image
        Greyscale image layer of three axes; it is not changed.
    taken : iterable of str
        Names that layers have already.
    """
    levels = list(layer.data) if layer.multiscale else [layer.data]
    moved = [np.moveaxis(_transposable(level), -1, 0) for level in levels]
    labels = [str(label) for label in layer.axis_labels]
    is_named = not all(label.startswith("axis ") for label in labels)
    arguments = {
        "multiscale": layer.multiscale,
        "name": unique_name(f"{layer.name} · {moved[0].shape[0]} planes", taken),
        "scale": np.roll(layer.scale, 1),
        "translate": np.roll(layer.translate, 1),
        "units": (layer.units[-1], *layer.units[:-1]),
        "axis_labels": (labels[-1], *labels[:-1]) if is_named else ("plane", "y", "x"),
        "colormap": layer.colormap,
        "contrast_limits": layer.contrast_limits,
    }
    moved_data = moved if layer.multiscale else moved[0]
    return layer_of_file(opened_from(layer), moved_data, arguments, "image")


def _transposable(data: Any) -> Any:
    """Return an array whose axes can be moved without loading it."""
    if isinstance(data, np.ndarray):
        return data
    import dask.array  # it takes half a second

    return dask.array.asarray(data)


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
    position = layer.world_to_data(in_units_of(layer, point, units))
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
    position = layer.world_to_data(in_units_of(layer, point, units))
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


def shown_plane(viewer: napari.viewer.Viewer, layer: Layer) -> tuple[int, ...]:
    """Return the plane of a layer that a viewer shows (`current_plane`)."""
    dims = viewer.dims  # older versions of napari have no units
    return current_plane(layer, dims.point, getattr(dims, "units", None))


def in_units_of(layer: Layer, point: Sequence[float], units: Sequence[Any] | None) -> list[float]:
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
    return unique_names([base], taken)[0][0]


def unique_names(
    bases: Sequence[str], taken: Iterable[str], first: int = 1
) -> tuple[list[str], int]:
    """Return names with one number, from `first` on, with which none of them is taken; and it.

    Examples
    --------
    >>> from napari_fractoseg._napari.layers import unique_names
    >>> unique_names(["a labels", "a confidence"], ["a labels"])
    (['a labels [2]', 'a confidence [2]'], 2)
    """
    used, number = set(taken), first
    while True:
        names = [base if number == 1 else f"{base} [{number}]" for base in bases]
        if used.isdisjoint(names):
            return names, number
        number += 1


def class_colormap(scheme: ClassScheme, *, shows_all: bool = False) -> DirectLabelColormap:
    """Return the colours of a scheme; unlabelled and unknown values are transparent.

    Parameters
    ----------
    scheme : ClassScheme
        Classes with their colours.
    shows_all : bool
        Whether transparent classes, such as background, get `PAINTED_COLOR`, so that one sees
        where they are painted.
    """
    colors = {
        c.value: np.array(
            PAINTED_COLOR if shows_all and c.is_transparent else c.rgba, dtype=np.float32
        )
        for c in scheme
    }
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
    layer.colormap = class_colormap(scheme, shows_all=_is_painted_on(layer))
    layer.features = class_features(scheme)
    make_paintable(layer)


def make_paintable(layer: Labels) -> None:
    """Give a labels layer that has a scheme its keys, and show background while it is painted.

    The keys 1 to 9 start the brush of the class of that value, and take the place of napari's
    tool keys on this layer only; the tools keep their letters (P paint, F fill, E erase, Z pan
    and zoom).

    What is bound returns a function, as napari's own tools do: napari keeps it until the same
    key is pressed again, and calls it whenever that key is released after half a second. A key
    that returned nothing would leave there what an earlier tool put, which goes back to the tool
    before: a class key that was held would drop the brush.

    Parameters
    ----------
    layer : Labels
        Layer with a scheme (`scheme_of`); it may be made paintable again.
    """
    for value in range(1, 10):
        layer.bind_key(str(value), _class_key(value), overwrite=True)
    for key, mode in _tool_keys():
        layer.bind_key(key, _tool_key(mode), overwrite=True)
    layer.events.mode.connect(_on_mode)
    _show_background(layer)


_WITHOUT_BRUSH: WeakSet[Labels] = WeakSet()
"""Layers that are painted on with a tool of ours, in napari's mode to move the view."""


def paint_without_brush(layer: Labels, begins: bool) -> None:
    """Tell that a tool of ours begins to paint on a layer, or ends.

    Meanwhile `start_brush` only chooses the class, and background is shown.
    """
    if begins:
        _WITHOUT_BRUSH.add(unwrapped(layer))
    else:
        _WITHOUT_BRUSH.discard(unwrapped(layer))
    _show_background(layer)


def start_brush(layer: Labels, value: int) -> None:
    """Choose a class by its label value, and the brush to paint it with, or our tool in use."""
    layer.selected_label = value
    if unwrapped(layer) not in _WITHOUT_BRUSH:
        layer.mode = "paint"


def _class_key(value: int) -> Callable[[Labels], Callable[[], None]]:
    def choose(layer: Labels) -> Callable[[], None]:
        scheme = scheme_of(layer)
        if scheme is not None and value in scheme.values:
            start_brush(layer, value)
        return _stay

    return choose


def _stay() -> None:
    """Do nothing when a class key is released."""


def _tool_keys() -> Iterator[tuple[str, str]]:
    """Yield the keys of napari's tools for labels, other than those of classes, with the tool."""
    shortcuts = get_settings().shortcuts.shortcuts
    for name, mode in _TOOLS.items():
        for key in shortcuts.get(f"napari:activate_labels_{name}_mode", ()):
            if str(key) not in _CLASS_KEYS:
                yield str(key), mode


def _tool_key(mode: str) -> Callable[[Labels], Callable[[], None]]:
    """Return what a tool's key does: unlike napari's, it goes back only if the tool is still used.

    While F is held one may press a class key, which starts the brush: releasing F keeps it.
    """

    def choose(layer: Labels) -> Callable[[], None]:
        before = layer.mode
        layer.mode = mode

        def go_back() -> None:
            if layer.mode == mode:
                layer.mode = before

        return go_back

    return choose


def _is_painted_on(layer: Labels) -> bool:
    return str(layer.mode) not in _LOOKING or unwrapped(layer) in _WITHOUT_BRUSH


def _on_mode(event: Any) -> None:
    _show_background(event.source)


def _show_background(layer: Labels) -> None:
    """Show the transparent classes while a layer is painted on, and hide them afterwards."""
    scheme = scheme_of(layer)
    transparent = [c.value for c in scheme or () if c.is_transparent]
    if scheme is None or not transparent:
        return
    shows_all = _is_painted_on(layer)
    if bool(layer.colormap.map(transparent[0])[-1]) != shows_all:
        layer.colormap = class_colormap(scheme, shows_all=shows_all)


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
