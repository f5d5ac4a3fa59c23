"""An image larger than memory allows at once: zarr to zarr, with the memory curve.

    python benchmarks/large.py --size 20000 --gigabytes 0.9
    python benchmarks/large.py --size 2048 --planes 500 --gigabytes 0.9
    python benchmarks/large.py --size 20000 --workers 2

The mosaic of benchmarks/inference.py is written to a zarr array of uint8, and segmented by
`batch.run` as `fractoseg segment` does it. Memory is what this process (and its workers) have
above an interpreter that has imported PyTorch and loaded the model, sampled. Needs the shared data.
"""

from __future__ import annotations

import argparse
import tempfile
import threading
import time
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import psutil
import zarr

from inference import mosaic
from napari_fractoseg import batch
from napari_fractoseg.jobs import Throttle
from napari_fractoseg.models.model import load_model

BLOCK = 2560


def write_mosaic(path: Path, size: int, planes: int) -> None:
    """Write real images side by side, block by block; each plane begins elsewhere."""
    chunk = min(1024, size)
    shape = (size, size) if planes == 1 else (planes, size, size)
    array = zarr.create_array(
        path,
        shape=shape,
        chunks=(*(1 for _ in shape[:-2]), chunk, chunk),
        dtype="uint8",
        dimension_names=list("zyx"[-len(shape) :]),
    )
    block = mosaic(BLOCK)
    for plane in range(planes):
        turned = np.roll(block, 97 * plane, axis=(0, 1))
        for row in range(0, size, BLOCK):
            for column in range(0, size, BLOCK):
                rows, columns = min(BLOCK, size - row), min(BLOCK, size - column)
                where = (slice(row, row + rows), slice(column, column + columns))
                array[where if planes == 1 else (plane, *where)] = turned[:rows, :columns]


class Watch(threading.Thread):
    """Samples what this process and its children take and read, until it is told to stop."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self._process, self._is_done = psutil.Process(), threading.Event()
        self.own = self.most = self.most_of_workers = 0
        self._read: dict[int, int] = {}
        self._read_before = self._process.io_counters().read_chars

    def run(self) -> None:
        """Sample."""
        while not self._is_done.wait(0.05):
            self.own = self._process.memory_info().rss
            self.most = max(self.most, self.own)
            for child in self._process.children(recursive=True):
                try:
                    self.most_of_workers = max(self.most_of_workers, child.memory_info().rss)
                    self._read[child.pid] = child.io_counters().read_chars
                except psutil.Error:
                    continue

    @property
    def n_read(self) -> int:
        """Bytes that were read, from whatever is nearest."""
        own = self._process.io_counters().read_chars - self._read_before
        return own + sum(self._read.values())

    def stop(self) -> None:
        """Stop."""
        self._is_done.set()
        self.join()


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=20000)
    parser.add_argument("--planes", type=int, default=1)
    parser.add_argument("--gigabytes", type=float, default=None, help="for a tile")
    parser.add_argument("--tile-px", type=int, default=None)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--workers", type=int, default=None)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        source, out = Path(folder) / "image.zarr", Path(folder) / "out"
        write_mosaic(source, options.size, options.planes)
        load_model()
        before, memory = psutil.Process().memory_info().rss, Watch()
        settings = batch.SegmentSettings(
            device=options.device,
            flips=False,
            tile_px=options.tile_px,
            max_memory_gb=options.gigabytes,
        )
        crew = batch.local_workers(options.workers) if options.workers else nullcontext()
        print(f"{before / 2**30:.2f} GB before\nseconds | done | GB above the start")
        memory.start()
        with crew as workers:
            throttle, began = Throttle(10), time.monotonic()
            job = batch.run(batch.plan([source], out, settings), workers)
            while True:
                try:
                    progress = next(job)
                except StopIteration as stop:
                    (result,) = stop.value.results
                    break
                if throttle.ready():
                    print(f"{time.monotonic() - began:.0f} | {progress.done / progress.total:.1%} "
                          f"| {(memory.own - before) / 2**30:.2f}", flush=True)  # fmt: skip
            seconds = time.monotonic() - began
        memory.stop()
        gigapixels = options.planes * options.size**2 / 1e9
        unlabelled = result.fractions["note"].ne("").sum()
        n_bytes = sum(p.stat().st_size for p in out.rglob("*") if p.is_file())
        print(
            f"{result.status} {result.error}: {seconds:.0f} s ({seconds / gigapixels:.0f} s a "
            f"gigapixel), tiles of {result.tile_px} px, {result.device}; peak "
            f"{(memory.most - before) / 2**30:.2f} GB above the start, largest other process "
            f"{memory.most_of_workers / 2**30:.2f} GB in all; {unlabelled} planes unlabelled; "
            f"{memory.n_read / gigapixels / 1e9:.1f} GB read and "
            f"{n_bytes / gigapixels / 1e6:.0f} MB written a gigapixel"
        )


if __name__ == "__main__":
    main()
