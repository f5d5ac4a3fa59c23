"""Writing of results as OME-Zarr, tile by tile, in a draft from which a killed run is resumed."""

from __future__ import annotations

import errno
import json
import math
import os
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from napari_fractoseg.classes import ClassScheme
from napari_fractoseg.files import (
    STALE_S,
    hidden_beside,
    move_into_place,
    read_json_object,
    synced,
    synced_tree,
    write_bytes,
)
from napari_fractoseg.images import Axis, ExcludedArea, read_image
from napari_fractoseg.images.axes import edges_um
from napari_fractoseg.images.calibration.facts import PixelSize
from napari_fractoseg.images.formats.zarr import open_array
from napari_fractoseg.jobs import Job, Progress
from napari_fractoseg.results.excluded import mask_job
from napari_fractoseg.results.journal import TileJournal
from napari_fractoseg.results.label_images import FRACTOSEG_ATTRIBUTE
from napari_fractoseg.results.parts import EXCLUDED
from napari_fractoseg.results.record import LabelRecord
from napari_fractoseg.results.tiff import tiff_job
from napari_fractoseg.tiling import Box, grid

__all__ = [
    "CHUNK_PX",
    "ZarrLabels",
    "discard_draft",
    "is_unsettled",
    "read_header",
    "restore",
    "restore_old",
]

CHUNK_PX = 1024
_ZARR = ".zarr"
_ARRAY, _JOURNALS, _HEADER, _TIFF = "0", "journals", "run.json", "result.tif"
_SMALLEST_PX = 1024
"""Longest edge of a plane that needs no smaller copies for display."""
_LEADING_AXES = ((), ("z",), ("t", "z"), ("t", "c", "z"))
"""Names of the axes before Y and X by their number, for images that name none."""
_VERSION = "0.5"
_OLD = ".old"
_MASK_RGBA = (128, 128, 128, 255)


class ZarrLabels:
    """A result that is written tile by tile into a draft, a zarr group beside its final place.

    Parameters
    ----------
    path : Path
        Place of the finished result: OME-Zarr if it ends in ``.zarr``, else TIFF.
    header : dict, optional
        Description of the result as JSON types, with ``shape``, ``dtype`` and ``axes``
        (those of the image, empty if it does not name them). Only needed to begin anew.
    anew : bool
        Whether to begin a new draft and delete an earlier one; otherwise the earlier one is
        continued.

    Attributes
    ----------
    array : zarr.Array
        Array of shape (..., Y, X) to write into.
    """

    def __init__(
        self, path: Path, header: Mapping[str, Any] | None = None, *, anew: bool = False
    ) -> None:
        self.path, self.draft = path, _draft_of(path)
        self._n_levels = 1
        self._scheme: ClassScheme | None = None
        self._record: LabelRecord | None = None
        self._pixel_size = PixelSize()
        if anew and header is not None:
            discard_draft(path)
            shape = tuple(header["shape"])
            names = [axis.name for axis in _axes_of(header, len(shape))]
            _create(zarr.create_group(self.draft), _ARRAY, shape, header["dtype"], names)
            (self.draft / _JOURNALS).mkdir()
            synced_tree(self.draft)
            # At the end: what has a header can be opened.
            write_bytes(self.draft / _HEADER, json.dumps(header).encode())
        self.array: Any = open_array(self.draft, _ARRAY, mode="r+")
        self._axes = _axes_of(header or read_header(path) or {}, self.array.ndim)

    def journal(self, index: tuple[int, ...], box: Box) -> TileJournal:
        """Return the journal of a block, which lists the tiles in it that are written.

        Each block has its own, as blocks may be written by different processes.

        Parameters
        ----------
        index : tuple of int
            Index of the plane on the leading axes.
        box : Box
            Pixels of the block.
        """
        place = "_".join(map(str, (*index, box.row0, box.column0)))
        return TileJournal(self.draft / _JOURNALS / f"{place}.txt")

    def add_array(self, name: str) -> Any:
        """Return a new array beside the values, of their shape and type, such as a prediction."""
        group = zarr.open_group(self.draft, mode="r+")
        names = [axis.name for axis in self._axes]
        return _create(group, name, self.array.shape, self.array.dtype, names)

    def add_levels(self) -> Job[None]:
        """Add copies of large planes for display, each with half the rows and columns of the last.

        Yields
        ------
        Progress
            After each chunk of a copy.
        """
        group = zarr.open_group(self.draft, mode="r+")
        levels, finest = list(_level_shapes(self.array.shape)), self.array
        if self.path.suffix != _ZARR:
            levels = []
        total = sum(math.prod(shape) for shape in levels)
        done = 0
        for number, shape in enumerate(levels, start=1):
            names = [axis.name for axis in self._axes]
            coarser = _create(group, str(number), shape, self.array.dtype, names)
            for index in np.ndindex(shape[:-2]):
                for box in grid((shape[-2], shape[-1]), CHUNK_PX):
                    rows, columns = box.slices
                    doubled = (slice(2 * rows.start, 2 * rows.stop), slice(
                        2 * columns.start, 2 * columns.stop))  # fmt: skip
                    # The pixel that is kept stays where it is: no class is made up in between.
                    block = np.asarray(finest[(*index, *doubled)])[::2, ::2]
                    coarser[(*index, rows, columns)] = block
                    done += block.size
                    yield Progress(done, total, "smaller copies for display")
            finest, self._n_levels = coarser, number + 1

    def describe(
        self,
        name: str,
        source: Path,
        scheme: ClassScheme | None,
        pixel_size_um: float | None,
        record: LabelRecord | None = None,
        pixel_size_from: str = "",
    ) -> None:
        """Write the metadata: axes, scale, classes with names and colours, and provenance.

        Parameters
        ----------
        name : str
            Title of the result.
        source : Path
            Image that was segmented.
        scheme : ClassScheme or None
            Classes of the values; None for uncertainty.
        pixel_size_um : float or None
            Edge of a pixel in micrometres, for images whose axes have no units.
        record : LabelRecord, optional
            Origin of the result (image, model, settings): an attribute of the group.
        pixel_size_from : str
            Origin of the pixel size in words, for a TIFF.

        Notes
        -----
        OME-NGFF 0.5, metadata ``multiscales`` and ``image-label``. The axes are those of the
        image.
        """
        self._scheme, self._record = scheme, record
        *leading, y, x = self._axes
        if pixel_size_um and not (y.unit and x.unit):
            y, x = (replace(axis, unit="micrometer", scale=pixel_size_um) for axis in (y, x))
        y_um, x_um = edges_um((y, x)) or (None, None)
        self._pixel_size = PixelSize(x_um, y_um, pixel_size_from)
        axes = [_axis(axis) for axis in (*leading, y, x)]
        scale = [axis.scale for axis in (*leading, y, x)]
        group = zarr.open_group(self.draft, mode="r+")
        datasets = [_dataset(level, scale) for level in range(self._n_levels)]
        metadata: dict[str, Any] = {
            "version": _VERSION,
            "multiscales": [{"name": name, "axes": axes, "datasets": datasets}],
        }
        if scheme is not None:
            metadata["image-label"] = {
                "colors": [{"label-value": c.value, "rgba": _rgba(c.color)} for c in scheme],
                "properties": [{"label-value": c.value, "class": c.name} for c in scheme],
                "source": {"image": _from_to(self.path, source)},
            }
        group.attrs["ome"] = metadata
        if record is not None:
            group.attrs[FRACTOSEG_ATTRIBUTE] = record.to_dict()

    def add_mask(self, area: ExcludedArea | None) -> Job[None]:
        """Add the mask of what was left out of the image, to OME-Zarr; call `describe` before.

        Parameters
        ----------
        area : ExcludedArea or None
            What was left out; None for nothing.

        Yields
        ------
        Progress
            After each chunk of the mask.
        """
        if area is None or self.path.suffix != _ZARR:
            return
        group = zarr.open_group(self.draft, mode="r+")
        (multiscale,) = group.attrs["ome"]["multiscales"]
        metadata = {
            "version": _VERSION,
            "multiscales": [
                {**multiscale, "name": EXCLUDED, "datasets": multiscale["datasets"][:1]}
            ],
            "image-label": {
                "colors": [{"label-value": 1, "rgba": list(_MASK_RGBA)}],
                "properties": [{"label-value": 1, "class": EXCLUDED}],
                "source": {"image": "../../"},
            },
        }
        yield from mask_job(group, area, CHUNK_PX, metadata)

    def write_tiff(self) -> Job[None]:
        """Write the TIFF of a result that becomes one, into the draft; call `describe` before.

        Yields
        ------
        Progress
            Several times a second; steps are tiles. Nothing for OME-Zarr.
        """
        if self.path.suffix != _ZARR:
            yield from tiff_job(
                self.draft / _TIFF, self.array, self._scheme, self._record, self._pixel_size
            )

    def finish(self, *, overwrite: bool = False) -> Any:
        """Move the finished draft to its place, and return the array there.

        Of a result that becomes a TIFF, the rest of the draft stays until `discard_draft`.

        Parameters
        ----------
        overwrite : bool
            Whether an existing result may be replaced.

        Raises
        ------
        FileExistsError
            If there is one that may not.
        """
        self.place(overwrite=overwrite)
        return self.settle()

    def place(self, *, overwrite: bool = False) -> None:
        """Move the finished draft to its place, when it is on the disk; the first half of `finish`.

        Results of one image are all placed, and then settled: until then `restore` undoes it.
        Parameters and errors are those of `finish`.
        """
        if os.path.lexists(self.path) and not overwrite:
            raise FileExistsError(errno.EEXIST, "there is something of that name now")
        if self.path.suffix != _ZARR:
            move_into_place(self.draft / _TIFF, self.path)
            return
        for half_written in self.draft.rglob("*.partial"):  # of a kill, by zarr
            half_written.unlink()
        synced_tree(self.draft)
        replaced = _replaced_of(self.path)
        if self.path.exists():
            shutil.rmtree(replaced, ignore_errors=True)
            self.path.rename(replaced)
        self.draft.rename(self.path)
        synced(self.path.parent)

    def settle(self) -> Any:
        """Remove what is not needed of a result in its place; return the array there."""
        if self.path.suffix != _ZARR:
            self.array = read_image(self.path).data
            return self.array
        (self.path / _HEADER).unlink()
        shutil.rmtree(self.path / _JOURNALS)
        shutil.rmtree(_replaced_of(self.path), ignore_errors=True)
        self.array = open_array(self.path, _ARRAY)
        return self.array


def is_unsettled(path: Path) -> bool:
    """Whether a result is in its place, but the run that placed it was killed at that moment."""
    return path.suffix == _ZARR and (path / _HEADER).is_file()


def restore(path: Path) -> None:
    """Undo what a killed run left of the replacement of a result.

    A result that was placed and not settled becomes a draft again, from which a run goes on.
    The result that it replaced is back in its place; where the new one was settled, it is removed.

    Parameters
    ----------
    path : Path
        Place of the result. No other run may be writing it.
    """
    draft, replaced = _draft_of(path), _replaced_of(path)
    if is_unsettled(path) and not draft.exists():
        path.rename(draft)
    if not replaced.exists():
        return
    if path.exists():
        shutil.rmtree(replaced, ignore_errors=True)
    else:
        replaced.rename(path)


def restore_old(folder: Path) -> None:
    """Undo replacements in a folder that were interrupted more than a day ago; see `restore`."""
    with suppress(OSError):  # a convenience, for which nothing else must fail
        for replaced in folder.glob(f".*{_ZARR}{_OLD}"):
            path = replaced.with_name(replaced.name.removeprefix(".").removesuffix(_OLD))
            if time.time() - replaced.stat().st_ctime > STALE_S:
                restore(path)


def discard_draft(path: Path) -> None:
    """Delete the draft that a stopped run left of the result at `path`, if there is one."""
    draft = _draft_of(path)
    if draft.exists():
        # First: without it, nobody goes on with what is left when this is interrupted.
        (draft / _HEADER).unlink(missing_ok=True)
        shutil.rmtree(draft)


def read_header(path: Path) -> dict[str, Any] | None:
    """Return the header of the draft of a result; None if there is none, or it is damaged."""
    return read_json_object(_draft_of(path) / _HEADER)


def _draft_of(path: Path) -> Path:
    return hidden_beside(path, ".part")


def _replaced_of(path: Path) -> Path:
    return hidden_beside(path, _OLD)


def _from_to(folder: Path, file: Path) -> str:
    try:
        return Path(os.path.relpath(file, folder)).as_posix()
    except ValueError:  # another drive
        return str(file)


def _create(group: Any, name: str, shape: tuple[int, ...], dtype: Any, axes: Sequence[str]) -> Any:
    return group.create_array(
        name,
        shape=shape,
        chunks=(*(1 for _ in shape[:-2]), *(min(CHUNK_PX, n) for n in shape[-2:])),
        dtype=dtype,
        dimension_names=list(axes),
        overwrite=True,  # a run may have been killed at its very end
    )


def _level_shapes(shape: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    """Yield the shapes of the smaller copies for display, the largest first."""
    while max(shape[-2:]) > _SMALLEST_PX:
        shape = (*shape[:-2], *(-(-n // 2) for n in shape[-2:]))
        yield shape


def _dataset(level: int, scale: list[float]) -> dict[str, Any]:
    coarse = [*scale[:-2], *(2**level * size for size in scale[-2:])]
    transformations = [{"type": "scale", "scale": coarse}]
    return {"path": str(level), "coordinateTransformations": transformations}


def _axes_of(header: Mapping[str, Any], n_axes: int) -> list[Axis]:
    """Return the axes in a header, or usual ones (such as z, y, x) if it names none."""
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
    """Return the four components, 0-255, of a colour ``#rrggbb`` or ``#rrggbbaa``."""
    digits = color.removeprefix("#").ljust(8, "f")
    return list(bytes.fromhex(digits))
