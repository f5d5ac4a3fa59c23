"""Layers say which file they came from, whatever napari lets us say."""

import numpy as np
import pytest

from napari_fractoseg._napari import source_file
from napari_fractoseg._napari.layer_metadata import file_of
from napari_fractoseg._napari.source_file import layer_of_file

DATA = np.zeros((4, 5), np.uint8)


@pytest.mark.parametrize("napari_lets_us", [True, False])
def test_the_file_of_a_layer_is_found(monkeypatch, tmp_path, napari_lets_us):
    path = tmp_path / "a.tif"
    if not napari_lets_us:
        monkeypatch.setattr(source_file, "layer_source", None)
    layer = layer_of_file(path, DATA, {"name": "a", "metadata": {"other": 1}}, "image")
    assert file_of(layer) == path
    assert layer.source.path == (str(path) if napari_lets_us else None)
    assert layer.metadata["other"] == 1


def test_a_layer_of_no_file_has_none():
    assert file_of(layer_of_file(None, DATA, {}, "labels")) is None
