"""What can be said before a training: which areas are right, and what else to learn from."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from napari.layers import Labels
from qtpy.QtCore import QObject, Slot

from napari_fractoseg._napari.layers import current_plane
from napari_fractoseg._napari.train.corrections import mark_checked
from napari_fractoseg._napari.train.painted import read_painted
from napari_fractoseg._napari.train.pairs import PairRow
from napari_fractoseg._napari.train.panel import TrainingPanel
from napari_fractoseg._napari.train.request import saved_trainings
from napari_fractoseg._napari.train.source_dialog import SourceDialog
from napari_fractoseg.classes import ClassScheme
from napari_fractoseg.errors import FractosegError

if TYPE_CHECKING:
    import napari.viewer

__all__ = ["BeforeTraining"]

_MENU_LENGTH = 10


class BeforeTraining(QObject):
    """The buttons below the list of what is learnt from.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Its layers are used.
    panel : TrainingPanel
        Holds the buttons.
    scheme : callable
        Returns the classes of layers that are not ours.
    on_failure : callable
        Shows a `FractosegError`.
    """

    def __init__(
        self,
        viewer: napari.viewer.Viewer,
        panel: TrainingPanel,
        scheme: Callable[[], ClassScheme],
        on_failure: Callable[[FractosegError], object],
    ) -> None:
        super().__init__()
        self._viewer, self._panel = viewer, panel
        self._scheme, self._on_failure = scheme, on_failure
        panel.plane_button.clicked.connect(self.check_plane)
        panel.area_button.clicked.connect(self.check_areas)
        panel.source_button.clicked.connect(self.ask_for_source)
        panel.restore_button.menu().aboutToShow.connect(self.fill_restore_menu)

    def show(self) -> None:
        """Let only those buttons be pressed that make sense now."""
        for button in (self._panel.plane_button, self._panel.area_button):
            button.setEnabled(self._active_row() is not None)

    def _active_row(self) -> PairRow | None:
        rows = self._panel.pairs
        row = rows.row_of(self._viewer.layers.selection.active)
        return row or (rows.rows[0] if len(rows.rows) == 1 else None)

    @Slot()
    def check_plane(self) -> None:
        """Let everything in the plane that is shown teach, as it is now."""
        row = self._active_row()
        if row is not None:
            units = getattr(self._viewer.dims, "units", None)
            plane = current_plane(row.labels, self._viewer.dims.point, units)
            mark_checked(self._viewer, row.labels, plane).visible = False
            self._viewer.layers.selection.active = row.labels
            row.recount(self._scheme(), force=True)

    @Slot()
    def check_areas(self) -> None:
        """Take the brush to paint where the labels are right."""
        row = self._active_row()
        if row is not None:
            layer = mark_checked(self._viewer, row.labels)
            layer.visible = True
            layer.mode = "paint"
            self._viewer.layers.selection.active = layer

    @Slot()
    def ask_for_source(self) -> SourceDialog:
        """Ask for a folder of images with masks or a VIA file."""
        dialog = SourceDialog(self._panel.pairs.annotations, self._panel)
        dialog.chosen.connect(self._panel.pairs.add_source)
        dialog.open()
        return dialog

    @Slot()
    def fill_restore_menu(self) -> None:
        """List what was painted before earlier trainings, the newest first."""
        menu = self._panel.restore_button.menu()
        menu.clear()
        for folder in saved_trainings()[:_MENU_LENGTH]:
            menu.addAction(folder.parent.name, partial(self.restore, folder))
        if menu.isEmpty():
            menu.addAction("nothing was saved yet").setEnabled(False)

    def restore(self, folder: Path) -> list[Labels]:
        """Add the layers that were painted before an earlier training."""
        try:
            saved = read_painted(folder)
        except FractosegError as error:
            self._on_failure(error)
            return []
        layers = []
        for layer, checked in saved:
            self._viewer.add_layer(layer)
            layers.append(layer)
            if checked is not None:
                area = mark_checked(self._viewer, layer)
                area.data[checked] = 1
                area.visible = False
        self._panel.pairs.refresh()
        return layers
