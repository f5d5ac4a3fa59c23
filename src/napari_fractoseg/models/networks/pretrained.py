"""Pretrained weights of encoders: where they are published, download, check and loading.

ImageNet weights lie on the Hugging Face hub, pinned by segmentation-models-pytorch
to a commit whose Git LFS pointer names their SHA-256. NASA's MicroNet weights
(Stuckner, Harder & Smith, npj Comput. Mater. 8, 200, 2022: more than 100 000
micrographs) have no published hash: that of the first fetch is kept beside the file,
and a plan that repeats a training names it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import segmentation_models_pytorch as smp
import timm
import torch
from torch import nn

from napari_fractoseg.downloads import cache_folder, fetch_file, fetch_file_job
from napari_fractoseg.errors import DownloadError, ModelError, translated
from napari_fractoseg.files import file_sha256, read_file, write_bytes
from napari_fractoseg.jobs import Job
from napari_fractoseg.models.networks.network import check_finite, is_known_encoder, read_weights

__all__ = ["PublishedWeights", "fetch_weights_job", "fill_encoder", "find_weights"]

HUB_URL = "https://huggingface.co"
"""Where ImageNet weights are fetched from, unless ``HF_ENDPOINT`` says otherwise."""
MICRONET_URL = "https://nasa-public-data.s3.amazonaws.com/microscopy_segmentation_models"
"""Where MicroNet weights are fetched from, unless ``FRACTOSEG_MICRONET_URL`` says otherwise."""

_WEIGHTS = "model.safetensors"
_POINTER = "oid sha256:"
_MICRONET = {"micronet": "microscopynet", "imagenet-micronet": "imagenet-microscopynet"}
_MICRONET_FAMILIES = (
    "densenet", "dpn", "efficientnet-b", "inception", "mobilenet_v2", "resnet", "resnext",
    "se_resne", "senet154", "vgg", "xception",
)  # fmt: skip
_MOST_TEXT_BYTES = 2**12
"""Largest size of a file that holds a hash."""


@dataclass(frozen=True)
class PublishedWeights:
    """Where the pretrained weights of an encoder are published, and the file they are kept in.

    Parameters
    ----------
    encoder : str
        Name of the encoder in segmentation-models-pytorch.
    kind : str
        Images they were trained on: ``imagenet``, ``micronet`` or ``imagenet-micronet``.
    url : str
        Address of the file.
    pointer_url : str
        Address of the Git LFS pointer with the file's SHA-256; empty if there is none.
    file_name : str
        Name of the file in the cache.
    """

    encoder: str
    kind: str
    url: str
    pointer_url: str
    file_name: str

    @property
    def path(self) -> Path:
        """File in the cache of downloads, whether it is there or not."""
        return cache_folder() / "encoders" / self.file_name

    @property
    def remedy(self) -> str:
        """Sentence that says what to do if the file cannot be fetched."""
        return f"Or put the file there by hand, as {self.path}, or start from random weights."


def find_weights(encoder: str, kind: str) -> PublishedWeights:
    """Return where pretrained weights of an encoder are published.

    Parameters
    ----------
    encoder : str
        Name of the encoder in segmentation-models-pytorch.
    kind : str
        Images they were trained on: ``imagenet``, ``micronet`` or ``imagenet-micronet``
        (first the one, then the other).

    Raises
    ------
    ModelError
        If none are known.
    """
    if not is_known_encoder(encoder):
        raise _none_published(encoder, kind)
    if kind in _MICRONET:
        return _micronet(encoder, kind)
    if encoder.startswith("tu-"):
        config = timm.get_pretrained_cfg(encoder[3:], allow_unregistered=True)
        if config is None or not config.hf_hub_id:
            raise _none_published(encoder, kind)
        return _on_hub(encoder, kind, _timm_repository(config), "main")
    settings = smp.encoders.encoders.get(encoder, {}).get("pretrained_settings", {}).get(kind)
    if not settings or "repo_id" not in settings:
        raise _none_published(encoder, kind)
    return _on_hub(encoder, kind, settings["repo_id"], settings["revision"])


def _timm_repository(config: Any) -> str:
    """Return owner and name of a hub repository; timm's own configurations name only the owner."""
    repository = str(config.hf_hub_id)
    if repository.endswith("/"):
        repository += ".".join(filter(None, (config.architecture, config.tag)))
    return repository


def _on_hub(encoder: str, kind: str, repository: str, revision: str) -> PublishedWeights:
    base = f"{os.environ.get('HF_ENDPOINT') or HUB_URL}/{repository}".rstrip("/")
    return PublishedWeights(
        encoder,
        kind,
        f"{base}/resolve/{revision}/{_WEIGHTS}",
        f"{base}/raw/{revision}/{_WEIGHTS}",
        f"{encoder}.{kind}-{revision[:8]}.safetensors",
    )


def _micronet(encoder: str, kind: str) -> PublishedWeights:
    if not encoder.startswith(_MICRONET_FAMILIES) or encoder not in smp.encoders.encoders:
        raise _none_published(encoder, kind)
    # As in NASA's pretrained_microscopy_models, `get_pretrained_microscopynet_url`.
    version = "1.1" if (encoder, kind) == ("resnet50", "micronet") else "1.0"
    name = "resnext101" if (encoder, kind) == ("resnext101_32x8d", "micronet") else encoder
    file_name = f"{name}_pretrained_{_MICRONET[kind]}_v{version}.pth.tar"
    base = (os.environ.get("FRACTOSEG_MICRONET_URL") or MICRONET_URL).rstrip("/")
    return PublishedWeights(encoder, kind, f"{base}/{file_name}", "", file_name)


def _none_published(encoder: str, kind: str) -> ModelError:
    return ModelError(
        f"No {kind} weights of encoder {encoder!r} are known. Choose another encoder, such as "
        "resnet34, or start from random weights."
    )


def fetch_weights_job(published: PublishedWeights, sha256: str = "") -> Job[str]:
    """Fetch pretrained weights into the cache, unless they are there.

    Parameters
    ----------
    published : PublishedWeights
        Weights to fetch (`find_weights`).
    sha256 : str
        SHA-256 that the file must have; empty for the published one, or that of the
        first fetch.

    Yields
    ------
    Progress
        0 of 0 steps, with the megabytes in the message.

    Returns
    -------
    str
        SHA-256 of the file.

    Raises
    ------
    DownloadError
        If the file cannot be fetched or has another hash.
    """
    path = published.path
    seen = path.with_name(f"{path.name}.sha256")
    known = _hash_in(seen)
    # A file without a known hash was put there by hand.
    expected = sha256 or known or ("" if path.exists() else _hash_in_pointer(published))
    yield from fetch_file_job(published.url, path, expected or None, remedy=published.remedy)
    digest = expected or file_sha256(path)
    if not known:
        write_bytes(seen, f"{digest}\n".encode(), overwrite=True)
    return digest


def _hash_in(path: Path) -> str:
    """Return the hash in a file of the cache; empty if it is not there."""
    if not os.path.lexists(path):
        return ""
    with translated(DownloadError, f"{path} is damaged", "Remove it, and the file beside it."):
        text = read_file(path, _MOST_TEXT_BYTES).decode().strip()
        if not re.fullmatch("[0-9a-f]{64}", text):
            raise ValueError("it holds no SHA-256")
    return text


def _hash_in_pointer(published: PublishedWeights) -> str:
    if not published.pointer_url:
        return ""
    path = published.path.parent / "pointers" / published.file_name
    fetch_file(published.pointer_url, path, None, remedy=published.remedy)
    with translated(DownloadError, f"{published.pointer_url} is no pointer", published.remedy):
        text = read_file(path, _MOST_TEXT_BYTES).decode(errors="replace")
    path.unlink()
    found = [line.removeprefix(_POINTER) for line in text.splitlines() if line.startswith(_POINTER)]
    if not found:
        raise DownloadError(
            f"{published.pointer_url} does not name the SHA-256 of the weights "
            f"({text[:60]!r}). {published.remedy}"
        )
    return found[0].strip()


def fill_encoder(network: nn.Module, published: PublishedWeights) -> None:
    """Load pretrained weights into the encoder of a network with one input channel.

    The kernels of the first layer are summed over the three colours, as a grey image has the
    same levels in all of them.

    Parameters
    ----------
    network : torch.nn.Module
        Network of segmentation-models-pytorch with the encoder that `published` names; it is
        changed.
    published : PublishedWeights
        Weights that are in the cache (`fetch_weights_job`).

    Raises
    ------
    ModelError
        If the file is damaged or does not fit.
    """
    path = published.path
    encoder: Any = network.encoder
    make = _timm_encoder if published.encoder.startswith("tu-") else _smp_encoder
    what = f"{path} does not hold the weights of encoder {published.encoder!r}"
    with translated(ModelError, what, "Remove it to fetch it again, or start from random weights."):
        weights = read_weights(path) if path.suffix == ".safetensors" else _unpickled(path)
        finished = make(published.encoder, encoder._depth, weights)
        encoder.load_state_dict(finished.state_dict())


def _smp_encoder(name: str, depth: int, weights: dict[str, torch.Tensor]) -> nn.Module:
    encoder: Any = smp.encoders.get_encoder(name, in_channels=3, depth=depth, weights=None)
    encoder.load_state_dict(weights)  # all of them; smp leaves the classifier out
    encoder.set_in_channels(1, pretrained=True)
    return cast(nn.Module, encoder)


def _timm_encoder(name: str, depth: int, weights: dict[str, torch.Tensor]) -> nn.Module:
    # With its classifier timm takes all weights or none; without, what happens to fit.
    timm.create_model(name[3:], **_from_memory(weights), pretrained=True)
    encoder: nn.Module = smp.encoders.get_encoder(
        name, in_channels=1, depth=depth, weights=True, **_from_memory(weights)
    )
    return encoder


def _from_memory(weights: Mapping[str, torch.Tensor]) -> dict[str, Any]:
    """Return the options that make timm take weights from memory; timm changes what it is given."""
    return {"pretrained_cfg_overlay": {"state_dict": dict(weights)}}


def _unpickled(path: Path) -> dict[str, torch.Tensor]:
    """Read MicroNet's weights; ``weights_only`` lets nothing but tensors be unpickled."""
    if not path.is_file():
        raise ValueError("it is no file")
    content = torch.load(path, map_location="cpu", weights_only=True)
    if isinstance(content, dict) and isinstance(content.get("state_dict"), dict):
        content = content["state_dict"]
    if not isinstance(content, dict) or not all(map(torch.is_tensor, content.values())):
        raise ValueError("it holds something else than named tensors")
    weights = {
        str(name).removeprefix("module."): t.float() if t.is_floating_point() else t
        for name, t in content.items()
    }
    check_finite(weights, path)
    return weights
