"""Widget of the dock "Open annotations": choices that the reader of annotations cannot guess."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from magicgui.types import FileDialogMode
from magicgui.widgets import CheckBox, ComboBox, FileEdit
from qtpy.QtCore import Qt, QTimer, Slot
from qtpy.QtWidgets import QFormLayout, QPushButton

from napari_fractoseg._napari.jobs import Run, State
from napari_fractoseg._napari.via.class_table import ClassTable
from napari_fractoseg._napari.via.layers import layers_job
from napari_fractoseg._napari.via.run import ViaImportRun
from napari_fractoseg._napari.via.save_back import SaveBackRun, ask_where, layers_to_save
from napari_fractoseg._napari.widgets.controls import narrow
from napari_fractoseg._napari.widgets.dock import Dock
from napari_fractoseg._napari.widgets.plain_text import plain_label
from napari_fractoseg._napari.widgets.run_controls import RunControls
from napari_fractoseg.annotations.class_mapping import (
    ClassMapping,
    attribute_values,
    class_attribute,
)
from napari_fractoseg.annotations.options import LENIENT
from napari_fractoseg.annotations.reading import SUFFIXES_READ
from napari_fractoseg.annotations.source import AnnotationSource
from napari_fractoseg.classes import DEFAULT_SCHEME
from napari_fractoseg.errors import AnnotationError
from napari_fractoseg.text import counted, printable

if TYPE_CHECKING:
    import napari.viewer

__all__ = ["ViaImportWidget"]

_OVERLAPS = (
    ("the later region wins", "later"),
    ("the smaller region wins", "smaller"),
    ("is left unlabelled", "unlabelled"),
)
_UNANNOTATED = (("unlabelled", None), ("background", "background"))
_ALL = ("all regions are one class",)
"""Choice in place of an attribute, which is a text."""

_CHOOSE_FIRST = "Choose an annotation file: VIA, COCO, LabelMe, Pascal VOC or ImageJ."
_FILES = f"Annotations ({' '.join(f'*{suffix}' for suffix in SUFFIXES_READ)})"
_READING = "reading …"
_WITHOUT_CLASS = (
    "Choose in the table which class all regions are; else they are opened as shapes without a "
    "class, and there are no labels."
)

_TYPING_MS = 300
"""Pause in typing, in milliseconds, after which a folder is taken to be complete."""


class ViaImportWidget(Dock):
    """Dock widget that opens annotations as layers, with every choice in the user's hand.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
        Viewer that gets the layers.
    """

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        super().__init__(napari_viewer)
        self._problem = ""
        self._timer = QTimer(self, singleShot=True, interval=_TYPING_MS)
        self.source: AnnotationSource | None = None
        self._make_controls()
        self._lay_out()
        self._connect()
        self.controls.refresh()

    # ---- construction -------------------------------------------------------------------

    def _make_controls(self) -> None:
        self.file = FileEdit(mode=FileDialogMode.EXISTING_FILE, filter=_FILES, value="")
        self.siblings = CheckBox(text="All such files of its folder", name="siblings")
        self.siblings.native.setToolTip(
            "LabelMe, Pascal VOC and ImageJ write a file for each image: read all of them at once"
        )
        self.folder = FileEdit(mode=FileDialogMode.EXISTING_DIRECTORY, value="")
        self.folder.native.setToolTip(
            "Where the images are, with subfolders. By default the folder of the annotations"
        )
        self.attribute = ComboBox(choices=self._attributes, name="attribute", nullable=False)
        self.attribute.native.setToolTip("The region attribute that names the fracture mode")
        self.table = ClassTable(DEFAULT_SCHEME)
        self.overlap = ComboBox(choices=_OVERLAPS, name="overlap")
        self.overlap.native.setToolTip("To whom pixels belong that two regions cover")
        self.unannotated = ComboBox(choices=_UNANNOTATED, name="unannotated")
        self.unannotated.native.setToolTip(
            "What pixels without a region are: nothing is said about them, or they are background "
            "as in the paper"
        )
        self.file_line, self.preview = plain_label(), plain_label()
        self.controls = RunControls(
            self,
            self.viewer,
            "Open",
            blocked=self._blocked,
        )
        self.save_button = QPushButton("Save back to VIA …")
        self.save_button.setToolTip(
            "Write the VIA file of the selected layer with what was painted and drawn since; "
            "everything else in it stays"
        )

    def _lay_out(self) -> None:
        form = QFormLayout()
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.setContentsMargins(0, 0, 0, 0)
        form.addRow("Annotations", self.file.native)
        form.addRow("", self.siblings.native)
        form.addRow("Images in", self.folder.native)
        form.addRow("", self.file_line)
        form.addRow("Class is in", narrow(self.attribute))
        below = QFormLayout()
        below.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        below.setContentsMargins(0, 0, 0, 0)
        below.addRow("Overlap", narrow(self.overlap))
        below.addRow("Elsewhere", narrow(self.unannotated))
        layout = self.column
        layout.addLayout(form)
        layout.addWidget(self.table)
        layout.addLayout(below)
        layout.addWidget(self.preview)
        layout.addWidget(self.controls)
        layout.addWidget(self.save_button)
        layout.addStretch(1)
        for line in (self.file_line, self.preview):
            line.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)

    def _connect(self) -> None:
        self.file.changed.connect(self._on_file)
        self.siblings.changed.connect(self._on_siblings)
        self.folder.changed.connect(self._on_folder)
        self._timer.timeout.connect(self._read)
        self.attribute.changed.connect(self._on_attribute)
        self.table.changed.connect(self._on_mapping)
        self.controls.button.clicked.connect(self.import_layers)
        self.save_button.clicked.connect(self.save_back)
        self.controls.changed.connect(self._show_state)

    # ---- reading ------------------------------------------------------------------------

    def _on_file(self, _value: Any = None) -> None:
        with self.siblings.changed.blocked():
            self.siblings.value = False
        with self.folder.changed.blocked():
            self.folder.value = Path(self.file.value).parent
        self._timer.stop()
        self._plan_to_read()
        self._read()

    def _on_siblings(self, _value: Any = None) -> None:
        self._plan_to_read()
        self._read()

    def _on_folder(self, _value: Any = None) -> None:
        """Read the file anew when typing the folder pauses."""
        self._plan_to_read()
        self._timer.start()

    def _plan_to_read(self) -> None:
        """Prepare a run that reads the file and looks for its images; forget what was read.

        It is a run in a thread, as both may lie on a slow disk.
        """
        if self.controls.run is not None:
            self.controls.run.abandon()
        self.source = None
        self._problem = ""
        folder = Path(self.folder.value)
        is_named = folder != Path(self.file.value).parent  # by the user: links in it are meant
        job = AnnotationSource.open_job(self.path, folder, LENIENT, follow_links=is_named)
        reading = Run(job, "reading annotations")
        reading.ended.connect(self._on_read_end)
        self.controls.say(_READING)
        self.controls.follow(reading)

    @property
    def path(self) -> Path:
        """File that is chosen, or its folder if all files in it are to be read."""
        file = Path(self.file.value)
        return file.parent if self.siblings.value else file

    @Slot()
    def _read(self) -> None:
        """Start reading if file and folder are there."""
        path, folder = Path(self.file.value), Path(self.folder.value)
        for is_there, what, where in (
            (path.is_file(), "file", path),
            (folder.is_dir(), "folder", folder),
        ):
            if not is_there:
                self._problem = f"There is no {what} {where}."
                self.controls.follow(None)
                self.controls.say("")
                return
        if self.controls.run is not None:
            self.controls.start(self.controls.run, _READING)

    @Slot()
    def _on_read_end(self) -> None:
        reading = self.controls.run
        if reading is not None and reading.state is State.DONE:
            self._on_read(reading.result)

    def _on_read(self, source: AnnotationSource) -> None:
        self.source = source
        self.file_line.setText(source.summary())
        with self.attribute.changed.blocked():
            self.attribute.reset_choices()
            with suppress(AnnotationError):  # then the first one; the user chooses
                self.attribute.value = class_attribute(source.document, DEFAULT_SCHEME)
        self._on_attribute()

    def _attributes(self, _widget: Any = None) -> list[tuple[str, Any]]:
        """Return the attributes to choose from, and that all regions are one class."""
        if self.source is None:
            return []
        found = attribute_values(self.source.document)
        named = [
            (printable(f"{n or '(no name)'} ({counted(len(values), 'value')})"), n)
            for n, values in found.items()
        ]
        return [*named, (_ALL[0], _ALL)]

    def _on_attribute(self, _value: Any = None) -> None:
        if self.source is not None:
            if self.attribute.value == _ALL:
                self.table.show_all(sum(len(image.drawable) for image in self.source.document))
            else:
                self.table.show_values(self.source, self.attribute.value)
        self._on_mapping()

    @Slot()
    def _on_mapping(self) -> None:
        if self.source is None:
            return
        counts = self.table.class_counts()
        listed = " · ".join(f"{name} {n}" for name, n in counts.items())
        self.preview.setText(f"Regions: {listed}")
        self.controls.follow(None)  # allows the import of the file that was read
        is_without = self.attribute.value == _ALL and self.table.chosen("") is None
        self.controls.say(_WITHOUT_CLASS if is_without else "")

    # ---- importing ----------------------------------------------------------------------

    def _classified(self) -> tuple[AnnotationSource, ClassMapping | None]:
        """Return the source and the mapping as table and attribute have it; None for no classes."""
        if self.source is None:
            raise AnnotationError(_CHOOSE_FIRST)
        if self.attribute.value != _ALL:
            return self.source, self.table.mapping(self.attribute.value)
        one = self.table.chosen("")
        if one is None or not self.table.counts[""]:
            return self.source, None
        source = self.source.all_as(one)
        return source, source.mapping(self.table.scheme)

    def import_layers(self) -> None:
        """Start the import: labels are drawn in a thread, then the layers are added."""
        if self.source is None or not self.controls.is_idle:
            return
        source, mapping = self._classified()
        job = layers_job(
            source,
            mapping,
            path=self.path,
            overlap=self.overlap.value,
            unannotated=self.unannotated.value,
        )
        self.controls.start(ViaImportRun(job, self.viewer))

    # ---- saving -------------------------------------------------------------------------

    @Slot()
    def save_back(self) -> None:
        """Ask for a file, and write the VIA file of the selected layer with its corrections."""
        if not self.controls.is_idle:
            return
        try:
            layers = layers_to_save(self.viewer)
        except AnnotationError as error:
            self.controls.refuse(error)
            return
        path = ask_where(layers, self)
        if path is not None:
            self.controls.start(SaveBackRun(layers, path), "saving …")

    # ---- what is shown ------------------------------------------------------------------

    def _blocked(self) -> str:
        """Return why nothing can be opened: something is missing, or a run goes on."""
        if not self.controls.is_idle:
            return "This is being read, opened or saved."
        return "" if self.source is not None else self._problem or _CHOOSE_FIRST

    def _may_have_siblings(self) -> bool:
        """Whether other files of the folder are of the same set of annotations."""
        if self.source is None:
            return bool(self.siblings.value)
        return self.source.document.flavour.has_one_image

    @Slot()
    def _show_state(self) -> None:
        """Show the lines and choices that fit what is known of the file; none during an import."""
        is_read = self.source is not None
        self.file_line.setVisible(is_read)
        self.siblings.native.setVisible(self._may_have_siblings())
        self.preview.setVisible(is_read)
        self.save_button.setEnabled(self.controls.is_idle)
        is_importing = isinstance(self.controls.run, ViaImportRun) and not self.controls.is_idle
        choices = (
            *(self.file, self.siblings, self.folder),
            *(self.attribute, self.overlap, self.unannotated),
        )
        for widget in (*(choice.native for choice in choices), self.table):
            widget.setEnabled(not is_importing)
