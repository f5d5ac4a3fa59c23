"""Loading of a network from its configuration and weights: all of it, or an error."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
import segmentation_models_pytorch as smp
import torch
from safetensors.torch import load_file

from napari_fractoseg.errors import ModelError
from napari_fractoseg.models.card import WEIGHTS, ModelCard

__all__ = ["CONFIG", "check_finite", "load_network", "read_weights"]

CONFIG = "config.json"
_AGAIN = "Download or export the model again."
_MISFITS = (KeyError, ValueError, RuntimeError, TypeError, AssertionError)
"""Errors that segmentation-models-pytorch and torch raise where names or shapes do not fit."""


def load_network(folder: Path, card: ModelCard) -> torch.nn.Module:
    """Build the network of a model folder and load all of its weights.

    Unlike ``smp.from_pretrained`` this is an error where weights do not fit (which only warns
    and keeps random ones in their place), and never unpickles.

    Parameters
    ----------
    folder : Path
        Model folder with ``config.json`` and ``model.safetensors``.
    card : ModelCard
        Card of the model, with which the configuration must agree.

    Raises
    ------
    ModelError
        If a file is damaged, or card, configuration and weights do not belong
        together.
    """
    config = _read_config(folder / CONFIG, card)
    try:
        network: torch.nn.Module = smp.create_model(**config)
    except _MISFITS as error:
        raise ModelError(
            f"{folder / CONFIG}: segmentation-models-pytorch {smp.__version__} cannot build this "
            f"network ({_reason(error)}). Update it, or choose another model."
        ) from error
    weights = read_weights(folder / WEIGHTS)
    try:
        network.load_state_dict(weights)
    except _MISFITS as error:
        raise ModelError(
            f"{folder}: the weights do not fit the network that {CONFIG} describes: "
            f"{_reason(error)} {_AGAIN}"
        ) from error
    return network


def _read_config(path: Path, card: ModelCard) -> dict[str, Any]:
    """Read smp's ``config.json`` as arguments of ``smp.create_model``.

    Raises ModelError if it is not smp's or does not fit the card.
    """
    try:
        config = dict(json.loads(path.read_bytes()))
        architecture = str(config.pop("_model_class"))
    except (ValueError, KeyError, TypeError) as error:
        raise ModelError(
            f"{path} is not a configuration of segmentation-models-pytorch ({error!r}). {_AGAIN}"
        ) from error
    if architecture.lower() not in smp.MODEL_ARCHITECTURES_MAPPING:
        raise ModelError(
            f"{path}: architecture {architecture!r} is not known to segmentation-models-pytorch "
            f"{smp.__version__}. Update it, or choose another model."
        )
    found = {**config, "architecture": architecture.lower()}
    wanted = {
        "in_channels": 1,
        "classes": len(card.scheme),
        "architecture": card.architecture.lower(),
        "encoder_name": card.encoder,
    }
    for key, value in wanted.items():
        if found.get(key) != value:
            raise ModelError(
                f"{path}: {key} is {found.get(key)!r}, but the card wants {value!r}. The files "
                f"belong to different models. {_AGAIN}"
            )
    if config.get("activation") is not None:
        raise ModelError(
            f"{path}: activation is {config['activation']!r}, but the network must end without "
            "one: probabilities are made from what it gives. Export the model with "
            "activation=None."
        )
    # Otherwise smp would fetch the encoder's first weights from a hub.
    return {**config, "arch": architecture, "encoder_weights": None}


def read_weights(path: Path) -> dict[str, torch.Tensor]:
    """Read the weights of a safetensors file: name -> tensor.

    Raises
    ------
    ModelError
        If the file is damaged or a weight is NaN or infinite.
    """
    try:
        weights: dict[str, torch.Tensor] = load_file(path)
    except (safetensors.SafetensorError, OSError) as error:
        raise ModelError(
            f"{path} is damaged or not a safetensors file ({error}). {_AGAIN}"
        ) from error
    check_finite(weights, path)
    return weights


def check_finite(weights: Mapping[str, torch.Tensor], path: Path) -> None:
    """Raise ModelError if a weight is NaN or infinite; `path` is for the message."""
    for name, tensor in weights.items():
        bad = tensor.numel() - int(torch.isfinite(tensor).sum())
        if bad:
            raise ModelError(
                f"{path} is damaged: {bad} of {tensor.numel()} weights of {name!r} are NaN or "
                f"infinite. {_AGAIN}"
            )


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
