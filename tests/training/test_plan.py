import json
import os

import pytest

from napari_fractoseg.errors import TrainingError
from napari_fractoseg.models.registry import bundled_folder
from napari_fractoseg.training.plan import TrainingPlan, plan_entries


def test_a_plan_survives_json(tmp_path):
    plan = TrainingPlan(encoder="resnet34", test_reductions=(2, 4), max_minutes=1.5, seed=3)
    path = tmp_path / "plan.json"
    path.write_text(json.dumps(plan.to_dict()))
    assert TrainingPlan.from_json(path) == plan


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"patch_px": 100}, "patch_px.*is 100.*multiple of 32"),
        ({"learning_rate": 0}, "learning_rate"),
        ({"epochs": 3}, "epochs is 3"),
        ({"precision": "fp8"}, "precision.*fp8"),
    ],
)
def test_bad_entries_are_named(entries, message):
    with pytest.raises(TrainingError, match=message):
        TrainingPlan.from_dict(entries)


def test_files_that_are_no_plan_are_refused(tmp_path):
    path = tmp_path / "plan.json"
    path.write_text("{")
    with pytest.raises(TrainingError, match=r"plan\.json is not a training plan"):
        TrainingPlan.from_json(path)


@pytest.mark.parametrize(
    "data",
    [
        b"[" * 100_000, b"\xff\xfe", b'{"lineage": 7}', b'{"lineage": {"plan": [1]}}',
        b'{"lineage": null}', b'{"seed": ' + b"1" * 10_000 + b"}",
    ],
)  # fmt: skip
def test_damaged_plans_are_named(tmp_path, data):
    path = tmp_path / "plan.json"
    path.write_bytes(data)
    with pytest.raises(TrainingError, match=r"plan\.json (is|Training plan)"):
        TrainingPlan.from_json(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_no_plan(tmp_path):
    os.mkfifo(tmp_path / "plan.json")
    with pytest.raises(TrainingError, match=r"plan\.json is not a training plan: it is no file"):
        plan_entries(tmp_path / "plan.json")


@pytest.mark.parametrize("text", ["[1, 2]", '"adamw"'])
def test_a_file_of_something_else_is_refused(tmp_path, text):
    path = tmp_path / "plan.json"
    path.write_text(text)
    with pytest.raises(TrainingError, match=r'plan\.json is not.*it holds.*such as {"patch_px"'):
        plan_entries(path)


def test_entries_that_plans_had_once_are_passed_over_where_they_did_nothing():
    old = {**TrainingPlan(seed=3).to_dict(), "near_px": 0, "label_smoothing": 0.0}
    assert TrainingPlan.from_dict(old) == TrainingPlan(seed=3)


@pytest.mark.parametrize(("name", "value"), [("near_px", 32), ("label_smoothing", 0.1)])
def test_a_training_that_used_them_cannot_be_repeated(name, value):
    with pytest.raises(TrainingError, match=f"{name}: {value} was possible once.*Remove"):
        TrainingPlan.from_dict({name: value})


def test_the_plan_on_a_card_is_whole(tmp_path):
    entries = plan_entries(bundled_folder() / "fracture-modes" / "card.json")
    plan = TrainingPlan.from_dict(entries)
    assert (plan.max_steps, plan.seed, plan.learning_rate) == (300, 3, 0.0007)
    # Its training knew nothing of staying close, and no preset changes that.
    assert entries["stay_close"] == 0
    assert entries["freeze_batch_norm"] is False
