"""Rehearsal: samples of what a model sees and answers, so that what is learnt keeps its answers.

`rehearsal_job` makes the sample of a trained model, `inherited` that of a readout, and
`rehearsed_samples` gives what a readout is fitted to beside what is painted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch

from napari_fractoseg.classes import ClassScheme
from napari_fractoseg.datasets.dataset import TrainingSet
from napari_fractoseg.errors import ModelError
from napari_fractoseg.images import Micrograph
from napari_fractoseg.images.excluded import PlaneMask
from napari_fractoseg.inference.predictor import Predictor
from napari_fractoseg.jobs import Job, as_part
from napari_fractoseg.models.devices import Device, choose_device, translate_out_of_memory
from napari_fractoseg.models.model import SegmentationModel
from napari_fractoseg.models.side_files.rehearsal import (
    LARGEST_BYTES,
    Rehearsal,
    RehearsalForm,
    n_places_within,
)
from napari_fractoseg.tiling import Box
from napari_fractoseg.training.readout.features import FeatureReader, PlaneFeatures
from napari_fractoseg.training.readout.plan import ReadoutPlan
from napari_fractoseg.training.readout.samples import Samples, answer_job, prior_samples

__all__ = [
    "MOST_IMAGES",
    "answers_of",
    "features_at_random",
    "inherited",
    "rehearsal_job",
    "rehearsed_samples",
]

MOST_IMAGES = 16
"""Images of a training that are sampled."""
_MOST_PX = 1024
"""Edge of the part of an image that is looked at, at most."""
_FEWEST_PLACES = 64
"""Places of a sample that is worth keeping."""


def rehearsal_job(
    model: SegmentationModel,
    taught: TrainingSet,
    plan: ReadoutPlan,
    device: Device | None = None,
) -> Job[Rehearsal]:
    """Sample what a model sees and answers in the images that it learnt from.

    Parameters
    ----------
    model : SegmentationModel
        Trained model.
    taught : TrainingSet
        Its training images, of which at most 16 are looked at, in parts of at most 1024 px edge.
    plan : ReadoutPlan
        Scale levels, components and cells of readouts that are to rehearse it; seed.
    device : Device, optional
        Device that computes; by default the best one there is.

    Yields
    ------
    Progress
        After each tile.

    Returns
    -------
    Rehearsal
        The same number of random places in each image, as many as there is room for.

    Raises
    ------
    ModelError
        If there is no room for what the network sees.
    OutOfMemoryError
        If the device has too little memory.
    """
    device = device or choose_device()
    random = np.random.default_rng(plan.seed)
    planes = [_part_of(plane, random) for plane in _some_of(taught)]
    scheme, sampled = model.card.scheme, []
    with translate_out_of_memory(device, "Choose the CPU, or smaller images."):
        reader = FeatureReader(SegmentationModel(model.card, model.network), plan, device)
        reader.find_basis(planes, plan.seed)
        count = _room(reader) // len(planes)
        if count * len(planes) < _FEWEST_PLACES:
            raise ModelError(
                f"What the network of model {model.card.name!r} sees is too much for a rehearsal "
                f"sample of {LARGEST_BYTES / 1e6:g} MB. Take fewer components."
            )
        predictor = Predictor(model, device, flips=False)
        for number, plane in enumerate(planes):
            done, total, text = 2 * number, 2 * len(planes), f"sampling {plane.name}"
            features = yield from as_part(reader.plane_job(plane), done, total, text, span=1)
            segmenting = answer_job(predictor, plane)
            answer = yield from as_part(segmenting, done + 1, total, text, span=1)
            unpainted = np.zeros_like(answer)
            sampled.append(prior_samples(features, answer, unpainted, scheme, random, count))
    samples = Samples.joined(sampled)
    answers = torch.from_numpy(samples.channels).byte()
    return _sample(reader, samples.features.half(), answers, len(planes))


def inherited(
    reader: FeatureReader,
    weights: torch.Tensor,
    found: Sequence[torch.Tensor],
    earlier: Rehearsal | None = None,
    seed: int = 0,
) -> Rehearsal | None:
    """Return the sample of a readout: places of its own images, and of those it rehearsed.

    Parameters
    ----------
    reader : FeatureReader
        What read the features.
    weights : Tensor of float32, shape (K, D + 1)
        Weights of the readout.
    found : sequence of Tensor of float32, shape (n, D)
        Features at random places of each image that taught (`features_at_random`).
    earlier : Rehearsal, optional
        Sample that it rehearsed (`FeatureReader.rehearsal`): the network that is read is the
        same, so that its features are, too.
    seed : int
        Seed of the choice of places.

    Returns
    -------
    Rehearsal or None
        The same number of places of each image, with the answers of the readout; None if
        there is no room for them.
    """
    n_earlier = 0 if earlier is None else earlier.form.n_images
    n_images = n_earlier + len(found)
    count = _room(reader) // n_images
    random = torch.Generator().manual_seed(seed)
    parts = [_some_rows(part, count, random) for part in found]
    if earlier is not None:
        parts.append(_some_rows(earlier.features.float(), count * n_earlier, random))
    if not parts or count * n_images < _FEWEST_PLACES:
        return None
    features = torch.cat(parts).half()
    return _sample(reader, features, answers_of(features, weights).byte(), n_images)


def features_at_random(
    features: PlaneFeatures, reader: FeatureReader, random: np.random.Generator
) -> torch.Tensor:
    """Return the features at random pixels of a plane, as many as a sample has room for."""
    count = _room(reader)
    box = features.box
    rows, columns = (
        random.integers(start, stop, count)
        for start, stop in ((box.row0, box.row1), (box.column0, box.column1))
    )
    excluded = None if features.excluded is None else features.excluded.in_box(*box.slices)
    if excluded is not None:
        kept = ~excluded[rows - box.row0, columns - box.column0]
        rows, columns = rows[kept], columns[kept]
    return features.at(rows, columns)


def answers_of(features: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Return the channel of the class that a readout gives features (n, D): int64, shape (n,)."""
    return (features.float() @ weights[:, :-1].T + weights[:, -1]).argmax(dim=1)


def rehearsed_samples(
    rehearsal: Rehearsal,
    before: ClassScheme,
    after: ClassScheme,
    renamed: Mapping[str, str] | None = None,
) -> Samples:
    """Return the places of a rehearsal sample with the classes that a model gave them.

    Parameters
    ----------
    rehearsal : Rehearsal
        Sample of a model, read as the readout reads (`FeatureReader.rehearsal`).
    before : ClassScheme
        Classes of that model.
    after : ClassScheme
        Classes of the readout; places of other classes are left out.
    renamed : mapping of str to str, optional
        New name of a class -> its name in `before`.
    """
    renamed = renamed or {}
    table = np.full(256, -1, np.intp)
    for channel, fracture_class in enumerate(after):
        found = before.get(renamed.get(fracture_class.name, fracture_class.name))
        if found is not None:
            table[before.classes.index(found)] = channel
    channels = table[rehearsal.answers.numpy()]
    kept = channels >= 0
    features = rehearsal.features[torch.from_numpy(kept)].float()
    return Samples(features, channels[kept], len(rehearsal))


def _some_of(taught: TrainingSet) -> list[Micrograph]:
    """Return the images of a training set, each once, or some of them."""
    images = [pairs[0].image for pairs in taught.by_image()]
    return images[:: -(-len(images) // MOST_IMAGES)]


def _part_of(plane: Micrograph, random: np.random.Generator) -> Micrograph:
    """Return a part of a plane, without a bar below it, with the grey range of the whole."""
    shape = plane.used_shape
    row, column = (int(random.integers(0, max(length - _MOST_PX, 0) + 1)) for length in shape)
    part = Box(row, row + _MOST_PX, column, column + _MOST_PX).clipped(shape)
    mask = None if plane.excluded is None else plane.excluded.in_box(*part.slices)
    return replace(
        plane,
        data=np.asarray(plane.data[part.slices]),
        known_range=plane.grey_range,
        excluded=None if mask is None else PlaneMask(part.shape, (), mask),
    )


def _room(reader: FeatureReader) -> int:
    """Return how many places a sample of these features has room for."""
    shape = reader.projector_shape
    return n_places_within(shape.n_outputs, sum(shape.widths), len(reader.reductions))


def _some_rows(rows: torch.Tensor, count: int, random: torch.Generator) -> torch.Tensor:
    return rows[torch.randperm(len(rows), generator=random)[:count]]


def _sample(
    reader: FeatureReader, features: torch.Tensor, answers: torch.Tensor, n_images: int
) -> Rehearsal:
    """Return places with their answers as a sample, without those beyond half precision."""
    plan, kept = reader.plan, torch.isfinite(features).all(dim=1)
    form = RehearsalForm(reader.reductions, plan.n_components, plan.grid_px, n_images)
    return Rehearsal(form, *reader.basis, features[kept], answers[kept])
