"""Run of a training in the queue; stopping it keeps the best weights so far."""

from __future__ import annotations

from qtpy.QtCore import Slot

from napari_fractoseg._napari.jobs import Run, State
from napari_fractoseg._napari.train.request import TrainingTask

__all__ = ["TrainingRun"]


_GOES_ON = (
    "The training goes on in the background. Plugins > Fractoseg > Train on corrections shows "
    "how far it is and can stop it."
)


class TrainingRun(Run):
    """Run that trains a model; its result is a `Trained`.

    Parameters
    ----------
    task : TrainingTask
        Training to run.

    Attributes
    ----------
    history : list of dict
        Figures of the steps so far, to draw curves of; some steps are missing, as progress
        arrives 20 times a second at most.
    """

    goes_on = _GOES_ON

    def __init__(self, task: TrainingTask) -> None:
        super().__init__(task.job(), f"training {task.request.name}")
        self.task = task
        self.history: list[dict[str, float]] = []
        self.progressed.connect(self._on_step)

    @Slot()
    def _on_step(self) -> None:
        if self.progress is not None and self.progress.metrics:
            self.history.append(dict(self.progress.metrics))

    def ask_to_stop(self) -> None:
        """Make the current step the last one; the best weights so far are kept."""
        self.task.stop()

    def end_text(self) -> str:
        """Return a text on how the training ended; empty if it is simply done."""
        if self.state is State.STOPPED:
            return "Stopped before anything was learnt."
        return super().end_text()
