"""Preload module of Dask workers on this machine, which is run when they start."""

from __future__ import annotations

import signal
from typing import Any

__all__ = ["dask_setup"]


def dask_setup(worker: Any) -> None:  # noqa: ARG001 - Dask's interface
    """Let the worker ignore Ctrl-C: the process that started it handles that and stops it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
