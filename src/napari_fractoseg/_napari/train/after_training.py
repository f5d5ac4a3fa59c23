"""What can be done with a trained model at once: segment, compare, see where to paint next."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from napari.layers import Image, Labels
from qtpy.QtCore import QObject, Slot

from napari_fractoseg._napari.jobs import JobHandle, run_job
from napari_fractoseg._napari.layers import METADATA_KEY, scheme_of, stack_of
from napari_fractoseg._napari.segment.dock import SegmentWidget
from napari_fractoseg._napari.train.corrections import (
    add_helper_layer,
    corrections_of,
    prediction_of,
)
from napari_fractoseg._napari.train.next_places import PlaceRequest, find_places
from napari_fractoseg._napari.train.pairs import PairRow
from napari_fractoseg._napari.train.panel import TrainingPanel
from napari_fractoseg._napari.train.request import Trained
from napari_fractoseg.datasets.supervision import changed_labels
from napari_fractoseg.errors import FractosegError
from napari_fractoseg.jobs import Progress

if TYPE_CHECKING:
    import napari.viewer

    from napari_fractoseg.training.active_learning import Suggestion

__all__ = ["AfterTraining"]

_MAX_PLANES = 12
"""Planes of a stack that are looked at for the next places."""


class AfterTraining(QObject):
    """The buttons below the result.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Its layers are used.
    panel : TrainingPanel
        Holds the buttons.
    on_failure : callable
        Shows a `FractosegError`.
    """

    def __init__(
        self,
        viewer: napari.viewer.Viewer,
        panel: TrainingPanel,
        on_failure: Callable[[FractosegError], object],
    ) -> None:
        super().__init__()
        self._viewer, self._panel, self._on_failure = viewer, panel, on_failure
        self._trained: Trained | None = None
        self._images: list[Image] = []
        self._handle: JobHandle | None = None
        panel.segment_button.clicked.connect(self.segment)
        panel.changes_button.clicked.connect(self.show_changes)
        panel.next_button.clicked.connect(self.find_next)

    def forget(self) -> None:
        """Offer nothing: a new run has begun."""
        self._trained, self._images = None, []

    def offer(self, trained: Trained, images: list[Image]) -> None:
        """Offer a model for the images that it learnt from."""
        self._trained, self._images = trained, images
        name = images[0].name if images else "the image"
        self._panel.segment_button.setText(f"Segment {name} with it"[:30])

    def show(self, is_idle: bool) -> None:
        """Show the buttons that make sense now."""
        panel = self._panel
        panel.segment_button.setVisible(
            is_idle and self._trained is not None and bool(self._images)
        )
        panel.changes_button.setVisible(is_idle and self._before_and_after() is not None)
        panel.next_button.setVisible(is_idle and panel.start.entry is not None)
        panel.next_button.setEnabled(self._handle is None and bool(self._rows()))

    # ---- segment ------------------------------------------------------------------------

    @Slot()
    def segment(self) -> SegmentWidget | None:
        """Open the Segment dock with the new model and the image, and start it."""
        images = [image for image in self._images if image in self._viewer.layers]
        if self._trained is None or not images:
            return None
        _, widget = self._viewer.window.add_plugin_dock_widget(
            "napari-fractoseg", "Segment fracture modes", tabify=True
        )
        assert isinstance(widget, SegmentWidget)  # noqa: S101 - our own manifest
        widget.model.refresh()
        widget.model.choice.value = str(self._trained.folder)
        self._viewer.layers.selection.active = images[0]
        widget.source.choice.value = images[0]
        widget.segment()
        return widget

    # ---- compare ------------------------------------------------------------------------

    def _before_and_after(self) -> tuple[Labels, Labels] | None:
        """Return the two newest segmentations of the first image that was learnt from."""
        if not self._images:
            return None
        image = self._images[0]
        found = [
            layer
            for layer in self._viewer.layers
            if isinstance(layer, Labels)
            and prediction_of(layer) is not None
            and layer.metadata.get(METADATA_KEY, {}).get("image") == image.name
        ]
        if len(found) < 2 or found[-2].data.shape != found[-1].data.shape:
            return None
        return found[-2], found[-1]

    @Slot()
    def show_changes(self) -> Labels | None:
        """Add a layer of the pixels that got another class."""
        pair = self._before_and_after()
        if pair is None:
            return None
        before, after = pair
        scheme = scheme_of(after)
        colors = {} if scheme is None else {c.value: np.array((*c.rgba[:3], 1)) for c in scheme}
        return add_helper_layer(
            self._viewer,
            changed_labels(np.asarray(before.data), np.asarray(after.data)),
            after,
            kind="changed",
            colors=colors,
        )

    # ---- where to paint next ------------------------------------------------------------

    def _rows(self) -> list[PairRow]:
        return [row for row in self._panel.pairs.rows if row.image.value is not None]

    @Slot()
    def find_next(self) -> None:
        """Look for the places that the chosen model is least sure about."""
        entry, rows = self._panel.start.entry, self._rows()
        if entry is None or not rows or self._handle is not None:
            return
        requests: dict[tuple[str, tuple[int, ...]], PlaceRequest] = {}
        for row in rows:
            stack = stack_of(row.image.value)
            truth = corrections_of(self._viewer, row.labels)
            indices = list(stack.indices())
            for index in indices[:: max(1, len(indices) // _MAX_PLANES)][:_MAX_PLANES]:
                painted = truth.plane(index).truth > 0
                known = requests.get((stack.name, index))  # another labels layer of this image
                if known is not None:
                    painted |= known[2]
                requests[stack.name, index] = (stack, index, painted)
        self._panel.next_button.setEnabled(False)
        self._panel.next_button.setText("looking …")
        self._handle = run_job(
            find_places(entry, list(requests.values()), self._panel.device.device),
            on_progress=self._on_progress,
            on_return=self._on_places,
            on_failure=self._on_failure,
            on_finish=self._on_finish,
        )

    @Slot(object, object)
    def _on_progress(self, progress: Progress, _remaining_s: float | None) -> None:
        self._panel.next_button.setText(f"{progress.message} …"[:40])

    @Slot(object)
    def _on_places(self, places: list[Suggestion]) -> None:
        entry = self._panel.start.entry
        if entry is not None:
            layers = {str(r.image.value.name): r.image.value for r in self._rows()}
            self._panel.places.show_places(places, layers, entry.card.scheme)

    @Slot()
    def _on_finish(self) -> None:
        self._handle = None
        self._panel.next_button.setText("Where to paint next >")
        self._panel.next_button.setEnabled(True)
