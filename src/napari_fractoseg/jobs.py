"""Jobs: long work as generators that report progress and return a result.

A job can be stopped between two yields, and only there. See
``docs/decisions/0002-long-work.md``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeAlias, TypeVar

from napari_fractoseg.errors import FractosegError

__all__ = [
    "Job",
    "Progress",
    "RemainingTime",
    "Throttle",
    "as_part",
    "drain",
    "duration_text",
    "ending_with",
]

R = TypeVar("R")


@dataclass(frozen=True)
class Progress:
    """Progress of a job.

    Parameters
    ----------
    done, total : int
        Number of steps finished and in all; ``0 <= done <= total``.
    message : str
        Text for users that says what was finished.
    metrics : mapping of str to float
        Figures of this step by name, such as ``{"loss": 0.7}``.
    """

    done: int
    total: int
    message: str = ""
    metrics: Mapping[str, float] = field(default_factory=dict)


Job: TypeAlias = Generator[Progress, None, R]


def drain(job: Job[R], report: Callable[[Progress], object] | None = None) -> R:
    """Run a job to its end and return its result.

    Parameters
    ----------
    job : Job
        Job to run.
    report : callable, optional
        Function that is called with each `Progress`.

    Returns
    -------
    object
        Result of the job.

    Examples
    --------
    >>> from napari_fractoseg.jobs import Progress, drain
    >>> def count():
    ...     for i in range(3):
    ...         yield Progress(i + 1, 3)
    ...     return "done"
    >>> drain(count())
    'done'
    """
    try:
        while True:
            progress = next(job)
            if report is not None:
                report(progress)
    except StopIteration as stop:
        result: R = stop.value
        return result
    finally:
        job.close()


def as_part(job: Job[R], done: int, total: int, message: str, *, span: int = 0) -> Job[R]:
    """Run a job inside another one, which can then be stopped at each of its steps.

    Parameters
    ----------
    job : Job
        Inner job.
    done, total : int
        Steps of the outer job that are finished, and in all.
    message : str
        Text for users that says what the outer job is doing.
    span : int
        Steps of the outer job that the inner one stands for; with 0 neither the steps nor
        the message of the outer job change.

    Yields
    ------
    Progress
        Progress of the outer job, after each step of the inner one.

    Returns
    -------
    object
        Result of the inner job.

    Examples
    --------
    >>> from napari_fractoseg.jobs import Progress, as_part
    >>> def halves():
    ...     yield Progress(1, 2, "half")
    ...     yield Progress(2, 2, "all")
    >>> [(p.done, p.message) for p in as_part(halves(), 10, 30, "file 2", span=10)]
    [(15, 'file 2, half'), (20, 'file 2, all')]
    """
    try:
        while True:
            part = next(job)
            steps = span * part.done // max(part.total, 1)
            parts = (message, part.message if span else "")
            yield Progress(done + steps, total, ", ".join(filter(None, parts)))
    except StopIteration as stop:
        result: R = stop.value
        return result
    finally:
        job.close()


@contextmanager
def ending_with(save: Callable[[], object]) -> Iterator[None]:
    """Save what is finished when the block ends, also after an error or when a job is stopped.

    Parameters
    ----------
    save : callable
        What is called once, at the end.

    Raises
    ------
    Exception
        What the block raised: what `save` could not write then is a note on it. After a
        block without an error, what `save` raises.

    Examples
    --------
    >>> from napari_fractoseg.jobs import ending_with
    >>> with ending_with(lambda: print("saved")):
    ...     print("worked")
    worked
    saved
    """
    try:
        yield
    except GeneratorExit:  # stopped, which is no error
        save()
        raise
    except BaseException as error:
        try:
            save()
        except (FractosegError, OSError) as second:
            error.add_note(str(second))
        raise
    save()


class RemainingTime:
    """Estimate of the time that a job still takes, from the time of its steps so far.

    The first step is left out: it also pays for loading and warming up.

    Parameters
    ----------
    clock : callable
        Function that returns the time in seconds.

    Examples
    --------
    >>> from napari_fractoseg.jobs import Progress, RemainingTime
    >>> ticks = iter([10.0, 12.0, 14.0])
    >>> remaining = RemainingTime(clock=lambda: next(ticks))
    >>> [remaining.update(Progress(done, 5)) for done in (1, 2, 3)]
    [None, 6.0, 4.0]
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._first: tuple[float, int] | None = None

    def update(self, progress: Progress) -> float | None:
        """Return the estimated seconds left after a step; None while there is no estimate."""
        if progress.done < 1:
            return None
        now = self._clock()
        if self._first is None:
            self._first = now, progress.done
            return None
        began, steps_before = self._first
        steps = progress.done - steps_before
        return (now - began) / steps * (progress.total - progress.done) if steps > 0 else None


def duration_text(seconds: float) -> str:
    """Return the text of a duration: ``40 s``, ``3 min``, ``1 h 20 min``, ``3 days``, ``5 years``.

    It is rounded up; from two days on to whole days, from two years on to whole years.

    Examples
    --------
    >>> from napari_fractoseg.jobs import duration_text
    >>> [duration_text(s) for s in (0.2, 39.1, 121, 4790, 200_000, 1e9)]
    ['1 s', '40 s', '3 min', '1 h 20 min', '3 days', '32 years']
    """
    whole = max(1, -int(-seconds // 1))
    if whole < 60:
        return f"{whole} s"
    minutes = -(-whole // 60)
    days = -(-minutes // (24 * 60))
    if days > 2 * 365:
        return f"{-(-days // 365)} years"
    if days > 2:
        return f"{days} days"
    hours, rest = divmod(minutes, 60)
    return f"{hours} h {rest} min" if hours else f"{minutes} min"


class Throttle:
    """Limit of how often something is done, such as redrawing a window.

    Parameters
    ----------
    interval_s : float
        Shortest time in seconds between two moments at which `ready` is true.
    clock : callable
        Function that returns the time in seconds.
    """

    def __init__(self, interval_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._least_s = self._interval_s = interval_s
        self._clock = clock
        self._last: float | None = None

    def slow_down(self, interval_s: float) -> None:
        """Set a longer interval in seconds; one below the first interval has no effect."""
        self._interval_s = max(self._least_s, interval_s)

    def ready(self) -> bool:
        """Whether the interval has passed since `ready` was last true; true the first time."""
        now = self._clock()
        if self._last is not None and now - self._last < self._interval_s:
            return False
        self._last = now
        return True
