"""Small things that the docks share: narrow combo boxes, small buttons, rows."""

from __future__ import annotations

from magicgui.widgets import ComboBox
from qtpy.QtWidgets import QComboBox, QGridLayout, QHBoxLayout, QPushButton, QSizePolicy, QWidget

__all__ = ["in_a_row", "narrow", "side_by_side", "small_button"]


def narrow(choice: ComboBox) -> QComboBox:
    """Let a combo box be narrower than its longest entry, so that the dock stays narrow."""
    native: QComboBox = choice.native
    native.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    native.setMinimumContentsLength(8)
    native.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
    return native


def small_button(text: str, hint: str) -> QPushButton:
    """Return a button that may be as narrow as its place, with a tool tip."""
    button = QPushButton(text)
    button.setToolTip(hint)
    button.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
    return button


def side_by_side(*widgets: QWidget) -> QGridLayout:
    """Put widgets in a row, equally wide."""
    grid = QGridLayout()
    grid.setContentsMargins(0, 0, 0, 0)
    for column, widget in enumerate(widgets):
        grid.addWidget(widget, 0, column)
        grid.setColumnStretch(column, 1)
    return grid


def in_a_row(*widgets: QWidget) -> QHBoxLayout:
    """Put widgets in a row, each as wide as it wants."""
    layout = QHBoxLayout()
    layout.setContentsMargins(0, 0, 0, 0)
    for widget in widgets:
        layout.addWidget(widget)
    return layout
