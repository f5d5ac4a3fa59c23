"""Pixel size on the card of a model that was trained."""

from __future__ import annotations

import numpy as np
import pytest

from napari_fractoseg.datasets.dataset import TrainingPair, TrainingSet
from napari_fractoseg.images import Micrograph
from napari_fractoseg.jobs import drain
from napari_fractoseg.models.devices import choose_device
from napari_fractoseg.training.data.pixel_size import common_pixel_size
from napari_fractoseg.training.fit import train_job


def images_of(*sizes_um):
    pairs = []
    for number, size_um in enumerate(sizes_um):
        rng = np.random.default_rng(number)
        data = rng.integers(0, 255, (48, 64), dtype=np.uint8)
        labels = np.where(np.arange(64) < 32, 1, 2).astype(np.uint8) * np.ones((48, 1), np.uint8)
        pairs.append(TrainingPair(Micrograph(data, size_um, f"image {number}"), labels))
    return TrainingSet(tuple(pairs))


@pytest.mark.parametrize(
    ("sizes_um", "common"),
    [
        ((None,), None),
        ((0.1,), 0.1),
        ((0.1, 0.11, 0.14), 0.11),
        ((0.1, None), 0.1),
        ((0.1, 0.12), 0.11),
    ],
)
def test_it_is_the_median_where_images_agree(sizes_um, common):
    found, note = common_pixel_size(images_of(*sizes_um))
    assert found == (None if common is None else pytest.approx(common))
    assert note == ""


def test_images_far_apart_have_none_and_it_is_said():
    found, note = common_pixel_size(images_of(0.1, 0.2, 0.1))
    assert found is None
    assert note.startswith("The images have 0.1 to 0.2 µm a pixel. No pixel size")


def test_a_few_do_not_speak_for_the_others():
    found, note = common_pixel_size(images_of(0.1, None, None))
    assert found is None
    assert note.startswith("Only 1 image of 3 tell")


@pytest.mark.parametrize(("learnt_um", "sizes_um"), [(None, (0.1, 0.1)), (0.5, (None,))])
def test_a_readout_has_that_of_its_images_whatever_its_parent_knew(
    shallow_model, learnt_um, sizes_um
):
    start = shallow_model.with_card(pixel_size_um=learnt_um)
    plan = {"method": "readout", "split": "none"}
    job = train_job(images_of(*sizes_um), plan=plan, start=start, device=choose_device("cpu"))
    assert drain(job).model.card.pixel_size_um == sizes_um[0]
