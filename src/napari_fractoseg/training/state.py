"""State of a training run: weights, their average, the best so far, and the steps between."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import pydantic
import torch
from pydantic import Field, TypeAdapter
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from napari_fractoseg.errors import TrainingError
from napari_fractoseg.evaluation.evaluate import Evaluation, evaluate_job
from napari_fractoseg.inference.magnification import AUTO, NONE
from napari_fractoseg.jobs import Job, as_part
from napari_fractoseg.models.card import Inference
from napari_fractoseg.models.devices import Device
from napari_fractoseg.models.model import SegmentationModel
from napari_fractoseg.models.networks.scale_sum import fitting_patch_px, trainable, trained
from napari_fractoseg.training.checkpoint import Checkpoint, damage_named, pack, unpack
from napari_fractoseg.training.data.pixel_size import parent_choice
from napari_fractoseg.training.data.split import Split
from napari_fractoseg.training.data.stream import PatchStream
from napari_fractoseg.training.distributed import Processes, Team, choose_precision
from napari_fractoseg.training.losses import SegmentationLoss, disagreement
from napari_fractoseg.training.optimisers import (
    freeze_statistics,
    learning_rate_factor,
    make_optimiser,
    set_learning_rate,
)
from napari_fractoseg.training.outcome import figures_of, judged_card, lineage_of
from napari_fractoseg.training.plan import TrainingPlan
from napari_fractoseg.training.presets import patches_in_a_step

__all__ = ["TrainingRun"]

_MAX_GRADIENT = 5.0


@pydantic.dataclasses.dataclass(frozen=True)
class _Facts:
    """State of a run beside its tensors, as a checkpoint has it."""

    fingerprint: dict[str, Any]
    history: list[dict[str, int | float]]
    elapsed_s: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    best_step: Annotated[int, Field(ge=0)]
    best_score: Annotated[float, Field(allow_inf_nan=False)] | None
    notes: list[str] | None = None
    tensors: list[str] | None = None


_FACTS = TypeAdapter(_Facts)
_LIMITS = ("max_steps", "max_minutes")
"""Entries of the plan that may have other values when a run is taken up again."""


class TrainingRun:
    """State of one training run.

    Parameters
    ----------
    start : SegmentationModel
        Model to start from; its network is copied.
    plan : TrainingPlan
        Optimiser, patches, validation, limits and seed. Entries that it leaves
        to the device (precision, patches in a step) are decided here, and a
        readout of several scale levels may need larger patches; the attribute
        `plan` of the run has them.
    device : Device
        Processor or GPU to train on.
    split : Split
        Labels to learn from and to validate with, in the classes of `start`.
    processes : Processes
        Numbers of processes that share each step.
    """

    def __init__(
        self,
        start: SegmentationModel,
        plan: TrainingPlan,
        device: Device,
        split: Split,
        processes: Processes = Processes(),  # noqa: B008 - frozen
    ) -> None:
        batch_size = plan.batch_size or patches_in_a_step(device.kind)
        plan = replace(
            plan,
            batch_size=batch_size,
            precision=choose_precision(plan, device),
            patch_px=fitting_patch_px(start, plan.patch_px),
        )
        self.plan, self.device, self.start, self.split = plan, device, start, split
        self.history: list[dict[str, float]] = []
        self.elapsed_s = 0.0
        self.before: dict[str, float] = {}
        self.before_unscaled: dict[str, float] = {}
        self.after: dict[str, float] = {}
        self.best_step, self.best_score = 0, -math.inf
        self.best_weights: dict[str, torch.Tensor] | None = None
        self.team = Team(device, plan.precision, processes)
        n_threads = 1 if device.kind == "cpu" else 4  # the CPU's threads are the network's
        self.patches = PatchStream(
            split.learn, plan, batch_size, self.team.rank, self.team.size, n_threads
        )
        self.loss = SegmentationLoss(plan.dice_weight, self.team.total)
        network = trainable(start, copy.deepcopy(start.network))
        network = network.to(memory_format=torch.channels_last)
        self.optimiser = make_optimiser(network, plan)
        if self.team.size > 1 and device.kind == "cuda" and not plan.freeze_batch_norm:
            network = nn.SyncBatchNorm.convert_sync_batchnorm(network)  # type: ignore[no-untyped-call]
        self.network, self.team_optimiser = self.team.setup(network, self.optimiser)
        self.raw_network: nn.Module = network
        self.parent = self._frozen_parent() if plan.stay_close else None
        self.average = (
            AveragedModel(
                network,
                multi_avg_fn=get_ema_multi_avg_fn(plan.average_decay),  # type: ignore[no-untyped-call]
                use_buffers=True,
            )
            if plan.average_decay
            else None
        )

    @property
    def n_steps(self) -> int:
        """Number of steps that were taken."""
        return len(self.history)

    def _frozen_parent(self) -> nn.Module:
        parent = trainable(self.start, copy.deepcopy(self.start.network))
        parent = parent.to(self.team.fabric.device).to(memory_format=torch.channels_last)
        return parent.eval().requires_grad_(False)

    # ---- a step -------------------------------------------------------------------------

    def step(self, position: float) -> dict[str, float]:
        """Take one step of the optimiser, and return its loss and learning rate.

        Parameters
        ----------
        position : float
            Part of the run that is over, 0-1.

        Raises
        ------
        TrainingError
            If the loss is not finite.
        """
        number = self.n_steps + 1
        rate = self.plan.learning_rate * learning_rate_factor(position, self.plan.warm_up)
        set_learning_rate(self.optimiser, rate)
        images, targets = self.patches.of(number)
        images = images.to(self.team.fabric.device, memory_format=torch.channels_last)
        value = self.learn(images, targets)
        if not math.isfinite(value):
            raise TrainingError(
                f"The loss became {value} in step {number}. Use a smaller learning rate than "
                f"{self.plan.learning_rate}."
            )
        if self.average is not None:
            self.average.update_parameters(self.raw_network)
        self.history.append({"step": number, "loss": value, "learning_rate": rate})
        return {"loss": value, "learning_rate": rate}

    def learn(self, images: torch.Tensor, targets: torch.Tensor) -> float:
        """Change the weights by the errors on some patches, and return their loss.

        Parameters
        ----------
        images : Tensor of float32, shape (N, 1, P, P)
            Normalised grey levels, on the device of the run.
        targets : Tensor of int64, shape (N, P, P)
            Channel index of the right class, or `IGNORE_INDEX` where unlabelled.
        """
        self.network.train()
        if self.plan.freeze_batch_norm:
            freeze_statistics(self.network)
        loss = self._loss(images, targets.to(self.team.fabric.device))
        # The processes' gradients are averaged, but the loss is that of all their patches.
        self.team.fabric.backward(loss * self.team.size)
        self.team.fabric.clip_gradients(
            self.network, self.team_optimiser, max_norm=_MAX_GRADIENT, error_if_nonfinite=False
        )
        self.team_optimiser.step()
        self.team_optimiser.zero_grad()
        return float(loss.detach())

    def _loss(self, images: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        logits = self.network(images)
        loss: torch.Tensor = self.loss(logits, targets)
        if self.parent is not None:
            with torch.no_grad(), self.team.fabric.autocast():
                before = self.parent(images)
            known = self.start.known_channels
            if known is not None:
                logits, before = logits[:, known], before[:, known]
            loss = loss + self.plan.stay_close * disagreement(logits, before, targets)
        return loss

    # ---- validation ---------------------------------------------------------------------

    def validate(self, done: int) -> Job[dict[str, float]]:
        """Judge the current weights and keep them if they are the best so far.

        Flips are not averaged here: that takes four times as long and
        changes little in which step is the best. These figures are compared
        with one another only, not with those of `result`.

        Parameters
        ----------
        done : int
            Number of steps done, for the progress.

        Yields
        ------
        Progress
            Steps done, between the images that are judged.

        Returns
        -------
        dict of str to float
            Intersection over union, 0-1: ``mean_iou``, and ``iou CLASS`` for each class.
        """
        current = self.current()
        quick = current.with_card(inference=replace(current.card.inference, flips=False))
        evaluation = yield from self._evaluate(quick, done)
        figures = figures_of(evaluation.pooled)
        if figures["mean_iou"] > self.best_score:
            self.best_step, self.best_score = self.n_steps, figures["mean_iou"]
            self.best_weights = copy.deepcopy(self.trained_network.state_dict())
        if self.history:
            self.history[-1] |= figures
        return figures

    def _evaluate(
        self,
        model: SegmentationModel,
        done: int,
        *,
        with_confidence: bool = False,
        scale: str = NONE,
    ) -> Job[Evaluation]:
        if self.split.validation is None:
            raise TrainingError("Nothing is held out to validate with.")
        job = evaluate_job(
            model, self.split.validation, self.device, scale, with_confidence=with_confidence
        )
        return (yield from as_part(job, done, self.plan.max_steps, "validating"))

    @property
    def is_stuck(self) -> bool:
        """Whether as many validations as the plan's patience brought no improvement."""
        since = [row for row in self.history if "mean_iou" in row and row["step"] > self.best_step]
        return bool(self.plan.patience) and len(since) >= self.plan.patience

    @property
    def trained_network(self) -> nn.Module:
        """Network with the running average of the weights; without average with the last ones."""
        return trained(self.raw_network if self.average is None else self.average.module)

    @property
    def knows(self) -> bool:
        """Whether the model that it starts from knows something, and is judged, too."""
        return bool(self.start.digest) or self.start.card.inference.combine == "sum"

    @property
    def rescales_for_parent(self) -> bool:
        """Whether the parent segments held-out images rescaled, as their pixel size is another."""
        held_out = self.split.validation
        return held_out is not None and parent_choice(self.start.card, held_out) == AUTO

    # ---- the result ---------------------------------------------------------------------

    def current(self) -> SegmentationModel:
        """Return the model with the weights as they are now."""
        inference = Inference(
            reductions=self.plan.test_reductions or (self.plan.reduction,),
            flips=self.plan.test_flips,
            halo_px=self.start.card.inference.halo_px,
            combine=self.start.card.inference.combine,
            smoothing_px=self.plan.test_smoothing_px,
        )
        card = replace(self.start.card, inference=inference)
        return SegmentationModel(card, self.trained_network)

    def result(self) -> Job[SegmentationModel]:
        """Return the best model, on the CPU, with its card filled in.

        It and its parent's weights are judged alike: on the same pixels, as the model will
        be used. Where the parent's do better, the model has them. `before` are the figures of the
        parent as it segments the images, rescaled where pixel sizes say so.
        """
        model = self.current()
        if self.best_weights is None:
            self.best_step = self.n_steps
        best = self.best_weights or copy.deepcopy(model.network.state_dict())
        card = replace(model.card, metrics={})
        if self.split.validation is None:
            model.network.load_state_dict(best)
        else:
            found = yield from self._judge(model, best)
            card = judged_card(card, found, self.best_step, self.before, self.split)
        plan = {**self.plan.to_dict(), "steps_done": self.n_steps}
        lineage = lineage_of(self.start, self.split, plan)
        model.card = replace(card, lineage=lineage)
        model.network.to("cpu").eval().requires_grad_(True)
        return model

    def _judge(self, model: SegmentationModel, best: Mapping[str, torch.Tensor]) -> Job[Evaluation]:
        """Give a model the best weights, or its parent's if these do better; return its figures."""
        if not self.knows:
            model.network.load_state_dict(best)
            return (yield from self._evaluate(model, self.n_steps, with_confidence=True))
        parent = self.start.network.state_dict()
        model.network.load_state_dict(parent)
        before = yield from self._evaluate(model, self.n_steps, with_confidence=True)
        self.before = self.before_unscaled = figures_of(before.pooled)
        if self.rescales_for_parent:
            segmented = yield from self._evaluate(model, self.n_steps, scale=AUTO)
            self.before = figures_of(segmented.pooled)
        if self.best_step > 0:
            model.network.load_state_dict(best)
            after = yield from self._evaluate(model, self.n_steps, with_confidence=True)
            self.after = figures_of(after.pooled)
            if after.pooled.mean_iou >= before.pooled.mean_iou:
                return after
            model.network.load_state_dict(parent)
            self.best_step = 0
        return before

    # ---- checkpoints --------------------------------------------------------------------

    def save(self, path: Path) -> None:
        """Write a checkpoint file with all that the run needs to go on.

        Of several processes the first one writes for all.
        """
        if self.team.rank:
            return
        tensors = dict(self._tensors())
        facts = {
            "fingerprint": self._fingerprint(),
            "history": self.history,
            "elapsed_s": self.elapsed_s,
            "notes": list(self.split.notes),
            "best_step": self.best_step,
            "best_score": self.best_score if math.isfinite(self.best_score) else None,
            "tensors": sorted(tensors),
        }
        Checkpoint(tensors, facts).write(path)

    def restore(self, path: Path) -> None:
        """Set the state to that of a checkpoint file; to all of it, or to nothing of it.

        Raises
        ------
        TrainingError
            If the checkpoint is damaged or of another run.
        """
        saved = Checkpoint.read(path)
        with damage_named(path):
            self._refuse_another_run(saved, path)
            facts = _FACTS.validate_python(saved.facts)
            self._check_facts(facts)
            optimiser = self._check_tensors(saved.tensors, facts)
            self.raw_network.load_state_dict(unpack("network", saved.tensors))
            if self.average is not None:
                self.average.load_state_dict(unpack("average", saved.tensors))
            self.optimiser.load_state_dict({**self.optimiser.state_dict(), "state": optimiser})
        self.best_weights = unpack("best", saved.tensors) or None
        self.history = [dict(row) for row in facts.history]
        self.elapsed_s = facts.elapsed_s
        if facts.notes is not None:
            self.split = replace(self.split, notes=tuple(facts.notes))
        self.best_step = facts.best_step
        score = facts.best_score
        self.best_score = -math.inf if score is None else score

    def _refuse_another_run(self, saved: Checkpoint, path: Path) -> None:
        wanted, found = self._fingerprint(), dict(saved.facts["fingerprint"])
        found["plan"] = self._choices(TrainingPlan.from_dict(saved.plan))
        other = [key for key, value in wanted.items() if found.get(key) != value]
        if other:
            raise TrainingError(
                f"{path} belongs to another training: its {', '.join(other)} differ. Use the same "
                "images, labels and settings to go on, or remove it to start anew."
            )

    @staticmethod
    def _choices(plan: TrainingPlan) -> dict[str, Any]:
        return {k: v for k, v in plan.to_dict().items() if k not in _LIMITS}

    def _check_facts(self, facts: _Facts) -> None:
        steps = [row.get("step") for row in facts.history]
        if steps != [*range(1, len(steps) + 1)] or not all("loss" in r for r in facts.history):
            raise ValueError("its history is not that of steps one after the other")
        if facts.best_step > len(steps):
            raise ValueError(f"the best step, {facts.best_step}, is none of {len(steps)}")

    def _check_tensors(
        self, tensors: Mapping[str, torch.Tensor], facts: _Facts
    ) -> dict[int, dict[str, torch.Tensor]]:
        """Refuse tensors that are not those of this run; return the state of the optimiser."""
        if facts.tensors is not None and sorted(tensors) != facts.tensors:
            raise ValueError("tensors are missing, or there are too many")
        network = self.raw_network.state_dict()
        _refuse_unlike("network", unpack("network", tensors), network)
        if self.average is not None:
            _refuse_unlike("average", unpack("average", tensors), self.average.state_dict())
        best = unpack("best", tensors)
        if bool(best) != (facts.best_score is not None):
            raise ValueError("the best weights are missing")
        if best:
            _refuse_unlike("best", best, self.trained_network.state_dict())
        state = _numbered(unpack("optimiser", tensors))
        trained = [p for group in self.optimiser.param_groups for p in group["params"]]
        for number, entries in state.items():
            for name, tensor in entries.items():
                if tensor.dim() and tensor.shape != trained[number].shape:
                    raise ValueError(f"optimiser/{number}/{name} has another shape")
        return state

    def _tensors(self) -> Iterator[tuple[str, torch.Tensor]]:
        yield from pack("network", self.raw_network.state_dict()).items()
        if self.average is not None:
            yield from pack("average", self.average.state_dict()).items()
        yield from pack("best", self.best_weights or {}).items()
        for number, entries in self.optimiser.state_dict()["state"].items():
            tensors = {k: v for k, v in entries.items() if isinstance(v, torch.Tensor)}
            yield from pack(f"optimiser/{number}", tensors).items()

    def _fingerprint(self) -> dict[str, Any]:
        """Return the choices and hashes that must be the same for a run to go on."""
        validation = self.split.validation
        return {
            "parent": self.start.digest,
            "classes": list(self.start.card.scheme.names),
            "plan": self._choices(self.plan),
            "images and labels": self.split.learn.digests(),
            "validation": {} if validation is None else validation.digests(),
        }


def _refuse_unlike(
    part: str, found: Mapping[str, torch.Tensor], wanted: Mapping[str, torch.Tensor]
) -> None:
    """Refuse tensors whose names, shapes or types are not those of others."""
    other = sorted(found.keys() ^ wanted.keys())
    if other:
        raise ValueError(f"{part}/{other[0]} is missing, or too many")
    for name, tensor in found.items():
        if (tensor.shape, tensor.dtype) != (wanted[name].shape, wanted[name].dtype):
            raise ValueError(f"{part}/{name} is {tensor.dtype} of shape {tuple(tensor.shape)}")


def _numbered(tensors: Mapping[str, torch.Tensor]) -> dict[int, dict[str, torch.Tensor]]:
    numbered: dict[int, dict[str, torch.Tensor]] = {}
    for name, tensor in tensors.items():
        number, _, entry = name.partition("/")
        numbered.setdefault(int(number), {})[entry] = tensor
    return numbered
