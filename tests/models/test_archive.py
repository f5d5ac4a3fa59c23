import json
import os
import shutil
import time
import zipfile
from types import SimpleNamespace

import pytest
import torch

from napari_fractoseg.errors import ModelError, OutputError, OutputExistsError
from napari_fractoseg.models.archive import export_model, import_model, remove_model
from napari_fractoseg.models.model import load_model
from napari_fractoseg.models.registry import list_models, user_folder


@pytest.fixture(scope="module")
def exported(tiny_model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("exported")
    model = tiny_model.with_card(licence="CC-BY-4.0")
    return export_model(model.save(folder / "tiny"), folder / "tiny.zip")


@pytest.fixture
def packed(exported, tmp_path):
    return shutil.copy(exported, tmp_path / "tiny.zip")


def repack(packed, changes):
    """Write the zip file again with other contents; None leaves a file out."""
    with zipfile.ZipFile(packed) as archive:
        contents = {n: archive.read(n) for n in archive.namelist()} | changes
    out = packed.with_name("changed.zip")
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in contents.items():
            if data is not None:
                archive.writestr(name, data)
    return out


def test_a_model_travels_as_one_file(packed, tiny_model):
    folder = import_model(packed, "from a colleague")
    assert folder == user_folder() / "from a colleague"
    assert "from a colleague" in [e.key for e in list_models()]
    model = load_model("from a colleague")
    assert model.card.licence == "CC-BY-4.0"
    for name, weight in tiny_model.network.state_dict().items():
        assert torch.equal(model.network.state_dict()[name], weight), name
    with zipfile.ZipFile(packed) as archive:
        assert archive.read("LICENCE.txt") == b"CC-BY-4.0\n"


def test_licences_of_others_travel_with_the_bundled_model(tmp_path):
    folder = import_model(export_model("default", tmp_path / "mine.zip"))
    assert "Apache License" in (folder / "LICENSE-Apache-2.0.txt").read_text()


def test_nothing_is_overwritten(packed, tmp_path):
    import_model(packed)
    with pytest.raises(OutputExistsError, match="'tiny' already"):
        import_model(packed)
    with pytest.raises(OutputExistsError, match="exists already"):
        export_model("tiny", packed)
    with pytest.raises(OutputExistsError, match="'fracture-modes' already"):
        import_model(packed, "fracture-modes")


@pytest.mark.parametrize(
    "name", ["../evil.txt", "/etc/evil", "sub/card.json", "evil.py", "LICENSE/../x.txt"]
)
def test_nothing_but_a_models_files_is_unpacked(packed, tmp_path, name):
    with pytest.raises(ModelError, match="does not belong to a model"):
        import_model(repack(packed, {name: b"x"}))
    assert not [p for p in user_folder().rglob("*") if p.is_file()]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"card.json": None}, "no exported model: card.json missing"),
        ({"hashes.json": None}, "hashes.json missing"),
        ({"config.json": b"{}"}, "config.json is not what was exported"),
        ({"hashes.json": b"[]"}, "is damaged"),
    ],
)
def test_damaged_files_are_refused(packed, changes, message):
    with pytest.raises(ModelError, match=message):
        import_model(repack(packed, changes))
    assert list_models() == [e for e in list_models() if e.is_bundled]


def test_foreign_and_cut_files_are_refused(packed, tmp_path):
    packed.write_bytes(packed.read_bytes()[:-200])
    with pytest.raises(ModelError, match="cannot be read as a zip file"):
        import_model(packed)
    with pytest.raises(ModelError, match="cannot be read as a zip file"):
        import_model(tmp_path / "none.zip")


def test_hashes_that_fit_do_not_make_a_model(packed):
    import hashlib

    weights = b"no weights"
    with zipfile.ZipFile(packed) as archive:
        hashes = json.loads(archive.read("hashes.json"))
    hashes["model.safetensors"] = hashlib.sha256(weights).hexdigest()
    changed = {"model.safetensors": weights, "hashes.json": json.dumps(hashes)}
    with pytest.raises(ModelError, match="damaged or not a safetensors file"):
        import_model(repack(packed, changed))


@pytest.mark.parametrize("name", ["a/b", " ", "..", ".hidden", "what?"])
def test_names_that_are_no_folders_are_refused(packed, name):
    with pytest.raises(ModelError, match="cannot be named"):
        import_model(packed, name)


def test_only_own_models_are_removed(packed):
    folder = import_model(packed)
    assert remove_model("tiny") == folder
    assert not folder.exists()
    for name in ("tiny", "fracture-modes", "../models", ".."):
        with pytest.raises(ModelError, match="no own model"):
            remove_model(name)


@pytest.mark.parametrize("name", ["LICENSE.txt", "README.md", "model.safetensors"])
def test_what_a_link_points_to_is_not_packed(packed, tmp_path, name):
    folder = import_model(packed)
    secret = tmp_path / "secret"
    secret.write_bytes((folder / name).read_bytes() if (folder / name).exists() else b"hostname")
    (folder / name).unlink(missing_ok=True)
    (folder / name).symlink_to(secret)
    with pytest.raises(ModelError, match=f"{name} is a link, .* Put a copy of the file"):
        export_model("tiny", tmp_path / "out.zip")
    assert not (tmp_path / "out.zip").exists()


def test_a_pipe_is_not_packed_nor_waited_for(packed, tmp_path):
    os.mkfifo(import_model(packed) / "LICENSE.txt")
    with pytest.raises(ModelError, match="LICENSE.txt is a link, pipe or folder"):
        export_model("tiny", tmp_path / "out.zip")


def test_of_a_link_only_the_link_is_removed(packed, tmp_path):
    folder = import_model(packed).rename(tmp_path / "elsewhere")
    link = user_folder() / "linked"
    link.symlink_to(folder)
    assert remove_model("linked") == link
    assert not link.is_symlink()
    assert load_model(folder).card.name == "tiny"
    link.symlink_to(tmp_path / "nowhere")
    assert remove_model("linked") == link
    assert not link.is_symlink()


def test_a_link_to_nowhere_is_not_replaced(packed):
    user_folder().mkdir(parents=True)
    (user_folder() / "tiny").symlink_to("nowhere")
    with pytest.raises(OutputExistsError, match="'tiny' already"):
        import_model(packed)


def test_a_model_larger_than_the_free_disk_is_not_unpacked(packed, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1_000_000))
    with pytest.raises(OutputError, match="would unpack to .* MB, and 1 MB are free"):
        import_model(packed)
    assert not list(user_folder().iterdir())


def test_what_killed_imports_left_is_removed_a_day_later(packed):
    left = [".a-0123abcd-draft", ".b-abc_12xy", ".c-0123abcd-draft", ".d-abc_12xy"]
    kept = [".mine-abcdefgh", ".config"]
    for name in [*left, *kept]:
        (user_folder() / name).mkdir(parents=True)
        (user_folder() / name / "model.safetensors").write_bytes(b"x")
    (user_folder() / ".mine-abcdefgh" / "notes.txt").write_bytes(b"x")
    long_ago = time.time() - 25 * 3600
    for name in [*left[:2], *kept]:
        for path in (*(user_folder() / name).iterdir(), user_folder() / name):
            os.utime(path, (long_ago, long_ago))
    import_model(packed)
    assert sorted(p.name for p in user_folder().iterdir()) == sorted([*left[2:], *kept, "tiny"])
