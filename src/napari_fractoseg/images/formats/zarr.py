"""Opening of zarr arrays and OME-Zarr images; only metadata are read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from napari_fractoseg.errors import ImageError
from napari_fractoseg.images.axes import Axis
from napari_fractoseg.images.formats.channels import Source, last_axis_is_colour
from napari_fractoseg.images.normalisation import has_colours
from napari_fractoseg.images.ome_zarr import read_metadata

__all__ = ["is_zarr", "read_zarr"]

_MARKS = ("zarr.json", ".zarray", ".zgroup")


def is_zarr(path: Path) -> bool:
    """Whether a path is a zarr array or group, by its name or by the metadata files in it."""
    return path.suffix.lower() == ".zarr" or any((path / mark).is_file() for mark in _MARKS)


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
    # Imported here because it takes a quarter of a second, and most images are no zarr.
    import zarr

    node = zarr.open(path, mode="r")
    names: tuple[str, ...] = ()
    edge_um = None
    if isinstance(node, zarr.Array):
        axes = _named_axes(node)
    else:
        metadata = read_metadata(path)
        if metadata is None:
            raise ImageError(
                f"{path} is a zarr group without OME-Zarr multiscales. Name the array inside it."
            )
        node = node[metadata.paths[0]]
        axes = metadata.axes or _named_axes(node)
        names, edge_um = metadata.channel_names, metadata.pixel_size_um
    if rgb is None and axes:
        rgb = last_axis_is_colour(axes, node.shape, channel)
    remedy = (
        "Name its axes (dimension_names, or as OME-Zarr), save it as TIFF or PNG, or say what it "
        "is in Python: read_image(path, rgb=True)."
    )
    rgb = has_colours(node.shape, rgb, name=str(path), remedy=remedy)
    return Source(node, rgb, axes or None, names, edge_um)


def _named_axes(array: Any) -> tuple[Axis, ...]:
    """Return the axes of a plain array by its dimension names; empty if it has none."""
    # Zarr format 2 has no names of its own; xarray writes them as this attribute.
    names = getattr(array.metadata, "dimension_names", None) or array.attrs.get("_ARRAY_DIMENSIONS")
    if not isinstance(names, list | tuple) or len(names) != array.ndim or not names[-1]:
        return ()
    return tuple(Axis.named(str(name or f"axis{i}")) for i, name in enumerate(names))
