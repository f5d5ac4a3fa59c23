"""What changes of an image do to its labels: scale, contrast, blur, noise, JPEG, rotation.

    python benchmarks/robustness.py build/training --networks build/folds

*build/training* is what ``scripts/fracture_data.py`` prepares, and ``--networks`` has a network for
each fold that never saw the images it is judged on (``scripts/train_bundled_model.py``). Without it
the bundled model is judged, which learnt from these images. Each image is changed and segmented,
its labels are brought back to the original grid, and the two-mode agreement (where both sides name
a fracture mode) with the published segmentations and with the polygons is told beside that of the
image as it is.
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import numpy.typing as npt
from familiarity import fold_models
from magnification import brought_back, resampled
from PIL import Image
from scipy import ndimage

from napari_fractoseg.classes import DEFAULT_SCHEME
from napari_fractoseg.evaluation.confusion import Confusion
from napari_fractoseg.images import MicrographStack
from napari_fractoseg.inference.predictor import Predictor
from napari_fractoseg.jobs import drain
from napari_fractoseg.models.devices import choose_device
from napari_fractoseg.models.model import SegmentationModel, load_model

Grey = npt.NDArray[np.uint8]
REFERENCES = ("published", "polygons")


@dataclass(frozen=True)
class Change:
    """Change of an image, and how its labels come back to the original grid."""

    name: str
    apply: Callable[[Grey], Grey]
    undo: Callable[[Grey, tuple[int, ...]], Grey] = lambda labels, _: labels


def rounded(values: npt.NDArray[np.floating]) -> Grey:
    """Return grey levels of 8 bits."""
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def scaled(factor: float) -> Change:
    """Return a change of the magnification."""
    return Change(f"{factor:g} times the size", lambda g: resampled(g, factor), brought_back)


def contrast(factor: float) -> Change:
    """Return a change of the contrast about the mean grey level."""
    return Change(f"contrast {factor:g}", lambda g: rounded(g.mean() + factor * (g - g.mean())))


def gamma(power: float) -> Change:
    """Return a change of gamma."""
    return Change(f"gamma {power:g}", lambda g: rounded(255 * (g / 255.0) ** power))


def blurred(sigma_px: float) -> Change:
    """Return a blur by a Gaussian."""
    return Change(
        f"blur, sigma {sigma_px:g} px",
        lambda g: rounded(ndimage.gaussian_filter(g.astype(np.float64), sigma_px)),
    )


def noisy(deviation: float) -> Change:
    """Return an addition of Gaussian noise, its standard deviation in grey levels."""

    def apply(grey: Grey) -> Grey:
        return rounded(grey + np.random.default_rng(0).normal(0, deviation, grey.shape))

    return Change(f"noise, sigma {deviation:g} of 255", apply)


def jpeg(quality: int) -> Change:
    """Return a change by lossy compression."""

    def apply(grey: Grey) -> Grey:
        file = io.BytesIO()
        Image.fromarray(grey).save(file, "JPEG", quality=quality)
        return np.asarray(Image.open(file))

    return Change(f"JPEG, quality {quality}", apply)


def rotated(degrees: float) -> Change:
    """Return a rotation; what comes into view at the corners is mirrored."""

    def apply(grey: Grey) -> Grey:
        turned = ndimage.rotate(grey.astype(np.float64), degrees, order=3, mode="mirror")
        return rounded(turned)

    def undo(labels: Grey, shape: tuple[int, ...]) -> Grey:
        back = ndimage.rotate(labels, -degrees, order=0)
        row, column = ((n - m) // 2 for n, m in zip(back.shape, shape, strict=True))
        return back[row : row + shape[0], column : column + shape[1]]

    return Change(f"rotated by {degrees:g} degrees", apply, undo)


CHANGES = (
    Change("as it is", lambda g: g),
    *(scaled(factor) for factor in (0.5, 0.71, 1.41, 2.0)),
    *(contrast(factor) for factor in (0.5, 1.5)),
    *(gamma(power) for power in (0.5, 2.0)),
    *(blurred(sigma_px) for sigma_px in (1.0, 2.0)),
    *(noisy(deviation) for deviation in (8.0, 16.0)),
    *(jpeg(quality) for quality in (40, 20)),
    *(rotated(degrees) for degrees in (90.0, 180.0, 30.0)),
)


def judges_of(
    networks: Path | None,
) -> Callable[[str], SegmentationModel | None]:
    """Return a function from an image's name to the network that never saw it.

    That is the bundled one if there are no folds.
    """
    bundled = load_model("default")
    if networks is None:
        return lambda _: bundled
    inference = bundled.card.inference
    folds = [(model.with_card(inference=inference), s) for model, s in fold_models(networks)]
    return lambda name: next((m for m, s in folds if name.partition("_")[0] in s), None)


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="folder of scripts/fracture_data.py")
    parser.add_argument("--networks", type=Path, help="folder with a network for each fold")
    options = parser.parse_args()
    found: dict[tuple[str, str], list[float]] = {}
    judge_of = judges_of(options.networks)
    for path in sorted((options.data / "images").glob("*.png")):
        network = judge_of(path.stem)
        if network is None:
            continue
        image = iio.imread(path)
        for change in CHANGES:
            seen = MicrographStack(np.ascontiguousarray(change.apply(image)))
            labels = drain(Predictor(network, choose_device("auto")).run(seen)).labels
            labels = change.undo(labels, image.shape)
            text = f"{path.stem} {change.name}:"
            for reference in REFERENCES:
                known = options.data / reference / path.name
                if known.exists():
                    one = Confusion.of(iio.imread(known), labels, DEFAULT_SCHEME).mode_agreement
                    found.setdefault((change.name, reference), []).append(one)
                    text += f" {reference} {one:.3f}"
            print(text, flush=True)
    print("\n| image | published | change, worst of n | polygons | change, worst of n |")
    print("|---|--:|---|--:|---|")
    for change in CHANGES:
        cells = [change.name]
        for reference in REFERENCES:
            each = np.array(found[change.name, reference])
            before = np.array(found[CHANGES[0].name, reference])
            change_of = each - before
            cells += [
                f"{np.nanmean(each):.3f}",
                f"{np.nanmean(change_of):+.3f}, {np.nanmin(change_of):+.3f} of {len(each)}",
            ]
        print(f"| {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
