"""Parts of labels on disk: arrays beside them, such as the prediction that they began as."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_fractoseg.errors import ImageError, translated
from napari_fractoseg.images import read_image
from napari_fractoseg.images.formats.zarr import ZarrPixels, open_array
from napari_fractoseg.results.editable_labels import PREDICTED
from napari_fractoseg.results.record import labels_digest, read_entries

__all__ = ["CHECKED", "EXCLUDED", "FIRST_ANSWER", "PARTS", "PART_NAMES", "part_of"]

FIRST_ANSWER = "first_answer"
"""Part: what a model gave before other labels were learnt from strokes (*Live*)."""
CHECKED = "checked"
"""Part: 1 where a person said that the labels are right."""
EXCLUDED = "excluded"
"""Part: 1 where the image shows no specimen; in a zarr a label image of that name."""
PART_NAMES = (PREDICTED, FIRST_ANSWER, CHECKED, EXCLUDED)
"""Names of all parts: ends of the names of their files, too."""
PARTS = "parts"
"""Entry beside the labels that lists their parts: name -> file and hash of its values."""


def part_of(path: Path, name: str) -> Any | None:
    """Return a part that was written with labels; None if there is none, or it is another one now.

    Parameters
    ----------
    path : Path
        File or OME-Zarr group of the labels.
    name : str
        Name of the part, such as ``predicted``.

    Returns
    -------
    array or None
        Of an OME-Zarr an array on disk; else one in memory.
    """
    try:
        with translated(ImageError, f"{path} cannot be read"):
            if path.is_dir():
                place = path / name
                return ZarrPixels(open_array(path, name), path) if place.is_dir() else None
            return _beside(path, name)
    except ImageError:
        return None


def _beside(path: Path, name: str) -> npt.NDArray[np.uint8] | None:
    """Return a part in a TIFF beside that of the labels, if it is still the one of then."""
    listed = read_entries(path).get(PARTS)
    part = listed.get(name) if isinstance(listed, dict) else None
    if not isinstance(part, dict):
        return None
    place = path.with_name(Path(str(part.get("file"))).name)
    if not place.is_file():
        return None
    values = np.asarray(read_image(place, rgb=False).data)
    digest = labels_digest(values)
    return values.astype(np.uint8) if digest and digest == part.get("sha256") else None
