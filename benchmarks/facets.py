"""Facets in one click: how many of the facets that people drew are had by one click.

    python benchmarks/facets.py
    python benchmarks/facets.py --higra --images s17_3.jpg s4_10.jpg

For each polygon of the shared annotations, a click at its deepest point; of the levels offered
there, the best one counts. A polygon is *had* if its IoU with that facet is at least 0.7, without
a band of 3 px around its outline, as people stop short of the borders. *First* is the level that
the tool shows first: clear edges around it, and about the size of the facets before;
``--first nearest`` takes the one nearest in area to the facet before. Then the same areas are
painted with a simulated brush of 20 px and the strokes are counted. ``--higra`` compares the
watershed hierarchy by dynamics of the higra package, if that is installed. Needs the shared data.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from strokes import stroke

from napari_fractoseg.annotations import AnnotatedImage, read_via
from napari_fractoseg.annotations.facets import Facet, FacetTree, RecentSizes, facet_tree
from napari_fractoseg.annotations.facets.find import edge_strength, reduced
from napari_fractoseg.annotations.facets.hierarchy import Hierarchy
from napari_fractoseg.annotations.facets.regions import Regions
from napari_fractoseg.annotations.region_pixels import pixels_of
from napari_fractoseg.images import Micrograph
from napari_fractoseg.images.reading import read_image

DATA = Path(os.environ.get("FRACTOSEG_SHARED_DATA", Path(__file__).parents[2] / "shared" / "data"))
AUTHORS = "VGG_annotator.jpg"
BAND_PX, HAD_IOU, LEAST_PX = 3, 0.7, 100
BRUSH_PX, STROKE_PX, MOST_STROKES = 20, 80, 60

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Polygon:
    """A facet that somebody drew: its pixels, those clear of the outline, where to click."""

    top: int
    left: int
    inside: Mask
    band: Mask
    click: tuple[int, int]

    @classmethod
    def of(cls, flat: npt.NDArray[np.intp], shape: tuple[int, int]) -> Polygon:
        """Return the polygon of flat pixel indices, in a box with a margin."""
        rows, columns = np.unravel_index(flat, shape)
        margin = BAND_PX + 1
        top, left = int(rows.min()) - margin, int(columns.min()) - margin
        inside = np.zeros(
            (int(rows.max()) + margin + 1 - top, int(columns.max()) + margin + 1 - left), bool
        )
        inside[rows - top, columns - left] = True
        depth = ndimage.distance_transform_edt(inside)
        band = (depth <= BAND_PX) & (ndimage.distance_transform_edt(~inside) <= BAND_PX)
        deepest = np.unravel_index(depth.argmax(), depth.shape)
        return cls(top, left, inside, band, (int(deepest[0]) + top, int(deepest[1]) + left))

    @property
    def area_px(self) -> int:
        """Number of its pixels."""
        return int(np.count_nonzero(self.inside))

    def overlap(self, facet: Facet) -> tuple[float, float, int]:
        """Return the IoU with a facet without and with the band left out, and the pixels right."""
        rows, columns = facet.indices()
        rows, columns = rows - self.top, columns - self.left
        near = (rows >= 0) & (rows < self.inside.shape[0])
        near &= (columns >= 0) & (columns < self.inside.shape[1])
        found = np.zeros_like(self.inside)
        found[rows[near], columns[near]] = True
        away = int(np.count_nonzero(~near))
        right, either = found & self.inside, found | self.inside
        clear = ~self.band
        return (
            np.count_nonzero(right) / (np.count_nonzero(either) + away),
            np.count_nonzero(right & clear) / max(np.count_nonzero(either & clear) + away, 1),
            int(np.count_nonzero(right)),
        )


@dataclass(frozen=True)
class Click:
    """What a click in a polygon gives: the best level, and the one shown first."""

    polygon: Polygon
    iou: float
    iou_clear: float
    right_px: int
    first_iou: float
    wheel_steps: int
    best_px: int


def polygons_of(image: AnnotatedImage, shape: tuple[int, int]) -> list[Polygon]:
    """Return the polygons of an image that are no slips of the mouse."""
    found = (pixels_of(region, shape, 1.0, 1.0) for region in image.regions)
    return [Polygon.of(flat, shape) for flat in found if len(flat) >= LEAST_PX]


def click(tree: FacetTree, polygon: Polygon, first: Facet) -> Click:
    """Try all levels at the deepest point of a polygon, where one is shown first."""
    areas = tree.areas_px(*polygon.click)
    shown, overlaps = first.level, {first.level: polygon.overlap(first)}
    for level, area in enumerate(areas):
        if polygon.area_px / 4 < area < 8 * polygon.area_px:  # others have no IoU of 0.25
            overlaps[level] = polygon.overlap(tree.at(*polygon.click, level))
    best = max(overlaps, key=lambda level: overlaps[level][1])
    iou, iou_clear, right = overlaps[best]
    return Click(polygon, iou, iou_clear, right, overlaps[shown][1], abs(best - shown), areas[best])


def clicks_on(tree: FacetTree, polygons: Sequence[Polygon], nearest: bool) -> list[Click]:
    """Click on polygons in turn; the sizes of the best facets are kept for the next ones."""
    sizes, clicks = RecentSizes(), []
    before_px = tree.typical_area_px
    for polygon in polygons:
        if nearest:
            first = tree.near(*polygon.click, before_px)
        else:
            first = tree.likely(*polygon.click, sizes.next_px(tree.typical_area_px))
        clicks.append(click(tree, polygon, first))
        before_px = clicks[-1].best_px
        sizes.note(before_px)
    return clicks


def strokes_for(polygon: Polygon, wanted_px: int, rng: np.random.Generator) -> int:
    """Count the strokes that paint so many pixels of a polygon."""
    left = polygon.inside.copy()
    stop_at = np.count_nonzero(left) - wanted_px
    for count in range(1, MOST_STROKES + 1):
        left &= ~stroke(left, rng, STROKE_PX, BRUSH_PX)
        if np.count_nonzero(left) <= stop_at:
            return count
    return MOST_STROKES


def higra_tree(plane: Micrograph) -> FacetTree:
    """Return the watershed hierarchy by dynamics that higra makes of the same edges."""
    import higra

    reduction = -(-max(plane.shape) // 1024)
    strength = edge_strength(reduced(plane.normalised(), reduction))
    graph = higra.get_4_adjacency_graph(strength.shape)
    weights = higra.weight_graph(graph, strength, higra.WeightFunction.mean)
    tree, heights = higra.watershed_hierarchy_by_dynamics(graph, weights)
    basins = higra.labelisation_horizontal_cut_from_threshold(tree, heights, 0)
    leaves = np.unique(basins.reshape(strength.shape), return_inverse=True)[1].astype(np.int32)
    pixel_parents, is_low = tree.parents(), heights == 0
    node_of: dict[int, int] = {}
    pixels = np.unique(leaves.ravel(), return_index=True)[1]
    for leaf, pixel in enumerate(pixels.tolist()):
        node = pixel
        while is_low[pixel_parents[node]] and pixel_parents[node] != node:
            node = int(pixel_parents[node])
        node_of[node] = leaf
    for node in range(graph.num_vertices(), tree.num_vertices()):
        if not is_low[node]:
            node_of[node] = len(node_of)
    parents = [node_of.get(int(pixel_parents[node]), 0) for node in node_of]
    hierarchy = Hierarchy.of(parents, Regions.of(leaves, strength))
    return FacetTree(plane.shape, reduction, leaves, (hierarchy,))


def table(name: str, clicks: Sequence[Click], seconds: float) -> None:
    """Print a row for each group of polygons."""
    had = np.array([c.iou_clear >= HAD_IOU for c in clicks])
    area = np.array([c.polygon.area_px for c in clicks])
    figures = (
        np.mean([c.iou >= HAD_IOU for c in clicks]),
        had.mean(),
        area[had].sum() / area.sum(),
        np.mean([c.iou_clear >= 0.5 for c in clicks]),
        np.mean([c.first_iou >= HAD_IOU for c in clicks]),
    )
    steps = np.median([c.wheel_steps for c in clicks])
    shares = " | ".join(f"{figure:.1%}" for figure in figures)
    print(f"{name} | {len(clicks)} | {shares} | {steps:.0f} | {seconds:.2f}", flush=True)


def strokes_table(clicks: Sequence[Click], seed: int) -> None:
    """Print how many strokes paint what one click labels."""
    rng = np.random.default_rng(seed)
    had = [c for c in clicks if c.iou_clear >= HAD_IOU]
    counts = np.array([strokes_for(c.polygon, c.right_px, rng) for c in had])
    print(f"{len(had)} facets had: {len(had)} clicks, {counts.sum()} strokes of the brush; "
          f"a facet {counts.mean():.1f} on average, {np.median(counts):.0f} in the middle, "
          f"{np.percentile(counts, 95):.0f} at most for 95 %")  # fmt: skip
    wheel = sum(c.wheel_steps for c in had)
    print(f"steps of the wheel for them: {wheel} ({wheel / len(had):.1f} a facet)")


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", nargs="*", help="file names; by default all")
    parser.add_argument("--higra", action="store_true", help="compare with higra's hierarchy")
    parser.add_argument("--first", choices=("likely", "nearest"), default="likely",
                        help="which level is shown first")  # fmt: skip
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    folder = DATA / "fracture"
    methods = {"facet_tree": facet_tree}
    if options.higra:
        methods["higra, dynamics"] = higra_tree
    clicks: dict[str, dict[str, list[Click]]] = {name: {} for name in methods}
    seconds = dict.fromkeys(methods, 0.0)
    for image in read_via(folder / "via_region_data.json"):
        if options.images and image.filename not in options.images:
            continue
        plane = read_image(folder / "images" / image.filename).plane()
        polygons = polygons_of(image, plane.shape)
        for name, method in methods.items():
            began = time.monotonic()
            tree = method(plane)
            seconds[name] += time.monotonic() - began
            clicks[name][image.filename] = clicks_on(tree, polygons, options.first == "nearest")
    print("method, polygons | number | no band, >= 0.7 | >= 0.7 | of the area | >= 0.5 "
          "| first level >= 0.7 | wheel steps | s a plane")  # fmt: skip
    for name, by_image in clicks.items():
        each = seconds[name] / len(by_image)
        ours = [c for file, found in by_image.items() if file != AUTHORS for c in found]
        groups = {"drawn for the project": ours, "by the authors": by_image.get(AUTHORS, [])}
        for group, found in groups.items():
            if found:
                table(f"{name}, {group}", found, each)
    strokes_table([c for found in clicks["facet_tree"].values() for c in found], options.seed)


if __name__ == "__main__":
    main()
