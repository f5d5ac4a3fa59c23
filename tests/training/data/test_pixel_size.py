"""Pixel size on the card of a model that was trained."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from napari_fractoseg.datasets.dataset import TrainingPair, TrainingSet
from napari_fractoseg.evaluation.evaluate import evaluate_job
from napari_fractoseg.images import Micrograph
from napari_fractoseg.jobs import drain
from napari_fractoseg.models.devices import choose_device
from napari_fractoseg.models.model import load_model
from napari_fractoseg.models.readme import kept_text
from napari_fractoseg.training.data.pixel_size import (
    common_pixel_size,
    parent_choice,
    parent_note,
)
from napari_fractoseg.training.fit import train_job
from napari_fractoseg.training.outcome import figures_of


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


CPU = choose_device("cpu")
DEEP = {"max_steps": 1, "patch_px": 32, "batch_size": 2, "precision": "32-true"}


@pytest.mark.parametrize("plan", [{"method": "readout"}, DEEP, {**DEEP, "readout_first": False}])
def test_a_parent_is_judged_as_it_segments_images_of_another_pixel_size(
    shallow_model, tmp_path, plan
):
    start = shallow_model.with_card(pixel_size_um=0.2)
    start = load_model(start.save(tmp_path / "parent"))
    images = images_of(0.1, 0.1)
    held_out = images.only(["image 1"])
    told = []
    job = train_job(images, plan=plan, start=start, validation=["image 1"], device=CPU)
    result = drain(job, told.append)
    rescaled, as_it_is = (
        figures_of(drain(evaluate_job(start, held_out, CPU, scale)).pooled)
        for scale in ("auto", "none")
    )
    assert rescaled != as_it_is
    assert result.before == rescaled
    validation = result.model.card.metrics["validation"]
    assert validation["mean_iou_before"] == rescaled["mean_iou"]
    assert (
        "The parent learnt at 0.2 µm a pixel, 2 of 2 images have 0.1 µm. The parent is judged as "
        "it segments them, rescaled; the new model learns from them as they are."
    ) in result.notes
    assert result.model.card.pixel_size_um == pytest.approx(0.1)
    # What is kept is judged as it will be used: on images of its own pixel size.
    found = drain(evaluate_job(result.model, held_out, CPU, "auto")).pooled
    assert validation["mean_iou"] == pytest.approx(found.mean_iou)
    if "candidates" in result.model.card.metrics:
        start_iou = result.model.card.metrics["candidates"]["figures"]["start"]
        assert start_iou == pytest.approx(as_it_is["mean_iou"])
    is_worse = validation["mean_iou"] < rescaled["mean_iou"]
    assert ("The model that it started from does better" in kept_text(result.model.card)) == (
        is_worse and plan.get("method") != "readout"
    )
    texts = [one.message for one in told if "the parent" in one.message]
    assert set(texts) <= {"the parent on images as they are"}


def test_a_readout_learns_from_the_answers_that_its_parent_segments_with(shallow_model):
    plan = {"method": "readout", "split": "none"}
    pair, parameters = images_of(0.1).pairs[0], []
    painted = np.where(np.arange(48)[:, None] < 24, pair.labels, 0).astype(np.uint8)
    taught = TrainingSet((replace(pair, labels=painted),))
    for learnt_um in (None, 0.1, 0.2):
        start = shallow_model.with_card(pixel_size_um=learnt_um)
        result = drain(train_job(taught, plan=plan, start=start, device=CPU))
        parameters.append(torch.cat([p.flatten() for p in result.model.network.parameters()]))
    assert torch.equal(parameters[0], parameters[1])
    assert not torch.equal(parameters[0], parameters[2])


def test_what_a_parent_is_judged_by_where_pixel_sizes_are_alike_or_too_far_apart(shallow_model):
    card = shallow_model.with_card(pixel_size_um=0.2).card
    for alike in ((0.2, 0.15), (None,), (0.2, None)):
        assert parent_choice(card, images_of(*alike)) == "none"
        assert parent_note(card, images_of(*alike)) == ""
    assert parent_choice(card, images_of(0.2, 0.1)) == "auto"
    assert "1 of 2 images has 0.1 µm" in parent_note(card, images_of(0.2, 0.1))
    too_far = images_of(0.1, 0.001)
    assert parent_choice(card, too_far) == "none"
    assert "2 of 2 images have 0.001 to 0.1 µm. The parent is judged by them as they are" in (
        parent_note(card, too_far)
    )
