"""Line on the area fractions of a labels layer, which follows layer, plane and brush."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Labels
from qtpy.QtCore import Qt, QTimer, Signal, Slot
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_fractoseg._napari.corrections import first_answer_of, is_teachable
from napari_fractoseg._napari.excluded import area_of_labels, areas_of, key_of
from napari_fractoseg._napari.jobs import Run, State
from napari_fractoseg._napari.layer_metadata import facts_of
from napari_fractoseg._napari.layers import scheme_of, shown_plane
from napari_fractoseg._napari.origin import is_in_doubt
from napari_fractoseg._napari.strokes import stroke_box
from napari_fractoseg._napari.widgets.plain_text import plain_label
from napari_fractoseg._napari.widgets.run_queue import main_window
from napari_fractoseg.classes import ClassScheme
from napari_fractoseg.images import ExcludedArea
from napari_fractoseg.jobs import drain
from napari_fractoseg.measurement.counts import RunningCounts, count_job
from napari_fractoseg.measurement.fractions import fractions_of_counts
from napari_fractoseg.measurement.texts import (
    FractionError,
    MeasuredPlanes,
    error_of_model,
    fractions_text,
    plane_title,
    stack_title,
)
from napari_fractoseg.results.editable_labels import SavedArray
from napari_fractoseg.results.record import LabelRecord

if TYPE_CHECKING:
    import napari.viewer
    import pandas as pd

__all__ = ["FractionsLine"]

_EVERY_MS = 200
_REST_MS = 1500
"""How long nothing happens before the planes that are not shown are looked at again."""
_AT_ONCE_PX = 2**21
"""Most pixels that are counted in the GUI thread: about 20 ms."""
_LOOKED_AGAIN_PX = 2**28
"""Most pixels of a layer whose planes are all counted again after a change of unknown extent."""

_LIVE = "it has just learnt from your strokes, and nothing is held out to check it by"


class FractionsLine(QWidget):
    """Line with the area fractions of the plane that is shown, and of its stack.

    It is renewed when a stroke ends, is undone or comes from a program (``layer.data = ...`` or
    ``layer.refresh()``), when another plane is shown, and when another area is left out of the
    image, which is not counted. Pixels are counted in a thread, but for few of them. It is empty
    for layers without classes, and once its layer is removed.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Viewer whose plane is shown.
    """

    changed = Signal()
    """Signal that the text, or what is counted, is new."""

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self._viewer = viewer
        self.layer: Labels | None = None
        self._now: RunningCounts | None = None
        self._before: RunningCounts | None = None
        self._error: FractionError | None = None
        self._plane: tuple[int, ...] = ()
        self._area: ExcludedArea | None = None
        self._run: Run | None = None
        self._notes: tuple[str, Labels | None] = ("", None)
        self._figures = ""
        self._label = plain_label()
        self._label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._label)
        self._soon, self._later = QTimer(self), QTimer(self)
        for timer, pause, slot in (
            (self._soon, _EVERY_MS, self._renew),
            (self._later, _REST_MS, self._look_again),
        ):
            timer.setSingleShot(True)
            timer.setInterval(pause)
            timer.timeout.connect(slot)
        viewer.dims.events.current_step.connect(self._renew_soon)
        viewer.layers.events.inserted.connect(self._renew_soon)
        viewer.layers.events.removed.connect(self._on_removed)
        areas_of(viewer).changed.connect(self._renew_soon)
        self.hide()

    # ---- what is shown ------------------------------------------------------------------

    def text(self) -> str:
        """Return the text that is shown."""
        return self._label.text()

    def counts(self) -> Mapping[int, int] | None:
        """Return label value -> number of pixels of the layer; None while it is not counted."""
        return None if self._now is None else self._now.of_all()

    def follow(self, layer: Labels | None) -> None:
        """Show the fractions of a layer from now on; None shows nothing."""
        if layer is not self.layer:
            self._leave()
            self.layer = layer
            if layer is not None:
                for event, slot in self._events(layer):
                    event.connect(slot)
        self._renew()

    def note(self, text: str, layer: Labels | None = None) -> None:
        """Show a text below the fractions, for as long as its layer is followed.

        Parameters
        ----------
        text : str
            Lines, such as what a run could not read; they replace those before.
        layer : Labels, optional
            Layer that the text is about; by default it is shown whatever is followed.
        """
        self._notes = (text, layer)
        self._show()

    def recount(self) -> None:
        """Count all planes again, as a program changed labels that may not be shown now."""
        for counts in self._counted():
            counts.forget()
        self._renew_soon()

    def _counted(self) -> list[RunningCounts]:
        return [counts for counts in (self._now, self._before) if counts is not None]

    # ---- events -------------------------------------------------------------------------

    def _events(self, layer: Labels) -> list[tuple[Any, Any]]:
        events = layer.events
        return [
            (events.paint, self._on_paint),
            (events.set_data, self._on_set_data),
            (events.data, self._on_data),
            (events.colormap, self._renew_soon),
            (events.name, self._renew_soon),
            (events.metadata, self._on_metadata),
            (events.editable, self._on_data),
        ]

    def _leave(self) -> None:
        """Stop following the layer, and counting it."""
        if self.layer is not None:
            for event, slot in self._events(self.layer):
                event.disconnect(slot)
        if self._run is not None:
            self._run.abandon()
        for timer in (self._soon, self._later):
            timer.stop()
        self.layer = self._now = self._before = self._run = None
        self._figures = ""

    def _on_removed(self, event: Any) -> None:
        # Equal, not the same: plugins get layers in a wrapper.
        if self._notes[1] is not None and event.value == self._notes[1]:
            self._notes = ("", None)
        if self.layer is not None and event.value == self.layer:
            self._leave()
            self._show()
        self._renew_soon()

    def _on_paint(self, event: Any) -> None:
        layer, now, box = self.layer, self._now, stroke_box(event)
        if layer is None or now is None:
            return
        if box is None:
            now.forget(self._current())
        else:
            *planes, rows, _ = box
            for index in np.ndindex(*(part.stop - part.start for part in planes)):
                plane = tuple(i + part.start for i, part in zip(index, planes, strict=True))
                now.forget(plane, (rows.start, rows.stop))
        self._renew_soon()

    def _on_set_data(self, _event: Any = None) -> None:
        """Count the plane again: it is another one, or undo or a program changed something."""
        if self.layer is None or self._now is None:
            return
        plane = self._current()
        if plane == self._plane:
            self._later.start()
        self._now.forget(plane)
        self._renew_soon()

    def _on_data(self, _event: Any = None) -> None:
        """Count everything anew: another array, or one that a run has filled."""
        self._now = self._before = None
        self._renew_soon()

    def _on_metadata(self, _event: Any = None) -> None:
        if self.layer is not None:
            self._error = _error_of(self.layer)
        self._renew_soon()

    def _look_again(self) -> None:
        """Count the other planes again, as what changed may have changed them, too."""
        now = self._now
        if now is None or now.n_planes == 1 or not isinstance(now.labels, np.ndarray):
            return
        if now.labels.size <= _LOOKED_AGAIN_PX:
            now.forget()
            self._renew()

    def _renew_soon(self, _event: Any = None) -> None:
        if not self._soon.isActive():
            self._soon.start()

    # ---- counting -----------------------------------------------------------------------

    def _current(self) -> tuple[int, ...]:
        assert self.layer is not None  # noqa: S101 - who asks has a layer
        return shown_plane(self._viewer, self.layer)

    def _scheme(self) -> ClassScheme | None:
        """Return the classes to count; None while a run fills the layer, too."""
        layer = self.layer
        if layer is None or not (layer.editable or layer.multiscale):
            return None
        return scheme_of(layer)

    @Slot()
    def _renew(self) -> None:
        """Count what is missing, and show what is known."""
        layer = self.layer
        if layer is None or self._scheme() is None:
            self._figures = ""
            self._show()
            return
        self._prepare(layer)
        counted = self._counted()
        self._plane = self._current()
        for counts in counted:
            counts.first = self._plane
        n_missing = sum(counts.n_missing_px for counts in counted)
        in_memory = all(isinstance(counts.labels, np.ndarray) for counts in counted)
        if n_missing and self._run is None:
            if in_memory and n_missing <= _AT_ONCE_PX:
                drain(count_job(*counted))
            else:
                self._start(counted)
        self._show_figures()

    def _prepare(self, layer: Labels) -> None:
        """Make the counts of the labels, and of what the model gave where that differs."""
        data = layer.data[0] if layer.multiscale else layer.data
        area = area_of_labels(self._viewer, layer)
        if key_of(area) != key_of(self._area):
            self._now = self._before = None
        self._area, mask = area, None if area is None else area.of_plane()
        if self._now is None:
            self._now = RunningCounts(data, mask)
            self._error = _error_of(layer)
        predicted = None if is_in_doubt(layer) else first_answer_of(layer)
        if predicted is None or (isinstance(data, SavedArray) and not data.is_changed):
            self._before = None
        elif self._before is None or (
            isinstance(predicted, np.ndarray) and self._before.labels is not predicted
        ):
            self._before = RunningCounts(predicted, mask)

    def _start(self, counted: list[RunningCounts]) -> None:
        run = self._run = Run(count_job(*counted), "counting the classes")
        main_window(self).destroyed.connect(run.abandon)
        run.progressed.connect(self._show_figures)
        run.ended.connect(self._on_end)
        run.start()

    @Slot()
    def _on_end(self) -> None:
        run, self._run = self._run, None
        if run is not None and run.state is State.DONE:
            self._renew()

    # ---- the text -----------------------------------------------------------------------

    @Slot()
    def _show_figures(self) -> None:
        scheme, now = self._scheme(), self._now
        if scheme is None or now is None:
            return
        plane = self._measured(scheme, self._plane)
        if plane is None:  # until it is counted again, what is shown stays
            return
        stack = self._measured(scheme, None) if now.n_planes > 1 else None
        self._figures = fractions_text(
            plane,
            self._error,
            title=plane_title(self._plane, now.labels.shape, self._name()),
            stack=stack,
            stack_title=stack_title(now.n_labelled_planes(), now.n_planes),
        )
        if self._area is not None:
            self._figures += f"\nLeft out: {self._area.where}"
        self._show()

    def _name(self) -> str:
        """Return the name of the layer, if there are others that it could be taken for."""
        measurable = [x for x in self._viewer.layers if is_teachable(x) and scheme_of(x)]
        return str(self.layer.name) if self.layer is not None and len(measurable) > 1 else ""

    def _measured(
        self, scheme: ClassScheme, plane: tuple[int, ...] | None
    ) -> MeasuredPlanes | None:
        """Return the fractions of a plane, or of all; None while they are not counted."""
        tables: list[pd.DataFrame] = []
        for counts in self._counted():
            found = counts.of_all() if plane is None else counts.of_plane(plane)
            if found is None:
                return None
            tables.append(fractions_of_counts(found, sum(found.values()), scheme))
        return MeasuredPlanes(*tables)

    def _show(self) -> None:
        text, layer = self._notes
        notes = text if layer is None or layer == self.layer else ""
        # A result that was opened again is not that of a run.
        facts = {} if self.layer is None else facts_of(self.layer)
        told = (str(facts.get(name) or "") for name in ("unlike", "untold"))
        parts = (self._figures, notes, *(text for text in told if text not in notes))
        self._label.setText("\n".join(filter(None, parts)))
        self.setVisible(bool(self._label.text()))
        self.changed.emit()


def _error_of(layer: Labels) -> FractionError | None:
    """Return the error of the model that gave the labels; None if a person gave them."""
    facts = facts_of(layer)
    if facts.get("learnt_strokes"):
        return FractionError(None, _LIVE)
    began_as_prediction = bool(facts.get("model_name")) or first_answer_of(layer) is not None
    if not began_as_prediction or is_in_doubt(layer) or facts.get("is_truth"):
        return None
    record = LabelRecord.from_dict(facts)
    return error_of_model(
        str(facts.get("model") or ""),
        str(facts.get("model_digest") or ""),
        record is not None and record.is_unlike,
    )
