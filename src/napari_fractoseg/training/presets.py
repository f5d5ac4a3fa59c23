"""Sensible plans: what suits the data, the start and the device, for people who do not tune."""

from __future__ import annotations

from dataclasses import replace

from napari_fractoseg.models.card import ModelCard
from napari_fractoseg.training.plan import TrainingPlan

__all__ = ["FINE_TUNING", "NEW_NETWORK", "suggested_plan"]

FINE_TUNING = TrainingPlan(
    learning_rate=1e-4,
    encoder_rate=0.3,
    freeze_batch_norm=True,
    stay_close=1.0,
    dice_weight=0.0,
    warm_up=0.1,
    scale_range=(0.8, 1.25),
    augmentation=0.7,
    average_decay=0.95,
    validate_every=25,
    patience=8,
)
"""A model is corrected by few strokes: see docs/decisions/0009-fine-tuning.md."""

NEW_NETWORK = TrainingPlan(learning_rate=2e-3, validate_every=50, patience=12, average_decay=0.98)
"""Random weights need many steps, and have nothing to forget."""

_STEPS_PER_MINUTE = {"cpu": 300, "cuda": 3000, "mps": 600}
"""More than any device of the kind takes with the default batch, so that the time ends the run."""


def suggested_plan(
    start: ModelCard | None, minutes: float, device_kind: str = "cpu", seed: int = 0
) -> TrainingPlan:
    """Return a plan for a start, a time and a device.

    Parameters
    ----------
    start : ModelCard or None
        Card of the model to fine-tune; None for a new network.
    minutes : float
        Time at most.
    device_kind : str
        ``cpu``, ``cuda`` or ``mps``.
    seed : int
        Of the run.
    """
    base = NEW_NETWORK if start is None else FINE_TUNING
    small = device_kind == "cpu"
    return replace(
        base,
        max_minutes=minutes,
        max_steps=max(1, round(minutes * _STEPS_PER_MINUTE[device_kind])),
        batch_size=4 if small else 16,
        seed=seed,
    )
