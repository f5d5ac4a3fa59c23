"""Widget of the dock "Pixel size": it is typed, or measured on the scale bar of the image."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from magicgui.widgets import ComboBox, RadioButtons
from napari.layers import Image, Layer, Shapes
from qtpy.QtCore import Qt, Slot
from qtpy.QtWidgets import QCheckBox, QFormLayout, QLineEdit, QPushButton, QVBoxLayout, QWidget

from napari_fractoseg._napari.calibrate.bar import bar_layer, draw_bar, line_on
from napari_fractoseg._napari.calibrate.family import family_of, images_beside
from napari_fractoseg._napari.calibrate.give import give_size
from napari_fractoseg._napari.calibrate.row import PixelSizeRow
from napari_fractoseg._napari.calibrate.texts import size_text
from napari_fractoseg._napari.camera import screen_px
from napari_fractoseg._napari.layer_list import follow_layers
from napari_fractoseg._napari.layer_metadata import file_of
from napari_fractoseg._napari.layers import is_segmentable
from napari_fractoseg._napari.widgets.controls import in_a_row, narrow, small_button
from napari_fractoseg._napari.widgets.dock import Dock, open_dock
from napari_fractoseg._napari.widgets.plain_text import button_text, plain_label, plain_text
from napari_fractoseg._napari.widgets.style import primary_style
from napari_fractoseg.errors import FractosegError, ImageError
from napari_fractoseg.images.calibration import PixelSize
from napari_fractoseg.images.calibration.by_hand import BarLine, typed_length_um, typed_size
from napari_fractoseg.text import printable

if TYPE_CHECKING:
    import napari.viewer

__all__ = ["TITLE", "CalibrateWidget", "calibrate_in_dock"]

TITLE = "Pixel size"
"""Title of the dock in the menu."""
_TYPE, _BAR = "type", "bar"
_UNITS = ("nm", "µm", "mm")
_OPEN_FIRST = "Open an image first."
_DRAW = "Press Draw, then drag from one end of the scale bar to the other."
_NUMBER_PX = 80


class CalibrateWidget(Dock):
    """Dock widget in which a person gives an image its pixel size.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
        Viewer whose images are offered.
    """

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        super().__init__(napari_viewer)
        self._line_layer: Shapes | None = None
        self._error_px = 1.0
        self._boxes: list[tuple[QCheckBox, Layer]] = []
        self._make_controls()
        self._lay_out()
        self._connect()
        self.refresh()

    # ---- construction -------------------------------------------------------------------

    def _make_controls(self) -> None:
        self.image = ComboBox(choices=self._images, name="image")
        self.row = PixelSizeRow(self.viewer, links=False)
        self.how = RadioButtons(
            choices=[("type it", _TYPE), ("measure the scale bar", _BAR)], orientation="horizontal"
        )
        self.how.value = _TYPE
        self.edge, self.edge_unit = _number("Edge of a pixel"), _unit()
        self.bar, self.bar_unit = _number("Length that is written at the bar"), _unit()
        self.draw_button = small_button("Draw", "Drag from one end of the scale bar to the other")
        self.line = plain_label()
        self.line.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.folder_box = QCheckBox()
        self.layers_title = plain_label("Also of this image:")
        self.apply_button = QPushButton("Apply")

    def _lay_out(self) -> None:
        self._edge, self._bar = QWidget(), QWidget()
        self._edge.setLayout(in_a_row(self.edge, self.edge_unit.native))
        self._bar.setLayout(in_a_row(self.bar, self.bar_unit.native, self.draw_button))
        form = self._form = QFormLayout()
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.setContentsMargins(0, 0, 0, 0)
        form.addRow("Image", narrow(self.image))
        form.addRow(self.row)
        form.addRow(self.how.native)
        form.addRow("A pixel is", self._edge)
        form.addRow("The bar is", self._bar)
        self._boxes_column = QVBoxLayout()
        self._boxes_column.setContentsMargins(12, 0, 0, 0)
        self.column.addLayout(form)
        self.column.addWidget(self.line)
        self.column.addWidget(self.folder_box)
        self.column.addWidget(self.layers_title)
        self.column.addLayout(self._boxes_column)
        self.column.addWidget(self.apply_button)
        self.column.addStretch(1)

    def _connect(self) -> None:
        layers = self.viewer.layers
        follow_layers(layers, self.refresh)
        layers.selection.events.active.connect(self._on_active)
        self.image.changed.connect(self._on_image)
        for choice in (self.how, self.edge_unit, self.bar_unit):
            choice.changed.connect(self._show)
        for edit in (self.edge, self.bar):
            edit.textChanged.connect(self._show)
            edit.returnPressed.connect(self.apply)
        self.draw_button.clicked.connect(self.draw)
        self.apply_button.clicked.connect(self.apply)
        self.viewer.events.theme.connect(self._restyle)
        self._restyle()

    def _restyle(self, _event: Any = None) -> None:
        self.apply_button.setStyleSheet(primary_style(str(self.viewer.theme)))

    # ---- what is chosen -----------------------------------------------------------------

    def choose(self, image: Image) -> None:
        """Choose an image layer."""
        self.image.reset_choices()
        self.image.value = image

    def refresh(self, _event: Any = None) -> None:
        """Offer the images that the viewer has now; the choice is kept where it can be."""
        self.image.reset_choices()
        self._on_image()

    def _images(self, _widget: Any = None) -> list[tuple[str, Image]]:
        return [(printable(x.name), x) for x in reversed(self.viewer.layers) if is_segmentable(x)]

    def _on_active(self, _event: Any = None) -> None:
        active = self.viewer.layers.selection.active
        if active is not None and is_segmentable(active) and active in self.viewer.layers:
            self.choose(active)

    def _on_image(self, _value: Any = None) -> None:
        image = self._image
        self._follow_line(None if image is None else bar_layer(self.viewer, image))
        self.row.show_images([] if image is None else [image], self._ticked())
        self._offer_layers()
        self._show()

    @property
    def _image(self) -> Image | None:
        image = self.image.value
        return image if image is not None and image in self.viewer.layers else None

    def _follow_line(self, layer: Shapes | None) -> None:
        if layer == self._line_layer:
            return
        for old, what in ((self._line_layer, "disconnect"), (layer, "connect")):
            if old is not None:
                getattr(old.events.data, what)(self._on_line)
        self._line_layer = layer

    def _on_line(self, _event: Any = None) -> None:
        """Remember how large the image was on the screen when the line was drawn."""
        if self._image is not None:
            self._error_px = max(1.0, 1 / screen_px(self.viewer, self._image))
        self._show()

    def _line(self) -> BarLine | None:
        image = self._image
        return None if image is None else line_on(self._line_layer, image, self._error_px)

    def _offer_layers(self) -> None:
        """Offer the layers that may be of this image or of another, and the images beside it."""
        image = self._image
        perhaps = () if image is None else family_of(self.viewer, image).perhaps
        if tuple(layer for _, layer in self._boxes) != perhaps:
            for box, _ in self._boxes:
                self._boxes_column.removeWidget(box)
                box.deleteLater()
            self._boxes = [(QCheckBox(button_text(layer.name)), layer) for layer in perhaps]
            for box, _ in self._boxes:
                box.toggled.connect(self._on_box)
                self._boxes_column.addWidget(box)
        self.layers_title.setVisible(bool(perhaps))
        beside = [] if image is None else images_beside(self.viewer, image)
        path = None if image is None else file_of(image)
        self.folder_box.setVisible(bool(beside))
        if path is not None:
            count = len(beside) + 1
            self.folder_box.setText(button_text(f"all {count} open images of {path.parent.name}"))
            self.folder_box.setToolTip(plain_text(path.parent))

    @Slot()
    def _on_box(self) -> None:
        if self._image is not None:
            self.row.show_images([self._image], self._ticked())

    def _ticked(self) -> list[Layer]:
        return [layer for box, layer in self._boxes if box.isChecked()]

    # ---- the size -----------------------------------------------------------------------

    def size(self) -> PixelSize:
        """Return the pixel size that is typed, or measured.

        Raises
        ------
        ImageError
            If something is missing, or cannot be.
        """
        if self._image is None:
            raise ImageError(_OPEN_FIRST)
        if self.how.value == _TYPE:
            return typed_size(self.edge.text(), str(self.edge_unit.value))
        line = self._line()
        if line is None:
            raise ImageError(_DRAW)
        return line.size(typed_length_um(self.bar.text(), str(self.bar_unit.value)))

    def _show(self, _value: Any = None) -> None:
        """Show the controls of the way that is chosen, and the size before it is applied."""
        is_typed = self.how.value == _TYPE
        self._form.setRowVisible(self._edge, is_typed)
        self._form.setRowVisible(self._bar, not is_typed)
        try:
            text, is_ready = self._text(self.size()), True
        except FractosegError as error:
            text, is_ready = str(error), False
        self.line.setText(text)
        self.apply_button.setEnabled(is_ready)

    def _text(self, size: PixelSize) -> str:
        line = self._line()
        if self.how.value == _TYPE or line is None:
            return size_text(size)
        return line.text(typed_length_um(self.bar.text(), str(self.bar_unit.value)))

    @Slot()
    def draw(self) -> None:
        """Begin to draw a line over the scale bar of the image."""
        if self._image is not None:
            self._follow_line(draw_bar(self.viewer, self._image))
            self._show()

    @Slot()
    def apply(self) -> None:
        """Give the size to the image, all layers made from it, and the images of the folder."""
        image = self._image
        try:
            size = self.size()
        except FractosegError as error:
            self.line.setText(str(error))
            return
        assert image is not None  # noqa: S101 - told by `size`
        images = [image]
        if not self.folder_box.isHidden() and self.folder_box.isChecked():
            images += images_beside(self.viewer, image)
        for each in images:
            give_size(self.viewer, each, size, self._ticked())
        if self._line_layer is not None and self._line_layer in self.viewer.layers:
            self._line_layer.mode = "pan_zoom"
            self._line_layer.visible = False
            self.viewer.layers.selection.active = image
        self.row.describe()


def _number(hint: str) -> QLineEdit:
    edit = QLineEdit()
    edit.setToolTip(hint)
    edit.setFixedWidth(_NUMBER_PX)
    return edit


def _unit() -> ComboBox:
    return ComboBox(choices=list(_UNITS), value="µm", name="unit")


def calibrate_in_dock(
    viewer: napari.viewer.Viewer, images: Iterable[Image], beside: QWidget
) -> CalibrateWidget:
    """Open the dock "Pixel size", or the one that is open, with the first of some images.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Viewer in which the dock is opened.
    images : iterable of Image
        Image layers of the viewer.
    beside : QWidget
        Widget of ours in the same window.
    """
    dock = open_dock(viewer, CalibrateWidget, TITLE, beside)
    first = next(iter(images), None)
    if first is not None:
        dock.choose(first)
    return dock
