"""What of a model is trained: its network, or a readout with the sum over its scale levels."""

from __future__ import annotations

from typing import cast

import torch
from torch import nn

from napari_fractoseg.models.model import (
    SegmentationModel,
    blurred,
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
    reductions : tuple of int
        Reductions of its scale levels in pixels of the batches, the coarsest first.
    smoothing : float
        Standard deviation in pixels of the batches that a readout smooths images by.
    """

    def __init__(
        self,
        network: nn.Module,
        n_classes: int,
        reductions: tuple[int, ...],
        smoothing: float = 0.0,
    ) -> None:
        super().__init__()
        self.network = network
        self.n_classes, self.reductions, self.smoothing = n_classes, reductions, smoothing

    @property
    def encoder(self) -> nn.Module:
        """Encoder of the network below."""
        return cast(nn.Module, self.network.encoder)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return the scores of a batch of shape (N, 1, Y, X), float32 of shape (N, K, Y, X)."""
        parts = []
        for number, reduction in enumerate(self.reductions):
            seen = blurred(reduced(inputs, reduction), self.smoothing / reduction)
            outputs = self.network(seen).float()
            own = own_scores(outputs, number, self.n_classes)
            parts.append(enlarged(own, reduction))
        return summed(parts)


def trainable(model: SegmentationModel, network: nn.Module) -> nn.Module:
    """Return what gives the scores of the classes with the network of a model, or a copy of it."""
    inference = model.card.inference
    if inference.combine == "mean":
        return network
    step = inference.shared_reduction
    reductions = tuple(scale.reduction // step for scale in model.scale_levels)
    smoothing = inference.smoothing_px / step
    return ScaleSum(network, len(model.card.scheme), reductions, smoothing)


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
