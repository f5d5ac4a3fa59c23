"""Pixel sizes of training images: what they have in common, and how a parent sees them."""

from __future__ import annotations

import statistics
from fractions import Fraction

from napari_fractoseg.datasets.dataset import TrainingSet
from napari_fractoseg.errors import OptionError
from napari_fractoseg.inference.magnification import AUTO, FAR_APART, NONE, Magnification
from napari_fractoseg.models.card import ModelCard
from napari_fractoseg.text import counted

__all__ = ["common_pixel_size", "parent_choice", "parent_note", "parent_scale"]


def common_pixel_size(training_set: TrainingSet) -> tuple[float | None, str]:
    """Return the pixel size of the images of a set, and a sentence where there is none in common.

    Parameters
    ----------
    training_set : TrainingSet
        Images with labels that teach.

    Returns
    -------
    pixel_size_um : float or None
        Median of the images, in micrometres; None if it is known of fewer than half of them, or
        if they differ by more than 1.5 times.
    note : str
        Sentence for the user; empty if no image tells its pixel size, or all agree.
    """
    images = [pairs[0].image.pixel_size_um for pairs in training_set.by_image()]
    known = sorted(size for size in images if size)
    if not known:
        return None, ""
    if known[-1] > FAR_APART * known[0]:
        return None, (
            f"The images have {known[0]:.3g} to {known[-1]:.3g} µm a pixel. No pixel size is on "
            "the card of the model, which will see all images as they are."
        )
    if 2 * len(known) < len(images):
        return None, (
            f"Only {counted(len(known), 'image')} of {len(images)} tell their pixel size. None is "
            "on the card of the model, which will see all images as they are."
        )
    return statistics.median(known), ""


def parent_scale(card: ModelCard, pixel_size_um: float | None) -> Fraction:
    """Return the scale at which a model segments an image, of which another one is to learn.

    Parameters
    ----------
    card : ModelCard
        Card of the model that the other one starts from.
    pixel_size_um : float or None
        Edge of a pixel of the image in micrometres.

    Returns
    -------
    Fraction
        As `Magnification.of` finds it; 1 where no scale makes up for the pixel sizes, as nothing
        is learnt or compared by them.
    """
    try:
        return Magnification.of(card, pixel_size_um).scale
    except OptionError:
        return Fraction(1)


def parent_choice(card: ModelCard, images: TrainingSet) -> str:
    """Return the scale by which a model is judged as it segments images: ``auto`` or ``none``.

    It is ``none`` where all are seen as they are, or no scale makes up for the pixel size of one.
    """
    sizes = {pair.image.pixel_size_um for pair in images.pairs}
    if all(parent_scale(card, size) == 1 for size in sizes):
        return NONE
    try:
        for size in sizes:
            Magnification.of(card, size)
    except OptionError:
        return NONE
    return AUTO


def parent_note(card: ModelCard, images: TrainingSet) -> str:
    """Return a sentence for the user where images are at another pixel size than a model knows.

    Parameters
    ----------
    card : ModelCard
        Card of the model that a training starts from.
    images : TrainingSet
        Images that teach and validate.

    Returns
    -------
    str
        Empty if pixel sizes are not known, or differ by at most 1.5 times.
    """
    learnt_um = card.pixel_size_um
    known = [pairs[0].image.pixel_size_um for pairs in images.by_image()]
    apart = sorted(
        size
        for size in known
        if size and learnt_um and not 1 / FAR_APART <= learnt_um / size <= FAR_APART
    )
    if not apart:
        return ""
    sizes = f"{apart[0]:.3g}" if apart[0] == apart[-1] else f"{apart[0]:.3g} to {apart[-1]:.3g}"
    how = (
        "The parent is judged as it segments them, rescaled"
        if parent_choice(card, images) == AUTO
        else "The parent is judged by them as they are, too, and its figures say little"
    )
    return (
        f"The parent learnt at {learnt_um:.3g} µm a pixel, {len(apart)} of "
        f"{counted(len(known), 'image')} {'has' if len(apart) == 1 else 'have'} {sizes} µm. {how}; "
        "the new model learns from them as they are."
    )
