"""Watch on labels that were measured: whether they are still as they were."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Layer, Shapes
from qtpy.QtCore import QObject, QTimer, Signal, Slot
from qtpy.QtWidgets import QWidget

from napari_fractoseg._napari.excluded.drawn import print_of_shapes
from napari_fractoseg._napari.jobs import Run, State
from napari_fractoseg._napari.layers import shown_plane
from napari_fractoseg._napari.widgets.run_queue import main_window
from napari_fractoseg.jobs import Job
from napari_fractoseg.results.record import digest_job, labels_digest

if TYPE_CHECKING:
    import napari.viewer

__all__ = ["LabelsWatch", "Watched"]

_AT_ONCE_PX = 2**22
"""Most pixels that are hashed in the GUI thread: about 10 ms."""
_LOOK_EVERY_MS = 1500


@dataclass(frozen=True, eq=False)
class Watched:
    """Layer that is watched.

    Parameters
    ----------
    layer : Labels or Shapes
        Layer whose data count.
    labels : array or None
        Array of a labels layer; None for shapes.
    measured : array or None
        What of it was measured, such as one plane.
    """

    layer: Layer
    labels: Any = None
    measured: Any = None


class LabelsWatch(QObject):
    """Watch on layers, from the beginning of a measurement on.

    A stroke, undo, ``layer.data = ...`` and ``layer.refresh()`` count at once as a change; where
    labels are few enough they are compared by their hash, so that what was undone, and what only
    looked like a change, counts no more.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Viewer that has the layers.
    widget : QWidget
        Widget of the window: what is compared in a thread ends with it.
    """

    changed = Signal()
    """Signal that `has_changed` may be another."""

    def __init__(self, viewer: napari.viewer.Viewer, widget: QWidget) -> None:
        super().__init__(widget)
        self._viewer, self._widget = viewer, widget
        self._watched: tuple[Watched, ...] = ()
        self._prints: dict[int, Any] = {}
        """What tells of each layer that it is as it was; nothing of those that are too large."""
        self._planes: dict[int, tuple[int, ...]] = {}
        self._doubted: set[int] = set()
        self._is_measured = self._is_spoiled = False
        self._run: Run | None = None
        self._connections: list[tuple[Any, Any]] = []
        self._look = QTimer(self, interval=_LOOK_EVERY_MS)
        self._look.timeout.connect(self._look_at_few)

    @property
    def has_changed(self) -> bool:
        """Whether a layer may be another than when it was measured."""
        return self._is_spoiled or bool(self._doubted)

    # ---- what is watched ----------------------------------------------------------------

    def begin(self, watched: Sequence[Watched]) -> None:
        """Watch these layers instead of others, from before they are measured."""
        self.end()
        self._watched = tuple(watched)
        for number, each in enumerate(self._watched):
            if isinstance(each.layer, Shapes):
                self._prints[number] = print_of_shapes(each.layer)
            else:
                self._planes[number] = shown_plane(self._viewer, each.layer)
            for event, slot in self._events(number, each):
                event.connect(slot)
                self._connections.append((event, slot))

    def measured(self, digests: Sequence[str]) -> None:
        """Take the hashes of the labels as they were measured, in the order of the layers.

        What was painted while they were measured stays a change: nobody knows which part was
        measured before.
        """
        self._prints |= {number: digest for number, digest in enumerate(digests) if digest}
        self._is_measured = True
        doubted, self._doubted = sorted(self._doubted), set()
        for number in doubted:
            self._doubt(number)
        self._look.start()
        self.changed.emit()

    def end(self) -> None:
        """Watch nothing any more."""
        for event, slot in self._connections:
            event.disconnect(slot)
        if self._run is not None:
            self._run.abandon()
        self._look.stop()
        self._connections, self._watched, self._run = [], (), None
        self._prints, self._planes, self._doubted = {}, {}, set()
        self._is_measured = self._is_spoiled = False

    def _events(self, number: int, each: Watched) -> list[tuple[Any, Any]]:
        events, doubt = each.layer.events, partial(self._doubt, number)
        if isinstance(each.layer, Shapes):
            return [(event, doubt) for event in (events.data, events.set_data, events.edge_width)]
        found = [
            (events.paint, partial(self._on_paint, number)),
            (events.data, partial(self._on_data, number)),
        ]
        # Of several resolutions others are shown with each turn of the wheel.
        slot = partial(self._on_set_data, number)
        return found if _is_multiscale(each.layer) else [*found, (events.set_data, slot)]

    # ---- news of layers -----------------------------------------------------------------

    def _on_paint(self, number: int, _event: Any = None) -> None:
        if not self._is_measured:
            self._is_spoiled = True
        self._doubt(number)

    def _on_data(self, number: int, _event: Any = None) -> None:
        """Take note that a layer has another array: what was measured is not seen any more."""
        each = self._watched[number]
        if _data_of(each.layer) is not each.labels:
            self._is_spoiled = True
        self._doubt(number)

    def _on_set_data(self, number: int, _event: Any = None) -> None:
        """Doubt a layer that was drawn anew, unless another plane of it is shown."""
        plane = shown_plane(self._viewer, self._watched[number].layer)
        if plane == self._planes[number]:
            self._doubt(number)
        self._planes[number] = plane

    def _doubt(self, number: int, _event: Any = None) -> None:
        self._doubted.add(number)
        if self._is_measured:
            if _is_few(self._watched[number]):
                self._compare(number)
            else:
                self._compare_later()
        self.changed.emit()

    def _compare(self, number: int) -> None:
        before = self._prints.get(number)
        if before is not None and _print_of(self._watched[number]) == before:
            self._doubted.discard(number)

    def look(self) -> bool:
        """Compare what is few now, and tell whether anything has changed."""
        before = self.has_changed
        for number, each in enumerate(self._watched):
            if self._is_measured and _is_few(each) and number in self._prints:
                self._doubted.add(number)
                self._compare(number)
        if self.has_changed != before:
            self.changed.emit()
        return self.has_changed

    @Slot()
    def _look_at_few(self) -> None:
        """Find also what no event tells of, such as ``layer.data[...] = 1``."""
        labels = [each.measured for each in self._watched if each.measured is not None]
        if sum(math.prod(each.shape) for each in labels) <= _AT_ONCE_PX:
            self.look()

    # ---- many pixels --------------------------------------------------------------------

    def _compare_later(self) -> None:
        """Compare what is large in a thread; what is doubted stays so until then."""
        if self._run is not None:
            self._run.abandon()
        doubted = {n: self._watched[n] for n in self._doubted if n in self._prints}
        jobs = {n: each.measured for n, each in doubted.items() if not _is_few(each)}
        if not jobs:
            return
        run = self._run = Run(_digests_job(jobs), "comparing the labels")
        main_window(self._widget).destroyed.connect(run.abandon)
        run.ended.connect(self._on_end)
        run.start()

    @Slot()
    def _on_end(self) -> None:
        run, self._run = self._run, None
        if run is None or run.state is not State.DONE:
            return
        for number, digest in run.result.items():
            if digest and digest == self._prints.get(number):
                self._doubted.discard(number)
        self.changed.emit()


def _digests_job(labels: dict[int, Any]) -> Job[dict[int, str]]:
    found = {}
    for number, each in labels.items():
        found[number] = yield from digest_job(each)
    return found


def _is_multiscale(layer: Layer) -> bool:
    return bool(getattr(layer, "multiscale", False))


def _data_of(layer: Layer) -> Any:
    return layer.data[0] if _is_multiscale(layer) else layer.data


def _is_few(each: Watched) -> bool:
    """Tell whether a layer is compared at once: shapes, or few labels in memory."""
    if each.measured is None:
        return True
    return isinstance(each.labels, np.ndarray) and math.prod(each.measured.shape) <= _AT_ONCE_PX


def _print_of(each: Watched) -> Any:
    is_drawn = isinstance(each.layer, Shapes)
    return print_of_shapes(each.layer) if is_drawn else labels_digest(each.measured)
