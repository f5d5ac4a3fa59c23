"""Labels on disk that are painted on in place; what a model said first is kept beside them."""

from __future__ import annotations

import itertools
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_fractoseg.errors import AnnotationError

__all__ = ["SavedArray"]

_PREDICTED = "predicted"


class SavedArray:
    """A zarr array in a group, as an array that can be sliced and written.

    Only what is sliced is read. What is written is saved at once. If the values
    are a prediction, a copy of them is made before they are changed for the
    first time: the array ``predicted`` of the same group.

    Parameters
    ----------
    array : zarr.Array
        In a group on the local disk, opened for writing.
    is_prediction : bool
        Whether a model gave the values.
    """

    def __init__(self, array: Any, *, is_prediction: bool) -> None:
        self.is_prediction = is_prediction
        self.move_to(array)

    def move_to(self, array: Any) -> None:
        """Go on with an array of the same shape elsewhere."""
        self._array = array
        self._group = Path(array.store.root)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape (..., Y, X)."""
        return tuple(int(n) for n in self._array.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the values."""
        dtype: np.dtype[Any] = np.dtype(self._array.dtype)
        return dtype

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of pixels."""
        return int(np.prod(self.shape, dtype=np.int64))

    @property
    def folder(self) -> Path:
        """The zarr group."""
        return self._group

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> Any:
        return self._array[key]

    def __setitem__(self, key: Any, value: Any) -> None:
        if self._array.read_only:
            raise AnnotationError(
                f"{self._group} cannot be changed: it may only be read. Copy it to a folder of "
                "yours and open it there."
            )
        if self.is_prediction and not (self._group / _PREDICTED).exists():
            self._keep_prediction()
        self._array[key] = value

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        return np.asarray(self._array[...], dtype=dtype)

    def __deepcopy__(self, memo: dict[int, Any]) -> SavedArray:
        """Copy the files: a layer that is duplicated can be painted on by itself."""
        import zarr

        place = _free_place(self._group)
        shutil.copytree(self._group, place)
        array = zarr.open_group(place, mode="r+")[self._array.path]
        return SavedArray(array, is_prediction=self.is_prediction)

    @property
    def predicted(self) -> Any | None:
        """What the model said, an array on disk; None if it is no prediction."""
        if not self.is_prediction:
            return None
        if not (self._group / _PREDICTED).exists():
            return self._array
        import zarr

        return zarr.open_array(self._group / _PREDICTED, mode="r")

    def _keep_prediction(self) -> None:
        """Copy the compressed files; the copy appears when it is complete."""
        draft = self._group / f".{_PREDICTED}.part"
        shutil.rmtree(draft, ignore_errors=True)
        shutil.copytree(self._group / self._array.path, draft)
        draft.rename(self._group / _PREDICTED)


def _free_place(group: Path) -> Path:
    """Return ``a [2]_labels.zarr`` for ``a_labels.zarr``, or a higher number."""
    name = group.name.removeprefix(".").removesuffix(".part")
    at = name.rfind("_") if "_" in name else name.rfind(".")
    stem, kind = name[:at], name[at:]
    numbered = (group.with_name(f"{stem} [{number}]{kind}") for number in itertools.count(2))
    return next(place for place in numbered if not place.exists())
