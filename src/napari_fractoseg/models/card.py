"""Model card: classes, test-time choices, training data, figures and licence of a model."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import field, replace
from pathlib import Path
from typing import Annotated, Any, Literal, TypeGuard

import pydantic
from pydantic import (
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    TypeAdapter,
)
from pydantic.dataclasses import dataclass

from napari_fractoseg.classes import ClassScheme
from napari_fractoseg.errors import ClassSchemeError, ModelError, translated
from napari_fractoseg.files import read_file
from napari_fractoseg.models.limits import LibraryName, Reductions

__all__ = [
    "CALIBRATED",
    "CARD",
    "CONFIG",
    "FAMILIAR",
    "FAMILIARITY",
    "HASHES",
    "LEARNT_FROM_ALL",
    "LICENCE",
    "README",
    "REHEARSAL",
    "REHEARSED",
    "SCHEMA_VERSION",
    "WEIGHTS",
    "Inference",
    "Lineage",
    "ModelCard",
    "entries_of",
    "is_model_file",
    "is_number",
]

CARD, CONFIG, WEIGHTS = "card.json", "config.json", "model.safetensors"
"""Names of the files that a model folder must have."""
README = "README.md"
REHEARSAL, FAMILIARITY = "rehearsal.safetensors", "familiarity.safetensors"
"""Files that a model folder may have beside them."""
CALIBRATED = "calibration"
"""Entry of the metrics on how far the confidence of a model can be believed."""
REHEARSED = "rehearsal"
"""Entry of the lineage's plan on the rehearsal sample: numbers of ``places`` and ``images``."""
LEARNT_FROM_ALL = "learnt_from_all"
"""Entry of the metrics' ``candidates``: the figures are those of before it learnt from all."""
FAMILIAR = "familiarity"
"""Entry of the lineage's plan on the statistics of the training images: number of ``images``, and
``of_start`` if they are those of the model that it started from; or number of those that were
``too_few``."""
LICENCE, HASHES = "LICENCE.txt", "hashes.json"
"""Files that an exported model has beside those of the folder."""
_OTHER_LICENCE = re.compile(r"LICEN[CS]E[-\w.]*\.(txt|md)", re.ASCII)
"""Names of third-party licence files, such as that of the encoder's pretrained weights."""

SCHEMA_VERSION: Literal[1] = 1

_MOST_CARD_BYTES = 2**24
"""Largest size of ``card.json``; that of a training on 1000 images has about 2**20 bytes."""
_LARGE = 1e15
_AGAIN = "Download or export the model again."

_CONFIG = ConfigDict(extra="forbid", arbitrary_types_allowed=True)


def _scheme(value: Any) -> ClassScheme:
    if isinstance(value, ClassScheme):
        return value
    try:
        return ClassScheme.from_dict(value)
    except ClassSchemeError as error:
        raise ValueError(str(error)) from error


SchemeField = Annotated[
    ClassScheme, BeforeValidator(_scheme), PlainSerializer(lambda scheme: scheme.to_dict())
]


@dataclass(frozen=True, config=_CONFIG)
class Inference:
    """How a model is applied to an image: scale levels, flips and halo.

    Parameters
    ----------
    reductions : tuple of int
        Reduction of each scale level: the edge of the blocks of image pixels that are
        averaged to one pixel of the network. The probabilities of several are averaged.
    flips : bool
        Whether the image and its three mirror images are averaged (test-time augmentation).
    halo_px : int
        Width of the halo around a tile, in image pixels, at the smallest reduction; at the
        others it has the same number of network pixels.
    combine : {"mean", "sum"}
        What the scale levels are to one another: the mean of their probabilities is taken, or,
        for a readout, the sum of their scores.
    smoothing_px : float
        Standard deviation of the Gaussian that the image is smoothed by before the network sees
        it, in image pixels, so that noise is not taken for texture; 0 for none. Coarse scale
        levels are smoothed less in network pixels: they average noise themselves.
    temperature : float
        Temperature of the probabilities that users see (`models.model.tempered`), above 0:
        1 leaves them as they are, more makes them less sure. It changes no label.
    """

    reductions: Annotated[Reductions, Field(min_length=1)] = (1,)
    flips: bool = False
    halo_px: Annotated[int, Field(ge=0, le=2048)] = 128
    combine: Literal["mean", "sum"] = "mean"
    smoothing_px: Annotated[float, Field(ge=0, le=16, allow_inf_nan=False)] = 0.0
    temperature: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0

    @property
    def shared_reduction(self) -> int:
        """Largest reduction that those of all scale levels are multiples of."""
        return math.gcd(*self.reductions)


@dataclass(frozen=True, config=_CONFIG)
class Lineage:
    """Where a model comes from: parent, training plan and data.

    Parameters
    ----------
    parent : str or None
        SHA-256 of the weights of the model it was fine-tuned from; None for a new network.
    plan : mapping
        Training plan as JSON types, enough to repeat the training.
    data : mapping of str to str
        Name of each training image -> SHA-256 of its image and labels.
    held_out : mapping of str to tuple
        SHA-256 of an image's grey levels -> held-out blocks ``(row0, row1, column0,
        column1)``; empty for an image that was learnt from as a whole.
    created : str
        Time of the training, in ISO 8601.
    fractoseg_version : str
        Version of napari-fractoseg that trained it.
    """

    parent: str | None = None
    plan: Mapping[str, Any] = field(default_factory=dict)
    data: Mapping[str, str] = field(default_factory=dict)
    held_out: Mapping[str, tuple[tuple[int, int, int, int], ...]] = field(default_factory=dict)
    created: str = ""
    fractoseg_version: str = ""


@dataclass(frozen=True, config=_CONFIG)
class ModelCard:
    """Description of a model, stored as ``card.json`` beside its weights.

    Parameters
    ----------
    name : str
        Title of the model, shown to users.
    description : str
        What the model was made for, and from what.
    scheme : ClassScheme
        Classes in the order of the network's output channels.
    architecture, encoder : str
        Names in segmentation-models-pytorch.
    inference : Inference
        How the model is applied: scale levels, flips and halo.
    normalisation : str
        Name of the grey-level normalisation; there is only ``percentile-1-99``.
    pixel_size_um : float or None
        Pixel size of the images it learnt from; None where it is not known.
    licence : str
        SPDX identifier of the licence, and what it covers.
    metrics : mapping
        Figures of quality, with how they were measured.
    lineage : Lineage
        Parent, training plan and hashes of the training data.
    schema_version : int
        Version of the layout of ``card.json``.
    """

    name: str
    scheme: SchemeField
    architecture: LibraryName
    encoder: LibraryName
    description: str = ""
    inference: Inference = Inference()
    normalisation: Literal["percentile-1-99"] = "percentile-1-99"
    pixel_size_um: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    licence: str = ""
    metrics: Mapping[str, Any] = field(default_factory=dict)
    lineage: Lineage = Lineage()
    schema_version: Literal[1] = SCHEMA_VERSION

    @property
    def learnt_reduction(self) -> int:
        """Reduction at which the network learnt; of a readout, one that all scale levels share."""
        if self.inference.combine == "sum":
            return self.inference.shared_reduction
        reductions, learnt = self.inference.reductions, self.lineage.plan.get("reduction")
        return learnt if learnt in reductions else reductions[0]

    def with_temperature(self, temperature: float, figures: Mapping[str, Any] | None) -> ModelCard:
        """Return the card with a temperature and the figures on it; None for no figures."""
        metrics = {key: found for key, found in self.metrics.items() if key != CALIBRATED}
        if figures is not None:
            metrics[CALIBRATED] = figures
        inference = replace(self.inference, temperature=temperature)
        return replace(self, inference=inference, metrics=metrics)

    def uncalibrated(self) -> ModelCard:
        """Return the card for other weights: how sure the former ones were says nothing of them."""
        return self.with_temperature(1.0, None)

    def to_json(self) -> str:
        """Return the card as JSON text."""
        return _ADAPTER.dump_json(self, indent=2).decode() + "\n"

    @classmethod
    def from_json(cls, text: str | bytes, source: Path | str = CARD) -> ModelCard:
        """Read and validate the JSON text of a card.

        Parameters
        ----------
        text : str or bytes
            JSON text.
        source : Path or str
            Name of the file, for messages.

        Raises
        ------
        ModelError
            If an entry is missing or wrong; names the file, the entry and the value.
        """
        try:
            return _ADAPTER.validate_json(text)
        except pydantic.ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"])) or "the file"
            raise ModelError(
                f"{source} is not a model card: {where}: {first['msg']} "
                f"({str(first['input'])[:80]!r}). {_AGAIN}"
            ) from error

    @classmethod
    def read(cls, folder: Path) -> ModelCard:
        """Read the card of a model folder; see `from_json`."""
        with translated(ModelError, f"{folder / CARD} is not a model card", _AGAIN):
            return cls.from_json(read_file(folder / CARD, _MOST_CARD_BYTES), folder / CARD)


_ADAPTER = TypeAdapter(ModelCard)


def entries_of(value: object) -> Mapping[str, Any]:
    """Return a mapping as it is; an empty one for anything else that a card may hold."""
    return value if isinstance(value, Mapping) else {}


def is_number(value: object) -> TypeGuard[float]:
    """Whether an entry of a card is a number that can be shown; NaN and infinity are none."""
    return isinstance(value, int | float) and -_LARGE < value < _LARGE  # False for NaN


def is_model_file(name: str) -> bool:
    """Whether a name is that of a file of a model folder; names with folders never are."""
    known = (CARD, CONFIG, WEIGHTS, README, REHEARSAL, FAMILIARITY)
    return name in known or (name != LICENCE and _OTHER_LICENCE.fullmatch(name) is not None)
