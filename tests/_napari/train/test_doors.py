"""The same training through every door: the dock's task, the command line, and Python."""

from __future__ import annotations

import numpy as np
import pytest
from typer.testing import CliRunner

import napari_fractoseg as nf
from napari_fractoseg._napari.train.painted import PaintedLayer
from napari_fractoseg._napari.train.request import (
    TrainingRequest,
    TrainingTask,
    unfinished_trainings,
)
from napari_fractoseg.classes import DEFAULT_SCHEME
from napari_fractoseg.cli.app import app
from napari_fractoseg.datasets.supervision import Corrections
from napari_fractoseg.errors import TrainingError
from napari_fractoseg.images import MicrographStack
from napari_fractoseg.jobs import drain
from napari_fractoseg.models.model import SegmentationModel
from napari_fractoseg.training.presets import suggested_plan

pytestmark = pytest.mark.slow

CHOSEN = {"max_steps": 3, "split": "none"}
"""Without validation the last weights are kept, whatever they are worth."""


@pytest.fixture
def painted(noise):
    """Two strokes on an image that is smooth on the left and rough on the right."""
    image = np.full((96, 128), 120, np.uint8)
    image[:, 64:] = noise(96, 64)
    labels = np.zeros(image.shape, np.uint8)
    labels[20:60, 10:50], labels[20:60, 80:120] = 1, 2
    stack = MicrographStack(image, name="s17")

    def make(predicted=None):
        return PaintedLayer("strokes", stack, Corrections(labels, predicted), DEFAULT_SCHEME)

    return make


def request(layer, start, **chosen):
    """What the dock asks for, with a number of steps instead of its minutes."""
    card = None if start is None else SegmentationModel.load(start).card
    return TrainingRequest(
        name="mine",
        plan=suggested_plan(card, **chosen),
        start=None if start is None else str(start),
        scheme=DEFAULT_SCHEME,
        painted=(layer,),
        device="cpu",
    )


def test_fine_tuning_gives_the_same_weights_through_every_door(painted, tiny_alone, tmp_path):
    task = TrainingTask(request(painted(), tiny_alone, **CHOSEN))
    in_dock = nf.load_model(str(drain(task.job()).folder))

    images, labels, out = task.folder / "images", task.folder / "labels", tmp_path / "out"
    words = ["train", "--images", images, "--labels", labels, "-o", out, "--from", "tiny",
             "--max-steps", CHOSEN["max_steps"], "--split", "none", "--device", "cpu"]  # fmt: skip
    done = CliRunner().invoke(app, [str(word) for word in words])
    assert done.exit_code == 0, done.output
    on_command_line = nf.load_model(str(out))

    start = nf.load_model("tiny")
    result = nf.train(images, labels, start=start, plan=CHOSEN, device="cpu")
    in_python = nf.load_model(str(result.model.save(tmp_path / "python")))

    assert in_dock.digest != start.digest
    assert on_command_line.digest == in_python.digest == in_dock.digest
    for other in (on_command_line, in_python):
        assert other.card.lineage.plan == in_dock.card.lineage.plan
        assert other.card.lineage.data == in_dock.card.lineage.data


def interrupt(task):
    """Run a task until it has a checkpoint; return the job, which goes on."""
    job = task.job()
    while not (task.folder / "checkpoint").exists():
        next(job)
    return job


def test_a_running_training_is_not_offered_as_interrupted(painted, tiny_alone):
    task = TrainingTask(request(painted(), tiny_alone, max_steps=50, validate_every=1))
    job = interrupt(task)
    assert unfinished_trainings() == []
    with pytest.raises(TrainingError, match="is running, in another window"):
        TrainingTask.resume(task.folder)
    job.close()
    assert unfinished_trainings() == [task.folder]
    assert TrainingTask.resume(task.folder).request.name == "mine"


def test_a_training_that_was_taken_up_warns_as_if_it_had_not_been_interrupted(painted, tiny_alone):
    layer = painted(predicted=np.full((96, 128), 3, np.uint8))
    chosen = {"max_steps": 4, "validate_every": 1, "patience": 0, "gap_px": 4}
    task = TrainingTask(request(layer, tiny_alone, **chosen))
    interrupt(task).close()
    resumed = drain(TrainingTask.resume(task.folder).job())
    (resumed.folder / "card.json").unlink()
    resumed.folder.rename(resumed.folder.with_name("earlier"))
    whole = drain(TrainingTask(request(layer, tiny_alone, **chosen)).job())
    assert resumed.notes == whole.notes
    assert "Only corrections validate" in whole.notes[0]
    assert any("Only one image validates" in note for note in whole.notes)
    assert resumed.validation == whole.validation
