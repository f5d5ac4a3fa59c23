"""Docks in the window: tabs, one of a kind, the wheel, and what is left without layers."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtCore import QPoint, QPointF, Qt
from qtpy.QtGui import QWheelEvent
from qtpy.QtWidgets import (
    QAbstractSpinBox,
    QApplication,
    QComboBox,
    QMainWindow,
    QMenu,
    QPushButton,
    QWidget,
)

from napari_fractoseg._napari import jobs
from napari_fractoseg._napari.measure.dock import MeasureWidget
from napari_fractoseg._napari.segment.dock import SegmentWidget, segment_in_dock
from napari_fractoseg._napari.train.dock import TrainWidget
from napari_fractoseg._napari.via.dock import ViaImportWidget
from napari_fractoseg._napari.widgets.dock import Dock

pytestmark = pytest.mark.usefixtures("no_job_left", "tiny_alone")

LONG = 60_000
TITLES = {
    SegmentWidget: "Segment fracture modes",
    TrainWidget: "Train on corrections",
    ViaImportWidget: "Open annotations",
    MeasureWidget: "Measure fracture modes",
}
KINDS = tuple(TITLES)


def window_of(widget):
    while not isinstance(widget, QMainWindow):
        widget = widget.parent()
    return widget


def docks_in(viewer):
    """Our docks in a window, in any order."""
    return [dock for dock in viewer.window.dock_widgets.values() if isinstance(dock, Dock)]


def open_from_menu(viewer, kind, qtbot):
    """Choose a dock in the Plugins menu, as a user does."""
    menu = viewer.window.plugins_menu
    menu.aboutToShow.emit()
    actions = [a for sub in (menu, *menu.findChildren(QMenu)) for a in sub.actions()]
    next(a for a in actions if a.text() == f"{TITLES[kind]} (Fractoseg)").trigger()
    qtbot.wait(1)  # a dock finds its place when the events are handled


def shares_its_tabs(dock):
    beside = window_of(dock).tabifiedDockWidgets(dock.parent())
    return {type(other.widget()) for other in beside}


# ---- tabs ------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", [KINDS, KINDS[::-1], (*KINDS[1:], KINDS[0])])
def test_docks_open_as_tabs_in_whichever_order(make_napari_viewer, qtbot, order):
    viewer = make_napari_viewer()
    for kind in order:
        open_from_menu(viewer, kind, qtbot)
    opened = docks_in(viewer)
    assert [type(dock) for dock in opened] == list(order)
    for dock in opened:
        assert shares_its_tabs(dock) == set(KINDS) - {type(dock)}


@pytest.mark.parametrize("tabify", [True, False])
def test_docks_that_a_script_adds_are_tabs_too(viewer, qtbot, tabify):
    for kind in KINDS:
        viewer.window.add_plugin_dock_widget("napari-fractoseg", TITLES[kind], tabify=tabify)
    qtbot.wait(1)
    for dock in docks_in(viewer):
        assert shares_its_tabs(dock) == set(KINDS) - {type(dock)}


def test_what_the_user_arranges_stays(viewer, qtbot):
    for kind in (SegmentWidget, TrainWidget):
        open_from_menu(viewer, kind, qtbot)
    segment, train = docks_in(viewer)
    window = window_of(segment)
    window.addDockWidget(Qt.DockWidgetArea.LeftDockWidgetArea, train.parent())
    train.parent().hide()
    open_from_menu(viewer, TrainWidget, qtbot)
    assert shares_its_tabs(segment) == set()


def test_a_dock_on_the_other_side_is_left_there(viewer, qtbot):
    viewer.window.add_dock_widget(SegmentWidget(viewer), name="a", area="left")
    viewer.window.add_dock_widget(TrainWidget(viewer), name="b", area="right")
    qtbot.wait(1)
    assert [shares_its_tabs(dock) for dock in docks_in(viewer)] == [set(), set()]


# ---- one of a kind ---------------------------------------------------------------------------


@pytest.mark.parametrize("first", ["display name", "name", "nothing"])
def test_segment_with_it_takes_the_dock_that_is_open(viewer, noise, qtbot, tiny_alone, first):
    image = viewer.add_image(noise(48, 64), name="s17")
    open_from_menu(viewer, TrainWidget, qtbot)
    if first == "display name":
        open_from_menu(viewer, SegmentWidget, qtbot)
    elif first == "name":
        viewer.window.add_plugin_dock_widget("napari-fractoseg", TITLES[SegmentWidget])
    qtbot.wait(1)
    train = next(dock for dock in docks_in(viewer) if isinstance(dock, TrainWidget))
    used = segment_in_dock(viewer, tiny_alone, image, train)
    qtbot.wait(1)
    assert [dock for dock in docks_in(viewer) if isinstance(dock, SegmentWidget)] == [used]
    assert shares_its_tabs(used) == {TrainWidget}
    qtbot.waitUntil(lambda: not used.queue.is_busy, timeout=LONG)
    assert "s17 · fracture modes" in viewer.layers
    open_from_menu(viewer, SegmentWidget, qtbot)  # napari's menu knows it, and only hides it
    assert len(docks_in(viewer)) == 2


def test_of_two_names_for_a_dock_one_is_kept_with_what_was_chosen(viewer, noise, qtbot):
    viewer.add_image(noise(48, 64), name="a")
    first = viewer.add_image(noise(48, 64), name="b")
    viewer.add_image(noise(48, 64), name="c")
    viewer.window.add_plugin_dock_widget("napari-fractoseg", TITLES[SegmentWidget])
    (dock,) = docks_in(viewer)
    dock.source.choice.value = first
    open_from_menu(viewer, SegmentWidget, qtbot)
    assert docks_in(viewer) == [dock]
    assert dock.source.layer is first


# ---- the wheel -------------------------------------------------------------------------------


def turn_wheel(widget, steps):
    """Turn the mouse wheel over a widget; what does not take it leaves it to its parent."""
    is_taken = False
    while not is_taken and widget is not None:
        middle = widget.rect().center()
        event = QWheelEvent(
            QPointF(middle),
            QPointF(widget.mapToGlobal(middle)),
            QPoint(0, 0),
            QPoint(0, 120 * steps),
            Qt.MouseButton.NoButton,
            Qt.KeyboardModifier.NoModifier,
            Qt.ScrollPhase.NoScrollPhase,
            False,
        )
        QApplication.sendEvent(widget, event)
        is_taken, widget = event.isAccepted(), widget.parentWidget()


def values_in(dock):
    boxes = [box.currentIndex() for box in dock.findChildren(QComboBox)]
    numbers = [box.text() for box in dock.findChildren(QAbstractSpinBox)]
    return boxes, numbers


@pytest.mark.parametrize("kind", KINDS)
def test_the_wheel_changes_no_choice_and_no_number(viewer, noise, qtbot, kind):
    for name in "ab":
        viewer.add_image(noise(48, 64), name=name)
    viewer.add_labels(np.zeros((48, 64), np.uint8))
    open_from_menu(viewer, kind, qtbot)
    (dock,) = docks_in(viewer)
    later = QComboBox()  # such as those of a table that is filled later
    later.addItems(["a", "b"])
    dock.column.addWidget(later)
    qtbot.wait(1)
    before = values_in(dock)
    inputs = [*dock.findChildren(QComboBox), *dock.findChildren(QAbstractSpinBox)]
    assert any(box.count() > 1 for box in inputs if isinstance(box, QComboBox))
    for widget in inputs:
        turn_wheel(widget, -1)
    assert values_in(dock) == before
    for widget in inputs:
        turn_wheel(widget, 1)
    assert values_in(dock) == before


def test_the_wheel_over_a_choice_or_a_plot_scrolls_the_dock(make_napari_viewer, qtbot):
    viewer = make_napari_viewer(show=True)
    viewer.window.resize(1366, 740)
    open_from_menu(viewer, TrainWidget, qtbot)
    (dock,) = docks_in(viewer)
    dock.settings.options.expand(animate=False)
    dock.curves.show()
    bar = dock.area.verticalScrollBar()
    qtbot.waitUntil(lambda: bar.maximum() > 0, timeout=LONG)
    for widget in (dock.settings.budget.native, dock.curves):
        bar.setValue(0)
        turn_wheel(widget, -1)
        assert bar.value() > 0, widget


# ---- width -----------------------------------------------------------------------------------


def is_cut_off(dock):
    """Tell whether something of a dock lies to the right of what is seen of it."""
    port, inner = dock.area.viewport(), dock.area.widget()
    right = port.mapTo(dock, QPoint(port.width(), 0)).x()
    return inner.minimumSizeHint().width() > port.width() or right > dock.width()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("is_shown_first", [True, False])
def test_nothing_of_a_dock_is_cut_off_on_a_small_screen(
    make_napari_viewer, noise, qtbot, kind, is_shown_first
):
    viewer = make_napari_viewer(show=is_shown_first)
    viewer.add_image(noise(96, 128), name="s17")
    dock = kind(viewer)
    note = QPushButton("as wide as a longer device or model name may make it")
    dock.column.addWidget(note)
    viewer.window.add_dock_widget(dock, name="alone")
    window_of(dock).resize(1366, 740)
    window_of(dock).show()
    qtbot.waitUntil(lambda: dock.isVisible() and not is_cut_off(dock), timeout=20_000)
    note.setText(note.text() + ", and what it says later")
    qtbot.wait(1)
    qtbot.waitUntil(lambda: not is_cut_off(dock), timeout=20_000)


# ---- what is shown of a training -------------------------------------------------------------


def paint_two_classes(viewer, noise):
    """An image with a labels layer on which two classes are painted before our eyes."""
    viewer.add_image(noise(96, 128), name="learnt")
    layer = viewer.add_labels(np.zeros((96, 128), np.uint8), name="strokes")
    layer.brush_size = 30
    return layer


@pytest.fixture
def train_dock(make_napari_viewer, noise, qtbot, tiny_alone):
    """The Train dock in a window of a small screen, ready for a training of an hour."""
    viewer = make_napari_viewer(show=True)
    viewer.window.resize(1366, 640)
    open_from_menu(viewer, TrainWidget, qtbot)
    (dock,) = docks_in(viewer)
    layer = paint_two_classes(viewer, noise)
    dock.learn_from.pairs.recount()
    layer.paint((20, 20), 1)
    layer.paint((70, 100), 2)
    qtbot.waitUntil(lambda: not jobs.runs_under_way(), timeout=LONG)
    settings = dock.settings
    settings.start.choice.value = str(tiny_alone)
    settings.device.choice.value = "cpu"
    settings.budget.choices = [("1 h", 60.0)]
    settings.options.patch_px.value = 128
    settings.options.batch_size.value = 1
    above = QWidget()
    above.setFixedHeight(600)  # as where many layers and options are shown
    dock.column.insertWidget(0, above)
    qtbot.waitUntil(dock.controls.button.isEnabled, timeout=LONG)
    return dock


def is_in_view(dock, widget):
    port = dock.area.viewport()
    top = widget.mapTo(port, QPoint(0, 0)).y()
    return widget.isVisible() and top >= 0 and top + widget.height() <= port.height()


@pytest.mark.slow
def test_progress_and_curves_are_scrolled_into_view_and_are_never_empty(train_dock, qtbot):
    dock = train_dock
    assert not dock.curves.isVisible()
    dock.area.verticalScrollBar().setValue(0)
    qtbot.waitUntil(lambda: not is_in_view(dock, dock.controls.button), timeout=LONG)
    dock.train()  # as Resume does, from the top of the dock
    qtbot.waitUntil(lambda: is_in_view(dock, dock.controls.progress), timeout=LONG)
    qtbot.waitUntil(lambda: dock.curves.isVisible(), timeout=LONG)
    assert len(dock.curves.history) > 0
    qtbot.waitUntil(lambda: is_in_view(dock, dock.curves), timeout=LONG)
    assert is_in_view(dock, dock.controls.progress)
    dock.controls.cancel()
    qtbot.waitUntil(lambda: dock.controls.is_idle, timeout=LONG)


def test_a_training_whose_dock_is_closed_is_listed_where_segmentations_are(
    train_dock, qtbot, make_napari_viewer
):
    viewer = train_dock.viewer
    open_from_menu(viewer, SegmentWidget, qtbot)
    segment = next(dock for dock in docks_in(viewer) if isinstance(dock, SegmentWidget))
    assert segment.queue_list.isHidden()
    qtbot.mouseClick(train_dock.controls.button, Qt.MouseButton.LeftButton)
    viewer.window.remove_dock_widget(train_dock)
    assert not segment.queue_list.isHidden()
    (row,) = segment.queue_list.rows
    assert row.title.text() == "training my tiny"
    qtbot.mouseClick(row.cancel_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: not segment.queue.is_busy, timeout=LONG)
    assert segment.queue_list.isHidden()


# ---- when all layers are gone ----------------------------------------------------------------


def offered(dock):
    """Texts of the buttons that can be clicked, and of what came out."""
    buttons = [b for b in dock.findChildren(QPushButton) if b.isVisibleTo(dock) and b.isEnabled()]
    return {button.text() for button in buttons}


def test_nothing_of_a_segmentation_stays_on_offer(viewer, noise, qtbot):
    open_from_menu(viewer, SegmentWidget, qtbot)
    (dock,) = docks_in(viewer)
    qtbot.waitUntil(lambda: not jobs.runs_under_way(), timeout=LONG)
    before = offered(dock)
    viewer.add_image(noise(48, 64), name="a")
    qtbot.mouseClick(dock.controls.button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: not dock.queue.is_busy, timeout=LONG)
    assert dock.brush_button.isVisibleTo(dock)
    viewer.layers.clear()
    assert offered(dock) == before
    assert not dock.result_line.isVisibleTo(dock)


@pytest.mark.slow
def test_nothing_of_a_training_stays_on_offer(train_dock, qtbot, noise):
    dock, viewer = train_dock, train_dock.viewer
    before = offered(dock)
    qtbot.mouseClick(dock.controls.button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: len(dock.curves.history) > 1, timeout=LONG)
    dock.controls.cancel()
    qtbot.waitUntil(lambda: dock.controls.is_idle, timeout=LONG)
    assert {"Segment learnt with it", "Copy command"} <= offered(dock)
    dock.places.find()
    qtbot.waitUntil(lambda: not dock.queue.is_busy, timeout=LONG)
    assert dock.places.list.count() > 0
    viewer.layers.clear()
    left_over = offered(dock) - before
    assert left_over == set()
    assert not {"Train", "Where to paint next >", "This plane is correct"} & offered(dock)
    assert dock.places.list.count() == 0
    for widget in (dock.result_line, dock.curves, dock.places.list, dock.next_steps):
        assert not widget.isVisibleTo(dock)
