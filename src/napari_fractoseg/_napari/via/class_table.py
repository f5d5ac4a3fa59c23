"""Table in which the user maps the values of a VIA attribute to classes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QAbstractItemView,
    QComboBox,
    QHeaderView,
    QTableWidget,
    QTableWidgetItem,
    QWidget,
)

from napari_fractoseg._napari.widgets.class_legend import swatch
from napari_fractoseg._napari.widgets.plain_text import plain_text
from napari_fractoseg.annotations.class_mapping import ClassMapping, attribute_values
from napari_fractoseg.annotations.source import AnnotationSource
from napari_fractoseg.classes import ClassScheme
from napari_fractoseg.text import printable

__all__ = ["LEFT_OUT", "ClassTable"]

LEFT_OUT = "leave out"
_NO_VALUE = "(no value)"
_ALL_REGIONS = "(all regions)"
_ROWS_SHOWN = 6
_MOST_NEW_CLASSES = 50
_MOST_ROWS = 100
_LONGEST, _LONGEST_HINT = 18, 1000
"""Most characters of a value in its cell, which leaves room for its class, and in its tool tip."""


class ClassTable(QTableWidget):
    """Table of an attribute's values: number of regions, and the class that is chosen for each.

    Parameters
    ----------
    scheme : ClassScheme
        Classes that are known.
    parent : QWidget, optional
        Qt parent of the table.
    """

    changed = Signal()

    def __init__(self, scheme: ClassScheme, parent: QWidget | None = None) -> None:
        super().__init__(0, 3, parent)
        self._base = scheme
        self.scheme = scheme
        self.counts: Counter[str] = Counter()
        self.choices: dict[str, QComboBox] = {}
        self.setHorizontalHeaderLabels(["in the file", "regions", "class"])
        self.verticalHeader().hide()
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
        header = self.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(2, QHeaderView.ResizeMode.Stretch)
        self._fit()

    def show_values(self, source: AnnotationSource, attribute: str) -> None:
        """Show the values of an attribute with the classes that can be guessed.

        Unknown values are offered as new classes.

        Parameters
        ----------
        source : AnnotationSource
            Annotation file whose regions are counted.
        attribute : str
            Name of the region attribute.
        """
        self.counts = attribute_values(source.document)[attribute]
        guessed = self._guess(source, attribute)
        self.choices = {}
        shown = self.counts.most_common(_MOST_ROWS)
        rest = self.counts.total() - sum(count for _, count in shown)
        self.setRowCount(len(shown) + bool(rest))
        for row, (value, count) in enumerate(shown):
            self.setItem(row, 0, _named(value or _NO_VALUE))
            self.setItem(row, 1, QTableWidgetItem(str(count)))
            self.choices[value] = self._chooser(guessed.get(value))
            self.setCellWidget(row, 2, self.choices[value])
        if rest:
            texts = f"{len(self.counts) - len(shown)} more values", str(rest), LEFT_OUT
            for column, text in enumerate(texts):
                self.setItem(len(shown), column, QTableWidgetItem(text))
        self._fit()

    def show_all(self, count: int) -> None:
        """Show one row for all regions, whatever they say; no class is chosen for them yet."""
        self.scheme = self._base
        self.counts = Counter({"": count})
        self.choices = {"": self._chooser(None)}
        self.setRowCount(1)
        self.setItem(0, 0, _named(_ALL_REGIONS))
        self.setItem(0, 1, QTableWidgetItem(str(count)))
        self.setCellWidget(0, 2, self.choices[""])
        self._fit()

    def chosen(self, value: str) -> str | None:
        """Return the name of the class that is chosen for a value; None if it is left out."""
        name = self.choices[value].currentText()
        return None if name == LEFT_OUT else name

    def _guess(self, source: AnnotationSource, attribute: str) -> Mapping[str, str | None]:
        """Return value -> name of its class; free texts do not become new classes."""
        if len(self.counts) > _MOST_NEW_CLASSES:
            self.scheme = self._base
            return {v: c.name for v in self.counts if (c := self._base.get(v)) is not None}
        options = replace(source.options, attribute=attribute)
        mapping = replace(source, options=options).mapping(self._base)
        self.scheme = mapping.scheme
        return mapping.classes

    def _chooser(self, chosen: str | None) -> QComboBox:
        box = QComboBox()
        for fracture_class in self.scheme:
            box.addItem(swatch(fracture_class), fracture_class.name)
        box.addItem(LEFT_OUT)
        box.setCurrentText(chosen or LEFT_OUT)
        box.currentTextChanged.connect(self._on_choice)
        return box

    def _on_choice(self, _text: Any = None) -> None:
        self.changed.emit()

    def _fit(self) -> None:
        """Make the table as high as its rows need, so that the dock does not scroll."""
        rows = min(max(self.rowCount(), 1), _ROWS_SHOWN)
        height = self.horizontalHeader().sizeHint().height()
        self.setFixedHeight(height + rows * self.verticalHeader().defaultSectionSize() + 4)

    def mapping(self, attribute: str) -> ClassMapping:
        """Return the chosen mapping of an attribute's values to classes."""
        classes = {value: self.chosen(value) for value in self.choices}
        classes |= {value: None for value in self.counts if value not in classes}
        used = {name for name in classes.values() if name} | set(self._base.names)
        scheme = ClassScheme(self.scheme.name, tuple(c for c in self.scheme if c.name in used))
        return ClassMapping(attribute, scheme, {"": None, **classes}, "first")

    def class_counts(self) -> dict[str, int]:
        """Return name of a class, or `LEFT_OUT` -> number of regions, most frequent first."""
        counts: Counter[str] = Counter()
        for value, count in self.counts.items():
            box = self.choices.get(value)
            counts[LEFT_OUT if box is None else box.currentText()] += count
        return dict(counts.most_common())


def _named(value: str) -> QTableWidgetItem:
    """Return a cell that shows a value, shortened, and the whole of it as its tool tip."""
    shown = printable(value)
    item = QTableWidgetItem(shown if len(shown) <= _LONGEST else f"{shown[: _LONGEST - 2]}…")
    item.setToolTip(plain_text(shown[:_LONGEST_HINT]))
    return item
