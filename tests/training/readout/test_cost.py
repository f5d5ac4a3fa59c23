"""What it costs to keep a readout, on planes of two features that are what they look like."""

import numpy as np
import torch

from napari_fractoseg.classes import ClassScheme, FractureClass
from napari_fractoseg.tiling import Box
from napari_fractoseg.training.readout.cost import KeepingCost, keeping_cost
from napari_fractoseg.training.readout.features import LevelFeatures, PlaneFeatures
from napari_fractoseg.training.readout.samples import Samples

SCHEME = ClassScheme(
    "two", (FractureClass(3, "low", "#ff0000"), FractureClass(7, "high", "#00ff00"))
)
LIVE = torch.tensor([[0.0, 0.0], [1.0, -4.5]])
"""What is above 4.5 is high."""
KEPT = torch.tensor([[0.0, 0.0], [1.0, -6.5]])


def ramp():
    """A plane of 10 columns with the feature 0, 1, ... 9, on a grid of single pixels."""
    values = torch.arange(10.0).repeat(1, 4, 1).half()
    return PlaneFeatures((LevelFeatures(values, 1, 1),), Box(0, 4, 0, 10))


def painted(columns, value):
    labels = np.zeros((4, 10), np.uint8)
    labels[:2, columns] = value
    return labels


def test_here_and_elsewhere_are_counted():
    rehearsed = Samples(torch.tensor([[0.0], [5.0], [7.0], [9.0]]), np.array([0, 1, 1, 0]), 4)
    cost = keeping_cost([(ramp(), painted([1, 5, 9], 7))], SCHEME, LIVE, KEPT, rehearsed, 2)
    # 5 and 6 become low; of the painted columns 1, 5, 9 two were high before, and one is now.
    assert cost == KeepingCost(6, 4, 2, 40, 8, n_images=2, n_places=4, n_changed=2)


def test_several_planes_are_one_sum():
    planes = [(ramp(), painted([5], 7)), (ramp(), painted([5], 3))]
    assert keeping_cost(planes, SCHEME, LIVE, KEPT) == KeepingCost(4, 2, 2, 80, 16)


def test_it_is_said_in_words():
    cost = KeepingCost(1000, 990, 968, 10_000, 340, n_images=16, n_places=3400, n_changed=41)
    assert cost.text == (
        "Here 97 % of the painted pixels come out as painted (learnt from here alone: "
        "99.0 %), and 3.4 % of all pixels get another class than then. Elsewhere 1.2 % of "
        "3 400 places in 16 other images change their class."
    )


def test_nearly_all_is_not_all():
    cost = KeepingCost(10_000, 10_000, 9_999, 100, 0)
    assert "Here 99.9 % of the painted pixels come out as painted" in cost.text
    assert "(learnt from here alone: 100 %)" in cost.text


def test_without_a_sample_nobody_knows():
    text = KeepingCost(10, 10, 10, 100, 0).text
    assert text.endswith("What it costs in other images is not known: the model has no sample.")
