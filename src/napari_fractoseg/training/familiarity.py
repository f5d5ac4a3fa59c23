"""Familiarity of a trained model: statistics of its training images, made when it is trained."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch

from napari_fractoseg.datasets.dataset import TrainingSet
from napari_fractoseg.errors import FractosegError, ModelError, translated
from napari_fractoseg.inference.familiarity import BlockReader, FamiliarityReader
from napari_fractoseg.jobs import Job, as_part
from napari_fractoseg.models.devices import Device
from napari_fractoseg.models.model import SegmentationModel
from napari_fractoseg.models.networks.readout import network_below
from napari_fractoseg.models.side_files.familiarity import Familiarity, FamiliarityForm
from napari_fractoseg.training.data.sample import few_images
from napari_fractoseg.training.loop import FineTuned
from napari_fractoseg.training.plan import TrainingPlan

__all__ = ["familiarity_job", "with_familiarity_job"]

_MOST_IMAGES = 16
"""Images of a training that are looked at, and of each at most so many crops:"""
_MOST_CROPS = 4
_MOST_DRIFT = 0.05
"""Change of the score of a training image, in parts of the limit, up to which an encoder that was
trained further sees as before."""


def familiarity_job(
    model: SegmentationModel,
    taught: TrainingSet,
    device: Device | None = None,
    group_of: Callable[[str], str] | None = None,
) -> Job[Familiarity]:
    """Look at training images with the encoder of a model.

    Parameters
    ----------
    model : SegmentationModel
        Trained model.
    taught : TrainingSet
        Its training images, of which at most 16 are looked at.
    device : Device, optional
        Device that computes; by default the best one there is.
    group_of : callable, optional
        Function that gives the group of an image by its name, such as its specimen: images of a
        group are left out together when the limit is measured. By default each is its own.

    Yields
    ------
    Progress
        Before each crop.

    Returns
    -------
    Familiarity
        Statistics of the images; of too few, `Familiarity.is_enough` is false.
    """
    chosen = few_images(taught, _MOST_IMAGES).by_image()
    reduction = model.card.learnt_reduction
    reader = BlockReader(model, reduction, device)
    maps, places = [], []
    names: list[str] = []
    for number, pairs in enumerate(chosen):
        image = pairs[0].image
        text = f"looking at {image.name}"
        job = reader.pieces_job(image, _MOST_CROPS)
        pieces = yield from as_part(job, number, len(chosen), text, span=1)
        names.append(group_of(image.name) if group_of is not None else str(number))
        group = names.index(names[-1])
        for piece in (piece for row in pieces for piece in row):
            maps.append(piece)
            places.append((number, group))
    images, groups = zip(*places, strict=True)
    finest = min(model.card.inference.reductions)
    form = FamiliarityForm(reduction, finest, (len(chosen),))
    return Familiarity(form, tuple(maps), (0,) * len(maps), images, groups)


def with_familiarity_job(
    result: FineTuned,
    start: SegmentationModel | None,
    taught: TrainingSet,
    plan: TrainingPlan,
    device: Device | None = None,
) -> Job[FineTuned]:
    """Add statistics of the training images to a model, which stays as it is if that goes wrong.

    Parameters
    ----------
    result : FineTuned
        Result of a training.
    start : SegmentationModel or None
        Model that it started from: where its encoder is the same still, as below a readout, what
        it knows is known, too. Of too few images its statistics stay if they hold still.
    taught : TrainingSet
        Images that taught.
    plan : TrainingPlan
        Plan of the training, whose steps are done.
    device : Device, optional
        Device that computes.

    Yields
    ------
    Progress
        Before each crop.

    Returns
    -------
    FineTuned
        With statistics, or with a note, and an entry on the card, on why there are none.

    Notes
    -----
    Too few images for a limit of their own leave the model what its start knows, if all of them
    look familiar by that, and the encoder scores them as before (within 5 % of the limit).
    """
    model = result.model
    done = 1 if plan.method == "readout" else plan.max_steps
    try:
        with translated(ModelError, "They cannot be made"):
            job = familiarity_job(model, taught, device)
            found = yield from as_part(job, done, done, "looking at what it learnt")
    except FractosegError as error:  # minutes or hours of training are worth more
        return _without(result, str(error))
    if not found.is_enough:
        looking = _still_known_job(start, model, taught, device)
        kept = yield from as_part(looking, done, done, "looking at what it learnt")
        few = _few_text(found.n_images)
        if kept is None:
            return _without(result, f"{few} to tell that by. Train on more.", found.n_images)
        note = (
            "Which images look unlike what the model learnt is told by those of the model that it "
            f"started from: {few}, and look like those."
        )
        model = model.with_familiarity(kept, of_start=True)
        return replace(result, model=model, notes=(*result.notes, note))
    if start is not None and start.familiarity is not None and has_same_encoder(start, model):
        found = start.familiarity.and_then(found)
    return replace(result, model=model.with_familiarity(found))


def _few_text(n_images: int) -> str:
    if n_images == 1:
        return "1 image of this size is too little"
    return f"{n_images} images of this size are too few"


def _still_known_job(
    start: SegmentationModel | None,
    model: SegmentationModel,
    taught: TrainingSet,
    device: Device | None,
) -> Job[Familiarity | None]:
    """Return what a start knows if that holds for a model trained on few images; else None."""
    known = None if start is None else start.familiarity
    if start is None or known is None or not known.is_enough:
        return None
    # Each source is read as it was, whatever the scale levels of the new model are.
    finest = min(model.card.inference.reductions)
    moved = replace(known, form=replace(known.form, finest=finest))
    now = FamiliarityReader(model.with_familiarity(moved), device)
    before = None if has_same_encoder(start, model) else FamiliarityReader(start, device)
    for pairs in few_images(taught, _MOST_IMAGES).by_image():
        found = yield from now.job(pairs[0].image)
        if found is None or found.unlike:
            return None
        if before is not None:
            earlier = yield from before.job(pairs[0].image)
            if earlier is None:
                return None
            drift = abs(np.nanmean(found.scores) - np.nanmean(earlier.scores)) / earlier.limit
            if not drift <= _MOST_DRIFT:
                return None
    return moved


def _without(result: FineTuned, why: str, n_images: int | None = None) -> FineTuned:
    note = f"The model does not say which images look unlike what it learnt: {why}"
    model = result.model.without_familiarity(n_images)
    return replace(result, model=model, notes=(*result.notes, note))


def has_same_encoder(one: SegmentationModel, other: SegmentationModel) -> bool:
    """Whether two models see the same: the weights of their encoders are alike to the bit."""
    mine, other_ones = (_encoder_weights(model) for model in (one, other))
    return mine.keys() == other_ones.keys() and all(
        torch.equal(weight.cpu(), other_ones[name].cpu()) for name, weight in mine.items()
    )


def _encoder_weights(model: SegmentationModel) -> dict[str, torch.Tensor]:
    state = network_below(model.network).state_dict()
    return {name: weight for name, weight in state.items() if name.startswith("encoder.")}
