import numpy as np
import pytest
import torch

from napari_fractoseg.training.data.augment import change_appearance, change_geometry, window_px


def rng(seed=0):
    return np.random.default_rng(seed)


@pytest.mark.parametrize("scale", [0.5, 1.0, 2.0])
def test_labels_move_with_the_image(scale):
    edge = window_px(64, scale)
    window = torch.zeros(1, edge, edge)
    window[:, : edge // 2, : edge // 3] = 1
    for seed in range(5):
        image, targets = change_geometry(window, window.long(), 64, rng(seed))
        assert image.shape == targets.shape == (1, 64, 64)
        agree = (image > 0.5) == (targets == 1)
        assert agree.float().mean() > 0.97
        assert 0 < targets.float().mean() < 1


def test_no_corner_is_left_empty_by_a_rotation():
    edge = window_px(64, 1.0)
    for seed in range(8):
        image, targets = change_geometry(
            torch.ones(1, edge, edge), torch.ones(1, edge, edge).long(), 64, rng(seed)
        )
        assert (targets == 1).all()
        assert image.min() > 0.99


def test_appearance_changes_with_the_seed_and_not_at_strength_zero():
    image = torch.linspace(-1, 1, 32 * 32).reshape(1, 32, 32)
    assert torch.equal(change_appearance(image, 0, rng()), image)
    once, again = (change_appearance(image, 1, rng(1)) for _ in range(2))
    assert torch.equal(once, again)
    assert not torch.equal(once, change_appearance(image, 1, rng(2)))
    assert torch.isfinite(once).all()
