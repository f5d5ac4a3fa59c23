"""Audits of label files: their points, and what the points say of them."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from napari_fractoseg.annotations.formats.masks import mask_stem
from napari_fractoseg.audit import planes
from napari_fractoseg.audit.agreement import operators_kappa
from napari_fractoseg.audit.plan import plan_points
from napari_fractoseg.audit.points import PointCount
from napari_fractoseg.audit.result import AuditResult, audit_result
from napari_fractoseg.classes import ClassScheme
from napari_fractoseg.errors import ClassSchemeError, FractosegError, ImageError, OptionError
from napari_fractoseg.evaluation.agreement import Agreement
from napari_fractoseg.files import write_bytes
from napari_fractoseg.images import read_mask
from napari_fractoseg.images.lazy import LazyArray
from napari_fractoseg.jobs import Job, Progress
from napari_fractoseg.measurement.files.labels import open_labels, scheme_of
from napari_fractoseg.measurement.measure import areas_of
from napari_fractoseg.measurement.tables import csv_text
from napari_fractoseg.results.excluded import excluded_of, left_out_mask
from napari_fractoseg.results.record import read_entries
from napari_fractoseg.text import listed, printable

__all__ = ["AUDIT", "Audit", "audit_files_job", "audit_of", "check_audit", "plan_files_job"]

AUDIT = "audit.csv"
"""File of the fractions of an audit, in the folder of a measurement."""
_AT_ONCE = 4
"""Files whose labels are kept in memory."""


@dataclass(frozen=True, eq=False)
class Audit:
    """Results of all operators of a point count.

    Parameters
    ----------
    results : tuple of AuditResult
        Result of each operator; the first one is the number.
    agreements : tuple of (str, str, Agreement)
        Two operators, and Cohen's kappa of their answers, of each two.
    """

    results: tuple[AuditResult, ...]
    agreements: tuple[tuple[str, str, Agreement], ...] = ()

    @property
    def is_corrected(self) -> bool:
        """Whether the points of the first operator say how wrong the labels are."""
        return self.results[0].adjusted is not None

    def table(self) -> pd.DataFrame:
        """Return the fractions of all operators, a row for each."""
        return pd.concat([result.table() for result in self.results], ignore_index=True)

    def to_dict(self) -> dict[str, Any]:
        """Return all figures of the first operator, and how far the others agree with it."""
        found = self.results[0].to_dict()
        if len(self.results) > 1:
            found["sentence"] = str(self)
            found["other_operators"] = [result.to_dict() for result in self.results[1:]]
            found["operators"] = [
                {"first": first, "second": second, **agreement.to_dict()}
                for first, second, agreement in self.agreements
            ]
        return found

    def write(self, out: Path, *, overwrite: bool = False) -> Path:
        """Write the fractions as ``audit.csv`` into a folder, and return the file."""
        text = csv_text(self.table())
        return write_bytes(out / AUDIT, text.encode(), overwrite=overwrite)

    def __str__(self) -> str:
        others = (f"{one} and {two}: {agreement}." for one, two, agreement in self.agreements)
        return " ".join([str(self.results[0]), *others])


def audit_of(
    count: PointCount,
    labels: Any = None,
    *,
    operator: str = "",
    labels_px: int | None = None,
    labelled_px: Mapping[str, int] | None = None,
) -> Audit:
    """Return the results of all operators of a point count.

    Parameters
    ----------
    count : PointCount
        Points with answers.
    labels : mapping of str to array, array, or Series, optional
        Labels as they are now, see `audit_result`.
    operator : str
        Operator whose result comes first; by default who began.
    labels_px : int, optional
        Number of pixels of all labels, see `audit_result`.
    labelled_px : mapping of str to int, optional
        Class -> area that has its label now, see `audit_result`.

    Raises
    ------
    OptionError
        If nobody gave an answer, or not the operator.
    """
    names = _operators(count, operator)
    now = labels
    if isinstance(labels, Mapping):
        now = planes.labels_at_points(count, labels)
        labelled_px = planes.labelled_px(count, labels) if labelled_px is None else labelled_px
    return Audit(
        tuple(
            audit_result(count, name, now, labels_px=labels_px, labelled_px=labelled_px)
            for name in names
        ),
        tuple((one, two, operators_kappa(count, one, two)) for one, two in combinations(names, 2)),
    )


def _operators(count: PointCount, operator: str) -> list[str]:
    """Return those who gave answers, one of them first."""
    names = [name for name in count.operators if count.answers(name)]
    if not names:
        raise OptionError(
            "No point has an answer yet. Look at the points in napari, or write the classes into "
            "a column answer_ with your name, such as answer_Ada."
        )
    if operator and operator not in names:
        raise OptionError(
            f"{operator!r} gave no answer; there are those of {listed(names)}.",
            options=("operator",),
        )
    return sorted(names, key=lambda name: name != operator)  # the others stay as they are


def plan_files_job(
    paths: Sequence[Path],
    *,
    n_points: int,
    design: str = "grid",
    seed: int | None = None,
    scheme: ClassScheme | None = None,
    exclude: Path | None = None,
) -> Job[PointCount]:
    """Draw the points of an audit of label files.

    Parameters
    ----------
    paths : sequence of Path
        Label images and OME-Zarr labels (`find_label_files`).
    n_points, design, seed
        See `plan_points`.
    scheme : ClassScheme, optional
        Classes of their values; by default those of the first file that records some or has
        them in ``classes.json`` beside it, or intergranular, transgranular and background.
    exclude : Path, optional
        Mask, non-zero where nothing is looked at in any image.

    Yields
    ------
    Progress
        Files that were looked into.

    Returns
    -------
    PointCount
        Points without answers; images are called as `measure_files_job` calls them.

    Raises
    ------
    FractosegError
        If a file cannot be read, or the points do not fit.
    """
    stored = {path: read_entries(path) for path in paths}
    chosen = scheme_of(stored.items(), scheme)
    excluded = None if exclude is None else read_mask(exclude)
    labels: dict[str, Any] = {}
    left_out: dict[str, Any] = {}
    opened = _opener(stored, chosen, is_given=scheme is not None)
    for number, path in enumerate(paths):
        yield Progress(number, len(paths), f"looking into {path.name}")
        try:
            first = opened(path)
        except FractosegError as error:
            raise error.at(path) from error
        labels[mask_stem(path)] = _FileLabels(path, first.shape, first.dtype, opened)
        area = excluded_of(path, first.shape, stored[path])
        left_out[mask_stem(path)] = left_out_mask(area, excluded, first.shape)
    yield Progress(len(paths), len(paths), "drawing the points")
    return plan_points(
        labels, chosen, n_points=n_points, design=design, seed=seed, exclude=left_out
    )


def audit_files_job(
    count: PointCount,
    paths: Sequence[Path],
    *,
    operator: str = "",
    scheme: ClassScheme | None = None,
    fields: pd.DataFrame | None = None,
) -> Job[Audit]:
    """Compute what points say of label files, as they are now.

    Parameters
    ----------
    count : PointCount
        Points with answers.
    paths : sequence of Path
        Label files; those of images without points are not read.
    operator : str
        Operator whose result comes first; by default who began.
    scheme : ClassScheme, optional
        Classes of the label values, see `plan_files_job`.
    fields : DataFrame, optional
        Fields of all labels as they are now (`field_table`): their size, and the area of each
        class where they are those of the plan.

    Yields
    ------
    Progress
        Files that were looked into.

    Returns
    -------
    Audit
        Results of all operators.

    Raises
    ------
    FractosegError
        If labels of an image are missing or of other classes, or no point has an answer.
    """
    by_name = check_audit(count, paths, operator)
    stored = {by_name[name]: read_entries(by_name[name]) for name in count.images}
    chosen = scheme_of(stored.items(), scheme)
    _check_classes(count.scheme, chosen)
    opened = _opener(stored, chosen, is_given=scheme is not None)
    parts = []
    for number, name in enumerate(count.images):
        yield Progress(number, len(count.images), f"looking into {by_name[name].name}")
        of_image = replace(count, points=count.points[count.points["image"] == name])
        parts.append(planes.labels_at_points(of_image, opened(by_name[name])))
    yield Progress(len(count.images), len(count.images), "computing the audit")
    return audit_of(count, pd.concat(parts), operator=operator, **_sizes_of(count, fields))


def _sizes_of(count: PointCount, fields: pd.DataFrame | None) -> dict[str, Any]:
    """Return the size of all labels and the area of each class, as far as fields say them."""
    if fields is None:
        return {}
    areas = areas_of(fields, count.scheme)
    is_same_area = areas.excluded_px == count.excluded_px and not areas.left_out_px
    whole_px = count.analysed_px + count.unlabelled_px + count.excluded_px
    labelled = None
    if is_same_area and areas.planes_px == whole_px:
        labelled = {name: int(fields[f"area_px_{name}"].sum()) for name in count.scheme.names}
    return {"labels_px": areas.planes_px, "labelled_px": labelled}


def check_audit(count: PointCount, paths: Sequence[Path], operator: str = "") -> dict[str, Path]:
    """Return name of an image -> its label file, if the files can be audited by the points.

    Raises
    ------
    FractosegError
        If labels of an image are missing, or no point has an answer.
    """
    _operators(count, operator)
    by_name = {printable(mask_stem(path)): path for path in paths}
    if missing := [name for name in count.images if name not in by_name]:
        raise ImageError(
            f"There are no labels of {listed(missing)}, where points are. There are those of "
            f"{listed(by_name)}: give all files that the points were made for."
        )
    return by_name


def _check_classes(of_points: ClassScheme, of_labels: ClassScheme) -> None:
    points, labels = ({c.value: c.name for c in scheme} for scheme in (of_points, of_labels))
    if points != labels:
        one, two = (listed(f"{v} {n}" for v, n in each.items()) for each in (points, labels))
        raise ClassSchemeError(
            f"The points were made for the classes {one}, the labels have {two}. Make new points "
            "for them, or say what the classes are.",
            options=("classes",),
        )


def _opener(
    stored: Mapping[Path, Mapping[str, Any]], scheme: ClassScheme, *, is_given: bool
) -> Callable[[Path], Any]:
    """Return a function that opens labels of a file, and keeps the last few.

    What is stored with the labels is given for each file (`read_entries`).
    """

    @functools.lru_cache(_AT_ONCE)
    def opened(path: Path) -> Any:
        return open_labels(path, stored[path], scheme, is_given=is_given)[0]

    return opened


class _FileLabels(LazyArray):
    """Labels of a file, which is opened when it is looked into: a thousand need no memory."""

    def __init__(
        self, path: Path, shape: tuple[int, ...], dtype: Any, opened: Callable[[Path], Any]
    ) -> None:
        super().__init__(shape, dtype)
        self._path, self._opened = path, opened

    def _read(self, keys: tuple[Any, ...]) -> npt.NDArray[Any]:
        return np.asarray(self._opened(self._path)[keys])
