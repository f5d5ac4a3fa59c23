"""What the test-time choices of a model cost: its own look at an image beside another one.

    python benchmarks/look.py ../shared/data/fracture/images/s17_3.jpg

Parts and copies of a real image are segmented by the bundled model in turns, as its card says and
with ``--reductions``, ``--halo-px`` and mirror images unless ``--no-flips``: by default the look
that it had before decision 44. Least time of the turns, and the ratio, with the threads of PyTorch
that ``OMP_NUM_THREADS`` gives.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from napari_fractoseg.images import MicrographStack, read_image
from napari_fractoseg.inference.predictor import Predictor
from napari_fractoseg.jobs import drain
from napari_fractoseg.models.devices import choose_device
from napari_fractoseg.models.model import load_model


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("image", type=Path)
    parser.add_argument("--sizes", type=int, nargs="+", default=[640, 1280, 4096])
    parser.add_argument("--reductions", type=int, nargs="+", default=[2, 6])
    parser.add_argument("--halo-px", type=int, default=512)
    parser.add_argument("--flips", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    model, device = load_model(), choose_device(options.device)
    other = replace(
        model.card.inference,
        reductions=tuple(options.reductions),
        halo_px=options.halo_px,
        flips=options.flips,
        smoothing_px=0.0,
    )
    looks = (model, model.with_card(inference=other))
    grey = np.asarray(read_image(options.image).data)
    print(f"{torch.get_num_threads()} threads, {device.label}")
    for size in options.sizes:
        copies = -(-size // min(grey.shape))
        stack = MicrographStack(np.tile(grey, (copies, copies))[:size, :size])
        predictors = [Predictor(look, device) for look in looks]
        times: list[list[float]] = [[], []]
        for _ in range(options.turns):
            for predictor, found in zip(predictors, times, strict=True):
                began = time.perf_counter()
                drain(predictor.run(stack))
                found.append(time.perf_counter() - began)
        own, theirs = map(min, times)
        print(f"{size} px: {own:.3f} s, the other {theirs:.3f} s, ratio {own / theirs:.2f}")


if __name__ == "__main__":
    main()
