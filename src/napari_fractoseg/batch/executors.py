"""Work for other processes: handed over a little at a time, taken back as it is done."""

from __future__ import annotations

import concurrent.futures
import threading
from collections import deque
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any

from napari_fractoseg.errors import ClusterError

__all__ = ["ONE_AT_A_TIME", "Unit", "Workers", "result_of", "work_through"]

ONE_AT_A_TIME = threading.Lock()
"""A process with several threads computes one thing at a time, with all of them: what it takes of
the memory was reckoned for one, and they share the network."""


@dataclass(frozen=True, eq=False)
class Workers:
    """Processes that do the work.

    Parameters
    ----------
    executor : concurrent.futures.Executor
        Takes functions and arguments that can be pickled.
    count : callable, optional
        Says how many there are now; they are given no more than that at once, so
        that none has a queue of its own while others are idle.
    """

    executor: concurrent.futures.Executor
    count: Callable[[], int] | None = None

    @property
    def waiting_text(self) -> str:
        """Say that there are no workers now; empty if there are."""
        return "waiting for workers" if self.count is not None and not self.count() else ""


@dataclass(frozen=True, eq=False)
class Unit:
    """A call that one worker makes.

    Parameters
    ----------
    function : callable
        Of a module, so that it can be pickled.
    arguments : tuple
        For the function.
    size : int
        What it counts for in the progress.
    key : object
        Tells whoever gets the result what it belongs to.
    """

    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    size: int = 1
    key: Any = None


def result_of(future: concurrent.futures.Future[Any]) -> Any:
    """Return what a finished call returned.

    Raises
    ------
    ClusterError
        If it was not done, and why.
    Exception
        What the call raised.
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


def work_through(
    workers: Workers, units: deque[Unit]
) -> Generator[tuple[Unit, concurrent.futures.Future[Any]] | None, None, None]:
    """Have all units done.

    Parameters
    ----------
    workers : Workers
        Who does them.
    units : deque of Unit
        Is emptied; more may be added on the way.

    Yields
    ------
    tuple of Unit and Future, or None
        What is finished, in the order in which it is; None about once a second, to
        be stopped then. What was not begun is cancelled when the iterator is closed.
    """
    pending: dict[concurrent.futures.Future[Any], Unit] = {}
    try:
        while units or pending:
            room = workers.count() if workers.count else len(pending) + len(units)
            while units and len(pending) < max(room, 1):
                unit = units.popleft()
                pending[workers.executor.submit(unit.function, *unit.arguments)] = unit
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
