"""Preferences: kept by napari where it has settings of plugins, else in a file of ours."""

from pathlib import Path

import napari.settings
import pytest
import yaml

import napari_fractoseg
from napari_fractoseg._napari import jobs
from napari_fractoseg._napari.preferences import (
    GROUP,
    Preferences,
    keep_preferences,
    preferences,
)
from napari_fractoseg._napari.segment.dock import SegmentWidget
from napari_fractoseg.options import option_fields

MANIFEST = Path(napari_fractoseg.__file__).parent / "napari.yaml"
CHOSEN = Preferences(model="tiny", device="cpu", palette="colour-blind-safe", folder="")
HAS_SETTINGS = hasattr(napari.settings, "get_plugin_settings")


@pytest.fixture(params=["napari", "file"])
def folder(request, monkeypatch, tmp_path):
    """An empty folder for what is kept, by napari or in a file."""
    if request.param == "file":
        monkeypatch.delattr(napari.settings, "get_plugin_settings", raising=False)
        monkeypatch.setattr("platformdirs.user_config_path", lambda _: tmp_path)
    elif not HAS_SETTINGS:
        pytest.skip("this napari has no settings of plugins")
    else:
        monkeypatch.setattr(napari.settings, "_PLUGIN_SETTINGS", {})
        monkeypatch.setattr(napari.settings, "_CFG_PATH", str(tmp_path / "settings.yaml"))
    return tmp_path


def test_what_is_kept_is_there_after_a_restart(folder, monkeypatch):
    assert preferences() == Preferences()
    keep_preferences(CHOSEN)
    assert preferences() == CHOSEN
    assert [path.stem for path in folder.iterdir()] in (["napari-fractoseg"], ["preferences"])
    if hasattr(napari.settings, "_PLUGIN_SETTINGS"):
        monkeypatch.setattr(napari.settings, "_PLUGIN_SETTINGS", {})  # as when napari starts
    assert preferences() == CHOSEN


def test_a_damaged_file_gives_the_defaults(folder):
    keep_preferences(CHOSEN)
    (kept,) = folder.iterdir()
    kept.write_text("{")
    if kept.suffix == ".json":
        assert preferences() == Preferences()
        kept.write_text('{"device": "abacus"}')
        assert preferences() == Preferences()


def test_the_manifest_has_the_same_preferences_with_the_same_words():
    group = yaml.safe_load(MANIFEST.read_text())["contributions"]["configurations"][GROUP]
    fields = option_fields(Preferences)
    assert list(group["properties"]) == list(fields)
    for name, entry in group["properties"].items():
        assert entry["description"] == fields[name].description
        assert entry["default"] == fields[name].default
        assert tuple(entry.get("enum", ())) == fields[name].choices


def test_a_dock_opens_as_the_last_one_was_kept(folder, segment_dock, viewer, qtbot):
    segment_dock.advanced.palette.value = "colour-blind-safe"
    segment_dock.advanced.save.value = folder
    segment_dock.advanced.keep_button.click()
    later = SegmentWidget(viewer)
    qtbot.addWidget(later)
    qtbot.waitUntil(lambda: not jobs.runs_under_way(), timeout=60_000)
    assert later.model.entry == segment_dock.model.entry
    assert later.advanced.palette.value == "colour-blind-safe"
    assert later.advanced.folder == folder
    assert later.legend.scheme == segment_dock.legend.scheme
