"""Queue of the runs of a viewer, one after the other; it outlives the docks that show it."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar
from weakref import WeakSet

from qtpy.QtCore import QCoreApplication, QObject, QThreadPool, Signal, Slot
from qtpy.QtWidgets import QMainWindow, QWidget

from napari_fractoseg._napari.jobs import Run, State
from napari_fractoseg._napari.layers import unwrapped

if TYPE_CHECKING:
    import napari.viewer

__all__ = ["RunQueue", "main_window", "queue_of"]

_QUIT_WITHIN_MS = 20_000


def main_window(widget: QWidget) -> QObject:
    """Return napari's main window of a widget, also if its dock floats; else the widget itself."""
    parent = widget.parentWidget()
    while parent is not None and not isinstance(parent, QMainWindow):
        parent = parent.parentWidget()
    return widget if parent is None else parent


AnyRun = TypeVar("AnyRun", bound=Run)


class RunQueue(QObject):
    """Queue that starts runs one by one, so that one network at a time has processor and memory.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Viewer that the runs belong to.

    Attributes
    ----------
    runs : list of Run
        Runs that ended since the queue was last empty, the one that runs, and those that wait.
    """

    changed = Signal()
    """Signal that a run was added or taken out, or has another state."""

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self.viewer = viewer
        self.runs: list[Run] = []
        self._ends_with_window = False
        application = QCoreApplication.instance()
        if application is not None:
            application.aboutToQuit.connect(self._on_quit)
        _queues.add(self)

    # ---- what is in it ------------------------------------------------------------------

    @property
    def running(self) -> Run | None:
        """Run that is under way, None if there is none."""
        return next((run for run in self.runs if run.state.is_under_way), None)

    @property
    def waiting(self) -> list[Run]:
        """Runs that were not started yet."""
        return [run for run in self.runs if run.state is State.WAITING]

    @property
    def is_busy(self) -> bool:
        """Whether a run is under way or waits."""
        return any(not run.state.has_ended for run in self.runs)

    def of_kind(self, kind: type[AnyRun]) -> list[AnyRun]:
        """Return the runs of one kind, such as the segmentations."""
        return [run for run in self.runs if isinstance(run, kind)]

    def shown_by_dock(self, kind: type[AnyRun]) -> AnyRun | None:
        """Return the run that a dock for one kind shows: the next one to end, else the last."""
        runs = self.of_kind(kind)
        last = runs[-1] if runs else None
        return next((run for run in runs if not run.state.has_ended), last)

    # ---- what is done with it -----------------------------------------------------------

    def add(self, run: Run, widget: QWidget) -> None:
        """Add a run; it starts at once if nothing else runs.

        Parameters
        ----------
        run : Run
            Run that was not started yet.
        widget : QWidget
            Widget that starts it: the queue ends with the window that this is in.
        """
        self._end_with(main_window(widget))
        if not self.is_busy:
            self.runs.clear()
        self.runs.append(run)
        run.changed.connect(self._on_run)
        self._on_run()

    @Slot()
    def end_all(self) -> None:
        """Take out every run that waits, and interrupt the one under way."""
        for run in [*self.waiting, *filter(None, [self.running])]:
            run.interrupt()

    def _end_with(self, window: QObject) -> None:
        if not self._ends_with_window:
            self._ends_with_window = True
            window.destroyed.connect(self.end_all)

    @Slot()
    def _on_quit(self) -> None:
        """End every run when the program quits, and wait until it has saved finished parts."""
        is_running = self.running is not None
        self.end_all()
        pool = QThreadPool.globalInstance()
        # The worker saves what is finished; no news of it arrives once the program ends.
        if is_running and pool is not None:
            pool.waitForDone(_QUIT_WITHIN_MS)

    @Slot()
    def _on_run(self) -> None:
        """Start the next run if none is under way; forget runs cancelled before they began."""
        self.runs = [run for run in self.runs if run.was_started or not run.state.has_ended]
        if self.is_busy:
            _busy.add(self)
            if self.running is None:
                self.waiting[0].start()  # and this is called again
                return
        else:
            _busy.discard(self)
        self.changed.emit()


_queues: WeakSet[RunQueue] = WeakSet()
_busy: set[RunQueue] = set()
"""Queues in which something runs: they are kept alive, also when their dock is gone."""


def queue_of(viewer: napari.viewer.Viewer) -> RunQueue:
    """Return the queue of a viewer: the one that runs, if a dock was closed and opened again."""
    for queue in _queues:
        # Viewers that look alike are equal, and plugins get the viewer in a wrapper.
        if unwrapped(queue.viewer) is unwrapped(viewer):
            return queue
    return RunQueue(viewer)
