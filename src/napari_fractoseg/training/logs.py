"""Logs of a training run for TensorBoard, a program that draws curves of losses and figures."""

from __future__ import annotations

import math
from pathlib import Path
from types import TracebackType
from typing import Self

from napari_fractoseg.errors import TrainingError
from napari_fractoseg.jobs import Progress

__all__ = ["TensorBoardLog"]


class TensorBoardLog:
    """Log file of a run; a context manager to be called with each `Progress`.

    Parameters
    ----------
    folder : Path
        Folder to write into, which ``tensorboard --logdir`` takes.

    Raises
    ------
    TrainingError
        If TensorBoard is not installed.
    """

    def __init__(self, folder: Path) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise TrainingError(
                "TensorBoard is not installed. Install it with: "
                "pip install 'napari-fractoseg[tensorboard]'"
            ) from error
        self._writer = SummaryWriter(str(folder))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self._writer.close()

    def __call__(self, progress: Progress) -> None:
        """Write the figures of a step to the log."""
        for name, value in progress.metrics.items():
            if math.isfinite(value):
                self._writer.add_scalar(name.replace(" ", "/"), value, progress.done)
