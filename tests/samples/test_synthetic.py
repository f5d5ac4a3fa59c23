import hashlib
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from napari_fractoseg.classes import DEFAULT_SCHEME
from napari_fractoseg.errors import ImageError
from napari_fractoseg.samples import (
    SAMPLE_SEEDS,
    TRAINING_SEEDS,
    synthetic_fracture,
    synthetic_stack,
)

INTER, TRANS, BACKGROUND = DEFAULT_SCHEME.values


def digest(sample) -> str:
    return hashlib.sha256(sample.image.tobytes() + sample.labels.tobytes()).hexdigest()


def transgranular_part(labels: np.ndarray) -> float:
    inter, trans = np.count_nonzero(labels == INTER), np.count_nonzero(labels == TRANS)
    return trans / (inter + trans)


@pytest.mark.parametrize("shape", [(160, 160), (33, 70), (16, 16), (200, 48)])
def test_image_and_labels_have_the_shape_and_type_asked_for(shape):
    sample = synthetic_fracture(5, shape)
    assert sample.image.shape == sample.labels.shape == shape
    assert sample.image.dtype == sample.labels.dtype == np.uint8
    assert set(np.unique(sample.labels)) <= {INTER, TRANS, BACKGROUND}
    assert sample.image.std() > 5
    assert sample.pixel_size_um > 0
    assert sample.seed == 5


def test_the_same_seed_gives_the_same_bits_in_another_process():
    here = digest(synthetic_fracture(7, (120, 90)))
    assert digest(synthetic_fracture(7, (120, 90))) == here
    program = (
        "import hashlib; from napari_fractoseg.samples import synthetic_fracture as make;"
        "s = make(7, (120, 90));"
        "print(hashlib.sha256(s.image.tobytes() + s.labels.tobytes()).hexdigest())"
    )
    answer = subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert answer.stdout.strip() == here


def test_numpys_global_random_state_is_neither_read_nor_changed():
    np.random.seed(1)  # noqa: NPY002
    before = digest(synthetic_fracture(2, (64, 64)))
    first = np.random.rand()  # noqa: NPY002
    np.random.seed(1)  # noqa: NPY002
    assert np.random.rand() == first  # noqa: NPY002
    assert digest(synthetic_fracture(2, (64, 64))) == before


def test_other_seeds_give_other_images():
    assert len({digest(synthetic_fracture(seed, (64, 64))) for seed in range(6)}) == 6


def test_seeds_for_training_and_for_samples_are_apart():
    assert not set(TRAINING_SEEDS) & set(SAMPLE_SEEDS)


@pytest.mark.parametrize("seed", range(4))
def test_all_three_classes_appear(seed):
    labels = synthetic_fracture(seed, (320, 320), grain_px=20).labels
    shares = np.bincount(labels.ravel(), minlength=4) / labels.size
    assert shares[0] == 0
    assert (shares[1:] > 0.03).all()


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("wanted", [0.2, 0.5, 0.9])
def test_the_transgranular_part_is_as_asked_for(seed, wanted):
    sample = synthetic_fracture(seed, (384, 384), grain_px=18, transgranular=wanted)
    assert transgranular_part(sample.labels) == pytest.approx(wanted, abs=0.1)


@pytest.mark.parametrize(("wanted", "absent"), [(0.0, TRANS), (1.0, INTER)])
def test_one_mode_alone_is_possible(wanted, absent):
    labels = synthetic_fracture(3, (128, 128), grain_px=16, transgranular=wanted).labels
    assert not (labels == absent).any()


def test_larger_grains_mean_smaller_pixels():
    coarse = synthetic_fracture(1, (64, 64), grain_px=40)
    fine = synthetic_fracture(1, (64, 64), grain_px=20)
    assert coarse.pixel_size_um == pytest.approx(fine.pixel_size_um / 2)


def test_transgranular_surfaces_carry_more_detail_than_intergranular_ones():
    def detail(sample, value):
        down, right = np.gradient(sample.image.astype(float))
        return np.hypot(down, right)[sample.labels == value].mean()

    samples = [synthetic_fracture(seed, (320, 320), grain_px=30) for seed in range(6)]
    assert all(detail(s, TRANS) > detail(s, INTER) for s in samples)


def test_a_stack_holds_the_planes_of_consecutive_seeds_at_one_pixel_size():
    stack = synthetic_stack(4, 3, (64, 80))
    assert stack.image.shape == stack.labels.shape == (3, 64, 80)
    assert stack.seed == 4
    first = synthetic_fracture(4, (64, 80))
    assert np.array_equal(stack.image[0], first.image)
    assert np.array_equal(stack.labels[0], first.labels)
    assert stack.pixel_size_um == first.pixel_size_um
    assert not np.array_equal(stack.image[0], stack.image[1])


@example(seed=10287, shape=(45, 40), grain_px=46.58583399519218, share=0.0)  # rounding
@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    shape=st.tuples(st.integers(16, 90), st.integers(16, 90)),
    grain_px=st.floats(6, 400),
    share=st.floats(0, 1),
)
def test_any_valid_arguments_give_an_image(seed, shape, grain_px, share):
    sample = synthetic_fracture(seed, shape, grain_px=grain_px, transgranular=share)
    assert sample.image.shape == shape
    assert sample.labels.min() >= INTER
    assert sample.labels.max() <= BACKGROUND


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"seed": -1}, r"Seed -1 is not a whole number of 0 or more\. Use one such as 0"),
        ({"seed": 1.5}, r"Seed 1\.5"),
        ({"seed": True}, r"Seed True"),
        ({"shape": (8, 64)}, r"Shape \(8, 64\) .* at least 16 px each\. Use one such as"),
        ({"shape": (64, 64, 3)}, r"Shape \(64, 64, 3\)"),
        ({"shape": 64}, r"Shape 64"),
        ({"grain_px": 2}, r"Grain size 2 px is out of range\. Use 6 to 400"),
        ({"grain_px": float("nan")}, r"Grain size nan"),
        ({"transgranular": 1.2}, r"Transgranular part 1\.2 .* Use a fraction, 0 to 1"),
        ({"transgranular": float("nan")}, r"Transgranular part nan"),
    ],
)
def test_arguments_out_of_range_are_refused(arguments, message):
    with pytest.raises(ImageError, match=message):
        synthetic_fracture(**arguments)


@pytest.mark.parametrize("n_planes", [0, -2, 1.5])
def test_a_stack_without_planes_is_refused(n_planes):
    with pytest.raises(ImageError, match=rf"stack of {n_planes} planes.*Ask for 1 or more"):
        synthetic_stack(0, n_planes, (32, 32))
