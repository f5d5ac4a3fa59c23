"""What a Dask worker on this machine does first."""

from __future__ import annotations

import signal
from typing import Any

__all__ = ["dask_setup"]


def dask_setup(worker: Any) -> None:  # noqa: ARG001 - Dask's interface
    """Leave Ctrl-C to the process that started the workers; it ends them."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
