"""A plane larger than memory allows at once: zarr to zarr, with the memory curve.

    python benchmarks/large.py --size 20000 --gigabytes 1

The mosaic of benchmarks/inference.py is written to a zarr array of uint8, and its
labels to another one, tile by tile. Memory is what the process has above an
interpreter that has imported PyTorch and loaded the model, sampled. Needs the shared data.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil
import zarr

from inference import MemoryWatch, mosaic
from napari_fractoseg.images import read_image
from napari_fractoseg.inference.predictor import Predictor
from napari_fractoseg.jobs import Throttle
from napari_fractoseg.models.devices import choose_device
from napari_fractoseg.models.model import load_model

BLOCK = 2560


def write_mosaic(path: Path, size: int) -> None:
    """Write real images side by side, block by block."""
    array = zarr.create_array(path, shape=(size, size), chunks=(1024, 1024), dtype="uint8",
                              dimension_names=("y", "x"))  # fmt: skip
    block = mosaic(BLOCK)
    for row in range(0, size, BLOCK):
        for column in range(0, size, BLOCK):
            rows, columns = min(BLOCK, size - row), min(BLOCK, size - column)
            array[row : row + rows, column : column + columns] = block[:rows, :columns]


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=20000)
    parser.add_argument("--gigabytes", type=float, default=1.0, help="for a tile")
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "image.zarr", Path(folder) / "labels.zarr"
        write_mosaic(source, options.size)
        size = (options.size, options.size)
        labels = zarr.create_array(target, shape=size, chunks=(1024, 1024), dtype="uint8")
        model = load_model()
        before = psutil.Process().memory_info().rss
        device = choose_device(options.device)
        predictor = Predictor(model, device, flips=False, max_bytes=options.gigabytes * 2**30)
        print(f"{device.label}, tiles of {predictor.tiler.tile_px} px, halo "
              f"{predictor.tiler.halo_px} px; {before / 2**30:.2f} GB before")  # fmt: skip
        watch, throttle, began = MemoryWatch(), Throttle(10), time.monotonic()
        watch.start()
        print("seconds | done | memory above the start, GB")
        for progress in predictor.run_into(read_image(source), labels):
            if throttle.ready():
                now = psutil.Process().memory_info().rss
                print(f"{time.monotonic() - began:.0f} | {progress.done / progress.total:.1%} | "
                      f"{(now - before) / 2**30:.2f}", flush=True)  # fmt: skip
        seconds, peak = time.monotonic() - began, watch.stop() + (watch.before - before) / 2**30
        gigapixels = options.size**2 / 1e9
        unlabelled = sum(int(np.count_nonzero(labels[row : row + 1024] == 0))
                         for row in range(0, options.size, 1024))  # fmt: skip
        print(
            f"{seconds:.0f} s ({seconds / gigapixels:.0f} s a gigapixel), peak {peak:.2f} GB "
            f"above the start, {unlabelled} pixels without a label; {predictor.engine.label}"
        )


if __name__ == "__main__":
    main()
