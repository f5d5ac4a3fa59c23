"""Logs of a training run for TensorBoard, a program that draws curves of losses and figures."""

from __future__ import annotations

import math
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from napari_fractoseg.errors import TrainingError, reason_of
from napari_fractoseg.files import check_writable
from napari_fractoseg.jobs import Progress

__all__ = ["TensorBoardLog"]


class TensorBoardLog:
    """Log file of a run; a context manager to be called with each `Progress`.

    A log that cannot be written any more, such as on a full disk, ends; the training goes on.

    Parameters
    ----------
    folder : Path
        Folder to write into, which ``tensorboard --logdir`` takes.

    Attributes
    ----------
    notes : tuple of str
        Sentence on why the log ends early, if it does.

    Raises
    ------
    TrainingError
        If TensorBoard is not installed.
    OutputError
        If nothing can be written into the folder.
    """

    def __init__(self, folder: Path) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise TrainingError(
                "TensorBoard is not installed. Install it with: "
                "pip install 'napari-fractoseg[tensorboard]'"
            ) from error
        check_writable(folder)
        self._folder = folder
        self._writer = SummaryWriter(str(folder))
        self.notes: tuple[str, ...] = ()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        with suppress(OSError):  # what is left to be written
            self._writer.close()

    def __call__(self, progress: Progress) -> None:
        """Write the figures of a step to the log."""
        if self.notes:
            return
        try:
            for name, value in progress.metrics.items():
                if math.isfinite(value):
                    self._writer.add_scalar(name.replace(" ", "/"), value, progress.done)
        except OSError as error:
            reason = reason_of(error)
            self.notes = (f"The log in {self._folder} ends at step {progress.done}: {reason}.",)
