import os
from pathlib import Path

import pytest

from napari_fractoseg.errors import ModelError, OutputExistsError
from napari_fractoseg.models.model import load_model
from napari_fractoseg.models.registry import bundled_folder, find_model, list_models, model_place


def test_the_bundled_model_comes_first_and_fits_into_thirty_megabytes():
    entry = list_models()[0]
    assert entry.is_bundled
    assert entry.folder == find_model("default")
    assert sum(p.stat().st_size for p in entry.folder.iterdir()) <= 30e6
    assert entry.title.endswith("(bundled)")


def test_the_bundled_card_states_data_method_and_figures():
    card = load_model("default").card
    assert card.lineage.plan["seed"] >= 0
    assert len(card.lineage.data) > 15
    for reference in ("published", "polygons"):
        figures = card.metrics["cross_validation"][reference]
        assert 0.5 < figures["mean"]["mode_agreement"] <= 1
        assert 0 <= figures["mean"]["fraction_error"] < 0.5
        assert len(figures["images"]) >= 3


def test_own_models_are_found_by_name(tiny_model):
    folder = tiny_model.save(Path(os.environ["FRACTOSEG_MODELS"]) / "mine")
    assert find_model("mine") == folder
    assert [e.key for e in list_models() if not e.is_bundled] == ["mine"]


def test_folders_that_are_no_models_are_left_out():
    folder = Path(os.environ["FRACTOSEG_MODELS"]) / "broken"
    folder.mkdir(parents=True)
    (folder / "card.json").write_text("{}")
    assert "broken" not in [e.key for e in list_models()]
    with pytest.raises(ModelError, match="missing"):
        load_model("broken")


def test_an_unknown_name_lists_those_there_are():
    with pytest.raises(ModelError, match=r"'nonsense' is neither.*fracture-modes"):
        find_model("nonsense")


def test_an_own_model_never_stands_for_a_bundled_one(tiny_model, tmp_path, monkeypatch):
    own = Path(os.environ["FRACTOSEG_MODELS"])
    for name in ("fracture-modes", "Fracture-Modes", "default"):
        with pytest.raises(OutputExistsError, match="comes with the package. Choose another"):
            tiny_model.save(own / name)
        with pytest.raises(OutputExistsError, match="comes with the package"):
            model_place(name)
    folder = tiny_model.save(tmp_path / "fracture-modes")  # elsewhere any name is free
    own.mkdir(parents=True)
    (own / "fracture-modes").symlink_to(folder)  # copied there by hand
    for name in ("default", "fracture-modes"):
        assert find_model(name).parent == bundled_folder()
    monkeypatch.setattr(
        "napari_fractoseg.models.registry.bundled_folder", lambda: tmp_path / "none"
    )
    with pytest.raises(ModelError, match="default model is missing"):
        find_model("default")
