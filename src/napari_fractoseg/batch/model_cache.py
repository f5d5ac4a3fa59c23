"""Cache of the model and predictor of a process, so that they are loaded once for many files."""

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
    """Return the model and the device that settings name.

    Raises
    ------
    ModelError, DeviceError
        If there is no such model or device.
    """
    folder = find_model(settings.model)
    return _load_once(folder, settings.device, _changed(folder))


def model_of(settings: SegmentSettings) -> SegmentationModel:
    """Return the model that settings name, with flips as they say; no device is needed."""
    folder = find_model(settings.model)
    return _model_once(folder, _changed(folder)).with_flips(settings.flips)


def predictor_of(
    settings: SegmentSettings, tile_px: int | None, max_bytes: float | None = None
) -> Predictor:
    """Make a predictor for settings.

    Parameters
    ----------
    settings : SegmentSettings
        Model, device and options of the segmentation.
    tile_px : int or None
        Edge of a tile's core in image pixels; None for as large as memory allows.
    max_bytes : float, optional
        Memory in bytes that a tile may take, where the settings give no limit.
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
        with_familiarity=settings.familiarity,
    )


def kept_predictor_of(settings: SegmentSettings) -> Predictor:
    """Return the predictor of this thread's last file, or a new one if settings or model changed.

    So the network is optimised once for all files, and tiles stay small if memory ran out.
    """
    changed = _changed(find_model(settings.model))
    return _predictor_once(settings, threading.get_ident(), changed)


def forget_predictor() -> None:
    """Drop the predictor that is kept, which frees its memory, also on a GPU."""
    _predictor_once.cache_clear()


@functools.lru_cache(maxsize=1)
def _predictor_once(
    settings: SegmentSettings,
    thread: int,  # noqa: ARG001 - part of the key
    changed: int,  # noqa: ARG001 - part of the key
) -> Predictor:
    return predictor_of(settings, settings.tile_px)


def _changed(folder: Path) -> int:
    """Return a number that changes when the weights of a model folder do (time of change)."""
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
