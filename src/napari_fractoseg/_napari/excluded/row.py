"""Row of a dock on the info bar of an image: where it is, whether it is left out, and its layer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari.layers import Image
from qtpy.QtCore import Signal, Slot
from qtpy.QtWidgets import QCheckBox, QFormLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from napari_fractoseg._napari.excluded.areas import areas_of
from napari_fractoseg._napari.widgets.controls import in_a_row, small_button
from napari_fractoseg._napari.widgets.plain_text import plain_label
from napari_fractoseg.errors import FractosegError

if TYPE_CHECKING:
    import napari.viewer

__all__ = ["LOOKING", "InfoBarRow"]

LOOKING = "The info bar of the image is being looked for."
_HINT = (
    "What is left out shows no specimen, such as the info bar: it is neither segmented nor learnt "
    "from nor measured, and the fractions are those of the rest"
)
_EDIT_HINT = (
    "Paint, erase or outline on a layer what is to be left out, on all planes. Deleting the layer "
    "leaves nothing out"
)

_EDIT, _OTHER = "Edit …", "Leave out an area of the image …"
_EMPTY = "Nothing yet: paint it on the layer."


class InfoBarRow(QWidget):
    """Row that follows an image; there is nothing to see of it where the image has no info bar.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Viewer that has the images.

    Attributes
    ----------
    other_button : QPushButton
        Button for images without an info bar, to leave out another area; for another place of
        the dock.
    """

    changed = Signal()
    """Signal that another area is left out of an image."""
    failed = Signal(object)
    """Signal with the `FractosegError` of a layer that could not be made."""

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self._areas = areas_of(viewer)
        self._image: Image | None = None
        self._form: QFormLayout | None = None
        self.title = QLabel("Info bar")
        self.tick = QCheckBox("leave out")
        self.tick.setToolTip(_HINT)
        self.edit_button = QPushButton(_EDIT)
        self.edit_button.setToolTip(_EDIT_HINT)
        self.line = plain_label()
        self.other_button = small_button(_OTHER, _EDIT_HINT)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(1)
        top = in_a_row(self.tick, self.edit_button)
        top.setStretch(0, 1)
        layout.addLayout(top)
        layout.addWidget(self.line)
        self.tick.clicked.connect(self._on_tick)
        self.edit_button.clicked.connect(self.edit)
        self.other_button.clicked.connect(self.edit)
        self._areas.changed.connect(self._on_areas)

    def add_to(self, form: QFormLayout) -> None:
        """Add the row to a form."""
        form.addRow(self.title, self)
        self._form = form
        self._show()

    def follow(self, image: Image | None) -> None:
        """Show what is left out of an image from now on."""
        self._image = image
        self._show()

    @property
    def is_looking(self) -> bool:
        """Whether it is not known yet if the image has an info bar."""
        return self._image is not None and self._areas.bar(self._image) is None

    @Slot()
    def _on_tick(self) -> None:
        if self._image is not None:
            self._areas.leave_out(self._image, self.tick.isChecked())
            self._on_areas()

    @Slot()
    def edit(self) -> None:
        """Select the layer of the area, made if need be, and the brush."""
        if self._image is None:
            return
        try:
            self._areas.edit(self._image)
        except FractosegError as error:
            self.failed.emit(error)
        self._on_areas()

    @Slot()
    def _on_areas(self, _event: Any = None) -> None:
        self._show()
        self.changed.emit()

    def _show(self) -> None:
        image = self._image
        bar = None if image is None else self._areas.bar(image)
        has_layer = image is not None and self._areas.layer(image) is not None
        has_area = has_layer or (bar is not None and bar.rows is not None)
        is_over = bar is not None and bar.is_over_image
        has_bar = is_over or (bar is not None and bar.rows is not None)
        self.title.setText("Info bar" if has_bar else "Area")
        if image is not None and bar is not None:
            self.tick.setChecked(self._areas.is_left_out(image))
            self.line.setText(self._text(image, bar.why, has_area=has_area, has_layer=has_layer))
        self.tick.setVisible(has_area)
        self.edit_button.setText(_EDIT if has_area else _OTHER)
        if self._form is not None:
            self._form.setRowVisible(self, has_area or is_over)
        self.other_button.setVisible(image is not None and not has_area and not is_over)

    def _text(self, image: Image, why: str, *, has_area: bool, has_layer: bool) -> str:
        """Return what the area is, and where it is from."""
        if not has_area:
            return why
        area = self._areas.known_area(image)
        where = _EMPTY if area is None else f"{area.where[:1].upper()}{area.where[1:]}."
        return where if has_layer else f"{where} {why}"
