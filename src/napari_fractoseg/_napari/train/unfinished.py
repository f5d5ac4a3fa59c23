"""Offer to go on with a training that was interrupted."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtCore import Qt, Signal, Slot
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_fractoseg._napari.train.request import discard_training, unfinished_trainings
from napari_fractoseg._napari.widgets.controls import side_by_side, small_button
from napari_fractoseg._napari.widgets.plain_text import plain_label

__all__ = ["UnfinishedTraining"]


class UnfinishedTraining(QWidget):
    """Widget that names the newest training that was interrupted; hidden if there is none."""

    resumed = Signal(object)
    """Signal with the folder of the training to go on with."""

    def __init__(self) -> None:
        super().__init__()
        self._folder: Path | None = None
        self.banner = plain_label()
        self.banner.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.resume_button = small_button("Resume", "Go on where it was interrupted")
        self.discard_button = small_button("Discard", "Forget the interrupted training")
        self.resume_button.clicked.connect(self.resume)
        self.discard_button.clicked.connect(self.discard)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(self.banner)
        layout.addLayout(side_by_side(self.resume_button, self.discard_button))
        self.hide()

    def offer(self, is_idle: bool) -> None:
        """Show the newest interrupted training, unless a training is going on."""
        found = unfinished_trainings() if is_idle else []
        self._folder = found[0] if found else None
        if self._folder is not None:
            self.banner.setText(f"A training was interrupted: {self._folder.name}.")
        self.setVisible(self._folder is not None)

    @Slot()
    def resume(self) -> None:
        """Ask to go on with the training that is named."""
        if self._folder is not None:
            self.resumed.emit(self._folder)

    @Slot()
    def discard(self) -> None:
        """Give up the training that is named; what was painted for it stays saved."""
        if self._folder is not None:
            discard_training(self._folder)
            self.offer(is_idle=True)
