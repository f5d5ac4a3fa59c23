"""The number: fractions of the classes with their uncertainty, from fields, images or specimens."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, TypeVar

import pandas as pd

from napari_fractoseg.arrays import without_nan
from napari_fractoseg.classes import DEFAULT_SCHEME, ClassScheme
from napari_fractoseg.errors import ImageError, OptionError
from napari_fractoseg.intervals import CONFIDENCE
from napari_fractoseg.jobs import Job, as_part, drain
from napari_fractoseg.measurement.fields import EACH, FieldLayout, field_table_job, parse_fields
from napari_fractoseg.measurement.specimens import specimens_of
from napari_fractoseg.measurement.statistics import Estimate, block_bootstrap, design_effect
from napari_fractoseg.measurement.texts import FractionError, percent_text
from napari_fractoseg.text import listed

__all__ = [
    "ANALYSED",
    "MODES",
    "Areas",
    "ClassEstimate",
    "Measurement",
    "found_fraction",
    "measure",
    "measure_job",
    "measurement_of_fields",
    "of_image",
    "refuse_unknown",
]

ANALYSED, MODES = "analysed area", "area that shows a fracture mode"
_COLUMN = {ANALYSED: "fraction_of_analysed", MODES: "fraction_of_modes"}
NOT_CHECKED = (
    "Intervals are of the sampling only. How wrong the labels are is not known: check points to "
    "correct the fractions for it."
)
"""Caveat on labels whose error nobody knows."""
_PICTURE = ["image", "plane"]
_STEPS = 100
"""Steps of the progress for each image."""
_PROJECTED = (
    "Fractions are of the projected area, as the microscope shows it, not of the rough surface: "
    "tilted facets are larger than they look."
)


@dataclass(frozen=True)
class Areas:
    """Where the pixels of the planes went: the denominators.

    Parameters
    ----------
    planes_px : int
        All pixels of all planes: the sum of the next four.
    left_out_px : int
        In no field, as the border would have cut their square.
    excluded_px : int
        Excluded, such as the info bar.
    unlabelled_px : int
        Without a label, so that nothing is said of them.
    analysed_px : int
        Analysed: all that have a class.
    background_px : int
        Of the analysed ones, those of classes that are no fracture mode.
    """

    planes_px: int
    left_out_px: int
    excluded_px: int
    unlabelled_px: int
    analysed_px: int
    background_px: int

    @property
    def modes_px(self) -> int:
        """Pixels that show a fracture mode."""
        return self.analysed_px - self.background_px

    def to_dict(self) -> dict[str, int]:
        """Return all numbers of pixels as plain JSON types."""
        return {
            "planes_px": self.planes_px,
            "left_out_px": self.left_out_px,
            "excluded_px": self.excluded_px,
            "unlabelled_px": self.unlabelled_px,
            "analysed_px": self.analysed_px,
            "background_px": self.background_px,
            "modes_px": self.modes_px,
        }

    def __str__(self) -> str:
        if not self.planes_px:
            return "Nothing was measured."
        analysed = percent_text(self.analysed_px / self.planes_px, 1)
        parts = (
            ("background in it", self.background_px),
            ("unlabelled", self.unlabelled_px),
            ("excluded", self.excluded_px),
        )
        rest = [f"{what} {percent_text(px / self.planes_px, 1)}" for what, px in parts]
        if self.left_out_px:
            rest.append(f"in no field {percent_text(self.left_out_px / self.planes_px, 1)}")
        return f"Analysed {analysed} of {self.planes_px} px: {listed(rest)}."


@dataclass(frozen=True)
class ClassEstimate:
    """Fraction of a class with its uncertainty of sampling.

    Parameters
    ----------
    class_name : str
        Name of the class.
    of : str
        Denominator: ``analysed area`` or ``area that shows a fracture mode``.
    sampling : Estimate
        Mean of the independent observations, its interval, and what they are.
    pooled : float
        Area of the class in all fields by that of the denominator; NaN where that is 0. Large
        fields weigh more in it.
    within_spread : float
        Standard deviation of the fields within a specimen or image (pooled variance); NaN
        where no one has two fields, or where the fields are the observations.
    bootstrap : tuple of float or None
        Interval of the block bootstrap, where the fields are parts of one image.
    """

    class_name: str
    of: str
    sampling: Estimate
    pooled: float
    within_spread: float = math.nan
    bootstrap: tuple[float, float] | None = None

    @property
    def column(self) -> str:
        """Column of this fraction in the tables of the fields and of the groups."""
        return f"{_COLUMN[self.of]}_{self.class_name}"

    def to_dict(self) -> dict[str, Any]:
        """Return all figures as plain JSON types; what is not known is None."""
        return {
            "class_name": self.class_name,
            "of": self.of,
            **self.sampling.to_dict(),
            "pooled": without_nan(self.pooled),
            "within_spread": without_nan(self.within_spread),
            "bootstrap_low": None if self.bootstrap is None else self.bootstrap[0],
            "bootstrap_high": None if self.bootstrap is None else self.bootstrap[1],
        }


class _Fraction(Protocol):
    @property
    def class_name(self) -> str: ...

    @property
    def of(self) -> str: ...


_AnyFraction = TypeVar("_AnyFraction", bound=_Fraction)


def found_fraction(
    fractions: Iterable[_AnyFraction], class_name: str, of: str = MODES
) -> _AnyFraction:
    """Return the fraction of a class in a denominator, among those that are known.

    Raises
    ------
    OptionError
        If there is none; names those that are known.
    """
    known = {(found.class_name, found.of): found for found in fractions}
    if (class_name, of) in known:
        return known[class_name, of]
    names = listed(f"{name} ({whole})" for name, whole in known)
    raise OptionError(f"There is no fraction of {class_name!r} in the {of}; there are {names}.")


@dataclass(frozen=True, eq=False)
class Measurement:
    """Fractions of the classes with their uncertainty, and what they rest on.

    Parameters
    ----------
    fields : DataFrame
        One row for each field, as `field_table` returns them, with the column ``specimen``
        (empty without specimens) and further columns of the table of specimens.
    estimates : tuple of ClassEstimate
        Of each class in the analysed area, then of each fracture mode in the area that shows
        one.
    areas : Areas
        The denominators.
    layout : FieldLayout
        How planes are divided into fields.
    scope : str
        Limit of what the intervals are about, such as ``within this image only``; empty if
        there is none.
    caveats : tuple of str
        Sentences that belong beside the number.
    classification : FractionError or None
        Error of the labels, as far as it is known; None where nobody knows it.
    """

    fields: pd.DataFrame
    estimates: tuple[ClassEstimate, ...]
    areas: Areas
    layout: FieldLayout
    scope: str
    caveats: tuple[str, ...]
    classification: FractionError | None = None

    def estimate(self, class_name: str, of: str = MODES) -> ClassEstimate:
        """Return the estimate of a class.

        Parameters
        ----------
        class_name : str
            Name of the class.
        of : str
            Denominator: ``area that shows a fracture mode`` or ``analysed area``.

        Raises
        ------
        OptionError
            If there is none.
        """
        return found_fraction(self.estimates, class_name, of)

    @property
    def mode_estimates(self) -> tuple[ClassEstimate, ...]:
        """Fractions of the fracture modes in the area that shows one, such as i / (i + t)."""
        return tuple(found for found in self.estimates if found.of == MODES)

    def with_caveats(self, more: Iterable[str]) -> Measurement:
        """Return the measurement with further sentences that belong beside the number."""
        return replace(self, caveats=(*self.caveats, *more))

    @property
    def error_sentence(self) -> str:
        """The caveat that says how wrong the labels may be, which belongs beside the interval."""
        return _classification_caveat(self.classification)

    def pooled_text(self) -> str:
        """Return the parts of the fracture modes in all fields as one area; empty for one field."""
        if len(self.fields) < 2:
            return ""
        parts = listed(f"{e.class_name} {percent_text(e.pooled, 1)}" for e in self.mode_estimates)
        return f"All fields as one area: {parts}."

    def table(self) -> pd.DataFrame:
        """Return the estimates as a table, a row for each."""
        return pd.DataFrame([found.to_dict() for found in self.estimates])

    def groups(self) -> pd.DataFrame:
        """Return the means of the observations: a row for each specimen, or image and plane.

        ``n_fields``, and for each fraction its mean over the fields and ``s_``, their standard
        deviation. Without specimens a row is a plane of an image.
        """
        keys = ["specimen"] if (self.fields["specimen"] != "").any() else _PICTURE
        fractions = [found.column for found in self.estimates]
        grouped = self.fields.groupby(keys, sort=False)
        table = pd.DataFrame(grouped[fractions].mean())
        table.insert(0, "n_fields", grouped.size())
        return table.join(grouped[fractions].std().add_prefix("s_")).reset_index()

    def to_dict(self) -> dict[str, Any]:
        """Return all figures but for the table of fields as plain JSON types."""
        return {
            "sentence": str(self),
            "fields": str(self.layout),
            "n_fields": len(self.fields),
            "n_images": int(self.fields["image"].nunique()),
            "scope": self.scope,
            "estimates": [found.to_dict() for found in self.estimates],
            "areas": self.areas.to_dict(),
            "caveats": list(self.caveats),
        }

    def __str__(self) -> str:
        found = [e for e in self.mode_estimates if e.sampling.n]
        if not found:
            names = " or ".join(e.class_name for e in self.mode_estimates)
            return f"No area shows a fracture mode ({names or 'the scheme has none'})."
        text = listed(f"{e.class_name} {e.sampling}" for e in found)
        has_interval = any(not e.sampling.no_interval for e in found)
        scope = f", {self.scope}" if self.scope and has_interval else ""
        return (
            f"{text[:1].upper()}{text[1:]} of the projected area that shows a fracture mode{scope}."
        )


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
    units = _Units.of(table)
    wanted = [(name, ANALYSED) for name in scheme.names]
    wanted += [(mode.name, MODES) for mode in scheme.fracture_modes]
    modes = [mode.name for mode in scheme.fracture_modes]
    estimates = tuple(_estimate(table, units, name, of, modes, confidence) for name, of in wanted)
    areas = _areas(table, modes)
    caveats = (
        _PROJECTED,
        _classification_caveat(classification),
        *_sampling_caveats(units, estimates),
        *_field_caveats(table, modes),
        *_area_caveats(areas),
    )
    return Measurement(table, estimates, areas, layout, units.scope, caveats, classification)


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
    first = [*_PICTURE, "field", "specimen"]
    return joined[[*first, *(c for c in joined if c not in first)]]


@dataclass(frozen=True)
class _Units:
    """What the independent observations are."""

    name: str
    keys: tuple[str, ...]
    scope: str = ""
    are_grouped: bool = True

    @classmethod
    def of(cls, table: pd.DataFrame) -> _Units:
        has_specimens = bool((table["specimen"] != "").any())
        if table["specimen"].nunique() > 1:
            return cls("specimens", ("specimen",))
        n_pictures = len(table[_PICTURE].drop_duplicates())
        if n_pictures == 1:
            return cls("fields", (*_PICTURE, "field"), "within this image only")
        name = "planes" if n_pictures > table["image"].nunique() else "images"
        scope = "within this specimen only" if has_specimens else ""
        return cls(name, tuple(_PICTURE), scope, has_specimens)


def _estimate(
    table: pd.DataFrame, units: _Units, name: str, of: str, modes: list[str], confidence: float
) -> ClassEstimate:
    fractions = table[f"{_COLUMN[of]}_{name}"]
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
    scale = _pixel_areas(table)
    whole = table["analysed_px"] if of == ANALYSED else _modes_px(table, modes)
    denominator = float((whole * scale).sum())
    part = float((table[f"area_px_{name}"] * scale).sum())
    return part / denominator if denominator else math.nan


def _pixel_areas(table: pd.DataFrame) -> pd.Series[float]:
    """Return the area of a pixel of each field; 1 unless all pixel sizes are known."""
    if "analysed_um2" not in table or table["analysed_um2"].isna().any():
        return pd.Series(1.0, table.index)
    return table["analysed_um2"] / table["analysed_px"].clip(lower=1)


def _modes_px(table: pd.DataFrame, modes: list[str]) -> pd.Series[int]:
    return table[[f"area_px_{mode}" for mode in modes]].sum(axis=1)


def _areas(table: pd.DataFrame, modes: list[str]) -> Areas:
    planes_px = int(table.drop_duplicates(_PICTURE)["plane_px"].sum())
    analysed_px = int(table["analysed_px"].sum())
    return Areas(
        planes_px=planes_px,
        left_out_px=planes_px - int(table["field_px"].sum()),
        excluded_px=int(table["excluded_px"].sum()),
        unlabelled_px=int(table["unlabelled_px"].sum()),
        analysed_px=analysed_px,
        background_px=analysed_px - int(_modes_px(table, modes).sum()),
    )


def _classification_caveat(error: FractionError | None) -> str:
    if error is None:
        return NOT_CHECKED
    return f"Intervals are of the sampling only. {str(error).rstrip('.')}."


def _sampling_caveats(units: _Units, estimates: Iterable[ClassEstimate]) -> Iterable[str]:
    modes = [found for found in estimates if found.of == MODES]
    if reasons := dict.fromkeys(e.sampling.no_interval for e in modes if e.sampling.no_interval):
        yield f"There is no interval: {'; '.join(reasons)}."
    if units.name == "fields" and any(not found.sampling.no_interval for found in modes):
        effect = max(found.sampling.design_effect for found in modes)
        if effect > 1:
            yield (
                f"Neighbouring fields are alike: intervals are up to {math.sqrt(effect):.2f} times "
                "as wide as for independent fields."
            )
        yield (
            "The fields are parts of one image: intervals hold within this image only, and only if "
            "fields are clearly larger than facets. They say nothing of other places or specimens."
        )
    if units.scope == "within this specimen only":
        yield "All images are of one specimen: intervals hold within this specimen only."
    if not units.are_grouped:
        yield (
            f"The {units.name} are taken as independent. If several are of one specimen, group "
            "them by specimen."
        )


def _field_caveats(table: pd.DataFrame, modes: list[str]) -> Iterable[str]:
    n = len(table)
    empty = int((table["analysed_px"] == 0).sum())
    without = int(((_modes_px(table, modes) == 0) & (table["analysed_px"] > 0)).sum())
    if empty:
        yield f"{empty} of {n} fields have no analysed area and do not count."
    if without:
        yield (
            f"{without} of {n} fields show no fracture mode: they have no fraction of the modes "
            "and do not count in it."
        )
    small = int(((table["analysed_px"] > 0) & _is_small(table)).sum())
    if small:
        yield (
            f"{small} of {n} fields have less than half of the analysed area of the largest, but "
            "weigh the same in the mean."
        )


def _is_small(table: pd.DataFrame) -> pd.Series[bool]:
    areas: pd.Series[float] = table["analysed_px"] * _pixel_areas(table)
    return areas < areas.max() / 2


def _area_caveats(areas: Areas) -> Iterable[str]:
    parts = (
        ("is in no field, for the border would have cut its square", areas.left_out_px),
        ("is excluded", areas.excluded_px),
        ("is unlabelled and not analysed", areas.unlabelled_px),
    )
    for what, area in parts:
        if area:
            yield f"{percent_text(area / areas.planes_px, 1)} of the area {what}."
