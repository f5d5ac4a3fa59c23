"""Several processes that share each step, on GPUs or machines, through Lightning Fabric."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import torch
from lightning_fabric import Fabric

from napari_fractoseg.models.devices import Device
from napari_fractoseg.training.plan import TrainingPlan

__all__ = ["Processes", "Team", "choose_precision", "is_first_process"]

_LIGHTNING_LOGGER = logging.getLogger("lightning_fabric.utilities.rank_zero")


@dataclass(frozen=True)
class Processes:
    """Numbers of processes that train together.

    Parameters
    ----------
    devices : int
        Number of devices on each machine, with a process each.
    nodes : int
        Number of machines.
    strategy : str
        Way in which processes share the work, as Lightning Fabric names it;
        ``ddp`` for several devices.
    """

    devices: int = 1
    nodes: int = 1
    strategy: str = "auto"


def is_first_process() -> bool:
    """Tell whether this process is the first of those that train together, which writes for all."""
    return os.environ.get("LOCAL_RANK", "0") == "0" and os.environ.get("NODE_RANK", "0") == "0"


class Team:
    """Processes that share each step of a training; usually one.

    Parameters
    ----------
    device : Device
        Kind of device; its number counts if there is one process only.
    precision : str
        Precision of the arithmetic as Lightning Fabric names it, but not ``auto``.
    processes : Processes
        Numbers of processes. Beyond one, Lightning starts the others with the
        command of this process.
    """

    def __init__(self, device: Device, precision: Any, processes: Processes) -> None:
        alone = processes == Processes()
        with _quiet():
            self.fabric = Fabric(
                accelerator=device.kind,
                devices=_numbers(device) if alone else processes.devices,
                num_nodes=processes.nodes,
                strategy=processes.strategy,
                precision=precision,
            )
            if not alone:
                self.fabric.launch()

    @property
    def size(self) -> int:
        """Number of processes in the team."""
        return int(self.fabric.world_size)

    @property
    def rank(self) -> int:
        """Number of this process in the team, from 0."""
        return int(self.fabric.global_rank)

    def setup(self, network: torch.nn.Module, optimiser: torch.optim.Optimizer) -> tuple[Any, Any]:
        """Return network and optimiser prepared for device, precision and the other processes."""
        with _quiet():
            return self.fabric.setup(network, optimiser)  # type: ignore[no-any-return]

    def total(self, value: torch.Tensor) -> torch.Tensor:
        """Return the sum of a value over all processes; its gradients are those of this process."""
        if self.size == 1:
            return value
        there = value.detach()
        everywhere: torch.Tensor = self.fabric.all_reduce(there.clone(), reduce_op="sum")
        return value + (everywhere - there).to(value.dtype)

    def any(self, flag: bool) -> bool:
        """Tell whether a flag is set in any process of the team."""
        if self.size == 1:
            return flag
        value = torch.tensor(float(flag), device=self.fabric.device)
        return bool(self.fabric.all_reduce(value, reduce_op="sum") > 0)


def choose_precision(
    plan: TrainingPlan, device: Device
) -> Literal["auto", "32-true", "bf16-mixed", "16-mixed"]:
    """Return the plan's precision; for ``auto`` the one at which the device is fastest."""
    if plan.precision != "auto":
        return plan.precision
    if device.kind == "cuda":
        return "bf16-mixed" if torch.cuda.is_bf16_supported() else "16-mixed"
    if device.kind == "cpu":
        # Only with matrix tiles (AMX) is bfloat16 faster on a CPU: 2.4 times, measured.
        capabilities: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
        return "bf16-mixed" if capabilities.get("amx_bf16") else "32-true"
    return "32-true"


def _numbers(device: Device) -> Any:
    number = device.name.partition(":")[2]
    return [int(number)] if number else 1


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Lightning's messages and warnings from the user during the block."""
    level = _LIGHTNING_LOGGER.level
    _LIGHTNING_LOGGER.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        _LIGHTNING_LOGGER.setLevel(level)
