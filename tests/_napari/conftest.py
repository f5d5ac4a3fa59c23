"""Fixtures for tests that open napari."""

from __future__ import annotations

import gc
from typing import Any

import napari.settings
import numpy as np
import pytest
from npe2 import PluginManager

from napari_fractoseg._napari.torch_import import prepare_torch


def pytest_configure(config: pytest.Config) -> None:
    """Let one warning of napari's random colours pass.

    napari silences it, but superqt's workers change the filters of the whole
    process from their threads, so that it gets through now and then.
    """
    config.addinivalue_line("filterwarnings", "ignore:Conversion from CIE-LAB:UserWarning")


@pytest.fixture(scope="session", autouse=True)
def _prepared_torch() -> None:
    """Whichever test draws first, PyTorch can be imported afterwards."""
    prepare_torch()


@pytest.fixture(scope="session", autouse=True)
def _plugins_looked_for_once():
    """What is installed stays the same; napari reads all manifests anew for each window."""
    discover, asked = PluginManager.discover, set()

    def first(manager: PluginManager, *args: Any, **kwargs: Any) -> int:
        if manager in asked:
            return 0
        asked.add(manager)
        return discover(manager, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PluginManager, "discover", first)
        yield


@pytest.fixture(scope="session", autouse=True)
def _own_preferences(_plugins_looked_for_once, tmp_path_factory):
    """No test sees or touches what the person who runs it prefers."""
    if hasattr(napari.settings, "get_plugin_settings"):
        napari.settings._PLUGIN_SETTINGS.clear()
        napari.settings.get_plugin_settings(path_dir=tmp_path_factory.mktemp("preferences"))


@pytest.fixture(scope="module", autouse=True)
def _earlier_tests_passed_over():
    """What windows of other files left behind is not searched at each window of this one."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def tiny_folder(tiny_model, tmp_path_factory):
    """A model folder with a small network of random weights."""
    import torch

    torch.set_num_threads(1)  # on small images more threads only wait for one another
    folder = tmp_path_factory.mktemp("models") / "tiny"
    tiny_model.save(folder)
    return folder


@pytest.fixture
def tiny_installed(tiny_folder, monkeypatch):
    """The tiny model is the user's own model."""
    monkeypatch.setenv("FRACTOSEG_MODELS", str(tiny_folder.parent))
    return tiny_folder


@pytest.fixture
def tiny_alone(tiny_model, tmp_path, monkeypatch):
    """The tiny model is the user's own; what is trained stays in this test."""
    monkeypatch.setenv("FRACTOSEG_MODELS", str(tmp_path / "models"))
    return tiny_model.save(tmp_path / "models" / "tiny")


@pytest.fixture
def viewer(make_napari_viewer):
    """An empty window of napari."""
    return make_napari_viewer()


@pytest.fixture
def is_rich(qapp):
    """Tell whether Qt takes text for HTML where it is not told: then its tags take no room."""
    from qtpy.QtCore import Qt
    from qtpy.QtWidgets import QLabel

    def tell(text: str) -> bool:
        guessed, plain = QLabel(text), QLabel()
        plain.setTextFormat(Qt.TextFormat.PlainText)
        plain.setText(text)
        return guessed.sizeHint() != plain.sizeHint()

    return tell


@pytest.fixture
def no_job_left(qtbot):
    """Wait for all jobs at the end of a test."""
    from napari_fractoseg._napari import jobs

    yield
    qtbot.waitUntil(lambda: not jobs.runs_under_way(), timeout=60_000)


@pytest.fixture
def noise():
    """Make a smooth random image of a shape."""

    def make(*shape: int, seed: int = 0) -> np.ndarray:
        coarse = np.random.default_rng(seed).integers(0, 255, [-(-n // 8) for n in shape[-2:]])
        plane = np.kron(coarse, np.ones((8, 8)))[: shape[-2], : shape[-1]].astype(np.uint8)
        return np.broadcast_to(plane, shape).copy()

    return make


@pytest.fixture
def segment_dock(make_napari_viewer, qtbot, tiny_installed):
    """The Segment dock in a window, with the tiny model chosen and the devices found."""
    from napari_fractoseg._napari import jobs
    from napari_fractoseg._napari.segment.dock import SegmentWidget

    viewer = make_napari_viewer()
    dock = SegmentWidget(viewer)
    viewer.window.add_dock_widget(dock, name="Segment")
    qtbot.waitUntil(lambda: not jobs.runs_under_way(), timeout=60_000)
    dock.model.choice.value = str(tiny_installed)
    dock.device.choice.value = "cpu"
    return dock
