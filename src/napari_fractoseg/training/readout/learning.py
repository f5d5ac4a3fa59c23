"""Learning of a readout: from painted pixels to a model like any other."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import torch

from napari_fractoseg.classes import ClassScheme
from napari_fractoseg.datasets.dataset import TrainingPair, TrainingSet
from napari_fractoseg.images import Micrograph, MicrographStack
from napari_fractoseg.inference.predictor import Predictor
from napari_fractoseg.jobs import Job, Progress, as_part
from napari_fractoseg.models.devices import Device, choose_device, translate_out_of_memory
from napari_fractoseg.models.model import SegmentationModel
from napari_fractoseg.training.readout.features import FeatureReader
from napari_fractoseg.training.readout.plan import ReadoutPlan
from napari_fractoseg.training.readout.regression import fit_readout
from napari_fractoseg.training.readout.samples import Samples, painted_samples, prior_samples

__all__ = ["as_model", "fit_samples", "knows_all", "learn_readout"]

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
    table = _values_of(start, taught.scheme, renamed or {})
    known = set(table[list(start.values)].tolist())
    return all(taught.scheme.find(name).value in known for name, n_px in counts.items() if n_px)


def fit_samples(
    painted: Samples,
    prior: Samples | None,
    n_classes: int,
    plan: ReadoutPlan,
    answers: slice,
) -> torch.Tensor:
    """Fit a readout to samples; classes that have none are never the answer.

    Parameters
    ----------
    painted : Samples
        Samples that people painted: together they have the weight 1.
    prior : Samples or None
        Samples of the model's own answer, together with the weight of the plan, or less where
        much is painted. Without them its log-probabilities are not read either.
    n_classes : int
        Number of classes K.
    plan : ReadoutPlan
        Regularisation, and weight of the model's answer.
    answers : slice
        Place of the model's log-probabilities among the features of a scale level, of which
        there are as many as `plan` has reductions (`FeatureReader.answers`).

    Returns
    -------
    Tensor of float32, shape (K, D + 1)
        Weights as `fit_readout` returns them.
    """
    features, targets = [painted.features], [painted.targets(n_classes)]
    weights = [torch.full((len(painted),), 1 / max(len(painted), 1))]
    has_prior = prior is not None and plan.prior > 0 and len(prior) > 0
    if prior is not None and has_prior:
        features.append(prior.features)
        targets.append(prior.targets(n_classes))
        # The more is painted, the less the model's answer counts.
        weights.append(torch.full((len(prior),), plan.prior / prior.n_px))
    # A larger feature needs smaller weights, which the penalty spares.
    gains = torch.ones(painted.features.shape[1])
    gains.view(len(plan.reductions), -1)[:, answers] = plan.answer_gain if has_prior else 0.0
    goals = torch.cat(targets)
    present = goals.sum(dim=0) > 0
    fitted = fit_readout(
        torch.cat(features) * gains, goals[:, present], torch.cat(weights), plan.penalty
    )
    found = torch.zeros(n_classes, fitted.shape[1])
    found[:, -1] = _NEVER
    found[present] = torch.cat([fitted[:, :-1] * gains, fitted[:, -1:]], dim=1)
    return found


def as_model(
    start: SegmentationModel, reader: FeatureReader, weights: torch.Tensor, scheme: ClassScheme
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
    """
    inference = dataclasses.replace(reader.inference, combine="sum")
    card = dataclasses.replace(start.card, scheme=scheme, inference=inference)
    return SegmentationModel(card, reader.network_of(weights))


def learn_readout(
    start: SegmentationModel,
    taught: TrainingSet,
    plan: ReadoutPlan,
    device: Device | None = None,
    renamed: Mapping[str, str] | None = None,
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
    images = _by_image(taught)
    table = _values_of(start.card.scheme, taught.scheme, renamed or {})
    knows = knows_all(start.card.scheme, taught, renamed)
    predictor = Predictor(start, device, flips=False) if knows else None
    painted, prior = [], []
    with translate_out_of_memory(device, "Choose the CPU, or smaller images."):
        reader = FeatureReader(start, plan, device)
        reader.find_basis([image for image, _ in images.values()], plan.seed)
        for number, (image, pairs) in enumerate(images.values()):
            job = reader.plane_job(image)
            features = yield from as_part(job, number, len(images), f"looking at {image.name}")
            mask = np.zeros(image.shape, bool)
            for pair in pairs:
                painted.append(painted_samples(features, pair.labels, taught.scheme, random))
                mask |= pair.labels != 0
            if predictor is not None:
                yield Progress(number, len(images), f"segmenting {image.name}")
                answer = table[(yield from _answer(predictor, image, number, len(images)))]
                prior.append(
                    prior_samples(features, answer, mask, taught.scheme, random, plan.prior_px)
                )
    weights = fit_samples(
        Samples.joined(painted),
        Samples.joined(prior) if prior else None,
        len(taught.scheme),
        plan,
        reader.answers,
    )
    return as_model(start, reader, weights, taught.scheme)


def _by_image(taught: TrainingSet) -> dict[str, tuple[Micrograph, list[TrainingPair]]]:
    """Return the pairs of each image: corrections and checked areas may be pairs of their own."""
    images: dict[str, tuple[Micrograph, list[TrainingPair]]] = {}
    for pair in taught.pairs:
        images.setdefault(pair.image_digest, (pair.image, []))[1].append(pair)
    return images


def _values_of(
    before: ClassScheme, after: ClassScheme, renamed: Mapping[str, str]
) -> npt.NDArray[np.uint8]:
    """Return a table: class value in one scheme -> that in another, 0 for unknown ones."""
    table = np.zeros(256, np.uint8)
    for fracture_class in after:
        found = before.get(renamed.get(fracture_class.name, fracture_class.name))
        if found is not None:
            table[found.value] = fracture_class.value
    return table


def _answer(
    predictor: Predictor, image: Micrograph, number: int, count: int
) -> Job[npt.NDArray[np.uint8]]:
    """Segment a plane with the model that a readout starts from."""
    stack = MicrographStack(np.asarray(image.data[...]), name=image.name)
    labels = np.zeros(stack.shape, np.uint8)
    yield from as_part(predictor.run_into(stack, labels), number, count, image.name)
    return labels
