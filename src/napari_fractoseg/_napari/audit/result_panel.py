"""What a point count says so far by hand; and, once the operator wants it, against the labels."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from magicgui.widgets import FloatSpinBox
from qtpy.QtCore import Qt, Slot
from qtpy.QtGui import QGuiApplication
from qtpy.QtWidgets import QHBoxLayout, QLabel, QVBoxLayout, QWidget

from napari_fractoseg._napari.audit.result_tables import SmallTable, fraction_rows, matrix_rows
from napari_fractoseg._napari.widgets.controls import side_by_side, small_button
from napari_fractoseg._napari.widgets.plain_text import plain_label
from napari_fractoseg.audit.agreement import operators_kappa
from napari_fractoseg.audit.planes import labelled_px, labels_at_points
from napari_fractoseg.audit.points import PointCount
from napari_fractoseg.audit.result import AuditResult, audit_result
from napari_fractoseg.errors import FractosegError, OutputExistsError
from napari_fractoseg.evaluation.agreement import Agreement
from napari_fractoseg.files import file_stem, read_json_object, write_bytes

__all__ = ["ResultPanel"]

_HALF_WIDTH_POINTS = 5.0
_BLIND = "What the labels say is hidden until you are done, so that it does not sway what you see."
_SEEN = "You have seen what the labels say: what you answer from now on is not blind."


class ResultPanel(QWidget):
    """Fraction by hand with its interval and the points still needed, and the comparison.

    Attributes
    ----------
    is_revealed : bool
        Whether the comparison with the labels is shown.
    """

    def __init__(self) -> None:
        super().__init__()
        self._count: PointCount | None = None
        self._path: Path | None = None
        self._result: AuditResult | None = None
        self._others: dict[str, Agreement] = {}
        self.is_revealed = False
        self.by_hand = plain_label()
        self.half_width = FloatSpinBox(
            value=_HALF_WIDTH_POINTS, min=0.5, max=49, step=0.5, name="half_width"
        )
        self.half_width.native.setDecimals(1)
        self.half_width.native.setToolTip(
            "Wanted half-width of the 95 % interval, in percentage points"
        )
        self.needed = plain_label()
        self.note = plain_label()
        self.note.setStyleSheet("color: gray")
        self.sentence, self.agreement, self.caveats = plain_label(), plain_label(), plain_label()
        for label in (self.by_hand, self.sentence, self.agreement):
            label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.caveats.setStyleSheet("font-size: 9pt; color: gray")
        self.fractions, self.matrix = SmallTable(), SmallTable()
        self.copy_button = small_button("Copy", "Sentence and tables, to paste elsewhere")
        self.save_button = small_button("Save result", "As a JSON file beside the points")
        self.saved_line = plain_label()
        self._lay_out()
        self.half_width.changed.connect(self._show_needed)
        self.copy_button.clicked.connect(self.copy)
        self.save_button.clicked.connect(self.save)
        self.hide()

    def _lay_out(self) -> None:
        wanted = QWidget()
        row = QHBoxLayout(wanted)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(QLabel("For ±"))
        row.addWidget(self.half_width.native)
        row.addWidget(self.needed, 1)
        self._comparison = QWidget()
        below = QVBoxLayout(self._comparison)
        below.setContentsMargins(0, 0, 0, 0)
        below.setSpacing(4)
        for widget in (
            self.sentence,
            self.fractions,
            QLabel("Points by label (row) and by hand (column)"),
            self.matrix,
            self.agreement,
            self.caveats,
        ):
            below.addWidget(widget)
        below.addLayout(side_by_side(self.copy_button, self.save_button))
        below.addWidget(self.saved_line)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        for widget in (self.by_hand, wanted, self.note, self._comparison):
            layout.addWidget(widget)

    # ---- what is shown ------------------------------------------------------------------

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
        goes_on: bool,
    ) -> None:
        """Show what an operator found so far.

        Parameters
        ----------
        count : PointCount or None
            Points with answers; None shows nothing.
        path : Path or None
            Their file.
        operator : str
            Name of the operator.
        labels : mapping of str to array, or None
            Labels as they are now: name of an image -> class values.
        goes_on : bool
            Whether the operator is being asked.
        """
        self._count, self._path = count, path
        told = {} if count is None or not operator else count.answers(operator)
        self.setVisible(bool(told))
        if count is None or not told:
            return
        now, areas, problem = None, None, ""
        if self.is_revealed:
            now, areas, problem = _labels_now(count, labels)
        self._result = result = audit_result(count, operator, now, labelled_px=areas)
        first = (result.mode_fractions or result.manual)[0]
        self.by_hand.setText(
            f"By hand: not known yet; points told: {result.n_judged}"
            if math.isnan(first.value)
            else f"By hand: {first.class_name} {first} of the {first.of}"
        )
        blind = (_SEEN if self.is_revealed else _BLIND) if goes_on else ""
        self.note.setText("\n".join(filter(None, (blind, problem))))
        self.note.setVisible(bool(self.note.text()))
        self._show_needed()
        self.by_hand.setVisible(not self.is_revealed)  # else the sentence says it
        self._comparison.setVisible(self.is_revealed)
        if self.is_revealed:
            self._compare(count, result)

    def _compare(self, count: PointCount, result: AuditResult) -> None:
        name = result.operator
        self._others = {
            other: operators_kappa(count, name, other)
            for other in count.operators
            if other != name and count.answers(other)
        }
        self.sentence.setText(str(result))
        self.fractions.fill(*fraction_rows(result))
        self.matrix.fill(*matrix_rows(result))
        lines = [f"{name} and {other}: {found}." for other, found in self._others.items()]
        self.agreement.setText("\n".join(lines))
        self.agreement.setVisible(bool(lines))
        self.caveats.setText("\n".join(result.caveats))
        self.saved_line.hide()

    @Slot()
    def _show_needed(self, _value: object = None) -> None:
        result = self._result
        needed = None if result is None else result.points_needed(self.half_width.value / 100)
        self.needed.setText("%: not known yet" if needed is None else f"%: {needed} points")

    # ---- copies -------------------------------------------------------------------------

    def text(self) -> str:
        """Return sentence and tables as text whose columns are divided by tabs."""
        if self._result is None:
            return ""
        parts = [self.sentence.text(), self.agreement.text(), *self._result.caveats]
        tables = (self.fractions.as_text(), self.matrix.as_text())
        return "\n\n".join(filter(None, ("\n".join(filter(None, parts)), *tables)))

    @Slot()
    def copy(self) -> None:
        """Copy sentence and tables to the clipboard."""
        clipboard = QGuiApplication.clipboard()
        if clipboard is not None:
            clipboard.setText(self.text())

    @Slot()
    def save(self) -> Path | None:
        """Save all figures beside the points as JSON, and return the file; None if it failed."""
        result, points = self._result, self._path
        if result is None or points is None:
            return None
        path = points.with_name(f"{points.stem} - {file_stem(result.operator)}.json")
        content = {
            "points": points.name,
            **result.to_dict(),
            "other_operators": {name: found.to_dict() for name, found in self._others.items()},
        }
        try:
            _write_result(path, content)
        except FractosegError as error:
            self._say(f"Not saved: {error}")
            return None
        self._say(f"Saved in {path.name}")
        return path

    def _say(self, text: str) -> None:
        self.saved_line.setText(text)
        self.saved_line.show()


def _labels_now(
    count: PointCount, labels: Mapping[str, Any] | None
) -> tuple[Any, dict[str, int] | None, str]:
    """Return class of the labels at each point, areas, and a text on how they differ from the plan.

    Where labels are missing, the first is None: then the labels of the plan are taken.
    """
    known = {name: array for name, array in (labels or {}).items() if name in count.images}
    try:
        now, areas = labels_at_points(count, known), labelled_px(count, known)
    except FractosegError as error:
        return None, None, f"Compared with the labels of the plan. {error}"
    n_changed = int((now.to_numpy() != count.points["stratum"].to_numpy()).sum())
    text = (
        f"At {n_changed} of {len(count)} points the labels are others than when the points were "
        "planned; it is compared with those of now."
    )
    return now, areas, text if n_changed else ""


def _write_result(path: Path, content: Mapping[str, Any]) -> None:
    """Write a result, in the place of an earlier one of the same points and operator only."""
    if path.exists():
        earlier = read_json_object(path) or {}
        if any(earlier.get(key) != content[key] for key in ("points", "operator")):
            raise OutputExistsError(f"{path} exists already. Move it, or give it another name.")
    data = json.dumps(content, indent=1, ensure_ascii=False)
    write_bytes(path, data.encode(), overwrite=True)
