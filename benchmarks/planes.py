"""A stack, plane by plane: ours against the network alone and against MONAI, on any device.

    pip install monai psutil
    python benchmarks/planes.py --device cuda --size 2048 --planes 100

*Raw* is the network as PyTorch has it, over planes that are on the device already, normalised and
reduced, in the precision that we use there, without the decision of any pixel; speeds are to the
best of its batch sizes. *Ours* begins with grey levels in memory and ends with labels in memory. No
mirror images. Planes are real fracture images side by side, moved a little from one to the next;
needs the shared data.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import nn

from inference import mosaic
from napari_fractoseg.images import GreyRange, MicrographStack
from napari_fractoseg.inference.predictor import Predictor
from napari_fractoseg.jobs import drain
from napari_fractoseg.models.devices import Device, choose_device
from napari_fractoseg.models.model import SegmentationModel, enlarged, load_model, reduced
from napari_fractoseg.models.networks.optimise import HalfNetwork


def planes_of(size: int, count: int) -> np.ndarray:
    """Return a stack of uint8, shape (count, size, size)."""
    image = mosaic(size).astype(np.uint8)
    return np.stack([np.roll(image, 37 * number, axis=(0, 1)) for number in range(count)])


def scaled_inputs(model: SegmentationModel, planes: np.ndarray) -> Iterator[torch.Tensor]:
    """Yield what the network sees of planes, at each resolution of the model."""
    grey = np.stack([GreyRange.of(plane).apply(plane) for plane in planes])[:, None]
    for scale in model.scale_levels:
        missing = [-n % scale.stride_px for n in grey.shape[-2:]]
        padding = (0, missing[1], 0, missing[0])
        padded = torch.nn.functional.pad(torch.from_numpy(grey), padding, mode="reflect")
        yield reduced(padded, scale.reduction)


def seconds(device: Device, work: Callable[[], object], repeat: int) -> float:
    """Do it, the device's part included, and return the shortest time."""
    best = float("inf")
    for _ in range(repeat):
        began = time.perf_counter()
        work()
        if device.kind == "cuda":
            torch.cuda.synchronize(device.torch)
        best = min(best, time.perf_counter() - began)
    return best


@torch.inference_mode()
def raw_seconds(
    model: SegmentationModel, network: nn.Module, device: Device, planes: np.ndarray, batch: int
) -> float:
    """Return the time of the network alone for a plane."""
    seen = [
        inputs.to(device.torch).contiguous(memory_format=torch.channels_last)
        for inputs in scaled_inputs(model, planes[:batch])
    ]
    rounds = max(1, len(planes) // batch)

    def work() -> None:
        for _ in range(rounds):
            for inputs in seen:
                network(inputs)

    work()
    return seconds(device, work, 2) / (rounds * batch)


@torch.inference_mode()
def monai_labels(
    model: SegmentationModel, network: nn.Module, device: Device, planes: np.ndarray
) -> np.ndarray:
    """Label planes by MONAI's sliding windows of 512 px that share a quarter."""
    from monai.inferers import sliding_window_inference

    found = np.empty(planes.shape, np.uint8)
    for number, plane in enumerate(planes):
        total: torch.Tensor | float = 0.0
        for scale, inputs in zip(
            model.scale_levels, scaled_inputs(model, plane[None]), strict=True
        ):
            logits = sliding_window_inference(
                inputs.to(device.torch), (512, 512), 4, network, overlap=0.25, mode="gaussian"
            )
            seen = torch.as_tensor(logits).float().softmax(dim=1)
            total = total + enlarged(seen, scale.reduction)[..., : plane.shape[0], : plane.shape[1]]
        channels = torch.as_tensor(total)[0].argmax(dim=0).to(torch.uint8).cpu().numpy()
        found[number] = model.card.scheme.to_labels(channels)
    return found


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="auto")
    parser.add_argument("--size", type=int, default=2048)
    parser.add_argument("--planes", type=int, default=100)
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--repeat", type=int, default=2)
    options = parser.parse_args()
    device, model = choose_device(options.device), load_model().with_flips(False)
    planes = planes_of(options.size, options.planes)
    stack = MicrographStack(planes)

    ours = Predictor(model, device)
    single = Predictor(model, device, precision="single")
    ours.expect(stack)
    ready = ours.engine.model_for(0).network
    plain = load_model().to(device.torch).network.eval()
    network = HalfNetwork(plain) if isinstance(ready, HalfNetwork) else plain
    print(f"{ours.engine.label}, torch {torch.__version__}, {len(planes)} x {options.size} px")
    print("way | ms a plane | speed to raw | labels as in single precision")
    best = float("inf")
    for name, looking in (("raw network", network), ("our network alone", ready)):
        for batch in options.batches:
            try:
                time_s = raw_seconds(model, looking, device, planes, batch)
            except RuntimeError as error:  # of memory: larger batches would not fit, either
                print(f"{name}, {batch} at once: {str(error)[:80]}")
                break
            best = min(best, time_s) if looking is network else best
            print(f"{name}, {batch} at once | {1000 * time_s:.2f} | {best / time_s:.2f} | -")
    expected = drain(single.run(MicrographStack(planes[:2]))).labels
    drain(ours.run(MicrographStack(planes[:2])))
    ways = {
        "ours": lambda: drain(ours.run(stack)).labels,
        "MONAI, overlap 0.25": lambda: monai_labels(model, network, device, planes),
    }
    for way, label in ways.items():
        agreement = np.mean(label()[:2] == expected)
        time_s = seconds(device, label, options.repeat) / len(planes)
        print(f"{way} | {1000 * time_s:.2f} | {best / time_s:.2f} | {agreement:.4%}", flush=True)


if __name__ == "__main__":
    main()
