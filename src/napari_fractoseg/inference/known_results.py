"""Results of the user's runs by their content, so that a copy is known whatever its name.

napari saves labels without what is recorded of them. Labels that are opened again are
looked up here by their hash, in a folder of small files beside the user's models.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from napari_fractoseg.errors import OutputError
from napari_fractoseg.files import write_bytes
from napari_fractoseg.models.registry import user_folder
from napari_fractoseg.results.record import LabelRecord, labels_digest

__all__ = ["is_shape_known", "known_result", "remember_result"]

_MOST = 2000
"""Number of the latest results whose records are kept, of 2 KB each."""

logger = logging.getLogger(__name__)


def remember_result(record: LabelRecord, shape: Sequence[int]) -> None:
    """Keep a record of labels that are complete, to know them again; never raises.

    Parameters
    ----------
    record : LabelRecord
        Record of the labels; one without a hash is not kept.
    shape : sequence of int
        Shape of the labels.
    """
    if not record.labels_sha256:
        return
    place = _folder() / f"{_begin(shape)}{record.labels_sha256}.json"
    try:
        text = json.dumps(record.to_dict(), indent=2) + "\n"
        write_bytes(place, text.encode(), overwrite=True)
        _forget_oldest()
    except (OSError, OutputError) as error:  # a convenience: the result itself is where it belongs
        logger.info("%s cannot be written (%s).", place, error)


def known_result(labels: Any) -> LabelRecord | None:
    """Return the record of labels that are an untouched result of a run.

    Parameters
    ----------
    labels : array of shape (..., Y, X)
        Class values, which are read only if a result of that shape is known.

    Returns
    -------
    LabelRecord or None
        Record of the run; None if no run is known to have given these labels, or nothing
        is labelled.
    """
    if not is_shape_known(labels.shape):
        return None
    name = f"{_begin(labels.shape)}{labels_digest(labels)}.json"
    try:
        text = (_folder() / name).read_text(encoding="utf-8")
        record = LabelRecord.from_dict(json.loads(text))
    except (OSError, ValueError):
        return None
    return record if record is not None and _is_labelled(labels) else None


def is_shape_known(shape: Sequence[int]) -> bool:
    """Tell whether a run is known that gave labels of a shape."""
    return any(_folder().glob(f"{_begin(shape)}*.json"))


def _is_labelled(labels: Any) -> bool:
    return any(np.any(labels[index]) for index in np.ndindex(labels.shape[:-2]))


def _folder() -> Path:
    return user_folder().parent / "results"


def _begin(shape: Sequence[int]) -> str:
    """Return how file names of results of a shape begin; axes of length 1 do not count."""
    return "x".join(str(int(n)) for n in shape if n != 1) + "-"


def _forget_oldest() -> None:
    with os.scandir(_folder()) as entries:
        found = [(e.stat().st_mtime_ns, e.path) for e in entries if e.name.endswith(".json")]
    for _, path in sorted(found)[:-_MOST]:
        Path(path).unlink(missing_ok=True)
