"""List of the places where painting helps most; a click moves the camera to one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from napari.layers import Image
from qtpy.QtCore import Qt, Signal, Slot
from qtpy.QtWidgets import QListWidget, QPushButton, QVBoxLayout, QWidget

from napari_fractoseg._napari.camera import go_to_pixel
from napari_fractoseg._napari.corrections import corrections_of
from napari_fractoseg._napari.excluded import stack_with_area
from napari_fractoseg._napari.jobs import Run, State
from napari_fractoseg._napari.torch_import import prepare_torch
from napari_fractoseg._napari.train.pairs import PairRow, PairsTable
from napari_fractoseg._napari.train.place_mark import PlaceMark
from napari_fractoseg._napari.widgets.controls import side_by_side
from napari_fractoseg._napari.widgets.device_line import DeviceLine
from napari_fractoseg._napari.widgets.model_picker import ModelPicker
from napari_fractoseg._napari.widgets.plain_text import button_text
from napari_fractoseg._napari.widgets.run_queue import RunQueue
from napari_fractoseg.classes import ClassScheme
from napari_fractoseg.jobs import Job, Progress
from napari_fractoseg.models.registry import ModelEntry
from napari_fractoseg.text import printable

if TYPE_CHECKING:
    import napari.viewer

    from napari_fractoseg.training.active_learning import Suggestion

__all__ = ["NextPlaces", "PlaceRequest", "find_places", "place_requests"]

_VIEW = 6
"""Width of the view in widths of a place."""
_CANVAS_PX = 700
_HEIGHT_PX = 110
_MAX_PLANES = 12
"""Largest number of planes of a stack that are looked at."""
_FIND = "Where to paint next >"

PlaceRequest = tuple[Any, tuple[int, ...], Any]
"""Plane to look at: its image, its index, and a mask of the pixels that are painted already."""


def find_places(
    model: ModelEntry, requests: list[PlaceRequest], device: str
) -> Job[list[Suggestion]]:
    """Load a model and find the places of planes that it is least sure of.

    Parameters
    ----------
    model : ModelEntry
        Folder and card of the model.
    requests : list of PlaceRequest
        Planes to look at.
    device : str
        Name of the device that segments, such as ``auto`` or ``cpu``.

    Yields
    ------
    Progress
        Number of planes done; 0 of 0 while the model is loaded.

    Returns
    -------
    list of Suggestion
        Places in the order to look at them.
    """
    yield Progress(0, 0, "loading the model")
    # Imported here because PyTorch takes seconds, and the dock opens at once.
    prepare_torch()
    from napari_fractoseg.models.devices import choose_device
    from napari_fractoseg.models.model import SegmentationModel
    from napari_fractoseg.training.active_learning import Candidate, suggest_job

    candidates = [Candidate(*request) for request in requests]
    loaded = SegmentationModel.load(model.folder)
    return (yield from suggest_job(loaded, candidates, choose_device(device)))


def place_requests(viewer: napari.viewer.Viewer, rows: Sequence[PairRow]) -> list[PlaceRequest]:
    """Return the planes to look at, and what is painted there already, or left out.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Viewer that has the layers of checked areas.
    rows : sequence of PairRow
        Labels layers with their images. Several layers of one image are looked at together.
    """
    requests: dict[tuple[str, tuple[int, ...]], PlaceRequest] = {}
    for row in rows:
        stack = stack_with_area(viewer, row.image.value)
        truth = corrections_of(viewer, row.labels)
        indices = list(stack.indices())
        for index in indices[:: max(1, len(indices) // _MAX_PLANES)][:_MAX_PLANES]:
            painted = truth.plane(index).truth > 0
            if stack.excluded is not None:
                painted |= stack.excluded.of_plane(index)[...]
            known = requests.get((stack.name, index))
            if known is not None:
                painted |= known[2]
            requests[stack.name, index] = (stack, index, painted)
    return list(requests.values())


class NextPlaces(QWidget):
    """Widget that looks for places where a stroke helps most, and shows them one by one.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Viewer whose camera is moved.
    queue : RunQueue
        Queue in which the search waits for its turn: it runs a network, too.
    pairs : PairsTable
        Images that are looked at, and what is painted on them.
    model : ModelPicker
        Choice of the model whose uncertainty is looked for.
    device : DeviceLine
        Choice of the device that the model runs on.
    """

    failed = Signal(object)
    """Signal with the `FractosegError` of a search."""

    def __init__(
        self,
        viewer: napari.viewer.Viewer,
        queue: RunQueue,
        pairs: PairsTable,
        model: ModelPicker,
        device: DeviceLine,
    ) -> None:
        super().__init__()
        self._viewer, self._queue, self._pairs = viewer, queue, pairs
        self._model, self._device = model, device
        self._search: Run | None = None
        self.places: list[tuple[Suggestion, Image]] = []
        self._mark = PlaceMark(viewer)
        self.find_button = QPushButton(_FIND)
        self.find_button.setToolTip("The places that the model is least sure about")
        self.find_button.clicked.connect(self.find)
        self.list = QListWidget()
        self.list.setFixedHeight(_HEIGHT_PX)
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.list.currentRowChanged.connect(self._go)
        self.previous_button = QPushButton("< Previous (B)")
        self.next_button = QPushButton("Next (N) >")
        self.previous_button.clicked.connect(self.previous)
        self.next_button.clicked.connect(self.next)
        self._below = QWidget()
        below = QVBoxLayout(self._below)
        below.setContentsMargins(0, 0, 0, 0)
        below.addWidget(self.list)
        below.addLayout(side_by_side(self.previous_button, self.next_button))
        self._below.hide()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(self.find_button)
        layout.addWidget(self._below)

    # ---- the search ---------------------------------------------------------------------

    def _rows(self) -> list[PairRow]:
        return [row for row in self._pairs.rows if row.image.value is not None]

    def refresh(self, is_idle: bool) -> None:
        """Enable the search if there is something to look at and no training goes on."""
        self.find_button.setVisible(is_idle and self._model.entry is not None)
        self.find_button.setEnabled(self._search is None and bool(self._rows()))
        if not any(layer in self._viewer.layers for _, layer in self.places):
            self.places = []
            self.list.clear()
            self._below.hide()

    @Slot()
    def find(self) -> None:
        """Start a search for the places that the chosen model is least sure of."""
        entry, rows = self._model.entry, self._rows()
        if entry is None or not rows or self._search is not None:
            return
        requests = place_requests(self._viewer, rows)
        job = find_places(entry, requests, self._device.device)
        search = self._search = Run(job, "looking where to paint next")
        self.find_button.setEnabled(False)
        self.find_button.setText("looking …")
        search.progressed.connect(self._on_progress)
        search.ended.connect(self._on_end)
        self._queue.add(search, self)

    @Slot()
    def _on_progress(self) -> None:
        if self._search is not None and self._search.progress is not None:
            self.find_button.setText(button_text(f"{self._search.progress.message} …"[:40]))

    @Slot()
    def _on_end(self) -> None:
        search, self._search = self._search, None
        self.find_button.setText(_FIND)
        self.find_button.setEnabled(True)
        entry = self._model.entry
        if search is None or entry is None:
            return
        if search.state is State.DONE:
            layers = {str(row.image.value.name): row.image.value for row in self._rows()}
            self.show_places(search.result, layers, entry.card.scheme)
        elif search.state is State.FAILED:
            self.failed.emit(search.error)

    # ---- the places ---------------------------------------------------------------------

    def show_places(
        self, places: list[Suggestion], layers: dict[str, Image], scheme: ClassScheme
    ) -> None:
        """Fill the list and go to the first place.

        Parameters
        ----------
        places : list of Suggestion
            Places to list, the most useful first.
        layers : dict of str to Image
            Name of an image -> its layer.
        scheme : ClassScheme
            Classes of the model, to name the one that it gives to a place.
        """
        self.places = [(p, layers[p.image]) for p in places if p.image in layers]
        self.list.clear()
        for number, (place, _) in enumerate(self.places, start=1):
            name = scheme.by_value(place.value).name
            plane = f", plane {', '.join(map(str, place.plane))}" if place.plane else ""
            self.list.addItem(
                printable(f"{number}. {name}? {place.confidence:.0%} sure · {place.image}{plane}")
            )
        self._below.setVisible(bool(self.places))
        self._mark.remove()
        self.list.setCurrentRow(0 if self.places else -1)

    @Slot()
    def next(self) -> None:
        """Show the next place of the list."""
        self._step(1)

    @Slot()
    def previous(self) -> None:
        """Show the previous place of the list."""
        self._step(-1)

    def _step(self, by: int) -> None:
        if self.places:
            self.list.setCurrentRow((self.list.currentRow() + by) % len(self.places))

    @Slot(int)
    def _go(self, row: int) -> None:
        """Mark a place, and move sliders and camera to it."""
        self._mark.remove()
        if not 0 <= row < len(self.places):
            return
        place, layer = self.places[row]
        if layer not in self._viewer.layers:
            return
        pixel = (*place.plane, place.row, place.column)
        go_to_pixel(self._viewer, layer, pixel, _CANVAS_PX / (place.size_px * _VIEW))
        self._mark.show(place, layer)
