"""Damaged metadata of SEM files: an error of ours, no pixel size, or a word, but never a lie.

    python benchmarks/sem_mutants.py FILES... --tries 10000

The tags of the files, and the files of text beside them, are damaged at some bytes, cut off,
doubled, or filled with other text; what is said of the pixel size is compared with what the whole
file says. Counted are: right numbers, unknown ones, errors of ours, wrong numbers (by more than
2 %) with a note, and failures: wrong numbers without a word, other exceptions, and slow ones (5 s).
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tifffile

from napari_fractoseg.errors import FractosegError
from napari_fractoseg.images.calibration import sem_facts
from napari_fractoseg.images.formats.sem_tags import read_tags

FAILURES = ("WRONG WITHOUT A WORD", "CRASH", "SLOW")
_WRONG = 0.02
_SLOW_S = 5.0
_DIGITS = b"0123456789.eE+-"
_NUMBERS = (b"nan", b"-1", b"0", b"1e999", b"9" * 80)
_ODD = (*_NUMBERS, b"\0\0", b"\r\n", b"=", b"[", b"<", b"\xff\xfe")


@dataclass(frozen=True)
class Place:
    """A stretch of bytes of a file that is damaged: a tag, the list of tags, or all of a text."""

    path: Path
    start: int
    data: bytes


def places(image: Path) -> list[Place]:
    """Return the stretches of an image, and of the files beside it, that hold metadata."""
    found = []
    if image.suffix.lower() in (".tif", ".tiff"):
        codes = set(read_tags(image).raw)
        with tifffile.TiffFile(image) as tif:
            page = tif.pages.first
            spans = [(page.offset, 12 * len(page.tags) + 2), (0, 8)]
            spans += [
                (tag.valueoffset, tag.valuebytecount) for tag in page.tags.values()
                if tag.code in codes
            ]  # fmt: skip
        with image.open("rb") as file:
            for start, length in spans:
                file.seek(start)
                found.append(Place(image, start, file.read(length)))
    for ending in (".txt", ".hdr"):
        beside = image.with_suffix(ending)
        if beside.exists():
            found.append(Place(beside, 0, beside.read_bytes()))
    return found


def damaged(rng: np.random.Generator, data: bytes) -> bytes:
    """Return bytes of the same length that are damaged in one of several ways."""
    changed, kind = bytearray(data), int(rng.integers(7))
    spots = [int(n) for n in rng.integers(0, len(data), int(rng.integers(1, 4)))]
    digits = [i for i, byte in enumerate(data) if byte in b"0123456789"]
    if kind in (0, 1) and digits:  # digits stay digits: the most wicked
        for n in rng.integers(0, len(digits), int(rng.integers(1, 3))):
            changed[digits[int(n)]] = int(rng.choice(list(_DIGITS)))
    elif kind == 2:
        changed[spots[0] :] = bytes(len(data) - spots[0])
    elif kind == 3:  # a piece is missing
        length = int(rng.integers(1, 40))
        changed = changed[: spots[0]] + changed[spots[0] + length :]
    elif kind == 4:
        piece = _ODD[int(rng.integers(len(_ODD)))]
        changed[spots[0] : spots[0] + len(piece)] = piece
    elif kind == 5 and digits:  # a number becomes something else
        at = digits[int(rng.integers(len(digits)))]
        piece = _ODD[int(rng.integers(len(_ODD)))]
        changed[at : at + len(piece)] = piece
    else:
        for spot in spots:
            changed[spot] = int(rng.integers(256))
    return bytes(changed[: len(data)].ljust(len(data), b"\0"))


def judged(image: Path, truth: float | None, known: Sequence[str]) -> str:
    """Return what `sem_facts` makes of a damaged file, in a word."""
    began = time.monotonic()
    try:
        facts = sem_facts(image)
    except FractosegError:
        return "error of ours"
    except Exception as error:  # noqa: BLE001 - this is what is looked for
        return f"CRASH {type(error).__name__}: {error}"[:80]
    if time.monotonic() - began > _SLOW_S:
        return "SLOW"
    sizes = (facts.pixel_size.x_um, facts.pixel_size.y_um)
    if None in sizes:
        return "unknown"
    if truth and all(abs(size / truth - 1) <= _WRONG for size in sizes):
        return "right"
    new = [note for note in facts.notes if note not in known]
    return "wrong, with a word" if new or facts.is_estimated else FAILURES[0]


def tried(image: Path, tries: int, rng: np.random.Generator) -> Iterator[tuple[str, bytes]]:
    """Yield the outcome of each damage to a copy of an image, and the damaged bytes."""
    with tempfile.TemporaryDirectory() as folder:
        for path in image.parent.glob(f"{image.stem}.*"):
            shutil.copyfile(path, Path(folder) / path.name)
        copy = Path(folder) / image.name
        whole = sem_facts(copy)
        for place in [p for p in places(copy) if p.data] * tries:
            data = damaged(rng, place.data)
            _write(place.path, place.start, data)
            yield judged(copy, whole.pixel_size.x_um, whole.notes), data
            _write(place.path, place.start, place.data)


def _write(path: Path, start: int, data: bytes) -> None:
    with path.open("r+b") as file:
        os.lseek(file.fileno(), start, os.SEEK_SET)
        os.write(file.fileno(), data)


def main() -> None:
    """Print a table of the outcomes."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("files", type=Path, nargs="+")
    parser.add_argument("--tries", type=int, default=10_000, help="in all, about")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    images = [path for path in options.files if path.suffix.lower() not in (".txt", ".hdr")]
    counts = [len([p for p in places(image) if p.data]) for image in images]
    each = max(1, options.tries // sum(counts))
    total: Counter[str] = Counter()
    for image in images:
        outcomes: Counter[str] = Counter()
        for outcome, data in tried(image, each, np.random.default_rng(options.seed)):
            outcomes[outcome] += 1
            if outcome.startswith(FAILURES):
                print(image.name, outcome, data[:100])
        print(f"{image.name}: {dict(outcomes)}", flush=True)
        total += outcomes
    print(f"all {total.total()}: {dict(total)}")


if __name__ == "__main__":
    main()
