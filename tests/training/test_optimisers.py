from dataclasses import replace

import pytest
import torch

from napari_fractoseg.training.optimisers import (
    freeze_statistics,
    make_optimiser,
    set_learning_rate,
)
from napari_fractoseg.training.plan import TrainingPlan

PLAN = TrainingPlan(learning_rate=0.5, weight_decay=0.25, encoder_rate=0.1)
KINDS = {
    "adamw": torch.optim.AdamW, "adam": torch.optim.Adam, "sgd": torch.optim.SGD,
    "rmsprop": torch.optim.RMSprop, "adadelta": torch.optim.Adadelta,
}  # fmt: skip


class Network(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = torch.nn.Linear(2, 2)
        self.decoder = torch.nn.Linear(2, 2)
        self.norm = torch.nn.BatchNorm2d(2)


@pytest.mark.parametrize("name", KINDS)
def test_every_optimiser_takes_the_plans_rates(name):
    optimiser = make_optimiser(Network(), replace(PLAN, optimiser=name))
    assert type(optimiser) is KINDS[name]
    set_learning_rate(optimiser, 0.4)
    assert [g["lr"] for g in optimiser.param_groups] == pytest.approx([0.04, 0.4])
    assert {g["weight_decay"] for g in optimiser.param_groups} == {0.25}
    assert [len(g["params"]) for g in optimiser.param_groups] == [2, 4]


def test_an_encoder_without_a_rate_is_frozen():
    network = Network()
    optimiser = make_optimiser(network, replace(PLAN, encoder_rate=0.0))
    assert not any(p.requires_grad for p in network.encoder.parameters())
    assert [len(g["params"]) for g in optimiser.param_groups] == [4]


def test_frozen_statistics_leave_the_rest_in_training():
    network = Network().train()
    freeze_statistics(network)
    assert not network.norm.training
    assert network.decoder.training
