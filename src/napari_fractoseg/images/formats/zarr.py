"""Opening of zarr arrays and OME-Zarr images; only metadata are read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from napari_fractoseg.errors import ImageError, translated
from napari_fractoseg.images.axes import Axis
from napari_fractoseg.images.chunks import ChunkCount
from napari_fractoseg.images.formats.channels import Source, last_axis_is_colour
from napari_fractoseg.images.lazy import LazyArray, chunk_counts
from napari_fractoseg.images.memory import array_bytes, refuse_if_too_large
from napari_fractoseg.images.normalisation import has_colours
from napari_fractoseg.images.ome_zarr import read_metadata
from napari_fractoseg.images.zarr_header import read_header

__all__ = ["ZARR_SCALE", "ZarrPixels", "is_zarr", "open_array", "read_zarr"]

_MARKS = ("zarr.json", ".zarray", ".zgroup")
_AGAIN = "The file is damaged or was changed; copy or export it again."
ZARR_SCALE = "OME-Zarr scale"
"""Origin of a pixel size that a zarr says."""
_COPIES = 2
"""Copies of a chunk that are in memory while it is decoded."""


def is_zarr(path: Path) -> bool:
    """Whether a path is a zarr array or group, by its name or by the metadata files in it."""
    return path.suffix.lower() == ".zarr" or any((path / mark).is_file() for mark in _MARKS)


def open_array(folder: Path, name: str = "", mode: Literal["r", "r+"] = "r") -> Any:
    """Open a zarr array: the only way in which this program opens one.

    Its metadata are checked first, so that none is opened which runs code of others, or of which
    a chunk does not fit in the memory.

    Parameters
    ----------
    folder : Path
        Folder of the array, or of its group.
    name : str
        Name of the array in the group.
    mode : {"r", "r+"}
        Whether it can be written to.

    Returns
    -------
    zarr.Array
        The array. What goes wrong when it is sliced is up to the caller; `ZarrPixels` translates
        it.

    Raises
    ------
    ImageError
        If there is no array, or one that is not of real numbers, damaged or too large.
    """
    # Imported here because it takes a quarter of a second, and most images are no zarr.
    import zarr

    from napari_fractoseg.images.formats.zarr_store import RegularFiles

    path = folder / name if name else folder
    header = read_header(path)
    if header is None:
        raise ImageError(
            f"{path} is no zarr array, or its metadata are damaged. Choose another folder, or copy "
            "it again."
        )
    refuse_if_too_large(
        _COPIES * array_bytes(header.decoded, header.dtype), f"{path}: reading one of its chunks"
    )
    with translated(ImageError, f"{path} cannot be opened as a zarr array", _AGAIN):
        # The format is said, so that zarr reads those metadata that were checked.
        store = RegularFiles(folder, read_only=mode == "r")
        return zarr.open_array(store, path=name, mode=mode, zarr_format=header.zarr_format)


class ZarrPixels(LazyArray):
    """Zarr array whose errors say which file is damaged.

    Parameters
    ----------
    array : zarr.Array
        Array on a local disk.
    path : Path
        File for users: the folder of the image.
    """

    def __init__(self, array: Any, path: Path) -> None:
        super().__init__(array.shape, array.dtype)
        self._array, self._path = array, path

    def _read(self, keys: tuple[Any, ...]) -> npt.NDArray[Any]:
        with translated(ImageError, f"{self._path} cannot be read", _AGAIN):
            return np.asarray(self._array[keys])

    def chunk_counts(self, at: Mapping[int, int]) -> list[ChunkCount]:
        """Count the chunks of the array."""
        return chunk_counts(self._array, at)


def read_zarr(path: Path, rgb: bool | None = None, channel: int | str | None = None) -> Source:
    """Open a zarr array, or level 0 of an OME-Zarr image, zarr format 2 or 3.

    Parameters
    ----------
    path : Path
        Folder of the array or group.
    rgb : bool, optional
        Whether the last axis holds colours, where the file does not say it.
    channel : int or str, optional
        Number or name of the channel that the caller will take; then a last axis of 3 or 4
        channels is not taken for colours.

    Raises
    ------
    ImageError
        If it is a group of other things, if its metadata are damaged, or if it cannot be told
        whether the last axis holds colours.
    """
    names: tuple[str, ...] = ()
    edge_um = None
    if read_header(path) is not None:
        array = open_array(path)
        axes = _named_axes(array)
    else:
        metadata = read_metadata(path)
        if metadata is None:
            raise ImageError(
                f"{path} is a zarr group without OME-Zarr multiscales, or its metadata are "
                "damaged. Name the array inside it."
            )
        array = open_array(path, metadata.paths[0])
        axes = metadata.axes or _named_axes(array)
        names, edge_um = metadata.channel_names, metadata.pixel_size_um
    if rgb is None and axes:
        rgb = last_axis_is_colour(axes, array.shape, channel)
    remedy = (
        "Name its axes (dimension_names, or as OME-Zarr), save it as TIFF or PNG, or say what it "
        "is in Python: read_image(path, rgb=True)."
    )
    rgb = has_colours(array.shape, rgb, name=str(path), remedy=remedy)
    origin = "" if edge_um is None else ZARR_SCALE
    return Source(ZarrPixels(array, path), rgb, axes or None, names, edge_um, origin)


def _named_axes(array: Any) -> tuple[Axis, ...]:
    """Return the axes of a plain array by its dimension names; empty if it has none."""
    # Zarr format 2 has no names of its own; xarray writes them as this attribute.
    names = getattr(array.metadata, "dimension_names", None) or array.attrs.get("_ARRAY_DIMENSIONS")
    if not isinstance(names, list | tuple) or len(names) != array.ndim or not names[-1]:
        return ()
    return tuple(Axis.named(str(name or f"axis{i}")) for i, name in enumerate(names))
