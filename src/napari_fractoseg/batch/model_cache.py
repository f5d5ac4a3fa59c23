"""The model of a process: loaded once, whatever it is given to do."""

from __future__ import annotations

import functools
import threading
from pathlib import Path

from napari_fractoseg.batch.settings import SegmentSettings
from napari_fractoseg.inference.predictor import Predictor
from napari_fractoseg.models.card import WEIGHTS
from napari_fractoseg.models.devices import Device, choose_device
from napari_fractoseg.models.model import SegmentationModel
from napari_fractoseg.models.registry import find_model

__all__ = ["forget_predictor", "kept_predictor_of", "load", "model_of", "predictor_of"]


def load(settings: SegmentSettings) -> tuple[SegmentationModel, Device]:
    """Return model and device.

    Raises
    ------
    ModelError, DeviceError
        If one of them is not there.
    """
    folder = find_model(settings.model)
    return _load_once(folder, settings.device, _changed(folder))


def model_of(settings: SegmentSettings) -> SegmentationModel:
    """Return the model with flips as the settings say; no device is needed."""
    folder = find_model(settings.model)
    return _model_once(folder, _changed(folder)).with_flips(settings.flips)


def predictor_of(
    settings: SegmentSettings, tile_px: int | None, max_bytes: float | None = None
) -> Predictor:
    """Make a predictor.

    Parameters
    ----------
    settings : SegmentSettings
        What to do.
    tile_px : int or None
        As for `Predictor`.
    max_bytes : float, optional
        Memory that a tile may take, where the settings do not say.
    """
    if settings.max_memory_gb is not None:
        max_bytes = settings.max_memory_gb * 2**30
    model, device = load(settings)
    return Predictor(
        model,
        device,
        tile_px=tile_px,
        with_confidence=settings.confidence,
        with_margin=settings.margin,
        flips=settings.flips,
        max_bytes=max_bytes,
        precision=settings.precision,
    )


def kept_predictor_of(settings: SegmentSettings) -> Predictor:
    """Return the predictor that this thread made for its last file, if it is as the settings say.

    What is made ready once serves all files; memory that ran out once is heeded.
    """
    changed = _changed(find_model(settings.model))
    return _predictor_once(settings, threading.get_ident(), changed)


def forget_predictor() -> None:
    """Give back the memory of the predictor that was kept, on the GPU too."""
    _predictor_once.cache_clear()


@functools.lru_cache(maxsize=1)
def _predictor_once(
    settings: SegmentSettings,
    thread: int,  # noqa: ARG001 - part of the key
    changed: int,  # noqa: ARG001 - part of the key
) -> Predictor:
    return predictor_of(settings, settings.tile_px)


def _changed(folder: Path) -> int:
    """Return a number that differs when a model was trained again."""
    weights = folder / WEIGHTS
    return weights.stat().st_mtime_ns if weights.is_file() else 0


@functools.lru_cache(maxsize=1)
def _load_once(folder: Path, device: str, changed: int) -> tuple[SegmentationModel, Device]:
    return _model_once(folder, changed), choose_device(device)


@functools.lru_cache(maxsize=1)
def _model_once(
    folder: Path,
    changed: int,  # noqa: ARG001 - part of the key
) -> SegmentationModel:
    return SegmentationModel.load(folder)
