"""List of the runs of a queue, shown below the progress of the one that goes on."""

from __future__ import annotations

from qtpy.QtCore import Qt, Slot
from qtpy.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)
from superqt import QElidingLabel

from napari_fractoseg._napari.jobs import Run, State
from napari_fractoseg._napari.widgets.plain_text import plain_text
from napari_fractoseg._napari.widgets.progress_text import share_text
from napari_fractoseg._napari.widgets.run_queue import RunQueue
from napari_fractoseg.text import printable

__all__ = ["QueueList", "run_text"]

_ROWS_IN_VIEW = 5
_BUTTON_PX = 24


def run_text(run: Run) -> str:
    """Return the state of a run in short: ``waiting``, ``40 % · 2 min left``, ``done``."""
    if run.state is State.RUNNING:
        progress = run.progress
        return "starting …" if progress is None else share_text(progress, run.remaining_s)
    return "stopping …" if run.state is State.STOPPING else run.state.value


class _Row(QWidget):
    """Row of a run: its title, its state, and a button to cancel it."""

    def __init__(self, run: Run) -> None:
        super().__init__()
        self.run = run
        self.title = QElidingLabel()
        self.title.setTextFormat(Qt.TextFormat.PlainText)
        self.title.setText(printable(run.title))
        self.title.setToolTip(plain_text(run.title))
        self.state = QLabel()
        self.cancel_button = QPushButton("✕")
        self.cancel_button.setFixedWidth(_BUTTON_PX)
        self.cancel_button.setStyleSheet("padding: 1px")
        self.cancel_button.setToolTip(plain_text(f"Cancel {run.title}"))
        self.cancel_button.setAccessibleName(printable(f"Cancel {run.title}"))
        self.cancel_button.clicked.connect(run.cancel)
        policy = self.cancel_button.sizePolicy()
        policy.setRetainSizeWhenHidden(True)  # the texts stay in line
        self.cancel_button.setSizePolicy(policy)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.title, 1)
        layout.addWidget(self.state)
        layout.addWidget(self.cancel_button)
        run.progressed.connect(self.update_text)
        self.update_text()

    @Slot()
    def update_text(self) -> None:
        """Show the state that the run has now."""
        self.state.setText(run_text(self.run))
        self.state.setToolTip(plain_text(self.run.error or ""))
        self.cancel_button.setVisible(self.run.state in (State.WAITING, State.RUNNING))


class QueueList(QScrollArea):
    """List of the runs of a queue; hidden while there is only one, which its dock shows itself.

    Parameters
    ----------
    queue : RunQueue
        Queue whose runs are listed.
    kind : type of Run
        Kind of the runs that the dock shows; others may go on while their dock is closed.
    """

    def __init__(self, queue: RunQueue, kind: type[Run]) -> None:
        super().__init__()
        self._queue, self._kind = queue, kind
        self.rows: list[_Row] = []
        content = QWidget()
        self._layout = QVBoxLayout(content)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self._layout.setSpacing(2)
        self.setWidget(content)
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        queue.changed.connect(self.refresh)
        self.refresh()

    @Slot()
    def refresh(self) -> None:
        """List the runs that the queue has now."""
        for row in [row for row in self.rows if row.run not in self._queue.runs]:
            self.rows.remove(row)
            self._layout.removeWidget(row)
            row.hide()
            row.deleteLater()
        known = [row.run for row in self.rows]
        for run in self._queue.runs:
            if run not in known:
                row = _Row(run)
                self.rows.append(row)
                self._layout.addWidget(row)
        for row in self.rows:
            row.update_text()
        if self.rows:
            in_view = min(len(self.rows), _ROWS_IN_VIEW)
            self.setFixedHeight(in_view * (self.rows[0].sizeHint().height() + 2))
        is_elsewhere = any(
            not run.state.has_ended and not isinstance(run, self._kind) for run in self._queue.runs
        )
        self.setVisible(len(self.rows) > 1 or is_elsewhere)
