"""Runs of a plan: tasks are segmented in this process, or by the workers of an executor."""

from __future__ import annotations

import concurrent.futures
import datetime
import math
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import pandas as pd

from napari_fractoseg.batch.cluster import use_own_threads
from napari_fractoseg.batch.duration import Duration, refuse_endless, size_px
from napari_fractoseg.batch.executors import (
    ONE_AT_A_TIME,
    Unit,
    Units,
    Workers,
    result_of,
    work_through,
)
from napari_fractoseg.batch.history import EarlierRuns, report_paths, stem_of
from napari_fractoseg.batch.journal import RunJournal
from napari_fractoseg.batch.large_image import StreamedRun
from napari_fractoseg.batch.model_cache import forget_predictor, kept_predictor_of, load
from napari_fractoseg.batch.outputs import placed_together, refuse_full_disk, remove_result
from napari_fractoseg.batch.planes import fractions_of_plane, plane_text, sizes_of, with_overlays
from napari_fractoseg.batch.provenance import record_of, shown_scheme
from napari_fractoseg.batch.report import BatchReport, FileResult
from napari_fractoseg.batch.settings import SegmentSettings
from napari_fractoseg.batch.tasks import SegmentTask, refusal_of_second_run
from napari_fractoseg.errors import FractosegError, ImageError
from napari_fractoseg.files import check_writable, hold, sweep_drafts
from napari_fractoseg.images import MicrographStack
from napari_fractoseg.inference.known_results import remember_result
from napari_fractoseg.inference.magnification import Magnification
from napari_fractoseg.inference.predictor import Prediction, Predictor
from napari_fractoseg.inference.result import CONFIDENCE, MARGIN
from napari_fractoseg.jobs import Job, Progress, as_part, drain, ending_with
from napari_fractoseg.results.familiar import unlike_text
from napari_fractoseg.results.label_writer import restore_old
from napari_fractoseg.results.record import labels_digest
from napari_fractoseg.results.tiff import write_tiff

__all__ = ["run", "segment_file"]

_MOST_PROCESSES = 100
"""Number of processes that an executor is thought to have at most that does not tell it."""
STEPS_PER_FILE = 100
"""Number of progress steps that a file stands for in a run."""


def run(
    tasks: Sequence[SegmentTask],
    workers: Workers | concurrent.futures.Executor | None = None,
    *,
    yes: bool = False,
) -> Job[BatchReport]:
    """Segment the files and write the report.

    Parameters
    ----------
    tasks : sequence of SegmentTask
        Tasks of the run (`plan`).
    workers : Workers or concurrent.futures.Executor, optional
        Workers that segment the files; by default this process does. Each file is one call,
        or one for each block if it is written block by block (zarr, large TIFF).
    yes : bool
        Whether the run may take more than a day.

    Yields
    ------
    Progress
        While files are segmented; each file is 100 steps. When the job is closed,
        finished files stay, and the report lists those that are not.

    Returns
    -------
    BatchReport
        Report of the run. It is also written as ``fractions.csv`` and ``run.json``,
        together with results of earlier runs for other images. All results of an image are
        replaced when it is segmented again.

    Raises
    ------
    ImageError
        If there are no tasks.
    FractosegError
        If the tasks are of several plans: their folders or settings differ. Without `yes`,
        before any work, if the run would take more than a day on the fastest machine; and after
        a minute, if it would at the speed until then. What is done by then stays.
    ModelError, DeviceError
        If the model cannot be loaded in this process or its device is not
        there, before any work.
    OutputExistsError
        If another run is writing into the folder, before any work.
    OutputError
        If nothing can be written there.
    """
    out, settings = _in_common(tasks)
    if isinstance(workers, concurrent.futures.Executor):
        workers = Workers(workers)
    duration = None if yes else _expected(tasks, workers)
    if workers is None:
        load(settings)
    check_writable(out)
    report = report_paths(out, settings.name)[1]
    with hold(report, refusal_of_second_run(report)):
        return (yield from _alone(tasks, workers, duration))


def _expected(tasks: Sequence[SegmentTask], workers: Workers | None) -> Duration:
    sizes = [size_px(task) for task in tasks]
    n_processes = 1
    if workers is not None:
        n_processes = workers.count() if workers.count else _MOST_PROCESSES
    refuse_endless(tasks, sizes, n_processes)
    return Duration(sizes)


def _alone(
    tasks: Sequence[SegmentTask], workers: Workers | None, duration: Duration | None
) -> Job[BatchReport]:
    """Segment the files into a folder that no other run writes into."""
    out, settings = tasks[0].out, tasks[0].settings
    sweep_drafts(out)
    restore_old(out)
    _remove_leftovers(tasks)
    results = [FileResult(t.path, "not done") for t in tasks]
    started, began = datetime.datetime.now(datetime.UTC), time.perf_counter()

    def report() -> BatchReport:
        seconds = time.perf_counter() - began
        return BatchReport(tuple(results), out, settings, started, seconds)

    def save() -> None:
        forget_predictor()
        report().write()

    progress = _Progress(tasks, results, report().journal(), duration)
    with ending_with(save):
        whole = [] if workers is None else [i for i, t in enumerate(tasks) if not t.is_streamed]
        here = [number for number in range(len(tasks)) if number not in whole]
        parts = [] if workers is None else [_run_in(workers, progress, whole)]
        for part in (*parts, _run_here(progress, here, workers)):
            with closing(part):  # before the last report
                yield from part
    return report()


@dataclass(frozen=True)
class _Progress:
    """How far a run is: the result of each task, also in its journal, and how long it takes."""

    tasks: Sequence[SegmentTask]
    results: list[FileResult]
    journal: RunJournal
    duration: Duration | None

    def begin(self, numbers: Sequence[int]) -> None:
        """Note that the results of these tasks will be written from now on."""
        self.journal.begin(self.tasks[number].path for number in numbers)

    def finish(self, number: int, result: FileResult) -> None:
        """Take the result of a task."""
        if result.status.startswith("done"):
            self.journal.finish(*result.journalled())
        self.results[number] = result
        if self.duration is not None:
            self.duration.note(number, 1.0)

    def watched(self, number: int, job: Job[FileResult]) -> Job[FileResult]:
        """Return the job of a task, in which it is noticed if the run takes too long."""
        return job if self.duration is None else self.duration.watched(number, job)


def _remove_leftovers(tasks: Sequence[SegmentTask]) -> None:
    """Remove what a killed run wrote for images that it did not finish; their labels are replaced.

    Nothing in an overlay says that it is ours, but the journal does, which ends with this run.
    """
    earlier = EarlierRuns.read(tasks[0].out, tasks[0].settings.name)
    for task in tasks:
        stem = stem_of(task.path)
        if stem in earlier.begun and not earlier.results_of([stem]):
            for path in task.existing_outputs():
                if path != task.labels_path:
                    remove_result(path)


def _in_common(tasks: Sequence[SegmentTask]) -> tuple[Path, SegmentSettings]:
    """Return where the results are written and how: one report says it for all files."""
    if not tasks:
        raise ImageError("There is nothing to do: the plan is empty.")
    first = tasks[0]
    for task in tasks:
        if (task.out, task.settings) != (first.out, first.settings):
            raise FractosegError(
                f"{first.path.name} and {task.path.name} are of two plans: "
                f"{_difference(first, task)}. One run has one folder of results and one way to "
                "segment, which its report (run.json) says for all files. Run each plan by itself."
            )
    return first.out, first.settings


def _difference(first: SegmentTask, other: SegmentTask) -> str:
    """Return the first thing that differs, with both values."""
    pairs = [("folder", first.out, other.out)]
    wanted = asdict(other.settings)
    pairs += [(name, value, wanted[name]) for name, value in asdict(first.settings).items()]
    return next(f"{name} {one} and {two}" for name, one, two in pairs if one != two)


def segment_file(task: SegmentTask) -> FileResult:
    """Segment one file in a worker process; an error becomes the status of the result."""
    with ONE_AT_A_TIME:
        use_own_threads()
        return drain(_segment_job(task))


def _run_here(progress: _Progress, numbers: Sequence[int], workers: Workers | None) -> Job[None]:
    """Segment the tasks at `numbers` one after the other; workers compute blocks of large ones."""
    tasks = progress.tasks
    total = STEPS_PER_FILE * len(tasks)
    for done, number in enumerate(numbers, start=len(tasks) - len(numbers)):
        begun, name = STEPS_PER_FILE * done, tasks[number].path.name
        progress.begin([number])
        job = progress.watched(number, _segment_job(tasks[number], workers))
        result = yield from as_part(job, begun, total, name, span=STEPS_PER_FILE)
        progress.finish(number, result)
        yield Progress(begun + STEPS_PER_FILE, total, name)


def _run_in(workers: Workers, progress: _Progress, numbers: Sequence[int]) -> Job[None]:
    """Let workers segment the tasks at `numbers`, each file as a whole by one of them."""
    tasks = progress.tasks
    units = Units(Unit(segment_file, (tasks[number],), key=number) for number in numbers)
    done, total = 0, STEPS_PER_FILE * len(tasks)
    progress.begin(numbers)
    with closing(work_through(workers, units)) as finished:
        for item in finished:
            if item is not None:
                unit, future = item
                try:
                    result = result_of(future)
                except Exception as error:  # noqa: BLE001 - the worker died with the file
                    result = _failed(tasks[unit.key].path, error)
                progress.finish(unit.key, result)
                done += 1
            text = workers.waiting_text or f"{done} of {len(numbers)} files"
            yield Progress(STEPS_PER_FILE * done, total, text)


def _segment_job(task: SegmentTask, workers: Workers | None = None) -> Job[FileResult]:
    """Segment one file; any error becomes the status of its result, and the run goes on."""
    began, sha256 = time.perf_counter(), ""
    try:
        task.refuse_long_names()
        sha256 = task.sha256()
        stack, bar = task.opened()
        task.refuse_long_names(stack.shape[:-2])
        task.out.mkdir(parents=True, exist_ok=True)
        refuse_full_disk(task.out, math.prod(stack.shape), len(task.arrays) - 1)
        if task.is_streamed:
            result = yield from _segment_streamed(task, stack, sha256, workers)
        else:
            result = yield from _segment_loaded(task, stack)
        result = replace(result, excluded=bar.to_dict())
    except Exception as error:  # noqa: BLE001 - any file may hold anything
        details = "" if isinstance(error, FractosegError) else traceback.format_exc()
        result = replace(_failed(task.path, error), details=details)
    return replace(result, seconds=round(time.perf_counter() - began, 3), sha256=sha256)


def _segment_streamed(
    task: SegmentTask, stack: MicrographStack, sha256: str, workers: Workers | None
) -> Job[FileResult]:
    """Segment an image block by block into results on disk."""
    run = StreamedRun(task, stack, sha256, workers)
    with run.alone():
        prediction = yield from run.job()
        result = _result_of(task, stack, prediction, run.seen)
        scheme = shown_scheme(task, prediction.scheme)
        with placed_together(run.finish) as draft:
            result = with_overlays(result, task, stack, prediction, scheme, draft)
        sizes = sizes_of(task, result)
    return replace(
        result,
        device=", ".join(run.devices),
        tile_px=run.tile_px,
        halo_px=run.halo_px,
        sizes=sizes,
    )


def _segment_loaded(task: SegmentTask, stack: MicrographStack) -> Job[FileResult]:
    """Segment an image that is in memory."""
    model, _ = load(task.settings)
    seen = Magnification.of(model.card, stack.pixel_size_um, task.settings.scale)
    used = kept_predictor_of(task.settings, seen.scale)
    used.expect(stack)
    prediction = yield from used.run(stack)
    result = _result_of(task, stack, prediction, seen)
    scheme = shown_scheme(task, prediction.scheme)
    with placed_together(lambda: None) as draft:
        _write_tiffs(task, stack, prediction, used, draft)
        result = with_overlays(result, task, stack, prediction, scheme, draft)
    return replace(
        result,
        device=used.engine.label,
        tile_px=used.tiler.tile_px,
        halo_px=used.tiler.halo_px,
        sizes=sizes_of(task, result),
    )


def _result_of(
    task: SegmentTask, stack: MicrographStack, prediction: Prediction, seen: Magnification
) -> FileResult:
    """Return the result of an image whose labels and uncertainty are computed."""
    name, left_out = task.path.name, prediction.left_out.values()
    tables = [
        fractions_of_plane(name, index, prediction, stack.excluded) for index in stack.indices()
    ]
    is_partial = prediction.is_partial or any(plane.is_damaged for plane in left_out)
    text = unlike_text(prediction.familiarity, stack.shape[:-2])
    unlike = [f"{name}: {text}"] if text else []
    return FileResult(
        task.path,
        "done in part" if is_partial else "done",
        shape=stack.shape,
        pixel_size_um=stack.pixel_size_um,
        pixel_size_from=stack.pixel_size_from,
        outputs=tuple(path.name for path in task.arrays.values()),
        notes=(
            *prediction.notes,
            *filter(None, [seen.sentence and f"{name}: {seen.sentence}"]),
            *(plane.reason for plane in left_out),
            *unlike,
        ),
        fractions=pd.concat(tables, ignore_index=True),
        scale_factor=float(seen.scale),
        familiarity=tuple(
            {"plane": plane_text(index), **familiar.to_dict()}
            for index, familiar in prediction.familiarity.items()
        ),
        untold=prediction.untold,
    )


def _write_tiffs(
    task: SegmentTask,
    stack: MicrographStack,
    prediction: Prediction,
    used: Predictor,
    draft: Callable[[Path], Path],
) -> None:
    """Write labels, which get their place last, and uncertainty."""
    record = record_of(
        task,
        stack,
        used.model,
        device=used.engine.label,
        tile_px=used.tiler.tile_px,
        halo_px=used.tiler.halo_px,
        labels_sha256=labels_digest(prediction.labels),
        familiarity=prediction.familiarity,
        untold=prediction.untold,
    )
    size = stack.pixel_size
    write_tiff(draft(task.labels_path), prediction.labels, prediction.scheme, record, size)
    remember_result(record, prediction.labels.shape)
    for kind, data in ((CONFIDENCE, prediction.confidence), (MARGIN, prediction.margin)):
        if data is not None:
            write_tiff(draft(task.path_of(kind)), data, pixel_size=size)


def _failed(path: Path, error: BaseException) -> FileResult:
    """Return the result of a file that failed, with the message of the error on one line."""
    text = " ".join(str(error).splitlines())
    if isinstance(error, FractosegError):
        return FileResult(path, "failed", error=text, options=error.options)
    kind = type(error).__name__
    return FileResult(path, "failed", error=f"{kind}: {text}" if text else kind)
