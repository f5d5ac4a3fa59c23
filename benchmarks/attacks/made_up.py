"""Made-up inputs: images, masks, annotations, a tiny model with random weights."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from harness import Lab

__all__ = [
    "CPU",
    "PLAN",
    "changed_model",
    "grains",
    "image_folder",
    "masks_folder",
    "model",
    "via_folder",
    "zarr_image",
]

CPU = ("--device", "cpu")
ENCODER = "timm-mobilenetv3_small_minimal_100"
PLAN = {
    "encoder": ENCODER,
    "decoder_channels": [16, 8, 8, 8, 8],
    "patch_px": 32,
    "batch_size": 2,
    "reduction": 1,
    "max_steps": 24,
    "validate_every": 6,
    "split": "none",
}


def grains(rng: np.random.Generator, height: int, width: int) -> Any:
    """Return a grey image of noise with smooth patches, uint8."""
    coarse = rng.integers(0, 200, (height // 16 + 1, width // 16 + 1))
    image = np.kron(coarse, np.ones((16, 16)))[:height, :width] + rng.integers(
        0, 56, (height, width)
    )
    return image.astype(np.uint8)


def _make_model(folder: Path) -> None:
    import torch

    from napari_fractoseg.classes import DEFAULT_SCHEME
    from napari_fractoseg.models.card import Inference, ModelCard
    from napari_fractoseg.models.model import SegmentationModel

    torch.manual_seed(0)
    inference = Inference(reductions=(1,), halo_px=32)
    card = ModelCard("tiny", DEFAULT_SCHEME, "Unet", ENCODER, inference=inference)
    tiny = SegmentationModel.create(card, decoder_channels=(16, 8, 8, 8, 8))
    tiny.network.train()
    with torch.no_grad():  # statistics, so that the labels are not all the same
        for _ in range(20):
            tiny.network(torch.rand(4, 1, 64, 64))
    tiny.network.eval()
    tiny.save(folder / "tiny")


def model(lab: Lab) -> Path:
    """Return the folder of a tiny model with random weights."""
    return lab.once("model", _make_model) / "tiny"


def changed_model(lab: Lab, change: Callable[[Path], object], name: str = "changed") -> Path:
    """Return a copy of the tiny model that a function has changed."""
    folder = lab.fresh("models") / name
    shutil.copytree(model(lab), folder)
    change(folder)
    return folder


def edit_json(path: Path, **changes: Any) -> None:
    """Change entries of a JSON object in a file."""
    content = json.loads(path.read_text(encoding="utf-8"))
    content.update(changes)
    path.write_text(json.dumps(content), encoding="utf-8")


def image_folder(lab: Lab, count: int = 12, size: int = 256, name: str = "images") -> Path:
    """Return a folder of PNG images."""

    def make(folder: Path) -> None:
        import imageio.v3 as iio

        rng = np.random.default_rng(count)
        for number in range(count):
            iio.imwrite(folder / f"im{number:02d}.png", grains(rng, size, size))

    return lab.once(f"{name}-{count}-{size}", make)


def masks_folder(lab: Lab, count: int = 3, size: int = 128) -> Path:
    """Return a folder with the masks of `image_folder` of the same count and size."""

    def make(folder: Path) -> None:
        import imageio.v3 as iio

        rng = np.random.default_rng(count)
        for number in range(count):
            mask = (grains(rng, size, size) // 90).clip(0, 2).astype(np.uint8)
            iio.imwrite(folder / f"im{number:02d}.png", mask)

    return lab.once(f"masks-{count}-{size}", make)


def via_document(count: int, size: int, regions: int, attribute: str = "i") -> dict[str, Any]:
    """Return VIA 2 annotations of images as `image_folder` makes them."""
    rng, document = np.random.default_rng(0), {}
    for number in range(count):
        listed = []
        for place in range(regions):
            x, y = rng.integers(0, size - 20, 2).tolist()
            angles = np.linspace(0, 2 * np.pi, 40, endpoint=False)
            shape = {
                "name": "polygon",
                "all_points_x": (x + 10 + 9 * np.cos(angles)).round().astype(int).tolist(),
                "all_points_y": (y + 10 + 9 * np.sin(angles)).round().astype(int).tolist(),
            }
            kind = (attribute, "t")[place % 2]
            listed.append({"shape_attributes": shape, "region_attributes": {"name": kind}})
        name = f"im{number:02d}.png"
        document[f"{name}-1"] = {
            "filename": name, "size": -1, "regions": listed, "file_attributes": {},
        }  # fmt: skip
    return document


def via_folder(lab: Lab, count: int = 12, size: int = 256, regions: int = 40) -> Path:
    """Return a folder of images with their annotations, ``via.json``."""

    def make(folder: Path) -> None:
        shutil.copytree(images, folder, dirs_exist_ok=True)
        text = json.dumps(via_document(count, size, regions))
        (folder / "via.json").write_text(text, encoding="utf-8")

    images = image_folder(lab, count, size)
    return lab.once(f"via-{count}-{size}-{regions}", make)


def zarr_image(path: Path, *, size: int = 512, chunk: int = 64, version: int = 3) -> None:
    """Write a zarr image without empty chunks."""
    import zarr

    array = zarr.create_array(
        path, shape=(size, size), chunks=(chunk, chunk), dtype="uint8", zarr_format=version,
        compressors=None,
    )  # fmt: skip
    array[...] = grains(np.random.default_rng(size), size, size) | 1


def chunk_files(path: Path) -> list[Path]:
    """Return the files of the chunks of a zarr array."""
    metadata = ("zarr.json", ".zarray", ".zattrs", ".zgroup", ".zmetadata")
    return sorted(p for p in path.rglob("*") if p.is_file() and p.name not in metadata)


__all__ += ["ENCODER", "chunk_files", "edit_json", "via_document"]
