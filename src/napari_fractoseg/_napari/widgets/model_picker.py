"""Choice of a model, with its card in a window."""

from __future__ import annotations

from typing import Any

from magicgui.widgets import ComboBox
from qtpy.QtCore import QSize, Qt, Signal
from qtpy.QtGui import QTextCursor, QTextDocument
from qtpy.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_fractoseg._napari.layers import unique_name
from napari_fractoseg._napari.widgets.controls import in_a_row, narrow
from napari_fractoseg._napari.widgets.plain_text import TextBrowser, plain_label, plain_text
from napari_fractoseg.models.readme import readme_text
from napari_fractoseg.models.registry import ModelEntry, list_models, user_folder
from napari_fractoseg.text import printable

__all__ = ["ModelPicker"]

_MOST_CHARACTERS = 17
"""Width of the choice in characters X: the bundled model's name fits, and the dock is narrow."""


class ModelPicker(QWidget):
    """Choice among the bundled and the user's own models, with a button for the card.

    Parameters
    ----------
    parent : QWidget, optional
        Qt parent of the widget.
    without_model : str
        Text of a further choice, at the end, that stands for no model; empty for none.
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
        self.setLayout(in_a_row(narrow(self.choice), self.card_button))
        self.refresh()

    @property
    def entry(self) -> ModelEntry | None:
        """Folder and card of the chosen model, None if there is no model."""
        return self._entries.get(self.choice.value)

    @property
    def missing_text(self) -> str:
        """Text on what to do when there is no model."""
        return (
            "No model was found. Reinstall napari-fractoseg (its own model is missing), or put a "
            f"model folder into {user_folder()}."
        )

    def refresh(self) -> None:
        """Offer the models that are there now; the choice is kept where it can be."""
        self._look()
        self.choice.reset_choices()
        longest = max((len(title) for title, _ in self._choices()), default=0)
        self.choice.native.setMinimumContentsLength(max(8, min(longest, _MOST_CHARACTERS)))
        self._on_change()

    def prefer(self, name: str) -> None:
        """Choose the model of a name, if there is one."""
        folder = next((f for f, entry in self._entries.items() if entry.key == name), None)
        if folder is not None:
            self.choice.value = folder

    def _look(self) -> None:
        self._entries = {str(entry.folder): entry for entry in list_models()}

    def _choices(self, _widget: Any = None) -> list[tuple[str, str]]:
        none = [(self._without_model, "")] if self._without_model else []
        shown: dict[str, str] = {}  # a title that two have would be shown once
        for folder, entry in self._entries.items():
            title = printable(entry.title)
            named = f"{title} · {printable(entry.key)}" if title in shown else title
            shown[unique_name(named, shown)] = folder
        return [*shown.items(), *none]

    def _on_change(self, _value: Any = None) -> None:
        self.card_button.setEnabled(self.entry is not None)
        if self.entry is not None:
            self.choice.native.setToolTip(
                plain_text(f"{self.entry.title}\n{self.entry.card.description}")
            )
        self.changed.emit()

    def show_card(self) -> QDialog | None:
        """Open the card of the chosen model in a window of its own."""
        if self.entry is None:
            return None
        dialog = QDialog(self)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.setWindowTitle(printable(self.entry.title))
        text = TextBrowser()
        features = QTextDocument.MarkdownFeature
        text.document().setMarkdown(
            printable(readme_text(self.entry.card)),
            # What a card says is text: HTML in it could load pictures.
            features.MarkdownDialectGitHub | features.MarkdownNoHTML,
        )
        text.moveCursor(QTextCursor.MoveOperation.Start)
        folder = plain_label(f"Folder: {self.entry.folder}")
        folder.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        buttons.rejected.connect(dialog.reject)
        layout = QVBoxLayout(dialog)
        for widget in (text, folder, buttons):
            layout.addWidget(widget)
        dialog.resize(QSize(680, 720))
        dialog.open()
        return dialog
