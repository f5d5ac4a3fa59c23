"""Asks for annotated images on disk to learn from."""

from __future__ import annotations

from pathlib import Path

from magicgui.widgets import FileEdit
from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QDialog, QDialogButtonBox, QFormLayout, QLabel, QVBoxLayout, QWidget

__all__ = ["SourceDialog"]


class SourceDialog(QDialog):
    """A folder of images, and the VIA file or the folder of masks that belongs to it."""

    chosen = Signal(object, object)
    """Folder of the images; VIA file or folder of masks."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle("Learn from annotated images")
        self.images = FileEdit(mode="d", name="images", nullable=True)
        self.file = FileEdit(
            mode="r", filter="VIA annotations (*.json *.csv)", name="file", nullable=True
        )
        self.masks = FileEdit(mode="d", name="masks", nullable=True)
        self.problem = QLabel()
        self.problem.setWordWrap(True)
        form = QFormLayout()
        form.addRow("Folder of images", self.images.native)
        form.addRow("VIA file", self.file.native)
        form.addRow("or folder of masks", self.masks.native)
        ok, cancel = QDialogButtonBox.StandardButton.Ok, QDialogButtonBox.StandardButton.Cancel
        buttons = QDialogButtonBox(ok | cancel)
        buttons.accepted.connect(self.accept)
        buttons.rejected.connect(self.reject)
        layout = QVBoxLayout(self)
        layout.addLayout(form)
        layout.addWidget(self.problem)
        layout.addWidget(buttons)
        self.resize(460, 160)

    def accept(self) -> None:
        """Take what was chosen if it is there."""
        labels = [Path(e.value) for e in (self.file, self.masks) if e.value is not None]
        if self.images.value is None or not Path(self.images.value).is_dir():
            self.problem.setText("Choose the folder of the images.")
        elif len(labels) != 1 or not labels[0].exists():
            self.problem.setText("Choose either a VIA file or a folder of masks.")
        else:
            self.chosen.emit(Path(self.images.value), labels[0])
            super().accept()
