"""Which device is used, why, and what happens when its memory runs out."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from napari_fractoseg.errors import DeviceError, OutOfMemoryError

__all__ = ["Device", "choose_device", "is_out_of_memory", "list_devices", "translate_out_of_memory"]

_OUT_OF_MEMORY = (
    "out of memory",
    "can't allocate memory",
    "unable to find an engine",
    "CUDNN_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_INTERNAL_ERROR",
    "CUBLAS_STATUS_ALLOC_FAILED",
)
"""In RuntimeErrors: those of the CPU's allocator and of Apple's GPUs, and what is left of an error
when a convolution on a GPU finds no memory to work in."""


@dataclass(frozen=True)
class Device:
    """A device and what to tell the user about it.

    Parameters
    ----------
    name : str
        As torch writes it: ``cpu``, ``cuda:0``, ``mps``.
    label : str
        For people, such as ``GPU: NVIDIA RTX A2000 (6 GB)``.
    why_not_gpu : str
        Why no GPU is used and what to do; empty on a GPU.
    """

    name: str
    label: str
    why_not_gpu: str = ""

    @property
    def kind(self) -> str:
        """``cpu``, ``cuda`` or ``mps``."""
        return self.name.partition(":")[0]

    @property
    def torch(self) -> torch.device:
        """The torch device."""
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
    return [*devices, Device("cpu", f"CPU ({torch.get_num_threads()} threads)", why_not)]


def choose_device(wanted: str = "auto") -> Device:
    """Return the device to use.

    Parameters
    ----------
    wanted : str
        ``auto`` (a GPU if there is one), ``cpu``, ``cuda``, ``cuda:1``, ``mps``.

    Raises
    ------
    DeviceError
        If that device is not there, with the reason.
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
        The device in use.
    remedy : str
        What the user can do, a sentence.
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
