"""Session of *Live* on a labels layer: strokes are learnt from, and the rest is labelled anew."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image, Labels
from qtpy.QtCore import QObject, QTimer, Signal, Slot

from napari_fractoseg._napari.corrections import (
    checked_in,
    forget_prediction,
    prediction_of,
    remember_first_answer,
    remember_prediction,
)
from napari_fractoseg._napari.excluded import area_of, areas_of, key_of, stack_with_area
from napari_fractoseg._napari.jobs import Run, State
from napari_fractoseg._napari.layer_metadata import FIRST_ANSWER_KEY, add_facts
from napari_fractoseg._napari.layers import scheme_of, shown_plane
from napari_fractoseg._napari.live.brush import BrushWay
from napari_fractoseg._napari.live.learner import Learner
from napari_fractoseg._napari.live.on_disk import WorkingCopy
from napari_fractoseg._napari.live.strokes import Brushed, LiveLabels
from napari_fractoseg._napari.strokes import stroke_box
from napari_fractoseg.classes import DEFAULT_SCHEME, UNLABELLED, ClassScheme
from napari_fractoseg.datasets.supervision import Corrections
from napari_fractoseg.errors import FractosegError, TrainingError
from napari_fractoseg.jobs import Job
from napari_fractoseg.results.editable_labels import SavedArray
from napari_fractoseg.tiling import Box
from napari_fractoseg.training.readout.regions import (
    Region,
    RegionLabels,
    nearest_first,
    regions_of,
)

if TYPE_CHECKING:
    import napari.viewer

__all__ = ["LiveSession"]

_AT_ONCE = 2
"""Regions that are labelled before anything else: they hold what is seen around the stroke."""
_AHEAD = 9
"""Regions that are looked at before the first stroke: more are seen only from far away."""
_PAUSE_MS = 1500
"""Pause after a stroke before what is not seen is labelled, so that the next one need not wait."""
_PAINT_TWO = "Paint a second class, so that they can be told apart."
_AT_REST = "Ctrl+Z takes the last stroke back, E erases."
_PAINT = "Paint on the layer: the answer follows each stroke."


class LiveSession(QObject):
    """Strokes on a layer that are learnt from, until it is switched off.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Viewer that has the layers.
    labels : Labels
        Layer that is painted on. It has a scheme; labels on disk are copied meanwhile.
    image : Image
        Layer of the image.
    model : str
        Name or folder of the model whose features are read.
    device : str
        Name of the device.
    """

    changed = Signal()
    """Signal that the text is new."""
    relabelled = Signal()
    """Signal that other labels are shown."""
    ended = Signal()
    """Signal that the session ended by itself: its layer went, or something failed."""

    def __init__(
        self, viewer: napari.viewer.Viewer, labels: Labels, image: Image, model: str, device: str
    ) -> None:
        super().__init__()
        is_saved = isinstance(labels.data, SavedArray)
        if not (is_saved or isinstance(labels.data, np.ndarray)) or not labels.editable:
            raise TrainingError(
                f"The labels of {labels.name} cannot be painted on, or are being filled. Wait "
                "until they are ready, or duplicate the layer."
            )
        self.labels, self._viewer = labels, viewer
        self._image, self._model, self._device = image, model, device
        self._learner = self._new_learner()
        self.copy = WorkingCopy(labels) if is_saved else None
        self._had_prediction = prediction_of(labels) is not None
        self._live = _taken_up(labels)
        self._dirty: set[Region] = self._painted_regions()
        self._started_with = bool(self._dirty)
        self._labelled_by: dict[Region, int] = {}
        self._lesson = 0
        self._asked: list[Region] = []
        self._last_stroke: Box | None = None
        self._strokes: list[tuple[slice, ...]] = []
        self._brushed: list[Brushed] = []
        self._run: Run | None = None
        self._rest: Run | None = None
        self._is_drawing = self._is_over = False
        self.error: FractosegError | None = None
        self._look_soon = QTimer(self, singleShot=True, interval=0)
        self._look_soon.timeout.connect(self._look)
        self._rest_soon = QTimer(self, singleShot=True, interval=_PAUSE_MS)
        self._rest_soon.timeout.connect(self._label_rest)
        self._follow()
        self._learn()

    # ---- what it says -------------------------------------------------------------------

    @property
    def text(self) -> str:
        """What was learnt, or is going on, in words."""
        learnt, run = self._learner.learnt, self._run or self._rest
        n_strokes = self._live.n_strokes
        going_on = ""
        if run is not None and run.progress is not None:
            progress = run.progress
            of = f" {progress.done} of {progress.total}" if progress.total > 1 else ""
            going_on = f"{progress.message}{of} …"
        if learnt is None:
            has_strokes = self._started_with or n_strokes
            return going_on or (_PAINT_TWO if has_strokes else _PAINT)
        parts = [f"{n_strokes} stroke{'s' * (n_strokes != 1)}"] if n_strokes else []
        parts += ["what was painted before"] if self._started_with else []
        text = f"Learnt from {' and '.join(parts)} in {learnt.seconds:.1f} s"
        text += f" · {len(learnt.scheme)} classes"
        # There is always a second line: what is below must not jump at each stroke.
        return f"{text}\n{going_on or _AT_REST}"

    @property
    def has_learnt(self) -> bool:
        """Whether there is something to learn from, and it was learnt."""
        return self._learner.learnt is not None

    @property
    def is_at_rest(self) -> bool:
        """Whether all that was painted is learnt, and all is labelled."""
        waits = self._dirty or self._strokes or self._brushed
        is_due = self._look_soon.isActive() or self._rest_soon.isActive()
        return self._run is None and self._rest is None and not waits and not is_due

    # ---- its end ------------------------------------------------------------------------

    def switch_off(self) -> None:
        """Show the first answer again, with the strokes on it as if they were painted without."""
        self._leave()
        live = self._live
        live.show_first()
        if self._had_prediction:
            same = (live.painted != UNLABELLED) & (live.painted == live.first)
            remember_prediction(self.labels, np.where(same, UNLABELLED, live.first))
        else:
            forget_prediction(self.labels)
            metadata = self.labels.metadata
            self.labels.metadata = {k: v for k, v in metadata.items() if k != FIRST_ANSWER_KEY}
        if self.copy is not None:
            self.copy.give_back()
        add_facts(self.labels, {"learnt_strokes": 0})
        self.labels.refresh()

    def keep(self) -> None:
        """Leave the labels as they are shown."""
        self._leave()

    def _leave(self) -> None:
        if self._is_over:
            return
        self._is_over = True
        self._take_note()
        for run in (self._run, self._rest):
            if run is not None:
                run.abandon()
        self._run = self._rest = None
        for event, slot in self._events():
            event.disconnect(slot)
        areas_of(self._viewer).changed.disconnect(self._on_areas)
        if self._note_drawing in self.labels.mouse_drag_callbacks:
            self.labels.mouse_drag_callbacks.remove(self._note_drawing)
        self._look_soon.stop()
        self._rest_soon.stop()

    def _fail(self, error: FractosegError | None) -> None:
        self.error = error
        self._leave()
        self.ended.emit()

    # ---- events -------------------------------------------------------------------------

    def _events(self) -> list[tuple[Any, Any]]:
        events = self.labels.events
        return [
            (events.paint, self._on_paint),
            (events.set_data, self._on_set_data),
            (events.data, self._on_other_data),
            (self._viewer.layers.events.removed, self._on_removed),
            (self._viewer.dims.events.current_step, self._on_plane),
        ]

    def _follow(self) -> None:
        for event, slot in self._events():
            event.connect(slot)
        areas_of(self._viewer).changed.connect(self._on_areas)
        self.labels.mouse_drag_callbacks.append(self._note_drawing)

    def _note_drawing(self, _layer: Any, event: Any) -> Any:
        """Note that the mouse button is down: what changes meanwhile is a stroke that goes on."""
        self._is_drawing = True
        way = BrushWay(self._viewer, self.labels, self._plane(), event)
        yield
        while event.type == "mouse_move":
            way.add(event)
            yield
        self._is_drawing = False
        brushed = way.brushed()
        if brushed is not None and not self._is_over:
            self._brushed.append(brushed)
            self._look_soon.start()

    def _on_paint(self, event: Any) -> None:
        box = stroke_box(event)
        if box is not None:
            self._strokes.append(box)
        # napari tells of a fill, a polygon and of what programs paint before it writes them.
        self._look_soon.start()

    def _on_set_data(self, _event: Any = None) -> None:
        self._look_soon.start()

    @Slot()
    def _look(self) -> None:
        """Take note of strokes, or find out whether some were undone, done again, or set."""
        if self._is_over:
            return
        noted = self._take_note()
        if not noted and not self._is_drawing:
            changed = self._live.note_change(self._plane())
            noted = [] if changed is None else [changed]
            self._save(noted)
        for box in noted:
            self._note(box)

    def _save(self, boxes: list[tuple[slice, ...]]) -> None:
        """Save the strokes in boxes, where the labels are on disk."""
        if self.copy is None:
            return
        try:
            for box in boxes:
                self.copy.save(self._live, box)
        except FractosegError as error:
            self._fail(error)

    def _take_note(self) -> list[tuple[slice, ...]]:
        """Take note of strokes, and of where the brush went over the class that it paints.

        Returns
        -------
        list of tuple of slice
            Boxes in which something may be painted now.
        """
        strokes, self._strokes = self._strokes, []
        brushed, self._brushed = self._brushed, []
        changed = [self._live.note_stroke(box) for box in strokes]
        confirmed = [b.box for b in brushed if self._live.confirm(b, joins=any(changed))]
        boxes = [*strokes, *confirmed]
        self._save(boxes)
        return boxes

    def _on_other_data(self, _event: Any = None) -> None:
        """End, as the layer has another array: the strokes are not those of these labels."""
        if self.labels.data is not self._live.labels:
            self._fail(TrainingError(f"Live ended: {self.labels.name} got other labels."))

    def _on_removed(self, _event: Any = None) -> None:
        if self.labels not in self._viewer.layers:
            self._fail(None)

    def _on_plane(self, _event: Any = None) -> None:
        if self._learner.learnt is not None and self._run is None:
            self._label_rest()

    @Slot()
    def _on_areas(self) -> None:
        """Begin anew with all strokes if something else is left out of the image now."""
        area = area_of(self._viewer, self._image)
        if key_of(area) == key_of(self._area):
            return
        for run in (self._run, self._rest):
            if run is not None:
                run.abandon()
        self._run = self._rest = None
        self._learner = self._new_learner()
        self._dirty = self._painted_regions()
        self._learn()

    def _new_learner(self) -> Learner:
        """Return a learner that has learnt nothing, of the image without what is left out."""
        stack = stack_with_area(self._viewer, self._image)
        self._area = stack.excluded
        return Learner(stack, self._model, self._device)

    def _excluded(self, region: Region) -> Any:
        """Return the mask of what is left out of a region; nothing is learnt or labelled there."""
        return None if self._area is None else self._area.of_plane(region.plane)[region.box.slices]

    # ---- learning -----------------------------------------------------------------------

    def _plane(self) -> tuple[int, ...]:
        return shown_plane(self._viewer, self.labels)

    def _regions(self, plane: tuple[int, ...]) -> list[Region]:
        rows, columns = self.labels.data.shape[-2:]
        return regions_of(plane, (rows, columns))

    def _painted_regions(self) -> set[Region]:
        painted = self._live.painted
        return {
            region
            for plane in np.ndindex(painted.shape[:-2])
            for region in self._regions(plane)
            if painted[region.key].any()
            or checked_in(self._viewer, self.labels, region.key) is not None
        }

    def _note(self, box: tuple[slice, ...]) -> None:
        """Learn again, as labels in a box were painted."""
        *planes, rows, columns = box
        self._last_stroke = Box(rows.start, rows.stop, columns.start, columns.stop)
        for index in np.ndindex(*(part.stop - part.start for part in planes)):
            plane = tuple(i + part.start for i, part in zip(index, planes, strict=True))
            self._dirty |= {r for r in self._regions(plane) if r.box.overlaps(self._last_stroke)}
        self._learn()

    def _scheme(self) -> ClassScheme:
        return scheme_of(self.labels) or DEFAULT_SCHEME

    def _learn(self) -> None:
        if self._run is not None or self._is_over:
            return  # what is painted meanwhile is learnt from next
        self._leave_the_rest()
        self._lesson += 1
        changed = {region: self._labels_in(region) for region in self._dirty}
        self._dirty = set()
        job = self._learner.lesson_job(self._lesson, changed, self._scheme(), self._first_regions())
        self._run = self._start(job, "learning from strokes", self._on_learnt)

    def _labels_in(self, region: Region) -> RegionLabels:
        """Return copies of what is painted or checked in a region, and of its first answer."""
        live, key = self._live, region.key
        painted = live.painted[key].copy()
        checked = checked_in(self._viewer, self.labels, key)
        if checked is not None:
            sure = checked & (painted == UNLABELLED)
            painted[sure] = live.labels[key][sure]
        first, excluded = live.first[key].copy(), self._excluded(region)
        if excluded is not None:
            painted[excluded] = first[excluded] = UNLABELLED
        return RegionLabels(painted, first)

    def _first_regions(self) -> list[Region]:
        """Return the regions to label at once: seen, and nearest to the last stroke."""
        view = self._view()
        seen = self._seen_regions() or nearest_first(self._regions(self._plane()), view)[:1]
        return nearest_first(seen, self._last_stroke or view)[:_AT_ONCE]

    def _seen_regions(self) -> list[Region]:
        """Return the regions of the plane that are seen, those in the middle first."""
        view = self._view()
        ordered = nearest_first(self._regions(self._plane()), view)
        return [region for region in ordered if region.box.overlaps(view)]

    def _view(self) -> Box:
        """Return the pixels of the plane that are seen."""
        (row0, column0), (row1, column1) = np.asarray(self.labels.corner_pixels)[:, -2:].astype(int)
        return Box(int(row0), int(row1) + 1, int(column0), int(column1) + 1)

    def _start(self, job: Job[None], title: str, on_end: Any) -> Run:
        run = Run(job, title)
        run.progressed.connect(self._on_progress)
        run.ended.connect(on_end)
        run.start()
        return run

    @Slot()
    def _on_progress(self) -> None:
        self._show()
        self.changed.emit()

    @Slot()
    def _on_learnt(self) -> None:
        run, self._run = self._run, None
        if run is None or self._is_over:
            return
        if run.state is not State.DONE:
            self._fail(run.error)
            return
        if self._learner.learnt is None:
            self._show_first_again()
        else:
            add_facts(self.labels, {"learnt_strokes": max(1, self._live.n_strokes)})
        self._show()
        if self._dirty:
            self._learn()
        elif self._learner.learnt is None:
            self._label_rest()
        else:
            self._go_on()
        self.changed.emit()

    def _go_on(self) -> None:
        """Label what is seen at once, and the rest after a pause."""
        seen = [region for region in self._seen_regions() if not self._is_labelled(region)]
        if seen:
            self._label(seen[:_AHEAD])
        elif self._left_to_label():
            self._rest_soon.start()

    def _is_labelled(self, region: Region) -> bool:
        """Whether a region was labelled by the last lesson."""
        return self._labelled_by.get(region) == self._lesson

    def _left_to_label(self) -> list[Region]:
        """Return what the last lesson did not label: this plane first, then those beside it."""
        here, view = self._plane(), self._view()
        planes = sorted(
            np.ndindex(self.labels.data.shape[:-2]),
            key=lambda plane: sum(abs(a - b) for a, b in zip(plane, here, strict=True)),
        )
        return [
            region
            for plane in planes
            for region in nearest_first(self._regions(plane), view)
            if not self._is_labelled(region)
        ]

    @Slot()
    def _label_rest(self) -> None:
        """Label what is not labelled by the last lesson.

        Before the first lesson, look at what is seen, so that a stroke there has not to wait.
        """
        if self._is_over:
            return
        self._leave_the_rest()
        if self._learner.learnt is None:
            job = self._learner.look_job(self._seen_regions()[:_AHEAD])
            self._rest = self._start(job, "looking at the image", self._on_rest)
            return
        self._label(self._left_to_label())

    def _leave_the_rest(self) -> None:
        """Stop labelling what is not seen, as there is something more urgent."""
        self._rest_soon.stop()
        if self._rest is not None:
            self._rest.abandon()
            self._rest = None

    def _label(self, regions: list[Region]) -> None:
        if regions:
            job = self._learner.label_job(self._lesson, regions)
            self._asked = regions
            self._rest = self._start(job, "labelling the rest", self._on_rest)

    @Slot()
    def _on_rest(self) -> None:
        run, self._rest = self._rest, None
        self._show()
        if run is not None and run.state is State.FAILED:
            self._fail(run.error)
        elif self._learner.learnt is not None and self._run is None and not self._is_over:
            for region in self._asked:  # planes that show nothing get no labels
                self._labelled_by[region] = self._lesson
            self._asked = []
            self._go_on()
        self.changed.emit()

    # ---- labels -------------------------------------------------------------------------

    def _show(self) -> None:
        """Show the labels that are ready."""
        found, planes = self._learner.found, set()
        while found and not self._is_over:
            number, region, labels = found.popleft()
            if number < self._labelled_by.get(region, 0):
                continue
            self._labelled_by[region] = number
            excluded = self._excluded(region)
            if excluded is not None:
                labels = np.where(excluded, UNLABELLED, labels)
            box = (*(slice(i, i + 1) for i in region.plane), *region.box.slices)
            self._live.show(box, labels, checked_in(self._viewer, self.labels, box))
            planes.add(region.plane)
        if planes:
            if self._plane() in planes:
                self.labels.refresh()
            self.relabelled.emit()

    def _show_first_again(self) -> None:
        """Show the first answer, as there is nothing to learn from any more."""
        if self._labelled_by:
            self._labelled_by.clear()
            self._live.show_first()
            add_facts(self.labels, {"learnt_strokes": 0})
            self.labels.refresh()
            self.relabelled.emit()


def _taken_up(labels: Labels) -> LiveLabels:
    """Return the labels of a layer with its strokes apart, and keep the parts with the layer."""
    predicted = prediction_of(labels)
    corrections = Corrections(labels.data, predicted)
    painted = np.where(corrections.corrected, labels.data, UNLABELLED).astype(np.uint8)
    first = labels.metadata.get(FIRST_ANSWER_KEY)
    if first is None or first.shape != labels.data.shape:
        empty = np.zeros(labels.data.shape, np.uint8)
        first = empty if predicted is None else np.array(predicted, np.uint8)
    live = LiveLabels(labels.data, first, painted)
    if predicted is not None:  # it may have been learnt from strokes before
        live.answer[...] = np.where(painted == UNLABELLED, predicted, UNLABELLED)
    remember_first_answer(labels, first)
    remember_prediction(labels, live.answer)
    return live
