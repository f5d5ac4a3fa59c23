"""Measuring of label files: whole folders, a file that fails being a row and not the end."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from napari_fractoseg.annotations.formats.masks import mask_stem
from napari_fractoseg.annotations.image_lookup import ImageLookup
from napari_fractoseg.classes import ClassScheme
from napari_fractoseg.errors import FractosegError
from napari_fractoseg.files import file_sha256
from napari_fractoseg.images import read_mask
from napari_fractoseg.jobs import Job, Progress, as_part
from napari_fractoseg.measurement.facets.planes import FacetSettings, FacetTables, sizes_of
from napari_fractoseg.measurement.fields import EACH, FieldLayout, check_pixel_size, parse_fields
from napari_fractoseg.measurement.files.labels import scheme_of
from napari_fractoseg.measurement.files.measured import FilesMeasured, Picture
from napari_fractoseg.measurement.files.one_file import COLUMNS, STEPS, TEXTS, Measured, OneFile
from napari_fractoseg.measurement.measure import measurement_of_fields
from napari_fractoseg.measurement.specimens import specimens_of
from napari_fractoseg.measurement.texts import familiarity_caveats, labels_error, same_caveats
from napari_fractoseg.results.record import read_entries
from napari_fractoseg.text import listed

__all__ = ["measure_files_job"]


def measure_files_job(
    paths: Sequence[Path],
    *,
    scheme: ClassScheme | None = None,
    fields: str | FieldLayout = EACH,
    pixel_size_um: float | None = None,
    group_by: str | Path | None = None,
    exclude: Path | None = None,
    facets: FacetSettings | None = None,
    micrographs: ImageLookup | None = None,
    n_pictures: int = 0,
) -> Job[FilesMeasured]:
    """Measure label files together.

    Parameters
    ----------
    paths : sequence of Path
        Label images and OME-Zarr labels (`find_label_files`).
    scheme : ClassScheme, optional
        Classes of their values; by default those of the first file that records some or has
        them in ``classes.json`` beside it, or intergranular, transgranular and background.
    fields : str or FieldLayout
        ``each``, ``grid:512um``, ``grid:320px`` or ``grid:4x4``.
    pixel_size_um : float, optional
        Edge of a pixel in micrometres, of all files; by default what each file says, if it does.
    group_by : str or Path, optional
        Pattern or CSV file of the specimens (`specimens_of`).
    exclude : Path, optional
        Mask, non-zero where nothing is measured in any image.
    facets : FacetSettings, optional
        How facets and the boundaries of the modes are measured; without it they are not, which
        is many times faster.
    micrographs : ImageLookup, optional
        Image files (`find_micrographs`) among which those of the labels are found by name: for
        the mean grey level of facets, and for pictures.
    n_pictures : int
        Number of files of which small pictures are made, spread over all of them.

    Yields
    ------
    Progress
        Files that are measured, in steps.

    Returns
    -------
    FilesMeasured
        Measurement and files; a file that cannot be measured is a row with its error.

    Raises
    ------
    FractosegError
        If fields, specimens or the excluded area cannot be used.
    """
    layout = parse_fields(fields)
    check_pixel_size(pixel_size_um)
    names = [mask_stem(path) for path in paths]
    specimens = None if group_by is None else specimens_of(names, group_by)
    entries = [read_entries(path) for path in paths]
    chosen = scheme_of(zip(paths, entries, strict=True), scheme)
    excluded = None if exclude is None else read_mask(exclude)
    seen = None if micrographs is None else _without(micrographs, paths)
    one = OneFile(chosen, layout, pixel_size_um, excluded, facets, seen, scheme is not None)
    tables = None if facets is None else FacetTables(facets)
    shown = set(np.linspace(0, len(paths) - 1, min(n_pictures, len(paths))).round().astype(int))
    total = STEPS * len(paths)
    done: list[Measured] = []
    rows = []
    pictures: list[Picture] = []
    for number, (path, name, stored) in enumerate(zip(paths, names, entries, strict=True)):
        row: dict[str, Any] = {**dict.fromkeys(TEXTS, ""), "file": str(path), "image": name}
        rows.append(row)
        try:
            job = one.job(path, stored, row, is_shown=number in shown)
            found = yield from as_part(job, STEPS * number, total, "", span=STEPS)
            row["error"] = ""
        except FractosegError as error:
            row["error"] = str(error)
            continue
        pictures += found.pictures
        if tables is not None:
            of_image = "" if specimens is None else str(specimens["specimen"].iloc[number])
            for plane, each in enumerate(found.facets, start=1):
                tables.add(each, image=name, plane=plane, specimen=of_image)
        done.append(found.without_facets())
    yield Progress(total, total, "computing the intervals")
    measured = FilesMeasured(
        None,
        pd.DataFrame(rows, columns=list(COLUMNS)),
        chosen,
        tuple(found.record for found in done if found.record is not None),
        pictures=tuple(pictures),
        settings=_settings(chosen, layout, pixel_size_um, group_by, exclude, facets),
    )
    if not done:
        return measured
    table = pd.concat([found.fields for found in done], ignore_index=True)
    if specimens is not None:
        specimens = specimens[specimens["image"].isin(table["image"])]
    measurement = measurement_of_fields(
        table,
        chosen,
        layout,
        specimens=specimens,
        classification=labels_error((found.record, found.origin) for found in done),
    ).with_caveats(
        (
            *familiarity_caveats(found.record for found in done),
            *same_caveats(found.identity for found in done),
        )
    )
    sizes, no_sizes = sizes_of(tables)
    settings = dict(measured.settings)
    if tables is not None and no_sizes:
        settings["sizes of facets"] = f"none. {no_sizes}"
    boundaries = [found.boundary for found in done if found.boundary is not None]
    return replace(
        measured,
        measurement=measurement,
        settings=settings,
        facets=tables,
        sizes=sizes,
        no_sizes=no_sizes,
        boundary=pd.concat(boundaries, ignore_index=True) if boundaries else None,
    )


def _without(micrographs: ImageLookup, labels: Iterable[Path]) -> ImageLookup:
    """Leave out the labels themselves, which may lie among the micrographs."""
    own = {path.resolve() for path in labels}
    kept = tuple(path for path in micrographs.paths if path.resolve() not in own)
    return replace(micrographs, paths=kept)


def _settings(
    scheme: ClassScheme,
    layout: FieldLayout,
    pixel_size_um: float | None,
    group_by: str | Path | None,
    exclude: Path | None,
    facets: FacetSettings | None,
) -> dict[str, str]:
    """Return how files are measured, in words; files that are used are told with their hash."""
    classes = (f"{c.value} {c.name}{'' if c.is_fracture_mode else ' (no mode)'}" for c in scheme)
    settings = {"fields": str(layout), "classes": listed(classes)}
    if pixel_size_um is not None:
        settings["pixel size"] = f"{pixel_size_um:g} µm, given"
    if group_by is not None:
        settings["specimens"] = str(group_by)
        if str(group_by).lower().endswith(".csv"):
            settings["specimens"] += f" (SHA-256 {file_sha256(Path(group_by))})"
    if exclude is not None:
        settings["excluded area"] = f"{exclude} (SHA-256 {file_sha256(exclude)})"
    settings["facets"] = "not measured" if facets is None else str(facets)
    return settings
