"""What the scale does to labels: the fracture images at 0.25, 0.5 and 2 times their size.

    python benchmarks/magnification.py build/training --factors 0.25 0.5 2

*build/training* is what ``scripts/fracture_data.py`` prepares. Each image is resampled (area means
to make it smaller, bicubic to make it larger), segmented with and without the scale factor that
makes up for it, and its labels are brought back to the original grid (nearest neighbour). They are
compared with the labels of the image as it is, and with the published labels where there are some
(where both name a fracture mode). The bundled weights learnt from these images: what a network
does with an unseen image at another scale, those of a cross-validation tell (``--model`` with
``--images``).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import numpy.typing as npt
from PIL import Image

from napari_fractoseg.classes import DEFAULT_SCHEME
from napari_fractoseg.evaluation.confusion import Confusion
from napari_fractoseg.images import MicrographStack
from napari_fractoseg.inference.predictor import Predictor
from napari_fractoseg.jobs import drain
from napari_fractoseg.models.devices import choose_device
from napari_fractoseg.models.model import SegmentationModel, load_model

Labels = npt.NDArray[np.uint8]


def resampled(image: npt.NDArray[np.uint8], factor: float) -> npt.NDArray[np.uint8]:
    """Return an image of so many times its size."""
    rows, columns = (max(1, round(n * factor)) for n in image.shape)
    how = Image.Resampling.BOX if factor < 1 else Image.Resampling.BICUBIC
    return np.asarray(Image.fromarray(image).resize((columns, rows), how))


def brought_back(labels: Labels, shape: tuple[int, ...]) -> Labels:
    """Return labels on the original grid."""
    picture = Image.fromarray(labels).resize((shape[1], shape[0]), Image.Resampling.NEAREST)
    return np.asarray(picture)


def middle_of(image: npt.NDArray[np.uint8], edge: int | None) -> npt.NDArray[np.uint8]:
    """Return the middle of an image, or all of it."""
    row, column = (0, 0) if edge is None else (max(n - edge, 0) // 2 for n in image.shape)
    return image[row : image.shape[0] - row, column : image.shape[1] - column]


def segmented(model: SegmentationModel, image: npt.NDArray[np.uint8], scale: float) -> Labels:
    """Return the labels of an image that is seen at a scale."""
    predictor = Predictor(model.at_scale(scale), choose_device("cpu"))
    return drain(predictor.run(MicrographStack(image))).labels


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="folder of scripts/fracture_data.py")
    parser.add_argument("--model", default="default")
    parser.add_argument("--factors", type=float, nargs="+", default=[0.25, 0.5, 2.0])
    parser.add_argument("--images", nargs="*", help="names of the images (default: all)")
    parser.add_argument("--crop", type=int, help="edge in pixels of the middle that is taken")
    options = parser.parse_args()
    model = load_model(options.model)
    agreement: dict[tuple[float, bool], list[float]] = {}
    published: dict[tuple[float, bool], list[float]] = {}
    for path in sorted((options.data / "images").glob("*.png")):
        if options.images and path.stem not in options.images:
            continue
        labelled = options.data / "published" / path.name
        image = middle_of(iio.imread(path), options.crop)
        reference = middle_of(iio.imread(labelled), options.crop) if labelled.exists() else None
        as_it_is = segmented(model, image, 1.0)
        for factor in (1.0, *options.factors):
            seen = resampled(image, factor)
            for guarded in (False, True) if factor != 1 else (False,):
                labels = as_it_is
                if factor != 1:
                    found = segmented(model, seen, factor if guarded else 1.0)
                    labels = brought_back(found, image.shape)
                same = Confusion.of(as_it_is, labels, DEFAULT_SCHEME)
                agreement.setdefault((factor, guarded), []).append(same.agreement)
                text = f"{same.agreement:.4f} {same.mode_agreement:.4f}"
                if reference is not None:
                    known = Confusion.of(reference, labels, DEFAULT_SCHEME).mode_agreement
                    published.setdefault((factor, guarded), []).append(known)
                    text += f" published {known:.4f}"
                how = "with" if guarded else "without"
                print(f"{path.stem} x{factor:g} {how}: {text}", flush=True)
    print("\n| size | guard | agreement with the labels at 1x | least | n | published | n |")
    print("|--:|---|--:|--:|--:|--:|--:|")
    for (factor, guarded), each in agreement.items():
        known = published.get((factor, guarded), [])
        mean = f"{np.mean(known):.3f}" if known else "-"
        print(
            f"| {factor:g} | {'with' if guarded else 'without'} | {np.mean(each):.3f} "
            f"| {min(each):.3f} | {len(each)} | {mean} | {len(known)} |"
        )


if __name__ == "__main__":
    main()
