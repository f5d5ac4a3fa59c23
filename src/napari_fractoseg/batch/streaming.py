"""A zarr image -> zarr labels, in little memory, and gone on with after a kill."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from napari_fractoseg.batch.tasks import SegmentTask
from napari_fractoseg.batch.zarr_labels import ZarrLabels, read_header
from napari_fractoseg.images import MicrographStack
from napari_fractoseg.inference.predictor import Prediction, Predictor
from napari_fractoseg.inference.record import RunRecord
from napari_fractoseg.jobs import Job

__all__ = ["ZarrRun"]


class ZarrRun:
    """The segmentation of a zarr.

    Parameters
    ----------
    task : SegmentTask
        Names image and results.
    stack : MicrographStack
        The image.
    make_predictor : callable
        Takes ``tile_px`` and returns the `Predictor`.
    sha256 : str
        Of the image.
    """

    def __init__(
        self,
        task: SegmentTask,
        stack: MicrographStack,
        make_predictor: Callable[..., Predictor],
        sha256: str,
    ) -> None:
        self._task, self._stack = task, stack
        paths = [(task.labels_path, "uint8")]
        if task.settings.confidence:
            paths.append((task.confidence_path, "float32"))
        # Tiles depend on the memory that is free now; a run that goes on needs those it had.
        earlier = read_header(task.labels_path) or {}
        self.predictor = make_predictor(tile_px=task.settings.tile_px or earlier.get("tile_px"))
        headers = [self._header(dtype, sha256) for _, dtype in paths]
        goes_on = [read_header(path) for path, _ in paths] == headers
        if not goes_on:
            self.predictor = make_predictor(tile_px=task.settings.tile_px)
            headers = [self._header(dtype, sha256) for _, dtype in paths]
        self._outputs = [
            ZarrLabels(path, header, anew=not goes_on)
            for (path, _), header in zip(paths, headers, strict=True)
        ]

    def _header(self, dtype: str, sha256: str) -> dict[str, Any]:
        """Return what a result is, and what a run must have in common to go on with it."""
        inference = self.predictor.model.card.inference
        return {
            "shape": list(self._stack.shape),
            "axes": [asdict(axis) for axis in self._stack.axes or ()],
            "dtype": dtype,
            "image": sha256,
            "model": self.predictor.model.digest,
            "reductions": list(inference.reductions),
            "flips": inference.flips,
            "halo_px": inference.halo_px,
            "tile_px": self.predictor.tiler.tile_px,
        }

    def job(self) -> Job[Prediction]:
        """Label what is not labelled yet, and put the results in their place.

        Yields
        ------
        Progress
            As of `Predictor`.

        Returns
        -------
        Prediction
            Its arrays are the results on disk.
        """
        record = RunRecord()
        labels, *more = self._outputs
        yield from self.predictor.run_into(
            self._stack,
            labels.array,
            more[0].array if more else None,
            record=record,
            journal=labels.journal,
        )
        scheme, palette = self.predictor.model.card.scheme, self._task.settings.palette
        shown = scheme if palette is None else scheme.with_palette(palette)
        for output, classes in zip(self._outputs, (shown, None), strict=False):
            output.describe(output.path.stem, self._task.path, classes, self._stack.pixel_size_um)
        arrays = [output.finish() for output in self._outputs]
        return Prediction(
            arrays[0],
            arrays[1] if more else None,
            scheme,
            record.left_out,
            tuple(record.notes),
        )

    @property
    def written(self) -> list[Path]:
        """The results."""
        return [output.path for output in self._outputs]
