"""Planes of the result of an image: rows of the table, overlays, and sizes of the files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import imageio.v3 as iio
import numpy as np
import pandas as pd

from napari_fractoseg.batch.report import FileResult
from napari_fractoseg.batch.tasks import SegmentTask
from napari_fractoseg.classes import ClassScheme
from napari_fractoseg.images import ExcludedArea, LazyPlane, MicrographStack
from napari_fractoseg.inference.result import Prediction
from napari_fractoseg.measurement import class_fractions, overlay
from napari_fractoseg.results.intact import size_of

__all__ = ["fractions_of_plane", "plane_text", "sizes_of", "with_overlays"]


def plane_text(index: tuple[int, ...]) -> str:
    """Return the index of a plane as tables have it, such as ``0 5``; ``0`` of the only one."""
    return " ".join(map(str, index)) or "0"


def sizes_of(task: SegmentTask, result: FileResult) -> dict[str, tuple[int, int]]:
    """Return name -> bytes and number of files, of the results that were written (`size_of`)."""
    return {name: size_of(task.out / name) for name in result.outputs}


def with_overlays(
    result: FileResult,
    task: SegmentTask,
    stack: MicrographStack,
    prediction: Prediction,
    scheme: ClassScheme,
    draft: Callable[[Path], Path],
) -> FileResult:
    """Write the overlays of all planes that are wanted; return the result with their names.

    Parameters
    ----------
    result : FileResult
        Result of the image so far.
    task : SegmentTask
        Task, which says whether overlays are wanted and how they are named.
    stack : MicrographStack
        Image.
    prediction : Prediction
        Its labels.
    scheme : ClassScheme
        Classes in the colours that are shown.
    draft : callable
        Function from the path of a file to where it is written now.
    """
    written = []
    for index in stack.indices() if task.settings.overlay else ():
        if index in prediction.left_out and prediction.left_out[index].is_damaged:
            continue  # there is nothing to show
        plane = replace(stack, excluded=None).plane(index).data  # the bar is shown as it is
        if isinstance(plane, LazyPlane):
            note = (
                f"{task.path.name}: no overlay is drawn of planes of more than 64 megapixels; open "
                "image and labels in napari."
            )
            return replace(result, notes=(*result.notes, note))
        path = task.overlay_path(index, stack.shape[:-2])
        picture = overlay(plane, np.asarray(prediction.labels[index]), scheme)
        iio.imwrite(draft(path), picture)
        written.append(path.name)
    return replace(result, outputs=(*result.outputs, *written))


def fractions_of_plane(
    file: str, index: tuple[int, ...], prediction: Prediction, area: ExcludedArea | None
) -> pd.DataFrame:
    """Return the rows of ``fractions.csv`` of a plane, by its index on the leading axes.

    Parameters
    ----------
    file : str
        Name of the image.
    index : tuple of int
        Index of the plane.
    prediction : Prediction
        Labels of the image, and which planes were left out.
    area : ExcludedArea or None
        What of the image does not count.
    """
    labels: Any = prediction.labels
    plane = labels[index] if isinstance(labels, np.ndarray) else LazyPlane(labels, index)
    excluded = None if area is None else area.of_plane(index)
    table = class_fractions(plane, prediction.scheme, excluded=excluded)
    table.insert(0, "file", file)
    table.insert(1, "plane", plane_text(index))
    left_out = prediction.left_out.get(index)
    if left_out is not None:  # not measured, which is not the same as nothing found
        table["fraction_of_image"] = np.nan
    familiar, untold = prediction.familiarity.get(index), prediction.untold
    table["familiarity"] = np.nan if familiar is None else familiar.to_dict()["score"]
    table["note"] = left_out.reason if left_out else familiar.sentence if familiar else untold
    return table
