"""Trial of three scales: the middle of what is seen, segmented at each; without layers and Qt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_fractoseg._napari.segment.request import Request
from napari_fractoseg._napari.torch_import import prepare_torch
from napari_fractoseg.errors import ImageError
from napari_fractoseg.images import MicrographStack
from napari_fractoseg.jobs import Job, Progress, as_part
from napari_fractoseg.measurement.overlay import overlay
from napari_fractoseg.tiling import Box

__all__ = ["MOST_PX", "TRIED", "SeenAt", "trial_job"]

TRIED = (0.5, 1.0, 2.0)
"""Scale factors that are tried."""
MOST_PX = 640
"""Largest edge of what is segmented, in image pixels."""


@dataclass(frozen=True, eq=False)
class SeenAt:
    """Result of a trial at one scale.

    Parameters
    ----------
    factor : float
        Scale factor, see `SegmentationModel.at_scale`.
    picture : ndarray of uint8, shape (Y, X, 3)
        Part of the image with the colours of its classes.
    """

    factor: float
    picture: npt.NDArray[np.uint8]


def trial_job(request: Request, box: Box) -> Job[tuple[SeenAt, ...]]:
    """Segment a part of a plane at each of the scale factors `TRIED`.

    Parameters
    ----------
    request : Request
        Image, model and options; the first of its planes is taken.
    box : Box
        Part of the plane; what surrounds it is seen as well.

    Yields
    ------
    Progress
        Blocks of work, 100 for each scale.

    Raises
    ------
    ImageError
        If the plane shows nothing or cannot be used.
    """
    yield Progress(0, 0, "loading the model")
    prepare_torch()  # PyTorch takes seconds, and the dock opens at once
    from napari_fractoseg.inference.plane import measured_plane
    from napari_fractoseg.inference.predictor import Predictor
    from napari_fractoseg.inference.result import LeftOut
    from napari_fractoseg.models.devices import choose_device
    from napari_fractoseg.models.model import SegmentationModel

    model, device = SegmentationModel.load(request.model.folder), choose_device(request.device)
    plane = measured_plane(request.image, request.planes[0])
    if isinstance(plane, LeftOut):
        raise ImageError(plane.reason)
    stack, found = MicrographStack(plane.data, name=plane.name), []
    for number, factor in enumerate(TRIED):
        predictor = Predictor(model.at_scale(factor), device, flips=request.flips)
        labels: Any = np.zeros(stack.shape, np.uint8)
        job = predictor.run_into(stack, labels, within=box, known_ranges={(): plane.grey_range})
        text = f"scale factor {factor:g}"
        yield from as_part(job, 100 * number, 100 * len(TRIED), text, span=100)
        shown = np.asarray(plane.data[box.slices])
        found.append(SeenAt(factor, overlay(shown, labels[box.slices], model.card.scheme)))
    return tuple(found)
