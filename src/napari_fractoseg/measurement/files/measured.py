"""What came of measuring label files, and its tables on disk."""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from napari_fractoseg.classes import DEFAULT_SCHEME, ClassScheme
from napari_fractoseg.errors import OutputError, OutputExistsError, translated
from napari_fractoseg.files import check_writable, refuse_existing, write_bytes
from napari_fractoseg.measurement.estimates import Measurement
from napari_fractoseg.measurement.facets.planes import FacetTables
from napari_fractoseg.measurement.tables import csv_text
from napari_fractoseg.results.record import LabelRecord

__all__ = ["TABLES", "FilesMeasured", "Picture", "refuse_measured", "refuse_table_of_others"]

TABLES = (
    "fractions.csv",
    "fields.csv",
    "groups.csv",
    "files.csv",
    "facets.csv",
    "sizes.csv",
    "boundary.csv",
    "measurement.json",
)
"""Files that a measurement writes."""
_FRACTIONS, _FIRST_COLUMN = "fractions.csv", b"class_name"


@dataclass(frozen=True, eq=False)
class Picture:
    """Small picture of an image with its labels.

    Parameters
    ----------
    name : str
        Name of the image, and which of its planes it is.
    rgb : ndarray of uint8, shape (Y, X, 3)
        Red, green and blue.
    shows_image : bool
        Whether the micrograph is seen under the labels.
    """

    name: str
    rgb: npt.NDArray[np.uint8]
    shows_image: bool = True


@dataclass(frozen=True, eq=False)
class FilesMeasured:
    """What came of measuring label files.

    Parameters
    ----------
    measurement : Measurement or None
        Of all files that could be measured together; None if none could.
    files : DataFrame
        A row for each file: ``file``, ``image``, ``sha256``, ``model``, ``model_sha256``,
        ``origin`` (`Origin`), ``pixel_size_um``, ``pixel_size_from``, ``micrograph``,
        ``micrograph_sha256``, ``note``, ``error``, which is empty for those that count, and
        ``scale_factor`` (`LabelRecord`).
    scheme : ClassScheme
        Classes of the label values.
    records : tuple of LabelRecord
        Records of the labels that count and have one.
    facets : FacetTables or None
        Facets of all planes; None where they were not measured.
    sizes : DataFrame or None
        Their size distributions.
    no_sizes : str
        Why there are no size distributions of the facets; empty if there are.
    boundary : DataFrame or None
        Lengths of the boundaries between the modes in each plane.
    pictures : tuple of Picture
        Small pictures of some of the planes.
    settings : mapping of str to str
        How it was measured, in words.
    """

    measurement: Measurement | None
    files: pd.DataFrame
    scheme: ClassScheme = DEFAULT_SCHEME
    records: tuple[LabelRecord, ...] = ()
    facets: FacetTables | None = None
    sizes: pd.DataFrame | None = None
    no_sizes: str = ""
    boundary: pd.DataFrame | None = None
    pictures: tuple[Picture, ...] = ()
    settings: Mapping[str, str] = field(default_factory=dict)

    @property
    def failed(self) -> pd.DataFrame:
        """Rows of the files that do not count."""
        return self.files[self.files["error"] != ""]

    def write(
        self, out: Path, *, overwrite: bool = False, also: Mapping[str, Any] | None = None
    ) -> list[Path]:
        """Write the tables as CSV, and all figures as JSON, into a folder.

        Parameters
        ----------
        out : Path
            Folder, which is made.
        also : mapping, optional
            Further entries of the JSON file.
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
        content: dict[str, Any] = {
            "settings": dict(self.settings),
            "files": json.loads(self.files.to_json(orient="records")),
        }
        tables = {"files.csv": self.files, "sizes.csv": self.sizes, "boundary.csv": self.boundary}
        if self.measurement is not None:
            tables["fractions.csv"] = self.measurement.table()
            tables["fields.csv"] = self.measurement.fields
            tables["groups.csv"] = self.measurement.groups()
            content = {**self.measurement.to_dict(), **content}
        content |= also or {}
        texts = {name: csv_text(table) for name, table in tables.items() if table is not None}
        texts["measurement.json"] = f"{json.dumps(content, indent=2)}\n"
        written = []
        for name in TABLES:
            if name in texts:
                written.append(write_bytes(out / name, texts[name].encode(), overwrite=overwrite))
            elif name == "facets.csv" and self.facets is not None:
                written.append(self.facets.write(out / name, overwrite=overwrite))
        return written


def refuse_measured(out: Path, also: Iterable[str] = ()) -> None:
    """Raise an error if a folder has files of an earlier measurement, or cannot be written to.

    Parameters
    ----------
    out : Path
        Folder.
    also : iterable of str
        Names of other files that will be written into it.
    """
    for name in (*TABLES, *also):
        refuse_existing(out / name, replaceable=True)
    check_writable(out)


def refuse_table_of_others(out: Path) -> None:
    """Raise an error if a folder has another table of fractions, such as that of segmented images.

    That of ``fractoseg segment`` has the same name, and tells of all images in its folder.

    Raises
    ------
    OutputExistsError
        If there is one.
    """
    path = out / _FRACTIONS
    if path.is_file() and not _first_bytes(path).startswith(_FIRST_COLUMN):
        raise OutputExistsError(
            f"{path} is no table of a measurement, but of segmented images, or of another program, "
            "and is not replaced. Choose another folder for the measurement."
        )


def _first_bytes(path: Path) -> bytes:
    with translated(OutputError, f"{path} cannot be read"), path.open("rb") as file:
        return file.read(2 * len(_FIRST_COLUMN)).removeprefix(codecs.BOM_UTF8).lstrip(b'"')
