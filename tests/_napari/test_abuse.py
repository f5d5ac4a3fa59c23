"""What people do while something runs: rename, reorder, remove, paint, close, turn to 3-D."""

import threading

import numpy as np
import pytest
import torch
from napari.utils.notifications import ErrorNotification, notification_manager
from qtpy.QtCore import Qt

from napari_fractoseg._napari import jobs
from napari_fractoseg._napari.jobs import State
from napari_fractoseg._napari.segment.dock import SegmentWidget
from napari_fractoseg._napari.train.dock import TrainWidget
from napari_fractoseg.inference.predictor import segment
from napari_fractoseg.models.model import SegmentationModel

pytestmark = pytest.mark.usefixtures("no_job_left", "no_surprise")

LONG = 120_000


@pytest.fixture
def no_surprise():
    """Nothing is reported as a mistake of ours, whatever the user does."""
    notification_manager.records.clear()
    yield
    assert not [str(r) for r in notification_manager.records if isinstance(r, ErrorNotification)]


@pytest.fixture
def gate(no_job_left):
    """Holds the network from its fifth plane of 64 x 64 px on, until it is opened."""
    is_open, looks = threading.Event(), []

    def look(module, inputs):
        if module.__class__.__name__ == "Unet" and inputs[0].shape[-1] == 64:
            looks.append(module)
            if len(looks) > 4:
                is_open.wait(60)

    hook = torch.nn.modules.module.register_module_forward_pre_hook(look)
    yield is_open
    is_open.set()
    hook.remove()


def started(qtbot, dock, data, name="z"):
    """Start a segmentation of all planes; return the image layer and the growing result."""
    image = dock.viewer.add_image(data, name=name)
    dock.source.extent.value = "all"
    qtbot.mouseClick(dock.controls.button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: dock.result is not None, timeout=LONG)
    return image, dock.result


def end(qtbot, dock, gate):
    gate.set()
    qtbot.waitUntil(lambda: not dock.queue.is_busy, timeout=LONG)


def labels_of(data, folder):
    return segment(data, SegmentationModel.load(folder), device="cpu")


def test_layers_may_be_renamed_during_a_run(segment_dock, noise, qtbot, gate, tiny_folder):
    data = noise(8, 64, 64)
    image, result = started(qtbot, segment_dock, data)
    image.name, result.name = "surface", "mine"
    end(qtbot, segment_dock, gate)
    assert segment_dock.controls.state is State.DONE
    assert segment_dock.result is result
    assert [layer.name for layer in segment_dock.viewer.layers] == ["surface", "mine"]
    np.testing.assert_array_equal(result.data, labels_of(data, tiny_folder))


@pytest.mark.parametrize("what", ["image", "result", "all"])
def test_layers_may_be_removed_during_a_run(segment_dock, noise, qtbot, gate, what):
    viewer = segment_dock.viewer
    image, result = started(qtbot, segment_dock, noise(8, 64, 64))
    if what == "all":
        viewer.layers.clear()
    else:
        viewer.layers.remove(image if what == "image" else result)
    end(qtbot, segment_dock, gate)
    assert segment_dock.controls.state is (State.DONE if what == "image" else State.STOPPED)
    assert list(viewer.layers) == {"image": [result], "result": [image], "all": []}[what]
    if what == "image":
        assert result.data.all()


@pytest.mark.parametrize("turn", ["roll", "transpose", "3d"])
def test_axes_may_be_turned_during_a_run(segment_dock, noise, qtbot, gate, tiny_folder, turn):
    viewer, data = segment_dock.viewer, noise(8, 64, 64)
    _, result = started(qtbot, segment_dock, data)
    if turn == "3d":
        viewer.dims.ndisplay = 3
    else:
        getattr(viewer.dims, turn)()
    end(qtbot, segment_dock, gate)
    assert segment_dock.controls.state is State.DONE
    np.testing.assert_array_equal(result.data, labels_of(data, tiny_folder))
    segment_dock.correct()
    assert segment_dock.result_line.text()
    viewer.dims.ndisplay, viewer.dims.order = 2, (0, 1, 2)
    viewer.dims.set_current_step(0, 1)
    result.paint((1, 20, 20), 3)
    assert result.data[1, 20, 20] == 3


def test_current_is_the_plane_of_the_image_however_the_axes_are_turned(
    segment_dock, noise, qtbot, tiny_folder
):
    viewer, data = segment_dock.viewer, noise(8, 64, 64)
    viewer.add_image(data, name="z")
    viewer.dims.set_current_step(0, 2)
    viewer.dims.transpose()  # the slider is still that of the planes
    segment_dock.segment()
    qtbot.waitUntil(lambda: segment_dock.controls.is_idle, timeout=LONG)
    assert [bool(plane.any()) for plane in segment_dock.result.data] == [n == 2 for n in range(8)]
    np.testing.assert_array_equal(segment_dock.result.data[2], labels_of(data[2], tiny_folder))


def test_two_windows_segment_at_once(
    segment_dock, noise, qtbot, gate, make_napari_viewer, tiny_folder
):
    other = SegmentWidget(make_napari_viewer())
    other.viewer.window.add_dock_widget(other, name="Segment")
    other.model.choice.value = str(tiny_folder)
    data = noise(8, 64, 64)
    _, result = started(qtbot, segment_dock, data)
    other.viewer.add_image(data, name="z")
    other.source.extent.value = "all"
    other.segment()
    end(qtbot, segment_dock, gate)
    qtbot.waitUntil(lambda: not other.queue.is_busy, timeout=LONG)
    np.testing.assert_array_equal(result.data, other.result.data)
    assert result not in other.viewer.layers


@pytest.mark.parametrize("what", ["segmentation", "training"])
def test_the_window_may_be_closed_while_something_runs(
    make_napari_viewer, noise, qtbot, gate, tiny_alone, what
):
    viewer = make_napari_viewer()
    kind = SegmentWidget if what == "segmentation" else TrainWidget
    dock = kind(viewer)
    viewer.window.add_dock_widget(dock, name=what)
    qtbot.waitUntil(lambda: not jobs.runs_under_way(), timeout=LONG)
    if what == "segmentation":
        dock.model.choice.value = str(tiny_alone)
        started(qtbot, dock, noise(8, 64, 64))
    else:
        viewer.add_image(noise(96, 128), name="s17")
        layer = viewer.add_labels(np.zeros((96, 128), np.uint8), name="strokes")
        layer.paint((20, 20), 1)
        layer.paint((70, 100), 2)
        dock.settings.start.choice.value = str(tiny_alone)
        dock.settings.options.patch_px.value = 128
        qtbot.waitUntil(lambda: bool(dock.learn_from.pairs.rows), timeout=LONG)
        dock.learn_from.pairs.rows[0].use.setChecked(True)
        qtbot.waitUntil(dock.controls.button.isEnabled, timeout=LONG)
        qtbot.mouseClick(dock.controls.button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: bool(jobs.runs_under_way()), timeout=LONG)
    viewer.close()
    gate.set()
    qtbot.waitUntil(lambda: not jobs.runs_under_way(), timeout=LONG)


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_the_theme_may_change_during_a_run(segment_dock, noise, qtbot, gate, theme):
    viewer = segment_dock.viewer
    viewer.theme = "light" if theme == "dark" else "dark"
    started(qtbot, segment_dock, noise(8, 64, 64))
    before = segment_dock.controls.button.styleSheet()
    viewer.theme = theme
    assert segment_dock.controls.button.styleSheet() != before
    end(qtbot, segment_dock, gate)
    assert segment_dock.controls.state is State.DONE
