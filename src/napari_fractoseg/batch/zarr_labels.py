"""Labels as OME-Zarr, written tile by tile; what a killed run wrote is not computed again."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import zarr

from napari_fractoseg.classes import ClassScheme
from napari_fractoseg.images import Axis
from napari_fractoseg.inference.record import TileJournal

__all__ = ["ZarrLabels", "read_header"]

_CHUNK = 1024
_ARRAY, _JOURNAL, _HEADER = "0", "journal.txt", "run.json"
_LEADING_AXES = ((), ("z",), ("t", "z"), ("t", "c", "z"))
"""Names of axes before Y and X, by their number: a stack, and stacks over time."""
_VERSION = "0.5"


class ZarrLabels:
    """An OME-Zarr image-label group that grows in a draft beside its place.

    Parameters
    ----------
    path : Path
        Its place, once it is finished.
    header : dict
        What the result is, as JSON types, ``shape``, ``dtype`` and ``axes`` (those of
        the image, empty if it does not name them) among it.
    anew : bool
        Throw an earlier draft away.

    Attributes
    ----------
    array : zarr.Array
        To be written into.
    journal : TileJournal
        Tiles that are written.
    """

    def __init__(self, path: Path, header: Mapping[str, Any], *, anew: bool) -> None:
        self.path, self.draft = path, _draft_of(path)
        if anew:
            shutil.rmtree(self.draft, ignore_errors=True)
            shape = tuple(header["shape"])
            zarr.create_group(self.draft).create_array(
                _ARRAY,
                shape=shape,
                chunks=(*(1 for _ in shape[:-2]), *(min(_CHUNK, n) for n in shape[-2:])),
                dtype=header["dtype"],
                dimension_names=[axis.name for axis in _axes_of(header, len(shape))],
            )
            (self.draft / _HEADER).write_text(json.dumps(header), encoding="utf-8")
        self.array: Any = zarr.open_group(self.draft, mode="r+")[_ARRAY]
        self._axes = _axes_of(header, self.array.ndim)
        self.journal = TileJournal(self.draft / _JOURNAL)

    def describe(
        self, name: str, source: Path, scheme: ClassScheme | None, pixel_size_um: float | None
    ) -> None:
        """Write what the array is: axes, scale, and the names and colours of the classes.

        Parameters
        ----------
        name : str
            Title.
        source : Path
            The image.
        scheme : ClassScheme or None
            Classes of the values; None for probabilities.
        pixel_size_um : float or None
            Edge of a pixel, of an image whose axes say nothing of it.

        Notes
        -----
        OME-NGFF 0.5, multiscales and image-label metadata. The axes are those of the
        image.
        """
        *leading, y, x = self._axes
        if pixel_size_um and not (y.unit and x.unit):
            y, x = (replace(axis, unit="micrometer", scale=pixel_size_um) for axis in (y, x))
        axes = [_axis(axis) for axis in (*leading, y, x)]
        scale = [axis.scale for axis in (*leading, y, x)]
        dataset = {
            "path": _ARRAY,
            "coordinateTransformations": [{"type": "scale", "scale": scale}],
        }
        metadata: dict[str, Any] = {
            "version": _VERSION,
            "multiscales": [{"name": name, "axes": axes, "datasets": [dataset]}],
        }
        if scheme is not None:
            metadata["image-label"] = {
                "colors": [{"label-value": c.value, "rgba": _rgba(c.color)} for c in scheme],
                "properties": [{"label-value": c.value, "class": c.name} for c in scheme],
                "source": {"image": os.path.relpath(source, self.path)},
            }
        zarr.open_group(self.draft, mode="r+").attrs["ome"] = metadata

    def finish(self) -> Any:
        """Put the draft in its place, instead of what was there; return the array there."""
        (self.draft / _JOURNAL).unlink()
        (self.draft / _HEADER).unlink()
        if self.path.exists():
            shutil.rmtree(self.path)
        self.draft.rename(self.path)
        self.array = zarr.open_group(self.path, mode="r")[_ARRAY]
        return self.array


def read_header(path: Path) -> Any:
    """Return the facts of the draft of a result; None if there is none."""
    try:
        return json.loads((_draft_of(path) / _HEADER).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _draft_of(path: Path) -> Path:
    return path.with_name(f".{path.name}.part")


def _axes_of(header: Mapping[str, Any], n_axes: int) -> list[Axis]:
    """Return the axes of the image; the usual ones if it does not name them."""
    if header.get("axes"):
        return [Axis(**axis) for axis in header["axes"]]
    n_leading = n_axes - 2
    if n_leading < len(_LEADING_AXES):
        leading: tuple[str, ...] = _LEADING_AXES[n_leading]
    else:
        leading = tuple(f"axis{number}" for number in range(n_leading))
    kinds = {"t": "time", "c": "channel"}
    return [Axis(name, kinds.get(name, "space")) for name in (*leading, "y", "x")]


def _axis(axis: Axis) -> dict[str, str]:
    known = {"name": axis.name, "type": axis.type, "unit": axis.unit}
    return {key: value for key, value in known.items() if value}


def _rgba(color: str) -> list[int]:
    """Turn ``#rrggbb`` or ``#rrggbbaa`` into numbers 0-255."""
    digits = color.removeprefix("#").ljust(8, "f")
    return list(bytes.fromhex(digits))
