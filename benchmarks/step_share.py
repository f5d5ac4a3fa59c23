"""How much of a training step is not the network: data, augmentation, bookkeeping.

    python benchmarks/step_share.py --device cpu --steps 30

Whole steps of a run and the network's part alone (forward, loss, backward, optimiser,
on one batch that is there already) are timed in turns, in the same process.
"""

from __future__ import annotations

import argparse
import statistics
import time

import torch

from napari_fractoseg.datasets.dataset import TrainingPair, TrainingSet
from napari_fractoseg.images import Micrograph
from napari_fractoseg.models.devices import choose_device
from napari_fractoseg.models.model import load_model
from napari_fractoseg.samples import synthetic_fracture
from napari_fractoseg.training.data.split import Split
from napari_fractoseg.training.presets import continued_plan, suggested_plan
from napari_fractoseg.training.state import TrainingRun


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="auto")
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--model", default="default")
    options = parser.parse_args()
    device, model = choose_device(options.device), load_model(options.model)
    plan = suggested_plan(model.card, max_minutes=60, stay_close=0.0)
    surface = synthetic_fracture(seed=1, shape=(1280, 1280))
    pair = TrainingPair(Micrograph(surface.image), surface.labels)
    split = Split(TrainingSet((pair,), model.card.scheme), None)
    run = TrainingRun(model, continued_plan(plan, model.card), device, split)
    images, targets = run.patches.of(1)
    ready = images.to(device.torch, memory_format=torch.channels_last), targets
    whole, network = [], []
    for number in range(options.steps + 5):
        began = time.perf_counter()
        run.step(0.5)
        _wait(device.kind)
        between = time.perf_counter()
        run.learn(*ready)
        _wait(device.kind)
        if number >= 5:  # the first ones warm up
            whole.append(between - began)
            network.append(time.perf_counter() - between)
    run.patches.close()
    step, alone = statistics.median(whole), statistics.median(network)
    print(
        f"{device.label}: step {1000 * step:.0f} ms, network alone {1000 * alone:.0f} ms, "
        f"{run.plan.batch_size} patches of {plan.patch_px} px; "
        f"not the network: {1 - alone / step:.1%}"
    )


def _wait(kind: str) -> None:
    if kind == "cuda":
        torch.cuda.synchronize()


if __name__ == "__main__":
    main()
