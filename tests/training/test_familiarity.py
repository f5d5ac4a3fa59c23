"""What a training leaves on what the model knows: statistics of its images, or a sentence."""

import copy

import numpy as np
import pytest
import torch

from napari_fractoseg.classes import DEFAULT_SCHEME
from napari_fractoseg.datasets.dataset import TrainingPair, TrainingSet
from napari_fractoseg.images import Micrograph
from napari_fractoseg.inference.familiarity import FamiliarityReader, untold_of
from napari_fractoseg.jobs import drain
from napari_fractoseg.models.card import Inference
from napari_fractoseg.models.devices import choose_device
from napari_fractoseg.models.readme import readme_text
from napari_fractoseg.training.familiarity import familiarity_job, with_familiarity_job
from napari_fractoseg.training.fit import train_job
from napari_fractoseg.training.loop import FineTuned
from napari_fractoseg.training.plan import TrainingPlan

CPU = choose_device("cpu")
PLAN = TrainingPlan(
    patch_px=64, batch_size=1, max_steps=1, split="none", readout_first=False, precision="32-true"
)


def surface(seed, edge=320, period=0):
    """Noise, or stripes: two materials."""
    random = np.random.default_rng(seed)
    grey = random.normal(128, 20, (edge, edge))
    if period:
        grey += 100 * np.sin(np.arange(edge) * 2 * np.pi / period)
    return Micrograph(np.clip(grey, 0, 255).astype(np.uint8), name=f"surface {seed}")


def taught(*images):
    """Images whose left is smooth and right rough."""
    pairs = []
    for image in images:
        labels = np.ones(image.shape, np.uint8)
        labels[:, image.shape[1] // 2 :] = 2
        pairs.append(TrainingPair(image, labels))
    return TrainingSet(tuple(pairs), DEFAULT_SCHEME)


def after_training(model, images, start=None):
    """What the end of a training makes of a model that was trained."""
    return drain(with_familiarity_job(FineTuned(model), start, images, PLAN, CPU))


def changed(model, factor):
    """The model with other weights in the first layer of its encoder."""
    other = model.with_card()
    other.network = copy.deepcopy(model.network)
    with torch.no_grad():
        next(other.network.encoder.parameters()).mul_(factor)
    return other


def judged(model, image):
    return drain(FamiliarityReader(model, CPU).job(image))


@pytest.fixture(scope="module")
def known(tiny_model):
    """The tiny model with statistics of images of noise."""
    job = familiarity_job(tiny_model, taught(*(surface(n) for n in range(5))), CPU)
    return tiny_model.with_familiarity(drain(job))


def test_a_model_that_is_trained_knows_its_images_and_no_others(tiny_model):
    result = after_training(tiny_model, taught(*(surface(n) for n in range(4))))
    assert result.notes == ()
    assert result.model.familiarity.form.images == (4,)
    assert result.model.card.lineage.plan["familiarity"] == {"images": 4}
    assert not judged(result.model, surface(100)).unlike
    assert judged(result.model, surface(100, period=9)).unlike == 1


def test_images_that_are_too_few_are_said(tiny_model):
    images = taught(surface(0, edge=96))
    job = train_job(images, plan=PLAN, start=tiny_model, scheme=images.scheme, device=CPU)
    result = drain(job)
    assert result.model.familiarity is None
    (note,) = [n for n in result.notes if "unlike what it learnt" in n]
    assert "1 image of this size is too little to tell that by. Train on more." in note
    text = readme_text(result.model.card)
    assert "it cannot tell: it was trained on one image of a size that is too small" in text
    assert "trained on one image of a size that is too small" in untold_of(result.model)


def test_a_few_images_that_look_like_those_before_leave_what_was_known(known):
    few = taught(surface(50, edge=160))
    result = after_training(known, few, start=known)
    (note,) = result.notes
    assert "told by those of the model that it started from: 1 image of this size is too" in note
    assert result.model.familiarity.form.images == (5,)
    assert "in 5 images of the model that it started from" in readme_text(result.model.card)
    assert not judged(result.model, surface(100)).unlike
    assert judged(result.model, surface(100, period=9)).unlike == 1


def test_a_few_images_of_another_material_leave_nothing(known):
    few = taught(surface(50, edge=160, period=9))
    result = after_training(known, few, start=known)
    assert result.model.familiarity is None
    assert result.model.card.lineage.plan["familiarity"] == {"too_few": 1}


@pytest.mark.parametrize(("factor", "is_kept"), [(1.0001, True), (1.5, False)])
def test_what_was_known_stays_while_the_encoder_sees_the_same(known, factor, is_kept):
    result = after_training(changed(known, factor), taught(surface(50, edge=160)), start=known)
    assert (result.model.familiarity is not None) == is_kept


def test_the_few_images_of_a_finer_readout_are_judged_as_before(tiny_model):
    coarse = tiny_model.with_card(inference=Inference(reductions=(2,), halo_px=64))
    below = after_training(coarse, taught(*(surface(n, edge=640) for n in range(5)))).model
    fine = below.with_card(inference=Inference(reductions=(2, 1), halo_px=64))
    result = after_training(fine, taught(surface(50, edge=256)), start=below)
    assert result.model.familiarity.form.reductions == (2,)
    assert not judged(result.model, surface(100, edge=640)).unlike


def test_where_the_encoder_stayed_what_it_learnt_before_is_known_too(known):
    stripes = taught(*(surface(n, period=9) for n in range(4)))
    result = after_training(known, stripes, start=known)
    assert result.model.familiarity.form.images == (5, 4)
    for period in (0, 9):
        assert not judged(result.model, surface(100, period=period)).unlike
    assert judged(result.model, surface(100, period=60)).unlike == 1


def test_a_readout_of_a_finer_reduction_knows_the_images_of_the_model_below(tiny_model):
    coarse = tiny_model.with_card(inference=Inference(reductions=(2,), halo_px=64))
    noise = taught(*(surface(n, edge=640) for n in range(5)))
    below = after_training(coarse, noise).model
    fine = below.with_card(inference=Inference(reductions=(2, 1), halo_px=64, combine="sum"))
    stripes = taught(*(surface(n, edge=640, period=9) for n in range(4)))
    result = after_training(fine, stripes, start=below)
    assert result.model.familiarity.form.reductions == (2, 1)
    for period in (0, 9):
        assert not judged(result.model, surface(100, edge=640, period=period)).unlike


def test_a_changed_encoder_knows_its_last_images_only(known):
    images = taught(*(surface(n) for n in range(4)))
    result = after_training(changed(known, 1.01), images, start=known)
    assert result.model.familiarity.form.images == (4,)


def test_images_of_a_group_are_left_out_together(tiny_model):
    images = taught(*(surface(n) for n in range(5)))
    found = drain(familiarity_job(tiny_model, images, CPU, lambda name: name[-1] in "01"))
    assert found.groups == (0, 0, 2, 2, 2)
    assert found.images == (0, 1, 2, 3, 4)
