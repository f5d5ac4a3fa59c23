"""Names of planes: which image of a VIA file is shown."""

import json

import imageio.v3 as iio
import numpy as np
import pytest

from napari_fractoseg._napari.plane_names import PlaneOverlay, shown_plane_name
from napari_fractoseg._napari.segment.dock import SegmentWidget

pytestmark = pytest.mark.usefixtures("no_job_left", "tiny_installed")

POLYGON = {"name": "polygon", "all_points_x": [1, 9, 9], "all_points_y": [1, 1, 9]}
NAMES = ["s17_3.png", "t13_4.png", "u22_2.png"]


@pytest.fixture
def stack(viewer, tmp_path):
    """A VIA file of three images, opened."""
    entries = {}
    for name in NAMES:
        iio.imwrite(tmp_path / name, np.zeros((16, 20), np.uint8))
        region = {"shape_attributes": POLYGON, "region_attributes": {"class": "i"}}
        entries[name] = {"filename": name, "size": -1, "regions": [region], "file_attributes": {}}
    path = tmp_path / "via.json"
    path.write_text(json.dumps(entries))
    return viewer.open(str(path), plugin="napari-fractoseg")


def canvas_text(viewer):
    canvas = getattr(viewer, "canvas", None)
    return viewer.text_overlay if canvas is None else canvas.overlays.text


def test_image_and_labels_of_a_via_stack_know_which_image_is_shown(viewer, stack):
    image, labels, _regions = stack
    for plane, name in enumerate(NAMES):
        viewer.dims.set_current_step(0, plane)
        assert {shown_plane_name(viewer, layer) for layer in (image, labels)} == {name}


def test_dock_and_canvas_follow_the_plane(viewer, stack):
    dock = SegmentWidget(viewer)
    viewer.window.add_dock_widget(dock, name="Segment")
    viewer.dims.set_current_step(0, 0)
    assert dock.source.line.text().endswith("\nshown: s17_3.png")
    viewer.dims.set_current_step(0, 2)
    assert dock.source.line.text().endswith("\nshown: u22_2.png")
    assert not dock.source.pixel_size.line.text(), "an annotation file is no damaged image"
    assert (canvas_text(viewer).text, canvas_text(viewer).visible) == ("u22_2.png", True)
    viewer.layers.remove(stack[0])
    assert canvas_text(viewer).visible
    viewer.layers.remove(stack[1])
    assert not canvas_text(viewer).visible


def test_a_text_of_the_user_stays(viewer, stack):
    text = canvas_text(viewer)
    text.text, text.visible = "Fig. 3", True
    PlaneOverlay(viewer)
    viewer.dims.set_current_step(0, 2)
    assert text.text == "Fig. 3"


def test_an_image_without_names_has_no_line(viewer):
    layer = viewer.add_image(np.zeros((3, 8, 8), np.uint8))
    assert shown_plane_name(viewer, layer) == ""
    dock = SegmentWidget(viewer)
    viewer.window.add_dock_widget(dock, name="Segment")
    assert "shown" not in dock.source.line.text()
