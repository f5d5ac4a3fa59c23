"""The Segment dock, driven as a user would: buttons and keys, with a real small network."""

import threading
import time
from pathlib import Path

import dask.array
import numpy as np
import pytest
import torch
import zarr
from napari.utils.notifications import notification_manager
from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import QLabel, QStyle, QStyleOptionComboBox

from napari_fractoseg._napari import jobs
from napari_fractoseg._napari.jobs import State
from napari_fractoseg._napari.layer_metadata import facts_of
from napari_fractoseg._napari.layers import scheme_of
from napari_fractoseg._napari.measure.dock import MeasureWidget
from napari_fractoseg._napari.segment.dock import SegmentWidget
from napari_fractoseg.classes import DEFAULT_SCHEME
from napari_fractoseg.models.model import SegmentationModel
from napari_fractoseg.models.registry import bundled_folder

pytestmark = pytest.mark.usefixtures("no_job_left", "tiny_installed")

LONG = 120_000


@pytest.fixture
def widget(viewer, qtbot, tiny_folder):
    """The dock, with the tiny model chosen and the devices found."""
    widget = SegmentWidget(viewer)
    viewer.window.add_dock_widget(widget, name="Segment")
    qtbot.waitUntil(lambda: not jobs.runs_under_way(), timeout=LONG)
    widget.model.choice.value = str(tiny_folder)
    widget.device.choice.value = "cpu"
    return widget


def click(qtbot, button):
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)


def segment(widget, qtbot, state=State.DONE):
    """Click Segment and wait for the end."""
    click(qtbot, widget.controls.button)
    qtbot.waitUntil(lambda: widget.controls.is_idle, timeout=LONG)
    assert widget.controls.state is state, widget.controls.state_line.text()


def labels_of(image, folder, **options):
    """The labels that the library gives, without a window."""
    from napari_fractoseg.inference.predictor import segment as segment_array

    return segment_array(image, SegmentationModel.load(folder), device="cpu", **options)


def test_without_an_image_the_button_waits_and_a_line_says_why(widget):
    assert widget.controls.state is State.NOT_READY
    assert not widget.controls.button.isEnabled()
    assert "Open an image first" in widget.controls.state_line.text()


def test_with_an_image_the_first_click_is_segment(widget, viewer, noise, qtbot, tiny_folder):
    viewer.add_labels(np.zeros((9, 9), np.uint8))
    image = noise(96, 120)
    viewer.add_image(image, name="s17_3")
    assert widget.controls.state is State.READY
    assert widget.source.line.text() == "120 × 96 px, 1 plane\npixel size unknown"  # noqa: RUF001
    assert list(widget.source.choice.choices) == [viewer.layers["s17_3"]]
    segment(widget, qtbot)
    result = viewer.layers["s17_3 · fracture modes"]
    np.testing.assert_array_equal(result.data, labels_of(image, tiny_folder))
    assert widget.controls.button.isEnabled()


@pytest.mark.parametrize("is_ome", [False, True])
def test_chunks_that_are_missing_are_said(widget, viewer, noise, qtbot, tmp_path, is_ome):
    """Whatever reads the zarr: napari's own reader gives arrays of dask."""
    folder = tmp_path / "gaps.zarr"
    if is_ome:
        group = zarr.create_group(folder)
        group.create_array("0", data=noise(64, 64), chunks=(32, 32))
        axes = [{"name": n, "type": "space"} for n in "yx"]
        scale = [{"type": "scale", "scale": [1.0, 1.0]}]
        datasets = [{"path": "0", "coordinateTransformations": scale}]
        entries = {"version": "0.5", "multiscales": [{"axes": axes, "datasets": datasets}]}
        group.attrs["ome"] = entries
    else:
        zarr.create_array(folder, data=noise(64, 64), chunks=(32, 32))
    (folder / ("0" * is_ome) / "c" / "1" / "0").unlink()
    viewer.open(folder, plugin="napari")
    assert not isinstance(viewer.layers[0].data, np.ndarray)
    segment(widget, qtbot)
    assert "1 of 4 chunks of gaps.zarr are not there" in widget.result_line.text()


def test_the_result_is_ready_to_paint_on(widget, viewer, noise, qtbot):
    image = viewer.add_image(
        noise(64, 64),
        name="a",
        scale=(0.1, 0.1),
        units=("um", "um"),
        translate=(3, 4),
        axis_labels=("row", "column"),
    )
    assert widget.source.line.text().endswith("\n0.1 µm/px")
    segment(widget, qtbot)
    result = widget.result
    assert (result.units, result.axis_labels) == (image.units, image.axis_labels)
    np.testing.assert_allclose(result.scale, image.scale)
    np.testing.assert_allclose(result.translate, image.translate)
    assert result.data.dtype == np.uint8
    assert result.data.flags.c_contiguous
    assert list(result.features["class"][1:]) == list(DEFAULT_SCHEME.names)
    click(qtbot, widget.brush_button)
    assert viewer.layers.selection.active is result
    assert (result.mode, result.editable) == ("paint", True)
    result.paint((2, 2), 3)
    assert result.data[2, 2] == 3


def test_the_result_is_measured_in_the_measure_dock(widget, viewer, noise, qtbot):
    assert not widget.measure_button.isVisibleTo(widget)
    viewer.add_image(noise(64, 64), name="a")
    segment(widget, qtbot)
    other = viewer.add_labels(np.zeros((64, 64), np.uint8), name="other")
    viewer.layers.selection.active = widget.result
    click(qtbot, widget.measure_button)
    (dock,) = viewer.window._qt_window.findChildren(MeasureWidget)
    assert dock.labels.ticked() == (widget.result,)
    viewer.layers.selection.active = other
    click(qtbot, widget.measure_button)
    assert dock.labels.ticked() == (other,)
    assert len(viewer.window._qt_window.findChildren(MeasureWidget)) == 1


def test_the_result_says_where_it_comes_from(widget, viewer, noise, qtbot, tiny_folder):
    viewer.add_image(noise(64, 64), name="a")
    widget.advanced.tile.value = 1536
    segment(widget, qtbot)
    origin = widget.result.metadata["fractoseg"]
    assert origin["model"] == "tiny"
    assert origin["model_digest"] == SegmentationModel.load(tiny_folder).digest
    assert origin["scheme"] == DEFAULT_SCHEME.to_dict()
    assert (origin["image"], origin["planes"]) == ("a", "all")
    assert (origin["tile_px"], origin["halo_px"]) == (1536, 64)


def said(widget):
    return widget.result_line.text().replace("\u00a0", " ").splitlines()


def test_the_result_line_gives_the_fractions(widget, viewer, noise, qtbot):
    from napari_fractoseg.measurement.fractions import class_fractions

    viewer.add_image(noise(64, 64))
    segment(widget, qtbot)
    share = class_fractions(widget.result.data, DEFAULT_SCHEME).fraction_of_modes
    assert said(widget)[
        0
    ] == f"Intergranular {share[0]:.0%}   Transgranular {share[1]:.0%}".replace("%", " %")
    assert said(widget)[1].endswith(" % that show a fracture mode")
    assert said(widget)[2].endswith("it was not checked against annotations.")


def test_the_result_line_tells_model_and_correction_apart(widget, viewer, noise, qtbot):
    viewer.add_image(noise(64, 64))
    segment(widget, qtbot)
    before = said(widget)
    click(qtbot, widget.brush_button)
    widget.result.brush_size = 200
    widget.result.paint((32, 32), 2)
    qtbot.waitUntil(lambda: "→ corrected 0 %" in said(widget)[0], timeout=20_000)
    assert said(widget)[0].startswith("Intergranular: model ")
    widget.result.undo()
    qtbot.waitUntil(lambda: said(widget) == before, timeout=20_000)


def test_the_result_line_goes_with_its_layer_and_follows_the_active_one(
    widget, viewer, noise, qtbot
):
    viewer.add_image(noise(64, 64))
    segment(widget, qtbot)
    of_result = said(widget)
    by_hand = viewer.add_labels(np.full((64, 64), 2, np.uint8))
    assert said(widget) == []
    click(qtbot, widget.legend.use_button)
    by_hand.name = "mine"
    qtbot.waitUntil(lambda: said(widget)[0] == "mine:", timeout=20_000)
    assert said(widget)[1] == "Intergranular 0.0 %   Transgranular 100.0 %"
    viewer.layers.selection.active = viewer.layers[0]
    assert said(widget) == [f"{widget.result.name}:", *of_result]
    viewer.layers.remove(by_hand)
    qtbot.waitUntil(lambda: said(widget) == of_result, timeout=20_000)
    viewer.layers.clear()
    assert said(widget) == []
    assert widget.result_line.isHidden()


def test_the_result_line_gives_plane_and_stack(widget, viewer, noise, qtbot):
    viewer.add_image(noise(3, 48, 64))
    viewer.dims.set_current_step(0, 1)
    segment(widget, qtbot)
    assert said(widget)[0] == "Plane 2 of 3:"
    assert said(widget)[3].startswith("1 labelled plane of 3: intergranular ")
    viewer.dims.set_current_step(0, 0)
    qtbot.waitUntil(lambda: said(widget)[0] == "Plane 1 of 3:", timeout=20_000)
    assert said(widget)[1] == "Nothing is labelled here yet."


@pytest.mark.parametrize(
    ("shape", "rgb"), [((3, 48, 64), False), ((2, 3, 48, 40), False), ((48, 64, 3), True)]
)
def test_stacks_and_colours(widget, viewer, noise, qtbot, tiny_folder, shape, rgb):
    image = noise(48, 64, seed=3)[..., None].repeat(3, -1) if rgb else noise(*shape)
    viewer.add_image(image, rgb=rgb)
    if widget.source.layer.ndim > 2:
        widget.source.extent.value = "all"
    segment(widget, qtbot)
    assert widget.result.data.shape == (shape[:-1] if rgb else shape)
    np.testing.assert_array_equal(widget.result.data, labels_of(image, tiny_folder, rgb=rgb))


def test_multiscale_is_segmented_at_level_0(widget, viewer, noise, qtbot):
    image = noise(96, 64)
    viewer.add_image([image, image[::2, ::2]], multiscale=True, scale=(2, 2))
    segment(widget, qtbot)
    assert widget.result.data.shape == (96, 64)
    np.testing.assert_allclose(widget.result.scale, (2, 2))


def test_dask_is_loaded_plane_by_plane(widget, viewer, noise, qtbot, tiny_folder):
    image = noise(4, 48, 64)
    loaded = []

    def load(block, block_info=None):
        if block_info:
            loaded.append(block_info[0]["chunk-location"][0])
        return block

    lazy = dask.array.from_array(image, chunks=(1, 48, 64)).map_blocks(load, dtype=image.dtype)
    viewer.add_image(lazy, contrast_limits=(0, 255))
    viewer.dims.set_current_step(0, 2)
    loaded.clear()
    segment(widget, qtbot)
    assert set(loaded) == {2}
    np.testing.assert_array_equal(widget.result.data[2], labels_of(image[2], tiny_folder))


def test_the_current_plane_alone_is_filled_and_the_next_one_joins_it(widget, viewer, noise, qtbot):
    viewer.add_image(noise(4, 48, 64), name="z")
    viewer.dims.set_current_step(0, 2)
    segment(widget, qtbot)
    first = widget.result
    assert [bool(plane.any()) for plane in first.data] == [False, False, True, False]
    viewer.dims.set_current_step(0, 1)
    segment(widget, qtbot)
    assert widget.result is first
    assert first.metadata["fractoseg"]["planes"] == [[2], [1]]
    assert [bool(plane.any()) for plane in first.data] == [False, True, True, False]
    assert first.editable


def test_the_current_plane_is_found_where_the_viewer_counts_in_other_units(
    widget, viewer, noise, qtbot
):
    units = ("um", "um", "um")
    viewer.add_image(noise(4, 48, 64), name="other", units=("nm", "nm", "nm"), scale=(500, 1, 1))
    viewer.add_image(noise(4, 48, 64), name="z", scale=(0.5, 1, 1), units=units)
    for number in (1, 3):
        viewer.dims.set_current_step(0, number)
        assert widget.source.planes() == ((number,),)


def test_a_plane_that_holds_anything_is_never_overwritten(widget, viewer, noise, qtbot):
    viewer.add_image(noise(3, 48, 64), name="z")
    viewer.dims.set_current_step(0, 0)
    segment(widget, qtbot)
    first = widget.result
    first.data[1, 5, 5] = 2  # a brush stroke
    before = first.data.copy()
    viewer.dims.set_current_step(0, 1)
    segment(widget, qtbot)
    assert widget.result.name == "z · fracture modes [2]"
    np.testing.assert_array_equal(first.data, before)


def test_earlier_results_stay_as_they_are(widget, viewer, noise, qtbot):
    viewer.add_image(noise(48, 64), name="a")
    segment(widget, qtbot)
    first = widget.result
    first.data[:] = 3  # corrected by hand
    segment(widget, qtbot)
    assert [layer.name for layer in viewer.layers] == [
        "a",
        "a · fracture modes",
        "a · fracture modes [2]",
    ]
    assert (first.data == 3).all()
    assert not np.shares_memory(first.data, widget.result.data)
    widget.advanced.confidence.value = True
    segment(widget, qtbot)
    assert [layer.name for layer in viewer.layers][3:] == [
        "a · confidence [3]",
        "a · fracture modes [3]",
    ], "what belongs together has one number"


def test_confidence_and_margin_layers_come_when_asked_for(widget, viewer, noise, qtbot):
    viewer.add_image(noise(48, 64), name="a", scale=(2, 2))
    widget.advanced.confidence.value = widget.advanced.margin.value = True
    assert "Not calibrated: nothing was held out" in widget.advanced.confidence.tooltip
    segment(widget, qtbot)
    confidence = viewer.layers["a · confidence"]
    assert confidence.data.min() > 1 / 3 - 1e-6
    assert confidence.data.max() <= 1
    np.testing.assert_allclose(confidence.scale, (2, 2))
    assert widget.source.layer.name == "a"
    margin = viewer.layers["a · margin"]
    assert 0 <= margin.data.min() < margin.data.max()
    # The next class has at most what the chosen one leaves over.
    assert (margin.data >= 2 * confidence.data - 1 - 1e-6).all()
    assert (margin.data < confidence.data).all()
    assert not {confidence, margin} & {*widget.source.choice.choices}


def test_cancel_leaves_the_finished_planes(widget, viewer, noise, qtbot):
    viewer.add_image(noise(80, 64, 64), name="z")
    widget.source.extent.value = "all"
    click(qtbot, widget.controls.button)
    qtbot.waitUntil(lambda: widget.result is not None, timeout=LONG)
    assert not widget.controls.button.isEnabled()
    assert not widget.result.editable
    click(qtbot, widget.controls.progress.cancel_button)
    assert widget.controls.state is State.STOPPING
    qtbot.waitUntil(lambda: widget.controls.is_idle, timeout=LONG)
    finished = [bool(plane.all()) for plane in widget.result.data]
    assert widget.controls.state is State.STOPPED
    assert 0 < sum(finished) < 80
    assert finished == sorted(finished, reverse=True)
    assert f"{sum(finished)} of 80 planes are finished" in widget.controls.state_line.text()
    planes = widget.result.metadata["fractoseg"]["planes"]
    assert planes == [[i] for i in range(sum(finished))]
    assert widget.controls.button.isEnabled()
    assert widget.result.editable


def test_a_failure_tells_which_planes_are_finished(widget, viewer, noise, qtbot):
    viewer.add_image(noise(4, 96, 96), name="z")
    widget.source.extent.value = "all"
    widget.advanced.confidence.value = True
    looks = []

    def run_out(module, inputs):
        if module.__class__.__name__ == "Unet" and inputs[0].shape[-1] == 96:
            looks.append(1)
            if len(looks) > 2:
                raise torch.OutOfMemoryError("CUDA out of memory")

    hook = torch.nn.modules.module.register_module_forward_pre_hook(run_out)
    try:
        segment(widget, qtbot, State.FAILED)
    finally:
        hook.remove()
    for layer in (widget.result, viewer.layers["z · confidence"]):
        assert layer.metadata["fractoseg"]["planes"] == [[0], [1]]


class Pause:
    """Holds the network at its first look at an image, while Cancel is clicked."""

    def __init__(self, size):
        self.size, self.looks = size, 0
        self._is_held, self._goes_on = threading.Event(), threading.Event()
        self._hook = torch.nn.modules.module.register_module_forward_pre_hook(self._look)

    def _look(self, module, inputs):
        if module.__class__.__name__ == "Unet" and inputs[0].shape[-1] == self.size:
            self.looks += 1
            self._is_held.set()
            self._goes_on.wait(60)

    def segment_and_cancel(self, widget, qtbot):
        """Click Segment, click Cancel during the first look, and wait for the end."""
        try:
            click(qtbot, widget.controls.button)
            qtbot.waitUntil(self._is_held.is_set, timeout=LONG)
            click(qtbot, widget.controls.progress.cancel_button)
            assert widget.controls.state is State.STOPPING
            self._goes_on.set()
            qtbot.waitUntil(lambda: widget.controls.is_idle, timeout=LONG)
        finally:
            self._goes_on.set()
            self._hook.remove()


def test_stopping_during_the_last_tile_is_done_not_stopped(widget, viewer, noise, qtbot):
    viewer.add_image(noise(96, 96), name="a")
    Pause(96).segment_and_cancel(widget, qtbot)
    assert widget.controls.state is State.DONE
    assert "Everything was finished" in widget.controls.state_line.text()
    assert widget.result_line.text()
    assert widget.result.metadata["fractoseg"]["planes"] == "all"


def test_a_run_can_be_stopped_between_two_mirror_images(widget, viewer, noise, qtbot):
    viewer.add_image(noise(96, 96), name="a")
    widget.advanced.flips.value = True
    pause = Pause(96)
    pause.segment_and_cancel(widget, qtbot)
    assert widget.controls.state is State.STOPPED
    assert pause.looks == 1
    assert "Nothing was finished" in widget.controls.state_line.text()
    assert [layer.name for layer in viewer.layers] == ["a"]


def test_what_shows_nothing_is_left_unlabelled_and_said(widget, viewer, noise, qtbot):
    stack = noise(3, 64, 64)
    stack[1] = 7
    viewer.add_image(stack, name="z")
    widget.source.extent.value = "all"
    segment(widget, qtbot)
    assert [bool(plane.any()) for plane in widget.result.data] == [True, False, True]
    assert "z, plane 2 of 3 (index 1): all grey levels are 7" in widget.result_line.text()
    assert widget.result.metadata["fractoseg"]["planes"] == [[0], [2]]


def test_colours_can_be_those_for_colour_blind_readers(widget, viewer, noise, qtbot):
    viewer.add_image(noise(64, 64))
    widget.advanced.palette.value = "colour-blind-safe"
    segment(widget, qtbot)
    safe = DEFAULT_SCHEME.with_palette("colour-blind-safe")
    assert scheme_of(widget.result) == widget.legend.scheme == safe
    widget.legend.add_class("dimples")
    widget.advanced.palette.value = ""
    assert scheme_of(widget.result).classes[:3] == DEFAULT_SCHEME.classes
    np.testing.assert_allclose(widget.result.colormap.color_dict[1], DEFAULT_SCHEME.classes[0].rgba)


def test_opening_the_dock_again_keeps_what_was_chosen(widget, viewer, noise):
    first = viewer.add_image(noise(64, 64), name="a")
    viewer.add_image(noise(64, 64), name="b")
    widget.source.choice.value = first
    widget.advanced.flips.value = not widget.advanced.flips.value
    chosen = widget.advanced.flips.value
    widget.window().show()
    widget.hide()
    widget.show()
    assert widget.advanced.flips.value is chosen
    assert widget.source.layer is first
    viewer.layers["b"].name = "renamed"
    assert widget.source.layer is first


def test_escape_cancels(make_napari_viewer, noise, qtbot):
    viewer = make_napari_viewer(show=True)
    widget = SegmentWidget(viewer)
    viewer.window.add_dock_widget(widget)
    viewer.add_image(noise(80, 64, 64))
    widget.source.extent.value = "all"
    viewer.window.activate()
    click(qtbot, widget.controls.button)
    qtbot.waitUntil(lambda: widget.result is not None, timeout=LONG)
    qtbot.keyClick(widget.controls.progress.cancel_button, Qt.Key.Key_Escape)
    assert widget.controls.state is State.STOPPING
    qtbot.waitUntil(lambda: widget.controls.is_idle, timeout=LONG)
    assert widget.controls.state is State.STOPPED


def test_a_second_click_during_a_run_starts_nothing(widget, viewer, noise, qtbot):
    viewer.add_image(noise(20, 64, 64))
    widget.source.extent.value = "all"
    click(qtbot, widget.controls.button)
    run = widget.run
    widget.segment()
    click(qtbot, widget.controls.button)
    assert widget.run is run
    qtbot.waitUntil(lambda: widget.controls.is_idle, timeout=LONG)
    assert sum("fracture modes" in layer.name for layer in viewer.layers) == 1


@pytest.fixture
def slow_network():
    """Networks take their time: what is shown meanwhile is seen on fast machines, too."""

    def dawdle(module, inputs):
        if isinstance(module, torch.nn.Conv2d):
            time.sleep(0.03)

    hook = torch.nn.modules.module.register_module_forward_pre_hook(dawdle)
    yield
    hook.remove()


def test_the_window_stays_alive(widget, viewer, noise, qtbot, slow_network):
    ticks = []
    timer = QTimer()
    timer.timeout.connect(lambda: ticks.append(widget.controls.is_idle))
    viewer.add_image(noise(768, 1024))
    click(qtbot, widget.controls.button)
    timer.start(5)
    qtbot.waitUntil(lambda: widget.controls.is_idle, timeout=LONG)
    timer.stop()
    assert ticks.count(False) > 5


def test_progress_names_planes_tiles_and_remaining_time(widget, viewer, noise, qtbot, slow_network):
    texts = []
    viewer.add_image(noise(3, 64, 2000))
    widget.source.extent.value = "all"
    widget.advanced.tile.value = 1536
    click(qtbot, widget.controls.button)
    widget.run.progressed.connect(lambda: texts.append(widget.controls.progress.text.text()))
    qtbot.waitUntil(lambda: widget.controls.is_idle, timeout=LONG)
    assert any(
        text.startswith("plane ") and "tile" in text and text.endswith(" s left") for text in texts
    ), texts


def test_out_of_memory_says_what_to_do_and_the_button_works_again(widget, viewer, noise, qtbot):
    viewer.add_image(noise(96, 96), name="a")
    notification_manager.records.clear()

    def run_out(module, inputs):
        if isinstance(module, torch.nn.Conv2d) and inputs[0].shape[-1] == 96:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9 GiB")

    hook = torch.nn.modules.module.register_module_forward_pre_hook(run_out)
    try:
        segment(widget, qtbot, State.FAILED)
    finally:
        hook.remove()
    assert "ran out of memory. Use smaller tiles" in widget.controls.state_line.text()
    assert "ran out of memory" in str(notification_manager.records[-1].message)
    assert [layer.name for layer in viewer.layers] == ["a"]
    segment(widget, qtbot)
    assert widget.result is not None


def test_nan_is_refused_with_a_count(widget, viewer, noise, qtbot):
    image = noise(64, 64).astype(np.float32)
    image[3, 4:7] = np.nan
    viewer.add_image(image, name="a", contrast_limits=(0, 255))
    segment(widget, qtbot, State.FAILED)
    assert "3 of 4096 pixels are NaN" in widget.controls.state_line.text()
    assert widget.controls.button.isEnabled()


def test_a_damaged_model_is_an_error_not_a_crash(
    widget, viewer, noise, qtbot, tiny_model, tmp_path, monkeypatch
):
    folder = tiny_model.save(tmp_path / "own" / "broken")
    (folder / "model.safetensors").write_bytes(b"rubbish")
    monkeypatch.setenv("FRACTOSEG_MODELS", str(folder.parent))
    widget.model.refresh()
    widget.model.choice.value = str(folder)
    viewer.add_image(noise(64, 64))
    segment(widget, qtbot, State.FAILED)
    assert "damaged" in widget.controls.state_line.text()


def test_the_image_may_be_removed_during_the_run(widget, viewer, noise, qtbot):
    layer = viewer.add_image(noise(20, 64, 64), name="z")
    widget.source.extent.value = "all"
    click(qtbot, widget.controls.button)
    viewer.layers.remove(layer)
    qtbot.waitUntil(lambda: widget.controls.is_idle, timeout=LONG)
    assert widget.result.data.all()


def test_removing_the_result_stops_the_run(widget, viewer, noise, qtbot):
    viewer.add_image(noise(80, 64, 64), name="z")
    widget.source.extent.value = "all"
    click(qtbot, widget.controls.button)
    qtbot.waitUntil(lambda: widget.result is not None, timeout=LONG)
    viewer.layers.remove(widget.result)
    qtbot.waitUntil(lambda: widget.controls.is_idle, timeout=LONG)
    assert widget.controls.state is State.STOPPED
    assert "removed" in widget.controls.state_line.text()


def test_without_a_model_a_line_says_what_to_do(viewer, noise, qtbot, monkeypatch, tmp_path):
    monkeypatch.setattr(
        "napari_fractoseg.models.registry.bundled_folder", lambda: tmp_path / "none"
    )
    monkeypatch.setenv("FRACTOSEG_MODELS", str(tmp_path / "mine"))
    widget = SegmentWidget(viewer)
    viewer.window.add_dock_widget(widget)
    viewer.add_image(noise(64, 64))
    assert not widget.controls.button.isEnabled()
    assert "No model was found" in widget.controls.state_line.text()
    assert str(tmp_path / "mine") in widget.controls.state_line.text()
    qtbot.waitUntil(lambda: not jobs.runs_under_way(), timeout=LONG)


def test_new_models_are_offered_when_the_dock_is_opened_again(
    widget, tiny_model, tmp_path, monkeypatch
):
    folder = tiny_model.save(tmp_path / "own" / "spinel")
    monkeypatch.setenv("FRACTOSEG_MODELS", str(folder.parent))
    assert str(folder) not in widget.model.choice.choices
    widget.window().show()
    widget.hide()
    widget.show()
    assert str(folder) in widget.model.choice.choices


def test_the_card_is_one_click_away(widget, qtbot):
    dialog = widget.model.show_card()
    browser = dialog.layout().itemAt(0).widget()
    text = browser.toPlainText()
    assert "intergranular" in text
    assert browser.textCursor().atStart()  # it opens at the top
    assert "A Unet network with encoder tu-test_resnet" in text
    assert "Folder:" in dialog.layout().itemAt(1).widget().text()
    dialog.close()


def test_a_card_is_text_whatever_it_says(widget, qtbot, tiny_model, tmp_path, monkeypatch):
    strange = tiny_model.with_card(name="strange", description="<img src='x'> <b>bold</b>")
    strange.save(tmp_path / "own" / "strange")
    monkeypatch.setenv("FRACTOSEG_MODELS", str(tmp_path / "own"))
    widget.model.refresh()
    widget.model.choice.value = str(tmp_path / "own" / "strange")
    dialog = widget.model.show_card()
    assert "<b>bold</b>" in dialog.layout().itemAt(0).widget().toPlainText()
    dialog.close()


def test_the_name_of_the_bundled_model_can_be_read(viewer, qtbot):
    widget = SegmentWidget(viewer)
    viewer.window.add_dock_widget(widget)
    widget.window().show()
    box = widget.model.choice.native
    box.resize(box.minimumSizeHint())
    option = QStyleOptionComboBox()
    box.initStyleOption(option)
    field = box.style().subControlRect(
        QStyle.ComplexControl.CC_ComboBox, option, QStyle.SubControl.SC_ComboBoxEditField, box
    )
    assert box.fontMetrics().horizontalAdvance(widget.model.entry.title) <= field.width()
    qtbot.waitUntil(lambda: not jobs.runs_under_way(), timeout=LONG)


def test_the_device_line_says_what_was_found_and_why_not_the_gpu(widget):
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    assert widget.device.label.text().startswith("CPU (")
    box = widget.device.explain()
    assert "CUDA" in box.text()
    box.close()


def test_the_legend_selects_the_brush_label(widget, viewer, noise, qtbot):
    viewer.add_image(noise(64, 64))
    assert not widget.legend.buttons[1].isEnabled()
    segment(widget, qtbot)
    click(qtbot, widget.legend.buttons[2])
    assert widget.result.selected_label == 2
    widget.result.selected_label = 3
    assert widget.legend.buttons[3].isChecked()
    assert not widget.legend.buttons[2].isChecked()


def test_keys_select_the_class_in_the_dock_and_on_the_canvas(make_napari_viewer, noise, qtbot):
    viewer = make_napari_viewer(show=True)
    widget = SegmentWidget(viewer)
    viewer.window.add_dock_widget(widget)
    viewer.add_image(noise(64, 64))
    segment(widget, qtbot)
    viewer.window.activate()
    widget.brush_button.setFocus()
    qtbot.waitUntil(widget.brush_button.hasFocus, timeout=20_000)
    qtbot.keyClick(widget.brush_button, Qt.Key.Key_2)
    assert widget.result.selected_label == 2
    qtbot.keyClick(widget.brush_button, Qt.Key.Key_9)
    assert widget.result.selected_label == 2
    keys = {str(key): action for key, action in widget.result.keymap.items()}
    keys["3"](widget.result)
    assert widget.legend.buttons[3].isChecked()


def test_a_click_in_the_legend_starts_the_brush_on_the_layer_it_is_about(
    widget, viewer, noise, qtbot
):
    image = viewer.add_image(noise(64, 64))
    segment(widget, qtbot)
    viewer.layers.selection.active = image
    widget.result.visible = False
    click(qtbot, widget.legend.buttons[2])
    assert viewer.layers.selection.active is widget.result
    assert (widget.result.selected_label, widget.result.mode) == (2, "paint")
    assert widget.result.visible


def test_labels_painted_by_hand_get_the_classes_of_the_model(widget, viewer, noise, qtbot):
    viewer.add_image(noise(64, 64))
    segment(widget, qtbot)
    by_hand = viewer.add_labels(np.zeros((64, 64), np.uint8))
    assert not widget.legend.buttons[1].isEnabled()
    click(qtbot, widget.legend.use_button)
    assert scheme_of(by_hand) == DEFAULT_SCHEME
    click(qtbot, widget.legend.buttons[3])
    assert (by_hand.selected_label, by_hand.mode) == (3, "paint")
    assert widget.result.selected_label == 1


def test_what_is_changed_of_the_classes_travels_to_the_next_result(
    widget, viewer, noise, qtbot, tiny_folder
):
    image = noise(64, 64)
    viewer.add_image(image, name="a")
    segment(widget, qtbot)
    widget.legend.add_class("dimples")
    widget.legend.rename_class(1, "grain boundary")
    widget.legend.recolour_class(2, "#102030")
    changed = scheme_of(widget.result)
    segment(widget, qtbot)
    second = viewer.layers["a · fracture modes [2]"]
    assert widget.result is second
    assert scheme_of(second) == changed
    assert changed.names == ("grain boundary", "transgranular", "background", "dimples")
    np.testing.assert_array_equal(second.data, labels_of(image, tiny_folder))
    viewer.layers.clear()
    assert "grain boundary" in widget.legend.buttons[1].text()
    again = SegmentWidget(viewer)  # closed, and opened again
    viewer.window.add_dock_widget(again)
    again.model.choice.value = str(tiny_folder)
    assert again.legend.scheme == changed
    again.model.choice.value = str(bundled_folder() / "fracture-modes")
    assert again.legend.scheme == DEFAULT_SCHEME
    qtbot.waitUntil(lambda: not jobs.runs_under_way(), timeout=LONG)


def test_the_keys_are_listed_where_one_paints(widget, viewer):
    from napari_fractoseg._napari.train.dock import TrainWidget

    train = TrainWidget(viewer)
    viewer.window.add_dock_widget(train)
    for dock in (widget, train):
        texts = [label.text().replace("\u00a0", " ") for label in dock.findChildren(QLabel)]
        assert any("1–9 brush of a class · P brush · F fill" in text for text in texts)  # noqa: RUF001


def test_a_label_that_is_no_class_says_so_beside_the_legend(widget, viewer, noise, qtbot):
    viewer.add_image(noise(64, 64))
    segment(widget, qtbot)
    click(qtbot, widget.brush_button)
    widget.result.selected_label = 7
    assert "label 7, which is no class" in widget.legend.line.text()
    widget.result.brush_size = 1
    widget.result.paint((5, 5), 7)
    qtbot.waitUntil(lambda: "no class (1 px)" in widget.legend.line.text(), timeout=20_000)
    click(qtbot, widget.legend.buttons[1])
    assert "Labels that are no class: 7 (1 px)" in widget.legend.line.text()


def test_a_class_can_be_added_and_is_selected(widget, viewer, noise, qtbot):
    viewer.add_image(noise(64, 64))
    segment(widget, qtbot)
    dialog = widget.legend.ask_for_class()
    dialog.setTextValue("dimples")
    dialog.accept()
    assert widget.result.selected_label == 4
    assert "dimples" in widget.legend.buttons[4].text()
    assert widget.result.metadata["fractoseg"]["scheme"]["classes"][-1]["name"] == "dimples"
    widget.legend.add_class("dimples")
    assert len(widget.legend.buttons) == 4


def test_the_legend_follows_the_active_labels(widget, viewer, noise, qtbot):
    viewer.add_image(noise(64, 64))
    segment(widget, qtbot)
    first = widget.result
    segment(widget, qtbot)
    viewer.layers.selection.active = first
    click(qtbot, widget.legend.buttons[3])
    assert (first.selected_label, widget.result.selected_label) == (3, 1)


def test_an_image_opened_later_becomes_the_choice(widget, viewer, noise):
    viewer.add_image(noise(64, 64), name="a")
    second = viewer.add_image(noise(32, 32), name="b")
    assert widget.source.layer is second
    second.name = "renamed"
    assert "renamed" in widget.source.choice.native.currentText()
    viewer.layers.remove(second)
    assert widget.source.layer.name == "a"
    viewer.layers.clear()
    assert widget.controls.state is State.NOT_READY


def test_a_pixel_size_given_later_is_shown(widget, viewer, noise):
    layer = viewer.add_image(noise(64, 64))
    layer.units = ("um", "um")
    layer.scale = (0.25, 0.25)
    assert widget.source.line.text().endswith("\n0.25 µm/px")


def test_the_usual_path_fits_a_small_screen(widget, viewer, noise, qtbot):
    viewer.add_image(noise(3, 64, 64))
    segment(widget, qtbot)
    assert widget.minimumSizeHint().width() <= 360
    assert widget.sizeHint().height() <= 800


def test_opened_from_the_plugin_menu(make_napari_viewer, noise, qtbot, tiny_folder):
    viewer = make_napari_viewer()
    _, widget = viewer.window.add_plugin_dock_widget("napari-fractoseg", "Segment fracture modes")
    widget.model.choice.value = str(tiny_folder)
    viewer.add_image(noise(3, 48, 64), name="a", scale=(1, 0.5, 0.5), rotate=(0, 0, 10))
    segment(widget, qtbot)
    click(qtbot, widget.brush_button)
    result = viewer.layers["a · fracture modes"]
    assert viewer.layers.selection.active is result
    np.testing.assert_allclose(result.rotate, viewer.layers["a"].rotate)
    click(qtbot, widget.legend.buttons[2])
    assert result.selected_label == 2


def test_the_bundled_model_finds_both_modes_in_a_synthetic_surface(viewer, qtbot):
    assert Path(bundled_folder(), "fracture-modes").is_dir(), "the bundled model is missing"
    from napari_fractoseg.samples import synthetic_fracture

    widget = SegmentWidget(viewer)
    viewer.window.add_dock_widget(widget)
    assert widget.model.entry.is_bundled
    viewer.add_image(synthetic_fracture(seed=3, shape=(256, 256)).image)
    segment(widget, qtbot)
    assert {1, 2} <= set(np.unique(widget.result.data))


class TestWhatTheModelDoesNotKnow:
    @pytest.fixture
    def knowing(self, tiny_model, tmp_path, monkeypatch):
        """The tiny model, which learnt five images of noise."""
        from napari_fractoseg.datasets.dataset import TrainingPair, TrainingSet
        from napari_fractoseg.images import Micrograph
        from napari_fractoseg.jobs import drain
        from napari_fractoseg.models.devices import choose_device
        from napari_fractoseg.training.familiarity import familiarity_job

        pairs = [
            TrainingPair(Micrograph(self.fine(seed)), np.ones((320, 320), np.uint8))
            for seed in range(5)
        ]
        taught = TrainingSet(tuple(pairs), DEFAULT_SCHEME)
        found = drain(familiarity_job(tiny_model, taught, choose_device("cpu")))
        monkeypatch.setenv("FRACTOSEG_MODELS", str(tmp_path / "models"))
        return tiny_model.with_familiarity(found).save(tmp_path / "models" / "knowing")

    @staticmethod
    def fine(seed):
        return np.random.default_rng(seed).integers(0, 255, (320, 320)).astype(np.uint8)

    @pytest.fixture
    def widget(self, viewer, qtbot, knowing):
        widget = SegmentWidget(viewer)
        viewer.window.add_dock_widget(widget, name="Segment")
        qtbot.waitUntil(lambda: not jobs.runs_under_way(), timeout=LONG)
        widget.model.choice.value = str(knowing)
        widget.device.choice.value = "cpu"
        return widget

    def test_an_unlike_surface_is_said_and_shown(self, widget, viewer, noise, qtbot):
        place = {"scale": (0.5, 0.5), "translate": (10, 20)}
        viewer.add_image(noise(320, 320), name="blocks", **place)
        segment(widget, qtbot)
        assert "This surface looks unlike what the model learnt (" in widget.result_line.text()
        facts = facts_of(widget.result)
        assert facts["unlike"].startswith("This surface looks unlike")
        assert facts["familiarity"] > facts["familiarity_limit"]
        assert widget.unlike_button.isVisibleTo(widget)
        selected = viewer.layers.selection.active
        click(qtbot, widget.unlike_button)
        layer = viewer.layers["blocks · unlike what the model learnt"]
        assert viewer.layers.selection.active is selected
        image = viewer.layers["blocks"]
        # napari's extent is that of the centres of the pixels, but for half a pixel on each side.
        np.testing.assert_allclose(
            layer._extent_data_augmented[:] @ np.diag(layer.scale) + layer.translate,
            image._extent_data_augmented[:] @ np.diag(image.scale) + image.translate,
        )

    def test_a_surface_that_is_known_needs_no_word(self, widget, viewer, qtbot):
        viewer.add_image(self.fine(9), name="fine")
        segment(widget, qtbot)
        assert "unlike" not in widget.result_line.text()
        assert not widget.unlike_button.isVisibleTo(widget)
