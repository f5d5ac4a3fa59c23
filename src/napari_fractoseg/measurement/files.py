"""Measuring of label files: whole folders, a file that fails being a row and not the end."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from napari_fractoseg.annotations.formats.masks import mask_stem
from napari_fractoseg.classes import DEFAULT_SCHEME, ClassScheme
from napari_fractoseg.errors import ClassSchemeError, FractosegError, ImageError
from napari_fractoseg.files import check_writable, file_sha256, refuse_existing, write_bytes
from napari_fractoseg.images import find_images, read_image, read_mask
from napari_fractoseg.images.formats.zarr import is_zarr
from napari_fractoseg.images.reading import safe_facts
from napari_fractoseg.jobs import Job, Progress
from napari_fractoseg.measurement.fields import EACH, FieldLayout, field_table, parse_fields
from napari_fractoseg.measurement.measure import Measurement, measurement_of_fields
from napari_fractoseg.measurement.specimens import specimens_of
from napari_fractoseg.measurement.tables import csv_text
from napari_fractoseg.measurement.texts import FractionError, error_of_model
from napari_fractoseg.results.record import LabelRecord, Origin, origin_of, read_record

__all__ = ["FilesMeasured", "find_label_files", "measure_files_job"]

_LABELS = "_labels"
REPORTS = ("fractions.csv", "fields.csv", "groups.csv", "files.csv", "measurement.json")
"""Files that a measurement writes."""


def find_label_files(inputs: Iterable[Path]) -> list[Path]:
    """Return the label files among files and folders.

    Of a folder those that ``fractoseg segment`` wrote (``NAME_labels.tif`` or ``.zarr``), or
    all its images where there is none.

    Parameters
    ----------
    inputs : iterable of Path
        Files and folders.

    Raises
    ------
    ImageError
        If something is not there, a folder has no image, or two files have one name.
    """
    found: list[Path] = []
    for path in inputs:
        if path.is_dir() and not is_zarr(path):
            images = find_images(path)
            found += [p for p in images if p.stem.endswith(_LABELS)] or images
        elif path.exists():
            found.append(path)
        else:
            raise ImageError(f"{path} does not exist. Check the path.")
    by_name: dict[str, Path] = {}
    for path in dict.fromkeys(found):
        other = by_name.setdefault(mask_stem(path), path)
        if other != path:
            raise ImageError(
                f"{other} and {path} are both of an image {mask_stem(path)!r}, so that their "
                "numbers could not be told apart. Rename one, or measure them one by one."
            )
    return list(by_name.values())


@dataclass(frozen=True, eq=False)
class FilesMeasured:
    """What came of measuring label files.

    Parameters
    ----------
    measurement : Measurement or None
        Of all files that could be measured together; None if none could.
    files : DataFrame
        A row for each file: ``file``, ``image``, ``sha256``, ``model``, ``pixel_size_um``,
        ``pixel_size_from`` and ``error``, which is empty for those that count.
    """

    measurement: Measurement | None
    files: pd.DataFrame

    @property
    def failed(self) -> pd.DataFrame:
        """Rows of the files that do not count."""
        return self.files[self.files["error"] != ""]

    def write(self, out: Path, *, overwrite: bool = False) -> list[Path]:
        """Write the tables as CSV, and all figures as JSON, into a folder.

        Parameters
        ----------
        out : Path
            Folder, which is made.
        overwrite : bool
            Whether files of an earlier measurement are replaced.

        Returns
        -------
        list of Path
            Files that were written.

        Raises
        ------
        FractosegError
            If a file exists and may not be replaced, or cannot be written.
        """
        if not overwrite:
            refuse_measured(out)
        out.mkdir(parents=True, exist_ok=True)
        texts = {"files.csv": csv_text(self.files)}
        content: dict[str, Any] = {"files": json.loads(self.files.to_json(orient="records"))}
        if self.measurement is not None:
            texts["fractions.csv"] = csv_text(self.measurement.table())
            texts["fields.csv"] = csv_text(self.measurement.fields)
            texts["groups.csv"] = csv_text(self.measurement.groups())
            content = {**self.measurement.to_dict(), **content}
        texts["measurement.json"] = f"{json.dumps(content, indent=2)}\n"
        return [
            write_bytes(out / name, texts[name].encode(), overwrite=overwrite)
            for name in REPORTS
            if name in texts
        ]


def refuse_measured(out: Path) -> None:
    """Raise an error if a folder has files of an earlier measurement, or cannot be written to."""
    for name in REPORTS:
        refuse_existing(out / name, replaceable=True)
    check_writable(out)


def measure_files_job(
    paths: Sequence[Path],
    *,
    scheme: ClassScheme | None = None,
    fields: str | FieldLayout = EACH,
    pixel_size_um: float | None = None,
    group_by: str | Path | None = None,
    exclude: Path | None = None,
) -> Job[FilesMeasured]:
    """Measure label files together.

    Parameters
    ----------
    paths : sequence of Path
        Label images and OME-Zarr labels (`find_label_files`).
    scheme : ClassScheme, optional
        Classes of their values; by default those recorded with the first file that has a
        record, or intergranular, transgranular and background.
    fields : str or FieldLayout
        ``each``, ``grid:512um`` or ``grid:320px``.
    pixel_size_um : float, optional
        Edge of a pixel in micrometres, of all files; by default what each file says, if it does.
    group_by : str or Path, optional
        Pattern or CSV file of the specimens (`specimens_of`).
    exclude : Path, optional
        Mask, non-zero where nothing is measured in any image.

    Yields
    ------
    Progress
        Files that are measured.

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
    names = [mask_stem(path) for path in paths]
    specimens = None if group_by is None else specimens_of(names, group_by)
    excluded = None if exclude is None else read_mask(exclude)
    records = [read_record(path) for path in paths]
    chosen = scheme or next((record.scheme for record in records if record), DEFAULT_SCHEME)
    origins: list[tuple[LabelRecord | None, Origin]] = []
    tables: list[pd.DataFrame] = []
    rows = []
    for number, (path, name, record) in enumerate(zip(paths, names, records, strict=True)):
        yield Progress(number, len(paths), f"measuring {name}")
        row: dict[str, Any] = {"file": str(path), "image": name}
        rows.append(row)
        try:
            labels, own_um, origin = _labels(path, record, chosen)
            size_um = own_um if pixel_size_um is None else pixel_size_um
            row |= {
                "sha256": "" if path.is_dir() else file_sha256(path),
                "model": "" if record is None else record.model_name,
                "pixel_size_um": size_um,
                "pixel_size_from": origin if pixel_size_um is None else "given",
            }
            tables.append(
                field_table(
                    labels, chosen, layout, image=name, pixel_size_um=size_um, exclude=excluded
                )
            )
            origins.append((record, origin_of(labels, record)))
            row["error"] = ""
        except FractosegError as error:
            row["error"] = str(error)
    yield Progress(len(paths), len(paths), "measuring")
    columns = ["file", "image", "sha256", "model", "pixel_size_um", "pixel_size_from", "error"]
    files = pd.DataFrame(rows, columns=columns)
    if not tables:
        return FilesMeasured(None, files)
    table = pd.concat(tables, ignore_index=True)
    if specimens is not None:
        specimens = specimens[specimens["image"].isin(table["image"])]
    measurement = measurement_of_fields(
        table, chosen, layout, specimens=specimens, classification=_error(origins)
    )
    return FilesMeasured(measurement, files)


def _error(origins: Sequence[tuple[LabelRecord | None, Origin]]) -> FractionError | None:
    """Return the error of the labels, where one model gave them all and nobody changed any."""
    models = {(record.model, record.model_digest) for record, _ in origins if record}
    untouched = all(origin is Origin.PREDICTION for _, origin in origins)
    if len(models) != 1 or not untouched:
        return None
    ((model, digest),) = models
    return error_of_model(model, digest)


def _labels(
    path: Path, record: LabelRecord | None, scheme: ClassScheme
) -> tuple[Any, float | None, str]:
    """Return labels, read in parts where they are large, the file's pixel size, and its origin."""
    if record is not None and record.scheme.to_dict() != scheme.to_dict():
        raise ClassSchemeError(
            f"Its classes ({record.scheme.name}: {', '.join(record.scheme.names)}) are not those "
            f"that are measured ({', '.join(scheme.names)}). Measure it apart."
        )
    if not path.is_dir() and record is None:
        facts = safe_facts(path)
        return read_mask(path), facts.pixel_size_um, facts.pixel_size_from
    stack = read_image(path, rgb=False)
    if np.dtype(stack.data.dtype).kind not in "iu":
        raise ImageError(f"Its values are of type {stack.data.dtype}, not class values.")
    return stack.data, stack.pixel_size_um, stack.pixel_size_from
