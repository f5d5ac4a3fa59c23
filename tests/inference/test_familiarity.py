"""Planes that look unlike what a model learnt, found crop by crop."""

from fractions import Fraction

import numpy as np
import pytest

from napari_fractoseg.images import Micrograph, MicrographStack, read_image
from napari_fractoseg.images.excluded import ExcludedArea, PlaneMask
from napari_fractoseg.inference.familiarity import MOST_CROPS, BlockReader
from napari_fractoseg.inference.predictor import Predictor, segment
from napari_fractoseg.jobs import drain
from napari_fractoseg.models.devices import choose_device
from napari_fractoseg.models.model import load_model

CPU = choose_device("cpu")


class Counted:
    """A plane on disk that counts the pixels which are read."""

    def __init__(self, data):
        self.data, self.n_read, self.shape, self.dtype = data, 0, data.shape, data.dtype

    def __getitem__(self, key):
        found = self.data[key]
        self.n_read += found.size
        return found


@pytest.fixture(scope="module")
def bundled():
    return load_model()


@pytest.mark.parametrize("shape", [(64, 64), (200, 330), (700, 640), (1, 90), (1279, 1281)])
def test_planes_of_any_shape_are_covered(tiny_model, shape):
    image = Micrograph(np.random.default_rng(0).integers(0, 255, shape).astype(np.uint8))
    ((piece,),) = drain(BlockReader(tiny_model, 1, CPU).pieces_job(image))
    assert piece.shape == tuple(max(1, round(n / 64)) for n in shape)


def test_a_large_plane_is_looked_at_in_16_crops_that_are_read_alone(tiny_model):
    levels = np.random.default_rng(0).integers(0, 255, (3000, 4000)).astype(np.uint8)
    image = Micrograph(levels)
    counted = Counted(levels)
    lazy = Micrograph(levels, known_range=image.grey_range)
    object.__setattr__(lazy, "data", counted)
    pieces = drain(BlockReader(tiny_model, 1, CPU).pieces_job(lazy))
    assert sum(len(row) for row in pieces) <= MOST_CROPS
    assert counted.n_read <= MOST_CROPS * 320**2
    assert (len(pieces), len(pieces[0])) == (3, 5)


def test_noise_is_unlike_what_the_bundled_model_learnt(bundled):
    noise = np.random.default_rng(0).integers(0, 255, (640, 640)).astype(np.uint8)
    predictor = Predictor(bundled, CPU, flips=False, with_familiarity=True)
    found = drain(predictor.run(MicrographStack(noise, name="noise")))
    assert found.familiarity[()].sentence.startswith("This surface looks unlike what")


def excluded(mask):
    return PlaneMask(mask.shape, (), mask)


def test_excluded_pixels_count_in_no_block(tiny_model):
    grey = np.random.default_rng(0).integers(0, 255, (320, 320)).astype(np.uint8)
    mask = np.zeros(grey.shape, np.bool_)
    mask[:128, :100] = True
    plane = Micrograph(grey, excluded=excluded(mask))
    ((piece,),) = drain(BlockReader(tiny_model, 1, CPU).pieces_job(plane))
    ((whole,),) = drain(BlockReader(tiny_model, 1, CPU).pieces_job(Micrograph(grey)))
    assert piece.shares[:2, :2] == pytest.approx(np.array([[0, 0.5]] * 2))
    assert (piece.shares[2:] == 1).all()
    assert (piece.shares[:, 2:] == 1).all()
    np.testing.assert_allclose(piece.spread[3:, 3:], whole.spread[3:, 3:], rtol=1e-3, atol=1e-5)


def test_blocks_of_enlarged_images_are_smaller(tiny_model):
    small = np.random.default_rng(0).integers(0, 255, (80, 96)).astype(np.uint8)
    ((piece,),) = drain(BlockReader(tiny_model, Fraction(1, 4), CPU).pieces_job(Micrograph(small)))
    assert piece.shape == (5, 6)
    ((piece,),) = drain(BlockReader(tiny_model, Fraction(3, 2), CPU).pieces_job(Micrograph(small)))
    assert piece.shape == (1, 1)


def test_an_image_is_looked_at_at_the_scale_it_is_segmented_at(bundled):
    grey = np.random.default_rng(0).normal(128, 20, (200, 200)).clip(0, 255).astype(np.uint8)

    def score(factor):
        predictor = Predictor(bundled.at_scale(factor), CPU, with_familiarity=True)
        return drain(predictor.familiar_job(Micrograph(grey))).score

    scores = [score(factor) for factor in (1, 0.5, 0.25, 0.125)]
    assert len(set(np.round(scores, 2))) == 4


def test_of_what_is_too_small_nothing_is_said(bundled):
    noise = np.random.default_rng(0).integers(0, 255, (150, 400)).astype(np.uint8)
    predictor = Predictor(bundled, CPU, flips=False, with_familiarity=True)
    assert drain(predictor.run(MicrographStack(noise))).familiarity == {}


def test_segment_warns_of_noise_but_not_of_what_is_not_known(bundled, tiny_model):
    noise = np.random.default_rng(0).integers(0, 255, (320, 320)).astype(np.uint8)
    with pytest.warns(UserWarning, match=r"looks unlike what the model learnt \("):
        segment(noise, bundled, device="cpu")
    segment(noise, tiny_model, device="cpu")


def test_a_model_that_does_not_know_says_nothing(tiny_model):
    predictor = Predictor(tiny_model, CPU, with_familiarity=True)
    stack = MicrographStack(np.random.default_rng(0).integers(0, 255, (64, 64)).astype(np.uint8))
    assert drain(predictor.run(stack)).familiarity == {}


@pytest.mark.shared_data
def test_small_and_masked_spinel_is_known_and_small_noise_is_not(bundled, shared_data):
    predictor = Predictor(bundled, CPU, with_familiarity=True)
    grey = read_image(shared_data / "fracture" / "images" / "s17_3.jpg").plane().data

    def judged(data, mask=None):
        plane = Micrograph(np.ascontiguousarray(data))
        if mask is not None:
            plane = MicrographStack(
                plane.data, excluded=ExcludedArea(mask.shape, mask=mask)
            ).plane()
        return drain(predictor.familiar_job(plane))

    for edge in (200, 300, 400):
        for row, column in ((0, 0), (500, 500), (1280 - edge, 0)):
            assert judged(grey[row : row + edge, column : column + edge]).sentence == ""
    noise = np.random.default_rng(0).integers(0, 255, (300, 300)).astype(np.uint8)
    assert judged(noise).unlike == 1
    mask = np.zeros(grey.shape, np.bool_)
    mask[:500, :500] = True
    found = judged(grey, mask)
    assert np.isnan(found.scores[0, 0])
    assert found.sentence == ""


@pytest.mark.shared_data
def test_spinel_is_known_and_a_microstructure_is_not(bundled, shared_data):
    predictor = Predictor(bundled, CPU, with_familiarity=True)

    def judged(path):
        return drain(predictor.familiar_job(read_image(path).plane()))

    assert judged(shared_data / "fracture" / "images" / "s4_5.jpg").sentence == ""
    other = shared_data / "nasa_microscopy" / "Super1" / "test" / "images" / "spot2_0d_0.png"
    assert judged(other).unlike == 1
