"""Logs of a training run for TensorBoard."""

from __future__ import annotations

import math
from pathlib import Path
from types import TracebackType
from typing import Self

from napari_fractoseg.errors import TrainingError
from napari_fractoseg.jobs import Progress

__all__ = ["TensorBoardLog"]


class TensorBoardLog:
    """Writes the figures of each `Progress`; a context manager to be called with them.

    Parameters
    ----------
    folder : Path
        For ``tensorboard --logdir``.

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
        """Write the figures of a step."""
        for name, value in progress.metrics.items():
            if math.isfinite(value):
                self._writer.add_scalar(name.replace(" ", "/"), value, progress.done)
