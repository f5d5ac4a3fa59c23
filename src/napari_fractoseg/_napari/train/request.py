"""Request and job of one training, without layers and Qt; PyTorch is loaded when it runs."""

from __future__ import annotations

import datetime
import json
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_fractoseg._napari.torch_import import prepare_torch
from napari_fractoseg._napari.train.painted import PaintedLayer, write_painted
from napari_fractoseg.annotations.options import STRICT, AnnotationOptions
from napari_fractoseg.classes import ClassScheme
from napari_fractoseg.datasets.dataset import TrainingPair, TrainingSet, merge_training_sets
from napari_fractoseg.datasets.export import (
    label_folders,
    training_command,
    write_training_folder,
)
from napari_fractoseg.datasets.sources import read_training_sets
from napari_fractoseg.datasets.supervision import painted_pairs
from napari_fractoseg.errors import FractosegError, TrainingError, translated
from napari_fractoseg.files import is_held, read_json, sweep_drafts, write_bytes
from napari_fractoseg.jobs import Job, Progress
from napari_fractoseg.models.registry import model_place, user_folder
from napari_fractoseg.training.plan import TrainingPlan
from napari_fractoseg.training.run_lock import hold_model, refuse_running

if TYPE_CHECKING:
    from napari_fractoseg.training.loop import FineTuned

__all__ = [
    "Trained",
    "TrainingRequest",
    "TrainingTask",
    "discard_training",
    "saved_trainings",
    "unfinished_trainings",
]

_FACTS, _PLAN, _CHECKPOINT, _PAINTED = "training.json", "plan.json", "checkpoint", "painted"
_PARTS = 1000
"""Parts that progress is counted in: thousandths of the time or of the steps."""
_ONLY_CORRECTIONS = (
    "Only corrections validate, and the parent was wrong on all of them: the figures say how much "
    "was learnt, not how good the model is. Mark some correct areas, too."
)


@dataclass(frozen=True)
class TrainingRequest:
    """Choices of the user for a training; a snapshot taken in the GUI thread.

    Parameters
    ----------
    name : str
        Title of the new model, and name of its folder.
    plan : TrainingPlan
        Optimiser, patches, validation, limits and seed.
    start : str or None
        Name of the model to fine-tune; None for a new network.
    scheme : ClassScheme
        Classes of the new model.
    painted : tuple of PaintedLayer
        Copies of the layers that were painted.
    sources : tuple of tuple of Path
        Folders of images, each with a folder of masks or a VIA file.
    annotations : AnnotationOptions
        Choice of the class of a region in the VIA files, and of what is left out.
    device : str
        Name of the device to train on: ``auto``, ``cpu``, ``cuda``, ``cuda:1`` or ``mps``.
    """

    name: str
    plan: TrainingPlan
    start: str | None
    scheme: ClassScheme
    painted: tuple[PaintedLayer, ...] = ()
    sources: tuple[tuple[Path, Path], ...] = ()
    annotations: AnnotationOptions = STRICT
    device: str = "auto"


@dataclass(frozen=True, eq=False)
class Trained:
    """Result of a training that was asked for in the dock.

    Parameters
    ----------
    folder : Path
        Folder of the new model.
    result : FineTuned
        Model with its history of losses and figures.
    seconds : float
        Duration of the training in seconds.
    notes : tuple of str
        Sentences on what was left out, and on what the figures cannot tell.
    """

    folder: Path
    result: FineTuned
    seconds: float
    notes: tuple[str, ...] = ()

    @property
    def validation(self) -> Mapping[str, Any] | None:
        """Figures on held-out pixels from the model's card; None if nothing was held out."""
        figures: Mapping[str, Any] | None = self.result.model.card.metrics.get("validation")
        return figures


class TrainingTask:
    """Training with a folder of its own, from which it can be taken up again.

    Parameters
    ----------
    request : TrainingRequest
        Choices of the user.
    folder : Path, optional
        Folder of a training that was interrupted; by default a new one.
    notes : tuple of str, optional
        Sentences on what the figures cannot tell, as they were when the training
        began; by default they follow from the request.
    """

    def __init__(
        self,
        request: TrainingRequest,
        folder: Path | None = None,
        notes: tuple[str, ...] | None = None,
    ) -> None:
        self.request = request
        self.notes = _notes(request) if notes is None else notes
        self.is_resumed = folder is not None
        self.place = model_place(request.name)
        self.folder = folder or _new_folder(request.name)
        self._stop = threading.Event()

    @classmethod
    def resume(cls, folder: Path) -> TrainingTask:
        """Return the task of a training that was interrupted, from its folder.

        Raises
        ------
        TrainingError
            If the folder is damaged, or the training is running.
        """
        refuse_running(folder / _CHECKPOINT)
        remedy = "Remove it and train anew."
        with translated(TrainingError, f"{folder} cannot be taken up again", remedy):
            facts = read_json(folder / _FACTS, TrainingError, "a record of a training", remedy)
            request = TrainingRequest(
                name=facts["name"],
                plan=TrainingPlan.from_json(folder / _PLAN),
                start=facts["start"],
                scheme=ClassScheme.from_dict(facts["scheme"]),
                sources=tuple((Path(i), Path(a)) for i, a in facts["sources"]),
                annotations=AnnotationOptions(**facts.get("annotations", {})),
                device=facts["device"],
            )
            notes = tuple(map(str, facts.get("notes", ())))
        return cls(request, folder, notes=notes)

    def stop(self) -> None:
        """Make the current step the last one; the best weights so far are kept."""
        self._stop.set()

    @property
    def command(self) -> str:
        """Command line that does the same training without a window."""
        request = self.request
        return training_command(
            self.folder,
            self.place,
            plan=self.folder / _PLAN,
            start=request.start,
            classes=request.scheme.names,
            sources=request.sources,
            annotations=request.annotations,
            name=request.name,
        )

    def job(self) -> Job[Trained]:
        """Save what was painted, train, and save the model.

        Yields
        ------
        Progress
            Thousandths of the run, with the figures of the step; 0 of 0 while
            data and model are loaded.

        Returns
        -------
        Trained
            Folder of the new model, with history, duration and notes.
        """
        with hold_model(self.place):
            _sweep()
            return (yield from self._job())

    def _job(self) -> Job[Trained]:
        request, began = self.request, time.monotonic()
        yield Progress(0, 0, "saving what was painted")
        if not self.is_resumed:
            self._save()
        yield Progress(0, 0, "loading PyTorch, the images and the model")
        # Imported here because PyTorch takes seconds, and the dock opens at once.
        prepare_torch()
        from napari_fractoseg.models.devices import choose_device
        from napari_fractoseg.models.model import load_model
        from napari_fractoseg.training.checkpoint import kept_in
        from napari_fractoseg.training.fit import train_job

        sources = (*label_folders(self.folder), *request.sources)
        training_set = read_training_sets(
            *zip(*sources, strict=True), scheme=request.scheme, annotations=request.annotations
        )
        checkpoint = self.folder / _CHECKPOINT
        job = train_job(
            training_set,
            plan=request.plan,
            start=load_model(request.start) if request.start else None,
            scheme=request.scheme,
            name=request.name,
            device=choose_device(request.device),
            should_stop=self._stop.is_set,
            checkpoint=checkpoint,
        )
        result = yield from _in_parts(job, request.plan)
        with kept_in(checkpoint):
            result.model.save(self.place)
        checkpoint.unlink(missing_ok=True)
        seconds = time.monotonic() - began
        notes = (*training_set.notes, *self.notes, *result.notes)
        return Trained(self.place, result, seconds, notes)

    def _save(self) -> None:
        """Write all data and choices of the training to its folder, before it can go wrong."""
        request = self.request
        write_painted(request.painted, self.folder / _PAINTED)
        sets = [
            TrainingSet(pairs, layer.scheme)
            for layer in request.painted
            if (pairs := _pairs_of(layer))
        ]
        if not sets and not request.sources:
            raise TrainingError(
                "Nothing is painted. Paint at least two classes, or correct a prediction."
            )
        if sets:
            write_training_folder(merge_training_sets(sets), self.folder)
        plan = json.dumps(request.plan.to_dict(), indent=2) + "\n"
        write_bytes(self.folder / _PLAN, plan.encode())
        facts = {
            "name": request.name,
            "start": request.start,
            "scheme": request.scheme.to_dict(),
            "sources": [[str(i), str(a)] for i, a in request.sources],
            "annotations": request.annotations.to_dict(),
            "device": request.device,
            "notes": list(self.notes),
            "command": self.command,
        }
        write_bytes(self.folder / _FACTS, (json.dumps(facts, indent=2) + "\n").encode())


def _pairs_of(layer: PaintedLayer) -> tuple[TrainingPair, ...]:
    """Return what was painted on a layer; an error names the layer."""
    try:
        return tuple(painted_pairs(layer.image, layer.corrections, layer.scheme))
    except FractosegError as error:
        raise error.at(f"Layer “{layer.name}”") from error


def _notes(request: TrainingRequest) -> tuple[str, ...]:
    """Return a note if the pixels that validate are no fair sample, else nothing."""
    layers = [layer.corrections for layer in request.painted]
    only_corrected = [
        c.predicted is not None and (c.checked is None or not c.checked.any()) for c in layers
    ]
    validates = request.plan.split != "none"
    if validates and layers and all(only_corrected) and not request.sources:
        return (_ONLY_CORRECTIONS,)
    return ()


def _new_folder(name: str) -> Path:
    now = datetime.datetime.now().astimezone().strftime("%Y-%m-%dT%H%M%S")
    folder = _trainings() / f"{now} {name}"
    number = 1
    while folder.exists():
        number += 1
        folder = _trainings() / f"{now} {name} [{number}]"
    return folder


def _trainings() -> Path:
    return user_folder().parent / "trainings"


def _sweep() -> None:
    """Remove what trainings left that were killed while they wrote; it is useless after a day."""
    for folder in (_trainings(), *_trainings().glob("*/"), *_trainings().glob(f"*/{_PAINTED}/")):
        sweep_drafts(folder)


def unfinished_trainings() -> list[Path]:
    """Return the folders of trainings that were interrupted, the newest first.

    Those that are running, here or in another window, are no interrupted ones.
    """
    found = (p for p in _trainings().glob(f"*/{_CHECKPOINT}") if not is_held(p))
    return sorted((path.parent for path in found), reverse=True)


def discard_training(folder: Path) -> None:
    """Remove the checkpoint of an interrupted training; what was painted for it stays saved."""
    (folder / _CHECKPOINT).unlink(missing_ok=True)


def saved_trainings() -> list[Path]:
    """Return the folders of trainings for which painted layers were saved, newest first."""
    return sorted((p.parent for p in _trainings().glob(f"*/{_PAINTED}/*.json")), reverse=True)


def _in_parts(job: Job[FineTuned], plan: TrainingPlan) -> Job[FineTuned]:
    """Run a job with its progress in thousandths, of its time or its steps, whichever ends it."""
    limit_s = 60 * plan.max_minutes if plan.max_minutes else float("inf")
    done, began = 0, time.monotonic()
    try:
        while True:
            progress = next(job)
            if not progress.total:  # weights are being fetched
                began = time.monotonic()
                yield progress
                continue
            position = max(progress.done / progress.total, (time.monotonic() - began) / limit_s)
            done = max(done, min(_PARTS - 1, round(_PARTS * position)))
            metrics = progress.metrics
            if metrics:
                metrics = {**metrics, "step": progress.done}
            yield replace(progress, done=done, total=_PARTS, metrics=metrics)
    except StopIteration as stop:
        result: FineTuned = stop.value
        return result
    finally:
        job.close()
