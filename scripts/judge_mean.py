"""Judge the mean of several networks on the images that none of them learnt from.

    python scripts/judge_mean.py build/training build/cv/models/first build/cv/models/second

Each folder has a network for each fold, as `cross_validate` leaves them in ``models/NAME``.
Their probabilities are averaged at each pixel, with the test-time choices of the bundled model or
those that are named. With one folder this is the judgement of `cross_validate` itself. A network
that imitates the mean of others can hardly be better than their mean, which costs as many times as
much. ``--references completed`` judges by polygons that were drawn when all plans and looks had
been chosen.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from cross_validate import REFERENCES, judge, load, summary
from fracture_data import FOLDS
from torch import nn
from train_bundled_model import MODEL

from napari_fractoseg.models.card import ModelCard
from napari_fractoseg.models.model import SegmentationModel


class MeanOfNetworks(nn.Module):
    """Networks whose probabilities are averaged.

    Parameters
    ----------
    networks : sequence of torch.nn.Module
        Networks with the same classes.
    """

    def __init__(self, networks: Sequence[nn.Module]) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return the logarithm of the mean probabilities."""
        each = torch.stack([network(inputs).log_softmax(dim=1) for network in self.networks])
        return each.logsumexp(dim=0)


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("networks", type=Path, nargs="+", help="folders of folds' networks")
    parser.add_argument("--folds", nargs="*", default=list(FOLDS))
    parser.add_argument(
        "--references", nargs="+", default=list(REFERENCES), help="folders of labels in the data"
    )
    parser.add_argument("--reductions", type=int, nargs="+")
    parser.add_argument("--flips", action=argparse.BooleanOptionalAction)
    parser.add_argument("--smoothing-px", type=float, help="sigma of a Gaussian")
    parser.add_argument("--halo-px", type=int)
    parser.add_argument("--device", default="auto")
    parser.add_argument("-o", "--out", type=Path, help="JSON file for the figures of each image")
    options = parser.parse_args()
    choices: dict[str, Any] = {"temperature": 1.0}
    for name in ("reductions", "flips", "smoothing_px", "halo_px"):
        if getattr(options, name) is not None:
            choices[name] = getattr(options, name)
    inference = replace(ModelCard.read(MODEL).inference, **choices)
    sources = load(options.data, dict.fromkeys(options.references, 1.0))
    references = dict(zip(options.references, sources, strict=True))
    images: dict[str, Any] = {}
    for fold in options.folds:
        models = [SegmentationModel.load(f / fold.replace(" ", "")) for f in options.networks]
        model = models[0].with_card(inference=inference)
        if len(models) > 1:
            model = model.with_network(MeanOfNetworks([m.network for m in models]))
        found = judge(model, references, fold, options.device)
        images |= found
        print(f"{fold}: {summary(found, options.references)}", flush=True)
    mean = summary(images, options.references)
    print(f"mean of images: {mean}")
    if options.out is not None:
        options.out.write_text(json.dumps({"summary": mean, "images": images}, indent=1))


if __name__ == "__main__":
    main()
