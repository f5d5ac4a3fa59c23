"""Commands of the menus: SEM images are opened with their size, and get that of their file."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
from napari.utils.notifications import notification_manager

import sem_files as made
from napari_fractoseg._napari import jobs
from napari_fractoseg._napari.calibrate.commands import (
    ask_for_sem_images,
    open_sem_images,
    size_from_file,
)
from napari_fractoseg._napari.calibrate.sizes import size_of

pytestmark = pytest.mark.usefixtures("no_job_left")


@pytest.fixture
def done(qtbot):
    def wait():
        qtbot.waitUntil(lambda: not jobs.runs_under_way(), timeout=20_000)

    return wait


@pytest.fixture
def told():
    """Return what napari told since."""
    before = len(notification_manager.records)
    return lambda: [note.message for note in notification_manager.records[before:]]


def test_an_image_is_opened_as_grey_levels_with_its_size_and_file(viewer, zeiss, done):
    open_sem_images(viewer, [zeiss])
    done()
    (layer,) = viewer.layers
    assert layer.name == "zeiss"
    assert layer.source.path == str(zeiss)
    assert layer.scale == pytest.approx([0.2, 0.2])
    assert size_of(layer).source == "Zeiss ap_image_pixel_size"
    np.testing.assert_array_equal(layer.data, tifffile.imread(zeiss))


def test_a_palette_from_black_to_white_is_grey(viewer, tmp_path, done):
    data = np.arange(120, dtype=np.uint8).reshape(10, 12)
    ramp = np.tile(np.arange(256, dtype=np.uint16) * 257, (3, 1))
    tifffile.imwrite(tmp_path / "a.tif", data, photometric="palette", colormap=ramp)
    open_sem_images(viewer, [tmp_path / "a.tif"])
    done()
    (layer,) = viewer.layers
    assert not layer.rgb
    np.testing.assert_array_equal(layer.data, data)


def test_what_cannot_be_read_is_told_and_the_others_are_opened(viewer, zeiss, tmp_path, done, told):
    (tmp_path / "broken.tif").write_bytes(b"II*\0")
    open_sem_images(viewer, [tmp_path / "broken.tif", zeiss])
    done()
    assert [layer.name for layer in viewer.layers] == ["zeiss"]
    assert any("broken.tif" in text for text in told())


def test_a_stack_is_opened_with_its_planes(viewer, tmp_path, done):
    path = made.write_tiff(tmp_path / "a.tif", {made.ZEISS: made.ZEISS_TEXT}, shape=(3, 30, 40))
    open_sem_images(viewer, [path])
    done()
    (layer,) = viewer.layers
    assert layer.scale == pytest.approx([1, 0.2, 0.2])
    assert [str(unit) for unit in layer.units] == ["pixel", "micrometer", "micrometer"]


def test_the_dialog_opens_the_files_that_are_chosen(viewer, zeiss, done):
    dialog = ask_for_sem_images()
    dialog.filesSelected.emit([str(zeiss)])
    done()
    assert len(viewer.layers) == 1
    dialog.close()


def test_the_size_is_taken_from_all_files_and_it_is_told(viewer, zeiss, plain, opened, done, told):
    first, second = opened(zeiss), opened(plain)
    viewer.layers.selection.clear()
    size_from_file()
    done()
    assert size_of(first).square_um == pytest.approx(0.2)
    assert size_of(second).x_um is None
    (text,) = [text for text in told() if "Zeiss" in text]
    assert "zeiss: 0.2 µm a pixel (Zeiss ap_image_pixel_size)" in text
    assert "The file of plain says no pixel size." in text
    size_from_file()
    done()
    assert "zeiss had a pixel size already." in told()[-1]


def test_only_selected_images_get_it(viewer, zeiss, tmp_path, opened, done):
    first = opened(zeiss)
    other = opened(made.write_tiff(tmp_path / "b.tif", {made.ZEISS: made.ZEISS_TEXT}))
    viewer.layers.selection = {other}
    size_from_file()
    done()
    assert size_of(first).x_um is None
    assert size_of(other).square_um == pytest.approx(0.2)


def test_without_an_image_from_a_file_it_says_so(viewer, told):
    viewer.add_image(np.zeros((4, 5), np.uint8))
    assert size_from_file() is None
    assert told() == ["Open an image first: no image of the window is from a file."]
