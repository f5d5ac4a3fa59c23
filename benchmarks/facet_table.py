"""Time and memory of the facet table of a large plane, against scikit-image on the whole.

    python benchmarks/facet_table.py --size 4096
    python benchmarks/facet_table.py --size 16384 --facet-px 100

Grains of three classes, a third each, are written to a file (4096 pixels of them, and mirrored
beyond); neighbours of one class are one facet. Both read it as a memory map, or, with --zarr, ours
as a zarr in chunks of 1024 pixels. `facets` by blocks, and `label` with `regionprops_table` on the
whole array, run in processes of their own, one after the other: seconds of the work, and the peak
memory of each process, that of the imports among it.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import zarr
from scipy.spatial import cKDTree
from skimage.measure import label, regionprops_table

from napari_fractoseg.classes import DEFAULT_SCHEME
from napari_fractoseg.measurement.facets.plane import facets

PROPERTIES = (
    "area",
    "equivalent_diameter_area",
    "perimeter",
    "axis_major_length",
    "axis_minor_length",
    "orientation",
    "solidity",
    "feret_diameter_max",
    "intensity_mean",
    "centroid",
    "bbox",
)


def write_grains(folder: Path, size: int, facet_px: int) -> None:
    """Write labels of grains, and grey levels, as files of one byte a pixel."""
    rng = np.random.default_rng(0)
    part = min(size, 4096)
    n = max(1, (part // facet_px) ** 2)
    tree = cKDTree(rng.random((n, 2)) * part)
    value = rng.choice(np.array([1, 2, 3], np.uint8), n)
    points = np.indices((part, part), np.int32).reshape(2, -1).T
    grains = value[tree.query(points)[1]].reshape(part, part)
    labels = np.memmap(folder / "labels", np.uint8, "w+", shape=(size, size))
    grey = np.memmap(folder / "grey", np.uint8, "w+", shape=(size, size))
    labels[:] = np.pad(grains, (0, size - part), "symmetric")
    for row in range(0, size, 256):
        grey[row : row + 256] = rng.integers(0, 256, grey[row : row + 256].shape, np.uint8)
    chunks = (min(1024, size),) * 2
    zarr.create_array(folder / "labels.zarr", data=np.asarray(labels), chunks=chunks)
    zarr.create_array(folder / "grey.zarr", data=np.asarray(grey), chunks=chunks)


def read(folder: Path, name: str, size: int, *, as_zarr: bool) -> object:
    """Open one of the arrays."""
    if as_zarr:
        return zarr.open_array(folder / f"{name}.zarr", mode="r")
    return np.memmap(folder / name, np.uint8, "r", shape=(size, size))


def peak_memory_mb() -> float:
    """Return the peak memory of this process alone (Linux), pages of mapped files among it."""
    status = Path("/proc/self/status").read_text().splitlines()
    return float(next(line for line in status if line.startswith("VmHWM")).split()[1]) / 1024


def measure(how: str, folder: Path, size: int) -> dict[str, float]:
    """Measure in this process; seconds, facets and peak memory in MB."""
    as_zarr = how == "zarr"
    labels, grey = (read(folder, name, size, as_zarr=as_zarr) for name in ("labels", "grey"))
    imports = peak_memory_mb()
    start = time.perf_counter()
    if how == "whole":
        regions = label(np.array(labels), background=0, connectivity=1)
        without_shape = 0
        n = len(regionprops_table(regions, np.array(grey), properties=PROPERTIES)["area"])
    else:
        found = facets(labels, DEFAULT_SCHEME, image=grey)
        n, without_shape = len(found.table), found.n_without_shape
    seconds = time.perf_counter() - start
    peak = peak_memory_mb()
    return {
        "facets": n,
        "without_shape": without_shape,
        "seconds": seconds,
        "peak_mb": peak,
        "imports_mb": imports,
    }


def main() -> None:
    """Print both, and their ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=4096)
    parser.add_argument("--facet-px", type=int, default=100)
    parser.add_argument("--zarr", action="store_true")
    parser.add_argument("--measure", choices=("whole", "memmap", "zarr"))
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(options.measure, options.folder, options.size)))
        return
    with tempfile.TemporaryDirectory() as folder:
        write_grains(Path(folder), options.size, options.facet_px)
        found = {}
        for how in ("zarr" if options.zarr else "memmap", "whole"):
            command = [sys.executable, __file__, "--measure", how, "--folder", folder]
            command += ["--size", str(options.size)]
            done = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603
            found[how] = json.loads(done.stdout)
            print(how, {name: round(value, 1) for name, value in found[how].items()}, flush=True)
    ours, whole = found.values()
    print(f"time {ours['seconds'] / whole['seconds']:.2f} of the whole (aim 1.2 at most)")
    print(f"peak memory {ours['peak_mb'] / whole['peak_mb']:.2f} (aim 0.25 at most)")


if __name__ == "__main__":
    main()
