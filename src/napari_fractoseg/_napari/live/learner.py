"""Jobs of *Live*, without layers and Qt; PyTorch is loaded when the first one runs."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from napari_fractoseg._napari.torch_import import prepare_torch
from napari_fractoseg.classes import ClassScheme
from napari_fractoseg.images import MicrographStack
from napari_fractoseg.jobs import Job, Progress
from napari_fractoseg.training.readout.regions import Region, RegionLabels

if TYPE_CHECKING:
    from napari_fractoseg.training.readout.live import Learnt, LiveReadout

__all__ = ["Learner"]


class Learner:
    """Learns from strokes in threads, and keeps labels until they are fetched.

    Parameters
    ----------
    image : MicrographStack
        Image that is painted on.
    model : str
        Name or folder of the model whose features are read.
    device : str
        Name of the device: ``auto``, ``cpu``, ``cuda``, ``cuda:1`` or ``mps``.

    Attributes
    ----------
    found : deque of (int, Region, ndarray)
        Labels that are ready, with the number of the lesson that they come from.
    learnt : Learnt or None
        What the last lesson gave; None if there is nothing to learn from.
    """

    def __init__(self, image: MicrographStack, model: str, device: str) -> None:
        self._image, self._model, self._device = image, model, device
        self._live: LiveReadout | None = None
        self.found: deque[tuple[int, Region, npt.NDArray[np.uint8]]] = deque()
        self.learnt: Learnt | None = None

    def lesson_job(
        self,
        number: int,
        changed: Mapping[Region, RegionLabels],
        scheme: ClassScheme,
        view: Sequence[Region],
    ) -> Job[None]:
        """Learn from all that is painted, and label what is seen.

        Parameters
        ----------
        number : int
            Number of the lesson.
        changed : mapping of Region to RegionLabels
            All that is painted in the regions that were painted on since the last lesson.
        scheme : ClassScheme
            Classes of the values.
        view : sequence of Region
            Regions that are seen; if nothing can be learnt yet, their features are read.

        Yields
        ------
        Progress
            What is being done; 0 of 0 while PyTorch and the model are loaded.
        """
        if self._live is None:
            yield Progress(0, 0, "loading PyTorch and the model")
            prepare_torch()
        from napari_fractoseg.models.devices import choose_device
        from napari_fractoseg.models.model import load_model
        from napari_fractoseg.training.readout.live import LiveReadout

        if self._live is None:
            device = choose_device(self._device)
            self._live = LiveReadout(load_model(self._model), self._image, device=device)
        live = self._live
        self.learnt = yield from live.learn_job(changed, scheme)
        if self.learnt is not None:
            yield from self.label_job(number, view)
            return
        yield from self.look_job(view)

    def look_job(self, regions: Sequence[Region]) -> Job[None]:
        """Read the features of regions, so that strokes on them are learnt from at once.

        Parameters
        ----------
        regions : sequence of Region
            Regions, in the order in which they are read.

        Yields
        ------
        Progress
            Number of regions that are read.
        """
        if self._live is None:
            return
        for done, region in enumerate(regions):
            yield Progress(done, len(regions), "looking at the image")
            yield from self._live.read_job(region)

    def label_job(self, number: int, regions: Sequence[Region]) -> Job[None]:
        """Label regions with what the last lesson gave.

        Parameters
        ----------
        number : int
            Number of that lesson.
        regions : sequence of Region
            Regions, in the order in which they are labelled.

        Yields
        ------
        Progress
            Number of regions that are labelled.
        """
        learnt, live = self.learnt, self._live
        if learnt is None or live is None:
            return

        def deliver(region: Region, labels: npt.NDArray[np.uint8]) -> None:
            self.found.append((number, region, labels))

        yield from live.label_job(learnt, regions, deliver)
