"""What a user changed and checked on a labels layer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from napari.layers import Labels, Layer
from napari.utils.colormaps import DirectLabelColormap

from napari_fractoseg._napari.layer_metadata import METADATA_KEY, PREDICTION_KEY, facts_of
from napari_fractoseg._napari.layers import placement, unique_name
from napari_fractoseg.classes import UNLABELLED
from napari_fractoseg.datasets.supervision import Corrections
from napari_fractoseg.results.editable_labels import SavedArray

if TYPE_CHECKING:
    import napari.viewer

__all__ = [
    "add_helper_layer",
    "checked_layer",
    "corrections_of",
    "forget_prediction",
    "is_teachable",
    "mark_checked",
    "prediction_of",
    "remember_prediction",
]

_CHECKED_KEY = "checked_for"
"""Entry of ``metadata[METADATA_KEY]``: the labels layer whose checked areas a layer shows."""

_CHECKED, _CHECKED_COLOR, _BRUSH_PX = 1, "#f4d35e", 60


def remember_prediction(layer: Labels, predicted: Any) -> None:
    """Keep what the model said with the layer, to tell later what the user changed."""
    layer.metadata = {**layer.metadata, PREDICTION_KEY: predicted}


def forget_prediction(layer: Labels) -> None:
    """Keep no prediction with the layer any more: all of its labels were painted."""
    layer.metadata = {k: v for k, v in layer.metadata.items() if k != PREDICTION_KEY}


def prediction_of(layer: Layer) -> Any:
    """Return what the model said, None if the layer did not begin as a prediction.

    Of labels on disk it is an array on disk, read as it is sliced.
    """
    if isinstance(layer.data, SavedArray):
        return layer.data.predicted
    predicted = layer.metadata.get(PREDICTION_KEY)
    if predicted is None or predicted.shape != layer.data.shape:
        return None
    return predicted


def is_teachable(layer: Layer) -> bool:
    """Whether a layer is labels to learn from: not one of our layers that only shows something."""
    return isinstance(layer, Labels) and "helper" not in facts_of(layer)


def checked_layer(viewer: napari.viewer.Viewer, labels: Labels) -> Labels | None:
    """Return the layer that shows which areas of a labels layer were checked, if there is one."""
    for layer in viewer.layers:
        if facts_of(layer).get(_CHECKED_KEY) == str(labels.unique_id):
            return layer
    return None


def corrections_of(viewer: napari.viewer.Viewer, labels: Labels, copy: bool = False) -> Corrections:
    """Return what a labels layer teaches.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Holds the layer of checked areas.
    labels : Labels
        The layer.
    copy : bool
        Copy what the user may paint on meanwhile.
    """
    checked = checked_layer(viewer, labels)
    data = labels.data[0] if labels.multiscale else labels.data
    return Corrections(
        np.array(data, copy=True) if copy else data,
        prediction_of(labels),
        None if checked is None else np.asarray(checked.data) == _CHECKED,
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
    """Add a labels layer that shows something about another one, and is never learnt from."""
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


def mark_checked(
    viewer: napari.viewer.Viewer, labels: Labels, plane: tuple[int, ...] | None = None
) -> Labels:
    """Return the layer of checked areas, made if need be; with a plane, all of it is checked.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Where the layer is.
    labels : Labels
        What was checked.
    plane : tuple of int, optional
        Index on the leading axes.
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
    if plane is not None:
        layer.data[plane] = _CHECKED
        layer.refresh()
    return layer
