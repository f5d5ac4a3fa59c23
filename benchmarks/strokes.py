"""Simulated users: strokes on labelled images, and strokes on the errors of a prediction."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from skimage.draw import line
from skimage.measure import label, regionprops

Labels = npt.NDArray[np.uint8]

__all__ = ["correct_errors", "paint_strokes", "stroke"]


def stroke(
    inside: npt.NDArray[np.bool_], rng: np.random.Generator, length_px: int, width_px: int
) -> npt.NDArray[np.bool_]:
    """Paint a straight stroke that begins deep inside an area and never leaves it.

    Parameters
    ----------
    inside : ndarray of bool, shape (Y, X)
        The area, with at least one pixel.
    rng : numpy.random.Generator
        Where it begins, and its direction.
    length_px, width_px : int
        Of the stroke at most.

    Returns
    -------
    ndarray of bool, shape (Y, X)
        Pixels under the stroke.
    """
    depth = ndimage.distance_transform_edt(np.pad(inside, 1))[1:-1, 1:-1]
    deep = np.argwhere(depth >= min(depth.max(), width_px / 2 + 1) * 0.99)
    start = deep[rng.integers(len(deep))]
    angle = rng.uniform(0, 2 * np.pi)
    end = start + length_px * np.array([np.sin(angle), np.cos(angle)])
    end = np.clip(end.round().astype(int), 0, np.array(inside.shape) - 1)
    rows, columns = line(*start, *end)
    ok = inside[rows, columns]
    n_inside = len(ok) if ok.all() else int(np.argmin(ok))
    path = np.ones(inside.shape, dtype=bool)
    path[rows[:n_inside], columns[:n_inside]] = False
    return (ndimage.distance_transform_edt(path) <= width_px / 2) & inside


def paint_strokes(
    reference: Labels, part: float, rng: np.random.Generator, width_px: int = 8
) -> Labels:
    """Paint strokes, class by class in turn, until a part of the image is painted.

    Parameters
    ----------
    reference : ndarray of uint8, shape (Y, X)
        The truth; 0 is unknown.
    part : float
        Of all pixels, 0-1.
    rng : numpy.random.Generator
        Where and how the strokes go.
    width_px : int
        Width of the brush.

    Returns
    -------
    ndarray of uint8, shape (Y, X)
        The truth under the strokes, 0 elsewhere.
    """
    painted = np.zeros_like(reference)
    classes = [int(v) for v in np.unique(reference) if v]
    wanted, turn = part * reference.size, 0
    while np.count_nonzero(painted) < wanted:
        left = (reference == classes[turn % len(classes)]) & (painted == 0)
        turn += 1
        if left.any():
            touched = stroke(left, rng, 60, width_px)
            excess = np.count_nonzero(painted) + np.count_nonzero(touched) - round(wanted)
            if excess > 0:  # the last stroke is cut to the budget
                touched.flat[np.flatnonzero(touched)[-excess:]] = False
                if not touched.any():
                    break
            painted[touched] = reference[touched]
    return painted


def correct_errors(
    predicted: Labels,
    reference: Labels,
    rng: np.random.Generator,
    *,
    count: int = 10,
    width_px: int = 20,
    length_px: int = 80,
) -> Labels:
    """Return a prediction with a stroke in each of the largest errors.

    Parameters
    ----------
    predicted, reference : ndarray of uint8, shape (Y, X)
        Class values; pixels that are 0 in the reference are no errors.
    rng : numpy.random.Generator
        Where and how the strokes go.
    count : int
        Errors that are corrected.
    width_px, length_px : int
        Of a stroke at most: it stays inside the error.
    """
    corrected = predicted.copy()
    wrong = (predicted != reference) & (reference != 0)
    # An error is an area of one true class: that is what a person sees and paints over.
    regions = regionprops(label(np.where(wrong, reference, 0), connectivity=1))
    for region in sorted(regions, key=lambda r: -r.area)[:count]:
        inside = np.zeros(predicted.shape, dtype=bool)
        inside[region.slice] = region.image
        touched = stroke(inside, rng, length_px, width_px)
        corrected[touched] = reference[touched]
    return corrected
