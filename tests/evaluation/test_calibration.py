"""Calibration: what is said of confidence, and the temperature that is fitted to it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from napari_fractoseg.classes import DEFAULT_SCHEME
from napari_fractoseg.datasets.dataset import TrainingPair, TrainingSet
from napari_fractoseg.evaluation.calibration import (
    LabelledProbabilities,
    Reliability,
    calibrated,
    fitted_temperature,
)
from napari_fractoseg.evaluation.evaluate import evaluate_job
from napari_fractoseg.images import Micrograph
from napari_fractoseg.jobs import drain
from napari_fractoseg.models.devices import choose_device
from napari_fractoseg.models.model import tempered

CPU = choose_device("cpu")


def said(true_temperature: float, n: int = 20_000, seed: int = 0) -> LabelledProbabilities:
    """Pixels whose classes are drawn from probabilities that a model states too sharply or not."""
    rng = np.random.default_rng(seed)
    scores = torch.from_numpy(rng.normal(0, 1.5, (3, n)))[..., None]
    true = scores.softmax(dim=0)[..., 0].numpy()
    channels = (rng.random(n) > np.cumsum(true, axis=0)).sum(axis=0)
    stated = (scores * true_temperature).softmax(dim=0)[..., 0].numpy()
    return LabelledProbabilities.sampled(stated.astype(np.float32), channels)


def test_the_figures_of_five_pixels():
    probabilities = np.array([[0.8, 0.8, 0.8, 0.8, 0.5], [0.2, 0.2, 0.2, 0.2, 0.3],
                              [0.0, 0.0, 0.0, 0.0, 0.2]])  # fmt: skip
    found = Reliability.of(probabilities, np.array([0, 0, 0, 1, 1]))
    assert found.total_px == 5
    assert found.accuracy == pytest.approx(3 / 5)
    assert found.mean_confidence == pytest.approx(3.7 / 5)
    # Four pixels at 0.8 with 3 right, one at 0.5 that is wrong.
    assert found.ece == pytest.approx((4 * 0.05 + 0.5) / 5)
    brier = (3 * (0.04 + 0.04) + (0.64 + 0.64) + (0.25 + 0.49 + 0.04)) / 5
    assert found.brier == pytest.approx(brier)
    assert found.nll == pytest.approx(-(3 * np.log(0.8) + np.log(0.2) + np.log(0.3)) / 5)
    low, high = found.to_dict()["bins"]
    assert (low["low"], low["n_px"], low["accuracy"]) == (pytest.approx(7 / 15, abs=1e-4), 1, 0)
    assert (high["low"], high["n_px"], high["accuracy"]) == (0.8, 4, 0.75)
    assert high["confidence"] == 0.8
    assert "0.740 on average, and 0.600 of the 5 labelled pixels" in found.text


def test_tables_of_two_images_add_up_to_that_of_both():
    one, two = (said(1, 500, seed) for seed in (1, 2))
    both = Reliability.of(
        np.concatenate([one.probabilities, two.probabilities], axis=1),
        np.concatenate([one.channels, two.channels]),
    )
    added = one.reliability() + two.reliability()
    for figure in ("total_px", "accuracy", "mean_confidence", "ece", "brier", "nll"):
        assert getattr(added, figure) == pytest.approx(getattr(both, figure))
    assert added.to_dict()["bins"] == both.to_dict()["bins"]


def test_a_large_image_is_compared_in_parts(monkeypatch):
    sample = said(2, 1000)
    whole = sample.reliability()
    monkeypatch.setattr("napari_fractoseg.evaluation.calibration._AT_ONCE", 300)
    parts = sample.reliability()
    assert (parts.ece, parts.nll) == pytest.approx((whole.ece, whole.nll))
    assert parts.total_px == pytest.approx(1000)


def test_without_pixels_there_is_no_figure():
    found = Reliability.of(np.zeros((3, 0)), np.zeros(0, int)).to_dict()
    assert (found["labelled_px"], found["ece"], found["bins"]) == (0, None, [])


@pytest.mark.parametrize("true", [0.7, 1.0, 2.5])
def test_the_temperature_of_a_model_that_is_too_sure_or_not_sure_enough_is_found(true):
    sample = said(true)
    temperature = fitted_temperature([sample])
    assert temperature == pytest.approx(true, rel=0.05)
    assert sample.reliability(temperature).ece < 0.015
    assert sample.reliability(temperature).nll <= sample.reliability().nll + 1e-6


def test_pixels_that_are_all_right_do_not_make_a_model_certain():
    probabilities = np.array([[0.7], [0.2], [0.1]], np.float32).repeat(50, axis=1)
    sample = LabelledProbabilities.sampled(probabilities, np.zeros(50, int))
    assert fitted_temperature([sample]) == pytest.approx(0.5, abs=0.01)


def test_a_group_is_judged_at_the_temperature_of_the_others():
    samples = {"a": said(1, seed=1), "b": said(3, seed=2), "c": said(3, seed=3)}
    found = calibrated(samples, {"a": "s1", "b": "s2", "c": "s2"})
    assert found.is_nested
    assert found.groups == {
        "s1": fitted_temperature([samples["b"], samples["c"]]),
        "s2": fitted_temperature([samples["a"]]),
    }
    assert found.after["a"].ece == pytest.approx(samples["a"].reliability(found.groups["s1"]).ece)
    alone = calibrated({"a": samples["a"]})
    assert not alone.is_nested
    assert alone.after["a"].ece == samples["a"].reliability(alone.temperature).ece


def test_of_a_large_image_some_pixels_stand_for_all():
    probabilities = np.tile(np.array([[0.9], [0.1]], np.float32), 100_000)
    channels = (np.arange(100_000) % 10 == 0).astype(int)
    sample = LabelledProbabilities.sampled(probabilities, channels)
    assert len(sample.channels) < 100_000
    found = sample.reliability()
    assert found.total_px == pytest.approx(100_000)
    assert found.accuracy == pytest.approx(0.9, abs=0.01)


@given(
    hnp.arrays(np.float32, (4, 3, 5), elements=st.floats(0, 1, width=32)),
    st.floats(0.05, 20),
)
def test_a_temperature_keeps_the_order_of_the_classes_and_the_sum(raw, temperature):
    probabilities = torch.from_numpy(raw + 1e-3)
    probabilities = probabilities / probabilities.sum(dim=0)
    found = tempered(probabilities, temperature)
    assert torch.allclose(found.sum(dim=0), torch.ones(3, 5), atol=1e-5)
    order = probabilities.argsort(dim=0)
    assert bool((found.gather(0, order).diff(dim=0) >= -1e-6).all())


def test_a_temperature_is_the_softmax_of_scores_divided_by_it():
    scores = torch.randn(3, 8, 8, generator=torch.Generator().manual_seed(0)) * 5
    found = tempered(scores.softmax(dim=0), 2.5)
    assert torch.allclose(found, (scores / 2.5).softmax(dim=0), atol=1e-6)
    certain = tempered(torch.tensor([0.34, 0.33, 0.33])[:, None, None], 1e-3)
    assert certain.flatten().tolist() == pytest.approx([1, 0, 0], abs=1e-6)


def test_an_evaluation_tells_how_far_the_confidence_can_be_believed(tiny_model):
    rng = np.random.default_rng(0)
    labels = np.zeros((64, 96), np.uint8)
    labels[8:40, 16:80] = 1
    labels[40:60, 16:80] = 2
    image = Micrograph(rng.integers(0, 255, labels.shape).astype(np.uint8), name="one")
    reference = TrainingSet((TrainingPair(image, labels),), DEFAULT_SCHEME)
    plain = drain(evaluate_job(tiny_model, reference, CPU))
    assert plain.reliability is None
    assert "reliability" not in plain.to_dict()["pooled"]
    found = drain(evaluate_job(tiny_model, reference, CPU, with_confidence=True))
    assert found.reliability is not None
    assert found.reliability.total_px == (labels > 0).sum()
    assert found.reliability.accuracy == pytest.approx(found.pooled.agreement)
    assert found.to_dict()["images"]["one"]["reliability"]["ece"] == found.reliability.ece
    np.testing.assert_array_equal(found.pooled.counts, plain.pooled.counts)
