"""Buttons below the result of a training: segment the image with the model, see what changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from napari.layers import Image, Labels
from qtpy.QtCore import Slot
from qtpy.QtWidgets import QPushButton, QWidget

from napari_fractoseg._napari.corrections import add_helper_layer, prediction_of
from napari_fractoseg._napari.layer_metadata import facts_of
from napari_fractoseg._napari.layers import PAINTED_COLOR, class_features, scheme_of
from napari_fractoseg._napari.segment.dock import SegmentWidget, segment_in_dock
from napari_fractoseg._napari.train.request import Trained
from napari_fractoseg._napari.widgets.controls import side_by_side
from napari_fractoseg._napari.widgets.plain_text import button_text
from napari_fractoseg.datasets.supervision import (
    LEARNT,
    NOT_LEARNT,
    Corrections,
    changed_labels,
    judged_strokes,
)

if TYPE_CHECKING:
    import napari.viewer

__all__ = ["NextSteps"]

_CHANGED, _STROKES = "changed", "my strokes"
_OUTLINE_PX = 2
_STROKE_COLORS = {LEARNT: (1.0, 1.0, 1.0, 1.0), NOT_LEARNT: (1.0, 0.1, 0.1, 1.0)}
_STROKE_WORDS = {
    "index": [0, LEARNT, NOT_LEARNT],
    "your stroke": ["none", "the new model agrees", "the new model does not agree"],
}


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
        self.changes_button.setToolTip(
            "Outlines of what the new model answers otherwise than the earlier one, in the colour "
            "of the new class; of your strokes, white where the new model agrees, red where not"
        )
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
    def show_changes(self) -> list[Labels]:
        """Outline what the new model answers otherwise than the earlier one, and the strokes.

        The outlines of changes have the colour of the new class. Those of the user's own
        strokes on the earlier result tell whether the new model agrees with them. Other results
        of the image, and outlines that were shown before, are hidden.

        Returns
        -------
        list of Labels
            Layers of the changes, and of the strokes if there are any.
        """
        pair = self._before_and_after()
        if pair is None:
            return []
        before, after = pair
        painted = Corrections(np.asarray(before.data), np.asarray(prediction_of(before)))
        new = np.asarray(prediction_of(after))
        self._hide_others(after)
        scheme = scheme_of(after)
        colors = {c.value: c.rgba for c in scheme or ()}
        shown = {v: (*PAINTED_COLOR[:3], 1) if c[3] == 0 else c for v, c in colors.items()}
        layers = [self._outline(changed_labels(painted, new), after, _CHANGED, shown)]
        strokes = judged_strokes(painted, new)
        if strokes.any():
            layers.append(self._outline(strokes, after, _STROKES, _STROKE_COLORS))
            layers[1].features = _STROKE_WORDS
        if scheme is not None:
            layers[0].features = class_features(scheme)
        self._viewer.layers.selection.active = after
        return layers

    def _outline(
        self, data: npt.NDArray[np.uint8], labels: Labels, kind: str, colors: dict[int, Any]
    ) -> Labels:
        layer = add_helper_layer(self._viewer, data, labels, kind=kind, colors=colors)
        layer.contour, layer.opacity = _OUTLINE_PX, 1
        return layer

    def _hide_others(self, shown: Labels) -> None:
        """Hide the other results of an image, and what was outlined on any of them before."""
        image = facts_of(shown).get("image")
        for layer in self._viewer.layers:
            facts = facts_of(layer)
            is_result = isinstance(layer, Labels) and facts.get("image") == image
            if facts.get("helper") in (_CHANGED, _STROKES) or (is_result and layer is not shown):
                layer.visible = False
        shown.visible = True
