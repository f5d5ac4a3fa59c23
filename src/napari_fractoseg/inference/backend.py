"""A model made ready for one device: its optimised network, and tiles that fit into memory."""

from __future__ import annotations

import functools
from typing import get_args

import torch
from torch import nn

from napari_fractoseg.errors import ModelError, OutOfMemoryError
from napari_fractoseg.inference.device_io import transfers_for
from napari_fractoseg.inference.memory import bytes_per_px, suggested_tile_px
from napari_fractoseg.inference.multiscale import CELL_PX, Level, Work, levels_of
from napari_fractoseg.inference.precision import Precision
from napari_fractoseg.models.devices import Device, choose_device, translate_out_of_memory
from napari_fractoseg.models.model import SegmentationModel
from napari_fractoseg.models.networks.optimise import (
    HalfNetwork,
    OpenVinoNetwork,
    folded,
    has_openvino,
    is_alike,
)

__all__ = ["Engine"]

_SMALLEST_PX = 128
"""Smallest edge of a tile in pixels of the network: of smaller ones most would be halo."""
_OPENVINO_CELLS = 20_000
"""Work, in blocks of 32 x 32 px, from which on OpenVINO saves more time than its start (3 s)."""
_OPENVINO = "openvino"
_REMEDY = "Close other programs."


class Engine:
    """A model on a device, with its tiles; it continues with less memory when that runs out.

    Parameters
    ----------
    model : SegmentationModel
        Model to run; a copy of its network is optimised and moved to the device.
    device : Device
        Device that computes.
    tile_px : int, optional
        Largest edge of a tile's core in image pixels; by default as large as the memory allows.
    batch_size : int
        Number of tiles that the network computes at once.
    max_bytes : float, optional
        Memory in bytes that a tile may take at most; by default half of what is free.
    precision : {"auto", "single", "half"}
        Floating-point precision of the network; ``auto`` is half on CUDA devices, see `Precision`.

    Attributes
    ----------
    levels : tuple of Level
        Scale levels of the model with their tiles, the coarsest first.
    expected_cells : int
        Work of the whole image in blocks of 32 x 32 px, where each run is only a part of it.
    transfers : Transfers
        Copies arrays to the device and results back.
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
        """Return the model in the form that is fastest on the device for an amount of work.

        Parameters
        ----------
        cells : int
            Amount of work: blocks of 32 x 32 px that the network will compute.
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
        return self._model.with_network(network)

    @property
    def label(self) -> str:
        """Name of the device for users, with what runs there (OpenVINO, half precision)."""
        how = " with OpenVINO" if _OPENVINO in self._ready else " in half precision" * self._is_half
        return f"{self.device.label}{how}"

    @property
    def _is_half(self) -> bool:
        ready = self._ready.get(self.device.name)
        return ready is not None and isinstance(ready.network, HalfNetwork)

    def no_numbers(self) -> ModelError:
        """Return the error for a network that gives no numbers (NaN) on the device."""
        error = self._model.no_numbers(self.label)
        return ModelError(str(error), options=("precision",) * self._is_half)

    def bytes_for(self, work: Work) -> float:
        """Return the estimated memory in bytes that the largest batch of windows takes."""
        return work.largest * CELL_PX**2 * self.batch_size * self._bytes_per_px

    @functools.cached_property
    def _bytes_per_px(self) -> float:
        with translate_out_of_memory(self.device, _REMEDY):
            return bytes_per_px(self._model)

    def reduce_memory(self, error: OutOfMemoryError) -> str:
        """Continue with less memory: fewer tiles at once, then smaller ones, at last on the CPU.

        Parameters
        ----------
        error : OutOfMemoryError
            The error that was met; it is raised again if nothing is left to try.

        Returns
        -------
        str
            Sentence for the user that says what was changed.
        """
        tile_px, scale = self.levels[-1].tiler.tile_px, self.levels[-1].scale
        if self.batch_size > 1:
            self.batch_size //= 2
            change = f"fewer tiles at once ({self.batch_size})"
        elif tile_px > max(scale.stride_px, scale.in_image(_SMALLEST_PX)):
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
