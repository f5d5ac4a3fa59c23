import pytest

from napari_fractoseg.errors import FractosegError
from napari_fractoseg.jobs import (
    Progress,
    RemainingTime,
    Throttle,
    as_part,
    drain,
    duration_text,
    ending_with,
)


def counting(closed):
    try:
        for i in range(3):
            yield Progress(i + 1, 3, f"step {i + 1}")
        return "result"
    finally:
        closed.append(True)


def test_drain_reports_every_step_and_returns_the_result():
    seen = []
    assert drain(counting([]), seen.append) == "result"
    assert [(p.done, p.total, p.message) for p in seen] == [
        (1, 3, "step 1"),
        (2, 3, "step 2"),
        (3, 3, "step 3"),
    ]


def test_an_error_while_reporting_closes_the_job():
    closed = []

    def fail(progress):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        drain(counting(closed), fail)
    assert closed == [True]


def remaining_after(*steps):
    """Feed (seconds, done, total) and return the last estimate."""
    clock = iter([seconds for seconds, _, _ in steps])
    remaining = RemainingTime(lambda: next(clock))
    return [remaining.update(Progress(done, total)) for _, done, total in steps][-1]


def test_remaining_time_comes_from_the_steps_after_the_first():
    assert remaining_after((100, 1, 11), (102, 2, 11)) == 18
    assert remaining_after((100, 1, 11), (102, 2, 11), (104, 6, 11)) == pytest.approx(4)
    assert remaining_after((100, 1, 11), (120, 11, 11)) == 0


def test_remaining_time_is_unknown_before_the_second_step():
    assert remaining_after((100, 1, 11)) is None
    assert remaining_after((100, 1, 11), (105, 1, 11)) is None
    assert RemainingTime().update(Progress(0, 0, "loading")) is None


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "1 s"), (0.4, "1 s"), (59.2, "1 min"), (60, "1 min"), (61, "2 min"), (3600, "1 h 0 min")],
)
def test_durations_are_rounded_up(seconds, text):
    assert duration_text(seconds) == text


def test_a_throttle_is_ready_at_once_and_after_each_interval():
    clock = iter([0.0, 0.4, 1.0, 1.5, 2.1])
    throttle = Throttle(1.0, lambda: next(clock))
    assert [throttle.ready() for _ in range(5)] == [True, False, True, False, True]


class TestAsPart:
    def test_the_outer_progress_stays_and_the_result_comes_through(self):
        def inner():
            yield Progress(1, 2, "inner")
            yield Progress(2, 2, "inner")
            return "result"

        seen = []
        assert drain(as_part(inner(), 7, 9, "outer"), seen.append) == "result"
        assert seen == [Progress(7, 9, "outer")] * 2

    def test_closing_the_outer_job_closes_the_inner_one(self):
        closed = []

        def inner():
            try:
                yield Progress(0, 1)
            finally:
                closed.append(True)

        job = as_part(inner(), 0, 1, "outer")
        next(job)
        job.close()
        assert closed == [True]

    def test_the_inner_job_may_stand_for_a_span_of_steps(self):
        seen = []
        drain(as_part(counting([]), 30, 90, "file 2", span=10), seen.append)
        assert [(p.done, p.total) for p in seen] == [(33, 90), (36, 90), (40, 90)]
        assert seen[0].message == "file 2, step 1"
        nameless = [p.message for p in as_part(counting([]), 0, 3, "", span=3)]
        assert nameless[0] == "step 1"


class TestEndingWith:
    @staticmethod
    def fail():
        raise FractosegError("the disk is full")

    def test_the_first_error_wins_and_the_second_is_noted(self):
        with pytest.raises(MemoryError, match="too large") as caught, ending_with(self.fail):
            raise MemoryError("too large")
        assert caught.value.__notes__ == ["the disk is full"]

    def test_an_error_of_saving_is_raised_where_there_is_no_other(self):
        with pytest.raises(FractosegError, match="the disk is full"), ending_with(self.fail):
            pass

    @pytest.mark.parametrize("error", [None, KeyboardInterrupt(), ValueError()])
    def test_it_is_saved_once_whatever_happens(self, error):
        saved = []

        def work():
            with ending_with(lambda: saved.append(True)):
                if error is not None:
                    raise error

        if error is None:
            work()
        else:
            with pytest.raises(type(error)):
                work()
        assert saved == [True]

    def test_a_job_that_is_stopped_says_that_it_could_not_be_saved(self):
        def steps():
            with ending_with(self.fail):
                yield Progress(1, 2)
                yield Progress(2, 2)

        job = steps()
        next(job)
        with pytest.raises(FractosegError, match="the disk is full"):
            job.close()
