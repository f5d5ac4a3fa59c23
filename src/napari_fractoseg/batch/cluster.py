"""Dask workers: processes on this machine, or those of a cluster."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psutil
import torch

from napari_fractoseg.batch import worker_start
from napari_fractoseg.batch.executors import Workers
from napari_fractoseg.errors import ClusterError, translated
from napari_fractoseg.images.memory import free_memory

__all__ = [
    "dask_workers",
    "local_workers",
    "memory_for_a_tile",
    "tls_security",
    "use_own_threads",
]

_CONNECT_S = 20
_SHARE = 0.5
"""Fraction of a worker's free memory that a tile may take: Dask stops workers near their limit."""
_HERE = "127.0.0.1"
_NO_PAGES: dict[str, list[str]] = {
    "distributed.scheduler.http.routes": [],
    "distributed.worker.http.routes": [],
}
"""Dask's configuration for servers of web pages, which it always starts, that have no page."""


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
        If Dask is not installed, or the processes do not start.

    Notes
    -----
    Whoever can talk to a Dask process can run code in it. These listen on this machine's own
    address only, and talk to nobody without a certificate (TLS) that exists for this run alone, in
    the memory of its processes.
    """
    distributed = _import_distributed()
    import dask
    from dask.system import CPU_COUNT  # those that this process may use

    with ExitStack() as stack:
        with (
            translated(ClusterError, f"{count} worker processes cannot be started"),
            dask.config.set(_NO_PAGES),
        ):
            cluster = stack.enter_context(
                distributed.LocalCluster(
                    n_workers=count,
                    threads_per_worker=max(1, CPU_COUNT // count),
                    memory_limit=free_memory() // count,
                    host=_HERE,
                    security=distributed.Security.temporary(),
                    dashboard_address=None,
                    # By default the server of pages has a fixed port, which may be taken.
                    scheduler_kwargs={"dashboard_address": f"{_HERE}:0"},
                    preload=[worker_start.__name__],
                )
            )
            client = stack.enter_context(distributed.Client(cluster))
        yield _workers_of(client)


@contextmanager
def dask_workers(address: str, security: Any = None) -> Iterator[Workers]:
    """Connect to a Dask scheduler and use its workers.

    Parameters
    ----------
    address : str
        Address of the scheduler, such as ``tls://node7:8786``. Its workers need the same
        files under the same paths, and napari-fractoseg. Whoever reaches the port of a
        scheduler at ``tcp://`` can run code as its user.
    security : distributed.Security, optional
        Certificates for ``tls://``, as `tls_security` makes it of files, or a cluster's attribute
        ``security``; by default those of Dask's configuration.

    Yields
    ------
    Workers
        Workers for `batch.run`; there may be none yet.

    Raises
    ------
    ClusterError
        If Dask is not installed, there is no scheduler at the address, or it does not accept
        the certificates.
    """
    distributed = _import_distributed()
    if security is not None and not address.startswith("tls://"):
        raise ClusterError(
            f"{address} is no address of a scheduler with TLS, for which files were given. Such "
            "addresses begin with tls://."
        )
    with translated(
        ClusterError,
        f"There is no Dask scheduler at {address}, or it refuses the connection",
        "Start one (dask scheduler), or check the address; for tls:// also the files of TLS, which "
        "must be of the same authority as those of the scheduler.",
    ):
        client = distributed.Client(address, timeout=_CONNECT_S, security=security)
    with client:
        yield _workers_of(client)


def tls_security(ca_file: Path | str, cert: Path | str, key: Path | str | None = None) -> Any:
    """Return the certificates by which a scheduler and its users know one another.

    Parameters
    ----------
    ca_file : Path or str
        Certificate of the authority that signed those of scheduler, workers and users.
    cert : Path or str
        Certificate of the user.
    key : Path or str, optional
        Private key of the user; by default it is in the file of the certificate.

    Returns
    -------
    distributed.Security
        Certificates for `dask_workers`.

    Raises
    ------
    ClusterError
        If Dask is not installed, or the files are not such ones.
    """
    distributed = _import_distributed()
    security = distributed.Security(
        require_encryption=True,
        tls_ca_file=str(ca_file),
        tls_client_cert=str(cert),
        tls_client_key=None if key is None else str(key),
    )
    names = ", ".join(str(path) for path in (ca_file, cert, key) if path is not None)
    with translated(
        ClusterError,
        f"{names} cannot be used for TLS",
        "Name PEM files: the certificate of the authority, that of yours, and its private key.",
    ):
        security.get_connection_args("client")
    return security


def _import_distributed() -> Any:
    try:
        import cryptography  # noqa: F401 - certificates that Dask makes for a run
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
