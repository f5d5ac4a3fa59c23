"""Fast networks say what the networks say that they were made from."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import segmentation_models_pytorch as smp
import torch
from torch import nn

import napari_fractoseg as nf
from napari_fractoseg.images import MicrographStack
from napari_fractoseg.inference.predictor import Predictor
from napari_fractoseg.jobs import drain
from napari_fractoseg.models.devices import choose_device
from napari_fractoseg.models.model import SegmentationModel
from napari_fractoseg.models.networks.optimise import HalfNetwork, OpenVinoNetwork, folded, is_alike

IMAGE = np.random.default_rng(0).integers(0, 255, (96, 128), dtype=np.uint8)


def trained(architecture, encoder):
    """A network whose normalisations have seen something."""
    torch.manual_seed(0)
    network = smp.create_model(
        architecture, encoder, encoder_weights=None, in_channels=1, classes=3
    ).train()
    with torch.no_grad():
        for _ in range(3):
            network(torch.randn(4, 1, 64, 64) * 2 + 1)
    return network.eval()


def normalisations(network):
    return sum(isinstance(m, nn.modules.batchnorm._BatchNorm) for m in network.modules())


@pytest.mark.parametrize(
    ("architecture", "encoder"),
    [
        ("Unet", "resnet18"),
        ("Unet", "tu-tf_efficientnet_lite0"),
        ("Unet", "mobilenet_v2"),
        ("UnetPlusPlus", "resnet18"),
        ("FPN", "efficientnet-b0"),
        ("DeepLabV3Plus", "resnet18"),
    ],
)
@torch.inference_mode()
def test_a_folded_network_gives_the_same_logits(architecture, encoder):
    network = trained(architecture, encoder)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    fast = folded(network)
    assert normalisations(fast) < normalisations(network)
    image = torch.randn(2, 1, 96, 128)
    torch.testing.assert_close(fast(image), network(image), rtol=1e-3, atol=1e-3)
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, before[name])


class _Twice(nn.Module):
    """One convolution before two normalisations: it cannot be part of both."""

    def __init__(self):
        super().__init__()
        self.convolution = nn.Conv2d(1, 3, 3, padding=1)
        self.one, self.two = nn.BatchNorm2d(3), nn.BatchNorm2d(3)
        self.two.running_mean += 1

    def forward(self, inputs):
        return self.one(self.convolution(inputs)) + self.two(self.convolution(inputs))


class _Elsewhere(nn.Module):
    """The output of the convolution is used behind the back of the normalisation, too."""

    def __init__(self):
        super().__init__()
        self.convolution, self.normalisation = nn.Conv2d(1, 3, 1), nn.BatchNorm2d(3)
        self.normalisation.running_mean += 1

    def forward(self, inputs):
        seen = self.convolution(inputs)
        return self.normalisation(seen) + seen


@pytest.mark.parametrize("network", [_Twice(), _Elsewhere(), nn.Conv2d(1, 3, 1)])
def test_what_cannot_be_folded_stays_as_it_is(network):
    image, fast = torch.randn(1, 1, 32, 32), folded(network.eval())
    assert fast is not network
    assert torch.equal(fast(image), network(image))


@pytest.mark.slow
def test_openvino_gives_the_same_labels(tiny_model):
    pytest.importorskip("openvino")
    fast = OpenVinoNetwork(folded(tiny_model.network))
    for shape in ((1, 1, 96, 128), (2, 1, 64, 64)):
        image = torch.randn(shape)
        with torch.inference_mode():
            torch.testing.assert_close(fast(image), tiny_model.network(image), rtol=1e-3, atol=1e-3)


@pytest.mark.slow
def test_long_work_on_the_cpu_is_done_by_openvino(tiny_model):
    pytest.importorskip("openvino")
    planes = np.random.default_rng(0).integers(0, 255, (2, 96, 128), dtype=np.uint8)
    predictor = Predictor(tiny_model, choose_device("cpu"))
    expected = drain(predictor.run(MicrographStack(planes))).labels
    assert not predictor.engine.label.endswith("OpenVINO")
    predictor.engine.model_for(10**6)
    assert predictor.engine.label.endswith(" with OpenVINO")
    many = np.broadcast_to(planes[:1], (1700, 96, 128))  # 1700 x 12 blocks of 32 x 32 px
    labels = np.zeros(many.shape, np.uint8)
    job = predictor.run_into(MicrographStack(many), labels)
    while not labels[1].any():
        next(job)
    job.close()
    assert (labels[0] == expected[0]).mean() > 0.999
    assert nf.segment(planes[0], tiny_model, device="cpu").shape == (96, 128)


@pytest.mark.slow
def test_nothing_is_told_to_the_makers_of_openvino():
    program = """
import sys, torch
from napari_fractoseg.models.networks.optimise import OpenVinoNetwork
OpenVinoNetwork(torch.nn.Conv2d(1, 2, 3).eval())
print([name for name in sys.modules if "openvino_telemetry" in name])
"""
    found = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert found.stdout.splitlines()[-1] == "[]"


@pytest.mark.slow
def test_half_precision_gives_nearly_the_same(tiny_model):
    half = HalfNetwork(tiny_model.network)
    assert is_alike(tiny_model.network, half)
    image = torch.randn(1, 1, 64, 96)
    with torch.inference_mode():
        found, expected = half(image), tiny_model.network(image)
    assert found.dtype == torch.float32
    assert not torch.equal(found, expected)
    torch.testing.assert_close(found.softmax(1), expected.softmax(1), rtol=0, atol=0.01)
    assert next(tiny_model.network.parameters()).dtype == torch.float32


class _Overflowing(nn.Module):
    """Numbers on the way are larger than half precision can hold."""

    def __init__(self):
        super().__init__()
        self.up, self.down = nn.Conv2d(1, 3, 1), nn.Conv2d(3, 3, 1)
        with torch.no_grad():
            self.up.weight.fill_(1e5)
            self.down.weight.fill_(1e-5)

    def forward(self, inputs):
        return self.down(self.up(inputs))


def test_half_precision_is_not_used_where_it_cannot_be(tiny_model):
    network = _Overflowing().eval()
    assert not is_alike(network, HalfNetwork(network))
    predictor = Predictor(
        SegmentationModel(tiny_model.card, network), choose_device("cpu"), precision="half"
    )
    assert drain(predictor.run(MicrographStack(IMAGE))).labels.all()
    assert predictor.engine.label == choose_device("cpu").label


class _OnlySingle(nn.Conv2d):
    """It cannot compute with other numbers."""

    def forward(self, inputs):
        if inputs.dtype != torch.float32:
            raise RuntimeError("not implemented for 'Half'")
        return super().forward(inputs)


def test_what_a_device_cannot_do_in_half_precision_is_done_in_single():
    network = _OnlySingle(1, 3, 1).eval()
    assert not is_alike(network, HalfNetwork(network))


def test_half_precision_is_said(tiny_model):
    cpu = choose_device("cpu")
    usual, half = (Predictor(tiny_model, cpu, precision=p) for p in ("auto", "half"))
    labels = [drain(predictor.run(MicrographStack(IMAGE))).labels for predictor in (usual, half)]
    assert usual.engine.label == cpu.label
    assert half.engine.label == f"{cpu.label} in half precision"
    assert (labels[0] == labels[1]).mean() > 0.99
    with pytest.raises(ValueError, match=r"'double'. Choose one of auto, single, half"):
        Predictor(tiny_model, cpu, precision="double")
