"""Active learning: the places of images that a model is least sure of, to be painted next."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from skimage.feature import peak_local_max

from napari_fractoseg.classes import UNLABELLED
from napari_fractoseg.images import MicrographStack
from napari_fractoseg.inference.predictor import Predictor
from napari_fractoseg.jobs import Job, Progress, as_part
from napari_fractoseg.models.devices import Device
from napari_fractoseg.models.model import SegmentationModel

__all__ = ["Candidate", "Suggestion", "spread", "suggest_job", "suggest_places"]

_MOST = 0.5


@dataclass(frozen=True)
class Suggestion:
    """Square place of a plane that is worth painting.

    Parameters
    ----------
    image : str
        Name of the image.
    plane : tuple of int
        Index of the plane on the leading axes of the image.
    row, column : int
        Centre of the place, in pixels.
    size_px : int
        Edge length of the place in pixels.
    value : int
        Class value that the model gives to most pixels of the place.
    confidence : float
        Mean probability of the chosen classes in the place, 0-1.
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
        Class values that the model gives; 0 is unlabelled.
    confidence : ndarray of float32, shape (Y, X)
        Probability of the class that the model chose, 0-1.
    painted : ndarray of bool, shape (Y, X)
        Mask of the pixels that are known already; places that are painted for
        the most part are left out.
    image : str
        Name of the image, for the suggestions.
    plane : tuple of int
        Index of the plane on the leading axes, for the suggestions.
    size_px : int
        Edge length of a place in pixels; places do not overlap.
    count : int
        Largest number of places.

    Returns
    -------
    list of Suggestion
        Places, the least sure first.
    """
    size = min(size_px, *labels.shape)
    unknown = (~painted & (labels != UNLABELLED)).astype(np.float32)
    doubt = ndimage.uniform_filter((1 - confidence) * unknown, size, mode="constant")
    doubt[ndimage.uniform_filter(unknown, size, mode="constant") < _MOST] = 0
    inner = np.zeros(doubt.shape, dtype=bool)  # places lie inside the image as a whole
    inner[size // 2 : doubt.shape[0] - size // 2, size // 2 : doubt.shape[1] - size // 2] = True
    doubt[~inner] = 0
    peaks = peak_local_max(
        doubt, min_distance=size, threshold_abs=1e-6, num_peaks=count, exclude_border=False
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
    """Return suggestions by turns of images and classes, the least sure of each first.

    Parameters
    ----------
    suggestions : iterable of Suggestion
        Places of any number of planes and images.
    count : int
        Largest number of places to return.

    Returns
    -------
    list of Suggestion
        Places in the order to look at them.
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


@dataclass(frozen=True, eq=False)
class Candidate:
    """Plane in which places to paint are looked for.

    Parameters
    ----------
    image : MicrographStack
        Image that the plane belongs to.
    plane : tuple of int
        Index of the plane on the leading axes.
    painted : ndarray of bool, shape (Y, X)
        Mask of the pixels that are known already.
    """

    image: MicrographStack
    plane: tuple[int, ...]
    painted: npt.NDArray[np.bool_]


def suggest_job(
    model: SegmentationModel,
    candidates: Sequence[Candidate],
    device: Device | None = None,
    count: int = 20,
) -> Job[list[Suggestion]]:
    """Segment planes and find the places to paint next, spread over images and classes.

    Parameters
    ----------
    model : SegmentationModel
        Model whose uncertainty is looked for.
    candidates : sequence of Candidate
        Planes to look at.
    device : Device, optional
        Processor or GPU that segments; by default the best one there is.
    count : int
        Largest number of places.

    Yields
    ------
    Progress
        Number of planes done.

    Returns
    -------
    list of Suggestion
        Places in the order to look at them.
    """
    # Flips are not averaged: it is the order that counts.
    predictor = Predictor(model, device, with_confidence=True, flips=False)
    found: list[Suggestion] = []
    for done, candidate in enumerate(candidates):
        plane = candidate.image.plane(candidate.plane)
        job = predictor.run(plane.stack)
        prediction = yield from as_part(job, done, len(candidates), f"looking at {plane.name}")
        if prediction.confidence is not None:
            found += suggest_places(
                prediction.labels,
                prediction.confidence,
                candidate.painted,
                image=candidate.image.name,
                plane=candidate.plane,
                count=count,
            )
    yield Progress(len(candidates), len(candidates), "done")
    return spread(found, count)
