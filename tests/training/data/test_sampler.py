from dataclasses import replace

import numpy as np
import pytest

from napari_fractoseg.classes import IGNORE_INDEX
from napari_fractoseg.datasets.dataset import TrainingPair, TrainingSet
from napari_fractoseg.images import Micrograph
from napari_fractoseg.training.data.sampler import PatchSampler, reduce_image, reduce_labels
from napari_fractoseg.training.plan import TrainingPlan

PLAN = TrainingPlan(patch_px=32, reduction=1, scale_range=(1.0, 1.0), augmentation=0)


def draw(*pairs, count, plan=PLAN, step=1):
    return PatchSampler(TrainingSet(pairs), plan).batch(step, range(count))


def rare_class(share=1.0, level=0.0):
    """A large image with one spot of class 1, a field of class 2 and nothing else."""
    labels = np.zeros((300, 300), np.uint8)
    labels[150:, :] = 2
    labels[20:24, 270:274] = 1
    image = np.where(labels == 1, 1.0, level)
    image[0, 0], image[0, 1] = 3.0, -3.0
    return TrainingPair(Micrograph(image), labels, share)


def test_patches_have_the_shape_and_type_of_the_network():
    images, targets = draw(rare_class(), count=3)
    assert images.shape == (3, 1, 32, 32)
    assert targets.shape == (3, 32, 32)
    assert str(images.dtype) == "torch.float32"
    assert str(targets.dtype) == "torch.int64"


def test_a_rare_class_is_drawn_as_often_as_a_common_one():
    _, targets = draw(rare_class(), count=80)
    with_spot = (targets == 0).flatten(1).any(1).float().mean()
    assert 0.3 < with_spot < 0.7


def test_every_patch_has_a_labelled_pixel():
    _, targets = draw(rare_class(), count=60)
    assert (targets != IGNORE_INDEX).flatten(1).any(1).all()


def test_shares_say_how_often_an_image_is_drawn():
    often, seldom = np.full((64, 64), 1, np.uint8), np.full((64, 64), 2, np.uint8)
    pairs = (
        TrainingPair(Micrograph(np.eye(64)), often, share=9),
        TrainingPair(Micrograph(np.eye(64)), seldom, share=1),
    )
    _, targets = draw(*pairs, count=200)
    assert 0.82 < (targets == 0).float().mean() < 0.97


def test_the_same_seed_draws_the_same_patches():
    plan = TrainingPlan(patch_px=32, reduction=2)
    first = draw(rare_class(), plan=plan, count=4)
    second = draw(rare_class(), plan=plan, count=4)
    other = draw(rare_class(), plan=replace(plan, seed=1), count=4)
    assert (first[0] == second[0]).all()
    assert (first[1] == second[1]).all()
    assert not (first[0] == other[0]).all()


def test_a_patch_depends_on_its_step_and_number_alone():
    sampler = PatchSampler(TrainingSet((rare_class(),)), PLAN)
    whole, _ = sampler.batch(5, range(6))
    odd, _ = sampler.batch(5, range(1, 6, 2))
    assert (whole[1::2] == odd).all()
    assert not (sampler.batch(6, range(6))[0] == whole).all()


def test_images_smaller_than_a_patch_are_reflected():
    labels = np.array([[1, 2], [2, 1]], np.uint8).repeat(5, 0).repeat(5, 1)
    _, targets = draw(TrainingPair(Micrograph(labels.astype(float)), labels), count=4)
    assert (targets != IGNORE_INDEX).all()


def test_pairs_without_labels_are_never_drawn():
    empty = TrainingPair(Micrograph(np.eye(64)), np.zeros((64, 64), np.uint8), share=1000)
    _, targets = draw(empty, rare_class(), count=10)
    assert (targets != IGNORE_INDEX).flatten(1).any(1).all()


@pytest.mark.parametrize("reduction", [1, 2, 3])
def test_reducing_keeps_image_and_labels_together(reduction):
    image = np.arange(35, dtype=np.float32).reshape(5, 7)
    reduced = reduce_image(image, reduction)
    labels = reduce_labels(image.astype(np.uint8), reduction)
    assert reduced.shape == labels.shape == (-(-5 // reduction), -(-7 // reduction))
    assert reduced[0, 0] == image[:reduction, :reduction].mean()
    assert labels[0, 0] == image[reduction // 2, reduction // 2]
