import subprocess
import sys
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from napari.layers import Image, Labels, Layer

from napari_fractoseg._napari.layers import is_segmentable, pixel_size_um, scheme_of
from napari_fractoseg._napari.samples import (
    PUBLISHED_SAMPLES,
    published_images,
    synthetic_image,
    synthetic_stack_sample,
)
from napari_fractoseg.classes import DEFAULT_SCHEME
from napari_fractoseg.errors import DownloadError
from napari_fractoseg.samples import SAMPLE_SEEDS


@pytest.mark.parametrize(
    ("sample", "shape"),
    [(synthetic_image, (640, 640)), (synthetic_stack_sample, (5, 640, 640))],
)
def test_synthetic_samples_become_an_image_and_its_hidden_exact_labels(sample, shape):
    image, labels = (Layer.create(*entry) for entry in sample())
    assert isinstance(image, Image)
    assert isinstance(labels, Labels)
    assert image.data.shape == labels.data.shape == shape
    assert "synthetic" in image.name
    assert "synthetic" in labels.name
    assert not labels.visible
    assert image.metadata["synthetic"] is True
    assert image.metadata["seed"] in SAMPLE_SEEDS
    assert pixel_size_um(image) == pytest.approx(image.metadata["pixel_size_um"])
    assert np.array_equal(image.scale, labels.scale)
    assert image.units == labels.units
    assert is_segmentable(image)


def test_exact_labels_carry_class_names_and_colours():
    labels = Layer.create(*synthetic_image()[1])
    assert scheme_of(labels) == DEFAULT_SCHEME
    assert list(labels.features["class"]) == ["unlabelled", *DEFAULT_SCHEME.names]
    for fracture_class in DEFAULT_SCHEME:
        assert labels.get_color(fracture_class.value) == pytest.approx(fracture_class.rgba)


def test_importing_the_samples_imports_neither_torch_nor_napari():
    program = (
        "import sys, napari_fractoseg._napari.samples;"
        "print([m for m in ('torch', 'napari') if m in sys.modules])"
    )
    answer = subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert answer.stdout.strip() == "[]"


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args):
        """Say nothing."""


@pytest.mark.shared_data
def test_published_images_are_fetched_and_opened(shared_data, monkeypatch):
    handler = partial(Quiet, directory=shared_data / "fracture" / "images")
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        monkeypatch.setenv("FRACTOSEG_SAMPLES_URL", f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            layers = [Layer.create(*entry) for entry in published_images()]
        finally:
            server.shutdown()
            thread.join()
    assert [layer.name for layer in layers] == [
        f"{name.removesuffix('.jpg')} (published)" for name in PUBLISHED_SAMPLES
    ]
    assert [layer.visible for layer in layers] == [True, False, False]
    assert all(layer.data.shape == (640, 640) and is_segmentable(layer) for layer in layers)
    assert all(pixel_size_um(layer) is None for layer in layers)


def test_without_connection_published_images_say_what_to_do(monkeypatch):
    monkeypatch.setenv("FRACTOSEG_SAMPLES_URL", "http://127.0.0.1:9")
    with pytest.raises(DownloadError, match="no connection"):
        published_images()
