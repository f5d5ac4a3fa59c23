"""A model made ready for a device: its fast network, and the tiles that memory allows."""

from __future__ import annotations

import functools
from typing import get_args

import torch
from torch import nn

from napari_fractoseg.errors import OutOfMemoryError
from napari_fractoseg.inference.device_io import transfers_for
from napari_fractoseg.inference.memory import bytes_per_px, suggested_tile_px
from napari_fractoseg.inference.multiscale import CELL_PX, Level, Work, levels_of
from napari_fractoseg.inference.precision import Precision
from napari_fractoseg.models.devices import Device, choose_device, translate_out_of_memory
from napari_fractoseg.models.model import SegmentationModel
from napari_fractoseg.models.optimise import (
    HalfNetwork,
    OpenVinoNetwork,
    folded,
    has_openvino,
    is_alike,
)

__all__ = ["Engine"]

_SMALLEST_PX = 128
"""Tiles are not made smaller than this, as the network sees them: most would be halo."""
_OPENVINO_CELLS = 20_000
"""Blocks of 32 x 32 px from which on OpenVINO saves more time than its start takes (3 s)."""
_OPENVINO = "openvino"
_REMEDY = "Close other programs."


class Engine:
    """What sees the tiles; it makes do with less when memory runs out.

    Parameters
    ----------
    model : SegmentationModel
        A copy of its network is made fast and moved to the device.
    device : Device
        Where it runs.
    tile_px : int, optional
        Largest edge of a core; by default as large as the memory allows.
    batch_size : int
        Tiles at once.
    max_bytes : float, optional
        Memory that a tile may take at most; by default half of what is free.
    precision : {"auto", "single", "half"}
        See `Precision`.

    Attributes
    ----------
    levels : tuple of Level
        The model's scale levels with their tiles, the coarsest first.
    expected_cells : int
        Work to come in all, where single runs are parts of it.
    transfers : Transfers
        To the device and back.
    """

    def __init__(
        self,
        model: SegmentationModel,
        device: Device,
        tile_px: int | None = None,
        batch_size: int = 1,
        max_bytes: float | None = None,
        precision: Precision = "auto",
    ) -> None:
        if precision not in get_args(Precision):
            choices = ", ".join(get_args(Precision))
            raise ValueError(f"There is no precision {precision!r}. Choose one of {choices}.")
        self.device, self.batch_size = device, batch_size
        self._precision: Precision = precision
        self.transfers = transfers_for(device.torch)
        self._model = model
        self.expected_cells = 0
        tile_px = tile_px or suggested_tile_px(
            model.scale_levels[-1], self._bytes_per_px, device, max_bytes
        )
        self.levels: tuple[Level, ...] = levels_of(model, tile_px)
        self._ready: dict[str, SegmentationModel] = {}

    def model_for(self, cells: int) -> SegmentationModel:
        """Return the model as it is fastest on the device, for so much work.

        Parameters
        ----------
        cells : int
            Blocks of 32 x 32 px that the network will see.
        """
        is_long = max(cells, self.expected_cells) >= _OPENVINO_CELLS and self.device.kind == "cpu"
        wants_half = self._precision == "half" or (
            self._precision == "auto" and self.device.kind == "cuda"
        )
        kind = _OPENVINO if is_long and has_openvino() and not wants_half else self.device.name
        if kind not in self._ready:
            with translate_out_of_memory(self.device, _REMEDY):
                network = folded(self._model.network)
                if kind == _OPENVINO:
                    network = OpenVinoNetwork(network)
                ready = self._with(network).to(self.device.torch)
                if wants_half and is_alike(ready.network, half := HalfNetwork(ready.network)):
                    ready = self._with(half)
                self._ready[kind] = ready
        return self._ready[kind]

    def _with(self, network: nn.Module) -> SegmentationModel:
        return SegmentationModel(self._model.card, network, self._model.digest)

    @property
    def label(self) -> str:
        """The device for people, and what ran there."""
        ready = self._ready.get(self.device.name)
        is_half = ready is not None and isinstance(ready.network, HalfNetwork)
        how = " with OpenVINO" if _OPENVINO in self._ready else " in half precision" * is_half
        return f"{self.device.label}{how}"

    def bytes_for(self, work: Work) -> float:
        """Estimate the memory that the largest batch of windows takes."""
        return work.largest * CELL_PX**2 * self.batch_size * self._bytes_per_px

    @functools.cached_property
    def _bytes_per_px(self) -> float:
        with translate_out_of_memory(self.device, _REMEDY):
            return bytes_per_px(self._model)

    def economise(self, error: OutOfMemoryError) -> str:
        """Use less memory: fewer tiles at once, smaller ones, at last the CPU.

        Parameters
        ----------
        error : OutOfMemoryError
            Is raised again if nothing is left to try.

        Returns
        -------
        str
            What was done, a sentence.
        """
        tile_px, scale = self.levels[-1].tiler.tile_px, self.levels[-1].scale
        if self.batch_size > 1:
            self.batch_size //= 2
            change = f"fewer tiles at once ({self.batch_size})"
        elif tile_px > max(scale.stride_px, _SMALLEST_PX * scale.reduction):
            self.levels = levels_of(self._model, tile_px // 2)
            change = f"tiles of {self.levels[-1].tiler.tile_px} px"
        elif self.device.kind != "cpu":
            self.device = choose_device("cpu")
            self.transfers, self._precision = transfers_for(self.device.torch), "auto"
            self._ready.clear()
            change = "the CPU's memory"
        else:
            raise error
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        return f"Memory ran out. The work went on with {change}."
