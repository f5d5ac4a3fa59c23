"""What labels say of where they come from: which model gave them, and a hash of them as it did.

Whether labels are an untouched prediction is recorded with them, in the tags of a
TIFF or the attributes of a zarr group, and never guessed from the name of a file.
"""

from __future__ import annotations

import enum
import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from napari_fractoseg.classes import ClassScheme
from napari_fractoseg.errors import ClassSchemeError
from napari_fractoseg.images import TIFF_SUFFIXES, tiff_description
from napari_fractoseg.jobs import Job, Progress, drain
from napari_fractoseg.results.label_images import FRACTOSEG_ATTRIBUTE, read_ngff

__all__ = ["LabelRecord", "Origin", "digest_job", "labels_digest", "origin_of", "read_record"]

_SCHEMA = 1
"""Raised when older versions of this program would misunderstand a record."""
_BAND_PX = 1024
"""Rows that are read at once: those of a chunk of our zarr files."""
_LARGEST_VALUE = 255


class Origin(enum.Enum):
    """Who answers for labels, as far as can be told from what is recorded with them."""

    PREDICTION = "untouched prediction"
    """A model gave them, and they are as it gave them."""
    CHANGED = "changed since"
    """A model gave them, and some were changed; which ones is not known."""
    UNKNOWN = "unknown"
    """Nothing is recorded: a person may have painted them, or a program made them."""


@dataclass(frozen=True)
class LabelRecord:
    """Which model gave labels, of which image, and what they were then.

    Parameters
    ----------
    model_name : str
        Title of the model.
    model_digest : str
        SHA-256 of its weights.
    image : str
        Name of the image.
    scheme : ClassScheme
        Names and colours of the classes.
    labels_sha256 : str
        From `labels_digest`; empty while the labels are not complete.
    model : str
        Name or folder by which the model was chosen.
    planes : "all" or sequence of sequence of int
        The planes that are labelled completely, by their index on the leading axes.
    device : str
        What computed them, for people.
    flips : bool
        Whether mirror images were averaged.
    tile_px, halo_px : int
        Edge of the tiles in pixels, and what was computed around them.
    version : str
        Of the program that wrote the labels.

    Examples
    --------
    >>> import numpy as np
    >>> from napari_fractoseg.results.record import LabelRecord, labels_digest, origin_of
    >>> from napari_fractoseg.classes import DEFAULT_SCHEME
    >>> labels = np.array([[1, 2], [2, 3]], np.uint8)
    >>> record = LabelRecord("my model", "0123", "s17", DEFAULT_SCHEME, labels_digest(labels))
    >>> origin_of(labels.astype(np.uint32), record).value
    'untouched prediction'
    >>> labels[0, 0] = 2
    >>> origin_of(labels, record).value
    'changed since'
    """

    model_name: str
    model_digest: str
    image: str
    scheme: ClassScheme
    labels_sha256: str = ""
    model: str = ""
    planes: Any = "all"
    device: str = ""
    flips: bool = False
    tile_px: int = 0
    halo_px: int = 0
    version: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return the record as plain JSON types."""
        return {"record": _SCHEMA, **asdict(self), "scheme": self.scheme.to_dict()}

    @classmethod
    def from_dict(cls, data: Any) -> LabelRecord | None:
        """Build a record from `to_dict`'s result; None if it is something else, or newer."""
        if not isinstance(data, Mapping):
            return None
        known = {f.name: data[f.name] for f in fields(cls) if f.name in data}
        texts = ("model_name", "model_digest", "image", "labels_sha256")
        try:
            if int(data.get("record", _SCHEMA)) > _SCHEMA:
                return None
            if not all(isinstance(known.get(name, ""), str) for name in texts):
                return None
            return cls(**{**known, "scheme": ClassScheme.from_dict(data["scheme"])})
        except (KeyError, TypeError, ValueError, ClassSchemeError):
            return None

    def of(self, labels_sha256: str) -> LabelRecord:
        """Return the record of labels that are complete, by their hash."""
        return replace(self, labels_sha256=labels_sha256)


def digest_job(labels: Any) -> Job[str]:
    """Hash class values, of arrays of any size and wherever they are.

    The same values give the same hash, whatever type of whole numbers holds them: other
    programs save labels as other types. Axes of length 1 do not count, for some programs
    leave them out.

    Parameters
    ----------
    labels : array of shape (..., Y, X)
        What is read when it is sliced, 1024 rows of a plane at a time.

    Yields
    ------
    Progress
        Steps are pixels.

    Returns
    -------
    str
        SHA-256 of the shape and of the values as bytes; empty if some values are none of
        classes (0-255).
    """
    shape = tuple(int(n) for n in labels.shape)
    if len(shape) < 2 or np.dtype(labels.dtype).kind not in "iub":
        return ""
    digest = hashlib.sha256(json.dumps([n for n in shape if n != 1]).encode())
    done, total = 0, int(np.prod(shape, dtype=np.int64))
    for index in np.ndindex(shape[:-2]):
        for row in range(0, shape[-2], _BAND_PX):
            band = np.asarray(labels[(*index, slice(row, row + _BAND_PX))])
            if band.size and (band.min() < 0 or band.max() > _LARGEST_VALUE):
                return ""
            digest.update(np.ascontiguousarray(band, dtype=np.uint8).data)
            done += band.size
            yield Progress(done, total, "hashing the labels")
    return digest.hexdigest()


def labels_digest(labels: Any) -> str:
    """Hash class values; see `digest_job`."""
    return drain(digest_job(labels))


def origin_of(labels: Any, record: LabelRecord | None) -> Origin:
    """Tell whether labels are as their record says.

    Parameters
    ----------
    labels : array of shape (..., Y, X)
        Class values.
    record : LabelRecord or None
        What is recorded with them.
    """
    if record is None or not record.labels_sha256:
        return Origin.UNKNOWN
    is_same = labels_digest(labels) == record.labels_sha256
    return Origin.PREDICTION if is_same else Origin.CHANGED


def read_record(path: Path) -> LabelRecord | None:
    """Return what a file of labels says of where they come from; no pixel is read.

    Parameters
    ----------
    path : Path
        TIFF or OME-Zarr group.

    Returns
    -------
    LabelRecord or None
        None if the file says nothing, is of another kind or damaged, or not there.
    """
    if path.is_dir():
        image = read_ngff(path)
        return LabelRecord.from_dict(image.provenance) if image and image.scheme else None
    if path.suffix.lower() not in TIFF_SUFFIXES:
        return None
    text = tiff_description(path)
    if f'"{FRACTOSEG_ATTRIBUTE}"' not in text:
        return None
    try:
        return LabelRecord.from_dict(json.loads(text)[FRACTOSEG_ATTRIBUTE])
    except (ValueError, KeyError, TypeError):
        return None
