"""Learning of a readout: from painted pixels to a model like any other."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from fractions import Fraction
from functools import partial

import numpy as np
import numpy.typing as npt
import torch

from napari_fractoseg.classes import UNLABELLED, ClassScheme
from napari_fractoseg.datasets.dataset import TrainingSet
from napari_fractoseg.images import Micrograph
from napari_fractoseg.inference.predictor import Predictor
from napari_fractoseg.jobs import Job, Progress, as_part
from napari_fractoseg.models.devices import Device, choose_device, translate_out_of_memory
from napari_fractoseg.models.model import SegmentationModel
from napari_fractoseg.models.side_files.rehearsal import Rehearsal
from napari_fractoseg.training.data.pixel_size import parent_scale
from napari_fractoseg.training.readout.cost import KeepingCost, keeping_cost
from napari_fractoseg.training.readout.features import FeatureReader, PlaneFeatures
from napari_fractoseg.training.readout.plan import ReadoutPlan
from napari_fractoseg.training.readout.regression import fit_readout
from napari_fractoseg.training.readout.rehearsal import (
    MOST_IMAGES,
    features_at_random,
    inherited,
    rehearsed_samples,
)
from napari_fractoseg.training.readout.samples import (
    Samples,
    answer_job,
    painted_samples,
    prior_samples,
    values_in,
)

__all__ = ["as_model", "fit_samples", "knows_all", "learn_readout"]

_MOST_COMPARED = 8
"""Images that are kept in memory to tell what rehearsing costs in them."""
_NEVER = -1e3
"""Score of a class that no sample has: it is never the answer."""


def knows_all(
    start: ClassScheme, taught: TrainingSet, renamed: Mapping[str, str] | None = None
) -> bool:
    """Whether a model with a scheme knows all classes that are taught, or did by other names.

    Then what is painted corrects its answer, which is worth something where nothing is painted;
    otherwise the task is another one, and its answer says nothing.
    """
    counts = taught.pixel_counts()
    table = values_in(start, taught.scheme, renamed)
    known = set(table[list(start.values)].tolist())
    return all(taught.scheme.find(name).value in known for name, n_px in counts.items() if n_px)


def fit_samples(
    painted: Samples,
    prior: Samples | None,
    n_classes: int,
    plan: ReadoutPlan,
    reader: FeatureReader,
    rehearsed: Samples | None = None,
    near: torch.Tensor | None = None,
) -> torch.Tensor:
    """Fit a readout to samples; classes that have none are never the answer.

    Parameters
    ----------
    painted : Samples
        Samples that people painted: together they have the weight 1.
    prior : Samples or None
        Samples of the model's own answer, together with the weight of the plan, or less where
        much is painted. Without them its log-probabilities are not read either, and with them
        the fixed filters are not: what is fine and local helps where the task is another one.
    n_classes : int
        Number of classes K.
    plan : ReadoutPlan
        Regularisation, and weight of the model's answer.
    reader : FeatureReader
        What read the features: it knows which of them are filters, and which are answers.
    rehearsed : Samples, optional
        Places of other images with the model's own answers (`rehearsed_samples`), together with
        the weight of the plan.
    near : Tensor of float32, shape (K, D + 1), optional
        Weights of an earlier fit to nearly the same samples: from there it is a shorter way.

    Returns
    -------
    Tensor of float32, shape (K, D + 1)
        Weights as `fit_readout` returns them.
    """
    penalty, share = plan.penalty, plan.prior
    if rehearsed is not None and plan.rehearsal > 0 and len(rehearsed) > 0:
        penalty, share = plan.rehearsed_penalty, min(plan.rehearsed_prior, share)
    features, targets = [painted.features], [painted.targets(n_classes)]
    weights = [torch.full((len(painted),), 1 / max(len(painted), 1))]
    has_prior = prior is not None and plan.prior > 0 and len(prior) > 0
    if prior is not None and has_prior:
        features.append(prior.features)
        targets.append(prior.targets(n_classes))
        # The more is painted, the less the model's answer counts.
        weights.append(torch.full((len(prior),), share / prior.n_px))
    if rehearsed is not None and plan.rehearsal > 0 and len(rehearsed) > 0:
        features.append(rehearsed.features)
        targets.append(rehearsed.targets(n_classes))
        weights.append(torch.full((len(rehearsed),), plan.rehearsal / rehearsed.n_px))
    # A larger feature needs smaller weights, which the penalty spares.
    gains = torch.ones(painted.features.shape[1])
    by_level = gains.view(len(plan.reductions), -1)
    by_level[:, reader.answers] = plan.answer_gain if has_prior else 0.0
    by_level[:, reader.filters] = 0.0 if has_prior else plan.filter_gain
    goals = torch.cat(targets)
    present = goals.sum(dim=0) > 0
    begin = None
    if near is not None and bool((near[present, -1] > _NEVER / 2).all()):
        used = gains.clamp(min=1e-6)
        begin = torch.cat([near[present, :-1] / used * (gains > 0), near[present, -1:]], dim=1)
    fitted = fit_readout(
        torch.cat(features) * gains, goals[:, present], torch.cat(weights), penalty, begin
    )
    found = torch.zeros(n_classes, fitted.shape[1])
    found[:, -1] = _NEVER
    found[present] = torch.cat([fitted[:, :-1] * gains, fitted[:, -1:]], dim=1)
    return found


def as_model(
    start: SegmentationModel,
    reader: FeatureReader,
    weights: torch.Tensor,
    scheme: ClassScheme,
    rehearsal: Rehearsal | None = None,
) -> SegmentationModel:
    """Return a readout as a model of its own; its card is that of the model it reads.

    Parameters
    ----------
    start : SegmentationModel
        Model whose features were read.
    reader : FeatureReader
        What reads them.
    weights : Tensor of float32, shape (K, D + 1)
        Weights of the readout.
    scheme : ClassScheme
        Its K classes.
    rehearsal : Rehearsal, optional
        Its own sample (`inherited`).
    """
    inference = dataclasses.replace(reader.inference, combine="sum")
    card = dataclasses.replace(start.card.uncalibrated(), scheme=scheme, inference=inference)
    model = SegmentationModel(card, reader.network_of(weights))
    return model if rehearsal is None else model.with_rehearsal(rehearsal)


def learn_readout(
    start: SegmentationModel,
    taught: TrainingSet,
    plan: ReadoutPlan,
    device: Device | None = None,
    renamed: Mapping[str, str] | None = None,
    tell: Callable[[KeepingCost], None] | None = None,
) -> Job[SegmentationModel]:
    """Learn a readout from painted images.

    Parameters
    ----------
    start : SegmentationModel
        Model whose features are read. Where it knows all classes that are taught, its answer
        counts, too, where nothing is painted.
    taught : TrainingSet
        Images with labels that teach, in the classes of the new model.
    plan : ReadoutPlan
        Scale levels, regularisation, seed.
    device : Device, optional
        Device that computes; by default the best one there is.
    renamed : mapping of str to str, optional
        New name of a class -> its name in `start`.
    tell : callable, optional
        Function that is called with what it costs that the model's rehearsal sample was
        rehearsed, if it was.

    Yields
    ------
    Progress
        Tiles whose features are read.

    Returns
    -------
    SegmentationModel
        Model with the classes of `taught`.
    """
    device = device or choose_device()
    random = np.random.default_rng(plan.seed)
    images = taught.by_image()
    table = values_in(start.card.scheme, taught.scheme, renamed)
    knows = knows_all(start.card.scheme, taught, renamed)
    answers = _Answers(start, device) if knows else None
    painted, prior, found = [], [], []
    compared: list[tuple[PlaneFeatures, npt.NDArray[np.uint8]]] = []
    with translate_out_of_memory(device, "Choose the CPU, or smaller images."):
        reader = FeatureReader(start, plan, device)
        reader.find_basis([pairs[0].image for pairs in images], plan.seed)
        # For other classes its answers elsewhere say as little as here.
        known = reader.rehearsal if knows else None
        for number, pairs in enumerate(images):
            image = pairs[0].image
            job = reader.plane_job(image)
            features = yield from as_part(job, number, len(images), f"looking at {image.name}")
            mask = np.zeros(image.shape, np.uint8)
            for pair in pairs:
                painted.append(painted_samples(features, pair.labels, taught.scheme, random))
                mask = np.where(pair.labels != UNLABELLED, pair.labels, mask)
            if len(compared) < _MOST_COMPARED and known is not None and tell is not None:
                compared.append((features, mask))
            if answers is not None:
                yield Progress(number, len(images), f"segmenting {image.name}")
                segmenting = answers.job(image)
                answer = table[(yield from as_part(segmenting, number, len(images), image.name))]
                prior.append(
                    prior_samples(features, answer, mask, taught.scheme, random, plan.prior_px)
                )
            if number % -(-len(images) // MOST_IMAGES) == 0:
                found.append(features_at_random(features, reader, random))
    rehearsed = None
    if known is not None:
        rehearsed = rehearsed_samples(known, start.card.scheme, taught.scheme, renamed)
    samples = Samples.joined(painted), Samples.joined(prior) if prior else None
    fit = partial(fit_samples, *samples, len(taught.scheme), plan, reader)
    weights = fit(rehearsed)
    if rehearsed is not None and known is not None and tell is not None:
        yield Progress(len(images), len(images), "telling what that costs")
        live = fit(near=weights)
        tell(keeping_cost(compared, taught.scheme, live, weights, rehearsed, known.form.n_images))
    sample = inherited(reader, weights, found, known, plan.seed)
    return as_model(start, reader, weights, taught.scheme, sample)


class _Answers:
    """Answers of a model as it segments images: rescaled where pixel sizes say so."""

    def __init__(self, start: SegmentationModel, device: Device) -> None:
        self._start, self._device = start, device
        self._predictor: tuple[Fraction, Predictor] | None = None

    def job(self, image: Micrograph) -> Job[npt.NDArray[np.uint8]]:
        """Segment an image; returns class values of the model."""
        scale = parent_scale(self._start.card, image.pixel_size_um)
        if self._predictor is None or self._predictor[0] != scale:
            seen = self._start.at_scale(scale)
            self._predictor = scale, Predictor(seen, self._device, flips=False)
        return (yield from answer_job(self._predictor[1], image))
