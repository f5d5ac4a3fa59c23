"""One stage of the encoder of a network, without what comes behind it."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn

from napari_fractoseg.models.networks.readout import encoded, network_below

__all__ = ["EncoderStage", "features_of"]

_PROBE_PX = 64


class EncoderStage:
    """Gives the features of the stage of an encoder whose stride is nearest to a wanted one.

    The encoder is stopped when they are there, if the layer that gives them can be told: later
    stages take up to half of its time.

    Parameters
    ----------
    network : torch.nn.Module
        Network in evaluation mode with one input channel, which gets a hook: a copy that nothing
        else uses. Of a readout, the network below it is looked at.
    stride : int
        Wanted stride in network pixels.
    """

    def __init__(self, network: nn.Module, stride: int) -> None:
        self._network, self._stride = network_below(network), stride
        probe = _probe(self._network)
        last = _layer_of(self._network, probe, stride)
        if last is None:
            return
        expected = features_of(self._network, probe, stride)
        hook = last.register_forward_hook(_stop)
        if not torch.equal(self(probe), expected):  # changed in place by what follows
            hook.remove()

    @torch.inference_mode()
    def __call__(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return the features, float of shape (N, C, y, x), of inputs of shape (N, 1, Y, X)."""
        try:
            return features_of(self._network, inputs, self._stride)
        except _Reached as reached:
            return reached.features


@torch.inference_mode()
def features_of(network: nn.Module, inputs: torch.Tensor, stride: int) -> torch.Tensor:
    """Return what `EncoderStage` does, of a network that is left as it is; slower.

    Parameters
    ----------
    network : torch.nn.Module
        Network in evaluation mode with one input channel.
    inputs : Tensor of float32, shape (N, 1, Y, X)
        Normalised grey levels in network pixels.
    stride : int
        Wanted stride in network pixels.
    """
    stages, edge = encoded(network_below(network), inputs), inputs.shape[-1]
    return min(stages, key=lambda stage: abs(math.log2(edge / stage.shape[-1] / stride)))


class _Reached(Exception):  # noqa: N818 - no error
    """Ends the encoder early; with the features that were wanted."""

    def __init__(self, features: torch.Tensor) -> None:
        super().__init__()
        self.features = features


def _stop(_layer: nn.Module, _inputs: Any, output: torch.Tensor) -> None:
    raise _Reached(output)


def _probe(network: nn.Module) -> torch.Tensor:
    weight = next(network.parameters())
    across = torch.linspace(-1, 1, _PROBE_PX, device=weight.device, dtype=weight.dtype)
    return (across[:, None] * across[None, :]).sin()[None, None]


@torch.inference_mode()
def _layer_of(network: nn.Module, probe: torch.Tensor, stride: int) -> nn.Module | None:
    """Return the last layer whose output is the stage itself; None if there is none."""
    made: list[tuple[nn.Module, Any]] = []

    def note(layer: nn.Module, _inputs: Any, output: Any) -> None:
        made.append((layer, output))

    handles = [layer.register_forward_hook(note) for layer in network.modules()]
    try:
        stage = features_of(network, probe, stride)
    finally:
        for handle in handles:
            handle.remove()
    layers = [layer for layer, output in made if output is stage]
    return layers[-1] if layers else None
