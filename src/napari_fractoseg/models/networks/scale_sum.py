"""What of a model is trained: its network, or a readout with the sum over its scale levels."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import torch
from torch import nn

from napari_fractoseg.models.model import (
    ScaleLevel,
    SegmentationModel,
    enlarged,
    own_scores,
    reduced,
    summed,
)

__all__ = ["ScaleSum", "fitting_patch_px", "trainable", "trained"]


class ScaleSum(nn.Module):
    """Scores of a readout, added up over its scale levels, of which gradients are known.

    Their softmax is what `SegmentationModel.probabilities` gives without flips.

    Parameters
    ----------
    network : torch.nn.Module
        Network of a readout.
    n_classes : int
        Number of its classes K.
    scales : tuple of ScaleLevel
        Its scale levels, the coarsest first; their reductions in pixels of the batches.
    """

    def __init__(self, network: nn.Module, n_classes: int, scales: tuple[ScaleLevel, ...]) -> None:
        super().__init__()
        self.network, self.n_classes, self.scales = network, n_classes, scales

    @property
    def encoder(self) -> nn.Module:
        """Encoder of the network below."""
        return cast(nn.Module, self.network.encoder)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return the scores of a batch of shape (N, 1, Y, X), float32 of shape (N, K, Y, X)."""
        parts = []
        for scale in self.scales:
            seen = scale.smoothed(reduced(inputs, scale.reduction))
            own = own_scores(self.network(seen).float(), scale.number, self.n_classes)
            parts.append(enlarged(own, scale.reduction))
        return summed(parts)


def trainable(model: SegmentationModel, network: nn.Module) -> nn.Module:
    """Return what gives the scores of the classes with the network of a model, or a copy of it."""
    inference = model.card.inference
    if inference.combine == "mean":
        return network
    step = inference.shared_reduction
    scales = [replace(scale, reduction=scale.reduction // step) for scale in model.scale_levels]
    return ScaleSum(network, len(model.card.scheme), tuple(scales))


def trained(module: nn.Module) -> nn.Module:
    """Return the network in what `trainable` gave."""
    return module.network if isinstance(module, ScaleSum) else module


def fitting_patch_px(model: SegmentationModel, patch_px: int) -> int:
    """Return the edge of patches, rounded up to what all scale levels of a model can take."""
    coarsest = model.scale_levels[0]
    multiple = coarsest.stride_px // coarsest.reduction
    if model.card.inference.combine == "sum":
        multiple = model.stride_px // model.card.inference.shared_reduction
    return -(-patch_px // multiple) * multiple
