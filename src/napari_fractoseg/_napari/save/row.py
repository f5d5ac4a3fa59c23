"""Row of the Segment dock that saves the labels that are followed, in one click."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from napari.layers import Labels
from qtpy.QtCore import QUrl, Slot
from qtpy.QtGui import QDesktopServices
from qtpy.QtWidgets import QFileDialog, QPushButton, QVBoxLayout, QWidget

from napari_fractoseg._napari.jobs import State
from napari_fractoseg._napari.layers import unwrapped
from napari_fractoseg._napari.save.saver import SaveRun, saver_of
from napari_fractoseg._napari.save.snapshot import folder_for
from napari_fractoseg._napari.widgets.controls import in_a_row, small_button
from napari_fractoseg._napari.widgets.plain_text import plain_label
from napari_fractoseg._napari.widgets.progress_text import progress_text
from napari_fractoseg._napari.widgets.run_queue import main_window
from napari_fractoseg.errors import FractosegError
from napari_fractoseg.reporting.report import REPORT

if TYPE_CHECKING:
    import napari.viewer

__all__ = ["SaveRow", "ask_folder"]

_SAVE, _STOP = "Save result", "Stop saving"
_HINT = (
    "Save the labels with classes, colours, model, pixel size, corrections and strokes, with "
    "fractions, overlay and report, into a new folder beside the image. Nothing is overwritten"
)
_OTHER_HINT = "Save the result into a folder that you choose"


class SaveRow(QWidget):
    """Button that saves a result, with how far it is, and where it is in the end.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Viewer that has the layers.
    followed : callable
        Function that returns the labels layer to save, None if there is none.
    """

    def __init__(self, viewer: napari.viewer.Viewer, followed: Callable[[], Labels | None]) -> None:
        super().__init__()
        self._followed, self.saver = followed, saver_of(viewer)
        self.button = QPushButton(_SAVE)
        self.button.setToolTip(_HINT)
        self.other_button = QPushButton("…")
        self.other_button.setToolTip(_OTHER_HINT)
        self.other_button.setMaximumWidth(32)
        self.line = plain_label()
        self.folder_button = small_button("Open folder", "Show the files that were saved")
        self.report_button = small_button("Open report", "Show the report in your browser")
        self.links = QWidget()
        self.links.setLayout(in_a_row(self.folder_button, self.report_button))
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addLayout(in_a_row(self.button, self.other_button))
        layout.addWidget(self.line)
        layout.addWidget(self.links)
        self._refused: tuple[Labels | None, str] = (None, "")
        self.button.clicked.connect(self._on_click)
        self.other_button.clicked.connect(self.save_elsewhere)
        self.folder_button.clicked.connect(self._show_folder)
        self.report_button.clicked.connect(self._show_report)
        self.saver.changed.connect(self.refresh)
        self.refresh()

    @Slot()
    def _on_click(self) -> None:
        if self.saver.is_busy:
            self.saver.cancel()
        else:
            self.save()

    def save(self, parent: Path | None = None) -> None:
        """Save the labels into a new folder in another one: by default that of the image.

        Where the image is from no file, or nothing can be written beside it, the user is asked.
        """
        layer = self._followed()
        if layer is None:
            return
        self._refused = (None, "")
        try:
            snapshot = self.saver.snapshot(layer)
        except FractosegError as error:
            self._refused = (unwrapped(layer), str(error))
            self.refresh()
            return
        parent = parent or folder_for(snapshot) or ask_folder(self, snapshot.name)
        if parent is not None:
            self.saver.save(layer, snapshot, parent, main_window(self))

    @Slot()
    def save_elsewhere(self) -> None:
        """Ask for a folder, and save the labels into a new one in it."""
        layer = self._followed()
        parent = None if layer is None else ask_folder(self, str(layer.name))
        if parent is not None:
            self.save(parent)

    @Slot()
    def refresh(self) -> None:
        """Show how far the saving is, or where the layer that is followed was saved."""
        run, followed = self.saver.run, self._followed()
        layer = None if followed is None else unwrapped(followed)
        is_its = layer is not None and self.saver.layer is layer
        is_done = run is not None and run.state is State.DONE and is_its
        refused, why = self._refused
        text = why if refused is layer else ""
        if run is not None and not text and (is_its or self.saver.is_busy):
            text = _text(run)
            if is_done and self.saver.is_changed:
                text += ". The layer was changed since."
        self.button.setText(_STOP if self.saver.is_busy else _SAVE)
        self.other_button.setVisible(not self.saver.is_busy)
        self.line.setText(text)
        self.line.setVisible(bool(text))
        self.links.setVisible(is_done)

    @Slot()
    def _show_folder(self) -> None:
        self._open(self.saver.run.result.folder if self.saver.run is not None else None)

    @Slot()
    def _show_report(self) -> None:
        self._open(self.saver.run.result.folder / REPORT if self.saver.run is not None else None)

    def _open(self, path: Path | None) -> None:
        if path is not None:
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(path)))


def _text(run: SaveRun) -> str:
    if not run.state.is_under_way:
        return run.end_text()
    return "saving …" if run.progress is None else progress_text(run.progress, run.remaining_s)


def ask_folder(parent: QWidget | None, name: str) -> Path | None:
    """Ask the user for a folder to make that of a result in; None if there is no answer."""
    chosen = QFileDialog.getExistingDirectory(parent, f"Save {name}: folder for the results")
    return Path(chosen) if chosen else None
