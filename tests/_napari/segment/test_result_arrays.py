"""Results written to disk while they grow (Advanced > Save to zarr), with a real network."""

from copy import deepcopy
from types import SimpleNamespace

import numpy as np
import psutil
import pytest
import zarr
from napari.layers import Layer
from qtpy.QtCore import Qt

from napari_fractoseg._napari.corrections import corrections_of, prediction_of
from napari_fractoseg._napari.jobs import State
from napari_fractoseg.datasets.supervision import TaughtPixels
from napari_fractoseg.models.model import SegmentationModel

pytestmark = pytest.mark.usefixtures("no_job_left")

LONG = 120_000


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "results"
    folder.mkdir()
    return folder


@pytest.fixture
def dock(segment_dock, folder):
    segment_dock.advanced.save.value = folder
    return segment_dock


@pytest.fixture
def viewer(dock):
    return dock.viewer


def segment(dock, qtbot, state=State.DONE):
    qtbot.mouseClick(dock.controls.button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: not dock.queue.is_busy, timeout=LONG)
    assert dock.controls.state is state, dock.controls.state_line.text()


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def labels_of(image, folder):
    from napari_fractoseg.inference.predictor import segment as segment_array

    return segment_array(image, SegmentationModel.load(folder), device="cpu")


def test_the_layer_shows_what_is_on_disk(dock, viewer, noise, qtbot, folder, tiny_installed):
    image = noise(3, 48, 64)
    viewer.add_image(image, name="z", scale=(1, 0.5, 0.5), units=("um", "um", "um"))
    dock.source.extent.value = "all"
    dock.advanced.confidence.value = True
    segment(dock, qtbot)
    assert names(folder) == ["z_confidence.zarr", "z_labels.zarr"]
    expected = labels_of(image, tiny_installed)
    np.testing.assert_array_equal(
        zarr.open_group(folder / "z_labels.zarr", mode="r")["0"], expected
    )
    result = dock.result
    assert not isinstance(result.data, np.ndarray)
    np.testing.assert_array_equal(np.asarray(result.data), expected)
    assert result.data.folder == folder / "z_labels.zarr"
    assert "Saved as z_labels.zarr" in dock.result_line.text()
    np.testing.assert_allclose(result.scale, (1, 0.5, 0.5))
    confidence = viewer.layers["z · confidence"]
    assert np.asarray(confidence.data).min() > 0.3
    assert not list(folder.glob(".*"))


def test_the_file_says_what_the_values_mean_and_where_they_come_from(
    dock, viewer, noise, qtbot, folder
):
    viewer.add_image(noise(48, 64), name="a", scale=(0.5, 0.5), units=("um", "um"))
    segment(dock, qtbot)
    attributes = zarr.open_group(folder / "a_labels.zarr", mode="r").attrs
    classes = [p["class"] for p in attributes["ome"]["image-label"]["properties"]]
    assert classes == ["intergranular", "transgranular", "background"]
    assert attributes["ome"]["multiscales"][0]["datasets"][0]["coordinateTransformations"] == [
        {"type": "scale", "scale": [0.5, 0.5]}
    ]
    assert attributes["fractoseg"]["model_name"] == "tiny"
    assert attributes["fractoseg"]["planes"] == "all"


def test_planes_are_shown_while_the_file_grows(dock, viewer, noise, qtbot, folder):
    viewer.add_image(noise(80, 64, 64), name="z")
    viewer.dims.set_current_step(0, 0)
    dock.source.extent.value = "all"
    qtbot.mouseClick(dock.controls.button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: dock.result is not None, timeout=LONG)
    assert names(folder) == [".z_labels.zarr.part"]
    assert dock.result.get_value((0, 5, 5)) in (1, 2, 3)
    assert not dock.result.editable
    dock.controls.cancel()
    qtbot.waitUntil(lambda: not dock.queue.is_busy, timeout=LONG)
    assert dock.controls.state is State.STOPPED
    assert names(folder) == ["z_labels.zarr"]
    finished = [bool(plane.all()) for plane in np.asarray(dock.result.data)]
    assert 0 < sum(finished) < 80
    assert f"{sum(finished)} of 80 planes are finished" in dock.controls.state_line.text()
    saved = zarr.open_group(folder / "z_labels.zarr", mode="r")
    assert saved.attrs["fractoseg"]["planes"] == [[i] for i in range(sum(finished))]
    assert dock.result.editable


def test_brush_strokes_are_saved_and_what_the_model_said_is_kept(
    dock, viewer, noise, qtbot, folder, tiny_installed
):
    image = noise(2, 64, 64)
    viewer.add_image(image, name="z")
    dock.source.extent.value = "all"
    segment(dock, qtbot)
    result, expected = dock.result, labels_of(image, tiny_installed)
    assert TaughtPixels.of(corrections_of(viewer, result)).n_taught == 0
    old = int(expected[1, 30, 30])
    new = old % 3 + 1
    result.brush_size = 1
    result.paint((1, 30, 30), new)
    saved = zarr.open_group(folder / "z_labels.zarr", mode="r")["0"]
    assert saved[1, 30, 30] == new
    np.testing.assert_array_equal(prediction_of(result), expected)
    assert TaughtPixels.of(corrections_of(viewer, result)).by_value == {new: 1}
    result.undo()
    assert saved[1, 30, 30] == old


def test_a_duplicate_is_a_file_of_its_own(dock, viewer, noise, qtbot, folder):
    viewer.add_image(noise(48, 64), name="a")
    segment(dock, qtbot)
    before = np.asarray(dock.result.data)
    data, state, kind = dock.result.as_layer_data_tuple()
    copy = Layer.create(deepcopy(data), state, kind)  # as napari's Duplicate Layer does
    copy.paint((5, 5), int(before[5, 5]) % 3 + 1)
    assert names(folder) == ["a [2]_labels.zarr", "a_labels.zarr"]
    np.testing.assert_array_equal(np.asarray(dock.result.data), before)
    np.testing.assert_array_equal(prediction_of(copy), before)


def test_the_train_dock_counts_what_was_corrected(dock, viewer, noise, qtbot):
    from napari_fractoseg._napari.train.pairs import PairsTable

    viewer.add_image(noise(48, 64), name="a")
    segment(dock, qtbot)
    table = PairsTable(viewer, lambda: None)
    qtbot.addWidget(table)
    (row,) = table.rows
    assert row.taught.n_taught == 0
    dock.result.brush_size = 1
    dock.result.paint((5, 5), int(dock.result.data[5, 5]) % 3 + 1)
    table.recount()
    assert row.taught.n_taught == 1
    assert row.painted(None).corrections.predicted is not None


def test_results_that_are_there_are_not_overwritten(dock, viewer, noise, qtbot, folder):
    viewer.add_image(noise(48, 64), name="a/b: c")
    segment(dock, qtbot)
    first = np.asarray(dock.result.data)
    dock.result.paint((5, 5), 3)
    segment(dock, qtbot)
    assert names(folder) == ["a_b_ c [2]_labels.zarr", "a_b_ c_labels.zarr"]
    np.testing.assert_array_equal(np.asarray(dock.result.data), first)


def test_drafts_of_the_command_line_are_left_alone(dock, viewer, noise, qtbot, folder):
    from napari_fractoseg.results.label_writer import ZarrLabels, read_header

    header = {"shape": [48, 64], "dtype": "uint8", "image": "of another run"}
    ZarrLabels(folder / "a_labels.zarr", header, anew=True)
    viewer.add_image(noise(48, 64), name="a")
    segment(dock, qtbot)
    assert read_header(folder / "a_labels.zarr") == header
    assert dock.result.data.folder.name == "a [2]_labels.zarr"


def test_each_plane_gets_a_file_of_its_own(dock, viewer, noise, qtbot, folder):
    viewer.add_image(noise(3, 48, 64), name="z")
    segment(dock, qtbot)
    viewer.dims.set_current_step(0, 1)
    segment(dock, qtbot)
    assert names(folder) == ["z [2]_labels.zarr", "z_labels.zarr"]
    assert dock.result.data[1].any()
    assert not dock.result.data[0].any()


def test_of_a_run_that_fails_at_once_nothing_is_left(dock, viewer, noise, qtbot, folder):
    image = np.full((64, 64), np.nan, np.float32)
    viewer.add_image(image, name="a", contrast_limits=(0, 1))
    segment(dock, qtbot, State.FAILED)
    assert names(folder) == []


def test_a_result_that_cannot_be_put_in_its_place_is_kept_and_said(
    dock, viewer, noise, qtbot, folder
):
    viewer.add_image(noise(80, 64, 64), name="z")
    dock.source.extent.value = "all"
    qtbot.mouseClick(dock.controls.button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: dock.result is not None, timeout=LONG)
    (folder / "z_labels.zarr").write_text("somebody else's")
    dock.controls.cancel()
    dock.source.extent.value = "current"
    qtbot.mouseClick(dock.controls.button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: not dock.queue.is_busy, timeout=LONG)
    first, second = dock.queue.runs
    assert f"The result is in {folder / '.z_labels.zarr.part'}" in str(first.error)
    assert np.asarray(first.shown.labels.data[0]).any()
    assert (folder / "z_labels.zarr").read_text() == "somebody else's"
    assert (first.state, second.state) == (State.FAILED, State.DONE)
    assert second.shown.labels.data.folder.name == "z [2]_labels.zarr"


def test_a_folder_that_is_not_there_is_refused(dock, viewer, noise, qtbot, folder):
    dock.advanced.save.value = folder / "missing"
    viewer.add_image(noise(48, 64), name="a")
    segment(dock, qtbot, State.FAILED)
    assert f"There is no folder {folder / 'missing'}" in dock.controls.state_line.text()
    assert "Advanced > Save to zarr" in dock.controls.state_line.text()
    dock.advanced.save.value = None
    segment(dock, qtbot)
    assert isinstance(dock.result.data, np.ndarray)


def test_a_result_that_does_not_fit_in_the_memory_is_refused_with_its_size(
    dock, viewer, noise, qtbot, folder, monkeypatch
):
    viewer.add_image(noise(4, 64, 64), name="z")
    dock.source.extent.value = "all"
    dock.advanced.save.value = None
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=2**15))
    segment(dock, qtbot, State.FAILED)
    assert (
        "z: the result takes 32 KB of memory, and only 32 KB are free"
        in dock.controls.state_line.text()
    )
    assert "Choose a folder under Advanced > Save to zarr" in dock.controls.state_line.text()
