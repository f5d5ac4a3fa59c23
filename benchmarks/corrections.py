"""How fast a model learns from corrections, and what it forgets.

    python benchmarks/corrections.py --model build/folds/t13+t16+s23 --image t13_4
    python benchmarks/corrections.py --method live --model build/folds/t13+t16+s23 \
        --elsewhere t16_4 s23_4 --data build/training

The model must not have seen the image. A simulated user corrects the ten
largest errors with one stroke each; the model is fine-tuned on all strokes so
far, or a readout learns from them as in *Live*; and so on, for five rounds. What
*Live* learnt is kept as a model at the end, which is judged, too. Errors are those
of the whole image, the painted pixels left out, and of other images, all of them
against the published segmentations, or labels given by `--data`
(`scripts/fracture_data.py`). Needs the shared data.
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
from napari_fractoseg.training.readout.live import LiveReadout
from napari_fractoseg.training.readout.regions import Region, RegionLabels, regions_of

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
        rows.append(_row(number * N_STROKES, truth, pair, predicted, model, others, seconds))
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


def live_rounds(
    model: SegmentationModel, pair: TrainingPair, others: TrainingSet, seed: int = 0
) -> list[dict[str, Any]]:
    """Correct and learn at once; return the figures of each round, and of the model kept last."""
    rng, device = np.random.default_rng(seed), choose_device("cpu")
    scheme, plane = model.card.scheme, MicrographStack(pair.image.data, name=pair.name)
    live = LiveReadout(model, plane, device=device)
    truth = np.zeros_like(pair.labels)
    first = predicted = predict(model, pair)
    rows = [_row(0, truth, pair, predicted, model, others, 0.0)]
    found: dict[Region, np.ndarray] = {}
    (region,) = regions_of((), pair.image.shape)
    for number in range(1, N_ROUNDS + 1):
        corrected = correct_errors(predicted, pair.labels, rng, count=N_STROKES)
        strokes = Corrections(corrected, predicted).truth
        truth = np.where(strokes > 0, strokes, truth)
        drain(live.read_job(region))
        learnt = drain(live.learn_job({region: RegionLabels(truth, first)}, scheme))
        found.clear()
        drain(live.label_job(learnt, [region], found.__setitem__))
        predicted = np.where(truth > 0, truth, found[region])
        rows.append(_row(number * N_STROKES, truth, pair, predicted, None, others, learnt.seconds))
    painted = painted_pairs(plane, Corrections(truth), scheme)
    began = time.monotonic()
    taught = TrainingSet(tuple(painted), scheme)
    plan = suggested_plan(model.card, {"method": "readout", "split": "none"})
    kept = drain(train_job(taught, plan=plan, start=model, device=device)).model
    seconds = time.monotonic() - began
    rows.append(
        _row(N_ROUNDS * N_STROKES, truth, pair, predict(kept, pair), kept, others, seconds)
        | {"kept": 1.0}
    )
    return rows


def _row(
    n_strokes: int,
    truth: np.ndarray,
    pair: TrainingPair,
    predicted: np.ndarray,
    model: SegmentationModel | None,
    others: TrainingSet,
    seconds: float,
) -> dict[str, Any]:
    """Return the figures of a round, and print them."""
    here = Confusion.of(np.where(truth > 0, 0, pair.labels), predicted, others.scheme)
    row: dict[str, Any] = {
        "strokes": n_strokes,
        "error": 1 - here.agreement,
        "mode_error": 1 - here.mode_agreement,
        "mean_iou": here.mean_iou,
        "painted": float(np.mean(truth > 0)),
        "seconds": seconds,
    }
    if model is not None:
        found = drain(evaluate_job(model, others, choose_device("cpu"))).pooled
        row["mean_iou_elsewhere"] = found.mean_iou
        row["mode_error_elsewhere"] = 1 - found.mode_agreement
    print(json.dumps({k: round(v, 3) for k, v in row.items()}), flush=True)
    return row


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--image", default="t13_4")
    parser.add_argument("--method", choices=("deep", "live"), default="deep")
    parser.add_argument("--elsewhere", nargs="*", help="other images; by default the published")
    parser.add_argument("--data", type=Path, default=ROOT / "build" / "training")
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
    if options.elsewhere:
        found = read_training_set(options.data / "images", options.data / "polygons").pairs
        others = TrainingSet(tuple(p for p in found if p.name in options.elsewhere))
    else:
        others = TrainingSet(tuple(p for p in published() if p.name != options.image))
    changed = {
        "max_steps": options.steps,
        "batch_size": 4,
        "seed": options.seed,
        **json.loads(options.plan),
    }
    plan = suggested_plan(model.card, changed)
    print(options.image, options.method, flush=True)
    if options.method == "live":
        rows = live_rounds(model, pair, others, options.seed)
    else:
        print(changed, flush=True)
        rows = rounds(model, pair, others, plan, options.seed)
    first, last = rows[0], rows[-1]
    for key in ("error", "mode_error", "mean_iou_elsewhere", "mode_error_elsewhere"):
        print(f"{key}: {first[key]:.3f} -> {last[key]:.3f}, {last[key] / first[key]:.2f} of it")


if __name__ == "__main__":
    main()
