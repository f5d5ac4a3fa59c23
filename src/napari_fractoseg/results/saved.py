"""Labels on disk with all that is known of them: what a model gave, and what people changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from napari_fractoseg.classes import ClassScheme
from napari_fractoseg.images import ExcludedArea
from napari_fractoseg.images.calibration import PixelSize
from napari_fractoseg.jobs import Job, Progress, as_part
from napari_fractoseg.results.label_images import FRACTOSEG_ATTRIBUTE
from napari_fractoseg.results.label_writer import CHUNK_PX, ZarrLabels
from napari_fractoseg.results.parts import EXCLUDED, PARTS
from napari_fractoseg.results.record import LabelRecord, labels_digest
from napari_fractoseg.results.tiff import write_tiff
from napari_fractoseg.tiling import grid

__all__ = ["SavedLabels", "write_labels_job"]

_LABELS = "labels"
_STEPS = 100
"""Steps of the progress for each array."""


@dataclass(frozen=True, eq=False)
class SavedLabels:
    """Labels with all that is known of them.

    Parameters
    ----------
    labels : array of shape (..., Y, X)
        Class values; read in parts.
    scheme : ClassScheme
        Classes with their names and colours.
    image : str
        Name of the image.
    record : LabelRecord or None
        Record of the model that gave them; None if a person painted all of them.
    entries : mapping of str to object
        Further facts to keep with them, JSON types.
    parts : mapping of str to array
        Arrays of the shape of the labels by name, those that there are of ``predicted``,
        ``first_answer`` and ``checked``. A prediction that equals the labels need not be given.
    excluded : ExcludedArea or None
        What of the image is left out.
    pixel_size : PixelSize
        Edges of a pixel.
    """

    labels: Any
    scheme: ClassScheme
    image: str
    record: LabelRecord | None = None
    entries: Mapping[str, Any] = field(default_factory=dict)
    parts: Mapping[str, Any] = field(default_factory=dict)
    excluded: ExcludedArea | None = None
    pixel_size: PixelSize = field(default_factory=PixelSize)

    @property
    def told(self) -> dict[str, Any]:
        """Entries that are written beside the labels, without those on the parts."""
        record = {} if self.record is None else self.record.to_dict()
        return {
            **record,
            **self.entries,
            "image": self.image,
            "scheme": self.scheme.to_dict(),
            "excluded": {} if self.excluded is None else self.excluded.to_dict(),
        }


def write_labels_job(path: Path, saved: SavedLabels, source: Path) -> Job[tuple[Path, ...]]:
    """Write labels with their parts: OME-Zarr if the path ends in ``.zarr``, else OME-TIFF.

    Parameters
    ----------
    path : Path
        Place of the labels, in a folder that exists; nothing of that name is there.
    saved : SavedLabels
        Labels and what is known of them.
    source : Path
        File of the image.

    Yields
    ------
    Progress
        Pixels that are written.

    Returns
    -------
    tuple of Path
        What was written: the labels first, then their parts that are files of their own.

    Notes
    -----
    In an OME-Zarr the parts are arrays of the group. Beside a TIFF they are TIFFs with the hash of
    their values in the entries of the labels, so that a file of another result is not taken for
    one. The values of that TIFF have 32 bits: programs take such files for labels.
    """
    if path.suffix == ".zarr":
        yield from _zarr_job(path, saved, source)
        return (path,)
    return (yield from _tiff_job(path, saved))


def _tiff_job(path: Path, saved: SavedLabels) -> Job[tuple[Path, ...]]:
    parts = {name: np.asarray(array, np.uint8) for name, array in saved.parts.items()}
    area = saved.excluded
    if area is not None and area.mask is not None:
        parts[EXCLUDED] = np.asarray(area.mask[...] != 0, np.uint8)
    written, listed = [], {}
    total = len(parts) + 1
    stem = path.stem.removesuffix(f"_{_LABELS}")
    for number, (name, values) in enumerate(parts.items()):
        yield Progress(number, total, f"writing the labels ({name.replace('_', ' ')})")
        place = path.with_name(f"{stem}_{name}{path.suffix}")
        write_tiff(place, values, pixel_size=saved.pixel_size)
        listed[name] = {"file": place.name, "sha256": labels_digest(values)}
        written.append(place)
    yield Progress(total - 1, total, "writing the labels")
    write_tiff(
        path,
        np.asarray(saved.labels[...], np.uint32),
        saved.scheme,
        pixel_size=saved.pixel_size,
        entries={**saved.told, PARTS: listed},
    )
    return (path, *written)


def _zarr_job(path: Path, saved: SavedLabels, source: Path) -> Job[None]:
    arrays = {_LABELS: saved.labels, **saved.parts}
    shape = tuple(int(n) for n in saved.labels.shape)
    header = {"shape": list(shape), "dtype": "uint8"}
    group = ZarrLabels(path, header, anew=True)
    total = _STEPS * (len(arrays) + 1)
    for number, (name, array) in enumerate(arrays.items()):
        target = group.array if number == 0 else group.add_array(name)
        job = _copy_job(array, target)
        yield from as_part(job, _STEPS * number, total, name.replace("_", " "), span=_STEPS)
    yield from as_part(group.add_levels(), total - _STEPS, total, "labels", span=_STEPS)
    size = saved.pixel_size
    square = size.x_um if size.x_um == size.y_um else None
    group.describe(path.stem, source, saved.scheme, square, saved.record, size.source)
    yield from as_part(group.add_mask(saved.excluded), total, total, "")
    root = zarr.open_group(group.draft, mode="r+")
    root.attrs[FRACTOSEG_ATTRIBUTE] = {**saved.told, PARTS: {name: {} for name in saved.parts}}
    group.finish()


def _copy_job(array: Any, target: Any) -> Job[None]:
    """Copy an array chunk by chunk; chunks of zeros are not written."""
    shape = tuple(int(n) for n in array.shape)
    boxes = list(grid((shape[-2], shape[-1]), CHUNK_PX))
    total, done = int(np.prod(shape[:-2], dtype=np.int64)) * len(boxes), 0
    for index in np.ndindex(shape[:-2]):
        for box in boxes:
            values = np.asarray(array[(*index, *box.slices)])
            if values.any():
                target[(*index, *box.slices)] = values.astype(target.dtype)
            done += 1
            yield Progress(done, total, "writing")
