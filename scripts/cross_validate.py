"""Cross-validate training plans on the fracture data, grouped by specimen.

    python scripts/fracture_data.py build/training
    python scripts/cross_validate.py build/training plan.json [plan.json ...] -o build/cv

A plan file holds stages, each a `TrainingPlan` with the shares of the sources,
the second going on from the first, and any number of test-time choices to judge
the same networks by:

    {"stages": [{"plan": {"reduction": 2},
                 "shares": {"published": 3, "polygons": 1, "synthetic": 0.1}}],
     "inference": {"plain": {"reductions": [2]},
                   "flips": {"reductions": [2], "flips": true}}}

Each fold is trained for the plan's number of steps without looking at the
held-out specimens, and judged once at its end. The figures against the
published segmentations and against the polygons are kept apart.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from fracture_data import FOLDS

from napari_fractoseg.datasets.dataset import TrainingSet, merge_training_sets
from napari_fractoseg.datasets.sources import read_training_set
from napari_fractoseg.evaluation.evaluate import evaluate_job
from napari_fractoseg.jobs import drain
from napari_fractoseg.models.devices import choose_device
from napari_fractoseg.models.model import SegmentationModel
from napari_fractoseg.training.fit import train_job
from napari_fractoseg.training.plan import TrainingPlan

REFERENCES = ("published", "polygons")
CHOICE = "chosen"
FIGURES = ("mode_agreement", "agreement", "mean_iou", "fraction_error")


def load(data: Path, shares: dict[str, float]) -> list[TrainingSet]:
    """Read the sources that have a share above 0."""
    images = {"synthetic": data / "synthetic" / "images"}
    labels = {"synthetic": data / "synthetic" / "labels"}
    return [
        read_training_set(
            images.get(name, data / "images"), labels.get(name, data / name), share=share
        )
        for name, share in shares.items()
        if share > 0
    ]


def train_fold(
    data: Path,
    stages: list[dict[str, Any]],
    start: SegmentationModel | None,
    device_name: str,
    fold: str,
) -> SegmentationModel:
    """Train on all specimens but those of a fold, stage after stage."""
    device, model = choose_device(device_name), start
    for stage in stages:
        sources = load(data, stage["shares"])
        kept = [part for s in sources if (part := s.without(FOLDS[fold])) is not None]
        job = train_job(
            merge_training_sets(kept),
            plan=TrainingPlan.from_dict(stage["plan"]),
            start=model,
            name=fold,
            device=device,
        )
        model = drain(job).model
    if model is None:
        raise SystemExit("There is no stage to train.")
    return model


def judge(
    model: SegmentationModel, references: dict[str, TrainingSet], fold: str, device_name: str
) -> dict[str, Any]:
    """Return the figures of each held-out image, ``reference/image``."""
    rows = {}
    for reference, labelled in references.items():
        test = labelled.only(FOLDS[fold])
        if test is not None:
            evaluation = drain(evaluate_job(model, test, choose_device(device_name)))
            for name, confusion in evaluation.images.items():
                rows[f"{reference}/{name}"] = confusion.to_dict()
    return rows


def summary(
    images: dict[str, Any], references: Sequence[str] = REFERENCES
) -> dict[str, dict[str, float]]:
    """Mean over images, each reference by itself."""
    result = {}
    for reference in references:
        rows = [row for name, row in images.items() if name.startswith(reference)]
        result[reference] = {
            key: round(float(np.mean([r[key] for r in rows if r[key] is not None])), 4)
            for key in FIGURES
            if rows
        }
    return result


def cross_validate(
    data: Path,
    config: dict[str, Any],
    device_name: str,
    folds: list[str],
    models: Path,
    start: Path | None = None,
) -> dict[str, Any]:
    """Train and judge every fold; return the figures image by image.

    `start` is a model to fine-tune; it must not have seen any of the specimens.
    """
    stages = config["stages"]
    references = dict(zip(REFERENCES, load(data, dict.fromkeys(REFERENCES, 1.0)), strict=True))
    choices = config.get("inference") or {"plain": {}}
    if "reductions" in choices:  # one choice without a name, as of the bundled model
        choices = {CHOICE: choices}
    report: dict[str, Any] = {
        "config": config,
        "device": choose_device(device_name).label,
        "images": {name: {} for name in choices},
    }
    for fold in folds:
        folder = models / fold.replace(" ", "")
        began = time.monotonic()
        if not folder.exists():
            parent = SegmentationModel.load(start) if start else None
            train_fold(data, stages, parent, device_name, fold).save(folder)
        model = SegmentationModel.load(folder)
        print(f"{fold}: {(time.monotonic() - began) / 60:.1f} min", flush=True)
        for name, choice in choices.items():
            inference = replace(model.card.inference, **choice)
            judged = judge(model.with_card(inference=inference), references, fold, device_name)
            report["images"][name].update(judged)
            print(f"  {name}: {summary(report['images'][name])}", flush=True)
    report["summary"] = {name: summary(images) for name, images in report["images"].items()}
    return report


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("plans", type=Path, nargs="+")
    parser.add_argument("-o", "--out", type=Path, required=True)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--start", type=Path, help="model to fine-tune, such as a synthetic one")
    parser.add_argument("--folds", nargs="*", default=list(FOLDS))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    for path in options.plans:
        print(path.stem, flush=True)
        config = json.loads(path.read_text())
        models = options.out / "models" / path.stem
        report = cross_validate(
            options.data, config, options.device, options.folds, models, options.start
        )
        (options.out / path.name).write_text(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
