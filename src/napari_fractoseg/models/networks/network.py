"""Building of networks, and loading of their weights: all of it, or an error.

Configurations and weights may be those of strangers. So only known options reach the libraries,
nothing is looked up on the network or among other files, and sizes are compared on an outline of
the network, which takes no memory, before anything is read.
"""

from __future__ import annotations

import dataclasses
import inspect
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic
import segmentation_models_pytorch as smp
import timm
import torch
from pydantic import ConfigDict, Field, TypeAdapter
from safetensors import safe_open
from torch.overrides import TorchFunctionMode
from typing_extensions import TypedDict

from napari_fractoseg.errors import ModelError, translated
from napari_fractoseg.files import read_json
from napari_fractoseg.images.memory import free_memory
from napari_fractoseg.models.card import CONFIG, WEIGHTS, ModelCard
from napari_fractoseg.models.limits import LibraryName
from napari_fractoseg.models.networks.readout import (
    READOUT,
    ReadoutNetwork,
    ReadoutShape,
    network_below,
)
from napari_fractoseg.options import refusal

__all__ = [
    "build_network",
    "check_finite",
    "config_of",
    "is_known_encoder",
    "load_network",
    "read_weights",
]

_AGAIN = "Download or export the model again."
_MOST_CONFIG_BYTES = 2**20
_MOST_HEADER_BYTES = 2**24
"""Largest list of names and shapes at the beginning of a weights file; 2**18 bytes are usual."""
_COPIES = 3
"""How many copies of the weights there are in memory when a model is made ready for a device."""
_PROBE_PX = 256
_FLOATS = ("F16", "BF16", "F32", "F64")
_COUNT = "I64"
"""Type of what a network counts, such as the steps of batch normalisation."""

_Width = Annotated[int, Field(ge=1, le=8192)]
_Few = Field(min_length=1, max_length=8)
_Part = Annotated[float, Field(ge=0, le=1)]
_NormName = Literal["batchnorm", "identity", "layernorm", "instancenorm", "inplace"]
_STRICT = ConfigDict(extra="forbid", strict=True)


class _Norm(TypedDict, total=False):
    """Normalisation of a decoder with options."""

    __pydantic_config__ = _STRICT  # type: ignore[misc]
    type: _NormName
    eps: _Part
    momentum: _Part | None
    affine: bool
    track_running_stats: bool
    elementwise_affine: bool


class _Options(TypedDict, total=False):
    """Options of all architectures of segmentation-models-pytorch that a model may have."""

    __pydantic_config__ = _STRICT  # type: ignore[misc]
    encoder_name: LibraryName
    in_channels: Literal[1]
    classes: Annotated[int, Field(ge=1, le=255)]
    activation: None
    aux_params: None
    encoder_depth: Annotated[int, Field(ge=1, le=8)]
    encoder_output_stride: Literal[8, 16, 32]
    encoder_output_indices: Annotated[Sequence[int], _Few] | None
    dynamic_img_size: bool
    decoder_use_norm: bool | _NormName | _Norm
    decoder_use_batchnorm: bool | Literal["inplace"]
    psp_use_batchnorm: bool | Literal["inplace"]
    decoder_channels: _Width | Annotated[Sequence[_Width], _Few]
    decoder_attention_type: Literal["scse"] | None
    decoder_interpolation: Literal["nearest", "nearest-exact", "bilinear", "bicubic", "area"]
    decoder_pab_channels: _Width
    decoder_pyramid_channels: _Width
    decoder_segmentation_channels: _Width
    decoder_merge_policy: Literal["add", "cat"]
    decoder_dropout: _Part
    decoder_atrous_rates: Annotated[Sequence[Annotated[int, Field(ge=1, le=256)]], _Few]
    decoder_aspp_separable: bool
    decoder_aspp_dropout: _Part
    decoder_readout: Literal["ignore", "add", "cat"]
    decoder_intermediate_channels: Annotated[Sequence[_Width], _Few]
    decoder_fusion_channels: _Width
    psp_out_channels: _Width
    psp_dropout: _Part
    upsampling: Annotated[int, Field(ge=1, le=32)] | None


_OPTIONS: TypeAdapter[_Options] = TypeAdapter(_Options)
_READOUT: TypeAdapter[ReadoutShape] = TypeAdapter(ReadoutShape)
_UNNAMED = ("decoder_use_batchnorm", "psp_use_batchnorm", "dynamic_img_size")
"""Options that some architectures take although their signature does not name them."""


def is_known_encoder(name: str) -> bool:
    """Whether an encoder is one of segmentation-models-pytorch, or (``tu-``) of timm's registry.

    Names with which timm would look elsewhere, such as ``tu-hf-hub:...`` and ``tu-local-dir:...``,
    are not.
    """
    if name in smp.encoders.encoders:
        return True
    kind, _, rest = name.partition("-")
    if ":" in name or "/" in name or kind not in ("tu", "timm"):
        return False
    return timm.is_model(rest) or (kind == "timm" and timm.is_model(f"tf_{rest}"))


def build_network(architecture: str, options: Mapping[str, Any]) -> torch.nn.Module:
    """Make a network of segmentation-models-pytorch with random weights.

    Parameters
    ----------
    architecture : str
        Name of the architecture.
    options : mapping
        Arguments of its class, such as ``encoder_name`` and ``decoder_channels``.

    Raises
    ------
    ModelError
        If there is no such architecture or encoder, an option is not possible, or the network
        would take more memory than there is.
    """
    encoder = options.get("encoder_name")
    what = f"No network of architecture {architecture!r} with encoder {encoder!r}"
    with translated(ModelError, what):
        make = _maker(architecture, options)
        _check_memory(_outline(make, int(options["classes"])))
        return make()


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
    what = (
        f"{folder / CONFIG}: segmentation-models-pytorch {smp.__version__} cannot build this "
        "network"
    )
    with translated(ModelError, what, "Update it, or choose another model."):
        shape = _readout_shape(config.pop(READOUT, None))
        _check_readout(shape, card)
        make = _maker(card.architecture, config)
        n_outputs = int(config["classes"])
        if shape is not None:
            make = partial(_with_readout, make, shape)
            n_outputs = shape.n_outputs
        outline = _outline(make, n_outputs)
    stored = _read_outlines(folder / WEIGHTS)
    types = {name: weight.dtype for name, weight in outline.state_dict().items()}
    misfit = f"{folder}: the weights do not fit the network that {CONFIG} describes"
    with translated(ModelError, misfit, _AGAIN):
        outline.load_state_dict(dict(stored), assign=True)  # smp changes what it is given
        for name, weight in outline.state_dict().items():
            if weight.dtype != types[name]:
                raise ValueError(f"{name} is of type {weight.dtype} instead of {types[name]}")
        _check_memory(outline)
        network = make()
        network.load_state_dict(read_weights(folder / WEIGHTS))
    return network


def _maker(architecture: str, options: Mapping[str, Any]) -> Callable[[], torch.nn.Module]:
    """Return a function that makes a network, after its options were checked."""
    kind = smp.MODEL_ARCHITECTURES_MAPPING.get(architecture.lower())
    if kind is None:
        raise ValueError(f"there is no architecture {architecture!r}")
    try:
        checked = dict(_OPTIONS.validate_python(dict(options)))
    except pydantic.ValidationError as error:
        raise ValueError(refusal(error)) from error
    foreign = set(checked) - set(inspect.signature(kind.__init__).parameters) - set(_UNNAMED)
    if foreign:
        raise ValueError(f"{kind.__name__} has no option {min(foreign)!r}")
    if not is_known_encoder(str(options["encoder_name"])):
        raise ValueError(f"there is no encoder {options['encoder_name']!r} in it or in timm")
    # Otherwise smp would fetch the encoder's first weights from a hub.
    return lambda: smp.create_model(architecture, encoder_weights=None, **checked)


def config_of(network: torch.nn.Module) -> dict[str, Any]:
    """Return the configuration of a network as ``config.json`` has it.

    It is that of segmentation-models-pytorch, with an entry for a readout.
    """
    below = network_below(network)
    config: dict[str, Any] = {**below.config}  # type: ignore[dict-item]
    config["_model_class"] = type(below).__name__
    if isinstance(network, ReadoutNetwork):
        config[READOUT] = dataclasses.asdict(network.shape)
    return config


def _check_readout(shape: ReadoutShape | None, card: ModelCard) -> None:
    """Raise ValueError unless a readout fits the scale levels of a card."""
    inference = card.inference
    if (inference.combine == "sum") != (shape is not None):
        raise ValueError(f"the card combines scale levels by {inference.combine!r}")
    if shape is not None and shape.levels != len(set(inference.reductions)):
        raise ValueError(
            f"its readout has {shape.levels} scale levels, the card {inference.reductions}"
        )


def _readout_shape(entry: Any) -> ReadoutShape | None:
    """Return the shape of the readout that a configuration has, None if it has none."""
    try:
        return None if entry is None else _READOUT.validate_python(entry)
    except pydantic.ValidationError as error:
        raise ValueError(refusal(error)) from error


def _with_readout(make: Callable[[], torch.nn.Module], shape: ReadoutShape) -> ReadoutNetwork:
    return ReadoutNetwork(make(), shape)


class _WithoutMemory(TorchFunctionMode):
    """While it is active, new weights have a shape but take no memory (the meta device).

    Unlike ``torch.device("meta")`` it leaves alone what networks compute while they are built,
    such as rates of dropout.
    """

    def __torch_function__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        changed = {"device": "meta"} if func is torch.empty else {}
        return func(*args, **{**(kwargs or {}), **changed})


def _outline(make: Callable[[], torch.nn.Module], n_classes: int) -> torch.nn.Module:
    """Make a network whose weights have shapes but no values, and see that it fits its purpose."""
    with torch.random.fork_rng(devices=[]), _WithoutMemory():
        network = make().to("meta").eval().requires_grad_(False)
    probe = torch.empty(1, 1, _PROBE_PX, _PROBE_PX, device="meta")
    with torch.inference_mode():
        found = network(probe)
    expected = (1, n_classes, _PROBE_PX, _PROBE_PX)
    if tuple(found.shape) != expected:
        raise ValueError(f"it turns shape {tuple(probe.shape)} into {tuple(found.shape)}")
    return network


def _check_memory(outline: torch.nn.Module) -> None:
    """Raise ModelError if the weights of a network take more memory than is free."""
    n_weights = sum(weight.numel() for weight in outline.state_dict().values())
    needed, free = _COPIES * 4 * n_weights, free_memory()
    if needed > free:
        raise ModelError(
            f"The network has {n_weights / 1e6:.1f} million weights. It takes "
            f"{needed / 2**30:.1f} GB of memory to run, and {free / 2**30:.1f} GB are free. Close "
            "other programs, or choose another model."
        )


def _read_config(path: Path, card: ModelCard) -> dict[str, Any]:
    """Read smp's ``config.json`` as options of the card's architecture.

    Raises ModelError if it is not smp's or does not fit the card.
    """
    what = "a configuration of segmentation-models-pytorch"
    config = read_json(path, ModelError, what, _AGAIN, most_bytes=_MOST_CONFIG_BYTES)
    if not isinstance(config, dict) or not isinstance(config.get("_model_class"), str):
        raise ModelError(f"{path} is not {what}: it names no '_model_class'. {_AGAIN}")
    architecture = config.pop("_model_class")
    if architecture.lower() not in smp.MODEL_ARCHITECTURES_MAPPING:
        raise ModelError(
            f"{path}: architecture {architecture!r} is not known to segmentation-models-pytorch "
            f"{smp.__version__}. Update it, or choose another model."
        )
    found = {**config, "architecture": architecture.lower()}
    readout = config.get(READOUT)
    n_classes = readout.get("classes") if isinstance(readout, dict) else found.get("classes")
    found["classes"] = n_classes
    wanted = {
        "in_channels": 1,
        "classes": len(card.scheme),
        "architecture": card.architecture.lower(),
        "encoder_name": card.encoder,
    }
    for key, value in wanted.items():
        if found.get(key) != value:
            raise ModelError(
                f"{path}: {key} is {found.get(key)!r:.80}, but the card wants {value!r}. The files "
                f"belong to different models. {_AGAIN}"
            )
    if config.get("activation") is not None:
        raise ModelError(
            f"{path}: activation is {config['activation']!r:.80}, but the network must end without "
            "one: probabilities are made from what it gives. Export the model with "
            "activation=None."
        )
    config.pop("encoder_weights", None)
    return config


def read_weights(path: Path) -> dict[str, torch.Tensor]:
    """Read the weights of a safetensors file: name -> tensor, in single precision.

    Raises
    ------
    ModelError
        If the file is damaged, a weight is no real number, or is NaN or infinite in single
        precision.
    """
    _read_outlines(path)
    with _opened(path) as file:
        weights = {name: _in_memory(file.get_tensor(name)) for name in file.keys()}  # noqa: SIM118
    check_finite(weights, path)
    return weights


def _in_memory(tensor: torch.Tensor) -> torch.Tensor:
    """Return a copy of a tensor of a file, which others may change."""
    return tensor.to(torch.float32 if tensor.is_floating_point() else tensor.dtype, copy=True)


def _read_outlines(path: Path) -> dict[str, torch.Tensor]:
    """Return shapes and types of the weights in a file, as `read_weights` gives them."""
    with _opened(path) as file:
        parts = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118
        return {name: _outline_of(name, part, path) for name, part in parts.items()}


def _outline_of(name: str, part: Any, path: Path) -> torch.Tensor:
    stored = part.get_dtype()
    if stored not in (*_FLOATS, _COUNT):
        raise ModelError(
            f"{path}: the weights of {name!r:.80} are of type {stored}, but a network has real "
            f"numbers ({', '.join(_FLOATS)}). {_AGAIN}"
        )
    dtype = torch.int64 if stored == _COUNT else torch.float32
    return torch.empty(part.get_shape(), dtype=dtype, device="meta")


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """Open a safetensors file after a look at the length of its header."""
    with translated(ModelError, f"{path} is damaged or not a safetensors file", _AGAIN):
        if not os.path.isfile(path):  # noqa: PTH113 - false also where it may not be looked at
            raise ValueError("it is no file but a folder, pipe or device, or may not be read")
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
        if length > _MOST_HEADER_BYTES:
            raise ValueError(f"its header would have {length} bytes")
        with safe_open(path, framework="pt") as opened:
            yield opened


def check_finite(weights: Mapping[str, torch.Tensor], path: Path) -> None:
    """Raise ModelError if a weight is NaN or infinite; `path` is for the message."""
    for name, tensor in weights.items():
        bad = tensor.numel() - int(torch.isfinite(tensor).sum())
        if bad:
            raise ModelError(
                f"{path} is damaged: {bad} of {tensor.numel()} weights of {name!r} are NaN or "
                f"infinite in single precision. {_AGAIN}"
            )
