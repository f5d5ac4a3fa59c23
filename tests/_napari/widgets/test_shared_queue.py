"""Segment, Train and Open annotations side by side: whose turn it is, docks closed meanwhile."""

import gc
import json
import threading
import weakref

import imageio.v3 as iio
import numpy as np
import pytest
import torch
from napari.utils.notifications import notification_manager
from qtpy.QtCore import QEvent, Qt
from qtpy.QtWidgets import QApplication

from napari_fractoseg._napari import jobs
from napari_fractoseg._napari.jobs import State
from napari_fractoseg._napari.segment.dock import SegmentWidget
from napari_fractoseg._napari.train.dock import TrainWidget
from napari_fractoseg._napari.train.request import unfinished_trainings
from napari_fractoseg._napari.via.dock import ViaImportWidget
from napari_fractoseg.models.registry import list_models

pytestmark = pytest.mark.usefixtures("no_job_left", "tiny_alone")

LONG = 120_000


@pytest.fixture
def segment_dock(viewer, qtbot, tiny_alone):
    return open_segment(viewer, qtbot, tiny_alone)


@pytest.fixture
def train_dock(viewer, qtbot, tiny_alone, noise):
    return open_train(viewer, qtbot, tiny_alone, noise)


@pytest.fixture
def gate():
    """Holds every network at its next look, until it is opened."""
    is_open = threading.Event()

    def look(module, inputs):
        if module.__class__.__name__ == "Unet":
            is_open.wait(60)

    hook = torch.nn.modules.module.register_module_forward_pre_hook(look)
    yield is_open
    is_open.set()
    hook.remove()


def open_segment(viewer, qtbot, model):
    dock = SegmentWidget(viewer)
    viewer.window.add_dock_widget(dock, name="Segment")
    qtbot.waitUntil(lambda: not jobs.runs_under_way(), timeout=LONG)
    dock.model.choice.value = str(model)
    dock.device.choice.value = "cpu"
    return dock


def open_train(viewer, qtbot, model, noise):
    """Open the Train dock beside an image on which two classes are painted."""
    viewer.add_image(noise(96, 128), name="learnt")
    strokes = np.zeros((96, 128), np.uint8)
    strokes[:30, :30], strokes[60:, 90:] = 1, 2
    viewer.add_labels(strokes, name="strokes")
    dock = TrainWidget(viewer)
    viewer.window.add_dock_widget(dock, name="Train")
    qtbot.waitUntil(lambda: not jobs.runs_under_way(), timeout=LONG)
    dock.learn_from.pairs.rows[0].use.click()
    settings = dock.settings
    settings.start.choice.value = str(model)
    settings.device.choice.value = "cpu"
    settings.budget.choices = [("3 s", 0.05)]
    settings.options.patch_px.value = 128
    settings.options.batch_size.value = 1
    return dock


def click(qtbot, button):
    qtbot.waitUntil(button.isEnabled, timeout=LONG)
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)


def wait_for_queue(qtbot, dock):
    qtbot.waitUntil(lambda: not dock.queue.is_busy, timeout=LONG)


def rows(dock):
    return [(row.title.text(), row.state.text()) for row in dock.queue_list.rows]


def models():
    return [entry.key for entry in list_models()]


def close(viewer, dock):
    viewer.window.remove_dock_widget(dock)
    return str(notification_manager.records[-1].message)


# ---- whose turn it is ------------------------------------------------------------------------


@pytest.mark.slow
def test_a_training_waits_for_the_segmentation_that_runs(
    segment_dock, train_dock, viewer, noise, qtbot, gate
):
    segmenting, training = segment_dock.controls, train_dock.controls
    viewer.add_image(noise(64, 64), name="a")
    assert training.button.text() == "Train"
    click(qtbot, segmenting.button)
    assert training.button.text() == "Add to queue"
    click(qtbot, training.button)
    assert (segmenting.state, training.state) == (State.RUNNING, State.WAITING)
    assert training.progress.text.text() == "waiting until the others are done …"
    assert not training.button.isEnabled()  # one training at a time
    assert [title for title, _ in rows(segment_dock)] == ["a", "training my tiny"]
    assert rows(segment_dock)[1][1] == "waiting"
    gate.set()
    wait_for_queue(qtbot, train_dock)
    assert (segmenting.state, training.state) == (State.DONE, State.DONE)
    assert rows(segment_dock) == [("a", "done"), ("training my tiny", "done")]
    assert "my tiny" in models()


def test_a_segmentation_waits_for_the_training_that_runs(
    segment_dock, train_dock, viewer, noise, qtbot, gate
):
    segmenting, training = segment_dock.controls, train_dock.controls
    train_dock.settings.budget.choices = [("1 h", 60.0)]
    click(qtbot, training.button)
    viewer.add_image(noise(64, 64), name="a")
    assert segmenting.button.text() == "Add to queue"
    click(qtbot, segmenting.button)
    assert (training.state, segmenting.state) == (State.RUNNING, State.WAITING)
    gate.set()
    qtbot.waitUntil(lambda: len(train_dock.curves.history) > 1, timeout=LONG)
    assert "a · fracture modes" not in viewer.layers
    click(qtbot, segment_dock.queue_list.rows[0].cancel_button)
    assert training.state is State.STOPPING
    wait_for_queue(qtbot, segment_dock)
    assert (training.state, segmenting.state) == (State.DONE, State.DONE)  # the best is kept
    assert "my tiny" in models()
    assert viewer.layers["a · fracture modes"].data.all()


def test_a_training_that_waits_can_be_taken_out(
    segment_dock, train_dock, viewer, noise, qtbot, gate
):
    viewer.add_image(noise(64, 64), name="a")
    click(qtbot, segment_dock.controls.button)
    click(qtbot, train_dock.controls.button)
    click(qtbot, train_dock.controls.progress.cancel_button)
    assert train_dock.controls.state is State.STOPPED
    assert train_dock.controls.progress.isHidden()
    assert train_dock.controls.button.isEnabled()
    assert segment_dock.queue_list.isHidden()
    gate.set()
    wait_for_queue(qtbot, train_dock)
    assert segment_dock.controls.state is State.DONE
    assert "my tiny" not in models()
    assert not unfinished_trainings()


def test_each_window_has_a_queue_of_its_own(make_napari_viewer, qtbot):
    docks = [SegmentWidget(make_napari_viewer()) for _ in range(2)]
    for dock in docks:
        qtbot.addWidget(dock)
    assert docks[0].queue is not docks[1].queue


# ---- docks that are closed -------------------------------------------------------------------


def test_a_training_outlives_its_dock_and_a_new_one_shows_it(
    train_dock, viewer, qtbot, noise, tiny_alone, gate
):
    train_dock.settings.budget.choices = [("1 h", 60.0)]
    click(qtbot, train_dock.controls.button)
    gate.set()
    qtbot.waitUntil(lambda: len(train_dock.curves.history) > 1, timeout=LONG)
    assert "The training goes on in the background" in close(viewer, train_dock)
    again = TrainWidget(viewer)
    viewer.window.add_dock_widget(again, name="Train")
    assert again.controls.state is State.RUNNING
    assert len(again.curves.history) > 1
    assert again.controls.progress.text.text().startswith("step ")
    click(qtbot, again.controls.progress.cancel_button)
    qtbot.waitUntil(lambda: again.controls.is_idle, timeout=LONG)
    assert again.controls.state is State.DONE
    assert "my tiny" in again.result_line.text()
    assert "my tiny" in models()


@pytest.mark.slow
def test_what_ended_while_no_dock_was_open_is_shown_by_the_next_one(
    train_dock, viewer, qtbot, noise
):
    click(qtbot, train_dock.controls.button)
    close(viewer, train_dock)
    wait_for_queue(qtbot, train_dock)
    again = TrainWidget(viewer)
    viewer.window.add_dock_widget(again, name="Train")
    assert again.controls.state is State.DONE
    assert "my tiny" in again.result_line.text()


@pytest.mark.slow
@pytest.mark.parametrize("open_dock", [open_segment, open_train])
def test_a_dock_that_is_gone_for_good_hears_no_more_of_its_run(
    viewer, qtbot, noise, tiny_alone, gate, open_dock
):
    more = (noise,) if open_dock is open_train else ()
    viewer.add_image(noise(64, 64), name="a")
    dock = open_dock(viewer, qtbot, tiny_alone, *more)
    click(qtbot, dock.controls.button)
    queue, watched = dock.queue, weakref.ref(dock)
    close(viewer, dock)
    del dock
    QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    gc.collect()
    assert watched() is None
    gate.set()
    qtbot.waitUntil(lambda: not queue.is_busy, timeout=LONG)  # pytest-qt fails on errors in slots
    assert [run.state for run in queue.runs] == [State.DONE]
    viewer.theme = "light"
    viewer.add_image(noise(64, 64), name="b")


def test_closing_the_window_interrupts_a_training(train_dock, viewer, qtbot, gate):
    train_dock.settings.budget.choices = [("1 h", 60.0)]
    click(qtbot, train_dock.controls.button)
    run = train_dock.run
    gate.set()
    qtbot.waitUntil(lambda: len(run.history) > 1, timeout=LONG)
    viewer.close()
    QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    qtbot.waitUntil(lambda: not jobs.runs_under_way(), timeout=LONG)
    assert run.state is State.STOPPED
    assert "my tiny" not in models()


def test_an_import_goes_on_when_its_dock_is_closed(viewer, qtbot, tmp_path):
    shape = {"name": "rect", "x": 0, "y": 0, "width": 4, "height": 6}
    region = {"shape_attributes": shape, "region_attributes": {"mode": "t"}}
    entry = {"filename": "a.png", "size": -1, "regions": [region], "file_attributes": {}}
    (tmp_path / "via.json").write_text(json.dumps({"a.png-1": entry}))
    iio.imwrite(tmp_path / "a.png", np.full((6, 20), 99, np.uint8))
    dock = ViaImportWidget(viewer)
    viewer.window.add_dock_widget(dock)
    dock.file.value = tmp_path / "via.json"
    click(qtbot, dock.controls.button)
    assert "The import goes on in the background" in close(viewer, dock)
    qtbot.waitUntil(lambda: dock.controls.is_idle, timeout=LONG)
    assert [layer.name for layer in viewer.layers] == ["a", "a · annotation", "a · regions"]
