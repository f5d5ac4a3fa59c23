"""Pixel size of a layer with its origin: what we gave it, what its file says, or its scale."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from napari_fractoseg._napari.layer_metadata import (
    METADATA_KEY,
    PIXEL_SIZE_KEY,
    add_facts,
    facts_of,
    file_of,
    unwrapped,
)
from napari_fractoseg.images.calibration import PixelSize
from napari_fractoseg.images.calibration.claims import LAYER_SCALE, FileSays, file_says
from napari_fractoseg.jobs import Job, Progress

if TYPE_CHECKING:
    from napari.layers import Layer

__all__ = [
    "edges_um",
    "files_job",
    "place_of",
    "read_file",
    "remember_size",
    "remembered",
    "said_by_file",
    "size_entry",
    "size_of",
    "take_files",
]

_UNIT = "micrometer"
_SAME = 1e-6
_LAYER_UM = "layer_um"
_read: WeakKeyDictionary[Layer, tuple[str, FileSays]] = WeakKeyDictionary()
"""What the files of layers say, with the path of the file."""


def size_of(layer: Layer, images: Iterable[Layer] = ()) -> PixelSize:
    """Return the pixel size of a layer, with its origin.

    Parameters
    ----------
    layer : Layer
        Layer whose last two axes are rows and columns.
    images : iterable of Layer
        Images that the layer may be made from: of one with the same edges the origin is taken.

    Returns
    -------
    PixelSize
        Unknown if the layer has no unit of length, or has the resolution of a print instead of
        what its file says (a note tells it). The origin is that by which we set it, that which
        the file says if it says the same, or the layer's scale.
    """
    edges = edges_um(layer)
    if edges is None:
        return PixelSize()
    known = _remembered_for(layer, edges)
    if known is not None:
        return known
    if file_of(layer) is None:
        for image in images:
            its = edges_um(image)
            if image is not layer and its is not None and _are_close(its, edges):
                return size_of(image)
        y_um, x_um = edges
        return PixelSize(x_um, y_um, LAYER_SCALE)
    # Only headers are read, and only of layers to which another program gave a length.
    return read_file(layer).judge(*edges)


def edges_um(layer: Layer) -> tuple[float, float] | None:
    """Return the edges of a pixel that a layer has, along a column and a row, in micrometres.

    Returns
    -------
    tuple of float or None
        None without units of length.
    """
    edges = [
        float((abs(float(scale)) * unit).to(_UNIT).magnitude)
        for scale, unit in zip(layer.scale[-2:], layer.units[-2:], strict=True)
        if (1 * unit).is_compatible_with(_UNIT)
    ]
    return (edges[0], edges[1]) if len(edges) == 2 else None


def _are_close(first: Iterable[float], second: Iterable[float]) -> bool:
    pairs = zip(first, second, strict=True)
    return all(math.isclose(a, b, rel_tol=_SAME) for a, b in pairs)


def place_of(size: PixelSize, n_axes: int) -> dict[str, Any]:
    """Return scale and units of a new layer of a pixel size; empty if that is not known."""
    if size.x_um is None or size.y_um is None:
        return {}
    leading = n_axes - 2
    return {
        "scale": (*(1.0,) * leading, size.y_um, size.x_um),
        "units": (*("pixel",) * leading, _UNIT, _UNIT),
    }


# ---- what we gave ----------------------------------------------------------------------------


def remembered(layer: Layer) -> dict[str, Any]:
    """Return the entry on the pixel size that is kept with a layer; empty if there is none."""
    if METADATA_KEY in layer.metadata:
        entry = facts_of(layer).get("pixel_size")
    else:
        entry = layer.metadata.get(PIXEL_SIZE_KEY)
    return dict(entry) if isinstance(entry, dict) else {}


def size_entry(layer: Layer, images: Iterable[Layer] = ()) -> dict[str, Any]:
    """Return the entry on the pixel size of a layer, for one that gets the same place."""
    edges = edges_um(layer)
    if edges is None:
        return {}
    return {**size_of(layer, images).to_dict(), _LAYER_UM: list(edges)}


def remember_size(layer: Layer, entry: dict[str, Any]) -> None:
    """Keep an entry on its pixel size with a layer; an empty one forgets it."""
    if METADATA_KEY in layer.metadata:
        if entry or remembered(layer):
            add_facts(layer, {"pixel_size": entry})
    elif entry:
        layer.metadata = {**layer.metadata, PIXEL_SIZE_KEY: entry}
    elif PIXEL_SIZE_KEY in layer.metadata:
        layer.metadata = {k: v for k, v in layer.metadata.items() if k != PIXEL_SIZE_KEY}


def _remembered_for(layer: Layer, edges: tuple[float, float]) -> PixelSize | None:
    """Return the size that a layer was given, None if its scale was changed since."""
    entry = remembered(layer)
    size = PixelSize.from_dict(entry)
    its = entry.get(_LAYER_UM, None if size.x_um is None else (size.y_um, size.x_um))
    if not isinstance(its, list | tuple) or len(its) != 2 or not _are_close(its, edges):
        return None
    return size


# ---- what its file says ----------------------------------------------------------------------


def said_by_file(layer: Layer) -> FileSays | None:
    """Return what the file of a layer says, None as long as it was not read."""
    path, (known_path, says) = file_of(layer), _read.get(unwrapped(layer), ("", None))
    return says if says is not None and str(path) == known_path else None


def read_file(layer: Layer) -> FileSays:
    """Return what the file of a layer says; it is read unless that was done."""
    said, path = said_by_file(layer), file_of(layer)
    if said is None and path is not None:
        said = file_says(path)
        take_files({layer: said})
    return said or FileSays()


def take_files(said: dict[Layer, FileSays]) -> None:
    """Keep what the files of layers say."""
    for layer, says in said.items():
        _read[unwrapped(layer)] = (str(file_of(layer)), says)


def files_job(paths: Iterable[Path]) -> Job[dict[Path, FileSays]]:
    """Read what files say about their pixel size.

    Yields
    ------
    Progress
        Number of files done.

    Returns
    -------
    dict of Path to FileSays
        What each of them says.
    """
    wanted = list(dict.fromkeys(paths))
    found = {}
    for number, path in enumerate(wanted):
        yield Progress(number, len(wanted), f"reading {path.name}")
        found[path] = file_says(path)
    return found
