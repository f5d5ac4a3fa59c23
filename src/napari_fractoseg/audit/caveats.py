"""What belongs beside the numbers of an audit: what they rest on, and what they leave out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import pandas as pd

from napari_fractoseg.audit.correction import NO_LABEL
from napari_fractoseg.audit.manual import ManualFraction
from napari_fractoseg.audit.points import CANT_TELL, PointCount
from napari_fractoseg.measurement.texts import percent_text
from napari_fractoseg.text import counted

__all__ = ["audit_caveats"]


def audit_caveats(
    count: PointCount,
    manual: Sequence[ManualFraction],
    judged: pd.DataFrame,
    *,
    answers: Mapping[int, str],
    is_of_plan: bool,
    labels_px: int | None,
    reasons: Iterable[str],
) -> tuple[str, ...]:
    """Return the sentences that belong beside the numbers of an audit.

    Parameters
    ----------
    count : PointCount
        Points.
    manual : sequence of ManualFraction
        Fractions by hand.
    judged : DataFrame
        What was told (`judged_points`), with the class of the labels, ``label``.
    answers : mapping of int to str
        Number of a point -> answer of the operator.
    is_of_plan : bool
        Whether the labels are those of the plan.
    labels_px : int or None
        Number of pixels of all labels, if that is known.
    reasons : iterable of str
        Sentences on what the corrected fractions lack.
    """
    return (
        *_of_design(count, manual),
        *_of_answers(count, answers),
        *_of_labels(count, judged, is_of_plan, labels_px),
        *reasons,
        *_of_area(count),
    )


def _of_design(count: PointCount, manual: Iterable[ManualFraction]) -> Iterable[str]:
    n_images, n = len(count.images), len(count)
    where = counted(n_images, "image")
    yield {
        "grid": f"{n} points of a systematic grid with a spacing of {count.spacing_px or 0:.1f} px "
        f"that begins at random in each plane, on {where}.",
        "stratified": f"{n} random points in the areas of the classes, weighted by these, on "
        f"{where}.",
        "random": f"{n} random points in the whole area, on {where}.",
    }[count.design]
    fields = [found.fields for found in manual if found.fields is not None]
    if fields:
        yield (
            f"Intervals by hand are of {fields[0].n} {fields[0].unit}, in the manner of ASTM E562, "
            f"which are taken as independent."
        )
    else:
        grid = "; of a regular grid they are rather too wide" * (count.design == "grid")
        yield (
            "Intervals by hand take the points as independent, and hold within these images "
            f"only{grid}."
        )
    yield "Corrected fractions and their intervals hold within these images only."


def _of_answers(count: PointCount, answers: Mapping[int, str]) -> Iterable[str]:
    if len(answers) < len(count):
        yield f"{len(answers)} of {len(count)} points are answered, a random part of them."
    if n := sum(answer == CANT_TELL for answer in answers.values()):
        yield (
            f"{n} of {len(answers)} points could not be told and are left out, as if they were "
            "like the others."
        )


def _of_labels(
    count: PointCount, judged: pd.DataFrame, is_of_plan: bool, labels_px: int | None
) -> Iterable[str]:
    if is_of_plan:
        yield "The labels are those that were there when the points were drawn."
    if n := judged[judged["label"] == NO_LABEL]["point"].nunique():
        one, several = "point has no label any more, and", "points have no label any more, and"
        yield f"{counted(n, f'{one} counts', f'{several} count')} as wrong."
    planned = count.analysed_px + count.excluded_px + count.unlabelled_px
    if labels_px not in (None, planned):
        yield (
            f"The points were drawn from {planned} pixels, the labels have {labels_px}: this is of "
            "the images of the plan only."
        )


def _of_area(count: PointCount) -> Iterable[str]:
    whole = count.analysed_px + count.excluded_px + count.unlabelled_px
    for area, what in ((count.excluded_px, "was excluded"), (count.unlabelled_px, "had no label")):
        if area:
            yield f"{percent_text(area / whole, 1)} of the area {what}, and has no points."
