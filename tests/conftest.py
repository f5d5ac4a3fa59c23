"""Fixtures that all tests share."""

from __future__ import annotations

import gc
import os
import sys
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from hypothesis import settings

if "PYTEST_XDIST_WORKER" in os.environ:  # the other cores have tests of their own
    os.environ.setdefault("OMP_NUM_THREADS", "1")

# Machines differ, and nothing is timed in a test.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")

ROOT = Path(__file__).parents[1]


class _Frozen:
    """How many modules the garbage collector passes over."""

    n_modules = 0


def pytest_runtest_setup() -> None:
    """Let the garbage collector pass over what was imported, by the files of tests or within them.

    napari collects garbage whenever a layer goes or a window closes, and searches half a second
    through the modules of PyTorch and its own; what the tests make is searched as before.
    """
    if len(sys.modules) > _Frozen.n_modules + 50:
        _Frozen.n_modules = len(sys.modules)
        gc.collect()
        gc.freeze()


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The real data kept beside the project; skips where it is absent."""
    default = ROOT.parent / "shared" / "data"
    folder = Path(os.environ.get("FRACTOSEG_SHARED_DATA", default))
    if not folder.is_dir():
        pytest.skip(f"no shared data at {folder}; set FRACTOSEG_SHARED_DATA")
    return folder


@pytest.fixture(autouse=True)
def _own_folders(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees or touches the models and downloads of the person who runs it."""
    folder = tmp_path_factory.mktemp("user")
    monkeypatch.setenv("FRACTOSEG_MODELS", str(folder / "models"))
    monkeypatch.setenv("FRACTOSEG_CACHE", str(folder / "cache"))


class _Handler(SimpleHTTPRequestHandler):
    def log_message(self, *args):
        """Say nothing."""

    def do_GET(self):
        self.server.asked.append(self.path)
        super().do_GET()


@pytest.fixture
def web_server(tmp_path):
    """A web server with an empty ``folder``, a ``url``, and a list of requests, ``asked``."""
    folder = tmp_path / "served"
    folder.mkdir()
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, directory=folder)) as server:
        server.asked = []
        server.folder = folder
        server.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(scope="session")
def shallow_model():
    """A network with few channels, whose components are found at once; random weights."""
    import torch

    from napari_fractoseg.classes import DEFAULT_SCHEME
    from napari_fractoseg.models.card import Inference, ModelCard
    from napari_fractoseg.models.model import SegmentationModel

    inference = Inference(reductions=(1,), halo_px=64)
    card = ModelCard("shallow", DEFAULT_SCHEME, "Unet", "tu-test_resnet", inference=inference)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = SegmentationModel.create(card, encoder_depth=3, decoder_channels=(16, 8, 8))
    model.network.eval()
    return model


@pytest.fixture(scope="session")
def tiny_model():
    """A small network with random weights and the default classes."""
    import torch

    from napari_fractoseg.classes import DEFAULT_SCHEME
    from napari_fractoseg.models.card import Inference, ModelCard
    from napari_fractoseg.models.model import SegmentationModel

    card = ModelCard(
        name="tiny",
        scheme=DEFAULT_SCHEME,
        architecture="Unet",
        encoder="tu-test_resnet",
        inference=Inference(reductions=(1,), halo_px=64),
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = SegmentationModel.create(card, decoder_channels=(32, 16, 16, 8, 8))
        # Random statistics, so that the labels of a random network are not all the same.
        model.network.train()
        with torch.no_grad():
            model.network(torch.randn(4, 1, 64, 64))
    model.network.eval()
    return model
