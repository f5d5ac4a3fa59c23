"""Request and jobs of a measurement, without layers and Qt."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from napari_fractoseg._napari.excluded.drawn import DrawnArea
from napari_fractoseg.classes import ClassScheme
from napari_fractoseg.images import MicrographStack
from napari_fractoseg.images.memory import array_bytes, refuse_if_too_large
from napari_fractoseg.images.micrograph import LazyPlane
from napari_fractoseg.jobs import Job, as_part
from napari_fractoseg.measurement.estimates import Measurement
from napari_fractoseg.measurement.facets.plane import facets_job
from napari_fractoseg.measurement.facets.planes import (
    FacetSettings,
    FacetTables,
    facet_arguments,
    facets_of_planes_job,
    plane_of_mask,
    sizes_of,
)
from napari_fractoseg.measurement.fields import FieldLayout
from napari_fractoseg.measurement.local_fractions import local_fractions_job, window_for
from napari_fractoseg.measurement.measure import measure_job
from napari_fractoseg.measurement.texts import familiarity_caveats, labels_error, plane_title
from napari_fractoseg.results.record import LabelRecord, Origin, digest_job
from napari_fractoseg.text import listed

__all__ = [
    "FacetRegions",
    "LabelledImage",
    "LocalMap",
    "MeasuredFacets",
    "MeasuredLabels",
    "Request",
    "all_facets_job",
    "facet_regions_job",
    "measured_job",
    "plane_map_job",
    "whole_map_job",
]

_STEPS = 1000
_MOST_HASHED_PX = 2**28
"""Most pixels of labels that are hashed, to tell later whether they are still the same."""


@dataclass(frozen=True, eq=False)
class LabelledImage:
    """Labels of an image that are measured: those of all planes, or of one.

    Parameters
    ----------
    name : str
        Name of the image, with the plane where it is one of several; no other one has it.
    labels : array of int, shape (..., Y, X)
        Labels that are measured; read in parts, and never changed.
    whole : array of int, shape (..., Y, X)
        Labels of all planes.
    scheme : ClassScheme
        Classes of the labels.
    plane : tuple of int or None
        Index on the leading axes of the one plane that is measured; None for all of them.
    pixel_size_um : float or None
        Edge of a pixel in micrometres, if it is known.
    pixel_size_from : str
        Where that is known from; empty if it is not.
    exclude : array, DrawnArea or None
        Area of all planes that is not measured.
    image : MicrographStack or None
        Image of the shape of `labels`, for the grey levels.
    confidence : MicrographStack or None
        How sure the model was, of the shape of `labels`.
    record : LabelRecord or None
        Record of the model that gave the labels.
    file : Path or None
        File that the labels were opened from; those that are measured may be newer.
    image_file : Path or None
        File of the image.
    """

    name: str
    labels: Any
    whole: Any
    scheme: ClassScheme
    plane: tuple[int, ...] | None = None
    pixel_size_um: float | None = None
    pixel_size_from: str = ""
    exclude: Any = None
    image: MicrographStack | None = None
    confidence: MicrographStack | None = None
    record: LabelRecord | None = None
    file: Path | None = None
    image_file: Path | None = None

    def mask(self) -> Any:
        """Return the mask of the excluded area, None without one; see `DrawnArea.mask`."""
        mask = self.exclude.mask() if isinstance(self.exclude, DrawnArea) else self.exclude
        return mask if self.plane is None else plane_of_mask(mask, self.plane)

    def in_whole(self, values: Any) -> Any:
        """Return the part of an array of the shape of `whole` that is measured."""
        return values if self.plane is None else values[self.plane]


@dataclass(frozen=True, eq=False)
class Request:
    """Choices of the user for a measurement; a snapshot taken in the GUI thread.

    Parameters
    ----------
    images : tuple of LabelledImage
        Images that are measured together, all with the same classes.
    layout : FieldLayout
        How planes are divided into fields.
    specimens : str
        Pattern of the specimens in the names of images; empty for none.
    excluded : tuple of array
        Arrays of labels layers that say what is excluded, to be hashed as well.
    excluded_by : str
        Words for what is excluded, such as the name of a layer; empty if nothing is.
    """

    images: tuple[LabelledImage, ...]
    layout: FieldLayout
    specimens: str = ""
    excluded: tuple[Any, ...] = ()
    excluded_by: str = ""

    @property
    def scheme(self) -> ClassScheme:
        """Classes that are measured."""
        return self.images[0].scheme


@dataclass(frozen=True, eq=False)
class MeasuredLabels:
    """Result of a measurement.

    Parameters
    ----------
    request : Request
        What was measured.
    measurement : Measurement
        Fractions, fields, areas and caveats.
    digests : tuple of str
        Hash of the measured labels of each image, then of the excluded labels; empty where they
        are too large for it.
    origins : tuple of Origin
        Of the labels of each image, whether they are as the model gave them.
    """

    request: Request
    measurement: Measurement
    digests: tuple[str, ...]
    origins: tuple[Origin, ...]


def measured_job(request: Request) -> Job[MeasuredLabels]:
    """Measure the fractions of the classes, with their uncertainty.

    Yields
    ------
    Progress
        Parts of the images that are hashed, then of those that are counted.
    """
    digests, origins = [], []
    total = 2 * _STEPS
    for number, image in enumerate(request.images):
        done = _STEPS * number // len(request.images)
        digests.append((yield from as_part(_digest_job(image.labels), done, total, "")))
        origins.append((yield from _origin_job(image, digests[-1], done, total)))
    for excluded in request.excluded:
        digests.append((yield from as_part(_digest_job(excluded), _STEPS, total, "")))
    records = [image.record for image in request.images]
    measurement = yield from as_part(
        measure_job(
            {image.name: image.labels for image in request.images},
            request.scheme,
            pixel_size_um={image.name: image.pixel_size_um for image in request.images},
            fields=request.layout,
            specimens=request.specimens or None,
            exclude={image.name: image.mask() for image in request.images},
            classification=labels_error(zip(records, origins, strict=True)),
        ),
        _STEPS,
        total,
        "",
        span=_STEPS,
    )
    measurement = measurement.with_caveats(familiarity_caveats(records))
    return MeasuredLabels(request, measurement, tuple(digests), tuple(origins))


def _digest_job(labels: Any) -> Job[str]:
    """Return the hash of labels, empty for very many."""
    if math.prod(labels.shape) > _MOST_HASHED_PX:
        return ""
    return (yield from digest_job(labels))


def _origin_job(image: LabelledImage, digest: str, done: int, total: int) -> Job[Origin]:
    """Return whether labels are as the model gave them; those of all planes are compared."""
    if image.record is None or not image.record.labels_sha256:
        return Origin.UNKNOWN
    if image.plane is not None:
        digest = yield from as_part(_digest_job(image.whole), done, total, "")
    if not digest:
        return Origin.UNKNOWN
    is_same = digest == image.record.labels_sha256
    return Origin.PREDICTION if is_same else Origin.CHANGED


# ---- facets ------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class MeasuredFacets:
    """Facets of all planes of a measurement.

    Parameters
    ----------
    tables : FacetTables
        Facets of each image and plane.
    sizes : DataFrame or None
        Distributions of their sizes.
    no_sizes : str
        Why there are none.
    boundary : DataFrame
        Lengths of the boundaries between the modes in each plane.
    """

    tables: FacetTables
    sizes: pd.DataFrame | None
    no_sizes: str
    boundary: pd.DataFrame

    def caption(self, scheme: ClassScheme) -> str:
        """Return a sentence on how many facets there are, and which ones the sizes are about."""
        found = [plane.table for plane in self.tables.facets]
        names = pd.concat([table["class_name"] for table in found])
        borders = pd.concat([table["touches_border"] for table in found]).astype(bool)
        modes = [mode.name for mode in scheme.fracture_modes]
        counts = listed(f"{int((names == mode).sum())} {mode}" for mode in modes)
        border = int((names.isin(modes) & borders).sum())
        return (
            f"Facets ({self.tables.settings}): {counts}; {border} at the border are not in the "
            "sizes. Sizes of facets are no grain sizes."
        )


def all_facets_job(result: MeasuredLabels, settings: FacetSettings) -> Job[MeasuredFacets]:
    """Measure the facets of all planes, and the distributions of their sizes.

    Yields
    ------
    Progress
        Images and planes that are measured.
    """
    tables = FacetTables(settings)
    boundaries = []
    fields, images = result.measurement.fields, result.request.images
    specimens = dict(zip(fields["image"], fields["specimen"], strict=True))
    for number, image in enumerate(images):
        job = facets_of_planes_job(
            image.labels,
            image.scheme,
            settings,
            name=image.name,
            pixel_size_um=image.pixel_size_um,
            exclude=image.mask(),
            image=image.image,
            confidence=image.confidence,
        )
        total = _STEPS * len(images)
        found = yield from as_part(job, _STEPS * number, total, image.name, span=_STEPS)
        for plane, facets in enumerate(found.facets, start=1):
            tables.add(facets, image=image.name, plane=plane, specimen=specimens[image.name])
        boundaries.append(found.boundary)
    sizes, no_sizes = sizes_of(tables)
    return MeasuredFacets(tables, sizes, no_sizes, pd.concat(boundaries, ignore_index=True))


@dataclass(frozen=True, eq=False)
class FacetRegions:
    """Facets of an image with the number of the facet of each pixel.

    Parameters
    ----------
    regions : array of int32, shape (..., Y, X)
        Number of the facet, 1 to N over all planes; 0 where there is none.
    table : DataFrame
        Row for each facet, in the order of the numbers, with the column ``plane`` (counted from
        1) where there are several.
    """

    regions: Any
    table: pd.DataFrame


def facet_regions_job(image: LabelledImage, settings: FacetSettings) -> Job[FacetRegions]:
    """Measure the facets of the fracture modes, numbered over all planes that are measured.

    Yields
    ------
    Progress
        Planes that are measured.

    Raises
    ------
    ImageError
        If there is no memory for the numbers.
    """
    shape = tuple(image.whole.shape)
    refuse_if_too_large(array_bytes(shape, np.int32), f"The facets of {image.name}")
    whole = np.zeros(shape, np.int32)
    regions = image.in_whole(whole)
    planes = list(np.ndindex(regions.shape[:-2]))
    tables: list[pd.DataFrame] = []
    mask, n = image.mask(), 0
    for done, plane in enumerate(planes):
        job = facets_job(
            LazyPlane(image.labels, plane),
            image.scheme,
            exclude=plane_of_mask(mask, plane),
            pixel_size_um=image.pixel_size_um,
            regions=regions[plane],
            **facet_arguments(settings, plane, image.image, image.confidence),
        )
        total = _STEPS * len(planes)
        found = yield from as_part(job, _STEPS * done, total, image.name, span=_STEPS)
        table = _only_modes(found.table, regions[plane], image.scheme, n)
        if len(shape) > 2:
            index = plane if image.plane is None else image.plane
            table.insert(1, "plane", int(np.ravel_multi_index(index, shape[:-2])) + 1)
        tables.append(table)
        n += len(table)
    return FacetRegions(whole, pd.concat(tables, ignore_index=True))


def _only_modes(
    table: pd.DataFrame, regions: npt.NDArray[np.int32], scheme: ClassScheme, n: int
) -> pd.DataFrame:
    """Leave out regions of classes that are no fracture mode, and count on from `n`."""
    kept = table["class_name"].isin([mode.name for mode in scheme.fracture_modes]).to_numpy()
    numbers = np.concatenate([[0], np.where(kept, n + np.cumsum(kept), 0)]).astype(np.int32)
    np.take(numbers, regions, out=regions, mode="clip")
    return table[kept].assign(index=numbers[1:][kept]).reset_index(drop=True)


# ---- map ---------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class LocalMap:
    """Map of the fraction of a fracture mode around each pixel.

    Parameters
    ----------
    mode : str
        Name of the fracture mode.
    window_px : int
        Edge of the window.
    values : array of float32
        Fraction, 0-1; NaN where the window shows no fracture mode, and where nothing was
        measured. Of one plane, or of all planes of the labels.
    title : str
        Name of the image, and of the plane where it is one of several.
    """

    mode: str
    window_px: int
    values: Any
    title: str


def plane_map_job(
    image: LabelledImage, mode: str, window_px: int | None, plane: tuple[int, ...]
) -> Job[LocalMap]:
    """Measure the local fraction of a fracture mode in a plane.

    Parameters
    ----------
    image : LabelledImage
        Image with its labels.
    mode : str
        Name of the fracture mode.
    window_px : int or None
        Edge of the window; None for `window_for`.
    plane : tuple of int
        Index of the plane among those that are measured.

    Yields
    ------
    Progress
        Blocks that are measured.

    Raises
    ------
    ImageError
        If there is no memory for the map.
    """
    shape = tuple(image.labels.shape)
    refuse_if_too_large(array_bytes(shape[-2:], np.float32), f"The map of {image.name}")
    window = window_px or window_for(shape)
    exclude = plane_of_mask(image.mask(), plane)
    values = yield from local_fractions_job(
        LazyPlane(image.labels, plane), image.scheme, mode, window, exclude=exclude
    )
    return LocalMap(mode, window, values, plane_title(plane, shape, image.name))


def whole_map_job(image: LabelledImage, mode: str, window_px: int | None) -> Job[LocalMap]:
    """Measure the local fraction of a fracture mode in all planes that are measured.

    Parameters
    ----------
    image, mode, window_px
        As of `plane_map_job`.

    Yields
    ------
    Progress
        Planes that are measured.

    Raises
    ------
    ImageError
        If there is no memory for the map.
    """
    shape = tuple(image.whole.shape)
    refuse_if_too_large(array_bytes(shape, np.float32), f"The map of {image.name}")
    whole = np.full(shape, np.nan, np.float32)
    values, mask = image.in_whole(whole), image.mask()
    window = window_px or window_for(shape)
    planes = list(np.ndindex(values.shape[:-2]))
    for done, plane in enumerate(planes):
        job = local_fractions_job(
            LazyPlane(image.labels, plane),
            image.scheme,
            mode,
            window,
            exclude=plane_of_mask(mask, plane),
            out=values[plane],
        )
        yield from as_part(job, _STEPS * done, _STEPS * len(planes), image.name, span=_STEPS)
    return LocalMap(mode, window, whole, image.name)
