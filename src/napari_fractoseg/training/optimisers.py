"""Optimisers, and their learning rates: over a run, and of the encoder."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn

from napari_fractoseg.training.plan import TrainingPlan

__all__ = ["freeze_statistics", "learning_rate_factor", "make_optimiser", "set_learning_rate"]

_RATE = "relative_rate"
_MOMENTUM = 0.9


def make_optimiser(network: nn.Module, plan: TrainingPlan) -> torch.optim.Optimizer:
    """Return the plan's optimiser, with a learning rate of its own for the encoder.

    Parameters
    ----------
    network : torch.nn.Module
        Network to optimise; its encoder is frozen if the plan's `encoder_rate`
        is 0.
    plan : TrainingPlan
        Optimiser, learning rates and weight decay.
    """
    encoder = getattr(network, "encoder", None)
    in_encoder = set(encoder.parameters()) if isinstance(encoder, nn.Module) else set()
    for parameter in in_encoder:
        parameter.requires_grad_(plan.encoder_rate > 0)
    parts = (
        ([p for p in network.parameters() if p in in_encoder], plan.encoder_rate),
        ([p for p in network.parameters() if p not in in_encoder], 1.0),
    )
    groups = [{"params": part, _RATE: rate} for part, rate in parts if part and rate > 0]
    common: dict[str, Any] = {"lr": plan.learning_rate, "weight_decay": plan.weight_decay}
    match plan.optimiser:
        case "adamw":
            return torch.optim.AdamW(groups, **common)
        case "adam":
            return torch.optim.Adam(groups, **common)
        case "sgd":
            return torch.optim.SGD(groups, **common, momentum=_MOMENTUM, nesterov=True)
        case "rmsprop":
            return torch.optim.RMSprop(groups, **common)
        case "adadelta":
            return torch.optim.Adadelta(groups, **common)


def set_learning_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    """Set the learning rate of an optimiser; that of the encoder keeps its proportion."""
    for group in optimiser.param_groups:
        group["lr"] = rate * group[_RATE]


def learning_rate_factor(position: float, warm_up: float) -> float:
    """Return the part of the full learning rate at a position in the run.

    It rises linearly from 0 to 1 over `warm_up`, then falls to 0 along a cosine.

    Parameters
    ----------
    position : float
        Part of the run that is over, 0-1.
    warm_up : float
        Part of the run in which the rate rises, 0-1.

    Returns
    -------
    float
        Factor of the learning rate, 0-1; Loshchilov & Hutter, "SGDR" (2017),
        without restarts.
    """
    if position < warm_up:
        return position / warm_up
    return 0.5 * (1 + math.cos(math.pi * (position - warm_up) / (1 - warm_up)))


def freeze_statistics(network: nn.Module) -> None:
    """Make batch normalisation of a network use the means and variances that it has."""
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.eval()
