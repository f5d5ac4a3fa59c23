"""Copies between host and device while the device computes: prefetch and write-behind."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import torch

__all__ = ["CudaTransfers", "Transfers", "WriteBehind", "prefetched", "transfers_for"]

_logger = logging.getLogger(__name__)

S = TypeVar("S")
T = TypeVar("T")


class Transfers:
    """Synchronous copies from host to device and back: for the CPU and Apple's GPUs.

    Attributes
    ----------
    n_in_flight : int
        Largest number of planes that are prefetched, and of finished tiles that may wait for
        write-behind.
    by_table : bool
        Whether grey levels of 8 and 16 bits are copied to the device as they are, and
        normalised there by a lookup table.
    """

    n_in_flight = 0
    by_table = False

    def to_device(self, array: npt.NDArray[Any]) -> torch.Tensor:
        """Return an array as a tensor on the host; the network moves it to its device."""
        return torch.from_numpy(array)

    def from_device(self, tensor: torch.Tensor) -> Callable[[], npt.NDArray[Any]]:
        """Begin to fetch a tensor; calling what is returned waits for it."""
        there = tensor.cpu().numpy()
        return lambda: there


class CudaTransfers(Transfers):
    """Asynchronous copies to and from a CUDA device, in pinned memory and streams of their own.

    Parameters
    ----------
    device : torch.device
        CUDA device that is copied to and from.
    """

    n_in_flight = 3
    by_table = True

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._up, self._down = _stream(device), _stream(device)

    def to_device(self, array: npt.NDArray[Any]) -> torch.Tensor:
        """Return an array as a tensor on the GPU, for use in the current CUDA stream."""
        pinned = torch.from_numpy(array).pin_memory()
        with torch.cuda.stream(self._up):
            there = pinned.to(self._device, non_blocking=True)
        work = torch.cuda.current_stream(self._device)
        work.wait_stream(self._up)
        there.record_stream(work)
        return there

    def from_device(self, tensor: torch.Tensor) -> Callable[[], npt.NDArray[Any]]:
        """Begin to fetch a tensor; calling what is returned waits for it."""
        self._down.wait_stream(torch.cuda.current_stream(self._device))
        with torch.cuda.stream(self._down):
            pinned = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
            pinned.copy_(tensor, non_blocking=True)
        is_there = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]
        is_there.record(self._down)
        tensor.record_stream(self._down)

        def fetched() -> npt.NDArray[Any]:
            is_there.synchronize()
            return np.asarray(pinned.numpy())

        return fetched


def transfers_for(device: torch.device) -> Transfers:
    """Return the fastest transfers that work with a device.

    Pinned memory is tried first: some virtual machines and containers forbid it or have too
    little. Where it does not work, plain copies are returned and a warning is logged.
    """
    if device.type != "cuda":
        return Transfers()
    sent = np.arange(256, dtype=np.uint8)
    try:
        fast = CudaTransfers(device)
        if np.array_equal(fast.from_device(fast.to_device(sent))(), sent):
            return fast
        reason = "what came back was not what was sent"
    except (RuntimeError, AssertionError) as error:  # PyTorch without CUDA asserts
        reason = str(error)
    _logger.warning("No pinned memory for %s (%s); it is used in a slower way.", device, reason)
    return Transfers()


def _stream(device: torch.device) -> torch.cuda.Stream:
    stream: torch.cuda.Stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    return stream


class WriteBehind:
    """Write-behind: finished results are stored while the device computes later ones.

    Parameters
    ----------
    n_waiting : int
        Number of results that may wait; with 0 each is stored at once.
    """

    def __init__(self, n_waiting: int) -> None:
        self._most = n_waiting
        self._waiting: deque[tuple[Callable[[], None], bool]] = deque()
        self._n_results = 0

    def send(self, deliver: Callable[[], None]) -> None:
        """Queue a function that stores a result; they are called in the order of arrival."""
        self._n_results += 1
        self._put(deliver, True)

    def note(self, write_down: Callable[[], None]) -> None:
        """Queue a function that is called once all results sent before it are stored."""
        self._put(write_down, False)

    def close(self) -> None:
        """Store all results that wait, now."""
        self._most = 0
        self._deliver()

    def _put(self, deliver: Callable[[], None], is_result: bool) -> None:
        self._waiting.append((deliver, is_result))
        self._deliver()

    def _deliver(self) -> None:
        while self._waiting and (self._n_results > self._most or not self._waiting[0][1]):
            deliver, is_result = self._waiting.popleft()
            self._n_results -= is_result
            deliver()


def prefetched(
    make: Callable[[S], T], items: Iterable[S], n_prefetched: int
) -> Generator[T, None, None]:
    """Yield ``make(item)`` for each item, in order; threads compute the next ones ahead of time.

    Parameters
    ----------
    make : callable
        Function of one item; it is called in other threads.
    items : iterable
        Arguments of `make`.
    n_prefetched : int
        Number of results computed ahead; with 0 each is computed when it is asked for.

    Raises
    ------
    Exception
        Whatever `make` raised for an item, when the turn of that item comes.
    """
    if not n_prefetched:
        yield from map(make, items)
        return
    pool = ThreadPoolExecutor(n_prefetched, thread_name_prefix="fractoseg-prefetch")
    waiting: deque[Future[T]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(make, item))
            if len(waiting) > n_prefetched:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
