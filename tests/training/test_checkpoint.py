"""Checkpoints that are damaged, of others, or cannot be written."""

import json
import os
import time
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from napari_fractoseg.classes import DEFAULT_SCHEME
from napari_fractoseg.datasets.dataset import TrainingPair, TrainingSet
from napari_fractoseg.errors import OutputError, TrainingError
from napari_fractoseg.images import Micrograph
from napari_fractoseg.jobs import drain
from napari_fractoseg.models.card import ModelCard
from napari_fractoseg.models.devices import choose_device
from napari_fractoseg.models.model import SegmentationModel
from napari_fractoseg.training.checkpoint import Checkpoint, kept_in
from napari_fractoseg.training.data.split import Split
from napari_fractoseg.training.loop import Trainer
from napari_fractoseg.training.plan import TrainingPlan
from napari_fractoseg.training.run_lock import hold_model
from napari_fractoseg.training.state import TrainingRun

CPU = choose_device("cpu")
PLAN = TrainingPlan(
    reduction=1, patch_px=32, batch_size=2, max_steps=4, precision="32-true", split="none",
    average_decay=0.5, validate_every=1,
)  # fmt: skip


@contextmanager
def full_disk(most_bytes):
    """As on a full disk, no file can become larger than that while the block runs."""
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    image = rng.integers(90, 110, (64, 96)).astype(np.uint8)
    image[:, 48:] = rng.integers(0, 255, (64, 48))
    labels = np.full((64, 96), 1, np.uint8)
    labels[:, 48:] = 2
    return TrainingSet((TrainingPair(Micrograph(image, name="a"), labels),))


@pytest.fixture(scope="module")
def small_model():
    card = ModelCard(
        name="small", scheme=DEFAULT_SCHEME, architecture="Unet",
        encoder="tu-mobilenetv3_small_050",
    )  # fmt: skip
    return SegmentationModel.create(card, decoder_channels=(8, 8, 8, 8, 8))


@pytest.fixture(scope="module")
def make_run(data, small_model):
    return lambda: TrainingRun(small_model, PLAN, CPU, Split(data, data))


@pytest.fixture(scope="module")
def saved(make_run, tmp_path_factory):
    """A checkpoint after a step and a validation, as its tensors and facts."""
    run = make_run()
    run.step(0.5)
    drain(run.validate(1))
    run.patches.close()
    path = tmp_path_factory.mktemp("run") / "checkpoint"
    run.save(path)
    return Checkpoint.read(path)


@pytest.fixture(scope="module")
def fresh(make_run):
    """A run that takes no step; what it refuses does not change it."""
    return make_run()


def weights(network):
    return torch.cat([v.float().flatten() for v in network.state_dict().values()])


def first(tensors, part):
    return next(name for name in sorted(tensors) if name.startswith(f"{part}/"))


def without(part):
    def change(tensors, facts):
        del tensors[first(tensors, part)]

    return change


def without_all(part):
    def change(tensors, facts):
        for name in [n for n in tensors if n.startswith(f"{part}/")]:
            del tensors[name]
        facts.pop("tensors", None)  # as versions wrote them that did not list the tensors

    return change


def renamed(part):
    def change(tensors, facts):
        tensors[f"{part}/x.y"] = tensors.pop(first(tensors, part))

    return change


def reshaped(part):
    def change(tensors, facts):
        name = next(n for n in tensors if n.startswith(f"{part}/") and tensors[n].dim() == 4)
        tensors[name] = tensors[name][:1].clone()

    return change


def of_another_type(tensors, facts):
    name = first(tensors, "network")
    tensors[name] = tensors[name].to(torch.float8_e4m3fn)


def with_facts(**changes):
    def change(tensors, facts):
        facts.update(changes)

    return change


def without_fact(name):
    def change(tensors, facts):
        del facts[name]

    return change


DAMAGES = {
    **{f"{part} misses one": without(part) for part in ("network", "average", "best", "optimiser")},
    **{f"{part} is missing": without_all(part) for part in ("network", "average", "best")},
    **{f"{part} is renamed": renamed(part) for part in ("network", "average", "best", "optimiser")},
    **{f"{part} is cut": reshaped(part) for part in ("network", "average", "best", "optimiser")},
    "type": of_another_type,
    "no history": without_fact("history"),
    "no fingerprint": without_fact("fingerprint"),
    "fingerprint": with_facts(fingerprint=["parent"]),
    "history": with_facts(history={"step": 1}),
    "rows": with_facts(history=[{"step": 2, "loss": 0.1}]),
    "time": with_facts(elapsed_s="long"),
    "endless time": with_facts(elapsed_s=float("inf")),
    "best": with_facts(best_step=77),
    "score": with_facts(best_score=[1]),
    "notes": with_facts(notes=7),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_checkpoint_that_does_not_fit_is_refused_and_nothing_of_it_taken(
    saved, fresh, tmp_path, damage
):
    tensors, facts = dict(saved.tensors), json.loads(json.dumps(saved.facts))
    DAMAGES[damage](tensors, facts)
    path = tmp_path / "checkpoint"
    Checkpoint(tensors, facts).write(path)
    before = weights(fresh.raw_network)
    with pytest.raises(TrainingError, match=rf"{path} is damaged .*Remove it to start anew"):
        fresh.restore(path)
    assert torch.equal(weights(fresh.raw_network), before)
    assert fresh.history == []


def test_a_checkpoint_that_fits_is_taken(saved, make_run, tmp_path):
    saved.write(tmp_path / "checkpoint")
    run = make_run()
    run.restore(tmp_path / "checkpoint")
    assert run.history == saved.facts["history"]
    assert isinstance(run.history[0]["step"], int)
    assert set(run.best_weights) == set(run.trained_network.state_dict())


@pytest.mark.parametrize("facts", ["[" * 100_000, "[1]", "7", "{", '{"a": "\\ud800'])
def test_facts_that_are_no_facts_are_refused(tmp_path, facts):
    path = tmp_path / "checkpoint"
    save_file({"network/a": torch.zeros(1)}, path, metadata={"fractoseg": facts})
    with pytest.raises(TrainingError, match=f"{path} is damaged or no checkpoint"):
        Checkpoint.read(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_no_checkpoint(tmp_path):
    os.mkfifo(tmp_path / "checkpoint")
    with pytest.raises(TrainingError, match="is no file"):
        Checkpoint.read(tmp_path / "checkpoint")


def test_on_a_full_disk_the_earlier_checkpoint_stays(tmp_path):
    path = tmp_path / "checkpoint"
    Checkpoint({"a": torch.zeros(8)}, {"step": 1}).write(path)
    larger = Checkpoint({"a": torch.zeros(100_000)}, {"step": 2})
    with full_disk(50_000), pytest.raises(OutputError, match=f"{path} cannot be written"):
        larger.write(path)
    assert Checkpoint.read(path).facts == {"step": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["checkpoint"]


def test_a_checkpoint_follows_the_umask(tmp_path):
    before = os.umask(0o002)
    try:
        Checkpoint({"a": torch.zeros(8)}, {}).write(tmp_path / "checkpoint")
    finally:
        os.umask(before)
    assert (tmp_path / "checkpoint").stat().st_mode & 0o777 == 0o664


@pytest.mark.slow
def test_a_disk_that_is_full_for_a_while_costs_no_training(data, small_model, tmp_path):
    checkpoint = tmp_path / "checkpoint"
    job = Trainer(small_model, PLAN, CPU).run_split(Split(data, data), checkpoint=checkpoint)

    def next_step():
        return next(p for p in job if p.message.startswith("step"))

    assert next_step().message == "step 1"
    with full_disk(1_000_000):
        text = next_step().message
    assert text.startswith("step 2 (it goes on, but")
    assert "checkpoint cannot be written" in text
    assert len(Checkpoint.read(checkpoint).facts["history"]) == 1
    assert next_step().message == "step 3"
    assert len(Checkpoint.read(checkpoint).facts["history"]) == 3
    assert len(drain(job).history) == 4


def test_a_model_that_cannot_be_saved_is_kept_in_the_checkpoint(tmp_path):
    checkpoint = tmp_path / "model.checkpoint"
    with pytest.raises(OutputError, match="No space left") as caught, kept_in(checkpoint):
        raise OutputError("model cannot be written: No space left.")
    assert caught.value.options == ()
    checkpoint.touch()
    not_lost = pytest.raises(OutputError, match=f"not lost: {checkpoint} has it")
    with not_lost as caught, kept_in(checkpoint):
        raise RuntimeError("Error while serializing: I/O error")
    assert caught.value.options == ("resume",)


def test_what_killed_trainings_left_is_removed_a_day_later(tmp_path):
    old, young = (tmp_path / f".m.checkpoint-{n}-draft" for n in ("0123abcd", "89abcdef"))
    for folder in (old, young):
        folder.mkdir()
        (folder / ".tmpAbC").touch()
    yesterday = time.time() - 25 * 3600
    for path in (old / ".tmpAbC", old):
        os.utime(path, (yesterday, yesterday))
    with hold_model(tmp_path / "m"):
        assert [p.name for p in tmp_path.glob("*draft")] == [young.name]
