"""Row with a button that tries three scales, and the pictures to choose one of them by."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from qtpy.QtCore import QSize, Qt, Signal, Slot
from qtpy.QtGui import QIcon, QImage, QPixmap
from qtpy.QtWidgets import QLabel, QPushButton, QToolButton, QVBoxLayout, QWidget

from napari_fractoseg._napari.jobs import Run, State
from napari_fractoseg._napari.segment.request import Request
from napari_fractoseg._napari.segment.trial import TRIED, SeenAt, trial_job
from napari_fractoseg._napari.widgets.controls import side_by_side
from napari_fractoseg.errors import FractosegError
from napari_fractoseg.tiling import Box

__all__ = ["TrialRow"]

_TRY, _STOP = "Try three scales", "Stop"
_HINT = (
    "Segment the middle of what is seen, at most 640 px, at the scale factors 0.5, 1 and 2. No "
    "layer is added. Click the picture that looks right."
)
_CHOOSE = "Click the picture that looks right:"
_PICTURE_PX = 96


class TrialRow(QWidget):
    """Button that tries three scales on the middle of what is seen, with their pictures.

    Parameters
    ----------
    parent : QWidget, optional
        Widget that it is in.

    Attributes
    ----------
    ask : callable
        Function that returns what is to be segmented: a request, and a part of its first plane.
        The widget that owns this one sets it.
    run : Run or None
        Latest trial.
    """

    chosen = Signal(float)
    """Signal with the scale factor of the picture that was clicked."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.ask: Callable[[], tuple[Request, Box]] | None = None
        self.run: Run | None = None
        self.button = QPushButton(_TRY)
        self.button.setToolTip(_HINT)
        self.button.clicked.connect(self.try_scales)
        self.line = QLabel()
        self.line.setWordWrap(True)
        self.pictures = [QToolButton() for _ in TRIED]
        for factor, picture in zip(TRIED, self.pictures, strict=True):
            picture.setText(f"{factor:g}")
            picture.setToolTip(f"Take the scale factor {factor:g}")
            picture.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextUnderIcon)
            picture.setIconSize(QSize(_PICTURE_PX, _PICTURE_PX))
            picture.setAutoRaise(True)
            picture.clicked.connect(partial(self.chosen.emit, factor))
        self._row = QWidget()
        self._row.setLayout(side_by_side(*self.pictures))
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for widget in (self.button, self.line, self._row):
            layout.addWidget(widget)
        self.clear()

    @Slot()
    def try_scales(self) -> None:
        """Start a trial, or stop the one that is going on."""
        if self.run is not None and self.run.state.is_under_way:
            self.run.cancel()
            return
        self.clear()
        if self.ask is None:
            return
        try:
            request, box = self.ask()
        except FractosegError as error:
            self._say(str(error))
            return
        run = self.run = Run(trial_job(request, box), "trial of three scales")
        run.progressed.connect(self._on_progress)
        run.ended.connect(self._on_end)
        self.button.setText(_STOP)
        run.start()

    @Slot()
    def clear(self) -> None:
        """Stop a trial that is going on and take its pictures away: another image is chosen."""
        if self.run is not None:
            self.run.abandon()
            self.run = None
        self.button.setText(_TRY)
        self._row.hide()
        self._say("")

    def _say(self, text: str) -> None:
        self.line.setText(text)
        self.line.setVisible(bool(text))

    @Slot()
    def _on_progress(self) -> None:
        if self.run is not None and self.run.progress is not None:
            self._say(self.run.progress.message)

    @Slot()
    def _on_end(self) -> None:
        run = self.run
        if run is None:
            return
        self.button.setText(_TRY)
        if run.state is not State.DONE and run.result is None:
            self._say(run.end_text())
            return
        self._show(run.result)

    def _show(self, found: tuple[SeenAt, ...]) -> None:
        for seen, button in zip(found, self.pictures, strict=True):
            rows, columns, _ = seen.picture.shape
            line_bytes = 3 * columns
            image = QImage(
                seen.picture.tobytes(), columns, rows, line_bytes, QImage.Format.Format_RGB888
            )
            button.setIcon(QIcon(QPixmap.fromImage(image)))
        self._say(_CHOOSE)
        self._row.show()
