"""Plan of a segmentation of files: a list of tasks that are made of paths."""

from __future__ import annotations

import glob
import math
import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from napari_fractoseg.batch.history import EarlierRuns, report_paths, stem_of
from napari_fractoseg.batch.journal import journal_path
from napari_fractoseg.batch.report import complete_report, model_entry
from napari_fractoseg.batch.settings import SegmentSettings
from napari_fractoseg.errors import ImageError, OutputError, OutputExistsError, translated
from napari_fractoseg.files import LONGEST_NAME, file_sha256, hold, is_held, resolved
from napari_fractoseg.images import (
    LOADED_VALUES,
    TIFF_SUFFIXES,
    MicrographStack,
    find_images,
    image_shape,
    read_image,
    read_stack,
)
from napari_fractoseg.images.bars.choice import Bar, without_bar
from napari_fractoseg.images.calibration import PixelSize
from napari_fractoseg.images.calibration.by_hand import GIVEN
from napari_fractoseg.images.stacks import natural_order
from napari_fractoseg.inference.result import CONFIDENCE, MARGIN
from napari_fractoseg.models.registry import find_model
from napari_fractoseg.results.intact import is_intact
from napari_fractoseg.results.label_images import read_ngff
from napari_fractoseg.results.label_writer import is_unsettled
from napari_fractoseg.results.parts import PART_NAMES
from napari_fractoseg.results.record import LabelRecord, Origin, origin_of, read_record

__all__ = ["KINDS", "LABELS", "SegmentTask", "plan", "refusal_of_second_run"]

LABELS = "labels"
KINDS = (LABELS, CONFIDENCE, MARGIN)
_ZARR = ".zarr"
_RESULT_ENDINGS = tuple(f"_{kind}" for kind in (*KINDS, "overlay", *PART_NAMES))


@dataclass(frozen=True)
class SegmentTask:
    """One image to segment, with the paths of its results.

    Parameters
    ----------
    path : Path
        Image file, or folder whose images are planes.
    out : Path
        Folder of the results.
    settings : SegmentSettings
        Options of the segmentation.
    """

    path: Path
    out: Path
    settings: SegmentSettings

    @property
    def is_stack(self) -> bool:
        """Whether the image is a folder whose files are the planes of one stack."""
        return _is_folder_of_images(self.path)

    @property
    def writes_zarr(self) -> bool:
        """Whether the results are OME-Zarr; otherwise they are TIFF."""
        return self.settings.zarr or self.path.suffix.lower() == _ZARR

    @property
    def is_streamed(self) -> bool:
        """Whether image and results are read and written block by block, never as a whole."""
        if self.writes_zarr or self.is_stack:
            return True
        if self.path.suffix.lower() not in TIFF_SUFFIXES or not self.path.is_file():
            return False  # others are loaded anyway, or cannot be read
        try:
            shape, _ = image_shape(self.path, channel=self.settings.channel)
        except ImageError:  # is reported when it is segmented
            return False
        return math.prod(shape) > LOADED_VALUES

    @property
    def labels_path(self) -> Path:
        """Path of the labels."""
        return self.path_of(LABELS)

    @property
    def arrays(self) -> dict[str, Path]:
        """Paths of the result arrays by kind: the labels first, then the uncertainty asked for."""
        wanted = {CONFIDENCE: self.settings.confidence, MARGIN: self.settings.margin}
        kinds = [LABELS, *(kind for kind, is_wanted in wanted.items() if is_wanted)]
        return {kind: self.path_of(kind) for kind in kinds}

    def path_of(self, kind: str) -> Path:
        """Return the path of the result of a kind (one of `KINDS`), asked for or not."""
        suffix = _ZARR if self.writes_zarr else ".tif"
        ending = "" if self.settings.name and kind == LABELS else f"_{kind}"
        return self.out / f"{self._stem}{ending}{suffix}"

    @property
    def _stem(self) -> str:
        return self.settings.name or self.path.stem

    def read(self) -> MicrographStack:
        """Open the image; its info bar is excluded.

        Raises
        ------
        ImageError
            If it cannot be read.
        """
        return self.opened()[0]

    def opened(self) -> tuple[MicrographStack, Bar]:
        """Open the image as `read` does; return what is left out of it as well, and why."""
        channel, given_um, paths = self.settings.channel, self.settings.pixel_size_um, [self.path]
        if self.is_stack:
            stack = read_stack(self.path, channel=channel)
            paths = sorted(find_images(self.path), key=lambda path: natural_order(path.name))
        else:
            stack = read_image(self.path, channel=channel)
        if given_um is not None:
            stack = stack.of_size(PixelSize(given_um, given_um, GIVEN))
        return without_bar(stack, self.settings.exclude_bar, paths)

    def sha256(self) -> str:
        """Return the SHA-256 of the image, of a stack that of all planes; empty if missing."""
        if not self.path.exists():
            return ""
        return file_sha256(self.path, find_images(self.path) if self.is_stack else None)

    def overlay_path(self, index: tuple[int, ...] = (), shape: tuple[int, ...] = ()) -> Path:
        """Return the path of the overlay picture of a plane.

        Parameters
        ----------
        index, shape : tuple of int
            Index of the plane on the leading axes, and the length of these axes.
        """
        numbers = [f"_{i:0{len(str(n - 1))}}" for i, n in zip(index, shape, strict=True)]
        return self.out / f"{self._stem}_overlay{''.join(numbers)}.png"

    def existing_outputs(self) -> list[Path]:
        """Return the files that the task would overwrite."""
        found = list(self.arrays.values())
        if self.settings.overlay:
            found += [self.overlay_path(), *self._overlays_of_planes()]
        return [p for p in found if os.path.lexists(p)]

    def refuse_long_names(self, shape: tuple[int, ...] = ()) -> None:
        """Raise if the name of a result would be too long.

        Parameters
        ----------
        shape : tuple of int
            Length of the leading axes, as the names of overlays number the planes.

        Raises
        ------
        OutputError
            Names the result, and says by how much it is too long.
        """
        paths = list(self.arrays.values())
        if self.settings.overlay:
            paths.append(self.overlay_path((0,) * len(shape), shape))
        for path in paths:
            if (excess := len(os.fsencode(path.name)) - LONGEST_NAME) > 0:
                raise OutputError(
                    f"{self.path.name}: the name of its result ({path.name}) is too long by "
                    f"{excess} bytes, {LONGEST_NAME} are allowed. Rename the image."
                )

    def _overlays_of_planes(self) -> list[Path]:
        pattern = f"{glob.escape(self._stem)}_overlay_[0-9]*.png"
        return sorted(self.out.glob(pattern)) if self.out.is_dir() else []


def plan(
    inputs: Iterable[Path | str],
    out: Path | str,
    settings: SegmentSettings | None = None,
    *,
    overwrite: bool = False,
    resume: bool = False,
    stack: bool = False,
) -> list[SegmentTask]:
    """List the images to segment as tasks; writes nothing but the report of a killed run.

    Parameters
    ----------
    inputs : iterable of Path or str
        Image files, and folders whose images are all taken, except results that lie
        beside their image.
    out : Path or str
        Folder of the results; it is made when the tasks run.
    settings : SegmentSettings, optional
        Options of the segmentation; by default those of `SegmentSettings()`.
    overwrite : bool
        Whether existing results may be replaced: all those of an image that is
        segmented again. Inputs are never replaced.
    resume : bool
        Whether to leave out images that an earlier run finished with the same model
        and settings, if their files have not changed. Those that it was writing when it was
        killed, and those whose results are empty or cut off now, are made again.
    stack : bool
        Whether the images of a folder are the planes of one stack.

    Returns
    -------
    list of SegmentTask
        A task for each image; a file named twice is one task. Empty if an earlier run
        finished all; its report is written now, if it was killed before it could.

    Raises
    ------
    OutputExistsError
        If there are results already, or they would replace an input, or another run is writing
        into the folder.
    OutputError
        If the folder of the results is no folder, or the name of the reports is too long.
    ImageError
        If there is no image, or if two have the same name, so that their results
        would overwrite each other.
    ModelError
        If there is no such model.

    Examples
    --------
    >>> import napari_fractoseg as nf
    >>> from napari_fractoseg import batch
    >>> tasks = batch.plan(["images"], "results")  # doctest: +SKIP
    >>> report = nf.drain(batch.run(tasks))  # doctest: +SKIP
    """
    settings = settings or SegmentSettings()
    settings = replace(settings, model=find_model(settings.model).resolve())
    paths: dict[Path, Path] = {}
    for given in map(Path, inputs):
        if stack and not _is_folder_of_images(given) and given.exists():
            raise ImageError(
                f"{given} is not a folder, and the planes of a stack are the images of a folder. "
                "Name the folder, or segment the image by itself."
            )
        is_one = stack or not _is_folder_of_images(given)
        for path in [given] if is_one else _images_in(given):
            # Absolute: a worker may run in another folder. A link keeps its own name.
            paths.setdefault(resolved(path), path.absolute())
    if settings.name and len(paths) > 1:
        raise ImageError(
            f"{settings.name}.zarr can hold the labels of one image, {len(paths)} are given. Name "
            "a folder for the results, or one image."
        )
    if not paths:
        raise ImageError("No image was given. Name image files or folders.")
    if not any(os.path.lexists(path) for path in paths.values()):
        raise ImageError(f"There is no {_listed(list(paths.values()))}. Check the path.")
    tasks = [SegmentTask(path, Path(out).absolute(), settings) for path in paths.values()]
    _check_names(tasks)
    _check_folder(tasks[0])
    earlier = _Earlier(tasks[0]) if resume else None
    if earlier is not None:
        left = [task for task in tasks if not earlier.is_finished(task)]
        if not left:
            _complete_report(tasks[0])
        tasks = left
    if tasks:
        _check_outputs(tasks, set(paths), overwrite, earlier)
    return tasks


def _complete_report(task: SegmentTask) -> None:
    """Write what a run could not any more that was killed when all of its files were done."""
    report = report_paths(task.out, task.settings.name)[1]
    if journal_path(report).exists():
        with hold(report, refusal_of_second_run(report)):
            complete_report(task.out, task.settings.name)


def refusal_of_second_run(report: Path) -> OutputExistsError:
    """Return the error for a run whose ``run.json`` is that of another one that is going on."""
    return OutputExistsError(
        f"Another run is writing its results into {report.parent} (its report is {report.name}). "
        "Wait until it has ended, or choose another folder."
    )


def _check_folder(task: SegmentTask) -> None:
    """Refuse a place where there can be no results, or where another run is writing them."""
    out, (table, report) = task.out, report_paths(task.out, task.settings.name)
    if os.path.lexists(out) and not out.is_dir():
        raise OutputError(
            f"{out} is no folder, or a link that leads nowhere. Choose another folder for the "
            "results."
        )
    if len(os.fsencode(table.name)) > LONGEST_NAME:
        raise OutputError(f"{table.name}: the name is too long for a file. Choose a shorter one.")
    if is_held(report):
        raise refusal_of_second_run(report)


class _Earlier:
    """What earlier runs with the same model and settings did in the folder of a task's results."""

    def __init__(self, task: SegmentTask) -> None:
        settings = task.settings
        self.runs = EarlierRuns.read(task.out, settings.name)
        self._settings = asdict(settings)
        self._model = model_entry(settings.model)
        self._done = self.runs.done(self._settings, self._model)

    def is_finished(self, task: SegmentTask) -> bool:
        """Whether an image is segmented, was not changed since, and its results are whole."""
        return self._is_done(task) and self.runs.is_whole(stem_of(task.path))

    def may_replace(self, task: SegmentTask) -> bool:
        """Whether the results of an image may be made again, although they were not finished.

        Those that were finished and are damaged now may, and those that a run was writing when
        it was killed. Labels that a person put there or changed may not.
        """
        stem, labels = stem_of(task.path), task.labels_path
        was_begun = self.runs.was_begun(stem, self._settings, self._model)
        if was_begun and (is_unsettled(labels) or not is_intact(labels)):
            return True
        if not was_begun and self.runs.results_of([stem]):  # a report lists them
            return self._is_done(task)
        record = read_record(labels)
        name = task.path.name if task.is_stack else task.path.stem
        if record is None or not is_intact(labels):
            return False
        is_alike = (record.model_digest, record.image) == (self._model["sha256"], name)
        return (was_begun or is_alike) and _is_untouched(labels, record)

    def _is_done(self, task: SegmentTask) -> bool:
        stem = stem_of(task.path)
        if stem not in self._done:
            return False
        try:
            return self._done[stem] == task.sha256()
        except OSError:  # is reported when it is segmented
            return False


def _is_untouched(labels: Path, record: LabelRecord) -> bool:
    """Whether labels are as their record says."""
    try:
        with translated(ImageError, str(labels)):
            return origin_of(read_image(labels).data, record) is Origin.PREDICTION
    except ImageError:
        return False


def _images_in(folder: Path) -> list[Path]:
    """Return the images of a folder, without results that lie beside their image."""
    found = find_images(folder)
    stems = {p.stem for p in found}
    results = {stem + ending for stem in stems for ending in _RESULT_ENDINGS}
    return [p for p in found if p.stem not in results and not _is_label_image(p)]


def _is_label_image(path: Path) -> bool:
    """Whether a path is an OME-Zarr label image or a result of this program."""
    image = read_ngff(path) if path.is_dir() else None
    return image is not None and (image.scheme is not None or bool(image.provenance))


def _is_folder_of_images(path: Path) -> bool:
    return path.suffix.lower() != _ZARR and path.is_dir()


def _check_names(tasks: Sequence[SegmentTask]) -> None:
    """Refuse two images whose results would have the same name, upper and lower case alike."""
    seen: dict[str, Path] = {}
    for task in tasks:
        other = seen.setdefault(stem_of(task.path), task.path)
        if other is not task.path:
            raise ImageError(
                f"{other} and {task.path} have the same name, so their results would overwrite "
                "each other. Rename one, or segment them into different folders."
            )


def _check_outputs(
    tasks: Sequence[SegmentTask], inputs: set[Path], overwrite: bool, earlier: _Earlier | None
) -> None:
    """Refuse to replace inputs, or results without `overwrite`; `earlier` are runs to resume."""
    out, name = tasks[0].out, tasks[0].settings.name
    for task in tasks:
        # Beside the planes of a stack, the labels would be taken for one of them the next time.
        folders = [resolved(out)] if task.is_stack else [resolved(out), *resolved(out).parents]
        if task.path.is_dir() and resolved(task.path) in folders:
            raise OutputExistsError(
                f"The results would be written into {task.path}, which is to be segmented. Choose "
                "another folder for them."
            )
    existing = {task: _results_of(task, earlier) for task in tasks}
    replaced = [p for paths in existing.values() for p in paths if resolved(p) in inputs]
    if replaced:
        raise OutputExistsError(
            f"The results would replace the images {_listed(replaced)} that are to be segmented. "
            "Choose another folder for the results."
        )
    if overwrite:
        return
    kept = {t: p for t, p in existing.items() if p and not (earlier and earlier.may_replace(t))}
    reports = earlier.runs.foreign if earlier else filter(os.path.lexists, report_paths(out, name))
    refused = [*dict.fromkeys(path for paths in kept.values() for path in paths), *reports]
    if refused:
        remedy, options = (
            ("They are of another image, model or setting, or nobody's. Choose another folder", ())
            if earlier is not None
            else ("Choose another folder, go on with the run that wrote them", ("resume",))
        )
        raise OutputExistsError(
            f"{out} holds results already: {_listed(refused)}. {remedy}, or have them replaced.",
            options=(*options, "overwrite"),
        )


def _results_of(task: SegmentTask, earlier: _Earlier | None) -> list[Path]:
    """Return the results of an image that are there, also those that runs to resume list."""
    listed = earlier.runs.results_of([stem_of(task.path)]) if earlier else []
    return list(dict.fromkeys([*task.existing_outputs(), *listed]))


def _listed(paths: Sequence[Path], most: int = 5) -> str:
    names = ", ".join(p.name for p in paths[:most])
    return names if len(paths) <= most else f"{names} and {len(paths) - most} more"
