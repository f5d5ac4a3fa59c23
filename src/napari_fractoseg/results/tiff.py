"""Writing of results as OME-TIFF, also of those that are larger than the memory."""

from __future__ import annotations

import json
import math
import threading
import uuid
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tifffile

from napari_fractoseg.classes import ClassScheme
from napari_fractoseg.images.calibration.facts import PixelSize
from napari_fractoseg.images.calibration.written import OWN_NAMESPACE, own_size
from napari_fractoseg.jobs import Job, Progress
from napari_fractoseg.results.label_images import FRACTOSEG_ATTRIBUTE
from napari_fractoseg.results.record import LabelRecord
from napari_fractoseg.tiling import grid

__all__ = ["tiff_job", "write_tiff"]

_TILE_PX = 1024
_AXES = ("YX", "ZYX", "TZYX", "TCZYX")
"""Axes of OME-TIFF by their number, less two; results with others become a plain TIFF."""
_CM_UM = 1e4
_CLASSIC_BYTES = 2**31
"""Largest result for which a classic TIFF is written; larger ones become a BigTIFF."""
_REPORTED_EVERY_S = 0.2


def write_tiff(
    path: Path,
    data: npt.NDArray[Any],
    scheme: ClassScheme | None = None,
    record: LabelRecord | None = None,
    pixel_size: PixelSize | None = None,
    entries: Mapping[str, Any] | None = None,
) -> None:
    """Write a result that is in memory as OME-TIFF; above 2 GB as BigTIFF.

    Parameters
    ----------
    path : Path
        File to write, a draft: it is not complete before the function returns.
    data : ndarray of shape (..., Y, X)
        Labels or uncertainty.
    scheme : ClassScheme, optional
        Classes of the labels, whose names are written into the file.
    record : LabelRecord, optional
        Origin of the labels (image, model, settings), written into the file.
    pixel_size : PixelSize, optional
        Edges of a pixel, written with their origin into the description, and as resolution.
    entries : mapping, optional
        JSON types to write beside the record.
    """
    tifffile.imwrite(path, data, **_options(data, scheme, record, pixel_size, entries))


def tiff_job(
    path: Path,
    data: Any,
    scheme: ClassScheme | None = None,
    record: LabelRecord | None = None,
    pixel_size: PixelSize | None = None,
) -> Job[None]:
    """Write a result that is on disk as OME-TIFF, tile by tile; above 2 GB as BigTIFF.

    Parameters
    ----------
    path : Path
        File to write; an existing one is replaced. If the job is closed before its end the
        file is not complete.
    data : array of shape (..., Y, X)
        Labels or uncertainty, an array that is read when it is sliced (zarr).
    scheme : ClassScheme, optional
        Classes of the labels, whose names are written into the file.
    record : LabelRecord, optional
        Origin of the labels (image, model, settings), written into the file.
    pixel_size : PixelSize, optional
        Edges of a pixel, written with their origin into the description, and as resolution.

    Yields
    ------
    Progress
        Several times a second; steps are tiles.
    """
    n_tiles = math.prod(data.shape[:-2]) * math.prod(-(-n // _TILE_PX) for n in data.shape[-2:])
    places = (
        (*index, *box.slices)
        for index in np.ndindex(data.shape[:-2])
        for box in grid(data.shape[-2:], _TILE_PX)
    )
    n_written, is_stopped = 0, threading.Event()

    def tiles() -> Iterator[npt.NDArray[Any]]:
        """Yield the tiles of all planes, padded with 0 at the edges."""
        nonlocal n_written
        for place in places:
            if is_stopped.is_set():
                raise InterruptedError("the writing was stopped")
            part = np.asarray(data[place])
            yield np.pad(part, [(0, _TILE_PX - length) for length in part.shape])
            n_written += 1

    options = _options(data, scheme, record, pixel_size) | {
        "tile": (_TILE_PX, _TILE_PX),
        "shape": data.shape,
    }
    with ThreadPoolExecutor(1, thread_name_prefix="fractoseg-tiff") as pool:
        writing = pool.submit(tifffile.imwrite, path, tiles(), dtype=data.dtype, **options)
        try:
            while not wait([writing], _REPORTED_EVERY_S).done:
                yield Progress(n_written, n_tiles, "writing TIFF")
            writing.result()
        finally:
            is_stopped.set()


def _options(
    data: Any,
    scheme: ClassScheme | None,
    record: LabelRecord | None,
    size: PixelSize | None,
    entries: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return what tifffile is told; our entries become a comment in the tag ImageDescription."""
    sizes = {} if size is None else own_size(size)
    own: dict[str, Any] = dict(sizes)
    if scheme is not None:
        own["classes"] = {c.value: c.name for c in scheme}
    if record is not None or entries:
        told = {} if record is None else record.to_dict()
        own[FRACTOSEG_ATTRIBUTE] = {**told, **(entries or {})}
    n_bytes = int(np.prod(data.shape, dtype=np.int64)) * data.dtype.itemsize
    resolution: dict[str, Any] = {}
    if size is not None and size.x_um and size.y_um:
        per_cm = (_CM_UM / size.x_um, _CM_UM / size.y_um)
        resolution = {"resolution": per_cm, "resolutionunit": "CENTIMETER"}
    return {
        **resolution,
        **_description(own, sizes, tuple(data.shape)),
        "compression": "zlib",
        "photometric": "minisblack",
        "bigtiff": n_bytes > _CLASSIC_BYTES,
    }


def _description(
    own: dict[str, Any], sizes: dict[str, Any], shape: tuple[int, ...]
) -> dict[str, Any]:
    """Return the metadata: OME-XML with a comment that holds our entries as JSON."""
    n_axes = len(shape)
    if n_axes - 2 >= len(_AXES) or 1 in shape:  # OME-XML does not tell an axis of length 1
        return {"metadata": own}
    text = json.dumps(own)
    metadata = {key: value for key, value in sizes.items() if not key.endswith("From")}
    metadata |= {
        "axes": _AXES[n_axes - 2],
        "UUID": str(uuid.uuid5(uuid.NAMESPACE_OID, text)),  # the same result gives the same file
        "CommentAnnotation": {"Value": text, "Namespace": OWN_NAMESPACE},
    }
    return {"ome": True, "metadata": metadata}
