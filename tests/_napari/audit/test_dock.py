"""The audit dock in a window: points are planned, answered by keys, saved, and gone on with."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from qtpy.QtCore import Qt

from napari_fractoseg._napari import jobs
from napari_fractoseg._napari.audit.dock import AuditWidget
from napari_fractoseg._napari.camera import camera_of, grid_of, screen_px
from napari_fractoseg._napari.layers import labels_layer
from napari_fractoseg.audit.points import PointCount
from napari_fractoseg.classes import DEFAULT_SCHEME

pytestmark = pytest.mark.usefixtures("no_job_left")

LONG = 10_000
SHAPE = (60, 80)


def halves(*planes):
    """Labels that are intergranular on the left and transgranular on the right."""
    labels = np.ones((*planes, *SHAPE), np.uint8)
    labels[..., 40:] = 2
    return labels


def add_pair(viewer, name="s17", *planes, **place):
    """Add an image with labels; return both layers."""
    image = viewer.add_image(np.zeros((*planes, *SHAPE), np.uint8), name=name, **place)
    layer = labels_layer(
        halves(*planes),
        DEFAULT_SCHEME,
        name=f"{name} · fracture modes",
        place=place,
        metadata={"image": name},
    )
    return image, viewer.add_layer(layer)


@pytest.fixture
def dock(viewer):
    dock = AuditWidget(viewer)
    viewer.window.add_dock_widget(dock, name="Audit")
    return dock


@pytest.fixture
def start(qtbot, dock, tmp_path):
    """Start a count of about so many points."""

    def begin(n_points=12, design="stratified", name="points.csv"):
        dock.form.n_points.value = n_points
        dock.form.design.value = design
        dock.form.file.value = tmp_path / name
        assert dock.controls.button.isEnabled(), dock.controls.state_line.text()
        qtbot.mouseClick(dock.controls.button, Qt.MouseButton.LeftButton)
        qtbot.waitUntil(lambda: not jobs.runs_under_way(), timeout=LONG)
        return dock.session

    return begin


def press(qtbot, dock, *keys):
    """Press keys while the dock has the focus."""
    for key in keys:
        qtbot.keyClick(dock, key)


def press_on_canvas(viewer, *keys):
    """Press keys as napari gives them to the layer that is selected."""
    from app_model.types import KeyBinding

    active = viewer.layers.selection.active
    owner = viewer if active is None else active
    for key in keys:
        owner.keymap[KeyBinding.from_str(key)](owner)


def saved(dock):
    return PointCount.read(dock.path)


# ---- blind -----------------------------------------------------------------------------------


def test_labels_and_all_that_could_tell_are_hidden_and_shown_again_exactly_as_they_were(
    viewer, dock, start
):
    image, labels = add_pair(viewer)
    shapes = viewer.add_shapes(np.array([[0, 0], [0, 9], [9, 9]]), shape_type="polygon")
    hidden = viewer.add_image(np.ones(SHAPE), name="confidence", visible=False)
    dock.sources.refresh()
    start()
    assert [layer.visible for layer in (image, labels, shapes, hidden)] == [True] + 3 * [False]
    late = viewer.add_labels(halves(), name="late")
    assert not late.visible
    dock.stop()
    shown = [layer.visible for layer in (image, labels, shapes, hidden, late)]
    assert shown == [True, True, True, False, True]


def test_labels_that_somebody_shows_meanwhile_are_said_to_end_the_blindness(
    qtbot, viewer, dock, start
):
    _, labels = add_pair(viewer)
    start()
    assert "not blind" not in dock.panel.problem.text()
    labels.visible = True
    text = "s17 · fracture modes is shown: the count is not blind"
    qtbot.waitUntil(lambda: text in dock.panel.problem.text(), timeout=LONG)


def test_the_points_layer_tells_point_and_answer_and_nothing_of_the_stratum(viewer, dock, start):
    add_pair(viewer)
    session = start()
    session.choose(2)
    points = viewer.layers["s17 · points of A"]
    assert list(points.features.columns) == ["point", "answer"]
    assert list(points.features["answer"]) == ["transgranular"] + 11 * [""]
    assert len(points.data) == 12
    assert not points.editable


# ---- to the point ----------------------------------------------------------------------------


def test_each_answer_goes_to_the_next_point_with_the_zoom_that_the_user_chose(viewer, dock, start):
    place = {"scale": (0.5, 0.5), "units": ("um", "um")}
    image, _ = add_pair(viewer, **place)
    session = start()
    at = session.count.place(1)
    assert camera_of(viewer).center[-2:] == (at.row_px / 2, at.column_px / 2)
    camera_of(viewer).zoom = 31
    session.choose(1)
    at = session.count.place(2)
    assert camera_of(viewer).center[-2:] == (at.row_px / 2, at.column_px / 2)
    assert camera_of(viewer).zoom == 31
    assert screen_px(viewer, image) == 15.5


def test_the_right_plane_of_a_stack_and_only_the_image_of_the_point_are_shown(viewer, dock, start):
    first, _ = add_pair(viewer, "s17", 3)
    second, _ = add_pair(viewer, "t13", scale=(2, 2))
    session = start(40)
    seen = set()
    for number in session.count.points["point"]:
        at = session.count.place(number)
        assert (first.visible, second.visible) == (at.image == "s17", at.image == "t13")
        crosses = [x for x in viewer.layers if x.name.startswith("what is under the cross?")]
        assert [x.ndim for x in crosses if x.visible] == [2 + len(at.index)]
        if at.image == "s17":
            assert viewer.dims.current_step[0] == at.index[0]
        seen.add((at.image, at.index))
        session.choose(1)
    assert len(seen) == 4


def test_the_cross_leaves_the_pixel_free_at_every_zoom(viewer, dock, start):
    image, _ = add_pair(viewer)
    session = start()
    at = session.count.place(1)
    mark = viewer.layers["what is under the cross?"]
    for zoom in (0.5, 4, 60):
        camera_of(viewer).zoom = zoom
        begins, ways = mark.data[:, 0], mark.data[:, 1]
        away = np.abs(begins - (at.row_px, at.column_px)).max(axis=1)
        assert (away >= 1).all()
        assert (np.abs(ways).max(axis=1) * screen_px(viewer, image)).tolist() == [22] * 4
        assert (mark.edge_width / 2 + 0.5 < away).all() or zoom < 4


# ---- keys ------------------------------------------------------------------------------------


def test_keys_answer_and_go_back_in_the_dock(qtbot, viewer, dock, start):
    add_pair(viewer)
    start()
    press(qtbot, dock, "1", "2", "x", "b")
    assert "on a border" in dock.panel.question.text()
    press(qtbot, dock, "2", "1")
    expected = {
        1: "intergranular",
        2: "transgranular",
        3: "?",
        4: "intergranular|transgranular",
    }
    assert saved(dock).answers("A") == expected
    assert dock.session.point == 5
    press(qtbot, dock, Qt.Key.Key_Backspace)
    qtbot.keyClick(dock, "z", Qt.KeyboardModifier.ControlModifier)
    assert list(saved(dock).answers("A")) == [1, 2]
    assert dock.session.point == 3
    press(qtbot, dock, "p", Qt.Key.Key_Left)
    assert dock.session.point == 1
    assert "was answered: intergranular" in dock.panel.question.text()
    press(qtbot, dock, "3")
    assert saved(dock).answers("A")[1] == "background"
    assert dock.session.point == 3
    press(qtbot, dock, "n", Qt.Key.Key_Right)
    assert dock.session.point == 5


def test_keys_answer_on_the_canvas_whichever_layer_is_selected_and_are_given_back(
    viewer, dock, start
):
    image, labels = add_pair(viewer)
    viewer.layers.selection.active = labels
    before = {layer: dict(layer.keymap) for layer in (image, labels)}
    viewer_keys = dict(viewer.keymap)
    start()
    press_on_canvas(viewer, "1")
    viewer.layers.selection.active = labels
    press_on_canvas(viewer, "2", "Left")
    assert dock.session.point == 2
    viewer.layers.selection.active = image
    press_on_canvas(viewer, "X", "Down", "P")
    viewer.layers.selection.clear()
    press_on_canvas(viewer, "Ctrl+Z")
    assert saved(dock).answers("A") == {1: "intergranular", 2: "transgranular"}
    dock.stop()
    assert {layer: dict(layer.keymap) for layer in (image, labels)} == before
    assert dict(viewer.keymap) == viewer_keys
    assert viewer.layers.selection.active is labels


def test_of_exactly_two_classes_a_border_is_one_key(qtbot, viewer, dock, start):
    scheme = DEFAULT_SCHEME.without(3)
    viewer.add_image(np.zeros(SHAPE, np.uint8), name="s17")
    viewer.add_layer(labels_layer(halves(), scheme, name="l", metadata={"image": "s17"}))
    start()
    press(qtbot, dock, "b")
    assert saved(dock).answers("A") == {1: "intergranular|transgranular"}


def test_a_key_that_is_no_class_and_one_too_many_change_nothing(qtbot, viewer, dock, start):
    add_pair(viewer)
    start(4)
    press(qtbot, dock, "7")
    assert "7 is no class" in dock.panel.problem.text()
    assert dock.session.answers == {}
    press(qtbot, dock, "1", "1", "1", "1", "2")
    assert set(saved(dock).answers("A").values()) == {"intergranular"}
    assert "All 4 points are answered" in dock.panel.question.text()
    press(qtbot, dock, Qt.Key.Key_Backspace)
    assert len(saved(dock).answers("A")) == 3


def test_letters_typed_as_the_name_of_an_operator_are_no_answers(qtbot, viewer, dock, start):
    add_pair(viewer)
    start()
    dock.stop()
    dock.operator.clearEditText()
    qtbot.keyClicks(dock.operator.lineEdit(), "Bix1")
    assert dock.operator_name == "Bix1"
    assert saved(dock).operators == ()


# ---- the file --------------------------------------------------------------------------------


def test_every_answer_is_in_the_file_at_once_as_a_table_that_others_read(viewer, dock, start):
    add_pair(viewer)
    session = start()
    assert dock.path.is_file()
    session.choose(1)
    table = pd.read_csv(dock.path)
    assert len(table) == 12
    assert table["answer_A"].iloc[0] == "intergranular"
    assert table["image"].unique().tolist() == ["s17"]


def test_an_answer_that_cannot_be_saved_is_kept_said_and_saved_with_the_next(
    viewer, dock, start, tmp_path
):
    add_pair(viewer)
    session = start(name="there/points.csv")
    content = dock.path.read_bytes()
    dock.path.unlink()
    dock.path.parent.rmdir()
    (tmp_path / "there").write_text("in the way")
    session.choose(1)
    assert "Not saved" in dock.panel.problem.text()
    assert session.answers == {1: "intergranular"}
    (tmp_path / "there").unlink()
    dock.path.parent.mkdir()
    dock.path.write_bytes(content)
    session.choose(2)
    assert dock.panel.problem.text() == ""
    assert saved(dock).answers("A") == {1: "intergranular", 2: "transgranular"}


def test_other_points_are_not_opened_before_every_answer_is_saved(viewer, dock, start, tmp_path):
    add_pair(viewer)
    session = start(name="there/points.csv")
    first, moved = dock.path, tmp_path / "moved.csv"
    first.rename(moved)
    first.parent.rmdir()
    (tmp_path / "there").write_text("in the way")
    session.choose(1)
    dock.open_points(moved)
    assert "not saved yet" in dock.line.text()
    dock.close_points()
    assert dock.count.answers("A") == {1: "intergranular"}
    (tmp_path / "there").unlink()
    dock.open_points(moved)
    assert PointCount.read(first).answers("A") == {1: "intergranular"}
    assert dock.path == moved


def test_layers_side_by_side_are_one_above_the_other_while_one_counts(viewer, dock, start):
    add_pair(viewer)
    grid_of(viewer).enabled = True
    start()
    assert not grid_of(viewer).enabled
    dock.stop()
    assert grid_of(viewer).enabled


def test_a_file_that_is_there_is_not_overwritten(qtbot, viewer, dock, tmp_path):
    add_pair(viewer)
    (tmp_path / "mine.csv").write_text("my data")
    dock.form.file.value = tmp_path / "mine.csv"
    qtbot.mouseClick(dock.controls.button, Qt.MouseButton.LeftButton)
    assert "exists already" in dock.controls.state_line.text()
    assert (tmp_path / "mine.csv").read_text() == "my data"
    assert dock.session is None


def test_a_file_beside_the_image_is_suggested_that_is_not_there_yet(viewer, dock, tmp_path):
    from imageio.v3 import imwrite

    imwrite(tmp_path / "s17.png", np.zeros(SHAPE, np.uint8))
    (tmp_path / "s17 points.csv").write_text("earlier")
    viewer.open(tmp_path / "s17.png", plugin="napari")
    viewer.add_layer(labels_layer(halves(), DEFAULT_SCHEME, name="l", metadata={"image": "s17"}))
    assert dock.form.path == tmp_path / "s17 points [2].csv"


# ---- gone on with ----------------------------------------------------------------------------


def test_a_count_that_was_killed_goes_on_where_it_was_in_another_window(
    qtbot, viewer, dock, start, make_napari_viewer
):
    add_pair(viewer)
    start()
    press(qtbot, dock, *"1212122")
    path = dock.path  # nothing else is done: the program is killed
    other = make_napari_viewer()
    add_pair(other)
    again = AuditWidget(other)
    other.window.add_dock_widget(again, name="Audit")
    again.open_points(path)
    assert "A 7" in again.file_line.text()
    assert again.go_on_button.text() == "Go on as A (7 of 12)"
    qtbot.mouseClick(again.go_on_button, Qt.MouseButton.LeftButton)
    assert again.session.point == 8
    press(qtbot, again, Qt.Key.Key_Backspace)
    assert again.session.point == 7
    press(qtbot, again, *"211111")
    assert len(PointCount.read(path).answers("A")) == 12
    assert PointCount.read(path).answers("A")[7] == "transgranular"


def test_an_image_that_is_not_open_is_named_and_found_when_it_is_opened(
    qtbot, viewer, dock, start, make_napari_viewer
):
    add_pair(viewer)
    start()
    path = dock.path
    dock.stop()
    other = make_napari_viewer()
    again = AuditWidget(other)
    other.window.add_dock_widget(again, name="Audit")
    again.open_points(path)
    again.go_on()
    assert "The image s17 is not open" in again.panel.problem.text()
    image, _ = add_pair(other)
    qtbot.waitUntil(lambda: again.panel.problem.text() == "", timeout=LONG)
    assert image.visible
    assert "s17 · points of A" in other.layers


def test_an_image_of_another_size_is_refused_in_words(viewer, dock, start):
    image, labels = add_pair(viewer)
    start()
    path = dock.path
    dock.stop()
    viewer.layers.remove(image)
    viewer.layers.remove(labels)
    viewer.add_image(np.zeros((1, 1)), name="s17")  # a point of 4800 at random lies in it
    dock.open_points(path)
    dock.go_on()
    assert "does not lie in s17" in dock.panel.problem.text()


def test_a_second_operator_sees_nothing_of_what_the_first_said(qtbot, viewer, dock, start):
    add_pair(viewer)
    start(4)
    press(qtbot, dock, *"1122")
    dock.show_result()
    dock.operator.setEditText("B")
    assert dock.go_on_button.text() == "Count blind as B"
    assert not dock.result.isVisibleTo(dock)
    qtbot.mouseClick(dock.go_on_button, Qt.MouseButton.LeftButton)
    assert dock.session.point == 1
    assert "s17 · points of A" not in viewer.layers
    assert set(viewer.layers["s17 · points of B"].features["answer"]) == {""}
    press(qtbot, dock, "2")
    assert saved(dock).answers("A")[1] == "intergranular"
    assert saved(dock).answers("B") == {1: "transgranular"}


def test_a_file_that_is_no_file_of_points_is_refused_in_words(dock, tmp_path):
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    dock.open_points(tmp_path / "other.csv")
    assert "is no file of points" in dock.line.text()
    assert dock.count is None


# ---- layers that go --------------------------------------------------------------------------


def test_an_image_that_is_removed_is_said_and_nothing_is_lost(qtbot, viewer, dock, start):
    image, labels = add_pair(viewer)
    start()
    press(qtbot, dock, "1", "2")
    viewer.layers.remove(image)
    text = "The image s17 is not open"
    qtbot.waitUntil(lambda: text in dock.panel.problem.text(), timeout=LONG)
    viewer.layers.remove(labels)
    press(qtbot, dock, "n")
    viewer.layers.clear()
    dock.stop()
    assert len(saved(dock).answers("A")) == 2


def test_points_or_cross_that_are_removed_are_back(qtbot, viewer, dock, start):
    add_pair(viewer)
    start()
    viewer.layers.remove("s17 · points of A")
    viewer.layers.remove("what is under the cross?")
    wanted = {"s17 · points of A", "what is under the cross?"}
    qtbot.waitUntil(lambda: wanted <= {layer.name for layer in viewer.layers}, timeout=LONG)


def test_a_dock_that_is_closed_shows_the_layers_as_they_were(viewer, dock, start):
    _, labels = add_pair(viewer)
    session = start()
    session.choose(1)
    viewer.window.remove_dock_widget(dock)
    assert labels.visible
    assert "what is under the cross?" not in viewer.layers


# ---- what is missing before ------------------------------------------------------------------


def test_what_is_missing_is_said_beside_the_button(viewer, dock):
    assert "Open an image with its labels" in dock.controls.state_line.text()
    viewer.add_image(np.zeros(SHAPE), name="s17")
    bare = viewer.add_labels(halves(), name="bare")
    row = dock.sources.rows[0]
    row.use.click()
    assert "bare has no classes" in dock.controls.state_line.text()
    dock.sources.classes_button.click()
    assert dock.controls.state_line.text() == ""
    viewer.add_layer(labels_layer(halves(), DEFAULT_SCHEME, name="second"))
    next(r for r in dock.sources.rows if r.labels is not bare).use.click()
    assert "Two layers of s17 are ticked" in dock.controls.state_line.text()


def test_names_of_others_are_no_commands(qtbot, viewer, dock, start, is_rich):
    add_pair(viewer, "<img src='x'>")
    session = start()
    session.choose(1)
    assert session.count.images == ("<img src='x'>",)
    assert "<img src='x'>" in dock.panel.place.text()
    assert dock.panel.place.textFormat() == Qt.TextFormat.PlainText
    assert not is_rich(dock.panel.place.toolTip())
