"""Opening of zarr arrays and OME-Zarr images; only metadata are read."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import zarr

from napari_fractoseg.errors import ImageError
from napari_fractoseg.images.axes import Axis, pixel_size_um
from napari_fractoseg.images.formats.channels import CHANNEL, Source, last_axis_is_colour
from napari_fractoseg.images.normalisation import has_colours

__all__ = ["is_zarr", "read_zarr"]

_MARKS = ("zarr.json", ".zarray", ".zgroup")
_EARLY_VERSIONS, _EARLY_AXES = ("0.1", "0.2"), ("t", "c", "z", "y", "x")
"""Versions of OME-NGFF without metadata of the axes, and the axes that all of their images have."""


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
        If it is a group without OME-Zarr metadata, or if it cannot be told whether the last
        axis holds colours.
    """
    node = zarr.open(path, mode="r")
    names: tuple[str, ...] = ()
    edge_um = None
    if isinstance(node, zarr.Array):
        axes = _named_axes(node)
    else:
        attributes = dict(node.attrs)
        ome = attributes.get("ome", attributes)
        if not ome.get("multiscales"):
            raise ImageError(
                f"{path} is a zarr group without OME-Zarr multiscales. Name the array inside it."
            )
        image = ome["multiscales"][0]
        node = node[image["datasets"][0]["path"]]
        axes, edge_um = _ome_axes(image, node.ndim)
        axes = axes or _named_axes(node)
        names = _channel_names(ome, axes, node.shape)
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


def _ome_axes(image: Any, n_axes: int) -> tuple[tuple[Axis, ...], float | None]:
    """Return the axes of an OME-Zarr image and the edge of a pixel in micrometres, or (), None."""
    listed = image.get("axes", ())
    if not listed and str(image.get("version")) in _EARLY_VERSIONS:
        listed = _EARLY_AXES
    if len(listed) != n_axes:
        return (), None
    scale = _scale(image, n_axes)
    axes = tuple(
        _ome_axis(axis, i, 1.0 if scale is None else scale[i]) for i, axis in enumerate(listed)
    )
    in_space = [axis for axis in axes if axis.type != CHANNEL]
    return axes, None if scale is None else pixel_size_um(in_space)


def _ome_axis(axis: Any, number: int, scale: float) -> Axis:
    """Return an axis from its metadata, which up to OME-Zarr 0.3 is only a name."""
    if not isinstance(axis, dict):
        return Axis.named(str(axis), scale=scale)
    name = str(axis.get("name") or f"axis{number}")
    unit = str(axis["unit"]) if axis.get("unit") else None
    if axis.get("type"):
        return Axis(name, str(axis["type"]), unit, scale)
    return Axis.named(name, unit, scale)


def _scale(image: Any, n_axes: int) -> list[float] | None:
    """Return the scale of each axis at level 0; None if there is none, or none above zero."""
    steps = [
        *image["datasets"][0].get("coordinateTransformations", ()),
        *image.get("coordinateTransformations", ()),
    ]
    scales = [step.get("scale") for step in steps if step.get("type") == "scale"]
    if not scales or not all(isinstance(s, list) and len(s) == n_axes for s in scales):
        return None
    numbers = [number for scale in scales for number in scale]
    if not all(isinstance(n, int | float) and math.isfinite(n) and n > 0 for n in numbers):
        return None
    return [float(math.prod(factors)) for factors in zip(*scales, strict=True)]


def _channel_names(ome: Any, axes: tuple[Axis, ...], shape: tuple[int, ...]) -> tuple[str, ...]:
    """Return the names of the channels; empty if they are not as many as the channel axis has."""
    channels = (ome.get("omero") or {}).get("channels") or ()
    lengths = [n for axis, n in zip(axes, shape, strict=False) if axis.type == CHANNEL]
    if lengths != [len(channels)] or not all(channel.get("label") for channel in channels):
        return ()
    return tuple(str(channel["label"]) for channel in channels)
