"""Class legend: a swatch, a name and a key for each class; a click starts its brush."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from napari.layers import Labels
from qtpy.QtCore import QPoint, Qt, Signal
from qtpy.QtGui import QBrush, QColor, QIcon, QPainter, QPixmap
from qtpy.QtWidgets import (
    QColorDialog,
    QGridLayout,
    QInputDialog,
    QMenu,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_fractoseg._napari.layer_metadata import add_facts
from napari_fractoseg._napari.layers import (
    PAINTED_COLOR,
    apply_scheme,
    make_paintable,
    scheme_of,
    start_brush,
)
from napari_fractoseg._napari.widgets.plain_text import button_text, plain_label, plain_text
from napari_fractoseg.arrays import value_counts
from napari_fractoseg.classes import UNLABELLED, ClassScheme, FractureClass
from napari_fractoseg.errors import ClassSchemeError

__all__ = ["ClassLegend", "swatch"]

_SWATCH_PX = 14
_COLUMNS = 2
_LARGEST_VALUE = 255

Counts = Callable[[Labels], Mapping[int, int] | None]
"""Function that returns label value -> number of pixels of a layer, or None if it counts still."""


def swatch(fracture_class: FractureClass) -> QIcon:
    """Return an icon with the colour of a class.

    That of a transparent class is hatched, in the colour that it has while it is painted.
    """
    pixmap = QPixmap(_SWATCH_PX, _SWATCH_PX)
    pixmap.fill(QColor.fromRgbF(*fracture_class.rgba))
    painter = QPainter(pixmap)
    if fracture_class.is_transparent:
        hatch = QBrush(QColor.fromRgbF(*PAINTED_COLOR[:3]), Qt.BrushStyle.BDiagPattern)
        painter.fillRect(0, 0, _SWATCH_PX, _SWATCH_PX, hatch)
    painter.setPen(QColor(128, 128, 128))
    painter.drawRect(0, 0, _SWATCH_PX - 1, _SWATCH_PX - 1)
    painter.end()
    icon = QIcon(pixmap)
    icon.addPixmap(pixmap, QIcon.Mode.Disabled)  # a legend also before there is a layer
    return icon


def _count_now(layer: Labels) -> Mapping[int, int]:
    return value_counts(layer.data[0] if layer.multiscale else layer.data)


class ClassLegend(QWidget):
    """Legend of a class scheme, with which one paints on a labels layer and edits its classes.

    Parameters
    ----------
    parent : QWidget, optional
        Qt parent of the widget.
    counts : callable, optional
        Function that counts the label values of a layer; by default it counts at once, which
        takes long for large layers.
    """

    chosen = Signal(object)
    """Signal that a class was chosen, with the labels layer to paint on."""
    edited = Signal(object)
    """Signal that the classes of a labels layer were changed, with the layer."""

    def __init__(self, parent: QWidget | None = None, counts: Counts = _count_now) -> None:
        super().__init__(parent)
        self._counts = counts
        self.layer: Labels | None = None
        self.scheme: ClassScheme | None = None
        self._model, self._refusal = "", ""
        self._counted: Mapping[int, int] = {}
        self.buttons: dict[int, QPushButton] = {}
        self.add_button = QPushButton("+ add class")
        self.add_button.setToolTip("Add a class to the labels layer, such as dimples or cleavage")
        self.add_button.clicked.connect(self.ask_for_class)
        self.use_button = QPushButton("Use these classes")
        self.use_button.setToolTip(
            "Give the labels layer these names, colours and keys; its labels stay as they are"
        )
        self.use_button.clicked.connect(self.use_classes)
        self.line = plain_label()
        self.add_value_button = QPushButton()
        self.add_value_button.clicked.connect(self._ask_for_selected)
        self._grid = QGridLayout()
        self._grid.setSpacing(3)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(3)
        layout.addLayout(self._grid)
        for widget in (self.use_button, self.line, self.add_value_button):
            layout.addWidget(widget)
            widget.hide()

    # ---- what is shown ------------------------------------------------------------------

    def show_scheme(
        self, scheme: ClassScheme | None, layer: Labels | None = None, model: str = ""
    ) -> None:
        """Show a scheme; with a layer, a click starts the brush of the class on it.

        Parameters
        ----------
        scheme : ClassScheme or None
            Classes to show. A layer that has none is offered these.
        layer : Labels, optional
            Layer to paint on.
        model : str
            Name or folder of the model that has these classes, to be kept with a layer that
            gets them; empty if they are of no model.
        """
        self._model = model
        if layer != self.layer:
            if self.layer is not None:
                self.layer.events.selected_label.disconnect(self._on_selected)
            if layer is not None:
                layer.events.selected_label.connect(self._on_selected)
                if scheme_of(layer) is not None:  # a layer read from a file has no keys yet
                    make_paintable(layer)
            self.layer, self._refusal, self._counted = layer, "", {}
        if scheme != self.scheme:
            self.scheme = scheme
            self._rebuild()
        for button in (*self.buttons.values(), self.add_button):
            button.setEnabled(self._has_classes)
        self.use_button.setVisible(
            layer is not None and not self._has_classes and scheme is not None
        )
        self._on_selected()

    @property
    def _has_classes(self) -> bool:
        """Whether there is a layer with classes, rather than one that is offered some."""
        return scheme_of(self.layer) is not None

    def _rebuild(self) -> None:
        for button in self.buttons.values():
            self._grid.removeWidget(button)
            button.deleteLater()
        self.buttons = {c.value: self._button(c) for c in self.scheme or ()}
        widgets = [*self.buttons.values(), self.add_button]
        for place, widget in enumerate(widgets):
            self._grid.addWidget(widget, place // _COLUMNS, place % _COLUMNS)

    def _button(self, fracture_class: FractureClass) -> QPushButton:
        value = fracture_class.value
        button = QPushButton(button_text(f"{value}  {fracture_class.name}"))
        button.setIcon(swatch(fracture_class))
        button.setCheckable(True)
        button.setStyleSheet("text-align: left; padding: 3px 5px;")
        key = f" (key {value})" if value <= 9 else ""
        hint = f"{fracture_class.description} Click to paint with it{key}.".strip()
        seen = " Only while one paints it is seen on the image." * fracture_class.is_transparent
        button.setToolTip(plain_text(f"{hint}{seen} Right click to rename, recolour or remove it."))
        button.clicked.connect(partial(self.select, value))
        button.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        button.customContextMenuRequested.connect(partial(self._open_menu, value))
        return button

    def _on_selected(self, _event: Any = None) -> None:
        chosen = None if self.layer is None else int(self.layer.selected_label)
        for value, button in self.buttons.items():
            button.setChecked(value == chosen and self._has_classes)
        self.refresh()

    def refresh(self) -> None:
        """Say which label values are no class: that of the brush, and those of painted pixels."""
        layer, scheme = self.layer, scheme_of(self.layer)
        unknown = [] if layer is None or scheme is None else list(self._unknown(layer, scheme))
        self.line.setText("\n".join(filter(None, (self._refusal, *unknown))))
        self.line.setVisible(bool(self.line.text()))
        addable = None if layer is None or scheme is None else _addable(layer, scheme)
        self.add_value_button.setVisible(addable is not None)
        if addable is not None:
            self.add_value_button.setText(f"Add {addable} as a class")

    def _unknown(self, layer: Labels, scheme: ClassScheme) -> list[str]:
        known = {UNLABELLED, *scheme.values}
        counted = self._counts(layer)
        self._counted = self._counted if counted is None else counted  # else the line would flicker
        painted = {v: n for v, n in self._counted.items() if v not in known}
        brush = int(layer.selected_label)
        lines = []
        if brush not in known:
            n_px = f" ({painted.pop(brush)} px)" if brush in painted else ""
            lines.append(
                f"The brush has the label {brush}, which is no class{n_px} and does not count. "
                "Choose a class above, or add one for it."
            )
        if painted:
            listed = ", ".join(f"{v} ({n} px)" for v, n in list(painted.items())[:5])
            lines.append(
                f"Labels that are no class: {listed}. Pick one (L) to add a class for it, or paint "
                "over it."
            )
        return lines

    def _say(self, text: str) -> None:
        self._refusal = text
        self.refresh()

    # ---- paint --------------------------------------------------------------------------

    def select(self, value: int, _checked: bool = False) -> None:
        """Start the brush of a class; values that are no class are left alone."""
        if self.layer is not None and self._has_classes and value in self.buttons:
            self._refusal = ""
            self.chosen.emit(self.layer)
            start_brush(self.layer, value)
        self._on_selected()

    def use_classes(self) -> None:
        """Give a layer that has no classes those that are shown; its labels stay as they are."""
        if self.layer is None or self.scheme is None or self._has_classes:
            return
        if self._model:
            add_facts(self.layer, {"classes_of": self._model})
        self._apply(self.scheme)

    def _apply(self, scheme: ClassScheme) -> None:
        assert self.layer is not None  # noqa: S101 - who changes classes has a layer
        apply_scheme(self.layer, scheme)
        self._refusal = ""
        self.show_scheme(scheme, self.layer, self._model)
        self.edited.emit(self.layer)

    # ---- edit ---------------------------------------------------------------------------

    def ask_for_class(self) -> QInputDialog:
        """Open a dialog that asks for the name of a new class."""
        return self._ask("Add a class", "Name of the new class, such as dimples:", self.add_class)

    def _ask_for_selected(self) -> QInputDialog | None:
        """Open a dialog that asks for the name of a new class with the label of the brush."""
        layer, scheme = self.layer, scheme_of(self.layer)
        value = None if layer is None or scheme is None else _addable(layer, scheme)
        if value is None:
            return None
        add = partial(self.add_class, value=value)
        return self._ask("Add a class", f"Name of the class with the label {value}:", add)

    def _ask(
        self, title: str, text: str, slot: Callable[[str], None], value: str = ""
    ) -> QInputDialog:
        dialog = QInputDialog(self)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.setWindowTitle(title)
        dialog.setLabelText(text)
        dialog.setTextValue(value)
        dialog.textValueSelected.connect(slot)
        dialog.open()
        return dialog

    def _scheme_of_layer(self) -> ClassScheme:
        # The layer's own scheme counts: it may have been changed elsewhere.
        scheme = scheme_of(self.layer)
        if scheme is None:
            raise ClassSchemeError("There is no labels layer to add a class to. Segment first.")
        return scheme

    def add_class(self, name: str, value: int | None = None) -> None:
        """Add a class to the layer's scheme and start its brush.

        Parameters
        ----------
        name : str
            Name of the class.
        value : int, optional
            Label value of the class; by default the next free one.

        Raises
        ------
        ClassSchemeError
            If the name is empty or used already, or no value is free.
        """
        scheme = self._scheme_of_layer()
        larger = scheme.with_names([name]) if value is None else scheme.with_class(name, value)
        self._apply(larger)
        self.select(larger.find(name).value)

    def rename_class(self, value: int, name: str) -> None:
        """Give a class another name; a name that is not possible is refused in the line below."""
        self._change(lambda scheme: scheme.renamed(value, name))

    def recolour_class(self, value: int, color: str) -> None:
        """Give a class another colour, as ``#rrggbb``."""
        self._change(lambda scheme: scheme.recoloured(value, color))

    def remove_class(self, value: int) -> None:
        """Remove a class that no pixel has; another one is refused with the number of its pixels.

        Pixels are never changed.
        """
        layer = self.layer
        if layer is None:
            return
        counts = self._counts(layer)
        name = self._scheme_of_layer().by_value(value).name
        if counts is None:
            self._say(f"The pixels of {name} are being counted. Try again in a moment.")
        elif counts.get(value, 0):
            self._say(
                f"{name} has {counts[value]} px and stays: no label is changed unasked. Paint "
                "over them with another class first (F fills)."
            )
        else:
            self._change(lambda scheme: scheme.without(value))
            if layer.selected_label == value and self.scheme is not None:
                layer.selected_label = self.scheme.values[0]

    def _change(self, change: Callable[[ClassScheme], ClassScheme]) -> None:
        try:
            self._apply(change(self._scheme_of_layer()))
        except ClassSchemeError as error:
            self._say(str(error))

    def class_menu(self, value: int) -> QMenu:
        """Return a menu with what can be done with a class."""
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        for text, slot in (
            ("Rename …", self.ask_for_name),
            ("Colour …", self.ask_for_colour),
            ("Remove", self.remove_class),
        ):
            action = menu.addAction(text)
            assert action is not None  # noqa: S101 - Qt's signature allows for it
            action.triggered.connect(partial(_without_checked, slot, value))
        return menu

    def _open_menu(self, value: int, place: QPoint) -> None:
        self.class_menu(value).popup(self.buttons[value].mapToGlobal(place))

    def ask_for_name(self, value: int) -> QInputDialog:
        """Open a dialog that asks for another name of a class."""
        name = self._scheme_of_layer().by_value(value).name
        return self._ask(
            "Rename a class", "Name of the class:", partial(self.rename_class, value), name
        )

    def ask_for_colour(self, value: int) -> QColorDialog:
        """Open a dialog that asks for another colour of a class."""
        color = QColor.fromRgbF(*self._scheme_of_layer().by_value(value).rgba[:3])
        dialog = QColorDialog(color, self)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.colorSelected.connect(lambda chosen: self.recolour_class(value, chosen.name()))
        dialog.open()
        return dialog


def _without_checked(slot: Callable[[int], Any], value: int, _checked: bool = False) -> None:
    slot(value)


def _addable(layer: Labels, scheme: ClassScheme) -> int | None:
    """Return the label of the brush if it is no class but can be one."""
    value = int(layer.selected_label)
    is_class = value == UNLABELLED or value in scheme.values
    return None if is_class or not 0 < value <= _LARGEST_VALUE else value
