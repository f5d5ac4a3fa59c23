"""Sentences that belong beside the number."""

from __future__ import annotations

import math
from collections.abc import Iterable

import pandas as pd

from napari_fractoseg.measurement.estimates import (
    MODES,
    Areas,
    ClassEstimate,
    classification_caveat,
)
from napari_fractoseg.measurement.field_areas import Units, modes_px, pixel_areas
from napari_fractoseg.measurement.texts import FractionError, percent_text

__all__ = ["caveats"]

_PROJECTED = (
    "Fractions are of the projected area, as the microscope shows it, not of the rough surface: "
    "tilted facets are larger than they look."
)


def caveats(
    table: pd.DataFrame,
    modes: list[str],
    units: Units,
    estimates: Iterable[ClassEstimate],
    areas: Areas,
    classification: FractionError | None,
) -> tuple[str, ...]:
    """Return the sentences that belong beside the fractions of a table of fields."""
    return (
        _PROJECTED,
        classification_caveat(classification),
        *_sampling_caveats(units, estimates),
        *_field_caveats(table, modes),
        *_area_caveats(areas),
    )


def _sampling_caveats(units: Units, estimates: Iterable[ClassEstimate]) -> Iterable[str]:
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
    without = int(((modes_px(table, modes) == 0) & (table["analysed_px"] > 0)).sum())
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
    areas: pd.Series[float] = table["analysed_px"] * pixel_areas(table)
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
