"""Long work: generators that report progress and return a result.

A job can be stopped between two yields, and only there. See
``docs/decisions/0002-long-work.md``.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias, TypeVar

__all__ = ["Job", "Progress", "drain"]

R = TypeVar("R")


@dataclass(frozen=True)
class Progress:
    """How far a job has come.

    Parameters
    ----------
    done, total : int
        Steps finished and steps in all; ``0 <= done <= total``.
    message : str
        What was finished, in words a user understands.
    metrics : mapping of str to float
        Figures that belong to this step, such as ``{"loss": 0.7}``.
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
        The generator to run.
    report : callable, optional
        Called with each `Progress`.

    Returns
    -------
    object
        What the job returned.

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
