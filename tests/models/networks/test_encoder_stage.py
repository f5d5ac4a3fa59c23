"""An encoder that is stopped at one of its stages."""

import copy

import pytest
import segmentation_models_pytorch as smp
import torch

from napari_fractoseg.models.networks.encoder_stage import EncoderStage, features_of

INPUTS = torch.randn(2, 1, 64, 96, generator=torch.Generator().manual_seed(0))


def network_of(encoder):
    torch.manual_seed(0)
    return smp.Unet(encoder, encoder_weights=None, in_channels=1, classes=3).eval()


def n_calls(network, run):
    """How many layers are computed."""
    calls = []
    for layer in network.modules():
        layer.register_forward_pre_hook(lambda *_: calls.append(1))
    run()
    return len(calls)


@pytest.mark.parametrize("encoder", ["resnet18", "mobilenet_v2", "densenet121"])
@pytest.mark.parametrize("stride", [4, 8])
def test_the_features_are_those_of_the_whole_encoder(encoder, stride):
    network = network_of(encoder)
    expected = features_of(network, INPUTS, stride)
    assert expected.shape[-2:] == (64 // stride, 96 // stride)
    stage = EncoderStage(copy.deepcopy(network), stride)
    assert torch.equal(stage(INPUTS), expected)


def test_later_stages_are_not_computed():
    network = network_of("resnet18")
    stage = EncoderStage(network, 8)
    other = network_of("resnet18")
    n_all = n_calls(other, lambda: features_of(other, INPUTS, 8))
    assert n_calls(network, lambda: stage(INPUTS)) < 0.6 * n_all


def test_features_that_are_changed_in_place_later_are_those_of_the_whole_encoder():
    class Encoder(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.first = torch.nn.Conv2d(1, 4, 3, stride=8, padding=1)
            self.second = torch.nn.ReLU(inplace=True)

        def forward(self, inputs):
            stage = self.first(inputs)
            self.second(stage[:])
            return [inputs, stage]

    network = torch.nn.Module()
    network.encoder = Encoder()
    expected = features_of(network, INPUTS, 8)
    assert torch.equal(EncoderStage(network, 8)(INPUTS), expected)
    assert (expected >= 0).all()
