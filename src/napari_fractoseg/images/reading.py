"""Reading of image files as stacks of planes, and of label masks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_fractoseg.errors import ImageError, translated
from napari_fractoseg.files import would_be_waited_for
from napari_fractoseg.images.calibration import SemFacts, sem_facts
from napari_fractoseg.images.formats.channels import Source, choose_channel
from napari_fractoseg.images.formats.pictures import picture_header, read_picture
from napari_fractoseg.images.formats.tiff import LOADED_VALUES, TIFF_SUFFIXES, read_tiff
from napari_fractoseg.images.formats.zarr import is_zarr, read_zarr
from napari_fractoseg.images.memory import array_bytes, refuse_if_too_large
from napari_fractoseg.images.micrograph import MicrographStack
from napari_fractoseg.text import size_text

__all__ = [
    "IMAGE_SUFFIXES",
    "LOADED_VALUES",
    "TIFF_SUFFIXES",
    "find_images",
    "image_header",
    "image_shape",
    "read_image",
    "read_mask",
    "safe_facts",
]

_LOSSY_SUFFIXES = (".jpg", ".jpeg")
IMAGE_SUFFIXES = (*TIFF_SUFFIXES, ".png", *_LOSSY_SUFFIXES, ".bmp", ".zarr")


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


def read_image(
    path: Path | str, *, rgb: bool | None = None, channel: int | str | None = None
) -> MicrographStack:
    """Read an image file as a stack of one or more planes.

    Parameters
    ----------
    path : Path or str
        File to read: TIFF, PNG, JPEG, BMP, or a zarr array or OME-Zarr image (level 0).
        Zarr, and TIFF of more than 64 million values, is read when it is sliced.
    rgb : bool, optional
        Whether the last axis holds colours, where a zarr array does not say what
        its axes are, or a TIFF says it wrongly.
    channel : int or str, optional
        Number (from 0) or name of the channel, of files with several.

    Returns
    -------
    MicrographStack
        The image, with its axes as far as the file names them. The pixel size is what the
        microscope wrote into the file or beside it, or a program (OME-TIFF, OME-Zarr, ImageJ), see
        `calibration.sem_facts`; None if nobody did.

    Raises
    ------
    ImageError
        If the file does not exist or cannot be read as an image, if it has
        several channels and none or another one is chosen, if a channel is chosen
        of a file that has no channel axis, or if it cannot be told whether the
        last axis of a zarr array holds colours.

    Notes
    -----
    The pixel size is never taken from print resolution. Dark is dark, whatever
    the file stores: TIFFs in which 0 is white are inverted, and CMYK becomes RGB.
    Of grey and alpha the grey levels are taken.

    Large TIFFs: uncompressed ones whose data are in one piece are mapped into memory
    while they are read. Of others the strips and tiles that are needed are decoded,
    and up to 256 MB of them are kept. A strip is decoded as a whole: a large image
    that was compressed as a single strip takes the memory of all of it.
    """
    path = Path(path)
    source = _with_size(_read_source(path, rgb=rgb, channel=channel), path)
    return MicrographStack(
        source.data,
        source.rgb,
        source.pixel_size_um,
        path.stem,
        source.plane_axes,
        source.notes,
        pixel_size_from=source.pixel_size_from,
    )


def _with_size(source: Source, path: Path) -> Source:
    """Return the content of a file with the pixel size that it, or a file beside it, says."""
    if is_zarr(path):
        return source
    facts = safe_facts(path)
    axes, size = source.axes, facts.pixel_size
    edges = {"y": size.y_um, "x": size.x_um}
    if axes is not None:
        axes = tuple(
            replace(axis, unit="micrometer", scale=um) if (um := edges.get(axis.name)) else axis
            for axis in axes
        )
    return replace(
        source,
        axes=axes,
        pixel_size_um=facts.pixel_size_um,
        pixel_size_from=facts.pixel_size_from,
        notes=(*source.notes, *(f"{path.name}: {note}" for note in facts.notes)),
    )


def safe_facts(path: Path) -> SemFacts:
    """Return `sem_facts` of an image that can be read; what goes wrong becomes a note."""
    try:
        return sem_facts(path)
    except ImageError as error:
        return SemFacts(notes=(str(error),))


def image_shape(
    path: Path | str, *, channel: int | str | None = None
) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Return shape and type of an image file's array without decoding its pixels.

    Parameters
    ----------
    path : Path or str
        Image file, of the formats that `read_image` takes.
    channel : int or str, optional
        Number (from 0) or name of the channel, of files with several.

    Raises
    ------
    ImageError
        If `read_image` would refuse the file; damage of the pixels is not found.
    """
    shape, dtype, _ = image_header(Path(path), channel)
    return shape, dtype


def image_header(
    path: Path, channel: int | str | None = None
) -> tuple[tuple[int, ...], np.dtype[Any], bool]:
    """Return shape, type, and whether the last axis holds colours, without decoding pixels."""
    source = _read_source(path, channel=channel, header_only=True)
    return source.shape, np.dtype(source.data.dtype).newbyteorder("="), source.rgb


def read_mask(path: Path | str) -> npt.NDArray[Any]:
    """Read a label mask: whole numbers, shape (Y, X), as they are stored.

    Parameters
    ----------
    path : Path or str
        Image file, of the formats that `read_image` takes.

    Raises
    ------
    ImageError
        If the file is no grey-level image of whole numbers, or a JPEG, in which values are not
        those that were stored.
    """
    path = Path(path)
    if path.suffix.lower() in _LOSSY_SUFFIXES:
        raise ImageError(
            f"{path}: a label mask cannot be a JPEG, whose compression changes its values, most at "
            "the borders of classes. Export the mask as PNG or TIFF."
        )
    source = _read_source(path, as_shown=False)
    refuse_if_too_large(array_bytes(source.shape, source.data.dtype), f"{path}: reading it")
    mask, rgb = np.asarray(source.data[...]), source.rgb
    if (
        rgb
        and np.array_equal(mask[..., 0], mask[..., 1])
        and np.array_equal(mask[..., 0], mask[..., 2])
    ):
        mask, rgb = mask[..., 0], False
    if rgb or mask.ndim != 2 or mask.dtype.kind not in "iub":
        size = f"{size_text(mask.shape[:2])} in colours" if rgb else size_text(mask.shape)
        raise ImageError(
            f"{path}: a label mask is a greyscale image of whole numbers, this one has {size} of "
            f"type {mask.dtype}. Save class values, not colours."
        )
    return mask.astype(np.uint8) if mask.dtype.kind == "b" else mask


def _read_source(
    path: Path,
    *,
    rgb: bool | None = None,
    channel: int | str | None = None,
    as_shown: bool = True,
    header_only: bool = False,
) -> Source:
    """Return the array of a file, of one channel, without its pixels if `header_only`."""
    with _readable(path):
        if is_zarr(path):
            source = read_zarr(path, rgb, channel)
        elif path.suffix.lower() in TIFF_SUFFIXES:
            most = 0 if header_only else LOADED_VALUES
            source = read_tiff(path, rgb=rgb, channel=channel, as_shown=as_shown, most_values=most)
        else:
            source = picture_header(path) if header_only else read_picture(path)
        return choose_channel(source, channel, path)


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Refuse what is not there or no file, and raise what goes wrong in the block as ours."""
    remedy = "Copy or export it again."
    with translated(ImageError, f"{path} cannot be read as an image", remedy):
        if not path.exists():
            where = " leads nowhere" if path.is_symlink() else " does not exist"
            raise ImageError(f"{path}{where}. Check the path.")
        if would_be_waited_for(path):
            raise ImageError(f"{path} is no file but a pipe or device. Choose an image file.")
        yield
