"""Labels on disk that can be painted on; the prediction they began as is kept beside them."""

from __future__ import annotations

import itertools
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_fractoseg.errors import AnnotationError, translated
from napari_fractoseg.images.formats.zarr import open_array

__all__ = ["PREDICTED", "SavedArray"]

PREDICTED = "predicted"
"""Name of the array in a group that keeps the prediction, once its labels are painted on."""
_AGAIN = "Its files are damaged or were removed; copy it again, or segment the image again."


class SavedArray:
    """A result on disk (zarr) that can be sliced and written to like an array in memory.

    Only what is sliced is read, and what is written is saved at once. Before a
    prediction is changed for the first time it is copied to the array ``predicted`` of
    the same group.

    Parameters
    ----------
    array : zarr.Array
        Array in a group on the local disk, opened for writing.
    is_prediction : bool
        Whether the values are a prediction of a model.
    """

    def __init__(self, array: Any, *, is_prediction: bool) -> None:
        self.is_prediction = is_prediction
        self.move_to(array)

    def move_to(self, array: Any) -> None:
        """Use another zarr array of the same shape from now on, such as the finished file."""
        self._array = array
        self._group = Path(array.store.root)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the array, (..., Y, X)."""
        return tuple(int(n) for n in self._array.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the elements."""
        dtype: np.dtype[Any] = np.dtype(self._array.dtype)
        return dtype

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of elements."""
        return int(np.prod(self.shape, dtype=np.int64))

    @property
    def folder(self) -> Path:
        """Folder of the zarr group that holds the array."""
        return self._group

    @property
    def is_read_only(self) -> bool:
        """Whether nothing can be written."""
        return bool(self._array.read_only)

    @property
    def is_changed(self) -> bool:
        """Whether a prediction was painted on, so that it is kept beside the labels."""
        return self.is_prediction and (self._group / PREDICTED).exists()

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> Any:
        with translated(AnnotationError, f"{self._group} cannot be read", _AGAIN):
            return self._array[key]

    def __setitem__(self, key: Any, value: Any) -> None:
        if self.is_read_only:
            raise AnnotationError(
                f"{self._group} cannot be changed: it may only be read. Copy it to a folder of "
                "yours and open it there."
            )
        if self.is_prediction and not (self._group / PREDICTED).exists():
            self._keep_prediction()
        self._array[key] = value

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        return np.asarray(self[...], dtype=dtype)

    def __deepcopy__(self, memo: dict[int, Any]) -> SavedArray:
        """Return a copy in a new zarr group, so that a duplicated layer is painted on by itself."""
        place = _free_place(self._group)
        shutil.copytree(self._group, place)
        array = open_array(place, self._array.path, mode="r+")
        return SavedArray(array, is_prediction=self.is_prediction)

    @property
    def predicted(self) -> Any | None:
        """The prediction before any change, an array on disk; None if the values are none."""
        if not self.is_prediction:
            return None
        if not (self._group / PREDICTED).exists():
            return self._array
        return open_array(self._group, PREDICTED)

    def _keep_prediction(self) -> None:
        """Copy the prediction to ``predicted``; the copy gets its name when it is complete."""
        draft = self._group / f".{PREDICTED}.part"
        shutil.rmtree(draft, ignore_errors=True)
        shutil.copytree(self._group / self._array.path, draft)
        draft.rename(self._group / PREDICTED)


def _free_place(group: Path) -> Path:
    """Return a free name: ``a [2]_labels.zarr`` for ``a_labels.zarr``, or a higher number."""
    name = group.name.removeprefix(".").removesuffix(".part")
    at = name.rfind("_") if "_" in name else name.rfind(".")
    stem, kind = name[:at], name[at:]
    numbered = (group.with_name(f"{stem} [{number}]{kind}") for number in itertools.count(2))
    return next(place for place in numbered if not place.exists())
