"""Runs of the Segment dock, one after the other; they outlive the dock."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from qtpy.QtCore import QCoreApplication, QObject, QThreadPool, Signal, Slot

from napari_fractoseg._napari.jobs import JobHandle, run_job
from napari_fractoseg._napari.segment.request import Request
from napari_fractoseg._napari.segment.result import ShownResult
from napari_fractoseg._napari.segment.texts import run_title, share_text
from napari_fractoseg.errors import FractosegError
from napari_fractoseg.jobs import Progress

if TYPE_CHECKING:
    import napari.viewer

__all__ = ["Run", "RunQueue", "RunState", "queue_of"]


class RunState(Enum):
    """How a run stands; the values are shown."""

    WAITING = "waiting"
    RUNNING = "starting …"
    STOPPING = "stopping …"
    DONE = "done"
    STOPPED = "stopped"
    FAILED = "failed"


_QUIT_WITHIN_MS = 20_000
_UNDER_WAY = (RunState.RUNNING, RunState.STOPPING)


@dataclass(eq=False)
class Run:
    """A segmentation in the queue.

    Parameters
    ----------
    shown : ShownResult
        The segmentation and its layers.
    state : RunState
        How it stands.
    progress : tuple of (Progress, float or None), optional
        How far it is, and the seconds left.
    remark : str
        Why it failed.
    """

    shown: ShownResult
    state: RunState = RunState.WAITING
    progress: tuple[Progress, float | None] | None = None
    remark: str = ""

    @property
    def title(self) -> str:
        """Image and planes."""
        request = self.shown.task.request
        return run_title(request.image, request.planes)

    @property
    def text(self) -> str:
        """How it stands, in words."""
        if self.state is RunState.RUNNING and self.progress is not None:
            return share_text(*self.progress)
        return self.state.value

    @property
    def can_be_cancelled(self) -> bool:
        """Whether it waits or runs."""
        return self.state in (RunState.WAITING, RunState.RUNNING)


class RunQueue(QObject):
    """Runs segmentations one after the other, and keeps their layers up to date.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Where the layers are.

    Attributes
    ----------
    runs : list of Run
        Those that ended since the queue was last empty, the one that runs, and those that wait.
    handle : JobHandle or None
        The job of the one that runs.
    """

    changed = Signal()
    """A run was added or removed, or stands otherwise."""
    started = Signal(object)
    """`Run`."""
    progressed = Signal(object, object, object)
    """`Run`, `Progress`, and the seconds left or None."""
    returned = Signal(object, object)
    """`Run`, and the fractions."""
    failed = Signal(object, object)
    """`Run`, and the `FractosegError`; napari shows it too."""
    stopped = Signal(object)
    """`Run`."""
    finished = Signal(object)
    """`Run`; after one of the three above, and before the next one starts."""

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self.viewer = viewer
        self.runs: list[Run] = []
        self.handle: JobHandle | None = None
        self._ended: Run | None = None
        self._ends_with_window = False
        viewer.layers.events.removed.connect(self._on_removed)
        application = QCoreApplication.instance()
        if application is not None:
            application.aboutToQuit.connect(self._on_quit)
        _queues.add(self)

    # ---- what is in it ------------------------------------------------------------------

    @property
    def running(self) -> Run | None:
        """The run that is under way."""
        return next((run for run in self.runs if run.state in _UNDER_WAY), None)

    @property
    def is_busy(self) -> bool:
        """Whether a run is under way, or has not handed over its layers yet."""
        return self.handle is not None

    @property
    def waiting(self) -> list[Run]:
        """Those that were not begun."""
        return [run for run in self.runs if run.state is RunState.WAITING]

    @property
    def reserved_bytes(self) -> int:
        """Memory that the results of those that wait or run will take."""
        return sum(r.shown.task.request.memory_bytes for r in self.runs if r.can_be_cancelled)

    def holds(self, request: Request) -> bool:
        """Whether the same is running or waiting already."""
        going_on = [run for run in self.runs if run.can_be_cancelled]
        return any(run.shown.task.request.is_same_work_as(request) for run in going_on)

    # ---- what is done with it -----------------------------------------------------------

    def add(self, shown: ShownResult) -> Run:
        """Add a segmentation; it starts at once if nothing else runs."""
        run, is_first = Run(shown), not self.is_busy
        shown.in_background = not is_first
        if is_first:
            self.runs.clear()
        self.runs.append(run)
        if is_first:
            self._start(run)
        self.changed.emit()
        return run

    def cancel(self, run: Run) -> None:
        """Take a run out that waits; stop one that runs, and what it finished stays."""
        if run.state is RunState.WAITING:
            self.runs.remove(run)
        elif run.state is RunState.RUNNING and self.handle is not None:
            run.state = RunState.STOPPING
            self.handle.cancel()
        self.changed.emit()

    @Slot()
    def cancel_all(self, _widget: Any = None) -> None:
        """Cancel every run."""
        for run in [*self.waiting, *filter(None, [self.running])]:
            self.cancel(run)

    def end_with(self, window: QObject) -> None:
        """Cancel every run when a window is closed."""
        if not self._ends_with_window:
            self._ends_with_window = True
            window.destroyed.connect(self.cancel_all)

    @Slot()
    def _on_quit(self) -> None:
        """Cancel every run; what is saved on disk is put in its place."""
        is_running = self.running is not None
        self.cancel_all()
        pool = QThreadPool.globalInstance()
        # The worker saves what is finished; no news of it arrives once the program ends.
        if is_running and pool is not None:
            pool.waitForDone(_QUIT_WITHIN_MS)

    # ---- the run that is under way ------------------------------------------------------

    def _start(self, run: Run) -> None:
        _busy.add(self)
        run.state = RunState.RUNNING
        self.handle = run_job(
            run.shown.task.job(),
            on_progress=self._on_progress,
            on_return=self._on_return,
            on_failure=self._on_failure,
            on_stop=self._on_stop,
            on_finish=self._on_finish,
        )
        self.started.emit(run)

    @Slot(object, object)
    def _on_progress(self, progress: Progress, remaining_s: float | None) -> None:
        run = self.running
        if run is not None:
            run.progress = progress, remaining_s
            self.progressed.emit(run, progress, remaining_s)
            run.shown.show()

    @Slot(object)
    def _on_return(self, fractions: Any) -> None:
        self._end(RunState.DONE, self.returned, fractions)

    @Slot(object)
    def _on_failure(self, error: FractosegError) -> None:
        if self.running is not None:
            self.running.remark = str(error)
        self._end(RunState.FAILED, self.failed, error)

    @Slot()
    def _on_stop(self) -> None:
        self._end(RunState.STOPPED, self.stopped)

    def _end(self, state: RunState, signal: Any, *outcome: Any) -> None:
        run = self._ended = self.running
        if run is not None:
            run.state = state
            signal.emit(run, *outcome)

    @Slot()
    def _on_finish(self) -> None:
        run, self.handle = self._ended, None
        if run is not None:
            run.shown.finish()
            self.finished.emit(run)
        if self.waiting:
            self._start(self.waiting[0])
        else:
            _busy.discard(self)
        self.changed.emit()

    def _on_removed(self, _event: Any = None) -> None:
        """Stop a run whose result the user threw away."""
        run = self.running
        if run is not None and run.shown.lost_its_layer():
            self.cancel(run)


_queues: WeakSet[RunQueue] = WeakSet()
_busy: set[RunQueue] = set()
"""Keeps queues alive while something runs, also when their dock is gone."""


def queue_of(viewer: napari.viewer.Viewer) -> RunQueue:
    """Return the queue of a viewer: the one that runs, if a dock was closed and opened again."""
    return next((queue for queue in _queues if queue.viewer == viewer), None) or RunQueue(viewer)
