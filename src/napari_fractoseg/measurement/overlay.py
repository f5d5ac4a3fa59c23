"""Overlay: a picture of a micrograph with the class colours over it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
from skimage.measure import block_reduce

from napari_fractoseg.classes import ClassScheme
from napari_fractoseg.images import GreyRange

__all__ = ["overlay", "thumbnail"]

_READ = 8
"""Rows that are read at most for one row of a small overlay."""


def overlay(
    image: npt.NDArray[Any], labels: npt.NDArray[Any], scheme: ClassScheme, opacity: float = 0.45
) -> npt.NDArray[np.uint8]:
    """Return a picture of an image with the colours of its classes over it.

    Parameters
    ----------
    image : ndarray of shape (Y, X)
        Grey levels; the 1st percentile is shown black, the 99th white.
    labels : ndarray of int, shape (Y, X)
        Class values of `scheme`.
    scheme : ClassScheme
        Classes of the label values, with their colours. Pixels of transparent classes and
        unlabelled ones are shown in grey.
    opacity : float
        Weight of the colours, 0-1.

    Returns
    -------
    ndarray of uint8, shape (Y, X, 3)
        Red, green and blue of each pixel.

    Raises
    ------
    ValueError
        If the shapes differ.
    ClassSchemeError
        If a label belongs to no class.

    Examples
    --------
    >>> import numpy as np
    >>> from napari_fractoseg.classes import DEFAULT_SCHEME
    >>> from napari_fractoseg.measurement import overlay
    >>> image = np.array([[0, 255]], np.uint8)
    >>> overlay(image, np.array([[0, 1]]), DEFAULT_SCHEME, opacity=1).tolist()
    [[[0, 0, 0], [47, 107, 255]]]
    """
    image, labels = np.asarray(image), np.asarray(labels)
    if image.ndim != 2 or image.shape != labels.shape:
        raise ValueError(f"The image has shape {image.shape}, its labels {labels.shape}.")
    scheme.check_labels(labels)
    # skimage.color.label2rgb has one opacity for all classes; here each colour has its own.
    colours = np.zeros((256, 4), dtype=np.float32)
    colours[list(scheme.values)] = [c.rgba for c in scheme]
    painted = colours[labels.astype(np.uint8, copy=False)]
    weight = painted[..., 3:] * np.float32(opacity)
    grey = np.clip((GreyRange.of(image).apply(image) + 1) / 2, 0, 1)[..., None]
    rgb = grey + (painted[..., :3] - grey) * weight
    return np.round(rgb * 255).astype(np.uint8)


def thumbnail(
    image: Any | None, labels: Any, scheme: ClassScheme, edge_px: int = 480
) -> npt.NDArray[np.uint8]:
    """Return a small overlay, of planes of any size.

    Parameters
    ----------
    image : array of shape (Y, X), or None
        Grey levels, in memory or on disk; None for the labels alone, on white.
    labels : array of int, shape (Y, X)
        Class values of `scheme`, in memory or on disk.
    scheme : ClassScheme
        Classes of the label values, with their colours.
    edge_px : int
        Largest edge of the overlay.

    Returns
    -------
    ndarray of uint8, shape (Y, X, 3)
        Red, green and blue: the overlay of the image, averaged over blocks of pixels, and of
        the label in the middle of each.

    Raises
    ------
    ValueError
        If the shapes differ.

    Examples
    --------
    >>> import numpy as np
    >>> from napari_fractoseg.classes import DEFAULT_SCHEME
    >>> from napari_fractoseg.measurement.overlay import thumbnail
    >>> thumbnail(np.zeros((900, 600)), np.ones((900, 600), int), DEFAULT_SCHEME, 100).shape
    (90, 60, 3)
    """
    shape = tuple(labels.shape)
    if image is not None and tuple(image.shape) != shape:
        raise ValueError(f"The image has shape {tuple(image.shape)}, its labels {shape}.")
    step = math.ceil(max(shape) / edge_px)
    stride = math.ceil(step / _READ)
    block = math.ceil(step / stride)
    read = np.asarray(labels[::stride, ::stride])
    rows, columns = (np.minimum(np.arange(0, n, block) + block // 2, n - 1) for n in read.shape)
    middle = read[np.ix_(rows, columns)]
    if image is None:
        painted = overlay(np.zeros(middle.shape), middle, scheme, opacity=1)
        has_colour = np.isin(middle, [c.value for c in scheme if not c.is_transparent])
        return np.where(has_colour[..., None], painted, np.uint8(255))
    grey = np.asarray(image[::stride, ::stride], np.float64)
    missing = [(0, len(at) * block - n) for at, n in zip((rows, columns), grey.shape, strict=True)]
    means = block_reduce(np.pad(grey, missing, mode="edge"), block, np.mean)
    return overlay(means, middle, scheme)
