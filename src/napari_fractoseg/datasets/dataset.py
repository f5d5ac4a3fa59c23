"""Training data: images with their labels, and sets of them that follow one class scheme."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_fractoseg.classes import DEFAULT_SCHEME, UNLABELLED, ClassScheme
from napari_fractoseg.errors import TrainingError
from napari_fractoseg.images import Micrograph
from napari_fractoseg.text import counted, listed, size_text

__all__ = ["TrainingPair", "TrainingSet", "merge_training_sets"]


@dataclass(frozen=True, eq=False)
class TrainingPair:
    """Image with its labels.

    Parameters
    ----------
    image : Micrograph
        Plane of grey levels, shape (Y, X).
    labels : ndarray of uint8, shape (Y, X)
        Class values; 0 is unlabelled and teaches nothing. Excluded pixels become 0.
    share : float
        Weight by which patches are drawn from the pair, relative to other pairs.
    group : str
        Name of the stack or specimen that the image belongs to: images of one
        group are not split for validation. By default the image stands for
        itself.
    """

    image: Micrograph
    labels: npt.NDArray[np.uint8]
    share: float = 1.0
    group: str = ""

    def __post_init__(self) -> None:
        if self.labels.shape != self.image.shape:
            raise TrainingError(
                f"{self.image.name}: the image has {size_text(self.image.shape)}, its labels "
                f"{size_text(self.labels.shape)}. They must be the same; were the labels made for "
                "another image?"
            )
        if self.image.excluded is not None:
            excluded = np.asarray(self.image.excluded)
            kept = np.where(excluded, np.uint8(UNLABELLED), self.labels)
            object.__setattr__(self, "labels", kept)
        if not self.share > 0:
            raise TrainingError(f"{self.image.name}: share {self.share} is not above 0.")

    @property
    def name(self) -> str:
        """Name of the image."""
        return self.image.name

    @cached_property
    def digest(self) -> str:
        """SHA-256 of grey levels and labels, by which the data of a training are recorded."""
        return _digest(self.image.data, self.labels)

    @cached_property
    def image_digest(self) -> str:
        """SHA-256 of the grey levels: tells whether two pairs are of the same image."""
        return _digest(self.image.data)


def _digest(*arrays: npt.NDArray[Any]) -> str:
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.shape} {array.dtype}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


@dataclass(frozen=True, eq=False)
class TrainingSet:
    """Images with labels that follow one class scheme.

    Parameters
    ----------
    pairs : tuple of TrainingPair
        Images with their labels, at least one.
    scheme : ClassScheme
        Classes of the label values.
    notes : tuple of str
        Sentences on what was left out when the images were read.
    """

    pairs: tuple[TrainingPair, ...]
    scheme: ClassScheme = DEFAULT_SCHEME
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "pairs", tuple(self.pairs))
        if not self.pairs:
            raise TrainingError("No image with labels. Give at least one.")
        for pair in self.pairs:
            self.scheme.check_labels(pair.labels)

    def __len__(self) -> int:
        return len(self.pairs)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the images, in the order of the pairs."""
        return tuple(p.name for p in self.pairs)

    def pixel_counts(self) -> dict[str, int]:
        """Return the number of labelled pixels of each class."""
        total = np.zeros(256, dtype=np.int64)
        for pair in self.pairs:
            total += np.bincount(pair.labels.ravel(), minlength=256)
        return {c.name: int(total[c.value]) for c in self.scheme}

    def by_image(self) -> list[list[TrainingPair]]:
        """Return the pairs of each image: corrections and checked areas may be pairs of their own.

        Images are the same if their grey levels are.
        """
        images: dict[str, list[TrainingPair]] = {}
        for pair in self.pairs:
            images.setdefault(pair.image_digest, []).append(pair)
        return list(images.values())

    def check_teachable(self, minimum_px: int = 1) -> None:
        """Raise unless at least two classes have `minimum_px` labelled pixels each.

        Raises
        ------
        TrainingError
            If fewer classes have so many; the message has the count of each class.
        """
        counts = self.pixel_counts()
        if sum(n >= minimum_px for n in counts.values()) < 2:
            listed = ", ".join(f"{name} {n} px" for name, n in counts.items())
            raise TrainingError(
                f"At least two classes need {minimum_px} labelled pixels each to be told apart; "
                f"there are: {listed}. Paint more, or check which label values mean what."
            )

    def only(self, names: Iterable[str]) -> TrainingSet | None:
        """Return the set of the images with these names, or None if there are none."""
        wanted = set(names)
        pairs = tuple(p for p in self.pairs if p.name in wanted)
        return replace(self, pairs=pairs) if pairs else None

    def without(self, names: Iterable[str]) -> TrainingSet | None:
        """Return the set of the images with other names, or None if there are none."""
        return self.only(set(self.names) - set(names))

    def split(self, held_out: Iterable[str]) -> tuple[TrainingSet, TrainingSet]:
        """Return a set to learn from and a set of the images whose names are held out.

        Raises
        ------
        TrainingError
            If a name is not there or one part would be empty.
        """
        wanted = set(held_out)
        unknown = sorted(wanted - set(self.names))
        if unknown:
            raise TrainingError(
                f"No image named {listed(unknown)}; there are {listed(sorted(set(self.names)))}."
            )
        kept, out = self.without(wanted), self.only(wanted)
        if kept is None or out is None:
            raise TrainingError(
                f"Holding out {listed(sorted(wanted))} leaves {len(kept or ())} images to learn "
                f"from and {len(out or ())} to validate with. Both need at least one."
            )
        return kept, out

    def with_scheme(self, scheme: ClassScheme) -> TrainingSet:
        """Return the set with the label values of another scheme; classes match by name.

        Raises
        ------
        TrainingError
            If a class that labels pixels is not in that scheme.
        """
        if scheme == self.scheme:
            return self
        table = np.zeros(256, dtype=np.uint8)
        for name, count in self.pixel_counts().items():
            found = scheme.get(name)
            if found is not None:
                table[self.scheme.find(name).value] = found.value
            elif count:
                raise TrainingError(
                    f"{counted(count, 'pixel is', 'pixels are')} labelled {name!r}, a class that "
                    f"is not in the scheme of {listed(scheme.names)}. Map it to one of these, or "
                    "start a new model."
                )
        pairs = tuple(replace(p, labels=table[p.labels]) for p in self.pairs)
        return replace(self, pairs=pairs, scheme=scheme)

    def joined(self, other: TrainingSet) -> TrainingSet:
        """Return both sets as one; classes are matched by name, new ones are added."""
        scheme = self.scheme.joined(other.scheme)
        moved = other.with_scheme(scheme)
        return TrainingSet((*self.pairs, *moved.pairs), scheme, (*self.notes, *other.notes))

    def by_name(self) -> dict[str, TrainingPair]:
        """Return image name -> pair; a name that occurs again gets a number."""
        pairs: dict[str, TrainingPair] = {}
        for pair in self.pairs:
            name, number = pair.name, 2
            while name in pairs:
                name, number = f"{pair.name} [{number}]", number + 1
            pairs[name] = pair
        return pairs

    def digests(self) -> dict[str, str]:
        """Return image name -> SHA-256 of grey levels and labels, with the names of `by_name`."""
        return {name: pair.digest for name, pair in self.by_name().items()}


def merge_training_sets(sets: Sequence[TrainingSet]) -> TrainingSet:
    """Return any number of sets as one; classes are matched by name."""
    merged = sets[0]
    for other in sets[1:]:
        merged = merged.joined(other)
    return merged
