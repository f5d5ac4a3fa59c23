"""The dock widget "Segment fracture modes"."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari.layers import Labels
from qtpy.QtCore import Qt, Slot
from qtpy.QtGui import QKeySequence, QShortcut, QShowEvent
from qtpy.QtWidgets import QFormLayout, QLabel, QPushButton, QVBoxLayout

from napari_fractoseg._napari.layers import placement, scheme_of, stack_of
from napari_fractoseg._napari.origin import recognise
from napari_fractoseg._napari.segment.options import AdvancedOptions
from napari_fractoseg._napari.segment.queue_dock import QueueDock
from napari_fractoseg._napari.segment.request import Request, Segmentation
from napari_fractoseg._napari.segment.result import ShownResult
from napari_fractoseg._napari.widgets.class_legend import ClassLegend
from napari_fractoseg._napari.widgets.controls import DeviceLine, ModelPicker, ProgressRow
from napari_fractoseg._napari.widgets.image_picker import ImagePicker
from napari_fractoseg._napari.widgets.job_dock import State
from napari_fractoseg._napari.widgets.run_queue import Run
from napari_fractoseg.errors import FractosegError, ImageError
from napari_fractoseg.models.registry import ModelEntry

if TYPE_CHECKING:
    import napari.viewer

__all__ = ["SegmentWidget"]

_OPEN_FIRST = (
    "Open an image first: drop a file on the window, or use File > Open Sample > Fractoseg."
)


class SegmentWidget(QueueDock):
    """Segments an image layer with a model into a labels layer.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
        The viewer whose layers are offered.
    """

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        super().__init__(napari_viewer)
        self._preset_for: ModelEntry | None = None
        self._make_controls()
        self._lay_out()
        self._adopt(self.button, self.progress, self.state_line)
        self._connect()
        self._update_state()
        self._update_legend()
        self._find_run()

    # ---- construction -------------------------------------------------------------------

    def _make_controls(self) -> None:
        self.source = ImagePicker(self._viewer)
        self.model = ModelPicker()
        self.device = DeviceLine()
        self.advanced = AdvancedOptions()
        self.button = QPushButton("Segment")
        self.progress = ProgressRow()
        self.state_line = QLabel()
        self.brush_button = QPushButton("Correct with the brush")
        self.brush_button.setToolTip("Paint on the result; keys 1 to 9 choose the class")
        self.legend = ClassLegend()

    def _lay_out(self) -> None:
        form = QFormLayout()
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.setContentsMargins(0, 0, 0, 0)
        self.source.add_to(form)
        form.addRow("Model", self.model)
        form.addRow("Device", self.device)
        layout = QVBoxLayout(self)
        layout.addLayout(form)
        for widget in (
            self.advanced,
            self.button,
            self.progress,
            self.queue_list,
            self.state_line,
            self.result_line,
            self.brush_button,
        ):
            layout.addWidget(widget)
        layout.addSpacing(6)
        layout.addWidget(QLabel("Classes"))
        layout.addWidget(self.legend)
        layout.addStretch(1)
        self.result_line.setWordWrap(True)
        self.result_line.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.result_line.setStyleSheet("font-weight: bold")
        self.setMinimumWidth(340)

    def _connect(self) -> None:
        self.source.changed.connect(self._update_state)
        self.model.changed.connect(self._on_model)
        self.advanced.palette.changed.connect(self._on_palette)
        self.advanced.changed.connect(self._update_button)
        self.button.clicked.connect(self.segment)
        self.brush_button.clicked.connect(self.correct)
        self.queue.finished.connect(self._on_result)
        for value in range(1, 10):  # the canvas has its own: see `apply_scheme`
            key = QShortcut(QKeySequence(str(value)), self)
            key.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
            key.activated.connect(partial(self.legend.select, value))
        layers = self._viewer.layers
        layers.events.removed.connect(self._on_removed)
        layers.selection.events.active.connect(self._update_legend)
        self._viewer.dims.events.current_step.connect(self._update_button)

    # ---- what is chosen -----------------------------------------------------------------

    def _on_model(self) -> None:
        entry = self.model.entry
        if entry is not None and entry != self._preset_for:  # models are looked for now and then
            self.advanced.flips.value = entry.card.inference.flips
            self._preset_for = entry
        self._update_state()
        self._update_legend()

    def _on_palette(self, _value: Any = None) -> None:
        if self._run is not None and self.result is not None:
            self._run.recolour(self._palette)
        self._update_legend()

    @property
    def _palette(self) -> str | None:
        return self.advanced.palette.value or None

    @property
    def result(self) -> Labels | None:
        """The labels layer of the last run, None if there is none or it was removed."""
        run = self._run
        return run.labels if run is not None and run.labels in self._viewer.layers else None

    def request(self) -> Request:
        """Take a snapshot of what is chosen.

        Raises
        ------
        ImageError
            If no image or model is there, or the image is empty.
        """
        layer, entry = self.source.layer, self.model.entry
        if layer is None or entry is None:
            raise ImageError(self._missing_text())
        return Request(
            image=stack_of(layer),
            model=entry,
            planes=self.source.planes(),
            device=self.device.device,
            uncertainties=self.advanced.uncertainties,
            flips=bool(self.advanced.flips.value),
            tile_px=self.advanced.tile.value or None,
            palette=self._palette,
            folder=self.advanced.folder,
            source=Path(layer.source.path) if layer.source.path else None,
        )

    # ---- a run --------------------------------------------------------------------------

    @Slot()
    def segment(self) -> None:
        """Start segmenting, after what goes on already; what is in the queue is not added again."""
        try:
            request = self.request()
            if self.queue.holds(request):
                return
            request.require_room(self.queue.reserved_bytes)
        except FractosegError as error:
            self._refuse(error)
            return
        earlier = None if self.queue.is_busy or self.result is None else self._run
        if earlier is not None and not earlier.task.has_room_for(request):
            earlier = None
        task = Segmentation(request, earlier.task if earlier else None)
        layer = self.source.layer
        self._add(ShownResult(task, self._viewer, placement(layer), earlier, layer))

    def _on_removed(self, _event: Any = None) -> None:
        self._update_legend()
        self._set_state(self.state, self.state_line.text())

    # ---- afterwards ---------------------------------------------------------------------

    @Slot()
    def correct(self) -> None:
        """Select the result and take the brush."""
        if self.result is not None:
            self._viewer.layers.selection.active = self.result
            self.result.visible = True
            self.result.mode = "paint"

    @Slot(object)
    def _on_result(self, _run: Run) -> None:
        self._update_legend()

    def _update_legend(self, _event: Any = None) -> None:
        active = self._viewer.layers.selection.active
        if isinstance(active, Labels):
            recognise(active)
        layer = active if scheme_of(active) is not None else self.result
        scheme = scheme_of(layer)
        if scheme is None and self.model.entry is not None:
            scheme = self.model.entry.card.scheme
            scheme = scheme.with_palette(self._palette) if self._palette else scheme
        self.legend.show_scheme(scheme, layer)

    def _missing_text(self) -> str:
        if self.source.layer is None:
            return _OPEN_FIRST
        return self.model.missing_text if self.model.entry is None else ""

    def _set_state(self, state: State, text: str) -> None:
        super()._set_state(state, text)
        self.brush_button.setVisible(self.is_idle and self.result is not None)

    def showEvent(self, event: QShowEvent | None) -> None:  # noqa: N802 - Qt's name
        """Look for models again whenever the dock is opened."""
        super().showEvent(event)
        self.model.refresh()
        self.source.refresh()
