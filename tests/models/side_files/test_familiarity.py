"""Statistics of training images in model folders, and what they say of other images."""

import shutil
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from napari_fractoseg.errors import ModelError
from napari_fractoseg.models.archive import export_model, import_model
from napari_fractoseg.models.model import load_model
from napari_fractoseg.models.networks.encoder_stage import features_of
from napari_fractoseg.models.registry import bundled_folder
from napari_fractoseg.models.side_files.familiarity import (
    STRIDE,
    Familiarity,
    FamiliarityForm,
    blocks_of,
)
from napari_fractoseg.models.side_files.window_statistics import BlockMap

FILE = "familiarity.safetensors"
N_CHANNELS = 24


def block_map(seed, shape=(6, 6), offset=0.0, n_channels=N_CHANNELS):
    """A piece of an image of a material: channels of different size that vary together."""
    random = np.random.default_rng(seed)
    own = random.normal(size=2)
    scale = 10.0 ** np.linspace(-2, 2, n_channels)
    mean = 3 + offset + 0.2 * np.sin(np.arange(n_channels)) * own[0]
    mean = mean + 0.1 * random.normal(size=(*shape, n_channels))
    spread = 1 + 0.1 * own[1] + 0.05 * random.random((*shape, n_channels))
    return BlockMap((mean * scale).astype(np.float32), (spread * scale).astype(np.float32))


def familiarity_of(maps, **form):
    numbers = tuple(range(len(maps)))
    form = FamiliarityForm(**{"reduction": 1, "finest": 1, "images": (len(maps),), **form})
    return Familiarity(form, tuple(maps), (0,) * len(maps), numbers, numbers)


def stage_of(model):
    """What the encoder of a model sees."""
    return partial(features_of, model.network, stride=STRIDE)


@pytest.fixture(scope="module")
def known():
    return familiarity_of([block_map(seed) for seed in range(8)])


@pytest.fixture(scope="module")
def model(tiny_model):
    probe = torch.zeros(1, 1, 64, 64)
    n_channels = blocks_of(stage_of(tiny_model), probe).mean.shape[-1]
    maps = [block_map(seed, n_channels=n_channels) for seed in range(8)]
    return tiny_model.with_familiarity(familiarity_of(maps))


@pytest.fixture
def folder(model, tmp_path):
    return model.save(tmp_path / "model")


class TestWindows:
    def test_mean_and_spread_of_a_window_are_those_of_its_pixels(self):
        pixels = np.random.default_rng(0).normal(size=(2, 2, 8, 8))
        mean, spread = pixels.mean((-2, -1)), pixels.std((-2, -1))
        found = BlockMap(mean[..., None], spread[..., None]).windows((2, 2))
        assert found.shape == (1, 1, 2)
        np.testing.assert_allclose(found.ravel(), [pixels.mean(), pixels.std()], rtol=1e-6)

    def test_the_first_and_the_last_window_touch_the_edges(self):
        mean = np.arange(10.0)[:, None, None] * np.ones((1, 4, 1))
        found = BlockMap(mean, np.zeros_like(mean)).windows((5, 5), (3, 3))
        assert found[:, 0, 0].tolist() == [2, 4, 7]

    def test_blocks_have_the_mean_and_spread_of_the_third_stage(self, tiny_model):
        inputs = torch.randn(1, 1, 64, 128, generator=torch.Generator().manual_seed(0))
        with torch.inference_mode():
            stage = next(f for f in tiny_model.network.encoder(inputs) if f.shape[-1] == 16)[0]
        found = blocks_of(stage_of(tiny_model), inputs)
        right = stage[:, :, 8:].flatten(1)
        np.testing.assert_allclose(found.mean[0, 1], right.mean(1), rtol=1e-4, atol=1e-6)
        expected = right.std(1, correction=0)
        np.testing.assert_allclose(found.spread[0, 1], expected, rtol=1e-4, atol=1e-6)


class TestJudging:
    def test_other_images_of_the_material_are_below_the_limit(self, known):
        for seed in range(100, 120):
            judged = known.judge({1: [[block_map(seed)]]})
            assert judged.scores.max() < judged.limit

    def test_another_material_is_above_it(self, known):
        judged = known.judge({1: [[block_map(0, offset=1.5)]]})
        assert judged.scores.min() > 1.5 * judged.limit

    def test_a_corner_is_found(self, known):
        here, there = block_map(100, (10, 10)), block_map(100, (10, 10), offset=1.5)
        mean, spread = here.mean.copy(), here.spread.copy()
        mean[5:, 5:], spread[5:, 5:] = there.mean[5:, 5:], there.spread[5:, 5:]
        judged = known.judge({1: [[BlockMap(mean, spread)]]})
        assert judged.scores.shape == (3, 3)
        is_far = judged.scores > judged.limit
        assert is_far.tolist() == [[False, False, False], [False, True, True], [False, True, True]]

    def test_crops_side_by_side_are_one_map(self, known):
        crop = block_map(100, (5, 5))
        assert known.judge({1: [[crop, crop, crop], [crop, crop, crop]]}).scores.shape == (2, 3)

    @pytest.mark.parametrize("n_images", [1, 2, 3])
    def test_few_images_have_a_wider_limit_that_other_materials_are_beyond(self, n_images):
        few = familiarity_of([block_map(seed, (10, 10)) for seed in range(n_images)])
        judged = few.judge({1: [[block_map(0, (10, 10), offset=3)]]})
        assert few.is_enough
        assert judged.scores.mean() > judged.limit

    def test_too_little_says_so(self):
        few = familiarity_of([block_map(seed, (2, 2)) for seed in range(3)])
        assert not few.is_enough
        with pytest.raises(ModelError, match="too few images"):
            few.judge({1: [[block_map(0)]]})

    @pytest.mark.parametrize("shape", [(2, 2), (2, 5), (3, 3), (4, 4), (2, 12)])
    def test_small_images_have_a_limit_of_their_own(self, known, shape):
        windows = [known.judge({1: [[block_map(seed, shape)]]}) for seed in range(200, 230)]
        assert not any((judged.scores > judged.limit).mean() >= 0.1 for judged in windows)
        assert windows[0].limit > known.limits[0]
        other = known.judge({1: [[block_map(0, shape, offset=3)]]})
        assert other.scores.min() > other.limit

    @pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1)])
    def test_nothing_is_said_of_images_that_are_too_small(self, known, shape):
        assert known.judge({1: [[block_map(200, shape, offset=9)]]}) is None

    def test_windows_that_are_mostly_excluded_are_not_judged(self, known):
        clean, far = block_map(100, (10, 10)), block_map(100, (10, 10), offset=9)
        used = np.ones((10, 10), np.float32)
        used[5:, 5:] = 0
        is_far = used[..., None] == 0
        mixed = (np.where(is_far, far.mean, clean.mean), np.where(is_far, far.spread, clean.spread))
        judged = known.judge({1: [[BlockMap(*mixed, used)]]})
        assert np.isnan(judged.scores).tolist() == [[False] * 3, [False] * 3, [False, False, True]]
        assert np.nanmax(judged.scores) < judged.limit
        assert known.judge({1: [[BlockMap(*mixed, np.zeros_like(used))]]}) is None

    def test_what_was_excluded_of_training_images_is_not_learnt(self):
        maps = [block_map(seed, (8, 8)) for seed in range(8)]
        used = np.ones((8, 8), np.float32)
        used[:, :5] = 0
        bars = [BlockMap(np.where(used[..., None] == 0, 1e4, m.mean), m.spread, used) for m in maps]
        known = familiarity_of(bars)
        judged = known.judge({1: [[block_map(100)]]})
        assert judged.scores.max() < judged.limit
        grey = known.judge({1: [[BlockMap(np.full((6, 6, 24), 1e4), maps[0].spread[:6, :6])]]})
        assert grey.scores.min() > grey.limit

    def test_a_readout_knows_its_own_images_and_those_of_the_model_below(self, known):
        both = known.and_then(familiarity_of([block_map(s, offset=1.5) for s in range(50, 55)]))
        assert both.form.images == (8, 5)
        assert both.n_images == 5
        for offset in (0, 1.5):
            judged = both.judge({1: [[block_map(200, offset=offset)]]})
            assert judged.scores.max() < judged.limit
        judged = both.judge({1: [[block_map(200, offset=5)]]})
        assert judged.scores.mean() > judged.limit

    def test_readouts_of_readouts_stay_small(self, known):
        found = known
        for seed in range(12):
            found = found.and_then(familiarity_of([block_map(seed)] * 2))
        assert len(found.form.images) == 8
        assert found.form.images[0] == 8
        assert set(found.sources) == set(range(8))

    def test_each_source_is_judged_as_it_was_read(self):
        parent = familiarity_of([block_map(s) for s in range(8)], reduction=2, finest=2)
        child = familiarity_of([block_map(s, offset=1.5) for s in range(50, 55)])
        both = parent.and_then(child)
        assert both.form.reductions == (2, 1)
        far = block_map(200, offset=9)
        for reduction, offset in ((2, 0), (1, 1.5)):
            seen = {1: [[far]], 2: [[far]]} | {reduction: [[block_map(200, offset=offset)]]}
            judged = both.judge(seen)
            assert judged.scores.max() < judged.limit
        assert both.and_then(child).form.reductions == (2, 1, 1)


class TestFile:
    def test_it_comes_back_as_it_was(self, model, folder):
        found, kept = load_model(folder).familiarity, model.familiarity
        assert found.form == kept.form
        assert (found.sources, found.images, found.groups) == (
            kept.sources, kept.images, kept.groups,
        )  # fmt: skip
        assert found.limits == pytest.approx(kept.limits, rel=1e-3)
        assert load_model(folder).notes == ()

    def test_sources_and_excluded_blocks_come_back(self, model, tmp_path):
        known = model.familiarity
        used = np.full(known.maps[0].shape, 0.5, np.float32)
        own = replace(
            known,
            form=replace(known.form, reduction=2),
            maps=tuple(replace(m, used=used) for m in known.maps),
        )
        both = own.and_then(known)
        found = load_model(model.with_familiarity(both).save(tmp_path / "model")).familiarity
        assert found.form == both.form
        assert found.form.reductions == (2, 1)
        assert found.maps[0].shares.tolist() == used.tolist()
        assert found.maps[-1].shares.min() == 1

    def test_the_card_tells_of_it(self, folder):
        assert load_model(folder).card.lineage.plan["familiarity"] == {"images": 8}

    def test_it_travels_with_an_exported_model(self, folder, tmp_path):
        there = import_model(export_model(folder, tmp_path / "model.zip"), "other")
        assert load_model(there).familiarity.form == load_model(folder).familiarity.form

    def test_a_model_without_it_loads(self, folder):
        (folder / FILE).unlink()
        assert load_model(folder).familiarity is None
        assert load_model(folder).notes == ()

    @pytest.mark.parametrize(
        "change",
        [
            lambda t: t.pop("places"),
            lambda t: t.update(mean=t["mean"][:-1]),
            lambda t: t.update(spread=-t["spread"] - 1),
            lambda t: t.update(mean=t["mean"] * torch.nan),
            lambda t: t.update(scale=torch.zeros_like(t["scale"])),
            lambda t: t.update(used=torch.full((len(t["mean"]),), 2).half()),
            lambda t: t.update(used=torch.ones(3).half()),
            lambda t: t["places"].__setitem__((0, 2), 1),
            lambda t: t["places"].__setitem__((0, 0), 2**30),
        ],
    )
    def test_a_damaged_file_costs_only_itself(self, folder, change):
        from safetensors import safe_open

        with safe_open(folder / FILE, "pt") as file:
            metadata = file.metadata()
        tensors = load_file(folder / FILE)
        change(tensors)
        save_file(tensors, folder / FILE, metadata=metadata)
        self.is_left_out(folder)

    def test_a_file_that_is_cut_off_costs_only_itself(self, folder):
        path = folder / FILE
        path.write_bytes(path.read_bytes()[:200])
        self.is_left_out(folder)

    def test_that_of_other_weights_is_left_out(self, folder):
        shutil.copy(bundled_folder() / "fracture-modes" / FILE, folder / FILE)
        assert "other weights" in self.is_left_out(folder)

    @staticmethod
    def is_left_out(folder):
        found = load_model(folder)
        assert found.familiarity is None
        assert found.probabilities(torch.rand(1, 1, 64, 64)).shape == (1, 3, 64, 64)
        (note,) = found.notes
        assert "does not know" in note
        return note

    def test_that_of_the_bundled_model_is_small_and_from_16_images(self):
        found = load_model().familiarity
        assert found.is_enough
        assert found.n_images == 16
        assert (bundled_folder() / "fracture-modes" / FILE).stat().st_size < 300_000
