"""The number: fractions of the classes with their uncertainty, from fields, images or specimens."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from napari_fractoseg.classes import DEFAULT_SCHEME, ClassScheme
from napari_fractoseg.errors import ImageError, OptionError
from napari_fractoseg.intervals import CONFIDENCE
from napari_fractoseg.jobs import Job, as_part, drain
from napari_fractoseg.measurement.caveats import caveats
from napari_fractoseg.measurement.estimates import (
    ANALYSED,
    COLUMN,
    MODES,
    Areas,
    ClassEstimate,
    Measurement,
)
from napari_fractoseg.measurement.field_areas import PICTURE, Units, modes_px, pixel_areas
from napari_fractoseg.measurement.fields import EACH, FieldLayout, field_table_job, parse_fields
from napari_fractoseg.measurement.specimens import specimens_of
from napari_fractoseg.measurement.statistics import Estimate, block_bootstrap, design_effect
from napari_fractoseg.measurement.texts import FractionError
from napari_fractoseg.text import listed

__all__ = [
    "areas_of",
    "measure",
    "measure_job",
    "measurement_of_fields",
    "of_image",
    "refuse_unknown",
]

_STEPS = 100
"""Steps of the progress for each image."""


def measure(
    labels: Any,
    scheme: ClassScheme = DEFAULT_SCHEME,
    *,
    name: str = "image",
    pixel_size_um: float | Mapping[str, float | None] | None = None,
    fields: str | FieldLayout = EACH,
    specimens: str | Path | Mapping[str, str] | pd.DataFrame | None = None,
    exclude: Any = None,
    classification: FractionError | None = None,
    confidence: float = CONFIDENCE,
) -> Measurement:
    r"""Measure the fractions of the classes with their uncertainty.

    Parameters
    ----------
    labels : array of int, shape (..., Y, X), or mapping of str to array
        Class values of `scheme`, 0 is unlabelled; or name of an image -> its labels. Arrays on
        disk are read in parts.
    scheme : ClassScheme
        Classes of the label values.
    name : str
        Name of the image, where `labels` are those of one.
    pixel_size_um : float or mapping of str to float, optional
        Edge of a pixel in micrometres, of all images or by image; None where it is not known.
    fields : str or FieldLayout
        ``each``: each plane is a field; ``grid:512um`` or ``grid:320px``: squares of a grid;
        ``grid:4x4``: a plane is divided into as many fields along each side.
    specimens : str, Path, mapping or DataFrame, optional
        Which specimen each image is of, see `specimens_of`: a regular expression with one
        group, a CSV file or table with the columns ``image`` and ``specimen``, or a mapping.
    exclude : array or mapping of str to array, optional
        Non-zero where nothing is measured, such as on the info bar: of all images, or by image.
    classification : FractionError, optional
        Error of the labels, such as `fraction_error` of a model's card: it is said beside the
        interval, which is of the sampling only.
    confidence : float
        Confidence of the intervals.

    Returns
    -------
    Measurement
        Fields, estimates with intervals, denominators and caveats; ``str`` of it is the
        sentence for a paper.

    Raises
    ------
    ClassSchemeError, ImageError, OptionError
        If labels, excluded areas, fields or specimens do not fit; says what to do.

    Notes
    -----
    The observations are what is independent: the specimens where there are several (the mean of
    the fields of each), else images or planes, else the fields of one image. Of :math:`n`
    observations with mean :math:`\bar x` and standard deviation :math:`s` the interval is, in
    the manner of ASTM E562,

    .. math::

        \bar x \pm t_{n-1} \, s / \sqrt n ,

    and one that is not symmetric where the mean is near 0 or 1 (`Estimate.shown`). Fields of
    one image speak for this image only; where neighbouring ones are alike, since facets lie across
    their edges, the interval that is shown is wider than Student's (`design_effect`), and a block
    bootstrap stands beside it. One observation has no interval, nor have fields that are smaller
    than facets. Fields without a fracture mode
    have no fraction of the modes and are left out of its mean.

    References
    ----------
    ASTM E562, "Standard test method for determining volume fraction by systematic manual point
    count". ASTM E1245, "Standard practice for determining the inclusion or second-phase
    constituent content of metals by automatic image analysis".

    Examples
    --------
    >>> import numpy as np
    >>> import napari_fractoseg as nf
    >>> labels = {"s1_a": np.array([[1, 1, 1, 2]]), "s1_b": np.array([[1, 2, 2, 3]])}
    >>> labels["s2_a"] = np.array([[2, 2, 2, 1]])
    >>> found = nf.measure(labels, specimens=r"^(s\d)")
    >>> print(found.estimate("intergranular").sampling.n, found.areas.analysed_px)
    2 12
    >>> round(found.estimate("intergranular").sampling.mean, 4)
    0.3958
    """
    return drain(
        measure_job(
            labels,
            scheme,
            name=name,
            pixel_size_um=pixel_size_um,
            fields=fields,
            specimens=specimens,
            exclude=exclude,
            classification=classification,
            confidence=confidence,
        )
    )


def measure_job(
    labels: Any,
    scheme: ClassScheme = DEFAULT_SCHEME,
    *,
    name: str = "image",
    pixel_size_um: float | Mapping[str, float | None] | None = None,
    fields: str | FieldLayout = EACH,
    specimens: str | Path | Mapping[str, str] | pd.DataFrame | None = None,
    exclude: Any = None,
    classification: FractionError | None = None,
    confidence: float = CONFIDENCE,
) -> Job[Measurement]:
    """Measure the fractions of the classes as a job; parameters and result are those of `measure`.

    Yields
    ------
    Progress
        Parts of all images that are counted.
    """
    layout = parse_fields(fields)
    images = dict(labels) if isinstance(labels, Mapping) else {name: labels}
    if not images:
        raise ImageError("There are no labels to measure. Give those of one image at least.")
    refuse_unknown(images, pixel_size_um, "pixel sizes")
    refuse_unknown(images, exclude, "excluded areas")
    if specimens is not None:  # before the work
        specimens = specimens_of(images, specimens)
    tables = []
    for number, (image, each) in enumerate(images.items()):
        job = field_table_job(
            each,
            scheme,
            layout,
            image=image,
            pixel_size_um=of_image(pixel_size_um, image),
            exclude=of_image(exclude, image),
        )
        done, total = _STEPS * number, _STEPS * len(images)
        tables.append((yield from as_part(job, done, total, "", span=_STEPS)))
    table = pd.concat(tables, ignore_index=True)
    return measurement_of_fields(
        table,
        scheme,
        layout,
        specimens=specimens,
        classification=classification,
        confidence=confidence,
    )


def refuse_unknown(images: Mapping[str, Any], values: Any, what: str) -> None:
    """Raise if there are values, such as pixel sizes, of images that are not measured."""
    if isinstance(values, Mapping) and (unknown := [name for name in values if name not in images]):
        raise OptionError(
            f"There are {what} of images that are not measured: {listed(unknown)}. The images are "
            f"{listed(images)}."
        )


def of_image(value: Any, image: str) -> Any:
    """Return the value of an image, where values are given by image or as one of all images."""
    return value.get(image) if isinstance(value, Mapping) else value


def measurement_of_fields(
    fields: pd.DataFrame,
    scheme: ClassScheme,
    layout: FieldLayout = EACH,
    *,
    specimens: str | Path | Mapping[str, str] | pd.DataFrame | None = None,
    classification: FractionError | None = None,
    confidence: float = CONFIDENCE,
) -> Measurement:
    """Estimate the fractions from areas of fields that were measured before.

    Parameters
    ----------
    fields : DataFrame
        Tables of `field_table` of all images, one below the other.
    scheme : ClassScheme
        Classes that were measured.
    layout : FieldLayout
        How planes were divided into fields.
    specimens : str, Path, mapping or DataFrame, optional
        Which specimen each image is of, see `specimens_of`.
    classification : FractionError, optional
        Error of the labels.
    confidence : float
        Confidence of the intervals.

    Returns
    -------
    Measurement
        As of `measure`.
    """
    table = _with_specimens(fields, specimens)
    units = Units.of(table)
    wanted = [(name, ANALYSED) for name in scheme.names]
    wanted += [(mode.name, MODES) for mode in scheme.fracture_modes]
    modes = [mode.name for mode in scheme.fracture_modes]
    estimates = tuple(_estimate(table, units, name, of, modes, confidence) for name, of in wanted)
    areas = areas_of(table, scheme)
    sentences = caveats(table, modes, units, estimates, areas, classification)
    return Measurement(table, estimates, areas, layout, units.scope, sentences, classification)


def _with_specimens(
    fields: pd.DataFrame, specimens: str | Path | Mapping[str, str] | pd.DataFrame | None
) -> pd.DataFrame:
    images = fields["image"].unique()
    if specimens is None:
        of_images = pd.DataFrame({"image": images, "specimen": ""})
    else:
        of_images = specimens_of(images, specimens)
    taken = {c: f"{c} (specimens)" for c in of_images if c != "image" and c in fields}
    joined = fields.merge(of_images.rename(columns=taken), on="image", how="left")
    first = [*PICTURE, "field", "specimen"]
    return joined[[*first, *(c for c in joined if c not in first)]]


def _estimate(
    table: pd.DataFrame, units: Units, name: str, of: str, modes: list[str], confidence: float
) -> ClassEstimate:
    fractions = table[f"{COLUMN[of]}_{name}"]
    grouped = fractions.groupby([table[key] for key in units.keys], sort=False)
    estimate = Estimate.of(grouped.mean(), units.name, confidence)
    pooled = _pooled(table, name, of, modes)
    if units.name == "fields":
        effect = design_effect(fractions, *(_ranks(table[axis]) for axis in ("row", "column")))
        estimate = replace(estimate, design_effect=effect)
        bootstrap = None if estimate.no_interval else block_bootstrap(fractions, confidence)
        return ClassEstimate(name, of, estimate, pooled, math.nan, bootstrap)
    freedom = (grouped.count() - 1).clip(lower=0)
    squares = float((freedom * grouped.var().fillna(0)).sum())
    within = math.sqrt(squares / freedom.sum()) if freedom.sum() else math.nan
    return ClassEstimate(name, of, estimate, pooled, within)


def _ranks(starts: pd.Series[int]) -> list[int]:
    """Return which row or column of the grid fields are in, from their first pixels."""
    return [int(rank) for rank in starts.rank(method="dense")]


def _pooled(table: pd.DataFrame, name: str, of: str, modes: list[str]) -> float:
    """Return the area of a class in all fields by that of the denominator."""
    scale = pixel_areas(table)
    whole = table["analysed_px"] if of == ANALYSED else modes_px(table, modes)
    denominator = float((whole * scale).sum())
    part = float((table[f"area_px_{name}"] * scale).sum())
    return part / denominator if denominator else math.nan


def areas_of(table: pd.DataFrame, scheme: ClassScheme) -> Areas:
    """Return where the pixels of all planes went, from the tables of their fields."""
    modes = [mode.name for mode in scheme.fracture_modes]
    planes = table.drop_duplicates(PICTURE)
    planes_px, bar_px = int(planes["plane_px"].sum()), int(planes["bar_px"].sum())
    analysed_px = int(table["analysed_px"].sum())
    return Areas(
        planes_px=planes_px,
        left_out_px=planes_px - bar_px - int(table["field_px"].sum()),
        excluded_px=bar_px + int(table["excluded_px"].sum()),
        unlabelled_px=int(table["unlabelled_px"].sum()),
        analysed_px=analysed_px,
        background_px=analysed_px - int(modes_px(table, modes).sum()),
    )
