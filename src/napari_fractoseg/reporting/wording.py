"""Sentences of a report: the methods paragraph, and what ASTM E562 asks to be told."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from napari_fractoseg.measurement.estimates import Measurement
from napari_fractoseg.measurement.facets.plane import Facets
from napari_fractoseg.measurement.fields import FieldLayout
from napari_fractoseg.measurement.texts import percent_text
from napari_fractoseg.results.record import Origin
from napari_fractoseg.text import counted, listed, size_text

if TYPE_CHECKING:
    from napari_fractoseg.reporting.models_used import ModelUsed
    from napari_fractoseg.reporting.report import Report

__all__ = ["ReportedItem", "facet_caveats", "methods_text", "reported_items"]

_SMALL_FACET_PX = 20


@dataclass(frozen=True)
class ReportedItem:
    """What a report in the manner of ASTM E562 tells.

    Parameters
    ----------
    name : str
        What is asked for.
    text : str
        What is known; empty where the program cannot know it and a person fills it in.
    """

    name: str
    text: str = ""


def methods_text(report: Report) -> str:
    """Return a paragraph on how the fractions were measured, ready to paste into a paper.

    Parameters
    ----------
    report : Report
        Report that says what is known of labels, models and settings.
    """
    measurement = report.measurement
    sentences = [
        _images_sentence(measurement, report.version),
        *_labels_sentences(report),
        _scale_sentence(report.files),
        _pixel_size_sentence(measurement.fields),
        _denominator_sentence(measurement),
        _fields_sentence(measurement),
        _interval_sentence(measurement),
        _classification_sentence(report),
        *_facet_sentences(report),
        str((report.audit or {}).get("sentence", "")),
    ]
    return " ".join(sentence for sentence in sentences if sentence)


def _images_sentence(measurement: Measurement, version: str) -> str:
    fields = measurement.fields
    n_images = int(fields["image"].nunique())
    n_planes = len(fields[["image", "plane"]].drop_duplicates())
    specimens = fields.loc[fields["specimen"] != "", "specimen"].nunique()
    of = f" of {counted(specimens, 'specimen')}" if specimens else ""
    planes = f" ({n_planes} planes)" if n_planes > n_images else ""
    return (
        f"Area fractions of the classes were measured on {counted(n_images, 'image')}{planes}"
        f"{of} of fracture surfaces with napari-fractoseg {version}."
    )


def _labels_sentences(report: Report) -> Iterator[str]:
    names = listed(report.scheme.names)
    yield f"Each pixel has one of the classes {names}, or none."
    models = [
        f"{model.name} ({listed(filter(None, (_network(model), _weights(model))))})"
        for model in report.models
    ]
    which = f"model{'s' * (len(models) > 1)} {'; '.join(models)}"
    if report.files is None or "origin" not in report.files:
        if models:
            yield f"The labels were given by the {which}."
        return
    counted = report.files[report.files["error"] == ""]
    origins = Counter(counted["origin"])
    n = len(counted)
    as_given, changed = origins[Origin.PREDICTION.value], origins[Origin.CHANGED.value]
    unknown = n - as_given - changed
    if as_given:
        yield f"The labels of {_part(as_given, n)} are as the {which} gave them."
    if changed:
        given = "" if as_given else f" by the {which}"
        yield f"Those of {_part(changed, n)} were given{given} and corrected by a person."
    if unknown:
        yield f"How the labels of {_part(unknown, n)} came about is not recorded with them."
    yield from _left_out_sentences(counted)


def _left_out_sentences(files: pd.DataFrame) -> Iterator[str]:
    if "left_out" not in files:
        return
    for text, some in Counter(files["left_out"]).items():
        if text:
            yield f"Of {_part(some, len(files))}, {text} is left out: no specimen is shown there."


def _scale_sentence(files: pd.DataFrame | None) -> str:
    """Return how many images a model saw at another scale; empty if none."""
    if files is None or "scale_factor" not in files:
        return ""
    counted_files = files[files["error"] == ""]
    factors = counted_files["scale_factor"].dropna().astype(float)
    other = sorted(set(factors[factors != 1]))
    if not other:
        return ""
    values = listed(f"{factor:g}" for factor in other)
    n_seen = int((factors != 1).sum())
    return (
        f"The model saw {_part(n_seen, len(counted_files))} at another scale (scale factor "
        f"{values}: image pixels for each pixel of the images that it learnt from); the labels "
        "are on the grid of the image."
    )


def _network(model: ModelUsed) -> str:
    return "" if model.card is None else f"{model.card.architecture} with {model.card.encoder}"


def _weights(model: ModelUsed) -> str:
    return f"SHA-256 of its weights {model.digest[:16]}" if model.digest else "weights not known"


def _part(some: int, n: int) -> str:
    if some == n:
        return "the image" if n == 1 else f"all {n} images"
    return f"{some} of {n} images"


def _pixel_size_sentence(fields: pd.DataFrame) -> str:
    first = fields[fields["analysed_px"] > 0].drop_duplicates("image")
    if "analysed_um2" not in first or first["analysed_um2"].isna().all():
        return "The pixel size is not known, so lengths are in pixels."
    sizes = (first["analysed_um2"] / first["analysed_px"]) ** 0.5
    low, high = (f"{size:.4g}" for size in (sizes.min(), sizes.max()))
    size = f"{low} µm" if low == high else f"{low} to {high} µm"
    n_unknown = int(sizes.isna().sum())
    rest = f", not known or not square of {counted(n_unknown, 'image')}" if n_unknown else ""
    return f"The pixel size was {size}{rest}."


def _denominator_sentence(measurement: Measurement) -> str:
    areas = measurement.areas
    modes = listed(found.class_name for found in measurement.mode_estimates)
    if not areas.planes_px:
        return ""
    parts = (
        ("classes that are no fracture mode", areas.background_px),
        ("unlabelled", areas.unlabelled_px),
        ("excluded", areas.excluded_px),
        ("in no field", areas.left_out_px),
    )
    rest = [f"{what} {percent_text(px / areas.planes_px, 1)}" for what, px in parts if px > 0]
    left_out = f" Not part of it are, of the area of all images: {listed(rest)}." if rest else ""
    return (
        "The fraction of a fracture mode is its projected area by that of all fracture modes "
        f"({modes}).{left_out}"
    )


def _fields_sentence(measurement: Measurement) -> str:
    if str(measurement.layout) == "each":
        return "Each whole plane is a field."
    return f"The fields are {_layout_text(measurement.layout)}."


def _layout_text(layout: FieldLayout) -> str:
    if layout.parts is not None:
        return f"{layout.parts} x {layout.parts} rectangles that cover each plane, edge to edge"
    if layout.size is None:
        return "whole planes"
    unit = "px" if layout.unit == "px" else "µm"
    size = f"{layout.size:g}"
    return (
        f"squares of {size} x {size} {unit} in a systematic array from the upper left corner of "
        "each plane, edge to edge; squares that its border would cut are left out"
    )


def _interval_sentence(measurement: Measurement) -> str:
    found = [e.sampling for e in measurement.mode_estimates if e.sampling.n]
    with_interval = [each for each in found if not each.no_interval]
    if not with_interval:
        return ""
    one = with_interval[0]
    first = "" if one.unit == "fields" else " (of each the mean of its fields)"
    bounded = (
        " Where the mean is below 5 or above 95 %, or the interval would leave 0 to 100 %, it is "
        "Wilson's with the same quantile."
        if any(each.shown == each.bounded for each in with_interval)
        else ""
    )
    effect = max(each.design_effect for each in with_interval)
    wider = (
        f" As neighbouring fields are alike, it is up to {math.sqrt(effect):.2f} times as wide as "
        "for independent fields (root of the design effect, with the variance of Conley 1999)."
        if effect > 1
        else ""
    )
    return (
        f"The result is the mean of {one.n} {one.unit}{first} with its {100 * one.confidence:g} % "
        f"interval by Student's t with {one.n - 1} degrees of freedom, in the manner of ASTM E562 "
        f"and E1245.{wider}{bounded}"
    )


def _classification_sentence(report: Report) -> str:
    error = report.measurement.classification
    if error is not None and error.error is not None:
        points = 100 * error.error
        return (
            f"The interval is of the sampling only: {error.where}, fractions of the model are off "
            f"by {points:.{0 if points >= 1 else 1}f} percentage points on average."
        )
    if report.is_checked:
        return "The interval is of the sampling only."
    return "The interval is of the sampling only; the error of the labels was not measured."


def _facet_sentences(report: Report) -> Iterator[str]:
    if not report.facets:
        return
    one = report.facets[0]
    shared = "an edge" if one.connectivity == 1 else "an edge or a corner"
    tables = [found.table for found in report.mode_facets]
    n, border = sum(map(len, tables)), sum(int(table.touches_border.sum()) for table in tables)
    weights = (
        ", and the others have the weights of Miles and Lantuéjoul" if "weight" in one.table else ""
    )
    yield (
        f"Facets are connected regions of one class (pixels that share {shared}, at least "
        f"{one.min_area_px} px); {border} of {n} of the fracture modes touch the border or the "
        f"excluded area: they are in the fractions and not in the sizes{weights}."
    )


def facet_caveats(report: Report) -> Iterator[str]:
    """Yield the sentences that belong beside sizes of facets.

    Parameters
    ----------
    report : Report
        Report that has facets.
    """
    if not report.facets:
        return
    yield (
        "Facets are connected regions of one class: neighbours of one class, such as two cleaved "
        "grains, are one facet, and parts behind an edge are not seen. Their size is no grain "
        "size."
    )
    areas = [_areas_px(found) for found in report.mode_facets]
    small, n = sum(int((each < _SMALL_FACET_PX).sum()) for each in areas), sum(map(len, areas))
    if small:
        yield (
            f"{small} of {n} facets of the fracture modes are smaller than {_SMALL_FACET_PX} px, "
            "mostly specks of the segmentation: they make sizes by number small. Look at those "
            "by area, or measure facets from a smallest area on."
        )


def _areas_px(found: Facets) -> pd.Series[float]:
    if found.pixel_size_um is None:
        return found.table["area_px"]
    return (found.table["area_um2"] / found.pixel_size_um**2).round()


def reported_items(report: Report) -> tuple[ReportedItem, ...]:
    """Return what section 12 of ASTM E562 asks to be reported, as far as it is known.

    Parameters
    ----------
    report : Report
        Report; what no program can know is left empty.
    """
    measurement = report.measurement
    fields = measurement.fields
    estimates = [e for e in measurement.mode_estimates if e.sampling.n]
    limits = "; ".join(f"{e.class_name} {e.sampling}" for e in estimates)
    accuracy = "; ".join(
        f"{e.class_name}: {text}" for e in estimates if (text := e.sampling.accuracy_text())
    )
    return (
        ReportedItem("Raw data", f"{len(fields)} fields, in the table of fields and fields.csv"),
        ReportedItem("Estimate and its interval", limits or "none"),
        ReportedItem("% relative accuracy (%RA)", accuracy or "none, for there is no interval"),
        ReportedItem("Fields on each section", _per_section(fields)),
        ReportedItem("Number of sections", _sections(fields)),
        ReportedItem("List for each section", "in the table of specimens or images, groups.csv"),
        ReportedItem("Material and specimens"),
        ReportedItem("Preparation of the specimens and of the surface (cleaning, coating)"),
        ReportedItem("Orientation of the surface, and place of the images on it"),
        ReportedItem("Microscope, detector, voltage and magnification"),
        ReportedItem("Pixel size", _pixel_size_sentence(measurement.fields)),
        ReportedItem(
            "Grid of points",
            _points_text(report.audit or {}),
        ),
        ReportedItem("Array of fields and their spacing", _array(measurement)),
    )


def _points_text(audit: Mapping[str, Any]) -> str:
    text = "none: each pixel is counted. The number of pixels is not the n of the interval."
    n_told = audit.get("n_judged", audit.get("n_points"))
    if n_told:
        design = f", {audit['design']}" if audit.get("design") else ""
        text += f" The labels were checked at {n_told} points{design}."
    return text


def _per_section(fields: pd.DataFrame) -> str:
    keys = ["specimen"] if (fields["specimen"] != "").any() else ["image", "plane"]
    numbers = fields.groupby(keys, sort=False).size()
    low, high = int(numbers.min()), int(numbers.max())
    what = "specimen" if keys == ["specimen"] else "image"
    return f"{low if low == high else f'{low} to {high}'} for each {what}"


def _sections(fields: pd.DataFrame) -> str:
    n_images = int(fields["image"].nunique())
    specimens = fields.loc[fields["specimen"] != "", "specimen"].nunique()
    if specimens:
        return f"{counted(specimens, 'specimen')}, {counted(n_images, 'image')}"
    return f"{counted(n_images, 'image')}; how many specimens these are of was not told"


def _array(measurement: Measurement) -> str:
    shapes = measurement.fields[["height_px", "width_px"]].drop_duplicates()
    sizes = [size_text(shape) for shape in shapes.to_numpy().tolist()]
    shown = listed(sizes[:5]) + (f" and {len(sizes) - 5} other sizes" if len(sizes) > 5 else "")
    return f"{_layout_text(measurement.layout)} (each of {shown})"
