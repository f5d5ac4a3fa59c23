"""The list of runs under the progress row."""

from __future__ import annotations

from typing import Any

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

from napari_fractoseg._napari.widgets.run_queue import Run, RunQueue

__all__ = ["QueueList"]

_ROWS_IN_VIEW = 5
_BUTTON_PX = 24


class _Row(QWidget):
    """One run: its title, how it stands, and a button to cancel it."""

    def __init__(self, run: Run, queue: RunQueue) -> None:
        super().__init__()
        self.run, self._queue = run, queue
        self.title = QElidingLabel(run.title)
        self.title.setToolTip(run.title)
        self.state = QLabel()
        self.cancel_button = QPushButton("✕")
        self.cancel_button.setFixedWidth(_BUTTON_PX)
        self.cancel_button.setStyleSheet("padding: 1px")
        self.cancel_button.setToolTip(f"Cancel {run.title}")
        self.cancel_button.setAccessibleName(f"Cancel {run.title}")
        self.cancel_button.clicked.connect(self._cancel)
        policy = self.cancel_button.sizePolicy()
        policy.setRetainSizeWhenHidden(True)  # the texts stay in line
        self.cancel_button.setSizePolicy(policy)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.title, 1)
        layout.addWidget(self.state)
        layout.addWidget(self.cancel_button)
        self.update_text()

    @Slot()
    def _cancel(self) -> None:
        self._queue.cancel(self.run)

    def update_text(self) -> None:
        """Say how the run stands."""
        self.state.setText(self.run.text)
        self.state.setToolTip(self.run.remark)
        self.cancel_button.setVisible(self.run.can_be_cancelled)


class QueueList(QScrollArea):
    """Shows the runs of a queue; hidden as long as there is only one.

    Parameters
    ----------
    queue : RunQueue
        The queue.
    """

    def __init__(self, queue: RunQueue) -> None:
        super().__init__()
        self._queue = queue
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
        queue.progressed.connect(self._on_progress)
        self.refresh()

    @Slot()
    def refresh(self) -> None:
        """Follow the queue."""
        for row in [row for row in self.rows if row.run not in self._queue.runs]:
            self.rows.remove(row)
            self._layout.removeWidget(row)
            row.hide()
            row.deleteLater()
        known = [row.run for row in self.rows]
        for run in self._queue.runs:
            if run not in known:
                row = _Row(run, self._queue)
                self.rows.append(row)
                self._layout.addWidget(row)
        for row in self.rows:
            row.update_text()
        if self.rows:
            in_view = min(len(self.rows), _ROWS_IN_VIEW)
            self.setFixedHeight(in_view * (self.rows[0].sizeHint().height() + 2))
        self.setVisible(len(self.rows) > 1)

    @Slot(object, object, object)
    def _on_progress(self, run: Run, _progress: Any, _remaining_s: Any) -> None:
        for row in self.rows:
            if row.run is run:
                row.update_text()
