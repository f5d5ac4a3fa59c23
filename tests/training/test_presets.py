import pytest

from napari_fractoseg.errors import TrainingError
from napari_fractoseg.training.presets import (
    FINE_TUNING,
    NEW_NETWORK,
    patches_in_a_step,
    suggested_plan,
)


def test_the_time_is_a_limit_that_steps_do_not_undercut(tiny_model):
    plan = suggested_plan(tiny_model.card, max_minutes=480, seed=3)
    assert (plan.max_minutes, plan.seed) == (480, 3)
    assert plan.max_steps >= 480 * 60 * 30
    assert plan.learning_rate == FINE_TUNING.learning_rate
    assert plan.split == "auto"


def test_steps_end_a_run_without_a_time_and_beside_it_if_they_are_said():
    assert (suggested_plan(None).max_steps, suggested_plan(None).max_minutes) == (600, None)
    both = suggested_plan(None, {"max_minutes": 5}, max_steps=40)
    assert (both.max_steps, both.max_minutes) == (40, 5)


def test_only_a_model_that_knows_something_is_stayed_close_to(tiny_model):
    assert suggested_plan(tiny_model.card).stay_close > 0
    assert suggested_plan(None).stay_close == 0
    assert suggested_plan(None).learning_rate == NEW_NETWORK.learning_rate


def test_what_is_chosen_goes_before_a_file_and_a_file_before_the_preset(tiny_model):
    file = {"patch_px": 128, "learning_rate": 0.5, "stay_close": 0, "decoder_channels": None}
    plan = suggested_plan(tiny_model.card, file, learning_rate=0.25, patch_px=None)
    assert (plan.learning_rate, plan.patch_px, plan.stay_close) == (0.25, 128, 0)
    assert plan.dice_weight == FINE_TUNING.dice_weight
    assert plan.freeze_batch_norm


def test_an_entry_that_no_plan_has_is_named():
    with pytest.raises(TrainingError, match="epochs is 3"):
        suggested_plan(None, {"epochs": 3})


def test_the_device_decides_how_many_patches_unless_somebody_does():
    assert suggested_plan(None).batch_size is None
    assert suggested_plan(None, batch_size=2).batch_size == 2
    assert [patches_in_a_step(kind) for kind in ("cpu", "cuda", "mps")] == [4, 16, 16]
