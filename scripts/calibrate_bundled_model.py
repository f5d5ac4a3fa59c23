"""Calibrate the bundled model by the networks of its cross-validation.

    python scripts/calibrate_bundled_model.py build/data build/folds -o build/calibration

The second folder has a network for each fold (`train_bundled_model`; of `cross_validate` it is
``models/NAME`` for the plan ``NAME.json``). Each is judged on the specimens that it did not learn
from, with the test-time choices of the bundled model. The temperature is fitted to both references,
which disagree, with the same weight for each: neither is the truth. Each fold is judged at the
temperature of the others. What the networks said is kept in the folder of ``-o``, so that a fold
is computed once.

With ``--write`` temperature and tables go to the card and into the README of
``models/fracture-modes``. The weights stay as they are, to the byte. Networks that were trained by
another plan than the bundled weights are refused then: how sure a network is depends on that.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from cross_validate import REFERENCES, load
from fracture_data import FOLDS
from train_bundled_model import MODEL, write_card

from napari_fractoseg.datasets.dataset import TrainingSet
from napari_fractoseg.evaluation.calibration import (
    N_BINS,
    Calibration,
    LabelledProbabilities,
    Reliability,
    calibrated,
)
from napari_fractoseg.evaluation.evaluate import evaluate_job
from napari_fractoseg.jobs import drain
from napari_fractoseg.models.card import CARD, Inference, ModelCard
from napari_fractoseg.models.devices import choose_device
from napari_fractoseg.models.model import SegmentationModel
from napari_fractoseg.training.plan import TrainingPlan

NAMES = {"published": "published segmentations", "polygons": "polygons drawn by eye"}
Samples = dict[str, LabelledProbabilities]
Tables = dict[str, Reliability]


def folder_of(fold: str) -> str:
    """Return the name of the folder of a fold's network, and of what it said."""
    return fold.replace(" ", "")


def samples_of(
    fold: str, network: Path, kept: Path, references: dict[str, TrainingSet], inference: Inference
) -> Samples:
    """Return what the network of a fold says of its held-out images, ``reference/image``."""
    if kept.exists():
        with np.load(kept) as found:
            names = [name.removesuffix("|p") for name in found if name.endswith("|p")]
            return {
                n: LabelledProbabilities(found[f"{n}|p"], found[f"{n}|c"], float(found[f"{n}|n"]))
                for n in names
            }
    model = SegmentationModel.load(network).with_card(inference=inference)
    samples: Samples = {}
    for reference, labelled in references.items():
        test = labelled.only(FOLDS[fold])
        if test is not None:
            job = evaluate_job(model, test, choose_device("auto"), with_confidence=True)
            samples |= {f"{reference}/{name}": s for name, s in drain(job).samples.items()}
    arrays: dict[str, Any] = {}
    for name, sample in samples.items():
        arrays |= {f"{name}|p": sample.probabilities, f"{name}|c": sample.channels}
        arrays[f"{name}|n"] = sample.n_px
    np.savez(kept, **arrays)
    return samples


def weights_of(samples: Samples) -> dict[str, float]:
    """Return weights with which all pixels of a reference together count as much as the other's."""
    of = {name: name.partition("/")[0] for name in samples}
    total = {r: sum(s.n_px for n, s in samples.items() if of[n] == r) for r in REFERENCES}
    return {name: sample.n_px / total[of[name]] for name, sample in samples.items()}


def both(tables: Tables) -> Reliability:
    """Return the tables of both references as one, in which each counts the same."""
    parts = [table.scaled(1 / table.total_px) for table in tables.values()]
    return sum(parts[1:], start=parts[0])


def tables_of(found: Calibration, samples: Samples) -> tuple[Tables, Tables]:
    """Return the tables of each reference at temperature 1, and calibrated."""
    before, after = {}, {}
    for reference in REFERENCES:
        names = [name for name in samples if name.startswith(f"{reference}/")]
        if names:
            before[reference], after[reference] = found.pooled(names)
    return before, after


def other_choices(own: ModelCard, other: ModelCard) -> list[str]:
    """Return the entries of the plan of the last stage in which two trainings differ."""
    plans = [card.lineage.plan for card in (own, other)]
    names = [field.name for field in fields(TrainingPlan)]
    return [n for n in names if all(n in p for p in plans) and plans[0][n] != plans[1][n]]


def tell(calibration: Calibration, before: Tables, after: Tables, out: Path) -> None:
    """Print the figures, and write them to ``calibration.json``."""
    print(f"temperature {calibration.temperature}; of the other folds {dict(calibration.groups)}")
    report: dict[str, Any] = {
        "temperature": calibration.temperature,
        "temperature_of_the_other_folds": dict(calibration.groups),
    }
    for when, tables in {"before": before, "after": after}.items():
        for name, table in tables.items():
            print(f"{when:6} {name}: {table.text} NLL {table.nll:.3f}, Brier {table.brier:.3f}")
        print(f"{when:6} both, each with the same weight: error {both(tables).ece:.4f}")
        report[when] = {name: table.to_dict() for name, table in tables.items()}
        report[when]["both"] = {"ece": both(tables).ece, "nll": both(tables).nll}
    report["images"] = {
        name: {
            "ece_before": calibration.before[name].ece,
            "ece": table.ece,
            "accuracy": table.accuracy,
            "mean_confidence": table.mean_confidence,
        }
        for name, table in calibration.after.items()
    }
    (out / "calibration.json").write_text(json.dumps(report, indent=1))


def write(
    bundled: ModelCard, calibration: Calibration, before: Tables, after: Tables, networks: Path
) -> None:
    """Put the temperature and the tables on the bundled model's card, and make its README."""
    for fold in FOLDS:
        differing = other_choices(bundled, ModelCard.read(networks / folder_of(fold)))
        if differing:
            raise SystemExit(
                f"Not written: the network of {fold} was trained by another plan than the bundled "
                f"weights ({', '.join(differing)})."
            )
    others = ", ".join(f"{t:g}" for t in calibration.groups.values())
    errors = "; ".join(
        f"{before[name].ece:.3f} before and {after[name].ece:.3f} after against {NAMES[name]}"
        for name in before
    )
    method = (
        f"Temperature {calibration.temperature:g}, fitted to what four networks said of the "
        "specimens that each had not learnt from. Both references have the same weight in it: "
        "they disagree, and neither is the truth. Each fold is judged at the temperature of the "
        f"other three ({others}). All three classes count, background, too; unlabelled pixels do "
        f"not. Expected calibration error over {N_BINS} bins of equal width: {errors}; "
        f"{both(before).ece:.3f} before and {both(after).ece:.3f} after against both together."
    )
    figures = {
        "temperature": calibration.temperature,
        "on": "specimens that the networks of the cross-validation had not seen",
        "method": method,
        "folds": dict(calibration.groups),
        "references": {NAMES[name]: table.to_dict() for name, table in after.items()},
    }
    card = bundled.with_temperature(calibration.temperature, figures)
    write_card(card)


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("networks", type=Path, help="folder with a model folder for each fold")
    parser.add_argument("-o", "--out", type=Path, required=True)
    parser.add_argument("--write", action="store_true", help="card and README of the model, too")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    bundled = ModelCard.read(MODEL)
    inference = replace(bundled.inference, temperature=1.0)
    wanted = load(options.data, dict.fromkeys(REFERENCES, 1.0))
    references = dict(zip(REFERENCES, wanted, strict=True))
    there = [fold for fold in FOLDS if (options.networks / folder_of(fold) / CARD).exists()]
    samples: Samples = {}
    groups: dict[str, str] = {}
    for fold in there:
        name = folder_of(fold)
        kept = options.out / f"{name}.npz"
        found = samples_of(fold, options.networks / name, kept, references, inference)
        samples |= found
        groups |= dict.fromkeys(found, fold)
        print(f"{fold}: {len(found)} images", flush=True)
    if not samples:
        raise SystemExit(f"{options.networks} has no network of a fold.")
    calibration = calibrated(samples, groups, weights_of(samples))
    before, after = tables_of(calibration, samples)
    tell(calibration, before, after, options.out)
    for reference in after:
        alone = {n: sample for n, sample in samples.items() if n.startswith(f"{reference}/")}
        found = calibrated(alone, groups)
        error = found.pooled(list(alone))[1].ece
        others = dict(found.groups)
        print(f"{reference} alone: temperature {found.temperature} {others}, error {error:.4f}")
    if options.write and len(there) < len(FOLDS):
        raise SystemExit(f"Not written: there are networks of {len(there)} of {len(FOLDS)} folds.")
    if options.write:
        write(bundled, calibration, before, after, options.networks)


if __name__ == "__main__":
    main()
