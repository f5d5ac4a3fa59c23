"""Working copy of labels on disk: *Live* writes what it learns there, and strokes are saved."""

from __future__ import annotations

import math

import numpy as np
from napari.layers import Labels

from napari_fractoseg._napari.corrections import remember_prediction
from napari_fractoseg._napari.live.strokes import Box, LiveLabels
from napari_fractoseg.classes import UNLABELLED
from napari_fractoseg.errors import AnnotationError, TrainingError, translated
from napari_fractoseg.images.memory import free_memory
from napari_fractoseg.results.editable_labels import SavedArray

__all__ = ["MOST_COPIED_PX", "WorkingCopy"]

MOST_COPIED_PX = 2**26
"""Labels that are copied at most, such as a plane of 8192 x 8192: reading more would take long."""
_BYTES_A_PX, _SHARE = 8, 0.5
"""Memory that *Live* takes for a label, and part of the free memory that it may take for all."""


class WorkingCopy:
    """Labels of a layer on disk, in memory while *Live* is on.

    On disk is, at any time, what would be there without *Live*: the first answer with the strokes.

    Parameters
    ----------
    layer : Labels
        Layer whose labels are on disk; it gets the copy.

    Raises
    ------
    TrainingError
        If the labels cannot be written, or are too many.
    """

    def __init__(self, layer: Labels) -> None:
        saved = layer.data
        assert isinstance(saved, SavedArray)  # noqa: S101 - asked before
        _refuse_if_unfit(layer.name, saved)
        self._layer, self.saved = layer, saved
        values = np.asarray(saved)
        predicted = saved.predicted
        if predicted is not None:
            remember_prediction(layer, np.asarray(predicted[...]))
        layer.data = values

    def save(self, live: LiveLabels, box: Box) -> None:
        """Write the strokes in a box to disk, on the first answer.

        Raises
        ------
        AnnotationError
            If it cannot be written.
        """
        painted = live.painted[box]
        values = np.where(painted == UNLABELLED, live.first[box], painted)
        with translated(AnnotationError, f"The stroke cannot be saved in {self.saved.folder}"):
            self.saved[box] = values.astype(self.saved.dtype)

    def give_back(self) -> None:
        """Let the layer have the labels on disk again."""
        self._layer.data = self.saved

    @property
    def text(self) -> str:
        """What is where, when the layer keeps the copy."""
        return (
            f"{self._layer.name} is in memory now: what was learnt is not saved. "
            f"{self.saved.folder.name} has the first answer with your strokes. To keep what is "
            "shown, save the layer (File > Save Selected Layers)."
        )


def _refuse_if_unfit(name: str, saved: SavedArray) -> None:
    if saved.is_read_only:
        raise TrainingError(
            f"The labels of {name} may only be read, so that strokes on them cannot be saved. "
            "Duplicate the layer, and paint on the duplicate."
        )
    most = min(MOST_COPIED_PX, int(free_memory() * _SHARE) // _BYTES_A_PX)
    if math.prod(saved.shape) > most:
        raise TrainingError(
            f"The labels of {name} are on disk, {' x '.join(map(str, saved.shape))} of them. Live "
            f"keeps a copy in memory, of at most {most:,} labels now. Crop the image, or segment "
            "fewer planes of it."
        )
