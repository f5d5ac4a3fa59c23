"""Class legend: a swatch, a name and a key for each class; a click selects it for the brush."""

from __future__ import annotations

from functools import partial
from typing import Any

from napari.layers import Labels
from qtpy.QtCore import Qt
from qtpy.QtGui import QColor, QIcon, QPainter, QPixmap
from qtpy.QtWidgets import QGridLayout, QInputDialog, QPushButton, QWidget

from napari_fractoseg._napari.layers import apply_scheme, bind_class_keys, scheme_of
from napari_fractoseg._napari.widgets.plain_text import button_text, plain_text
from napari_fractoseg.classes import ClassScheme, FractureClass
from napari_fractoseg.errors import ClassSchemeError

__all__ = ["ClassLegend", "swatch"]

_SWATCH_PX = 14
_COLUMNS = 2


def swatch(fracture_class: FractureClass) -> QIcon:
    """Return an icon with the colour of a class; an empty frame for a transparent one."""
    pixmap = QPixmap(_SWATCH_PX, _SWATCH_PX)
    pixmap.fill(QColor.fromRgbF(*fracture_class.rgba))
    painter = QPainter(pixmap)
    painter.setPen(QColor(128, 128, 128))
    painter.drawRect(0, 0, _SWATCH_PX - 1, _SWATCH_PX - 1)
    painter.end()
    icon = QIcon(pixmap)
    icon.addPixmap(pixmap, QIcon.Mode.Disabled)  # a legend also before there is a layer
    return icon


class ClassLegend(QWidget):
    """Legend of a class scheme, which selects the class of the brush on a labels layer."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.layer: Labels | None = None
        self.scheme: ClassScheme | None = None
        self.buttons: dict[int, QPushButton] = {}
        self.add_button = QPushButton("+ add class")
        self.add_button.setToolTip("Add a class to the labels layer, such as dimples or cleavage")
        self.add_button.clicked.connect(self.ask_for_class)
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setSpacing(3)

    def show_scheme(self, scheme: ClassScheme | None, layer: Labels | None = None) -> None:
        """Show a scheme; with a layer, a click selects the class for its brush."""
        if layer != self.layer:
            if self.layer is not None:
                self.layer.events.selected_label.disconnect(self._on_selected)
            if layer is not None:
                layer.events.selected_label.connect(self._on_selected)
                if scheme is not None:  # a layer read from a file has no keys yet
                    bind_class_keys(layer, scheme)
            self.layer = layer
        if scheme != self.scheme:
            self.scheme = scheme
            self._rebuild()
        for button in self.buttons.values():
            button.setEnabled(layer is not None)
        self.add_button.setEnabled(layer is not None)
        self._on_selected()

    def _rebuild(self) -> None:
        for button in self.buttons.values():
            self._grid.removeWidget(button)
            button.deleteLater()
        self.buttons = {c.value: self._button(c) for c in self.scheme or ()}
        widgets = [*self.buttons.values(), self.add_button]
        for place, widget in enumerate(widgets):
            self._grid.addWidget(widget, place // _COLUMNS, place % _COLUMNS)

    def _button(self, fracture_class: FractureClass) -> QPushButton:
        button = QPushButton(button_text(f"{fracture_class.value}  {fracture_class.name}"))
        button.setIcon(swatch(fracture_class))
        button.setCheckable(True)
        button.setStyleSheet("text-align: left; padding: 3px 5px;")
        key = f" (key {fracture_class.value})" if fracture_class.value <= 9 else ""
        hint = f"{fracture_class.description} Click to paint with it{key}.".strip()
        button.setToolTip(plain_text(hint))
        button.clicked.connect(partial(self.select, fracture_class.value))
        return button

    def select(self, value: int, _checked: bool = False) -> None:
        """Select a class for the brush; values that are no class are left alone."""
        if self.layer is not None and value in self.buttons:
            self.layer.selected_label = value
        self._on_selected()

    def _on_selected(self, _event: Any = None) -> None:
        chosen = None if self.layer is None else self.layer.selected_label
        for value, button in self.buttons.items():
            button.setChecked(value == chosen)

    def ask_for_class(self) -> QInputDialog:
        """Open a dialog that asks for the name of a new class."""
        dialog = QInputDialog(self)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.setWindowTitle("Add a class")
        dialog.setLabelText("Name of the new class, such as dimples:")
        dialog.textValueSelected.connect(self.add_class)
        dialog.open()
        return dialog

    def add_class(self, name: str) -> None:
        """Add a class to the layer's scheme and select it for the brush.

        Raises
        ------
        ClassSchemeError
            If the name is empty or no value is free.
        """
        # The layer's own scheme counts: it may have been changed elsewhere.
        scheme = scheme_of(self.layer)
        if scheme is None or self.layer is None:
            raise ClassSchemeError("There is no labels layer to add a class to. Segment first.")
        larger = scheme.with_names([name])
        apply_scheme(self.layer, larger)
        self.show_scheme(larger, self.layer)
        self.select(larger.find(name).value)
