"""Patches of each training step, made ahead in threads while the network works."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor

import torch

from napari_fractoseg.datasets.dataset import TrainingSet
from napari_fractoseg.training.data.sampler import PatchSampler
from napari_fractoseg.training.plan import TrainingPlan

__all__ = ["PatchStream"]

Batch = tuple[torch.Tensor, torch.Tensor]


class PatchStream:
    """Patches of any step, with those of the following steps prepared ahead.

    Parameters
    ----------
    training_set : TrainingSet
        Images with labels to draw from.
    plan : TrainingPlan
        Seed, patch size, and the last step.
    batch_size : int
        Number of patches that this process takes in a step.
    rank : int
        Number of this process, from 0.
    size : int
        Number of all processes that share a step: each takes every `size`-th
        patch.
    n_threads : int
        Number of threads that make patches, and of steps that are made ahead.
    """

    def __init__(
        self,
        training_set: TrainingSet,
        plan: TrainingPlan,
        batch_size: int,
        rank: int = 0,
        size: int = 1,
        n_threads: int = 2,
    ) -> None:
        self._sampler = PatchSampler(training_set, plan)
        self._numbers = range(rank, batch_size * size, size)
        self._last, self._ahead = plan.max_steps, n_threads
        self._pool = ThreadPoolExecutor(n_threads, thread_name_prefix="fractoseg-patches")
        self._waiting: dict[int, Future[Batch]] = {}

    def of(self, step: int) -> Batch:
        """Return images and targets of the patches of a step, as `PatchSampler.batch` has them."""
        for number in range(step, min(step + self._ahead, self._last) + 1):
            if number not in self._waiting:
                self._waiting[number] = self._pool.submit(
                    self._sampler.batch, number, self._numbers
                )
        return self._waiting.pop(step).result()

    def close(self) -> None:
        """End the threads, so that no more patches are made."""
        self._pool.shutdown(wait=False, cancel_futures=True)
