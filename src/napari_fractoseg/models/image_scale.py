"""Scale at which a model sees an image: how many image pixels stand for one that it learnt from."""

from __future__ import annotations

import math
from fractions import Fraction

from napari_fractoseg.errors import OptionError
from napari_fractoseg.options import is_truth_value

__all__ = ["HIGHEST_FACTOR", "LOWEST_FACTOR", "SCALES", "nearest_scale"]

LOWEST_FACTOR, HIGHEST_FACTOR = 1 / 8, 16.0
"""Smallest and largest scale factor that is taken."""

SCALES: tuple[Fraction, ...] = tuple(
    sorted(Fraction(p * 2**k) for p in (1, Fraction(3, 2)) for k in range(-3, 5) if p * 2**k <= 16)
)
"""Scale factors that are used: 1/8, 3/16, 1/4 ... 12, 16.

With only the primes 2 and 3 in them, tiles of all scale levels begin at common pixels soon."""


def nearest_scale(factor: float | Fraction) -> Fraction:
    """Return the scale that is used for a factor: the nearest of `SCALES` by ratio.

    Parameters
    ----------
    factor : float
        How many image pixels make one pixel of the images that a model learnt from: 2 for an
        image that shows the same at twice the size.

    Raises
    ------
    OptionError
        If it is not from 1/8 to 16.

    Examples
    --------
    >>> from napari_fractoseg.models.image_scale import nearest_scale
    >>> [str(nearest_scale(factor)) for factor in (2.05, 1.6, 0.3)]
    ['2', '3/2', '1/4']
    """
    if is_truth_value(factor):
        raise OptionError(f"The scale factor is {factor}. It is a number.", options=("scale=none",))
    if not LOWEST_FACTOR <= factor <= HIGHEST_FACTOR:  # nor NaN
        raise OptionError(
            f"The scale factor is {float(factor):g}, and can be {LOWEST_FACTOR:g} to "
            f"{HIGHEST_FACTOR:g}: at other scales no network sees what it learnt. Check the pixel "
            "size of the image, or segment it as it is.",
            options=("scale=none",),
        )
    return min(SCALES, key=lambda scale: abs(math.log(float(factor) / scale)))
