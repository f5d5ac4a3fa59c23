"""Reading of PNG, JPEG and BMP files."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import PIL.Image

from napari_fractoseg.images.formats.channels import Source
from napari_fractoseg.images.memory import array_bytes, refuse_if_not_in, refuse_if_too_large

__all__ = ["picture_header", "read_picture"]

_COLOUR_MODES = ("CMYK", "YCbCr", "LAB", "HSV")
"""Pillow's names of colour modes that are converted to red, green, blue."""
_BEGINNINGS = (
    *(b"\x89PNG", b"\xff\xd8", b"BM", b"GIF8", b"RIFF", b"II*\0", b"MM\0*"),
    *(b"\0\0\0\x0cjP", b"\xff\x4f\xff\x51", b"P4", b"P5", b"P6"),
)
"""First bytes of the formats that are read, whatever the suffix: for others (PostScript), Pillow
starts programs."""
_COPIES = 2
"""Copies of an image that are in memory while it is read."""


def read_picture(path: Path) -> Source:
    """Read a picture: grey levels without alpha, or red, green and blue with or without alpha."""
    header = picture_header(path)
    needed = _COPIES * array_bytes(header.shape, header.data.dtype)
    refuse_if_not_in(path.stat().st_size, needed, f"{path}: reading it")
    refuse_if_too_large(needed, f"{path}: reading it")
    with _any_size():
        mode = _mode(path)
        data = iio.imread(path, plugin="pillow", mode="RGB" if mode in _COLOUR_MODES else None)
    if data.ndim == 3 and data.shape[-1] == 2:  # grey with alpha
        data = data[..., 0]
    return Source(data, data.ndim == 3 and data.shape[-1] in (3, 4))


def picture_header(path: Path) -> Source:
    """Return what `read_picture` would, with an array of its shape and type but no pixels."""
    with path.open("rb") as file:
        if not file.read(8).startswith(_BEGINNINGS):
            raise ValueError("it is damaged, incomplete or no image")
    with _any_size():
        header = iio.improps(path, plugin="pillow")
        mode = _mode(path)
    shape = tuple(header.shape)
    if len(shape) == 3 and shape[-1] == 2:
        shape = shape[:2]
    elif mode in _COLOUR_MODES:
        shape = (*shape[:2], 3)
    empty = np.broadcast_to(np.empty((), np.dtype(header.dtype)), shape)
    return Source(empty, len(shape) == 3 and shape[-1] in (3, 4))


def _mode(path: Path) -> str:
    """Return Pillow's name of the colour mode; imageio would decode the pixels for it."""
    with PIL.Image.open(path) as image:
        return image.mode


class _Limit:
    """Pillow's limit of pixels, which is lifted while one of our threads reads."""

    lock = threading.Lock()
    n_readers = 0
    before: int | None = None


@contextmanager
def _any_size() -> Iterator[None]:
    """Let Pillow read images of any size: memory is asked for, which its limit does not know."""
    with _Limit.lock:
        if _Limit.n_readers == 0:
            _Limit.before, PIL.Image.MAX_IMAGE_PIXELS = PIL.Image.MAX_IMAGE_PIXELS, None
        _Limit.n_readers += 1
    try:
        yield
    finally:
        with _Limit.lock:
            _Limit.n_readers -= 1
            if _Limit.n_readers == 0:
                PIL.Image.MAX_IMAGE_PIXELS = _Limit.before
