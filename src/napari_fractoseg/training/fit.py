"""Training from data to model: a new network, or one that is fine-tuned."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from napari_fractoseg.annotations.options import STRICT, AnnotationOptions
from napari_fractoseg.bar_option import AUTO
from napari_fractoseg.classes import DEFAULT_SCHEME, ClassScheme
from napari_fractoseg.datasets.dataset import TrainingSet
from napari_fractoseg.datasets.sources import read_training_set
from napari_fractoseg.errors import DownloadError, TrainingError
from napari_fractoseg.jobs import Job, drain
from napari_fractoseg.models.card import ModelCard
from napari_fractoseg.models.devices import Device, choose_device
from napari_fractoseg.models.model import SegmentationModel
from napari_fractoseg.models.networks.pretrained import (
    fetch_weights_job,
    fill_encoder,
    find_weights,
)
from napari_fractoseg.training.checkpoint import Checkpoint
from napari_fractoseg.training.data.pixel_size import common_pixel_size, parent_note
from napari_fractoseg.training.data.split import Split, earlier_blocks, split_training_set
from napari_fractoseg.training.distributed import Processes, is_first_process
from napari_fractoseg.training.familiarity import with_familiarity_job
from napari_fractoseg.training.loop import FineTuned, Trainer
from napari_fractoseg.training.outcome import painted_job
from napari_fractoseg.training.plan import TrainingPlan
from napari_fractoseg.training.presets import continued_plan, suggested_plan
from napari_fractoseg.training.readout.training import train_readout, with_rehearsal_job
from napari_fractoseg.training.readout_first import FineTuning

__all__ = ["new_model", "pretrained_model_job", "train", "train_job"]

logger = logging.getLogger(__name__)


def new_model(plan: TrainingPlan, training_set: TrainingSet, name: str) -> SegmentationModel:
    """Return a model with random weights, repeatable by the plan's seed.

    Parameters
    ----------
    plan : TrainingPlan
        Architecture, encoder and seed.
    training_set : TrainingSet
        Labelled images whose classes the model is to tell apart.
    name : str
        Title of the model.
    """
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
        Architecture, encoder and the weights to fetch for it.
    training_set : TrainingSet
        Labelled images whose classes the model is to tell apart.
    name : str
        Title of the model.
    or_random : bool
        Whether the encoder gets random weights if the others cannot be fetched.

    Yields
    ------
    Progress
        Zero of zero steps, while weights are fetched.

    Returns
    -------
    model : SegmentationModel
        Model that is ready to be trained.
    plan : TrainingPlan
        Plan with the hash of the weights; without weights, if they could not be fetched.
    notes : tuple of str
        Sentence for the user if random weights were taken, else empty.

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
            raise DownloadError(str(error), options=("or_random",)) from error
        plan = replace(plan, encoder_weights="none", encoder_sha256="")
        return model, plan, (f"The encoder began with random weights. {error}",)
    fill_encoder(model.network, published)
    text = f"The encoder began with {published.kind} weights from {published.url}."
    return model.with_card(description=text), replace(plan, encoder_sha256=digest), ()


def train_job(
    training_set: TrainingSet,
    *,
    plan: TrainingPlan | Mapping[str, Any] | None = None,
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
    plan : TrainingPlan or mapping, optional
        Whole plan of the training, or entries that go before the preset
        (`suggested_plan`), which is the same in the dock and on the command
        line.
    start : SegmentationModel, optional
        Model to fine-tune: its network and test-time choices are kept. By
        default the network is new.
    scheme : ClassScheme, optional
        Classes of the new model; by default those of `start`, or of the
        training set. Classes that `start` has keep what it learnt about them.
    renamed : mapping of str to str, optional
        New name of a class -> its name in `start`.
    name : str
        Title of the model.
    validation : sequence of str
        Names of images that are held out to choose the best weights by; by
        default the plan says how to choose them.
    device : Device, optional
        Processor or GPU to train on; by default the best one there is.
    processes : Processes
        Numbers of processes that share each step; by default one.
    should_stop : callable, optional
        Function that is asked after each step; True makes it the last one.
    checkpoint : Path, optional
        File that the state is written to, and from which an interrupted run goes
        on if it is there.
    or_random : bool
        Whether the encoder gets random weights if those that the plan names
        cannot be fetched, or could not be when the run of this checkpoint began.

    Yields
    ------
    Progress
        Steps done, after each step; 0 of 0 while weights are fetched.

    Returns
    -------
    FineTuned
        Model with its history of losses and figures.

    Raises
    ------
    TrainingError
        If data, plan and model do not fit together.
    DownloadError, ModelError
        If the encoder's weights cannot be had.
    """
    if not isinstance(plan, TrainingPlan):
        plan = suggested_plan(None if start is None else start.card, plan or {})
    job: Job[FineTuned]
    if plan.method == "readout":
        start = _something_to_read(start)
        plan = continued_plan(plan, start.card)
        training_set = training_set.with_scheme(scheme or training_set.scheme)
        split = _split(training_set, plan, validation, start.card)
        job = train_readout(start, split, plan, name, device, renamed)
    elif start is None:
        training_set = training_set.with_scheme(scheme or training_set.scheme)
        training_set.check_teachable()
        if or_random and checkpoint is not None:
            plan = _as_it_began(plan, checkpoint)
        model, plan, notes = yield from pretrained_model_job(
            plan, training_set, name, or_random=or_random
        )
        split = _split(training_set, plan, validation)
        split = replace(split, notes=(*notes, *split.notes))
        job = Trainer(model, plan, device, processes).run_split(split, should_stop, checkpoint)
    else:
        training_set = training_set.with_scheme(scheme or start.card.scheme)
        split = _split(training_set, plan, validation, start.card)
        # Images that somebody named stay unseen.
        everything = None if validation else training_set
        job = FineTuning(
            start,
            plan,
            split,
            name,
            renamed or {},
            device,
            processes,
            should_stop,
            checkpoint,
            everything,
        ).job()
    result = (yield from job).with_pixel_size(*common_pixel_size(split.learn))
    if "painted" not in result.model.card.metrics:
        done, total = (1, 1) if plan.method == "readout" else (len(result.history), plan.max_steps)
        share = yield from painted_job(result.model, split.learn, device, done, total)
        result = result.with_metrics(painted=share.to_dict())
    if not is_first_process():
        return result
    if plan.method != "readout":
        result = yield from with_rehearsal_job(result, start, split.learn, plan, device)
    return (yield from with_familiarity_job(result, start, split.learn, plan, device))


def _split(
    training_set: TrainingSet,
    plan: TrainingPlan,
    validation: Sequence[str],
    start: ModelCard | None = None,
) -> Split:
    """Hold out the images that were named, or what the plan and the card of a parent say."""
    training_set.check_teachable()
    if validation:
        split = Split(*training_set.split(validation))
    else:
        earlier = {} if start is None else earlier_blocks(start)
        split = split_training_set(
            training_set, plan.split, held_out=plan.held_out, gap_px=plan.gap_px, earlier=earlier
        )
    note = "" if start is None else parent_note(start, training_set)
    return replace(split, notes=(*split.notes, note)) if note else split


def _something_to_read(start: SegmentationModel | None) -> SegmentationModel:
    if start is None:
        raise TrainingError(
            "A readout sums up what a model sees. Choose a model to start from, such as default "
            "(--from default), or the method deep for a new network."
        )
    return start


def _as_it_began(plan: TrainingPlan, checkpoint: Path) -> TrainingPlan:
    """Return a plan with random weights if the run of a checkpoint began with them."""
    if checkpoint.exists():
        began = Checkpoint.read(checkpoint, with_tensors=False).plan
        if began.get("encoder_weights") == "none":
            return replace(plan, encoder_weights="none", encoder_sha256="")
    return plan


def train(
    images: Path | str,
    labels: Path | str,
    *,
    plan: TrainingPlan | Mapping[str, Any] | None = None,
    start: SegmentationModel | None = None,
    name: str = "own model",
    mask_values: Mapping[int, str] | None = None,
    unlabelled_as: str | None = None,
    annotations: AnnotationOptions = STRICT,
    validation: Sequence[str] = (),
    device: str = "auto",
    predictions_as_truth: bool = False,
    exclude_bar: str = AUTO,
) -> FineTuned:
    """Train a model on images with labels.

    Parameters
    ----------
    images : Path or str
        Folder of images.
    labels : Path or str
        Folder of masks named like the images, or a VIA file.
    plan : TrainingPlan or mapping, optional
        Training plan, taken as it is. Entries of a plan, such as
        ``{"max_minutes": 5}``, go before the preset that the dock takes, too:
        small steps that stay close to `start`, or those for a new network; 600
        steps if no time is given.
    start : SegmentationModel, optional
        Model to fine-tune: its network, classes and test-time choices are
        kept. By default the network is new.
    name : str
        Title of the model.
    mask_values : mapping of int to str, optional
        Value in the mask files -> class name; values that are not listed are
        unlabelled. By default values are those of ``classes.json`` beside the
        masks, or of the known classes.
    unlabelled_as : str, optional
        Class that pixels without a label belong to; by default they teach
        nothing.
    annotations : AnnotationOptions
        Choice of the class of a region in a VIA file, and of what is left out.
    validation : sequence of str
        Names of images (without suffix) that are held out to choose the best
        weights by. Hold out whole specimens: images of one fracture surface
        are alike.
    device : str
        Device to train on: ``auto``, ``cpu``, ``cuda``, ``cuda:1`` or ``mps``.
    predictions_as_truth : bool
        Whether masks that a model gave and nobody touched since are learnt from; by
        default they are refused.
    exclude_bar : str
        Rows of the images that are left out as their info bar, as in `read_training_set`.

    Returns
    -------
    FineTuned
        Result with ``model``, to be saved by ``model.save(folder)``, and ``history``;
        its ``notes`` say what was left out.

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
    >>> model = nf.load_model("default")
    >>> result = nf.train("new", "via.json", start=model, plan={"seed": 1})  # doctest: +SKIP
    >>> result.model.save("my-model")  # doctest: +SKIP
    """
    training_set = read_training_set(
        images,
        labels,
        scheme=DEFAULT_SCHEME if start is None else start.card.scheme,
        mask_values=mask_values,
        unlabelled_as=unlabelled_as,
        annotations=annotations,
        predictions_as_truth=predictions_as_truth,
        exclude_bar=exclude_bar,
    )
    for note in training_set.notes:
        logger.warning("%s", note)
    result = drain(
        train_job(
            training_set,
            plan=plan,
            start=start,
            name=name,
            validation=validation,
            device=choose_device(device),
        )
    )
    return replace(result, notes=(*training_set.notes, *result.notes))
