"""*Live* on labels on disk: strokes are saved, what is learnt is not."""

import numpy as np
import pytest
import zarr

from napari_fractoseg._napari.layers import labels_layer
from napari_fractoseg._napari.live.on_disk import WorkingCopy
from napari_fractoseg._napari.live.strokes import LiveLabels
from napari_fractoseg.classes import DEFAULT_SCHEME
from napari_fractoseg.errors import TrainingError
from napari_fractoseg.results.editable_labels import PREDICTED, SavedArray

SHAPE = (8, 12)


def saved_array(path, shape=SHAPE, value=1):
    group = zarr.open_group(path, mode="w")
    array = group.create_array("0", shape=shape, chunks=(4000, 4000)[: len(shape)], dtype="uint8")
    if value:
        array[...] = value
    return SavedArray(array, is_prediction=True)


def on_disk(folder, name="0"):
    return zarr.open_group(folder, mode="r")[name][...]


def test_on_disk_are_the_strokes_on_the_first_answer(tmp_path):
    layer = labels_layer(saved_array(tmp_path / "a.zarr"), DEFAULT_SCHEME, name="a")
    copy = WorkingCopy(layer)
    live = LiveLabels(layer.data, layer.data.copy(), np.zeros(SHAPE, np.uint8))
    box = (slice(2, 4), slice(3, 6))
    layer.data[box] = 2
    live.note_stroke(box)
    copy.save(live, box)
    live.show((slice(0, 8), slice(0, 12)), np.full(SHAPE, 3, np.uint8))
    expected = np.ones(SHAPE, np.uint8)
    expected[box] = 2
    assert (layer.data == 3).sum() == 96 - 6
    np.testing.assert_array_equal(on_disk(tmp_path / "a.zarr"), expected)
    np.testing.assert_array_equal(on_disk(tmp_path / "a.zarr", PREDICTED), np.ones(SHAPE))
    copy.give_back()
    np.testing.assert_array_equal(np.asarray(layer.data), expected)


def test_what_may_only_be_read_is_refused(tmp_path):
    saved_array(tmp_path / "a.zarr")
    array = zarr.open_group(tmp_path / "a.zarr", mode="r")["0"]
    layer = labels_layer(SavedArray(array, is_prediction=True), DEFAULT_SCHEME, name="a")
    with pytest.raises(TrainingError, match="The labels of a may only be read"):
        WorkingCopy(layer)


def test_too_many_are_refused_and_stay_on_disk(tmp_path):
    data = saved_array(tmp_path / "a.zarr", (9000, 9000), value=0)
    layer = labels_layer(data, DEFAULT_SCHEME, name="a")
    with pytest.raises(TrainingError, match="a are on disk, 9000 x 9000 of them"):
        WorkingCopy(layer)
    assert layer.data is data
