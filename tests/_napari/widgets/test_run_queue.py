"""Several segmentations, one after the other: the Segment dock's queue, with a real network."""

import threading

import numpy as np
import pytest
import torch
from napari.utils.notifications import notification_manager
from qtpy.QtCore import QEvent, Qt
from qtpy.QtWidgets import QApplication

from napari_fractoseg._napari import jobs
from napari_fractoseg._napari.jobs import State
from napari_fractoseg._napari.segment.dock import SegmentWidget
from napari_fractoseg.models.model import SegmentationModel

pytestmark = pytest.mark.usefixtures("no_job_left")

LONG = 120_000


@pytest.fixture
def dock(segment_dock):
    return segment_dock


@pytest.fixture
def viewer(dock):
    return dock.viewer


def click(qtbot, button):
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)


class Gate:
    """Holds the network at the fifth plane of 64 x 64 px, until it is opened."""

    def __init__(self):
        self.is_open = threading.Event()
        self._looks = 0
        self._hook = torch.nn.modules.module.register_module_forward_pre_hook(self._look)

    def _look(self, module, inputs):
        if module.__class__.__name__ == "Unet" and inputs[0].shape[-1] == 64:
            self._looks += 1
            if self._looks > 4:
                self.is_open.wait(60)

    def close_for_good(self):
        self.is_open.set()
        self._hook.remove()


@pytest.fixture(autouse=True)
def gate(no_job_left):
    gate = Gate()
    yield gate
    gate.close_for_good()


def wait_for_end(qtbot, dock, gate):
    gate.is_open.set()
    qtbot.waitUntil(lambda: not dock.queue.is_busy, timeout=LONG)


def start_long(qtbot, dock, noise, name="long", planes=12):
    """Start a run; it waits at the gate."""
    image = dock.viewer.add_image(noise(planes, 64, 64), name=name)
    dock.source.extent.value = "all"
    click(qtbot, dock.controls.button)
    qtbot.waitUntil(lambda: dock.result is not None, timeout=LONG)
    return image


def add(qtbot, dock, data, name):
    """Open an image and add it to the queue."""
    dock.viewer.add_image(data, name=name)
    click(qtbot, dock.controls.button)


def rows(dock):
    return [(row.title.text(), row.state.text()) for row in dock.queue_list.rows]


def cancel_in_list(qtbot, dock, title):
    row = next(row for row in dock.queue_list.rows if row.title.text() == title)
    assert row.cancel_button.toolTip() == row.cancel_button.accessibleName() == f"Cancel {title}"
    click(qtbot, row.cancel_button)


def labels_of(image, folder):
    from napari_fractoseg.inference.predictor import segment

    return segment(image, SegmentationModel.load(folder), device="cpu")


def test_one_run_looks_as_if_there_were_no_queue(dock, viewer, noise, qtbot, gate):
    start_long(qtbot, dock, noise)
    assert dock.controls.button.text() == "Segment"
    assert not dock.controls.button.isEnabled()
    assert "running or waiting already" in dock.controls.button.toolTip()
    assert dock.queue_list.isHidden()
    dock.controls.cancel()
    wait_for_end(qtbot, dock, gate)
    assert (dock.controls.button.text(), dock.controls.button.toolTip()) == ("Segment", "")
    assert dock.controls.button.isEnabled()


def test_other_images_wait_their_turn_and_get_layers_of_their_own(
    dock, viewer, noise, qtbot, gate, tiny_installed
):
    images = {name: noise(48, 64, seed=i) for i, name in enumerate("bc")}
    start_long(qtbot, dock, noise, "a", planes=6)
    for name, image in images.items():
        viewer.add_image(image, name=name)
        assert dock.controls.button.text() == "Add to queue"
        assert dock.controls.button.isEnabled()
        click(qtbot, dock.controls.button)
        assert not dock.controls.button.isEnabled()  # the same is not added twice
    assert not dock.queue_list.isHidden()
    assert [title for title, _ in rows(dock)] == ["a · all 6 planes", "b", "c"]
    assert rows(dock)[2][1] == "waiting"
    wait_for_end(qtbot, dock, gate)
    assert rows(dock) == [("a · all 6 planes", "done"), ("b", "done"), ("c", "done")]
    assert dock.controls.state is State.DONE
    for name in "bc":
        viewer.layers.selection.active = viewer.layers[f"{name} · fracture modes"]
        assert dock.result_line.text().startswith(f"{name} · fracture modes:\n")
    for name, image in images.items():
        found = viewer.layers[f"{name} · fracture modes"]
        np.testing.assert_array_equal(found.data, labels_of(image, tiny_installed))
        assert found.editable
    assert viewer.layers["a · fracture modes"].data.all()


def test_a_change_of_plane_or_settings_can_be_added(dock, viewer, noise, qtbot, gate):
    start_long(qtbot, dock, noise)
    dock.source.extent.value = "current"
    viewer.dims.set_current_step(0, 4)
    assert dock.controls.button.text() == "Add to queue"
    click(qtbot, dock.controls.button)
    assert not dock.controls.button.isEnabled()
    viewer.dims.set_current_step(0, 5)
    assert dock.controls.button.isEnabled()
    viewer.dims.set_current_step(0, 4)
    assert not dock.controls.button.isEnabled()
    dock.advanced.flips.value = not dock.advanced.flips.value
    assert dock.controls.button.isEnabled()
    assert rows(dock)[1] == ("long · plane 5", "waiting")
    dock.queue.end_all()


def test_a_run_that_waits_is_taken_out(dock, viewer, noise, qtbot, gate):
    start_long(qtbot, dock, noise)
    add(qtbot, dock, noise(48, 48), "b")
    add(qtbot, dock, noise(48, 48), "c")
    cancel_in_list(qtbot, dock, "b")
    assert [title for title, _ in rows(dock)] == ["long · all 12 planes", "c"]
    assert dock.controls.state is State.RUNNING
    wait_for_end(qtbot, dock, gate)
    names = [layer.name for layer in viewer.layers]
    assert "b · fracture modes" not in names
    assert "c · fracture modes" in names


@pytest.mark.parametrize("how", ["list", "button", "layer"])
def test_cancelling_the_run_under_way_keeps_what_is_finished_and_starts_the_next(
    dock, viewer, noise, qtbot, gate, how
):
    start_long(qtbot, dock, noise)
    result = dock.result
    add(qtbot, dock, noise(48, 48), "b")
    if how == "list":
        cancel_in_list(qtbot, dock, "long · all 12 planes")
    elif how == "button":
        click(qtbot, dock.controls.progress.cancel_button)
    else:
        viewer.layers.remove(result)
    assert dock.controls.state is State.STOPPING
    assert rows(dock)[0][1] == "stopping …"
    wait_for_end(qtbot, dock, gate)
    assert rows(dock) == [("long · all 12 planes", "stopped"), ("b", "done")]
    assert viewer.layers["b · fracture modes"].data.all()
    finished = [bool(plane.all()) for plane in result.data]
    assert 0 < sum(finished) < 12
    assert result.editable or how == "layer"


def test_a_run_that_fails_says_so_and_the_next_one_starts(dock, viewer, noise, qtbot, gate):
    notification_manager.records.clear()
    image = noise(64, 64).astype(np.float32)
    image[3, 4:7] = np.nan
    start_long(qtbot, dock, noise, planes=4)
    viewer.add_image(image, name="bad", contrast_limits=(0, 255))
    click(qtbot, dock.controls.button)
    add(qtbot, dock, noise(48, 48), "good")
    said = {}

    def note():
        if dock.queue.running is not None:
            said[dock.queue.running.title] = dock.controls.state_line.text()

    dock.queue.changed.connect(note)
    wait_for_end(qtbot, dock, gate)
    assert [state for _, state in rows(dock)] == ["done", "failed", "done"]
    assert "3 of 4096 pixels are NaN" in dock.queue_list.rows[1].state.toolTip()
    assert "3 of 4096 pixels are NaN" in str(notification_manager.records[-1].message)
    assert said["good"].startswith("bad: That did not work.")
    assert dock.controls.state is State.DONE
    assert viewer.layers["good · fracture modes"].data.all()


def test_a_plane_that_is_added_does_not_take_the_brush_away(dock, viewer, noise, qtbot, gate):
    viewer.add_image(noise(6, 48, 64), name="z")
    viewer.dims.set_current_step(0, 1)
    click(qtbot, dock.controls.button)
    wait_for_end(qtbot, dock, gate)
    first = dock.result
    start_long(qtbot, dock, noise)
    for plane in (2, 3):
        dock.source.choice.value = viewer.layers["z"]
        dock.source.extent.value = "current"
        viewer.dims.set_current_step(0, plane)
        click(qtbot, dock.controls.button)
    dock.controls.cancel()
    assert first.editable
    wait_for_end(qtbot, dock, gate)
    filled = [
        [bool(plane.any()) for plane in viewer.layers[f"z · fracture modes{number}"].data]
        for number in ("", " [2]", " [3]")
    ]
    assert [planes.index(True) for planes in filled] == [1, 2, 3]
    assert [sum(planes) for planes in filled] == [1, 1, 1]


def test_results_of_the_background_neither_take_the_brush_nor_cover_what_is_shown(
    dock, viewer, noise, qtbot, gate
):
    painted = viewer.add_labels(np.zeros((9, 9), np.uint8), name="mine")
    start_long(qtbot, dock, noise)
    add(qtbot, dock, noise(48, 48), "shown")
    add(qtbot, dock, noise(48, 48), "hidden")
    viewer.layers["hidden"].visible = False
    viewer.layers.selection.active = painted
    painted.mode = "paint"
    wait_for_end(qtbot, dock, gate)
    assert viewer.layers.selection.active is painted
    assert painted.mode == "paint"
    assert viewer.layers["shown · fracture modes"].visible
    assert not viewer.layers["hidden · fracture modes"].visible


def test_a_queue_that_was_finished_begins_anew(dock, viewer, noise, qtbot, gate):
    start_long(qtbot, dock, noise, planes=4)
    add(qtbot, dock, noise(48, 48), "b")
    wait_for_end(qtbot, dock, gate)
    add(qtbot, dock, noise(48, 48, seed=2), "c")
    assert dock.queue_list.isHidden()
    wait_for_end(qtbot, dock, gate)
    assert "show a fracture mode" in dock.result_line.text().replace("\u00a0", " ")


def test_a_refusal_during_a_run_does_not_touch_the_run(dock, viewer, noise, qtbot, gate):
    start_long(qtbot, dock, noise)
    viewer.layers.selection.active = None
    viewer.add_image(noise(8, 8), name="b")
    dock.model.choice.choices = []
    dock.segment()
    assert dock.controls.state is State.RUNNING
    assert "That did not work" in dock.controls.state_line.text()
    dock.controls.cancel()
    wait_for_end(qtbot, dock, gate)


def test_runs_outlive_the_dock_and_a_new_one_finds_them(dock, viewer, noise, qtbot, gate):
    notification_manager.records.clear()
    start_long(qtbot, dock, noise)
    result = dock.result
    add(qtbot, dock, noise(48, 48), "b")
    viewer.window.remove_dock_widget(dock)
    assert "goes on in the background" in str(notification_manager.records[-1].message)
    again = SegmentWidget(viewer)
    viewer.window.add_dock_widget(again, name="Segment")
    assert again.controls.state is State.RUNNING
    assert again.result is result
    assert [title for title, _ in rows(again)] == ["long · all 12 planes", "b"]
    assert "plane" in again.controls.progress.text.text()
    click(qtbot, again.controls.progress.cancel_button)
    wait_for_end(qtbot, again, gate)
    assert result.editable
    assert rows(again) == [("long · all 12 planes", "stopped"), ("b", "done")]


def test_a_dock_that_is_closed_for_good_hands_over_the_labels(dock, viewer, noise, qtbot, gate):
    start_long(qtbot, dock, noise)
    result, queue = dock.result, dock.queue
    viewer.window.remove_dock_widget(dock)
    gate.is_open.set()
    qtbot.waitUntil(lambda: not queue.is_busy, timeout=LONG)
    assert result.data.all()
    assert result.editable


@pytest.mark.parametrize("dock_is_open", [True, False])
def test_closing_the_window_ends_everything(dock, viewer, noise, qtbot, gate, dock_is_open):
    start_long(qtbot, dock, noise)
    add(qtbot, dock, noise(48, 48), "b")
    queue = dock.queue
    if not dock_is_open:
        viewer.window.remove_dock_widget(dock)
    viewer.close()
    QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    assert not queue.waiting
    gate.is_open.set()
    qtbot.waitUntil(lambda: not jobs.runs_under_way(), timeout=LONG)
    assert not queue.is_busy


def test_only_one_network_runs_at_a_time(dock, viewer, noise, qtbot, gate):
    under_way, at_once = set(), []

    def look(module, inputs):
        if module.__class__.__name__ == "Unet":
            under_way.add(id(module))
            at_once.append(len(jobs.runs_under_way()))

    hook = torch.nn.modules.module.register_module_forward_pre_hook(look)
    try:
        start_long(qtbot, dock, noise, planes=4)
        add(qtbot, dock, noise(48, 48), "b")
        add(qtbot, dock, noise(48, 48), "c")
        wait_for_end(qtbot, dock, gate)
    finally:
        hook.remove()
    assert set(at_once) == {1}
