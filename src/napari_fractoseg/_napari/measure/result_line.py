"""Lines on a measurement: the mark that it is old, the sentence, the denominator, caveats."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_fractoseg._napari.widgets.plain_text import plain_label
from napari_fractoseg._napari.widgets.style import MARK_STYLE, SMALL_STYLE
from napari_fractoseg.measurement.estimates import Measurement

__all__ = ["ResultLines"]


class ResultLines(QWidget):
    """Lines on a measurement, which are marked when it is not that of what is shown.

    Attributes
    ----------
    caveats : QLabel
        Line with what limits the number, for the dock to put below the figures.
    """

    def __init__(self) -> None:
        super().__init__()
        self.old = plain_label()
        self.old.setStyleSheet(MARK_STYLE)
        self.sentence, self.error, self.areas, self.caveats = (plain_label() for _ in range(4))
        for label in (self.error, self.areas, self.caveats):
            label.setStyleSheet(SMALL_STYLE)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(3)
        for label in (self.old, self.sentence, self.error, self.areas):
            layout.addWidget(label)
        for label in (self.old, self.sentence, self.error, self.areas, self.caveats):
            label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.hide()
        self.caveats.hide()

    def show_measurement(self, measurement: Measurement | None) -> None:
        """Show the sentence and all that belongs beside it; nothing without a measurement."""
        self.setVisible(measurement is not None)
        self.caveats.setVisible(measurement is not None)
        if measurement is None:
            self.mark("")
            return
        self.sentence.setText(str(measurement))
        self.error.setText(measurement.error_sentence)
        accuracies = [
            f"{found.class_name}: {text}"
            for found in measurement.mode_estimates
            if (text := found.sampling.accuracy_text())
        ]
        lines = (*accuracies, measurement.pooled_text(), str(measurement.areas))
        self.areas.setText("\n".join(filter(None, lines)))
        others = [c for c in measurement.caveats if c != measurement.error_sentence]
        self.caveats.setText("\n".join(f"· {caveat}" for caveat in others))

    def mark(self, text: str) -> None:
        """Say why the numbers are old, and show them in grey; an empty text takes that back."""
        self.old.setText(text)
        self.old.setVisible(bool(text))
        for label in (self.sentence, self.error, self.areas, self.caveats):
            label.setEnabled(not text)
