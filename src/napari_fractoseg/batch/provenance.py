"""Label records of the files that a run segments."""

from __future__ import annotations

from collections.abc import Mapping

from napari_fractoseg import __version__
from napari_fractoseg.batch.tasks import SegmentTask
from napari_fractoseg.classes import ClassScheme
from napari_fractoseg.images import MicrographStack
from napari_fractoseg.images.calibration import known_size
from napari_fractoseg.models.model import SegmentationModel
from napari_fractoseg.results.familiar import Familiar, record_entries
from napari_fractoseg.results.record import LabelRecord

__all__ = ["record_of", "shown_scheme"]


def shown_scheme(task: SegmentTask, scheme: ClassScheme) -> ClassScheme:
    """Return a model's classes in the colours that the settings of a task ask for."""
    palette = task.settings.palette
    return scheme if palette is None else scheme.with_palette(palette)


def record_of(
    task: SegmentTask,
    stack: MicrographStack,
    model: SegmentationModel,
    *,
    device: str,
    tile_px: int,
    halo_px: int,
    labels_sha256: str = "",
    familiarity: Mapping[tuple[int, ...], Familiar] | None = None,
    untold: str = "",
) -> LabelRecord:
    """Return the label record of a task's result.

    Parameters
    ----------
    task : SegmentTask
        Task with its settings, such as the name of the model.
    stack : MicrographStack
        Image that was segmented.
    model : SegmentationModel
        Model as it was used, with or without mirror images.
    device : str
        Processor or GPU that computed the result, in words.
    tile_px : int
        Edge length of a tile's core in image pixels.
    halo_px : int
        Width of the halo around the core in image pixels.
    labels_sha256 : str
        Hash of the labels; empty for results that are no labels, such as confidence.
    familiarity : mapping of tuple of int to Familiar, optional
        Index of a plane -> how familiar it is to the model.
    untold : str
        Sentence on why that is not known.
    """
    return LabelRecord(
        model_name=model.card.name,
        model_digest=model.digest,
        image=stack.name,
        scheme=shown_scheme(task, model.card.scheme),
        labels_sha256=labels_sha256,
        model=str(task.settings.model),
        device=device,
        flips=model.card.inference.flips,
        tile_px=tile_px,
        halo_px=halo_px,
        version=__version__,
        excluded={} if stack.excluded is None else stack.excluded.to_dict(),
        pixel_size=known_size(stack.pixel_size),
        scale_factor=float(model.image_scale),
        **record_entries(familiarity or {}, stack.shape[:-2], untold),
        temperature=model.card.inference.temperature,
    )
