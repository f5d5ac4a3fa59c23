"""Losses of a training: cross entropy and Dice over labelled pixels, agreement with a parent."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from napari_fractoseg.classes import IGNORE_INDEX

__all__ = ["SegmentationLoss", "disagreement"]

_LEAST = 1e-7


class SegmentationLoss(nn.Module):
    """Loss of a network: cross entropy plus Dice; unlabelled pixels count in neither.

    Parameters
    ----------
    dice_weight : float
        Weight of the Dice loss beside the cross entropy.
    total : callable, optional
        Function that adds a tensor up over all processes that share a step.

    Notes
    -----
    Both are computed from sums over all labelled pixels of a step, so that a
    step that several processes share has the loss of one with the larger batch;
    this is why segmentation-models-pytorch's losses, which average by
    themselves, are not used. (Its cross entropy also divides by all pixels, so
    that sparse labels would hardly count.) Dice: Milletari et al., "V-Net"
    (2016), as ``smp.losses.DiceLoss`` has it: over the batch, class by class;
    classes that are not there cost nothing.
    """

    def __init__(
        self,
        dice_weight: float = 1.0,
        total: Callable[[torch.Tensor], torch.Tensor] | None = None,
    ) -> None:
        super().__init__()
        self.dice_weight = dice_weight
        self._total = total or _alone

    def forward(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Return the loss of some patches.

        Parameters
        ----------
        logits : Tensor of shape (N, K, Y, X)
            Outputs of the network before softmax, a channel for each class.
        targets : Tensor of int64, shape (N, Y, X)
            Channel index of the right class, or `IGNORE_INDEX` where unlabelled;
            at least one pixel is labelled.

        Returns
        -------
        Tensor
            Loss, a single number.
        """
        logits = logits.float()
        entropy = F.cross_entropy(logits, targets, ignore_index=IGNORE_INDEX, reduction="sum")
        labelled = targets != IGNORE_INDEX
        loss: torch.Tensor = self._total(entropy) / self._total(labelled.sum()).clamp(min=1)
        if self.dice_weight:
            loss = loss + self.dice_weight * self._dice(logits, targets, labelled)
        return loss

    def _dice(
        self, logits: torch.Tensor, targets: torch.Tensor, labelled: torch.Tensor
    ) -> torch.Tensor:
        mask = labelled.unsqueeze(1)
        predicted = logits.softmax(dim=1) * mask
        truth = F.one_hot(targets.clamp(min=0), logits.shape[1]).movedim(-1, 1) * mask
        axes = (0, 2, 3)
        there = self._total(truth.sum(axes))
        both = self._total((predicted * truth).sum(axes))
        either = self._total(predicted.sum(axes)) + there
        lost = (1 - 2 * both / either.clamp(min=_LEAST)) * (there > 0)
        return lost.mean()


def disagreement(
    logits: torch.Tensor, parent_logits: torch.Tensor, targets: torch.Tensor
) -> torch.Tensor:
    """Return how far a network is from its parent on unlabelled pixels.

    Parameters
    ----------
    logits, parent_logits : Tensor of shape (N, K, Y, X)
        Outputs of both networks before softmax, for the classes that the parent
        knows.
    targets : Tensor of int64, shape (N, Y, X)
        Channel index of the right class; only pixels with `IGNORE_INDEX` count.

    Returns
    -------
    Tensor
        Mean Kullback-Leibler divergence from the parent's probabilities: Li and
        Hoiem, "Learning without Forgetting" (2016), at temperature 1.
    """
    ours = logits.float().log_softmax(dim=1)
    theirs = parent_logits.float().log_softmax(dim=1)
    divergence = F.kl_div(ours, theirs, reduction="none", log_target=True).sum(dim=1)
    free = targets == IGNORE_INDEX
    return (divergence * free).sum() / free.sum().clamp(min=1)


def _alone(value: torch.Tensor) -> torch.Tensor:
    return value
