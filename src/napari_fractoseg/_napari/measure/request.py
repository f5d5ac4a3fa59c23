"""Request and jobs of a measurement, without layers and Qt."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from napari_fractoseg._napari.measure.excluded import DrawnArea
from napari_fractoseg.classes import ClassScheme
from napari_fractoseg.images import MicrographStack
from napari_fractoseg.images.memory import array_bytes, refuse_if_too_large
from napari_fractoseg.images.micrograph import LazyPlane
from napari_fractoseg.jobs import Job, as_part
from napari_fractoseg.measurement.facets import Facets, facets_job
from napari_fractoseg.measurement.fields import FieldLayout
from napari_fractoseg.measurement.local_fractions import local_fractions_job, window_for
from napari_fractoseg.measurement.measure import Measurement, measure_job
from napari_fractoseg.measurement.sizes import size_distributions
from napari_fractoseg.measurement.texts import labels_error, plane_title
from napari_fractoseg.results.record import LabelRecord, Origin, digest_job
from napari_fractoseg.text import listed

__all__ = [
    "FacetRegions",
    "FacetSettings",
    "LabelledImage",
    "LocalMap",
    "MeasuredFacets",
    "MeasuredLabels",
    "Request",
    "all_facets_job",
    "facet_regions_job",
    "local_map_job",
    "measured_job",
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
        Name of the image, which no other one has.
    labels : array of int, shape (..., Y, X)
        Labels of all planes; read in parts, and never changed.
    scheme : ClassScheme
        Classes of the labels.
    plane : tuple of int or None
        Index of the one plane that is measured, on the leading axes; None for all of them.
    pixel_size_um : float or None
        Edge of a pixel in micrometres, if it is known.
    pixel_size_from : str
        Where that is known from; empty if it is not.
    exclude : array, DrawnArea or None
        Area that is not measured.
    image : MicrographStack or None
        Image, for the grey levels.
    confidence : MicrographStack or None
        How sure the model was.
    record : LabelRecord or None
        Record of the model that gave the labels.
    file : Path or None
        File of the labels, if they have one.
    """

    name: str
    labels: Any
    scheme: ClassScheme
    plane: tuple[int, ...] | None = None
    pixel_size_um: float | None = None
    pixel_size_from: str = ""
    exclude: Any = None
    image: MicrographStack | None = None
    confidence: MicrographStack | None = None
    record: LabelRecord | None = None
    file: Path | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the labels of all planes."""
        return tuple(int(n) for n in self.labels.shape)

    @property
    def title(self) -> str:
        """Name of the image, with the plane where it is one of several."""
        return self.name if self.plane is None else plane_title(self.plane, self.shape, self.name)

    @property
    def planes(self) -> tuple[tuple[int, ...], ...]:
        """Indices of the planes that are measured."""
        return tuple(np.ndindex(self.shape[:-2])) if self.plane is None else (self.plane,)

    @property
    def measured(self) -> Any:
        """Labels that are measured."""
        return self.labels if self.plane is None else LazyPlane(self.labels, self.plane)

    def labels_of(self, plane: tuple[int, ...]) -> Any:
        """Return the labels of a plane, read when they are sliced."""
        return LazyPlane(self.labels, plane)

    def mask(self) -> Any:
        """Return the mask of the excluded area, None without one; see `DrawnArea.mask`."""
        return self.exclude.mask() if isinstance(self.exclude, DrawnArea) else self.exclude

    def mask_of(self, mask: Any, plane: tuple[int, ...]) -> Any:
        """Return the part of the mask that is about a plane."""
        if mask is None or len(mask.shape) == 2:
            return mask
        return LazyPlane(mask, plane)


@dataclass(frozen=True)
class FacetSettings:
    """How facets are found.

    Parameters
    ----------
    connectivity : int
        1 where pixels are connected that share an edge, 2 where a corner is enough.
    min_area_px : int
        Area of the smallest facet.
    weights : bool
        Whether facets weigh by Miles and Lantuéjoul.
    """

    connectivity: int = 1
    min_area_px: int = 1
    weights: bool = False


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
    """

    images: tuple[LabelledImage, ...]
    layout: FieldLayout
    specimens: str = ""
    excluded: tuple[Any, ...] = ()

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
    """

    request: Request
    measurement: Measurement
    digests: tuple[str, ...]


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
        digests.append((yield from as_part(_digest_job(image.measured), done, total, "")))
        origins.append((image.record, (yield from _origin_job(image, digests[-1], done, total))))
    for excluded in request.excluded:
        digests.append((yield from as_part(_digest_job(excluded), _STEPS, total, "")))
    measurement = yield from as_part(
        measure_job(
            {image.title: image.measured for image in request.images},
            request.scheme,
            pixel_size_um={image.title: image.pixel_size_um for image in request.images},
            fields=request.layout,
            specimens=request.specimens or None,
            exclude={i.title: i.mask_of(i.mask(), i.plane or ()) for i in request.images},
            classification=labels_error(origins),
        ),
        _STEPS,
        total,
        "",
        span=_STEPS,
    )
    return MeasuredLabels(request, measurement, tuple(digests))


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
        digest = yield from as_part(_digest_job(image.labels), done, total, "")
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
    settings : FacetSettings
        How they were found.
    facets : tuple of Facets
        Of each image and plane, in their order.
    titles : tuple of str
        Name of the image and plane of each.
    sizes : DataFrame
        Distributions of the equivalent diameter, as `size_distributions` returns them.
    """

    settings: FacetSettings
    facets: tuple[Facets, ...]
    titles: tuple[str, ...]
    sizes: pd.DataFrame

    def caption(self, scheme: ClassScheme) -> str:
        """Return a sentence on how many facets there are, and which ones the sizes are about."""
        table = self.table()
        counts = [
            f"{int((table['class_name'] == mode.name).sum())} {mode.name}"
            for mode in scheme.fracture_modes
        ]
        of_modes = table["class_name"].isin([mode.name for mode in scheme.fracture_modes])
        border = int((of_modes & table["touches_border"]).sum())
        small = sum(found.n_small for found in self.facets)
        share = "an edge" if self.settings.connectivity == 1 else "a corner"
        least = f"{small} smaller than {self.settings.min_area_px} px are none. " if small else ""
        return (
            f"Facets (pixels that share {share}): {listed(counts)}; {border} at the border are not "
            f"in the sizes. {least}Sizes of facets are no grain sizes."
        )

    def table(self) -> pd.DataFrame:
        """Return one table of all facets, with the image and plane that each lies in."""
        tables = [f.table.assign(image=t) for f, t in zip(self.facets, self.titles, strict=True)]
        table = pd.concat(tables, ignore_index=True)
        table.insert(0, "image", table.pop("image"))
        return table


def all_facets_job(request: Request, settings: FacetSettings) -> Job[MeasuredFacets]:
    """Measure the facets of all planes, and the distribution of their sizes.

    Yields
    ------
    Progress
        Planes that are measured.
    """
    parts = list(_planes(request.images))
    found, titles = [], []
    masks: dict[int, Any] = {}
    for number, (image, plane) in enumerate(parts):
        if id(image) not in masks:
            masks = {id(image): image.mask()}
        job = facets_job(
            image.labels_of(plane),
            image.scheme,
            exclude=image.mask_of(masks[id(image)], plane),
            pixel_size_um=image.pixel_size_um,
            **_arguments(image, plane, settings),
        )
        title = plane_title(plane, image.shape, image.name)
        found.append(
            (yield from as_part(job, _STEPS * number, _STEPS * len(parts), title, span=_STEPS))
        )
        titles.append(title)
    return MeasuredFacets(settings, tuple(found), tuple(titles), size_distributions(found))


def _planes(images: Sequence[LabelledImage]) -> Iterator[tuple[LabelledImage, tuple[int, ...]]]:
    for image in images:
        for plane in image.planes:
            yield image, plane


def _arguments(
    image: LabelledImage, plane: tuple[int, ...], settings: FacetSettings
) -> dict[str, Any]:
    given = {"image": image.image, "confidence": image.confidence}
    values = {
        name: LazyPlane(stack.data, plane, stack.rgb)
        for name, stack in given.items()
        if stack is not None and stack.shape == image.shape
    }
    return {
        "connectivity": settings.connectivity,
        "min_area_px": settings.min_area_px,
        "weights": settings.weights,
        **values,
    }


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
    """Measure the facets of an image, numbered over all planes that are measured.

    Yields
    ------
    Progress
        Planes that are measured.

    Raises
    ------
    ImageError
        If there is no memory for the numbers.
    """
    refuse_if_too_large(array_bytes(image.shape, np.int32), f"The facets of {image.name}")
    regions = np.zeros(image.shape, np.int32)
    tables: list[pd.DataFrame] = []
    mask, n = image.mask(), 0
    for number, plane in enumerate(image.planes):
        job = facets_job(
            image.labels_of(plane),
            image.scheme,
            exclude=image.mask_of(mask, plane),
            pixel_size_um=image.pixel_size_um,
            regions=regions[plane],
            **_arguments(image, plane, settings),
        )
        title = plane_title(plane, image.shape, image.name)
        total = _STEPS * len(image.planes)
        found = yield from as_part(job, _STEPS * number, total, title, span=_STEPS)
        table = found.table
        if n:
            shown = regions[plane]
            np.add(shown, n, out=shown, where=shown > 0)
            table = table.assign(index=table["index"] + n)
        if len(image.shape) > 2:
            at = int(np.ravel_multi_index(plane, image.shape[:-2])) + 1
            table.insert(1, "plane", at)
        tables.append(table)
        n += len(table)
    return FacetRegions(regions, pd.concat(tables, ignore_index=True))


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
    values : array of float32, shape (..., Y, X)
        Fraction, 0-1; NaN where the window shows no fracture mode. Of one plane or of all.
    title : str
        Name of the image, and of the plane where it is one of several.
    plane : tuple of int or None
        Index of the plane; None for all of them.
    """

    mode: str
    window_px: int
    values: Any
    title: str
    plane: tuple[int, ...] | None = None


def local_map_job(
    image: LabelledImage, mode: str, window_px: int | None, plane: tuple[int, ...] | None
) -> Job[LocalMap]:
    """Measure the local fraction of a fracture mode in a plane, or in all that are measured.

    Without `window_px` the window has the size of `window_for`.

    Yields
    ------
    Progress
        Planes that are measured.

    Raises
    ------
    ImageError
        If there is no memory for the map.
    """
    shape = image.shape if plane is None else image.shape[-2:]
    window_px = window_for(image.shape) if window_px is None else window_px
    refuse_if_too_large(array_bytes(shape, np.float32), f"The map of {image.name}")
    values = np.full(shape, np.nan, np.float32)
    planes = image.planes if plane is None else (plane,)
    mask = image.mask()
    for number, index in enumerate(planes):
        job = local_fractions_job(
            image.labels_of(index),
            image.scheme,
            mode,
            window_px,
            exclude=image.mask_of(mask, index),
            out=values[index] if plane is None else values,
        )
        title = plane_title(index, image.shape, image.name)
        yield from as_part(job, _STEPS * number, _STEPS * len(planes), title, span=_STEPS)
    title = image.name if plane is None else plane_title(plane, image.shape, image.name)
    return LocalMap(mode, window_px, values, title, plane)
