"""The row on the info bar in the Segment dock, and the result without it."""

import numpy as np
import pytest
from qtpy.QtCore import Qt

from napari_fractoseg._napari.excluded import area_of, area_of_labels, areas_of
from napari_fractoseg._napari.layer_metadata import facts_of

pytestmark = pytest.mark.usefixtures("no_job_left")

LONG = 120_000


def click(qtbot, widget):
    qtbot.mouseClick(widget, Qt.MouseButton.LeftButton, pos=widget.rect().center())


def tick(dock):
    dock.info_bar.tick.click()


@pytest.fixture
def segment(segment_dock, qtbot):
    """Press Segment, and return the layer of the result."""

    def run():
        click(qtbot, segment_dock.controls.button)
        qtbot.waitUntil(lambda: segment_dock.controls.is_idle, timeout=LONG)
        return segment_dock.result

    return run


def is_shown(dock):
    return not dock.info_bar.isHidden()


def test_the_row_is_there_for_images_with_an_info_bar_only(segment_dock, surface, barred):
    dock, viewer = segment_dock, segment_dock.viewer
    assert not is_shown(dock)
    viewer.add_image(surface, name="without")
    assert not is_shown(dock)
    assert dock.info_bar.other_button.isVisibleTo(dock.advanced)
    viewer.add_image(barred, name="with")
    assert is_shown(dock)
    assert dock.info_bar.tick.isChecked()
    assert dock.info_bar.line.text().startswith("Rows 176 to 199. At the lower edge")
    assert "band of one grey level with text" in dock.info_bar.line.text()


def test_its_tick_decides_what_is_segmented(segment_dock, barred):
    dock = segment_dock
    dock.viewer.add_image(barred)
    request = dock.request()
    assert request.image.excluded.bands == ((176, 200),)
    assert dock.request().is_same_work_as(request)
    tick(dock)
    assert dock.request().image.excluded is None
    assert dock.info_bar.line.text().startswith("Rows 176 to 199.")
    assert not dock.request().is_same_work_as(request)
    tick(dock)
    assert dock.request().is_same_work_as(request)
    layer = dock.viewer.layers[0]
    dock.info_bar.edit_button.click()
    assert dock.request().is_same_work_as(request)
    helper = dock.viewer.layers.selection.active
    assert dock.source.layer == layer
    helper.data[100:] = 1
    helper.refresh()
    assert not dock.request().is_same_work_as(request)
    tick(dock)
    assert dock.info_bar.line.text() == "Rows 100 to 199."
    assert not helper.visible


def test_an_area_can_be_drawn_on_an_image_without_a_bar(segment_dock, surface, qtbot):
    dock = segment_dock
    dock.viewer.add_image(surface, name="s17")
    dock.info_bar.other_button.click()
    assert dock.info_bar.line.text() == "Nothing yet: paint it on the layer."
    assert dock.info_bar.title.text() == "Area"
    helper = dock.viewer.layers["s17 · excluded"]
    helper.brush_size = 10
    helper.paint((50, 60), 1)
    qtbot.waitUntil(lambda: dock.info_bar.line.text() == "An area that was drawn.", timeout=20_000)
    dock.viewer.layers.remove(helper)
    qtbot.waitUntil(lambda: not is_shown(dock), timeout=20_000)
    assert dock.request().image.excluded is None


def test_the_result_is_0_in_the_bar_and_its_fractions_are_of_the_rest(
    segment_dock, segment, barred, qtbot
):
    dock = segment_dock
    dock.viewer.add_image(barred, name="s17")
    labels = segment()
    assert not labels.data[176:].any()
    assert labels.data[:176].all()
    assert facts_of(labels)["excluded"]["rows"] == [[176, 200]]
    line = dock.result_line
    qtbot.waitUntil(lambda: "Left out: rows 176 to 199" in line.text(), timeout=LONG)
    assert sum(line.counts().values()) == 176 * 240
    assert 0 not in line.counts()
    tick(dock)
    qtbot.waitUntil(lambda: line.counts() and line.counts().get(0) == 24 * 240, timeout=LONG)
    assert "Left out" not in line.text()


def test_planes_of_one_stack_do_not_share_a_result_if_other_pixels_are_left_out(
    segment_dock, segment, barred
):
    dock = segment_dock
    dock.viewer.add_image(np.stack([barred, barred]), name="s17")
    dock.viewer.dims.set_point(0, 0)
    first = segment()
    tick(dock)
    dock.viewer.dims.set_point(0, 1)
    second = segment()
    assert second is not first
    assert not first.data[0, 176:].any()
    assert second.data[1, 176:].any()


def test_what_was_painted_comes_back_with_a_saved_result_without_its_image(
    segment_dock, segment, barred, qtbot, tmp_path
):
    dock, viewer = segment_dock, segment_dock.viewer
    image = viewer.add_image(barred, name="s17")
    helper = areas_of(viewer).edit(image)
    helper.brush_size = 20
    helper.paint((50, 60), 1)
    expected = np.asarray(area_of(viewer, image).of_plane()[...])
    dock.advanced.save.value = tmp_path
    labels = segment()
    assert not np.asarray(labels.data)[expected].any()
    viewer.layers.clear()
    (opened,) = viewer.open(tmp_path / "s17_labels.zarr" / "zarr.json", plugin="napari-fractoseg")
    area = area_of_labels(viewer, opened)
    np.testing.assert_array_equal(area.of_plane()[...], expected)
    assert area_of_labels(viewer, opened) is area
