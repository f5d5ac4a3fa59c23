"""Small parts of docks: narrow combo boxes, small buttons, rows of widgets."""

from __future__ import annotations

from magicgui.widgets import ComboBox
from qtpy.QtWidgets import QComboBox, QGridLayout, QHBoxLayout, QPushButton, QSizePolicy, QWidget

__all__ = ["in_a_row", "narrow", "side_by_side", "small_button"]


def narrow(choice: ComboBox) -> QComboBox:
    """Make a combo box narrower than its longest entry, so that the dock stays narrow."""
    native: QComboBox = choice.native
    native.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    native.setMinimumContentsLength(8)
    native.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
    return native


def small_button(text: str, hint: str) -> QPushButton:
    """Return a button with a tool tip that may be as narrow as its place."""
    button = QPushButton(text)
    button.setToolTip(hint)
    button.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
    return button


def side_by_side(*widgets: QWidget) -> QGridLayout:
    """Return a layout with widgets in a row, equally wide."""
    grid = QGridLayout()
    grid.setContentsMargins(0, 0, 0, 0)
    for column, widget in enumerate(widgets):
        grid.addWidget(widget, 0, column)
        grid.setColumnStretch(column, 1)
    return grid


def in_a_row(*widgets: QWidget) -> QHBoxLayout:
    """Return a layout with widgets in a row, each as wide as it wants."""
    layout = QHBoxLayout()
    layout.setContentsMargins(0, 0, 0, 0)
    for widget in widgets:
        layout.addWidget(widget)
    return layout
