"""What is saved of a labels layer, taken from the layers of a viewer in the GUI thread."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image, Labels, Layer

from napari_fractoseg._napari.calibrate.sizes import size_of
from napari_fractoseg._napari.corrections import checked_layer, is_teachable, prediction_of
from napari_fractoseg._napari.excluded import area_of_labels
from napari_fractoseg._napari.layer_metadata import (
    FIRST_ANSWER_KEY,
    METADATA_KEY,
    facts_of,
    file_of,
)
from napari_fractoseg._napari.layers import images_of, is_segmentable, scheme_of, stack_of
from napari_fractoseg._napari.measure.sources import image_of, labels_of
from napari_fractoseg._napari.origin import is_painted_by_hand, recognise
from napari_fractoseg.annotations import ViaDocument
from napari_fractoseg.annotations.conversion.kept import KeptAnnotations
from napari_fractoseg.errors import AnnotationError
from napari_fractoseg.files import file_stem
from napari_fractoseg.images import LOADED_VALUES
from napari_fractoseg.images.reading import IMAGE_SUFFIXES
from napari_fractoseg.inference.result import CONFIDENCE, MARGIN
from napari_fractoseg.results.editable_labels import PREDICTED, SavedArray
from napari_fractoseg.results.parts import CHECKED, FIRST_ANSWER, PARTS
from napari_fractoseg.results.record import LabelRecord, labels_digest
from napari_fractoseg.results.saved import SavedLabels

if TYPE_CHECKING:
    import napari.viewer

    from napari_fractoseg.batch.saved import SavedImage

__all__ = ["Snapshot", "folder_for", "snapshot_of"]

_NOT_KEPT = ("via", "helper", "checked_for", "excluded_for", PARTS)
"""Entries of `LayerFacts` that are no JSON, or name other layers of the session."""


@dataclass(frozen=True, eq=False)
class Snapshot:
    """What is saved of a labels layer.

    Parameters
    ----------
    labels : SavedLabels
        Labels, copied where they are in memory, with what is known of them.
    image : Image or None
        Layer of their image.
    file : Path or None
        File of the image.
    name : str
        Name of the files of the result, without endings.
    uncertainties : dict of str to array
        Kind of uncertainty -> values.
    as_zarr : bool
        Whether the labels become an OME-Zarr: those on disk, those of a zarr, and large ones.
    annotations : KeptAnnotations or None
        Annotation file that the labels were drawn from.
    """

    labels: SavedLabels
    image: Image | None
    file: Path | None
    name: str
    uncertainties: dict[str, Any]
    as_zarr: bool
    annotations: KeptAnnotations | None = None

    def saved_image(self) -> SavedImage:
        """Return the image as the core takes it."""
        from napari_fractoseg.batch.saved import SavedImage

        stack = None if self.image is None else stack_of(self.image)
        return SavedImage(stack, self.name, self.file, self.uncertainties)


def snapshot_of(viewer: napari.viewer.Viewer, layer: Labels) -> Snapshot:
    """Return what is to be saved of a labels layer, as it is now.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Viewer that has the layer, its image, and the layers that belong to it.
    layer : Labels
        Labels layer.

    Raises
    ------
    AnnotationError
        If it has no classes, only shows something about another layer, or is being segmented.
    """
    recognise(layer)
    scheme = scheme_of(layer)
    if not is_teachable(layer) or scheme is None:
        raise AnnotationError(
            f"{layer.name} has no classes to save. Select the layer of the fracture modes; layers "
            "painted by hand get classes by 'Use these classes' in the Segment dock."
        )
    if not layer.editable and not layer.multiscale and facts_of(layer).get("image"):
        raise AnnotationError(f"{layer.name} is being segmented. Wait until it is done.")
    image, data = _image_of(viewer, layer), labels_of(layer)
    file = _image_file(image)
    name = str(facts_of(layer).get("image") or layer.name) if image is None else str(image.name)
    excluded = area_of_labels(viewer, layer, image)
    size = size_of(layer, [] if image is None else [image])
    record = LabelRecord.from_dict(facts_of(layer))
    in_memory = isinstance(data, np.ndarray)
    labels = SavedLabels(
        data.astype(np.uint8) if in_memory else data,
        scheme,
        name,
        record,
        _entries(layer),
        _parts(viewer, layer, record),
        excluded,
        size,
    )
    is_large = int(np.prod(data.shape, dtype=np.int64)) > LOADED_VALUES
    of_zarr = file is not None and file.suffix.lower() == ".zarr"
    return Snapshot(
        labels,
        image,
        file,
        file_stem(name if file is None else file.stem),
        _uncertainties(viewer, layer),
        not in_memory or is_large or of_zarr,
        _annotations(layer),
    )


def folder_for(snapshot: Snapshot) -> Path | None:
    """Return the folder in which a result is saved unasked, that of its image; None if none is."""
    file = snapshot.file or (None if snapshot.image is None else file_of(snapshot.image))
    return file.parent if file is not None and os.access(file.parent, os.W_OK) else None


def _image_of(viewer: napari.viewer.Viewer, layer: Labels) -> Image | None:
    if layer.multiscale:
        shape, wanted = tuple(labels_of(layer).shape), facts_of(layer).get("image")
        fitting = [x for x in viewer.layers if is_segmentable(x) and stack_of(x).shape == shape]
        return next((x for x in fitting if x.name == wanted), None)
    return image_of(viewer, layer) or next(iter(images_of(viewer, layer)), None)


def _image_file(image: Image | None) -> Path | None:
    """Return the file of an image; None where the layer was opened from an annotation file."""
    file = file_of(image)
    if file is None or not file.exists():
        return None
    return file if file.is_dir() or file.suffix.lower() in IMAGE_SUFFIXES else None


def _entries(layer: Labels) -> dict[str, Any]:
    """Return the facts of a layer that are kept: those that are JSON, and where it lies."""
    facts = facts_of(layer)
    kept = {name: value for name, value in facts.items() if name not in _NOT_KEPT}
    if is_painted_by_hand(layer) or "via" in facts:
        kept["is_truth"] = True
    kept["layer"] = str(layer.name)
    kept["place"] = {
        "scale": [float(n) for n in layer.scale],
        "translate": [float(n) for n in layer.translate],
        "rotate": np.asarray(layer.rotate, float).tolist(),
        "shear": np.asarray(layer.shear, float).tolist(),
        "affine": np.asarray(layer.affine.affine_matrix, float).tolist(),
        "units": [str(unit) for unit in layer.units],
        "axis_labels": [str(label) for label in layer.axis_labels],
    }
    return {name: value for name, value in kept.items() if _is_json(value)}


def _is_json(value: Any) -> bool:
    try:
        json.dumps(value)
    except (TypeError, ValueError):
        return False
    return True


def _annotations(layer: Labels) -> KeptAnnotations | None:
    via = facts_of(layer).get("via") or {}
    document = via.get("document")
    if not isinstance(document, ViaDocument):
        return None
    return KeptAnnotations(
        document,
        tuple(via.get("images", ())),
        str(via.get("source") or ""),
        via.get("mapping"),
        via.get("drawing") or {},
        str(via.get("saved") or ""),
    )


def _parts(
    viewer: napari.viewer.Viewer, layer: Labels, record: LabelRecord | None
) -> dict[str, Any]:
    """Return copies of what a model gave, and what is checked, as far as there is something."""
    data, parts = labels_of(layer), dict[str, Any]()
    predicted = None if layer.multiscale else prediction_of(layer)
    if predicted is not None and not _is_told(data, predicted, record):
        parts[PREDICTED] = _copied(predicted)
    first = layer.metadata.get(FIRST_ANSWER_KEY)
    if first is not None and first.shape == data.shape:
        parts[FIRST_ANSWER] = _copied(first)
    checked = checked_layer(viewer, layer)
    if checked is not None and np.any(checked.data):
        parts[CHECKED] = (np.asarray(checked.data) == 1).astype(np.uint8)
    return parts


def _is_told(data: Any, predicted: Any, record: LabelRecord | None) -> bool:
    """Whether the record alone tells that labels are as a model gave them."""
    if record is None or not record.labels_sha256:
        return False
    if isinstance(data, SavedArray):
        return not data.is_changed
    is_same = isinstance(predicted, np.ndarray) and np.array_equal(predicted, data)
    return is_same and labels_digest(data) == record.labels_sha256


def _copied(array: Any) -> Any:
    return array.astype(np.uint8) if isinstance(array, np.ndarray) else array


def _uncertainties(viewer: napari.viewer.Viewer, labels: Labels) -> dict[str, Any]:
    """Return the maps of confidence and margin of the same run, the latest if there are several."""
    found: dict[str, Any] = {}
    for layer in viewer.layers:
        kind = next((kind for kind in (CONFIDENCE, MARGIN) if kind in str(layer.name)), "")
        if kind and _is_of(layer, labels):
            its = layer.data[0] if layer.multiscale else layer.data
            if tuple(its.shape) == tuple(labels_of(labels).shape):
                found[kind] = its
    return found


def _is_of(layer: Layer, labels: Labels) -> bool:
    if not isinstance(layer, Image) or METADATA_KEY not in layer.metadata:
        return False
    facts, its = facts_of(labels), facts_of(layer)
    same = all(its.get(key) == facts.get(key) for key in ("image", "model_digest"))
    return same and bool(facts.get("image"))
