"""Prepare the training data of the bundled model from the shared fracture data.

    python scripts/fracture_data.py build/training

writes greyscale images, label masks (values of the default scheme) of the two
references, published and polygons, of the polygons that complete four images
(``completed_polygons.json``, by which no plan was chosen), and synthetic surfaces with
exact labels:

    images/*.png  published/*.png  polygons/*.png  completed/*.png
    synthetic/images/*.png  synthetic/labels/*.png

Inside the windows that an annotator looked at, what lies at least
``BORDER_PX`` from every polygon is labelled background; elsewhere pixels
without a polygon stay unlabelled. The picture of the authors' own annotation
has its polygon lines and tags drawn in yellow: they are painted over with
their surroundings, so that no network learns from drawn outlines.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import numpy.typing as npt
from scipy import ndimage
from skimage.restoration import inpaint_biharmonic

from napari_fractoseg.annotations import rasterise, read_via
from napari_fractoseg.annotations.class_mapping import map_classes
from napari_fractoseg.annotations.shapes import outline_px
from napari_fractoseg.classes import DEFAULT_SCHEME
from napari_fractoseg.images import find_images, read_image, read_mask, to_grey
from napari_fractoseg.samples.synthetic import TRAINING_SEEDS, synthetic_fracture

BORDER_PX = 12

POLYGONS = {
    "polygons": ("via_region_data.json", "annotated_windows.json"),
    "completed": tuple(
        Path(__file__).with_name(f"completed_{what}.json") for what in ("polygons", "windows")
    ),
}
"""VIA file and the windows looked at, by the name of the source."""

FOLDS = {
    "s17 + s1": ("s17_3", "s1_1"),
    "t13 + t16 + s23": ("t13_4", "t16_4", "s23_4"),
    "u22 + VGG": ("u22_2", "VGG_annotator"),
    "s4": ("s4_1", "s4_2", "s4_4", "s4_5", "s4_6", "s4_8", "s4_9", "s4_10", "s4_11"),
}
"""Four folds grouped by specimen: images of one specimen are never on both sides."""


def specimen_of(name: str) -> str:
    """Return the specimen that an image shows: ``s4`` for ``s4_11``."""
    return name.partition("_")[0]


def shared_fracture() -> Path:
    """Return the folder of the shared fracture images."""
    root = os.environ.get("FRACTOSEG_SHARED_DATA", Path(__file__).parents[2] / "shared" / "data")
    return Path(root) / "fracture"


def without_yellow_lines(rgb: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Paint over saturated pixels of an RGB picture and return it in grey levels."""
    colours = rgb[..., :3].astype(int)
    drawn = ndimage.binary_dilation(np.ptp(colours, axis=-1) > 40, iterations=2)
    grey = to_grey(rgb)
    filled = inpaint_biharmonic(grey / 255, drawn, split_into_regions=True) * 255
    return np.clip(np.round(filled), 0, 255).astype(np.uint8)


def prepare(out: Path, *, background: bool = True) -> None:
    """Write images, published labels and polygon labels."""
    source = shared_fracture()
    (out / "images").mkdir(parents=True, exist_ok=True)
    for path in find_images(source / "images"):
        stack = read_image(path)
        grey = without_yellow_lines(np.asarray(stack.data)) if stack.rgb else np.asarray(stack.data)
        iio.imwrite(out / "images" / f"{path.stem}.png", grey)
    for name, (polygons, windows) in POLYGONS.items():
        (out / name).mkdir(exist_ok=True)
        _write_polygons(out, name, source / polygons, source / windows, background)
    (out / "published").mkdir(exist_ok=True)
    for path in find_images(source / "paper_labels"):
        iio.imwrite(out / "published" / path.name, read_mask(path))


def _write_polygons(out: Path, name: str, via: Path, windows: Path, background: bool) -> None:
    """Write label masks of a VIA file into a folder beside the images."""
    looked_at_in = json.loads(windows.read_text())
    document = read_via(via)
    mapping = map_classes(document, DEFAULT_SCHEME)
    for annotated in document:
        file = f"{Path(annotated.filename).stem}.png"
        grey = iio.imread(out / "images" / file)
        labels = rasterise(annotated, grey.shape, mapping).labels
        if background:
            far = ndimage.distance_transform_edt(labels == 0) >= BORDER_PX
            looked_at = np.zeros(labels.shape, dtype=bool)
            for row0, row1, column0, column1 in looked_at_in[annotated.filename]:
                looked_at[row0:row1, column0:column1] = True
            labels[looked_at & far] = DEFAULT_SCHEME.find("background").value
        iio.imwrite(out / name / file, labels)


def facet_sizes() -> dict[str, object]:
    """Return how wide the facets of the polygons are, for the card of the bundled model.

    The width is the equivalent diameter: that of a circle of the polygon's area (shoelace formula).
    """
    document = read_via(shared_fracture() / "via_region_data.json")
    mapping = map_classes(document, DEFAULT_SCHEME)
    widths, images = [], set()
    for image in document:
        for region in image.regions:
            named = mapping.class_of(region, image.filename)
            if named is None or not named.is_fracture_mode or region.kind != "polygon":
                continue
            rows, columns = outline_px(region)
            area = abs(rows @ np.roll(columns, 1) - columns @ np.roll(rows, 1)) / 2
            if area:
                widths.append(2 * np.sqrt(area / np.pi))
                images.add(image.filename)
    first, median, third = np.percentile(widths, [25, 50, 75])
    return {
        "median_px": round(float(median)),
        "quartiles_px": [round(float(first)), round(float(third))],
        "n_facets": len(widths),
        "n_images": len(images),
        "of": "equivalent diameters of polygons that were drawn by eye",
    }


def prepare_synthetic(out: Path, count: int) -> None:
    """Write synthetic surfaces with exact labels, of seeds that may be learnt from."""
    for folder in ("images", "labels"):
        (out / "synthetic" / folder).mkdir(parents=True, exist_ok=True)
    for seed in TRAINING_SEEDS[:count]:
        surface = synthetic_fracture(seed, (640, 640))
        iio.imwrite(out / "synthetic" / "images" / f"synthetic_{seed}.png", surface.image)
        iio.imwrite(out / "synthetic" / "labels" / f"synthetic_{seed}.png", surface.labels)


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--no-background", action="store_true", help="leave gaps unlabelled")
    parser.add_argument("--synthetic", type=int, default=24, help="number of synthetic surfaces")
    options = parser.parse_args()
    prepare(options.out, background=not options.no_background)
    prepare_synthetic(options.out, options.synthetic)


if __name__ == "__main__":
    main()
