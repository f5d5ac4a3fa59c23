"""All masks of NASA's nickel superalloy (Super1), from random weights.

    python benchmarks/super1.py --minutes 30

Learns from the 10 training images, chooses the best weights by the 4 validation
images, and is judged on the 4 test images. The published IoU (Stuckner, Harder &
Smith, npj Comput. Mater. 8, 200, 2022; at best 0.942 with UNet++ and an encoder
pre-trained on 100 000 micrographs) pools the pixels of all classes: a result that
misses every tertiary precipitate still gets 0.949. So the IoU of each class and their
mean stand beside it. Needs the shared data.
"""

from __future__ import annotations

import argparse
import json
import time

import numpy as np
from painting import super1

from napari_fractoseg.evaluation.confusion import Confusion
from napari_fractoseg.evaluation.evaluate import evaluate_job
from napari_fractoseg.jobs import drain
from napari_fractoseg.models.devices import choose_device
from napari_fractoseg.training.fit import new_model
from napari_fractoseg.training.loop import Trainer
from napari_fractoseg.training.presets import suggested_plan


def pooled_iou(confusion: Confusion) -> float:
    """Intersection over union with the pixels of all classes in one sum, as published."""
    hits = np.trace(confusion.counts)
    return float(hits / (2 * confusion.n_px - hits))


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--plan", default="{}", help="JSON of entries to change")
    options = parser.parse_args()
    device = choose_device()
    preset = {"max_minutes": options.minutes, "seed": options.seed, "reduction": 1}
    plan = suggested_plan(None, preset, **json.loads(options.plan))
    learn, choose, test = super1("train"), super1("val"), super1("test")
    began = time.monotonic()
    result = drain(Trainer(new_model(plan, learn, "Super1"), plan, device).run(learn, choose))
    minutes = (time.monotonic() - began) / 60
    confusion = drain(evaluate_job(result.model, test, device)).pooled
    print(
        f"{device.label}: {len(result.history)} steps in {minutes:.1f} min, best {result.best_step}"
    )
    print("pooled IoU | mean IoU | IoU by class")
    classes = ", ".join(f"{name} {value:.3f}" for name, value in confusion.iou.items())
    print(f"{pooled_iou(confusion):.3f} | {confusion.mean_iou:.3f} | {classes}")


if __name__ == "__main__":
    main()
