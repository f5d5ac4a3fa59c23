"""A dock whose button starts a run, or adds it to the queue while others go on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari.utils.notifications import show_info
from qtpy.QtCore import QObject, Slot
from qtpy.QtWidgets import QLabel, QMainWindow, QPushButton

from napari_fractoseg._napari.segment.request import Request
from napari_fractoseg._napari.segment.result import ShownResult
from napari_fractoseg._napari.segment.texts import result_text
from napari_fractoseg._napari.widgets.controls import ProgressRow
from napari_fractoseg._napari.widgets.job_dock import JobDock, State
from napari_fractoseg._napari.widgets.queue_list import QueueList
from napari_fractoseg._napari.widgets.run_queue import Run, RunState, queue_of
from napari_fractoseg.errors import FractosegError
from napari_fractoseg.jobs import Progress

if TYPE_CHECKING:
    import napari.viewer
    import pandas as pd

__all__ = ["QueueDock"]

_SAME_WORK = (
    "This is running or waiting already. To add to the queue, choose another image, plane or model."
)
_GOES_ON = (
    "The segmentation goes on in the background. Plugins > Segment fracture modes shows how far it "
    "is and can cancel it."
)


class QueueDock(JobDock):
    """Shows the run of a queue that is under way, and the list of the others.

    A dock says by `request` what is chosen, and has a line for the result.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        The viewer that it belongs to.
    """

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__(viewer)
        self.queue = queue_of(viewer)
        self.queue_list = QueueList(self.queue)
        self.result_line = QLabel()
        self._run: ShownResult | None = None

    def _adopt(self, button: QPushButton, progress: ProgressRow, state_line: QLabel) -> None:
        super()._adopt(button, progress, state_line)
        queue = self.queue
        queue.started.connect(self._on_run_start)
        queue.progressed.connect(self._on_run_progress)
        queue.returned.connect(self._on_run_return)
        queue.failed.connect(self._on_run_failure)
        queue.stopped.connect(self._on_run_stop)
        queue.finished.connect(self._on_run_finish)
        queue.changed.connect(self._on_queue)

    def request(self) -> Request:
        """Take a snapshot of what is chosen."""
        raise NotImplementedError

    # ---- what is done with the queue ----------------------------------------------------

    def _add(self, shown: ShownResult) -> None:
        """Start a run, or let it wait until the others are done."""
        if not self.queue.is_busy:
            self.result_line.clear()
            self._state_line.clear()
        self.queue.end_with(self._main_window())
        self.queue.add(shown)

    def _main_window(self) -> QObject:
        """Return napari's window, in which the dock may float."""
        widget = self.parentWidget()
        while widget is not None and not isinstance(widget, QMainWindow):
            widget = widget.parentWidget()
        return self if widget is None else widget

    def _refuse(self, error: FractosegError) -> None:
        """Say why nothing was started."""
        state = State.FAILED if self.is_idle else self.state
        self._set_state(state, f"That did not work. {error}")

    def _ask_to_stop(self) -> None:
        if self.queue.running is not None:
            self.queue.cancel(self.queue.running)

    def _on_closed(self) -> None:
        """Let the queue go on: its runs do not need the dock."""
        if self.queue.is_busy:
            show_info(_GOES_ON)

    # ---- the run that is under way ------------------------------------------------------

    def _find_run(self) -> None:
        """Show the run that was started before this dock was opened."""
        if self.queue.running is not None:
            self._on_run_start(self.queue.running)

    @Slot(object)
    def _on_run_start(self, run: Run) -> None:
        self._run = run.shown
        if self.queue.handle is not None:
            # What went wrong with the run before stays in sight.
            self._follow(self.queue.handle, text=self._state_line.text())
        if run.progress is not None:
            self._on_progress(*run.progress)
        self._on_queue()

    @Slot(object, object, object)
    def _on_run_progress(self, _run: Run, progress: Progress, remaining_s: float | None) -> None:
        self._on_progress(progress, remaining_s)

    @Slot(object, object)
    def _on_run_return(self, run: Run, fractions: pd.DataFrame) -> None:
        lines = result_text(fractions, run.shown.task.record), run.shown.saved_text()
        self.result_line.setText(self._named(run, "\n".join(filter(None, lines))))
        self._set_state(State.DONE, "")

    @Slot(object, object)
    def _on_run_failure(self, run: Run, error: FractosegError) -> None:
        self._set_state(State.FAILED, self._named(run, f"That did not work. {error}"))

    @Slot(object)
    def _on_run_stop(self, run: Run) -> None:
        shown = run.shown
        if shown.task.is_complete and not shown.lost_its_layer():
            self._on_run_return(run, shown.task.fractions())
            self._set_state(State.DONE, "Everything was finished before it could be stopped.")
            return
        self._set_state(State.STOPPED, self._named(run, f"Stopped. {shown.kept_text()}"))

    @Slot(object)
    def _on_run_finish(self, _run: Run) -> None:
        self._on_finish()

    def _named(self, run: Run, text: str) -> str:
        """Say which run a text is about, where there are several."""
        return f"{run.title}: {text}" if len(self.queue.runs) > 1 else text

    # ---- what is shown ------------------------------------------------------------------

    @Slot()
    def _on_queue(self) -> None:
        """Follow a run that was cancelled in the list; offer what can be added."""
        run = self.queue.running
        if run is not None and run.state is RunState.STOPPING and self.state is State.RUNNING:
            self._progress.stopping()
            self._set_state(State.STOPPING, "")
        self._update_button()

    def _set_state(self, state: State, text: str) -> None:
        super()._set_state(state, text)
        others_go_on = state is State.RUNNING and bool(self.result_line.text())
        self.result_line.setVisible(state is State.DONE or others_go_on)
        self._update_button()

    @Slot()
    def _update_state(self, _event: Any = None) -> None:
        super()._update_state()
        self._update_button()

    @Slot()
    def _update_button(self, _event: Any = None) -> None:
        """While a run goes on, let other work be added to the queue."""
        adds = self.queue.is_busy and self._is_other_work()
        self._button.setText("Add to queue" if adds else "Segment")
        hint = "It starts when the others are done." if adds else _SAME_WORK
        self._button.setToolTip(hint if self.queue.is_busy else "")
        if self.queue.is_busy:
            self._button.setEnabled(adds)

    def _is_other_work(self) -> bool:
        try:
            return not self.queue.holds(self.request())
        except FractosegError:  # nothing is chosen
            return False
