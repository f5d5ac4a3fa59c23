"""A readout that is fitted again after each stroke, region by region of a stack."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from threading import Lock

import numpy as np
import numpy.typing as npt
import torch

from napari_fractoseg.classes import UNLABELLED, ClassScheme
from napari_fractoseg.images import Micrograph, MicrographStack
from napari_fractoseg.images.memory import free_memory
from napari_fractoseg.inference.plane import measured_plane
from napari_fractoseg.inference.predictor import Predictor
from napari_fractoseg.jobs import Job, Progress, as_part
from napari_fractoseg.models.devices import Device, choose_device, translate_out_of_memory
from napari_fractoseg.models.model import SegmentationModel
from napari_fractoseg.training.data.pixel_size import parent_scale
from napari_fractoseg.training.readout.features import FeatureReader, PlaneFeatures
from napari_fractoseg.training.readout.learning import fit_samples
from napari_fractoseg.training.readout.plan import ReadoutPlan
from napari_fractoseg.training.readout.regions import Region, RegionLabels
from napari_fractoseg.training.readout.samples import (
    Samples,
    answer_job,
    painted_samples,
    prior_samples,
    values_in,
)

__all__ = ["Learnt", "LiveReadout"]

_SHARE, _MOST_BYTES = 0.25, 2**31
"""Part of the free memory that features may take, and at most how much."""
_LEAST_PRIOR_PX = 250
_MOST_PAINTED_PX = 2000
"""Painted pixels of a class in a region that are sampled: after 50 strokes the errors are those
of 8000, in a third of the time."""
_REMEDY = "Switch off other programs, or choose the CPU."


@dataclass(frozen=True, eq=False)
class Learnt:
    """What was learnt from all that is painted.

    Parameters
    ----------
    weights : Tensor of float32, shape (K, D + 1)
        Weights of the readout (`fit_readout`).
    scheme : ClassScheme
        Its K classes.
    seconds : float
        How long it took, features included that were not read before.
    """

    weights: torch.Tensor
    scheme: ClassScheme
    seconds: float


class LiveReadout:
    """Readout of a stack that is fitted again and again while somebody paints.

    Features are kept in memory, those that were used last, up to a budget. `read_job` and
    `label_job` may run in a thread beside `learn_job`.

    Parameters
    ----------
    start : SegmentationModel
        Model whose features are read.
    image : MicrographStack
        Image that is painted on.
    plan : ReadoutPlan, optional
        Scale levels, regularisation, seed.
    device : Device, optional
        Device that computes; by default the best one there is.
    budget_bytes : int, optional
        Memory for features; by default a quarter of what is free, at most 2 GB.
    """

    def __init__(
        self,
        start: SegmentationModel,
        image: MicrographStack,
        plan: ReadoutPlan | None = None,
        device: Device | None = None,
        budget_bytes: int | None = None,
    ) -> None:
        self.plan = plan or ReadoutPlan()
        self.device = device or choose_device()
        self.budget_bytes = budget_bytes or min(int(free_memory() * _SHARE), _MOST_BYTES)
        self._start, self._image = start, image
        # Components of the image itself fit it better than those of a rehearsal sample.
        self._reader = FeatureReader(start, self.plan, self.device, rehearses=False)
        self._predictor: Predictor | None = None
        self._features: OrderedDict[Region, PlaneFeatures] = OrderedDict()
        self._planes: OrderedDict[tuple[int, ...], Micrograph | None] = OrderedDict()
        self._samples: dict[Region, tuple[Samples, Samples | None]] = {}
        self._labels: dict[Region, RegionLabels] = {}
        self._answers: dict[Region, npt.NDArray[np.uint8]] = {}
        self._scheme: ClassScheme | None = None
        self._last: Learnt | None = None
        self._lock = Lock()

    @property
    def n_bytes(self) -> int:
        """Memory that the features take now."""
        with self._lock:
            return sum(features.n_bytes for features in self._features.values())

    # ---- features -----------------------------------------------------------------------

    def read_job(self, region: Region) -> Job[PlaneFeatures | None]:
        """Return the features of a region, which are read if they are not at hand.

        Returns
        -------
        PlaneFeatures or None
            None for a plane that shows nothing: it has one grey level, or cannot be used; and
            for a region in a bar at the lower edge.
        """
        with self._lock:
            found = self._features.get(region)
            if found is not None:
                self._features.move_to_end(region)
                return found
        plane = self._plane(region.plane)
        if plane is None or 0 in region.box.clipped(plane.used_shape).shape:
            return None
        with translate_out_of_memory(self.device, _REMEDY):
            found = yield from self._reader.plane_job(plane, region.box)
        with self._lock:
            self._features[region] = found
            total = sum(features.n_bytes for features in self._features.values())
            while total > self.budget_bytes and len(self._features) > 1:
                total -= self._features.popitem(last=False)[1].n_bytes
        return found

    def _plane(self, index: tuple[int, ...]) -> Micrograph | None:
        """Return a plane, measured; the last ones are kept. None if it shows nothing."""
        with self._lock:
            if index not in self._planes:
                found = measured_plane(self._image, index)
                self._planes[index] = found if isinstance(found, Micrograph) else None
                if len(self._planes) > 2:
                    self._planes.popitem(last=False)
            return self._planes[index]

    # ---- learning -----------------------------------------------------------------------

    def learn_job(
        self, changed: Mapping[Region, RegionLabels], scheme: ClassScheme
    ) -> Job[Learnt | None]:
        """Learn from what is painted.

        Parameters
        ----------
        changed : mapping of Region to RegionLabels
            All that is painted in the regions that were painted on since the last time; what is
            known of others stays.
        scheme : ClassScheme
            Classes of the values.

        Yields
        ------
        Progress
            While features are read.

        Returns
        -------
        Learnt or None
            None if there are no two classes to tell apart: nothing is painted, or one class only
            and nothing is known of where the others are.
        """
        began = time.monotonic()
        if scheme != self._scheme:
            self._samples.clear()
            self._scheme = scheme
        for region, labels in changed.items():
            self._samples.pop(region, None)
            if labels.painted.any():
                self._labels[region] = labels
            else:
                self._labels.pop(region, None)
        for region in set(self._labels) - set(self._samples):
            yield Progress(len(self._samples), len(self._labels), "looking at the strokes")
            samples = yield from self._sample_job(region, scheme)
            if samples is not None:
                self._samples[region] = samples
        if not self._samples:
            return None
        yield Progress(0, 0, "learning")
        painted = Samples.joined([painted for painted, _ in self._samples.values()])
        priors = [prior for _, prior in self._samples.values() if prior is not None]
        prior = Samples.joined(priors) if priors else None
        both = painted.channels if prior is None else [*painted.channels, *prior.channels]
        if len(set(both)) < 2:
            return None
        near = None if self._last is None or self._last.scheme != scheme else self._last.weights
        weights = fit_samples(painted, prior, len(scheme), self.plan, self._reader, near=near)
        self._last = Learnt(weights, scheme, time.monotonic() - began)
        return self._last

    def _sample_job(
        self, region: Region, scheme: ClassScheme
    ) -> Job[tuple[Samples, Samples | None] | None]:
        features = yield from self.read_job(region)
        if features is None:
            return None
        labels, random = self._labels[region], np.random.default_rng(self.plan.seed)
        if (excluded := self._excluded(region)) is not None:
            labels = labels.without(excluded)
        painted = painted_samples(features, labels.painted, scheme, random, _MOST_PAINTED_PX)
        answer = labels.answer
        if answer is None or not answer.any():
            answer = yield from self._answer_job(region, scheme)
        if answer is None:
            return painted, None
        share = math.prod(region.box.shape) / math.prod(self._image.shape[-2:])
        count = max(round(self.plan.prior_px * share), _LEAST_PRIOR_PX)
        prior = prior_samples(features, answer, labels.painted, scheme, random, count)
        return painted, prior

    def _excluded(self, region: Region) -> npt.NDArray[np.bool_] | None:
        """Return the pixels of a region that show no specimen; None if there are none."""
        area = self._image.excluded
        return None if area is None else area.of_plane(region.plane).in_box(*region.box.slices)

    def _as_segmented(self) -> SegmentationModel:
        """Return the model as it segments the image: rescaled where pixel sizes say so."""
        scale = parent_scale(self._start.card, self._image.pixel_size_um)
        return self._start.at_scale(scale)

    def _answer_job(self, region: Region, scheme: ClassScheme) -> Job[npt.NDArray[np.uint8] | None]:
        """Segment a region with the model, if it knows all classes that are painted."""
        table = values_in(self._start.card.scheme, scheme)
        known = set(table[list(self._start.card.scheme.values)].tolist())
        values = {int(v) for each in self._labels.values() for v in np.unique(each.painted)}
        if not values - {UNLABELLED} <= known:
            return None
        if self._predictor is None:
            self._predictor = Predictor(self._as_segmented(), self.device, flips=False)
        plane = self._plane(region.plane)
        if plane is None:
            return None
        if region not in self._answers:
            job = answer_job(self._predictor, plane, region.box)
            self._answers[region] = yield from as_part(job, 0, 0, "asking the model")
        found: npt.NDArray[np.uint8] = table[self._answers[region]]
        return found

    # ---- labels -------------------------------------------------------------------------

    def label_job(
        self,
        learnt: Learnt,
        regions: Iterable[Region],
        deliver: Callable[[Region, npt.NDArray[np.uint8]], None],
    ) -> Job[None]:
        """Label regions with what was learnt.

        Parameters
        ----------
        learnt : Learnt
            Weights that were learnt.
        regions : iterable of Region
            Regions, in the order in which they are labelled.
        deliver : callable
            Function that is called with each region and its class values, 0 in excluded pixels;
            regions of planes that show nothing are left out.

        Yields
        ------
        Progress
            Between two regions, and while features are read.
        """
        values = torch.tensor(learnt.scheme.values, dtype=torch.uint8)
        regions = list(regions)
        for done, region in enumerate(regions):
            text = "labelling the rest"
            yield Progress(done, len(regions), text)
            features = yield from as_part(self.read_job(region), done, len(regions), text)
            if features is None:
                continue
            with torch.inference_mode(), translate_out_of_memory(self.device, _REMEDY):
                found = values[features.channels(learnt.weights)].numpy()
            labels = np.zeros(region.box.shape, np.uint8)
            labels[: len(found)] = found  # without a bar at the lower edge
            if (excluded := self._excluded(region)) is not None:
                labels[excluded] = UNLABELLED
            deliver(region, labels)
