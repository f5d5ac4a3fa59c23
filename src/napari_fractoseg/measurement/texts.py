"""Texts on area fractions, with no more digits than the error of the model allows."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_fractoseg.errors import ModelError
from napari_fractoseg.models.card import ModelCard, entries_of
from napari_fractoseg.models.registry import find_model, weights_digest
from napari_fractoseg.results.record import LabelRecord, Origin
from napari_fractoseg.text import counted, listed

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "FractionError",
    "MeasuredPlanes",
    "error_of_model",
    "familiarity_caveats",
    "fraction_error",
    "fractions_text",
    "labels_error",
    "percent_text",
    "plane_title",
    "same_caveats",
    "stack_title",
]

_MOST_NAMES = 5
_EXACT = 0.005
"""Largest error of a fraction with which a tenth of a percent says something."""
_UNSEEN, _HELD_OUT = "on unseen images", "on held-out pixels"
_UNLIKE = "it was measured on other surfaces than this one"


@dataclass(frozen=True)
class FractionError:
    """Error of the fractions that a model gives, as far as it is known.

    Parameters
    ----------
    error : float or None
        Mean absolute error, 0-1; None where nobody measured it.
    where : str
        On what it was measured, or why it is not known; part of a sentence.
    """

    error: float | None
    where: str

    def __str__(self) -> str:
        if self.error is None:
            return f"The model's error is not known: {self.where}."
        points = 100 * self.error
        return f"Model's error {self.where}: ± {points:.{0 if points >= 1 else 1}f} points"


@dataclass(frozen=True, eq=False)
class MeasuredPlanes:
    """Area fractions of a plane or stack, now and as the model gave them.

    Parameters
    ----------
    now : DataFrame
        Area fractions, as `class_fractions` returns them.
    before : DataFrame or None
        The same of what the model gave; None where nobody changed it, or nobody knows.
    """

    now: pd.DataFrame
    before: pd.DataFrame | None = None


def fraction_error(card: ModelCard) -> FractionError:
    """Return the error of the fractions of a model, as its card tells it.

    Of a cross-validation with several references the largest mean error counts. Figures of
    another kind than ours are passed over, for cards are made by others, too.

    Parameters
    ----------
    card : ModelCard
        Card of the model.

    Examples
    --------
    >>> from napari_fractoseg.classes import DEFAULT_SCHEME
    >>> from napari_fractoseg.measurement.texts import fraction_error
    >>> from napari_fractoseg.models.card import ModelCard
    >>> metrics = {"validation": {"fraction_error": 0.081}}
    >>> card = ModelCard("a", DEFAULT_SCHEME, "Unet", "resnet18", metrics=metrics)
    >>> print(fraction_error(card))
    Model's error on held-out pixels: ± 8 points
    """
    references = entries_of(card.metrics.get("cross_validation")).values()
    means = [entries_of(entries_of(reference).get("mean")) for reference in references]
    errors = [e for mean in means if (e := _fraction(mean.get("fraction_error"))) is not None]
    if errors:
        return FractionError(max(errors), _UNSEEN)
    error = _fraction(entries_of(card.metrics.get("validation")).get("fraction_error"))
    if error is not None:
        return FractionError(error, _HELD_OUT)
    return FractionError(None, "it was not checked against annotations")


def error_of_model(model: str, digest: str = "", is_unlike: bool = False) -> FractionError:
    """Return the error of the fractions of a model that is given by name or folder.

    Parameters
    ----------
    model : str
        Name or folder by which the model was chosen.
    digest : str
        SHA-256 of its weights when it was used, if that is known: a model that has the same
        name now may be another one.
    is_unlike : bool
        Whether the image looks unlike what the model learnt, so that its figures say nothing.
    """
    if is_unlike:
        return FractionError(None, _UNLIKE)
    try:
        folder = find_model(model or "?")
        if digest and digest != weights_digest(folder):
            return FractionError(None, "a model of that name is here, but with other weights")
        return fraction_error(ModelCard.read(folder))
    except ModelError:
        return FractionError(None, "the model is not on this computer")


def labels_error(
    origins: Iterable[tuple[LabelRecord | None, Origin]],
) -> FractionError | None:
    """Return the error of labels, where one model gave them all and nobody changed any.

    Parameters
    ----------
    origins : iterable of (LabelRecord or None, Origin)
        Record of the labels of each image, and whether they are still as the model gave them.

    Returns
    -------
    FractionError or None
        As the card of the model says it; None where several models or a person gave labels, so
        that nobody knows it.
    """
    found = list(origins)
    models = {(record.model, record.model_digest) for record, _ in found if record}
    untouched = all(origin is Origin.PREDICTION for _, origin in found)
    if len(models) != 1 or not untouched:
        return None
    ((model, digest),) = models
    return error_of_model(model, digest, any(record.is_unlike for record, _ in found if record))


def familiarity_caveats(records: Iterable[LabelRecord | None]) -> tuple[str, ...]:
    """Return what is to be said of images that look unlike what the model learnt, or may do so.

    Parameters
    ----------
    records : iterable of LabelRecord or None
        Records of the labels of the images that are measured.

    Returns
    -------
    tuple of str
        A sentence on images that look unlike, and one on those of which it is not known.
    """
    found = list(records)
    unlike = {record.image: record.unlike for record in found if record and record.unlike}
    untold = {record.image: record.untold for record in found if record and record.untold}
    of_all = f"of {len(found)} images"
    sentences = (
        _caveat(
            unlike,
            len(found),
            f"{len(unlike)} {of_all} look unlike what the model learnt, or in part: "
            f"{_names(unlike)}. Check some points, or paint and train.",
        ),
        _caveat(
            untold,
            len(found),
            f"Of {len(untold)} {of_all} it is not known whether they look like what the model "
            f"learnt: {_names(untold)}. Check some points.",
        ),
    )
    return tuple(filter(None, sentences))


def _caveat(texts: Mapping[str, str], n_images: int, of_several: str) -> str:
    """Return the sentence of one image, with its name if there are more, or one of several."""
    if len(texts) != 1:
        return of_several if texts else ""
    ((name, text),) = texts.items()
    return f"{name}: {text}" if n_images > 1 else text


def _names(texts: Mapping[str, str]) -> str:
    return listed(_some([*texts]))


def same_caveats(labels: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    """Return what is to be said of labels that are there twice, such as under two names.

    Parameters
    ----------
    labels : iterable of (str, str)
        Name of an image, and a hash of its labels; an empty one is passed over.

    Examples
    --------
    >>> from napari_fractoseg.measurement.texts import same_caveats
    >>> same_caveats([("a", "1"), ("b", "2"), ("c", "1")])[0].split(":")[0]
    'The labels of a, c are the same, pixel by pixel'
    """
    names: dict[str, list[str]] = {}
    for name, digest in labels:
        names.setdefault(digest, []).append(name)
    return tuple(
        f"The labels of {listed(_some(alike))} are the same, pixel by pixel: each counts as an "
        "image of its own. Leave copies out."
        for digest, alike in names.items()
        if digest and len(alike) > 1
    )


def _some(names: list[str]) -> list[str]:
    """Return the first of many names, and how many more there are."""
    more = len(names) - _MOST_NAMES
    return [*names[:_MOST_NAMES], f"{more} more"] if more > 0 else names


def _fraction(value: object) -> float | None:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    return float(value) if 0 <= value <= 1 else None  # None for NaN, too


def plane_title(index: tuple[int, ...], shape: tuple[int, ...], name: str = "") -> str:
    """Return the name of a plane of a stack, counted from 1.

    Parameters
    ----------
    index : tuple of int
        Index of the plane on the leading axes.
    shape : tuple of int
        Shape of the stack, (..., Y, X).
    name : str
        Name of the stack, where there are several; then a single plane is called by it, too.

    Examples
    --------
    >>> from napari_fractoseg.measurement.texts import plane_title
    >>> plane_title((2,), (34, 8, 8)), plane_title((0, 1), (2, 3, 8, 8)), plane_title((), (8, 8))
    ('Plane 3 of 34', 'Plane 2 of 6', '')
    >>> plane_title((2,), (34, 8, 8), "s17"), plane_title((), (8, 8), "s17")
    ('s17, plane 3 of 34', 's17')
    """
    n_planes = math.prod(shape[:-2])
    if n_planes == 1:
        return name
    number = int(np.ravel_multi_index(index, shape[:-2])) + 1
    plane = f"plane {number} of {n_planes}"
    return f"{name}, {plane}" if name else _capital(plane)


def stack_title(n_labelled: int, n_planes: int) -> str:
    """Return a name for the planes of a stack that are labelled.

    Parameters
    ----------
    n_labelled, n_planes : int
        Numbers of planes that have any label, and of all planes.
    """
    if n_labelled == n_planes:
        return f"All {n_planes} planes"
    return f"{counted(n_labelled, 'labelled plane')} of {n_planes}"


def fractions_text(
    plane: MeasuredPlanes,
    error: FractionError | None = None,
    *,
    title: str = "",
    stack: MeasuredPlanes | None = None,
    stack_title: str = "Whole stack",
) -> str:
    """Return lines on the area fractions of a plane, and of the stack that it belongs to.

    Percents have no decimals where the error of the model is half a point or more, or not
    known.

    Parameters
    ----------
    plane : MeasuredPlanes
        Area fractions of the plane.
    error : FractionError, optional
        Error of the model; by default a person gave all labels.
    title : str
        Name of the plane, such as ``Plane 3 of 34``; empty for a single one.
    stack : MeasuredPlanes, optional
        Area fractions of all planes of the stack.
    stack_title : str
        Name of the planes that `stack` is about.

    Returns
    -------
    str
        Lines of text. Each fracture mode has its part of the area that shows a fracture mode.
    """
    decimals = 1 if error is None or (error.error is not None and error.error < _EXACT) else 0
    lines = [f"{title}:"] if title else []
    lines += _of_plane(plane, decimals)
    if stack is not None:
        lines.append(f"{stack_title}: {_of_stack(stack, decimals)}")
    if error is not None:
        lines.append(str(error))
    text = "\n".join(lines).replace("± ", "±\u00a0").replace(" points", "\u00a0points")
    return text.replace(" %", "\u00a0%")


def _of_plane(plane: MeasuredPlanes, decimals: int) -> Iterator[str]:
    modes = plane.now[plane.now["is_fracture_mode"]]
    classified = float(modes["fraction_of_image"].sum())
    if not classified > 0:
        is_labelled = plane.now["area_px"].sum() > 0
        names = " or ".join(modes["class_name"])
        yield f"No {names} area." if is_labelled else "Nothing is labelled here yet."
        return
    as_it_was = []
    for name, was, share in _both(plane):
        if was == share:
            as_it_was.append(f"{_capital(name)} {percent_text(share, decimals)}")
        else:
            yield f"{_capital(name)}: model {_change(was, share, decimals)}"
    yield from filter(None, ["   ".join(part.replace(" ", "\u00a0") for part in as_it_was)])
    yield f"of the {percent_text(classified, 0)} that show a fracture mode"


def _of_stack(stack: MeasuredPlanes, decimals: int) -> str:
    texts = []
    for name, was, share in _both(stack):
        before, now = percent_text(was, decimals), percent_text(share, decimals)
        texts.append(f"{name} {now}" if before == now else f"{name} {before} → {now}")
    return ", ".join(texts)


def _both(measured: MeasuredPlanes) -> Iterator[tuple[str, float, float]]:
    """Yield the name of each fracture mode, and its part before and now."""
    before = {} if measured.before is None else _parts(measured.before)
    for name, share in _parts(measured.now).items():
        yield name, before.get(name, share), share


def _change(was: float, share: float, decimals: int) -> str:
    """Return a text on a part before and after; where the digits hide it, with the difference."""
    first, second = percent_text(was, decimals), percent_text(share, decimals)
    points = f"{100 * (share - was):+.1f}".replace("-", "\u2212")
    hidden = first == second and float(f"{abs(100 * (share - was)):.1f}") > 0
    return f"{first} → corrected {second}{f' ({points})' if hidden else ''}"


def _parts(table: pd.DataFrame) -> dict[str, float]:
    modes = table[table["is_fracture_mode"]]
    return dict(zip(modes["class_name"], map(float, modes["fraction_of_modes"]), strict=True))


def percent_text(share: float, decimals: int) -> str:
    """Return a part as percent; one that is neither nothing nor all is never shown as such.

    Examples
    --------
    >>> from napari_fractoseg.measurement.texts import percent_text
    >>> percent_text(0.1234, 1), percent_text(0.00001, 1), percent_text(0.99999, 0)
    ('12.3 %', '< 0.1 %', '> 99 %')
    """
    if math.isnan(share):
        return "none"
    step = 10.0**-decimals
    if 0 < 100 * share <= step / 2:
        return f"< {step:.{decimals}f} %"
    if 100 - step / 2 <= 100 * share < 100:
        return f"> {100 - step:.{decimals}f} %"
    return f"{100 * share:.{decimals}f} %"


def _capital(name: str) -> str:
    return name[:1].upper() + name[1:]
