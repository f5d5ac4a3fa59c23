"""A model at another scale: what it sees, and that labels are on the grid of the image."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch
from skimage.filters import gaussian

from napari_fractoseg.errors import OptionError
from napari_fractoseg.images import MicrographStack
from napari_fractoseg.inference.backend import Engine
from napari_fractoseg.inference.memory import suggested_tile_px
from napari_fractoseg.inference.multiscale import levels_of
from napari_fractoseg.inference.predictor import Predictor
from napari_fractoseg.jobs import drain
from napari_fractoseg.models.card import Inference
from napari_fractoseg.models.devices import choose_device
from napari_fractoseg.models.image_scale import SCALES, nearest_scale
from napari_fractoseg.models.model import SegmentationModel

CPU = choose_device("cpu")


def texture(shape, seed=0):
    """A texture whose 1st and 99th percentiles are 0 and 255, however it is enlarged."""
    noise = gaussian(np.random.default_rng(seed).normal(size=shape), 2)
    return np.interp(noise, np.quantile(noise, (0.05, 0.95)), (0, 255)).astype(np.uint8)


IMAGE = texture((64, 128))


def result_of(model, image):
    predictor = Predictor(model, CPU, with_confidence=True, with_margin=True)
    return drain(predictor.run(MicrographStack(image)))


def labels_of(model, image, **options):
    return drain(Predictor(model, CPU, **options).run(MicrographStack(image))).labels


def in_blocks(image, edge):
    """The same image, of which each pixel is a block."""
    return image.repeat(edge, axis=0).repeat(edge, axis=1)


@pytest.mark.parametrize("reductions", [(1,), (1, 2)])
def test_an_image_of_blocks_is_seen_as_the_image_that_they_show(tiny_model, reductions):
    model = tiny_model.with_card(inference=Inference(reductions=reductions, halo_px=64, flips=True))
    expected = result_of(model, IMAGE)
    found = result_of(model.at_scale(3), in_blocks(IMAGE, 3))
    assert found.labels.shape == (192, 384)
    middle = (slice(1, None, 3), slice(1, None, 3))  # of each block
    for kind in ("confidence", "margin"):
        shown = getattr(found, kind)[middle]
        np.testing.assert_allclose(shown, getattr(expected, kind), atol=1e-4)
    is_clear = expected.margin > 1e-3  # than rounding of the mean of nine
    assert is_clear.mean() > 0.99
    np.testing.assert_array_equal(found.labels[middle][is_clear], expected.labels[is_clear])
    assert len(np.unique(expected.labels)) > 1


def test_without_it_blocks_are_another_texture(tiny_model):
    expected = labels_of(tiny_model, IMAGE)
    found = labels_of(tiny_model, in_blocks(IMAGE, 3))
    assert (found[1::3, 1::3] == expected).mean() < 0.9


def test_a_coarse_image_is_seen_enlarged_and_a_pixel_has_the_mean_of_its_parts(tiny_model):
    shown = torch.from_numpy(MicrographStack(IMAGE).plane().normalised())[None, None]
    padded = torch.nn.functional.pad(shown, (1, 1, 1, 1), mode="reflect")
    large = torch.nn.functional.interpolate(padded, scale_factor=2, mode="bilinear")
    parts = tiny_model.probabilities(large[..., 2:-2, 2:-2])
    expected = torch.nn.functional.avg_pool2d(parts, 2)[0].argmax(dim=0).numpy() + 1
    half = tiny_model.at_scale(0.5)
    np.testing.assert_array_equal(labels_of(half, IMAGE), expected)
    by_batch = half.probabilities(shown)[0].argmax(dim=0).numpy() + 1
    np.testing.assert_array_equal(by_batch, expected)


@pytest.mark.parametrize("factor", [0.125, 0.375, 0.75, 1.5, 2])
def test_tiles_give_the_labels_of_the_whole_image(tiny_model, factor):
    # A halo as wide as the network sees.
    inference = Inference(reductions=(1, 2), halo_px=256)
    model = tiny_model.with_card(inference=inference).at_scale(factor)
    image = texture((40, 50) if factor < 1 else (150, 210))
    whole = labels_of(model, image, tile_px=4096)
    tiled = labels_of(model, image, tile_px=16 if factor < 1 else 64)
    assert (whole == tiled).mean() > 0.9995


@pytest.mark.parametrize("factor", [0.125, 16])
@pytest.mark.parametrize("shape", [(1, 9), (7, 5)])
def test_tiny_images(tiny_model, factor, shape):
    model = tiny_model.with_card(inference=Inference(reductions=(2, 6))).at_scale(factor)
    assert labels_of(model, texture(shape)).shape == shape


def test_all_scale_levels_keep_their_ratio_and_their_network_pixels(tiny_model):
    model = tiny_model.with_card(inference=Inference(reductions=(2, 6), halo_px=128))
    for scale in SCALES:
        coarse, fine = model.at_scale(scale).scale_levels
        edges = [Fraction(level.reduction, level.enlargement) for level in (coarse, fine)]
        assert edges == [6 * scale, 2 * scale]
        assert [level.in_network(level.stride_px) for level in (coarse, fine)] == [32, 32]
        assert [level.in_network(level.halo_px) for level in (coarse, fine)] == [64, 64]


def test_tiles_take_the_memory_that_they_take_at_the_scale_of_the_model(tiny_model):
    for factor in (0.25, 1, 4):
        scale = tiny_model.at_scale(factor).scale_levels[-1]
        edge_px = suggested_tile_px(scale, 1000, CPU, 2**30)
        assert scale.in_network(edge_px) == 768
    engine = Engine(tiny_model.at_scale(0.25), CPU, tile_px=64)
    assert engine.levels[0].tiler.tile_px == 64
    assert levels_of(tiny_model.at_scale(2), 512)[0].tiler.tile_px == 512


def test_a_model_at_a_scale_keeps_its_card_and_is_saved_as_it_was(tiny_model, tmp_path):
    seen = tiny_model.at_scale(2.05).with_flips(True)
    assert seen.image_scale == 2
    assert seen.card.inference.reductions == tiny_model.card.inference.reductions
    assert SegmentationModel.load(seen.save(tmp_path / "model")).image_scale == 1


def test_a_readout_sums_its_scale_levels_at_another_scale_too(shallow_model):
    from napari_fractoseg.datasets.dataset import TrainingPair, TrainingSet
    from napari_fractoseg.training.readout.learning import learn_readout
    from napari_fractoseg.training.readout.plan import ReadoutPlan

    image = MicrographStack(texture((64, 64))).plane()
    painted = np.where(image.data > 128, 1, 2).astype(np.uint8)
    taught = TrainingSet((TrainingPair(image, painted),))
    model = drain(learn_readout(shallow_model, taught, ReadoutPlan(reductions=(1, 2)), CPU))
    assert model.card.inference.combine == "sum"
    expected = labels_of(model, image.data)
    found = labels_of(model.at_scale(3), in_blocks(image.data, 3))
    assert (found[1::3, 1::3] == expected).mean() > 0.999
    assert (labels_of(model, in_blocks(image.data, 3))[1::3, 1::3] == expected).mean() < 0.99


@pytest.mark.parametrize(("factor", "scale"), [(1.1, 1), (1.7, "3/2"), (1.75, 2), (0.09, None)])
def test_the_nearest_scale_is_used(factor, scale):
    if scale is None:
        with pytest.raises(OptionError, match=r"scale factor is 0\.09, and can be 0\.125 to 16"):
            nearest_scale(factor)
    else:
        assert nearest_scale(factor) == Fraction(scale)


@pytest.mark.parametrize("factor", [float("nan"), float("inf"), -1, 0, 17])
def test_other_factors_are_refused(tiny_model, factor):
    with pytest.raises(OptionError, match="Check the pixel size of the image"):
        tiny_model.at_scale(factor)
