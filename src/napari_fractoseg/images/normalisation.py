"""Grey levels: colours turned to grey, and the one normalisation that networks see.

The normalisation is the same everywhere: the 1st and 99th percentile of a
plane's grey levels become -1 and 1, and what lies beyond is cut at -2 and 2.
It does not change when all grey levels are multiplied or shifted, so a plane
stored as uint8, uint16 or float gives the same labels. It is computed once for
a whole plane, never for a tile, so that tiles agree, and for each plane of a
stack by itself, so that a plane gives the same labels alone and in its stack.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_fractoseg.arrays import Remaining, percentiles
from napari_fractoseg.errors import ImageError
from napari_fractoseg.images.lazy import ArrayLike

__all__ = ["GreyRange", "has_colours", "to_grey"]

LOW_PERCENTILE, HIGH_PERCENTILE = 1.0, 99.0
CUT = 2.0


def to_grey(image: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Turn an RGB or RGBA image into luminance.

    Parameters
    ----------
    image : ndarray of shape (..., 3) or (..., 4)
        Colour image; an alpha channel is left out.

    Returns
    -------
    ndarray of float64, shape (...)
        ``0.2125 R + 0.7154 G + 0.0721 B`` in the grey levels of the input.

    Notes
    -----
    The weights of ITU-R BT.709 that `skimage.color.rgb2gray` uses. That
    function scales integers by the range of their type; here the levels stay
    as they are.
    """
    weights = np.array([0.2125, 0.7154, 0.0721])
    grey: npt.NDArray[np.float64] = image[..., :3].astype(np.float64) @ weights
    return grey


def has_colours(
    shape: tuple[int, ...], rgb: bool | None = None, *, name: str = "image", remedy: str = ""
) -> bool:
    """Tell whether the last axis of an array holds colours, or refuse to guess.

    Parameters
    ----------
    shape : tuple of int
        Shape of the array.
    rgb : bool, optional
        Whether the last axis holds colours, if the caller knows it.
    name, remedy : str
        Name of the image and sentence of what to do, for the message.

    Raises
    ------
    ImageError
        If it is not known, and the last of three or more axes has 4 elements or fewer:
        (Y, X, 3) would become Y images of 3 pixels width.
    """
    if rgb is not None:
        return rgb
    if len(shape) < 3 or shape[-1] > 4:
        return False
    remedy = remedy or (
        "Pass rgb=True if it holds 3 or 4 colours, rgb=False if it is the width of the images; "
        "of grey levels with one or two channels pass image[..., 0]."
    )
    raise ImageError(
        f"{name}: the last axis of an array of shape {tuple(shape)} may hold colours or pixels. "
        f"{remedy}"
    )


@dataclass(frozen=True)
class GreyRange:
    """Grey range of a plane: the two levels that become -1 and 1 by normalisation.

    Parameters
    ----------
    low, high : float
        Grey levels of the image that become -1 and 1; ``low <= high``.
    """

    low: float
    high: float

    @classmethod
    def of(cls, plane: ArrayLike | Remaining) -> GreyRange:
        """Measure the grey range of a plane of shape (Y, X), or of a part: 1st and 99th percentile.

        Where these two are equal (nearly constant planes), minimum and maximum
        are taken.
        """
        low, high = percentiles(plane, (LOW_PERCENTILE, HIGH_PERCENTILE))
        if low == high:
            low, high = percentiles(plane, (0, 100))
        return cls(low, high)

    def apply(self, data: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Normalise grey levels; a constant image gives zeros.

        Parameters
        ----------
        data : ndarray, any shape
            Grey levels of the image.

        Returns
        -------
        ndarray of float32, same shape
            Normalised grey levels, -2 to 2.
        """
        if self.high == self.low:
            return np.zeros(data.shape, dtype=np.float32)
        levels = data.astype(np.float64)
        levels -= (self.low + self.high) / 2
        levels /= (self.high - self.low) / 2
        return np.clip(levels, -CUT, CUT, out=levels).astype(np.float32)

    def table(self, dtype: npt.DTypeLike) -> npt.NDArray[np.float32]:
        """Return the lookup table of the normalisation, for all numbers of an integer type.

        Parameters
        ----------
        dtype : dtype
            Type of the grey levels: integers of 8 or 16 bits.

        Returns
        -------
        ndarray of float32, shape (256,) or (65536,)
            Normalised level of each number, indexed by its bits as an unsigned number: that
            of -1 comes last.
        """
        kind = np.dtype(dtype)
        numbers = np.arange(2 ** (8 * kind.itemsize), dtype=f"u{kind.itemsize}")
        return self.apply(numbers.view(kind.newbyteorder("=")))
