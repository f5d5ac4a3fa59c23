"""Where the labels of a run are: in memory, or in zarr groups on disk. No layer, no Qt."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from napari_fractoseg._napari.layers import unique_name
from napari_fractoseg.classes import ClassScheme
from napari_fractoseg.errors import FractosegError
from napari_fractoseg.images import LazyPlane, MicrographStack
from napari_fractoseg.inference.result import CONFIDENCE, MARGIN
from napari_fractoseg.inference.result_size import result_bytes, too_large
from napari_fractoseg.jobs import Job
from napari_fractoseg.results.editable_labels import SavedArray
from napari_fractoseg.results.record import LabelRecord, digest_job

__all__ = ["ArraysInMemory", "ArraysOnDisk", "ResultArrays"]

_LABELS = "labels"
_NOT_IN_NAMES = re.compile(r'[\x00-\x1f<>:"/\\|?*]')


class ResultArrays(Protocol):
    """The arrays of a result.

    Attributes
    ----------
    labels, predicted : array or None
        None until they are opened, or where they are not wanted.
    uncertainties : dict of str to array
        Those of `CONFIDENCE` and `MARGIN` that are wanted; empty until they are opened.
    place : Path or None
        Where the labels are saved.
    """

    labels: Any
    uncertainties: dict[str, Any]
    predicted: Any
    place: Path | None

    def open(self) -> tuple[Any, Mapping[str, Any]]:
        """Make the arrays; return those that labels and uncertainties are written into."""

    def keep_job(self, planes: Iterable[tuple[int, ...]]) -> Job[str]:
        """Keep what the model said of the planes of a run; return the hash of all that it said."""

    def finish(self, scheme: ClassScheme, record: LabelRecord) -> None:
        """Write down what the arrays are and make them ready for the brush.

        It may take long, and is called in the thread that filled them.
        """

    def discard(self) -> None:
        """Remove what was opened: nothing was written."""

    def plane(self, index: tuple[int, ...]) -> Any:
        """Return the labels of a plane, to be read once."""


class ArraysInMemory:
    """Arrays of the computer's memory.

    Parameters
    ----------
    image : MicrographStack
        What is segmented.
    kinds : sequence of str
        Of `CONFIDENCE` and `MARGIN`, what is wanted.
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
        """Copy what the model said, before anybody paints on it, and hash it."""
        for plane in planes:
            self.predicted[plane] = self.labels[plane]
        return (yield from digest_job(self.predicted))

    def finish(self, scheme: ClassScheme, record: LabelRecord) -> None:
        """Do nothing: the layer has the arrays already, and its metadata say what they are."""

    def discard(self) -> None:
        """Do nothing: an earlier run may have filled other planes."""

    def plane(self, index: tuple[int, ...]) -> Any:
        """Return the labels of a plane."""
        return self.labels[index]


class ArraysOnDisk:
    """OME-Zarr groups: ``<image>_labels.zarr``, ``<image>_confidence.zarr`` and so on.

    Nothing is overwritten: where there is one, the name gets a number.

    Parameters
    ----------
    image : MicrographStack
        What is segmented.
    kinds : sequence of str
        Of `CONFIDENCE` and `MARGIN`, what is wanted.
    folder : Path
        Where the groups are made.
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
        """Make the drafts of the groups."""
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

        stem = _NOT_IN_NAMES.sub("_", self._image.name).strip(" .") or "image"
        taken: list[str] = []
        while True:
            free = unique_name(stem, taken)
            paths = [self._folder / f"{free}_{kind}.zarr" for kind in (_LABELS, CONFIDENCE, MARGIN)]
            if not any(path.exists() or read_header(path) is not None for path in paths):
                return free
            taken.append(free)

    def keep_job(self, planes: Iterable[tuple[int, ...]]) -> Job[str]:  # noqa: ARG002
        """Hash what is on disk; it is kept when somebody paints on it."""
        return (yield from digest_job(self.labels))

    def finish(self, scheme: ClassScheme, record: LabelRecord) -> None:
        """Write axes, scale, classes and where the labels come from; put them in their place."""
        size = self._image.pixel_size_um
        groups, self._groups = self._groups, {}
        try:
            for kind, group in groups.items():
                classes = scheme if kind == _LABELS else None
                what = record if kind == _LABELS else record.of("")
                group.describe(group.path.stem, self._source, classes, size, what)
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
        """Remove the drafts."""
        groups, self._groups = self._groups, {}
        for group in groups.values():
            shutil.rmtree(group.draft, ignore_errors=True)
        self.place = None

    def plane(self, index: tuple[int, ...]) -> Any:
        """Return the labels of a plane, read in parts."""
        return LazyPlane(self.labels, index)

    def _cannot_write(self, error: OSError) -> FractosegError:
        return FractosegError(
            f"{self._folder}: the result cannot be written there ({error}). Choose another folder "
            "under Advanced > Save to zarr."
        )


def _writable(array: Any) -> Any:
    """Open an array again, so that it can be painted on."""
    import zarr

    return zarr.open_group(array.store.root, mode="r+")[array.path]
