"""Corrections and checked areas of labels layers, kept with the layers of a viewer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt
from napari.layers import Labels, Layer
from napari.utils.colormaps import DirectLabelColormap

from napari_fractoseg._napari.excluded.lookup import labels_mask
from napari_fractoseg._napari.layer_metadata import (
    FIRST_ANSWER_KEY,
    METADATA_KEY,
    PREDICTION_KEY,
    facts_of,
)
from napari_fractoseg._napari.layers import placement, unique_name, unwrapped
from napari_fractoseg.classes import UNLABELLED
from napari_fractoseg.datasets.supervision import Corrections
from napari_fractoseg.results.editable_labels import SavedArray

if TYPE_CHECKING:
    import napari.viewer

__all__ = [
    "add_helper_layer",
    "check_plane",
    "checked_in",
    "checked_layer",
    "corrections_of",
    "first_answer_of",
    "forget_prediction",
    "is_plane_checked",
    "is_teachable",
    "mark_checked",
    "prediction_of",
    "remember_first_answer",
    "remember_prediction",
    "uncheck_plane",
]

_CHECKED_KEY = "checked_for"
"""Entry of `LayerFacts` that names the labels layer whose checked areas a layer shows."""

_CHECKED, _CHECKED_COLOR, _BRUSH_PX = 1, "#f4d35e", 60


_checked_before: WeakKeyDictionary[Labels, dict[tuple[int, ...], npt.NDArray[Any]]] = (
    WeakKeyDictionary()
)
"""Layers of checked areas, with what each plane was before all of it was marked."""


def remember_prediction(layer: Labels, predicted: Any) -> None:
    """Keep the prediction with a labels layer, to tell later what the user changed.

    Parameters
    ----------
    layer : Labels
        Layer that began as the prediction.
    predicted : array of shape (..., Y, X)
        Class values as the model gave them.
    """
    layer.metadata = {**layer.metadata, PREDICTION_KEY: predicted}


def forget_prediction(layer: Labels) -> None:
    """Remove the prediction that is kept with a layer: all of its labels were painted."""
    layer.metadata = {k: v for k, v in layer.metadata.items() if k != PREDICTION_KEY}


def prediction_of(layer: Layer) -> Any:
    """Return the prediction that a labels layer began as, None if it did not begin as one.

    For labels on disk it is an array on disk, read as it is sliced, unless *Live* was on.
    """
    predicted = layer.metadata.get(PREDICTION_KEY)
    if predicted is not None and predicted.shape == layer.data.shape:
        return predicted
    return layer.data.predicted if isinstance(layer.data, SavedArray) else None


def first_answer_of(layer: Layer) -> Any:
    """Return what a model gave before anybody painted on a layer, None if no model did.

    It is the prediction, but where *Live* learnt from strokes: then the prediction is what was
    learnt, and has no value where a stroke is.
    """
    first = layer.metadata.get(FIRST_ANSWER_KEY)
    if first is None or first.shape != layer.data.shape:
        return prediction_of(layer)
    return first if first.any() else None


def remember_first_answer(layer: Labels, first: npt.NDArray[np.uint8]) -> None:
    """Keep what a model gave before *Live* learnt from strokes; all 0 if no model gave anything."""
    layer.metadata = {**layer.metadata, FIRST_ANSWER_KEY: first}


def is_teachable(layer: Layer) -> bool:
    """Tell whether a layer has labels to learn from, rather than only showing something."""
    return isinstance(layer, Labels) and "helper" not in facts_of(layer)


def checked_layer(viewer: napari.viewer.Viewer, labels: Labels) -> Labels | None:
    """Return the layer that shows the checked areas of a labels layer, None if there is none."""
    for layer in viewer.layers:
        if facts_of(layer).get(_CHECKED_KEY) == str(labels.unique_id):
            return layer
    return None


def checked_in(
    viewer: napari.viewer.Viewer, labels: Labels, key: tuple[Any, ...]
) -> npt.NDArray[np.bool_] | None:
    """Return the mask of what is checked in a part of a labels layer; None if nothing is."""
    layer = checked_layer(viewer, labels)
    if layer is None:
        return None
    mask: npt.NDArray[np.bool_] = np.asarray(layer.data[key]) == _CHECKED
    return mask if mask.any() else None


def corrections_of(viewer: napari.viewer.Viewer, labels: Labels, copy: bool = False) -> Corrections:
    """Return the labels of a layer with a record of which pixels the user answers for.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Viewer that has the layer of checked areas.
    labels : Labels
        Layer to learn from.
    copy : bool
        Whether labels are copied, so that the user can go on painting.
    """
    checked, excluded = checked_layer(viewer, labels), labels_mask(viewer, labels)
    data = labels.data[0] if labels.multiscale else labels.data
    return Corrections(
        np.array(data, copy=True) if copy else data,
        prediction_of(labels),
        None if checked is None else np.asarray(checked.data) == _CHECKED,
        None if excluded is None else excluded[...],
    )


def add_helper_layer(
    viewer: napari.viewer.Viewer,
    data: npt.NDArray[np.uint8],
    labels: Labels,
    *,
    kind: str,
    colors: dict[int, Any],
    **facts: Any,
) -> Labels:
    """Add a labels layer that shows something about another one, and is never learnt from.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Viewer that gets the layer.
    data : ndarray of uint8, shape (..., Y, X)
        Values to show; 0 is transparent.
    labels : Labels
        Layer that it is about; it lies in the same place.
    kind : str
        Word for what it shows, such as ``checked``; part of its name.
    colors : dict
        Value -> colour, as napari takes it.
    **facts
        Further entries of `LayerFacts` for the layer.
    """
    layer = Labels(
        data,
        name=unique_name(f"{labels.name} · {kind}", [x.name for x in viewer.layers]),
        metadata={METADATA_KEY: {"helper": kind, **facts}},
        opacity=0.5,
        **placement(labels),
    )
    color_dict: dict[int | None, Any] = {None: "transparent", UNLABELLED: "transparent"}
    layer.colormap = DirectLabelColormap(color_dict=color_dict | colors)
    viewer.add_layer(layer)
    return layer


def mark_checked(viewer: napari.viewer.Viewer, labels: Labels) -> Labels:
    """Return the layer of checked areas of a labels layer, made if need be.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Viewer that has the layer, or gets it.
    labels : Labels
        Labels layer whose areas are checked.
    """
    layer = checked_layer(viewer, labels)
    if layer is None:
        layer = add_helper_layer(
            viewer,
            np.zeros(labels.data.shape, np.uint8),
            labels,
            kind="checked",
            colors={_CHECKED: _CHECKED_COLOR},
            **{_CHECKED_KEY: str(labels.unique_id)},
        )
        layer.selected_label = _CHECKED
        layer.brush_size = _BRUSH_PX
        layer.contour = 4  # what is below must stay visible
    return layer


def check_plane(viewer: napari.viewer.Viewer, labels: Labels, plane: tuple[int, ...]) -> None:
    """Mark all of a plane as checked, on a hidden layer; `uncheck_plane` takes it back.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Viewer that has the layer of checked areas, or gets it.
    labels : Labels
        Labels layer whose plane is checked.
    plane : tuple of int
        Index of the plane on the leading axes.
    """
    layer = mark_checked(viewer, labels)
    _before(layer)[plane] = np.array(layer.data[plane])
    layer.data[plane] = _CHECKED
    layer.visible = False
    layer.refresh()


def is_plane_checked(viewer: napari.viewer.Viewer, labels: Labels, plane: tuple[int, ...]) -> bool:
    """Tell whether `check_plane` marked a plane, and all of it is still checked."""
    layer = checked_layer(viewer, labels)
    if layer is None or plane not in _before(layer):
        return False
    return bool((np.asarray(layer.data[plane]) == _CHECKED).all())


def uncheck_plane(viewer: napari.viewer.Viewer, labels: Labels, plane: tuple[int, ...]) -> None:
    """Take back what `check_plane` did: of the plane is checked what was checked before."""
    layer = checked_layer(viewer, labels)
    if layer is None or plane not in _before(layer):
        return
    layer.data[plane] = _before(layer).pop(plane)
    layer.refresh()
    if not layer.visible and not np.any(layer.data):  # nothing is on it, and nobody sees it
        viewer.layers.remove(layer)


def _before(layer: Labels) -> dict[tuple[int, ...], npt.NDArray[Any]]:
    """Return the planes that `check_plane` marked, with what was checked of them before."""
    return _checked_before.setdefault(unwrapped(layer), {})
