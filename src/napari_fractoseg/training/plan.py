"""The plan of a training run: with the seed and the hashes of the data it repeats the run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic
from pydantic import ConfigDict, Field, TypeAdapter
from pydantic.dataclasses import dataclass

from napari_fractoseg.errors import TrainingError

__all__ = ["TrainingPlan"]

_Positive = Annotated[int, Field(ge=1)]


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class TrainingPlan:
    """How a network is trained.

    Parameters
    ----------
    architecture, encoder : str
        Names in segmentation-models-pytorch, for a new network.
    encoder_weights : str
        What the encoder of a new network has learnt before: ``none``,
        ``imagenet``, ``micronet`` (micrographs) or ``imagenet-micronet``.
    encoder_sha256 : str
        Hash that these weights must have; empty takes the published ones. The
        plan on a model's card names it.
    decoder_channels : tuple of int or None
        Widths of a U-Net's decoder; None leaves the library's.
    reduction : int
        Images are averaged over blocks of this edge before the network sees
        them.
    test_reductions : tuple of int
        Reductions whose probabilities are averaged at test time; empty means
        `reduction` alone.
    test_flips : bool
        Whether the model averages the image and its mirror images (test-time augmentation).
    patch_px : int
        Edge of a training patch after reduction, a multiple of 32.
    batch_size : int
        Patches in a step.
    max_steps : int
        Steps in all.
    max_minutes : float or None
        Time limit; the learning rate follows whichever limit is nearer.
    optimiser : str
        ``adamw``, ``adam``, ``sgd`` (with momentum), ``rmsprop`` or
        ``adadelta``.
    learning_rate : float
        Highest learning rate.
    encoder_rate : float
        Learning rate of the encoder as a part of `learning_rate`; below 1 it
        keeps what a pre-trained encoder knows, 0 freezes it.
    freeze_batch_norm : bool
        Keep means and variances of the layers as the parent has them, for they
        would follow the few patches of a small training set.
    stay_close : float
        Weight of the agreement with the parent on unlabelled pixels
        (distillation); 0 lets it drift.
    near_px : int
        Distance, in image pixels, from labelled pixels within which the parent's
        opinion does not count.
    weight_decay : float
        Of the optimiser.
    warm_up : float
        Part of the run, 0-1, in which the learning rate rises; then it falls
        along a cosine.
    dice_weight : float
        Weight of the Dice loss beside the cross entropy.
    label_smoothing : float
        Of the cross entropy.
    scale_range : tuple of float
        Smallest and largest random magnification.
    augmentation : float
        Strength of changes in contrast, brightness, noise, blur; 0 is none.
    average_decay : float
        Decay of the running average of the weights, which becomes the model; 0
        takes the last weights.
    validate_every : int
        Steps between validations.
    patience : int
        Validations without improvement after which the training ends; 0 never
        ends it early.
    split : str
        How pixels for validation are held out: by ``images``, by ``blocks`` of
        images with a gap around, ``auto`` (see `split_training_set`), or
        ``none``.
    held_out : float
        Part of the labelled pixels to hold out.
    gap_px : int
        Width, in image pixels, around held-out blocks that teaches nothing.
    seed : int
        Of weights, patches and augmentation.
    precision : str
        As in Lightning Fabric; ``auto`` takes what the device is fast at.
    """

    architecture: str = "Unet"
    encoder: str = "resnet18"
    encoder_weights: Literal["none", "imagenet", "micronet", "imagenet-micronet"] = "none"
    encoder_sha256: Annotated[str, Field(pattern="^([0-9a-f]{64})?$")] = ""
    decoder_channels: tuple[_Positive, ...] | None = None
    reduction: Annotated[int, Field(ge=1, le=16)] = 2
    test_reductions: tuple[Annotated[int, Field(ge=1, le=16)], ...] = ()
    test_flips: bool = False
    patch_px: Annotated[int, Field(ge=32, multiple_of=32)] = 256
    batch_size: _Positive = 8
    max_steps: _Positive = 600
    max_minutes: Annotated[float, Field(gt=0)] | None = None
    optimiser: Literal["adamw", "adam", "sgd", "rmsprop", "adadelta"] = "adamw"
    learning_rate: Annotated[float, Field(gt=0)] = 1e-3
    encoder_rate: Annotated[float, Field(ge=0, le=1)] = 1.0
    freeze_batch_norm: bool = False
    stay_close: Annotated[float, Field(ge=0)] = 0.0
    near_px: Annotated[int, Field(ge=0)] = 0
    weight_decay: Annotated[float, Field(ge=0)] = 1e-2
    warm_up: Annotated[float, Field(ge=0, lt=1)] = 0.05
    dice_weight: Annotated[float, Field(ge=0)] = 1.0
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    scale_range: tuple[Annotated[float, Field(gt=0)], Annotated[float, Field(gt=0)]] = (0.7, 1.4)
    augmentation: Annotated[float, Field(ge=0, le=2)] = 1.0
    average_decay: Annotated[float, Field(ge=0, lt=1)] = 0.98
    validate_every: _Positive = 100
    patience: Annotated[int, Field(ge=0)] = 0
    split: Literal["auto", "images", "blocks", "none"] = "auto"
    held_out: Annotated[float, Field(gt=0, lt=1)] = 0.2
    gap_px: Annotated[int, Field(ge=0)] = 32
    seed: Annotated[int, Field(ge=0)] = 0
    precision: Literal["auto", "32-true", "bf16-mixed", "16-mixed"] = "auto"

    def to_dict(self) -> dict[str, Any]:
        """Return the plan as plain JSON types."""
        return dict(_ADAPTER.dump_python(self, mode="json"))

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> TrainingPlan:
        """Read and validate a plan.

        Raises
        ------
        TrainingError
            Naming the entry and the value.
        """
        try:
            return _ADAPTER.validate_python(data)
        except pydantic.ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            raise TrainingError(
                f"Training plan, {where}: {first['msg']} ({str(first['input'])[:80]!r}). "
                "Correct this entry."
            ) from error

    @classmethod
    def from_json(cls, path: Path) -> TrainingPlan:
        """Read a plan from a JSON file."""
        try:
            return cls.from_dict(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError) as error:
            raise TrainingError(f"{path} is not a training plan: {error}.") from error


_ADAPTER = TypeAdapter(TrainingPlan)
