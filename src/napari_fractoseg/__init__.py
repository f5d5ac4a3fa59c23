"""Segment, learn and measure fracture modes in SEM micrographs.

The public names are loaded when they are first used, so that importing the
package, reading the plugin manifest or opening an annotation file does not
wait for PyTorch.
"""

from __future__ import annotations

import importlib
import importlib.metadata
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_fractoseg.annotations.convert import convert
    from napari_fractoseg.annotations.via import read_via
    from napari_fractoseg.classes import ClassScheme, FractureClass
    from napari_fractoseg.errors import FractosegError
    from napari_fractoseg.evaluation.evaluate import evaluate
    from napari_fractoseg.images.micrograph import MicrographStack
    from napari_fractoseg.images.reading import read_image
    from napari_fractoseg.inference.predictor import Predictor, segment
    from napari_fractoseg.jobs import drain
    from napari_fractoseg.measure.fractions import class_fractions
    from napari_fractoseg.models.model import load_model
    from napari_fractoseg.models.registry import list_models
    from napari_fractoseg.samples.synthetic import synthetic_fracture
    from napari_fractoseg.training.fit import train
    from napari_fractoseg.training.plan import TrainingPlan

try:
    __version__ = importlib.metadata.version("napari-fractoseg")
except importlib.metadata.PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0+unknown"

__all__ = [
    "ClassScheme",
    "FractosegError",
    "FractureClass",
    "MicrographStack",
    "Predictor",
    "TrainingPlan",
    "__version__",
    "class_fractions",
    "convert",
    "drain",
    "evaluate",
    "list_models",
    "load_model",
    "read_image",
    "read_via",
    "segment",
    "synthetic_fracture",
    "train",
]

_SOURCES = {
    "ClassScheme": "classes",
    "FractosegError": "errors",
    "FractureClass": "classes",
    "MicrographStack": "images.micrograph",
    "Predictor": "inference.predictor",
    "TrainingPlan": "training.plan",
    "class_fractions": "measure.fractions",
    "convert": "annotations.convert",
    "drain": "jobs",
    "evaluate": "evaluation.evaluate",
    "list_models": "models.registry",
    "load_model": "models.model",
    "read_image": "images.reading",
    "read_via": "annotations.via",
    "segment": "inference.predictor",
    "synthetic_fracture": "samples.synthetic",
    "train": "training.fit",
}


def __getattr__(name: str) -> Any:
    if name not in _SOURCES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_SOURCES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
