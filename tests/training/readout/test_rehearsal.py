"""What is learnt on one image keeps the answers in others, by the rehearsal sample of the model."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch

import napari_fractoseg as nf
from napari_fractoseg.classes import DEFAULT_SCHEME
from napari_fractoseg.datasets.dataset import TrainingPair, TrainingSet
from napari_fractoseg.images import Micrograph
from napari_fractoseg.jobs import drain
from napari_fractoseg.models.devices import choose_device
from napari_fractoseg.models.model import SegmentationModel
from napari_fractoseg.training.fit import train_job
from napari_fractoseg.training.loop import FineTuned
from napari_fractoseg.training.plan import TrainingPlan
from napari_fractoseg.training.readout.features import FeatureReader
from napari_fractoseg.training.readout.learning import learn_readout
from napari_fractoseg.training.readout.plan import ReadoutPlan
from napari_fractoseg.training.readout.rehearsal import rehearsal_job, rehearsed_samples
from napari_fractoseg.training.readout.training import with_rehearsal_job

CPU = choose_device("cpu")
PLAN = ReadoutPlan(reductions=(1,), n_components=16)
SMOOTH, ROUGH = 1, 2


def surface(seed, name):
    """An image that is smooth on the left and rough on the right."""
    random = np.random.default_rng(seed)
    grey = random.normal(128, 3, (96, 96))
    grey[:, 48:] += random.normal(0, 40, (96, 48))
    return Micrograph(np.clip(grey, 0, 255).astype(np.uint8), name=name)


def halves(left, right):
    labels = np.full((96, 96), left, np.uint8)
    labels[:, 48:] = right
    return labels


KNOWN, NEW = surface(0, "known"), surface(1, "new")


def pairs(*of):
    return TrainingSet(tuple(TrainingPair(*pair) for pair in of), DEFAULT_SCHEME)


@pytest.fixture(scope="module")
def parent(tiny_model):
    """A readout that tells smooth from rough, with a sample of the image that it learnt from."""
    return drain(learn_readout(tiny_model, pairs((KNOWN, halves(SMOOTH, ROUGH))), PLAN, CPU))


@pytest.fixture
def corrections():
    """On another image all that is painted is smooth, the rough half, too; little is rough."""
    painted = halves(SMOOTH, SMOOTH)
    painted[:6, :6] = ROUGH
    return pairs((NEW, painted))


def kept_share(model):
    return np.mean(nf.segment(KNOWN.data, model, device="cpu") == halves(SMOOTH, ROUGH))


class TestLearning:
    def test_rehearsal_keeps_the_answers_elsewhere(self, parent, corrections):
        assert kept_share(parent) > 0.95
        without = drain(learn_readout(parent, corrections, replace(PLAN, rehearsal=0.0), CPU))
        rehearsed = drain(learn_readout(parent, corrections, replace(PLAN, rehearsal=5.0), CPU))
        assert kept_share(without) < 0.7
        assert kept_share(rehearsed) > 0.9

    def test_what_is_read_in_another_way_is_not_rehearsed(self, parent, corrections):
        other = replace(PLAN, n_components=12)
        found = drain(learn_readout(parent, corrections, replace(other, rehearsal=5.0), CPU))
        assert kept_share(found) < 0.7
        assert found.rehearsal.form.n_images == 1

    def test_for_other_classes_the_answers_say_nothing(self, parent):
        scheme = DEFAULT_SCHEME.with_names(["dimples"])
        value = scheme.find("dimples").value
        taught = TrainingSet((TrainingPair(NEW, halves(SMOOTH, value)),), scheme)
        labels = nf.segment(
            KNOWN.data, drain(learn_readout(parent, taught, PLAN, CPU)), device="cpu"
        )
        assert set(np.unique(labels)) == {SMOOTH, value}

    def test_its_components_are_those_of_the_sample(self, parent):
        reader = FeatureReader(parent, PLAN, CPU)
        reader.find_basis([NEW])
        assert torch.equal(reader.basis[0], parent.rehearsal.axes)

    def test_of_two_scale_levels_one_is_rehearsed(self, tiny_model, corrections):
        both = replace(PLAN, reductions=(1, 2))
        taught = pairs((KNOWN, halves(SMOOTH, ROUGH)))
        start = drain(learn_readout(tiny_model, taught, both, CPU))
        found = drain(learn_readout(start, corrections, replace(PLAN, rehearsal=5.0), CPU))
        assert kept_share(found) > 0.9
        assert found.rehearsal.form.reductions == (1,)


class TestSamples:
    def test_a_readout_inherits_the_sample_of_its_parent(self, parent, corrections):
        child = drain(learn_readout(parent, corrections, PLAN, CPU))
        sample, earlier = child.rehearsal, parent.rehearsal
        assert (sample.form.n_images, earlier.form.n_images) == (2, 1)
        rows = {tuple(row) for row in earlier.features.tolist()}
        old = [tuple(row) in rows for row in sample.features.tolist()]
        assert sum(old) == len(sample) // 2

    def test_it_has_the_answers_of_its_own_model(self, parent):
        reader = FeatureReader(parent, PLAN, CPU)
        samples = rehearsed_samples(reader.rehearsal, DEFAULT_SCHEME, DEFAULT_SCHEME)
        found = drain(rehearsal_job(parent, pairs((KNOWN, halves(1, 2))), PLAN, CPU))
        for sample in (samples.channels, found.answers.numpy()):
            shares = np.bincount(sample, minlength=3) / len(sample)
            assert shares == pytest.approx([0.5, 0.5, 0], abs=0.05)

    def test_each_image_has_the_same_number_of_places(self, tiny_model):
        plan = replace(PLAN, n_components=8)
        three = [(surface(seed, f"image {seed}"), halves(1, 2)) for seed in range(3)]
        sample = drain(rehearsal_job(tiny_model, pairs(*three), plan, CPU))
        assert sample.form.n_images == 3
        assert len(sample) % 3 == 0
        again = drain(rehearsal_job(tiny_model, pairs(*three), plan, CPU))
        assert torch.equal(sample.features, again.features)

    def test_corrections_and_checked_areas_are_of_one_image(self, tiny_model):
        twice = pairs((KNOWN, halves(1, 2)), (KNOWN, halves(0, 2)))
        assert drain(rehearsal_job(tiny_model, twice, PLAN, CPU)).form.n_images == 1

    def test_a_part_of_a_large_image_has_the_grey_range_of_the_whole(self, tiny_model):
        """A bright border makes the noise beside it small; the part alone would be all noise."""
        grey = np.random.default_rng(0).integers(100, 106, (32, 2400)).astype(np.uint8)
        grey[:, :120] = 250
        image = Micrograph(grey, name="large")
        sample = drain(rehearsal_job(tiny_model, pairs((image, np.ones_like(grey))), PLAN, CPU))
        reader = FeatureReader(tiny_model.with_rehearsal(sample), PLAN, CPU)
        (level,) = drain(reader.plane_job(image)).levels
        answers = level.values[-3:, :, 60:].float().flatten(1)
        found = sample.features[:, -3:].float()
        torch.testing.assert_close(found.mean(0), answers.mean(1), rtol=0, atol=0.001)
        torch.testing.assert_close(found.std(0), answers.std(1), rtol=0.3, atol=0)

    def test_classes_by_name(self, parent):
        reader = FeatureReader(parent, PLAN, CPU)
        first, second, *_ = DEFAULT_SCHEME.classes
        other = replace(DEFAULT_SCHEME, classes=(second, replace(first, name="cleavage")))
        straight = rehearsed_samples(reader.rehearsal, DEFAULT_SCHEME, DEFAULT_SCHEME)
        renamed = rehearsed_samples(
            reader.rehearsal, DEFAULT_SCHEME, other, {"cleavage": first.name}
        )
        assert np.array_equal(renamed.channels, 1 - straight.channels)
        unknown = rehearsed_samples(reader.rehearsal, DEFAULT_SCHEME, other)
        assert len(unknown) == np.sum(straight.channels == 1)


STEPS = {
    "max_steps": 1, "patch_px": 32, "batch_size": 1, "reduction": 1, "split": "none",
    "augmentation": 0.0,
}  # fmt: skip


class TestTraining:
    def train(self, start, **plan):
        taught = pairs((KNOWN, halves(SMOOTH, ROUGH)))
        return drain(train_job(taught, plan=STEPS | plan, start=start, device=CPU))

    def test_a_deep_model_has_a_sample_of_what_it_sees(self, tiny_model, tmp_path):
        result = self.train(tiny_model)
        model = nf.load_model(result.model.save(tmp_path / "model"))
        assert model.rehearsal.form.n_images == 1
        assert model.card.lineage.plan["rehearsal"]["places"] == len(model.rehearsal)
        assert FeatureReader(model, ReadoutPlan(), CPU).rehearsal is not None

    def test_a_readout_has_one(self, tiny_model, tmp_path):
        parent = SegmentationModel.load(tiny_model.save(tmp_path / "parent"))
        result = self.train(parent, method="readout")
        model = nf.load_model(result.model.save(tmp_path / "model"))
        assert model.rehearsal.form.n_images == 1
        assert model.card.lineage.parent == parent.digest

    def test_where_no_step_is_better_the_sample_of_the_parent_stays(self, tiny_model, tmp_path):
        sample = drain(rehearsal_job(tiny_model, pairs((NEW, halves(1, 2))), ReadoutPlan(), CPU))
        parent = nf.load_model(tiny_model.with_rehearsal(sample).save(tmp_path / "parent"))
        answer = nf.segment(KNOWN.data, parent, device="cpu")
        taught = pairs((KNOWN, answer))
        plan = STEPS | {"split": "blocks", "gap_px": 4, "learning_rate": 0.1}
        result = drain(train_job(taught, plan=plan, start=parent, device=CPU))
        assert result.best_step == 0
        assert torch.equal(result.model.rehearsal.features, parent.rehearsal.features)

    def test_a_sample_that_cannot_be_made_costs_no_training(self, tiny_model):
        broken = SegmentationModel(tiny_model.card, copy.deepcopy(tiny_model.network))
        with torch.no_grad():
            next(broken.network.encoder.parameters())[0] = torch.nan
        taught, plan = pairs((KNOWN, halves(1, 2))), TrainingPlan(max_steps=1)
        trained = FineTuned(broken, best_step=1, notes=("one",))
        result = drain(with_rehearsal_job(trained, None, taught, plan, CPU))
        assert (result.model, result.model.rehearsal) == (broken, None)
        assert result.notes[0] == "one"
        assert "The model is complete but for its rehearsal sample" in result.notes[1]

    def test_a_damaged_sample_is_said_when_something_is_learnt(self, parent, tmp_path):
        folder = parent.save(tmp_path / "parent")
        (folder / "rehearsal.safetensors").write_bytes(b"x")
        result = self.train(nf.load_model(folder), method="readout")
        assert any("is not a rehearsal sample" in note for note in result.notes)
