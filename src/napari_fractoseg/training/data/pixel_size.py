"""Pixel size that the images of a training set have in common, for the card of the model."""

from __future__ import annotations

import statistics

from napari_fractoseg.datasets.dataset import TrainingSet
from napari_fractoseg.inference.magnification import FAR_APART
from napari_fractoseg.text import counted

__all__ = ["common_pixel_size"]


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
