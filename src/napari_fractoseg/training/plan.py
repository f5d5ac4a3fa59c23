"""Plan of a training run: all choices, which with the hashes of the data repeat the run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic
from pydantic import ConfigDict, Field, TypeAdapter
from pydantic.dataclasses import dataclass

from napari_fractoseg.errors import TrainingError
from napari_fractoseg.files import read_json
from napari_fractoseg.models.card import FAMILIAR, REHEARSED
from napari_fractoseg.models.limits import LibraryName, Reductions
from napari_fractoseg.options import described, refusal

__all__ = ["TrainingPlan", "plan_entries", "without_retired"]

_Positive = Annotated[int, Field(ge=1)]

_RETIRED = {"near_px": 0, "label_smoothing": 0}
"""Entry that plans had once -> the value with which it did nothing."""
_OF_A_CARD = ("steps_done", "start", "earlier_stages", "readout", REHEARSED, FAMILIAR)
"""Entries that stand beside the plan on a model's card and are no part of it."""


@described
@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class TrainingPlan:
    """How a network is trained; with its seed and the hashes of the data it repeats the run."""

    method: Annotated[
        Literal["deep", "readout"],
        Field(
            description="What is learnt: all weights of a network, in minutes (deep), or only how "
            "what a model sees is summed up, in seconds (readout)."
        ),
    ] = "deep"
    readout_reductions: Annotated[
        Reductions,
        Field(
            description="Scale levels that a readout sees, as reductions: smaller ones show finer "
            "detail and take longer. Empty means 1 and 2."
        ),
    ] = ()
    readout_first: Annotated[
        bool,
        Field(
            description="Whether training that goes on from a model first learns a readout of it, "
            "in seconds: it is the start where classes are new, and kept where training all "
            "weights does worse."
        ),
    ] = False
    architecture: Annotated[
        LibraryName,
        Field(description="Kind of a new network, as segmentation-models-pytorch names it."),
    ] = "Unet"
    encoder: Annotated[
        LibraryName,
        Field(
            description="The part of a new network that looks for structures, as "
            "segmentation-models-pytorch names it. Larger ones are slower and need more labels. "
            "vgg16_bn is what the paper used."
        ),
    ] = "resnet18"
    encoder_weights: Annotated[
        Literal["none", "imagenet", "micronet", "imagenet-micronet"],
        Field(
            description="What the encoder of a new network has learnt before: nothing, photographs "
            "(ImageNet), micrographs (NASA's MicroNet), or one after the other. These weights are "
            "fetched once, 10 to 500 MB."
        ),
    ] = "none"
    encoder_sha256: Annotated[
        str,
        Field(
            pattern="^([0-9a-f]{64})?$",
            description="Hash that these weights must have; empty takes the published ones. The "
            "plan on a model's card names it.",
        ),
    ] = ""
    decoder_channels: Annotated[
        tuple[_Positive, ...] | None,
        Field(description="Widths of a U-Net's decoder; None leaves the library's."),
    ] = None
    reduction: Annotated[
        int,
        Field(
            ge=1,
            le=16,
            description="A new network sees the image at one part in this many of its resolution. "
            "Fracture surfaces are told apart at half the resolution (2), in a quarter of the "
            "time; precipitates and fine cracks want all of it (1).",
        ),
    ] = 2
    test_reductions: Annotated[
        Reductions,
        Field(
            description="Scale levels that a finished model averages, as reductions; empty means "
            "that of the training alone."
        ),
    ] = ()
    test_flips: Annotated[
        bool,
        Field(
            description="Whether a finished model averages mirror images (test-time augmentation)."
        ),
    ] = False
    test_smoothing_px: Annotated[
        float,
        Field(
            ge=0,
            le=16,
            description="Standard deviation, in image pixels, of the Gaussian that a finished "
            "model smooths images by, so that noise is not taken for texture; 0 for none.",
        ),
    ] = 0.0
    patch_px: Annotated[
        int,
        Field(
            ge=32,
            multiple_of=32,
            description="Edge of the patches that are learnt from, at the network's resolution. "
            "Larger ones show more surroundings and need more memory.",
        ),
    ] = 256
    batch_size: Annotated[
        int | None,
        Field(
            ge=1,
            description="Patches in a step (default: what suits the device). More make the steps "
            "steadier, slower, and need more memory.",
        ),
    ] = None
    max_steps: Annotated[int, Field(ge=1, description="Steps at most.")] = 600
    max_minutes: Annotated[
        float | None,
        Field(
            gt=0,
            description="Minutes at most; the learning rate follows whichever limit is nearer.",
        ),
    ] = None
    optimiser: Annotated[
        Literal["adamw", "adam", "sgd", "rmsprop", "adadelta"],
        Field(
            description="How the network follows its errors. adadelta is what the paper used; sgd "
            "has momentum."
        ),
    ] = "adamw"
    learning_rate: Annotated[
        float,
        Field(gt=0, description="How large the changes of a step are. Smaller: slower and safer."),
    ] = 1e-3
    encoder_rate: Annotated[
        float,
        Field(
            ge=0,
            le=1,
            description="Learning rate of the encoder as a part of the learning rate; below 1 it "
            "keeps what a pre-trained encoder knows, 0 freezes it.",
        ),
    ] = 1.0
    freeze_batch_norm: Annotated[
        bool,
        Field(
            description="Keep means and variances of batch normalisation as the parent has them, "
            "for they would follow the few patches of a small training set."
        ),
    ] = False
    stay_close: Annotated[
        float,
        Field(
            ge=0,
            description="Where nothing is labelled, hold the model to what its parent said, so "
            "that few strokes do not make it forget the rest (weight of the distillation); 0 lets "
            "it drift.",
        ),
    ] = 0.0
    weight_decay: Annotated[
        float,
        Field(ge=0, description="How strongly the optimiser draws all weights towards zero."),
    ] = 1e-2
    warm_up: Annotated[
        float,
        Field(
            ge=0,
            lt=1,
            description="Part of the run, 0-1, in which the learning rate rises; then it falls "
            "along a cosine.",
        ),
    ] = 0.05
    dice_weight: Annotated[
        float, Field(ge=0, description="Weight of the Dice loss beside the cross entropy.")
    ] = 1.0
    scale_range: Annotated[
        tuple[Annotated[float, Field(gt=0)], Annotated[float, Field(gt=0)]],
        Field(description="Smallest and largest random magnification of a patch."),
    ] = (0.7, 1.4)
    augmentation: Annotated[
        float,
        Field(
            ge=0,
            le=2,
            description="How much contrast, brightness, noise and blur are varied, so that the "
            "model copes with other settings of the microscope. 0 varies nothing.",
        ),
    ] = 1.0
    average_decay: Annotated[
        float,
        Field(
            ge=0,
            lt=1,
            description="Decay of the running average of the weights, which becomes the model; 0 "
            "takes the last weights.",
        ),
    ] = 0.98
    validate_every: Annotated[int, Field(ge=1, description="Steps between validations.")] = 100
    patience: Annotated[
        int,
        Field(
            ge=0,
            description="Validations without improvement that end the training; 0 never ends it "
            "early.",
        ),
    ] = 0
    split: Annotated[
        Literal["auto", "images", "blocks", "none"],
        Field(
            description="What is held out to measure how good the model is: whole images, blocks "
            "of images with a gap around them, or none; auto: images from three on, else blocks. "
            "These pixels do not teach, but a readout that fine-tuning keeps learns from them in "
            "the end."
        ),
    ] = "auto"
    held_out: Annotated[
        float, Field(gt=0, lt=1, description="Part of the labelled pixels to hold out, 0-1.")
    ] = 0.2
    gap_px: Annotated[
        int,
        Field(
            ge=0,
            description="Width, in image pixels, around held-out blocks that teaches nothing.",
        ),
    ] = 32
    seed: Annotated[
        int,
        Field(
            ge=0,
            description="Seed of weights, patches and augmentation: the same one repeats the same "
            "training on the CPU.",
        ),
    ] = 0
    precision: Annotated[
        Literal["auto", "32-true", "bf16-mixed", "16-mixed"],
        Field(
            description="Precision of the arithmetic, as Lightning Fabric names it; auto takes "
            "what the device is fast at."
        ),
    ] = "auto"

    def to_dict(self) -> dict[str, Any]:
        """Return the plan as plain JSON types."""
        return dict(_ADAPTER.dump_python(self, mode="json"))

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> TrainingPlan:
        """Return a plan made of entries that are checked.

        Parameters
        ----------
        data : mapping
            Entries of a plan by name; those that are missing have the default of
            the class. Entries that plans had once are passed over where they did
            nothing.

        Raises
        ------
        TrainingError
            If an entry is unknown or not possible; the message names it with its value.
        """
        try:
            return _ADAPTER.validate_python(without_retired(data))
        except pydantic.ValidationError as error:
            raise TrainingError(f"Training plan: {refusal(error)} Correct this entry.") from error

    @classmethod
    def from_json(cls, path: Path) -> TrainingPlan:
        """Read a whole plan from a JSON file of entries, or from the ``card.json`` of a model."""
        entries = plan_entries(path)
        try:
            return cls.from_dict(entries)
        except TrainingError as error:
            raise error.at(path) from error


_ADAPTER = TypeAdapter(TrainingPlan)


def without_retired(entries: Mapping[str, Any]) -> dict[str, Any]:
    """Return the entries of a plan without those that plans had once.

    Raises
    ------
    TrainingError
        If a retired entry has a value with which it did something: such a
        training cannot be repeated.
    """
    for name, neutral in _RETIRED.items():
        if entries.get(name, neutral) != neutral:
            raise TrainingError(
                f"Training plan, {name}: {entries[name]!r} was possible once and is no longer; "
                f"plans have no {name} now. Remove this entry, and train anew."
            )
    return {name: value for name, value in entries.items() if name not in _RETIRED}


def plan_entries(path: Path) -> dict[str, Any]:
    """Read a plan, or some entries of one, from a JSON file.

    Parameters
    ----------
    path : Path
        File with entries of `TrainingPlan`, or the ``card.json`` of a model. A
        card tells of a training that was: its plan is completed as it was then,
        so that it repeats that training.

    Raises
    ------
    TrainingError
        If the file is not there, or holds neither entries nor a card.
    """
    found = read_json(path, TrainingError, "a training plan", 'Write {"patch_px": 128}, say.')
    if not isinstance(found, dict):
        raise TrainingError(
            f"{path} is not a training plan: it holds {str(found)[:80]!r}. Write entries such as "
            '{"patch_px": 128}.'
        )
    if "lineage" not in found:
        return found
    lineage = found["lineage"]
    on_card = lineage.get("plan", {}) if isinstance(lineage, dict) else None
    if not isinstance(on_card, dict):
        raise TrainingError(f"{path} is a model's card without a training plan. Write one anew.")
    entries = {name: value for name, value in on_card.items() if name not in _OF_A_CARD}
    return TrainingPlan.from_dict(entries).to_dict()
