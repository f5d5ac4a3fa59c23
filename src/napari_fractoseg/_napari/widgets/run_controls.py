"""Controls of every dock that starts runs: a button, progress, Cancel and Esc, a line of text."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt, Signal, Slot
from qtpy.QtGui import QKeySequence, QShortcut
from qtpy.QtWidgets import (
    QHBoxLayout,
    QProgressBar,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_fractoseg._napari.jobs import Run, State
from napari_fractoseg._napari.widgets.dock import Dock
from napari_fractoseg._napari.widgets.plain_text import plain_label, show_info
from napari_fractoseg._napari.widgets.progress_text import progress_text
from napari_fractoseg._napari.widgets.run_queue import RunQueue, main_window
from napari_fractoseg._napari.widgets.style import primary_style
from napari_fractoseg.errors import FractosegError
from napari_fractoseg.jobs import Progress

if TYPE_CHECKING:
    import napari.viewer

__all__ = ["ProgressRow", "RunControls"]

_WAITS = "waiting until the others are done …"


class ProgressRow(QWidget):
    """Row with a progress bar, a text on what is being done and the time left, and Cancel.

    Parameters
    ----------
    parent : QWidget, optional
        Qt parent of the row.
    describe : callable
        Function from `Progress` and the seconds left to a text on how far a job is.
    cancel_text : str
        Text of the button that cancels.
    cancel_hint : str
        Tool tip of that button.
    stopping_text : str
        Text on the progress once the button was pressed.
    """

    def __init__(
        self,
        parent: QWidget | None = None,
        *,
        describe: Callable[[Progress, float | None], str] = progress_text,
        cancel_text: str = "Cancel",
        cancel_hint: str = "Stop and keep what is finished (Esc)",
        stopping_text: str = "stopping …",
    ) -> None:
        super().__init__(parent)
        self._describe, self._stopping_text = describe, stopping_text
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.text = plain_label()
        self.cancel_button = QPushButton(cancel_text)
        self.cancel_button.setToolTip(cancel_hint)
        top = QHBoxLayout()
        top.setContentsMargins(0, 0, 0, 0)
        top.addWidget(self.bar)
        top.addWidget(self.cancel_button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(top)
        layout.addWidget(self.text)

    def show_run(self, run: Run) -> None:
        """Show the progress of a run that has not ended."""
        done, total = (0, 0) if run.progress is None else (run.progress.done, run.progress.total)
        if run.state is State.WAITING:
            self.bar.setRange(0, 1)  # empty, and still
        else:
            # 0 to 0 moves without saying how far: nothing is known before the first step.
            self.bar.setRange(0, total if done else 0)
        self.bar.setValue(done)
        self.cancel_button.setEnabled(run.state is not State.STOPPING)
        self.text.setText(self._text(run))

    def _text(self, run: Run) -> str:
        if run.state is State.STOPPING:
            return self._stopping_text
        if run.progress is None:
            return _WAITS if run.state is State.WAITING else "starting …"
        return self._describe(run.progress, run.remaining_s)


class RunControls(QWidget):
    """Controls that start runs and show one of them; state and texts are derived from it.

    Parameters
    ----------
    dock : Dock
        Dock that has the controls; when it is closed, its run goes on.
    viewer : napari.viewer.Viewer
        Viewer whose theme colours the button.
    text : str
        Text of the button that starts the work; the dock connects it.
    blocked : callable
        Function that returns why the button cannot be pressed now: what is missing, or that
        this is being done already; an empty text if it can.
    queue : RunQueue, optional
        Queue in which runs wait for their turn; by default they start at once.
    progress : ProgressRow, optional
        Row that shows the progress; by default a plain one.
    below_progress : QWidget, optional
        Widget that the dock shows between progress and line.

    Attributes
    ----------
    run : Run or None
        Run that is shown: the one that goes on, or the last one.
    """

    changed = Signal()
    """Signal that `state` may have changed."""

    def __init__(
        self,
        dock: Dock,
        viewer: napari.viewer.Viewer,
        text: str,
        *,
        blocked: Callable[[], str],
        queue: RunQueue | None = None,
        progress: ProgressRow | None = None,
        below_progress: QWidget | None = None,
    ) -> None:
        super().__init__()
        self._viewer, self._queue = viewer, queue
        self._blocked = blocked
        self.run: Run | None = None
        self._said, self._has_refused = "", False
        self.button, self._button_text = QPushButton(text), text
        self._stands_out = False
        self.progress = ProgressRow() if progress is None else progress
        self.state_line = plain_label()
        self.state_line.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for widget in (self.button, self.progress, below_progress, self.state_line):
            if widget is not None:
                layout.addWidget(widget)
        self.progress.cancel_button.clicked.connect(self.cancel)
        self._escape = QShortcut(QKeySequence(Qt.Key.Key_Escape), self)
        self._escape.activated.connect(self.cancel)
        dock.closed.connect(self._on_closed)
        viewer.events.theme.connect(self._restyle)
        self._restyle()
        if queue is not None:
            queue.changed.connect(self.refresh)

    def _restyle(self, _event: Any = None) -> None:
        """Give the button the colour that the theme has for current things."""
        theme = str(self._viewer.theme)
        self.button.setStyleSheet(primary_style(theme, stands_out=self._stands_out))

    def call_button(self, text: str, stands_out: bool = False) -> None:
        """Give the button another text, and the colour of a warning if it is to stand out."""
        if (text, stands_out) != (self._button_text, self._stands_out):
            self._button_text, self._stands_out = text, stands_out
            self._restyle()
            self.refresh()

    # ---- what it shows ------------------------------------------------------------------

    @property
    def is_idle(self) -> bool:
        """Whether no run of this dock goes on or waits."""
        return self.run is None or self.run.state.has_ended

    @property
    def state(self) -> State:
        """State of the run that is shown; without one, whether one can be started."""
        if self._has_refused and self.is_idle:
            return State.FAILED
        if self.run is not None:
            return self.run.state
        return State.NOT_READY if self._blocked() else State.READY

    @Slot()
    def refresh(self, _event: Any = None) -> None:
        """Show button, progress and line as they are for the state now."""
        blocked, run, state = self._blocked(), self.run, self.state
        is_queued = self._queue is not None and self._queue.is_busy
        self._show_button(blocked, is_queued)
        shows_run = run is not None and (run.state.is_under_way or (is_queued and not self.is_idle))
        self.progress.setVisible(shows_run)
        if run is not None and shows_run:
            self.progress.show_run(run)
        self._escape.setEnabled(state is State.RUNNING)
        text = self._said or (blocked if state is State.NOT_READY else "")
        self.state_line.setText(text)
        self.state_line.setVisible(bool(text))
        self.changed.emit()

    def _show_button(self, blocked: str, is_queued: bool) -> None:
        """Show the button: while other runs go on, it adds one to them, or says why it cannot."""
        self.button.setEnabled(not blocked)
        self.button.setText("Add to queue" if is_queued and not blocked else self._button_text)
        self.button.setToolTip(
            (blocked or "It starts when the others are done.") if is_queued else ""
        )

    @Slot()
    def choice_changed(self, _event: Any = None) -> None:
        """Show the state after a choice; if something is missing now, the last run is forgotten."""
        if self.is_idle and self._blocked():
            self.follow(None)
            self.say("")
        self.refresh()

    def say(self, text: str) -> None:
        """Show a text in the line, until a run ends or another one is started."""
        self._said, self._has_refused = text, False
        self.refresh()

    def refuse(self, error: FractosegError) -> None:
        """Show in the line why nothing was started; a run that goes on is not touched."""
        self._said, self._has_refused = f"That did not work. {error}", True
        self.refresh()

    # ---- runs ---------------------------------------------------------------------------

    def start(self, run: Run, text: str = "") -> None:
        """Start a run, or let it wait until those in the queue are done.

        Parameters
        ----------
        run : Run
            Run that was not started yet.
        text : str
            Text that the line shows meanwhile.
        """
        if self._queue is None:
            main_window(self).destroyed.connect(run.abandon)
            self.say(text)
            self.follow(run)
            run.start()
            return
        if not self._queue.is_busy:
            self.say(text)
        self._queue.add(run, self)

    def follow(self, run: Run | None) -> None:
        """Show a run from now on; the text on the one before stays in sight."""
        if run is not self.run:
            for signal, slot in self._connections():
                signal.disconnect(slot)
            self.run, self._has_refused = run, False
            for signal, slot in self._connections():
                signal.connect(slot)
            if run is not None and run.state.has_ended:
                self._said = self.named(run, run.end_text())
        self.refresh()

    def named(self, run: Run, text: str) -> str:
        """Return a text on a run, with its title where there are several."""
        several = self._queue is not None and len(self._queue.runs) > 1
        return f"{run.title}: {text}" if text and several else text

    def _connections(self) -> list[tuple[Any, Callable[[], None]]]:
        run = self.run
        if run is None:
            return []
        return [
            (run.ended, self._on_end),
            (run.changed, self.refresh),
            (run.progressed, self._on_progress),
        ]

    @Slot()
    def cancel(self) -> None:
        """Stop the run that is shown as soon as it can; finished parts stay."""
        if self.run is not None:
            self.run.cancel()

    @Slot()
    def _on_end(self) -> None:
        if self.run is not None:
            self._said, self._has_refused = self.named(self.run, self.run.end_text()), False

    @Slot()
    def _on_progress(self) -> None:
        if self.run is not None:
            self.progress.show_run(self.run)

    # ---- its dock -----------------------------------------------------------------------

    @Slot()
    def _on_closed(self) -> None:
        """Tell the user that a run goes on when the dock is closed."""
        run = self.run
        if run is not None and run.goes_on and not self.is_idle:
            show_info(run.goes_on)
