"""Small tables of the result of an audit, for a narrow dock."""

from __future__ import annotations

import math
from collections.abc import Sequence

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTableWidget, QTableWidgetItem

from napari_fractoseg._napari.widgets.plain_text import plain_text
from napari_fractoseg.audit.result import AuditResult
from napari_fractoseg.measurement.estimates import MODES

__all__ = ["SmallTable", "fraction_rows", "matrix_rows"]

_LINE_PX, _MARGIN_PX = 15, 6
_UNKNOWN = "–"  # noqa: RUF001 - as one writes what is not known

Table = tuple[Sequence[str], Sequence[str], Sequence[Sequence[str]]]
"""Titles of the rows, titles of the columns, and cells of a table."""


class SmallTable(QTableWidget):
    """Table of texts that is as high as its rows and as wide as its dock."""

    def __init__(self) -> None:
        super().__init__()
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setStyleSheet("font-size: 9pt")
        columns, rows = self.horizontalHeader(), self.verticalHeader()
        assert columns is not None and rows is not None  # noqa: S101, PT018 - each table has both
        columns.setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
        columns.setMinimumSectionSize(20)
        columns.setTextElideMode(Qt.TextElideMode.ElideRight)
        rows.setMinimumSectionSize(_LINE_PX)
        rows.setSectionResizeMode(QHeaderView.ResizeMode.Fixed)

    def fill(
        self, rows: Sequence[str], columns: Sequence[str], cells: Sequence[Sequence[str]]
    ) -> None:
        """Show cells with the titles of their rows and columns."""
        self.setRowCount(len(rows))
        self.setColumnCount(len(columns))
        self.setHorizontalHeaderLabels([plain_text(name) for name in columns])
        self.setVerticalHeaderLabels([plain_text(name) for name in rows])
        for row, texts in enumerate(cells):
            for column, text in enumerate(texts):
                item = QTableWidgetItem(plain_text(text))
                item.setTextAlignment(Qt.AlignmentFlag.AlignCenter)
                where = f"{rows[row]} / {columns[column]}: {text}".replace("\n", " ")
                item.setToolTip(plain_text(where))
                self.setItem(row, column, item)
        n_lines = max(text.count("\n") + 1 for texts in (rows, *cells) for text in texts)
        height = n_lines * _LINE_PX + _MARGIN_PX
        for row in range(len(rows)):
            self.setRowHeight(row, height)
        header = self.horizontalHeader()
        above = height if header is None else header.sizeHint().height()
        self.setFixedHeight(above + height * len(rows) + 2 * self.frameWidth())

    def as_text(self) -> str:
        """Return the table with tabs between the cells."""
        lines = []
        for row in range(-1, self.rowCount()):
            cells = [self._cell(row, column) for column in range(self.columnCount())]
            lines.append("\t".join([self._title(row), *cells]).replace("\n", " "))
        return "\n".join(lines)

    def _title(self, row: int) -> str:
        item = None if row < 0 else self.verticalHeaderItem(row)
        return "" if item is None else item.text()

    def _cell(self, row: int, column: int) -> str:
        item = self.horizontalHeaderItem(column) if row < 0 else self.item(row, column)
        return "" if item is None else item.text()


def fraction_rows(result: AuditResult) -> Table:
    """Return the fractions by hand, by the labels, and corrected, in percent with intervals."""
    rows, cells = [], []
    for found in sorted(result.manual, key=lambda found: found.of != MODES):
        name, of = found.class_name, found.of
        corrected = result.adjusted_fraction(name, of)
        rows.append(f"{name}\nof modes" if of == MODES else name)
        cells.append(
            (
                _percent(found.value, found.low, found.high),
                _percent(result.labelled_fraction(name, of)),
                _UNKNOWN
                if corrected is None
                else _percent(corrected.value, corrected.low, corrected.high),
            )
        )
    return rows, ("by hand", "labels", "corrected"), cells


def matrix_rows(result: AuditResult) -> Table:
    """Return the confusion matrix: number of points by class of the labels and by hand."""
    table = result.confusion
    cells = [[f"{number:g}" for number in row] for row in table.to_numpy()]
    return list(map(str, table.index)), list(map(str, table.columns)), cells


def _percent(value: float, low: float = math.nan, high: float = math.nan) -> str:
    if math.isnan(value):
        return _UNKNOWN
    limits = "" if math.isnan(low) else f"\n{100 * low:.0f} to {100 * high:.0f}"
    return f"{100 * value:.1f} %{limits}"
