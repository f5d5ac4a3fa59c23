import json

import pytest

from napari_fractoseg.errors import TrainingError
from napari_fractoseg.training.plan import TrainingPlan


def test_a_plan_survives_json(tmp_path):
    plan = TrainingPlan(encoder="resnet34", test_reductions=(2, 4), max_minutes=1.5, seed=3)
    path = tmp_path / "plan.json"
    path.write_text(json.dumps(plan.to_dict()))
    assert TrainingPlan.from_json(path) == plan


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"patch_px": 100}, "patch_px.*multiple of 32.*'100'"),
        ({"learning_rate": 0}, "learning_rate"),
        ({"epochs": 3}, "epochs.*'3'"),
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
