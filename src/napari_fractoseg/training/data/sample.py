"""A few images that stand for a training set, where looking at all of them takes too long."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from napari_fractoseg.datasets.dataset import TrainingSet

__all__ = ["few_images"]


def few_images(training_set: TrainingSet, most: int) -> TrainingSet:
    """Return a training set of a few of the images, with all of their pairs.

    Parameters
    ----------
    training_set : TrainingSet
        Images with labels.
    most : int
        Number of images to keep, if there are not more classes: of each class that is painted
        the image that has most of it is kept, and others at equal distances in the list.

    Returns
    -------
    TrainingSet
        The same set if it has no more images than that.
    """
    images = training_set.by_image()
    if len(images) <= most:
        return training_set
    sets = [replace(training_set, pairs=tuple(pairs)) for pairs in images]
    counts = np.array([list(part.pixel_counts().values()) for part in sets])
    chosen = {int(column.argmax()) for column in counts.T if column.any()}
    others = [number for number in range(len(sets)) if number not in chosen]
    n_more = max(most - len(chosen), 0)
    chosen |= {others[i] for i in np.linspace(0, len(others) - 1, n_more).round().astype(int)}
    return replace(training_set, pairs=tuple(p for i in sorted(chosen) for p in sets[i].pairs))
