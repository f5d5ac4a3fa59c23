"""Painted strokes: our ways to learn against a random forest on filter features.

    python benchmarks/painting.py fracture --model build/folds/t13+t16+s23 --test t13_4
    python benchmarks/painting.py super1 --model default --methods forest readout
    python benchmarks/painting.py ebc2 --model default --methods forest readout

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
from typing import Any

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
from napari_fractoseg.models.model import SegmentationModel, load_model
from napari_fractoseg.training.fit import train_job
from napari_fractoseg.training.presets import suggested_plan

ROOT = Path(__file__).parents[1]
BUDGETS = (0.002, 0.01, 0.05)
NASA = {
    "Super1": ("matrix", "secondary", "tertiary"),
    "EBC2": ("background", "oxide", "oxide"),  # the third are cracks, which are part of the oxide
}
"""Names of the values of the masks, from 0 on."""
METHODS = ("forest", "readout", "deep", "both")


def shared_data() -> Path:
    """Return the folder of the real data."""
    return Path(os.environ.get("FRACTOSEG_SHARED_DATA", ROOT.parent / "shared" / "data"))


def fracture(test: str) -> tuple[TrainingSet, TrainingSet]:
    """Return training and test images with the published segmentations."""
    data = shared_data() / "fracture"
    return read_training_set(data / "images", data / "paper_labels").split([test])


def super1(part: str) -> TrainingSet:
    """Return a part of NASA's images of a superalloy: ``train``, ``val`` or ``test``."""
    return nasa("Super1", part)


def nasa(name: str, part: str) -> TrainingSet:
    """Return a part of one of NASA's sets of images: ``train``, ``val`` or ``test``."""
    data = shared_data() / "nasa_microscopy" / name
    names = NASA[name]
    found = read_training_set(
        data / part / "images", data / part / "labels", mask_values=dict(enumerate(names))
    )
    classes = tuple(found.scheme.find(each) for each in dict.fromkeys(names))
    return found.with_scheme(ClassScheme(name, classes))


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
    seconds = time.monotonic() - began
    confusions = []
    for pair in test.pairs:
        columns = _features(pair)
        predicted = trees.predict(columns.reshape(-1, columns.shape[-1]))
        labels = predicted.reshape(pair.labels.shape).astype(np.uint8)
        confusions.append(Confusion.of(pair.labels, labels, test.scheme))
    return _sum(confusions), seconds


def _features(pair: TrainingPair) -> npt.NDArray[np.floating]:
    return multiscale_basic_features(pair.image.normalised(), sigma_min=1, sigma_max=16)


def _sum(confusions: list[Confusion]) -> Confusion:
    total = confusions[0]
    for other in confusions[1:]:
        total = total + other
    return total


def ours(
    strokes: TrainingSet,
    test: TrainingSet,
    start: SegmentationModel | None,
    minutes: float,
    method: str,
) -> tuple[Confusion, float]:
    """Learn from strokes as the dock does; return the figures and the seconds it took."""
    began = time.monotonic()
    device = choose_device()
    entries: dict[str, Any] = {"max_minutes": minutes}
    if method == "readout":
        entries = {"method": "readout", "split": "none"}
    elif start is not None:
        entries["readout_first"] = method == "both"
    if start is None:
        entries["reduction"] = 1
    plan = suggested_plan(None if start is None else start.card, entries)
    result = drain(train_job(strokes, plan=plan, start=start, device=device))
    seconds = time.monotonic() - began
    confusion = drain(evaluate_job(result.model, test, device)).pooled
    print(f"  {len(result.history)} steps, best {result.best_step}; {result.notes}", flush=True)
    return confusion, seconds


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", choices=("fracture", "super1", "ebc2"))
    parser.add_argument("--model", help="start; must not have seen the test image")
    parser.add_argument("--test", default="t13_4", help="test image of the fracture data")
    parser.add_argument("--methods", nargs="*", choices=METHODS, default=METHODS)
    parser.add_argument("--minutes", type=float, default=5, help="of each training")
    parser.add_argument("--budgets", type=float, nargs="*", default=BUDGETS)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    if options.data == "fracture":
        learn, test = fracture(options.test)
    else:
        name = {"super1": "Super1", "ebc2": "EBC2"}[options.data]
        learn, test = nasa(name, "train"), nasa(name, "test")
    start = load_model(options.model) if options.model else None
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
        for method in options.methods:
            if method == "forest":
                confusion, seconds = forest(strokes, test, options.seed)
            else:
                confusion, seconds = ours(strokes, test, start, options.minutes, method)
            classes = ", ".join(f"{c} {v:.3f}" for c, v in confusion.iou.items() if v == v)
            print(
                f"{budget:.1%} | {method} | {confusion.mean_iou:.3f} | {classes} | {seconds:.0f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
