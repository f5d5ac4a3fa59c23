"""A saved prediction does not come back as truth, and corrected labels not as a prediction."""

import numpy as np
import pytest
import tifffile
import zarr
from napari.layers import Labels
from qtpy.QtCore import Qt

from napari_fractoseg import batch
from napari_fractoseg._napari.corrections import corrections_of, mark_checked, prediction_of
from napari_fractoseg._napari.layers import scheme_of
from napari_fractoseg._napari.segment.dock import SegmentWidget
from napari_fractoseg._napari.train.pairs import PairsTable
from napari_fractoseg.classes import DEFAULT_SCHEME
from napari_fractoseg.jobs import drain
from napari_fractoseg.results.label_writer import ZarrLabels
from napari_fractoseg.results.record import LabelRecord, labels_digest
from napari_fractoseg.results.tiff import write_tiff

pytestmark = pytest.mark.usefixtures("no_job_left", "tiny_installed")

LONG = 60_000
SHAPE = (48, 64)
N_PX = SHAPE[0] * SHAPE[1]
SCHEME = DEFAULT_SCHEME.with_palette("colour-blind-safe")


@pytest.fixture
def tiny_installed(tiny_model, tmp_path, monkeypatch):
    """The tiny model is the user's own; results of other tests are not known."""
    monkeypatch.setenv("FRACTOSEG_MODELS", str(tmp_path / "user" / "models"))
    return tiny_model.save(tmp_path / "user" / "models" / "tiny")


@pytest.fixture
def viewer(make_napari_viewer, noise):
    viewer = make_napari_viewer()
    viewer.add_image(noise(*SHAPE), name="s17")
    return viewer


@pytest.fixture
def predicted():
    """What a model said: one class on the left, another on the right."""
    labels = np.ones(SHAPE, np.uint8)
    labels[:, 30:] = 2
    return labels


def record_of(labels):
    return LabelRecord("tiny", "0123", "s17", SCHEME, labels_digest(labels))


@pytest.fixture
def row_in(qtbot):
    """What the Train dock lists of the one labels layer in a window."""

    tables = []

    def make(viewer):
        table = PairsTable(viewer, lambda: DEFAULT_SCHEME)
        qtbot.addWidget(table)
        table.show()
        tables.append(table)  # Qt would delete it
        (row,) = table.rows
        return row

    return make


def open_labels(viewer, path):
    (layer,) = viewer.open(str(path), plugin="napari", layer_type="labels")
    layer.brush_size = 1
    return layer


def write_zarr(path, labels, record=None):
    group = ZarrLabels(path, {"shape": list(labels.shape), "dtype": "uint8"}, anew=True)
    group.array[...] = labels
    group.describe(path.stem, path.parent / "a.tif", SCHEME, None, record)
    group.finish()
    return path


def click(qtbot, button):
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)


def text_of(row):
    return row.counts.text().replace("&nbsp;", " ")


def is_untouched(row):
    said = "corrected 0 % · checked 0 % · untouched 100.0 %" in text_of(row)
    return said and not row.use.isChecked() and not row.truth_button.isVisible()


def asks(row):
    return "is this truth?" in text_of(row) and row.truth_button.isVisible()


# ---- saved from napari, and opened again -------------------------------------------------------


@pytest.mark.parametrize("name", ["whatever.tif", "s17_labels.tif", "without suffix"])
def test_a_result_that_napari_saved_is_a_prediction_again(
    segment_dock, noise, qtbot, row_in, tmp_path, name
):
    dock, viewer = segment_dock, segment_dock.viewer
    viewer.add_image(noise(*SHAPE), name="s17")
    dock.advanced.palette.value = "colour-blind-safe"
    click(qtbot, dock.controls.button)
    qtbot.waitUntil(lambda: not dock.queue.is_busy, timeout=LONG)
    (path,) = dock.result.save(str(tmp_path / name))
    viewer.layers.remove(dock.result)

    (layer,) = viewer.open(path, plugin="napari")
    assert isinstance(layer, Labels)
    row = row_in(viewer)
    assert is_untouched(row)
    assert layer.name == name.removesuffix(".tif")
    assert scheme_of(layer) == SCHEME
    np.testing.assert_allclose(layer.colormap.color_dict[1], SCHEME.classes[0].rgba)
    assert list(layer.features["class"][1:]) == list(SCHEME.names)
    layer.brush_size = 1
    layer.paint((5, 5), int(layer.data[5, 5]) % 3 + 1)
    row.recount()
    assert row.taught.n_taught == 1
    assert row.use.isChecked()


def test_of_a_stack_segmented_plane_by_plane_all_planes_are_known(
    segment_dock, noise, qtbot, row_in, tmp_path
):
    dock, viewer = segment_dock, segment_dock.viewer
    viewer.add_image(noise(5, *SHAPE), name="s17")
    for plane in (0, 2):
        viewer.dims.set_current_step(0, plane)
        click(qtbot, dock.controls.button)
        qtbot.waitUntil(lambda: not dock.queue.is_busy, timeout=LONG)
    (path,) = dock.result.save(str(tmp_path / "two planes.tif"))
    viewer.layers.remove(dock.result)
    open_labels(viewer, path)
    row = row_in(viewer)
    assert (row.taught.n_taught, row.taught.untouched) == (0, 2 * N_PX)
    assert not row.use.isChecked()


def test_a_stopped_run_is_known_too(segment_dock, noise, qtbot, row_in, tmp_path):
    dock, viewer = segment_dock, segment_dock.viewer
    viewer.add_image(noise(60, *SHAPE), name="s17")
    dock.source.extent.value = "all"
    click(qtbot, dock.controls.button)
    qtbot.waitUntil(lambda: dock.result is not None, timeout=LONG)
    dock.controls.cancel()
    qtbot.waitUntil(lambda: not dock.queue.is_busy, timeout=LONG)
    n_labelled = int((dock.result.data > 0).sum())
    (path,) = dock.result.save(str(tmp_path / "part.tif"))
    viewer.layers.remove(dock.result)
    open_labels(viewer, path)
    row = row_in(viewer)
    assert 0 < row.taught.untouched == n_labelled < 60 * N_PX
    assert row.taught.n_taught == 0


def test_a_corrected_result_that_napari_saved_is_asked_about(
    segment_dock, noise, qtbot, row_in, tmp_path
):
    dock, viewer = segment_dock, segment_dock.viewer
    viewer.add_image(noise(*SHAPE), name="s17")
    click(qtbot, dock.controls.button)
    qtbot.waitUntil(lambda: not dock.queue.is_busy, timeout=LONG)
    dock.result.data[:10] = 3
    (path,) = dock.result.save(str(tmp_path / "corrected.tif"))
    viewer.layers.remove(dock.result)
    open_labels(viewer, path)
    row = row_in(viewer)
    assert asks(row)
    assert not row.use.isChecked()


# ---- files of the command line -----------------------------------------------------------------


def test_what_segment_wrote_is_a_prediction_whatever_it_is_called_now(
    viewer, tiny_installed, noise, row_in, tmp_path
):
    tifffile.imwrite(tmp_path / "s17.tif", noise(*SHAPE))
    settings = batch.SegmentSettings(tiny_installed, "cpu", palette="colour-blind-safe")
    drain(batch.run(batch.plan([tmp_path / "s17.tif"], tmp_path / "out", settings)))
    (tmp_path / "out" / "s17_labels.tif").rename(tmp_path / "moved.tif")
    layer = open_labels(viewer, tmp_path / "moved.tif")
    assert is_untouched(row_in(viewer))
    assert scheme_of(layer) == SCHEME


def test_an_image_that_was_converted_to_labels_is_a_prediction_too(
    viewer, tiny_installed, noise, row_in, tmp_path
):
    tifffile.imwrite(tmp_path / "s17.tif", noise(*SHAPE))
    settings = batch.SegmentSettings(tiny_installed, "cpu")
    drain(batch.run(batch.plan([tmp_path / "s17.tif"], tmp_path / "out", settings)))
    (image,) = viewer.open(str(tmp_path / "out" / "s17_labels.tif"), plugin="napari")
    viewer.layers.remove(image)
    viewer.add_labels(image.data)  # as napari's "Convert to Labels" does
    assert is_untouched(row_in(viewer))


def test_strokes_before_the_dock_was_opened_are_corrections(viewer, predicted, row_in, tmp_path):
    write_tiff(tmp_path / "a.tif", predicted, SCHEME, record_of(predicted))
    layer = open_labels(viewer, tmp_path / "a.tif")
    layer.paint((20, 50), 3)
    row = row_in(viewer)
    assert row.taught.by_value == {3: 1}
    assert row.use.isChecked()
    np.testing.assert_array_equal(prediction_of(layer), predicted)


def test_labels_corrected_and_saved_over_the_prediction_are_not_taken_for_it(
    viewer, predicted, row_in, qtbot, tmp_path
):
    write_tiff(tmp_path / "s17_labels.tif", predicted, SCHEME, record_of(predicted))
    (tmp_path / "run.json").write_text("{}")
    layer = open_labels(viewer, tmp_path / "s17_labels.tif")
    layer.data[:10] = 3  # 640 px
    layer.save(str(tmp_path / "s17_labels.tif"))
    viewer.layers.remove(layer)

    open_labels(viewer, tmp_path / "s17_labels.tif")
    row = row_in(viewer)
    assert asks(row)
    assert "covers 100.0 %" in text_of(row)
    assert not row.use.isChecked()
    click(qtbot, row.truth_button)
    assert row.use.isChecked()
    assert not row.truth_button.isVisible()
    assert row.taught.by_value == {1: 38 * 30, 2: 38 * 34, 3: 640}
    assert "painted 100.0 %" in text_of(row)
    assert "background 640 px" in text_of(row)


def test_a_changed_file_that_kept_its_record_says_who_gave_it(viewer, predicted, row_in, tmp_path):
    changed = predicted.copy()
    changed[:10] = 3
    write_tiff(tmp_path / "a.tif", changed, SCHEME, record_of(predicted))
    layer = open_labels(viewer, tmp_path / "a.tif")
    row = row_in(viewer)
    assert asks(row)
    assert "tiny gave them, changed since" in text_of(row)
    assert scheme_of(layer) == SCHEME


# ---- labels of unknown origin ------------------------------------------------------------------


def test_ticking_the_row_is_the_answer_and_it_is_kept(viewer, predicted, row_in, qtbot):
    viewer.add_labels(predicted)
    row = row_in(viewer)
    assert asks(row)
    assert row.question.startswith("Are the labels of predicted truth?")
    row.use.click()
    assert row.taught.n_taught == N_PX
    assert row.question == ""
    again = row_in(viewer)
    assert again.use.isChecked()
    assert not asks(again)


def test_in_doubt_only_strokes_and_checked_areas_teach(viewer, predicted, row_in):
    layer = viewer.add_labels(predicted)
    layer.brush_size = 1
    row = row_in(viewer)
    assert row.taught.n_taught == 0
    layer.paint((20, 50), 3)
    mark_checked(viewer, layer).data[0, :5] = 1
    row.recount()
    assert row.taught.by_value == {1: 5, 3: 1}
    assert row.use.isChecked()
    assert asks(row)


@pytest.mark.parametrize(("rows", "is_asked"), [(24, False), (25, True)])
def test_only_labels_that_cover_more_than_half_are_asked_about(viewer, row_in, rows, is_asked):
    labels = np.zeros(SHAPE, np.uint8)
    labels[:rows] = 1
    viewer.add_labels(labels)
    row = row_in(viewer)
    assert asks(row) is is_asked
    assert not row.use.isChecked()


def test_one_dense_plane_of_a_stack_is_asked_about(viewer, noise, predicted, row_in):
    viewer.add_image(noise(9, *SHAPE))
    labels = np.zeros((9, *SHAPE), np.uint8)
    labels[4] = predicted
    viewer.add_labels(labels)
    assert asks(row_in(viewer))


def test_what_is_painted_before_our_eyes_is_not_asked_about(viewer, row_in):
    layer = viewer.add_labels(np.zeros(SHAPE, np.uint8))
    row = row_in(viewer)
    layer.fill((5, 5), 2)
    row.recount()
    assert row.taught.n_taught == N_PX
    assert row.use.isChecked()
    assert not asks(row)
    again = row_in(viewer)
    assert again.use.isChecked()
    assert not asks(again)


def test_what_a_program_puts_into_an_empty_layer_is_asked_about(viewer, predicted, row_in):
    layer = viewer.add_labels(np.zeros(SHAPE, np.uint8))
    row = row_in(viewer)
    layer.fill((5, 5), 2)
    layer.data = predicted
    row.recount()
    assert asks(row)
    assert not row.use.isChecked()
    layer.data = predicted[::-1, ::-1].copy()  # such as by a second run of that program
    row.recount()
    assert row.taught.n_taught == 0


def test_labels_of_others_are_ticked_by_the_user_alone(viewer, row_in):
    """Such as the segmentation of another plugin, which covers a part of the image."""
    labels = np.zeros(SHAPE, np.uint8)
    labels[:10, :10] = 1
    layer = viewer.add_labels(labels, name="particles")
    layer.brush_size = 1
    row = row_in(viewer)
    assert not row.use.isChecked()
    assert "not painted here" in text_of(row)
    assert "The labels of particles were not painted here" in row.question
    layer.paint((30, 30), 2)
    row.recount()
    assert not row.use.isChecked()
    row.use.click()
    row.recount()
    assert row.use.isChecked()
    assert row.taught.by_value == {1: 100, 2: 1}
    assert row.question == ""
    again = row_in(viewer)
    assert again.use.isChecked()  # the user has said so
    again.use.click()
    assert not row_in(viewer).use.isChecked()


def test_exact_labels_of_a_sample_are_truth(viewer, row_in):
    viewer.layers.clear()
    viewer.open_sample("napari-fractoseg", "synthetic_image")
    row = row_in(viewer)
    assert row.use.isChecked()
    assert not asks(row)


# ---- zarr --------------------------------------------------------------------------------------


def open_zarr(viewer, path):
    (layer,) = viewer.open(str(path / "zarr.json"), plugin="napari-fractoseg")
    layer.brush_size = 1
    return layer


def test_a_result_in_zarr_is_a_prediction_and_its_strokes_are_corrections(
    viewer, predicted, row_in, tmp_path
):
    path = write_zarr(tmp_path / "any.zarr", predicted, record_of(predicted))
    layer = open_zarr(viewer, path)
    row = row_in(viewer)
    assert is_untouched(row)
    layer.paint((20, 50), 3)
    viewer.layers.remove(layer)
    open_zarr(viewer, path)
    assert row_in(viewer).taught.by_value == {3: 1}


def test_a_run_json_beside_labels_makes_them_no_prediction(viewer, predicted, row_in, tmp_path):
    path = write_zarr(tmp_path / "s17_labels.zarr", predicted)
    (tmp_path / "run.json").write_text("{}")
    open_zarr(viewer, path)
    assert asks(row_in(viewer))


def test_chunks_that_another_program_changed_are_noticed(
    viewer, predicted, row_in, qtbot, tmp_path
):
    path = write_zarr(tmp_path / "s17_labels.zarr", predicted, record_of(predicted))
    zarr.open_group(path, mode="r+")["0"][:10] = 3
    layer = open_zarr(viewer, path)
    row = row_in(viewer)
    assert asks(row)
    assert "tiny gave them, changed since" in text_of(row)
    click(qtbot, row.truth_button)
    assert row.taught.by_value == {1: 38 * 30, 2: 38 * 34, 3: 640}
    assert corrections_of(viewer, layer).predicted is None


def test_a_result_in_several_resolutions_is_a_prediction(viewer, row_in, noise, tmp_path):
    labels = np.ones((8200, 8), np.uint8)
    path = write_zarr(tmp_path / "a.zarr", labels, record_of(labels))
    group = zarr.open_group(path, mode="r+")
    group.create_array("1", data=labels[::2, ::2])
    ome = group.attrs["ome"]
    (first,) = ome["multiscales"][0]["datasets"]
    ome["multiscales"][0]["datasets"] = [first, {**first, "path": "1"}]
    group.attrs["ome"] = ome
    viewer.add_image(np.zeros(labels.shape, np.uint8))
    layer = open_zarr(viewer, path)
    assert layer.multiscale
    assert is_untouched(row_in(viewer))


# ---- the Segment dock --------------------------------------------------------------------------


def test_the_segment_dock_gives_classes_and_colours_back(viewer, predicted, tmp_path, qtbot):
    write_tiff(tmp_path / "a.tif", predicted, SCHEME, record_of(predicted))
    dock = SegmentWidget(viewer)
    viewer.window.add_dock_widget(dock)
    layer = open_labels(viewer, tmp_path / "a.tif")
    viewer.layers.selection.active = layer
    assert scheme_of(layer) == SCHEME
    assert dock.legend.scheme == SCHEME
    click(qtbot, dock.legend.buttons[3])
    assert layer.selected_label == 3


def test_labels_of_nobody_are_left_as_they_are(viewer, predicted, qtbot):
    dock = SegmentWidget(viewer)
    viewer.window.add_dock_widget(dock)
    layer = viewer.add_labels(predicted)
    viewer.layers.selection.active = layer
    assert layer.metadata == {}
