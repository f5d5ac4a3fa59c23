"""Training that is interrupted: nothing is lost, and nothing changes."""

import json
import signal
import subprocess
import sys
import time

import imageio.v3 as iio
import numpy as np
import pandas as pd
import pytest
import torch
from typer.testing import CliRunner

from napari_fractoseg.cli.app import app
from napari_fractoseg.datasets.dataset import TrainingPair, TrainingSet
from napari_fractoseg.errors import TrainingError
from napari_fractoseg.images import Micrograph
from napari_fractoseg.jobs import drain
from napari_fractoseg.models.devices import choose_device
from napari_fractoseg.models.model import SegmentationModel
from napari_fractoseg.training.checkpoint import Checkpoint
from napari_fractoseg.training.fit import train_job
from napari_fractoseg.training.plan import TrainingPlan

pytestmark = pytest.mark.slow

CPU = choose_device("cpu")
PLAN = TrainingPlan(
    decoder_channels=(32, 16, 16, 8, 8), reduction=1, patch_px=32, batch_size=2, max_steps=8,
    precision="32-true", validate_every=2, gap_px=4,
)  # fmt: skip


def surfaces():
    rng = np.random.default_rng(0)
    for name in ("a", "b"):
        image = rng.integers(90, 110, (64, 96)).astype(np.uint8)
        image[:, 48:] = rng.integers(0, 255, (64, 48))
        labels = np.full((64, 96), 1, np.uint8)
        labels[:, 48:] = 2
        yield name, image, labels


@pytest.fixture(scope="module")
def data():
    return TrainingSet(tuple(TrainingPair(Micrograph(i, name=n), a) for n, i, a in surfaces()))


def weights(model):
    return torch.cat([v.float().flatten() for v in model.network.state_dict().values()])


@pytest.mark.parametrize("optimiser", ["adamw", "adam", "sgd", "rmsprop", "adadelta"])
def test_a_run_that_was_closed_goes_on_as_if_it_had_not(data, tmp_path, optimiser):
    plan = TrainingPlan(**{**PLAN.to_dict(), "optimiser": optimiser})
    whole = drain(train_job(data, plan=plan, device=CPU))
    checkpoint = tmp_path / "checkpoint"
    job = train_job(data, plan=plan, device=CPU, checkpoint=checkpoint)
    while next(job).done < 5:  # the last checkpoint is that of step 4
        pass
    job.close()
    assert checkpoint.exists()
    seen = []
    rest = drain(train_job(data, plan=plan, device=CPU, checkpoint=checkpoint), seen.append)
    assert min(p.done for p in seen) == 5
    assert rest.history == whole.history
    assert rest.best_step == whole.best_step
    assert torch.equal(weights(rest.model), weights(whole.model))


def test_a_run_may_get_more_time_but_no_other_settings(data, tmp_path):
    checkpoint = tmp_path / "checkpoint"
    short = TrainingPlan(**{**PLAN.to_dict(), "max_steps": 2})
    drain(train_job(data, plan=short, device=CPU, checkpoint=checkpoint))
    longer = drain(train_job(data, plan=PLAN, device=CPU, checkpoint=checkpoint))
    assert len(longer.history) == 8
    other = TrainingPlan(**{**PLAN.to_dict(), "learning_rate": 1.0})
    with pytest.raises(TrainingError, match="belongs to another training: its plan differ"):
        drain(train_job(data, plan=other, device=CPU, checkpoint=checkpoint))
    part = TrainingSet(data.pairs[:1])
    with pytest.raises(TrainingError, match="its images and labels, validation differ"):
        drain(train_job(part, plan=PLAN, device=CPU, checkpoint=checkpoint))


def test_a_run_has_its_checkpoint_for_itself(data, tmp_path):
    checkpoint = tmp_path / "checkpoint"
    job = train_job(data, plan=PLAN, device=CPU, checkpoint=checkpoint)
    while next(job).done < 5:
        pass
    with pytest.raises(TrainingError, match=f"{checkpoint} is running.*Wait until it ends"):
        next(train_job(data, plan=PLAN, device=CPU, checkpoint=checkpoint))
    assert next(job).done >= 5  # the first one goes on
    job.close()
    assert len(drain(train_job(data, plan=PLAN, device=CPU, checkpoint=checkpoint)).history) == 8


def test_a_checkpoint_of_an_older_plan_is_taken_up(data, tmp_path):
    checkpoint = tmp_path / "checkpoint"
    short = TrainingPlan(**{**PLAN.to_dict(), "max_steps": 2})
    drain(train_job(data, plan=short, device=CPU, checkpoint=checkpoint))
    saved = Checkpoint.read(checkpoint)
    saved.facts["fingerprint"]["plan"] |= {"near_px": 0, "label_smoothing": 0.0}
    del saved.facts["notes"]
    saved.write(checkpoint)
    longer = drain(train_job(data, plan=PLAN, device=CPU, checkpoint=checkpoint))
    assert len(longer.history) == 8


@pytest.mark.parametrize("content", [b"", b"no checkpoint", b"\x08\0\0\0\0\0\0\0{}      "])
def test_a_damaged_checkpoint_is_refused(data, tmp_path, content):
    checkpoint = tmp_path / "checkpoint"
    checkpoint.write_bytes(content)
    with pytest.raises(TrainingError, match="is damaged or no checkpoint.*Remove it"):
        drain(train_job(data, plan=PLAN, device=CPU, checkpoint=checkpoint))


# ---- the command line ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def command(tmp_path_factory):
    """Return a function that makes the command to train a model."""
    folder = tmp_path_factory.mktemp("data")
    for part in ("images", "labels"):
        (folder / part).mkdir()
    for name, image, labels in surfaces():
        iio.imwrite(folder / "images" / f"{name}.png", image)
        iio.imwrite(folder / "labels" / f"{name}.png", labels)

    def make(out, plan, *options):
        (folder / "plan.json").write_text(json.dumps(plan.to_dict()))
        return [
            sys.executable, "-m", "napari_fractoseg.cli", "train",
            "--images", str(folder / "images"), "--labels", str(folder / "labels"),
            "--plan", str(folder / "plan.json"), "--device", "cpu", "-o", str(out), *options,
        ]  # fmt: skip

    return make


def run_here(command, code=0):
    """Run it in this process, which has PyTorch already; return what it printed."""
    result = CliRunner().invoke(app, command[3:])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    return result.output


@pytest.fixture
def one_thread(monkeypatch):
    """The same sums in this process and in others."""
    before = torch.get_num_threads()
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_a_training_that_runs_is_neither_begun_nor_taken_up_again(command, data, tmp_path):
    out, checkpoint = tmp_path / "model", tmp_path / "model.checkpoint"
    job = train_job(data, plan=PLAN, device=CPU, checkpoint=checkpoint)
    while next(job).done < 5:
        pass
    for options in ((), ("--resume",)):
        text = " ".join(run_here(command(out, PLAN, *options), code=2).split())
        assert "model.checkpoint is running, in another window or on the command line" in text
    job.close()
    assert "go on with --resume" in " ".join(run_here(command(out, PLAN), code=2).split())


@pytest.mark.slow
@pytest.mark.usefixtures("one_thread")
def test_a_killed_training_loses_nothing(command, tmp_path):
    plan = TrainingPlan(**{**PLAN.to_dict(), "max_steps": 16})
    whole = tmp_path / "whole"
    run_here(command(whole, plan))
    out, checkpoint = tmp_path / "killed", tmp_path / "killed.checkpoint"
    process = subprocess.Popen(command(out, plan))  # noqa: S603 - our own code
    while not checkpoint.exists() and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert checkpoint.exists()
    assert not out.exists()
    refused = run_here(command(out, plan), code=2)
    assert "was interrupted: go on with --resume" in " ".join(refused.split())
    run_here(command(out, plan, "--resume"))
    assert not checkpoint.exists()
    first, second = SegmentationModel.load(whole), SegmentationModel.load(out)
    assert first.digest == second.digest
    assert first.card.metrics == second.card.metrics


@pytest.mark.slow
@pytest.mark.usefixtures("one_thread")
def test_two_processes_train_like_one_with_the_doubled_batch(command, tmp_path):
    # Means and variances of a batch are not shared by processes on a CPU, so they are frozen.
    same = {**PLAN.to_dict(), "freeze_batch_norm": True, "max_steps": 5, "split": "none"}
    one = TrainingPlan(**{**same, "batch_size": 4})
    two = TrainingPlan(**{**same, "batch_size": 2})
    history = [tmp_path / f"{name}.csv" for name in ("one", "two")]
    run_here(command(tmp_path / "one", one, "--history", str(history[0])))
    shared = command(
        tmp_path / "two", two, "--history", str(history[1]), "--devices", "2", "--strategy", "ddp"
    )
    done = subprocess.run(  # noqa: S603 - our own code
        shared, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("Training on") == 1
    alone, shared = map(pd.read_csv, history)
    np.testing.assert_allclose(shared.loss, alone.loss, rtol=1e-4)
    first, second = (SegmentationModel.load(tmp_path / n) for n in ("one", "two"))
    torch.testing.assert_close(weights(first), weights(second), rtol=1e-3, atol=1e-4)
