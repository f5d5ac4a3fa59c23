"""Dialog that asks for annotated images on disk to learn from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from magicgui.widgets import CheckBox, FileEdit, LineEdit
from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QDialog, QDialogButtonBox, QFormLayout, QLabel, QVBoxLayout, QWidget

from napari_fractoseg._napari.widgets.plain_text import plain_label
from napari_fractoseg.annotations.options import AnnotationOptions
from napari_fractoseg.annotations.reading import SUFFIXES_READ
from napari_fractoseg.options import option_field

__all__ = ["SourceDialog"]


class SourceDialog(QDialog):
    """Dialog for a folder of images, and the annotations or folder of masks that belong to it.

    Parameters
    ----------
    options : AnnotationOptions
        Options for annotations that are shown at first.
    parent : QWidget, optional
        Qt parent of the dialog.
    """

    chosen = Signal(object, object, object)
    """Signal with the folder of images, annotations or folder of masks, and `AnnotationOptions`."""

    def __init__(self, options: AnnotationOptions, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._options = options
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle("Learn from annotated images")
        self.images = FileEdit(mode="d", name="images", nullable=True)
        self.file = FileEdit(
            mode="r",
            filter=f"Annotations ({' '.join(f'*{suffix}' for suffix in SUFFIXES_READ)})",
            name="file",
            nullable=True,
        )
        self.masks = FileEdit(mode="d", name="masks", nullable=True)
        self.attribute = LineEdit(value=options.attribute or "", name="attribute")
        self.attribute.native.setPlaceholderText("found by its values")
        self.all_as = LineEdit(value=options.all_as or "", name="all_as")
        self.all_as.native.setPlaceholderText("of the class that the attribute says")
        self.first = CheckBox(
            value=options.several == "first", text="Of several ticked classes the first"
        )
        self.skip_unclassified = CheckBox(
            value=options.skip_unclassified, text="Leave regions without a class out"
        )
        self.skip_damaged = CheckBox(value=options.skip_damaged, text="Leave damaged regions out")
        for field, widget in (
            ("attribute", self.attribute),
            ("all_as", self.all_as),
            ("several", self.first),
            ("skip_unclassified", self.skip_unclassified),
            ("skip_damaged", self.skip_damaged),
        ):
            widget.native.setToolTip(option_field(AnnotationOptions, field).description)
        self.problem = plain_label()
        form = QFormLayout()
        form.addRow("Folder of images", self.images.native)
        form.addRow("Annotations", self.file.native)
        form.addRow("or folder of masks", self.masks.native)
        form.addRow(QLabel("All annotations of this training:"))
        form.addRow("Class is in", self.attribute.native)
        form.addRow("All regions are", self.all_as.native)
        for box in (self.first, self.skip_unclassified, self.skip_damaged):
            form.addRow("", box.native)
        ok, cancel = QDialogButtonBox.StandardButton.Ok, QDialogButtonBox.StandardButton.Cancel
        buttons = QDialogButtonBox(ok | cancel)
        buttons.accepted.connect(self.accept)
        buttons.rejected.connect(self.reject)
        layout = QVBoxLayout(self)
        layout.addLayout(form)
        layout.addWidget(self.problem)
        layout.addWidget(buttons)
        self.resize(460, 280)

    def options(self) -> AnnotationOptions:
        """Return the options for annotations that are chosen."""
        return replace(
            self._options,
            attribute=self.attribute.value.strip() or None,
            all_as=self.all_as.value.strip() or None,
            several="first" if self.first.value else "error",
            skip_unclassified=self.skip_unclassified.value,
            skip_damaged=self.skip_damaged.value,
        )

    def accept(self) -> None:
        """Emit the choices and close the dialog, if file and folders are there."""
        labels = [Path(e.value) for e in (self.file, self.masks) if e.value is not None]
        if self.images.value is None or not Path(self.images.value).is_dir():
            self.problem.setText("Choose the folder of the images.")
        elif len(labels) != 1 or not labels[0].exists():
            self.problem.setText("Choose either annotations or a folder of masks.")
        else:
            self.chosen.emit(Path(self.images.value), labels[0], self.options())
            super().accept()
