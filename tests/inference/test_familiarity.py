"""Planes that look unlike what a model learnt, found crop by crop."""

import numpy as np
import pytest

from napari_fractoseg.images import Micrograph, MicrographStack, read_image
from napari_fractoseg.inference.familiarity import MOST_CROPS, BlockReader
from napari_fractoseg.inference.predictor import Predictor
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


def test_a_model_that_does_not_know_says_nothing(tiny_model):
    predictor = Predictor(tiny_model, CPU, with_familiarity=True)
    stack = MicrographStack(np.random.default_rng(0).integers(0, 255, (64, 64)).astype(np.uint8))
    assert drain(predictor.run(stack)).familiarity == {}


@pytest.mark.shared_data
def test_spinel_is_known_and_a_microstructure_is_not(bundled, shared_data):
    predictor = Predictor(bundled, CPU, with_familiarity=True)

    def judged(path):
        return drain(predictor.familiar_job(read_image(path).plane()))

    assert judged(shared_data / "fracture" / "images" / "s4_5.jpg").sentence == ""
    other = shared_data / "nasa_microscopy" / "Super1" / "test" / "images" / "spot2_0d_0.png"
    assert judged(other).unlike == 1
