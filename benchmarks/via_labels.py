"""Labels from a VIA file: napari-fractoseg against the loop that one would write by hand.

    python benchmarks/via_labels.py
    python benchmarks/via_labels.py --images 200

A file of made-up polygons is drawn by each in a process of its own. Reading,
finding the classes and drawing are timed; starting Python and importing are
not. Both must give the same labels.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import skimage.draw

SHAPE = (640, 640)
N_POLYGONS = 25
VALUES = {"i": 1, "t": 2}


def write_annotations(path: Path, n_images: int, seed: int = 0) -> None:
    """Write VIA 2 annotations: polygons of 12 to 25 points, 20 to 80 pixels in radius."""
    rng = np.random.default_rng(seed)

    def region() -> dict[str, object]:
        n = int(rng.integers(12, 26))
        angles = np.sort(rng.uniform(0, 2 * np.pi, n))
        radii = rng.uniform(20, 80) * rng.uniform(0.7, 1.0, n)
        x, y = rng.uniform(0, SHAPE[1]), rng.uniform(0, SHAPE[0])
        xs = np.clip(np.round(x + radii * np.cos(angles)), 0, SHAPE[1]).astype(int)
        ys = np.clip(np.round(y + radii * np.sin(angles)), 0, SHAPE[0]).astype(int)
        shape = {"name": "polygon", "all_points_x": xs.tolist(), "all_points_y": ys.tolist()}
        return {
            "shape_attributes": shape,
            "region_attributes": {"name": str(rng.choice(["i", "t"]))},
        }

    entries = {}
    for number in range(n_images):
        name, size = f"image_{number:04}.png", 400_000 + number
        regions = [region() for _ in range(N_POLYGONS)]
        entry = {"filename": name, "size": size, "regions": regions, "file_attributes": {}}
        entries[f"{name}{size}"] = entry
    path.write_text(json.dumps(entries, separators=(",", ":")), encoding="utf-8")


def by_hand(path: Path) -> Iterator[int]:
    """Yield a checksum of the labels of each image, drawn without checks."""
    with path.open(encoding="utf-8") as file:
        entries = json.load(file)
    for entry in entries.values():
        labels = np.zeros(SHAPE, dtype=np.uint8)
        for region in entry["regions"]:
            shape = region["shape_attributes"]
            rows = np.array(shape["all_points_y"]) - 0.5
            columns = np.array(shape["all_points_x"]) - 0.5
            inside = skimage.draw.polygon(rows, columns, SHAPE)
            labels[inside] = VALUES[region["region_attributes"]["name"]]
        yield zlib.crc32(labels)


def by_fractoseg(path: Path) -> Iterator[int]:
    """Yield the same by the package."""
    from napari_fractoseg.annotations import rasterise, read_via
    from napari_fractoseg.annotations.class_mapping import map_classes
    from napari_fractoseg.classes import DEFAULT_SCHEME

    document = read_via(path)
    mapping = map_classes(document, DEFAULT_SCHEME)
    for image in document:
        yield zlib.crc32(rasterise(image, SHAPE, mapping).labels)


WAYS: dict[str, Callable[[Path], Iterator[int]]] = {
    "by hand": by_hand,
    "napari-fractoseg": by_fractoseg,
}


def measure(way: str, path: Path) -> dict[str, object]:
    """Draw the file in this process, which must be fresh: its peak memory is taken."""
    import napari_fractoseg.annotations
    import napari_fractoseg.annotations.class_mapping  # noqa: F401 - not to be timed

    skimage.draw.polygon([0, 0, 1], [0, 1, 1])  # loads the rest of scikit-image
    began = time.perf_counter()
    checksums = list(WAYS[way](path))
    seconds = time.perf_counter() - began
    per_mib = 2**20 if sys.platform == "darwin" else 2**10
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / per_mib
    return {"seconds": seconds, "peak_mib": peak_mib, "checksums": checksums}


def measure_afresh(way: str, path: Path) -> dict[str, object]:
    """Measure in a new process."""
    command = [sys.executable, __file__, "--way", way, str(path)]
    result = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603
    figures: dict[str, object] = json.loads(result.stdout)
    return figures


def main() -> None:
    """Print seconds and memory of both, and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=1000, help="number of images")
    parser.add_argument("--repeat", type=int, default=1, help="runs of each; the fastest counts")
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("file", type=Path, nargs="?", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.way:
        print(json.dumps(measure(options.way, options.file)))
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "via.json"
        write_annotations(path, options.images)
        size_mib = path.stat().st_size / 2**20
        print(f"{options.images} images, {N_POLYGONS} polygons each, {SHAPE}; {size_mib:.1f} MiB")
        runs = [[measure_afresh(way, path) for way in WAYS] for _ in range(options.repeat)]
    if any(run[0]["checksums"] != run[1]["checksums"] for run in runs):
        sys.exit("The labels differ.")
    seconds = []
    for way, measured in zip(WAYS, zip(*runs, strict=True), strict=True):
        seconds.append(min(m["seconds"] for m in measured))
        peak_mib = max(m["peak_mib"] for m in measured)
        per_image_ms = seconds[-1] / options.images * 1e3
        print(
            f"{way:17} {seconds[-1]:7.2f} s {per_image_ms:6.2f} ms/image {peak_mib:7.0f} MiB peak"
        )
    print(f"ratio {seconds[1] / seconds[0]:.2f}; the labels are the same")


if __name__ == "__main__":
    main()
