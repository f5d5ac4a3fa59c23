from dataclasses import replace

import numpy as np
import pytest
import torch

from napari_fractoseg.classes import DEFAULT_SCHEME
from napari_fractoseg.datasets.dataset import TrainingPair, TrainingSet
from napari_fractoseg.errors import OutOfMemoryError, TrainingError
from napari_fractoseg.evaluation.evaluate import evaluate_job
from napari_fractoseg.images import Micrograph
from napari_fractoseg.jobs import drain
from napari_fractoseg.measurement.texts import fraction_error
from napari_fractoseg.models.card import Inference
from napari_fractoseg.models.confidence import confidence_text
from napari_fractoseg.models.devices import Device, choose_device
from napari_fractoseg.models.model import SegmentationModel
from napari_fractoseg.training.distributed import choose_precision
from napari_fractoseg.training.fit import new_model
from napari_fractoseg.training.loop import Trainer
from napari_fractoseg.training.losses import SegmentationLoss
from napari_fractoseg.training.optimisers import learning_rate_factor
from napari_fractoseg.training.plan import TrainingPlan

CPU = choose_device("cpu")
PLAN = TrainingPlan(
    encoder="tu-test_resnet",
    decoder_channels=(32, 16, 16, 8, 8), reduction=1, patch_px=64, batch_size=4, max_steps=40,
    learning_rate=3e-3, average_decay=0.8, augmentation=0.3, precision="32-true", validate_every=10,
)  # fmt: skip


def stripes_and_flat(seed):
    """Smooth left half, striped right half: a surface that is easy to tell apart."""
    rng = np.random.default_rng(seed)
    image = rng.normal(0, 0.1, (128, 128))
    image[:, 64:] += np.sin(np.arange(64) / 1.5)
    labels = np.full((128, 128), 1, np.uint8)
    labels[:, 64:] = 2
    labels[:8] = 0
    return TrainingPair(Micrograph(image, name=f"s{seed}"), labels)


@pytest.fixture(scope="module")
def data():
    return TrainingSet(tuple(stripes_and_flat(s) for s in range(3)))


@pytest.fixture(scope="module")
def trained(data):
    learn, check = data.split(["s2"])
    steps = []
    plan = replace(PLAN, max_steps=12, validate_every=3)
    job = Trainer(new_model(plan, data, "stripes"), plan, CPU).run(learn, check)
    return drain(job, steps.append), steps


@pytest.mark.slow
def test_it_learns_what_can_be_learnt(data):
    learn, check = data.split(["s2"])
    result = drain(Trainer(new_model(PLAN, data, "stripes"), PLAN, CPU).run(learn, check))
    evaluation = drain(evaluate_job(result.model, data.only(["s2"]), CPU))
    assert evaluation.pooled.agreement > 0.9
    assert evaluation.pooled.n_px == 120 * 128


def test_every_step_is_reported_with_its_loss(trained):
    result, steps = trained
    assert [h["step"] for h in result.history] == list(range(1, 13))
    assert {p.done for p in steps} == set(range(1, 13))
    assert all(p.total == 12 for p in steps)
    assert result.history[-1]["loss"] < result.history[0]["loss"]
    assert [h["step"] for h in result.history if "mean_iou" in h] == [3, 6, 9, 12]


def test_the_best_weights_are_kept(trained):
    result, _ = trained
    scores = {h["step"]: h["mean_iou"] for h in result.history if "mean_iou" in h}
    assert scores[result.best_step] == max(scores.values())
    assert result.model.card.metrics["validation"]["mean_iou"] == max(scores.values())


def test_the_card_says_how_to_repeat_it(trained, data):
    lineage = trained[0].model.card.lineage
    assert lineage.plan["steps_done"] == 12
    assert lineage.plan["precision"] == "32-true"
    assert lineage.data == {k: v for k, v in data.digests().items() if k != "s2"}
    assert lineage.parent is None
    assert lineage.fractoseg_version


def test_a_seed_repeats_a_run_and_the_start_is_not_changed(data):
    plan = TrainingPlan(**{**PLAN.to_dict(), "max_steps": 3})
    start = new_model(plan, data, "x")
    before = {k: v.clone() for k, v in start.network.state_dict().items()}
    first, second = (drain(Trainer(start, plan, CPU).run(data)).model for _ in range(2))
    for name, weight in first.network.state_dict().items():
        assert torch.equal(weight, second.network.state_dict()[name]), name
    for name, weight in start.network.state_dict().items():
        assert torch.equal(weight, before[name]), name
    assert not torch.equal(
        first.network.segmentation_head[0].weight, start.network.segmentation_head[0].weight
    )


def test_fine_tuning_names_the_parent(data, tmp_path, tiny_model):
    tiny_model.save(tmp_path / "parent")
    parent = SegmentationModel.load(tmp_path / "parent")
    plan = TrainingPlan(patch_px=64, batch_size=2, reduction=1, max_steps=1)
    result = drain(Trainer(parent, plan, CPU).run(data))
    assert result.model.card.lineage.parent == parent.digest


def test_gradients_are_exactly_zero_on_unlabelled_pixels():
    torch.manual_seed(0)
    logits = torch.randn(2, 3, 16, 16, requires_grad=True)
    targets = torch.randint(0, 3, (2, 16, 16))
    targets[:, 4:12] = -1
    SegmentationLoss()(logits, targets).backward()
    assert (logits.grad[:, :, 4:12] == 0).all()
    assert (logits.grad[:, :, :4] != 0).all()


def test_fine_tuning_tells_the_parents_figures_and_keeps_it_if_nothing_is_better(data, tmp_path):
    start = new_model(PLAN, data, "x")
    start.save(tmp_path / "parent")
    parent = SegmentationModel.load(tmp_path / "parent")
    learn, check = data.split(["s2"])
    plan = replace(PLAN, max_steps=2, validate_every=1, learning_rate=1e-12, freeze_batch_norm=True)
    result = drain(Trainer(parent, plan, CPU).run(learn, check))
    assert result.before["mean_iou"] == pytest.approx(result.history[-1]["mean_iou"])
    assert result.best_step == 0
    figures = result.model.card.metrics["validation"]
    assert figures["mean_iou_before"] == result.before["mean_iou"]
    assert figures["classes"]["intergranular"]["labelled_px"] == 120 * 64
    for name, weight in result.model.network.state_dict().items():
        assert torch.equal(weight, parent.network.state_dict()[name]), name


@pytest.fixture(scope="module")
def parent(data, tmp_path_factory):
    """A model that has learnt a little and averages mirror images, as saved and loaded."""
    learn, _ = data.split(["s2"])
    plan = replace(PLAN, max_steps=4)
    model = drain(Trainer(new_model(plan, data, "x"), plan, CPU).run(learn)).model
    folder = tmp_path_factory.mktemp("flips") / "parent"
    return SegmentationModel.load(model.with_card(inference=Inference(flips=True)).save(folder))


def test_before_and_after_are_judged_alike(data, parent):
    learn, check = data.split(["s2"])
    plan = replace(PLAN, max_steps=4, validate_every=1, test_flips=True)
    result = drain(Trainer(parent, plan, CPU).run(learn, check))
    figures = result.model.card.metrics["validation"]
    was, now = (drain(evaluate_job(model, check, CPU)).pooled for model in (parent, result.model))
    assert result.model.card.inference.flips
    assert (figures["mean_iou_before"], figures["mean_iou"]) == (was.mean_iou, now.mean_iou)
    assert result.before["mean_iou"] == was.mean_iou
    assert (
        fraction_error(result.model.card).error == figures["fraction_error"] == now.fraction_error
    )
    assert figures["step"] == result.best_step


@pytest.mark.parametrize("seed", range(4))
def test_a_model_is_never_worse_than_its_parent_on_what_was_held_out(data, parent, seed):
    # Without mirror images, which are not averaged while it trains, a step may seem better.
    learn, check = data.split(["s2"])
    plan = replace(PLAN, max_steps=2, validate_every=1, test_flips=True, seed=seed)
    result = drain(Trainer(parent, replace(plan, average_decay=0), CPU).run(learn, check))
    figures = result.model.card.metrics["validation"]
    assert figures["mean_iou"] >= figures["mean_iou_before"]
    pairs = zip(result.model.network.parameters(), parent.network.parameters(), strict=True)
    assert all(torch.equal(ours, theirs) for ours, theirs in pairs) == (result.best_step == 0)


def test_the_device_decides_what_a_plan_leaves_open(data):
    plan = replace(PLAN, batch_size=None, precision="auto", max_steps=1)
    lineage = drain(Trainer(new_model(plan, data, "x"), plan, CPU).run(data)).model.card.lineage
    assert lineage.plan["batch_size"] == 4
    assert lineage.plan["precision"] == choose_precision(plan, CPU)


def test_training_ends_when_it_no_longer_improves(data):
    learn, check = data.split(["s2"])
    still = {"learning_rate": 1e-12, "freeze_batch_norm": True}
    plan = replace(PLAN, max_steps=1000, validate_every=1, patience=3, **still)
    result = drain(Trainer(new_model(plan, data, "x"), plan, CPU).run(learn, check))
    assert len(result.history) == 4
    assert result.best_step == 1


def test_a_frozen_encoder_and_frozen_statistics_stay(data):
    plan = replace(PLAN, max_steps=2, encoder_rate=0.0, freeze_batch_norm=True, average_decay=0)
    start = new_model(plan, data, "x")
    trained = drain(Trainer(start, plan, CPU).run(data)).model.network.state_dict()
    changed = {
        name for name, weight in start.network.state_dict().items()
        if not torch.equal(weight, trained[name])
    }  # fmt: skip
    assert any(name.startswith("decoder") for name in changed)
    assert not [n for n in changed if n.startswith("encoder") or "running" in n]


@pytest.mark.slow
def test_staying_close_holds_a_model_to_its_parent_where_nothing_is_painted(data):
    parent = drain(Trainer(new_model(PLAN, data, "x"), PLAN, CPU).run(data)).model
    wrong = np.zeros((128, 128), np.uint8)
    wrong[40:60, 20:40], wrong[40:60, 80:100] = 2, 1
    painted = TrainingSet((replace(data.pairs[0], labels=wrong),))
    elsewhere = data.only(["s2"])
    agreement = {}
    for weight in (0.0, 5.0):
        plan = replace(PLAN, max_steps=15, stay_close=weight, freeze_batch_norm=True)
        child = drain(Trainer(parent, plan, CPU).run(painted)).model
        agreement[weight] = drain(evaluate_job(child, elsewhere, CPU)).pooled.agreement
    assert agreement[5.0] > agreement[0.0] + 0.1


def test_stopping_ends_the_run_within_a_step(data):
    job = Trainer(new_model(PLAN, data, "x"), PLAN, CPU).run(data)
    assert next(job).done == 1
    assert next(job).done == 2
    job.close()
    with pytest.raises(StopIteration):
        next(job)


def test_a_time_limit_ends_the_run(data):
    plan = TrainingPlan(**{**PLAN.to_dict(), "max_steps": 100_000, "max_minutes": 0.01})
    result = drain(Trainer(new_model(plan, data, "x"), plan, CPU).run(data))
    assert 1 <= len(result.history) < 1000
    assert result.history[-1]["learning_rate"] == pytest.approx(0)


def test_one_class_is_refused():
    flat = TrainingPair(Micrograph(np.eye(64)), np.ones((64, 64), np.uint8))
    data = TrainingSet((flat,))
    with pytest.raises(TrainingError, match="At least two classes.*intergranular 4096 px"):
        drain(Trainer(new_model(PLAN, data, "x"), PLAN, CPU).run(data))


def test_a_loss_that_explodes_says_what_to_change(data):
    plan = TrainingPlan(**{**PLAN.to_dict(), "learning_rate": 1e30, "max_steps": 10, "warm_up": 0})
    with pytest.raises(
        TrainingError, match=r"loss became nan in step .*smaller learning rate than 1e\+30"
    ):
        drain(Trainer(new_model(plan, data, "x"), plan, CPU).run(data))


class _Greedy(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def forward(self, inputs):
        return torch.empty(2**60, dtype=torch.uint8)


def test_out_of_memory_says_what_to_do(data, tiny_model):
    model = SegmentationModel(tiny_model.card, _Greedy())
    with pytest.raises(OutOfMemoryError, match="Use a smaller batch or patch"):
        drain(Trainer(model, PLAN, CPU).run(data))


def test_the_learning_rate_rises_and_falls():
    assert learning_rate_factor(0.05, 0.1) == pytest.approx(0.5)
    assert learning_rate_factor(0.1, 0.1) == 1
    assert learning_rate_factor(0.55, 0.1) == pytest.approx(0.5)
    assert learning_rate_factor(1.0, 0.1) == pytest.approx(0)
    assert learning_rate_factor(0.0, 0.0) == 1


def test_the_plan_decides_the_precision_before_the_device_does():
    assert choose_precision(PLAN, CPU) == "32-true"
    assert choose_precision(TrainingPlan(), Device("mps", "GPU: Apple")) == "32-true"


def test_evaluation_matches_classes_by_name_and_refuses_unknown_ones(tiny_model):
    scheme = DEFAULT_SCHEME.with_names(["dimples"])
    labels = np.full((40, 40), 4, np.uint8)
    strange = TrainingSet((TrainingPair(Micrograph(np.eye(40)), labels),), scheme)
    with pytest.raises(TrainingError, match="1600 pixels are labelled 'dimples'"):
        drain(evaluate_job(tiny_model, strange, CPU))


def test_a_temperature_is_fitted_to_what_was_held_out(trained, data):
    result, _ = trained
    card = result.model.card
    figures = card.metrics["calibration"]
    assert card.inference.temperature == figures["temperature"] != 1
    assert figures["on"] == "1 held-out image"
    assert "on these same pixels" in figures["method"]
    table = figures["references"]["the labels"]
    assert table["labelled_px"] == 120 * 128
    found = drain(evaluate_job(result.model, data.only(["s2"]), CPU, with_confidence=True))
    assert found.reliability.ece == pytest.approx(table["ece"], abs=0.01)
    assert found.reliability.nll == pytest.approx(table["nll"], abs=0.01)
    assert confidence_text(card).startswith("Calibrated on 1 held-out image")


def test_without_held_out_pixels_nothing_is_calibrated(data, parent):
    calibrated = parent.card.with_temperature(1.7, {"references": {"x": {"ece": 0.1}}})
    start = parent.with_card(inference=calibrated.inference, metrics=calibrated.metrics)
    card = drain(Trainer(start, replace(PLAN, max_steps=1), CPU).run(data)).model.card
    assert card.inference.temperature == 1
    assert confidence_text(card) == "Not calibrated: nothing was held out to compare it with."


def test_a_temperature_changes_nothing_of_what_is_learnt(data, parent):
    hot = parent.with_card(inference=replace(parent.card.inference, temperature=3.0))
    plan = replace(PLAN, max_steps=2, stay_close=1.0)
    one, other = (drain(Trainer(start, plan, CPU).run(data)).model for start in (parent, hot))
    for name, weight in one.network.state_dict().items():
        assert torch.equal(weight, other.network.state_dict()[name]), name
