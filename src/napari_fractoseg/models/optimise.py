"""Networks that give the same probabilities in less time, for inference only."""

from __future__ import annotations

import copy
import importlib.util
import sys
import warnings
from typing import Any, cast

import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from napari_fractoseg.models.devices import is_out_of_memory

__all__ = ["HalfNetwork", "OpenVinoNetwork", "folded", "has_openvino", "is_alike"]

_PROBE_PX = 64
_TOLERANCE = 1e-3
"""Largest difference of a logit by which a folded network may differ; usual are 1e-5."""
_TEXTURE_PX, _FLAT_PX = 256, 64
_TEXTURE_GRAINS = (4, 16, 64, 256)
_TOLERANCE_HALF = 0.01
"""Largest difference of a probability in half precision; usual are 0.003, of bfloat16 0.04."""

_TELEMETRY = "openvino_telemetry"
_BatchNorm = nn.modules.batchnorm._BatchNorm


def folded(network: nn.Module) -> nn.Module:
    """Return a copy whose batch normalisation is part of the convolutions before it.

    The network sees a small image, so that it is known which normalisation follows
    which convolution, whatever the architecture. Where that copy does not agree with
    the network, it is a copy as it is.

    Parameters
    ----------
    network : torch.nn.Module
        In evaluation mode, one input channel.

    Returns
    -------
    torch.nn.Module
        On the CPU, where single precision is exact: GPUs round what goes into a convolution.

    Notes
    -----
    A normalisation with running mean m and variance v, weight g and bias b turns
    ``W x + c`` into ``g (W x + c - m) / sqrt(v + eps) + b``, which is a convolution,
    too: Jacob et al., "Quantization and training of neural networks for efficient
    integer-arithmetic-only inference", CVPR 2018, section 3.2.
    """
    plain = copy.deepcopy(network).cpu().eval()
    fast = copy.deepcopy(plain)
    pairs = _pairs(fast)
    if not pairs:
        return plain
    names = {layer: name for name, layer in fast.named_modules()}
    for convolution, normalisation in pairs:
        weight, bias = fuse_conv_bn_weights(
            convolution.weight,
            convolution.bias,
            cast(torch.Tensor, normalisation.running_mean),
            cast(torch.Tensor, normalisation.running_var),
            normalisation.eps,
            normalisation.weight,
            normalisation.bias,
        )
        convolution.weight, convolution.bias = weight, bias
        parent, _, name = names[normalisation].rpartition(".")
        # timm's normalisations hold the activation that follows.
        setattr(fast.get_submodule(parent), name, nn.Sequential(*normalisation.children()))
    difference = (_probe(plain) - _probe(fast)).abs().max()
    return fast if difference < _TOLERANCE else plain


def _pairs(network: nn.Module) -> list[tuple[nn.Conv2d, _BatchNorm]]:
    """Find the convolutions whose output goes into a normalisation; each once."""
    made: dict[int, tuple[nn.Conv2d, torch.Tensor]] = {}
    pairs: list[tuple[nn.Conv2d, _BatchNorm]] = []

    def after(layer: nn.Module, _inputs: Any, output: torch.Tensor) -> None:
        made[id(output)] = cast(nn.Conv2d, layer), output  # kept, so that no id is used again

    def before(layer: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        if id(inputs[0]) in made:
            pairs.append((made[id(inputs[0])][0], cast(_BatchNorm, layer)))

    handles = [
        layer.register_forward_hook(after)
        if isinstance(layer, nn.Conv2d)
        else layer.register_forward_pre_hook(before)
        for layer in network.modules()
        if isinstance(layer, nn.Conv2d | _BatchNorm)
    ]
    try:
        _probe(network)
    finally:
        for handle in handles:
            handle.remove()
    convolutions = [convolution for convolution, _ in pairs]
    is_used_once = len(set(convolutions)) == len(convolutions)
    return pairs if is_used_once else []


class HalfNetwork(nn.Module):
    """A network that computes in half precision; what it takes and gives is in single precision.

    Parameters
    ----------
    network : torch.nn.Module
        On its device, in evaluation mode; is copied.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = copy.deepcopy(network).half()

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return the logits, float32 of shape (N, K, Y, X)."""
        found: torch.Tensor = self.network(inputs.half())
        return found.float()


@torch.inference_mode()
def is_alike(network: nn.Module, other: nn.Module) -> bool:
    """Whether two networks on a device give nearly the same probabilities.

    They see a texture with coarse and fine grains, and flat parts as bright and as dark as can
    be. Numbers that grow too large for half precision make it False, too, and so does what the
    device cannot compute.

    Parameters
    ----------
    network, other : torch.nn.Module
        In evaluation mode, one input channel.
    """
    size = (_TEXTURE_PX, _TEXTURE_PX)
    random = torch.Generator().manual_seed(0)
    grains = [torch.rand(1, 1, n, n, generator=random) - 0.5 for n in _TEXTURE_GRAINS]
    texture = torch.stack([F.interpolate(g, size, mode="bilinear") for g in grains]).sum(dim=0)
    texture *= 2
    texture[..., :_FLAT_PX, :_FLAT_PX], texture[..., -_FLAT_PX:, -_FLAT_PX:] = 2, -2
    texture = texture.to(next(network.parameters()).device)
    texture = texture.contiguous(memory_format=torch.channels_last)
    expected = network(texture).softmax(dim=1)
    try:
        difference = other(texture).softmax(dim=1) - expected
    except RuntimeError as error:
        if is_out_of_memory(error):
            raise
        return False
    return bool(difference.abs().max() < _TOLERANCE_HALF)  # False for NaN


@torch.inference_mode()
def _probe(network: nn.Module) -> torch.Tensor:
    device = next(network.parameters()).device
    across = torch.linspace(-1, 1, _PROBE_PX, device=device)
    result: torch.Tensor = network((across[:, None] * across[None, :]).sin()[None, None])
    return result


def has_openvino() -> bool:
    """Whether OpenVINO is installed (the extra ``[cpu]``)."""
    return importlib.util.find_spec("openvino") is not None


def _import_openvino() -> Any:
    """Import OpenVINO without its telemetry.

    It tells its makers of each import and each conversion, unasked, from processes that it
    forks for that. Without the package it does not.
    """
    is_ours = _TELEMETRY not in sys.modules
    if is_ours:
        sys.modules[_TELEMETRY] = None  # type: ignore[assignment]
    try:
        importlib.import_module("openvino.tools.ovc.convert_impl")  # the last that looks for it
        return importlib.import_module("openvino")
    finally:
        if is_ours:
            del sys.modules[_TELEMETRY]


class OpenVinoNetwork(nn.Module):
    """A network that OpenVINO runs on the CPU, in single precision.

    Parameters
    ----------
    network : torch.nn.Module
        On the CPU, in evaluation mode.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        openvino = _import_openvino()
        self.weights = nn.ParameterList(network.parameters())
        with warnings.catch_warnings(), torch.inference_mode():
            warnings.simplefilter("ignore")  # of tracing: sizes are not known to be constant
            example = torch.zeros(1, 1, _PROBE_PX, _PROBE_PX)
            model = openvino.convert_model(network, example_input=example)
        model.reshape([-1, 1, -1, -1])
        settings = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": "f32",
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
            "ENABLE_CPU_PINNING": False,  # several processes would all choose the first cores
        }
        self._compiled = openvino.Core().compile_model(model, "CPU", settings)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return the logits, shape (N, K, Y, X)."""
        found = self._compiled(inputs.contiguous().numpy())
        return torch.from_numpy(found[0])
