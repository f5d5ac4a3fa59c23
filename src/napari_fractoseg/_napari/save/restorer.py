"""Layers that napari itself opened from what was saved, made as they were before."""

from __future__ import annotations

import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

import numpy as np
from napari.layers import Image, Labels, Layer
from qtpy.QtCore import QObject, QTimer, Slot

from napari_fractoseg._napari.corrections import is_teachable, mark_checked
from napari_fractoseg._napari.excluded import areas_of
from napari_fractoseg._napari.layer_metadata import METADATA_KEY, facts_of, file_of
from napari_fractoseg._napari.layers import images_of, unwrapped
from napari_fractoseg._napari.origin import recognise
from napari_fractoseg._napari.per_viewer import PerViewer
from napari_fractoseg._napari.save.restore import labels_data, was_saved
from napari_fractoseg._napari.source_file import layer_of_file
from napari_fractoseg._napari.widgets.plain_text import show_info
from napari_fractoseg.errors import FractosegError, ImageError
from napari_fractoseg.images import TIFF_SUFFIXES
from napari_fractoseg.results.excluded import excluded_of
from napari_fractoseg.results.parts import CHECKED, part_of
from napari_fractoseg.results.record import read_entries, recorded_scheme

if TYPE_CHECKING:
    import napari.viewer

__all__ = ["Restorer", "restorer_of"]


class Restorer(QObject):
    """Watch on the layers of a viewer, from the first dock of ours or command on.

    Labels that were saved get their classes, corrections and helper layers back. A file of labels
    that napari took for an image, because its values have eight bits, becomes a labels layer.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Viewer that has the layers.
    """

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self._reference = weakref.ref(viewer)
        self._done: WeakSet[Layer] = WeakSet()
        self._excluded_of: WeakSet[Layer] = WeakSet()
        self._waits_for_bars = False
        # Layers are not exchanged while napari tells of them.
        self._soon = QTimer(self, singleShot=True, interval=0)
        self._soon.timeout.connect(self.look)
        viewer.layers.events.inserted.connect(self._on_inserted)
        self._soon.start()

    @property
    def _viewer(self) -> Any:
        viewer = self._reference()
        assert viewer is not None  # noqa: S101 - `look` is called while there is one
        return viewer

    def _on_inserted(self, _event: Any = None) -> None:
        self._soon.start()

    @Slot()
    def _on_areas(self) -> None:
        self._soon.start()

    @Slot()
    def look(self) -> None:
        """Look at the layers that are new."""
        if self._reference() is None:
            return
        for layer in [unwrapped(x) for x in self._viewer.layers]:
            if layer not in self._done:
                self._done.add(layer)
                if isinstance(layer, Image):
                    self._as_labels(layer)
                elif is_teachable(layer):
                    self._restore(layer)
        self._restore_areas()

    def _as_labels(self, image: Image) -> None:
        """Exchange an image layer that is a file of labels of ours for a labels layer."""
        path = file_of(image)
        if path is None or path.suffix.lower() not in TIFF_SUFFIXES or image.rgb:
            return
        if METADATA_KEY in image.metadata or image.multiscale or image.dtype.kind not in "iu":
            return
        if recorded_scheme(path) is None:
            return
        try:
            data, arguments, kind = labels_data(path)
        except FractosegError:  # it was changed since it was opened
            return
        if data.shape != image.data.shape or not np.array_equal(data, image.data):
            return
        layers = self._viewer.layers
        index = layers.index(image)
        labels = layer_of_file(path, data, {**arguments, "name": image.name}, kind)
        layers.remove(image)
        layers.insert(index, labels)
        self._done.add(labels)
        self._restore(labels)
        layers.selection.active = labels
        show_info(f"{path.name} holds labels: it is a labels layer now.")

    def _restore(self, labels: Labels) -> None:
        """Give labels back what was saved with them, and the layer of what is checked."""
        path = file_of(labels)
        if path is None or not was_saved(read_entries(path)):
            return
        recognise(labels)
        checked = part_of(path, CHECKED)
        if checked is None or tuple(checked.shape) != tuple(labels.data.shape):
            return
        selected = set(self._viewer.layers.selection)
        layer = mark_checked(self._viewer, labels)
        layer.data = np.asarray(checked[...], np.uint8)
        self._viewer.layers.selection = selected

    def _restore_areas(self) -> None:
        """Leave out of images what was left out of them when their labels were saved."""
        for labels in [unwrapped(x) for x in self._viewer.layers]:
            if labels in self._excluded_of or not is_teachable(labels) or labels.multiscale:
                continue
            path = file_of(labels)
            if (
                path is None
                or not was_saved(read_entries(path))
                or self._restore_area(path, labels)
            ):
                self._excluded_of.add(labels)

    def _restore_area(self, path: Path, labels: Labels) -> bool:
        """Leave out what was left out; return False while the image or its info bar is missing."""
        name = facts_of(labels).get("image")
        image = next((x for x in images_of(self._viewer, labels) if x.name == name), None)
        if image is None:
            return False
        try:
            area = excluded_of(path, labels.data.shape)
        except ImageError:
            return True
        if area is not None:
            area = area.same_on_all_planes()
        areas = areas_of(self._viewer)
        if areas.restore(unwrapped(image), area):
            return True
        if not self._waits_for_bars:
            self._waits_for_bars = True
            areas.changed.connect(self._on_areas)
        return False


_restorers = PerViewer(Restorer)


def restorer_of(viewer: napari.viewer.Viewer) -> Restorer:
    """Return the restorer of a viewer, which all docks and commands share."""
    return _restorers.of(viewer)
