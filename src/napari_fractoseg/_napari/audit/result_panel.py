"""What a point count says so far by hand; and, once the operator wants it, against the labels."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from magicgui.widgets import FloatSpinBox
from qtpy.QtCore import Slot
from qtpy.QtWidgets import QHBoxLayout, QLabel, QVBoxLayout, QWidget

from napari_fractoseg._napari.widgets.plain_text import plain_label
from napari_fractoseg.audit.manual import ManualFraction, manual_fractions
from napari_fractoseg.audit.points import PointCount
from napari_fractoseg.measurement.measure import MODES

__all__ = ["ResultPanel"]

_HALF_WIDTH_POINTS = 5.0
_BLIND = (
    "What the model says is hidden until you are done, so that it does not sway what you see."
)
_SEEN = "You have seen what the model says: what you answer from now on is not blind."


class ResultPanel(QWidget):
    """Fraction by hand with its interval and the points still needed, and the comparison."""

    def __init__(self) -> None:
        super().__init__()
        self._count: PointCount | None = None
        self._fraction: ManualFraction | None = None
        self.is_revealed = False
        self.by_hand = plain_label()
        self.half_width = FloatSpinBox(
            value=_HALF_WIDTH_POINTS, min=0.5, max=49, step=0.5, name="half_width"
        )
        self.half_width.native.setDecimals(1)
        self.half_width.native.setToolTip("Wanted half-width of the 95 % interval, in points of %")
        self.needed = plain_label()
        self.note = plain_label()
        self.note.setStyleSheet("color: gray")
        self._wanted = QWidget()
        row = QHBoxLayout(self._wanted)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(QLabel("For ±"))
        row.addWidget(self.half_width.native)
        row.addWidget(self.needed, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        for widget in (self.by_hand, self._wanted, self.note):
            layout.addWidget(widget)
        self.half_width.changed.connect(self._show_needed)
        self.hide()

    def forget(self) -> None:
        """Hide the comparison again, as another person counts."""
        self.is_revealed = False

    def reveal(self) -> None:
        """Show the comparison with the labels from now on."""
        self.is_revealed = True

    def show_count(
        self,
        count: PointCount | None,
        path: Path | None,
        operator: str,
        labels: Mapping[str, Any] | None,
    ) -> None:
        """Show what an operator found so far."""
        told = {} if count is None else count.answers(operator)
        self.setVisible(bool(told))
        if count is None or not told:
            return
        found = manual_fractions(count, operator)
        of_modes = [fraction for fraction in found if fraction.of == MODES]
        self._fraction = (of_modes or list(found))[0]
        self.by_hand.setText(f"By hand: {self._fraction.class_name} {self._fraction}")
        self.note.setText("" if self.is_revealed else _BLIND)
        self._show_needed()

    @Slot()
    def _show_needed(self, _value: object = None) -> None:
        fraction = self._fraction
        needed = None if fraction is None else fraction.points_needed(self.half_width.value / 100)
        self.needed.setText("% points of …: not known yet" if needed is None else f"%: {needed} points")
