"""Learning of readouts from painted pixels."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import napari_fractoseg as nf
from napari_fractoseg.classes import DEFAULT_SCHEME, ClassScheme, FractureClass
from napari_fractoseg.datasets.dataset import TrainingPair, TrainingSet
from napari_fractoseg.errors import TrainingError
from napari_fractoseg.images import Micrograph
from napari_fractoseg.jobs import drain
from napari_fractoseg.models.card import CARD, Inference
from napari_fractoseg.models.devices import choose_device
from napari_fractoseg.models.model import SegmentationModel
from napari_fractoseg.tiling import Box
from napari_fractoseg.training.fit import train_job
from napari_fractoseg.training.plan import TrainingPlan, plan_entries
from napari_fractoseg.training.readout.features import FeatureReader
from napari_fractoseg.training.readout.learning import as_model
from napari_fractoseg.training.readout.plan import ReadoutPlan
from napari_fractoseg.training.readout.regression import fit_readout

SHAPE = (96, 160)


@pytest.fixture
def halves():
    """An image that is smooth on the left and rough on the right, with a stroke in each."""
    random = np.random.default_rng(0)
    grey = random.normal(128, 3, SHAPE)
    grey[:, 80:] += random.normal(0, 40, (96, 80))
    image = Micrograph(np.clip(grey, 0, 255).astype(np.uint8), name="halves")
    painted = np.zeros(SHAPE, np.uint8)
    painted[30:40, 10:60], painted[50:60, 100:150] = 1, 2
    return image, painted


def truth():
    labels = np.ones(SHAPE, np.uint8)
    labels[:, 80:] = 2
    return labels


OTHER = ClassScheme(
    "surface", (FractureClass(1, "smooth", "#ff0000"), FractureClass(2, "rough", "#00ff00"))
)
"""Classes that no model knows, with the values 1 and 2."""


def learn(image, painted, start, scheme=DEFAULT_SCHEME, **options):
    taught = TrainingSet((TrainingPair(image, painted),), scheme)
    plan = {"method": "readout", "split": "none", **options.pop("plan", {})}
    device = choose_device("cpu")
    return drain(train_job(taught, plan=plan, start=start, device=device, **options))


class TestRegression:
    def test_it_separates_what_a_line_separates(self):
        features = torch.tensor([[-1.0], [-2.0], [1.0], [3.0]])
        targets = torch.eye(2)[[0, 0, 1, 1]]
        weights = fit_readout(features, targets, torch.ones(4), 0.01)
        assert (features @ weights[:, :-1].T + weights[:, -1]).argmax(dim=1).tolist() == [
            0,
            0,
            1,
            1,
        ]

    def test_without_features_it_gives_the_weighted_frequencies(self):
        targets, shares = torch.eye(3)[[0, 1, 1, 2]], torch.tensor([2.0, 1.0, 2.0, 3.0])
        weights = fit_readout(torch.zeros(4, 2), targets, shares, 1.0)
        expected = torch.tensor([2, 3, 3]) / 8
        torch.testing.assert_close(weights[:, -1].softmax(dim=0), expected, rtol=1e-3, atol=1e-3)

    def test_at_its_minimum_the_slope_is_zero(self):
        """The penalised mean error has the gradient 0: lambda W = mean of (target - p) x."""
        random = torch.Generator().manual_seed(0)
        x = torch.randn(50, 3, generator=random)
        goals = torch.eye(2)[(x[:, 0] + 0.5 * x[:, 1] > 0).long()]
        found = fit_readout(x, goals, torch.ones(50), 0.1)
        p = (x @ found[:, :-1].T + found[:, -1]).softmax(dim=1)
        torch.testing.assert_close(0.1 * found[:, :-1], (goals - p).T @ x / 50, rtol=0, atol=1e-3)


class TestFeatures:
    @pytest.fixture
    def reader(self, tiny_model, halves):
        reader = FeatureReader(tiny_model, ReadoutPlan(n_components=8), choose_device("cpu"))
        reader.find_basis([halves[0]])
        return reader

    def test_components_have_no_mean_and_are_not_correlated(self, reader, halves):
        plane = drain(reader.plane_job(halves[0]))
        for level in plane.levels:
            assert (
                level.values.shape[0] == 32 + 8 + 3
            )  # filters, components, the classes of the model
        both = torch.cat([level.values[32:40].float().flatten(1) for level in plane.levels], dim=1)
        covariance = both @ both.T / both.shape[1]
        spread = covariance.diagonal().sqrt()
        correlation = covariance / (spread[:, None] * spread)
        assert float((correlation - torch.eye(8)).abs().max()) < 0.35

    def test_a_part_has_the_scores_of_the_whole(self, reader, halves):
        plane = drain(reader.plane_job(halves[0]))
        weights = torch.randn(3, 2 * 43 + 1, generator=torch.Generator().manual_seed(0))
        box = Box(17, 63, 30, 101)
        torch.testing.assert_close(
            plane.scores(weights, box),
            plane.scores(weights)[:, 17:63, 30:101],
            rtol=1e-3,
            atol=1e-3,
        )

    def test_a_region_is_read_as_in_the_whole_plane(self, tiny_model):
        # So wide a halo that all of what the network sees is in it.
        model = tiny_model.with_card(inference=Inference(reductions=(1,), halo_px=448))
        reader = FeatureReader(model, ReadoutPlan(n_components=8), choose_device("cpu"))
        grey = np.random.default_rng(0).integers(0, 255, (300, 420), np.uint8)
        image, box = Micrograph(grey), Box(75, 201, 140, 333)
        whole, part = drain(reader.plane_job(image)), drain(reader.plane_job(image, box))
        weights = torch.randn(3, 2 * 43 + 1, generator=torch.Generator().manual_seed(0))
        rows, columns = np.array([75, 130, 200]), np.array([140, 332, 201])
        assert part.n_bytes < whole.n_bytes / 3
        for found, expected in (
            (part.scores(weights), whole.scores(weights, box)),
            (part.scores(weights, Box(80, 90, 150, 300)), part.scores(weights)[:, 5:15, 10:160]),
            (part.at(rows, columns), whole.at(rows, columns)),
        ):
            torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)

    def test_pixels_have_the_features_that_their_scores_come_from(self, reader, halves):
        plane = drain(reader.plane_job(halves[0]))
        weights = torch.randn(3, 2 * 43 + 1, generator=torch.Generator().manual_seed(0))
        rows, columns = np.array([0, 20, 55, 95]), np.array([0, 33, 90, 159])
        found = plane.at(rows, columns) @ weights[:, :-1].T + weights[:, -1]
        expected = plane.scores(weights)[:, rows, columns].T
        torch.testing.assert_close(found, expected, rtol=3e-3, atol=3e-3)

    def test_the_model_gives_the_scores_of_its_features(self, reader, halves, tiny_model):
        image = halves[0]
        weights = torch.randn(3, 2 * 43 + 1, generator=torch.Generator().manual_seed(0)) / 10
        model = as_model(tiny_model, reader, weights, DEFAULT_SCHEME)
        scores = drain(reader.plane_job(image)).scores(weights)
        found = nf.segment(image.data, model, device="cpu")
        assert np.mean(found == scores.argmax(dim=0).numpy() + 1) > 0.99


class TestLearning:
    def test_strokes_label_the_rest(self, halves, tiny_model):
        result = learn(*halves, tiny_model, OTHER)
        labels = nf.segment(halves[0].data, result.model, device="cpu")
        assert np.mean(labels == truth()) > 0.9
        painted = halves[1] > 0
        assert np.array_equal(labels[painted], halves[1][painted])

    def test_new_classes_appear_and_old_ones_that_are_not_painted_go(self, halves, tiny_model):
        image, painted = halves
        scheme = DEFAULT_SCHEME.with_names(["dimples"])
        value = scheme.find("dimples").value
        result = learn(image, np.where(painted == 2, value, painted), tiny_model, scheme)
        labels = nf.segment(image.data, result.model, device="cpu")
        assert set(np.unique(labels)) == {1, value}
        assert np.mean((labels == value) == (truth() == 2)) > 0.9

    def test_it_is_a_model_like_any_other(self, halves, tiny_model, tmp_path):
        parent = SegmentationModel.load(tiny_model.save(tmp_path / "parent"))
        result = learn(*halves, parent, name="learnt")
        model = nf.load_model(result.model.save(tmp_path / "learnt"))
        card = model.card
        assert (card.name, card.lineage.parent) == ("learnt", parent.digest)
        assert list(card.lineage.data) == ["halves"]
        assert np.array_equal(
            nf.segment(halves[0].data, model, device="cpu"),
            nf.segment(halves[0].data, result.model, device="cpu"),
        )

    def test_one_readout_starts_from_another(self, halves, tiny_model):
        first = learn(*halves, tiny_model).model
        second = learn(halves[0], truth(), first).model
        labels = nf.segment(halves[0].data, second, device="cpu")
        assert np.mean(labels == truth()) > 0.9

    def test_the_card_repeats_it(self, halves, tiny_model, tmp_path):
        model = learn(*halves, tiny_model, plan={"readout_reductions": (2,), "seed": 5}).model
        folder = model.save(tmp_path / "learnt")
        plan = TrainingPlan.from_dict(plan_entries(folder / CARD))
        assert (plan.method, plan.readout_reductions, plan.seed) == ("readout", (2,), 5)
        again = learn(*halves, tiny_model, plan=plan.to_dict()).model
        for before, after in zip(model.network.sum_of(), again.network.sum_of(), strict=True):
            torch.testing.assert_close(before, after)

    def test_held_out_pixels_judge_it_and_its_parent(self, halves, tiny_model):
        result = learn(halves[0], truth(), tiny_model, plan={"split": "auto", "gap_px": 4})
        figures = result.model.card.metrics["validation"]
        assert figures["mean_iou"] > result.before["mean_iou"] + 0.2
        assert figures["mean_iou_before"] == result.before["mean_iou"]

    def test_its_confidence_is_fitted_to_the_held_out_blocks(self, halves, tiny_model):
        hot = replace(tiny_model.card.inference, temperature=3.0)
        parent = tiny_model.with_card(inference=hot)
        card = learn(halves[0], truth(), parent, plan={"split": "auto", "gap_px": 4}).model.card
        figures = card.metrics["calibration"]
        assert card.inference.temperature == figures["temperature"]
        assert "of 1 image that it learnt from" in figures["on"]
        plain = learn(halves[0], truth(), parent).model.card
        assert (plain.inference.temperature, "calibration" in plain.metrics) == (1.0, False)

    def test_the_temperature_of_its_parent_changes_nothing(self, halves, tiny_model):
        hot = replace(tiny_model.card.inference, temperature=3.0)
        one, other = (
            learn(*halves, start).model
            for start in (tiny_model, tiny_model.with_card(inference=hot))
        )
        for a, b in zip(one.network.sum_of(), other.network.sum_of(), strict=True):
            torch.testing.assert_close(a, b)

    def test_its_parent_is_judged_as_it_segments(self, halves, tiny_model):
        flips = replace(tiny_model.card.inference, flips=True)
        parent = tiny_model.with_card(inference=flips)
        labels = nf.segment(halves[0].data, parent, device="cpu")
        plan = {"split": "auto", "gap_px": 4}
        result = learn(halves[0], labels, parent, plan=plan)
        assert result.before["mean_iou"] == 1

    def test_a_scale_level_that_is_named_twice_counts_once(self, halves, tiny_model):
        twice = learn(*halves, tiny_model, plan={"readout_reductions": (2, 2)}).model
        once = learn(*halves, tiny_model, plan={"readout_reductions": (2,)}).model
        for a, b in zip(twice.network.sum_of(), once.network.sum_of(), strict=True):
            torch.testing.assert_close(a, b)

    def test_where_nothing_is_painted_the_answer_of_the_model_counts(self, halves, tiny_model):
        """Two strokes of the model's own answer change nothing."""
        image = halves[0]
        answer = nf.segment(image.data, tiny_model, device="cpu")
        common = np.bincount(answer.ravel(), minlength=4).argsort()[::-1][:2]
        painted = np.zeros_like(answer)
        for value in common:
            painted[:, 70:90][answer[:, 70:90] == value] = value
        labels = nf.segment(image.data, learn(image, painted, tiny_model).model, device="cpu")
        assert np.mean(labels == answer) > 0.8

    def test_it_needs_a_model_to_start_from(self, halves):
        with pytest.raises(TrainingError, match="what a model sees"):
            learn(*halves, None)

    def test_one_class_alone_is_refused(self, halves, tiny_model):
        with pytest.raises(TrainingError, match="At least two classes"):
            learn(halves[0], np.minimum(halves[1], 1), tiny_model)

    def test_renamed_classes_are_those_of_the_model(self, halves, tiny_model):
        first = DEFAULT_SCHEME.classes[0]
        classes = (replace(first, name="cleavage"), *DEFAULT_SCHEME.classes[1:])
        scheme = replace(DEFAULT_SCHEME, classes=classes)
        renamed = {"cleavage": first.name}
        model = learn(*halves, tiny_model, scheme, renamed=renamed).model
        assert model.card.scheme.names[0] == "cleavage"
        labels = nf.segment(halves[0].data, model, device="cpu")
        assert np.mean(labels == truth()) > 0.75
