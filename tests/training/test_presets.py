import pytest

from napari_fractoseg.training.presets import FINE_TUNING, NEW_NETWORK, suggested_plan


@pytest.mark.parametrize("kind", ["cpu", "cuda", "mps"])
def test_the_time_is_a_limit_that_steps_do_not_undercut(tiny_model, kind):
    plan = suggested_plan(tiny_model.card, 5, kind, seed=3)
    assert (plan.max_minutes, plan.seed) == (5, 3)
    assert plan.max_steps >= 5 * 60
    assert plan.learning_rate == FINE_TUNING.learning_rate
    assert plan.split == "auto"


def test_only_a_model_that_knows_something_is_stayed_close_to(tiny_model):
    assert suggested_plan(tiny_model.card, 1).stay_close > 0
    assert suggested_plan(None, 1).stay_close == 0
    assert suggested_plan(None, 1).learning_rate == NEW_NETWORK.learning_rate
