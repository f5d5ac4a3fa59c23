"""Evaluation of a model: its labels compared with reference labels, image by image."""

from __future__ import annotations

import functools
import logging
import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_fractoseg.annotations.options import STRICT, AnnotationOptions
from napari_fractoseg.classes import UNLABELLED
from napari_fractoseg.datasets.dataset import TrainingPair, TrainingSet
from napari_fractoseg.datasets.sources import read_training_set
from napari_fractoseg.errors import OptionError, TrainingError
from napari_fractoseg.evaluation.calibration import LabelledProbabilities, Reliability
from napari_fractoseg.evaluation.confusion import Confusion
from napari_fractoseg.inference.magnification import AUTO, NONE, Magnification
from napari_fractoseg.inference.predictor import Predictor
from napari_fractoseg.jobs import Job, Progress, as_part, drain
from napari_fractoseg.models.devices import Device, choose_device
from napari_fractoseg.models.model import SegmentationModel
from napari_fractoseg.text import counted, listed
from napari_fractoseg.tiling import Box

__all__ = ["Evaluation", "evaluate", "evaluate_job"]

logger = logging.getLogger(__name__)
_MOST_NAMES = 5


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Agreement of a model's labels with reference labels.

    Parameters
    ----------
    images : mapping of str to Confusion
        Name of an image -> confusion matrix of its pixels.
    notes : tuple of str
        Sentences about what was left out of the labels, and at which scale images were seen.
    confidences : mapping of str to Reliability
        Name of an image -> how many of its pixels were right where the model was how sure; empty
        if that was not asked for.
    samples : mapping of str to LabelledProbabilities
        Name of an image -> probabilities of some of its pixels, as empty as `confidences`.
    seen : mapping of str to Magnification
        Name of an image -> scale at which the model saw it.
    """

    images: Mapping[str, Confusion]
    notes: tuple[str, ...] = ()
    confidences: Mapping[str, Reliability] = field(default_factory=dict)
    samples: Mapping[str, LabelledProbabilities] = field(default_factory=dict)
    seen: Mapping[str, Magnification] = field(default_factory=dict)

    @property
    def pooled(self) -> Confusion:
        """Confusion matrix of the pixels of all images together."""
        return functools.reduce(operator.add, self.images.values())

    @property
    def reliability(self) -> Reliability | None:
        """Reliability table of the pixels of all images together; None if not asked for."""
        tables = list(self.confidences.values())
        return functools.reduce(operator.add, tables) if tables else None

    @property
    def scale_notes(self) -> tuple[str, ...]:
        """Sentences on the scale at which images were seen, each with the names of its images."""
        return _scale_notes(self.seen)

    def to_dict(self) -> dict[str, Any]:
        """Return the figures of each image, and of all together, as plain JSON types."""
        pooled, images = self.pooled.to_dict(), {n: c.to_dict() for n, c in self.images.items()}
        if self.reliability is not None:
            pooled["reliability"] = self.reliability.to_dict()
            for name, table in self.confidences.items():
                images[name]["reliability"] = table.to_dict()
        for name, seen in self.seen.items():
            images[name] |= {"scale": float(seen.scale), "seen": seen.sentence}
        return {
            "classes": list(self.pooled.scheme.names),
            "pooled": pooled,
            "images": images,
            "notes": list(self.notes),
        }


def evaluate_job(
    model: SegmentationModel,
    reference: TrainingSet,
    device: Device | None = None,
    scale: str | float = NONE,
    *,
    with_confidence: bool = False,
) -> Job[Evaluation]:
    """Segment the images of a data set and compare the result with their labels.

    Parameters
    ----------
    model : SegmentationModel
        Model to evaluate.
    reference : TrainingSet
        Images with reference labels; unlabelled pixels do not count. Its classes are
        matched to those of the model by name.
    device : Device, optional
        Device that computes; by default the first GPU, or the CPU (`choose_device`).
    scale : str or float
        Scale at which images are seen (`Magnification`); by default as they are: a model that is
        being trained has learnt from such images, whatever the card of its parent says.
    with_confidence : bool
        Whether to compare the confidence with how often it is right, too.

    Yields
    ------
    Progress
        After each image.

    Returns
    -------
    Evaluation
        Confusion matrices of the images.

    Raises
    ------
    TrainingError
        If the labels use classes that the model does not know, or no pixel is labelled.
    OptionError
        If `scale` is none, or no scale makes up for the pixel size of an image, naming it.
    """
    _check_classes(reference, model)
    _refuse_unlabelled(reference)
    matched = reference.with_scheme(model.card.scheme)
    predictors: dict[Fraction, Predictor] = {}
    confusions: dict[str, Confusion] = {}
    tables: dict[str, Reliability] = {}
    samples: dict[str, LabelledProbabilities] = {}
    pairs = matched.by_name()
    seen = _seen(model, pairs, scale)
    for number, (name, pair) in enumerate(pairs.items(), start=1):
        factor = seen[name].scale
        if factor not in predictors:
            predictors = {factor: Predictor(model.at_scale(factor), device)}
        predictor, stack = predictors[factor], pair.image.stack
        predicted = np.zeros(stack.shape, dtype=np.uint8)
        shape = (len(matched.scheme), *stack.shape)
        found = np.zeros(shape, dtype=np.float32) if with_confidence else None
        within = _labelled_box(pair.labels)
        job = predictor.run_into(stack, predicted, within=within, probabilities=found)
        yield from as_part(job, number - 1, len(matched), name)
        confusions[name] = Confusion.of(pair.labels, predicted, matched.scheme)
        if found is not None:
            counted = (pair.labels != UNLABELLED) & (predicted != UNLABELLED)
            targets = matched.scheme.to_targets(pair.labels[counted][None])[0]
            tables[name] = Reliability.of(found[:, counted], targets)
            samples[name] = LabelledProbabilities.sampled(found[:, counted], targets)
        yield Progress(number, len(matched), name)
    notes = (*reference.notes, *_scale_notes(seen))
    return Evaluation(confusions, notes, tables, samples, seen)


def _seen(
    model: SegmentationModel, pairs: Mapping[str, TrainingPair], scale: str | float
) -> dict[str, Magnification]:
    """Return the scale at which each image is seen; one that cannot be names its image."""
    Magnification.of(model.card, None, scale)  # a wrong choice is of no image
    found = {}
    for name, pair in pairs.items():
        try:
            found[name] = Magnification.of(model.card, pair.image.pixel_size_um, scale)
        except OptionError as error:
            raise error.at(name) from error
    return found


def _scale_notes(seen: Mapping[str, Magnification]) -> tuple[str, ...]:
    names: dict[str, list[str]] = {}
    for name, magnification in seen.items():
        if magnification.sentence:
            names.setdefault(magnification.sentence, []).append(name)
    return tuple(f"{_some_of(found)}: {sentence}" for sentence, found in names.items())


def _some_of(names: Sequence[str]) -> str:
    more = len(names) - _MOST_NAMES
    return listed(names[:_MOST_NAMES]) + (f" and {more} more" if more > 0 else "")


def _refuse_unlabelled(reference: TrainingSet) -> None:
    if any(reference.pixel_counts().values()):
        return
    left_out: dict[str, list[str]] = {}
    for name, pair in reference.by_name().items():
        if pair.image.excluded is not None:
            left_out.setdefault(pair.image.excluded.area.text, []).append(name)
    areas = "; ".join(f"{area} of {_some_of(names)}" for area, names in left_out.items())
    why = f" Labels do not count in what is left out: {areas}." if areas else ""
    raise TrainingError(
        f"No labelled pixel is left in {counted(len(reference), 'image')} to compare a model with."
        f"{why} Check the labels, which of their values mean what, and what is left out as the "
        "info bar.",
        options=("mask_values", "exclude_bar=none") if areas else ("mask_values",),
    )


def _check_classes(reference: TrainingSet, model: SegmentationModel) -> None:
    scheme = model.card.scheme
    for name, count in reference.pixel_counts().items():
        if count and scheme.get(name) is None:
            raise TrainingError(
                f"{counted(count, 'pixel is', 'pixels are')} labelled {name!r}, a class that the "
                f"model {model.card.name!r} does not know; it has {list(scheme.names)}. Map it to "
                "one of these, or evaluate a model that knows it."
            )


def _labelled_box(labels: npt.NDArray[np.uint8]) -> Box:
    """Return the smallest box that holds all labelled pixels: the rest need not be segmented."""
    rows, columns = (np.flatnonzero((labels != UNLABELLED).any(axis=axis)) for axis in (1, 0))
    if not len(rows):
        return Box(0, 1, 0, 1)
    return Box(int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1)


def evaluate(
    model: SegmentationModel,
    images: Path | str,
    labels: Path | str,
    *,
    mask_values: Mapping[int, str] | None = None,
    unlabelled_as: str | None = None,
    annotations: AnnotationOptions = STRICT,
    device: str = "auto",
    exclude_bar: str = AUTO,
    scale: str | float = AUTO,
) -> Evaluation:
    """Measure how well a model agrees with labels that people made.

    Parameters
    ----------
    model : SegmentationModel
        Model to evaluate (`load_model`).
    images : Path or str
        Folder of the images.
    labels : Path or str
        Folder of masks named like the images, or a VIA file.
    mask_values : mapping of int to str, optional
        Value in the mask files -> class name; by default the values are those
        of the model's classes.
    unlabelled_as : str, optional
        Name of the class that pixels without a label are given; by default they do not
        count.
    annotations : AnnotationOptions
        Which class a region of a VIA file is of, and what is left out.
    device : str
        Device that computes: ``auto``, ``cpu``, ``cuda``, ``cuda:1`` or ``mps``.
    exclude_bar : str
        Rows of the images that are left out as their info bar, as in `read_training_set`.
    scale : str or float
        Scale at which images are seen, as in `segment`: ``auto``, ``none``, or a factor.

    Returns
    -------
    Evaluation
        A confusion matrix for each image (``images``), and for all together (``pooled``), and how
        far its confidence can be believed (``reliability``); its ``notes`` say what was left out,
        and which images were seen rescaled (``seen`` has the scale of each).

    Raises
    ------
    TrainingError, AnnotationError, ImageError, ClassSchemeError
        If images and labels do not fit together, or the labels use classes
        that the model does not know, or no pixel is labelled.
    OptionError
        If `scale` is no such factor, or no factor makes up for the pixel size of an image.
    DeviceError
        If the device is not there or its memory runs out.

    Examples
    --------
    >>> import napari_fractoseg as nf
    >>> model = nf.load_model("default")  # doctest: +SKIP
    >>> evaluation = nf.evaluate(model, "images", "labels")  # doctest: +SKIP
    >>> evaluation.pooled.mode_agreement  # doctest: +SKIP
    0.89
    """
    reference = read_training_set(
        images,
        labels,
        scheme=model.card.scheme,
        mask_values=mask_values,
        unlabelled_as=unlabelled_as,
        annotations=annotations,
        predictions_as_truth=True,  # two models may be compared: it is said, not refused
        exclude_bar=exclude_bar,
    )
    for note in reference.notes:
        logger.warning("%s", note)
    job = evaluate_job(model, reference, choose_device(device), scale, with_confidence=True)
    evaluation = drain(job)
    for note in evaluation.scale_notes:
        logger.warning("%s", note)
    return evaluation
