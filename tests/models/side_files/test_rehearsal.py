"""Rehearsal samples in model folders: kept with the model, or left out with a sentence."""

import json
import os
import struct

import pytest
import torch
from safetensors.torch import load_file, save_file

from napari_fractoseg.classes import DEFAULT_SCHEME
from napari_fractoseg.errors import ModelError
from napari_fractoseg.models.archive import export_model, import_model
from napari_fractoseg.models.card import ModelCard
from napari_fractoseg.models.model import SegmentationModel, load_model
from napari_fractoseg.models.networks.readout import widths_of
from napari_fractoseg.models.side_files.rehearsal import (
    LARGEST_BYTES,
    Rehearsal,
    RehearsalForm,
    n_places_within,
)

FILE = "rehearsal.safetensors"
BATCH = torch.rand(1, 1, 64, 64, generator=torch.Generator().manual_seed(1))


def sample_of(network, n_places=10, reductions=(2, 1)):
    """A sample of the 32 filters, four components and three log-probabilities, in two images."""
    random = torch.Generator().manual_seed(0)
    n_channels = sum(widths_of(network))
    return Rehearsal(
        RehearsalForm(reductions, 4, 4, 2),
        torch.randn(39, n_channels, generator=random) * 1e6,
        torch.randn(39, generator=random),
        torch.randn(n_places, len(reductions) * 39, generator=random).half(),
        torch.arange(n_places).byte() % 3,
    )


@pytest.fixture(scope="module")
def plain():
    """A model whose folder has 0.4 MB."""
    card = ModelCard("small", DEFAULT_SCHEME, "Unet", "tu-test_efficientnet")
    torch.manual_seed(0)
    return SegmentationModel.create(card, decoder_channels=(8, 8, 8, 8, 8))


@pytest.fixture(scope="module")
def model(plain):
    return plain.with_rehearsal(sample_of(plain.network))


@pytest.fixture
def folder(model, tmp_path):
    return model.save(tmp_path / "model")


def without_it(folder):
    """Load a model whose sample is bad: it segments as before; return what it says of it."""
    found = load_model(folder)
    assert found.rehearsal is None
    assert found.probabilities(BATCH).shape == (1, 3, 64, 64)
    (note,) = found.notes
    assert "may forget other images" in note
    return note


def test_it_comes_back_as_it_was(model, folder):
    found, kept = load_model(folder).rehearsal, model.rehearsal
    assert found.form == kept.form
    assert torch.equal(found.features, kept.features)
    assert torch.equal(found.answers, kept.answers)
    assert torch.equal(found.offset, kept.offset)
    torch.testing.assert_close(found.axes, kept.axes, rtol=1e-3, atol=1e3)
    assert load_model(folder).notes == ()


def test_saved_again_it_is_the_same(model, folder, tmp_path):
    again = load_model(load_model(folder).save(tmp_path / "again"))
    assert torch.equal(again.rehearsal.axes, load_model(folder).rehearsal.axes)


def test_with_weights_in_half_precision_it_stays(model, tmp_path):
    found = load_model(model.save(tmp_path / "half", half=True))
    assert (len(found.rehearsal), found.notes) == (10, ())


def test_card_and_readme_tell_of_it(folder):
    card = json.loads((folder / "card.json").read_text())
    assert card["lineage"]["plan"]["rehearsal"] == {"places": 10, "images": 2}
    assert "Rehearsal sample: 10 places in 2 images" in (folder / "README.md").read_text()


def test_a_model_without_one_is_as_before(plain, tmp_path):
    folder = plain.save(tmp_path / "model")
    assert not (folder / FILE).exists()
    found = load_model(folder)
    assert (found.rehearsal, found.notes) == (None, ())


def test_other_card_same_sample(model):
    assert model.with_card(name="other").rehearsal is model.rehearsal


def test_it_travels_in_a_zip_file(folder, tmp_path):
    place = import_model(export_model(folder, tmp_path / "model.zip"))
    assert (place / FILE).read_bytes() == (folder / FILE).read_bytes()
    assert len(load_model(place).rehearsal) == 10


def test_at_most_two_megabytes_are_kept(plain, tmp_path):
    n_channels = sum(widths_of(plain.network))
    most = n_places_within(39, n_channels, 2)
    folder = plain.with_rehearsal(sample_of(plain.network, most)).save(tmp_path / "full")
    size = (folder / FILE).stat().st_size
    assert LARGEST_BYTES - 5000 < size <= LARGEST_BYTES
    assert len(load_model(folder).rehearsal) == most
    too_many = plain.with_rehearsal(sample_of(plain.network, most + 200))
    with pytest.raises(ModelError, match=r"places in 2 images has 2\.0 MB; at most 2 MB"):
        too_many.save(tmp_path / "more")
    assert not (tmp_path / "more").exists()


def test_where_the_components_alone_are_too_large_there_is_no_room():
    assert n_places_within(500, 4000, 2) == 0


def test_of_other_weights_it_is_left_out(model, folder, tmp_path):
    torch.manual_seed(3)
    other = SegmentationModel.create(model.card, decoder_channels=(8, 8, 8, 8, 8))
    place = other.save(tmp_path / "other")
    (place / FILE).write_bytes((folder / FILE).read_bytes())
    assert "it was made for other weights" in without_it(place)


@pytest.mark.parametrize("kind", ["empty", "cut", "garbage", "large", "header", "folder", "pipe"])
def test_a_damaged_one_costs_only_itself(folder, kind):
    path = folder / FILE
    whole = path.read_bytes()
    path.unlink()
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path.write_bytes(
            {
                "empty": b"",
                "cut": whole[: len(whole) // 2],
                "garbage": b"\x00\xff" * 99,
                "large": whole + bytes(LARGEST_BYTES),
                "header": struct.pack("<Q", 2**63) + whole[8:],
            }[kind]
        )
    note = without_it(folder)
    assert FILE in note
    assert "is not a rehearsal sample" in note


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"features": lambda f: f * torch.inf}, "'features' is NaN or infinite"),
        ({"features": lambda f: f[:, :5]}, "'features' is not torch.float16 of shape (10, 78)"),
        ({"features": lambda f: f.float()}, "'features' is not torch.float16"),
        ({"axes": lambda a: a[:, :9]}, "'axes' is not"),
        ({"scale": lambda s: s * torch.nan}, "'scale' is NaN or infinite"),
        ({"answers": lambda a: a + 1}, "its answers are not those of 3 classes"),
        ({"answers": lambda a: a[:0], "features": lambda f: f[:0]}, "its answers are not those"),
        ({"offset": lambda _: None}, "'offset' is not"),
    ],
)
def test_a_made_up_one_is_left_out(folder, changes, message):
    rewrite(folder, lambda metadata: metadata, changes)
    assert message in without_it(folder)


@pytest.mark.parametrize(
    "entries",
    [
        {"reductions": [10**6, 1]},
        {"reductions": [1, 2]},
        {"reductions": []},
        {"grid_px": 0},
        {"n_components": -4},
        {"n_images": "many"},
        {"other": 1},
    ],
)
def test_made_up_entries_are_left_out(folder, entries):
    def change(metadata):
        form = {**json.loads(metadata["rehearsal"]), **entries}
        return {**metadata, "rehearsal": json.dumps(form)}

    rewrite(folder, change, {})
    assert "is not a rehearsal sample" in without_it(folder)


def rewrite(folder, change, changes):
    """Write the file of a sample anew, with other metadata and other tensors."""
    path = folder / FILE
    data, tensors = path.read_bytes(), load_file(path)
    header = json.loads(data[8 : 8 + struct.unpack("<Q", data[:8])[0]])
    made = {name: changes.get(name, lambda t: t)(tensor) for name, tensor in tensors.items()}
    kept = {name: tensor.contiguous() for name, tensor in made.items() if tensor is not None}
    save_file(kept, path, metadata=change(header["__metadata__"]))


class TestLevels:
    def test_one_of_two_scale_levels(self, plain):
        sample = sample_of(plain.network)
        finer = sample.at_levels((1,), 4, 4)
        assert finer.form.reductions == (1,)
        assert torch.equal(finer.features, sample.features[:, 39:])
        assert sample.at_levels((2, 1), 4, 4).form == sample.form

    @pytest.mark.parametrize("wanted", [((4,), 4, 4), ((2, 1), 5, 4), ((2, 1), 4, 2)])
    def test_what_was_read_otherwise_does_not_fit(self, plain, wanted):
        assert sample_of(plain.network).at_levels(*wanted) is None
