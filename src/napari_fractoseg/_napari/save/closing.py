"""A window that is closed while a result is saved waits until that is done, and says so."""

from __future__ import annotations

from qtpy.QtCore import QEvent, QObject, Qt, Slot
from qtpy.QtWidgets import QMessageBox, QWidget

from napari_fractoseg._napari.jobs import Run, State
from napari_fractoseg._napari.widgets.progress_text import progress_text

__all__ = ["ClosesWhenSaved"]

_TITLE = "A result is being saved"


class ClosesWhenSaved(QObject):
    """Watch on a window while a run saves: closed by the user, it closes when the run is over.

    Meanwhile a dialog says how far that is, and offers to stop it, or to keep the window. A window
    that is closed in another way, by a program or by napari's own question, closes at once: the
    run comes to its end all the same (`Run.finishes`).

    Parameters
    ----------
    run : Run
        Run that saves.
    text : str
        Sentence on what is saved, and where.
    window : QWidget
        Window to watch; it owns the watch, which ends with the run.
    """

    def __init__(self, run: Run, text: str, window: QWidget) -> None:
        super().__init__(window)
        self._run, self._window, self._text = run, window, text
        self._dialog: QMessageBox | None = None
        window.installEventFilter(self)
        run.progressed.connect(self._on_progress)
        run.ended.connect(self._on_end)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:  # noqa: N802 - Qt's name
        """Refuse to close the window by its frame, and ask what to do, while the run goes on."""
        is_closed = watched is self._window and event is not None
        if not is_closed or event is None or event.type() != QEvent.Type.Close:
            return False
        if not event.spontaneous() or self._run.state.has_ended:
            return False
        event.ignore()
        self._ask()
        return True

    def _ask(self) -> None:
        if self._dialog is not None:
            self._dialog.raise_()
            return
        dialog = self._dialog = QMessageBox(self._window)
        dialog.setWindowTitle(_TITLE)
        dialog.setTextFormat(Qt.TextFormat.PlainText)
        dialog.setText(f"{self._text} The window closes when that is done.")
        stop = dialog.addButton("Stop saving and close", QMessageBox.ButtonRole.DestructiveRole)
        keep = dialog.addButton("Keep the window open", QMessageBox.ButtonRole.RejectRole)
        dialog.setEscapeButton(keep)
        dialog.setDefaultButton(keep)
        stop.clicked.connect(self._stop)
        keep.clicked.connect(self._keep)
        self._on_progress()
        dialog.open()

    @Slot()
    def _stop(self) -> None:
        self._run.cancel()

    @Slot()
    def _keep(self) -> None:
        if self._dialog is not None:
            self._dialog.deleteLater()
            self._dialog = None

    @Slot()
    def _on_progress(self) -> None:
        if self._dialog is not None and self._run.progress is not None:
            text = progress_text(self._run.progress, self._run.remaining_s)
            self._dialog.setInformativeText(text)

    @Slot()
    def _on_end(self) -> None:
        """Close the window if the user wanted that; after an error it stays, and shows it."""
        self._window.removeEventFilter(self)
        closes = self._dialog is not None and self._run.state is not State.FAILED
        self._keep()
        if closes:
            self._window.close()
        self.deleteLater()
