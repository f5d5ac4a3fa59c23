"""Runs: jobs in threads, with their progress and end in the GUI thread. Only here threads start."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Generator
from enum import Enum
from typing import Any

from qtpy.QtCore import QObject, Signal, Slot
from superqt.utils import GeneratorWorker

from napari_fractoseg._napari.widgets.plain_text import show_error
from napari_fractoseg.errors import FractosegError, UnexpectedError
from napari_fractoseg.jobs import Job, Progress, RemainingTime, Throttle

__all__ = ["Run", "State", "runs_under_way"]

_PROGRESS_INTERVAL_S = 1 / 20

_logger = logging.getLogger(__name__)

_under_way: set[Run] = set()
"""Runs whose thread has not ended: they are kept alive, also if nobody follows them any more."""


def runs_under_way() -> tuple[Run, ...]:
    """Return the runs whose thread has not ended yet."""
    return tuple(_under_way)


class State(Enum):
    """State of a run, or of a dock without one: ready to start one, or not."""

    NOT_READY = "not ready"
    READY = "ready"
    WAITING = "waiting"
    RUNNING = "running"
    STOPPING = "stopping"
    DONE = "done"
    STOPPED = "stopped"
    FAILED = "failed"

    @property
    def has_ended(self) -> bool:
        """Whether a run in this state is over."""
        return self in (State.DONE, State.STOPPED, State.FAILED)

    @property
    def is_under_way(self) -> bool:
        """Whether a run in this state has a thread."""
        return self in (State.RUNNING, State.STOPPING)


class _JobWorker(GeneratorWorker):
    """Worker that runs a job so that superqt can neither lose its error nor leave it open.

    superqt 0.9 swallows a ``RuntimeError`` raised by a generator (it takes it
    for a deleted worker), and leaves a generator that was told to quit
    suspended, so that its ``finally`` does not run.
    """

    def __init__(self, job: Job[Any], finishes: bool) -> None:
        super().__init__(self._steps, job)
        self._job, self._finishes = job, finishes

    def quit(self) -> None:
        """Stop before the next step, as napari asks of all workers when it quits.

        It waits for them then, so that one that does not stop comes to its end.
        """
        if not self._finishes:
            self.stop()

    def stop(self) -> None:
        """Stop before the next step."""
        super().quit()

    def work(self) -> Any:
        """Run the job, and close it in this thread, when it is surely not executing."""
        try:
            return super().work()
        finally:
            self._job.close()

    def _steps(self, job: Job[Any]) -> Generator[Progress, None, Any]:
        """Yield about 20 times a second; every yield is also a point to stop at."""
        throttle = Throttle(_PROGRESS_INTERVAL_S)
        try:
            while True:
                progress = next(job)
                due = throttle.ready()
                if due or progress.done >= progress.total or self.abort_requested:
                    yield progress
        except StopIteration as stop:
            return stop.value
        except FractosegError:
            raise
        except Exception as error:  # superqt would swallow a RuntimeError
            raise UnexpectedError(
                f"Something unexpected went wrong ({type(error).__name__}): {error} Please report "
                "it with the details that napari shows."
            ) from error


class Run(QObject):
    """Job that runs in a thread, or waits to; it needs no widget to come to its end.

    Widgets that show a run connect to its signals and read its attributes. All signals arrive
    in the GUI thread.

    Parameters
    ----------
    job : Job
        Work to do, which must touch neither layers nor Qt. Nothing of it is executed before
        `start`.
    title : str
        Name of the run in a list.

    Attributes
    ----------
    state : State
        State of the run: waiting, running, stopping, done, stopped or failed.
    progress : Progress or None
        Latest progress, renewed about 20 times a second at most; None before the first.
    remaining_s : float or None
        Seconds left; None where that cannot be told.
    result : object
        Result of the job; None until it is done.
    error : FractosegError or None
        Error that made the run fail; napari shows it by itself.
    """

    changed = Signal()
    """Signal that `state` has changed."""
    progressed = Signal()
    """Signal that `progress` and `remaining_s` are new."""
    ended = Signal()
    """Signal that the run is done, stopped or failed; comes before the last `changed`."""

    goes_on = ""
    """Text for the user when the dock that shows the run is closed before it has ended."""
    finishes = False
    """Whether the run comes to its end when napari quits, which waits for it then."""

    def __init__(self, job: Job[Any], title: str = "") -> None:
        super().__init__()
        self.title = title
        self.state = State.WAITING
        self.progress: Progress | None = None
        self.remaining_s: float | None = None
        self.result: Any = None
        self.error: FractosegError | None = None
        self._job = job
        self._worker: _JobWorker | None = None
        self._remaining = RemainingTime()
        self._has_returned = self._is_abandoned = False

    @property
    def was_started(self) -> bool:
        """Whether the run was started, even if it has ended since."""
        return self._worker is not None

    # ---- what is done with it -----------------------------------------------------------

    def start(self) -> None:
        """Start the thread of the run; do nothing if that was done already."""
        if self.state is not State.WAITING:
            return
        worker = self._worker = _JobWorker(self._job, self.finishes)
        worker.yielded.connect(self._on_progress)
        worker.returned.connect(self._on_return)
        worker.errored.connect(self._on_error)
        worker.warned.connect(self._on_warning)
        worker.finished.connect(self._on_finish)
        _under_way.add(self)
        worker.start()
        self._set_state(State.RUNNING)

    @Slot()
    def cancel(self) -> None:
        """Stop the run as soon as it can; finished parts stay. A run that waits ends at once."""
        if self.state is State.RUNNING:
            self.ask_to_stop()
            self._set_state(State.STOPPING)
        elif self.state is State.WAITING:
            self._job.close()
            self._end(State.STOPPED)

    @Slot()
    def interrupt(self) -> None:
        """Stop the run before its next step, whatever is lost: the window is being closed."""
        if self._worker is None:
            self.cancel()
        elif self.state.is_under_way:
            self._worker.stop()
            self._set_state(State.STOPPING)

    @Slot()
    def abandon(self) -> None:
        """Stop the run without any further signal: another run has taken its place."""
        self._is_abandoned = True
        self.interrupt()

    # ---- what kinds of runs do otherwise ------------------------------------------------

    def ask_to_stop(self) -> None:
        """Make the job end; by default before its next step, without a result."""
        if self._worker is not None:
            self._worker.stop()

    def conclude(self, state: State) -> State:
        """Do in the GUI thread what belongs to the end of a run, such as adding layers.

        Parameters
        ----------
        state : State
            State in which the job ended.

        Returns
        -------
        State
            State in which the run ends; by default the same.

        Raises
        ------
        FractosegError
            If this work fails: then the run has failed.
        """
        return state

    def end_text(self) -> str:
        """Return a text on how the run ended; empty if it is simply done."""
        if self.state is State.FAILED:
            return f"That did not work. {self.error}"
        return "Stopped." if self.state is State.STOPPED else ""

    # ---- news of the worker -------------------------------------------------------------

    @Slot(object)
    def _on_progress(self, progress: Progress) -> None:
        if not self._is_abandoned:
            self.progress, self.remaining_s = progress, self._remaining.update(progress)
            self.progressed.emit()

    @Slot(object)
    def _on_return(self, result: Any) -> None:
        self.result, self._has_returned = result, True

    @Slot(object)
    def _on_error(self, error: FractosegError) -> None:
        if not self._is_abandoned:
            self._fail(error)

    @Slot(tuple)
    def _on_warning(self, arguments: tuple[Any, ...]) -> None:
        # superqt catches them; they are for developers, so they go to the log.
        _logger.warning("%s", warnings.formatwarning(*arguments[:4]))

    @Slot()
    def _on_finish(self) -> None:
        _under_way.discard(self)
        if self.error is not None:
            self._end(State.FAILED)
        else:
            self._end(State.DONE if self._has_returned else State.STOPPED)

    # ---- its state ----------------------------------------------------------------------

    def _fail(self, error: FractosegError) -> None:
        self.error = error
        show_error(error)

    def _end(self, state: State) -> None:
        if self._is_abandoned:
            self.state = State.STOPPED
            return
        if self.was_started:
            try:
                state = self.conclude(state)
            except FractosegError as error:  # such as a folder that cannot be written to any more
                self._fail(error)
                state = State.FAILED
        self.state = state
        self.ended.emit()
        self.changed.emit()

    def _set_state(self, state: State) -> None:
        self.state = state
        if not self._is_abandoned:
            self.changed.emit()
