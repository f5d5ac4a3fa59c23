"""Labels as OME-Zarr, written tile by tile; what a killed run wrote is not computed again."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import zarr

from napari_fractoseg.classes import ClassScheme
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
        What the result is, as JSON types, ``shape`` and ``dtype`` among it.
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
                dimension_names=_axis_names(len(shape)),
            )
            (self.draft / _HEADER).write_text(json.dumps(header), encoding="utf-8")
        self.array: Any = zarr.open_group(self.draft, mode="r+")[_ARRAY]
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
            Edge of a pixel.

        Notes
        -----
        OME-NGFF 0.5, multiscales and image-label metadata.
        """
        names = _axis_names(self.array.ndim)
        unit = {"unit": "micrometer"} if pixel_size_um else {}
        scale = [1.0] * (len(names) - 2) + [pixel_size_um or 1.0] * 2
        axes = [_axis(axis, unit if axis in "yx" else {}) for axis in names]
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


def _axis_names(n_axes: int) -> tuple[str, ...]:
    n_leading = n_axes - 2
    if n_leading < len(_LEADING_AXES):
        return (*_LEADING_AXES[n_leading], "y", "x")
    return (*(f"axis{number}" for number in range(n_leading)), "y", "x")


def _axis(name: str, unit: dict[str, str]) -> dict[str, str]:
    kinds = {"t": "time", "c": "channel"}
    return {"name": name, "type": kinds.get(name, "space"), **unit}


def _rgba(color: str) -> list[int]:
    """Turn ``#rrggbb`` or ``#rrggbbaa`` into numbers 0-255."""
    digits = color.removeprefix("#").ljust(8, "f")
    return list(bytes.fromhex(digits))
