"""Segmentation of images and stacks, plane by plane and tile by tile."""

from __future__ import annotations

import functools
import traceback
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, overload

import numpy as np
import numpy.typing as npt

from napari_fractoseg.errors import ImageError, OutOfMemoryError
from napari_fractoseg.images import (
    ChunkWatch,
    ExcludedArea,
    GreyRange,
    Micrograph,
    MicrographStack,
    has_colours,
)
from napari_fractoseg.images.bars.choice import without_bar
from napari_fractoseg.inference.backend import Engine
from napari_fractoseg.inference.device_io import WriteBehind, prefetched
from napari_fractoseg.inference.familiarity import (
    Familiar,
    FamiliarityReader,
    unlike_text,
    untold_of,
)
from napari_fractoseg.inference.magnification import AUTO, Magnification
from napari_fractoseg.inference.multiscale import work_of
from napari_fractoseg.inference.plane import PlaneRun, measured_plane, measuring_text, numbered
from napari_fractoseg.inference.precision import Precision
from napari_fractoseg.inference.result import (
    CONFIDENCE,
    MARGIN,
    Prediction,
    RunRecord,
    probability_of,
)
from napari_fractoseg.jobs import Job, Progress, as_part, drain, ending_with
from napari_fractoseg.models.devices import Device, choose_device
from napari_fractoseg.models.model import SegmentationModel, load_model
from napari_fractoseg.results.journal import TileJournal
from napari_fractoseg.tiling import Box, Canvas, Tiler

__all__ = ["Prediction", "Predictor", "segment"]

_WORTH_SAYING = 2**30
_PREFETCH_PX = 2**25
"""Pixels that prefetched planes may have in all; a larger plane is read at its turn, in parts."""


class Predictor:
    """A model that is ready to segment images on a device.

    Parameters
    ----------
    model : SegmentationModel
        Model to apply; a copy of its network is optimised and moved to the device.
    device : Device, optional
        Device that computes; by default the first GPU, or the CPU (`choose_device`).
    tile_px : int, optional
        Largest edge of a tile's core; rounded up to the model's stride. By
        default as large as the memory allows (`suggested_tile_px`).
    batch_size : int
        Number of tiles computed at once; at the image's edge they may be fewer.
    with_confidence, with_margin : bool
        Whether to also return these kinds of uncertainty: the probability of the chosen class,
        and by how much it is above that of the next one.
    flips : bool, optional
        Average the plane and its three mirror images (test-time augmentation), which takes
        four times as long; by default as the model's card says.
    max_bytes : float, optional
        Memory in bytes that a tile may take at most, if `tile_px` is not given; by
        default half of what is free.
    precision : {"auto", "single", "half"}
        Floating-point precision of the network; ``auto`` is half on CUDA devices if the model
        gives the same probabilities there, see `Precision`.
    with_familiarity : bool
        Whether to also look how familiar each plane is to the model, if it can tell that.
    """

    def __init__(
        self,
        model: SegmentationModel,
        device: Device | None = None,
        *,
        tile_px: int | None = None,
        batch_size: int = 1,
        with_confidence: bool = False,
        with_margin: bool = False,
        flips: bool | None = None,
        max_bytes: float | None = None,
        precision: Precision = "auto",
        with_familiarity: bool = False,
    ) -> None:
        self.model = model = model.with_flips(flips)
        self.engine = Engine(
            model, device or choose_device(), tile_px, batch_size, max_bytes, precision
        )
        self.with_confidence, self.with_margin = with_confidence, with_margin
        self.with_familiarity = with_familiarity

    @property
    def tiler(self) -> Tiler:
        """Tiler of the finest scale level, whose tiles decide pixels."""
        return self.engine.levels[-1].tiler

    def run(
        self, image: MicrographStack, planes: Sequence[tuple[int, ...]] | None = None
    ) -> Job[Prediction]:
        """Segment an image or stack.

        Parameters
        ----------
        image : MicrographStack
            Image to segment; its planes are loaded one at a time.
        planes : sequence of tuple of int, optional
            Indices on the leading axes; by default all planes.

        Yields
        ------
        Progress
            After each batch of tiles; steps are blocks of 32 x 32 px (`run_into`).

        Returns
        -------
        Prediction
            Labels, uncertainty where it was asked for, and planes that were left out.

        Raises
        ------
        ImageError
            If no plane can be used.
        """
        watch = ChunkWatch(image)
        labels = np.zeros(image.shape, dtype=np.uint8)
        confidence = np.zeros(image.shape, np.float32) if self.with_confidence else None
        margin = np.zeros(image.shape, np.float32) if self.with_margin else None
        record = RunRecord()
        yield from self.run_into(image, labels, confidence, planes, record=record, margin=margin)
        record.take_notes(image, watch)
        return Prediction(
            labels,
            confidence,
            margin,
            self.model.card.scheme,
            record.left_out,
            tuple(record.notes),
            record.is_partial,
            record.familiarity,
            record.untold,
        )

    def familiar_job(self, plane: Micrograph) -> Job[Familiar | None]:
        """Tell how familiar a plane is to the model; None if that is not wanted or not known.

        Parameters
        ----------
        plane : Micrograph
            Plane with its grey range.

        Yields
        ------
        Progress
            Before each crop.
        """
        if self._familiarity is None:
            return None
        return (yield from self._familiarity.job(plane))

    @functools.cached_property
    def _familiarity(self) -> FamiliarityReader | None:
        known = self.model.familiarity
        if not self.with_familiarity or known is None or not known.is_enough:
            return None
        return FamiliarityReader(self.model, self.engine.device)

    def expect(self, image: MicrographStack) -> None:
        """Prepare for an image whose parts will be segmented in separate runs.

        The backend is then chosen by the work of the whole image: its parts get the same labels as
        the whole only if the same backend computes them.

        Parameters
        ----------
        image : MicrographStack
            The whole image.
        """
        cells = work_of(self.engine.levels, _seen_shape(image), None).cells
        self.engine.expected_cells = cells * self.model.n_flips * image.n_planes

    def run_into(
        self,
        image: MicrographStack,
        labels: Any,
        confidence: Any | None = None,
        planes: Sequence[tuple[int, ...]] | None = None,
        within: Box | None = None,
        record: RunRecord | None = None,
        journal: TileJournal | None = None,
        margin: Any | None = None,
        known_ranges: Mapping[tuple[int, ...], GreyRange] | None = None,
        probabilities: Any | None = None,
    ) -> Job[None]:
        """Segment an image into arrays that are given; finished tiles stay when it is stopped.

        Parameters
        ----------
        image : MicrographStack
            Image to segment.
        labels : array of uint8, shape ``image.shape``
            Array that the class values are written into, tile by tile.
        confidence : array of float32, shape ``image.shape``, optional
            Array for the probability of the chosen class.
        planes : sequence of tuple of int, optional
            Indices on the leading axes; by default all planes.
        within : Box, optional
            Part of each plane to segment; by default all of it. The labels are
            the same as those of the whole plane there.
        record : RunRecord, optional
            Record of the run, filled while it goes on: what is finished or left out.
        journal : TileJournal, optional
            Journal of the tiles that are written: those in it are not computed again, others
            are added.
        margin : array of float32, shape ``image.shape``, optional
            Array for the margin between the chosen class and the next one.
        known_ranges : mapping of tuple of int to GreyRange, optional
            Index of a plane -> its grey range, for planes measured before (`measured_plane`).
        probabilities : array of float32, shape ``(K, *image.shape)``, optional
            Array for the probability of each of the K classes of the model.

        Yields
        ------
        Progress
            After each batch of tiles, and with flips several times for each. Steps are
            blocks of 32 x 32 px that the network computes.

        Raises
        ------
        ImageError
            If no plane can be used.

        Notes
        -----
        A plane of one grey level shows nothing and is left unlabelled, as is one
        with NaN or infinite values in a stack that has others, and one that is excluded as a
        whole. Excluded pixels stay, or become, 0; what they show changes no other label. Rows of
        a bar at the upper or the lower edge are not written at all: the others get exactly the
        labels of the image without it.
        """
        record = RunRecord() if record is None else record
        chosen = list(image.indices()) if planes is None else list(planes)
        engine = self.engine
        first_row, shape = image.first_row, _seen_shape(image)
        if within is not None:
            within = within.below(first_row).clipped(shape)
            if 0 in within.shape:
                return
        work = work_of(engine.levels, shape, within)
        steps = work.cells * self.model.n_flips
        total = steps * len(chosen)
        if (needed := engine.bytes_for(work)) > _WORTH_SAYING:
            yield Progress(0, total, f"about {needed / 2**30:.1f} GB of memory")
        wanted = {CONFIDENCE: confidence, MARGIN: margin}
        if probabilities is not None:
            wanted |= {probability_of(k): array for k, array in enumerate(probabilities)}
        uncertainties = {kind: array for kind, array in wanted.items() if array is not None}
        write_behind, known = WriteBehind(engine.transfers.n_in_flight), known_ranges or {}
        # Large planes are read in parts, and none of them is kept while another one is read.
        affordable = _PREFETCH_PX // (image.shape[-2] * image.shape[-1])
        n_prefetched = min(engine.transfers.n_in_flight, affordable)
        measured = prefetched(
            lambda i: measured_plane(image, i, known.get(i)), chosen, n_prefetched
        )
        with closing(measured), ending_with(write_behind.close):
            for number, index in enumerate(chosen):
                text = numbered("plane", number, len(chosen))
                if index not in known and not isinstance(image.data, np.ndarray):
                    yield Progress(steps * number, total, measuring_text(number, len(chosen)))
                plane = next(measured)
                if isinstance(plane, Micrograph):
                    canvas = partial(Canvas, index=index, first_row=first_row, within=within)
                    run = partial(
                        PlaneRun,
                        engine,
                        plane.below_bar(),
                        canvas(labels),
                        {kind: canvas(array) for kind, array in uncertainties.items()},
                        record,
                        write_behind,
                        total=total,
                        within=within,
                        index=index,
                        journal=journal,
                    )
                    job = self._plane_job(run, record)
                    yield from as_part(job, steps * number, total, text, span=steps)
                    if within is None:
                        looking = self.familiar_job(plane)
                        found = yield from as_part(looking, steps * (number + 1), total, text)
                        if found is not None:
                            record.familiarity[index] = found
                    write_behind.note(partial(record.finished.append, index))
                else:
                    record.left_out[index] = plane
                    record.refuse_if_all_are_damaged(chosen)
                yield Progress(steps * (number + 1), total, text)
        self._note_untold(record, within)

    def _note_untold(self, record: RunRecord, within: Box | None) -> None:
        """Note why it is not known whether whole planes look like what the model learnt."""
        if self.with_familiarity and within is None and not record.familiarity:
            record.untold = untold_of(self.model, len(record.finished))

    def _plane_job(self, make_run: Callable[[], PlaneRun], record: RunRecord) -> Job[None]:
        """Segment a plane; when memory runs out, start it again with a smaller demand."""
        while True:
            try:
                return (yield from make_run().job())
            except OutOfMemoryError as error:
                # What was computed until then is not to take memory while less is tried.
                for failed in filter(None, (error, error.__cause__)):
                    traceback.clear_frames(failed.__traceback__)
                record.notes.append(self.engine.reduce_memory(error))


def _seen_shape(image: MicrographStack) -> tuple[int, int]:
    """Return rows and columns between bars at the upper and the lower edge: what tiles cover."""
    rows, columns = image.used_shape
    return rows - image.first_row, columns


@overload
def segment(
    image: npt.ArrayLike | MicrographStack,
    model: SegmentationModel | str | Path,
    *,
    device: str = "auto",
    rgb: bool | None = None,
    confidence: Literal[False] = False,
    exclude: Any = None,
    scale: str | float = AUTO,
) -> npt.NDArray[np.uint8]: ...


@overload
def segment(
    image: npt.ArrayLike | MicrographStack,
    model: SegmentationModel | str | Path,
    *,
    device: str = "auto",
    rgb: bool | None = None,
    confidence: Literal[True],
    exclude: Any = None,
    scale: str | float = AUTO,
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32]]: ...


def segment(
    image: npt.ArrayLike | MicrographStack,
    model: SegmentationModel | str | Path,
    *,
    device: str = "auto",
    rgb: bool | None = None,
    confidence: bool = False,
    exclude: npt.ArrayLike | ExcludedArea | str | int | None = None,
    scale: str | float = AUTO,
) -> npt.NDArray[np.uint8] | tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32]]:
    """Segment an image or stack: give each pixel its class.

    Parameters
    ----------
    image : array of shape (..., Y, X), or (..., Y, X, 3 or 4) if `rgb`
        Grey levels of any real type; numpy, dask or zarr.
    model : SegmentationModel, str or Path
        A model, or what `load_model` takes: its name or folder.
    device : str
        Device that computes: ``auto``, ``cpu``, ``cuda``, ``cuda:1`` or ``mps``.
    rgb : bool, optional
        Whether the last axis holds colours; required where its length is 1 to 4.
    confidence : bool
        Whether to return the confidence as well.
    exclude : array of shape (Y, X) or (..., Y, X), ExcludedArea, str or int, optional
        What shows no specimen: a mask that is not 0 there, or rows of an info bar:
        ``"auto"`` (found in the first plane), ``77`` (number of rows at the lower edge) or
        ``"691:768"``. Labels and confidence are 0 there, and what it shows changes no others.
    scale : str or float
        ``auto``: where the pixel sizes of the image (of a `MicrographStack`) and of the images
        that the model learnt from are known and differ by more than 1.5, the image is seen
        rescaled; ``none``: never; or a factor from 1/8 to 16: how many image pixels stand for one
        pixel of the images that the model learnt from.

    Returns
    -------
    labels : ndarray of uint8, shape (..., Y, X)
        Class values of ``model.card.scheme``.
    confidence : ndarray of float32, same shape
        Probability of the class that was chosen, 0 where a pixel is left unlabelled; only
        if `confidence`. What it is worth is on the model's card
        (`models.confidence.confidence_text`).

    Raises
    ------
    ImageError
        If it cannot be told whether the last axis holds colours, if the image is
        empty, or if it holds NaN or infinite values.
    OptionError
        If `scale` is no such factor, or no factor makes up for the pixel sizes.
    ModelError
        If there is no such model.
    DeviceError
        If the device is not there or its memory runs out.

    Warns
    -----
    UserWarning
        Where a plane is left unlabelled (0): because all its grey levels are the
        same, or because it holds NaN or infinite values in a stack that is read
        plane by plane (dask, zarr). `Predictor` tells which. Also where memory ran
        out and smaller tiles, or the CPU, were used; where the image was seen rescaled
        because of its pixel size; and where it looks unlike what the model learnt, if that can be
        told (``Predictor(with_familiarity=False)`` does not look).

    Examples
    --------
    >>> import numpy as np
    >>> import napari_fractoseg as nf
    >>> model = nf.load_model("default")
    >>> image = nf.synthetic_fracture(seed=3, shape=(96, 128)).image
    >>> labels = nf.segment(image, model, device="cpu")
    >>> labels.shape, labels.dtype
    ((96, 128), dtype('uint8'))
    >>> labels, confidence = nf.segment(image, model, device="cpu", confidence=True)
    >>> confidence.shape, confidence.dtype
    ((96, 128), dtype('float32'))
    """
    stack = image if isinstance(image, MicrographStack) else _stack_of(image, rgb)
    if exclude is not None:
        stack = _excluding(stack, exclude)
    if not isinstance(image, MicrographStack):
        _refuse_damaged(stack)
    if not isinstance(model, SegmentationModel):
        model = load_model(model)
    seen = Magnification.of(model.card, stack.pixel_size_um, scale)
    model = model.at_scale(seen.scale)
    predictor = Predictor(
        model, choose_device(device), with_confidence=confidence, with_familiarity=True
    )
    prediction = drain(predictor.run(stack))
    told = [] if seen.is_asked or not seen.sentence else [seen.sentence]
    if unlike := unlike_text(prediction.familiarity, stack.shape[:-2]):
        told.append(unlike)
    for reason in (*told, *prediction.notes, *(p.reason for p in prediction.left_out.values())):
        warnings.warn(reason, stacklevel=2)
    if prediction.confidence is None:
        return prediction.labels
    return prediction.labels, prediction.confidence


def _excluding(stack: MicrographStack, exclude: Any) -> MicrographStack:
    """Return an image of which an area is excluded, beside what was excluded before."""
    if isinstance(exclude, (int, np.integer)) and not isinstance(exclude, bool):
        exclude = str(exclude)
    if isinstance(exclude, str):
        return without_bar(stack, exclude)[0]
    if not isinstance(exclude, ExcludedArea):
        mask = exclude if hasattr(exclude, "shape") else np.asarray(exclude)
        if not mask.shape:
            raise ImageError(
                f"exclude is {exclude!r:.80}. It can be a mask of the size of the image, a number "
                "of rows at the lower edge (77), first row and the one after the last ('691:768'), "
                "or 'auto'."
            )
        exclude = ExcludedArea(stack.shape, mask=mask)
    area = exclude if stack.excluded is None else stack.excluded.joined(exclude)
    return replace(stack, excluded=area)


def _stack_of(image: Any, rgb: bool | None) -> MicrographStack:
    """Return an array as a stack."""
    lazy = hasattr(image, "shape") and hasattr(image, "dtype")
    data = image if lazy else np.asarray(image)
    return MicrographStack(data, rgb=has_colours(tuple(data.shape), rgb))


def _refuse_damaged(stack: MicrographStack) -> None:
    """Refuse planes in memory that cannot be used, at once."""
    if isinstance(stack.data, np.ndarray):
        for index in stack.indices():
            if stack.excluded is None or not stack.excluded.of_plane(index).is_all:
                stack.plane(index)
