"""Memory that a network needs for each pixel, and the largest tiles for which there is enough."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from napari_fractoseg.images.memory import free_memory
from napari_fractoseg.models.devices import Device
from napari_fractoseg.models.model import ScaleLevel, SegmentationModel

__all__ = ["bytes_per_px", "free_bytes", "suggested_tile_px"]

_PROBE_PX = 128
_OVERHEAD = 1.9
"""Ratio of the memory taken to that of the largest layer, skip connections included: measured
on two CPU cores with U-Nets of 2 to 14 million weights (docs/benchmarks.md)."""
_SHARE = {"cpu": 0.5, "mps": 0.4, "cuda": 0.8}
"""Fraction of the free memory that tiles may take, by kind of device; other programs need some."""
_EDGES_PX = (2048, 1536, 1024, 768, 512, 384, 256)
"""Edges of a tile to choose from, in pixels of the network (after reduction)."""
_MOST_IMAGE_PX = 2**15
"""Largest edge of a tile in image pixels, whose labels and uncertainty take memory, too."""


def free_bytes(device: Device) -> int:
    """Return the free memory of a device in bytes; for the CPU that of the computer."""
    if device.kind == "cuda":
        kept = torch.cuda.memory_reserved(device.torch) - torch.cuda.memory_allocated(device.torch)
        return int(torch.cuda.mem_get_info(device.torch)[0]) + kept  # PyTorch uses it again
    return free_memory()


def bytes_per_px(model: SegmentationModel) -> float:
    """Estimate the memory that a model's network takes for each pixel of its input, in bytes.

    The network is run once on a small image, and the largest sum of a layer's inputs and outputs
    is scaled by a factor that was measured.
    """
    network, largest = model.network, 0

    def note(_layer: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        nonlocal largest
        largest = max(largest, _numel(inputs) + _numel(output))

    handles = [
        layer.register_forward_hook(note)
        for layer in network.modules()
        if not any(True for _ in layer.children())
    ]
    first = next(network.parameters())
    was_training = network.training
    try:
        with torch.inference_mode():
            probe = torch.zeros(1, 1, _PROBE_PX, _PROBE_PX, device=first.device)
            network.eval()(probe.contiguous(memory_format=torch.channels_last))
    finally:
        network.train(was_training)
        for handle in handles:
            handle.remove()
    return _OVERHEAD * 4 * largest / _PROBE_PX**2


def _numel(value: Any) -> int:
    if isinstance(value, torch.Tensor):
        return value.numel()
    if isinstance(value, list | tuple):
        return sum(map(_numel, value))
    return 0


def suggested_tile_px(
    scale: ScaleLevel, px_bytes: float, device: Device, max_bytes: float | None = None
) -> int:
    """Return the edge of the largest tile core for which there is memory now, in image pixels.

    Large tiles waste little on their halos, and change no label at borders that
    are not there.

    Parameters
    ----------
    scale : ScaleLevel
        The finest scale level of the model.
    px_bytes : float
        Memory of the network for each of its pixels, in bytes (`bytes_per_px`).
    device : Device
        Device that computes; half of its free memory is used (four fifths of a CUDA device).
    max_bytes : float, optional
        Upper limit of the memory in bytes.
    """
    usable = _SHARE[device.kind] * free_bytes(device)
    if max_bytes is not None:
        usable = min(usable, max_bytes)
    halo = scale.in_network(scale.halo_px)
    fitting = (edge for edge in _EDGES_PX if (edge + 2 * halo) ** 2 * px_bytes <= usable)
    edge_px = scale.in_image(next(fitting, _EDGES_PX[-1]))
    return min(edge_px, max(_MOST_IMAGE_PX, scale.stride_px))
