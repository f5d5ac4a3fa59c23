import threading
import time

import pytest
import torch
from napari.utils.notifications import notification_manager
from qtpy.QtCore import QObject, QThread
from superqt.utils import GeneratorWorker

from napari_fractoseg._napari.jobs import Run, State, runs_under_way
from napari_fractoseg.errors import ImageError, UnexpectedError
from napari_fractoseg.jobs import Progress

pytestmark = pytest.mark.usefixtures("no_job_left")


class Listener(QObject):
    """Notes what arrives, and that it arrives in the GUI thread."""

    def __init__(self):
        super().__init__()
        self.news = []

    def note(self, what, *values):
        assert QThread.currentThread() is self.thread() or threading.current_thread() is (
            threading.main_thread()
        )
        self.news.append((what, *values))

    def on_progress(self):
        self.note("progress", self.followed.progress.done)

    def on_end(self):
        self.note(self.followed.state, self.followed.result or self.followed.error)

    def run(self, job):
        self.followed = Run(job)
        self.followed.progressed.connect(self.on_progress)
        self.followed.ended.connect(self.on_end)
        self.followed.start()
        return self.followed

    def outcome(self):
        return [entry for entry in self.news if entry[0] != "progress"]


@pytest.fixture
def listener(qapp):
    return Listener()


class Work:
    """A job of steps that notes in which thread it ran and that it was closed."""

    def __init__(self, steps, seconds=0.0, error=None):
        self.steps, self.seconds, self.error = steps, seconds, error
        self.done = 0
        self.thread = None
        self.closed_in = None

    def job(self):
        try:
            for i in range(self.steps):
                self.thread = threading.current_thread()
                time.sleep(self.seconds)
                self.done = i + 1
                yield Progress(i + 1, self.steps)
            if self.error is not None:
                raise self.error
            return "result"
        finally:
            self.closed_in = threading.current_thread()


def test_a_job_runs_in_another_thread_and_returns(listener, qtbot):
    work = Work(3)
    listener.run(work.job())
    qtbot.waitUntil(lambda: bool(listener.outcome()), timeout=20_000)
    assert listener.outcome() == [(State.DONE, "result")]
    assert listener.news[0] == ("progress", 1)
    assert ("progress", 3) in listener.news
    assert work.thread is not threading.main_thread()
    assert work.closed_in is not None


@pytest.mark.parametrize(
    "error",
    [RuntimeError("lost?"), torch.OutOfMemoryError("CUDA"), ValueError("no"), StopIteration()],
)
def test_any_error_arrives_as_one_of_ours_with_its_cause(listener, qtbot, error):
    notification_manager.records.clear()
    listener.run(Work(1, error=error).job())
    qtbot.waitUntil(lambda: bool(listener.outcome()), timeout=20_000)
    ((state, failure),) = listener.outcome()
    assert state is State.FAILED
    assert isinstance(failure, UnexpectedError)
    if not isinstance(error, StopIteration):  # Python itself turns that one into a RuntimeError
        assert failure.__cause__ is error
        assert type(error).__name__ in str(failure)
    (shown,) = [x for x in notification_manager.records if str(x.message) == str(failure)]
    assert "Traceback" in str(shown), "what is printed on the console, for the report"


def test_the_console_gets_one_line_of_an_error_of_the_user(listener, qtbot, capsys):
    notification_manager.records.clear()
    listener.run(Work(1, error=ImageError("a.tif is damaged. Choose another.")).job())
    qtbot.waitUntil(lambda: bool(listener.outcome()), timeout=20_000)
    (shown,) = notification_manager.records
    assert str(shown) == "ERROR: a.tif is damaged. Choose another."
    assert shown.exception.__traceback__ is not None, "the window has the details"


def test_errors_of_ours_arrive_as_they_are(listener, qtbot):
    error = ImageError("3 pixels are NaN")
    listener.run(Work(1, error=error).job())
    qtbot.waitUntil(lambda: bool(listener.outcome()), timeout=20_000)
    assert listener.outcome() == [(State.FAILED, error)]


def test_cancel_stops_between_two_steps_and_closes_the_job(listener, qtbot):
    work = Work(1000, seconds=0.01)
    run = listener.run(work.job())
    qtbot.waitUntil(lambda: ("progress", 1) in listener.news, timeout=20_000)
    run.cancel()
    at_cancel = work.done
    qtbot.waitUntil(lambda: bool(listener.outcome()), timeout=20_000)
    assert listener.outcome() == [(State.STOPPED, None)]
    assert work.done <= at_cancel + 1
    assert work.closed_in is work.thread


def test_progress_is_reported_about_20_times_a_second_and_at_the_end(listener, qtbot):
    listener.run(Work(500, seconds=0.001).job())
    began = time.monotonic()
    qtbot.waitUntil(lambda: bool(listener.outcome()), timeout=20_000)
    steps = [entry for entry in listener.news if entry[0] == "progress"]
    assert len(steps) <= 20 * (time.monotonic() - began) + 2
    assert steps[-1] == ("progress", 500)


def test_a_run_that_nobody_follows_comes_to_its_end(qtbot, qapp):
    ends = []

    class Kept(Run):
        def conclude(self, state):
            ends.append((state, self.result))
            return state

    Kept(Work(2, seconds=0.05).job()).start()
    qtbot.waitUntil(lambda: ends == [(State.DONE, "result")], timeout=20_000)


@pytest.mark.parametrize("finishes", [True, False])
def test_a_run_that_finishes_is_waited_for_when_napari_quits(qtbot, qapp, finishes):
    work = Work(30, seconds=0.01)
    run = Run(work.job())
    run.finishes = finishes
    run.start()
    qtbot.waitUntil(lambda: work.done > 0, timeout=20_000)
    GeneratorWorker.await_workers(20_000)  # as napari does
    assert work.closed_in is not None
    assert (work.done == 30) is finishes
    qtbot.waitUntil(lambda: run.state.has_ended, timeout=20_000)
    assert run.state is (State.DONE if finishes else State.STOPPED)


def test_a_run_that_finishes_can_be_cancelled(qtbot, qapp):
    work = Work(1000, seconds=0.01)
    run = Run(work.job())
    run.finishes = True
    run.start()
    qtbot.waitUntil(lambda: work.done > 0, timeout=20_000)
    run.cancel()
    qtbot.waitUntil(lambda: run.state is State.STOPPED, timeout=20_000)
    assert work.done < 1000


@pytest.mark.parametrize("error", [None, ImageError("bad")])
def test_of_an_abandoned_run_nothing_is_heard(listener, qtbot, error):
    notification_manager.records.clear()
    work = Work(3, seconds=0.05, error=error)
    listener.run(work.job()).abandon()
    qtbot.waitUntil(lambda: not runs_under_way(), timeout=20_000)
    assert listener.news == []
    assert not list(notification_manager.records)
    assert work.closed_in is not None or work.done == 0


def test_a_run_that_waits_is_cancelled_before_anything_of_it_happens(listener):
    work = Work(3)
    run = Run(work.job())
    stands = []
    run.changed.connect(lambda: stands.append(run.state))
    run.cancel()
    run.start()
    assert stands == [State.STOPPED]
    assert (work.done, work.thread) == (0, None)


def test_what_goes_wrong_at_the_very_end_is_a_failure(qtbot, qapp):
    error = ImageError("the folder is gone")

    class Unsaved(Run):
        def conclude(self, state):
            raise error

    run = Unsaved(Work(1).job())
    run.start()
    qtbot.waitUntil(lambda: run.state.has_ended, timeout=20_000)
    assert (run.state, run.error) == (State.FAILED, error)
    assert run.end_text() == "That did not work. the folder is gone"
