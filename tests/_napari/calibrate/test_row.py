"""The row of the docks: what the file says is offered, used, and taken back."""

from __future__ import annotations

import numpy as np
import pytest

import sem_files as made
from napari_fractoseg._napari import jobs
from napari_fractoseg._napari.audit.dock import AuditWidget
from napari_fractoseg._napari.calibrate.row import PixelSizeRow
from napari_fractoseg._napari.calibrate.sizes import size_of
from napari_fractoseg._napari.layers import labels_layer, placement
from napari_fractoseg._napari.measure.dock import MeasureWidget
from napari_fractoseg.classes import DEFAULT_SCHEME

pytestmark = pytest.mark.usefixtures("no_job_left")

ZEISS = "0.2 µm a pixel (Zeiss ap_image_pixel_size)."
DPI_96 = 25400 / 96


@pytest.fixture
def read(qtbot):
    """Wait until no file is being read."""

    def wait():
        qtbot.waitUntil(lambda: not jobs.runs_under_way(), timeout=20_000)

    return wait


@pytest.fixture
def row(viewer, qtbot, read):
    """Make a row that shows layers, with their files read."""

    def make(*layers):
        row = PixelSizeRow(viewer)
        qtbot.addWidget(row)
        row.show_images(layers)
        read()
        return row

    return make


def buttons(row):
    named = {
        "use": row.use_button,
        "all": row.all_button,
        "pixels": row.pixels_button,
        "back": row.back_button,
        "calibrate": row.calibrate_button,
    }
    return {name for name, button in named.items() if not button.isHidden()}


def test_the_size_of_the_file_is_offered_used_and_taken_back(zeiss, opened, row):
    layer = opened(zeiss)
    found = row(layer)
    assert found.line.text() == ZEISS
    assert buttons(found) == {"use", "calibrate"}
    found.use_button.click()
    assert layer.scale == pytest.approx([0.2, 0.2])
    assert found.line.text() == "Pixel size: Zeiss ap_image_pixel_size."
    assert buttons(found) == {"back", "calibrate"}
    found.back_button.click()
    assert layer.scale == pytest.approx([1, 1])
    assert found.line.text() == ZEISS


def test_a_file_without_a_size_says_so_and_nothing_is_offered(plain, opened, row):
    found = row(opened(plain))
    assert found.line.text() == "Its file says no pixel size."
    assert buttons(found) == {"calibrate"}


def test_print_resolution_is_told_and_the_right_one_is_offered(zeiss, opened, row):
    layer = opened(zeiss, DPI_96)
    found = row(layer)
    assert found.line.text().startswith(ZEISS)
    assert "96 dots per inch is the resolution of a screen or print" in found.line.text()
    assert buttons(found) == {"use", "calibrate"}
    found.use_button.click()
    assert size_of(layer).square_um == pytest.approx(0.2)


def test_print_resolution_of_a_file_without_a_size_can_be_set_to_pixels(plain, opened, row):
    layer = opened(plain, DPI_96)
    found = row(layer)
    assert buttons(found) == {"pixels", "calibrate"}
    found.pixels_button.click()
    assert [str(unit) for unit in layer.units] == ["pixel", "pixel"]
    assert layer.scale == pytest.approx([1, 1])
    assert buttons(found) == {"back", "calibrate"}


def test_another_size_of_the_layer_is_told_beside_that_of_the_file(zeiss, opened, row):
    found = row(opened(zeiss, 0.3))
    assert found.line.text() == f"Its file says {ZEISS}"
    assert "use" in buttons(found)


def test_pixels_that_are_not_square_are_used_with_both_edges(tmp_path, opened, row):
    tags = {made.FEI: made.FEI_TEXT.replace("PixelHeight=2e-07", "PixelHeight=3e-07")}
    tags[made.FEI] = tags[made.FEI].replace("VFW=6e-06", "VFW=9e-06")
    layer = opened(made.write_tiff(tmp_path / "a.tif", tags))
    found = row(layer)
    assert found.line.text().startswith("0.2 x 0.3 µm a pixel (FEI [EScan] PixelWidth).")
    assert "not square" in found.line.text()
    found.use_button.click()
    assert layer.scale == pytest.approx([0.3, 0.2])


def test_an_estimate_and_a_contradiction_are_told(tmp_path, opened, row):
    path = made.write_tiff(tmp_path / "a.tif")
    text = made.JEOL_TEXT.replace("$$SM_MICRON_BAR 10\r\n", "")
    path.with_suffix(".txt").write_text(text, newline="")
    assert "estimated from the magnification" in row(opened(path)).line.text()
    zeiss = made.ZEISS_TEXT.replace("8.000 µm", "9.000 µm").replace("7.8125e-09", "1e-08")
    other = row(opened(made.write_tiff(tmp_path / "b.tif", {made.ZEISS: zeiss})))
    assert "contradicts itself" in other.line.text()
    assert "use" not in buttons(other)


def test_all_open_images_get_what_their_own_files_say(tmp_path, zeiss, plain, opened, row):
    first, second, none = opened(zeiss), None, opened(plain)
    fei = made.FEI_TEXT.replace("2e-07", "5e-07").replace("8e-06", "2e-05")
    fei = fei.replace("6e-06", "1.5e-05")
    second = opened(made.write_tiff(tmp_path / "fei.tif", {made.FEI: fei}))
    found = row(first)
    assert found.all_button.text() == "Use for all 2 open images"
    found.all_button.click()
    assert size_of(first).square_um == pytest.approx(0.2)
    assert size_of(second).square_um == pytest.approx(0.5)
    assert size_of(none).x_um is None
    assert "all" not in buttons(found)


def test_the_segment_dock_offers_it_and_the_image_line_follows(segment_dock, zeiss, read):
    viewer = segment_dock.viewer
    viewer.open(str(zeiss), plugin="napari")
    read()
    row = segment_dock.source.pixel_size
    assert row.line.text() == ZEISS
    row.use_button.click()
    assert segment_dock.source.line.text().endswith("\n0.2 µm/px")
    assert segment_dock.request().image.pixel_size_from == "Zeiss ap_image_pixel_size"


def test_print_resolution_is_unknown_in_the_segment_dock(segment_dock, plain, read):
    (layer,) = segment_dock.viewer.open(str(plain), plugin="napari")
    layer.scale, layer.units = (DPI_96, DPI_96), ("um", "um")
    read()
    assert segment_dock.source.line.text().endswith("\npixel size unknown")


def test_measuring_goes_on_in_micrometres_and_the_old_number_is_marked(
    viewer, zeiss, opened, read, qtbot
):
    image = opened(zeiss)
    labels = labels_layer(
        np.ones((30, 40), np.uint8),
        DEFAULT_SCHEME,
        name="zeiss · fracture modes",
        place=placement(image),
        metadata={"image": "zeiss"},
    )
    viewer.add_layer(labels)
    dock = MeasureWidget(viewer)
    viewer.window.add_dock_widget(dock, name="Measure")
    read()

    def measured():
        dock.controls.button.click()
        qtbot.waitUntil(lambda: dock.controls.is_idle, timeout=20_000)
        return dock.result

    (image_measured,) = measured().request.images
    assert (image_measured.pixel_size_um, image_measured.pixel_size_from) == (None, "")
    assert dock.size_row.line.text() == ZEISS
    dock.size_row.use_button.click()
    assert dock.outdated()
    assert dock.pixel_size.line.text() == "µm, Zeiss ap_image_pixel_size"
    assert not dock.size_row.line.text(), "said once is enough"
    (image_measured,) = measured().request.images
    assert image_measured.pixel_size_um == pytest.approx(0.2)
    assert image_measured.pixel_size_from == "Zeiss ap_image_pixel_size"
    assert dock.result.measurement.fields["analysed_um2"].sum() == pytest.approx(48)
    dock.size_row.back_button.click()
    assert dock.outdated()
    assert dock.pixel_size.line.text() == "not known: sizes in pixels"


def test_labels_over_a_printed_scale_are_measured_in_pixels(viewer, plain, opened, read):
    image = opened(plain, DPI_96)
    viewer.add_labels(np.ones((30, 40), np.uint8), **placement(image))
    dock = MeasureWidget(viewer)
    viewer.window.add_dock_widget(dock, name="Measure")
    read()
    assert dock.pixel_size.line.text() == "not known: sizes in pixels"
    assert "dots per inch" in dock.size_row.line.text()


def test_the_audit_dock_offers_it_for_the_image_of_the_labels(viewer, zeiss, opened, read):
    image = opened(zeiss)
    labels = labels_layer(
        np.ones((30, 40), np.uint8),
        DEFAULT_SCHEME,
        name="zeiss · fracture modes",
        place=placement(image),
        metadata={"image": "zeiss"},
    )
    viewer.add_layer(labels)
    dock = AuditWidget(viewer)
    viewer.window.add_dock_widget(dock, name="Audit")
    read()
    assert dock.size_row.line.text() == ZEISS
    dock.size_row.use_button.click()
    assert labels.scale == pytest.approx([0.2, 0.2])
