"""Buttons below the result of a training: segment the image with the model, see what changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from napari.layers import Image, Labels
from qtpy.QtCore import Slot
from qtpy.QtWidgets import QPushButton, QWidget

from napari_fractoseg._napari.corrections import add_helper_layer, prediction_of
from napari_fractoseg._napari.layer_metadata import facts_of
from napari_fractoseg._napari.layers import scheme_of
from napari_fractoseg._napari.segment.dock import SegmentWidget, segment_in_dock
from napari_fractoseg._napari.train.request import Trained
from napari_fractoseg._napari.widgets.controls import side_by_side
from napari_fractoseg._napari.widgets.plain_text import button_text
from napari_fractoseg.datasets.supervision import changed_labels

if TYPE_CHECKING:
    import napari.viewer

__all__ = ["NextSteps"]


class NextSteps(QWidget):
    """Buttons that segment an image with a new model, and show which pixels changed.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Viewer whose layers are segmented and compared.
    """

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self._viewer = viewer
        self._trained: Trained | None = None
        self._images: list[Image] = []
        self.segment_button = QPushButton("Segment with it")
        self.changes_button = QPushButton("Show what changed")
        self.changes_button.setToolTip("A layer of the pixels that got another class")
        self.segment_button.clicked.connect(self.segment)
        self.changes_button.clicked.connect(self.show_changes)
        self.setLayout(side_by_side(self.segment_button, self.changes_button))
        self.refresh()

    def forget(self) -> None:
        """Hide the buttons, as a new run has begun."""
        self._trained, self._images = None, []
        self.refresh()

    def offer(self, trained: Trained, images: list[Image]) -> None:
        """Offer a trained model for the image layers that it learnt from."""
        self._trained, self._images = trained, images
        self.refresh()

    def refresh(self) -> None:
        """Show the buttons that make sense now."""
        self._images = [image for image in self._images if image in self._viewer.layers]
        can_segment = self._trained is not None and bool(self._images)
        if can_segment:
            name = self._images[0].name
            self.segment_button.setText(button_text(f"Segment {name} with it"[:30]))
        can_compare = self._before_and_after() is not None
        self.segment_button.setVisible(can_segment)
        self.changes_button.setVisible(can_compare)
        self.setVisible(can_segment or can_compare)

    # ---- segment ------------------------------------------------------------------------

    @Slot()
    def segment(self) -> SegmentWidget | None:
        """Segment the first image with the new model in the Segment dock, which is opened."""
        if self._trained is None or not self._images:
            return None
        return segment_in_dock(self._viewer, self._trained.folder, self._images[0], self)

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
            and facts_of(layer).get("image") == image.name
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
