import pytest
import torch

from napari_fractoseg.classes import IGNORE_INDEX
from napari_fractoseg.training.losses import SegmentationLoss, disagreement

TARGETS = torch.tensor([[[0, 1], [IGNORE_INDEX, 2]]])


def logits(seed):
    return torch.randn(1, 3, 2, 2, generator=torch.Generator().manual_seed(seed))


def test_unlabelled_pixels_do_not_count():
    loss = SegmentationLoss()
    one = logits(0)
    other = one.clone()
    other[:, :, 1, 0] += torch.tensor([9.0, -4.0, 1.0])
    assert loss(one, TARGETS) == loss(other, TARGETS)


def test_unlabelled_pixels_do_not_dilute_the_loss():
    sparse = torch.full((1, 2, 8), IGNORE_INDEX)
    sparse[..., :2] = TARGETS
    wide = torch.cat([logits(0), torch.randn(1, 3, 2, 6)], dim=-1)
    loss = SegmentationLoss(dice_weight=0)
    torch.testing.assert_close(loss(wide, sparse), loss(logits(0), TARGETS))


def test_a_perfect_prediction_costs_nothing():
    perfect = torch.nn.functional.one_hot(TARGETS.clamp(min=0), 3).permute(0, 3, 1, 2) * 50.0
    assert SegmentationLoss()(perfect, TARGETS).item() == pytest.approx(0, abs=1e-4)
    assert SegmentationLoss()(-perfect, TARGETS).item() > 1


class TestDisagreement:
    def test_agreement_costs_nothing_and_labelled_pixels_do_not_count(self):
        one, other = logits(0), logits(0)
        other[:, :, 0, :] += torch.tensor([3.0, -1.0, 0.5])[:, None]
        other[:, :, 1, 1] -= torch.tensor([3.0, -1.0, 0.5])
        assert disagreement(one, one, TARGETS).item() == pytest.approx(0, abs=1e-6)
        assert disagreement(one, other, TARGETS).item() == pytest.approx(0, abs=1e-6)
        other[0, 0, 1, 0] += 1
        assert disagreement(one, other, TARGETS).item() > 0.01
