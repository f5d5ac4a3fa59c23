"""Choice of the pixels that are held out for validation, so that its figures are honest.

Neighbouring pixels of a fracture surface are near-duplicates: patches drawn at
random on both sides would validate what was learnt by heart. Whole images are
held out, or rectangles of images with a gap around them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from napari_fractoseg.classes import UNLABELLED
from napari_fractoseg.datasets.dataset import TrainingPair, TrainingSet
from napari_fractoseg.errors import TrainingError
from napari_fractoseg.models.card import ModelCard
from napari_fractoseg.tiling import Box
from napari_fractoseg.training.data.blocks import choose_blocks, choose_groups, grown

__all__ = ["HeldOut", "Split", "earlier_blocks", "split_training_set"]

_ENOUGH_GROUPS = 3
"""Least number of groups from which whole images are held out; of fewer, blocks of each are."""
_NOTHING_UNSEEN = (
    "Nothing is held out: the model to start from has learnt from all of these images. To measure "
    "how good the new one is, add an image, or start from the model before it."
)
HeldOut = Mapping[str, Sequence[Box]]
"""SHA-256 of an image's grey levels -> its blocks for validation, none if it is learnt from."""


@dataclass(frozen=True, eq=False)
class Split:
    """Labelled images parted into pixels that teach and pixels that validate.

    Parameters
    ----------
    learn : TrainingSet
        Labels that teach; those within reach of the held-out blocks are taken away.
    validation : TrainingSet or None
        Labels of the held-out blocks alone; None where nothing could be held out.
    held_out : mapping of str to sequence of Box
        SHA-256 of an image's grey levels -> its held-out blocks; kept in the
        model's card, so that training that goes on holds out the same.
    notes : tuple of str
        Sentences on what the figures cannot tell, such as that one class only
        validates.
    """

    learn: TrainingSet
    validation: TrainingSet | None
    held_out: HeldOut = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def split_training_set(
    training_set: TrainingSet,
    how: Literal["auto", "images", "blocks", "none"] = "auto",
    *,
    held_out: float = 0.2,
    gap_px: int = 32,
    earlier: HeldOut | None = None,
) -> Split:
    """Hold out pixels for validation.

    Parameters
    ----------
    training_set : TrainingSet
        Images with all their labels.
    how : str
        Kind of what is held out: ``images`` for whole groups
        (`TrainingPair.group`), ``blocks`` for rectangles of every image, at the
        same place in those of a group that have one shape, ``none`` for nothing;
        ``auto`` takes images if there are at least three groups and no class is
        lost by it.
    held_out : float
        Part of the labelled pixels of each class to hold out, about, 0-1.
    gap_px : int
        Least distance between pixels that teach and pixels that validate, in
        image pixels.
    earlier : mapping, optional
        Blocks that the parent model held out, by the SHA-256 of an image's grey
        levels: these images keep theirs. One without blocks was learnt from as a whole, and
        holds out nothing.

    Returns
    -------
    Split
        Pixels that teach, and pixels that validate. `learn` never loses a class
        that was labelled; where that cannot be done, nothing is held out and
        `notes` says so.

    Raises
    ------
    TrainingError
        If whole images are asked for and there is one group only.
    """
    images = {pairs[0].image_digest: pairs for pairs in training_set.by_image()}
    if how == "none":
        note = "Nothing is held out: how good the model is was not measured."
        return Split(training_set, None, dict.fromkeys(images, ()), (note,))
    known = {d: tuple(b) for d, b in (earlier or {}).items() if d in images}
    fresh = {d: pairs for d, pairs in images.items() if d not in known}
    if not fresh and not any(known.values()) and how != "images":
        return Split(training_set, None, known, (_NOTHING_UNSEEN,))
    blocks = dict(known)
    if not _labelled_inside(images, known):
        blocks |= _choose(training_set, fresh, how, held_out, gap_px)
    else:
        blocks |= dict.fromkeys(fresh, ())
    return _apply(training_set, blocks, gap_px)


def earlier_blocks(card: ModelCard) -> dict[str, tuple[Box, ...]]:
    """Return the blocks that were held out when a model was trained, from its card.

    The keys are the SHA-256 of the images' grey levels.
    """
    return {d: tuple(Box(*b) for b in boxes) for d, boxes in card.lineage.held_out.items()}


def _labelled_inside(images: Mapping[str, list[TrainingPair]], blocks: HeldOut) -> bool:
    return any(
        pair.labels[box.slices].any()
        for digest, boxes in blocks.items()
        for pair in images[digest]
        for box in boxes
    )


def _choose(
    training_set: TrainingSet,
    images: Mapping[str, list[TrainingPair]],
    how: str,
    held_out: float,
    gap_px: int,
) -> dict[str, tuple[Box, ...]]:
    """Choose the blocks of images about which nothing was decided before."""
    groups: dict[str, list[str]] = {}
    for digest, pairs in images.items():
        groups.setdefault(pairs[0].group or digest, []).append(digest)
    if how == "images" and len(groups) < 2:
        raise TrainingError(
            f"Whole images cannot be held out: there is {len(groups)} image or stack that the "
            "model has not learnt from. Add another one, or hold out blocks."
        )
    values = training_set.scheme.values
    if how == "images" or (how == "auto" and len(groups) >= _ENOUGH_GROUPS):
        counts = np.array([_counts(images, digests, values) for digests in groups.values()])
        chosen = choose_groups(counts, held_out)
        if chosen or how == "images":
            return {
                digest: (_whole(images[digest][0]),) if number in chosen else ()
                for number, digests in enumerate(groups.values())
                for digest in digests
            }
    blocks: dict[str, tuple[Box, ...]] = {}
    for digests in groups.values():
        for alike in _of_one_shape(images, digests):
            # The same place in every plane: those of a serial section are alike.
            found = choose_blocks(
                [p.labels for d in alike for p in images[d]], values, held_out, gap_px
            )
            blocks |= dict.fromkeys(alike, found)
    return blocks


def _of_one_shape(
    images: Mapping[str, list[TrainingPair]], digests: Iterable[str]
) -> Iterable[list[str]]:
    """Return a group parted by the shape of its images, as places compare only within one."""
    alike: dict[tuple[int, ...], list[str]] = {}
    for digest in digests:
        alike.setdefault(images[digest][0].labels.shape, []).append(digest)
    return alike.values()


def _counts(
    images: Mapping[str, list[TrainingPair]], digests: Iterable[str], values: Sequence[int]
) -> npt.NDArray[np.int64]:
    total = sum(np.bincount(p.labels.ravel(), minlength=256) for d in digests for p in images[d])
    return np.asarray(total, dtype=np.int64)[list(values)]


def _whole(pair: TrainingPair) -> Box:
    rows, columns = pair.labels.shape
    return Box(0, rows, 0, columns)


def _apply(training_set: TrainingSet, blocks: HeldOut, gap_px: int) -> Split:
    """Return the labels of each image parted into those outside the blocks and those inside."""
    learn: list[TrainingPair] = []
    validation: list[TrainingPair] = []
    for pair in training_set.pairs:
        inside = np.zeros(pair.labels.shape, dtype=bool)
        reach = inside.copy()
        for box in blocks.get(pair.image_digest, ()):
            inside[box.slices] = True
            reach[grown(box, gap_px, pair.labels.shape).slices] = True
        for part, mask in ((learn, ~reach), (validation, inside)):
            labels = np.where(mask, pair.labels, np.uint8(UNLABELLED))
            if labels.any():
                part.append(replace(pair, labels=labels))
    if not validation or not learn:
        note = "Nothing validates: too little is labelled. The last weights are kept."
        return Split(training_set, None, notes=(note,))
    split = Split(
        TrainingSet(tuple(learn), training_set.scheme),
        TrainingSet(tuple(_merged(validation)), training_set.scheme),
        blocks,
    )
    return replace(split, notes=_notes(split))


def _merged(pairs: Iterable[TrainingPair]) -> list[TrainingPair]:
    """Return pairs with disjoint labels of one image put together, so that it is judged once."""
    merged: list[TrainingPair] = []
    for pair in pairs:
        for number, other in enumerate(merged):
            if pair.image_digest == other.image_digest and not (
                np.minimum(pair.labels, other.labels).any()
            ):
                merged[number] = replace(other, labels=other.labels + pair.labels)
                break
        else:
            merged.append(pair)
    return merged


def _notes(split: Split) -> tuple[str, ...]:
    if split.validation is None:
        return ()
    notes = []
    taught = split.learn.pixel_counts()
    counts = split.validation.pixel_counts()
    missing = [n for n, px in counts.items() if not px and taught[n]]
    found = [n for n, px in counts.items() if px]
    if len(found) == 1:
        notes.append(f"Only {found[0]} validates: the figures cannot show mix-ups of classes.")
    elif missing:
        notes.append(f"Nothing validates {', '.join(missing)}: paint more of it.")
    if len({p.image_digest for p in split.validation.pairs}) == 1:
        notes.append("Only one image validates: the figures say little about others.")
    return tuple(notes)
