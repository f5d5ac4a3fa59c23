"""Devices that PyTorch can use: choice, names for users, and errors when memory runs out."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from napari_fractoseg.errors import DeviceError, OutOfMemoryError
from napari_fractoseg.text import counted

__all__ = ["Device", "choose_device", "is_out_of_memory", "list_devices", "translate_out_of_memory"]

os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
"""PyTorch then asks Linux for huge pages, before its first tensor: a network whose layers are
larger than 100 MB spends up to two fifths of its time on getting small ones."""
_OUT_OF_MEMORY = (
    "out of memory",
    "can't allocate memory",
    "unable to find an engine",
    "CUDNN_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_INTERNAL_ERROR",
    "CUBLAS_STATUS_ALLOC_FAILED",
)
"""Texts in RuntimeErrors that mean out of memory: of the CPU's allocator and of Apple's GPUs, and
of cuDNN and cuBLAS when an operation on a GPU finds no memory to work in."""


@dataclass(frozen=True)
class Device:
    """A computing device (CPU or GPU), and how to name it for users.

    Parameters
    ----------
    name : str
        Name in PyTorch: ``cpu``, ``cuda:0``, ``mps``.
    label : str
        Name for users, such as ``GPU: NVIDIA RTX A2000 (6 GB)``.
    why_not_gpu : str
        Sentence that says why no GPU is used and what to do; empty for a GPU.
    """

    name: str
    label: str
    why_not_gpu: str = ""

    @property
    def kind(self) -> str:
        """Kind of the device: ``cpu``, ``cuda`` or ``mps``."""
        return self.name.partition(":")[0]

    @property
    def torch(self) -> torch.device:
        """The device as an object of PyTorch."""
        return torch.device(self.name)


def list_devices() -> list[Device]:
    """Return the usable devices, the preferred one first and the CPU last."""
    devices = []
    if torch.cuda.is_available():
        for i in range(torch.cuda.device_count()):
            properties = torch.cuda.get_device_properties(i)
            size = f"{properties.total_memory / 2**30:.0f} GB"
            devices.append(Device(f"cuda:{i}", f"GPU: {properties.name} ({size})"))
    if torch.backends.mps.is_available():
        devices.append(Device("mps", "GPU: Apple (Metal)"))
    why_not = "" if devices else _why_no_gpu()
    return [*devices, Device("cpu", f"CPU ({counted(torch.get_num_threads(), 'thread')})", why_not)]


def choose_device(wanted: str = "auto") -> Device:
    """Return the device to use.

    Parameters
    ----------
    wanted : str
        Name of the device: ``auto`` (a GPU if there is one), ``cpu``, ``cuda``, ``cuda:1``
        or ``mps``.

    Raises
    ------
    DeviceError
        If there is no such device; says why, and which there are.
    """
    devices = list_devices()
    if wanted == "auto":
        return devices[0]
    for device in devices:
        if wanted in (device.name, device.kind):
            return device
    names = ", ".join(d.name for d in devices)
    raise DeviceError(
        f"Device {wanted!r} is not available; there is {names}. "
        f"{devices[-1].why_not_gpu or 'Choose one of these, or auto.'}"
    )


@contextmanager
def translate_out_of_memory(device: Device, remedy: str) -> Iterator[None]:
    """Turn every kind of out-of-memory error inside into `OutOfMemoryError`.

    Parameters
    ----------
    device : Device
        Device that the code inside uses; it is named in the message.
    remedy : str
        Sentence that says what the user can do.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if is_out_of_memory(error):
            raise OutOfMemoryError(f"{device.label} ran out of memory. {remedy}") from error
        raise


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error of Python or PyTorch says that memory ran out."""
    if isinstance(error, MemoryError | torch.cuda.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(text in str(error) for text in _OUT_OF_MEMORY)


def _why_no_gpu() -> str:
    if torch.version.cuda is None and platform.system() != "Darwin":
        return (
            f"This PyTorch ({torch.__version__}) was built without CUDA. To use an NVIDIA GPU, "
            "install a CUDA build: https://pytorch.org/get-started/locally/"
        )
    if platform.system() == "Darwin":
        return "This Mac has no GPU that PyTorch's Metal backend can use."
    return (
        f"PyTorch ({torch.__version__}, for CUDA {torch.version.cuda}) found no NVIDIA GPU or no "
        "driver that fits. If there is one, update its driver; `nvidia-smi` must list it."
    )
