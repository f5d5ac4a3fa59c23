"""Sources of a training: painted layers, checked areas, annotations on disk."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from napari.layers import Labels
from qtpy.QtCore import Qt, Signal, Slot
from qtpy.QtWidgets import QLabel, QMenu, QScrollArea, QToolButton, QVBoxLayout, QWidget

from napari_fractoseg._napari.corrections import (
    check_plane,
    is_plane_checked,
    mark_checked,
    uncheck_plane,
)
from napari_fractoseg._napari.layers import shown_plane
from napari_fractoseg._napari.train.painted import read_painted
from napari_fractoseg._napari.train.pairs import PairRow, PairsTable
from napari_fractoseg._napari.train.request import saved_trainings
from napari_fractoseg._napari.via.source_dialog import SourceDialog
from napari_fractoseg._napari.widgets.controls import side_by_side, small_button
from napari_fractoseg._napari.widgets.plain_text import button_text
from napari_fractoseg.classes import ClassScheme
from napari_fractoseg.errors import FractosegError

if TYPE_CHECKING:
    import napari.viewer

__all__ = ["LearnFrom"]

_MENU_LENGTH = 10
_PAIRS_HEIGHT_PX = 150
_CORRECT, _TAKE_BACK = "This plane is correct", "Take “correct” back"
_CORRECT_HINT = "All labels of the plane that is shown teach, as they are now"
_TAKE_BACK_HINT = "Of the plane that is shown, only what was checked before it was called correct"


class LearnFrom(QWidget):
    """List of the layers and files that are learnt from, with buttons that add to it.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Viewer whose layers are offered.
    scheme : callable
        Function that returns the classes of labels layers that are not ours.
    """

    changed = Signal()
    """Signal that other layers or files are learnt from, or other pixels of them."""
    failed = Signal(object)
    """Signal with the `FractosegError` of something that could not be added."""

    def __init__(
        self, viewer: napari.viewer.Viewer, scheme: Callable[[], ClassScheme | None]
    ) -> None:
        super().__init__()
        self._viewer, self._scheme = viewer, scheme
        self.pairs = PairsTable(viewer, scheme)
        self.plane_button = small_button(_CORRECT, "")
        self.area_button = small_button(
            "Mark correct areas",
            "Paint or outline (polygon tool), on a layer of its own, where the labels are right",
        )
        self.source_button = small_button(
            "+ annotations …", "A folder of masks, or a file of annotations"
        )
        self.restore_button = QToolButton()
        self.restore_button.setText("Restore painted ▾")
        # Qt would draw a second arrow over the first.
        self.restore_button.setStyleSheet("QToolButton::menu-indicator { image: none; }")
        self.restore_button.setToolTip("Bring back what was painted before an earlier training")
        self.restore_button.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.restore_menu = QMenu(self.restore_button)
        self.restore_button.setMenu(self.restore_menu)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(QLabel("<b>Learn from</b>"))
        layout.addWidget(_scrolled(self.pairs))
        layout.addLayout(side_by_side(self.plane_button, self.area_button))
        layout.addLayout(side_by_side(self.source_button, self.restore_button))
        self._connect()
        self._on_change()

    def _connect(self) -> None:
        self.plane_button.clicked.connect(self.check_plane)
        self.area_button.clicked.connect(self.check_areas)
        self.source_button.clicked.connect(self.ask_for_source)
        self.restore_menu.aboutToShow.connect(self.fill_restore_menu)
        self.pairs.changed.connect(self._on_change)
        self._viewer.layers.selection.events.active.connect(self._on_change)
        self._viewer.dims.events.current_step.connect(self._show_plane)

    @Slot()
    def _on_change(self, _event: object = None) -> None:
        """Enable the buttons that make sense now."""
        for button in (self.plane_button, self.area_button):
            button.setEnabled(self._active_row() is not None)
        self._show_plane()
        self.changed.emit()

    def _show_plane(self, _event: object = None) -> None:
        """Offer to mark the plane that is shown, or to take that back."""
        row = self._active_row()
        is_checked = row is not None and is_plane_checked(
            self._viewer, row.labels, self._plane_of(row)
        )
        self.plane_button.setText(_TAKE_BACK if is_checked else _CORRECT)
        self.plane_button.setToolTip(_TAKE_BACK_HINT if is_checked else _CORRECT_HINT)

    def _plane_of(self, row: PairRow) -> tuple[int, ...]:
        return shown_plane(self._viewer, row.labels)

    def _active_row(self) -> PairRow | None:
        row = self.pairs.row_of(self._viewer.layers.selection.active)
        return row or (self.pairs.rows[0] if len(self.pairs.rows) == 1 else None)

    @Slot()
    def check_plane(self) -> None:
        """Mark the plane that is shown as checked, so that all its labels teach, or take it back.

        Taken back, of the plane is checked what was checked before.
        """
        row = self._active_row()
        if row is not None:
            plane = self._plane_of(row)
            is_checked = is_plane_checked(self._viewer, row.labels, plane)
            change = uncheck_plane if is_checked else check_plane
            change(self._viewer, row.labels, plane)
            self._viewer.layers.selection.active = row.labels
            row.recount(self._scheme(), force=True)

    @Slot()
    def check_areas(self) -> None:
        """Select the brush, to paint over the areas where the labels are right."""
        row = self._active_row()
        if row is not None:
            layer = mark_checked(self._viewer, row.labels)
            layer.visible = True
            layer.mode = "paint"
            self._viewer.layers.selection.active = layer

    @Slot()
    def ask_for_source(self) -> SourceDialog:
        """Open a dialog that asks for a folder of images with masks or a VIA file."""
        dialog = SourceDialog(self.pairs.annotations, self)
        dialog.chosen.connect(self.pairs.add_source)
        dialog.open()
        return dialog

    @Slot()
    def fill_restore_menu(self) -> None:
        """Fill the menu with what was painted before earlier trainings, the newest first."""
        menu = self.restore_menu
        menu.clear()
        for folder in saved_trainings()[:_MENU_LENGTH]:
            menu.addAction(button_text(folder.parent.name), partial(self.restore, folder))
        if menu.isEmpty():
            menu.addAction("nothing was saved yet").setEnabled(False)

    def restore(self, folder: Path) -> list[Labels]:
        """Add the layers that were painted before an earlier training, from its folder."""
        try:
            saved = read_painted(folder)
        except FractosegError as error:
            self.failed.emit(error)
            return []
        layers = []
        for layer, checked in saved:
            self._viewer.add_layer(layer)
            layers.append(layer)
            if checked is not None:
                area = mark_checked(self._viewer, layer)
                area.data[checked] = 1
                area.visible = False
        self.pairs.refresh()
        return layers


def _scrolled(widget: QWidget) -> QScrollArea:
    area = QScrollArea()
    area.setWidgetResizable(True)
    area.setWidget(widget)
    area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    area.setMinimumHeight(_PAIRS_HEIGHT_PX // 2)
    area.setMaximumHeight(_PAIRS_HEIGHT_PX)
    return area
