"""How often the info bar of an image is found, and how often one is found that is not there.

    python benchmarks/info_bars.py IMAGES...      # images without an info bar, and folders of them

Each image is tried as it is, darkened and brightened until some of it is black or white, turned,
cut, and as JPEG: nothing must be found. Then bars of several kinds are drawn at its lower edge, and
the rows that are found must be those that were drawn.
"""

from __future__ import annotations

import argparse
import io
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from napari_fractoseg.images import find_images, read_image
from napari_fractoseg.images.bars.info_bar import find_info_bar

_TEXTS = ("EHT = 5.00 kV   WD = 7.9 mm   Signal A = SE2   Mag = 1.20 K X", "20 µm  15.0kV  SE")
_BARS = {  # ground, text, rows in parts of the image, frame
    "black": (0, 255, 0.06, None),
    "black, thin": (0, 255, 0.03, None),
    "black, framed": (0, 252, 0.06, 252),
    "white": (255, 0, 0.09, None),
    "white, framed": (243, 20, 0.09, 0),
    "dark grey": (46, 255, 0.065, None),
    "grey": (96, 240, 0.13, None),
}


def changed(image: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """Yield an image as other people may have saved it."""
    level = image.astype(float)
    yield "as it is", image
    yield "dark", np.clip(level * 1.5 - 150, 0, 255).astype(np.uint8)
    yield "bright", np.clip(level * 2 + 40, 0, 255).astype(np.uint8)
    yield "three levels", (np.digitize(level, [85, 170]) * 127).astype(np.uint8)
    yield "turned", np.ascontiguousarray(image.T)
    yield "upside down", np.ascontiguousarray(image[::-1])
    yield "lower third", np.ascontiguousarray(image[-len(image) // 3 :])
    yield "margin", np.pad(image, ((4, 4), (2, 2)), constant_values=255)
    yield "JPEG", jpeg(image, 60)


def jpeg(image: np.ndarray, quality: int) -> np.ndarray:
    """Return an image as it is after it was saved as JPEG."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer))


def saved_as(image: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """Yield an image with a bar as it may be found in a file."""
    rows, columns = image.shape
    yield "exact", image
    yield "JPEG", jpeg(image, 85)
    yield "JPEG 60", jpeg(image, 60)
    smaller = Image.fromarray(image).resize((int(columns * 0.6), int(rows * 0.6)))
    yield "smaller", np.asarray(smaller)


def with_bar(image: np.ndarray, kind: str) -> tuple[np.ndarray, int]:
    """Return an image with a bar drawn into its last rows, and the number of these."""
    ground, text, part, frame = _BARS[kind]
    rows, columns = image.shape
    height = max(int(part * rows), 20)
    bar = Image.new("L", (columns, height), ground)
    draw: Any = ImageDraw.Draw(bar)
    n_lines = 2 if height > 50 else 1
    for line in range(n_lines):
        size = int(height / n_lines * 0.55)
        font = ImageFont.load_default(size)
        top = int(height / n_lines * (line + 0.15))
        draw.text((8, top), _TEXTS[line % 2], fill=text, font=font)
    draw.line((columns * 3 // 4, height // 2, columns - 20, height // 2), fill=text, width=3)
    if frame is not None:
        draw.rectangle((0, 0, columns - 1, height - 1), outline=frame)
    found = image.copy()
    found[-height:] = np.asarray(bar)
    return found, height


def main() -> None:
    """Print the counts."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("images", type=Path, nargs="+")
    parser.add_argument("--verbose", action="store_true")
    options = parser.parse_args()
    counts: Counter[tuple[str, str]] = Counter()
    for path in options.images:
        for file in find_images(path) if path.is_dir() else [path]:
            plane = np.asarray(read_image(file).plane().data, float)
            span = max(float(np.ptp(plane)), 1.0)
            image = ((plane - plane.min()) / span * 255).astype(np.uint8)
            try_one(file.name, image, counts, options.verbose)
    for (what, outcome), count in sorted(counts.items()):
        print(f"{what:28s} {outcome:14s} {count}")


def try_one(name: str, image: np.ndarray, counts: Counter[tuple[str, str]], verbose: bool) -> None:
    """Count what is found on an image without and with bars."""
    for how, without in changed(image):
        found = find_info_bar(without)
        outcome = "nothing" if found.rows is None and not found.is_over_image else "FALSE"
        counts["no bar: " + how, outcome] += 1
        if verbose and outcome == "FALSE":
            print(name, how, found)
    for kind in _BARS:
        drawn, height = with_bar(image, kind)
        for saved, shown in saved_as(drawn):
            found = find_info_bar(shown)
            rows = found.rows
            wanted = (len(drawn) - height) * len(shown) / len(drawn)
            outcome = "missed" if rows is None else "off"
            if rows is not None and abs(rows[0] - wanted) <= (0 if saved == "exact" else 2):
                outcome = "found"
            if rows is not None and rows[0] < wanted - 2:
                outcome = "CUTS IMAGE"
            counts[f"{kind}, {saved}", outcome] += 1
            if verbose and outcome != "found":
                print(name, kind, saved, found.rows, wanted)


if __name__ == "__main__":
    main()
