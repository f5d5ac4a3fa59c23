"""Runs of the Measure dock: the fractions, and what is made of the same labels afterwards."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from napari_fractoseg._napari.jobs import Run, State
from napari_fractoseg.jobs import Job

__all__ = ["MeasureRun"]


class MeasureRun(Run):
    """Run whose result is taken by the dock, in the GUI thread, when it is done.

    Parameters
    ----------
    job : Job
        Work to do.
    title : str
        Name of the run.
    take : callable
        Function that is called with the result, and returns what is to be said of it; what it
        raises makes the run fail.
    """

    def __init__(self, job: Job[Any], title: str, take: Callable[[Any], str]) -> None:
        super().__init__(job, title)
        self._take = take
        self._text = ""

    def conclude(self, state: State) -> State:
        """Hand the result over."""
        if state is State.DONE:
            self._text = self._take(self.result)
        return state

    def end_text(self) -> str:
        """Return what is to be said of the result, or how the run ended without one."""
        return self._text if self.state is State.DONE else super().end_text()
