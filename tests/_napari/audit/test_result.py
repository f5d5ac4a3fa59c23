"""Result of an audit in its dock: hidden while one counts, then compared, copied and saved."""

from __future__ import annotations

import json

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtGui import QGuiApplication
from qtpy.QtWidgets import QMenu

from napari_fractoseg._napari.audit.dock import AuditWidget
from napari_fractoseg._napari.layers import labels_layer
from napari_fractoseg.audit.plan import plan_points
from napari_fractoseg.classes import DEFAULT_SCHEME

pytestmark = pytest.mark.usefixtures("no_job_left")

SHAPE = (60, 80)
LONG = 10_000


@pytest.fixture
def pair(viewer):
    """An image and labels that are intergranular on the left, transgranular on the right."""
    labels = np.ones(SHAPE, np.uint8)
    labels[:, 40:] = 2
    image = viewer.add_image(np.zeros(SHAPE, np.uint8), name="s17")
    facts = {"image": "s17"}
    return image, viewer.add_layer(
        labels_layer(labels, DEFAULT_SCHEME, name="s17 · fracture modes", metadata=facts)
    )


@pytest.fixture
def dock(viewer, pair):
    dock = AuditWidget(viewer)
    viewer.window.add_dock_widget(dock, name="Audit")
    return dock


@pytest.fixture
def opened(dock, pair, tmp_path):
    """The dock with 20 points, 10 in each class, answered by A as the labels say but for two."""
    labels = {"s17": pair[1].data}
    count = plan_points(labels, n_points=20, design="stratified", seed=1)
    wrong = {"intergranular": 2}
    for row in count.points.itertuples():
        answer = row.stratum
        if wrong.get(answer, 0):
            wrong[answer] -= 1
            answer = "transgranular"
        count = count.answered(row.point, answer, "A")
    count.write(tmp_path / "points.csv")
    dock.open_points(tmp_path / "points.csv")
    return dock


def shown(table):
    """The texts of a table by row and column."""
    lines = [line.split("\t") for line in table.as_text().splitlines()]
    return {line[0]: dict(zip(lines[0][1:], line[1:], strict=True)) for line in lines[1:]}


def click(qtbot, dock, text):
    button = next(b for b in (dock.panel.result_button, dock.go_on_button) if b.text() == text)
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)


def test_the_labels_are_compared_once_it_is_asked_for(qtbot, opened):
    assert "intergranular 40.0 %" in opened.result.by_hand.text()
    assert not opened.result.sentence.isVisibleTo(opened)
    click(qtbot, opened, "Result")
    assert opened.result.sentence.isVisibleTo(opened)
    assert "The labels say intergranular 50.0 %" in opened.result.sentence.text()
    assert shown(opened.result.matrix)["intergranular"] == {
        "intergranular": "8",
        "transgranular": "2",
        "background": "0",
    }
    fractions = shown(opened.result.fractions)["intergranular of modes"]
    assert fractions["labels"] == "50.0 %"
    assert fractions["by hand"].startswith("40.0 % ")
    assert fractions["corrected"].startswith("40.0 % ")
    assert "kappa 0.80" in opened.result.sentence.text()


def test_while_one_counts_nothing_of_the_labels_is_shown_and_it_is_said_why(qtbot, opened):
    opened.operator.setEditText("B")
    click(qtbot, opened, "Count blind as B")
    qtbot.keyClicks(opened, "112")
    assert "3 points" in opened.result.by_hand.text()
    assert "hidden until you are done" in opened.result.note.text()
    assert not opened.result.sentence.isVisibleTo(opened)
    assert not opened.result.matrix.isVisibleTo(opened)
    click(qtbot, opened, "Result so far")
    assert opened.result.sentence.isVisibleTo(opened)
    assert "not blind" in opened.result.note.text()
    assert opened.session is not None


def test_a_count_that_is_complete_ends_with_the_result(qtbot, viewer, pair, opened):
    _, labels = pair
    opened.operator.setEditText("B")
    click(qtbot, opened, "Count blind as B")
    qtbot.keyClicks(opened, "12" * 10)
    assert not labels.visible
    assert not opened.result.sentence.isVisibleTo(opened)
    click(qtbot, opened, "Finish: show the result")
    assert labels.visible
    assert opened.session is None
    assert opened.result.sentence.isVisibleTo(opened)
    assert opened.result.agreement.text().startswith("B and A: Cohen's kappa")
    assert "s17 · points of B" in viewer.layers


def test_before_each_class_has_a_point_the_fraction_is_said_to_be_unknown(qtbot, opened):
    opened.operator.setEditText("B")
    click(qtbot, opened, "Count blind as B")
    qtbot.keyClicks(opened, "1")
    assert opened.result.by_hand.text() == "By hand: not known yet; points told: 1"
    assert opened.result.needed.text() == "%: not known yet"


def test_how_many_points_are_needed_follows_the_wanted_half_width(opened):
    needed = []
    for half_width in (5, 10):
        opened.result.half_width.value = half_width
        needed.append(int(opened.result.needed.text().split()[1]))
    assert needed[1] == 33
    assert needed[0] > 3 * needed[1]


def test_labels_that_changed_since_are_said_and_compared_as_they_are_now(
    qtbot, viewer, pair, opened
):
    click(qtbot, opened, "Result")
    assert opened.result.note.text() == ""
    pair[1].data = np.full(SHAPE, 2, np.uint8)
    text = "At 10 of 20 points the labels are others than when the points were planned"
    qtbot.waitUntil(lambda: text in opened.result.note.text(), timeout=LONG)
    assert shown(opened.result.matrix)["transgranular"]["intergranular"] == "8"
    viewer.layers.remove(pair[1])
    text = "Compared with the labels of the plan. There are no labels of s17"
    qtbot.waitUntil(lambda: text in opened.result.note.text(), timeout=LONG)
    assert shown(opened.result.matrix)["intergranular"]["intergranular"] == "8"


def test_the_result_is_saved_beside_the_points_and_copied(qtbot, opened, tmp_path):
    click(qtbot, opened, "Result")
    opened.result.save_button.click()
    saved = json.loads((tmp_path / "points - A.json").read_text())
    assert saved["points"] == "points.csv"
    assert saved["sentence"] == opened.result.sentence.text()
    assert saved["confusion"]["points"][0] == [8, 2, 0]
    opened.result.copy_button.click()
    text = QGuiApplication.clipboard().text()
    assert saved["sentence"] in text
    assert "intergranular\t8\t2\t0" in text
    opened.result.save_button.click()  # the same again
    assert opened.result.saved_line.text() == "Saved in points - A.json"


def test_another_file_in_the_place_of_the_result_stays(qtbot, opened, tmp_path):
    (tmp_path / "points - A.json").write_text('{"mine": 1}')
    click(qtbot, opened, "Result")
    opened.result.save_button.click()
    assert "exists already" in opened.result.saved_line.text()
    assert (tmp_path / "points - A.json").read_text() == '{"mine": 1}'


def test_new_points_begin_with_an_empty_form(opened, tmp_path):
    opened.new_button.click()
    assert opened.count is None
    assert opened.form.isVisibleTo(opened)
    assert opened.form.path.name != "points.csv"
    assert not opened.result.isVisibleTo(opened)


def test_the_dock_is_in_the_menu_of_layers_that_measures(viewer, qtbot):
    menu = viewer.window.layers_menu
    menu.aboutToShow.emit()
    actions = [a for sub in (menu, *menu.findChildren(QMenu)) for a in sub.actions()]
    found = [a for a in actions if a.text().startswith("Audit by point count")]
    assert len(found) == 1
    found[0].trigger()
    qtbot.waitUntil(
        lambda: any(isinstance(d, AuditWidget) for d in viewer.window.dock_widgets.values()),
        timeout=LONG,
    )
