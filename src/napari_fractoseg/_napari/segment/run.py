"""Run of a segmentation in the queue, with its layers and the texts on its end."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import Slot

from napari_fractoseg._napari.jobs import Run, State
from napari_fractoseg._napari.segment.request import Request
from napari_fractoseg._napari.segment.result import ShownResult
from napari_fractoseg._napari.segment.texts import result_text, run_title
from napari_fractoseg._napari.widgets.run_queue import RunQueue

__all__ = ["SegmentationRun", "is_in_queue", "reserved_bytes"]


_GOES_ON = (
    "The segmentation goes on in the background. Plugins > Fractoseg > Segment fracture modes "
    "shows how far it is and can cancel it."
)


class SegmentationRun(Run):
    """Run that fills the layers of a segmentation; it ends when the user removes the labels.

    Parameters
    ----------
    shown : ShownResult
        Layers of the segmentation, with the task that fills them.
    """

    goes_on = _GOES_ON

    def __init__(self, shown: ShownResult) -> None:
        request = shown.task.request
        super().__init__(shown.task.job(), run_title(request.image, request.planes))
        self.shown = shown
        self._note = ""
        self.progressed.connect(self._on_step)
        shown.viewer.layers.events.removed.connect(self._on_removed)

    @property
    def request(self) -> Request:
        """Choices of the user: image, planes, model and options."""
        return self.shown.task.request

    @Slot()
    def _on_step(self) -> None:
        self.shown.show()

    def _on_removed(self, _event: Any = None) -> None:
        """Cancel the run if the user removed the labels layer."""
        if self.shown.lost_its_layer():
            self.cancel()

    def conclude(self, state: State) -> State:
        """Finish the layers; a run that was stopped after its last tile counts as done."""
        task = self.shown.task
        if state is State.STOPPED and task.is_complete and not self.shown.lost_its_layer():
            self._note = "Everything was finished before it could be stopped."
            state = State.DONE
        self.shown.finish()
        return state

    def result_text(self) -> str:
        """Return what is to be said of a run that is done, and where it is saved."""
        lines = (
            result_text(self.shown.task.record, self.request.image.shape[:-2]),
            self.shown.saved_text(),
        )
        return "\n".join(filter(None, lines))

    def end_text(self) -> str:
        """Return a text on how the run ended, and what is left if it was stopped."""
        if self.state is State.STOPPED:
            return f"Stopped. {self.shown.kept_text()}"
        return self._note if self.state is State.DONE else super().end_text()


def _going_on(queue: RunQueue) -> list[SegmentationRun]:
    return [
        run for run in queue.of_kind(SegmentationRun) if run.state in (State.WAITING, State.RUNNING)
    ]


def is_in_queue(request: Request, queue: RunQueue) -> bool:
    """Tell whether a segmentation with the same result is running or waiting already."""
    return any(run.request.is_same_work_as(request) for run in _going_on(queue))


def reserved_bytes(queue: RunQueue) -> int:
    """Return the memory in bytes that results of segmentations that wait or run will take."""
    return sum(run.request.memory_bytes for run in _going_on(queue))
