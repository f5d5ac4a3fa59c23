"""What changes during a training run: weights, their average, the best so far."""

from __future__ import annotations

import copy
import datetime
import logging
import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from napari_fractoseg.errors import TrainingError
from napari_fractoseg.jobs import Job
from napari_fractoseg.models.card import Inference, Lineage
from napari_fractoseg.models.devices import Device
from napari_fractoseg.models.model import SegmentationModel
from napari_fractoseg.training.dataset import TrainingSet
from napari_fractoseg.training.evaluate import as_part, evaluate_job
from napari_fractoseg.training.losses import SegmentationLoss
from napari_fractoseg.training.plan import TrainingPlan
from napari_fractoseg.training.sampler import PatchSampler

__all__ = ["TrainingRun", "choose_precision", "learning_rate_factor"]

_LIGHTNING_LOGGER = logging.getLogger("lightning_fabric.utilities.rank_zero")


class TrainingRun:
    """The state of one training run.

    Parameters
    ----------
    start : SegmentationModel
        Its network is copied.
    plan : TrainingPlan
        With a precision other than ``auto``.
    device : Device
        Where to train.
    training_set : TrainingSet
        With the classes of `start`.
    """

    def __init__(
        self,
        start: SegmentationModel,
        plan: TrainingPlan,
        device: Device,
        training_set: TrainingSet,
    ) -> None:
        self.plan, self.device, self.start = plan, device, start
        self.training_set = training_set
        self.history: list[dict[str, float]] = []
        self.best_step, self.best_score = 0, -math.inf
        self.best_weights: dict[str, torch.Tensor] | None = None
        rng = np.random.default_rng(plan.seed)
        self.sampler = PatchSampler(training_set, plan, rng)
        self.loss = SegmentationLoss(plan.dice_weight, plan.label_smoothing)
        network = copy.deepcopy(start.network).to(memory_format=torch.channels_last)
        self.optimiser = torch.optim.AdamW(
            network.parameters(), lr=plan.learning_rate, weight_decay=plan.weight_decay
        )
        with _quiet():
            self.fabric = Fabric(
                accelerator=device.kind, devices=_fabric_devices(device), precision=plan.precision
            )
            self.network, self.fabric_optimiser = self.fabric.setup(network, self.optimiser)
        self.raw_network: nn.Module = network
        self.average = (
            AveragedModel(
                network,
                multi_avg_fn=get_ema_multi_avg_fn(plan.average_decay),  # type: ignore[no-untyped-call]
                use_buffers=True,
            )
            if plan.average_decay
            else None
        )

    def step(self, number: int, position: float) -> dict[str, float]:
        """Take one optimiser step; `position` is the part of the run that is over, 0-1."""
        rate = self.plan.learning_rate * learning_rate_factor(position, self.plan.warm_up)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        images, targets = self.sampler.batch(self.plan.batch_size)
        images = images.to(self.fabric.device, memory_format=torch.channels_last)
        self.network.train()
        loss = self.loss(self.network(images), targets.to(self.fabric.device))
        self.fabric.backward(loss)
        self.fabric.clip_gradients(
            self.network, self.fabric_optimiser, max_norm=5.0, error_if_nonfinite=False
        )
        self.fabric_optimiser.step()
        self.fabric_optimiser.zero_grad()
        value = float(loss.detach())
        if not math.isfinite(value):
            raise TrainingError(
                f"The loss became {value} in step {number}. Use a smaller learning rate than "
                f"{self.plan.learning_rate}."
            )
        if self.average is not None:
            self.average.update_parameters(self.raw_network)
        self.history.append({"step": number, "loss": value, "learning_rate": rate})
        return {"loss": value, "learning_rate": rate}

    def validate(self, step: int, validation_set: TrainingSet) -> Job[dict[str, float]]:
        """Judge the current weights and keep them if they are the best so far."""
        job = evaluate_job(self.current(), validation_set, self.device)
        evaluation = yield from as_part(job, step, self.plan.max_steps, "validating")
        score = evaluation.pooled.mean_iou
        if score > self.best_score:
            self.best_step, self.best_score = step, score
            self.best_weights = copy.deepcopy(self.trained_network.state_dict())
        self.history[-1]["mean_iou"] = score
        return {"mean_iou": score}

    @property
    def trained_network(self) -> nn.Module:
        """The running average of the weights, or the last weights."""
        return self.raw_network if self.average is None else self.average.module

    def current(self) -> SegmentationModel:
        """Return the model as it stands."""
        inference = Inference(
            reductions=self.plan.test_reductions or (self.plan.reduction,),
            flips=self.plan.test_flips,
            halo_px=self.start.card.inference.halo_px,
        )
        card = replace(self.start.card, inference=inference)
        return SegmentationModel(card, self.trained_network)

    def result(self, validation_set: TrainingSet | None) -> SegmentationModel:
        """Return the best model, on the CPU, with its card filled in."""
        model = self.current()
        if self.best_weights is not None:
            model.network.load_state_dict(self.best_weights)
        else:
            self.best_step = int(self.history[-1]["step"])
        data = self.training_set.digests()
        metrics = {}
        if validation_set is not None:
            metrics = {"validation": {"images": validation_set.names, "mean_iou": self.best_score}}
        from napari_fractoseg import __version__

        lineage = Lineage(
            parent=self.start.digest or None,
            plan={**self.plan.to_dict(), "steps_done": int(self.history[-1]["step"])},
            data=data,
            created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            fractoseg_version=__version__,
        )
        model.card = replace(model.card, lineage=lineage, metrics=metrics)
        model.network.to("cpu").eval()
        return model


def learning_rate_factor(position: float, warm_up: float) -> float:
    """Rise linearly from 0 to 1 over `warm_up`, then fall to 0 along a cosine.

    Parameters
    ----------
    position, warm_up : float
        Parts of the run, 0-1.

    Returns
    -------
    float
        0-1; Loshchilov & Hutter, "SGDR" (2017), without restarts.
    """
    if position < warm_up:
        return position / warm_up
    return 0.5 * (1 + math.cos(math.pi * (position - warm_up) / (1 - warm_up)))


def choose_precision(
    plan: TrainingPlan, device: Device
) -> Literal["auto", "32-true", "bf16-mixed", "16-mixed"]:
    """Return the plan's precision, or what the device is fast at."""
    if plan.precision != "auto":
        return plan.precision
    if device.kind == "cuda":
        return "bf16-mixed" if torch.cuda.is_bf16_supported() else "16-mixed"
    if device.kind == "cpu":
        # Only with matrix tiles (AMX) is bfloat16 faster on a CPU: 2.4 times, measured.
        capabilities: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
        return "bf16-mixed" if capabilities.get("amx_bf16") else "32-true"
    return "32-true"


def _fabric_devices(device: Device) -> Any:
    number = device.name.partition(":")[2]
    return [int(number)] if number else 1


@contextmanager
def _quiet() -> Iterator[None]:
    """Lightning tells things that are none of a fractographer's business."""
    level = _LIGHTNING_LOGGER.level
    _LIGHTNING_LOGGER.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        _LIGHTNING_LOGGER.setLevel(level)
