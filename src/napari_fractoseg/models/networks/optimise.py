"""Networks optimised for inference: folded normalisation, half precision, OpenVINO."""

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
"""Largest difference of a logit that a folded network may have; about 1e-5 is usual."""
_TEXTURE_PX, _FLAT_PX = 256, 64
_TEXTURE_GRAINS = (4, 16, 64, 256)
_TOLERANCE_HALF = 0.01
"""Largest difference of a probability that half precision may have; about 0.003 is usual, and
0.04 of bfloat16."""

_TELEMETRY = "openvino_telemetry"
_BatchNorm = nn.modules.batchnorm._BatchNorm


def folded(network: nn.Module) -> nn.Module:
    """Return a copy of a network whose batch normalisation is folded into its convolutions.

    Which normalisation follows which convolution is found by running the network on a small
    image, whatever the architecture. If the folded copy gives other logits, a plain copy is
    returned.

    Parameters
    ----------
    network : torch.nn.Module
        Network in evaluation mode with one input channel; it is not changed.

    Returns
    -------
    torch.nn.Module
        Copy on the CPU, where single precision is exact: GPUs round the input of a
        convolution.

    Notes
    -----
    A normalisation with running mean m and variance v, weight g and bias b turns
    ``W x + c`` into ``g (W x + c - m) / sqrt(v + eps) + b``, which is a convolution,
    too: Jacob et al., "Quantization and training of neural networks for efficient
    integer-arithmetic-only inference", CVPR 2018, section 3.2.
    """
    fast = copy.deepcopy(network).cpu().eval()
    pairs, expected = _pairs(fast)
    if not pairs:
        return fast
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
    difference = (expected - _probe(fast)).abs().max()
    return fast if difference < _TOLERANCE else copy.deepcopy(network).cpu().eval()


def _pairs(network: nn.Module) -> tuple[list[tuple[nn.Conv2d, _BatchNorm]], torch.Tensor]:
    """Return the pairs of a convolution and the normalisation of its output, and the logits.

    There are no pairs if a convolution has several: then none can be folded.
    """
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
        logits = _probe(network)
    finally:
        for handle in handles:
            handle.remove()
    convolutions = [convolution for convolution, _ in pairs]
    is_used_once = len(set(convolutions)) == len(convolutions)
    return pairs if is_used_once else [], logits


class HalfNetwork(nn.Module):
    """A network that computes in half precision, with input and output in single precision.

    Parameters
    ----------
    network : torch.nn.Module
        Network on its device, in evaluation mode; it is copied.
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
    """Whether two networks on a device give the same probabilities within 0.01.

    They are compared on a texture of coarse and fine grains with the brightest and darkest flat
    areas that occur. False also if numbers overflow half precision, or if the device cannot
    compute `other`.

    Parameters
    ----------
    network, other : torch.nn.Module
        Networks in evaluation mode with one input channel; the first one is the reference.
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

    OpenVINO reports each import and each conversion to its makers, from processes that it
    forks. It does not where the telemetry package cannot be imported.
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
        Network on the CPU, in evaluation mode.
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
