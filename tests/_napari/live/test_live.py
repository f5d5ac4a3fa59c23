"""*Live* in the training dock: strokes are learnt from while one paints."""

import numpy as np
import pytest
import zarr
from qtpy.QtCore import Qt

import napari_fractoseg as nf
from napari_fractoseg._napari import jobs
from napari_fractoseg._napari.corrections import (
    check_plane,
    corrections_of,
    first_answer_of,
    remember_prediction,
)
from napari_fractoseg._napari.layer_metadata import facts_of
from napari_fractoseg._napari.layers import labels_layer, scheme_of
from napari_fractoseg._napari.open_files import open_paths
from napari_fractoseg._napari.save.saver import saver_of
from napari_fractoseg._napari.train.dock import TrainWidget
from napari_fractoseg.classes import DEFAULT_SCHEME
from napari_fractoseg.models.model import load_model
from napari_fractoseg.results.editable_labels import SavedArray

pytestmark = pytest.mark.usefixtures("no_job_left")

LONG = 120_000


@pytest.fixture
def dock(viewer, qtbot, shallow_model, tmp_path, monkeypatch):
    """The training dock with the shallow model to start from."""
    monkeypatch.setenv("FRACTOSEG_MODELS", str(tmp_path / "models"))
    folder = shallow_model.save(tmp_path / "models" / "shallow")
    dock = TrainWidget(viewer)
    viewer.window.add_dock_widget(dock, name="Train")
    qtbot.waitUntil(lambda: not jobs.runs_under_way(), timeout=LONG)
    dock.settings.start.choice.value = str(folder)
    dock.settings.device.choice.value = "cpu"
    return dock


def surface(*planes):
    """Planes that are smooth on the left and rough on the right."""
    random = np.random.default_rng(0)
    grey = random.normal(128, 3, (*planes, 96, 160))
    grey[..., 80:] += random.normal(0, 40, (*planes, 96, 80))
    return np.clip(grey, 0, 255).astype(np.uint8)


def follows(labels, value=2):
    """Tell whether the right half follows a stroke there, and the left half does not."""
    return np.mean(labels[:, 80:] == value) > 0.15 and np.mean(labels[:, :80] == value) < 0.05


def result(*planes):
    """What a bad model says: all of it intergranular."""
    labels = np.ones((*planes, 96, 160), np.uint8)
    layer = labels_layer(
        labels, DEFAULT_SCHEME, name="s17 · fracture modes", metadata={"image": "s17"}
    )
    remember_prediction(layer, labels.copy())
    return layer


def switch(qtbot, dock):
    qtbot.mouseClick(
        dock.live.switch, Qt.MouseButton.LeftButton, pos=dock.live.switch.rect().center()
    )
    if dock.live.session is not None:
        rest(qtbot, dock)


def rest(qtbot, dock):
    """Wait until all strokes are learnt and all is labelled."""
    qtbot.waitUntil(lambda: dock.live.session.is_at_rest, timeout=LONG)


def stroke(qtbot, dock, layer, place, value):
    layer.brush_size = 16
    layer.paint(place, value)
    rest(qtbot, dock)


@pytest.fixture
def live(viewer, qtbot, dock):
    """*Live*, switched on on a result."""
    viewer.add_image(surface(), name="s17")
    layer = viewer.add_layer(result())
    dock.live.switch.setChecked(True)
    dock.live.switch.clicked.emit(True)
    rest(qtbot, dock)
    return layer


def test_the_rest_follows_a_stroke(qtbot, dock, live):
    stroke(qtbot, dock, live, (50, 120), 2)
    assert follows(live.data)
    assert dock.live.line.text().startswith("Learnt from 1 stroke in ")
    assert "3 classes" in dock.live.line.text()
    qtbot.waitUntil(lambda: "nothing is held out" in dock.live.fractions.text(), timeout=LONG)
    assert "Intergranular: model 100" in dock.live.fractions.text()
    assert "→" in dock.live.fractions.text()


@pytest.mark.parametrize("tool", ["fill", "polygon", "program"])
def test_tools_without_a_drag_are_strokes(viewer, qtbot, dock, live, tool):
    viewer.layers.selection.active = viewer.layers["s17"]  # whose changes redraw nothing else
    if tool == "fill":
        live.data[40:60, 100:140] = 3
        live.fill((50, 120), 2)
    elif tool == "polygon":
        live.paint_polygon([(40, 100), (60, 100), (60, 140), (40, 140)], 2)
    else:
        live.data_setitem((np.repeat([50, 51], 30), np.tile(np.arange(105, 135), 2)), 2)
    rest(qtbot, dock)
    assert follows(live.data)
    assert dock.live.line.text().startswith("Learnt from 1 stroke in ")


def test_only_strokes_are_corrections(viewer, qtbot, dock, live):
    stroke(qtbot, dock, live, (50, 120), 2)
    painted = np.ones((96, 160), np.uint8)
    layer = labels_layer(painted, DEFAULT_SCHEME, name="as painted")
    layer.brush_size = 16
    layer.paint((50, 120), 2)
    np.testing.assert_array_equal(corrections_of(viewer, live).truth == 2, layer.data == 2)
    np.testing.assert_array_equal(first_answer_of(live), np.ones((96, 160)))


def test_undo_brings_the_first_answer_back(qtbot, dock, live):
    stroke(qtbot, dock, live, (50, 120), 2)
    live.undo()
    qtbot.waitUntil(lambda: bool((live.data == 1).all()), timeout=LONG)
    rest(qtbot, dock)
    assert "Paint on the layer" in dock.live.line.text()
    live.redo()
    qtbot.waitUntil(lambda: follows(live.data), timeout=LONG)


def test_switched_off_the_first_answer_is_back_with_the_strokes(viewer, qtbot, dock, live):
    stroke(qtbot, dock, live, (50, 120), 2)
    strokes = corrections_of(viewer, live, copy=True).truth
    dock.live.switch_off()
    np.testing.assert_array_equal(live.data, np.where(strokes, strokes, 1))
    np.testing.assert_array_equal(corrections_of(viewer, live).truth, strokes)
    assert not dock.live.switch.isChecked()
    live.paint((20, 20), 2)  # nothing follows any more
    assert (live.data[:, 100:] == 1).sum() > 1000


def test_on_again_it_learns_from_what_was_painted(viewer, qtbot, dock, live):
    stroke(qtbot, dock, live, (50, 120), 2)
    dock.live.switch_off()
    dock.live.switch_on()
    rest(qtbot, dock)
    assert follows(live.data)
    assert "Learnt from what was painted before" in dock.live.line.text()


def test_kept_labels_stay_and_only_strokes_teach(viewer, qtbot, dock, live):
    stroke(qtbot, dock, live, (50, 120), 2)
    shown, strokes = live.data.copy(), corrections_of(viewer, live, copy=True).truth
    qtbot.mouseClick(dock.live.labels_button, Qt.MouseButton.LeftButton)
    np.testing.assert_array_equal(live.data, shown)
    np.testing.assert_array_equal(corrections_of(viewer, live).truth, strokes)
    assert facts_of(live)["learnt_strokes"] == 1
    assert dock.live.session is None


def test_a_closed_dock_leaves_the_labels_that_are_shown(viewer, qtbot, dock, live):
    stroke(qtbot, dock, live, (50, 120), 2)
    shown = live.data.copy()
    viewer.window.remove_dock_widget(dock)
    np.testing.assert_array_equal(live.data, shown)


def test_what_was_checked_stays(viewer, qtbot, dock):
    viewer.add_image(surface(), name="s17")
    layer = viewer.add_layer(result())
    check_plane(viewer, layer, ())
    dock.live.switch_on()
    stroke(qtbot, dock, layer, (50, 120), 2)
    assert (layer.data == 2).sum() < 300  # the stroke alone


def test_the_planes_of_a_stack_follow(viewer, qtbot, dock):
    viewer.add_image(surface(3), name="s17")
    layer = viewer.add_layer(result(3))
    viewer.dims.set_current_step(0, 1)
    dock.live.switch_on()
    stroke(qtbot, dock, layer, (1, 50, 120), 2)
    for plane in range(3):
        assert follows(layer.data[plane])
    assert corrections_of(viewer, layer).truth[[0, 2]].sum() == 0


def test_a_new_class_appears_when_it_is_painted(viewer, qtbot, dock, live):
    from napari_fractoseg._napari.layers import apply_scheme

    apply_scheme(live, scheme_of(live).with_class("river lines", 4))
    stroke(qtbot, dock, live, (50, 120), 4)
    assert follows(live.data, 4)
    assert "4 classes" in dock.live.line.text()


def test_without_labels_an_empty_layer_is_made(viewer, qtbot, dock):
    viewer.add_image(surface(), name="s17")
    dock.live.switch_on()
    layer = dock.live.session.labels
    assert layer.name == "s17 · live"
    layer.brush_size = 16
    layer.paint((50, 120), 2)
    layer.paint((50, 30), 1)
    rest(qtbot, dock)
    assert (layer.data > 0).all()
    dock.live.switch_off()
    assert set(np.unique(layer.data)) == {0, 1, 2}
    assert (layer.data == 0).mean() > 0.9


def test_labels_painted_by_hand_of_any_kind_are_taken(viewer, qtbot, dock):
    """A plain layer of napari: its values get classes, and 0 stays what nobody painted."""
    viewer.add_image(surface(), name="s17")
    layer = viewer.add_labels(np.zeros((96, 160), np.int32), name="by hand")
    layer.brush_size = 16
    layer.paint((50, 30), 1)
    layer.paint((50, 120), 7)
    dock.live.switch_on()
    rest(qtbot, dock)
    assert scheme_of(layer).by_value(7).name == "class 7"
    assert np.mean(layer.data[:, :80] == 1) > 0.8
    assert np.mean(layer.data[:, 80:] == 7) > 0.8


def test_it_ends_when_its_layer_goes(viewer, qtbot, dock, live):
    stroke(qtbot, dock, live, (50, 120), 2)
    viewer.layers.remove(live)
    assert not dock.live.switch.isChecked()
    assert dock.live.session is None


def test_a_stroke_over_its_own_class_teaches_that_it_is_right(viewer, qtbot, dock, live, drag):
    stroke(qtbot, dock, live, (50, 120), 2)
    live.mode, live.selected_label = "paint", 1
    drag(live, [(20, 20), (20, 50)])
    rest(qtbot, dock)
    assert dock.live.line.text().startswith("Learnt from 2 strokes in ")
    assert (corrections_of(viewer, live, copy=True).truth == 1).sum() > 400
    dock.live.switch_off()
    assert (corrections_of(viewer, live, copy=True).truth == 1).sum() > 400  # it still teaches
    assert (live.data[20, 20:50] == 1).all()


def test_without_an_image_it_says_what_is_missing(qtbot, dock):
    dock.live.switch.setChecked(True)
    dock.live.switch.clicked.emit(True)
    assert not dock.live.switch.isChecked()
    assert "Open an image first" in dock.controls.state_line.text()


def test_kept_as_model_it_segments_as_shown(viewer, qtbot, dock, live):
    stroke(qtbot, dock, live, (50, 120), 2)
    stroke(qtbot, dock, live, (20, 40), 3)
    dock.settings.name.value = "kept"
    qtbot.mouseClick(dock.live.model_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: dock.run is not None and dock.run.state.has_ended, timeout=LONG)
    model = load_model("kept")
    assert model.card.inference.combine == "sum"
    assert dock.live.session is not None  # painting goes on
    assert "Nothing is held out" in dock.result_line.text()
    assert "validate" not in dock.result_line.text()
    found = nf.segment(surface(), model, device="cpu")
    assert follows(found)


def test_all_that_is_seen_is_looked_at_before_the_first_stroke(viewer, qtbot, dock):
    random = np.random.default_rng(0)
    wide = random.integers(0, 255, (64, 3000)).astype(np.uint8)  # three parts that are read apart
    viewer.add_image(wide, name="wide")
    layer = labels_layer(
        np.ones_like(wide), DEFAULT_SCHEME, name="wide · fracture modes", metadata={"image": "wide"}
    )
    remember_prediction(layer, layer.data.copy())
    viewer.add_layer(layer)
    viewer.reset_view()
    seen = []
    dock.live.switch_on()
    dock.live.session.changed.connect(lambda: seen.append(dock.live.session.text))
    rest(qtbot, dock)
    assert any("looking at the image" in text for text in seen)
    assert any("of 3 …" in text for text in seen)


def test_it_comes_to_rest_where_a_plane_shows_nothing(viewer, qtbot, dock):
    planes = surface(3)
    planes[1] = 128
    viewer.add_image(planes, name="s17")
    layer = viewer.add_layer(result(3))
    viewer.dims.set_current_step(0, 0)
    dock.live.switch_on()
    rest(qtbot, dock)
    stroke(qtbot, dock, layer, (0, 50, 120), 2)
    assert follows(layer.data[0])
    assert follows(layer.data[2])
    np.testing.assert_array_equal(layer.data[1], 1)


@pytest.fixture
def group(tmp_path):
    """Labels on disk: a result that says that all is intergranular."""
    group = zarr.open_group(tmp_path / "s17_labels.zarr", mode="w")
    group.create_array("0", data=np.ones((96, 160), np.uint8), chunks=(64, 64))
    return group


@pytest.fixture
def saved(viewer, qtbot, dock, group):
    """*Live*, switched on on labels on disk."""
    viewer.add_image(surface(), name="s17")
    data = SavedArray(group["0"], is_prediction=True)
    layer = labels_layer(data, DEFAULT_SCHEME, name="s17 on disk", metadata={"image": "s17"})
    viewer.layers.selection.active = viewer.add_layer(layer)
    dock.live.switch_on()
    rest(qtbot, dock)
    return layer


def test_of_labels_on_disk_strokes_are_saved_and_nothing_else(
    viewer, qtbot, dock, group, saved, drag
):
    stroke(qtbot, dock, saved, (50, 120), 2)
    assert follows(saved.data)
    strokes = group["0"][...] == 2
    assert 150 < strokes.sum() < 300
    np.testing.assert_array_equal(corrections_of(viewer, saved).truth == 2, strokes)
    saved.undo()
    qtbot.waitUntil(lambda: bool((group["0"][...] == 1).all()), timeout=LONG)
    saved.redo()
    rest(qtbot, dock)
    np.testing.assert_array_equal(group["0"][...] == 2, strokes)
    saved.mode, saved.selected_label = "paint", 1
    drag(saved, [(20, 20), (20, 50)])  # of the class that is shown
    rest(qtbot, dock)
    dock.live.switch_off()
    assert isinstance(saved.data, SavedArray)
    np.testing.assert_array_equal(np.asarray(saved.data), np.where(strokes, 2, 1))
    truth = corrections_of(viewer, saved, copy=True).truth
    assert ((truth == 2) == strokes).all()
    assert truth[20, 35] == 1


def test_kept_of_labels_on_disk_are_in_memory(viewer, qtbot, dock, group, saved):
    stroke(qtbot, dock, saved, (50, 120), 2)
    text = dock.live.session.copy.text
    assert text.startswith("s17 on disk is in memory now: what was learnt is not saved.")
    dock.live.keep_labels()
    assert follows(saved.data)
    assert 150 < (group["0"][...] == 2).sum() < 300


def test_saved_while_it_is_on_it_learns_from_the_same_strokes_again(
    viewer, qtbot, dock, live, tmp_path
):
    stroke(qtbot, dock, live, (50, 120), 2)
    before, labels = corrections_of(viewer, live).truth, np.array(live.data)
    saver = saver_of(viewer)
    run = saver.save(live, saver.snapshot(live), tmp_path)
    qtbot.waitUntil(lambda: run.state.has_ended, timeout=LONG)
    switch(qtbot, dock)
    viewer.layers.clear()
    (again,) = open_paths(viewer, [run.result.labels])
    viewer.add_image(surface(), name="s17")
    np.testing.assert_array_equal(again.data, labels)
    np.testing.assert_array_equal(corrections_of(viewer, again).truth, before)
    np.testing.assert_array_equal(first_answer_of(again), np.ones((96, 160)))
    viewer.layers.selection.active = again
    switch(qtbot, dock)
    assert follows(again.data)
    np.testing.assert_array_equal(corrections_of(viewer, again).truth, before)
