"""Runs of a plan: tasks are segmented in this process, or by the workers of an executor."""

from __future__ import annotations

import concurrent.futures
import datetime
import time
import traceback
from collections import deque
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import imageio.v3 as iio
import numpy as np
import pandas as pd

from napari_fractoseg.batch.cluster import use_own_threads
from napari_fractoseg.batch.executors import ONE_AT_A_TIME, Unit, Workers, result_of, work_through
from napari_fractoseg.batch.large_image import StreamedRun
from napari_fractoseg.batch.model_cache import forget_predictor, kept_predictor_of, load
from napari_fractoseg.batch.provenance import record_of, shown_scheme
from napari_fractoseg.batch.report import BatchReport, FileResult
from napari_fractoseg.batch.settings import SegmentSettings
from napari_fractoseg.batch.tasks import SegmentTask
from napari_fractoseg.errors import FractosegError, ImageError
from napari_fractoseg.files import draft_of
from napari_fractoseg.images import LazyPlane, MicrographStack
from napari_fractoseg.inference.known_results import remember_result
from napari_fractoseg.inference.predictor import Prediction, Predictor
from napari_fractoseg.inference.result import CONFIDENCE, MARGIN
from napari_fractoseg.jobs import Job, Progress, Throttle, as_part, drain, ending_with
from napari_fractoseg.measure import class_fractions, overlay
from napari_fractoseg.results.record import labels_digest
from napari_fractoseg.results.tiff import write_tiff

__all__ = ["run", "segment_file"]

_SAVED_EVERY_S = 10
STEPS_PER_FILE = 100
"""Number of progress steps that a file stands for in a run."""


def run(
    tasks: Sequence[SegmentTask], workers: Workers | concurrent.futures.Executor | None = None
) -> Job[BatchReport]:
    """Segment the files and write the report.

    Parameters
    ----------
    tasks : sequence of SegmentTask
        Tasks of the run (`plan`).
    workers : Workers or concurrent.futures.Executor, optional
        Workers that segment the files; by default this process does. Each file is one call,
        or one for each block if it is written block by block (zarr, large TIFF).

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
        If the tasks are of several plans: their folders or settings differ.
    ModelError, DeviceError
        If the model cannot be loaded in this process or its device is not
        there, before any work.
    """
    out, settings = _in_common(tasks)
    if isinstance(workers, concurrent.futures.Executor):
        workers = Workers(workers)
    if workers is None:
        load(settings)
    out.mkdir(parents=True, exist_ok=True)
    results = [FileResult(t.path, "not done") for t in tasks]
    started, began = datetime.datetime.now(datetime.UTC), time.perf_counter()
    saved = Throttle(_SAVED_EVERY_S)

    def report() -> BatchReport:
        seconds = time.perf_counter() - began
        return BatchReport(tuple(results), out, settings, started, seconds)

    def save() -> None:
        forget_predictor()
        report().write()

    with ending_with(save):
        whole = [] if workers is None else [i for i, t in enumerate(tasks) if not t.is_streamed]
        here = [number for number in range(len(tasks)) if number not in whole]
        parts = [] if workers is None else [_run_in(workers, tasks, whole, results)]
        for part in (*parts, _run_here(tasks, here, results, workers)):
            with closing(part):  # before the last report
                for progress in part:
                    yield progress
                    if any(r.status != "not done" for r in results) and saved.ready():
                        report().write()  # for --resume, should this process be killed
    return report()


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


def _run_here(
    tasks: Sequence[SegmentTask],
    numbers: Sequence[int],
    results: list[FileResult],
    workers: Workers | None,
) -> Job[None]:
    """Segment the tasks at `numbers` one after the other; workers compute blocks of large ones."""
    total = STEPS_PER_FILE * len(tasks)
    for done, number in enumerate(numbers, start=len(tasks) - len(numbers)):
        begun, name = STEPS_PER_FILE * done, tasks[number].path.name
        job = _segment_job(tasks[number], workers)
        results[number] = yield from as_part(job, begun, total, name, span=STEPS_PER_FILE)
        yield Progress(begun + STEPS_PER_FILE, total, name)


def _run_in(
    workers: Workers,
    tasks: Sequence[SegmentTask],
    numbers: Sequence[int],
    results: list[FileResult],
) -> Job[None]:
    """Let workers segment the tasks at `numbers`, each file as a whole by one of them."""
    units = deque(Unit(segment_file, (tasks[number],), key=number) for number in numbers)
    done, total = 0, STEPS_PER_FILE * len(tasks)
    with closing(work_through(workers, units)) as finished:
        for item in finished:
            if item is not None:
                unit, future = item
                try:
                    results[unit.key] = result_of(future)
                except Exception as error:  # noqa: BLE001 - the worker died with the file
                    results[unit.key] = _failed(tasks[unit.key].path, error)
                done += 1
            text = workers.waiting_text or f"{done} of {len(numbers)} files"
            yield Progress(STEPS_PER_FILE * done, total, text)


def _segment_job(task: SegmentTask, workers: Workers | None = None) -> Job[FileResult]:
    """Segment one file; any error becomes the status of its result, and the run goes on."""
    began, sha256 = time.perf_counter(), ""
    try:
        sha256 = task.sha256()
        result = yield from _segment_stack(task, task.read(), sha256, workers)
    except Exception as error:  # noqa: BLE001 - any file may hold anything
        details = "" if isinstance(error, FractosegError) else traceback.format_exc()
        result = replace(_failed(task.path, error), details=details)
    return replace(result, seconds=round(time.perf_counter() - began, 3), sha256=sha256)


def _segment_stack(
    task: SegmentTask, stack: MicrographStack, sha256: str, workers: Workers | None
) -> Job[FileResult]:
    settings = task.settings
    task.out.mkdir(parents=True, exist_ok=True)
    if task.is_streamed:
        run = StreamedRun(task, stack, sha256, workers)
        prediction = yield from run.job()
        device = ", ".join(run.devices)
        tile_px, halo_px = run.tile_px, run.halo_px
    else:
        used = kept_predictor_of(settings)
        used.expect(stack)
        prediction = yield from used.run(stack)
        _write_tiffs(task, stack, prediction, used)
        device = used.engine.label
        tile_px, halo_px = used.tiler.tile_px, used.tiler.halo_px
    written = [path.name for path in task.arrays.values()]
    notes = [*prediction.notes, *(plane.reason for plane in prediction.left_out.values())]
    if settings.overlay:
        overlays, left = _write_overlays(task, stack, prediction)
        written, notes = [*written, *overlays], [*notes, *left]
    name, left_out = task.path.name, prediction.left_out.values()
    tables = [_fractions_of_plane(name, index, prediction) for index in stack.indices()]
    is_partial = prediction.is_partial or any(plane.is_damaged for plane in left_out)
    return FileResult(
        task.path,
        "done in part" if is_partial else "done",
        device=device,
        shape=stack.shape,
        outputs=tuple(written),
        notes=tuple(notes),
        tile_px=tile_px,
        halo_px=halo_px,
        fractions=pd.concat(tables, ignore_index=True),
    )


def _write_overlays(
    task: SegmentTask, stack: MicrographStack, prediction: Prediction
) -> tuple[list[str], list[str]]:
    """Write the overlays of all planes; return their names, and notes if there are none."""
    scheme = shown_scheme(task, prediction.scheme)
    written = []
    for index in stack.indices():
        if index in prediction.left_out and prediction.left_out[index].is_damaged:
            continue  # there is nothing to show
        plane = stack.plane(index).data
        if isinstance(plane, LazyPlane):
            return [], [
                f"{task.path.name}: no overlay is drawn of planes of more than 64 megapixels; open "
                "image and labels in napari."
            ]
        path = task.overlay_path(index, stack.shape[:-2])
        with draft_of(path, overwrite=True) as draft:
            iio.imwrite(draft, overlay(plane, np.asarray(prediction.labels[index]), scheme))
        written.append(path.name)
    return written, []


def _fractions_of_plane(file: str, index: tuple[int, ...], prediction: Prediction) -> pd.DataFrame:
    labels: Any = prediction.labels
    plane = labels[index] if isinstance(labels, np.ndarray) else LazyPlane(labels, index)
    table = class_fractions(plane, prediction.scheme)
    table.insert(0, "file", file)
    table.insert(1, "plane", " ".join(map(str, index)) or "0")
    left_out = prediction.left_out.get(index)
    if left_out is not None:  # not measured, which is not the same as nothing found
        table["fraction_of_image"] = np.nan
    table["note"] = left_out.reason if left_out else ""
    return table


def _write_tiffs(
    task: SegmentTask, stack: MicrographStack, prediction: Prediction, used: Predictor
) -> None:
    found = {CONFIDENCE: prediction.confidence, MARGIN: prediction.margin}
    record = record_of(
        task,
        stack,
        used.model,
        device=used.engine.label,
        tile_px=used.tiler.tile_px,
        halo_px=used.tiler.halo_px,
        labels_sha256=labels_digest(prediction.labels),
    )
    write_tiff(task.labels_path, prediction.labels, prediction.scheme, record)
    remember_result(record, prediction.labels.shape)
    for kind, data in found.items():
        if data is not None:
            write_tiff(task.path_of(kind), data)


def _failed(path: Path, error: BaseException) -> FileResult:
    """Return the result of a file that failed, with the message of the error on one line."""
    text = " ".join(str(error).splitlines())
    if isinstance(error, FractosegError):
        return FileResult(path, "failed", error=text, options=error.options)
    kind = type(error).__name__
    return FileResult(path, "failed", error=f"{kind}: {text}" if text else kind)
