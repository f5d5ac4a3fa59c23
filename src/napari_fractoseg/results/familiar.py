"""How familiar planes are to the model that labelled them, in words."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_fractoseg.text import listed

__all__ = ["Familiar", "map_of", "record_entries", "unlike_text", "untold_text"]

_SMALLEST_PART = 0.1
"""Share of a plane below which a part that looks unlike is not worth a sentence."""
_WHOLE = 0.5
_MOST_PLANES = 8
_MOST_DECIMALS = 17
_REMEDY = "Check some points, or paint and train."
_UNTOLD = "Whether it looks like what the model learnt is not known"


@dataclass(frozen=True, eq=False)
class Familiar:
    """How far a plane is from what a model learnt.

    Parameters
    ----------
    scores : ndarray of float64, shape (y, x)
        Coarse map over the plane: the distance of windows side by side that overlap; NaN of those
        that are excluded for the most part, but not of all.
    limit : float
        Distance that an image like the training images stays below.

    Examples
    --------
    >>> import numpy as np
    >>> from napari_fractoseg.results.familiar import Familiar
    >>> Familiar(np.array([[0.5, 0.6], [0.6, 2.4]]), 0.9).sentence
    'A part of it (about 25 %, lower right) looks unlike what the model learnt (2.4; images \
of its kind: up to 0.9). Check some points, or paint and train.'
    """

    scores: npt.NDArray[np.float64]
    limit: float

    @property
    def is_far(self) -> npt.NDArray[np.bool_]:
        """Whether each window is above the limit, shape (y, x)."""
        return self.scores > self.limit  # NaN is not

    @property
    def unlike(self) -> float:
        """Share of the plane that looks unlike what the model learnt; 0 if that is next to none."""
        share = float(self.is_far.sum() / (~np.isnan(self.scores)).sum())
        return 1.0 if share > _WHOLE else share if share >= _SMALLEST_PART else 0.0

    @property
    def score(self) -> float:
        """Distance that is told, above the limit exactly if something looks unlike.

        It is the mean of the windows above the limit if something does, else of the others.
        """
        if self.unlike:
            above = float(self.scores[self.is_far].mean())
            return max(above, float(np.nextafter(self.limit, np.inf)))
        return min(float(self.scores[self.scores <= self.limit].mean()), self.limit)

    @property
    def where(self) -> str:
        """Place of the part that looks unlike in the plane, such as ``lower right``."""
        places = np.argwhere(self.is_far) + 0.5
        if not len(places):
            return ""
        row, column = places.mean(axis=0) / self.scores.shape
        words = (_side(row, "upper", "lower"), _side(column, "left", "right"))
        return " ".join(filter(None, words)) or "middle"

    @property
    def part_text(self) -> str:
        """Size and place of the part that looks unlike, in words."""
        return f"about {100 * self.unlike:.0f} %, {self.where}"

    @property
    def figures(self) -> str:
        """Distance and limit in words."""
        score, limit, decimals = _told_apart(self.score, self.limit, 1)
        return f"{score:.{decimals}f}; images of its kind: up to {limit:.{decimals}f}"

    @property
    def sentence(self) -> str:
        """Sentence for the user; empty where the plane looks like what the model learnt."""
        if not self.unlike:
            return ""
        subject = "This surface"
        if self.unlike < 1:
            subject = f"A part of it ({self.part_text})"
        return f"{subject} looks unlike what the model learnt ({self.figures}). {_REMEDY}"

    def to_dict(self) -> dict[str, Any]:
        """Return score, limit, share and place of what looks unlike, and the map, as JSON types."""
        score, limit, _ = _told_apart(self.score, self.limit, 3)
        scores = [
            [None if np.isnan(s) else round(s, 3) for s in row] for row in self.scores.tolist()
        ]
        return {
            "score": score,
            "limit": limit,
            "unlike": round(self.unlike, 3),
            "where": self.where if 0 < self.unlike < 1 else "",
            "scores": scores,
        }


def unlike_text(found: Mapping[tuple[int, ...], Familiar], leading: tuple[int, ...] = ()) -> str:
    """Return what is to be said of the planes of an image; empty if they look familiar.

    Parameters
    ----------
    found : mapping of tuple of int to Familiar
        Index of a plane -> how familiar it is.
    leading : tuple of int
        Lengths of the leading axes of the image; empty for an image of one plane.

    Examples
    --------
    >>> import numpy as np
    >>> from napari_fractoseg.results.familiar import Familiar, unlike_text
    >>> scores = (0.4, 3.0, 2.0)
    >>> unlike_text({(z,): Familiar(np.array([[s]]), 0.9) for z, s in enumerate(scores)}, (3,))
    '2 of 3 planes look unlike what the model learnt (up to 3.0; images of its kind: up to 0.9): \
planes 2, 3. Check some points, or paint and train.'
    """
    unlike = {index: familiar for index, familiar in sorted(found.items()) if familiar.unlike}
    if not unlike:
        return ""
    worst = _worst(unlike.values())
    if math.prod(leading) == 1:
        return worst.sentence
    numbers = {index: int(np.ravel_multi_index(index, leading)) + 1 for index in unlike}
    if len(unlike) == 1:
        (number,) = numbers.values()
        name = f"plane {number}"
        subject = f"A part of {name} ({worst.part_text})" if worst.unlike < 1 else name.capitalize()
        return f"{subject} looks unlike what the model learnt ({worst.figures}). {_REMEDY}"
    named = [
        f"{numbers[index]} (in part)" if familiar.unlike < 1 else str(numbers[index])
        for index, familiar in unlike.items()
    ]
    if len(named) > _MOST_PLANES:
        named = [*named[:_MOST_PLANES], f"{len(named) - _MOST_PLANES} more"]
    return (
        f"{len(unlike)} of {len(found)} planes look unlike what the model learnt (up to "
        f"{worst.figures}): planes {listed(named)}. {_REMEDY}"
    )


def untold_text(reason: str) -> str:
    """Return what is to be said of an image of which familiarity is not known.

    Parameters
    ----------
    reason : str
        Why, as the part of a sentence; empty to say nothing.

    Examples
    --------
    >>> from napari_fractoseg.results.familiar import untold_text
    >>> untold_text("the image is too small")
    'Whether it looks like what the model learnt is not known: the image is too small. Check some \
points.'
    """
    return f"{_UNTOLD}: {reason}. Check some points." if reason else ""


def map_of(
    found: Mapping[tuple[int, ...], Familiar], leading: tuple[int, ...] = ()
) -> npt.NDArray[np.float32]:
    """Return the coarse maps of all planes in one array; planes without one are 0.

    Parameters
    ----------
    found : mapping of tuple of int to Familiar
        Index of a plane -> how familiar it is.
    leading : tuple of int
        Lengths of the leading axes of the image.

    Returns
    -------
    ndarray of float32, shape (..., y, x)
        Distances; each stands for an equal part of the plane. What is excluded is 0.
    """
    rows, columns = np.max([familiar.scores.shape for familiar in found.values()], axis=0)
    maps = np.zeros((*leading, rows, columns), np.float32)
    for index, familiar in found.items():
        own_rows, own_columns = familiar.scores.shape
        places = np.ix_(
            np.arange(rows) * own_rows // rows, np.arange(columns) * own_columns // columns
        )
        maps[index] = np.nan_to_num(familiar.scores[places])
    return maps


def record_entries(
    found: Mapping[tuple[int, ...], Familiar],
    leading: tuple[int, ...] = (),
    untold: str = "",
) -> dict[str, Any]:
    """Return what a `LabelRecord` keeps of the planes (`unlike_text`), by the names of its fields.

    Parameters
    ----------
    found : mapping of tuple of int to Familiar
        Index of a plane -> how familiar it is.
    leading : tuple of int
        Lengths of the leading axes of the image.
    untold : str
        Sentence on why nothing was found (`untold_text`); empty if nobody looked.
    """
    if not found:
        return {"untold": untold}
    worst = _worst(found.values())
    score, limit, _ = _told_apart(worst.score, worst.limit, 3)
    return {
        "familiarity": score,
        "familiarity_limit": limit,
        "unlike": unlike_text(found, leading),
    }


def _worst(found: Iterable[Familiar]) -> Familiar:
    return max(found, key=lambda familiar: familiar.score / familiar.limit)


def _side(position: float, first: str, last: str) -> str:
    return first if position < 0.4 else last if position > 0.6 else ""


def _told_apart(score: float, limit: float, decimals: int) -> tuple[float, float, int]:
    """Return a distance and its limit with as many decimals as show which one is larger."""
    while decimals < _MOST_DECIMALS:
        rounded = round(score, decimals), round(limit, decimals)
        if (rounded[0] > rounded[1]) == (score > limit):
            return *rounded, decimals
        decimals += 1
    return score, limit, decimals
