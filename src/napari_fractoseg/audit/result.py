"""Result of an audit: fractions by hand, how right the labels are, and the corrected fractions."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from napari_fractoseg.arrays import without_nan
from napari_fractoseg.audit import planes
from napari_fractoseg.audit.agreement import agreement_of, shares_of
from napari_fractoseg.audit.caveats import audit_caveats
from napari_fractoseg.audit.correction import (
    NO_LABEL,
    confusion_of,
    corrected_areas,
    labelled_areas,
)
from napari_fractoseg.audit.manual import ManualFraction, judged_points, manual_fractions
from napari_fractoseg.audit.points import BORDER, CANT_TELL, PointCount
from napari_fractoseg.evaluation.adjusted_areas import AdjustedAreas, Proportion
from napari_fractoseg.evaluation.agreement import Agreement
from napari_fractoseg.intervals import CONFIDENCE
from napari_fractoseg.measurement.estimates import ANALYSED, MODES, found_fraction
from napari_fractoseg.measurement.texts import percent_text
from napari_fractoseg.text import listed

__all__ = ["AuditResult", "audit_result"]


@dataclass(frozen=True, eq=False)
class AuditResult:
    """Result of an audit by the points that one operator told.

    Parameters
    ----------
    operator : str
        Name of the operator.
    design : str
        How the points were drawn: ``grid``, ``stratified`` or ``random``.
    n_points, n_answered, n_border, n_cant_tell : int
        Points of the plan; of these answered; of these on a border, and those that the operator
        could not tell, which are left out.
    manual : tuple of ManualFraction
        Fractions by hand: of each class in the analysed area, then of each fracture mode in the
        area that shows one.
    confusion : DataFrame
        Number of points for each class of the labels (row) and each class by hand (column);
        points on a border count half. The last row is that of points without a label.
    adjusted : AdjustedAreas or None
        Fractions that are corrected for the errors of the labels, and the accuracy of the
        labels; None where too few points are told.
    labelled : mapping of str to float
        Class -> fraction of the analysed area that has its label. It is exact for the labels of
        the plan, and where the labels of all its images are known; else, where labels were
        changed since, an estimate from the points.
    agreement : Agreement
        Cohen's kappa of operator and labels.
    caveats : tuple of str
        Sentences that belong beside the number.
    """

    operator: str
    design: str
    n_points: int
    n_answered: int
    n_border: int
    n_cant_tell: int
    manual: tuple[ManualFraction, ...]
    confusion: pd.DataFrame
    adjusted: AdjustedAreas | None
    labelled: Mapping[str, float]
    agreement: Agreement
    caveats: tuple[str, ...]

    @property
    def n_judged(self) -> int:
        """Number of points that the operator told."""
        return self.n_answered - self.n_cant_tell

    @property
    def mode_fractions(self) -> tuple[ManualFraction, ...]:
        """Fractions by hand of the fracture modes in the area that shows one."""
        return tuple(found for found in self.manual if found.of == MODES)

    def fraction(self, class_name: str, of: str = MODES) -> ManualFraction:
        """Return the fraction by hand of a class.

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
        return found_fraction(self.manual, class_name, of)

    def adjusted_fraction(self, class_name: str, of: str = MODES) -> Proportion | None:
        """Return the corrected fraction of a class; None where it is not known."""
        if self.adjusted is None or class_name not in self.adjusted.classes:
            return None
        number = self.adjusted.classes.index(class_name)
        found = (self.adjusted.areas if of == ANALYSED else self.adjusted.of_modes)[number]
        return None if math.isnan(found.value) else found

    def labelled_fraction(self, class_name: str, of: str = MODES) -> float:
        """Return the fraction of a class by the labels, not corrected; NaN if it is not known."""
        names = [found.class_name for found in self.manual if found.of == of]
        whole = sum(self.labelled[name] for name in names) if of == MODES else 1.0
        return self.labelled.get(class_name, math.nan) / whole if whole else math.nan

    def points_needed(self, half_width: float) -> int | None:
        """Return how many answered points it takes for a half-width, by what was found.

        Parameters
        ----------
        half_width : float
            Wanted half of the width of the interval of each fracture mode in the area that shows
            one, such as 0.05 for 5 percentage points.

        Returns
        -------
        int or None
            Number of points, those that are answered among them, and those that cannot be told.
            None where nothing is known yet.

        Raises
        ------
        OptionError
            If the half-width is not between 0 and 0.5.
        """
        needed = [found.points_needed(half_width) for found in self.mode_fractions or self.manual]
        known = [n for n in needed if n is not None]
        if not known or not self.n_judged:
            return None
        return math.ceil(max(known) * self.n_answered / self.n_judged)

    def table(self) -> pd.DataFrame:
        """Return a row for each fraction: by hand, by the labels, and corrected."""
        rows = []
        for found in self.manual:
            row: dict[str, Any] = {
                "operator": self.operator,
                "class_name": found.class_name,
                "of": found.of,
                "n_points": found.n_points,
                "hits": found.hits,
                "by_hand": found.value,
                "by_hand_low": found.low,
                "by_hand_high": found.high,
                "by_labels": self.labelled_fraction(found.class_name, found.of),
            }
            corrected = self.adjusted_fraction(found.class_name, found.of)
            for title, name in (("value", ""), ("low", "_low"), ("high", "_high")):
                row[f"corrected{name}"] = getattr(corrected, title, math.nan)
            rows.append(row)
        return pd.DataFrame(rows)

    def to_dict(self) -> dict[str, Any]:
        """Return all figures as plain JSON types; what is not known is None."""
        return {
            "sentence": str(self),
            "operator": self.operator,
            "design": self.design,
            "n_points": self.n_points,
            "n_answered": self.n_answered,
            "n_border": self.n_border,
            "n_cant_tell": self.n_cant_tell,
            "n_judged": self.n_judged,
            "manual": [found.to_dict() for found in self.manual],
            "confusion": {
                "labels": list(self.confusion.index),
                "by_hand": list(self.confusion.columns),
                "points": self.confusion.to_numpy().tolist(),
            },
            "adjusted": None if self.adjusted is None else self.adjusted.to_dict(),
            "labelled": without_nan(dict(self.labelled)),
            "agreement": self.agreement.to_dict(),
            "caveats": list(self.caveats),
        }

    def __str__(self) -> str:
        found = self.mode_fractions or self.manual
        known = [each for each in found if not math.isnan(each.value)]
        if not known:
            told = "1 point is" if self.n_judged == 1 else f"{self.n_judged} points are"
            return f"By hand ({self.operator}): not known yet; {told} told."
        texts = listed(f"{each.class_name} {each}" for each in known)
        text = f"By hand ({self.operator}): {texts} of the projected {known[0].of}."
        return " ".join([text, *self._of_labels(known[0])])

    def _of_labels(self, first: ManualFraction) -> Iterable[str]:
        labelled = self.labelled_fraction(first.class_name, first.of)
        if self.adjusted is not None and not math.isnan(labelled):
            corrected = self.adjusted_fraction(first.class_name, first.of)
            is_other = corrected is not None and self.design != "stratified"
            yield (
                f"The labels say {first.class_name} {percent_text(labelled, 1)}"
                f"{f', corrected by the points {corrected}' if is_other else ''}; they are right "
                f"in {self.adjusted.overall} of the area."
            )
        yield f"Operator and labels: {self.agreement}."


def audit_result(
    count: PointCount,
    operator: str,
    labels: Any = None,
    *,
    labels_px: int | None = None,
    labelled_px: Mapping[str, int] | None = None,
    confidence: float = CONFIDENCE,
) -> AuditResult:
    """Compute what the points of an operator say of the area, and of labels.

    Parameters
    ----------
    count : PointCount
        Points with answers; not all need to be answered.
    operator : str
        Name of the operator.
    labels : mapping of str to array, array, or Series, optional
        Labels as they are now: name of an image -> class values, or those of the only image; or
        the class at each point (`labels_at_points`). By default those of the plan.
    labels_px : int, optional
        Number of pixels of all labels, to say if they are of other images than the plan; by
        default that of the mapping.
    labelled_px : mapping of str to int, optional
        Class -> area that has its label now, in all images of the plan; by default counted in
        `labels`, if these are all of them and nothing was excluded.
    confidence : float
        Confidence of the intervals.

    Returns
    -------
    AuditResult
        Fractions by hand, confusion matrix, corrected fractions, kappa; ``str`` of it is the
        sentence for a paper.

    Raises
    ------
    ImageError, ClassSchemeError
        If the labels are not those of the images of the points.

    Notes
    -----
    Fractions by hand: `manual_fractions`. Corrected fractions: `adjusted_areas_of_points` with
    the classes of the plan as strata, whatever the labels are now (Stehman 2014). Of a grid, and
    of random points in the whole area, the classes are strata after the fact; those with fewer
    than two points are taken together. They are fractions of the images that have points; the
    fractions by hand are, too, unless their interval is that of the fields.

    References
    ----------
    Stehman, S. V., Int. J. Remote Sens. 35 (2014) 4923-4939. Olofsson, P. et al., Remote Sens.
    Environ. 148 (2014) 42-57.

    Examples
    --------
    >>> import numpy as np
    >>> import napari_fractoseg as nf
    >>> labels = np.repeat([1, 2], 50).reshape(10, 10)
    >>> count = nf.plan_points(labels, n_points=20, design="stratified", seed=1)
    >>> for point in count.points.itertuples():  # a third class in one place
    ...     seen = "background" if point.point == 1 else point.stratum
    ...     count = count.answered(point.point, seen, "Ada")
    >>> found = nf.audit_result(count, "Ada")
    >>> found.adjusted.overall.value, found.agreement.n
    (0.95, 20)
    >>> found.points_needed(0.05) > 20
    True
    """
    now = _labels_now(count, labels)
    if labelled_px is None and labels is not None and not isinstance(labels, pd.Series):
        labelled_px = planes.labelled_px(count, labels)
    judged = judged_points(count, operator)
    judged["label"] = judged["point"].map(now).replace("", NO_LABEL)
    answers = count.answers(operator)
    manual = manual_fractions(count, operator, confidence, judged=judged)
    adjusted, reasons = corrected_areas(count, judged, confidence)
    classes_now = {point: {name: 1.0} for point, name in now.items() if name}
    return AuditResult(
        operator=operator,
        design=count.design,
        n_points=len(count),
        n_answered=len(answers),
        n_border=sum(BORDER in answer for answer in answers.values()),
        n_cant_tell=sum(answer == CANT_TELL for answer in answers.values()),
        manual=manual,
        confusion=confusion_of(count, judged),
        adjusted=adjusted,
        labelled=labelled_areas(count, now, adjusted, labelled_px or {}),
        agreement=agreement_of(count, classes_now, shares_of(count, operator), confidence),
        caveats=audit_caveats(
            count,
            manual,
            judged,
            answers=answers,
            is_of_plan=labels is None,
            labels_px=_size_of(labels) if labels_px is None else labels_px,
            reasons=reasons,
        ),
    )


def _labels_now(count: PointCount, labels: Any) -> dict[int, str]:
    if labels is None:
        pairs = zip(count.points["point"], count.points["stratum"], strict=True)
        return {int(point): str(stratum) for point, stratum in pairs}
    found = labels if isinstance(labels, pd.Series) else planes.labels_at_points(count, labels)
    return {int(point): str(name) for point, name in found.items()}  # type: ignore[call-overload]


def _size_of(labels: Any) -> int | None:
    """Return the number of pixels of labels of some images."""
    if not isinstance(labels, Mapping):
        return None
    return sum(math.prod(np.shape(array)) for array in labels.values())
