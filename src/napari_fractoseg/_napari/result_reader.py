"""Reader for napari of results in OME-Zarr: labels, confidence, margin. Never imports PyTorch."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np

from napari_fractoseg._napari.layer_metadata import (
    FIRST_ANSWER_KEY,
    METADATA_KEY,
    PREDICTION_KEY,
    opened_path,
)
from napari_fractoseg._napari.layers import (
    LABELS_OPACITY,
    class_colormap,
    class_features,
)
from napari_fractoseg._napari.save.restore import is_unit, metadata_in_entries, placement_in
from napari_fractoseg._napari.via.layers import LayerData
from napari_fractoseg._napari.widgets.plain_text import plain_errors, plain_text, show_info
from napari_fractoseg.images.axes import Axis
from napari_fractoseg.images.formats.zarr import ZarrPixels, open_array
from napari_fractoseg.inference.result import CONFIDENCE, MARGIN
from napari_fractoseg.results.editable_labels import PREDICTED, SavedArray
from napari_fractoseg.results.label_images import NgffImage, read_ngff
from napari_fractoseg.results.parts import FIRST_ANSWER, part_of
from napari_fractoseg.results.record import LabelRecord

__all__ = ["get_labels_reader", "read_results"]

_MAX_PAINTABLE_PX = 8192
"""Longest edge of a plane that can be painted on; longer ones are shown in several resolutions."""
_UNCERTAINTIES = tuple(f"_{kind}.zarr" for kind in (CONFIDENCE, MARGIN))


def get_labels_reader(
    path: str | list[str],
) -> Callable[[str | list[str]], list[LayerData]] | None:
    """Return `read_results` if all folders are label images with named classes, else None."""
    paths = _paths(path)
    return read_results if paths and all(_found(p) for p in paths) else None


def read_results(path: str | list[str]) -> list[LayerData]:
    """Read label images and our maps of confidence and margin; pixels are read as they are shown.

    Parameters
    ----------
    path : str or list of str
        Folders of OME-Zarr groups, or the ``zarr.json`` (``.zattrs`` in zarr 2) in them: napari
        asks all plugins that take folders about every folder, so it is told of these files only.

    Returns
    -------
    list of (data, arguments, layer type)
        Layers for napari. Brush strokes on the labels are saved in the file. Planes of
        more than 8192 px of which the file has smaller versions are shown in those, too,
        and cannot be painted on.
    """
    with plain_errors():
        found = [(p, _found(p)) for p in _paths(path)]
        return [_layer(p, image) for p, image in found if image is not None]


def _paths(path: str | list[str]) -> list[Path]:
    """Return the folders of groups; the file of a group that says what it is stands for it."""
    paths = [Path(p) for p in ([path] if isinstance(path, str) else path)]
    return [opened_path(p) for p in paths]


def _found(path: Path) -> NgffImage | None:
    """Return the OME-Zarr image in a folder, None if it is not for this reader."""
    image = read_ngff(path) if path.is_dir() else None
    if image is None:
        return None
    is_uncertainty = path.name.endswith(_UNCERTAINTIES) and bool(image.provenance)
    return image if image.scheme is not None or is_uncertainty else None


def _layer(path: Path, image: NgffImage) -> LayerData:
    axes = image.metadata.axes
    arguments: dict[str, Any] = {
        "name": plain_text(image.provenance.get("layer") or path.stem),
        "scale": [axis.scale for axis in axes],
        "translate": image.metadata.translation,
        "axis_labels": [axis.name for axis in axes],
        "units": [_unit(axis) for axis in axes],
        "metadata": metadata_in_entries(path, image.provenance),
        **placement_in(image.provenance, len(axes)),
    }
    if path.name.endswith(_UNCERTAINTIES):
        shown = {"colormap": "viridis", "contrast_limits": (0, 1), "visible": False}
        return _data(path, image, is_prediction=False), {**arguments, **shown}, "image"
    scheme = image.scheme
    if scheme is not None:
        arguments["metadata"][METADATA_KEY]["scheme"] = scheme.to_dict()
        arguments["colormap"] = class_colormap(scheme)
        arguments["features"] = class_features(scheme)
    arguments["opacity"] = LABELS_OPACITY
    is_prediction = _began_as_prediction(path, image.provenance)
    data = _data(path, image, is_prediction=is_prediction)
    first = part_of(path, FIRST_ANSWER)
    if first is not None:
        arguments["metadata"][FIRST_ANSWER_KEY] = np.asarray(first[...])
    if not isinstance(data, SavedArray) and is_prediction:  # nobody can paint on it
        arguments["metadata"][PREDICTION_KEY] = data[0]
    if isinstance(data, SavedArray):
        show_info(f"Brush strokes on {path.stem} are saved in {path.name} at once.")
    return data, arguments, "labels"


def _began_as_prediction(path: Path, entries: Mapping[str, Any]) -> bool:
    """Whether a model gave labels, and nobody said that all of them are right."""
    is_recorded = LabelRecord.from_dict(entries) is not None
    return (is_recorded or (path / PREDICTED).is_dir()) and not entries.get("is_truth")


def _unit(axis: Axis) -> str:
    """Return the unit of an axis as napari takes it; ``pixel`` for a unit it does not know."""
    unit = axis.unit or ""
    return unit if is_unit(unit) else "pixel"


def _data(path: Path, image: NgffImage, *, is_prediction: bool) -> Any:
    """Open the arrays of a group for napari, without reading them."""
    mode: Literal["r", "r+"] = "r+" if os.access(path, os.W_OK) else "r"
    arrays = [open_array(path, name, mode=mode) for name in image.metadata.paths]
    if len(arrays) > 1 and max(arrays[0].shape[-2:]) > _MAX_PAINTABLE_PX:
        return [ZarrPixels(array, path) for array in arrays]
    return SavedArray(arrays[0], is_prediction=is_prediction)
