"""Origin of the labels of a layer: whether a model or a person answers for them.

A record that is stored with labels decides, or a known hash of them; never the name of a
file. Labels that cover most of an image and of which nothing is known are taken for a
prediction until the user says that they are right.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

import numpy as np
import tifffile
from napari.layers import Labels

from napari_fractoseg._napari.corrections import (
    corrections_of,
    forget_prediction,
    prediction_of,
    remember_prediction,
)
from napari_fractoseg._napari.layer_metadata import add_facts, facts_of, file_of
from napari_fractoseg._napari.layers import apply_scheme, unwrapped
from napari_fractoseg._napari.save.restore import restore, was_saved
from napari_fractoseg.datasets.supervision import TaughtPixels
from napari_fractoseg.errors import ImageError, translated
from napari_fractoseg.images import TIFF_SUFFIXES
from napari_fractoseg.inference.known_results import is_shape_known, known_result
from napari_fractoseg.results.editable_labels import SavedArray
from napari_fractoseg.results.record import (
    LabelRecord,
    Origin,
    origin_of,
    read_entries,
    read_record,
)

if TYPE_CHECKING:
    import napari.viewer

__all__ = [
    "accept_as_truth",
    "changed_since",
    "count_taught",
    "is_foreign",
    "is_in_doubt",
    "is_painted_by_hand",
    "may_teach_unasked",
    "note_new_labels",
    "note_stroke",
    "note_tick",
    "recognise",
]

_DRAWN = ("is_truth", "via", "synthetic")
"""Facts of layers whose labels are right: a user said it, drew them in VIA, or they are exact."""
_MOST_COMPARED_PX = 2**28
"""Most pixels of labels on disk that are hashed again: more would take seconds."""

_recognised: WeakSet[Labels] = WeakSet()
_compared: WeakSet[Labels] = WeakSet()
_painted_here: WeakSet[Labels] = WeakSet()
"""Layers that were empty when they were first seen, and were painted by hand since."""
_foreign: WeakSet[Labels] = WeakSet()
"""Layers of which nothing is known, and that have labels which no hand painted here."""
_ticked: WeakSet[Labels] = WeakSet()
"""Layers that the user ticked to learn from."""


def recognise(layer: Labels) -> None:
    """Add to a layer that napari opened from a file the facts that are known of its labels.

    Labels of a run get the names and colours of their classes back. If they are as the
    model gave them, or the file still is, that is the prediction which corrections are
    told from. Each layer is looked at once, and keeps its name.

    Parameters
    ----------
    layer : Labels
        Labels layer; one that has facts already is left alone.
    """
    if layer in _recognised or layer.multiscale or facts_of(layer):
        return
    _recognised.add(layer)
    file = file_of(layer)
    if file is not None and file.suffix.lower() in TIFF_SUFFIXES and was_saved(read_entries(file)):
        restore(layer, file)
        return
    recorded = None if file is None else read_record(file)
    if recorded is None and not is_shape_known(layer.data.shape):
        return
    for labels in _now_and_in_file(layer):
        is_as_recorded = origin_of(labels, recorded) is Origin.PREDICTION
        record = recorded if is_as_recorded else known_result(labels)
        if record is not None:
            remember_prediction(layer, np.array(labels, dtype=np.uint8))
            _describe(layer, record)
            return
    if recorded is not None:
        _describe(layer, recorded, changed_since=recorded.model_name)


def _describe(layer: Labels, record: LabelRecord, **facts: Any) -> None:
    add_facts(layer, {**record.to_dict(), **facts})
    apply_scheme(layer, record.scheme)


def _now_and_in_file(layer: Labels) -> Iterator[Any]:
    """Yield the labels as they are, and as they were before somebody painted on the layer."""
    yield layer.data
    path = file_of(layer) or Path()
    if path.suffix.lower() in TIFF_SUFFIXES and path.is_file():
        try:
            with translated(ImageError, f"{path} cannot be read"):
                saved = tifffile.imread(path)
        except ImageError:  # replaced by something else since it was opened
            return
        if saved.shape == layer.data.shape:
            yield saved


def count_taught(viewer: napari.viewer.Viewer, layer: Labels) -> TaughtPixels:
    """Count the pixels of a layer that teach; of labels in doubt only corrected or checked ones.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Viewer that has the layer of checked areas.
    layer : Labels
        Labels layer to learn from.
    """
    recognise(layer)
    _compare(layer)
    taught = TaughtPixels.of(corrections_of(viewer, layer))
    if _is_known(layer) or unwrapped(layer) in _painted_here or not taught.labelled:
        return taught
    _foreign.add(unwrapped(layer))
    if not taught.is_dense or _is_being_segmented(layer):
        return taught
    _doubt(layer)
    return TaughtPixels.of(corrections_of(viewer, layer))


def is_foreign(layer: Labels) -> bool:
    """Tell whether all labels of a layer teach, though neither we nor a hand here made them.

    The user has to say that they shall.
    """
    return unwrapped(layer) in _foreign and not _is_known(layer)


def note_tick(layer: Labels, is_ticked: bool) -> None:
    """Take note that the user ticked a layer to learn from it, or took that back."""
    (_ticked.add if is_ticked else _ticked.discard)(unwrapped(layer))


def may_teach_unasked(layer: Labels) -> bool:
    """Tell whether a layer is learnt from without a word of the user, or had that word."""
    return not is_foreign(layer) or unwrapped(layer) in _ticked


def note_stroke(layer: Labels) -> None:
    """Take note that the user painted on a layer; if it was empty before, all of it is painted."""
    if unwrapped(layer) not in _foreign:
        _painted_here.add(unwrapped(layer))


def is_painted_by_hand(layer: Labels) -> bool:
    """Tell whether a layer was empty when it was first seen, and was painted by hand since."""
    return unwrapped(layer) in _painted_here


def note_new_labels(layer: Labels) -> None:
    """Take note that all labels of a layer were replaced, which no hand does."""
    _painted_here.discard(unwrapped(layer))
    _ticked.discard(unwrapped(layer))
    if is_in_doubt(layer):
        forget_prediction(layer)
        add_facts(layer, {"in_doubt": False})


def _is_known(layer: Labels) -> bool:
    """Tell whether a layer has a prediction to tell corrections from, or somebody's word."""
    said = any(facts_of(layer).get(entry) for entry in _DRAWN)
    return said or prediction_of(layer) is not None


def _is_being_segmented(layer: Labels) -> bool:
    """Tell whether a layer is a result of ours that is not finished: its prediction comes then."""
    facts = facts_of(layer)
    return bool(facts.get("image")) and not facts.get("changed_since")


def _compare(layer: Labels) -> None:
    """Compare a prediction on disk with its record, once; note if another program changed it."""
    data, record = layer.data, LabelRecord.from_dict(facts_of(layer))
    if layer in _compared or not isinstance(data, SavedArray) or not data.is_prediction:
        return
    if record is None or not record.labels_sha256 or data.size > _MOST_COMPARED_PX:
        return
    _compared.add(layer)
    if origin_of(data.predicted, record) is Origin.CHANGED:
        data.is_prediction = False
        add_facts(layer, {"changed_since": record.model_name})


def _doubt(layer: Labels) -> None:
    """Take the labels of a layer, as they are now, for a prediction."""
    add_facts(layer, {"in_doubt": True})
    if isinstance(layer.data, SavedArray):
        layer.data.is_prediction = True
        return
    data = layer.data[0] if layer.multiscale else layer.data
    remember_prediction(layer, data.copy() if isinstance(data, np.ndarray) else data)


def accept_as_truth(layer: Labels) -> None:
    """Make all labels of a layer teach, as the user says that they are right."""
    if isinstance(layer.data, SavedArray):
        layer.data.is_prediction = False
    forget_prediction(layer)
    add_facts(layer, {"in_doubt": False, "is_truth": True})


def is_in_doubt(layer: Labels) -> bool:
    """Tell whether the user has to be asked if the labels of a layer are right."""
    return bool(facts_of(layer).get("in_doubt"))


def changed_since(layer: Labels) -> str:
    """Return the name of the model whose prediction was changed by others; empty if none was."""
    return str(facts_of(layer).get("changed_since", ""))
