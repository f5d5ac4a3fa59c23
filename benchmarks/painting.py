"""Painted strokes: our training against a random forest on filter features.

    python benchmarks/painting.py fracture --model build/folds/t13+t16+s23 --minutes 5
    python benchmarks/painting.py super1 --minutes 30

The forest (`skimage.feature.multiscale_basic_features` with scikit-learn's random
forest) is the method of ilastik, Weka and convpaint. Both get the same seeded
strokes on the training images, for three budgets, and are judged on the test
images. ``fracture`` starts from a model that has not seen the test image t13_4;
``super1`` (NASA's nickel superalloy) from random weights. Needs the shared data and
scikit-learn.
"""

from __future__ import annotations

import argparse
import os
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from skimage.feature import multiscale_basic_features
from sklearn.ensemble import RandomForestClassifier
from strokes import paint_strokes

from napari_fractoseg.classes import ClassScheme
from napari_fractoseg.datasets.dataset import TrainingPair, TrainingSet
from napari_fractoseg.datasets.sources import read_training_set
from napari_fractoseg.evaluation.confusion import Confusion
from napari_fractoseg.evaluation.evaluate import evaluate_job
from napari_fractoseg.jobs import drain
from napari_fractoseg.models.devices import choose_device
from napari_fractoseg.models.model import SegmentationModel
from napari_fractoseg.training.fit import train_job
from napari_fractoseg.training.presets import suggested_plan

ROOT = Path(__file__).parents[1]
BUDGETS = (0.002, 0.01, 0.05)
SUPER1 = ("matrix", "secondary", "tertiary")
TEST_IMAGE = "t13_4"


def shared_data() -> Path:
    """Return the folder of the real data."""
    return Path(os.environ.get("FRACTOSEG_SHARED_DATA", ROOT.parent / "shared" / "data"))


def fracture() -> tuple[TrainingSet, TrainingSet]:
    """Return training and test images with the published segmentations."""
    data = shared_data() / "fracture"
    return read_training_set(data / "images", data / "paper_labels").split([TEST_IMAGE])


def super1(part: str) -> TrainingSet:
    """Return a part of NASA's images: ``train``, ``val`` or ``test``."""
    data = shared_data() / "nasa_microscopy" / "Super1"
    found = read_training_set(
        data / part / "images", data / part / "labels", mask_values=dict(enumerate(SUPER1))
    )
    classes = tuple(found.scheme.find(name) for name in SUPER1)
    return found.with_scheme(ClassScheme("Super1", classes))


def forest(strokes: TrainingSet, test: TrainingSet, seed: int = 0) -> tuple[Confusion, float]:
    """Learn from strokes with a random forest; return its figures and the seconds it took."""
    began = time.monotonic()
    features, targets = [], []
    for pair in strokes.pairs:
        painted = pair.labels > 0
        features.append(_features(pair)[painted])
        targets.append(pair.labels[painted])
    trees = RandomForestClassifier(
        n_estimators=100, min_samples_leaf=5, n_jobs=-1, random_state=seed
    )
    trees.fit(np.concatenate(features), np.concatenate(targets))
    confusions = []
    for pair in test.pairs:
        columns = _features(pair)
        predicted = trees.predict(columns.reshape(-1, columns.shape[-1]))
        labels = predicted.reshape(pair.labels.shape).astype(np.uint8)
        confusions.append(Confusion.of(pair.labels, labels, test.scheme))
    return _sum(confusions), time.monotonic() - began


def _features(pair: TrainingPair) -> npt.NDArray[np.floating]:
    return multiscale_basic_features(pair.image.normalised(), sigma_min=1, sigma_max=16)


def _sum(confusions: list[Confusion]) -> Confusion:
    total = confusions[0]
    for other in confusions[1:]:
        total = total + other
    return total


def ours(
    strokes: TrainingSet, test: TrainingSet, start: SegmentationModel | None, minutes: float
) -> tuple[Confusion, float]:
    """Learn from strokes as the dock does; return the figures and the seconds it took."""
    began = time.monotonic()
    device = choose_device()
    plan = suggested_plan(
        None if start is None else start.card,
        max_minutes=minutes,
        reduction=1 if start is None else None,
    )
    result = drain(train_job(strokes, plan=plan, start=start, device=device))
    confusion = drain(evaluate_job(result.model, test, device)).pooled
    print(f"  {len(result.history)} steps, best {result.best_step}; {result.notes}", flush=True)
    return confusion, time.monotonic() - began


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", choices=("fracture", "super1"))
    parser.add_argument("--model", type=Path, help="start; must not have seen the test image")
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--budgets", type=float, nargs="*", default=BUDGETS)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    if options.data == "fracture":
        learn, test = fracture()
    else:
        learn, test = super1("train"), super1("test")
    start = SegmentationModel.load(options.model) if options.model else None
    print(
        f"{options.data}: {len(learn)} images to paint on, {len(test)} to test, seed {options.seed}"
    )
    print("painted | method | mean IoU | IoU by class | seconds")
    for budget in options.budgets:
        rng = np.random.default_rng(options.seed)
        strokes = TrainingSet(
            tuple(replace(p, labels=paint_strokes(p.labels, budget, rng)) for p in learn.pairs),
            learn.scheme,
        )
        for name, (confusion, seconds) in (
            ("forest", forest(strokes, test, options.seed)),
            ("ours", ours(strokes, test, start, options.minutes)),
        ):
            classes = ", ".join(f"{c} {v:.3f}" for c, v in confusion.iou.items() if v == v)
            print(f"{budget:.1%} | {name} | {confusion.mean_iou:.3f} | {classes} | {seconds:.0f}",
                  flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
