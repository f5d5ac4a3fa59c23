"""Tasks -> files: here, or in any executor."""

from __future__ import annotations

import concurrent.futures
import datetime
import time
import traceback
from collections import deque
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from typing import Any

import imageio.v3 as iio
import numpy as np
import pandas as pd

from napari_fractoseg.batch.cluster import use_own_threads
from napari_fractoseg.batch.executors import ONE_AT_A_TIME, Unit, Workers, result_of, work_through
from napari_fractoseg.batch.large_image import StreamedRun
from napari_fractoseg.batch.model_cache import forget_predictor, kept_predictor_of, load
from napari_fractoseg.batch.provenance import record_of, shown_scheme
from napari_fractoseg.batch.report import (
    BatchReport,
    FileResult,
)
from napari_fractoseg.batch.tasks import SegmentTask
from napari_fractoseg.errors import FractosegError, ImageError
from napari_fractoseg.files import draft_of
from napari_fractoseg.images import LazyPlane, MicrographStack
from napari_fractoseg.inference.known_results import remember_result
from napari_fractoseg.inference.predictor import Prediction, Predictor
from napari_fractoseg.inference.result import CONFIDENCE, MARGIN
from napari_fractoseg.jobs import Job, Progress, Throttle, as_part, drain
from napari_fractoseg.measure import class_fractions, overlay
from napari_fractoseg.results.record import labels_digest
from napari_fractoseg.results.tiff import write_tiff

__all__ = ["run", "segment_file"]

_SAVED_EVERY_S = 10
STEPS_PER_FILE = 100
"""What a file counts for in the progress of a run."""


def run(
    tasks: Sequence[SegmentTask], workers: Workers | concurrent.futures.Executor | None = None
) -> Job[BatchReport]:
    """Segment the files and write the report.

    Parameters
    ----------
    tasks : sequence of SegmentTask
        From `plan`.
    workers : Workers or concurrent.futures.Executor, optional
        Where to run; by default in this process. Each file is one call, but images
        that are written block by block (zarr) are one for each block.

    Yields
    ------
    Progress
        While files are segmented; each counts for 100 steps. When the job is
        closed, what is finished stays and the report says what is not.

    Returns
    -------
    BatchReport
        Also written as ``fractions.csv`` and ``run.json``, together with what
        earlier runs wrote for other images. All results of an image are replaced
        when it is segmented again.

    Raises
    ------
    ImageError
        If there are no tasks.
    ModelError, DeviceError
        If the model cannot be loaded in this process or its device is not
        there, before any work.
    """
    if not tasks:
        raise ImageError("There is nothing to do: the plan is empty.")
    out, settings = tasks[0].out, tasks[0].settings
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

    try:
        whole = [] if workers is None else [i for i, t in enumerate(tasks) if not t.is_streamed]
        here = [number for number in range(len(tasks)) if number not in whole]
        parts = [] if workers is None else [_run_in(workers, tasks, whole, results)]
        for part in (*parts, _run_here(tasks, here, results, workers)):
            with closing(part):  # before the last report
                for progress in part:
                    yield progress
                    if any(r.status != "not done" for r in results) and saved.ready():
                        report().write()  # for --resume, should this process be killed
    finally:
        forget_predictor()
        report().write()
    return report()


def segment_file(task: SegmentTask) -> FileResult:
    """Segment one file in a process that has been given to us; errors become part of the result."""
    with ONE_AT_A_TIME:
        use_own_threads()
        return drain(_segment_job(task))


def _run_here(
    tasks: Sequence[SegmentTask],
    numbers: Sequence[int],
    results: list[FileResult],
    workers: Workers | None,
) -> Job[None]:
    """Segment files one after the other; workers compute the blocks of those that have any."""
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
    """Have each file segmented as a whole by a worker."""
    units = deque(Unit(segment_file, (tasks[number],), key=number) for number in numbers)
    done, total = 0, STEPS_PER_FILE * len(tasks)
    with closing(work_through(workers, units)) as finished:
        for item in finished:
            if item is not None:
                unit, future = item
                try:
                    results[unit.key] = result_of(future)
                except Exception as error:  # noqa: BLE001 - the worker died with the file
                    failed = FileResult(tasks[unit.key].path, "failed", error=_sentence(error))
                    results[unit.key] = failed
                done += 1
            text = workers.waiting_text or f"{done} of {len(numbers)} files"
            yield Progress(STEPS_PER_FILE * done, total, text)


def _segment_job(task: SegmentTask, workers: Workers | None = None) -> Job[FileResult]:
    """Segment one file; the boundary behind which a failed file does no harm."""
    began, sha256 = time.perf_counter(), ""
    try:
        sha256 = task.sha256()
        result = yield from _segment_stack(task, task.read(), sha256, workers)
    except Exception as error:  # noqa: BLE001 - any file may hold anything
        details = "" if isinstance(error, FractosegError) else traceback.format_exc()
        result = FileResult(task.path, "failed", error=_sentence(error), details=details)
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
    return FileResult(
        task.path,
        "done in part" if any(plane.is_damaged for plane in left_out) else "done",
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
    """Return the names of the overlays, and why there is none."""
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


def _sentence(error: BaseException) -> str:
    """Return the message on one line; other libraries' errors with their kind."""
    text = " ".join(str(error).splitlines())
    if isinstance(error, FractosegError):
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
