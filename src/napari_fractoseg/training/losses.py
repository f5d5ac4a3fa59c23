"""The loss: cross entropy and Dice over labelled pixels."""

from __future__ import annotations

import segmentation_models_pytorch as smp
import torch
from torch import nn

from napari_fractoseg.classes import IGNORE_INDEX

__all__ = ["SegmentationLoss"]


class SegmentationLoss(nn.Module):
    """Cross entropy plus Dice; unlabelled pixels count in neither.

    Parameters
    ----------
    dice_weight : float
        Weight of the Dice loss.
    label_smoothing : float
        Of the cross entropy.

    Notes
    -----
    The cross entropy is torch's: the mean over labelled pixels. That of
    segmentation-models-pytorch divides by all pixels, so that sparse labels
    would hardly count.
    """

    def __init__(self, dice_weight: float = 1.0, label_smoothing: float = 0.0) -> None:
        super().__init__()
        self.dice_weight = dice_weight
        self.cross_entropy = nn.CrossEntropyLoss(
            ignore_index=IGNORE_INDEX, label_smoothing=label_smoothing
        )
        self.dice = smp.losses.DiceLoss(mode="multiclass", ignore_index=IGNORE_INDEX)

    def forward(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Return the loss.

        Parameters
        ----------
        logits : Tensor of shape (N, K, Y, X)
            Before softmax.
        targets : Tensor of int64, shape (N, Y, X)
            Channel indices or `IGNORE_INDEX`; at least one pixel is labelled.
        """
        logits = logits.float()
        loss: torch.Tensor = self.cross_entropy(logits, targets)
        if self.dice_weight:
            loss = loss + self.dice_weight * self.dice(logits, targets)
        return loss
