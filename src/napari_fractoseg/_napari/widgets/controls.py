"""Controls that the widgets share: model and device."""

from __future__ import annotations

from typing import Any

from magicgui.widgets import ComboBox
from qtpy.QtCore import QSize, Qt, Signal, Slot
from qtpy.QtGui import QTextCursor, QTextDocument
from qtpy.QtWidgets import (
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QMessageBox,
    QPushButton,
    QSizePolicy,
    QTextBrowser,
    QVBoxLayout,
    QWidget,
)

from napari_fractoseg._napari.jobs import Run, State
from napari_fractoseg._napari.torch_import import prepare_torch
from napari_fractoseg.jobs import Job, Progress
from napari_fractoseg.models.readme import readme_text
from napari_fractoseg.models.registry import ModelEntry, list_models, user_folder

__all__ = ["DeviceLine", "ModelPicker", "narrow", "side_by_side", "small_button"]

_MOST_CHARACTERS = 17
"""Of a model's name, as broad as X: the bundled one can be read, and the dock stays narrow."""


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


def _row(*widgets: QWidget) -> QHBoxLayout:
    layout = QHBoxLayout()
    layout.setContentsMargins(0, 0, 0, 0)
    for widget in widgets:
        layout.addWidget(widget)
    return layout


class ModelPicker(QWidget):
    """Chooses among the bundled and the user's own models; the card is one click away.

    Parameters
    ----------
    parent : QWidget, optional
    without_model : str
        Further choice, at the end, that stands for no model; empty for none.
    """

    changed = Signal()

    def __init__(self, parent: QWidget | None = None, *, without_model: str = "") -> None:
        super().__init__(parent)
        self._without_model = without_model
        self._entries: dict[str, ModelEntry] = {}
        self._look()
        self.choice = ComboBox(choices=self._choices, name="model")
        self.choice.changed.connect(self._on_change)
        self.card_button = QPushButton("Card")
        self.card_button.setToolTip("What this model was made from and how well it does")
        self.card_button.clicked.connect(self.show_card)
        self.setLayout(_row(narrow(self.choice), self.card_button))
        self.refresh()

    @property
    def entry(self) -> ModelEntry | None:
        """The chosen model, None if there is no model."""
        return self._entries.get(self.choice.value)

    @property
    def missing_text(self) -> str:
        """What to do when there is no model."""
        return (
            "No model was found. Reinstall napari-fractoseg (its own model is missing), or put a "
            f"model folder into {user_folder()}."
        )

    def refresh(self) -> None:
        """Look for models again; the choice is kept where it can be."""
        self._look()
        self.choice.reset_choices()
        longest = max((len(title) for title, _ in self._choices()), default=0)
        self.choice.native.setMinimumContentsLength(max(8, min(longest, _MOST_CHARACTERS)))
        self._on_change()

    def _look(self) -> None:
        self._entries = {str(entry.folder): entry for entry in list_models()}

    def _choices(self, _widget: Any = None) -> list[tuple[str, str]]:
        none = [(self._without_model, "")] if self._without_model else []
        return [(entry.title, folder) for folder, entry in self._entries.items()] + none

    def _on_change(self, _value: Any = None) -> None:
        self.card_button.setEnabled(self.entry is not None)
        if self.entry is not None:
            self.choice.native.setToolTip(f"{self.entry.title}\n{self.entry.card.description}")
        self.changed.emit()

    def show_card(self) -> QDialog | None:
        """Open the card in a window of its own."""
        if self.entry is None:
            return None
        dialog = QDialog(self)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.setWindowTitle(self.entry.title)
        text = QTextBrowser()
        text.setOpenLinks(False)
        features = QTextDocument.MarkdownFeature
        text.document().setMarkdown(
            readme_text(self.entry.card),
            # What a card says is text: HTML in it could load pictures.
            features.MarkdownDialectGitHub | features.MarkdownNoHTML,
        )
        text.moveCursor(QTextCursor.MoveOperation.Start)
        folder = QLabel(f"Folder: {self.entry.folder}")
        folder.setWordWrap(True)
        folder.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        buttons.rejected.connect(dialog.reject)
        layout = QVBoxLayout(dialog)
        for widget in (text, folder, buttons):
            layout.addWidget(widget)
        dialog.resize(QSize(680, 720))
        dialog.open()
        return dialog


def _find_devices() -> Job[list[Any]]:
    """Look for devices; importing PyTorch takes seconds."""
    yield Progress(0, 1, "looking for a GPU")
    prepare_torch()
    from napari_fractoseg.models.devices import list_devices

    return list_devices()


class DeviceLine(QWidget):
    """Says which device was found, and why it is no GPU; looks for it in a thread."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._devices: list[Any] = []
        self.why_not_gpu = ""
        self.choice = ComboBox(choices=self._choices, name="device")
        self.choice.native.setToolTip("Where the model runs")
        self.label = QLabel("looking for a GPU …")
        self.why_button = QPushButton("Why no GPU?")
        self.why_button.clicked.connect(self.explain)
        self.why_button.hide()
        layout = _row(self.label, narrow(self.choice))
        layout.addStretch()
        layout.addWidget(self.why_button)
        self.setLayout(layout)
        self._show([(self.label.text(), "auto")])
        self._search = Run(_find_devices(), "looking for a GPU")
        self._search.ended.connect(self._on_search_end)
        self._search.start()

    @property
    def device(self) -> str:
        """Name for `choose_device`; ``auto`` until the devices are known."""
        return str(self.choice.value)

    def _choices(self, _widget: Any = None) -> list[tuple[str, str]]:
        return self._devices

    def _show(self, devices: list[tuple[str, str]]) -> None:
        self._devices = devices
        self.choice.reset_choices()
        self.choice.native.setVisible(len(devices) > 1)
        self.label.setText(devices[0][0])
        self.label.setVisible(len(devices) == 1)

    @Slot()
    def _on_search_end(self) -> None:
        if self._search.state is State.FAILED:
            self._show([("PyTorch cannot be loaded", "auto")])
            self.why_button.setText("Why?")
            self._explain_with(str(self._search.error))
        elif self._search.state is State.DONE:
            devices = self._search.result
            self._show([(d.label, d.name) for d in devices])
            self._explain_with(devices[-1].why_not_gpu)

    def _explain_with(self, text: str) -> None:
        self.why_not_gpu = text
        self.why_button.setToolTip(text)
        self.why_button.setVisible(bool(text))

    def explain(self) -> QMessageBox:
        """Show why no GPU is used and what to do."""
        box = QMessageBox(self)
        box.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        box.setWindowTitle("Why no GPU?")
        box.setText(self.why_not_gpu)
        box.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        box.open()
        return box
