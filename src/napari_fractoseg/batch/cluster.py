"""Dask workers: processes on this machine, or those of a cluster."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psutil
import torch

from napari_fractoseg.batch import worker_start
from napari_fractoseg.batch.executors import Workers
from napari_fractoseg.errors import ClusterError

__all__ = ["dask_workers", "local_workers", "memory_for_a_tile", "use_own_threads"]

_CONNECT_S = 20
_SHARE = 0.5
"""Fraction of a worker's free memory that a tile may take: Dask stops workers near their limit."""


@contextmanager
def local_workers(count: int) -> Iterator[Workers]:
    """Start worker processes on this machine, which share its cores and its free memory.

    Parameters
    ----------
    count : int
        Number of processes.

    Yields
    ------
    Workers
        Workers for `batch.run`. A process that is killed is started again, and its work is
        repeated.

    Raises
    ------
    ClusterError
        If Dask is not installed.
    """
    distributed = _import_distributed()
    from dask.system import CPU_COUNT  # those that this process may use

    with (
        distributed.LocalCluster(
            n_workers=count,
            threads_per_worker=max(1, CPU_COUNT // count),
            memory_limit=psutil.virtual_memory().available // count,
            dashboard_address=":0",  # whichever is free
            preload=[worker_start.__name__],
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield _workers_of(client)


@contextmanager
def dask_workers(address: str) -> Iterator[Workers]:
    """Connect to a Dask scheduler and use its workers.

    Parameters
    ----------
    address : str
        Address of the scheduler, such as ``tcp://node7:8786``. Its workers need the same
        files under the same paths, and napari-fractoseg.

    Yields
    ------
    Workers
        Workers for `batch.run`; there may be none yet.

    Raises
    ------
    ClusterError
        If Dask is not installed, or there is no scheduler at the address.
    """
    distributed = _import_distributed()
    try:
        client = distributed.Client(address, timeout=_CONNECT_S)
    except (OSError, TimeoutError, ValueError) as error:
        raise ClusterError(
            f"There is no Dask scheduler at {address}: {error or type(error).__name__}. Start one "
            "(dask scheduler), or check the address."
        ) from error
    with client:
        yield _workers_of(client)


def _import_distributed() -> Any:
    try:
        import distributed
    except ImportError as error:
        raise ClusterError(
            "Dask is not installed. Install it with: pip install 'napari-fractoseg[dask]'"
        ) from error
    return distributed


def _workers_of(client: Any) -> Workers:
    # No wish for a worker is given along: were all workers to end and new ones to come, Dask
    # would leave the work waiting for the one that was wished for.
    return Workers(client.get_executor(pure=False), lambda: len(client.nthreads()))


def _this_worker() -> Any:
    """Return the Dask worker that runs this code; None outside of Dask."""
    if "distributed" not in sys.modules:
        return None
    from distributed import get_worker

    try:
        return get_worker()
    except ValueError:
        return None


def use_own_threads() -> None:
    """Let PyTorch use all threads of the Dask worker; Dask sets it to one."""
    worker = _this_worker()
    if worker is not None and torch.get_num_threads() != worker.state.nthreads:
        torch.set_num_threads(worker.state.nthreads)


def memory_for_a_tile() -> float | None:
    """Return the memory in bytes that a tile may take in a Dask worker; None without a limit."""
    worker = _this_worker()
    limit = worker.memory_manager.memory_limit if worker is not None else None
    if limit is None:
        return None
    return float(_SHARE * max(limit - psutil.Process().memory_info().rss, 0))
