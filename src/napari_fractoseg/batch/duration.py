"""How long a run will take: one of more than a day is only done when that is wanted."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from napari_fractoseg.batch.tasks import SegmentTask
from napari_fractoseg.errors import FractosegError, ImageError, translated
from napari_fractoseg.images import find_images
from napari_fractoseg.images.reading import image_header
from napari_fractoseg.jobs import Job, duration_text

__all__ = ["Duration", "refuse_endless", "size_px"]

R = TypeVar("R")

_LONG_S = 24 * 3600
_FASTEST_PX_PER_S = 10**9
"""Pixels that a process segments in a second at best, several times what was ever measured."""
_MEASURED_S = 60
_READ_BYTES = 2**26
"""Size of a file from which its header is read; of smaller ones a byte counts as a pixel."""


def size_px(task: SegmentTask) -> int:
    """Return about how many pixels the image of a task has; 0 if it cannot be read."""
    path = task.path
    try:
        with translated(ImageError, str(path)):
            if not path.is_dir() and path.stat().st_size < _READ_BYTES:
                return path.stat().st_size  # 0 of a pipe or device
            files = find_images(path) if task.is_stack else [path]
            shape, _, rgb = image_header(files[0], task.settings.channel)
            return len(files) * math.prod(shape[:-1] if rgb else shape)
    except ImageError:  # is reported when it is segmented
        return 0


def refuse_endless(
    tasks: Sequence[SegmentTask], sizes: Sequence[int], n_processes: int = 1
) -> None:
    """Refuse a run that would take more than a day on the fastest machine there is.

    Parameters
    ----------
    tasks : sequence of SegmentTask
        Tasks of the run.
    sizes : sequence of int
        `size_px` of each.
    n_processes : int
        Number of processes that compute.

    Raises
    ------
    FractosegError
        Names the largest image, and how long the run takes at least.
    """
    least_s = sum(sizes) / (_FASTEST_PX_PER_S * max(n_processes, 1))
    if least_s > _LONG_S:
        largest, task = max(zip(sizes, tasks, strict=True), key=lambda pair: pair[0])
        raise FractosegError(
            f"This run would take at least {duration_text(least_s)}: {task.path.name} alone has "
            f"{largest:.1e} pixels. Leave it out, or say that the run may take that long.",
            options=("yes",),
        )


class Duration:
    """Estimate of how long a run takes, from its speed in the first minute.

    Parameters
    ----------
    sizes : sequence of int
        `size_px` of each task.
    clock : callable
        Function that returns the time in seconds.
    """

    def __init__(self, sizes: Sequence[int], clock: Callable[[], float] = time.monotonic) -> None:
        self._sizes, self._clock = sizes, clock
        self._parts = [0.0] * len(sizes)
        self._done = 0.0
        self._first: tuple[float, float] | None = None
        self._is_known = False

    def note(self, number: int, part: float) -> None:
        """Take down which part of a task is done, 0 to 1.

        Raises
        ------
        FractosegError
            Once, when a minute was measured: if the rest will take more than a day. The first
            step is left out; it also pays for loading and warming up.
        """
        self._done += self._sizes[number] * (part - self._parts[number])
        self._parts[number] = part
        if self._is_known or not part:
            return
        now = self._clock()
        if self._first is None:
            self._first = now, self._done
        elapsed_s, gained = now - self._first[0], self._done - self._first[1]
        if elapsed_s < _MEASURED_S or gained <= 0:
            return
        self._is_known = True
        rest_s = (sum(self._sizes) - self._done) * elapsed_s / gained
        if rest_s > _LONG_S:
            raise FractosegError(
                f"At its speed until now, this run takes about {duration_text(rest_s)} more, so it "
                "was stopped. What is done stays. Take a smaller image, a faster device or more "
                "workers; or go on and say that the run may take that long.",
                options=("resume", "yes"),
            )

    def watched(self, number: int, job: Job[R]) -> Job[R]:
        """Run the job of a task, and take down each of its steps."""
        try:
            while True:
                progress = next(job)
                self.note(number, progress.done / max(progress.total, 1))
                yield progress
        except StopIteration as stop:
            self.note(number, 1.0)
            result: R = stop.value
            return result
        finally:
            job.close()
