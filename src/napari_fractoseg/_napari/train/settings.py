"""Choices of a training: model to start from, name of the new one, time, device, options."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from magicgui.widgets import ComboBox, LineEdit
from qtpy.QtCore import Signal, Slot
from qtpy.QtWidgets import QFormLayout, QVBoxLayout, QWidget

from napari_fractoseg._napari.preferences import preferences
from napari_fractoseg._napari.train.options import TrainingOptions
from napari_fractoseg._napari.widgets.controls import narrow
from napari_fractoseg._napari.widgets.device_line import DeviceLine
from napari_fractoseg._napari.widgets.model_picker import ModelPicker
from napari_fractoseg.classes import DEFAULT_SCHEME, ClassScheme
from napari_fractoseg.models.registry import list_models

__all__ = ["TrainingSettings"]

_SECONDS = 0.0
_BUDGETS = (
    ("seconds", _SECONDS),
    ("1 min", 1.0),
    ("5 min", 5.0),
    ("15 min", 15.0),
    ("1 h", 60.0),
    ("8 h", 480.0),
)


class TrainingSettings(QWidget):
    """Widget with the choices of a training other than what it learns from."""

    changed = Signal()
    """Signal that another model to start from, or another name, was chosen."""

    def __init__(self) -> None:
        super().__init__()
        self._named_by_user = False
        self.start = ModelPicker(without_model="a new network")
        self.name = LineEdit(name="name")
        self.name.native.setToolTip("Under this name the new model will be in the list of models")
        self.budget = ComboBox(choices=_BUDGETS, value=5.0, name="time")
        narrow(self.budget).setToolTip(
            "Until it no longer improves, at most this long. In seconds a model only learns to "
            "sum up anew what it sees"
        )
        self.device = DeviceLine(preferences().device)
        self.options = TrainingOptions()
        form = QFormLayout()
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.setContentsMargins(0, 4, 0, 0)
        form.addRow("Start from", self.start)
        form.addRow("New name", self.name.native)
        form.addRow("Time", self.budget.native)
        form.addRow("Device", self.device)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addLayout(form)
        layout.addWidget(self.options)
        self.start.changed.connect(self._on_start)
        self.name.native.textEdited.connect(self._on_name_edited)
        self.budget.changed.connect(self._on_budget)
        self._on_start()

    @property
    def scheme(self) -> ClassScheme:
        """Classes of the model to start from, for layers without classes; else the default ones."""
        entry = self.start.entry
        return DEFAULT_SCHEME if entry is None else entry.card.scheme

    @property
    def limits(self) -> dict[str, Any]:
        """Entries of `TrainingPlan` for the time that was chosen."""
        minutes = float(self.budget.value)
        if minutes == _SECONDS:
            return {"method": "readout"}
        return {"max_minutes": minutes}

    @property
    def missing_text(self) -> str:
        """What is missing in the choices, in words; empty if they fit together."""
        if not str(self.name.value).strip():
            return "Give the new model a name."
        if self.start.entry is None and "method" in self.limits:
            return (
                "A new network takes longer than seconds. Choose a model to start from, or more "
                "time."
            )
        return ""

    def start_from(self, folder: Path) -> None:
        """Choose the model in a folder to start from, and a free name for the new one."""
        self._named_by_user = False
        self.start.refresh()
        self.start.choice.value = str(folder)

    @Slot()
    def _on_start(self) -> None:
        entry = self.start.entry
        self.options.for_start(entry is None)
        if not self._named_by_user:
            self.name.value = _free_name("my model" if entry is None else entry.card.name)
        self.changed.emit()

    def _on_budget(self, _value: float) -> None:
        self.changed.emit()

    @Slot()
    def _on_name_edited(self) -> None:
        self._named_by_user = True
        self.changed.emit()


def _free_name(base: str) -> str:
    """Return a name that no model has: the given one, or with a number behind it."""
    taken = {entry.key for entry in list_models()}
    stem = base.rstrip("0123456789 ") if base.startswith("my ") else f"my {base}"
    name, number = stem, 1
    while name in taken:
        number += 1
        name = f"{stem} {number}"
    return name
