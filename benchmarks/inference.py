"""Cost and exactness of tiles: ours against the network alone and against MONAI.

    pip install monai psutil
    python benchmarks/inference.py --sizes 1024 2048 4096 8192

The mosaic is made of real fracture images, mirrored so that no edge shows. *Raw* is
the network as PyTorch has it, over the whole plane in one pass at each resolution of
the model, without mirror images; times are ratios to it, measured in turns in the
same process. *Agreement* is the part of the pixels with the labels of the whole
plane. MONAI's `sliding_window_inference` (windows of 512 px, Gaussian weights) gets the
same scale levels, normalised image and all. Everything is in single precision. Memory is the
growth of the process, sampled; on a GPU the most that is taken there, the networks included.
Needs the shared data.
"""

from __future__ import annotations

import argparse
import gc
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch

from napari_fractoseg.images import GreyRange, MicrographStack, read_image
from napari_fractoseg.inference.backend import Engine
from napari_fractoseg.inference.predictor import Predictor
from napari_fractoseg.jobs import drain
from napari_fractoseg.models.devices import choose_device
from napari_fractoseg.models.model import SegmentationModel, enlarged, load_model, reduced

ROOT = Path(__file__).parents[1]
EDGE = 640


def mosaic(size: int) -> np.ndarray:
    """Put real fracture images side by side, every other one mirrored."""
    data = Path(os.environ.get("FRACTOSEG_SHARED_DATA", ROOT.parent / "shared" / "data"))
    images = [
        read_image(path).plane().data[:EDGE, :EDGE]
        for path in sorted((data / "fracture" / "images").glob("*.jpg"))
    ]
    images = [image for image in images if image.shape == (EDGE, EDGE)]
    count = -(-size // EDGE)
    rows = []
    for i in range(count):
        row = [images[(i * count + j) % len(images)] for j in range(count)]
        row = [image[:: 1 - 2 * (i % 2), :: 1 - 2 * (j % 2)] for j, image in enumerate(row)]
        rows.append(np.concatenate(row, axis=1))
    return np.ascontiguousarray(np.concatenate(rows)[:size, :size])


@dataclass
class Measured:
    """What a way to label the mosaic gives and costs."""

    labels: np.ndarray
    seconds: float
    gigabytes: float


@dataclass
class Report:
    """Prints rows about a mosaic of a size, compared with the raw network where it was run."""

    size: int
    raw: Measured | None = None

    def show(self, way: str, found: Measured) -> None:
        """Print a row."""
        ratio = agreement = "-"
        if self.raw is not None:
            ratio = f"{found.seconds / self.raw.seconds:.2f}"
            agreement = f"{np.mean(found.labels == self.raw.labels):.4%}"
        each = found.seconds / self.size**2 * 1e6
        print(
            f"{self.size} | {way} | {ratio} | {each:.3f} | {agreement} | {found.gigabytes:.1f}",
            flush=True,
        )


class MemoryWatch(threading.Thread):
    """Samples the memory of the process until it is told to stop."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self._process, self._is_done = psutil.Process(), threading.Event()
        self.before = self.most = self._process.memory_info().rss
        for number in range(torch.cuda.device_count()):
            torch.cuda.reset_peak_memory_stats(number)

    def run(self) -> None:
        """Sample."""
        while not self._is_done.wait(0.005):
            self.most = max(self.most, self._process.memory_info().rss)

    def stop(self) -> float:
        """Return the growth in gigabytes."""
        self._is_done.set()
        self.join()
        gpus = range(torch.cuda.device_count())
        on_gpu = max((torch.cuda.max_memory_allocated(number) for number in gpus), default=0)
        return (on_gpu or self.most - self.before) / 2**30


def measure(work: Callable[[], np.ndarray], repeat: int) -> Measured:
    """Do it, and take the shortest time and the largest growth of the process."""
    best, growth = float("inf"), 0.0
    for _ in range(repeat):
        gc.collect()
        watch = MemoryWatch()
        watch.start()
        began = time.monotonic()
        labels = work()
        best = min(best, time.monotonic() - began)
        growth = max(growth, watch.stop())
    return Measured(labels, best, growth)


def whole(model: SegmentationModel, image: np.ndarray, see: Any) -> np.ndarray:
    """Label the plane: mean of all scale levels; `see` gives logits or probabilities."""
    device = next(model.network.parameters()).device
    grey = torch.from_numpy(GreyRange.of(image).apply(image))[None, None].to(device)
    rows, columns = grey.shape[-2:]
    total: Any = 0
    with torch.inference_mode():
        for scale in model.scale_levels:
            missing = [-n % scale.stride_px for n in (rows, columns)]
            padded = torch.nn.functional.pad(grey, (0, missing[1], 0, missing[0]), mode="reflect")
            inputs = reduced(padded, scale.reduction)
            inputs = inputs.contiguous(memory_format=torch.channels_last)
            seen = see(inputs).float().softmax(dim=1)
            total = total + enlarged(seen, scale.reduction)[..., :rows, :columns]
    channels = total[0].argmax(0).to(torch.uint8).cpu().numpy()
    return np.asarray(model.card.scheme.to_labels(channels))


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[1024, 2048, 4096])
    parser.add_argument("--tiles", type=int, nargs="*", default=[4096, 2048, 1024])
    parser.add_argument("--most", type=int, default=8192, help="largest size of the raw network")
    parser.add_argument("--repeat", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--no-openvino", action="store_true")
    options = parser.parse_args()
    device, model = choose_device(options.device), load_model()
    model = model.with_flips(False).to(device.torch)
    network = model.network.eval()
    if options.no_openvino:
        Engine.model_for.__globals__["has_openvino"] = lambda: False
    print(f"{device.label}, torch {torch.__version__}, {torch.get_num_threads()} threads")
    print("size | way | time to raw | us a pixel | agreement | memory, GB")
    for size in options.sizes:
        image = mosaic(size)
        network(torch.zeros(1, 1, 256, 256, device=device.torch))
        report = Report(size)
        if size <= options.most:
            raw = measure(lambda image=image: whole(model, image, network), options.repeat)
            report.raw = raw
            report.show("raw network, whole plane", raw)
        for tile_px in (None, *(t for t in options.tiles if t < size)):
            predictor = Predictor(model, device, tile_px=tile_px, precision="single")
            predictor.engine.model_for(10**9)  # made ready before the time is taken
            predictor.engine.model_for(0)
            way = f"ours, tiles of {predictor.tiler.tile_px} px"
            stack = MicrographStack(image)
            found = measure(lambda p=predictor, s=stack: drain(p.run(s)).labels, options.repeat)
            report.show(way, found)
        for overlap in (0.25, 0.5) if size <= options.most else ():
            report.show(f"MONAI, overlap {overlap}", monai(model, image, network, overlap))


def monai(model: SegmentationModel, image: np.ndarray, network: Any, overlap: float) -> Measured:
    """Label the mosaic by MONAI's sliding windows."""
    from monai.inferers import sliding_window_inference

    def see(inputs: torch.Tensor) -> torch.Tensor:
        found = sliding_window_inference(
            inputs, (512, 512), 4, network, overlap=overlap, mode="gaussian"
        )
        return torch.as_tensor(found)

    return measure(lambda: whole(model, image, see), 1)


if __name__ == "__main__":
    main()
