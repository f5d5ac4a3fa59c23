"""Where to paint next: the places that a model is least sure about."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from skimage.feature import peak_local_max

from napari_fractoseg.classes import UNLABELLED

__all__ = ["Suggestion", "suggest_places"]


@dataclass(frozen=True)
class Suggestion:
    """A place to look at.

    Parameters
    ----------
    image : str
        Name of the image.
    plane : tuple of int
        Index on the leading axes.
    row, column : int
        Centre of the place, in pixels.
    size_px : int
        Edge of the place.
    value : int
        Class value that the model says at most there.
    confidence : float
        Mean confidence there, 0-1.
    """

    image: str
    plane: tuple[int, ...]
    row: int
    column: int
    size_px: int
    value: int
    confidence: float


def suggest_places(
    labels: npt.NDArray[np.uint8],
    confidence: npt.NDArray[np.float32],
    painted: npt.NDArray[np.bool_],
    *,
    image: str = "image",
    plane: tuple[int, ...] = (),
    size_px: int = 64,
    count: int = 20,
) -> list[Suggestion]:
    """Find the places of a plane where the model is least sure, the least sure first.

    Parameters
    ----------
    labels : ndarray of uint8, shape (Y, X)
        What the model says.
    confidence : ndarray of float32, shape (Y, X)
        Probability of the class that it chose.
    painted : ndarray of bool, shape (Y, X)
        What is known already; places that are painted for the most part are left
        out.
    image, plane : str and tuple of int
        Copied into the suggestions.
    size_px : int
        Edge of a place; places do not overlap.
    count : int
        At most so many.

    Returns
    -------
    list of Suggestion
    """
    size = min(size_px, *labels.shape)
    unknown = (~painted & (labels != UNLABELLED)).astype(np.float32)
    doubt = ndimage.uniform_filter((1 - confidence) * unknown, size, mode="constant")
    known = ndimage.uniform_filter(unknown, size, mode="constant") < 0.5
    doubt[known] = 0
    peaks = peak_local_max(
        doubt,
        min_distance=size,
        threshold_abs=1e-6,
        num_peaks=count,
        exclude_border=size // 2,
    )
    found = []
    for row, column in peaks:
        box = tuple(
            slice(max(at - size // 2, 0), at + size - size // 2) for at in map(int, (row, column))
        )
        value = int(np.bincount(labels[box].ravel(), minlength=2)[1:].argmax()) + 1
        mean = float(confidence[box].mean())
        found.append(Suggestion(image, plane, int(row), int(column), size, value, mean))
    return sorted(found, key=lambda s: s.confidence)


def spread(suggestions: Iterable[Suggestion], count: int = 20) -> list[Suggestion]:
    """Take turns between images and classes, the least sure of each first.

    Parameters
    ----------
    suggestions : iterable of Suggestion
        Of any number of planes and images.
    count : int
        At most so many.

    Returns
    -------
    list of Suggestion
        In the order to look at them.
    """
    queues: Mapping[tuple[str, int], list[Suggestion]] = defaultdict(list)
    for suggestion in sorted(suggestions, key=lambda s: s.confidence):
        queues[suggestion.image, suggestion.value].append(suggestion)
    turns = [
        (turn, suggestion.confidence, suggestion)
        for queue in queues.values()
        for turn, suggestion in enumerate(queue)
    ]
    turns.sort(key=lambda entry: entry[:2])
    return [suggestion for _, _, suggestion in turns[:count]]
