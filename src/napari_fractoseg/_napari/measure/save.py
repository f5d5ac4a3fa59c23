"""Saving of a measurement: tables, all figures as JSON, the report and its figures."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from napari_fractoseg._napari.measure.request import (
    LabelledImage,
    MeasuredFacets,
    MeasuredLabels,
    all_facets_job,
)
from napari_fractoseg.audit.files import AUDIT, Audit, audit_of
from napari_fractoseg.audit.points import PointCount
from napari_fractoseg.errors import FractosegError, OutputExistsError
from napari_fractoseg.files import file_sha256
from napari_fractoseg.images.calibration.by_hand import TYPED
from napari_fractoseg.images.micrograph import LazyPlane
from napari_fractoseg.jobs import Job, Progress, as_part
from napari_fractoseg.measurement.facets.planes import FacetSettings
from napari_fractoseg.measurement.files.measured import FilesMeasured, Picture, refuse_measured
from napari_fractoseg.measurement.overlay import thumbnail
from napari_fractoseg.measurement.texts import plane_title
from napari_fractoseg.reporting.report import FIGURES, REPORT, Report
from napari_fractoseg.results.record import Origin
from napari_fractoseg.text import counted, listed, printable

__all__ = ["refuse_folder", "save_job"]

_STEPS = 1000
_MOST_PICTURES = 24


def refuse_folder(folder: Path) -> None:
    """Raise an error if a folder has files of an earlier measurement, or cannot be written to."""
    try:
        refuse_measured(folder, (REPORT, FIGURES, AUDIT))
    except OutputExistsError as error:
        raise OutputExistsError(
            f"{folder} has files of an earlier measurement, which are not replaced. Choose another "
            "folder."
        ) from error


def save_job(
    result: MeasuredLabels,
    facets: MeasuredFacets | None,
    settings: FacetSettings,
    folder: Path,
    count: PointCount | None = None,
) -> Job[list[Path]]:
    """Write a measurement into a folder; files that are there are never replaced.

    Parameters
    ----------
    result : MeasuredLabels
        Fractions, and what they are of.
    facets : MeasuredFacets or None
        Facets; None measures them first.
    settings : FacetSettings
        How facets are found.
    folder : Path
        Folder, which is made.
    count : PointCount, optional
        Points with answers of a person, which are reported if they are of the same images.

    Yields
    ------
    Progress
        Facets that are measured, then pictures and files.

    Returns
    -------
    list of Path
        Files that were written.
    """
    total = 2 * _STEPS
    if facets is None:
        facets = yield from as_part(all_facets_job(result, settings), 0, total, "", span=_STEPS)
    yield Progress(_STEPS, total, "drawing the report")
    images = result.request.images
    audit, said = _audit(result, count)
    found = FilesMeasured(
        result.measurement,
        pd.DataFrame([*_rows(result)]),
        result.request.scheme,
        tuple(image.record for image in images if image.record is not None),
        facets.tables,
        facets.sizes,
        facets.no_sizes,
        facets.boundary,
        tuple(_picture(image) for image in images[:_MOST_PICTURES]),
        {**_settings(result, settings), **said},
    )
    checked = None if audit is None else audit.to_dict()
    report = Report.of_files(found, audit=checked)
    refuse_folder(folder)
    paths = found.write(folder, also=None if checked is None else {"audit": checked})
    if audit is not None:
        paths.append(audit.write(folder))
    yield Progress(_STEPS + _STEPS // 2, total, "writing the report")
    paths.append(report.write(folder / REPORT))
    return [*paths, *report.write_figures(folder / FIGURES)]


def _audit(result: MeasuredLabels, count: PointCount | None) -> tuple[Audit | None, dict[str, str]]:
    """Return the audit of the images that were measured, and what is said of it as a setting."""
    if count is None or not any(count.answers(name) for name in count.operators):
        return None, {}
    labels: dict[str, Any] = {}
    for image in result.request.images:
        for name in (image.name, "" if image.image is None else image.image.name):
            labels.setdefault(printable(name), image.labels)
    if not set(count.images) <= labels.keys():
        return None, {"point count": "left out, for its points are of other images"}
    try:
        audit = audit_of(count, {name: labels[name] for name in count.images})
    except FractosegError as error:
        return None, {"point count": f"left out. {error}"}
    points = counted(len(count.points), "point")
    return audit, {"point count": f"{points} by {listed(count.operators)}"}


def _rows(result: MeasuredLabels) -> Iterator[dict[str, Any]]:
    for image, digest, origin in zip(
        result.request.images, result.digests, result.origins, strict=False
    ):
        yield _row(image, digest, origin)


def _row(image: LabelledImage, digest: str, origin: Origin) -> dict[str, Any]:
    record, micrograph = image.record, image.image_file
    is_there = micrograph is not None and micrograph.is_file()
    return {
        "file": "" if image.file is None else str(image.file),
        "image": image.name,
        "sha256": digest,
        "model": "" if record is None else record.model_name,
        "model_sha256": "" if record is None else record.model_digest,
        "origin": origin.value,
        "pixel_size_um": image.pixel_size_um,
        "pixel_size_from": image.pixel_size_from,
        "micrograph": "" if micrograph is None else str(micrograph),
        "micrograph_sha256": file_sha256(micrograph) if is_there and micrograph else "",
        "note": "labels of a layer; the hash is of their values and shape",
        "error": "",
        "scale_factor": None if record is None else record.scale_factor,
    }


def _picture(image: LabelledImage) -> Picture:
    shape = tuple(image.labels.shape)
    index = next(iter(np.ndindex(shape[:-2])))
    grey = None if image.image is None else image.image.plane(index).data
    rgb = thumbnail(grey, LazyPlane(image.labels, index), image.scheme)
    return Picture(plane_title(index, shape, image.name), rgb, grey is not None)


def _settings(result: MeasuredLabels, settings: FacetSettings) -> dict[str, str]:
    request = result.request
    said = {"fields": str(request.layout)}
    sizes = {image.pixel_size_um for image in request.images if image.pixel_size_from == TYPED}
    if sizes:
        said["pixel size"] = f"{sizes.pop():g} µm, {TYPED}"
    if request.specimens:
        said["specimens"] = request.specimens
    if request.excluded_by:
        said["excluded area"] = request.excluded_by
    return {**said, "facets": str(settings)}
