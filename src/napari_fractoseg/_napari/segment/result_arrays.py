"""Arrays of a segmentation's labels and uncertainties, in memory or in zarr groups on disk."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from napari_fractoseg._napari.layers import unique_name
from napari_fractoseg.classes import ClassScheme
from napari_fractoseg.errors import FractosegError
from napari_fractoseg.files import file_stem
from napari_fractoseg.images import LazyPlane, MicrographStack
from napari_fractoseg.images.formats.zarr import open_array
from napari_fractoseg.inference.result import CONFIDENCE, MARGIN
from napari_fractoseg.inference.result_size import result_bytes, too_large
from napari_fractoseg.jobs import Job, drain
from napari_fractoseg.results.editable_labels import SavedArray
from napari_fractoseg.results.record import LabelRecord, digest_job

__all__ = ["ArraysInMemory", "ArraysOnDisk", "ResultArrays"]

_LABELS = "labels"


class ResultArrays(Protocol):
    """Arrays of a segmentation, which a worker fills and layers show.

    Attributes
    ----------
    labels : array or None
        Class values, shape (..., Y, X); None until the arrays are opened.
    predicted : array or None
        Class values as the model gave them, of the same shape; None until the arrays are
        opened, or if they are kept elsewhere.
    uncertainties : dict of str to array
        Kind of uncertainty (`CONFIDENCE`, `MARGIN`) -> array of it, 0-1; empty until the
        arrays are opened.
    place : Path or None
        Zarr group that the labels are saved in; None for arrays in memory.
    """

    labels: Any
    uncertainties: dict[str, Any]
    predicted: Any
    place: Path | None

    def open(self) -> tuple[Any, Mapping[str, Any]]:
        """Make the arrays, and return those that labels and uncertainties are written into."""

    def keep_job(self, planes: Iterable[tuple[int, ...]]) -> Job[str]:
        """Keep the prediction of the planes of a run, and return the hash of all its labels."""

    def finish(self, scheme: ClassScheme, record: LabelRecord) -> None:
        """Record classes and origin of the arrays, and make them ready to be painted on.

        It may take long, and is called in the thread that filled the arrays.
        """

    def discard(self) -> None:
        """Remove the arrays that were opened, as nothing was written into them."""

    def plane(self, index: tuple[int, ...]) -> Any:
        """Return the labels of a plane by its index on the leading axes, to be read once."""


class ArraysInMemory:
    """Arrays of a segmentation in the computer's memory.

    Parameters
    ----------
    image : MicrographStack
        Image that is segmented.
    kinds : sequence of str
        Kinds of uncertainty that are wanted, of `CONFIDENCE` and `MARGIN`.
    """

    place: Path | None = None

    def __init__(self, image: MicrographStack, kinds: Sequence[str]) -> None:
        self._image, self._kinds = image, kinds
        self.labels: Any = None
        self.uncertainties: dict[str, Any] = {}
        self.predicted: Any = None

    def open(self) -> tuple[Any, Mapping[str, Any]]:
        """Make the arrays, unless an earlier run did."""
        shape = self._image.shape
        if self.labels is None:
            try:
                self.predicted = np.zeros(shape, np.uint8)
                self.uncertainties = {kind: np.zeros(shape, np.float32) for kind in self._kinds}
                self.labels = np.zeros(shape, np.uint8)
            except MemoryError as error:
                n_bytes = result_bytes(self._image, self._image.n_planes, len(self._kinds))
                raise too_large(self._image.name, n_bytes) from error
        return self.labels, self.uncertainties

    def keep_job(self, planes: Iterable[tuple[int, ...]]) -> Job[str]:
        """Copy the labels of planes before anybody paints on them, and return their hash."""
        for plane in planes:
            self.predicted[plane] = self.labels[plane]
        return (yield from digest_job(self.predicted))

    def finish(self, scheme: ClassScheme, record: LabelRecord) -> None:
        """Do nothing, as the layer has the arrays already and its metadata describe them."""

    def discard(self) -> None:
        """Do nothing, as an earlier run may have filled other planes."""

    def plane(self, index: tuple[int, ...]) -> Any:
        """Return the labels of a plane by its index on the leading axes."""
        return self.labels[index]


class ArraysOnDisk:
    """Arrays of a segmentation in OME-Zarr groups: ``<image>_labels.zarr`` and so on.

    Nothing is overwritten: where there is such a group, the name gets a number.

    Parameters
    ----------
    image : MicrographStack
        Image that is segmented.
    kinds : sequence of str
        Kinds of uncertainty that are wanted, of `CONFIDENCE` and `MARGIN`.
    folder : Path
        Folder in which the groups are made.
    source : Path, optional
        File of the image.
    """

    predicted: Any = None

    def __init__(
        self, image: MicrographStack, kinds: Sequence[str], folder: Path, source: Path | None
    ) -> None:
        self._image, self._folder, self._kinds = image, folder, (_LABELS, *kinds)
        self._source = source or folder / image.name
        self._groups: dict[str, Any] = {}
        self.place: Path | None = None
        self.labels: Any = None
        self.uncertainties: dict[str, Any] = {}

    def open(self) -> tuple[Any, Mapping[str, Any]]:
        """Make drafts of the groups, and return the arrays to write into."""
        # Imported here because it takes PyTorch along.
        from napari_fractoseg.results.label_writer import ZarrLabels

        stem = self._free_stem()
        try:
            for kind in self._kinds:
                dtype = "uint8" if kind == _LABELS else "float32"
                header = {"shape": list(self._image.shape), "dtype": dtype}
                path = self._folder / f"{stem}_{kind}.zarr"
                self._groups[kind] = ZarrLabels(path, header, anew=True)
        except OSError as error:
            raise self._cannot_write(error) from error
        self.place = self._groups[_LABELS].path
        targets = {kind: group.array for kind, group in self._groups.items()}
        labels = targets.pop(_LABELS)
        self.labels = SavedArray(labels, is_prediction=True)
        self.uncertainties = {k: SavedArray(a, is_prediction=False) for k, a in targets.items()}
        return labels, targets

    def _free_stem(self) -> str:
        """Return the image's name, or ``name [2]`` where there are results of that name."""
        from napari_fractoseg.results.label_writer import read_header

        stem = file_stem(self._image.name)
        taken: list[str] = []
        while True:
            free = unique_name(stem, taken)
            paths = [self._folder / f"{free}_{kind}.zarr" for kind in (_LABELS, CONFIDENCE, MARGIN)]
            if not any(path.exists() or read_header(path) is not None for path in paths):
                return free
            taken.append(free)

    def keep_job(self, planes: Iterable[tuple[int, ...]]) -> Job[str]:  # noqa: ARG002
        """Return the hash of the labels on disk, which are copied when somebody paints on them."""
        return (yield from digest_job(self.labels))

    def finish(self, scheme: ClassScheme, record: LabelRecord) -> None:
        """Write axes, scale, classes and label record, and turn the drafts into groups."""
        size = self._image.pixel_size_um
        groups, self._groups = self._groups, {}
        try:
            for kind, group in groups.items():
                classes = scheme if kind == _LABELS else None
                what = record if kind == _LABELS else record.of("")
                group.describe(group.path.stem, self._source, classes, size, what)
                if kind == _LABELS:
                    drain(group.add_mask(self._image.excluded))
        except OSError as error:
            raise self._cannot_write(error) from error
        for kind, group in groups.items():
            shown = self.labels if kind == _LABELS else self.uncertainties[kind]
            try:
                shown.move_to(_writable(group.finish()))
            except OSError as error:
                raise FractosegError(
                    f"{group.path} cannot be written ({error}). The result is in {group.draft}: "
                    "move that folder to another name."
                ) from error

    def discard(self) -> None:
        """Remove the drafts of the groups."""
        groups, self._groups = self._groups, {}
        for group in groups.values():
            shutil.rmtree(group.draft, ignore_errors=True)
        self.place = None

    def plane(self, index: tuple[int, ...]) -> Any:
        """Return the labels of a plane by its index on the leading axes, read in parts."""
        return LazyPlane(self.labels, index)

    def _cannot_write(self, error: OSError) -> FractosegError:
        return FractosegError(
            f"{self._folder}: the result cannot be written there ({error}). Choose another folder "
            "under Advanced > Save to zarr."
        )


def _writable(array: Any) -> Any:
    """Return a zarr array opened again, so that it can be painted on."""
    return open_array(array.store.root, array.path, mode="r+")
