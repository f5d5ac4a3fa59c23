"""Training from data to model: a new network, or one that is fine-tuned."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from napari_fractoseg.classes import DEFAULT_SCHEME, ClassScheme
from napari_fractoseg.datasets.dataset import TrainingSet
from napari_fractoseg.datasets.sources import read_training_set
from napari_fractoseg.errors import DownloadError
from napari_fractoseg.jobs import Job, drain
from napari_fractoseg.models.card import ModelCard
from napari_fractoseg.models.change_classes import with_classes
from napari_fractoseg.models.devices import Device, choose_device
from napari_fractoseg.models.model import SegmentationModel
from napari_fractoseg.models.pretrained import (
    fetch_weights_job,
    fill_encoder,
    find_weights,
)
from napari_fractoseg.training.data.split import Split, earlier_blocks, split_training_set
from napari_fractoseg.training.distributed import Processes
from napari_fractoseg.training.loop import FineTuned, Trainer
from napari_fractoseg.training.plan import TrainingPlan

__all__ = ["continued_plan", "new_model", "pretrained_model_job", "train", "train_job"]


def new_model(plan: TrainingPlan, training_set: TrainingSet, name: str) -> SegmentationModel:
    """Make a network with random weights, repeatable by the plan's seed."""
    options: dict[str, Any] = {}
    if plan.decoder_channels:
        options = {
            "decoder_channels": plan.decoder_channels,
            "encoder_depth": len(plan.decoder_channels),
        }
    card = ModelCard(
        name=name, scheme=training_set.scheme, architecture=plan.architecture, encoder=plan.encoder
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(plan.seed)
        return SegmentationModel.create(card, **options)


def pretrained_model_job(
    plan: TrainingPlan, training_set: TrainingSet, name: str, *, or_random: bool = False
) -> Job[tuple[SegmentationModel, TrainingPlan, tuple[str, ...]]]:
    """Make a new network, and fill in the encoder's weights that the plan names.

    Parameters
    ----------
    plan : TrainingPlan
        Names encoder and weights.
    training_set : TrainingSet
        Has the classes.
    name : str
        Title of the model.
    or_random : bool
        Go on with random weights if the others cannot be fetched.

    Yields
    ------
    Progress
        0 of 0 steps, while weights are fetched.

    Returns
    -------
    model : SegmentationModel
    plan : TrainingPlan
        With the hash of the weights; without weights, if they could not be fetched.
    notes : tuple of str
        Says so.

    Raises
    ------
    DownloadError, ModelError
        If the weights cannot be had.
    """
    model = new_model(plan, training_set, name)
    if plan.encoder_weights == "none":
        return model, plan, ()
    published = find_weights(plan.encoder, plan.encoder_weights)
    try:
        digest = yield from fetch_weights_job(published, plan.encoder_sha256)
    except DownloadError as error:
        if not or_random:
            raise
        plan = replace(plan, encoder_weights="none", encoder_sha256="")
        return model, plan, (f"The encoder began with random weights. {error}",)
    fill_encoder(model.network, published)
    text = f"The encoder began with {published.kind} weights from {published.url}."
    return model.with_card(description=text), replace(plan, encoder_sha256=digest), ()


def continued_plan(plan: TrainingPlan, parent: ModelCard) -> TrainingPlan:
    """Return a plan with the choices that a fine-tuned model takes from its parent.

    These are architecture, encoder, reductions and flips: the network was made
    for them. Its encoder needs no other weights.
    """
    reductions = parent.inference.reductions
    learnt_at = parent.lineage.plan.get("reduction")
    return replace(
        plan,
        architecture=parent.architecture,
        encoder=parent.encoder,
        encoder_weights="none",
        encoder_sha256="",
        reduction=learnt_at if learnt_at in reductions else reductions[0],
        test_reductions=reductions,
        test_flips=parent.inference.flips,
    )


def train_job(
    training_set: TrainingSet,
    *,
    plan: TrainingPlan | None = None,
    start: SegmentationModel | None = None,
    scheme: ClassScheme | None = None,
    renamed: Mapping[str, str] | None = None,
    name: str = "own model",
    validation: Sequence[str] = (),
    device: Device | None = None,
    processes: Processes = Processes(),  # noqa: B008 - frozen
    should_stop: Callable[[], bool] | None = None,
    checkpoint: Path | None = None,
    or_random: bool = False,
) -> Job[FineTuned]:
    """Train a new model, or fine-tune one.

    Parameters
    ----------
    training_set : TrainingSet
        Images with labels.
    plan : TrainingPlan, optional
        How to train.
    start : SegmentationModel, optional
        Model to fine-tune: its network and test-time choices are kept. By
        default the network is new.
    scheme : ClassScheme, optional
        Classes of the new model; by default those of `start`, or of the
        training set. See `with_classes`.
    renamed : mapping of str to str, optional
        New name of a class -> its name in `start`.
    name : str
        Title of the model.
    validation : sequence of str
        Names of images that are held out to choose the best weights by; by
        default the plan says how to choose them.
    device : Device, optional
        By default `choose_device`.
    processes : Processes
        See `Trainer`.
    should_stop : callable, optional
        See `Trainer.run_split`.
    checkpoint : Path, optional
        See `Trainer.run_split`.
    or_random : bool
        Go on with random weights if those that the plan names cannot be fetched.

    Yields
    ------
    Progress
        After each step; 0 of 0 while weights are fetched.

    Returns
    -------
    FineTuned

    Raises
    ------
    TrainingError
        If data, plan and model do not fit together.
    DownloadError, ModelError
        If the encoder's weights cannot be had.
    """
    plan = plan or TrainingPlan()
    held_out, notes = {}, tuple[str, ...]()
    if start is None:
        training_set = training_set.with_scheme(scheme or training_set.scheme)
        training_set.check_teachable()
        model, plan, notes = yield from pretrained_model_job(
            plan, training_set, name, or_random=or_random
        )
    else:
        plan = continued_plan(plan, start.card)
        held_out = earlier_blocks(start.card)
        start = with_classes(start, scheme or start.card.scheme, renamed=renamed, seed=plan.seed)
        training_set = training_set.with_scheme(start.card.scheme)
        model = start.with_card(name=name, description=f"Fine-tuned from {start.card.name}.")
    training_set.check_teachable()
    if validation:
        split = Split(*training_set.split(validation))
    else:
        split = split_training_set(
            training_set,
            plan.split,
            held_out=plan.held_out,
            gap_px=plan.gap_px,
            earlier=held_out,
        )
    split = replace(split, notes=(*notes, *split.notes))
    trainer = Trainer(model, plan, device, processes)
    return (yield from trainer.run_split(split, should_stop, checkpoint))


def train(
    images: Path | str,
    labels: Path | str,
    *,
    plan: TrainingPlan | None = None,
    start: SegmentationModel | None = None,
    name: str = "own model",
    mask_values: Mapping[int, str] | None = None,
    unlabelled_as: str | None = None,
    validation: Sequence[str] = (),
    device: str = "auto",
    predictions_as_truth: bool = False,
) -> FineTuned:
    """Train a model on images with labels.

    Parameters
    ----------
    images : Path or str
        Folder of images.
    labels : Path or str
        Folder of masks named like the images, or a VIA 2 JSON file.
    plan : TrainingPlan, optional
        How to train; 600 steps by default.
    start : SegmentationModel, optional
        Model to fine-tune: its network, classes and test-time choices are
        kept. By default the network is new.
    name : str
        Title of the model.
    mask_values : mapping of int to str, optional
        Value in the mask files -> class name, see `read_training_set`.
    unlabelled_as : str, optional
        Class that pixels without a label belong to; by default they teach
        nothing.
    validation : sequence of str
        Names of images (without suffix) that are held out to choose the best
        weights by. Hold out whole specimens: images of one fracture surface
        are alike.
    device : str
        ``auto``, ``cpu``, ``cuda``, ``cuda:1`` or ``mps``.
    predictions_as_truth : bool
        Learn also from masks that a model gave and nobody touched since; by default
        they are refused.

    Returns
    -------
    FineTuned
        With ``model``, to be saved by ``model.save(folder)``, and ``history``.

    Raises
    ------
    TrainingError, AnnotationError, ImageError, ClassSchemeError
        If data, plan and model do not fit together.
    DeviceError
        If the device is not there or its memory runs out.

    Examples
    --------
    >>> import napari_fractoseg as nf
    >>> result = nf.train("images", "labels", validation=["s17_3"])  # doctest: +SKIP
    >>> result.model.save("my-model")  # doctest: +SKIP
    """
    training_set = read_training_set(
        images,
        labels,
        scheme=DEFAULT_SCHEME if start is None else start.card.scheme,
        mask_values=mask_values,
        unlabelled_as=unlabelled_as,
        predictions_as_truth=predictions_as_truth,
    )
    return drain(
        train_job(
            training_set,
            plan=plan,
            start=start,
            name=name,
            validation=validation,
            device=choose_device(device),
        )
    )
