"""Training data: images with label images, from folders or VIA files."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from napari_fractoseg.annotations.document import ViaDocument
from napari_fractoseg.annotations.mapping import map_classes
from napari_fractoseg.annotations.masks import mask_stem, read_label_mask
from napari_fractoseg.annotations.raster import rasterise
from napari_fractoseg.annotations.via import read_via
from napari_fractoseg.classes import DEFAULT_SCHEME, UNLABELLED, ClassScheme
from napari_fractoseg.errors import AnnotationError, TrainingError
from napari_fractoseg.images import Micrograph, find_images, read_image

__all__ = [
    "TrainingPair",
    "TrainingSet",
    "merge_training_sets",
    "read_training_set",
    "read_training_sets",
]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class TrainingPair:
    """An image and what is known about its pixels.

    Parameters
    ----------
    image : Micrograph
        Shape (Y, X).
    labels : ndarray of uint8, shape (Y, X)
        Class values; 0 is unlabelled and teaches nothing.
    share : float
        How often patches are taken from it, relative to other pairs.
    """

    image: Micrograph
    labels: npt.NDArray[np.uint8]
    share: float = 1.0

    def __post_init__(self) -> None:
        if self.labels.shape != self.image.shape:
            raise TrainingError(
                f"{self.image.name}: the image has shape {self.image.shape}, its labels "
                f"{self.labels.shape}. They must be the same; were the labels made for another "
                "image?"
            )
        if not self.share > 0:
            raise TrainingError(f"{self.image.name}: share {self.share} is not above 0.")

    @property
    def name(self) -> str:
        """Name of the image."""
        return self.image.name

    @property
    def digest(self) -> str:
        """SHA-256 of grey levels and labels."""
        digest = hashlib.sha256()
        for array in (self.image.data, self.labels):
            digest.update(f"{array.shape} {array.dtype}".encode())
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()


@dataclass(frozen=True, eq=False)
class TrainingSet:
    """Pairs whose labels follow one scheme.

    Parameters
    ----------
    pairs : tuple of TrainingPair
        At least one.
    scheme : ClassScheme
        Meaning of the label values.
    """

    pairs: tuple[TrainingPair, ...]
    scheme: ClassScheme = DEFAULT_SCHEME

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
        """Names of the images, in order."""
        return tuple(p.name for p in self.pairs)

    def pixel_counts(self) -> dict[str, int]:
        """Return the number of labelled pixels of each class."""
        total = np.zeros(256, dtype=np.int64)
        for pair in self.pairs:
            total += np.bincount(pair.labels.ravel(), minlength=256)
        return {c.name: int(total[c.value]) for c in self.scheme}

    def check_teachable(self, minimum_px: int = 1) -> None:
        """Raise unless at least two classes have `minimum_px` labelled pixels each.

        Raises
        ------
        TrainingError
            With the count of each class.
        """
        counts = self.pixel_counts()
        if sum(n >= minimum_px for n in counts.values()) < 2:
            listed = ", ".join(f"{name} {n} px" for name, n in counts.items())
            raise TrainingError(
                f"At least two classes need {minimum_px} labelled pixels each to be told apart; "
                f"there are: {listed}. Paint more, or check which label values mean what."
            )

    def only(self, names: Iterable[str]) -> TrainingSet | None:
        """Return the pairs with these names, or None if there are none."""
        wanted = set(names)
        pairs = tuple(p for p in self.pairs if p.name in wanted)
        return replace(self, pairs=pairs) if pairs else None

    def without(self, names: Iterable[str]) -> TrainingSet | None:
        """Return the pairs with other names, or None if there are none."""
        return self.only(set(self.names) - set(names))

    def split(self, held_out: Iterable[str]) -> tuple[TrainingSet, TrainingSet]:
        """Split by image name into a part to learn from and a part that is held out.

        Raises
        ------
        TrainingError
            If a name is not there or one part would be empty.
        """
        wanted = set(held_out)
        unknown = sorted(wanted - set(self.names))
        if unknown:
            raise TrainingError(f"No image named {unknown}; there are {sorted(set(self.names))}.")
        kept, out = self.without(wanted), self.only(wanted)
        if kept is None or out is None:
            raise TrainingError(
                f"Holding out {sorted(wanted)} leaves {len(kept or ())} images to learn from and "
                f"{len(out or ())} to validate with. Both need at least one."
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
                    f"{count} pixels are labelled {name!r}, a class that is not in the scheme "
                    f"{list(scheme.names)}. Map it to one of these, or start a new model."
                )
        return TrainingSet(tuple(replace(p, labels=table[p.labels]) for p in self.pairs), scheme)

    def joined(self, other: TrainingSet) -> TrainingSet:
        """Return both sets as one; classes are matched by name, new ones are added."""
        scheme = self.scheme.with_names(other.scheme.names)
        moved = other.with_scheme(scheme)
        return TrainingSet((*self.pairs, *moved.pairs), scheme)

    def by_name(self) -> dict[str, TrainingPair]:
        """Return name -> pair; a name that occurs again gets a number."""
        pairs: dict[str, TrainingPair] = {}
        for pair in self.pairs:
            name, number = pair.name, 2
            while name in pairs:
                name, number = f"{pair.name} [{number}]", number + 1
            pairs[name] = pair
        return pairs

    def digests(self) -> dict[str, str]:
        """Return name -> SHA-256, with the names of `by_name`."""
        return {name: pair.digest for name, pair in self.by_name().items()}


def read_training_set(
    images: Path | str,
    labels: Path | str,
    *,
    scheme: ClassScheme = DEFAULT_SCHEME,
    mask_values: Mapping[int, str] | None = None,
    unlabelled_as: str | None = None,
    share: float = 1.0,
) -> TrainingSet:
    """Read images with their labels.

    Parameters
    ----------
    images : Path or str
        Folder of images.
    labels : Path or str
        Folder of masks (``NAME.png`` or ``NAME_labels.tif`` for the image
        ``NAME.*``), or a VIA file.
    scheme : ClassScheme
        Classes that are known.
    mask_values : mapping of int to str, optional
        Value in the mask files -> class name; names that are new make new
        classes, values that are not listed are unlabelled. By default values
        are those of the scheme.
    unlabelled_as : str, optional
        Class that pixels without a label belong to, such as ``background``.
    share : float
        See `TrainingPair`.

    Returns
    -------
    TrainingSet
        One pair for each image that has labels.

    Raises
    ------
    TrainingError, AnnotationError, ImageError, ClassSchemeError
        If nothing fits together, naming the file.
    """
    paths = {p.stem: p for p in find_images(Path(images))}
    labels = Path(labels)
    if mask_values:
        scheme = scheme.with_names(mask_values.values())
    if labels.is_dir():
        loaded = _from_masks(paths, labels, scheme, mask_values)
    else:
        loaded = _from_via(paths, labels, scheme)
    if not loaded:
        raise TrainingError(
            f"No image in {images} has labels in {labels}. Labels are found by the name of the "
            f"image, for example {next(iter(paths))}.png."
        )
    if unlabelled_as is not None:
        value = scheme.find(unlabelled_as).value
        loaded = [(i, np.where(a == UNLABELLED, np.uint8(value), a)) for i, a in loaded]
    return TrainingSet(tuple(TrainingPair(i, a, share) for i, a in loaded), scheme)


_Loaded = list[tuple[Micrograph, npt.NDArray[np.uint8]]]


def _from_masks(
    images: Mapping[str, Path],
    folder: Path,
    scheme: ClassScheme,
    mask_values: Mapping[int, str] | None,
) -> _Loaded:
    loaded = []
    for path in find_images(folder):
        stem = mask_stem(path)
        if stem not in images:
            logger.warning("%s: no image named %s; left out.", path, stem)
            continue
        loaded.append((_one_plane(images[stem]), read_label_mask(path, scheme, mask_values)))
    return loaded


def _from_via(images: Mapping[str, Path], path: Path, scheme: ClassScheme) -> _Loaded:
    document = read_via(path)
    annotated = document.with_images([image for image in document if image.regions])
    try:
        return _draw_regions(images, path, annotated, scheme)
    except AnnotationError as error:
        raise AnnotationError(f"{path}: {error}") from error


def _draw_regions(
    images: Mapping[str, Path], path: Path, annotated: ViaDocument, scheme: ClassScheme
) -> _Loaded:
    mapping = map_classes(annotated, scheme)
    loaded = []
    for entry in annotated:
        # The file name is data: only its stem is compared with the files of the image folder.
        stem = Path(entry.filename.replace("\\", "/")).stem
        if stem not in images:
            logger.warning("%s: image %s is not in the image folder; left out.", path, stem)
            continue
        image = _one_plane(images[stem])
        loaded.append((image, rasterise(entry, image.shape, mapping).labels))
    return loaded


def _one_plane(path: Path) -> Micrograph:
    stack = read_image(path)
    if stack.n_planes != 1:
        raise TrainingError(
            f"{path} has {stack.n_planes} planes of shape {stack.shape}. Save the planes to learn "
            "from as single images."
        )
    return stack.plane(next(stack.indices()))


def merge_training_sets(sets: Sequence[TrainingSet]) -> TrainingSet:
    """Join any number of sets; see `TrainingSet.joined`."""
    merged = sets[0]
    for other in sets[1:]:
        merged = merged.joined(other)
    return merged


def read_training_sets(
    images: Sequence[Path | str],
    labels: Sequence[Path | str],
    shares: Sequence[float] = (),
    *,
    scheme: ClassScheme = DEFAULT_SCHEME,
    mask_values: Mapping[int, str] | None = None,
    unlabelled_as: str | None = None,
) -> TrainingSet:
    """Read several sources and join them.

    Parameters
    ----------
    images, labels : sequence of Path or str
        One of each for every source; see `read_training_set`.
    shares : sequence of float
        One for every source, or none: then each image counts the same.
    scheme, mask_values, unlabelled_as
        For all sources; see `read_training_set`.

    Returns
    -------
    TrainingSet

    Raises
    ------
    TrainingError
        If the numbers of images, labels and shares do not fit together.
    """
    if not len(images) == len(labels) == (len(shares) or len(images)):
        raise TrainingError(
            f"{len(images)} image folders, {len(labels)} labels and {len(shares)} shares do not "
            "fit together. Give each image folder its labels, and all of them a share or none."
        )
    return merge_training_sets(
        [
            read_training_set(
                image_folder,
                its_labels,
                scheme=scheme,
                mask_values=mask_values,
                unlabelled_as=unlabelled_as,
                share=share,
            )
            for image_folder, its_labels, share in zip(
                images, labels, shares or [1.0] * len(images), strict=True
            )
        ]
    )
