"""One run of a model over an image, as plain data: no layer, no Qt, no torch until it runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_fractoseg import __version__
from napari_fractoseg._napari.torch_import import prepare_torch
from napari_fractoseg.images import MicrographStack
from napari_fractoseg.jobs import Job, Progress, duration_text
from napari_fractoseg.models.zoo import ModelEntry

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Request", "Segmentation", "fractions_text", "progress_text"]


@dataclass(frozen=True)
class Request:
    """What the user asked for; a snapshot taken in the GUI thread.

    Parameters
    ----------
    image : MicrographStack
        The image.
    model : ModelEntry
        The model's folder and card.
    planes : tuple of tuple of int
        Indices on the leading axes: one plane, or all of them.
    device : str
        For `choose_device`.
    with_confidence, flips : bool
        As for `Predictor`.
    tile_px : int or None
        As for `Predictor`.
    """

    image: MicrographStack
    model: ModelEntry
    planes: tuple[tuple[int, ...], ...]
    device: str = "auto"
    with_confidence: bool = False
    flips: bool = False
    tile_px: int | None = None

    @property
    def method(self) -> tuple[Any, ...]:
        """What decides the labels of a plane."""
        return self.model, self.flips, self.tile_px, self.with_confidence


class Segmentation:
    """The arrays of a result, and the job that fills them.

    Parameters
    ----------
    request : Request
        What to do.
    earlier : Segmentation, optional
        Its arrays are filled further where `Segmentation.has_room_for` allows it.
    """

    def __init__(self, request: Request, earlier: Segmentation | None = None) -> None:
        self.request = request
        self.model_digest = self.device_label = ""
        shape = request.image.shape
        self.labels: npt.NDArray[np.uint8] = np.zeros(shape, np.uint8)
        self.predicted: npt.NDArray[np.uint8] = np.zeros(shape, np.uint8)
        self.confidence: npt.NDArray[np.float32] | None = None
        if request.with_confidence:
            self.confidence = np.zeros(shape, np.float32)
        self._planes = request.planes
        if earlier is not None:
            self.labels, self.confidence = earlier.labels, earlier.confidence
            self.predicted = earlier.predicted
            self._planes = (*earlier._planes, *request.planes)

    def has_room_for(self, request: Request) -> bool:
        """Whether another request may go into these arrays.

        It may if it is for another plane of the same image by the same model
        with the same settings, and nothing is in that plane yet: neither
        labels of a run nor a brush stroke.
        """
        return (
            len(request.planes) == 1 < request.image.n_planes
            and request.image.data is self.request.image.data
            and request.image.pixel_size_um == self.request.image.pixel_size_um
            and request.method == self.request.method
            and not self.labels[request.planes[0]].any()
        )

    def job(self) -> Job[pd.DataFrame]:
        """Fill the arrays.

        Yields
        ------
        Progress
            In tiles; 0 of 0 while the model is loaded.

        Returns
        -------
        DataFrame
            From `class_fractions`, of the planes that were asked for.
        """
        request = self.request
        yield Progress(0, 0, "loading the model")
        # Imported here because PyTorch takes seconds, and the dock opens at once.
        prepare_torch()
        from napari_fractoseg.inference.predictor import Predictor
        from napari_fractoseg.measure.fractions import class_fractions
        from napari_fractoseg.models.devices import choose_device
        from napari_fractoseg.models.model import SegmentationModel

        model = SegmentationModel.load(request.model.folder)
        device = choose_device(request.device)
        self.model_digest, self.device_label = model.digest, device.label
        predictor = Predictor(
            model,
            device,
            tile_px=request.tile_px,
            with_confidence=request.with_confidence,
            flips=request.flips,
        )
        yield from predictor.run_into(
            request.image, self.labels, self.confidence, list(request.planes)
        )
        whole = len(request.planes) == request.image.n_planes
        return class_fractions(
            self.labels if whole else self.labels[request.planes[0]], model.card.scheme
        )

    def keep_prediction(self) -> None:
        """Copy what the model said, before anybody paints on it."""
        for plane in self.request.planes:
            self.predicted[plane] = self.labels[plane]

    def planes_finished(self, progress: Progress) -> int:
        """Return how many of the planes that were asked for are complete."""
        return progress.done * len(self.request.planes) // max(progress.total, 1)

    def provenance(self) -> dict[str, Any]:
        """Return where the result comes from, as plain JSON types, for the layer's metadata."""
        request = self.request
        whole = len(self._planes) == request.image.n_planes
        return {
            "version": __version__,
            "model": request.model.key,
            "model_name": request.model.card.name,
            "model_digest": self.model_digest,
            "scheme": request.model.card.scheme.to_dict(),
            "image": request.image.name,
            "planes": "all" if whole else [list(index) for index in self._planes],
            "device": self.device_label,
            "flips": request.flips,
            "tile_px": request.tile_px,
        }


def progress_text(progress: Progress, remaining_s: float | None) -> str:
    """Say how far a run is: ``plane 12 of 34 · tile 103 of 306 · 40 s left``."""
    if progress.total == 0:
        return f"{progress.message} …"
    has_planes = not progress.message.endswith(" of 1")
    has_tiles = not progress.message.endswith(f" of {progress.total}")
    parts = [progress.message] if has_planes else []
    if has_tiles or not has_planes:
        parts.append(f"tile {progress.done} of {progress.total}")
    if remaining_s is not None and progress.done < progress.total:
        parts.append(f"{duration_text(remaining_s)} left")
    return " · ".join(parts)


def fractions_text(table: pd.DataFrame) -> str:
    """Write area fractions in one line: each mode's share of what is a fracture mode.

    Parameters
    ----------
    table : DataFrame
        From `class_fractions`.
    """
    modes = table[table["is_fracture_mode"]]
    classified = float(modes["fraction_of_image"].sum())
    if classified == 0:
        names = " or ".join(modes["class_name"])
        return f"No {names} area was found."
    shares = [
        f"{str(name).capitalize()} {share:.1%}"
        for name, share in zip(modes["class_name"], modes["fraction_of_modes"], strict=True)
    ]
    # Lines break between the parts only.
    parts = [_unbroken(part) for part in (*shares, f"of {classified:.0%} classified")]
    return "   ".join(parts)


def _unbroken(text: str) -> str:
    return text.replace("%", " %").replace(" ", "\u00a0")
