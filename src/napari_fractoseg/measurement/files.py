"""Measuring of label files: whole folders, a file that fails being a row and not the end."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from napari_fractoseg.annotations.formats.masks import image_of_mask, mask_stem
from napari_fractoseg.annotations.image_lookup import ImageLookup
from napari_fractoseg.classes import DEFAULT_SCHEME, ClassScheme
from napari_fractoseg.errors import (
    AnnotationError,
    ClassSchemeError,
    FractosegError,
    ImageError,
    OptionError,
)
from napari_fractoseg.files import check_writable, file_sha256, refuse_existing, write_bytes
from napari_fractoseg.images import (
    TIFF_SUFFIXES,
    MicrographStack,
    find_images,
    read_image,
    read_mask,
)
from napari_fractoseg.images.calibration import PixelSize
from napari_fractoseg.images.calibration.by_hand import GIVEN
from napari_fractoseg.images.calibration.claims import same_edges
from napari_fractoseg.images.formats.zarr import is_zarr
from napari_fractoseg.images.micrograph import LazyPlane
from napari_fractoseg.images.reading import safe_facts
from napari_fractoseg.jobs import Job, Progress, as_part
from napari_fractoseg.measurement.facet_tables import (
    FacetSettings,
    FacetTables,
    facets_of_planes_job,
    sizes_of,
)
from napari_fractoseg.measurement.facets import Facets
from napari_fractoseg.measurement.fields import (
    EACH,
    FieldLayout,
    check_pixel_size,
    field_table_job,
    parse_fields,
)
from napari_fractoseg.measurement.measure import Measurement, measurement_of_fields
from napari_fractoseg.measurement.overlay import thumbnail
from napari_fractoseg.measurement.specimens import specimens_of
from napari_fractoseg.measurement.tables import csv_text
from napari_fractoseg.measurement.texts import labels_error, plane_title, unlike_caveats
from napari_fractoseg.results.excluded import excluded_of, left_out_mask
from napari_fractoseg.results.record import (
    LabelRecord,
    Origin,
    origin_of,
    read_record,
    recorded_scheme,
)
from napari_fractoseg.text import listed, size_text

__all__ = [
    "FilesMeasured",
    "Picture",
    "find_label_files",
    "find_micrographs",
    "measure_files_job",
    "open_labels",
    "refuse_as_inputs",
    "refuse_measured",
    "scheme_of",
]

_LABELS, _CONFIDENCE = "_labels", "_confidence"
_STEPS = 100
"""Steps of the progress for each file."""
_FIELDS_STEPS = 10
"""Of them, those of the fields, where facets are measured as well."""
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


def find_micrographs(inputs: Iterable[Path]) -> ImageLookup:
    """Return the micrographs among files and folders, to find those of labels in.

    Parameters
    ----------
    inputs : iterable of Path
        Image files, and folders that are searched down to three levels.

    Raises
    ------
    ImageError
        If something is not there, or nothing is given.
    """
    paths: list[Path] = []
    is_complete = True
    given = list(inputs)
    if not given:
        raise ImageError("No micrograph was given. Name image files or folders.")
    for path in given:
        if path.is_dir() and not is_zarr(path):
            found = ImageLookup.scan(path)
            paths += found.paths
            is_complete &= found.is_complete
        elif path.exists():
            paths.append(path)
        else:
            raise ImageError(f"{path} does not exist. Check the path.")
    return ImageLookup(given[0].parent, tuple(dict.fromkeys(paths)), is_complete)


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


def refuse_as_inputs(places: Iterable[Path], inputs: Iterable[Path | str | None]) -> None:
    """Raise an error if what is read is where a result may be written or removed.

    Parameters
    ----------
    places : iterable of Path
        Files that may be written or removed.
    inputs : iterable of Path, str or None
        Files that are read; what is no file is passed over.

    Raises
    ------
    OptionError
        If one has such a place; says which.
    """
    own = {place.resolve() for place in places}
    for path in inputs:
        if path is not None and Path(path).resolve() in own:
            raise OptionError(
                f"{path} is an input, and would be replaced by a result of that name. Choose "
                "another folder for the results, or rename it.",
                options=("out",),
            )


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
        Classes of their values; by default those recorded with the first file that has a
        record, or intergranular, transgranular and background.
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
    records = [read_record(path) for path in paths]
    chosen = scheme_of(paths, scheme)
    excluded = None if exclude is None else read_mask(exclude)
    seen = None if micrographs is None else _without(micrographs, paths)
    one = _OneFile(chosen, layout, pixel_size_um, excluded, facets, seen)
    tables = None if facets is None else FacetTables(facets)
    shown = set(np.linspace(0, len(paths) - 1, min(n_pictures, len(paths))).round().astype(int))
    total = _STEPS * len(paths)
    done: list[_Measured] = []
    rows = []
    pictures: list[Picture] = []
    for number, (path, name, record) in enumerate(zip(paths, names, records, strict=True)):
        row: dict[str, Any] = {**dict.fromkeys(_TEXTS, ""), "file": str(path), "image": name}
        rows.append(row)
        try:
            job = one.job(path, record, row, is_shown=number in shown)
            found = yield from as_part(job, _STEPS * number, total, "", span=_STEPS)
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
        pd.DataFrame(rows, columns=list(_COLUMNS)),
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
    ).with_caveats(unlike_caveats(found.record for found in done))
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


_TEXTS = (
    "sha256",
    "model",
    "model_sha256",
    "origin",
    "pixel_size_from",
    "micrograph",
    "micrograph_sha256",
    "left_out",
    "note",
)
_COLUMNS = (
    *("file", "image", "sha256", "model", "model_sha256", "origin"),
    *(
        "pixel_size_um",
        "pixel_size_from",
        "micrograph",
        "micrograph_sha256",
        "left_out",
        "note",
        "error",
    ),
    "scale_factor",
)


@dataclass(frozen=True, eq=False)
class _Measured:
    """What was measured of one file."""

    fields: pd.DataFrame
    record: LabelRecord | None
    origin: Origin
    facets: tuple[Facets, ...] = ()
    boundary: pd.DataFrame | None = None
    pictures: tuple[Picture, ...] = ()

    def without_facets(self) -> _Measured:
        """Return the same without what takes memory and is kept elsewhere."""
        return replace(self, facets=(), pictures=())


@dataclass(frozen=True, eq=False)
class _OneFile:
    """How one file is measured."""

    scheme: ClassScheme
    layout: FieldLayout
    pixel_size_um: float | None
    exclude: npt.NDArray[Any] | None
    facets: FacetSettings | None
    micrographs: ImageLookup | None

    def job(
        self, path: Path, record: LabelRecord | None, row: dict[str, Any], *, is_shown: bool
    ) -> Job[_Measured]:
        """Measure a file; what is known of it becomes entries of its row."""
        name = str(row["image"])
        yield Progress(0, _STEPS, f"reading {name}")
        labels, own_um, own_from = open_labels(path, record, self.scheme)
        stack = self._micrograph(path, tuple(labels.shape), row)
        sizes = (
            (self.pixel_size_um, GIVEN),
            (own_um, own_from),
            *([] if stack is None else [(stack.pixel_size_um, stack.pixel_size_from)]),
        )
        size_um, size_from = next(((s, f) for s, f in sizes if s is not None), (None, ""))
        if size_um is None:
            row["note"] = f"{row['note']} {_not_square(path)}".strip()
        origin = origin_of(labels, record)
        row |= {
            "sha256": file_sha256(path),
            "model": "" if record is None else record.model_name,
            "model_sha256": "" if record is None else record.model_digest,
            "origin": origin.value,
            "pixel_size_um": size_um,
            "pixel_size_from": size_from,
            "scale_factor": None if record is None else record.scale_factor,
        }
        area = excluded_of(path, labels.shape)
        if area is not None:
            row["left_out"] = area.text
        exclude = left_out_mask(area, self.exclude, labels.shape)
        span = _STEPS if self.facets is None else _FIELDS_STEPS
        job = field_table_job(
            labels,
            self.scheme,
            self.layout,
            image=name,
            pixel_size_um=size_um,
            exclude=exclude,
        )
        fields = yield from as_part(job, 0, _STEPS, "", span=span)
        confidence = None if self.facets is None else _confidence(path, tuple(labels.shape), row)
        found, boundary = yield from self._facets(
            labels, (stack, confidence), exclude, size_um, name
        )
        pictures = (self._picture(labels, stack, name),) if is_shown else ()
        return _Measured(fields, record, origin, found, boundary, pictures)

    def _micrograph(
        self, path: Path, shape: tuple[int, ...], row: dict[str, Any]
    ) -> MicrographStack | None:
        """Return the micrograph of labels; without one, their row says why."""
        if self.micrographs is None:
            return None
        try:
            found = image_of_mask(path, self.micrographs)
            if found is None:
                raise ImageError("There is no micrograph of this name.")
            stack = _stack_of(found, shape, "micrograph")
        except (AnnotationError, ImageError) as error:
            row["note"] = str(error)
            return None
        row |= {"micrograph": str(found), "micrograph_sha256": file_sha256(found)}
        return stack

    def _facets(
        self,
        labels: Any,
        seen: tuple[MicrographStack | None, MicrographStack | None],
        exclude: Any,
        size_um: float | None,
        name: str,
    ) -> Job[tuple[tuple[Facets, ...], pd.DataFrame | None]]:
        """Measure facets and boundaries of each plane."""
        if self.facets is None:
            return (), None
        job = facets_of_planes_job(
            labels,
            self.scheme,
            self.facets,
            name=name,
            pixel_size_um=size_um,
            exclude=exclude,
            image=seen[0],
            confidence=seen[1],
        )
        span = _STEPS - _FIELDS_STEPS
        found = yield from as_part(job, _FIELDS_STEPS, _STEPS, name, span=span)
        return tuple(found.facets), found.boundary

    def _picture(self, labels: Any, stack: MicrographStack | None, name: str) -> Picture:
        shape = tuple(labels.shape)
        index = (0,) * (len(shape) - 2)
        image = None if stack is None else stack.plane(index).data
        rgb = thumbnail(image, LazyPlane(labels, index), self.scheme)
        return Picture(plane_title(index, shape, name), rgb, image is not None)


def _not_square(path: Path) -> str:
    """Return why lengths are in pixels though a file says its pixel size; empty if it does not."""
    edges = safe_facts(path).pixel_size.text
    return f"The pixels are not square ({edges}): lengths are in pixels." if edges else ""


def _confidence(path: Path, shape: tuple[int, ...], row: dict[str, Any]) -> MicrographStack | None:
    """Return the confidence that was written beside labels; None if there is none to be used."""
    beside = path.with_name(f"{mask_stem(path)}{_CONFIDENCE}{path.suffix}")
    if not path.stem.endswith(_LABELS) or not beside.exists():
        return None
    try:
        return _stack_of(beside, shape, "confidence")
    except ImageError as error:
        row["note"] = f"{row['note']} {error}".strip()
        return None


def _stack_of(path: Path, shape: tuple[int, ...], what: str) -> MicrographStack:
    """Return an image that goes with labels of a shape, each plane of which can be read."""
    stack = read_image(path)
    if stack.shape != shape:
        raise ImageError(
            f"The {what} {path.name} has {size_text(stack.shape)}, the labels "
            f"{size_text(shape)}: it is left out."
        )
    for index in stack.indices():
        stack.plane(index)
    return stack


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


def scheme_of(paths: Iterable[Path], scheme: ClassScheme | None = None) -> ClassScheme:
    """Return the classes of label files: those given, else those of the first that records them."""
    recorded = (found for path in paths if (found := recorded_scheme(path)) is not None)
    return scheme or next(recorded, DEFAULT_SCHEME)


def open_labels(
    path: Path, record: LabelRecord | None, scheme: ClassScheme
) -> tuple[Any, float | None, str]:
    """Return labels, read in parts where they are large, the file's pixel size, and its origin.

    Raises
    ------
    FractosegError
        If the file cannot be read, or its labels are of other classes.
    """
    recorded = recorded_scheme(path)
    if recorded is not None and recorded.to_dict() != scheme.to_dict():
        raise ClassSchemeError(
            f"Its classes ({recorded.name}: {', '.join(recorded.names)}) are not those "
            f"that are measured ({', '.join(scheme.names)}). Measure it apart."
        )
    if not path.is_dir() and record is None:
        facts = safe_facts(path)
        return _plain_labels(path), facts.pixel_size_um, facts.pixel_size_from
    stack = _with_origin(read_image(path, rgb=False), record)
    if np.dtype(stack.data.dtype).kind not in "iu":
        raise ImageError(f"Its values are of type {stack.data.dtype}, not class values.")
    return stack.data, stack.pixel_size_um, stack.pixel_size_from


def _with_origin(stack: MicrographStack, record: LabelRecord | None) -> MicrographStack:
    """Return labels with the origin of their pixel size that is recorded, if it is still that."""
    size = PixelSize.from_dict({} if record is None else record.pixel_size)
    if not size.source or not same_edges(size, stack.pixel_size):
        return stack
    return replace(stack, pixel_size_from=size.source)


def _plain_labels(path: Path) -> Any:
    """Return labels that another program wrote: a mask, or a TIFF with several planes."""
    if path.suffix.lower() in TIFF_SUFFIXES:
        with suppress(ImageError):  # which is told better of a mask
            stack = read_image(path)
            if len(stack.shape) > 2 and not stack.rgb and np.dtype(stack.data.dtype).kind in "iu":
                return stack.data
    return read_mask(path)
