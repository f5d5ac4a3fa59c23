"""Image files -> micrographs."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import imageio.v3 as iio
import numpy as np
import numpy.typing as npt
import tifffile
import zarr

from napari_fractoseg.errors import ImageError
from napari_fractoseg.images.micrograph import MicrographStack, has_colours

__all__ = ["IMAGE_SUFFIXES", "find_images", "image_shape", "read_image", "read_mask"]

TIFF_SUFFIXES = (".tif", ".tiff")
_COLOUR_MODES = ("CMYK", "YCbCr", "LAB", "HSV")
"""Pillow's names of colours that are not red, green, blue."""
_MINISWHITE, _SEPARATED = 0, 5
"""TIFF photometric interpretations: black is the largest value; cyan, magenta, yellow, black."""
IMAGE_SUFFIXES = (*TIFF_SUFFIXES, ".png", ".jpg", ".jpeg", ".bmp", ".zarr")


def find_images(folder: Path) -> list[Path]:
    """Return the image files of a folder, sorted by name.

    Parameters
    ----------
    folder : Path
        Folder to look into; subfolders are not searched, and hidden files, such
        as the ``._`` files of macOS, are left out.

    Raises
    ------
    ImageError
        If there is no such folder or no image in it.
    """
    if not folder.is_dir():
        raise ImageError(f"{folder} is not a folder. Check the path.")
    found = sorted(
        p
        for p in folder.iterdir()
        if p.suffix.lower() in IMAGE_SUFFIXES and not p.name.startswith(".")
    )
    if not found:
        raise ImageError(
            f"No image in {folder}. Looked for files ending in {', '.join(IMAGE_SUFFIXES)}."
        )
    return found


def read_image(path: Path | str, *, rgb: bool | None = None) -> MicrographStack:
    """Read an image file as a stack of one or more planes.

    Parameters
    ----------
    path : Path or str
        TIFF, PNG, JPEG, BMP, or a zarr array or OME-Zarr image (level 0). Zarr
        is read lazily.
    rgb : bool, optional
        Whether the last axis holds colours, where a zarr array does not say what
        its axes are.

    Returns
    -------
    MicrographStack

    Raises
    ------
    ImageError
        If the file does not exist or cannot be read as an image, or if it cannot
        be told whether the last axis of a zarr array holds colours.

    Notes
    -----
    The pixel size is unknown (None): it is not guessed from print resolution.
    Dark is dark, whatever the file stores: TIFFs in which 0 is white are
    inverted, and CMYK becomes RGB. The first of two samples (grey and alpha) is
    taken. Channels of an OME-Zarr that are not its last axis are planes.
    """
    path = Path(path)
    data, is_rgb = _read_array(path, rgb)
    return MicrographStack(data, rgb=is_rgb, name=path.stem)


def image_shape(path: Path | str) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Return shape and type of an image file's array without decoding its pixels.

    Raises
    ------
    ImageError
        If the file does not exist or cannot be read as an image.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in (*TIFF_SUFFIXES, ".zarr") and path.exists():
        try:
            header = iio.improps(path, plugin="pillow")
            mode = iio.immeta(path, plugin="pillow")["mode"]
        except (OSError, ValueError, SyntaxError, KeyError, EOFError) as error:
            raise _unreadable(path, error) from error
        shape = tuple(header.shape)
        if len(shape) == 3 and shape[-1] == 2:  # as in `read_image`: grey with alpha
            shape = shape[:2]
        elif mode in _COLOUR_MODES:
            shape = (*shape[:2], 3)
        return shape, np.dtype(header.dtype)
    data, _ = _read_array(path)
    return tuple(data.shape), np.dtype(data.dtype)


def read_mask(path: Path | str) -> npt.NDArray[Any]:
    """Read a label mask: whole numbers, shape (Y, X), as they are stored.

    Raises
    ------
    ImageError
        If it is no greyscale image of whole numbers.
    """
    path = Path(path)
    data, rgb = _read_array(path, as_shown=False)
    mask = np.asarray(data[...])
    if (
        rgb
        and np.array_equal(mask[..., 0], mask[..., 1])
        and np.array_equal(mask[..., 0], mask[..., 2])
    ):
        mask, rgb = mask[..., 0], False
    if rgb or mask.ndim != 2 or mask.dtype.kind not in "iub":
        raise ImageError(
            f"{path}: a label mask is a greyscale image of whole numbers, this one has shape "
            f"{mask.shape} and type {mask.dtype}. Save class values, not colours."
        )
    return mask.astype(np.uint8) if mask.dtype.kind == "b" else mask


def _read_array(path: Path, rgb: bool | None = None, *, as_shown: bool = True) -> tuple[Any, bool]:
    """Return the array and whether its last axis is colour."""
    if not path.exists():
        raise ImageError(f"{path} does not exist. Check the path.")
    suffix = path.suffix.lower()
    try:
        if suffix == ".zarr":
            return _open_zarr(path, rgb)
        if suffix in TIFF_SUFFIXES:
            with _quiet_tifffile():
                return _read_tiff(path, as_shown)
        mode = iio.immeta(path, plugin="pillow")["mode"]
        data = iio.imread(path, plugin="pillow", mode="RGB" if mode in _COLOUR_MODES else None)
    except (OSError, ValueError, SyntaxError, KeyError, IndexError, EOFError) as error:
        raise _unreadable(path, error) from error
    if data.ndim == 3 and data.shape[-1] == 2:  # grey with alpha
        data = data[..., 0]
    return data, data.ndim == 3 and data.shape[-1] in (3, 4)


def _unreadable(path: Path, error: Exception) -> ImageError:
    reason = " ".join(str(error.__cause__ or error).split()) or type(error).__name__
    if isinstance(error, IndexError) or str(path) in reason:  # says no more than that
        reason = "it is damaged, incomplete or no image"
    return ImageError(f"{path} cannot be read as an image: {reason.rstrip('.')}.")


@contextmanager
def _quiet_tifffile() -> Iterator[None]:
    """Keep tifffile from writing to the terminal what the error says."""
    logger = logging.getLogger("tifffile")
    before = logger.disabled
    logger.disabled = True
    try:
        yield
    finally:
        logger.disabled = before


def _read_tiff(path: Path, as_shown: bool) -> tuple[Any, bool]:
    with tifffile.TiffFile(path) as tif:
        series = tif.series[0]
        axes, page = series.axes, series.keyframe
        data, photometric, bits = series.asarray(), int(page.photometric), int(page.bitspersample)
    # A Zeiss or JEOL palette runs from black to white: the index is the grey level.
    if as_shown and photometric == _MINISWHITE:
        data = _inverted(data, bits)
    if "S" in axes and data.shape[axes.index("S")] in (2, 3, 4):
        data = np.moveaxis(data, axes.index("S"), -1)
        if photometric == _SEPARATED and data.shape[-1] == 4:
            return _from_cmyk(data), True
        return (data[..., 0], False) if data.shape[-1] == 2 else (data, True)
    return data, False


def _inverted(data: npt.NDArray[Any], bits: int) -> npt.NDArray[Any]:
    """Turn white on black into black on white; the type stays."""
    if data.dtype.kind == "f":
        return -data
    inverted: npt.NDArray[Any] = np.invert(data)
    return inverted & data.dtype.type(2**bits - 1) if data.dtype.kind == "u" else inverted


def _from_cmyk(data: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Turn cyan, magenta, yellow, black on the last axis into red, green, blue."""
    is_float = data.dtype.kind == "f"
    full = 1.0 if is_float else np.iinfo(data.dtype).max
    light = 1 - data.astype(np.float64) / full
    rgb = light[..., :3] * light[..., 3:] * full
    return (rgb if is_float else np.rint(rgb)).astype(data.dtype)


def _open_zarr(path: Path, rgb: bool | None) -> tuple[Any, bool]:
    """Open a zarr array, or level 0 of an OME-Zarr image."""
    node = zarr.open(path, mode="r")
    axes: list[str] = []
    if not isinstance(node, zarr.Array):
        attributes = dict(node.attrs)
        multiscales = attributes.get("ome", attributes).get("multiscales")
        if not multiscales:
            raise ImageError(
                f"{path} is a zarr group without OME-Zarr multiscales. Name the array inside it."
            )
        axes = [_axis_name(axis) for axis in multiscales[0].get("axes", ())]
        node = node[multiscales[0]["datasets"][0]["path"]]
    axes = axes or list(getattr(node.metadata, "dimension_names", None) or ())
    if rgb is None and len(axes) == node.ndim:
        if axes[-1] in ("c", "channel") and node.shape[-1] <= 2:  # grey, perhaps with alpha
            return node[..., 0], False  # loaded: a zarr array has no views
        rgb = axes[-1] in ("c", "channel")
    remedy = (
        "Name its axes (dimension_names, or as OME-Zarr), save it as TIFF or PNG, or say what it "
        "is in Python: read_image(path, rgb=True)."
    )
    return node, has_colours(node.shape, rgb, name=str(path), remedy=remedy)


def _axis_name(axis: Any) -> str:
    """Return ``c`` for a channel axis, else the name; up to OME-Zarr 0.3 an axis is a text."""
    if isinstance(axis, dict):
        return "c" if axis.get("type") == "channel" else str(axis.get("name"))
    return str(axis)
