"""Image files -> micrographs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import imageio.v3 as iio
import numpy as np
import numpy.typing as npt
import tifffile
import zarr

from napari_fractoseg.errors import ImageError
from napari_fractoseg.images.micrograph import MicrographStack

__all__ = ["IMAGE_SUFFIXES", "find_images", "image_shape", "read_image", "read_mask"]

TIFF_SUFFIXES = (".tif", ".tiff")
IMAGE_SUFFIXES = (*TIFF_SUFFIXES, ".png", ".jpg", ".jpeg", ".bmp", ".zarr")


def find_images(folder: Path) -> list[Path]:
    """Return the image files of a folder, sorted by name.

    Parameters
    ----------
    folder : Path
        Folder to look into; subfolders are not searched.

    Raises
    ------
    ImageError
        If there is no such folder or no image in it.
    """
    if not folder.is_dir():
        raise ImageError(f"{folder} is not a folder. Check the path.")
    found = sorted(p for p in folder.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES)
    if not found:
        raise ImageError(
            f"No image in {folder}. Looked for files ending in {', '.join(IMAGE_SUFFIXES)}."
        )
    return found


def read_image(path: Path | str) -> MicrographStack:
    """Read an image file as a stack of one or more planes.

    Parameters
    ----------
    path : Path or str
        TIFF, PNG, JPEG, BMP, or a zarr array or OME-Zarr image (level 0). Zarr
        is read lazily.

    Returns
    -------
    MicrographStack

    Raises
    ------
    ImageError
        If the file does not exist or cannot be read as an image.

    Notes
    -----
    The pixel size is unknown (None): it is not guessed from print resolution.
    """
    path = Path(path)
    data, rgb = _read_array(path)
    return MicrographStack(data, rgb=rgb, name=path.stem)


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
        except (OSError, ValueError, SyntaxError, KeyError, EOFError) as error:
            raise _unreadable(path, error) from error
        shape = tuple(header.shape)
        if len(shape) == 3 and shape[-1] == 2:  # grey with alpha, as in `read_image`
            shape = shape[:2]
        return shape, np.dtype(header.dtype)
    data, _ = _read_array(path)
    return tuple(data.shape), np.dtype(data.dtype)


def read_mask(path: Path | str) -> npt.NDArray[Any]:
    """Read a label mask: whole numbers, shape (Y, X).

    Raises
    ------
    ImageError
        If it is no greyscale image of whole numbers.
    """
    path = Path(path)
    data, rgb = _read_array(path)
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


def _read_array(path: Path) -> tuple[Any, bool]:
    """Return the array and whether its last axis is colour."""
    if not path.exists():
        raise ImageError(f"{path} does not exist. Check the path.")
    suffix = path.suffix.lower()
    try:
        if suffix == ".zarr":
            return _open_zarr(path), False
        if suffix in TIFF_SUFFIXES:
            return _read_tiff(path)
        data = iio.imread(path, plugin="pillow")
    except (OSError, ValueError, SyntaxError, KeyError, IndexError, EOFError) as error:
        raise _unreadable(path, error) from error
    if data.ndim == 3 and data.shape[-1] == 2:  # grey with alpha
        data = data[..., 0]
    return data, data.ndim == 3 and data.shape[-1] in (3, 4)


def _unreadable(path: Path, error: Exception) -> ImageError:
    reason = " ".join(str(error.__cause__ or error).split()) or type(error).__name__
    return ImageError(f"{path} cannot be read as an image: {reason}")


def _read_tiff(path: Path) -> tuple[Any, bool]:
    with tifffile.TiffFile(path) as tif:
        series = tif.series[0]
        axes, data = series.axes, series.asarray()
        # A Zeiss or JEOL palette runs from black to white: the index is the grey level.
    if axes.endswith("S") and data.shape[-1] in (3, 4):
        return data, True
    if axes.startswith("S") and data.ndim == 3 and data.shape[0] in (3, 4):  # planar colours
        return np.moveaxis(data, 0, -1), True
    return data, False


def _open_zarr(path: Path) -> Any:
    """Open a zarr array, or level 0 of an OME-Zarr image."""
    node = zarr.open(path, mode="r")
    if isinstance(node, zarr.Array):
        return node
    attributes = dict(node.attrs)
    multiscales = attributes.get("ome", attributes).get("multiscales")
    if not multiscales:
        raise ImageError(
            f"{path} is a zarr group without OME-Zarr multiscales. Name the array inside it."
        )
    return node[multiscales[0]["datasets"][0]["path"]]
