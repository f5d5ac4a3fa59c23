"""How often the intervals hold the true fraction, on surfaces of which it is known.

    python benchmarks/coverage.py --runs 1000

*Fields*: surfaces of Voronoi facets, each intergranular with the probability p. The truth is p:
what the specimen has, not what the image happens to show. Each run draws fields, either squares of
one image or images of their own, and its interval is looked at: Student's (ASTM E562), the one that
is shown (`Estimate.shown`), and the block bootstrap. Beside them the interval of those who count
pixels as observations.

*Checked points*: a Voronoi surface with labels that are wrong facet by facet; points are drawn by
label, and the area is corrected. The truth is the area in the image. Symmetric is the interval of
Olofsson et al. 2014 (1.96 standard errors), the other is the one that is shown.

*Point counts*: surfaces and labels as before, points of each design that are answered with the
truth (`plan_points`, `audit_result`). The fraction by hand of one image is compared with the area
there; that of 16 images, whose interval is of the images, with p. The corrected fraction is
compared with the area in the images.
"""

from __future__ import annotations

import argparse
import math
import time
from dataclasses import replace

import numpy as np
import pandas as pd
from scipy.spatial import cKDTree

from napari_fractoseg.audit.plan import plan_points
from napari_fractoseg.audit.result import audit_result
from napari_fractoseg.classes import DEFAULT_SCHEME
from napari_fractoseg.evaluation.adjusted_areas import adjusted_areas
from napari_fractoseg.measurement.fields import FieldLayout, field_table
from napari_fractoseg.measurement.statistics import Estimate, block_bootstrap

_Hits = dict[str, list[bool]]


def facets(rng: np.random.Generator, size: int, n_facets: float) -> tuple[np.ndarray, int]:
    """Return the number of the facet of each pixel, and how many facets there are."""
    margin = size / math.sqrt(n_facets)  # so that those at the border are like the others
    wide = size + 2 * margin
    n = rng.poisson(n_facets * (wide / size) ** 2) + 1
    seeds = rng.uniform(-margin, size + margin, (n, 2))
    pixels = np.stack(np.mgrid[:size, :size], axis=-1).reshape(-1, 2) + 0.5
    return cKDTree(seeds).query(pixels)[1].reshape(size, size), n


def surface(rng: np.random.Generator, size: int, n_facets: float, p: float) -> np.ndarray:
    """Return labels: 1 with the probability `p` for each facet, else 2."""
    facet, n = facets(rng, size, n_facets)
    return np.where(rng.random(n) < p, 1, 2).astype(np.uint8)[facet]


def shares(labels: np.ndarray, grid: FieldLayout) -> np.ndarray:
    """Return i / (i + t) of the fields of one plane or of several."""
    table = field_table(labels, DEFAULT_SCHEME, grid)
    return table["fraction_of_modes_intergranular"].to_numpy()


def covers(limits: tuple[float, float] | None, truth: float) -> bool:
    """Whether an interval holds the truth; one that does not exist holds nothing."""
    return limits is not None and limits[0] <= truth <= limits[1]


def of_fields(
    runs: int, p: float, n_side: int, per_field: float, apart: bool, field_px: int = 20
) -> dict[str, object]:
    """Return how often intervals of fields hold p."""
    rng = np.random.default_rng(0)
    grid = FieldLayout(field_px)
    hits: _Hits = {name: [] for name in ("Student", "shown", "bootstrap", "pixels")}
    missing = 0
    for _ in range(runs):
        if apart:
            planes = [surface(rng, field_px, per_field, p) for _ in range(n_side**2)]
            values = shares(np.stack(planes), grid)
        else:
            side = n_side * field_px
            values = shares(surface(rng, side, per_field * n_side**2, p), grid)
        found = Estimate.of(values)
        missing += bool(found.no_interval)
        hits["Student"].append(not found.no_interval and covers((found.low, found.high), p))
        hits["shown"].append(covers(found.shown, p))
        hits["bootstrap"].append(covers(block_bootstrap(values), p))
        half = 1.96 * math.sqrt(found.mean * (1 - found.mean) / (n_side**2 * field_px**2))
        hits["pixels"].append(abs(found.mean - p) <= half)
    where = f"{n_side**2} {'images' if apart else 'squares of one image'}"
    row: dict[str, object] = {"fields": where, "facets/field": per_field, "p": p}
    return {**row, **_percents(hits), "none": missing}


def of_points(
    runs: int, p: float, missed: float, wrongly: float, n_points: tuple[int, int]
) -> dict[str, object]:
    """Return how often the corrected fraction holds that of the surface.

    `missed` of the intergranular facets are labelled transgranular, `wrongly` of the others
    intergranular.
    """
    rng = np.random.default_rng(0)
    hits: _Hits = {name: [] for name in ("symmetric", "shown", "not corrected")}
    widths = []
    for _ in range(runs):
        facet, n = facets(rng, 80, 800)
        kind = np.where(rng.random(n) < p, 0, 1)
        flipped = rng.random(n) < np.where(kind == 0, missed, wrongly)
        true, label = kind[facet], np.where(flipped, 1 - kind, kind)[facet]
        counts = np.zeros((2, 2), int)
        for mapped in (0, 1):
            pixels = true[label == mapped]
            drawn = rng.choice(pixels, n_points[mapped])
            counts[mapped] = np.bincount(drawn, minlength=2)
        found = adjusted_areas(counts, np.bincount(label.ravel(), minlength=2))
        area, truth = found.areas[0], float((true == 0).mean())
        hits["symmetric"].append(abs(area.value - truth) <= area.half_width)
        hits["shown"].append(covers((area.low, area.high), truth))
        hits["not corrected"].append(abs(found.mapped[0] - truth) <= 0.1 * truth)
        widths.append((area.high - area.low) / 2)
    row: dict[str, object] = {
        "p": p,
        "missed": missed,
        "wrongly": wrongly,
        "points": f"{n_points[0]} + {n_points[1]}",
    }
    return {**row, **_percents(hits), "half-width": f"{100 * np.mean(widths):.2f} %"}


def of_audit(
    runs: int,
    p: float,
    design: str,
    n_points: int,
    *,
    n_images: int = 1,
    n_facets: int = 800,
    missed: float = 0.15,
    wrongly: float = 0.1,
) -> dict[str, object]:
    """Return how often intervals of a point count hold the truth; see `of_points` for the labels.

    `n_facets` are those of all images together.
    """
    rng = np.random.default_rng(0)
    size = round(80 / math.sqrt(n_images))
    hits: _Hits = {name: [] for name in ("by hand", "corrected")}
    half_widths: dict[str, list[float]] = {name: [] for name in hits}
    for run in range(runs):
        labels, kinds = {}, {}
        for number in range(n_images):
            facet, n = facets(rng, size, n_facets / n_images)
            kind = np.where(rng.random(n) < p, 1, 2)
            flipped = rng.random(n) < np.where(kind == 1, missed, wrongly)
            kinds[str(number)] = kind[facet]
            labels[str(number)] = np.where(flipped, 3 - kind, kind)[facet]
        count = plan_points(labels, n_points=n_points, design=design, seed=run)
        places = count.points[["image", "row_px", "column_px"]].to_numpy().tolist()
        seen = [kinds[image][row, column] for image, row, column in places]
        names = {c.value: c.name for c in DEFAULT_SCHEME}
        answers = count.points.assign(answer_Ada=[names[kind] for kind in seen])
        found = audit_result(replace(count, points=answers), "Ada")
        by_hand = found.fraction("intergranular")
        corrected = found.adjusted_fraction("intergranular")
        area = float(np.mean([kind == 1 for kind in kinds.values()]))
        truth = area if by_hand.fields is None else p
        hits["by hand"].append(covers((by_hand.low, by_hand.high), truth))
        hits["corrected"].append(
            corrected is not None and covers((corrected.low, corrected.high), area)
        )
        half_widths["by hand"].append(by_hand.half_width)
        if corrected is not None:
            half_widths["corrected"].append((corrected.high - corrected.low) / 2)
    row: dict[str, object] = {
        "design": design,
        "images": n_images,
        "facets": n_facets,
        "p": p,
        "points": n_points,
    }
    widths = {f"± {name}": f"{100 * np.mean(w):.1f} %" for name, w in half_widths.items()}
    return {**row, **_percents(hits), **widths}


def _percents(hits: _Hits) -> dict[str, object]:
    return {name: f"{100 * np.mean(found):.1f} %" for name, found in hits.items()}


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=1000)
    runs = parser.parse_args().runs
    began = time.perf_counter()
    of_all_fields = [
        of_fields(runs, 0.3, 5, 16, apart=False),
        of_fields(runs, 0.3, 5, 64, apart=False),
        of_fields(runs, 0.02, 5, 16, apart=False),
        of_fields(runs, 0.02, 5, 64, apart=False),
        of_fields(runs, 0.3, 3, 36, apart=True),
        of_fields(runs, 0.02, 5, 64, apart=True),
    ]
    print(f"Fields: how often the 95 % interval holds p ({runs} runs; none: runs without one)")
    print(pd.DataFrame(of_all_fields).to_string(index=False), end="\n\n")
    of_all_points = [
        of_points(runs, 0.3, 0.15, 0.1, (100, 200)),
        of_points(runs, 0.02, 0.2, 0.01, (50, 150)),
        of_points(runs, 0.02, 0.2, 0.01, (100, 400)),
        of_points(runs, 0.02, 0.05, 0.005, (50, 150)),
    ]
    print("Checked points: how often the 95 % interval holds the area in the image")
    print("(not corrected: how often the labels alone are within a tenth of it)")
    print(pd.DataFrame(of_all_points).to_string(index=False), end="\n\n")
    rare = {"missed": 0.2, "wrongly": 0.01}
    of_all_counts = [
        of_audit(runs, 0.3, "grid", 100),
        of_audit(runs, 0.3, "grid", 100, n_facets=100),
        of_audit(runs, 0.3, "random", 100),
        of_audit(runs, 0.3, "stratified", 100),
        of_audit(runs, 0.02, "grid", 200, **rare),
        of_audit(runs, 0.02, "random", 200, **rare),
        of_audit(runs, 0.02, "stratified", 200, **rare),
        of_audit(runs, 0.3, "grid", 100, n_images=16),
        of_audit(runs, 0.3, "stratified", 100, n_images=16),
        of_audit(runs, 0.02, "grid", 300, n_images=16, **rare),
    ]
    print("Point counts: how often the 95 % interval holds p (several images), or the area in them")
    print(pd.DataFrame(of_all_counts).to_string(index=False))
    print(f"{time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
