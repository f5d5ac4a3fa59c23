"""The facet tool in a window, with mouse and keys as a user moves them."""

from types import SimpleNamespace

import numpy as np
import pytest
from app_model.types import KeyBinding
from napari.utils.interactions import (
    mouse_double_click_callbacks,
    mouse_move_callbacks,
    mouse_press_callbacks,
    mouse_release_callbacks,
    mouse_wheel_callbacks,
)
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QDialog

from napari_fractoseg._napari import jobs
from napari_fractoseg._napari.corrections import is_teachable
from napari_fractoseg._napari.facets.row import ToolRow
from napari_fractoseg._napari.layers import is_segmentable, labels_layer
from napari_fractoseg.classes import DEFAULT_SCHEME

pytestmark = pytest.mark.usefixtures("no_job_left")

LONG = 60_000
SHAPE = (80, 100)


def quarters():
    plane = np.zeros(SHAPE, np.uint8)
    plane[:40, 50:], plane[40:, :50], plane[40:, 50:] = 80, 160, 255
    return plane


class Event:
    """A mouse event; while a button is held, napari puts the latest one into the first."""

    def __init__(self, kind, position, pos, *, delta=(0, 0), modifiers=(), is_dragging=False):
        self.__wrapped__ = SimpleNamespace(
            type=kind,
            position=position,
            pos=pos,
            button=1,
            delta=delta,
            modifiers=list(modifiers),
            is_dragging=is_dragging,
        )

    def __getattr__(self, name):
        return getattr(self.__wrapped__, name)


class Mouse:
    """Mouse over the pixels of the plane that is shown."""

    def __init__(self, viewer):
        self.viewer = viewer

    def event(self, kind, row, column, **facts):
        position = (*self.viewer.dims.point[:-2], row, column)
        return Event(kind, position, (column, row), **facts)

    def move(self, row, column):
        mouse_move_callbacks(self.viewer, self.event("mouse_move", row, column))

    def click(self, row, column, to=None):
        mouse_press_callbacks(self.viewer, self.event("mouse_press", row, column))
        if to is not None:
            row, column = to
            mouse_move_callbacks(
                self.viewer, self.event("mouse_move", row, column, is_dragging=True)
            )
        mouse_release_callbacks(self.viewer, self.event("mouse_release", row, column))

    def wheel(self, row, column, up, modifiers=("Shift",)):
        turned = {"delta": (0, 1 if up else -1), "modifiers": modifiers}
        mouse_wheel_callbacks(self.viewer, self.event("mouse_wheel", row, column, **turned))


@pytest.fixture
def labels(viewer):
    viewer.add_image(quarters(), name="s17")
    return viewer.add_labels(np.zeros(SHAPE, np.uint8), name="painted")


@pytest.fixture
def row(viewer, qtbot):
    row = ToolRow(viewer)
    viewer.window.add_dock_widget(row, name="Tools")
    return row


@pytest.fixture
def mouse(viewer):
    return Mouse(viewer)


def wait(qtbot):
    qtbot.waitUntil(lambda: not jobs.runs_under_way(), timeout=LONG)


def switch_on(row, qtbot):
    qtbot.mouseClick(row.facet_button, Qt.MouseButton.LeftButton)
    wait(qtbot)


def at_quarter(row, mouse, place=(10, 10)):
    """Go to a quarter and turn the wheel until it is outlined."""
    mouse.move(*place)
    for _ in range(60):
        if row.tool.facet.area_px == 2000:
            return
        mouse.wheel(*place, up=row.tool.facet.area_px < 2000)
    raise AssertionError(row.tool.facet)


def test_a_click_gives_the_facet_the_class_and_ctrl_z_takes_it_back(
    viewer, labels, row, mouse, qtbot
):
    switch_on(row, qtbot)
    labels.selected_label = 2
    strokes = []
    labels.events.paint.connect(lambda event: strokes.append(event.value))
    at_quarter(row, mouse)
    assert not labels.data.any()
    mouse.click(10, 10)
    expected = np.zeros(SHAPE, np.uint8)
    expected[:40, :50] = 2
    np.testing.assert_array_equal(labels.data, expected)
    assert len(strokes) == 1
    labels.undo()
    assert not labels.data.any()


def test_hovering_outlines_the_facet_and_the_wheel_makes_it_coarser_and_finer(
    viewer, labels, row, mouse, qtbot
):
    switch_on(row, qtbot)
    outline = viewer.layers["painted · facet"]
    at_quarter(row, mouse)
    ends = outline.data[:, 0]
    assert (ends.min(axis=0).tolist(), len(outline.data)) == ([-0.5, -0.5], 4)
    mouse.wheel(10, 10, up=True)
    larger = row.tool.facet.area_px
    assert larger > 2000
    mouse.wheel(10, 10, up=False)
    assert row.tool.facet.area_px == 2000
    mouse.wheel(10, 10, up=True, modifiers=())
    assert row.tool.facet.area_px == 2000
    mouse.move(70, 90)
    assert row.tool.facet.contains(70, 90)
    assert row.tool.facet.area_px == 2000
    mouse.move(-5, 90)
    assert row.tool.facet is None
    assert len(outline.data) == 0


def test_a_drag_moves_the_view_and_paints_nothing(labels, row, mouse, qtbot):
    switch_on(row, qtbot)
    at_quarter(row, mouse)
    mouse.click(10, 10, to=(30, 30))
    assert not labels.data.any()


def test_a_trembling_hand_still_clicks(labels, row, mouse, qtbot):
    switch_on(row, qtbot)
    at_quarter(row, mouse)
    mouse.click(10, 10, to=(11, 11))
    assert np.count_nonzero(labels.data) == 2000


def test_the_outline_is_never_learnt_from_segmented_or_left_behind(
    viewer, labels, row, mouse, qtbot
):
    switch_on(row, qtbot)
    outline = viewer.layers["painted · facet"]
    assert not is_teachable(outline)
    assert not is_segmentable(outline)
    assert viewer.layers.selection.active is labels
    qtbot.mouseClick(row.facet_button, Qt.MouseButton.LeftButton)
    assert [layer.name for layer in viewer.layers] == ["s17", "painted"]
    assert not row.facet_button.isChecked()
    mouse.move(10, 10)
    mouse.click(10, 10)
    assert not labels.data.any()


@pytest.mark.parametrize("way", ["brush", "napari's brush", "other layer", "escape", "removed"])
def test_the_tool_ends(viewer, labels, row, qtbot, way):
    switch_on(row, qtbot)
    assert row.facet_button.isChecked()
    if way == "brush":
        qtbot.mouseClick(row.brush_button, Qt.MouseButton.LeftButton)
        assert labels.mode == "paint"
    elif way == "napari's brush":
        labels.mode = "paint"
    elif way == "other layer":
        viewer.layers.selection.active = viewer.layers["s17"]
    elif way == "escape":
        press(labels, "Escape")
    else:
        viewer.layers.remove(labels)
    assert not row.facet_button.isChecked()
    assert "painted · facet" not in viewer.layers
    assert "Shift" not in row.hint.text()


def test_on_a_stack_the_plane_that_is_shown_is_painted(viewer, row, mouse, qtbot):
    viewer.add_image(np.stack([np.zeros(SHAPE, np.uint8), quarters()]), name="stack")
    labels = viewer.add_labels(np.zeros((2, *SHAPE), np.uint8), name="painted")
    viewer.dims.set_point(0, 0)
    switch_on(row, qtbot)
    viewer.dims.set_point(0, 1)
    wait(qtbot)
    at_quarter(row, mouse)
    mouse.click(10, 10)
    assert not labels.data[0].any()
    assert np.count_nonzero(labels.data[1]) == 2000
    viewer.dims.set_point(0, 0)
    wait(qtbot)
    mouse.move(10, 10)
    assert row.tool.facet.area_px == 8000


def test_facets_come_from_the_image_that_the_labels_are_about(viewer, row, mouse, qtbot):
    from napari_fractoseg._napari.layer_metadata import metadata_with

    viewer.add_image(quarters(), name="s17")
    viewer.add_image(np.zeros(SHAPE, np.uint8), name="above")
    viewer.add_labels(np.zeros(SHAPE, np.uint8), metadata=metadata_with({"image": "s17"}))
    switch_on(row, qtbot)
    at_quarter(row, mouse)
    assert row.tool.facet.area_px == 2000


def test_an_image_that_changes_gets_new_facets(viewer, labels, row, mouse, qtbot):
    switch_on(row, qtbot)
    at_quarter(row, mouse)
    viewer.layers["s17"].data = np.zeros(SHAPE, np.uint8)
    wait(qtbot)
    mouse.move(10, 10)
    assert row.tool.facet.area_px == 8000


def test_what_is_preserved_stays(labels, row, mouse, qtbot):
    labels.data[0, :10] = 3
    labels.preserve_labels = True
    switch_on(row, qtbot)
    at_quarter(row, mouse)
    mouse.click(10, 10)
    assert np.count_nonzero(labels.data == 3) == 10
    assert np.count_nonzero(labels.data == labels.selected_label) == 1990


def test_without_an_image_a_line_says_why(viewer, row, qtbot):
    assert not row.facet_button.isEnabled()
    viewer.add_labels(np.zeros(SHAPE, np.uint8))
    qtbot.mouseClick(row.facet_button, Qt.MouseButton.LeftButton)
    assert not row.facet_button.isChecked()
    assert "no image of the size" in row.hint.text()


def test_the_keys_are_shown_while_the_tool_is_on(labels, row, qtbot):
    switch_on(row, qtbot)
    assert "Shift + wheel" in row.hint.text()
    qtbot.mouseClick(row.brush_button, Qt.MouseButton.LeftButton)
    assert row.hint.text() == ""


def press(layer, key):
    layer.keymap[KeyBinding.from_str(key)](layer)


def test_a_class_key_chooses_the_class_of_the_next_facet(viewer, row, mouse, qtbot):
    """Background has no colour: it is shown while it is painted, with this tool, too."""
    viewer.add_image(quarters(), name="s17")
    layer = labels_layer(np.zeros(SHAPE, np.uint8), DEFAULT_SCHEME, name="painted")
    viewer.add_layer(layer)
    switch_on(row, qtbot)
    press(layer, "3")
    assert row.facet_button.isChecked()
    at_quarter(row, mouse)
    mouse.click(10, 10)
    assert np.count_nonzero(layer.data == 3) == 2000
    assert layer.colormap.map(3)[-1] > 0
    qtbot.mouseClick(row.facet_button, Qt.MouseButton.LeftButton)
    assert layer.colormap.map(3)[-1] == 0
    press(layer, "2")
    assert (layer.mode, layer.selected_label) == ("paint", 2)


def test_the_tool_ends_when_its_row_is_closed(viewer, labels, qtbot):
    row = ToolRow(viewer)
    qtbot.addWidget(row)
    row.show()
    switch_on(row, qtbot)
    row.close()
    assert [layer.name for layer in viewer.layers] == ["s17", "painted"]


def test_in_two_docks_one_tool_paints(viewer, labels, row, mouse, qtbot):
    second = ToolRow(viewer)
    viewer.window.add_dock_widget(second, name="More tools")
    switch_on(row, qtbot)
    switch_on(second, qtbot)
    assert (row.facet_button.isChecked(), second.facet_button.isChecked()) == (False, True)
    assert [layer.name for layer in viewer.layers] == ["s17", "painted", "painted · facet"]
    strokes = []
    labels.events.paint.connect(lambda event: strokes.append(event.value))
    at_quarter(second, mouse)
    mouse.click(10, 10)
    assert len(strokes) == 1


def test_a_double_click_does_not_zoom_while_the_tool_is_on(viewer, labels, row, mouse, qtbot):
    before = list(viewer.mouse_double_click_callbacks)
    switch_on(row, qtbot)
    at_quarter(row, mouse)
    camera = getattr(viewer, "scene", viewer).camera
    zoom = camera.zoom
    mouse_double_click_callbacks(viewer, mouse.event("mouse_double_click", 10, 10))
    assert camera.zoom == zoom
    assert np.count_nonzero(labels.data) == 2000
    qtbot.mouseClick(row.facet_button, Qt.MouseButton.LeftButton)
    assert list(viewer.mouse_double_click_callbacks) == before


def test_while_a_dialog_is_open_the_outline_is_no_layer_to_save(make_napari_viewer, qtbot):
    viewer = make_napari_viewer(show=True)
    viewer.add_image(quarters(), name="s17")
    viewer.add_labels(np.zeros(SHAPE, np.uint8), name="painted")
    row = ToolRow(viewer)
    dock = viewer.window.add_dock_widget(row, name="Tools")
    mouse = Mouse(viewer)
    switch_on(row, qtbot)
    at_quarter(row, mouse)
    dialog = QDialog(dock)
    qtbot.addWidget(dialog)
    dialog.setModal(True)
    dialog.show()
    assert [layer.name for layer in viewer.layers] == ["s17", "painted"]
    dialog.close()
    assert [layer.name for layer in viewer.layers] == ["s17", "painted"]  # saved only now
    assert row.facet_button.isChecked()
    at_quarter(row, mouse)
    assert len(viewer.layers["painted · facet"].data) == 4
    mouse.click(10, 10)
    assert np.count_nonzero(viewer.layers["painted"].data) == 2000


@pytest.mark.parametrize("view", ["3D", "rolled"])
def test_in_another_view_than_that_of_planes_a_line_says_why_nothing_is_outlined(
    viewer, row, mouse, qtbot, view
):
    viewer.add_image(np.stack([quarters(), quarters()]), name="stack")
    labels = viewer.add_labels(np.zeros((2, *SHAPE), np.uint8), name="painted")
    switch_on(row, qtbot)
    if view == "3D":
        viewer.dims.ndisplay = 3
    else:
        viewer.dims.order = (1, 2, 0)
    assert "leave the 3D view" in row.hint.text()
    mouse.move(10, 10)
    mouse.click(10, 10)
    assert not labels.data.any()
    viewer.dims.ndisplay, viewer.dims.order = 2, (0, 1, 2)
    wait(qtbot)
    assert "Shift + wheel" in row.hint.text()
    at_quarter(row, mouse)


def test_other_reactions_to_a_double_click_stay(viewer, labels, row, qtbot):
    def other(_viewer, _event):
        """What another plugin does."""

    before = list(viewer.mouse_double_click_callbacks)
    switch_on(row, qtbot)
    viewer.mouse_double_click_callbacks.append(other)
    qtbot.mouseClick(row.facet_button, Qt.MouseButton.LeftButton)
    assert list(viewer.mouse_double_click_callbacks) == [*before, other]


def test_the_sizes_of_painted_facets_are_looked_for_first(viewer, row, mouse, qtbot):
    """A frame in a frame: both are clear, and the last sizes tell which one is meant."""
    plane = np.full((200, 200), 40.0)
    plane[40:160, 40:160] = 200
    plane[80:120, 80:120] = 250
    viewer.add_image(plane, name="frames")
    labels = viewer.add_labels(np.zeros((200, 200), np.uint8), name="painted")
    switch_on(row, qtbot)
    place = (100, 100)
    mouse.move(*place)
    assert row.tool.facet.area_px == pytest.approx(40**2, rel=0.05)
    for _ in range(6):
        while row.tool.facet.area_px < 14000:
            mouse.wheel(*place, up=True)
        mouse.click(*place)
    assert np.count_nonzero(labels.data) >= 14000
    mouse.move(5, 5)
    mouse.move(*place)
    assert row.tool.facet.area_px == pytest.approx(120**2, rel=0.05)


def test_a_plane_that_failed_says_so_and_is_tried_again(viewer, row, mouse, qtbot):
    from napari_fractoseg._napari.jobs import runs_under_way

    stack = np.stack([quarters().astype(np.float32)] * 2)
    stack[1, 0, 0] = np.nan
    image = viewer.add_image(stack, name="stack")
    viewer.add_labels(np.zeros((2, *SHAPE), np.uint8), name="painted")
    viewer.dims.set_point(0, 0)
    switch_on(row, qtbot)
    assert "Shift + wheel" in row.hint.text()
    viewer.dims.set_point(0, 1)
    wait(qtbot)
    assert row.hint.text() == "No facets could be found on this plane."
    viewer.dims.set_point(0, 0)
    assert "Shift + wheel" in row.hint.text()
    viewer.dims.set_point(0, 1)
    assert row.hint.text() == "No facets could be found on this plane."
    assert not runs_under_way()
    image.data[1, 0, 0] = 0
    qtbot.mouseClick(row.facet_button, Qt.MouseButton.LeftButton)
    switch_on(row, qtbot)
    assert "Shift + wheel" in row.hint.text()
