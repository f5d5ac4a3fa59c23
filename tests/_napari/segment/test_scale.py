"""Scale factor and trial of three scales in the Segment dock."""

import numpy as np
import pytest
from qtpy.QtCore import Qt

from napari_fractoseg._napari import jobs
from napari_fractoseg._napari.camera import seen_middle
from napari_fractoseg._napari.jobs import State
from napari_fractoseg._napari.layer_metadata import facts_of
from napari_fractoseg._napari.segment.dock import SegmentWidget
from napari_fractoseg.inference.predictor import segment
from napari_fractoseg.models.model import SegmentationModel
from napari_fractoseg.tiling import Box

pytestmark = pytest.mark.usefixtures("no_job_left")

LONG = 120_000


@pytest.fixture
def known(tiny_model, tmp_path, monkeypatch):
    """A model of the user that tells the pixel size of its images."""
    monkeypatch.setenv("FRACTOSEG_MODELS", str(tmp_path / "models"))
    return tiny_model.with_card(pixel_size_um=0.2).save(tmp_path / "models" / "known")


@pytest.fixture
def widget(viewer, qtbot, known):
    widget = SegmentWidget(viewer)
    viewer.window.add_dock_widget(widget, name="Segment")
    qtbot.waitUntil(lambda: not jobs.runs_under_way(), timeout=LONG)
    widget.model.choice.value = str(known)
    widget.device.choice.value = "cpu"
    return widget


def click(qtbot, button):
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)


def run(widget, qtbot):
    click(qtbot, widget.controls.button)
    qtbot.waitUntil(lambda: widget.controls.is_idle, timeout=LONG)
    assert widget.controls.state is State.DONE, widget.controls.state_line.text()


def test_a_finer_image_is_seen_smaller_and_the_result_says_so(widget, viewer, noise, qtbot, known):
    image = noise(96, 120)
    viewer.add_image(image, name="a", scale=(0.1, 0.1), units=("um", "um"))
    run(widget, qtbot)
    assert "Seen at half its size, as the model learnt at 0.2" in widget.result_line.text()
    result = widget.result
    assert facts_of(result)["scale_factor"] == 2
    model = SegmentationModel.load(known)
    np.testing.assert_array_equal(result.data, segment(image, model, device="cpu", scale=2))
    widget.advanced.scale.value = "none"
    run(widget, qtbot)
    assert widget.result is not result
    np.testing.assert_array_equal(widget.result.data, segment(image, model, device="cpu"))


def test_sizes_that_cannot_be_right_are_refused_before_anything_runs(widget, viewer, noise, qtbot):
    viewer.add_image(noise(40, 40), scale=(1e-4, 1e-4), units=("um", "um"))
    click(qtbot, widget.controls.button)
    assert "they differ 2e+03 times" in widget.controls.state_line.text()
    assert len(viewer.layers) == 1


def test_three_scales_are_tried_and_a_picture_chooses_one(widget, viewer, noise, qtbot):
    viewer.add_image(noise(96, 120))
    trial = widget.advanced.trial
    click(qtbot, trial.button)
    assert trial.button.text() == "Stop"
    qtbot.waitUntil(lambda: trial.button.text() == "Try three scales", timeout=LONG)
    assert len(viewer.layers) == 1
    assert trial.run.state is State.DONE
    assert [seen.factor for seen in trial.run.result] == [0.5, 1, 2]
    first, second, _ = (seen.picture for seen in trial.run.result)
    assert (first != second).any()
    assert all(not picture.icon().isNull() for picture in trial.pictures)
    for number, value in ((0, "0.5"), (2, "2"), (1, "none")):
        trial.pictures[number].click()
        assert widget.advanced.scale.value == value
        assert widget.request().scale == value
    viewer.add_image(noise(50, 50))  # is chosen, so that the pictures are of another image
    assert trial.run is None
    assert not trial.pictures[0].isVisibleTo(trial)


def test_a_trial_can_be_stopped(widget, viewer, noise, qtbot):
    viewer.add_image(noise(600, 600))
    trial = widget.advanced.trial
    click(qtbot, trial.button)
    click(qtbot, trial.button)
    qtbot.waitUntil(lambda: trial.button.text() == "Try three scales", timeout=LONG)
    assert trial.line.text() in ("Stopped.", "Click the picture that looks right:")
    assert len(viewer.layers) == 1


def test_without_an_image_a_trial_says_what_is_missing(widget, qtbot):
    click(qtbot, widget.advanced.trial.button)
    assert "Open an image first" in widget.advanced.trial.line.text()


def test_the_middle_of_what_is_seen(viewer, noise):
    layer = viewer.add_image(noise(100, 300))
    layer.corner_pixels = np.array([[10, 50], [89, 249]])
    assert seen_middle(layer, (100, 300), 640) == Box(10, 90, 50, 250)
    assert seen_middle(layer, (100, 300), 60) == Box(20, 80, 120, 180)
    layer.corner_pixels = np.array([[0, 0], [0, 0]])
    assert seen_middle(layer, (100, 300), 60).shape == (1, 1)
