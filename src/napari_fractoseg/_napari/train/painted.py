"""Painted layers as files: saved before a training starts, so that they can be brought back."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from napari.layers import Labels

from napari_fractoseg._napari.corrections import remember_prediction
from napari_fractoseg._napari.layers import labels_layer
from napari_fractoseg.classes import ClassScheme
from napari_fractoseg.datasets.supervision import Corrections
from napari_fractoseg.errors import TrainingError, translated
from napari_fractoseg.files import draft_of, read_json, write_bytes
from napari_fractoseg.images import MicrographStack

__all__ = ["PaintedLayer", "place_of", "read_painted", "write_painted"]

_INDEX = "painted.json"


@dataclass(frozen=True, eq=False)
class PaintedLayer:
    """Labels layer as it was when the training started.

    Parameters
    ----------
    name : str
        Name of the layer.
    image : MicrographStack
        Image that it was painted on; it is not saved.
    corrections : Corrections
        Copies of labels, prediction and checked areas.
    scheme : ClassScheme
        Classes of the label values.
    place : dict
        Place of the layer: ``scale``, ``translate`` and ``units``, as plain types.
    """

    name: str
    image: MicrographStack
    corrections: Corrections
    scheme: ClassScheme
    place: dict[str, Any] = field(default_factory=dict)


def place_of(layer: Labels) -> dict[str, Any]:
    """Return scale, translation and units of a layer, as plain types."""
    return {
        "scale": [float(s) for s in layer.scale],
        "translate": [float(t) for t in layer.translate],
        "units": [str(u) for u in layer.units],
    }


def write_painted(layers: Sequence[PaintedLayer], folder: Path) -> None:
    """Write painted layers into a folder.

    The index file is written last, so that all that it lists is complete.
    """
    index = []
    for number, layer in enumerate(layers, start=1):
        corrections, file = layer.corrections, f"{number}.npz"
        arrays: dict[str, Any] = {
            "labels": corrections.labels,
            "predicted": corrections.predicted,
            "checked": corrections.checked,
        }
        with draft_of(folder / file) as draft:
            np.savez_compressed(draft, **{k: v for k, v in arrays.items() if v is not None})
        index.append(
            {
                "file": file,
                "name": layer.name,
                "image": layer.image.name,
                "scheme": layer.scheme.to_dict(),
                "place": layer.place,
            }
        )
    write_bytes(folder / _INDEX, (json.dumps(index, indent=2) + "\n").encode())


def read_painted(folder: Path) -> list[tuple[Labels, npt.NDArray[np.bool_] | None]]:
    """Return new layers with what was painted, read from a folder of `write_painted`.

    Returns
    -------
    list of (Labels, ndarray of bool or None)
        Labels layers, each with the mask of its checked areas, if it had any.

    Raises
    ------
    TrainingError
        If the folder is damaged.
    """
    layers = []
    with translated(TrainingError, f"{folder} cannot be restored"):
        for entry in read_json(folder / _INDEX, TrainingError, "an index of painted layers"):
            path = folder / Path(entry["file"]).name
            with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
                labels = arrays["labels"]
                predicted = arrays.get("predicted")
                checked = arrays.get("checked")
            layer = labels_layer(
                labels,
                ClassScheme.from_dict(entry["scheme"]),
                name=f"{entry['name']} (restored)",
                place=entry["place"],
                metadata={"image": entry["image"], "is_truth": predicted is None},
            )
            if predicted is not None:
                remember_prediction(layer, predicted)
            layers.append((layer, checked))
    return layers
