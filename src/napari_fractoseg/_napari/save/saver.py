"""Saving of labels layers of a viewer in a thread, one after the other."""

from __future__ import annotations

import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari.layers import Labels
from qtpy.QtCore import QObject, Signal, Slot
from qtpy.QtWidgets import QMainWindow

from napari_fractoseg._napari.jobs import Run, State
from napari_fractoseg._napari.layers import unwrapped
from napari_fractoseg._napari.per_viewer import PerViewer
from napari_fractoseg._napari.save.closing import ClosesWhenSaved
from napari_fractoseg._napari.save.snapshot import Snapshot, snapshot_of
from napari_fractoseg._napari.torch_import import prepare_torch
from napari_fractoseg.errors import AnnotationError
from napari_fractoseg.jobs import Job, Progress

if TYPE_CHECKING:
    import napari.viewer

    from napari_fractoseg.batch.saved import SavedFolder

__all__ = ["SaveRun", "Saver", "saver_of"]

_BUSY = "A result is being saved. Wait until it is done, or stop it in the Segment dock."


class SaveRun(Run):
    """Run that saves a labels layer into a new folder.

    Parameters
    ----------
    snapshot : Snapshot
        What is saved.
    parent : Path
        Folder in which that of the result is made.
    """

    goes_on = "Saving goes on in the background."
    finishes = True

    def __init__(self, snapshot: Snapshot, parent: Path) -> None:
        super().__init__(_job(snapshot, parent), f"saving {snapshot.name}")
        self.parent = parent

    def end_text(self) -> str:
        """Return where the result is now, or how it ended without one."""
        if self.state is State.STOPPED:
            return f"Stopped. Nothing was written into {self.parent}."
        return f"Saved in {self.result.folder}" if self.state is State.DONE else super().end_text()


def _job(snapshot: Snapshot, parent: Path) -> Job[SavedFolder]:
    yield Progress(0, 0, "saving")
    prepare_torch()
    from napari_fractoseg.batch.saved import free_folder, save_job

    folder = free_folder(parent, snapshot.name)
    image = snapshot.saved_image()
    job = save_job(
        snapshot.labels, image, folder, zarr=snapshot.as_zarr, annotations=snapshot.annotations
    )
    return (yield from job)


class Saver(QObject):
    """Saver of the labels layers of a viewer, which the dock and the command share.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Viewer that has the layers.

    Attributes
    ----------
    run : SaveRun or None
        Latest run.
    layer : Labels or None
        Layer that it saves.
    is_changed : bool
        Whether the labels of the layer changed since they were taken.
    """

    changed = Signal()
    """Signal that saving began, went on or ended."""

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self._viewer = weakref.ref(viewer)
        self.run: SaveRun | None = None
        self.layer: Labels | None = None
        self.is_changed = False

    @property
    def is_busy(self) -> bool:
        """Whether a layer is being saved."""
        return self.run is not None and self.run.state.is_under_way

    def snapshot(self, layer: Labels) -> Snapshot:
        """Return what is to be saved of a layer.

        Raises
        ------
        AnnotationError
            If it cannot be saved, or another one is being saved.
        """
        viewer = self._viewer()
        if self.is_busy or viewer is None:
            raise AnnotationError(_BUSY)
        return snapshot_of(viewer, layer)

    def save(
        self, layer: Labels, snapshot: Snapshot, parent: Path, window: QObject | None = None
    ) -> SaveRun:
        """Save what was taken of a layer into a new folder in `parent`.

        A window that the user closes meanwhile closes when it is saved (`ClosesWhenSaved`).
        """
        run = self.run = SaveRun(snapshot, parent)
        for event in () if self.layer is None else _changes_of(self.layer):
            event.disconnect(self._on_labels)
        self.layer, self.is_changed = unwrapped(layer), False
        for event in _changes_of(self.layer):
            event.connect(self._on_labels)
        run.progressed.connect(self.changed)
        run.ended.connect(self._on_end)
        if isinstance(window, QMainWindow):
            ClosesWhenSaved(run, f"{snapshot.name} is being saved in {parent}.", window)
        run.start()
        self.changed.emit()
        return run

    @Slot()
    def cancel(self) -> None:
        """Stop saving; what was written is removed."""
        if self.run is not None:
            self.run.cancel()

    def _on_labels(self, _event: Any = None) -> None:
        if not self.is_changed:
            self.is_changed = True
            self.changed.emit()

    @Slot()
    def _on_end(self) -> None:
        self.changed.emit()


def _changes_of(layer: Labels) -> tuple[Any, ...]:
    """Return the events of a layer that tell of other labels, or of their classes."""
    events = layer.events
    return events.paint, events.data, events.labels_update, events.colormap, events.features


_savers = PerViewer(Saver)


def saver_of(viewer: napari.viewer.Viewer) -> Saver:
    """Return the saver of a viewer."""
    return _savers.of(viewer)
