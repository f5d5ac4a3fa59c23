"""Widget of the dock "Segment fracture modes"."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari.layers import Image, Labels
from qtpy.QtCore import Qt, Slot
from qtpy.QtGui import QKeySequence, QShortcut, QShowEvent
from qtpy.QtWidgets import QFormLayout, QLabel, QPushButton, QWidget

from napari_fractoseg._napari.camera import seen_middle
from napari_fractoseg._napari.class_changes import class_changes_of
from napari_fractoseg._napari.corrections import is_teachable
from napari_fractoseg._napari.excluded import stack_with_area
from napari_fractoseg._napari.excluded.row import LOOKING, InfoBarRow
from napari_fractoseg._napari.facets.row import ToolRow
from napari_fractoseg._napari.jobs import State
from napari_fractoseg._napari.layer_metadata import facts_of, file_of
from napari_fractoseg._napari.layers import placement, scheme_of, shown_plane
from napari_fractoseg._napari.measure.dock import MeasureWidget, measure_in_dock
from napari_fractoseg._napari.origin import recognise
from napari_fractoseg._napari.preferences import (
    AS_THE_MODEL_SAYS,
    Preferences,
    keep_preferences,
    preferences,
)
from napari_fractoseg._napari.save.row import SaveRow
from napari_fractoseg._napari.segment.options import AdvancedOptions
from napari_fractoseg._napari.segment.request import Request, Segmentation
from napari_fractoseg._napari.segment.result import ShownResult
from napari_fractoseg._napari.segment.run import (
    SegmentationRun,
    is_in_queue,
    reserved_bytes,
)
from napari_fractoseg._napari.segment.trial import MOST_PX
from napari_fractoseg._napari.widgets.class_legend import ClassLegend
from napari_fractoseg._napari.widgets.controls import side_by_side
from napari_fractoseg._napari.widgets.device_line import DeviceLine
from napari_fractoseg._napari.widgets.dock import Dock, open_dock
from napari_fractoseg._napari.widgets.fractions_line import FractionsLine
from napari_fractoseg._napari.widgets.image_picker import ImagePicker
from napari_fractoseg._napari.widgets.model_picker import ModelPicker
from napari_fractoseg._napari.widgets.painting_keys import keys_line
from napari_fractoseg._napari.widgets.plain_text import show_info
from napari_fractoseg._napari.widgets.queue_list import QueueList
from napari_fractoseg._napari.widgets.run_controls import RunControls
from napari_fractoseg._napari.widgets.run_queue import queue_of
from napari_fractoseg.classes import DEFAULT_SCHEME, ClassScheme
from napari_fractoseg.errors import FractosegError, ImageError
from napari_fractoseg.models.confidence import confidence_text
from napari_fractoseg.models.registry import ModelEntry
from napari_fractoseg.results.record import LabelRecord
from napari_fractoseg.tiling import Box

if TYPE_CHECKING:
    import napari.viewer

__all__ = ["SegmentWidget", "segment_in_dock"]

_OPEN_FIRST = (
    "Open an image first: drop a file on the window, or use File > Open Sample > Fractoseg."
)
_WHICH_AXIS = "Answer the question above first: which axis of the image is that of its planes?"
_SAME_WORK = (
    "This is running or waiting already. To add to the queue, choose another image, plane or model."
)
_HERE = "Right click a class to rename, recolour or remove it"


class SegmentWidget(Dock):
    """Dock widget that segments an image layer with a model into a labels layer.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
        Viewer whose layers are offered.
    """

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        super().__init__(napari_viewer)
        self.queue = queue_of(napari_viewer)
        self.changes = class_changes_of(napari_viewer)
        self.run: SegmentationRun | None = None
        self._preset_for: ModelEntry | None = None
        self._tried_on: Image | None = None
        self._make_controls()
        self._lay_out()
        self._connect()
        self._on_queue()
        self._on_source()

    # ---- construction -------------------------------------------------------------------

    def _make_controls(self) -> None:
        self.source = ImagePicker(self.viewer)
        self.info_bar = InfoBarRow(self.viewer)
        wanted = preferences()
        self.model = ModelPicker()
        self.model.prefer(wanted.model)
        self.device = DeviceLine(wanted.device)
        self.advanced = AdvancedOptions()
        self.advanced.prefer(wanted)
        self.queue_list = QueueList(self.queue, SegmentationRun)
        self.controls = RunControls(
            self,
            self.viewer,
            "Segment",
            blocked=self._blocked,
            queue=self.queue,
            below_progress=self.queue_list,
        )
        self.result_line = FractionsLine(self.viewer)
        self.brush_button = QPushButton("Correct with the brush")
        self.brush_button.setToolTip("Paint on the result; keys 1 to 9 choose the class")
        self.measure_button = QPushButton("Measure")
        self.measure_button.setToolTip("Fractions with their interval, facets, figures, report")
        self.unlike_button = QPushButton("Show where")
        self.unlike_button.setToolTip(
            "Add a layer, brighter where the image looks unlike what the model learnt"
        )
        self.after = QWidget()
        self.after.setLayout(
            side_by_side(self.brush_button, self.measure_button, self.unlike_button)
        )
        self.save_row = SaveRow(self.viewer, self._followed)
        self.legend = ClassLegend(counts=self._counts_of)
        self.tools = ToolRow(self.viewer)

    def _lay_out(self) -> None:
        form = QFormLayout()
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.setContentsMargins(0, 0, 0, 0)
        self.source.add_to(form)
        self.info_bar.add_to(form)
        form.addRow("Model", self.model)
        form.addRow("Device", self.device)
        layout = self.column
        layout.addLayout(form)
        self.advanced.addWidget(self.info_bar.other_button)
        for widget in (self.advanced, self.controls, self.result_line, self.after, self.save_row):
            layout.addWidget(widget)
        layout.addSpacing(6)
        layout.addWidget(QLabel("Classes"))
        layout.addWidget(self.legend)
        layout.addWidget(self.tools)
        layout.addWidget(keys_line(_HERE))
        layout.addStretch(1)

    def _connect(self) -> None:
        controls = self.controls
        self.source.changed.connect(self._on_source)
        self.info_bar.changed.connect(controls.choice_changed)
        self.info_bar.failed.connect(controls.refuse)
        self.model.changed.connect(self.advanced.trial.clear)
        self.closed.connect(self.advanced.trial.clear)
        self.advanced.trial.ask = self._for_trial
        self.model.changed.connect(self._on_model)
        self.advanced.palette.changed.connect(self._on_palette)
        self.advanced.changed.connect(controls.refresh)
        self.advanced.keep_button.clicked.connect(self.keep_defaults)
        controls.button.clicked.connect(self.segment)
        controls.changed.connect(self._show_state)
        self.brush_button.clicked.connect(self.correct)
        self.measure_button.clicked.connect(self.measure)
        self.unlike_button.clicked.connect(self.show_familiarity)
        self.queue.changed.connect(self._on_queue)
        self.result_line.changed.connect(self.legend.refresh)
        self.legend.chosen.connect(self._paint_on)
        self.legend.edited.connect(self._on_classes)
        for value in range(1, 10):  # the canvas has its own: see `apply_scheme`
            key = QShortcut(QKeySequence(str(value)), self)
            key.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
            key.activated.connect(partial(self.legend.select, value))
        layers = self.viewer.layers
        layers.events.removed.connect(self._on_removed)
        layers.selection.events.active.connect(self._update_legend)
        self.viewer.dims.events.current_step.connect(controls.refresh)

    # ---- what is chosen -----------------------------------------------------------------

    def choose(self, model: Path, image: Image) -> None:
        """Choose a model by its folder, also one that is new, and an image layer."""
        self.model.refresh()
        self.model.choice.value = str(model)
        self.viewer.layers.selection.active = image
        self.source.choice.value = image

    @Slot()
    def _on_source(self) -> None:
        self.info_bar.follow(self.source.layer)
        if self.source.layer != self._tried_on:  # the pictures are of another image
            self.advanced.trial.clear()
        self.controls.choice_changed()
        self._update_legend()

    def _on_model(self) -> None:
        entry = self.model.entry
        if entry is not None and entry != self._preset_for:  # models are looked for now and then
            self.advanced.flips.value = entry.card.inference.flips
            self.advanced.tell_confidence(confidence_text(entry.card))
            self._preset_for = entry
        self.controls.choice_changed()
        self._update_legend()

    def _on_palette(self, _value: Any = None) -> None:
        entry = self.model.entry
        if self.run is not None and self.result is not None:
            self.run.shown.recolour(self._palette)
        if entry is not None:
            self.changes.recolour(entry.key, self._palette, entry.card.scheme)
        self._update_legend()

    @Slot()
    def keep_defaults(self) -> None:
        """Keep what is chosen now as what is chosen when the dock opens."""
        entry, folder = self.model.entry, self.advanced.folder
        wanted = Preferences(
            model="default" if entry is None else entry.key,
            device=self.device.kind,  # type: ignore[arg-type] # checked when it is made
            palette=self._palette or AS_THE_MODEL_SAYS,  # type: ignore[arg-type]
            folder="" if folder is None else str(folder),
        )
        try:
            keep_preferences(wanted)
        except FractosegError as error:
            self.controls.refuse(error)
            return
        show_info("Kept: the dock opens with this model, device, colours and folder from now on.")

    @property
    def _palette(self) -> str | None:
        return self.advanced.palette.value or None

    def _scheme_for(self, entry: ModelEntry) -> ClassScheme:
        """Return the classes for the next result of a model, as the user changed them."""
        scheme = entry.card.scheme
        scheme = scheme.with_palette(self._palette) if self._palette else scheme
        return self.changes.scheme_for(entry.key, scheme)

    @property
    def result(self) -> Labels | None:
        """Labels layer of the last run, None if there is none or it was removed."""
        labels = None if self.run is None else self.run.shown.labels
        return labels if labels in self.viewer.layers else None

    def request(self) -> Request:
        """Return a snapshot of what is chosen.

        Raises
        ------
        ImageError
            If no image or model is there, the image is empty, or the order of its axes unsaid.
        """
        layer, entry = self.source.layer, self.model.entry
        missing = self._missing_text()
        if missing or layer is None or entry is None:
            raise ImageError(missing)
        return Request(
            image=stack_with_area(self.viewer, layer),
            model=entry,
            planes=self.source.planes(),
            device=self.device.device,
            uncertainties=self.advanced.uncertainties,
            flips=bool(self.advanced.flips.value),
            tile_px=self.advanced.tile.value or None,
            classes=self._scheme_for(entry),
            folder=self.advanced.folder,
            source=file_of(layer),
            scale=self.advanced.scale.value,
        )

    def _for_trial(self) -> tuple[Request, Box]:
        """Return what a trial of scales segments: the middle of what is seen of the image."""
        request, layer = self.request(), self.source.layer
        if layer is None:
            raise ImageError(_OPEN_FIRST)
        rows, columns = request.image.shape[-2:]
        self._tried_on, planes = layer, (shown_plane(self.viewer, layer),)
        box = seen_middle(layer, (rows, columns), MOST_PX)
        return replace(request, planes=planes), box

    def _missing_text(self) -> str:
        if self.source.layer is None:
            return _OPEN_FIRST
        if self.source.must_be_asked:
            return _WHICH_AXIS
        if self.info_bar.is_looking:
            return LOOKING
        return self.model.missing_text if self.model.entry is None else ""

    def _blocked(self) -> str:
        """Return why nothing can be started: something is missing, or the same goes on already."""
        missing = self._missing_text()
        if missing or not self.queue.is_busy:
            return missing
        try:
            return _SAME_WORK if is_in_queue(self.request(), self.queue) else ""
        except FractosegError as error:  # such as an empty image
            return str(error)

    # ---- a run --------------------------------------------------------------------------

    @Slot()
    def segment(self) -> None:
        """Start a segmentation after the runs in the queue; do nothing if it is one of them."""
        try:
            request = self.request()
            if is_in_queue(request, self.queue):
                return
            request.require_room(reserved_bytes(self.queue))
            request.seen  # noqa: B018 - refused here, not after the model is loaded
        except FractosegError as error:
            self.controls.refuse(error)
            return
        waits = self.queue.is_busy
        earlier = None if waits or self.run is None or self.result is None else self.run.shown
        if earlier is not None and not earlier.task.has_room_for(request):
            earlier = None
        task = Segmentation(request, earlier.task if earlier else None)
        layer = self.source.layer
        shown = ShownResult(task, self.viewer, placement(layer), earlier, layer)
        shown.in_background = waits
        if not waits:
            self.result_line.note("")
        self.controls.start(SegmentationRun(shown))

    @Slot()
    def _on_queue(self) -> None:
        """Show the segmentation in the queue that is next to end."""
        run = self.queue.shown_by_dock(SegmentationRun)
        if run is None or run is self.run:
            return
        self.run = run
        if run.state.has_ended:  # while no dock was open
            self._on_end()
        else:
            run.ended.connect(self._on_end)
        self.controls.follow(run)

    @Slot()
    def _on_end(self) -> None:
        run = self.run
        if run is not None and run.state is State.DONE:
            text = self.controls.named(run, run.result_text())
            self.result_line.note(text, run.shown.labels)
        self._update_legend()

    # ---- afterwards ---------------------------------------------------------------------

    @Slot()
    def correct(self) -> None:
        """Select the layer that is followed, or the result, and the brush, to correct it."""
        layer = self._correctable()
        if layer is not None:
            self._paint_on(layer)
            layer.mode = "paint"

    @Slot()
    def measure(self) -> MeasureWidget | None:
        """Open the Measure dock with the layer of the fractions, or of the result."""
        layer = self._followed()
        return None if layer is None else measure_in_dock(self.viewer, layer, self)

    @property
    def _looks_unlike(self) -> bool:
        """Whether the last result has a part that looks unlike what the model learnt."""
        found = {} if self.run is None else self.run.shown.task.familiarity
        return any(familiar.unlike for familiar in found.values())

    @Slot()
    def show_familiarity(self) -> None:
        """Add a layer that shows where the image looks unlike what the model learnt."""
        if self.run is not None and self._looks_unlike:
            self.run.shown.show_familiarity()

    @Slot(object)
    def _paint_on(self, layer: Labels) -> None:
        """Show a layer, and make it the one that the mouse paints on."""
        self.viewer.layers.selection.active = layer
        layer.visible = True

    def _on_removed(self, _event: Any = None) -> None:
        self._update_legend()
        self.controls.refresh()

    def _followed(self) -> Labels | None:
        """Return the layer of legend and fractions: the labels that are selected, or the result.

        Without a run of this dock the result is one of the chosen image that was opened.
        """
        active = self.viewer.layers.selection.active
        if active is not None and is_teachable(active):
            return active
        return self.result or self._opened_result()

    def _opened_result(self) -> Labels | None:
        """Return the uppermost labels layer that a model gave for the chosen image."""
        image = self.source.layer
        name = None if image is None else str(image.name)
        for layer in reversed(self.viewer.layers):
            facts = facts_of(layer)
            is_its = is_teachable(layer) and name is not None and facts.get("image") == name
            if is_its and LabelRecord.from_dict(facts) is not None:
                return layer
        return None

    def _correctable(self) -> Labels | None:
        """Return the layer to correct with the brush: the one that is followed, if one can."""
        layer = self._followed()
        if layer is None or scheme_of(layer) is None or layer.multiscale or not layer.editable:
            return self.result
        return layer

    def _update_legend(self, _event: Any = None) -> None:
        layer, entry = self._followed(), self.model.entry
        if layer is not None:
            recognise(layer)
        scheme = scheme_of(layer)
        if scheme is None:
            scheme = DEFAULT_SCHEME if entry is None else self._scheme_for(entry)
        self.legend.show_scheme(scheme, layer, "" if entry is None else entry.key)
        self.result_line.follow(layer)
        self._show_state()

    @Slot(object)
    def _on_classes(self, layer: Labels) -> None:
        """Keep classes that the user changed for the next result of the same model."""
        facts, scheme = facts_of(layer), scheme_of(layer)
        model = facts.get("model") or facts.get("classes_of")
        if model and scheme is not None:
            self.changes.remember(str(model), scheme)
        self.result_line.follow(layer)

    def _counts_of(self, layer: Labels) -> Mapping[int, int] | None:
        """Return the pixels of each label of the layer that the fractions are about."""
        return self.result_line.counts() if layer == self.result_line.layer else None

    @Slot()
    def _show_state(self) -> None:
        """Show the controls that fit the state of the run."""
        is_shown = self.controls.is_idle and self._followed() is not None
        self.after.setVisible(is_shown)
        self.save_row.setVisible(is_shown)
        self.save_row.refresh()
        self.brush_button.setVisible(self._correctable() is not None)
        self.unlike_button.setVisible(self.result is not None and self._looks_unlike)

    def showEvent(self, event: QShowEvent | None) -> None:  # noqa: N802 - Qt's name
        """Look for models again whenever the dock is opened."""
        super().showEvent(event)
        self.model.refresh()
        self.source.refresh()


def segment_in_dock(
    viewer: napari.viewer.Viewer, model: Path, image: Image, beside: QWidget
) -> SegmentWidget:
    """Open the Segment dock, or the one that is open, and segment an image with a model.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Viewer in which the dock is opened.
    model : Path
        Folder of the model.
    image : Image
        Layer of the viewer to segment.
    beside : QWidget
        Widget of ours in the same window.
    """
    dock = open_dock(viewer, SegmentWidget, "Segment fracture modes", beside)
    dock.choose(model, image)
    dock.segment()
    return dock
