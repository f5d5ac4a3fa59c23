"""Label records: which model gave labels, of which image, and a hash of them as it gave them.

Whether labels are an untouched prediction is recorded with them, in the tags of a
TIFF or the attributes of a zarr group, and never guessed from the name of a file.
"""

from __future__ import annotations

import enum
import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from napari_fractoseg.classes import ClassScheme
from napari_fractoseg.errors import ClassSchemeError, FractosegError, translated
from napari_fractoseg.images import TIFF_SUFFIXES, tiff_description
from napari_fractoseg.images.calibration.written import own_entries
from napari_fractoseg.jobs import Job, Progress, drain
from napari_fractoseg.results.label_images import FRACTOSEG_ATTRIBUTE, read_ngff

__all__ = [
    "LabelRecord",
    "Origin",
    "digest_job",
    "labels_digest",
    "origin_of",
    "read_entries",
    "read_record",
    "recorded_scheme",
    "scheme_in",
]

_SCHEMA = 1
"""Version of the record's layout, raised when older programs would misunderstand a record."""
_BAND_PX = 1024
"""Number of rows that are read at once: those of a chunk of our zarr files."""
_LARGEST_VALUE = 255


class Origin(enum.Enum):
    """Origin of labels, as far as it can be told from what is recorded with them."""

    PREDICTION = "untouched prediction"
    """Labels that are as a model gave them."""
    CHANGED = "changed since"
    """Labels that a model gave, and some of which were changed; which ones is not known."""
    UNKNOWN = "unknown"
    """Labels without a record: a person may have painted them, or a program made them."""


@dataclass(frozen=True)
class LabelRecord:
    """Record of a prediction: the model, the image, and a hash of the labels as they were then.

    Parameters
    ----------
    model_name : str
        Title of the model.
    model_digest : str
        SHA-256 of the model's weights.
    image : str
        Name of the image.
    scheme : ClassScheme
        Classes of the label values, with names and colours.
    labels_sha256 : str
        Hash of the labels, from `labels_digest`; empty while they are not complete.
    model : str
        Name or folder by which the model was chosen.
    planes : "all" or sequence of sequence of int
        Planes that are labelled completely, by their index on the leading axes.
    device : str
        Processor or GPU that computed the labels, in words.
    flips : bool
        Whether mirror images were averaged.
    tile_px : int
        Edge length of a tile's core in pixels.
    halo_px : int
        Width of the halo around the core in pixels.
    version : str
        Version of the program that wrote the labels.
    excluded : dict of str to object
        What of the image was left out, as `ExcludedArea.to_dict` says it; empty for nothing.
    pixel_size : dict
        Pixel size of the image with its origin, as `PixelSize.to_dict`; empty if it is not known.
    scale_factor : float
        How many image pixels stood for one pixel of the images that the model learnt from.
    familiarity, familiarity_limit : float or None
        How far the image, or its plane that is farthest, is from what the model learnt, and the
        distance that an image like the training images stays below; None if that is not known. It
        is above it exactly if `unlike` says something.
    unlike : str
        Sentence on what looks unlike what the model learnt; empty if nothing does.
    untold : str
        Sentence on why it is not known whether the image looks like what the model learnt; empty
        if it is, or if nobody asked.
    temperature : float
        Temperature of the confidence and margin beside them.

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
    excluded: dict[str, Any] = field(default_factory=dict)
    pixel_size: dict[str, Any] = field(default_factory=dict)
    scale_factor: float = 1.0
    familiarity: float | None = None
    familiarity_limit: float | None = None
    unlike: str = ""
    untold: str = ""
    temperature: float = 1.0

    def to_dict(self) -> dict[str, Any]:
        """Return the record as plain JSON types."""
        return {"record": _SCHEMA, **asdict(self), "scheme": self.scheme.to_dict()}

    @classmethod
    def from_dict(cls, data: Any) -> LabelRecord | None:
        """Build a record from `to_dict`'s result; None if it is something else, or newer."""
        if not isinstance(data, Mapping):
            return None
        known = {f.name: data[f.name] for f in fields(cls) if f.name in data}
        kinds: dict[str, Any] = {
            "str": str,
            "bool": bool,
            "int": int,
            "float": (int, float),
            "dict[str, Any]": dict,
            "float | None": float | int | None,
        }
        try:
            with translated(FractosegError, "This is no record"):
                if int(data.get("record", _SCHEMA)) > _SCHEMA:
                    return None
                for each in fields(cls):
                    kind = kinds.get(str(each.type), object)
                    if each.name in known and not isinstance(known[each.name], kind):
                        return None
                return cls(**{**known, "scheme": ClassScheme.from_dict(data["scheme"])})
        except FractosegError:
            return None

    @property
    def is_unlike(self) -> bool:
        """Whether the image, a plane of it or a part, looks unlike what the model learnt."""
        return bool(self.unlike)

    def of(self, labels_sha256: str) -> LabelRecord:
        """Return the record with the hash of labels that are complete."""
        return replace(self, labels_sha256=labels_sha256)


def digest_job(labels: Any) -> Job[str]:
    """Hash class values, of arrays of any size and wherever they are.

    The same values give the same hash, whatever type of whole numbers holds them: other
    programs save labels as other types. Axes of length 1 do not count, for some programs
    leave them out.

    Parameters
    ----------
    labels : array of shape (..., Y, X)
        Class values, which are read as they are sliced, 1024 rows of a plane at a time.

    Yields
    ------
    Progress
        Number of pixels done.

    Returns
    -------
    str
        SHA-256 of the shape and of the values as bytes; empty if a value cannot be that of
        a class (0-255).
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
    """Return the SHA-256 of class values and their shape, as `digest_job` computes it."""
    return drain(digest_job(labels))


def origin_of(labels: Any, record: LabelRecord | None) -> Origin:
    """Return the origin of labels: whether they are as their record says.

    Parameters
    ----------
    labels : array of shape (..., Y, X)
        Class values as they are now.
    record : LabelRecord or None
        Record that is stored with the labels, if there is one.
    """
    if record is None or not record.labels_sha256:
        return Origin.UNKNOWN
    is_same = labels_digest(labels) == record.labels_sha256
    return Origin.PREDICTION if is_same else Origin.CHANGED


def read_entries(path: Path) -> Mapping[str, Any]:
    """Return what this program wrote into a file of labels beside them, without reading pixels.

    Parameters
    ----------
    path : Path
        TIFF file or folder of an OME-Zarr group.

    Returns
    -------
    mapping of str to object
        Entries of a `LabelRecord` and others, JSON types of unknown content; empty if the file
        has none, is of another kind or damaged, or not there.
    """
    if path.is_dir():
        image = read_ngff(path)
        return image.provenance if image and image.scheme else {}
    if path.suffix.lower() not in TIFF_SUFFIXES:
        return {}
    entries = own_entries(tiff_description(path)).get(FRACTOSEG_ATTRIBUTE)
    return entries if isinstance(entries, dict) else {}


def read_record(path: Path) -> LabelRecord | None:
    """Return the record that is stored with labels in a file, without reading pixels.

    Parameters
    ----------
    path : Path
        TIFF file or folder of an OME-Zarr group.

    Returns
    -------
    LabelRecord or None
        Record of the labels; None if the file has none, is of another kind or damaged, or
        not there.
    """
    return LabelRecord.from_dict(read_entries(path))


def recorded_scheme(path: Path) -> ClassScheme | None:
    """Return the classes that are stored with labels in a file, also of those without a record.

    Parameters
    ----------
    path : Path
        TIFF file or folder of an OME-Zarr group.
    """
    return scheme_in(read_entries(path))


def scheme_in(entries: Mapping[str, Any]) -> ClassScheme | None:
    """Return the classes in what is stored with labels (`read_entries`), None if there are none."""
    try:
        return ClassScheme.from_dict(entries["scheme"])
    except (TypeError, KeyError, ClassSchemeError):
        return None
