import pytest

from napari_fractoseg.jobs import Progress, drain


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
