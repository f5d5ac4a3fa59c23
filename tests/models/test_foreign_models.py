"""Models of strangers: damaged, made to do harm, or too large. They load, or are refused."""

from __future__ import annotations

import json
import os
import resource
import shutil
import socket
import struct
import zipfile
from contextlib import suppress
from dataclasses import replace
from types import SimpleNamespace

import psutil
import pytest
import segmentation_models_pytorch as smp
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from napari_fractoseg.classes import DEFAULT_SCHEME
from napari_fractoseg.errors import ModelError, OptionError, TrainingError
from napari_fractoseg.models.archive import export_model, import_model
from napari_fractoseg.models.card import Inference, ModelCard
from napari_fractoseg.models.model import SegmentationModel, load_model
from napari_fractoseg.models.networks.pretrained import find_weights
from napari_fractoseg.models.readme import readme_text
from napari_fractoseg.models.registry import find_model, list_models, user_folder
from napari_fractoseg.training.plan import TrainingPlan

CARD = ModelCard("small", DEFAULT_SCHEME, "Unet", "tu-test_efficientnet")
LOOKED_UP = ("tu-hf_hub:evil/repo", "tu-hf-hub:evil/repo", "tu-local-dir:/tmp", "tu-http://a.b/c")
FILES = ("card.json", "config.json", "model.safetensors")


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A model folder of 0.4 MB, and the same as a zip file."""
    place = tmp_path_factory.mktemp("small")
    torch.manual_seed(0)
    model = SegmentationModel.create(CARD, decoder_channels=(8, 8, 8, 8, 8))
    folder = model.save(place / "small")
    return folder, export_model(folder, place / "small.zip")


@pytest.fixture
def folder(small, tmp_path):
    return shutil.copytree(small[0], tmp_path / "small")


@pytest.fixture
def connections(monkeypatch):
    """Addresses that anything tried to reach."""
    tried = []

    def refuse(_socket, address):
        tried.append(address)
        raise OSError("no network in this test")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, *_, **__: refuse(None, host))
    return tried


def change(path, **entries):
    path.write_text(json.dumps({**json.loads(path.read_text()), **entries}))


# ---- nothing is looked up outside ------------------------------------------------------


@pytest.mark.parametrize("encoder", LOOKED_UP)
def test_no_encoder_is_looked_up_elsewhere(folder, encoder, connections):
    change(folder / "config.json", encoder_name=encoder)
    with pytest.raises(ModelError, match="encoder_name is"):
        load_model(folder)
    change(folder / "card.json", encoder=encoder)
    with pytest.raises(ModelError, match=r"card\.json is not a model card: encoder: .*plain name"):
        load_model(folder)
    for refused in (
        lambda: TrainingPlan(encoder=encoder),
        lambda: TrainingPlan.from_dict({"encoder": encoder}),
    ):
        with pytest.raises((OptionError, TrainingError), match="encoder is .*plain name"):
            refused()
    with pytest.raises(ModelError, match="No imagenet weights of encoder"):
        find_weights(encoder, "imagenet")
    assert connections == []


@pytest.mark.parametrize("name", ["tu-no_such_network", "hf_hub", "tu-", "timm-x", "local-dir"])
def test_only_encoders_of_the_two_libraries_are_built(name, connections):
    with pytest.raises(ModelError, match=f"there is no encoder '{name}'"):
        SegmentationModel.create(replace(CARD, encoder=name))
    assert connections == []


@pytest.mark.parametrize(
    "entries",
    [
        {"pretrained_cfg_overlay": {"file": "/etc/passwd"}},
        {"checkpoint_path": "/etc/passwd"},
        {"pretrained_cfg": {"url": "http://127.0.0.1:9/x"}},
        {"config": {"classes": 200}},
        {"decoder_pab_channels": 8},
        {"aux_params": {"classes": 4}},
        {"decoder_use_norm": {"type": "batchnorm", "device": "cuda"}},
        {"encoder_depth": 10**9},
        {"decoder_channels": [8.5] * 5},
        {"decoder_channels": [8] * 100_000},
        {"decoder_attention_type": "eval"},
        {"decoder_interpolation": ["nearest"]},
    ],
)
def test_options_that_the_architecture_does_not_have_are_refused(folder, entries, connections):
    change(folder / "config.json", **entries)
    with pytest.raises(ModelError, match=f"config.json: .*{next(iter(entries))}"):
        load_model(folder)
    assert connections == []


# ---- what is loaded is what was saved ---------------------------------------------------


@pytest.mark.parametrize("architecture", sorted(smp.MODEL_ARCHITECTURES_MAPPING))
def test_every_architecture_gives_the_same_after_loading(architecture, tmp_path):
    torch.manual_seed(1)
    encoder, options = "tu-test_efficientnet", {}
    if architecture == "dpt":
        encoder, options = "tu-test_vit", {"dynamic_img_size": True}
    if architecture in ("pan", "deeplabv3", "deeplabv3plus"):
        encoder = "mobilenet_v2"
    card = ModelCard(architecture, DEFAULT_SCHEME, architecture, encoder)
    model = SegmentationModel.create(card, **options)
    model.network.eval()
    loaded = load_model(model.save(tmp_path / "model"))
    image = torch.rand(1, 1, 128, 160)
    assert torch.equal(loaded.probabilities(image), model.probabilities(image))
    assert all(p.requires_grad and not p.is_meta for p in loaded.network.parameters())
    expected = dict(model.network.named_buffers())
    for name, buffer in loaded.network.named_buffers():
        assert torch.equal(buffer, expected[name]), name


# ---- bombs ------------------------------------------------------------------------------


def test_a_network_is_compared_with_its_weights_before_it_takes_memory(folder):
    change(folder / "config.json", decoder_channels=[2048] * 5)  # 1.5 GB
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ModelError, match="do not fit the network"):
        load_model(folder)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000  # kB


def test_a_network_larger_than_the_memory_is_not_built(folder, monkeypatch):
    free = SimpleNamespace(available=200_000)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: free)
    with pytest.raises(ModelError, match="million weights. It takes .* GB are free"):
        load_model(folder)
    with pytest.raises(ModelError, match="million weights"):
        SegmentationModel.create(CARD)


@pytest.mark.parametrize(
    "entries",
    [{"halo_px": 10**6}, {"reductions": [16, 15, 13, 11]}, {"reductions": [1] * 9}],
)
def test_cards_whose_tiles_would_take_all_memory_are_refused(folder, entries):
    inference = json.loads((folder / "card.json").read_text())["inference"]
    change(folder / "card.json", inference={**inference, **entries})
    with pytest.raises(ModelError, match=r"card\.json is not a model card: inference"):
        load_model(folder)


def test_a_network_whose_output_has_another_size_is_refused(tmp_path):
    card = replace(CARD, architecture="FPN")
    with pytest.raises(ModelError, match=r"turns shape .* into \(1, 3, 2048, 2048\)"):
        SegmentationModel.create(card, upsampling=32)


# ---- weights ----------------------------------------------------------------------------


def set_weights(folder, convert):
    path = folder / "model.safetensors"
    weights = load_file(path)
    name = "segmentation_head.0.weight"
    weights[name] = convert(weights[name])
    save_file(weights, path, metadata={"format": "pt"})


@pytest.mark.parametrize(
    ("convert", "message"),
    [
        (lambda w: w.to(torch.float8_e4m3fn), "'segmentation_head.0.weight' are of type F8_E4M3"),
        (lambda w: w.to(torch.complex64), "are of type C64"),
        (lambda w: w.to(torch.bool), "are of type BOOL"),
        (lambda w: w.to(torch.int8), "are of type I8"),
        (lambda w: w.to(torch.int64), "is of type torch.int64 instead of torch.float32"),
        (lambda w: w.double().fill_(1e300), "216 of 216 weights .* infinite in single precision"),
        (lambda w: w[:2].clone(), "do not fit the network"),
    ],
)
def test_weights_that_are_no_real_numbers_are_refused(folder, convert, message):
    set_weights(folder, convert)
    with pytest.raises(ModelError, match=message):
        load_model(folder)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_real_numbers_of_any_precision_become_single(folder, dtype):
    set_weights(folder, lambda w: torch.full_like(w, 0.5).to(dtype))
    weight = load_model(folder).network.segmentation_head[0].weight
    assert weight.dtype == torch.float32
    assert torch.equal(weight, torch.full_like(weight, 0.5))


@pytest.mark.parametrize("length", [2**30, 2**63])
def test_a_header_of_weights_that_is_too_long_is_not_read(folder, length):
    with (folder / "model.safetensors").open("r+b") as file:
        file.write(struct.pack("<Q", length))
        file.truncate(2**31)  # takes no room on the disk
    with pytest.raises(ModelError, match=f"its header would have {length} bytes"):
        load_model(folder)


def test_weights_beyond_half_precision_are_kept_whole(folder, tmp_path):
    set_weights(folder, lambda w: torch.full_like(w, 1e5))
    half = load_model(folder).save(tmp_path / "half", half=True)
    assert float(load_model(half).network.segmentation_head[0].weight.detach().max()) == 1e5


# ---- files that are none ----------------------------------------------------------------


def put(path, kind):
    """Put something else in the place of a file."""
    path.unlink(missing_ok=True)
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "loop":
        path.symlink_to(path)
    else:
        path.write_text("[" * 100_000 + "]" * 100_000 if kind == "deep" else "x")


@pytest.mark.parametrize("kind", ["pipe", "folder", "loop", "deep"])
@pytest.mark.parametrize("name", FILES)
def test_a_bad_file_costs_only_its_model(folder, name, kind):
    own = user_folder() / "bad"
    shutil.copytree(folder, own)
    put(own / name, kind)
    with pytest.raises(ModelError, match=name):
        load_model("bad")
    assert find_model("bad") == own
    listed = [entry.key for entry in list_models()]
    assert "fracture-modes" in listed
    assert ("bad" in listed) == (name != "card.json")


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may read everything")
def test_a_card_without_permission_costs_only_its_model(folder):
    own = user_folder() / "bad"
    shutil.copytree(folder, own)
    own.chmod(0)
    try:
        assert "bad" not in [entry.key for entry in list_models()]
        with pytest.raises(ModelError, match="card.json.*Permission denied"):
            load_model("bad")
    finally:
        own.chmod(0o755)


def test_names_too_long_for_a_folder_are_no_models():
    with pytest.raises(ModelError, match="neither a folder nor the name of a model"):
        find_model("x" * 5000)


# ---- cards that are odd -----------------------------------------------------------------


@pytest.mark.parametrize(
    "metrics",
    [
        {"validation": {"mean_iou": "high", "classes": [1, 2], "notes": 3, "step": "last"}},
        {"validation": {"mean_iou": [0.5], "classes": {"a": 1}, "notes": {"a": 1}, "step": []}},
        {"validation": {"mean_iou": {}, "classes": {"a": {"iou": "x", "labelled_px": {}}}}},
        {"cross_validation": {"method": {"a": 1}, "by eye": {"mean": 3, "images": 5}}},
        {"cross_validation": {"by eye": {"mean": {"agreement": "x"}, "images": {"a": None}}}},
        {"validation": [1], "cross_validation": "none"},
    ],
)
@pytest.mark.parametrize("steps", [None, "all", [1], {"a": 1}, 10**400])
def test_odd_figures_do_not_hide_the_card(metrics, steps):
    card = json.loads(CARD.to_json())
    card |= {"metrics": metrics, "lineage": {"plan": {"steps_done": steps}}}
    text = readme_text(ModelCard.from_json(json.dumps(card)))
    assert text.startswith("# small\n")
    assert "| 1 | intergranular | #2f6bff | yes |" in text


def test_texts_of_a_card_stay_text():
    card = replace(
        CARD,
        name="a\n# b \x1b[31m",
        description="![x](file:///etc/passwd) <img src=x>",
        licence="MIT | [here](http://a.b)",
    )
    lines = readme_text(card).splitlines()
    assert lines[0] == r"# a # b \x1b\[31m"
    assert lines[2] == r"!\[x](file:///etc/passwd) \<img src=x>"
    assert lines[-1] == r"- Licence: MIT \| \[here](http://a.b)"


@pytest.mark.parametrize(
    "entry",
    [
        {"name": "red\x1b[31m"},
        {"name": "two\nlines"},
        {"name": 5},
        {"aliases": "abc"},
        {"aliases": [1, 2]},
        {"aliases": 5},
        {"description": ["a"]},
        {"is_fracture_mode": "no"},
        {"value": 1e400},
        {"color": "red"},
    ],
)
def test_classes_of_a_card_are_checked(entry):
    card = json.loads(CARD.to_json())
    card["scheme"]["classes"][0] |= entry
    with pytest.raises(ModelError, match="not a model card: scheme"):
        ModelCard.from_json(json.dumps(card))


# ---- zip files --------------------------------------------------------------------------


def repacked(packed, out, changes=(), method=zipfile.ZIP_STORED, extra=()):
    with zipfile.ZipFile(packed) as archive:
        contents = {n: archive.read(n) for n in archive.namelist()} | dict(changes)
    with zipfile.ZipFile(out, "w", method) as archive:
        for entry, data in [*contents.items(), *extra]:
            archive.writestr(entry, data)
    return out


def link_named(name):
    info = zipfile.ZipInfo(name)
    info.external_attr = 0o120777 << 16
    return info


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": zipfile.ZIP_LZMA}, "packed by method 14"),
        ({"method": zipfile.ZIP_BZIP2}, "packed by method 12"),
        ({"changes": [("hashes.json", b" " * 2**24 + b"{}")]}, "hashes.json has 16 MB; at most"),
        ({"changes": [("hashes.json", b"[" * 100_000)]}, "nested too deeply"),
        ({"changes": [("hashes.json", b"\xff\xfe{}")]}, "is damaged"),
        ({"extra": [("card.json", b"{}")]}, "holds folders, or names twice"),
        ({"extra": [(f"LICENSE-{i}.txt", b"") for i in range(40)]}, "no exported model"),
        ({"extra": [(link_named("LICENSE-x.txt"), "/etc/hostname")]}, "is a link or device"),
        ({"extra": [("card.json\x1b[31m", b"")]}, r"holds 'card.json\\x1b\[31m', which does not"),
        ({"extra": [("LICENSE\udcff.txt".encode("utf-8", "replace").decode(), b"")]}, "belong"),
    ],
)
def test_zip_files_that_are_no_export_are_refused(small, tmp_path, options, message):
    with pytest.raises(ModelError, match=message):
        import_model(repacked(small[1], tmp_path / "x.zip", **options))
    assert not list(user_folder().glob("*"))


def spoilt(packed, out, spoil):
    data = bytearray(packed.read_bytes())
    spoil(data, data.index(b"PK\x01\x02"))
    out.write_bytes(data)
    return out


def encrypt(data, directory):
    data[6] |= 1
    data[directory + 8] |= 1


def break_deflate(data, directory):
    data[60:100] = b"\xff" * 40


@pytest.mark.parametrize(("spoil", "message"), [(encrypt, "encrypted"), (break_deflate, "damaged")])
def test_zip_files_that_cannot_be_unpacked_are_refused(small, tmp_path, spoil, message):
    with pytest.raises(ModelError, match=message):
        import_model(spoilt(small[1], tmp_path / "x.zip", spoil))


@pytest.mark.parametrize("kind", ["pipe", "folder", "loop"])
def test_a_zip_file_that_is_none_is_not_waited_for(tmp_path, kind):
    put(tmp_path / "x.zip", kind)
    with pytest.raises(ModelError, match="cannot be read as a zip file"):
        import_model(tmp_path / "x.zip")


# ---- mutants ----------------------------------------------------------------------------

VALUES = st.sampled_from(
    [None, True, 0, -1, 1e400, 10**400, 2**70, "", "x", "\x1b[0m", "\ud800", [], [1], {}, {"a": 1},
     [[[[]]]], "tu-hf_hub:a/b", ["a"] * 50]
)  # fmt: skip


def mutate_json(data, path, value):
    """Replace one value in nested JSON; `path` chooses where."""
    if path and isinstance(data, dict | list) and data:
        keys = list(data) if isinstance(data, dict) else list(range(len(data)))
        key = keys[path[0] % len(keys)]
        data[key] = mutate_json(data[key], path[1:], value)
        return data
    return value


BYTES = st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), min_size=1, max_size=6)


def mutate_bytes(data, changes):
    """Replace some bytes, or cut the data where the value is 0."""
    data = bytearray(data)
    for place, value in changes:
        at = int(place**4 * len(data))  # headers are at the beginning
        if value == 0:
            del data[at:]
        elif data:
            data[min(at, len(data) - 1)] = value
    return bytes(data)


BOUNDED = settings(
    max_examples=int(os.environ.get("FRACTOSEG_FUZZ", "12")),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@BOUNDED
@given(st.sampled_from(FILES[:2]), st.lists(st.integers(0, 30), max_size=4), VALUES)
def test_a_folder_with_another_value_loads_or_is_refused(small, name, path, value):
    file = small[0] / name
    whole = file.read_bytes()
    try:
        file.write_text(json.dumps(mutate_json(json.loads(whole), path, value)))
        with suppress(ModelError):
            readme_text(load_model(small[0]).card)
    finally:
        file.write_bytes(whole)


@BOUNDED
@given(st.sampled_from(FILES), BYTES)
def test_a_folder_with_other_bytes_loads_or_is_refused(small, name, changes):
    file = small[0] / name
    whole = file.read_bytes()
    try:
        file.write_bytes(mutate_bytes(whole, changes))
        with suppress(ModelError):
            readme_text(load_model(small[0]).card)
    finally:
        file.write_bytes(whole)


@BOUNDED
@example([(0.5, 0)], True)  # places of files that are negative
@given(BYTES, st.booleans())
def test_a_zip_file_with_other_bytes_is_imported_or_refused(small, changes, from_end):
    data = small[1].read_bytes()
    changed = mutate_bytes(data[::-1] if from_end else data, changes)
    path = small[1].with_name("mutant.zip")
    path.write_bytes(changed[::-1] if from_end else changed)
    with suppress(ModelError):
        shutil.rmtree(import_model(path))
    assert not list(user_folder().glob("*"))


def test_inference_of_real_cards_is_allowed():
    for reductions in ((1,), (2, 6), (1, 2, 4, 8, 16), (3, 5), (16, 15)):
        assert Inference(reductions=reductions, halo_px=2048).reductions == reductions
