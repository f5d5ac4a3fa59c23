"""The excluded area that is recorded with labels, and its mask in an OME-Zarr group."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from napari_fractoseg.errors import ImageError
from napari_fractoseg.images import ExcludedArea
from napari_fractoseg.images.formats.zarr import ZarrPixels, open_array
from napari_fractoseg.jobs import Job, Progress
from napari_fractoseg.results.parts import EXCLUDED, part_of
from napari_fractoseg.results.record import read_entries
from napari_fractoseg.tiling import Box, grid

__all__ = ["excluded_of", "left_out_mask", "mask_job"]

_GROUP = "labels"


def excluded_of(
    path: Path, shape: Sequence[int], entries: Mapping[str, Any] | None = None
) -> ExcludedArea | None:
    """Return what was left out of the image when labels were made, as it is stored with them.

    Parameters
    ----------
    path : Path
        TIFF file or folder of an OME-Zarr group with labels.
    shape : sequence of int
        Shape of the labels, (..., Y, X).
    entries : mapping, optional
        What is stored with them (`read_entries`), if that was read already.

    Returns
    -------
    ExcludedArea or None
        The area; None if nothing was left out, or there is no label record.

    Raises
    ------
    ImageError
        If what is recorded does not fit the labels, such as after they were cut.
    """
    stored = read_entries(path) if entries is None else entries
    excluded = stored.get("excluded")
    if not isinstance(excluded, dict) or not excluded:
        return None
    folder = path / _GROUP / EXCLUDED
    mask = None
    if excluded.get("has_mask"):  # where it is not kept, the labels are 0 there
        is_group = folder.is_dir()
        mask = ZarrPixels(open_array(folder, "0"), path) if is_group else part_of(path, EXCLUDED)
    try:
        return ExcludedArea.from_dict(excluded, shape, mask)
    except (ImageError, TypeError, ValueError) as error:
        raise ImageError(
            f"{path}: the excluded area that is recorded with the labels does not fit them "
            f"({error}). Segment the image again, or copy the file again."
        ) from error


def left_out_mask(area: ExcludedArea | None, given: Any, shape: Sequence[int]) -> Any:
    """Return the mask of an area and of what a user gave: both are left out; None for neither.

    Parameters
    ----------
    area : ExcludedArea or None
        What was left out when the labels were made (`excluded_of`).
    given : array or None
        Mask of the user, not 0 in what is left out.
    shape : sequence of int
        Shape of the labels.
    """
    if area is None:
        return given
    if given is None:
        return area.as_mask
    return area.joined(ExcludedArea(tuple(shape), mask=given)).as_mask


def mask_job(
    group: Any, area: ExcludedArea, chunk_px: int, metadata: Mapping[str, Any]
) -> Job[None]:
    """Write the mask of an excluded area as a label image into a group of OME-Zarr.

    Parameters
    ----------
    group : zarr.Group
        Group of the labels that the area belongs to.
    area : ExcludedArea
        What is excluded: 1 in the mask, 0 elsewhere.
    chunk_px : int
        Edge of a chunk in pixels; chunks without anything excluded are not written.
    metadata : mapping
        OME metadata of the mask.

    Yields
    ------
    Progress
        After each chunk.
    """
    labels = group.create_group(_GROUP, overwrite=True)
    labels.attrs["ome"] = {"version": metadata["version"], "labels": [EXCLUDED]}
    image = labels.create_group(EXCLUDED)
    shape = area.shape
    array = image.create_array(
        "0",
        shape=shape,
        chunks=(*(1 for _ in shape[:-2]), *(min(chunk_px, n) for n in shape[-2:])),
        dtype="uint8",
        dimension_names=[axis["name"] for axis in metadata["multiscales"][0]["axes"]],
    )
    image.attrs["ome"] = dict(metadata)
    boxes = list(_places(area, chunk_px))
    for done, (index, box) in enumerate(boxes):
        found = area.of_plane(index).in_box(*box.slices)
        if found is not None:
            array[(*index, *box.slices)] = found.astype(np.uint8)
        yield Progress(done + 1, len(boxes), "mask of the excluded area")


def _places(area: ExcludedArea, chunk_px: int) -> Iterator[tuple[tuple[int, ...], Box]]:
    """Yield the chunks in which something may be excluded."""
    for index in np.ndindex(area.shape[:-2]):
        for box in grid((area.shape[-2], area.shape[-1]), chunk_px):
            if area.mask is not None or any(
                first < box.row1 and box.row0 < end for first, end in area.bands
            ):
                yield index, box
