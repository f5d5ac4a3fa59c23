"""How well a model tells what it learnt from everything else: a table of ROC figures.

    python benchmarks/familiarity.py
    python benchmarks/familiarity.py --folds FOLDER

Spinel images are judged by statistics without their specimen: of the bundled model with
``--folds`` left out, else of networks that never saw it (model folders below FOLDER, named by the
specimens that were left out, such as ``s17+s1``). Everything else in the shared data, noise, and
spinel images that were blurred or charged stand against them.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import ndimage, stats

sys.path.insert(0, str(Path(__file__).parents[1] / "scripts"))

import fracture_data

from napari_fractoseg.datasets.dataset import TrainingSet
from napari_fractoseg.datasets.sources import read_training_set
from napari_fractoseg.images import Micrograph, find_images, read_image
from napari_fractoseg.inference.familiarity import Familiar, FamiliarityReader
from napari_fractoseg.jobs import drain
from napari_fractoseg.models.devices import choose_device
from napari_fractoseg.models.model import SegmentationModel, load_model
from napari_fractoseg.samples.synthetic import synthetic_fracture
from napari_fractoseg.training.familiarity import familiarity_job

DEVICE = choose_device("cpu")
CHANGED = 6
"""Spinel images that are blurred, charged and so on."""


@dataclass(frozen=True)
class Judge:
    """A model with statistics, and the specimens that these are without."""

    reader: FamiliarityReader
    without: frozenset[str]


def without(taught: TrainingSet, specimens: frozenset[str]) -> TrainingSet:
    """Return a training set without some specimens."""
    kept = [p for p in taught.pairs if fracture_data.specimen_of(p.image.name) not in specimens]
    return replace(taught, pairs=tuple(kept))


def judge_of(model: SegmentationModel, taught: TrainingSet, specimens: frozenset[str]) -> Judge:
    """Return a judge with statistics of all but some specimens, read anew."""
    job = familiarity_job(model, without(taught, specimens), DEVICE, fracture_data.specimen_of)
    return Judge(FamiliarityReader(model.with_familiarity(drain(job)), DEVICE), specimens)


def bundled_judges(model: SegmentationModel, taught: TrainingSet) -> Iterator[Judge]:
    """Yield judges with the statistics of the bundled model, each without one specimen."""
    known = model.familiarity
    if known is None:
        sys.exit("The bundled model has no statistics.")
    of_image = [fracture_data.specimen_of(pairs[0].image.name) for pairs in taught.by_image()]
    for specimen in dict.fromkeys(of_image):
        kept = [n for n, image in enumerate(known.images) if of_image[image] != specimen]
        less = replace(
            known,
            maps=tuple(known.maps[n] for n in kept),
            sources=tuple(known.sources[n] for n in kept),
            images=tuple(known.images[n] for n in kept),
            groups=tuple(known.groups[n] for n in kept),
        )
        reader = FamiliarityReader(model.with_familiarity(less), DEVICE)
        yield Judge(reader, frozenset([specimen]))


def fold_models(folder: Path) -> Iterator[tuple[SegmentationModel, frozenset[str]]]:
    """Yield the networks of the folds with the specimens that they never saw."""
    for card in sorted(folder.rglob("card.json")):
        specimens = frozenset(part.strip() for part in card.parent.name.split("+"))
        yield load_model(card.parent), specimens


def changed(plane: Micrograph) -> Iterator[tuple[str, Micrograph]]:
    """Yield a spinel image as a bad microscope would show it."""
    grey = np.asarray(plane.data, np.float64)
    rows, columns = np.mgrid[: grey.shape[0], : grey.shape[1]]
    far = ((rows / grey.shape[0] - 1) ** 2 + (columns / grey.shape[1] - 1) ** 2) / 0.45**2
    charge = np.exp(-1.5 * far)
    corner = (rows > 0.6 * grey.shape[0]) & (columns > 0.6 * grey.shape[1])
    kinds = {
        "blurred, sigma 4 px": ndimage.gaussian_filter(grey, 4),
        "charged lower right corner": np.clip(grey * (1 - charge) + 330 * charge, 0, 255),
        "blurred lower right corner": np.where(corner, ndimage.gaussian_filter(grey, 6), grey),
    }
    for kind, data in kinds.items():
        yield kind, Micrograph(data, name=plane.name)


def others(shared: Path) -> Iterator[tuple[str, str, Micrograph]]:
    """Yield everything that is no spinel: what it is, name, image."""
    for name in ("EBC2", "Super1"):
        for path in sorted((shared / "nasa_microscopy" / name).glob("*/images/*.png")):
            yield f"microstructure {name}", path.name, plane_of(path)
    for path in find_images(shared / "sem_files"):
        plane = plane_of(path)
        if not plane.is_constant and "blank" not in path.name:
            yield "SEM file of another material", path.name, plane
    random = np.random.default_rng(0)
    for edge in (640, 1280):
        yield "noise", f"white {edge}", Micrograph(random.integers(0, 256, (edge, edge)))
    for sigma in (1, 4, 16):
        noise = ndimage.gaussian_filter(random.normal(size=(1280, 1280)), sigma)
        yield "noise", f"smooth {sigma}", Micrograph(noise)
    ramp = np.add.outer(np.arange(640.0), np.arange(640.0))
    yield "noise", "ramp", Micrograph(ramp)
    for seed in range(3, 9):
        yield (
            "synthetic surface",
            str(seed),
            Micrograph(synthetic_fracture(seed, (1280, 1280)).image),
        )


def plane_of(path: Path) -> Micrograph:
    """Return the first plane of an image file."""
    stack = read_image(path)
    return stack.plane((0,) * (len(stack.shape) - 2))


def row(judged_by: str, kind: str, name: str, found: Familiar, seconds: float) -> dict[str, object]:
    """Return a row of the table of images."""
    return {
        "judged_by": judged_by,
        "kind": kind,
        "image": name,
        "score": float(np.nanmean(found.scores)),
        "farthest": float(np.nanmax(found.scores)),
        "limit": found.limit,
        "unlike": found.unlike,
        "where": found.where,
        "seconds": seconds,
    }


def timed(judge: Judge, plane: Micrograph) -> tuple[Familiar, float]:
    """Return how familiar a plane is, and the seconds that took."""
    began = time.perf_counter()
    found = drain(judge.reader.job(plane))
    if found is None:
        sys.exit(f"{plane.name} is too small.")
    return found, time.perf_counter() - began


def rows_of(
    named: str, judges: list[Judge], everything: Callable[[], Iterator[tuple[str, str, Micrograph]]]
) -> Iterator[dict[str, object]]:
    """Judge unseen spinel and changed versions of it, and everything else."""
    spinel = [plane_of(p) for p in find_images(ARGUMENTS.data / "images")]
    number = 0
    for judge in judges:
        for plane in spinel:
            if fracture_data.specimen_of(plane.name) not in judge.without:
                continue
            yield row(named, "spinel, unseen", plane.name, *timed(judge, plane))
            if number % -(-len(spinel) // CHANGED) == 0:
                for kind, data in changed(plane):
                    yield row(named, f"spinel, {kind}", plane.name, *timed(judge, data))
            number += 1
    for kind, name, plane in everything():
        yield row(named, kind, name, *timed(judges[0], plane))


def auc(own: pd.Series, other: pd.Series) -> float:
    """Return the area under the ROC curve: how often another image is farther than an own one."""
    ranks = stats.rankdata(np.concatenate([own, other]))[len(own) :]
    return float((ranks.sum() - len(other) * (len(other) + 1) / 2) / (len(own) * len(other)))


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """Return a row for each kind of image."""
    ratio = table.assign(ratio=table.score / table.limit)
    own = ratio[ratio.kind == "spinel, unseen"]
    found = []
    for kind, part in ratio.groupby("kind", sort=False):
        found.append(
            {
                "images": kind,
                "n": len(part),
                "score": f"{part.score.min():.2f} to {part.score.max():.2f}",
                "limit": f"{part.limit.min():.2f} to {part.limit.max():.2f}",
                "AUC": "" if kind == "spinel, unseen" else f"{auc(own.ratio, part.ratio):.3f}",
                "said": f"{(part.unlike > 0).sum()} ({(part.unlike == 1).sum()} whole)",
            }
        )
    return pd.DataFrame(found)


def main() -> None:
    """Run from the command line."""
    taught = read_training_set(ARGUMENTS.data / "images", ARGUMENTS.data / "polygons")
    shared = fracture_data.shared_fracture().parent
    if ARGUMENTS.folds:
        judges = [judge_of(m, taught, s) for m, s in fold_models(ARGUMENTS.folds)]
        named = "fold networks"
    else:
        model = load_model()
        judges = list(bundled_judges(model, taught))
        named = "bundled network"
    table = pd.DataFrame(rows_of(named, judges, lambda: others(shared)))
    if ARGUMENTS.out:
        table.to_csv(ARGUMENTS.out, index=False)
    print(summary(table).to_string(index=False))
    own = table[table.kind == "spinel, unseen"]
    rest = table[~table.kind.str.startswith(("spinel", "synthetic"))]
    print(
        f"{named}: AUC {auc(own.score / own.limit, rest.score / rest.limit):.4f} of {len(own)} "
        f"unseen spinel images against {len(rest)} others; false alarms {(own.unlike > 0).sum()}, "
        f"missed {(rest.unlike == 0).sum()}"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="what fracture_data.py prepared")
    parser.add_argument("--folds", type=Path, help="folder of the folds' networks")
    parser.add_argument("--out", type=Path, help="CSV file with a row for each image")
    ARGUMENTS = parser.parse_args()
    main()
