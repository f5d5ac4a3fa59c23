"""The one place that starts workers: a job in a thread, its news in the GUI thread."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Generator
from typing import Any

from napari.utils.notifications import notification_manager
from qtpy.QtCore import QObject, Signal, Slot
from superqt.utils import GeneratorWorker

from napari_fractoseg.errors import FractosegError, UnexpectedError
from napari_fractoseg.jobs import Job, Progress, RemainingTime, Throttle

__all__ = ["JobHandle", "run_job"]

_PROGRESS_INTERVAL_S = 1 / 20

_logger = logging.getLogger(__name__)

_running: set[JobHandle] = set()
"""Keeps handles alive until their thread has ended, also when their widget is gone."""


class _JobWorker(GeneratorWorker):
    """Runs a job so that superqt can neither lose its error nor leave it open.

    superqt 0.9 swallows a ``RuntimeError`` raised by a generator (it takes it
    for a deleted worker), and leaves a generator that was told to quit
    suspended, so that its ``finally`` does not run.
    """

    def __init__(self, job: Job[Any]) -> None:
        super().__init__(self._steps, job)
        self._job = job

    def work(self) -> Any:
        """Run the job; close it in this thread, when it is surely not executing."""
        try:
            return super().work()
        finally:
            self._job.close()

    def _steps(self, job: Job[Any]) -> Generator[Progress, None, Any]:
        """Yield what the window can show; every yield is also a point to stop at."""
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


class JobHandle(QObject):
    """A job that runs in a thread. All signals arrive in the GUI thread.

    Exactly one of `returned`, `failed` and `stopped` is followed by `finished`, unless the
    job was abandoned.
    """

    progressed = Signal(object, object)
    """`Progress`, and the seconds left or None."""
    returned = Signal(object)
    """What the job returned."""
    failed = Signal(object)
    """The `FractosegError`; napari shows it too."""
    stopped = Signal()
    """The job ended because of `cancel`."""
    finished = Signal()

    def __init__(self, job: Job[Any]) -> None:
        super().__init__()
        self._remaining = RemainingTime()
        self._has_outcome = self._is_abandoned = False
        self.slots: tuple[Any, ...] = ()
        """Kept until the end: a widget that is closed still gets the last news."""
        self._worker = _JobWorker(job)
        self._worker.yielded.connect(self._on_progress)
        self._worker.returned.connect(self._on_return)
        self._worker.errored.connect(self._on_error)
        self._worker.warned.connect(self._on_warning)
        self._worker.finished.connect(self._on_finish)

    def start(self) -> None:
        """Start the thread."""
        _running.add(self)
        self._worker.start()

    @Slot()
    def cancel(self) -> None:
        """Stop the job before its next step; `stopped` follows."""
        self._worker.quit()

    def abandon(self) -> None:
        """Stop the job, and hear no more of it: another one has taken its place."""
        self._is_abandoned = True
        self.cancel()

    @Slot(object)
    def _on_progress(self, progress: Progress) -> None:
        if not self._is_abandoned:
            self.progressed.emit(progress, self._remaining.update(progress))

    @Slot(object)
    def _on_return(self, result: Any) -> None:
        self._has_outcome = True
        if not self._is_abandoned:
            self.returned.emit(result)

    @Slot(object)
    def _on_error(self, error: Exception) -> None:
        self._has_outcome = True
        if self._is_abandoned:
            return
        notification_manager.receive_error(type(error), error, error.__traceback__)
        self.failed.emit(error)

    @Slot(tuple)
    def _on_warning(self, arguments: tuple[Any, ...]) -> None:
        # superqt catches them; they are for developers, so they go to the log.
        _logger.warning("%s", warnings.formatwarning(*arguments[:4]))

    @Slot()
    def _on_finish(self) -> None:
        _running.discard(self)
        if self._is_abandoned:
            return
        if not self._has_outcome:
            self.stopped.emit()
        self.finished.emit()


def run_job(
    job: Job[Any],
    *,
    on_progress: Callable[[Progress, float | None], object] | None = None,
    on_return: Callable[[Any], object] | None = None,
    on_failure: Callable[[FractosegError], object] | None = None,
    on_stop: Callable[[], object] | None = None,
    on_finish: Callable[[], object] | None = None,
) -> JobHandle:
    """Run a job in a thread.

    Parameters
    ----------
    job : Job
        Must touch neither layers nor Qt.
    on_progress : callable
        Gets each `Progress` (about 20 a second at most) and the seconds left.
    on_return : callable
        Gets what the job returned.
    on_failure : callable
        Gets the error, always a `FractosegError`; napari shows it by itself.
    on_stop : callable
        Called when the job was cancelled.
    on_finish : callable
        Called last, whatever happened.

    Returns
    -------
    JobHandle
        With ``cancel()``.

    Notes
    -----
    The callables run in the GUI thread. Pass methods of a `QObject` or
    `QWidget`: Qt forgets them when that object is deleted.
    """
    handle = JobHandle(job)
    handle.slots = (on_progress, on_return, on_failure, on_stop, on_finish)
    for signal, slot in (
        (handle.progressed, on_progress),
        (handle.returned, on_return),
        (handle.failed, on_failure),
        (handle.stopped, on_stop),
        (handle.finished, on_finish),
    ):
        if slot is not None:
            signal.connect(slot)
    handle.start()
    return handle
