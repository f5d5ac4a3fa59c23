"""Readout: a network whose answer is a linear function of what another network sees.

A readout is learnt in a second: the network below it stays as it is (frozen features), and only the
weights of the sum are fitted. Guillaume Alain and Yoshua Bengio, "Understanding intermediate layers
using linear classifier probes", ICLR workshop 2017, call it a linear probe.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, cast

import torch
import torch.nn.functional as F  # noqa: N812
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass
from torch import nn

from napari_fractoseg.models.networks.filters import N_RESOLUTIONS, filtered

__all__ = [
    "READOUT",
    "ReadoutNetwork",
    "ReadoutShape",
    "encoded",
    "n_filters_of",
    "network_below",
    "on_grid",
    "seen",
    "widths_of",
]

READOUT = "readout"
"""Entry of ``config.json`` that holds a `ReadoutShape`."""
_PROBE_PX = 256


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class ReadoutShape:
    """What a readout reads, and what it gives.

    Parameters
    ----------
    classes : int
        Number of classes K.
    levels : int
        Number of scale levels L that it is applied at.
    widths : tuple of int
        Number of channels of each part of what the network sees (`seen`).
    grid_px : int
        Edge in network pixels of the cells at which features are read.
    """

    classes: Annotated[int, Field(ge=1, le=8192)]
    levels: Annotated[int, Field(ge=1, le=8)]
    widths: Annotated[tuple[Annotated[int, Field(ge=1, le=8192)], ...], Field(max_length=16)]
    grid_px: Annotated[int, Field(ge=1, le=8)] = 4

    @property
    def n_outputs(self) -> int:
        """Number of output channels of the network, L K."""
        return self.classes * self.levels


def seen(network: nn.Module, inputs: torch.Tensor) -> list[torch.Tensor]:
    """Return what a network sees in an image: the features of its stages and what it answers.

    Parameters
    ----------
    network : torch.nn.Module
        Network of segmentation-models-pytorch.
    inputs : Tensor of float32, shape (N, 1, Y, X)
        Normalised grey levels in network pixels; Y and X are multiples of its stride.

    Returns
    -------
    list of Tensor of float32, shape (N, C, y, x)
        Fixed filters (`filtered`), features of the stages of the encoder, the finest first, and
        of the decoder, each at its own resolution; the last are the log-probabilities of the
        network's own classes.
    """
    parts = cast(Mapping[str, Any], network._modules)
    stages, *more = _encoded(network, inputs)
    decoded = parts["decoder"](stages, *more)
    answer = parts["segmentation_head"](decoded).log_softmax(dim=1)
    return [*filtered(inputs), *_own(stages), decoded, answer]


def encoded(network: nn.Module, inputs: torch.Tensor) -> list[torch.Tensor]:
    """Return the features of the stages of a network's encoder, the finest first (`seen`)."""
    return _own(_encoded(network, inputs)[0])


def _encoded(network: nn.Module, inputs: torch.Tensor) -> tuple[Any, ...]:
    found = cast(Mapping[str, Any], network._modules)["encoder"](inputs)
    # Transformers of smp's DPT give tokens beside the features.
    return found if isinstance(found, tuple) else (found,)


def _own(stages: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """Leave out the first "stage" of most encoders, the image itself; some have an empty one."""
    return [stage for stage in stages if stage.shape[1] > 1]


def on_grid(features: torch.Tensor, size: Sequence[int]) -> torch.Tensor:
    """Bring features of shape (N, C, y, x) to the cells of a grid of `size` rows and columns.

    Finer ones are averaged over each cell, coarser ones are interpolated bilinearly.
    """
    finer = features.shape[-1] // size[-1]
    if finer > 1:
        return F.avg_pool2d(features, finer)
    if features.shape[-1] == size[-1]:
        return features
    return F.interpolate(features, size=list(size), mode="bilinear")


class ReadoutNetwork(nn.Module):
    """A network with a linear readout of its features for each of several scale levels.

    The outputs of the scale levels are added up, not averaged: together they are one linear
    function of the features at all scales.

    Parameters
    ----------
    base : torch.nn.Module
        Network of segmentation-models-pytorch whose features are read.
    shape : ReadoutShape
        Numbers of classes and scale levels, and where features are read.

    Notes
    -----
    Interpolation is linear, too, so that weights are applied to each stage at its own resolution.
    """

    def __init__(self, base: nn.Module, shape: ReadoutShape) -> None:
        super().__init__()
        self.base, self.shape = base, shape
        self.stages = nn.ModuleList(
            nn.Conv2d(width, shape.n_outputs, 1, bias=False) for width in shape.widths
        )
        self.bias = nn.Parameter(torch.zeros(shape.n_outputs))

    @property
    def encoder(self) -> nn.Module:
        """Encoder of the network below."""
        return cast(nn.Module, self.base.encoder)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return the outputs of all scale levels, float32 of shape (N, L K, Y, X)."""
        found = self.on_cells(inputs)
        return F.interpolate(found, scale_factor=self.shape.grid_px, mode="bilinear")

    def on_cells(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return the outputs at the cells of the grid, float32 of shape (N, L K, y, x)."""
        cell_px = self.shape.grid_px
        size = [length // cell_px for length in inputs.shape[-2:]]
        total = self.bias[None, :, None, None]
        for features, weights in zip(seen(self.base, inputs), self.stages, strict=True):
            is_finer = features.shape[-1] > size[-1]
            found = (
                weights(on_grid(features, size)) if is_finer else on_grid(weights(features), size)
            )
            total = total + found
        return total

    @torch.no_grad()
    def set_sum(self, weights: torch.Tensor, bias: torch.Tensor) -> None:
        """Set the weights, shape (L K, C) for all C channels that it reads, and the bias (L K,)."""
        parts = torch.split(weights, list(self.shape.widths), dim=1)
        for parameter, part in zip(self.stages.parameters(), parts, strict=True):
            parameter.copy_(part[:, :, None, None])
        self.bias.copy_(bias)

    @torch.no_grad()
    def sum_of(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return weights and bias as `set_sum` takes them."""
        parts = [parameter[:, :, 0, 0] for parameter in self.stages.parameters()]
        return torch.cat(parts, dim=1), self.bias.clone()

    @torch.no_grad()
    def with_classes(self, origin: Mapping[int, int], n_classes: int) -> ReadoutNetwork:
        """Return a copy for other classes.

        Parameters
        ----------
        origin : mapping of int to int
            New channel -> old channel whose weights it keeps; others have weights of 0.
        n_classes : int
            Number of classes of the copy.
        """
        shape = dataclasses.replace(self.shape, classes=n_classes)
        other = ReadoutNetwork(copy.deepcopy(self.base), shape).to(self.bias.device)
        moved = []
        for before in self.sum_of():
            levels = before.view(shape.levels, self.shape.classes, *before.shape[1:])
            after = levels.new_zeros(shape.levels, n_classes, *before.shape[1:])
            for new, old in origin.items():
                after[:, new] = levels[:, old]
            moved.append(after.flatten(0, 1))
        other.set_sum(*moved)
        return other


def network_below(network: nn.Module) -> nn.Module:
    """Return the network whose features are read: of a readout the one below it, else itself."""
    return network.base if isinstance(network, ReadoutNetwork) else network


def n_filters_of(widths: Sequence[int]) -> int:
    """Return how many of the channels that a network sees (`widths_of`) are fixed filters."""
    return sum(widths[:N_RESOLUTIONS])


@torch.no_grad()
def widths_of(network: nn.Module) -> tuple[int, ...]:
    """Return the number of channels of each part of what a network sees (`seen`)."""
    weight = next(network.parameters())
    was_training = network.training
    probe = torch.zeros(1, 1, _PROBE_PX, _PROBE_PX, device=weight.device, dtype=weight.dtype)
    try:
        return tuple(part.shape[1] for part in seen(network.eval(), probe))
    finally:
        network.train(was_training)
