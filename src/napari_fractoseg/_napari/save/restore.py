"""What was saved with labels, read from their file into the metadata of a layer."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pint
from napari.layers import Labels

from napari_fractoseg._napari.calibrate.sizes import place_of
from napari_fractoseg._napari.layer_metadata import (
    FILE_KEY,
    FIRST_ANSWER_KEY,
    METADATA_KEY,
    PLANE_NAMES_KEY,
    PREDICTION_KEY,
)
from napari_fractoseg._napari.layers import (
    LABELS_OPACITY,
    apply_scheme,
    class_colormap,
    class_features,
)
from napari_fractoseg._napari.via.layers import LayerData
from napari_fractoseg._napari.widgets.plain_text import plain_text, show_warning
from napari_fractoseg.annotations.conversion.kept import KEPT, KeptAnnotations
from napari_fractoseg.errors import AnnotationError
from napari_fractoseg.images import read_image
from napari_fractoseg.results.editable_labels import PREDICTED
from napari_fractoseg.results.parts import FIRST_ANSWER, PARTS, part_of
from napari_fractoseg.results.record import (
    LabelRecord,
    Origin,
    origin_of,
    read_entries,
    scheme_in,
)

__all__ = ["is_unit", "labels_data", "metadata_in_entries", "placement_in", "restore", "was_saved"]

_PLACE, _LAYER = "place", "layer"
_NO_FACTS = (PARTS, KEPT, "via", _PLACE, _LAYER)


def was_saved(entries: Mapping[str, Any]) -> bool:
    """Tell whether entries of a file of labels are those of *Save result*."""
    return isinstance(entries.get(PARTS), dict) and scheme_in(entries) is not None


def placement_in(entries: Mapping[str, Any], n_axes: int) -> dict[str, Any]:
    """Return the placement of a layer that was saved, as arguments for one.

    It is empty if there is none, or it is none for a layer of so many axes: files are made by
    others, too.
    """
    place = entries.get(_PLACE)
    if not isinstance(place, dict):
        return {}
    found: dict[str, Any] = {}
    try:
        for name, shape in _shapes(n_axes).items():
            found[name] = np.asarray(place.get(name), float).reshape(shape)
    except (TypeError, ValueError):
        return {}
    for name in ("units", "axis_labels"):
        words = place.get(name)
        if not isinstance(words, list) or len(words) != n_axes or not all(map(_is_word, words)):
            return {}
        found[name] = tuple(words)
    is_sound = all(np.isfinite(found[name]).all() for name in _shapes(n_axes))
    is_sound = is_sound and found["scale"].all() and np.linalg.det(found["affine"]) != 0
    return found if is_sound and all(map(is_unit, found["units"])) else {}


def is_unit(word: str) -> bool:
    """Tell whether napari takes a word for a unit."""
    return word.isalpha() and word in pint.get_application_registry()


def _is_word(word: Any) -> bool:
    return isinstance(word, str) and bool(word)


def _shapes(n_axes: int) -> dict[str, tuple[int, ...]]:
    n = n_axes
    return {
        "scale": (n,),
        "translate": (n,),
        "rotate": (n, n),
        "shear": (n * (n - 1) // 2,),
        "affine": (n + 1, n + 1),
    }


def metadata_in_entries(path: Path, entries: Mapping[str, Any]) -> dict[str, Any]:
    """Return the metadata of a layer, among what is stored with its labels.

    Parameters
    ----------
    path : Path
        File or OME-Zarr group of the labels, beside which the annotations are that they came from.
    entries : mapping of str to object
        What is stored with them.
    """
    facts = {name: value for name, value in entries.items() if name not in _NO_FACTS}
    if KEPT not in entries:
        return {METADATA_KEY: facts}
    try:
        kept = KeptAnnotations.read(path, entries[KEPT])
    except AnnotationError as error:
        show_warning(f"{error} The labels cannot be saved back to VIA.")
        return {METADATA_KEY: facts}
    facts["via"] = {
        "document": kept.document,
        "images": list(kept.images),
        "source": kept.source,
        "mapping": kept.mapping,
        "drawing": dict(kept.drawing),
        "saved": kept.saved,
    }
    names = {image.image_key: image.filename for image in kept.document}
    planes = [names[key] for key in kept.images]
    return {METADATA_KEY: facts, **({PLANE_NAMES_KEY: planes} if len(planes) > 1 else {})}


def labels_data(path: Path) -> LayerData:
    """Return the layer of labels in a TIFF of ours, with everything that is known of them.

    Parameters
    ----------
    path : Path
        TIFF file with classes (`recorded_scheme`).

    Raises
    ------
    ImageError
        If it cannot be read.
    AnnotationError
        If it has no classes of ours.
    """
    entries = read_entries(path)
    scheme = scheme_in(entries)
    if scheme is None:
        raise AnnotationError(f"{path}: no classes are recorded with these labels.")
    stack = read_image(path, rgb=False)
    labels = np.asarray(stack.data, np.uint8)
    arguments: dict[str, Any] = {
        "name": plain_text(entries.get(_LAYER) or path.stem),
        "metadata": _metadata(path, entries, labels),
        "colormap": class_colormap(scheme),
        "features": class_features(scheme),
        "opacity": LABELS_OPACITY,
        **(placement_in(entries, labels.ndim) or place_of(stack.pixel_size, labels.ndim)),
    }
    return labels, arguments, "labels"


def restore(layer: Labels, path: Path) -> None:
    """Make a layer that napari opened as it was when it was saved.

    Parameters
    ----------
    layer : Labels
        Layer with the labels of the file.
    path : Path
        TIFF file of *Save result*.
    """
    entries = read_entries(path)
    labels = np.asarray(layer.data)
    if labels.dtype != np.uint8 and labels.size and 0 <= labels.min() <= labels.max() <= 255:
        labels = layer.data = labels.astype(np.uint8)
    for name, value in placement_in(entries, layer.ndim).items():
        setattr(layer, name, value)
    layer.metadata = {**layer.metadata, **_metadata(path, entries, labels)}
    layer.opacity = LABELS_OPACITY
    scheme = scheme_in(entries)
    if scheme is not None:
        apply_scheme(layer, scheme)


def _metadata(path: Path, entries: Mapping[str, Any], labels: Any) -> dict[str, Any]:
    """Return the metadata of the layer of labels: facts, prediction, first answer and file."""
    metadata = {**metadata_in_entries(path, entries), FILE_KEY: str(path)}
    if not was_saved(entries):  # of the command line: the record tells the rest
        return _with_prediction(metadata, labels, entries)
    for name, key in ((PREDICTED, PREDICTION_KEY), (FIRST_ANSWER, FIRST_ANSWER_KEY)):
        part = part_of(path, name)
        if part is not None and part.shape == labels.shape:
            metadata[key] = part
    return metadata if PREDICTION_KEY in metadata else _with_prediction(metadata, labels, entries)


def _with_prediction(
    metadata: dict[str, Any], labels: Any, entries: Mapping[str, Any]
) -> dict[str, Any]:
    """Return metadata with the labels as prediction, if they are as a model gave them."""
    record = LabelRecord.from_dict(entries)
    if record is None or entries.get("is_truth"):
        return metadata
    origin = origin_of(labels, record)
    if origin is Origin.PREDICTION:
        return {**metadata, PREDICTION_KEY: np.array(labels, np.uint8)}
    if origin is Origin.UNKNOWN:
        return metadata
    facts = {**metadata[METADATA_KEY], "changed_since": record.model_name}
    return {**metadata, METADATA_KEY: facts}
