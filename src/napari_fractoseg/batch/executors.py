"""Work in other processes: calls are submitted a few at a time, results taken as they finish."""

from __future__ import annotations

import concurrent.futures
import threading
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from typing import Any

from napari_fractoseg.errors import ClusterError

__all__ = ["ONE_AT_A_TIME", "Unit", "Units", "Workers", "result_of", "work_through"]

ONE_AT_A_TIME = threading.Lock()
"""Lock by which a worker process computes one call at a time, with all of its threads: memory is
estimated for one call, and the network is shared."""
_MOST_SUBMITTED = 1000
"""Number of calls that are submitted at once where the number of workers is not known."""


@dataclass(frozen=True, eq=False)
class Workers:
    """Worker processes, as an executor.

    Parameters
    ----------
    executor : concurrent.futures.Executor
        Executor to which picklable functions and arguments are submitted.
    count : callable, optional
        Function that returns the number of workers now. No more calls than that are
        submitted at once, so that none waits for a busy worker while another is idle.
    """

    executor: concurrent.futures.Executor
    count: Callable[[], int] | None = None

    @property
    def waiting_text(self) -> str:
        """Message for users while there are no workers; empty if there are some."""
        return "waiting for workers" if self.count is not None and not self.count() else ""


@dataclass(frozen=True, eq=False)
class Unit:
    """A function call for one worker.

    Parameters
    ----------
    function : callable
        Function at the top of a module, so that it can be pickled.
    arguments : tuple
        Positional arguments of the function.
    size : int
        Number of progress steps that the call stands for.
    key : object
        Object by which the caller knows what the result belongs to.
    """

    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    size: int = 1
    key: Any = None


def result_of(future: concurrent.futures.Future[Any]) -> Any:
    """Return the result of a finished call.

    Parameters
    ----------
    future : concurrent.futures.Future
        Future of the call.

    Raises
    ------
    ClusterError
        If the call was cancelled, or its workers died.
    Exception
        Whatever the call raised.
    """
    if future.cancelled():
        raise ClusterError(
            "The work was dropped: the scheduler was stopped or restarted. Start it again and go "
            "on with what was left.",
            options=("resume",),
        )
    error = future.exception()
    if type(error).__name__ == "KilledWorker":  # Dask's, which need not be installed
        raise ClusterError(
            "The workers ended again and again while they computed a part of the image, most "
            "likely because their memory was full. Use smaller tiles, or give the workers more "
            "memory.",
            options=("max_memory_gb", "tile_px"),
        ) from error
    return future.result()


class Units:
    """Calls to make, which are only made up when a worker is free: there may be any number.

    Parameters
    ----------
    units : iterable of Unit
        Calls to begin with.
    """

    def __init__(self, units: Iterable[Unit]) -> None:
        self._parts = [iter(units)]

    def add_first(self, units: Iterable[Unit]) -> None:
        """Add calls that go before all others."""
        self._parts.append(iter(units))

    def take(self) -> Unit | None:
        """Take out the next call; None if there is none left."""
        while self._parts:
            unit = next(self._parts[-1], None)
            if unit is not None:
                return unit
            self._parts.pop()
        return None


def work_through(
    workers: Workers, units: Units
) -> Generator[tuple[Unit, concurrent.futures.Future[Any]] | None, None, None]:
    """Submit all calls to the workers, and yield each when it is finished.

    Parameters
    ----------
    workers : Workers
        Workers that make the calls.
    units : Units
        Calls to make; they are taken out, and more may be added meanwhile.

    Yields
    ------
    tuple of Unit and Future, or None
        A finished call; None about once a second while there is none, so that the caller
        can stop. Calls that have not begun are cancelled when the iterator is closed.
    """
    pending: dict[concurrent.futures.Future[Any], Unit] = {}
    try:
        while True:
            room = workers.count() if workers.count else _MOST_SUBMITTED
            while len(pending) < max(room, 1) and (unit := units.take()) is not None:
                pending[workers.executor.submit(unit.function, *unit.arguments)] = unit
            if not pending:
                return
            finished, _ = concurrent.futures.wait(
                pending, timeout=1, return_when=concurrent.futures.FIRST_COMPLETED
            )
            for future in finished:
                yield pending.pop(future), future
            if not finished:
                yield None
    finally:
        for future in pending:
            future.cancel()
