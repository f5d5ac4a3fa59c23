"""How fast a model learns from corrections, and what it forgets.

    python benchmarks/corrections.py --model build/folds/t13+t16+s23 --image t13_4

The model must not have seen the image. A simulated user corrects the ten
largest errors with one stroke each; the model is fine-tuned on all strokes so
far; and so on, for five rounds. Errors are judged on the whole image, the
painted pixels left out, and on other images, all of them against the published
segmentations (and polygons, where there is none). Needs the shared data.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from strokes import correct_errors

from napari_fractoseg.datasets.dataset import TrainingPair, TrainingSet
from napari_fractoseg.datasets.sources import read_training_set
from napari_fractoseg.datasets.supervision import Corrections, painted_pairs
from napari_fractoseg.evaluation.confusion import Confusion
from napari_fractoseg.evaluation.evaluate import evaluate_job
from napari_fractoseg.images import MicrographStack
from napari_fractoseg.inference.predictor import Predictor
from napari_fractoseg.jobs import drain
from napari_fractoseg.models.devices import choose_device
from napari_fractoseg.models.model import SegmentationModel
from napari_fractoseg.training.fit import train_job
from napari_fractoseg.training.plan import TrainingPlan
from napari_fractoseg.training.presets import suggested_plan

ROOT = Path(__file__).parents[1]
N_ROUNDS, N_STROKES = 5, 10


def shared_fracture() -> Path:
    """Return the folder of the fracture data."""
    root = os.environ.get("FRACTOSEG_SHARED_DATA", ROOT.parent / "shared" / "data")
    return Path(root) / "fracture"


def published(names: set[str] | None = None) -> list[TrainingPair]:
    """Read the images with published segmentations."""
    data = shared_fracture()
    return [
        pair
        for pair in read_training_set(data / "images", data / "paper_labels").pairs
        if names is None or pair.name in names
    ]


def predict(model: SegmentationModel, pair: TrainingPair) -> np.ndarray:
    """Segment an image."""
    stack = MicrographStack(pair.image.data, name=pair.name)
    return drain(Predictor(model, choose_device("cpu")).run(stack)).labels


def rounds(
    model: SegmentationModel,
    pair: TrainingPair,
    others: TrainingSet,
    plan: TrainingPlan,
    seed: int = 0,
) -> list[dict[str, Any]]:
    """Correct and fine-tune; return the figures of each round, the first without any stroke."""
    rng = np.random.default_rng(seed)
    truth = np.zeros_like(pair.labels)
    rows = []
    seconds = 0.0
    for number in range(N_ROUNDS + 1):
        predicted = predict(model, pair)
        judged = np.where(truth > 0, 0, pair.labels)
        here = Confusion.of(judged, predicted, model.card.scheme)
        there = drain(evaluate_job(model, others, choose_device("cpu"))).pooled
        rows.append(
            {
                "strokes": number * N_STROKES,
                "error": 1 - here.agreement,
                "mode_error": 1 - here.mode_agreement,
                "mean_iou": here.mean_iou,
                "mean_iou_elsewhere": there.mean_iou,
                "painted": float(np.mean(truth > 0)),
                "seconds": seconds,
            }
        )
        print(json.dumps({k: round(v, 3) for k, v in rows[-1].items()}), flush=True)
        if number == N_ROUNDS:
            break
        corrected = correct_errors(predicted, pair.labels, rng, count=N_STROKES)
        strokes = Corrections(corrected, predicted).truth
        truth = np.where(strokes > 0, strokes, truth)
        stack = MicrographStack(pair.image.data, name=pair.name)
        painted = TrainingSet(
            tuple(painted_pairs(stack, Corrections(truth), model.card.scheme)), model.card.scheme
        )
        began = time.monotonic()
        model = drain(train_job(painted, plan=plan, start=model, device=choose_device("cpu"))).model
        seconds = time.monotonic() - began
    return rows


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--image", default="t13_4")
    parser.add_argument("--steps", type=int, default=60, help="of each round")
    parser.add_argument("--plan", default="{}", help="JSON of what differs from the default plan")
    parser.add_argument("--reductions", type=int, nargs="*")
    parser.add_argument("--flips", action="store_true")
    parser.add_argument("--seed", type=int, default=0, help="of the strokes and the training")
    options = parser.parse_args()
    model = SegmentationModel.load(options.model)
    inference = replace(
        model.card.inference,
        flips=options.flips,
        reductions=tuple(options.reductions or model.card.inference.reductions),
    )
    model = model.with_card(inference=inference)
    (pair,) = published({options.image})
    others = TrainingSet(tuple(p for p in published() if p.name != options.image))
    changed = {
        "max_steps": options.steps,
        "batch_size": 4,
        "seed": options.seed,
        **json.loads(options.plan),
    }
    plan = suggested_plan(model.card, changed)
    print(options.image, changed, flush=True)
    rows = rounds(model, pair, others, plan, options.seed)
    first, last = rows[0], rows[-1]
    for key in ("error", "mode_error", "mean_iou_elsewhere"):
        print(f"{key}: {first[key]:.3f} -> {last[key]:.3f}, {last[key] / first[key]:.2f} of it")


if __name__ == "__main__":
    main()
