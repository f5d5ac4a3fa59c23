"""Request and job of one segmentation, without layers and Qt; PyTorch is loaded when it runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_fractoseg import __version__
from napari_fractoseg._napari.excluded import key_of
from napari_fractoseg._napari.segment.result_arrays import (
    ArraysInMemory,
    ArraysOnDisk,
    ResultArrays,
)
from napari_fractoseg._napari.torch_import import prepare_torch
from napari_fractoseg.classes import ClassScheme
from napari_fractoseg.errors import FractosegError
from napari_fractoseg.images import ChunkWatch, MicrographStack
from napari_fractoseg.images.calibration import known_size
from napari_fractoseg.inference.known_results import remember_result
from napari_fractoseg.inference.magnification import AUTO, Magnification
from napari_fractoseg.inference.result import CONFIDENCE, MARGIN, RunRecord
from napari_fractoseg.inference.result_size import require_memory, result_bytes
from napari_fractoseg.jobs import Job, Progress, as_part, drain, ending_with
from napari_fractoseg.models.registry import ModelEntry
from napari_fractoseg.results.familiar import Familiar, record_entries
from napari_fractoseg.results.record import LabelRecord

if TYPE_CHECKING:
    from napari_fractoseg.inference.predictor import Predictor

__all__ = ["Request", "Segmentation"]


@dataclass(frozen=True)
class Request:
    """Choices of the user for a segmentation; a snapshot taken in the GUI thread.

    Parameters
    ----------
    image : MicrographStack
        Image or stack to segment.
    model : ModelEntry
        Folder and card of the model.
    planes : tuple of tuple of int
        Indices on the leading axes: one plane, or all of them.
    device : str
        Name of the device that segments: ``auto``, ``cpu``, ``cuda``, ``cuda:1`` or ``mps``.
    uncertainties : tuple of str
        Kinds of uncertainty that are wanted, of `CONFIDENCE` and `MARGIN`.
    flips : bool
        Whether mirror images are segmented, too, and averaged.
    tile_px : int or None
        Edge length of a tile's core in image pixels; None for what suits the device.
    classes : ClassScheme or None
        Classes with the names and colours that the user gave them; None takes those of the model.
    folder : Path or None
        Folder that the result is saved in as zarr while it is made; None keeps it in memory.
    source : Path or None
        File of the image, None if it has none.
    scale : str
        Scale at which the model sees the image: ``auto``, ``none`` or a factor (`Magnification`).
    """

    image: MicrographStack
    model: ModelEntry
    planes: tuple[tuple[int, ...], ...]
    device: str = "auto"
    uncertainties: tuple[str, ...] = ()
    flips: bool = False
    tile_px: int | None = None
    classes: ClassScheme | None = None
    folder: Path | None = None
    source: Path | None = None
    scale: str = AUTO

    @property
    def seen(self) -> Magnification:
        """Scale at which the model sees the image, with the sentence that says so.

        Raises
        ------
        OptionError
            If no scale makes up for the pixel sizes.
        """
        return Magnification.of(self.model.card, self.image.pixel_size_um, self.scale)

    @property
    def scheme(self) -> ClassScheme:
        """Classes of the result."""
        return self.model.card.scheme if self.classes is None else self.classes

    @property
    def method(self) -> tuple[Any, ...]:
        """All choices that decide the result of a plane, to be compared with other requests."""
        options = self.flips, self.tile_px, self.uncertainties, self.folder, self.scale
        return self.model, *options

    @property
    def excluded_key(self) -> Any:
        """What is equal for requests that leave the same pixels out."""
        return key_of(self.image.excluded)

    def is_same_work_as(self, other: Request) -> bool:
        """Tell whether another request would give the same labels of the same planes."""
        return (
            self.image.data is other.image.data
            and self.excluded_key == other.excluded_key
            and self.planes == other.planes
            and self.method == other.method
        )

    @property
    def memory_bytes(self) -> int:
        """Memory in bytes that the result takes; 0 if it is saved on disk."""
        if self.folder is not None:
            return 0
        return result_bytes(self.image, len(self.planes), len(self.uncertainties))

    def require_room(self, reserved: int = 0) -> None:
        """Raise if there is no room for the result.

        Parameters
        ----------
        reserved : int
            Memory in bytes that other results will take.

        Raises
        ------
        OutOfMemoryError
            If the result does not fit in the memory; the message says what to do.
        FractosegError
            If the folder to save it in is not there.
        """
        if self.folder is None:
            require_memory(self.image, len(self.planes), len(self.uncertainties), reserved=reserved)
        elif not self.folder.is_dir():
            raise FractosegError(
                f"There is no folder {self.folder}. Choose another one under Advanced > Save to "
                "zarr, or leave it empty to keep the result in memory."
            )


class Segmentation:
    """Segmentation of an image: the arrays of its result, and the job that fills them.

    Parameters
    ----------
    request : Request
        Choices of the user.
    earlier : Segmentation, optional
        Segmentation whose arrays are filled further, where its `has_room_for` allows it.
    """

    def __init__(self, request: Request, earlier: Segmentation | None = None) -> None:
        self.request = request
        self.record = RunRecord()
        self.model_digest = self.device_label = self.labels_sha256 = ""
        self.tile_px = self.halo_px = 0
        self.arrays: ResultArrays = _arrays_for(request) if earlier is None else earlier.arrays
        self._before = () if earlier is None else earlier.finished_planes
        self._familiar_before = {} if earlier is None else earlier.familiarity

    @property
    def labels(self) -> Any:
        """Array of class values, shape (..., Y, X); None until the run has begun."""
        return self.arrays.labels

    @property
    def uncertainties(self) -> Mapping[str, Any]:
        """Kind of uncertainty -> array of it, 0-1; empty until the run has begun."""
        return self.arrays.uncertainties

    @property
    def finished_planes(self) -> tuple[tuple[int, ...], ...]:
        """Indices of the planes that are labelled completely, by this run and earlier ones."""
        return tuple(dict.fromkeys((*self._before, *self.record.finished)))

    @property
    def familiarity(self) -> Mapping[tuple[int, ...], Familiar]:
        """Index of a plane -> how familiar it is to the model, of this run and earlier ones."""
        return {**self._familiar_before, **self.record.familiarity}

    @property
    def is_complete(self) -> bool:
        """Whether all planes that were asked for are segmented, or left out."""
        done = {*self.record.finished, *self.record.left_out}
        return done >= set(self.request.planes)

    def has_room_for(self, request: Request) -> bool:
        """Tell whether the result of another request may go into these arrays.

        It may if it is for another plane of the same image by the same model
        with the same settings, and nothing is in that plane yet: neither
        labels of a run nor a brush stroke.
        """
        return (
            len(request.planes) == 1 < request.image.n_planes
            and isinstance(self.arrays, ArraysInMemory)
            and self.labels is not None
            and request.image.data is self.request.image.data
            and request.image.pixel_size_um == self.request.image.pixel_size_um
            and request.method == self.request.method
            and request.excluded_key == self.request.excluded_key
            and not self.labels[request.planes[0]].any()
        )

    def job(self) -> Job[None]:
        """Fill the arrays, and make what is finished ready for the brush, however it ends.

        Yields
        ------
        Progress
            Work done, as `Predictor` counts it; 0 of 0 while the model is loaded.
        """
        request, watch = self.request, ChunkWatch(self.request.image)
        yield Progress(0, 0, "loading the model")
        # Imported here because PyTorch takes seconds, and the dock opens at once.
        prepare_torch()
        from napari_fractoseg.inference.predictor import Predictor
        from napari_fractoseg.models.devices import choose_device
        from napari_fractoseg.models.model import SegmentationModel

        seen = request.seen
        model = SegmentationModel.load(request.model.folder).at_scale(seen.scale)
        device = choose_device(request.device)
        self.model_digest, self.device_label = model.digest, device.label
        predictor = Predictor(
            model,
            device,
            tile_px=request.tile_px,
            with_confidence=CONFIDENCE in request.uncertainties,
            with_margin=MARGIN in request.uncertainties,
            flips=request.flips,
            with_familiarity=True,
        )
        self.tile_px, self.halo_px = predictor.tiler.tile_px, predictor.tiler.halo_px
        with ending_with(partial(self._save, predictor)):
            labels, uncertainties = self.arrays.open()
            yield from predictor.run_into(
                request.image,
                labels,
                uncertainties.get(CONFIDENCE),
                list(request.planes),
                record=self.record,
                margin=uncertainties.get(MARGIN),
            )
            self.record.notes += filter(None, [seen.sentence])
            self.record.take_notes(request.image, watch)
            hashing = self.arrays.keep_job(request.planes)
            self.labels_sha256 = yield from as_part(hashing, 1, 1, "finishing")

    def _save(self, predictor: Predictor) -> None:
        """Keep finished tiles, in the worker's thread, also after a stop or lack of memory."""
        self.device_label, self.tile_px = predictor.engine.label, predictor.tiler.tile_px
        if not self.record.n_tiles:
            self.arrays.discard()
            return
        if not self.labels_sha256 and self.arrays.place is None:
            self.labels_sha256 = drain(self.arrays.keep_job(self.request.planes))
        record = self.label_record()
        self.arrays.finish(self.request.scheme, record)
        remember_result(record, self.request.image.shape)

    def label_record(self) -> LabelRecord:
        """Return the label record of the result: model, image and classes, and planes so far."""
        request = self.request
        return LabelRecord(
            model_name=request.model.card.name,
            model_digest=self.model_digest,
            image=request.image.name,
            scheme=request.scheme,
            labels_sha256=self.labels_sha256,
            model=request.model.key,
            planes=self._extent(),
            device=self.device_label,
            flips=request.flips,
            tile_px=self.tile_px,
            halo_px=self.halo_px,
            version=__version__,
            excluded={} if request.image.excluded is None else request.image.excluded.to_dict(),
            pixel_size=known_size(request.image.pixel_size),
            scale_factor=float(request.seen.scale),
            **record_entries(self.familiarity, request.image.shape[:-2], self.record.untold),
            temperature=request.model.card.inference.temperature,
        )

    def _extent(self) -> Any:
        """Return the planes that are labelled completely: ``"all"``, or a list of indices."""
        planes = self.finished_planes
        whole = len(planes) == self.request.image.n_planes
        return "all" if whole else [list(index) for index in planes]


def _arrays_for(request: Request) -> ResultArrays:
    if request.folder is None:
        return ArraysInMemory(request.image, request.uncertainties)
    return ArraysOnDisk(request.image, request.uncertainties, request.folder, request.source)
