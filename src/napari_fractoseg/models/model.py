"""A segmentation model: a card and a network; nothing else knows torch modules."""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import safetensors
import segmentation_models_pytorch as smp
import torch
import torch.nn.functional as F  # noqa: N812
from safetensors.torch import load_file, save_file

from napari_fractoseg.errors import ModelError, OutputExistsError
from napari_fractoseg.models.card import CARD, WEIGHTS, ModelCard
from napari_fractoseg.models.readme import readme_text
from napari_fractoseg.models.zoo import DEFAULT_MODEL, find_model

__all__ = ["SegmentationModel", "load_model"]

CONFIG, README = "config.json", "README.md"

_FLIPS: tuple[tuple[int, ...], ...] = ((), (-1,), (-2,), (-2, -1))


class SegmentationModel:
    """A network with its card.

    Parameters
    ----------
    card : ModelCard
        Classes, test-time choices, provenance.
    network : torch.nn.Module
        From segmentation-models-pytorch, one input channel, one output channel
        for each class of the card.
    digest : str
        SHA-256 of the weights file it was loaded from; empty for a new network.
    known_channels : tuple of int or None
        Channels of the classes that it learnt; None means all. Others were
        added and are still random.

    Examples
    --------
    >>> from napari_fractoseg.models.model import SegmentationModel
    >>> model = SegmentationModel.load("models/fracture-modes")  # doctest: +SKIP
    >>> model.card.scheme.names  # doctest: +SKIP
    ('intergranular', 'transgranular', 'background')
    """

    def __init__(
        self,
        card: ModelCard,
        network: torch.nn.Module,
        digest: str = "",
        known_channels: tuple[int, ...] | None = None,
    ) -> None:
        self.card, self.network, self.digest = card, network, digest
        self.known_channels = known_channels

    @classmethod
    def create(cls, card: ModelCard, **options: Any) -> SegmentationModel:
        """Make a network with random weights for a card.

        Parameters
        ----------
        card : ModelCard
            Names architecture and encoder.
        **options
            Passed to segmentation-models-pytorch, such as ``decoder_channels``.

        Raises
        ------
        ModelError
            If there is no such architecture or encoder.
        """
        try:
            network = smp.create_model(
                card.architecture,
                encoder_name=card.encoder,
                encoder_weights=None,
                in_channels=1,
                classes=len(card.scheme),
                **options,
            )
        except (KeyError, ValueError, RuntimeError, TypeError, AssertionError) as error:
            raise ModelError(
                f"No network of architecture {card.architecture!r} with encoder "
                f"{card.encoder!r}: {str(error)[:300]}"
            ) from error
        return cls(card, network)

    @classmethod
    def load(cls, folder: Path | str) -> SegmentationModel:
        """Load a model folder; nothing in it is executed or unpickled.

        Parameters
        ----------
        folder : Path or str
            Holds ``card.json``, ``config.json`` and ``model.safetensors``.

        Raises
        ------
        ModelError
            If the folder is incomplete, damaged or not one of ours.
        """
        folder = Path(folder)
        missing = [name for name in (CARD, CONFIG, WEIGHTS) if not (folder / name).is_file()]
        if missing:
            raise ModelError(
                f"{folder} is not a model folder: {', '.join(missing)} missing. Choose a folder "
                f"with {CARD}, {CONFIG} and {WEIGHTS}."
            )
        card = ModelCard.read(folder)
        network = _load_network(folder, _read_config(folder / CONFIG, card))
        digest = hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest()
        return cls(card, network.eval(), digest)

    def save(self, folder: Path | str, *, half: bool = False, overwrite: bool = False) -> Path:
        """Write the model folder: all of it, or nothing.

        Parameters
        ----------
        folder : Path or str
            Must not exist yet, unless `overwrite`.
        half : bool
            Store weights in half precision: half the size, rounded to about
            three digits.
        overwrite : bool
            Replace an existing folder.

        Returns
        -------
        Path
            The folder.

        Raises
        ------
        OutputExistsError
            If the folder exists and `overwrite` is False.
        """
        folder = Path(folder)
        if folder.exists() and not overwrite:
            raise OutputExistsError(f"{folder} exists already. Choose another name.")
        folder.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
        try:
            self.network.save_pretrained(draft)  # type: ignore[operator]
            state = {
                name: tensor.detach().to("cpu", _stored_type(tensor, half)).contiguous()
                for name, tensor in self.network.state_dict().items()
            }
            save_file(state, draft / WEIGHTS, metadata={"format": "pt"})
            (draft / CARD).write_text(self.card.to_json(), encoding="utf-8")
            (draft / README).write_text(readme_text(self.card), encoding="utf-8")
            draft.chmod(0o755)  # mkdtemp and safetensors write for the owner alone
            for path in draft.iterdir():
                path.chmod(0o644)
            if folder.exists():
                shutil.rmtree(folder)
            os.replace(draft, folder)  # noqa: PTH105 - atomic on one file system
        finally:
            shutil.rmtree(draft, ignore_errors=True)
        self.digest = hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest()
        return folder

    @property
    def stride_px(self) -> int:
        """Image pixels at whose multiples tiles must start."""
        encoder = getattr(self.network, "encoder", None)
        stride = int(getattr(encoder, "output_stride", 32) or 32)
        return max(stride, 32) * math.lcm(*self.card.inference.reductions)

    @property
    def halo_px(self) -> int:
        """The card's halo, rounded up to `stride_px`."""
        return -(-self.card.inference.halo_px // self.stride_px) * self.stride_px

    def to(self, device: torch.device) -> SegmentationModel:
        """Move the network to a device, in the memory layout that is fastest there."""
        self.network.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        return self

    def with_card(self, **changes: Any) -> SegmentationModel:
        """Return the same network with entries of the card changed."""
        return SegmentationModel(
            replace(self.card, **changes), self.network, self.digest, self.known_channels
        )

    @torch.inference_mode()
    def probabilities(self, batch: torch.Tensor | npt.NDArray[np.float32]) -> torch.Tensor:
        """Return the probability of each class at each pixel.

        Parameters
        ----------
        batch : Tensor or ndarray of float32, shape (N, 1, Y, X)
            Normalised grey levels (`images.GreyRange`); Y and X are multiples
            of `stride_px`.

        Returns
        -------
        Tensor of float32, shape (N, K, Y, X)
            Channels in the order of the card's scheme; they add up to 1.
        """
        parameter = next(self.network.parameters())
        inputs = torch.as_tensor(batch).to(parameter.device)
        self.network.eval()
        parts = [
            self._enlarged(self._averaged(_reduced(inputs, reduction)), reduction)
            for reduction in self.card.inference.reductions
        ]
        return _mean(parts)

    def _averaged(self, inputs: torch.Tensor) -> torch.Tensor:
        """Probabilities at the network's resolution, averaged over mirror images if asked for."""
        flips = _FLIPS if self.card.inference.flips else _FLIPS[:1]
        results = []
        for axes in flips:
            mirrored = inputs.flip(axes).contiguous(memory_format=torch.channels_last)
            results.append(self.network(mirrored).float().softmax(dim=1).flip(axes))
        return _mean(results)

    @staticmethod
    def _enlarged(probabilities: torch.Tensor, factor: int) -> torch.Tensor:
        if factor == 1:
            return probabilities
        return F.interpolate(probabilities, scale_factor=factor, mode="bilinear")


def _reduced(inputs: torch.Tensor, reduction: int) -> torch.Tensor:
    return F.avg_pool2d(inputs, reduction) if reduction > 1 else inputs


def _mean(parts: list[torch.Tensor]) -> torch.Tensor:
    return torch.stack(parts).mean(dim=0) if len(parts) > 1 else parts[0]


def _stored_type(tensor: torch.Tensor, half: bool) -> torch.dtype:
    return torch.float16 if half and tensor.is_floating_point() else tensor.dtype


def _read_config(path: Path, card: ModelCard) -> dict[str, Any]:
    """Read smp's ``config.json`` as arguments of ``smp.create_model``.

    Raises ModelError if it is not smp's or does not fit the card.
    """
    try:
        config = dict(json.loads(path.read_bytes()))
        architecture = str(config.pop("_model_class"))
    except (ValueError, KeyError, TypeError) as error:
        raise ModelError(
            f"{path} is not a configuration of segmentation-models-pytorch ({error!r}). "
            "Download or export the model again."
        ) from error
    if architecture.lower() not in smp.MODEL_ARCHITECTURES_MAPPING:
        raise ModelError(
            f"{path}: architecture {architecture!r} is not known to segmentation-models-pytorch "
            f"{smp.__version__}. Update it, or choose another model."
        )
    for key, value in {"in_channels": 1, "classes": len(card.scheme)}.items():
        if config.get(key) != value:
            raise ModelError(
                f"{path}: {key} is {config.get(key)!r}, but the card wants {value}. The files "
                "belong to different models; download or export the model again."
            )
    # Otherwise smp would fetch the encoder's first weights from a hub.
    return {**config, "arch": architecture, "encoder_weights": None}


def _load_network(folder: Path, config: dict[str, Any]) -> torch.nn.Module:
    """Build the network and fill in its weights, all of them.

    The same as ``smp.from_pretrained``, which however only warns where weights
    do not fit, keeps random ones in their place, and takes pickles.
    """
    try:
        network: torch.nn.Module = smp.create_model(**config)
        network.load_state_dict(load_file(folder / WEIGHTS))
    except (safetensors.SafetensorError, OSError) as error:
        raise ModelError(
            f"{folder / WEIGHTS} is damaged or not a safetensors file ({error}). Download or "
            "export the model again."
        ) from error
    except (KeyError, ValueError, RuntimeError, TypeError, AssertionError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ModelError(
            f"{folder}: the weights do not fit the network that {CONFIG} describes: {reason} "
            "Download or export the model again."
        ) from error
    return network


def load_model(name_or_folder: str | Path = DEFAULT_MODEL) -> SegmentationModel:
    """Load a model.

    Parameters
    ----------
    name_or_folder : str or Path
        ``default`` (the one that comes with the package), the name of a model
        (`list_models`), or a model folder.

    Returns
    -------
    SegmentationModel
        With ``card``, ``network`` and ``probabilities``.

    Raises
    ------
    ModelError
        If there is no such model or its folder is damaged.

    Examples
    --------
    >>> import napari_fractoseg as nf
    >>> nf.load_model("default").card.scheme.names
    ('intergranular', 'transgranular', 'background')
    """
    return SegmentationModel.load(find_model(name_or_folder))
