"""Switch *Live* of the training dock, with what was learnt and what changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from napari.layers import Image, Labels
from napari.utils.notifications import show_info
from qtpy.QtCore import Signal, Slot
from qtpy.QtWidgets import QCheckBox, QVBoxLayout, QWidget

from napari_fractoseg._napari.layers import (
    apply_scheme,
    is_segmentable,
    labels_layer,
    placement,
    scheme_of,
    stack_of,
    start_brush,
    unique_name,
)
from napari_fractoseg._napari.live.on_disk import MOST_COPIED_PX
from napari_fractoseg._napari.live.session import LiveSession
from napari_fractoseg._napari.train.pairs import PairRow, PairsTable
from napari_fractoseg._napari.train.settings import TrainingSettings
from napari_fractoseg._napari.widgets.controls import side_by_side, small_button
from napari_fractoseg._napari.widgets.fractions_line import FractionsLine
from napari_fractoseg._napari.widgets.plain_text import plain_label
from napari_fractoseg._napari.widgets.run_queue import main_window
from napari_fractoseg.classes import UNLABELLED, ClassScheme
from napari_fractoseg.errors import FractosegError, TrainingError
from napari_fractoseg.results.editable_labels import SavedArray

if TYPE_CHECKING:
    import napari.viewer

__all__ = ["LivePanel"]

_HINT = (
    "After each stroke the labels around it are given anew within about a second, the rest "
    "follows. What you painted stays as it is. Switched off, the first answer is back with your "
    "strokes on it. What the model sees stays in memory meanwhile: up to a quarter of what is "
    "free, at most 2 GB."
)
_NO_IMAGE = "Open an image first, or select the labels layer to paint on."
_MOST_NEW = 255
"""Largest label value that can be a class."""


class LivePanel(QWidget):
    """Switch that makes the labels of a layer follow the strokes on it, and what comes of it.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Viewer whose layers are painted on.
    pairs : PairsTable
        Labels layers with their images.
    settings : TrainingSettings
        Model to start from, and device.
    """

    keep_as_model = Signal(object)
    """Signal that the labels layer it carries is to become a model."""
    failed = Signal(object)
    """Signal with an error that the user has to know of."""

    def __init__(
        self, viewer: napari.viewer.Viewer, pairs: PairsTable, settings: TrainingSettings
    ) -> None:
        super().__init__()
        self._viewer, self._pairs, self._settings = viewer, pairs, settings
        self.session: LiveSession | None = None
        self.switch = QCheckBox("Live: learn while I paint")
        self.switch.setToolTip(_HINT)
        self.line = plain_label()
        self.fractions = FractionsLine(viewer)
        self.model_button = small_button(
            "Keep as model", "Make a model of what was learnt, for other images, too"
        )
        self.labels_button = small_button(
            "Keep labels", "Switch Live off, and leave the labels as they are shown"
        )
        self.buttons = QWidget()
        self.buttons.setLayout(side_by_side(self.model_button, self.labels_button))
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 4)
        layout.setSpacing(2)
        for widget in (self.switch, self.line, self.fractions, self.buttons):
            layout.addWidget(widget)
        self.switch.clicked.connect(self._on_switch)
        self.model_button.clicked.connect(self._on_keep_model)
        self.labels_button.clicked.connect(self.keep_labels)
        self._show()

    # ---- on and off ---------------------------------------------------------------------

    @Slot()
    def _on_switch(self) -> None:
        if not self.switch.isChecked():
            self.switch_off()
            return
        try:
            self.switch_on()
        except FractosegError as error:
            self.failed.emit(error)
        self._show()

    def switch_on(self) -> None:
        """Learn from strokes on the labels layer that is selected, or on a new, empty one.

        Raises
        ------
        FractosegError
            If there is nothing to paint on, or the labels are not known to be right.
        """
        entry = self._settings.start.entry
        if entry is None:
            raise TrainingError("Choose a model to start from: Live sums up anew what it sees.")
        labels, image = self._layers()
        scheme = _with_painted(scheme_of(labels) or entry.card.scheme, labels)
        if scheme != scheme_of(labels):
            apply_scheme(labels, scheme)
        session = LiveSession(
            self._viewer, labels, image, entry.key, str(self._settings.device.device)
        )
        session.changed.connect(self._show)
        session.relabelled.connect(self.fractions.recount)
        session.ended.connect(self._on_ended)
        main_window(self).destroyed.connect(session.keep)
        self.session = session
        self._viewer.layers.selection.active = labels
        labels.visible = True
        start_brush(labels, labels.selected_label or scheme.values[0])
        self.fractions.follow(labels)
        self._show()

    def _layers(self) -> tuple[Labels, Image]:
        """Return the layer to paint on, which is made if there is none, and its image."""
        active = self._viewer.layers.selection.active
        row = self._pairs.row_of(active)
        if row is None and len(self._pairs.rows) == 1 and not is_segmentable(active):
            row = self._pairs.rows[0]
        if row is None and is_segmentable(active):
            row = next((r for r in self._pairs.rows if r.image.value == active), None)
        if row is not None:
            return row.labels, _image_of(row)
        images = [layer for layer in self._viewer.layers if is_segmentable(layer)]
        image = active if is_segmentable(active) else (images[-1] if images else None)
        if image is None:
            raise TrainingError(_NO_IMAGE)
        return self._new_layer(image), image

    def _new_layer(self, image: Image) -> Labels:
        entry = self._settings.start.entry
        assert entry is not None  # noqa: S101 - asked before
        name = unique_name(f"{image.name} · live", [x.name for x in self._viewer.layers])
        labels = labels_layer(
            np.zeros(stack_of(image).shape, np.uint8),
            entry.card.scheme,
            name=name,
            place=placement(image),
            metadata={"image": image.name},
        )
        self._viewer.add_layer(labels)
        return labels

    @Slot()
    def switch_off(self) -> None:
        """Show the first answer again, with the strokes on it."""
        if self.session is not None:
            self.session.switch_off()
            self._end()

    @Slot()
    def keep_labels(self) -> None:
        """Switch off, and leave the labels as they are shown."""
        session = self.session
        if session is not None:
            session.keep()
            if session.copy is not None:
                show_info(session.copy.text)
            self._end()

    def _end(self) -> None:
        self.session = None
        self.fractions.recount()
        self.fractions.follow(None)
        self._show()

    @Slot()
    def _on_ended(self) -> None:
        error = None if self.session is None else self.session.error
        self._end()
        if error is not None:
            self.failed.emit(error)

    @Slot()
    def _on_keep_model(self) -> None:
        if self.session is not None:
            self.keep_as_model.emit(self.session.labels)

    # ---- what is shown ------------------------------------------------------------------

    @Slot()
    def _show(self) -> None:
        session = self.session
        self.switch.setChecked(session is not None)
        self.line.setText("" if session is None else session.text)
        self.line.setVisible(session is not None)
        self.buttons.setVisible(session is not None)
        self.model_button.setEnabled(session is not None and session.has_learnt)


def _image_of(row: PairRow) -> Image:
    if row.image.value is None:
        raise TrainingError(
            f"No image of the size of {row.labels.name} is open. Open the image that it is of."
        )
    if row.question:
        raise TrainingError(row.question)
    image: Image = row.image.value
    return image


def _with_painted(scheme: ClassScheme, labels: Labels) -> ClassScheme:
    """Return classes with one for each label value that is painted and is none yet."""
    data = labels.data
    is_small = isinstance(data, SavedArray) and data.size <= MOST_COPIED_PX
    if not (is_small or isinstance(data, np.ndarray)) or data.size == 0:
        return scheme
    values = {int(v) for v in np.unique(np.asarray(data))} - {UNLABELLED, *scheme.values}
    if values and not 0 < min(values) <= max(values) <= _MOST_NEW:
        raise TrainingError(
            f"{labels.name} has the label {max(values)}. Classes have values from 1 to "
            f"{_MOST_NEW}: choose the layer of the fracture modes."
        )
    for value in sorted(values):
        scheme = scheme.with_class(f"class {value}", value)
    return scheme
