"""Tasks -> files: here, or in any executor."""

from __future__ import annotations

import concurrent.futures
import datetime
import functools
import time
import traceback
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import imageio.v3 as iio
import numpy as np
import numpy.typing as npt
import pandas as pd
import tifffile

from napari_fractoseg.batch.earlier import EarlierRuns
from napari_fractoseg.batch.report import (
    BatchReport,
    FileResult,
    SegmentSettings,
)
from napari_fractoseg.batch.streaming import ZarrRun
from napari_fractoseg.batch.tasks import SegmentTask
from napari_fractoseg.classes import ClassScheme
from napari_fractoseg.errors import FractosegError
from napari_fractoseg.files import draft_of, file_sha256
from napari_fractoseg.images import LazyPlane, MicrographStack, read_image
from napari_fractoseg.inference.predictor import Prediction, Predictor
from napari_fractoseg.jobs import Job, Progress, as_part, drain
from napari_fractoseg.measure import class_fractions, overlay
from napari_fractoseg.models.card import WEIGHTS
from napari_fractoseg.models.devices import Device, choose_device
from napari_fractoseg.models.model import SegmentationModel
from napari_fractoseg.models.zoo import find_model

__all__ = ["run", "segment_file"]

STEPS_PER_FILE = 100
"""What a file counts for in the progress of a run."""


def run(
    tasks: Sequence[SegmentTask], executor: concurrent.futures.Executor | None = None
) -> Job[BatchReport]:
    """Segment the files and write the report.

    Parameters
    ----------
    tasks : sequence of SegmentTask
        From `plan`.
    executor : concurrent.futures.Executor, optional
        Where to run; by default in this process.

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
    ModelError, DeviceError
        If the model cannot be loaded in this process or its device is not
        there, before any work.
    """
    out, settings = tasks[0].out, tasks[0].settings
    if executor is None:
        _load(settings)
    out.mkdir(parents=True, exist_ok=True)
    results, earlier = [FileResult(t.path, "not done") for t in tasks], EarlierRuns.read(out)
    started, began = datetime.datetime.now(datetime.UTC), time.perf_counter()

    def report() -> BatchReport:
        seconds = time.perf_counter() - began
        return BatchReport(tuple(results), out, settings, started, seconds, earlier)

    try:
        if executor is None:
            yield from _run_here(tasks, results)
        else:
            yield from _run_in(executor, tasks, results)
    finally:
        report().write()
    return report()


def segment_file(task: SegmentTask) -> FileResult:
    """Segment one file; errors become part of the result."""
    return drain(_segment_job(task))


def _run_here(tasks: Sequence[SegmentTask], results: list[FileResult]) -> Job[None]:
    total = STEPS_PER_FILE * len(tasks)
    for number, task in enumerate(tasks):
        done, name = STEPS_PER_FILE * number, task.path.name
        job = _segment_job(task)
        results[number] = yield from as_part(job, done, total, name, span=STEPS_PER_FILE)
        yield Progress(done + STEPS_PER_FILE, total, name)


def _run_in(
    executor: concurrent.futures.Executor, tasks: Sequence[SegmentTask], results: list[FileResult]
) -> Job[None]:
    futures = {executor.submit(segment_file, task): i for i, task in enumerate(tasks)}
    pending = set(futures)
    try:
        while pending:
            # The time limit makes a cancel point of each second.
            finished, pending = concurrent.futures.wait(
                pending, timeout=1, return_when=concurrent.futures.FIRST_COMPLETED
            )
            for future in finished:
                number, error = futures[future], future.exception()
                results[number] = (
                    FileResult(tasks[number].path, "failed", error=_sentence(error))
                    if error
                    else future.result()
                )
            done = len(tasks) - len(pending)
            yield Progress(
                STEPS_PER_FILE * done,
                STEPS_PER_FILE * len(tasks),
                f"{done} of {len(tasks)} files",
            )
    finally:
        for future in pending:
            future.cancel()


def _segment_job(task: SegmentTask) -> Job[FileResult]:
    """Segment one file; the boundary behind which a failed file does no harm."""
    began, sha256 = time.perf_counter(), ""
    try:
        sha256 = file_sha256(task.path) if task.path.exists() else ""
        result = yield from _segment_stack(task, read_image(task.path), sha256)
    except Exception as error:  # noqa: BLE001 - any file may hold anything
        details = "" if isinstance(error, FractosegError) else traceback.format_exc()
        result = FileResult(task.path, "failed", error=_sentence(error), details=details)
    return replace(result, seconds=round(time.perf_counter() - began, 3), sha256=sha256)


def _segment_stack(task: SegmentTask, stack: MicrographStack, sha256: str) -> Job[FileResult]:
    settings = task.settings
    model, device = _load(settings)
    predictor = partial(
        Predictor,
        model,
        device,
        with_confidence=settings.confidence,
        flips=settings.flips,
        max_bytes=settings.max_memory_gb and settings.max_memory_gb * 2**30,
    )
    task.out.mkdir(parents=True, exist_ok=True)
    if task.is_zarr:
        run = ZarrRun(task, stack, predictor, sha256)
        prediction = yield from run.job()
        written, used = run.written, run.predictor
    else:
        used = predictor(tile_px=settings.tile_px)
        prediction = yield from used.run(stack)
        written = [_write_tiff(task.labels_path, prediction.labels, prediction.scheme)]
        if prediction.confidence is not None:
            written.append(_write_tiff(task.confidence_path, prediction.confidence))
    notes = [*prediction.notes, *(plane.reason for plane in prediction.left_out.values())]
    if settings.overlay and task.is_zarr:
        notes.append(f"{task.path.name}: no overlay is drawn of a zarr; open the labels in napari.")
    elif settings.overlay:
        written += _write_overlays(task, stack, prediction)
    name, left_out = task.path.name, prediction.left_out.values()
    tables = [_fractions_of_plane(name, index, prediction) for index in stack.indices()]
    return FileResult(
        task.path,
        "done in part" if any(plane.is_damaged for plane in left_out) else "done",
        device=used.engine.label,
        shape=stack.shape,
        outputs=tuple(p.name for p in written),
        notes=tuple(notes),
        tile_px=used.tiler.tile_px,
        halo_px=used.tiler.halo_px,
        fractions=pd.concat(tables, ignore_index=True),
    )


def _write_overlays(
    task: SegmentTask, stack: MicrographStack, prediction: Prediction
) -> list[Path]:
    scheme, palette = prediction.scheme, task.settings.palette
    if palette is not None:
        scheme = scheme.with_palette(palette)
    written = []
    for index in stack.indices():
        if index in prediction.left_out and prediction.left_out[index].is_damaged:
            continue  # there is nothing to show
        path = task.overlay_path(index, stack.shape[:-2])
        with draft_of(path, overwrite=True) as draft:
            iio.imwrite(draft, overlay(stack.plane(index).data, prediction.labels[index], scheme))
        written.append(path)
    return written


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


def _load(settings: SegmentSettings) -> tuple[SegmentationModel, Device]:
    """Return model and device; loaded once in each process."""
    folder = find_model(settings.model)
    weights = folder / WEIGHTS
    changed = weights.stat().st_mtime_ns if weights.is_file() else 0
    return _load_once(folder, settings.device, changed)


@functools.lru_cache(maxsize=1)
def _load_once(
    folder: Path,
    device: str,
    changed: int,  # noqa: ARG001 - part of the key: a model that was trained again is another one
) -> tuple[SegmentationModel, Device]:
    return SegmentationModel.load(folder), choose_device(device)


def _write_tiff(path: Path, data: npt.NDArray[Any], scheme: ClassScheme | None = None) -> Path:
    classes = {"classes": {c.value: c.name for c in scheme}} if scheme else {}
    with draft_of(path, overwrite=True) as draft:
        tifffile.imwrite(
            draft, data, compression="zlib", photometric="minisblack", metadata=classes
        )
    return path


def _sentence(error: BaseException) -> str:
    """Return the message on one line; other libraries' errors with their kind."""
    text = " ".join(str(error).splitlines())
    if isinstance(error, FractosegError):
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
