"""What the docks have in common: one job at a time, its state, its end, and Esc."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QEvent, Qt, Slot
from qtpy.QtGui import QKeySequence, QShortcut
from qtpy.QtWidgets import QLabel, QPushButton, QWidget

from napari_fractoseg._napari.jobs import JobHandle, run_job
from napari_fractoseg._napari.widgets.controls import ProgressRow
from napari_fractoseg._napari.widgets.style import primary_style
from napari_fractoseg.errors import FractosegError
from napari_fractoseg.jobs import Job, Progress

if TYPE_CHECKING:
    import napari.viewer

__all__ = ["JobDock", "State"]


class State(Enum):
    """What a dock is doing."""

    NOT_READY = "not ready"
    READING = "reading"
    READY = "ready"
    RUNNING = "running"
    STOPPING = "stopping"
    DONE = "done"
    STOPPED = "stopped"
    FAILED = "failed"


_BUSY = (State.READING, State.RUNNING, State.STOPPING)


class JobDock(QWidget):
    """A dock widget whose primary button starts a job.

    A dock calls `_adopt` with its controls, `_start` with a job, and says by
    `_missing_text` what it still needs.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        The viewer that it belongs to.
    """

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self._viewer = viewer
        self._handle: JobHandle | None = None
        self.state = State.NOT_READY

    def _adopt(self, button: QPushButton, progress: ProgressRow, state_line: QLabel) -> None:
        """Take the controls that every dock has."""
        self._button, self._progress, self._state_line = button, progress, state_line
        progress.cancel_button.clicked.connect(self.cancel)
        self._escape = QShortcut(QKeySequence(Qt.Key.Key_Escape), self)
        self._escape.setEnabled(False)
        self._escape.activated.connect(self.cancel)
        state_line.setWordWrap(True)
        state_line.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self._viewer.events.theme.connect(self._restyle)
        self._restyle()

    def _restyle(self, _event: Any = None) -> None:
        """Colour the primary button as the theme colours what is current."""
        self._button.setStyleSheet(primary_style(str(self._viewer.theme)))

    # ---- a run --------------------------------------------------------------------------

    def _start(self, job: Job[Any], state: State = State.RUNNING, text: str = "") -> None:
        """Run a job in a thread."""
        handle = run_job(
            job,
            on_progress=self._on_progress,
            on_return=self._on_return,
            on_failure=self._on_failure,
            on_stop=self._on_stop,
            on_finish=self._on_finish,
        )
        self.destroyed.connect(handle.cancel)  # the whole window was closed
        self._follow(handle, state, text)

    def _follow(self, handle: JobHandle, state: State = State.RUNNING, text: str = "") -> None:
        """Show that a job is going on."""
        self._handle = handle
        self._progress.begin()
        self._set_state(state, text)

    @Slot()
    def cancel(self) -> None:
        """Stop as soon as the job can; what is finished stays."""
        if self._handle is not None and self.state is State.RUNNING:
            self._ask_to_stop()
            self._progress.stopping()
            self._set_state(State.STOPPING, "")

    def _ask_to_stop(self) -> None:
        if self._handle is not None:
            self._handle.cancel()

    @Slot(object, object)
    def _on_progress(self, progress: Progress, remaining_s: float | None) -> None:
        if self.state is State.RUNNING:
            self._progress.advance(progress, remaining_s)

    @Slot(object)
    def _on_return(self, result: Any) -> None:
        raise NotImplementedError

    @Slot(object)
    def _on_failure(self, error: FractosegError) -> None:
        self._set_state(State.FAILED, f"That did not work. {error}")

    @Slot()
    def _on_stop(self) -> None:
        self._set_state(State.STOPPED, "Stopped.")

    @Slot()
    def _on_finish(self) -> None:
        self._handle = None
        self._progress.hide()
        self._set_state(self.state, self._state_line.text())

    # ---- its state ----------------------------------------------------------------------

    def _missing_text(self) -> str:
        """Say what has to be chosen before the button can be pressed; empty if nothing."""
        raise NotImplementedError

    @Slot()
    def _update_state(self, _event: Any = None) -> None:
        """Say what is missing, unless a run is going on."""
        if self._handle is not None:
            return
        missing = self._missing_text()
        if missing:
            self._set_state(State.NOT_READY, missing)
        elif self.state is State.NOT_READY:
            self._set_state(State.READY, "")
        else:
            self._set_state(self.state, self._state_line.text())

    @property
    def is_idle(self) -> bool:
        """Whether nothing is going on."""
        return self._handle is None and self.state not in _BUSY

    def _set_state(self, state: State, text: str) -> None:
        """Show a state; docks add what else depends on it."""
        self.state = state
        self._state_line.setText(text)
        self._state_line.setVisible(bool(text))
        self._button.setEnabled(self.is_idle and state is not State.NOT_READY)
        self._escape.setEnabled(state is State.RUNNING)

    def _on_closed(self) -> None:
        """Do what has to be done when the dock is closed: by default, stop."""
        self.cancel()

    def event(self, event: QEvent | None) -> bool:
        """Notice that the dock is closed: napari takes the widget out of it."""
        if event is not None and event.type() == QEvent.Type.ParentChange and not self.parent():
            self._on_closed()
        return bool(super().event(event))
