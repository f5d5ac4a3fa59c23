"""`nf.train`, `nf.evaluate`, and what the command line shares with them."""

from __future__ import annotations

import logging
from dataclasses import replace

import imageio.v3 as iio
import numpy as np
import pandas as pd
import pytest
import segmentation_models_pytorch as smp
import torch

import napari_fractoseg as nf
from napari_fractoseg.annotations import AnnotatedImage, Region, ViaDocument, write_via
from napari_fractoseg.classes import DEFAULT_SCHEME
from napari_fractoseg.datasets.sources import read_training_sets
from napari_fractoseg.errors import (
    AnnotationError,
    ClassSchemeError,
    DeviceError,
    DownloadError,
    TrainingError,
)
from napari_fractoseg.files import file_sha256
from napari_fractoseg.jobs import Progress, drain
from napari_fractoseg.models.card import Inference
from napari_fractoseg.models.devices import choose_device
from napari_fractoseg.models.model import SegmentationModel
from napari_fractoseg.models.networks.pretrained import find_weights
from napari_fractoseg.training.fit import train_job
from napari_fractoseg.training.plan import TrainingPlan
from napari_fractoseg.training.presets import continued_plan

PLAN = TrainingPlan(
    encoder="tu-test_resnet", decoder_channels=(32, 16, 16, 8, 8), patch_px=32, batch_size=2,
    max_steps=3, reduction=1,
)  # fmt: skip
QF_VALUES = {0: "background", 1: "transgranular", 2: "intergranular"}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Two images: smooth on the left, rough on the right; masks as the QF code exports them."""
    folder = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    for name in ("images", "masks"):
        (folder / name).mkdir()
    for name in ("one", "two"):
        image = rng.integers(90, 110, (64, 96)).astype(np.uint8)
        image[:, 48:] = rng.integers(0, 255, (64, 48))
        mask = np.full((64, 96), 2, np.uint8)
        mask[:, 48:], mask[:, 44:52] = 1, 0
        iio.imwrite(folder / "images" / f"{name}.png", image)
        iio.imwrite(folder / "masks" / f"{name}.png", mask)
    return folder


def weights(model: SegmentationModel) -> torch.Tensor:
    return torch.cat([p.flatten() for p in model.network.parameters()])


def train(data, **options):
    return nf.train(data / "images", data / "masks", **{"plan": PLAN, "device": "cpu", **options})


class TestTrain:
    @pytest.mark.slow
    def test_the_same_seed_gives_the_same_weights(self, data):
        first, second = train(data).model, train(data).model
        assert torch.equal(weights(first), weights(second))
        other = train(data, plan=replace(PLAN, seed=1)).model
        assert not torch.equal(weights(first), weights(other))

    def test_mask_values_are_mapped_to_classes(self, data):
        result = train(data, mask_values=QF_VALUES, name="mapped")
        assert result.model.card.scheme == DEFAULT_SCHEME
        assert result.model.card.name == "mapped"
        assert set(result.model.card.lineage.data) == {"one", "two"}

    def test_new_names_make_new_classes(self, data):
        values = {1: "dimples", 2: "intergranular"}
        card = train(data, mask_values=values).model.card
        assert card.scheme.names[-1] == "dimples"

    def test_held_out_images_are_not_learnt_from(self, data):
        result = train(data, validation=["two"])
        assert set(result.model.card.lineage.data) == {"one"}
        assert result.model.card.metrics["validation"]["images"] == ("two",)
        assert "mean_iou" in result.history[-1]

    def test_an_unknown_image_cannot_be_held_out(self, data):
        with pytest.raises(TrainingError, match=r"No image named three; there are"):
            train(data, validation=["three"])

    def test_a_fine_tuned_model_keeps_network_classes_and_test_time_choices(self, data):
        parent = train(data).model.with_card(
            inference=Inference(reductions=(1, 2), flips=True, halo_px=32)
        )
        parent.digest = "abc"
        before = weights(parent).clone()
        plan = TrainingPlan(
            encoder="resnet34", patch_px=32, batch_size=2, max_steps=2, split="none"
        )
        child = train(data, start=parent, plan=plan, name="child").model
        assert child.card.encoder == "tu-test_resnet"
        assert child.card.inference == parent.card.inference
        assert child.card.scheme == parent.card.scheme
        assert child.card.lineage.parent == "abc"
        assert child.card.lineage.plan["reduction"] == 1
        assert (child.card.name, child.card.description) == ("child", "Fine-tuned from own model.")
        assert torch.equal(weights(parent), before)
        assert not torch.equal(weights(child), before)

    def test_fine_tuning_refuses_classes_that_the_model_does_not_know(self, data, tiny_model):
        with pytest.raises(TrainingError, match="'dimples', a class that is not in the scheme"):
            train(data, start=tiny_model, mask_values={1: "dimples", 2: "i"})

    def test_a_device_that_is_not_there_is_refused(self, data):
        with pytest.raises(DeviceError, match="'cuda:99' is not available; there is"):
            train(data, device="cuda:99")

    def test_nothing_of_lightning_is_logged(self, data, caplog):
        with caplog.at_level(logging.DEBUG):
            train(data, plan=replace(PLAN, max_steps=1, precision="bf16-mixed"))
        assert not [r for r in caplog.records if "lightning" in r.name]

    def test_the_history_is_written_as_csv(self, data, tmp_path):
        result = train(data)
        result.write_history(tmp_path / "new" / "history.csv")
        table = pd.read_csv(tmp_path / "new" / "history.csv")
        assert table.step.tolist() == [1, 2, 3]
        assert table.loss.tolist() == pytest.approx([row["loss"] for row in result.history])


class TestTrainJob:
    def read(self, data):
        return read_training_sets([data / "images"], [data / "masks"])

    def test_a_stopped_run_returns_the_best_so_far(self, data):
        plan, seen = replace(PLAN, max_steps=1000), []
        job = train_job(
            self.read(data),
            plan=plan,
            validation=["two"],
            device=choose_device("cpu"),
            should_stop=lambda: len(seen) >= 2,
        )
        result = drain(job, seen.append)
        assert len(result.history) == 3
        assert result.best_step == 3
        assert result.model.card.lineage.plan["steps_done"] == 3

    @pytest.mark.parametrize(("chosen", "rate"), [(None, 1e-4), ({"learning_rate": 5e-4}, 5e-4)])
    def test_fine_tuning_takes_the_preset_and_what_is_chosen_goes_before_it(
        self, data, tiny_model, chosen, rate
    ):
        device, start = choose_device("cpu"), tiny_model.with_card()
        job = train_job(
            self.read(data), plan=chosen, start=start, device=device, should_stop=lambda: True
        )
        plan = drain(job).model.card.lineage.plan
        assert plan["learning_rate"] == rate
        assert (plan["stay_close"], plan["dice_weight"], plan["encoder_rate"]) == (1, 0, 0.3)
        assert plan["freeze_batch_norm"] is True
        assert (plan["max_steps"], plan["max_minutes"]) == (600, None)

    def test_progress_never_goes_back_while_validating(self, data):
        plan, seen = replace(PLAN, validate_every=1), []
        job = train_job(self.read(data), plan=plan, validation=["two"], device=choose_device("cpu"))
        drain(job, seen.append)
        assert {p.total for p in seen} == {3}
        assert [p.done for p in seen] == sorted(p.done for p in seen)
        assert [p.metrics["mean_iou"] for p in seen if "mean_iou" in p.metrics]

    def test_the_reduction_of_a_child_is_that_at_which_its_parent_learnt(self, tiny_model):
        inference = Inference(reductions=(4, 2))
        card = tiny_model.with_card(inference=inference).card
        assert continued_plan(PLAN, card).reduction == 4
        learnt_at_2 = replace(card, lineage=replace(card.lineage, plan={"reduction": 2}))
        plan = continued_plan(PLAN, learnt_at_2)
        assert (plan.reduction, plan.test_reductions) == (2, (4, 2))

    def test_a_child_smooths_images_as_its_parent_does(self, tiny_model, data):
        inference = replace(tiny_model.card.inference, smoothing_px=1.5)
        start = tiny_model.with_card(inference=inference)
        plan = continued_plan(PLAN, start.card)
        child = drain(train_job(self.read(data), plan=plan, start=start)).model
        assert child.card.inference.smoothing_px == 1.5


class TestEncoderWeights:
    """A local file stands for what was published; no address answers."""

    PLAN = replace(
        PLAN, encoder="resnet18", encoder_weights="micronet", encoder_rate=0.0, average_decay=0.0
    )

    @pytest.fixture(autouse=True)
    def _offline(self, monkeypatch):
        monkeypatch.setenv("FRACTOSEG_MICRONET_URL", "http://127.0.0.1:9")

    @pytest.fixture
    def published(self):
        return self.publish()

    def publish(self):
        torch.manual_seed(3)
        encoder = smp.encoders.get_encoder("resnet18", weights=None)
        path = find_weights("resnet18", "micronet").path
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save(encoder.state_dict(), path)
        return encoder.state_dict()

    def test_a_new_network_begins_with_them_and_its_card_says_so(self, data, published):
        result = train(data, plan=self.PLAN)
        name = "layer4.1.conv2.weight"  # the encoder is frozen
        assert torch.equal(result.model.network.encoder.state_dict()[name], published[name])
        card = result.model.card
        digest = file_sha256(find_weights("resnet18", "micronet").path)
        assert card.lineage.plan["encoder_weights"] == "micronet"
        assert card.lineage.plan["encoder_sha256"] == digest
        assert card.description.startswith("The encoder began with micronet weights from http")

    def test_a_run_repeats_only_with_the_same_weights(self, data, published):
        plan = replace(self.PLAN, encoder_sha256="0" * 64)
        with pytest.raises(DownloadError, match="no connection"):  # the file here is another one
            train(data, plan=plan)

    def test_without_a_network_nothing_is_trained(self, data):
        with pytest.raises(DownloadError, match="no connection"):
            train(data, plan=self.PLAN)

    def test_random_weights_are_used_only_if_asked_for_and_said(self, data):
        training_set = read_training_sets([data / "images"], [data / "masks"])
        job = train_job(training_set, plan=self.PLAN, device=choose_device("cpu"), or_random=True)
        result = drain(job)
        assert result.notes[0].startswith("The encoder began with random weights.")
        assert "no connection" in result.notes[0]
        assert result.model.card.lineage.plan["encoder_weights"] == "none"
        assert result.model.card.description == ""

    @pytest.mark.slow
    def test_random_weights_stay_said_when_the_run_is_taken_up_with_a_network(self, data, tmp_path):
        training_set = read_training_sets([data / "images"], [data / "masks"])
        plan = replace(self.PLAN, validate_every=1)
        options = {"plan": plan, "device": choose_device("cpu"), "or_random": True}
        whole = drain(train_job(training_set, **options))
        options["checkpoint"] = tmp_path / "checkpoint"
        job = train_job(training_set, **options)
        while not options["checkpoint"].exists():
            next(job)
        job.close()
        self.publish()
        rest = drain(train_job(training_set, **options))
        assert rest.notes == whole.notes
        assert rest.notes[0].startswith("The encoder began with random weights.")
        assert torch.equal(weights(rest.model), weights(whole.model))

    def test_data_that_cannot_teach_is_refused_before_anything_is_fetched(self, data):
        values = {2: "intergranular"}
        with pytest.raises(TrainingError, match="At least two"):
            train(data, plan=self.PLAN, mask_values=values)

    def test_a_child_needs_no_other_weights(self, data, tiny_model):
        card = train(data, start=tiny_model, plan=self.PLAN).model.card
        assert card.lineage.plan["encoder_weights"] == "none"


class TestEvaluate:
    def test_a_perfect_model_agrees_fully(self, data, tiny_model, monkeypatch):
        def exact(self, image, labels, **options):
            labels[:], labels[:, 48:] = 1, 2
            yield Progress(1, 1)

        monkeypatch.setattr("napari_fractoseg.inference.predictor.Predictor.run_into", exact)
        values = {1: "transgranular", 2: "intergranular"}
        evaluation = nf.evaluate(
            tiny_model, data / "images", data / "masks", mask_values=values, device="cpu"
        )
        assert list(evaluation.images) == ["one", "two"]
        assert evaluation.pooled.agreement == 1
        assert evaluation.pooled.fraction_error == 0
        assert evaluation.pooled.n_px == 2 * 64 * (96 - 8)
        # The same masks read without the mapping are inverted: every pixel disagrees.
        swapped = nf.evaluate(tiny_model, data / "images", data / "masks", device="cpu")
        assert swapped.pooled.agreement == 0

    def test_unlabelled_pixels_count_when_they_are_said_to_be_a_class(self, data, tiny_model):
        arguments = (tiny_model, data / "images", data / "masks")
        evaluation = nf.evaluate(*arguments, unlabelled_as="background", device="cpu")
        assert evaluation.pooled.n_px == 2 * 64 * 96
        with pytest.raises(ClassSchemeError, match="'sky' is not in the scheme"):
            nf.evaluate(*arguments, unlabelled_as="sky", device="cpu")


class TestAnnotations:
    @pytest.fixture
    def via(self, data, tmp_path):
        """Both images annotated; a region without a class, and an image that is not there."""

        def entry(name, *values):
            rect = {"name": "rect", "y": 0, "width": 40, "height": 60}
            regions = (Region({**rect, "x": x}, {"mode": value}) for x, value in values)
            return AnnotatedImage(name, tuple(regions))

        values = (0, "i"), (48, "t")
        images = entry("one.png", *values), entry("two.png", *values, (90, ""))
        document = ViaDocument((*images, entry("gone.png", *values)))
        write_via(document, tmp_path / "via.json")
        return tmp_path / "via.json"

    def test_training_and_evaluation_say_what_was_left_out(self, data, via, tiny_model, caplog):
        notes = (
            f"via.json: 1 of 3 images not found in {(data / 'images').resolve()}: gone.png",
            "via.json: 1 image is smaller than what its regions cover: two.png (96 x 64 px, "
            "regions from 0, 0 to 130, 60). Their regions may lie elsewhere: use the images that "
            "were annotated.",
            "via.json: 1 region without a class is left out of the labels.",
        )
        options = nf.AnnotationOptions(skip_unclassified=True)
        arguments = {"annotations": options, "device": "cpu"}
        result = nf.train(data / "images", via, plan=replace(PLAN, max_steps=1), **arguments)
        assert result.notes[:3] == notes
        assert set(result.model.card.lineage.data) == {"one", "two"}
        assert notes[2] in caplog.text
        evaluation = nf.evaluate(tiny_model, data / "images", via, **arguments)
        assert evaluation.notes == notes
        assert evaluation.to_dict()["notes"] == list(notes)
        assert evaluation.pooled.n_px == 2 * 2 * 40 * 60

    def test_by_default_regions_without_a_class_are_refused(self, data, via, tiny_model):
        with pytest.raises(AnnotationError, match="'two.png', region 2: .*no value"):
            nf.train(data / "images", via, plan=PLAN, device="cpu")
        with pytest.raises(AnnotationError, match="'two.png', region 2: .*no value"):
            nf.evaluate(tiny_model, data / "images", via, device="cpu")


class TestReadTrainingSets:
    def test_sources_are_joined_with_their_shares(self, data):
        joined = read_training_sets([data / "images"] * 2, [data / "masks"] * 2, [3, 0.5])
        assert [p.share for p in joined.pairs] == [3, 3, 0.5, 0.5]

    @pytest.mark.parametrize(("labels", "shares"), [(1, ()), (2, (1.0,))])
    def test_numbers_must_fit_together(self, data, labels, shares):
        counts = rf"2 image folders, {labels} labels and {len(shares)} shares.*Give each"
        with pytest.raises(TrainingError, match=counts):
            read_training_sets([data / "images"] * 2, [data / "masks"] * labels, shares)
