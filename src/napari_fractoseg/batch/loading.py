"""The model and the predictor of a process: loaded once, whatever it is given to do."""

from __future__ import annotations

import functools
from pathlib import Path

from napari_fractoseg.batch.report import SegmentSettings
from napari_fractoseg.inference.predictor import Predictor
from napari_fractoseg.models.card import WEIGHTS
from napari_fractoseg.models.devices import Device, choose_device
from napari_fractoseg.models.model import SegmentationModel
from napari_fractoseg.models.zoo import find_model

__all__ = ["load", "predictor_of"]


def load(settings: SegmentSettings) -> tuple[SegmentationModel, Device]:
    """Return model and device.

    Raises
    ------
    ModelError, DeviceError
        If one of them is not there.
    """
    folder = find_model(settings.model)
    return _load_once(folder, settings.device, _changed(folder))


def predictor_of(
    settings: SegmentSettings, tile_px: int | None, max_bytes: float | None = None
) -> Predictor:
    """Return the predictor; the same one as long as the same is asked for.

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
    if tile_px is None:  # what is free changes
        return _predictor(settings, None, max_bytes)
    return _predictor_once(settings, tile_px, max_bytes, _changed(find_model(settings.model)))


def _changed(folder: Path) -> int:
    """Return a number that differs when a model was trained again."""
    weights = folder / WEIGHTS
    return weights.stat().st_mtime_ns if weights.is_file() else 0


@functools.lru_cache(maxsize=1)
def _load_once(
    folder: Path,
    device: str,
    changed: int,  # noqa: ARG001 - part of the key
) -> tuple[SegmentationModel, Device]:
    return SegmentationModel.load(folder), choose_device(device)


@functools.lru_cache(maxsize=1)
def _predictor_once(
    settings: SegmentSettings,
    tile_px: int,
    max_bytes: float | None,
    changed: int,  # noqa: ARG001 - part of the key
) -> Predictor:
    return _predictor(settings, tile_px, max_bytes)


def _predictor(
    settings: SegmentSettings, tile_px: int | None, max_bytes: float | None
) -> Predictor:
    model, device = load(settings)
    return Predictor(
        model,
        device,
        tile_px=tile_px,
        with_confidence=settings.confidence,
        with_margin=settings.margin,
        flips=settings.flips,
        max_bytes=max_bytes,
    )
