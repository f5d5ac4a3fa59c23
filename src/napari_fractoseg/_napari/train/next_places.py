"""The list of places to paint next; a click moves the camera there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari.layers import Image
from qtpy.QtCore import Qt, Slot
from qtpy.QtWidgets import QHBoxLayout, QListWidget, QPushButton, QVBoxLayout, QWidget

from napari_fractoseg._napari.torch_import import prepare_torch
from napari_fractoseg.classes import ClassScheme
from napari_fractoseg.jobs import Job, Progress
from napari_fractoseg.models.registry import ModelEntry

if TYPE_CHECKING:
    import napari.viewer

    from napari_fractoseg.training.active_learning import Suggestion

__all__ = ["NextPlaces", "PlaceRequest", "find_places"]

_VIEW = 6
"""The view is so many times as wide as a place."""
_CANVAS_PX = 700
_HEIGHT_PX = 110

PlaceRequest = tuple[Any, tuple[int, ...], Any]
"""Image as a stack, index of a plane, and where that plane is painted already."""


def find_places(
    model: ModelEntry, requests: list[PlaceRequest], device: str
) -> Job[list[Suggestion]]:
    """Find the places that a model is least sure about; see `suggest_job`."""
    yield Progress(0, 0, "loading the model")
    # Imported here because PyTorch takes seconds, and the dock opens at once.
    prepare_torch()
    from napari_fractoseg.models.devices import choose_device
    from napari_fractoseg.models.model import SegmentationModel
    from napari_fractoseg.training.active_learning import Candidate, suggest_job

    candidates = [Candidate(*request) for request in requests]
    loaded = SegmentationModel.load(model.folder)
    return (yield from suggest_job(loaded, candidates, choose_device(device)))


class NextPlaces(QWidget):
    """Shows places, one after the other.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Its camera is moved.
    """

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self._viewer = viewer
        self._places: list[tuple[Suggestion, Image]] = []
        self.list = QListWidget()
        self.list.setFixedHeight(_HEIGHT_PX)
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.list.currentRowChanged.connect(self._go)
        self.previous_button = QPushButton("< Previous (B)")
        self.next_button = QPushButton("Next (N) >")
        self.previous_button.clicked.connect(self.previous)
        self.next_button.clicked.connect(self.next)
        buttons = QHBoxLayout()
        buttons.addWidget(self.previous_button)
        buttons.addWidget(self.next_button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.list)
        layout.addLayout(buttons)
        self.hide()

    def show_places(
        self, places: list[Suggestion], layers: dict[str, Image], scheme: ClassScheme
    ) -> None:
        """Fill the list and go to the first place.

        Parameters
        ----------
        places : list of Suggestion
            The most useful first.
        layers : dict of str to Image
            Image layers by name.
        scheme : ClassScheme
            Names the class that the model says.
        """
        self._places = [(p, layers[p.image]) for p in places if p.image in layers]
        self.list.clear()
        for number, (place, _) in enumerate(self._places, start=1):
            name = scheme.by_value(place.value).name
            plane = f", plane {', '.join(map(str, place.plane))}" if place.plane else ""
            self.list.addItem(
                f"{number}. {name}? {place.confidence:.0%} sure · {place.image}{plane}"
            )
        self.setVisible(bool(self._places))
        self.list.setCurrentRow(0 if self._places else -1)

    @Slot()
    def next(self) -> None:
        """Go to the next place."""
        self._step(1)

    @Slot()
    def previous(self) -> None:
        """Go to the place before."""
        self._step(-1)

    def _step(self, by: int) -> None:
        if self._places:
            self.list.setCurrentRow((self.list.currentRow() + by) % len(self._places))

    @Slot(int)
    def _go(self, row: int) -> None:
        """Move sliders and camera to a place."""
        if not 0 <= row < len(self._places):
            return
        place, layer = self._places[row]
        if layer not in self._viewer.layers:
            return
        world = layer.data_to_world((*place.plane, place.row, place.column))
        offset = self._viewer.dims.ndim - len(world)
        for axis, coordinate in enumerate(world[:-2]):
            self._viewer.dims.set_point(axis + offset, float(coordinate))
        camera = getattr(self._viewer, "scene", self._viewer).camera  # napari 0.9, and before
        camera.center = (0, *map(float, world[-2:]))
        camera.zoom = _CANVAS_PX / (place.size_px * abs(float(layer.scale[-1])) * _VIEW)
