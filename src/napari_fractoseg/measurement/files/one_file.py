"""One label file: its fields, facets and picture, with all that is known of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy.typing as npt
import pandas as pd

from napari_fractoseg.annotations.formats.masks import image_of_mask, mask_stem
from napari_fractoseg.annotations.image_lookup import ImageLookup
from napari_fractoseg.classes import ClassScheme
from napari_fractoseg.errors import AnnotationError, ImageError
from napari_fractoseg.files import file_sha256
from napari_fractoseg.images import MicrographStack, read_image
from napari_fractoseg.images.calibration.by_hand import GIVEN
from napari_fractoseg.images.micrograph import LazyPlane
from napari_fractoseg.images.reading import safe_facts
from napari_fractoseg.jobs import Job, Progress, as_part
from napari_fractoseg.measurement.facets.plane import Facets
from napari_fractoseg.measurement.facets.planes import FacetSettings, facets_of_planes_job
from napari_fractoseg.measurement.fields import FieldLayout, field_table_job
from napari_fractoseg.measurement.files.labels import CONFIDENCE, LABELS, open_labels
from napari_fractoseg.measurement.files.measured import Picture
from napari_fractoseg.measurement.overlay import thumbnail
from napari_fractoseg.measurement.texts import plane_title
from napari_fractoseg.results.excluded import excluded_of, left_out_mask
from napari_fractoseg.results.record import LabelRecord, Origin, origin_of
from napari_fractoseg.text import size_text

__all__ = ["COLUMNS", "STEPS", "TEXTS", "Measured", "OneFile"]

STEPS = 100
"""Steps of the progress for each file."""
_FIELDS_STEPS = 10
"""Of them, those of the fields, where facets are measured as well."""
TEXTS = (
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
COLUMNS = (
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
class Measured:
    """What was measured of one file."""

    fields: pd.DataFrame
    record: LabelRecord | None
    origin: Origin
    facets: tuple[Facets, ...] = ()
    boundary: pd.DataFrame | None = None
    pictures: tuple[Picture, ...] = ()
    sha256: str = ""

    @property
    def identity(self) -> tuple[str, str]:
        """Name of the image, and a hash of its labels; an empty one where all are alike."""
        areas = self.fields.filter(regex="^area_px_").sum()
        digest = self.sha256
        if self.record is not None and self.origin is Origin.PREDICTION:
            digest = self.record.labels_sha256
        return str(self.fields["image"].iloc[0]), digest if (areas > 0).sum() > 1 else ""

    def without_facets(self) -> Measured:
        """Return the same without what takes memory and is kept elsewhere."""
        return replace(self, facets=(), pictures=())


@dataclass(frozen=True, eq=False)
class OneFile:
    """How one file is measured."""

    scheme: ClassScheme
    layout: FieldLayout
    pixel_size_um: float | None
    exclude: npt.NDArray[Any] | None
    facets: FacetSettings | None
    micrographs: ImageLookup | None
    is_scheme_given: bool = False

    def job(
        self, path: Path, entries: Mapping[str, Any], row: dict[str, Any], *, is_shown: bool
    ) -> Job[Measured]:
        """Measure a file of which `read_entries` is given; what is known becomes its row."""
        name, record = str(row["image"]), LabelRecord.from_dict(entries)
        yield Progress(0, STEPS, f"reading {name}")
        labels, own_um, own_from = open_labels(
            path, entries, self.scheme, is_given=self.is_scheme_given
        )
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
        area = excluded_of(path, labels.shape, entries)
        if area is not None:
            row["left_out"] = area.text
        exclude = left_out_mask(area, self.exclude, labels.shape)
        span = STEPS if self.facets is None else _FIELDS_STEPS
        job = field_table_job(
            labels, self.scheme, self.layout, image=name, pixel_size_um=size_um, exclude=exclude
        )
        fields = yield from as_part(job, 0, STEPS, "", span=span)
        confidence = None if self.facets is None else _confidence(path, tuple(labels.shape), row)
        found, boundary = yield from self._facets(
            labels, (stack, confidence), exclude, size_um, name
        )
        pictures = (self._picture(labels, stack, name),) if is_shown else ()
        return Measured(fields, record, origin, found, boundary, pictures, row["sha256"])

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
        span = STEPS - _FIELDS_STEPS
        found = yield from as_part(job, _FIELDS_STEPS, STEPS, name, span=span)
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
    beside = path.with_name(f"{mask_stem(path)}{CONFIDENCE}{path.suffix}")
    if not path.stem.endswith(LABELS) or not beside.exists():
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
