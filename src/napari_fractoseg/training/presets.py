"""Presets: training plans for people who do not tune, the same in dock, command line and Python.

The dock, the command line, `napari_fractoseg.train` and the benchmarks take their
plan from here. A plan is made of these, the later one going before the earlier one:

1. the preset: `FINE_TUNING` if there is a model to start from, else `NEW_NETWORK`;
2. a plan file (``--plan``), entry by entry;
3. what was chosen: options of the command, arguments, the fold *Advanced* of the dock;
4. the model to start from, for what its network was made for: `continued_plan`;
5. the device, for what nobody chose: patches in a step (`patches_in_a_step`) and
   precision (`choose_precision`), when the training begins.

A `TrainingPlan` that is given as a whole stands for the first three.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from napari_fractoseg.training.plan import TrainingPlan

if TYPE_CHECKING:
    from napari_fractoseg.models.card import ModelCard

__all__ = [
    "FINE_TUNING",
    "NEW_NETWORK",
    "continued_plan",
    "patches_in_a_step",
    "suggested_plan",
]

FINE_TUNING = TrainingPlan(
    learning_rate=1e-4,
    encoder_rate=0.3,
    readout_first=True,
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
"""Preset for a model that few strokes correct: see docs/decisions/0009-fine-tuning.md."""

NEW_NETWORK = TrainingPlan(learning_rate=2e-3, validate_every=50, patience=12, average_decay=0.98)
"""Preset for a new network: random weights need many steps, and have nothing to forget."""

_STEPS_THAT_TIME_ENDS = 1_000_000
"""Number of steps that no device takes in the time that people give."""
_NOTHING: Mapping[str, Any] = MappingProxyType({})


def suggested_plan(
    start: ModelCard | None, entries: Mapping[str, Any] = _NOTHING, /, **chosen: Any
) -> TrainingPlan:
    """Return the preset for a new network or for fine-tuning, with the entries that were chosen.

    Parameters
    ----------
    start : ModelCard or None
        Card of the model to fine-tune; None for a new network.
    entries : mapping
        Entries of `TrainingPlan` that go before the preset, such as those of a
        plan file.
    **chosen
        Entries of `TrainingPlan` that go before both; None leaves an entry as it is.

    Returns
    -------
    TrainingPlan
        Whole plan. If a time is said (`max_minutes`) and no number of steps, the
        time alone ends the run; if neither is said, it takes 600 steps at most.

    Raises
    ------
    TrainingError
        If an entry is not possible; the message names it.

    Examples
    --------
    >>> from napari_fractoseg.training.presets import suggested_plan
    >>> plan = suggested_plan(None, {"patch_px": 128, "max_steps": 80}, max_steps=40)
    >>> plan.patch_px, plan.max_steps, plan.learning_rate
    (128, 40, 0.002)
    """
    preset = NEW_NETWORK if start is None else FINE_TUNING
    said = {**_said(entries), **_said(chosen)}
    if "max_minutes" in said:
        said = {"max_steps": _STEPS_THAT_TIME_ENDS, **said}
    return TrainingPlan.from_dict({**preset.to_dict(), **said})


def _said(entries: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in entries.items() if value is not None}


def continued_plan(plan: TrainingPlan, parent: ModelCard) -> TrainingPlan:
    """Return a plan with the choices that a fine-tuned model takes from its parent.

    These are architecture, encoder, reductions, flips and smoothing: the network was made
    for them. Its encoder needs no other weights.

    Parameters
    ----------
    plan : TrainingPlan
        Plan whose other choices are kept.
    parent : ModelCard
        Card of the model to fine-tune.
    """
    return replace(
        plan,
        architecture=parent.architecture,
        encoder=parent.encoder,
        encoder_weights="none",
        encoder_sha256="",
        reduction=parent.learnt_reduction,
        test_reductions=parent.inference.reductions,
        test_flips=parent.inference.flips,
        test_smoothing_px=parent.inference.smoothing_px,
    )


def patches_in_a_step(device_kind: str) -> int:
    """Return how many patches a step takes on a device if the plan does not say.

    Parameters
    ----------
    device_kind : str
        Kind of the device that was found: ``cpu``, ``cuda`` or ``mps``, not ``auto``.
    """
    return 4 if device_kind == "cpu" else 16
