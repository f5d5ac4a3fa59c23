"""Readouts: networks whose answer is a linear function of what another network sees."""

import json
from dataclasses import replace

import numpy as np
import pytest
import segmentation_models_pytorch as smp
import torch

from napari_fractoseg.errors import ModelError
from napari_fractoseg.models.card import CARD, CONFIG, Inference
from napari_fractoseg.models.change_classes import with_classes
from napari_fractoseg.models.model import SegmentationModel
from napari_fractoseg.models.networks.filters import filtered
from napari_fractoseg.models.networks.optimise import OpenVinoNetwork, folded, has_openvino
from napari_fractoseg.models.networks.readout import ReadoutNetwork, ReadoutShape, seen, widths_of


@pytest.fixture
def readout(tiny_model):
    """A readout of random weights at two scale levels."""
    shape = ReadoutShape(3, 2, widths_of(tiny_model.network))
    network = ReadoutNetwork(tiny_model.network, shape).eval()
    random = torch.Generator().manual_seed(0)
    width = sum(shape.widths)
    network.set_sum(torch.randn(6, width, generator=random) / width, torch.zeros(6))
    inference = Inference(reductions=(1, 2), halo_px=64, combine="sum")
    return SegmentationModel(replace(tiny_model.card, inference=inference), network)


@pytest.fixture
def grey():
    return np.random.default_rng(0).normal(size=(1, 1, 64, 128)).astype(np.float32)


class TestAnswer:
    def test_scale_levels_add_up_before_the_softmax(self, readout, grey):
        inputs = torch.from_numpy(grey)
        with torch.inference_mode():
            fine = readout.network(inputs)[:, 3:]
            coarse = readout.network(torch.nn.functional.avg_pool2d(inputs, 2))[:, :3]
            coarse = torch.nn.functional.interpolate(coarse, scale_factor=2, mode="bilinear")
        expected = (fine + coarse).softmax(dim=1)
        torch.testing.assert_close(readout.probabilities(grey), expected)

    def test_weights_are_those_of_the_features(self, readout, grey):
        """At the resolution of the grid, the outputs are the weighted sum of what is seen."""
        inputs, network = torch.from_numpy(grey), readout.network
        with torch.inference_mode():
            parts = [
                torch.nn.functional.adaptive_avg_pool2d(part, (16, 32))
                if part.shape[-1] > 32
                else torch.nn.functional.interpolate(part, size=(16, 32), mode="bilinear")
                for part in seen(network.base, inputs)
            ]
            weights, bias = network.sum_of()
            expected = torch.einsum("oc,ncyx->noyx", weights, torch.cat(parts, dim=1))
            found = network.on_cells(inputs)
        torch.testing.assert_close(found, expected + bias[:, None, None], rtol=1e-4, atol=1e-4)

    @pytest.mark.parametrize("architecture", sorted(smp.MODEL_ARCHITECTURES_MAPPING))
    def test_every_architecture_can_be_read(self, architecture):
        is_dpt = architecture == "dpt"
        network = smp.create_model(
            architecture,
            "tu-vit_tiny_patch16_224" if is_dpt else "resnet18",
            encoder_weights=None,
            in_channels=1,
            classes=3,
            **({"dynamic_img_size": True} if is_dpt else {}),
        ).eval()
        network = ReadoutNetwork(network, ReadoutShape(4, 2, widths_of(network))).eval()
        with torch.inference_mode():
            assert network(torch.zeros(1, 1, 256, 128)).shape == (1, 8, 256, 128)

    def test_fast_networks_give_the_same(self, readout, grey):
        inputs = torch.from_numpy(grey)
        with torch.inference_mode():
            expected = readout.network(inputs)
            fast = [folded(readout.network)]
            if has_openvino():
                fast.append(OpenVinoNetwork(fast[0]))
            for network in fast:
                torch.testing.assert_close(network(inputs), expected, rtol=1e-3, atol=1e-3)


class TestFolder:
    def test_a_saved_readout_gives_the_same(self, readout, grey, tmp_path):
        again = SegmentationModel.load(readout.save(tmp_path / "readout"))
        assert again.card == readout.card
        torch.testing.assert_close(again.probabilities(grey), readout.probabilities(grey))

    @pytest.mark.parametrize(
        ("file", "change", "match"),
        [
            (CONFIG, lambda c: c.pop("readout"), "classes|combines scale levels"),
            (CONFIG, lambda c: c["readout"].update(levels=1), "1 scale levels"),
            (CONFIG, lambda c: c["readout"].update(widths=[3]), "cannot build"),
            (CONFIG, lambda c: c["readout"].update(widths=[10**9]), "widths"),
            (CONFIG, lambda c: c["readout"].update(classes=4), "classes is 4"),
            (CONFIG, lambda c: c["readout"].update(grid_px=3), "cannot build"),
            (CONFIG, lambda c: c.update(readout=[1]), "readout"),
            (CARD, lambda c: c["inference"].update(combine="mean"), "combines scale levels"),
            (CARD, lambda c: c["inference"].update(reductions=[1]), "2 scale levels"),
        ],
    )
    def test_files_that_do_not_belong_together_are_refused(
        self, readout, tmp_path, file, change, match
    ):
        folder = readout.save(tmp_path / "readout")
        content = json.loads((folder / file).read_text())
        change(content)
        (folder / file).write_text(json.dumps(content))
        with pytest.raises(ModelError, match=match):
            SegmentationModel.load(folder)

    def test_a_network_that_is_no_readout_is_not_added_up(self, tiny_model, tmp_path):
        inference = replace(tiny_model.card.inference, combine="sum")
        folder = tiny_model.with_card(inference=inference).save(tmp_path / "tiny")
        with pytest.raises(ModelError, match="combines scale levels"):
            SegmentationModel.load(folder)


def test_known_classes_keep_their_weights(readout, grey):
    larger = with_classes(readout, readout.card.scheme.with_names(["dimples"]))
    inputs = torch.from_numpy(grey)
    with torch.inference_mode():
        before = readout.network(inputs).view(2, 3, 64, 128)
        after = larger.network(inputs).view(2, 4, 64, 128)
    torch.testing.assert_close(after[:, :3], before)
    assert not after[:, 3].any()


class TestFilters:
    def test_a_flat_image_shows_nothing(self):
        for found in filtered(torch.full((1, 1, 32, 64), 0.5)):
            grey, smooth, *edges = found[0]
            assert torch.allclose(grey, torch.tensor(0.5))
            assert torch.allclose(smooth, torch.tensor(0.5))
            assert max(float(edge.abs().max()) for edge in edges) < 2e-3

    def test_a_ramp_has_its_slope_everywhere_inside(self):
        ramp = 0.1 * torch.arange(64.0).expand(1, 1, 32, 64)
        magnitude, ridge, valley = filtered(ramp)[0][0, 2:5]
        assert torch.allclose(magnitude[:, 8:-8], torch.tensor(0.1), atol=1e-4)
        for curvature in (ridge, valley):
            assert float(curvature[:, 8:-8].abs().max()) < 2e-3

    def test_they_do_not_depend_on_direction(self):
        grey = torch.rand(1, 1, 32, 32, generator=torch.Generator().manual_seed(1))
        for found, turned in zip(filtered(grey), filtered(grey.rot90(dims=(2, 3))), strict=True):
            torch.testing.assert_close(found.rot90(dims=(2, 3)), turned, rtol=1e-4, atol=1e-5)
