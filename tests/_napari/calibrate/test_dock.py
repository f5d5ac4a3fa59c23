"""The dock "Pixel size": typed, or measured on the scale bar."""

from __future__ import annotations

import numpy as np
import pytest

import sem_files as made
from napari_fractoseg._napari.calibrate.dock import CalibrateWidget
from napari_fractoseg._napari.calibrate.row import PixelSizeRow
from napari_fractoseg._napari.calibrate.sizes import size_of

pytestmark = pytest.mark.usefixtures("no_job_left")


@pytest.fixture
def dock(viewer):
    viewer.add_image(np.zeros((40, 200), np.uint8), name="s17")
    dock = CalibrateWidget(viewer)
    viewer.window.add_dock_widget(dock, name="Pixel size")
    return dock


def draw(dock, start, end):
    """Draw a line between two pixels of the image, as the mouse does."""
    dock.draw_button.click()
    layer, image = dock.viewer.layers.selection.active, dock.image.value
    assert layer.mode == "add_line"
    ends = [
        layer.world_to_data(image.data_to_world((*(0,) * (image.ndim - 2), *end))[-2:])
        for end in (start, end)
    ]
    layer.add_lines(np.array(ends))


def test_without_an_image_or_a_number_nothing_can_be_applied(viewer):
    dock = CalibrateWidget(viewer)
    viewer.window.add_dock_widget(dock, name="Pixel size")
    assert dock.line.text() == "Open an image first."
    assert not dock.apply_button.isEnabled()
    viewer.add_image(np.zeros((4, 5), np.uint8))
    assert "Type a number with a unit" in dock.line.text()
    dock.edge.setText("20")
    dock.edge_unit.value = "mm"
    assert "No pixel is 20 mm wide" in dock.line.text()
    assert not dock.apply_button.isEnabled()


def test_a_number_that_is_typed_is_given_and_taken_back(dock):
    image = dock.viewer.layers["s17"]
    dock.edge.setText("88,1")
    dock.edge_unit.value = "nm"
    assert dock.line.text() == "0.0881 µm a pixel (typed by hand)"
    dock.apply_button.click()
    assert size_of(image).square_um == pytest.approx(0.0881)
    assert size_of(image).source == "typed by hand"
    dock.row.back_button.click()
    assert size_of(image).x_um is None


@pytest.mark.parametrize("place", [{}, {"rotate": 30, "translate": (5, 9)}, {"scale": (3, 3)}])
def test_the_line_over_the_bar_is_measured_in_pixels_of_the_image(viewer, dock, place):
    viewer.layers.clear()
    image = viewer.add_image(np.zeros((40, 200), np.uint8), name="s17", **place)
    dock.how.value = "bar"
    assert dock.line.text().startswith("Press Draw")
    draw(dock, (35, 10), (35, 180))
    dock.bar.setText("15")
    assert dock.line.text().startswith("170 px = 15 µm: 0.08824 µm a pixel (± 0.6 %")
    dock.apply_button.click()
    assert size_of(image).square_um == pytest.approx(15 / 170)
    assert size_of(image).source == "scale bar"
    assert "± 0.6 %" in dock.row.line.text()
    assert viewer.layers.selection.active == image
    assert dock.line.text().startswith("170 px")


def test_the_bar_of_a_stack_is_drawn_on_one_layer_for_all_planes(viewer, dock):
    viewer.layers.clear()
    stack = viewer.add_image(np.zeros((3, 40, 200), np.uint8), name="s17")
    dock.how.value = "bar"
    draw(dock, (35, 10), (35, 110))
    dock.bar.setText("10")
    dock.apply_button.click()
    assert stack.scale == pytest.approx([1, 0.1, 0.1])


def test_the_last_line_counts_and_one_that_is_no_line_is_refused(dock):
    dock.how.value = "bar"
    draw(dock, (35, 10), (35, 110))
    dock.bar.setText("10")
    draw(dock, (35, 10), (35, 60))
    assert dock.line.text().startswith("50 px")
    draw(dock, (35, 10), (35, 11))
    assert "1.0 px long" in dock.line.text()
    assert not dock.apply_button.isEnabled()


def test_all_open_images_of_a_folder_get_it_on_demand(viewer, tmp_path, opened):
    (tmp_path / "other").mkdir()
    first, second = (opened(made.write_tiff(tmp_path / f"{name}.tif")) for name in "ab")
    far = opened(made.write_tiff(tmp_path / "other" / "c.tif"))
    dock = CalibrateWidget(viewer)
    viewer.window.add_dock_widget(dock, name="Pixel size")
    assert dock.folder_box.isHidden()  # of the uppermost, which is alone in its folder
    dock.choose(first)
    assert dock.folder_box.text() == f"all 2 open images of {tmp_path.name}"
    dock.edge.setText("0.5")
    dock.folder_box.setChecked(True)
    dock.apply_button.click()
    assert [size_of(x).square_um for x in (first, second, far)] == [0.5, 0.5, None]


def test_layers_that_may_be_of_another_image_are_offered(viewer, dock):
    image = viewer.layers["s17"]
    viewer.add_image(np.zeros((40, 200), np.uint8), name="t13")
    painted = viewer.add_labels(np.zeros((40, 200), np.uint8), name="Labels")
    dock.choose(image)
    ((box, layer),) = dock._boxes
    assert layer == painted
    dock.edge.setText("0.5")
    dock.apply_button.click()
    assert [str(unit) for unit in painted.units] == ["pixel"] * 2
    dock.row.take_back()
    box.setChecked(True)
    dock.apply_button.click()
    assert painted.scale == pytest.approx([0.5, 0.5])


def test_calibrate_opens_one_dock_with_the_image_chosen(viewer, dock, qtbot):
    other = viewer.add_image(np.zeros((4, 5), np.uint8), name="t13")
    dock.choose(viewer.layers["s17"])
    row = PixelSizeRow(viewer)
    viewer.window.add_dock_widget(row, name="row")
    row.show_images([other])
    row.calibrate_button.click()
    assert dock.image.value == other
    window = dock.window()
    assert window.findChildren(CalibrateWidget) == [dock]
