"""Keys of classes and of napari's tools on a layer, pressed and released on a real canvas."""

import numpy as np
import pytest
from napari.settings import get_settings
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QWidget

from napari_fractoseg._napari.layers import apply_scheme
from napari_fractoseg.classes import DEFAULT_SCHEME


@pytest.fixture
def layer(viewer, monkeypatch):
    """A labels layer that is active; keys count as held from the first moment."""
    monkeypatch.setattr(get_settings().application, "hold_button_delay", 0)
    layer = viewer.add_labels(np.zeros((9, 9), np.uint8))
    viewer.layers.selection.active = layer
    return layer


@pytest.fixture
def canvas(viewer, layer):
    """The widget of the canvas, which gets the keys."""
    beside = QWidget()
    viewer.window.add_dock_widget(beside)
    kind = "CanvasBackendDesktop"  # vispy's
    return next(w for w in beside.window().findChildren(QWidget) if type(w).__name__ == kind)


def test_a_class_key_that_is_held_keeps_the_brush(layer, canvas, qtbot):
    """The same key was napari's fill tool before the layer had classes."""
    qtbot.keyPress(canvas, Qt.Key.Key_4)
    assert layer.mode == "fill"
    apply_scheme(layer, DEFAULT_SCHEME.with_names(["dimples"]))
    layer.mode = "paint"
    qtbot.keyPress(canvas, Qt.Key.Key_4)
    qtbot.keyRelease(canvas, Qt.Key.Key_4)
    assert (layer.selected_label, layer.mode) == (4, "paint")


def test_a_class_key_while_a_tool_is_held_starts_the_brush_to_stay(layer, canvas, qtbot):
    apply_scheme(layer, DEFAULT_SCHEME)
    qtbot.keyPress(canvas, Qt.Key.Key_F)
    assert layer.mode == "fill"
    qtbot.keyPress(canvas, Qt.Key.Key_2)
    qtbot.keyRelease(canvas, Qt.Key.Key_2)
    qtbot.keyRelease(canvas, Qt.Key.Key_F)
    assert (layer.selected_label, layer.mode) == (2, "paint")


def test_a_tool_that_was_held_goes_back_to_the_brush(layer, canvas, qtbot):
    apply_scheme(layer, DEFAULT_SCHEME)
    layer.mode = "paint"
    for key, mode in ((Qt.Key.Key_F, "fill"), (Qt.Key.Key_E, "erase"), (Qt.Key.Key_Z, "pan_zoom")):
        qtbot.keyPress(canvas, key)
        assert layer.mode == mode
        qtbot.keyRelease(canvas, key)
        assert layer.mode == "paint"


def test_numbers_of_no_class_do_nothing(layer, canvas, qtbot):
    apply_scheme(layer, DEFAULT_SCHEME)
    layer.mode = "paint"
    qtbot.keyPress(canvas, Qt.Key.Key_7)  # napari's transform tool
    qtbot.keyRelease(canvas, Qt.Key.Key_7)
    assert (layer.selected_label, layer.mode) == (1, "paint")


def test_keys_that_the_user_took_from_a_tool_stay_free(layer, monkeypatch):
    shortcuts = get_settings().shortcuts.shortcuts
    monkeypatch.setitem(shortcuts, "napari:activate_labels_fill_mode", [])
    apply_scheme(layer, DEFAULT_SCHEME)
    bound = {str(key) for key in layer.keymap}
    assert "F" not in bound
    assert "E" in bound
