"""The controls of the training dock and their order; what they do is in `training_widget`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from magicgui.widgets import ComboBox, LineEdit
from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QFormLayout,
    QFrame,
    QGridLayout,
    QLabel,
    QMenu,
    QPushButton,
    QScrollArea,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from napari_fractoseg._napari.train.curves import TrainingCurves
from napari_fractoseg._napari.train.next_places import NextPlaces
from napari_fractoseg._napari.train.options import TrainingOptions
from napari_fractoseg._napari.train.pairs import PairsTable
from napari_fractoseg._napari.train.texts import training_text
from napari_fractoseg._napari.widgets.controls import DeviceLine, ModelPicker, ProgressRow, narrow
from napari_fractoseg.classes import ClassScheme

if TYPE_CHECKING:
    import napari.viewer

__all__ = ["TrainingPanel"]

_BUDGETS = (("1 min", 1.0), ("5 min", 5.0), ("15 min", 15.0), ("1 h", 60.0), ("8 h", 480.0))
_PAIRS_HEIGHT_PX = 150
_KEYS = "Keys on the labels layer: 1–9 class · P brush · F fill · E erase · Z move\nHere: N, B next, previous place · Esc stop"  # noqa: RUF001, E501


class TrainingPanel(QScrollArea):
    """Everything that the training dock shows, from top to bottom in the order of work.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Its layers are offered.
    scheme : callable
        Returns the classes of layers that are not ours.
    """

    def __init__(
        self, viewer: napari.viewer.Viewer, scheme: Callable[[], ClassScheme | None]
    ) -> None:
        super().__init__()
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.start = ModelPicker(without_model="a new network")
        self.pairs = PairsTable(viewer, scheme)
        self.name = LineEdit(name="name")
        self.name.native.setToolTip("Under this name the new model will be in the list of models")
        self.budget = ComboBox(choices=_BUDGETS, value=5.0, name="time")
        narrow(self.budget).setToolTip("Until it no longer improves, at most this long")
        self.device = DeviceLine()
        self.options = TrainingOptions()
        self.button = QPushButton("Train")
        self.progress = ProgressRow(
            describe=training_text,
            cancel_text="Stop",
            cancel_hint="Stop after this step and keep the best so far (Esc)",
            stopping_text="stopping after this step, keeping the best …",
        )
        self.curves = TrainingCurves(viewer)
        self.curves.hide()
        self.places = NextPlaces(viewer)
        self._make_buttons()
        self._make_lines()
        self._lay_out()

    def _make_buttons(self) -> None:
        self.source_button = _small("+ annotations …", "A folder of masks, or a VIA file")
        self.restore_button = QToolButton()
        self.restore_button.setText("Restore painted ▾")
        self.restore_button.setToolTip("Bring back what was painted before an earlier training")
        self.restore_button.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.restore_button.setMenu(QMenu(self.restore_button))
        self.plane_button = _small(
            "This plane is correct", "All labels of the plane that is shown teach, as they are now"
        )
        self.area_button = _small(
            "Mark correct areas",
            "Paint or outline (polygon tool), on a layer of its own, where the labels are right",
        )
        self.resume_button = _small("Resume", "Go on where it was interrupted")
        self.discard_button = _small("Discard", "Forget the interrupted training")
        self.random_button = QPushButton("Train from random weights")
        self.random_button.setToolTip("The same training, without the weights that are missing")
        self.random_button.hide()
        self.segment_button = QPushButton("Segment with it")
        self.changes_button = QPushButton("Show what changed")
        self.changes_button.setToolTip("A layer of the pixels that got another class")
        self.next_button = QPushButton("Where to paint next >")
        self.next_button.setToolTip("The places that the model is least sure about")
        self.command_button = _small("Copy command", "The same training without a window")

    def _make_lines(self) -> None:
        self.banner, self.state_line, self.result_line = QLabel(), QLabel(), QLabel()
        for line in (self.banner, self.state_line, self.result_line):
            line.setWordWrap(True)
            line.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
            line.hide()
        self.result_line.setTextFormat(Qt.TextFormat.RichText)

    def _lay_out(self) -> None:
        inner = QWidget()
        layout = QVBoxLayout(inner)
        layout.setContentsMargins(6, 4, 6, 4)
        layout.setSpacing(4)
        layout.addWidget(self.banner)
        layout.addLayout(_grid(self.resume_button, self.discard_button))
        layout.addWidget(QLabel("<b>Learn from</b>"))
        layout.addWidget(_scrolled(self.pairs))
        layout.addLayout(_grid(self.plane_button, self.area_button))
        layout.addLayout(_grid(self.source_button, self.restore_button))
        form = QFormLayout()
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.setContentsMargins(0, 4, 0, 0)
        form.addRow("Start from", self.start)
        form.addRow("New name", self.name.native)
        form.addRow("Time", self.budget.native)
        form.addRow("Device", self.device)
        layout.addLayout(form)
        for widget in (
            self.options,
            self.button,
            self.progress,
            self.curves,
            self.state_line,
            self.random_button,
            self.result_line,
        ):
            layout.addWidget(widget)
        layout.addLayout(_grid(self.segment_button, self.changes_button))
        layout.addWidget(self.next_button)
        layout.addWidget(self.places)
        keys = QLabel(_KEYS)
        keys.setWordWrap(True)
        keys.setStyleSheet("font-size: 9pt; color: gray")
        layout.addWidget(keys)
        layout.addWidget(self.command_button)
        layout.addStretch(1)
        self.setWidget(inner)
        # Nothing is cut off at the right, with or without a scroll bar.
        bar = self.verticalScrollBar()
        width = inner.minimumSizeHint().width() + (0 if bar is None else bar.sizeHint().width())
        self.setMinimumWidth(width)


def _small(text: str, hint: str) -> QPushButton:
    button = QPushButton(text)
    button.setToolTip(hint)
    button.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
    return button


def _grid(*widgets: QWidget) -> QGridLayout:
    """Put widgets side by side, equally wide."""
    grid = QGridLayout()
    grid.setContentsMargins(0, 0, 0, 0)
    for column, widget in enumerate(widgets):
        grid.addWidget(widget, 0, column)
        grid.setColumnStretch(column, 1)
    return grid


def _scrolled(widget: QWidget) -> QScrollArea:
    area = QScrollArea()
    area.setWidgetResizable(True)
    area.setWidget(widget)
    area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    area.setMinimumHeight(_PAIRS_HEIGHT_PX // 2)
    area.setMaximumHeight(_PAIRS_HEIGHT_PX)
    return area
