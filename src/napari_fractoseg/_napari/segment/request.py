"""One run of a model over an image, as plain data: no layer, no Qt, no torch until it runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_fractoseg import __version__
from napari_fractoseg._napari.segment.result_arrays import (
    ArraysInMemory,
    ArraysOnDisk,
    ResultArrays,
)
from napari_fractoseg._napari.torch_import import prepare_torch
from napari_fractoseg.classes import ClassScheme
from napari_fractoseg.errors import FractosegError
from napari_fractoseg.images import MicrographStack
from napari_fractoseg.inference.known_results import remember_result
from napari_fractoseg.inference.result import CONFIDENCE, MARGIN, RunRecord
from napari_fractoseg.inference.result_size import require_memory, result_bytes
from napari_fractoseg.jobs import Job, Progress, as_part, drain, ending_with
from napari_fractoseg.models.registry import ModelEntry
from napari_fractoseg.results.record import LabelRecord

if TYPE_CHECKING:
    import pandas as pd

    from napari_fractoseg.inference.predictor import Predictor

__all__ = ["Request", "Segmentation"]


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
    uncertainties : tuple of str
        What else is wanted of `CONFIDENCE` and `MARGIN`.
    flips : bool
        As for `Predictor`.
    tile_px : int or None
        As for `Predictor`.
    palette : str or None
        Colours of the classes, a key of `PALETTES`; None takes those of the model.
    folder : Path or None
        Where the result is saved as zarr while it is made; None keeps it in memory.
    source : Path or None
        File of the image.
    """

    image: MicrographStack
    model: ModelEntry
    planes: tuple[tuple[int, ...], ...]
    device: str = "auto"
    uncertainties: tuple[str, ...] = ()
    flips: bool = False
    tile_px: int | None = None
    palette: str | None = None
    folder: Path | None = None
    source: Path | None = None

    @property
    def scheme(self) -> ClassScheme:
        """The model's classes, in the colours that are wanted."""
        scheme = self.model.card.scheme
        return scheme if self.palette is None else scheme.with_palette(self.palette)

    @property
    def method(self) -> tuple[Any, ...]:
        """What decides the labels of a plane."""
        return self.model, self.flips, self.tile_px, self.uncertainties, self.folder

    def is_same_work_as(self, other: Request) -> bool:
        """Whether another request would give the same labels of the same planes."""
        return (
            self.image.data is other.image.data
            and self.planes == other.planes
            and self.method == other.method
        )

    @property
    def memory_bytes(self) -> int:
        """Memory that the result takes."""
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
            If it does not fit in the memory, with what to do.
        FractosegError
            If the folder is not there.
        """
        if self.folder is None:
            require_memory(self.image, len(self.planes), len(self.uncertainties), reserved=reserved)
        elif not self.folder.is_dir():
            raise FractosegError(
                f"There is no folder {self.folder}. Choose another one under Advanced > Save to "
                "zarr, or leave it empty to keep the result in memory."
            )


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
        self.record = RunRecord()
        self.model_digest = self.device_label = self.labels_sha256 = ""
        self.tile_px = self.halo_px = 0
        self.arrays: ResultArrays = _arrays_for(request) if earlier is None else earlier.arrays
        self._before = () if earlier is None else earlier.finished_planes

    @property
    def labels(self) -> Any:
        """The class values, None until the run has begun."""
        return self.arrays.labels

    @property
    def uncertainties(self) -> Mapping[str, Any]:
        """How sure the model is, of the kinds that are kept."""
        return self.arrays.uncertainties

    @property
    def finished_planes(self) -> tuple[tuple[int, ...], ...]:
        """The planes that are labelled completely, by this run and earlier ones."""
        return tuple(dict.fromkeys((*self._before, *self.record.finished)))

    @property
    def is_complete(self) -> bool:
        """Whether nothing is left to do."""
        done = {*self.record.finished, *self.record.left_out}
        return done >= set(self.request.planes)

    def has_room_for(self, request: Request) -> bool:
        """Whether another request may go into these arrays.

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
            and not self.labels[request.planes[0]].any()
        )

    def job(self) -> Job[pd.DataFrame]:
        """Fill the arrays, and make what is finished ready for the brush, however it ends.

        Yields
        ------
        Progress
            As of `Predictor`; 0 of 0 while the model is loaded.

        Returns
        -------
        DataFrame
            From `fractions`.
        """
        request = self.request
        yield Progress(0, 0, "loading the model")
        # Imported here because PyTorch takes seconds, and the dock opens at once.
        prepare_torch()
        from napari_fractoseg.inference.predictor import Predictor
        from napari_fractoseg.models.devices import choose_device
        from napari_fractoseg.models.model import SegmentationModel

        model = SegmentationModel.load(request.model.folder)
        device = choose_device(request.device)
        self.model_digest, self.device_label = model.digest, device.label
        predictor = Predictor(
            model,
            device,
            tile_px=request.tile_px,
            with_confidence=CONFIDENCE in request.uncertainties,
            with_margin=MARGIN in request.uncertainties,
            flips=request.flips,
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
            hashing = self.arrays.keep_job(request.planes)
            self.labels_sha256 = yield from as_part(hashing, 1, 1, "finishing")
        return self.fractions()

    def _save(self, predictor: Predictor) -> None:
        """Keep what is finished, here in the worker: memory may have run out, or it was stopped."""
        self.device_label, self.tile_px = predictor.engine.label, predictor.tiler.tile_px
        if not self.record.n_tiles:
            self.arrays.discard()
            return
        if not self.labels_sha256 and self.arrays.place is None:
            self.labels_sha256 = drain(self.arrays.keep_job(self.request.planes))
        record = self.label_record()
        self.arrays.finish(self.request.scheme, record)
        remember_result(record, self.request.image.shape)

    def fractions(self) -> pd.DataFrame:
        """Measure the planes that this run labelled; see `class_fractions`."""
        from napari_fractoseg.measure.fractions import fractions_of_planes

        planes = map(self.arrays.plane, self.record.finished)
        return fractions_of_planes(planes, self.request.model.card.scheme)

    def label_record(self) -> LabelRecord:
        """Return where the result comes from, as far as it has come."""
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
        )

    def _extent(self) -> Any:
        """Return the planes that are labelled completely."""
        planes = self.finished_planes
        whole = len(planes) == self.request.image.n_planes
        return "all" if whole else [list(index) for index in planes]


def _arrays_for(request: Request) -> ResultArrays:
    if request.folder is None:
        return ArraysInMemory(request.image, request.uncertainties)
    return ArraysOnDisk(request.image, request.uncertainties, request.folder, request.source)
