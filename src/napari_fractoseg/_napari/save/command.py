"""Command in napari's menu that saves a labels layer with all that is known of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import napari
from napari.layers import Labels
from qtpy.QtWidgets import QApplication

from napari_fractoseg._napari.corrections import is_teachable
from napari_fractoseg._napari.layers import scheme_of, unwrapped
from napari_fractoseg._napari.origin import recognise
from napari_fractoseg._napari.save.row import ask_folder
from napari_fractoseg._napari.save.saver import SaveRun, saver_of
from napari_fractoseg._napari.save.snapshot import folder_for
from napari_fractoseg._napari.widgets.plain_text import plain_errors, show_info
from napari_fractoseg.errors import AnnotationError

if TYPE_CHECKING:
    import napari.viewer

__all__ = ["save_result"]


def save_result() -> SaveRun | None:
    """Save the labels that are selected, or the only ones: the command in the menu.

    Raises
    ------
    AnnotationError
        If there are none, or several and none is selected.
    """
    current = napari.current_viewer()
    if current is None:
        return None
    viewer = unwrapped(current)
    with plain_errors():
        layer, saver = _chosen(viewer), saver_of(viewer)
        snapshot = saver.snapshot(layer)
        window = QApplication.activeWindow()
        parent = folder_for(snapshot) or ask_folder(window, snapshot.name)
        if parent is None:
            return None
        run = saver.save(layer, snapshot, parent, window)
    run.ended.connect(lambda: _tell(run))
    return run


def _tell(run: SaveRun) -> None:
    if run.error is None:
        show_info(run.end_text())


def _chosen(viewer: napari.viewer.Viewer) -> Labels:
    """Return the labels layer that is selected, or the only one with classes."""
    active = viewer.layers.selection.active
    if active is not None and is_teachable(active):
        return unwrapped(active)
    labels = [unwrapped(layer) for layer in viewer.layers if is_teachable(layer)]
    for layer in labels:
        recognise(layer)
    found = [layer for layer in labels if scheme_of(layer) is not None]
    if len(found) != 1:
        what = "There are no labels" if not found else f"There are {len(found)} labels layers"
        raise AnnotationError(f"{what} to save. Select the labels layer of the result.")
    return found[0]
