"""Cross-validate training plans on the fracture data, grouped by specimen.

    python scripts/fracture_data.py build/training
    python scripts/cross_validate.py build/training plan.json [plan.json ...] -o build/cv

A plan file holds a `TrainingPlan` and, beside it, the shares of the sources:

    {"plan": {"reduction": 4}, "shares": {"published": 3, "polygons": 1, "synthetic": 0.1}}

Each fold is trained for the plan's number of steps without looking at the
held-out specimens, and judged once at its end. The figures against the
published segmentations and against the polygons are kept apart.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
from fracture_data import FOLDS

from napari_fractoseg.jobs import drain
from napari_fractoseg.models.devices import choose_device
from napari_fractoseg.training.dataset import TrainingSet, merge_training_sets, read_training_set
from napari_fractoseg.training.evaluate import evaluate_job
from napari_fractoseg.training.plan import TrainingPlan
from napari_fractoseg.training.trainer import Trainer, new_model

REFERENCES = ("published", "polygons")


def load(data: Path, shares: dict[str, float]) -> list[TrainingSet]:
    """Read the sources that have a share above 0."""
    folders = {"synthetic": data / "synthetic" / "images"}
    labels = {"synthetic": data / "synthetic" / "labels"}
    return [
        read_training_set(
            folders.get(name, data / "images"), labels.get(name, data / name), share=share
        )
        for name, share in shares.items()
        if share > 0
    ]


def cross_validate(data: Path, config: dict, device_name: str, folds: list[str]) -> dict:
    """Train and judge every fold; return the figures image by image."""
    plan = TrainingPlan.from_dict(config["plan"])
    sources = load(data, config["shares"])
    references = dict(zip(REFERENCES, load(data, dict.fromkeys(REFERENCES, 1.0)), strict=True))
    device = choose_device(device_name)
    report: dict = {"config": config, "device": device.label, "images": {}}
    for fold in folds:
        held_out = set(FOLDS[fold])
        kept = [s.without(held_out) for s in sources]
        began = time.monotonic()
        merged = merge_training_sets([s for s in kept if s is not None])
        model = drain(Trainer(new_model(plan, merged, fold), plan, device).run(merged)).model
        minutes = (time.monotonic() - began) / 60
        for reference in REFERENCES:
            test = references[reference].only(held_out)
            if test is None:
                continue
            evaluation = drain(evaluate_job(model, test, device))
            for name, confusion in evaluation.images.items():
                report["images"][f"{reference}/{name}"] = confusion.to_dict()
        print(f"{fold}: {minutes:.1f} min", summary(report), flush=True)
    report["summary"] = summary(report)
    return report


def summary(report: dict) -> dict:
    """Mean over images, each reference by itself."""
    rows = {}
    for reference in REFERENCES:
        images = [v for k, v in report["images"].items() if k.startswith(reference)]
        keys = ("mode_agreement", "agreement", "mean_iou", "fraction_error")
        rows[reference] = {
            k: round(float(np.mean([i[k] for i in images if i[k] is not None])), 4) for k in keys
        } if images else {}
    return rows


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("plans", type=Path, nargs="+")
    parser.add_argument("-o", "--out", type=Path, required=True)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--folds", nargs="*", default=list(FOLDS))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    for path in options.plans:
        target = options.out / path.name
        if target.exists():
            continue
        print(path.stem, flush=True)
        report = cross_validate(
            options.data, json.loads(path.read_text()), options.device, options.folds
        )
        target.write_text(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
