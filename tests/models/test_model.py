import json
import pickle
import resource
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import segmentation_models_pytorch as smp
import torch
from safetensors.torch import load_file, save_file
from scipy import ndimage

from napari_fractoseg.classes import DEFAULT_SCHEME
from napari_fractoseg.errors import ImageError, ModelError, OutputError, OutputExistsError
from napari_fractoseg.models.card import Inference, ModelCard
from napari_fractoseg.models.model import SegmentationModel, load_model

BATCH = np.random.default_rng(0).normal(size=(2, 1, 64, 128)).astype(np.float32)


@pytest.fixture
def folder(tmp_path, tiny_model):
    return tiny_model.save(tmp_path / "tiny")


def test_a_saved_model_gives_the_same_probabilities(folder, tiny_model):
    loaded = SegmentationModel.load(folder)
    assert loaded.card == tiny_model.card
    torch.testing.assert_close(loaded.probabilities(BATCH), tiny_model.probabilities(BATCH))
    assert len(loaded.digest) == 64


def test_the_folder_is_that_of_segmentation_models_pytorch(folder, tiny_model):
    assert sorted(p.name for p in folder.iterdir()) == [
        "README.md", "card.json", "config.json", "model.safetensors",
    ]  # fmt: skip
    network = smp.from_pretrained(str(folder)).eval()
    with torch.inference_mode():
        logits = network(torch.from_numpy(BATCH))
    torch.testing.assert_close(logits.softmax(1), tiny_model.probabilities(BATCH))


def test_half_precision_halves_the_file_and_hardly_changes_the_result(tmp_path, folder, tiny_model):
    half = tiny_model.save(tmp_path / "half", half=True)
    sizes = [(f / "model.safetensors").stat().st_size for f in (half, folder)]
    assert sizes[0] < 0.51 * sizes[1]
    difference = load_model(half).probabilities(BATCH) - tiny_model.probabilities(BATCH)
    assert difference.abs().max() < 0.02


def test_probabilities_add_up_to_one(tiny_model):
    probabilities = tiny_model.probabilities(BATCH)
    assert probabilities.shape == (2, 3, 64, 128)
    torch.testing.assert_close(probabilities.sum(1), torch.ones(2, 64, 128))


def test_flips_make_the_result_independent_of_mirror_images(tiny_model):
    flipping = tiny_model.with_card(inference=Inference(flips=True))
    straight = flipping.probabilities(BATCH)
    mirrored = flipping.probabilities(BATCH[..., ::-1].copy()).flip(-1)
    torch.testing.assert_close(straight, mirrored)
    plain = tiny_model.probabilities(BATCH[..., ::-1].copy()).flip(-1)
    assert not torch.allclose(plain, tiny_model.probabilities(BATCH))


def test_a_smoothing_model_sees_what_a_gaussian_leaves(tiny_model):
    smoothing = tiny_model.with_card(inference=Inference(smoothing_px=1.5))
    grey = ndimage.gaussian_filter(BATCH, (0, 0, 1.5, 1.5), mode="mirror", truncate=4)
    expected = tiny_model.probabilities(grey)
    torch.testing.assert_close(smoothing.probabilities(BATCH), expected, atol=1e-4, rtol=0)
    assert not torch.allclose(tiny_model.probabilities(BATCH), expected, atol=1e-3)
    flat = np.full_like(BATCH, 0.3)
    torch.testing.assert_close(smoothing.probabilities(flat), tiny_model.probabilities(flat))


def test_smoothing_is_meant_in_image_pixels(tiny_model):
    large = np.kron(BATCH, np.ones((1, 1, 4, 4), np.float32))
    half = tiny_model.with_card(inference=Inference(reductions=(4,), smoothing_px=4.0))
    whole = tiny_model.with_card(inference=Inference(smoothing_px=1.0))
    batch = torch.from_numpy(BATCH)
    seen = [model.scale_levels[0].smoothed(batch) for model in (half, whole)]
    torch.testing.assert_close(*seen)
    assert half.probabilities(large).shape == (2, 3, 256, 512)
    # Seen at half its size, an image is smoothed as one that was that small.
    torch.testing.assert_close(whole.at_scale(2).scale_levels[0].smoothed(batch), seen[1])


@pytest.mark.parametrize("sigma", [-1.0, 17.0, float("nan")])
def test_a_smoothing_that_is_none_is_refused(sigma):
    with pytest.raises(ValueError, match="smoothing_px"):
        Inference(smoothing_px=sigma)


def test_a_reduction_shows_the_network_block_means(tiny_model):
    reduced = tiny_model.with_card(inference=Inference(reductions=(2,)))
    large = np.kron(BATCH, np.ones((1, 1, 2, 2), np.float32))
    at_half = reduced.probabilities(large)[..., 1::2, 1::2]
    assert at_half.shape == (2, 3, 64, 128)
    # In the middle of a block of equal neighbours bilinear enlargement changes nothing much.
    expected = torch.nn.functional.interpolate(
        tiny_model.probabilities(BATCH), scale_factor=2, mode="bilinear"
    )[..., 1::2, 1::2]
    torch.testing.assert_close(at_half, expected)
    both = tiny_model.with_card(inference=Inference(reductions=(1, 2)))
    mean = (tiny_model.probabilities(large) + reduced.probabilities(large)) / 2
    torch.testing.assert_close(both.probabilities(large), mean)
    assert (reduced.stride_px, both.stride_px) == (64, 64)


def test_nothing_is_overwritten(folder, tiny_model):
    before = (folder / "model.safetensors").read_bytes()
    with pytest.raises(OutputExistsError, match=r"tiny exists already\. Choose another name"):
        tiny_model.with_card(name="renamed").save(folder)
    assert load_model(folder).card.name == "tiny"
    assert (folder / "model.safetensors").read_bytes() == before
    assert [p.name for p in folder.parent.iterdir()] == ["tiny"]


def test_a_new_class_count_or_encoder_is_any_of_the_library():
    card = ModelCard(
        name="x", scheme=DEFAULT_SCHEME.with_names(["dimples"]), architecture="FPN",
        encoder="mobilenet_v2",
    )  # fmt: skip
    model = SegmentationModel.create(card)
    assert model.probabilities(BATCH).shape[1] == 4
    with pytest.raises(ModelError, match="no-such-encoder"):
        SegmentationModel.create(replace(card, encoder="no-such-encoder"))
    with pytest.raises(ModelError, match="'Wunet'"):
        SegmentationModel.create(replace(card, architecture="Wunet"))


@pytest.mark.parametrize("name", ["card.json", "config.json", "model.safetensors"])
def test_a_missing_file_is_named(folder, name):
    (folder / name).unlink()
    with pytest.raises(ModelError, match=f"not a model folder: {name} missing"):
        load_model(folder)


@pytest.mark.parametrize("name", ["card.json", "config.json", "model.safetensors"])
@pytest.mark.parametrize("damage", ["truncated", "garbage", "empty"])
def test_damaged_files_give_one_clear_error(folder, name, damage):
    path = folder / name
    whole = path.read_bytes()
    path.write_bytes(
        {"truncated": whole[: len(whole) // 2], "garbage": b"\x00\xff" * 99, "empty": b""}[damage]
    )
    with pytest.raises(ModelError, match=name) as caught:
        load_model(folder)
    assert "again" in str(caught.value)


def test_nothing_is_ever_unpickled(folder):
    class Trap:
        def __reduce__(self):
            return (pytest.fail, ("unpickled",))

    for name in ("model.safetensors", "pytorch_model.bin"):
        (folder / name).write_bytes(pickle.dumps(Trap()))
    with pytest.raises(ModelError, match="damaged or not a safetensors file"):
        load_model(folder)
    (folder / "model.safetensors").unlink()
    with pytest.raises(ModelError, match="missing"):
        load_model(folder)


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"classes": 5}, "classes is 5, but the card wants 3"),
        ({"in_channels": 3}, "in_channels is 3"),
        ({"_model_class": "os.system"}, "'os.system' is not known"),
        (
            {"encoder_name": "resnet34"},
            "encoder_name is 'resnet34', but the card wants 'tu-test_resnet'",
        ),
        ({"_model_class": "Linknet"}, "architecture is 'linknet', but the card wants 'unet'"),
        ({"activation": "softmax"}, "activation is 'softmax', but the network must end without"),
        ({"decoder_channels": [64]}, "cannot build this network"),
        ({"decoder_channels": [64, 32, 16, 8, 8]}, "do not fit"),
    ],
)
def test_a_configuration_that_does_not_fit_is_refused(folder, entries, message):
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **entries}))
    with pytest.raises(ModelError, match=message):
        load_model(folder)


def test_an_encoder_that_is_not_known_is_named(folder):
    for name, key in (("card.json", "encoder"), ("config.json", "encoder_name")):
        entries = {**json.loads((folder / name).read_text()), key: "resnet999"}
        (folder / name).write_text(json.dumps(entries))
    with pytest.raises(ModelError, match="cannot build this network: .*resnet999.*Update it"):
        load_model(folder)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_refused(folder, value):
    weights = load_file(folder / "model.safetensors")
    name = "encoder.model.layer1.0.conv1.weight"
    weights[name].view(-1)[:3] = value
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match=rf"damaged: 3 of 9216 weights of '{name}' are NaN"):
        load_model(folder)


def test_the_probabilities_of_a_shape_that_does_not_fit(tiny_model):
    for shape in ((1, 1, 50, 64), (1, 64, 64), (1, 3, 64, 64)):
        with pytest.raises(ImageError, match=r"multiples of 32 \(stride_px\)"):
            tiny_model.probabilities(np.zeros(shape, np.float32))


def test_encoder_weights_in_the_configuration_are_not_fetched(folder, tiny_model):
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "encoder_weights": "imagenet"}))
    torch.testing.assert_close(
        load_model(folder).probabilities(BATCH), tiny_model.probabilities(BATCH)
    )


def test_of_two_that_save_at_once_one_is_told_and_none_is_lost(tmp_path, tiny_model):
    start = threading.Barrier(2)

    def save(name):
        start.wait()
        try:
            return tiny_model.with_card(name=name).save(tmp_path / "same")
        except OutputExistsError:
            return None

    with ThreadPoolExecutor(2) as pool:
        saved = list(pool.map(save, ["one", "other"]))
    assert saved.count(None) == 1
    winner = ["one", "other"][saved.index(tmp_path / "same")]
    assert load_model(tmp_path / "same").card.name == winner
    assert [p.name for p in tmp_path.iterdir()] == ["same"]


def test_an_empty_folder_is_not_replaced(tmp_path, tiny_model):
    (tmp_path / "empty").mkdir()
    with pytest.raises(OutputExistsError, match="exists already"):
        tiny_model.save(tmp_path / "empty")


def test_a_disk_that_is_full_leaves_nothing_half(tmp_path, tiny_model):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with pytest.raises(OutputError, match="tiny cannot be written: .*[Mm]ake room"):
            tiny_model.save(tmp_path / "tiny")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list(tmp_path.iterdir()) == []


def test_probabilities_that_are_no_numbers_are_an_error(tiny_model, folder):
    model = load_model(folder)
    with torch.no_grad():
        model.network.segmentation_head[0].weight.fill_(3e38)
    with pytest.raises(ModelError, match="'tiny' gives no numbers"):
        model.probabilities(BATCH)
