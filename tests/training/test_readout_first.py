"""Training of all weights that starts from, or beside, a readout."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from napari_fractoseg.classes import DEFAULT_SCHEME, ClassScheme, FractureClass
from napari_fractoseg.datasets.dataset import TrainingPair, TrainingSet
from napari_fractoseg.images import Micrograph
from napari_fractoseg.jobs import drain
from napari_fractoseg.models.card import Inference
from napari_fractoseg.models.devices import choose_device
from napari_fractoseg.models.model import SegmentationModel
from napari_fractoseg.models.networks.readout import ReadoutNetwork, ReadoutShape, widths_of
from napari_fractoseg.models.networks.scale_sum import fitting_patch_px, trainable
from napari_fractoseg.models.readme import kept_text, painted_text
from napari_fractoseg.training.fit import train_job
from napari_fractoseg.training.losses import SegmentationLoss
from napari_fractoseg.training.plan import TrainingPlan

CPU = choose_device("cpu")
OTHER = ClassScheme(
    "surface", (FractureClass(1, "smooth", "#ff0000"), FractureClass(2, "rough", "#00ff00"))
)
PLAN = TrainingPlan(
    readout_first=True, patch_px=64, batch_size=2, max_steps=2, validate_every=1, gap_px=4,
    freeze_batch_norm=True, average_decay=0.0, dice_weight=0.0, precision="32-true",
)  # fmt: skip


@pytest.fixture
def readout(tiny_model):
    """A readout of random weights at two scale levels."""
    shape = ReadoutShape(3, 2, widths_of(tiny_model.network))
    network = ReadoutNetwork(tiny_model.network, shape).eval()
    width = sum(shape.widths)
    random = torch.Generator().manual_seed(0)
    network.set_sum(torch.randn(6, width, generator=random) / width, torch.zeros(6))
    inference = Inference(reductions=(1, 2), halo_px=64, combine="sum")
    return SegmentationModel(replace(tiny_model.card, inference=inference), network)


def surface(scheme=DEFAULT_SCHEME):
    """Smooth on the left, rough on the right, labelled throughout."""
    random = np.random.default_rng(0)
    grey = random.normal(128, 3, (96, 160))
    grey[:, 80:] += random.normal(0, 40, (96, 80))
    labels = np.ones((96, 160), np.uint8)
    labels[:, 80:] = 2
    image = Micrograph(np.clip(grey, 0, 255).astype(np.uint8), name="halves")
    return TrainingSet((TrainingPair(image, labels),), scheme)


def named_surface(name, seed=1):
    random = np.random.default_rng(seed)
    pair = surface().pairs[0]
    grey = pair.image.data.astype(int) + random.integers(-5, 6, pair.image.data.shape)
    return replace(pair, image=Micrograph(np.clip(grey, 0, 255).astype(np.uint8), name=name))


def learn(start, taught, checkpoint=None, **entries):
    plan = replace(PLAN, **entries)
    job = train_job(
        taught, plan=plan, start=start, scheme=taught.scheme, device=CPU, checkpoint=checkpoint
    )
    return drain(job)


def weights(model):
    return torch.cat([v.float().flatten() for v in model.network.state_dict().values()])


@pytest.mark.parametrize("smoothing_px", [0.0, 1.5])
def test_the_loss_is_that_of_what_segmentation_computes(readout, smoothing_px):
    inference = replace(readout.card.inference, smoothing_px=smoothing_px)
    readout = readout.with_card(inference=inference)
    random = torch.Generator().manual_seed(1)
    grey = torch.randn(2, 1, 64, 128, generator=random)
    targets = torch.randint(0, 3, (2, 64, 128), generator=random)
    scores = trainable(readout, readout.network)(grey)
    expected = torch.nn.functional.nll_loss(readout.probabilities(grey).log(), targets)
    torch.testing.assert_close(SegmentationLoss(0.0)(scores, targets), expected)


def test_errors_reach_the_network_below_and_the_sum_of_each_scale_level(readout):
    scores = trainable(readout, readout.network)(torch.randn(1, 1, 64, 64))
    scores[:, 0].sum().backward()
    network = readout.network
    assert float(next(network.base.encoder.parameters()).grad.abs().sum()) > 0
    moved = torch.cat([p.grad.flatten(1) for p in network.stages.parameters()], dim=1).abs().sum(1)
    assert (moved > 0).tolist() == [True, False, False] * 2  # class 0 at both scale levels


def test_patches_suit_all_scale_levels(readout, tiny_model):
    assert fitting_patch_px(tiny_model, 96) == 96
    assert fitting_patch_px(readout, 96) == 128
    six = replace(readout.card.inference, reductions=(2, 6))
    assert fitting_patch_px(readout.with_card(inference=six), 256) == 288


def test_a_step_that_changes_nothing_gives_the_same_answers(readout):
    rates = {"learning_rate": 1e-30, "weight_decay": 0.0, "max_steps": 1, "split": "none"}
    model = learn(readout, surface(), readout_first=False, **rates).model
    assert model.card.inference == readout.card.inference
    grey = np.random.default_rng(0).normal(size=(1, 1, 64, 64)).astype(np.float32)
    torch.testing.assert_close(model.probabilities(grey), readout.probabilities(grey))


def test_a_readout_that_was_trained_on_is_a_model_like_any_other(readout, tmp_path):
    model = learn(readout, surface(), readout_first=False, split="none").model
    assert not torch.equal(weights(model), weights(readout))
    again = SegmentationModel.load(model.save(tmp_path / "model"))
    grey = np.random.default_rng(0).normal(size=(1, 1, 64, 64)).astype(np.float32)
    torch.testing.assert_close(again.probabilities(grey), model.probabilities(grey))


@pytest.mark.parametrize("scheme", [DEFAULT_SCHEME, OTHER])
def test_it_is_never_worse_than_the_readout(tiny_model, scheme):
    result = learn(tiny_model, surface(scheme), learning_rate=0.02)
    metrics = result.model.card.metrics
    figures = metrics["candidates"]["figures"]
    assert metrics["candidates"]["kept"] == "readout"
    assert metrics["validation"]["mean_iou"] == figures["readout"]
    assert result.best_step == 0
    assert list(result.model.card.lineage.held_out.values()) == [()]  # it learnt from all
    assert ("start" in figures) == (scheme == DEFAULT_SCHEME)
    assert kept_text(result.model.card).startswith("The readout, learnt in seconds, did better")


def test_a_readout_that_is_kept_has_learnt_from_what_was_held_out_too(tiny_model):
    taught = surface()
    short = learn(tiny_model, taught, method="readout", split="none").model
    long = learn(tiny_model, taught, learning_rate=0.02).model
    card = long.card
    assert torch.equal(weights(long), weights(short))
    assert card.lineage.data == taught.digests()
    assert card.metrics["painted"]["n_px"] == 96 * 160
    assert "learnt from 15360 labelled pixels" in card.description
    assert kept_text(card).endswith("the figures are those of the readout without them.")
    again = learn(long, taught, max_steps=1)
    assert "validation" not in again.model.card.metrics
    assert "has learnt from all of these images" in again.notes[0]


def test_images_that_somebody_named_stay_unseen(tiny_model):
    pairs = (*surface().pairs, named_surface("other"))
    job = train_job(
        TrainingSet(pairs, DEFAULT_SCHEME), plan=replace(PLAN, learning_rate=0.02),
        start=tiny_model, validation=["other"], device=CPU,
    )  # fmt: skip
    card = drain(job).model.card
    assert card.metrics["candidates"]["kept"] == "readout"
    assert list(card.lineage.data) == ["halves"]
    assert kept_text(card).endswith("it was kept.")


def test_a_run_that_is_taken_up_again_gives_the_same(tiny_model, tmp_path):
    taught, checkpoint = surface(OTHER), tmp_path / "checkpoint"
    whole = learn(tiny_model, taught)
    job = train_job(
        taught, plan=PLAN, start=tiny_model, scheme=OTHER, device=CPU, checkpoint=checkpoint
    )
    while not checkpoint.exists():
        next(job)
    job.close()
    rest = learn(tiny_model, taught, checkpoint)
    assert rest.history == whole.history
    assert rest.model.card.metrics == whole.model.card.metrics
    assert torch.equal(weights(rest.model), weights(whole.model))


def test_without_held_out_pixels_what_is_painted_decides(tiny_model):
    card = learn(tiny_model, surface(), learning_rate=0.02, split="none").model.card
    compared = card.metrics["candidates"]
    assert (compared["kept"], compared["by"]) == ("readout", "painted")
    assert card.metrics["painted"]["right"] == max(compared["figures"].values())


def test_painted_pixels_that_come_out_wrong_are_said(tiny_model):
    flat = {"learning_rate": 1e-30, "max_steps": 1, "split": "none", "readout_first": False}
    card = learn(tiny_model, surface(), **flat).model.card
    painted = card.metrics["painted"]
    assert painted["n_px"] == 96 * 160
    assert painted["right"] < 0.95
    assert painted_text(card).startswith(f"Only {int(100 * painted['right'])} % of the painted")
    right = {**painted, "right": 0.971, "of_images": 40}
    assert painted_text(replace(card, metrics={"painted": right})) == (
        "97 % of the painted pixels on 1 of 40 images come out as painted."
    )
