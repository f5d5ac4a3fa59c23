"""The training loop, as a job: one step between two yields."""

from __future__ import annotations

import copy
import datetime
import math
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from napari_fractoseg.errors import TrainingError
from napari_fractoseg.jobs import Job, Progress
from napari_fractoseg.models.card import Inference, Lineage, ModelCard
from napari_fractoseg.models.devices import Device, choose_device, translate_out_of_memory
from napari_fractoseg.models.model import SegmentationModel
from napari_fractoseg.training.dataset import TrainingSet
from napari_fractoseg.training.evaluate import evaluate_job
from napari_fractoseg.training.losses import SegmentationLoss
from napari_fractoseg.training.plan import TrainingPlan
from napari_fractoseg.training.sampler import PatchSampler

__all__ = ["FineTuned", "Trainer", "new_model"]


@dataclass(frozen=True, eq=False)
class FineTuned:
    """The result of a training run.

    Parameters
    ----------
    model : SegmentationModel
        With plan, data hashes and figures in its card.
    history : list of dict
        ``step``, ``loss``, ``learning_rate``; ``mean_iou`` at validations.
    best_step : int
        Step whose weights were kept.
    """

    model: SegmentationModel
    history: list[dict[str, float]] = field(default_factory=list)
    best_step: int = 0


def new_model(plan: TrainingPlan, training_set: TrainingSet, name: str) -> SegmentationModel:
    """Make a network with random weights, repeatable by the plan's seed."""
    options: dict[str, Any] = {}
    if plan.decoder_channels:
        options = {
            "decoder_channels": plan.decoder_channels,
            "encoder_depth": len(plan.decoder_channels),
        }
    card = ModelCard(
        name=name, scheme=training_set.scheme, architecture=plan.architecture, encoder=plan.encoder
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(plan.seed)
        return SegmentationModel.create(card, **options)


class Trainer:
    """Trains a model by a plan.

    Parameters
    ----------
    model : SegmentationModel
        The start: new or to be fine-tuned. It is not changed.
    plan : TrainingPlan
        How to train.
    device : Device, optional
        By default `choose_device`.
    """

    def __init__(
        self, model: SegmentationModel, plan: TrainingPlan, device: Device | None = None
    ) -> None:
        self._start, self._plan = model, plan
        self._device = device or choose_device()

    def run(
        self, training_set: TrainingSet, validation_set: TrainingSet | None = None
    ) -> Job[FineTuned]:
        """Train.

        Parameters
        ----------
        training_set : TrainingSet
            To learn from; its classes are those of the model.
        validation_set : TrainingSet, optional
            Images to choose the best weights by. Without it the last weights
            are kept.

        Yields
        ------
        Progress
            After each step, with ``loss``; ``mean_iou`` after validations.

        Returns
        -------
        FineTuned

        Raises
        ------
        TrainingError
            If fewer than two classes are labelled or the loss is not finite.
        OutOfMemoryError
            If the device has too little memory.
        """
        training_set = training_set.with_scheme(self._start.card.scheme)
        training_set.check_teachable()
        plan = replace(self._plan, precision=choose_precision(self._plan, self._device))
        run = _Run(self._start, plan, self._device, training_set)
        remedy = "Use a smaller batch or patch."
        began = time.monotonic()
        for step in range(1, plan.max_steps + 1):
            minutes = (time.monotonic() - began) / 60
            position = max(step / plan.max_steps, minutes / (plan.max_minutes or math.inf))
            with translate_out_of_memory(self._device, remedy):
                metrics = run.step(step, min(position, 1.0))
            is_last = step == plan.max_steps or position >= 1
            if validation_set is not None and (is_last or step % plan.validate_every == 0):
                yield Progress(step, plan.max_steps, "validating", metrics)
                metrics |= yield from run.validate(step, validation_set)
            yield Progress(step, plan.max_steps, f"step {step}", metrics)
            if is_last:
                break
        return run.result(validation_set)


class _Run:
    """The state of one training run."""

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
        self.seed = torch.Generator().manual_seed(plan.seed)
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
        with _quiet():
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
        evaluation = yield from evaluate_job(self.current(), validation_set, self.device)
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
        """The model as it stands."""
        inference = Inference(
            reductions=self.plan.test_reductions or (self.plan.reduction,),
            flips=self.plan.test_flips,
            halo_px=self.start.card.inference.halo_px,
        )
        card = replace(self.start.card, inference=inference)
        return SegmentationModel(card, self.trained_network)

    def result(self, validation_set: TrainingSet | None) -> FineTuned:
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
        return FineTuned(model, self.history, self.best_step)


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


def choose_precision(plan: TrainingPlan, device: Device) -> str:
    """Return the plan's precision, or what the device is fast at."""
    if plan.precision != "auto":
        return plan.precision
    if device.kind == "cuda":
        return "bf16-mixed" if torch.cuda.is_bf16_supported() else "16-mixed"
    if device.kind == "cpu":
        # Only with matrix tiles (AMX) is bfloat16 faster on a CPU: 2.4 times, measured.
        capabilities = getattr(torch.cpu, "get_capabilities", dict)()
        return "bf16-mixed" if capabilities.get("amx_bf16") else "32-true"
    return "32-true"


def _fabric_devices(device: Device) -> Any:
    number = device.name.partition(":")[2]
    return [int(number)] if number else 1


@contextmanager
def _quiet() -> Iterator[None]:
    """Lightning warns of things that are none of a fractographer's business."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
