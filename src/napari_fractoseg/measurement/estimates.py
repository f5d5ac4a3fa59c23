"""What a measurement says: fractions with their uncertainty, and what they rest on."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeVar

import pandas as pd

from napari_fractoseg.arrays import without_nan
from napari_fractoseg.errors import OptionError
from napari_fractoseg.measurement.field_areas import PICTURE
from napari_fractoseg.measurement.fields import FieldLayout
from napari_fractoseg.measurement.statistics import Estimate
from napari_fractoseg.measurement.texts import FractionError, percent_text
from napari_fractoseg.text import listed

__all__ = [
    "ANALYSED",
    "COLUMN",
    "MODES",
    "NOT_CHECKED",
    "Areas",
    "ClassEstimate",
    "Measurement",
    "classification_caveat",
    "found_fraction",
]

ANALYSED, MODES = "analysed area", "area that shows a fracture mode"
COLUMN = {ANALYSED: "fraction_of_analysed", MODES: "fraction_of_modes"}
NOT_CHECKED = (
    "Intervals are of the sampling only. How wrong the labels are is not known: check points to "
    "correct the fractions for it."
)
"""Caveat on labels whose error nobody knows."""


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
        return f"{COLUMN[self.of]}_{self.class_name}"

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
        return classification_caveat(self.classification)

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
        keys = ["specimen"] if (self.fields["specimen"] != "").any() else PICTURE
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


def classification_caveat(error: FractionError | None) -> str:
    """Return the sentence on how wrong the labels may be."""
    if error is None:
        return NOT_CHECKED
    return f"Intervals are of the sampling only. {str(error).rstrip('.')}."
