"""Images -> labels, tile by tile and plane by plane."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from napari_fractoseg.classes import ClassScheme
from napari_fractoseg.images import GreyRange, Micrograph, MicrographStack
from napari_fractoseg.jobs import Job, Progress, drain
from napari_fractoseg.models.devices import Device, choose_device, translate_out_of_memory
from napari_fractoseg.models.model import SegmentationModel
from napari_fractoseg.tiling import Box, Canvas, Tile, Tiler

__all__ = ["Prediction", "Predictor", "segment"]

_NETWORK_PX = {"cpu": 1024, "cuda": 2048, "mps": 1024}
"""Largest edge of a core as the network sees it, after reduction."""


@dataclass(frozen=True, eq=False)
class Prediction:
    """Labels of an image or stack.

    Parameters
    ----------
    labels : ndarray of uint8, shape (..., Y, X)
        Class values of the scheme; planes that were not computed are 0.
    confidence : ndarray of float32, same shape, or None
        Softmax probability of the class that was chosen. It is not calibrated.
    scheme : ClassScheme
        Meaning of the values.
    """

    labels: npt.NDArray[np.uint8]
    confidence: npt.NDArray[np.float32] | None
    scheme: ClassScheme


class Predictor:
    """Applies a model to images.

    Parameters
    ----------
    model : SegmentationModel
        The model; it is moved to the device.
    device : Device, optional
        By default `choose_device`.
    tile_px : int, optional
        Largest edge of a tile's core; rounded up to the model's stride. By
        default what suits the device.
    batch_size : int
        Tiles computed at once.
    with_confidence : bool
        Whether to keep the probability of the chosen class.
    flips : bool, optional
        Average the four mirror images; by default as the model's card says.
    """

    def __init__(
        self,
        model: SegmentationModel,
        device: Device | None = None,
        *,
        tile_px: int | None = None,
        batch_size: int = 1,
        with_confidence: bool = False,
        flips: bool | None = None,
    ) -> None:
        if flips is not None and flips != model.card.inference.flips:
            model = model.with_card(inference=replace(model.card.inference, flips=flips))
        self.device = device or choose_device()
        self.model = model
        self.batch_size = batch_size
        self.with_confidence = with_confidence
        stride = model.stride_px
        tile_px = tile_px or _NETWORK_PX[self.device.kind] * min(model.card.inference.reductions)
        self.tiler = Tiler(-(-tile_px // stride) * stride, model.halo_px, stride)

    def run(
        self, image: MicrographStack, planes: Sequence[tuple[int, ...]] | None = None
    ) -> Job[Prediction]:
        """Label an image or stack.

        Parameters
        ----------
        image : MicrographStack
            Planes are loaded one at a time.
        planes : sequence of tuple of int, optional
            Indices on the leading axes; by default all planes.

        Yields
        ------
        Progress
            After each batch of tiles.

        Returns
        -------
        Prediction
        """
        labels = np.zeros(image.shape, dtype=np.uint8)
        confidence = np.zeros(image.shape, np.float32) if self.with_confidence else None
        yield from self.run_into(image, labels, confidence, planes)
        return Prediction(labels, confidence, self.model.card.scheme)

    def run_into(
        self,
        image: MicrographStack,
        labels: Any,
        confidence: Any | None = None,
        planes: Sequence[tuple[int, ...]] | None = None,
        within: Box | None = None,
    ) -> Job[None]:
        """Label an image into arrays that are given; finished tiles stay when it is stopped.

        Parameters
        ----------
        image : MicrographStack
            What to label.
        labels : array of uint8, shape ``image.shape``
            Written tile by tile.
        confidence : array of float32, shape ``image.shape``, optional
            Written tile by tile.
        planes : sequence of tuple of int, optional
            Indices on the leading axes; by default all planes.
        within : Box, optional
            Part of each plane to label; by default all of it. The labels are
            the same as those of the whole plane there.

        Yields
        ------
        Progress
            After each batch of tiles.
        """
        chosen = list(image.indices()) if planes is None else list(planes)
        rows, columns = image.shape[-2:]
        per_plane = self.tiler.count((rows, columns), within)
        done, total = 0, per_plane * len(chosen)
        with translate_out_of_memory(self.device, "Close other programs, or use smaller tiles."):
            self.model.to(self.device.torch)
        for number, index in enumerate(chosen, start=1):
            label_canvas = Canvas(labels, index)
            confidence_canvas = None if confidence is None else Canvas(confidence, index)
            for batch in self._batches(image.plane(index), within):
                for tile, indices, certainty in batch:
                    label_canvas.put(tile, self.model.card.scheme.to_labels(indices))
                    if confidence_canvas is not None:
                        confidence_canvas.put(tile, certainty)
                done += len(batch)
                yield Progress(done, total, f"plane {number} of {len(chosen)}")

    def _batches(
        self, plane: Micrograph, within: Box | None
    ) -> Iterator[list[tuple[Tile, npt.NDArray[np.uint8], npt.NDArray[np.float32]]]]:
        """Yield batches of tiles with channel index and probability of their cores."""
        grey_range = GreyRange.of(plane.data)
        tiles = self.tiler.tiles(plane.shape, within)
        while batch := list(islice(tiles, self.batch_size)):
            windows = np.stack([grey_range.apply(tile.cut(plane.data)) for tile in batch])
            with translate_out_of_memory(
                self.device, f"Use smaller tiles than {self.tiler.tile_px} px, or the CPU."
            ):
                probabilities = self.model.probabilities(windows[:, None])
                certainty, indices = probabilities.max(dim=1)
                index_array = indices.to(torch.uint8).cpu().numpy()
                certainty_array = (
                    certainty.cpu().numpy() if self.with_confidence else np.empty(index_array.shape)
                )
            yield [
                (tile, tile.keep(index_array[i]), tile.keep(certainty_array[i]))
                for i, tile in enumerate(batch)
            ]


def segment(
    image: npt.NDArray[Any] | MicrographStack,
    model: SegmentationModel,
    *,
    device: str = "auto",
    rgb: bool = False,
) -> npt.NDArray[np.uint8]:
    """Label each pixel of an image or stack.

    Parameters
    ----------
    image : array of shape (..., Y, X), or (..., Y, X, 3 or 4) if `rgb`
        Grey levels of any real type; numpy, dask or zarr.
    model : SegmentationModel
        From `load_model`.
    device : str
        ``auto``, ``cpu``, ``cuda``, ``cuda:1`` or ``mps``.
    rgb : bool
        Whether the last axis holds colours.

    Returns
    -------
    ndarray of uint8, shape (..., Y, X)
        Class values of ``model.card.scheme``.

    Raises
    ------
    ImageError
        If the image holds NaN or infinite values, or has no plane.
    DeviceError
        If the device is not there or its memory runs out.

    Examples
    --------
    >>> import numpy as np
    >>> import napari_fractoseg as nf
    >>> model = nf.load_model("default")
    >>> image = nf.synthetic_fracture(seed=3, shape=(96, 128)).image
    >>> labels = nf.segment(image, model, device="cpu")
    >>> labels.shape, labels.dtype
    ((96, 128), dtype('uint8'))
    """
    stack = image if isinstance(image, MicrographStack) else MicrographStack(image, rgb=rgb)
    job = Predictor(model, choose_device(device)).run(stack)
    return drain(job).labels
