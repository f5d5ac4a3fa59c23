"""Saving of labels that people look at and correct, with what a segmentation writes beside them."""

from __future__ import annotations

import datetime
import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import tifffile

from napari_fractoseg.annotations.conversion.kept import KEPT, KeptAnnotations
from napari_fractoseg.batch.planes import fractions_of_plane, sizes_of, with_overlays
from napari_fractoseg.batch.report import BatchReport, FileResult, model_entry
from napari_fractoseg.batch.settings import SegmentSettings
from napari_fractoseg.batch.tasks import SegmentTask
from napari_fractoseg.errors import AnnotationError, ImageError, ModelError
from napari_fractoseg.files import check_writable, draft_folder, file_sha256
from napari_fractoseg.images import LOADED_VALUES, MicrographStack
from napari_fractoseg.inference.result import CONFIDENCE, MARGIN, LeftOut, Prediction
from napari_fractoseg.jobs import Job, Progress, as_part
from napari_fractoseg.measurement.facets.planes import FacetSettings
from napari_fractoseg.measurement.files.inputs import find_micrographs
from napari_fractoseg.measurement.files.job import measure_files_job
from napari_fractoseg.reporting.report import REPORT, Report
from napari_fractoseg.results.editable_labels import PREDICTED
from napari_fractoseg.results.label_writer import ZarrLabels
from napari_fractoseg.results.parts import FIRST_ANSWER
from napari_fractoseg.results.saved import SavedLabels, write_labels_job
from napari_fractoseg.results.tiff import write_tiff

__all__ = ["SavedFolder", "SavedImage", "free_folder", "save_job"]

_STEPS = 1000
_MOST_FACETS_PX = 2**24
"""Most pixels of which facets are measured for the report: up to 16 s."""
_MOST_PICTURES = 24
_BAND_PX = 1024
_RESULT = "result"


@dataclass(frozen=True, eq=False)
class SavedImage:
    """An image whose labels are saved.

    Parameters
    ----------
    stack : MicrographStack or None
        Image; None if it is not there.
    name : str
        Name of the files of the result, without endings.
    file : Path or None
        File of the image; without one it is written beside the labels, unless it is lazy and large.
    uncertainties : mapping of str to array
        Kind of uncertainty (`CONFIDENCE`, `MARGIN`) -> values, 0-1, shape of the labels.
    """

    stack: MicrographStack | None
    name: str
    file: Path | None = None
    uncertainties: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class SavedFolder:
    """What was saved.

    Parameters
    ----------
    folder : Path
        Folder that was made.
    labels : Path
        Labels in it.
    report : BatchReport
        What ``run.json`` and ``fractions.csv`` say.
    """

    folder: Path
    labels: Path
    report: BatchReport


def free_folder(parent: Path, name: str) -> Path:
    """Return a folder that does not exist: ``NAME_result``, or with a number behind it.

    Parameters
    ----------
    parent : Path
        Folder to make it in.
    name : str
        Name of the image.
    """
    folder, number = parent / f"{name}_{_RESULT}", 2
    while folder.exists():
        folder, number = parent / f"{name}_{_RESULT}-{number}", number + 1
    return folder


def save_job(
    saved: SavedLabels,
    image: SavedImage,
    folder: Path,
    *,
    zarr: bool,
    annotations: KeptAnnotations | None = None,
) -> Job[SavedFolder]:
    """Save labels into a new folder, with fractions, overlays and report as ``segment`` has them.

    Parameters
    ----------
    saved : SavedLabels
        Labels, their classes and origin.
    image : SavedImage
        Image that they are of.
    folder : Path
        Folder, which is made. It has its name when all is written; until then, after an error,
        and if the job is closed, there is nothing.
    zarr : bool
        Whether labels and uncertainty are written as OME-Zarr rather than OME-TIFF.
    annotations : KeptAnnotations, optional
        Annotations that the labels were drawn from, of which a copy is written beside them.

    Yields
    ------
    Progress
        While it is written and measured.

    Raises
    ------
    OutputExistsError
        If the folder exists.
    OutputError
        If it cannot be written.
    ClassSchemeError
        If a label belongs to no class.
    """
    began, started = time.perf_counter(), datetime.datetime.now(datetime.UTC)
    settings = _settings(saved, image, zarr=zarr)
    check_writable(folder.parent)
    with draft_folder(folder) as draft:
        path = image.file or folder / f"{image.name}.tif"
        task = SegmentTask(path, draft, settings)
        if image.file is None and image.stack is not None and _is_small(image.stack):
            _write_image(draft / path.name, image.stack)
        total = 3 * _STEPS
        copy, saved, notes = _with_annotations(saved, annotations, draft, image.name)
        writing = _arrays_job(task, saved, image)
        outputs = yield from as_part(writing, 0, total, "writing", span=_STEPS)
        outputs = (*outputs, *copy)
        drawing = _result_job(task, saved, image, outputs)
        result = yield from as_part(drawing, _STEPS, total, "fractions", span=_STEPS)
        measuring = _report_job(task, saved, folder, image)
        yield from as_part(measuring, 2 * _STEPS, total, "report", span=_STEPS)
        seconds = round(time.perf_counter() - began, 3)
        notes = (*result.notes, *notes)
        result = replace(result, seconds=seconds, sizes=sizes_of(task, result), notes=notes)
        report = BatchReport((result,), draft, settings, started, seconds, _model(saved))
        report.write()
    return SavedFolder(folder, folder / task.labels_path.name, replace(report, out=folder))


def _with_annotations(
    saved: SavedLabels, annotations: KeptAnnotations | None, folder: Path, name: str
) -> tuple[tuple[str, ...], SavedLabels, tuple[str, ...]]:
    """Write a copy of annotations; return its name, the labels with a word on it, and notes."""
    if annotations is None:
        return (), saved, ()
    try:
        path, entry, notes = annotations.write(folder, name)
    except AnnotationError as error:  # the labels are worth more than it
        return (), saved, (f"The annotations are not kept with the labels: {error}",)
    return (path.name,), replace(saved, entries={**saved.entries, KEPT: entry}), notes


def _settings(saved: SavedLabels, image: SavedImage, *, zarr: bool) -> SegmentSettings:
    """Return how the labels were made, as far as their record says it."""
    record = saved.record
    made: dict[str, Any] = {"model": ""}
    if record is not None:
        made = {
            "model": record.model,
            "flips": record.flips,
            "tile_px": record.tile_px or None,
            "scale": f"{record.scale_factor:g}",
        }
    made |= {kind: kind in image.uncertainties for kind in (CONFIDENCE, MARGIN)}
    return SegmentSettings(**made, zarr=zarr, overlay=image.stack is not None)


def _model(saved: SavedLabels) -> Mapping[str, Any]:
    """Return the entry on the model in ``run.json``, with its card if the model is still here."""
    record = saved.record
    if record is None:
        return {"name": "", "sha256": ""}
    try:
        entry = model_entry(record.model or "?")
    except ModelError:
        entry = {}
    if entry.get("sha256") == record.model_digest:
        return entry
    return {"name": record.model_name, "sha256": record.model_digest}


def _is_small(stack: MicrographStack) -> bool:
    return isinstance(stack.data, np.ndarray) or math.prod(stack.data.shape) <= LOADED_VALUES


def _write_image(path: Path, stack: MicrographStack) -> None:
    data = np.asarray(stack.data)
    if stack.rgb:
        tifffile.imwrite(path, data, photometric="rgb", compression="zlib")
    else:
        write_tiff(path, data, pixel_size=stack.pixel_size)


def _arrays_job(task: SegmentTask, saved: SavedLabels, image: SavedImage) -> Job[tuple[str, ...]]:
    """Write labels, their parts and uncertainty; return the names of the files."""
    total = _STEPS * (1 + len(image.uncertainties))
    job = write_labels_job(task.labels_path, saved, task.path)
    written = [*(yield from as_part(job, 0, total, "", span=_STEPS))]
    for number, (kind, values) in enumerate(image.uncertainties.items(), start=1):
        yield Progress(_STEPS * number, total, kind)
        path = task.path_of(kind)
        if task.writes_zarr:
            yield from _uncertainty_job(path, values, saved, task.path)
        else:
            write_tiff(path, np.asarray(values, np.float32), pixel_size=saved.pixel_size)
        written.append(path)
    return tuple(path.name for path in written)


def _uncertainty_job(path: Path, values: Any, saved: SavedLabels, source: Path) -> Job[None]:
    header = {"shape": [int(n) for n in values.shape], "dtype": "float32"}
    group = ZarrLabels(path, header, anew=True)
    for index in np.ndindex(tuple(values.shape[:-2])):
        group.array[index] = np.asarray(values[index], np.float32)
        yield Progress(0, 0, path.name)
    yield from group.add_levels()
    size = saved.pixel_size
    square = size.x_um if size.x_um == size.y_um else None
    record = None if saved.record is None else saved.record.of("")
    group.describe(path.stem, source, None, square, record, size.source)
    group.finish()


def _result_job(
    task: SegmentTask, saved: SavedLabels, image: SavedImage, outputs: tuple[str, ...]
) -> Job[FileResult]:
    """Draw the overlays and measure the fractions of the planes."""
    shape = tuple(int(n) for n in saved.labels.shape)
    indices = list(np.ndindex(shape[:-2]))
    left_out: dict[tuple[int, ...], LeftOut] = {}
    n_changed, tables = 0, []
    before = saved.parts.get(FIRST_ANSWER, saved.parts.get(PREDICTED))
    prediction = Prediction(saved.labels, None, None, saved.scheme, left_out)
    for number, index in enumerate(indices):
        yield Progress(number, len(indices), f"plane {number + 1} of {len(indices)}")
        if not any(band.any() for band in _bands(saved.labels, index)):
            left_out[index] = LeftOut("Nothing is labelled in this plane.", is_damaged=False)
        if before is not None:
            pairs = zip(_bands(saved.labels, index), _bands(before, index), strict=True)
            n_changed += sum(int(np.count_nonzero(now != then)) for now, then in pairs)
        tables.append(fractions_of_plane(task.path.name, index, prediction, saved.excluded))
    record, size = saved.record, saved.pixel_size
    result = FileResult(
        task.path,
        "done in part" if left_out else "done",
        sha256=file_sha256(image.file) if image.file is not None and image.file.is_file() else "",
        device="" if record is None else record.device,
        shape=shape,
        pixel_size_um=size.square_um,
        pixel_size_from=size.source,
        outputs=outputs,
        notes=tuple(_notes(saved, n_changed, math.prod(shape))),
        tile_px=0 if record is None else record.tile_px,
        halo_px=0 if record is None else record.halo_px,
        fractions=pd.concat(tables, ignore_index=True),
        excluded={} if saved.excluded is None else saved.excluded.to_dict(),
        scale_factor=1.0 if record is None else record.scale_factor,
    )
    stack = image.stack
    if stack is None:
        return result
    return with_overlays(result, task, stack, prediction, saved.scheme, lambda path: path)


def _bands(array: Any, index: tuple[int, ...]) -> Iterator[npt.NDArray[Any]]:
    """Yield the rows of a plane, some at once: planes on disk may be larger than the memory."""
    for row in range(0, int(array.shape[-2]), _BAND_PX):
        yield np.asarray(array[(*index, slice(row, row + _BAND_PX))])


def _notes(saved: SavedLabels, n_changed: int, n_px: int) -> Iterator[str]:
    if saved.record is None:
        yield "No model is recorded with these labels."
    else:
        if n_changed:
            yield (
                f"{n_changed} of {n_px} pixels ({100 * n_changed / n_px:.1f} %) have other labels "
                "than the model gave."
            )
        if saved.record.unlike:
            yield saved.record.unlike


def _report_job(
    task: SegmentTask, saved: SavedLabels, folder: Path, image: SavedImage
) -> Job[None]:
    """Measure the labels that were written, and write the report, as ``segment --report`` does."""
    micrograph = task.path if image.file is not None else task.out / task.path.name
    is_there = micrograph.exists()
    n_px = math.prod(saved.labels.shape)
    job = measure_files_job(
        [task.labels_path],
        facets=FacetSettings() if n_px <= _MOST_FACETS_PX else None,
        micrographs=find_micrographs([micrograph]) if is_there else None,
        n_pictures=_MOST_PICTURES,
    )
    found = yield from job
    if found.measurement is None:
        raise ImageError(f"The labels cannot be measured: {found.failed['error'].iloc[0]}")
    places = {name: found.files[name].map(lambda text: _in(text, task.out, folder)) for name in (
        "file", "micrograph", "note")}  # fmt: skip
    Report.of_files(replace(found, files=found.files.assign(**places))).write(task.out / REPORT)


def _in(text: Any, draft: Path, folder: Path) -> Any:
    """Return a text with the place of a draft as it is called later."""
    return text.replace(str(draft), str(folder)) if isinstance(text, str) else text
