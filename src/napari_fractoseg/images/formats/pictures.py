"""Reading of PNG, JPEG and BMP files."""

from __future__ import annotations

from pathlib import Path

import imageio.v3 as iio
import numpy as np

from napari_fractoseg.images.formats.channels import Source

__all__ = ["PICTURE_ERRORS", "picture_header", "read_picture"]

_COLOUR_MODES = ("CMYK", "YCbCr", "LAB", "HSV")
"""Pillow's names of colour modes that are converted to red, green, blue."""
PICTURE_ERRORS = (OSError, ValueError, SyntaxError, KeyError, EOFError)
"""Errors that Pillow raises for damaged files."""


def read_picture(path: Path) -> Source:
    """Read a picture: grey levels without alpha, or red, green and blue with or without alpha."""
    mode = iio.immeta(path, plugin="pillow")["mode"]
    data = iio.imread(path, plugin="pillow", mode="RGB" if mode in _COLOUR_MODES else None)
    if data.ndim == 3 and data.shape[-1] == 2:  # grey with alpha
        data = data[..., 0]
    return Source(data, data.ndim == 3 and data.shape[-1] in (3, 4))


def picture_header(path: Path) -> Source:
    """Return what `read_picture` would, with an array of its shape and type but no pixels."""
    header = iio.improps(path, plugin="pillow")
    mode = iio.immeta(path, plugin="pillow")["mode"]
    shape = tuple(header.shape)
    if len(shape) == 3 and shape[-1] == 2:
        shape = shape[:2]
    elif mode in _COLOUR_MODES:
        shape = (*shape[:2], 3)
    empty = np.broadcast_to(np.empty((), np.dtype(header.dtype)), shape)
    return Source(empty, len(shape) == 3 and shape[-1] in (3, 4))
