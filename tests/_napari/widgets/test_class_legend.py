"""The class legend: painting with it, and editing classes."""

import numpy as np
import pytest
from napari.layers import Labels
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QInputDialog

from napari_fractoseg._napari.layers import labels_layer, scheme_of
from napari_fractoseg._napari.widgets.class_legend import ClassLegend
from napari_fractoseg.classes import DEFAULT_SCHEME
from napari_fractoseg.errors import ClassSchemeError


@pytest.fixture
def legend(qtbot):
    legend = ClassLegend()
    qtbot.addWidget(legend)
    return legend


@pytest.fixture
def foreign():
    """A labels layer of napari, without classes of ours."""
    return Labels(np.array([[0, 1, 1], [2, 7, 7]], np.uint8), name="foreign")


@pytest.fixture
def ours():
    return labels_layer(np.array([[0, 1], [2, 2]], np.uint8), DEFAULT_SCHEME, name="ours")


def click(qtbot, button):
    assert not button.isHidden()
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)


def menu_entry(legend, value, text):
    return next(a for a in legend.class_menu(value).actions() if a.text() == text)


# ---- any labels layer -----------------------------------------------------------------------


def test_a_layer_without_classes_is_offered_some(legend, foreign, qtbot):
    before = foreign.data.copy()
    legend.show_scheme(DEFAULT_SCHEME, foreign)
    assert not legend.buttons[1].isEnabled()
    assert scheme_of(foreign) is None
    click(qtbot, legend.use_button)
    assert scheme_of(foreign) == DEFAULT_SCHEME
    np.testing.assert_array_equal(foreign.data, before)
    np.testing.assert_allclose(foreign.get_color(1), DEFAULT_SCHEME.by_value(1).rgba)
    assert list(foreign.features["class"][1:]) == list(DEFAULT_SCHEME.names)
    assert "2" in {str(key) for key in foreign.keymap}
    assert legend.use_button.isHidden()
    assert legend.buttons[1].isEnabled()


def test_a_layer_of_ours_needs_no_offer(legend, ours):
    legend.show_scheme(DEFAULT_SCHEME)
    assert legend.use_button.isHidden()
    legend.show_scheme(DEFAULT_SCHEME, ours)
    assert legend.use_button.isHidden()


@pytest.mark.parametrize("tool", ["pan_zoom", "fill", "erase", "pick"])
def test_a_click_starts_the_brush(legend, ours, qtbot, tool):
    legend.show_scheme(DEFAULT_SCHEME, ours)
    ours.mode = tool
    with qtbot.waitSignal(legend.chosen, timeout=20_000):
        click(qtbot, legend.buttons[2])
    assert (ours.selected_label, ours.mode) == (2, "paint")


# ---- labels that are no class ----------------------------------------------------------------


def test_a_brush_without_a_class_says_so_at_once(legend, ours, qtbot):
    legend.show_scheme(DEFAULT_SCHEME, ours)
    assert legend.line.isHidden()
    ours.selected_label = 9
    assert not legend.line.isHidden()
    assert "label 9, which is no class" in legend.line.text()
    assert "Choose a class above, or add one for it" in legend.line.text()
    ours.selected_label = 0  # unlabelled, as the eraser has it
    assert legend.line.isHidden()
    ours.selected_label = 9
    click(qtbot, legend.buttons[1])
    assert legend.line.isHidden()
    assert legend.add_value_button.isHidden()


def test_the_label_of_the_brush_becomes_a_class(legend, ours, qtbot):
    legend.show_scheme(DEFAULT_SCHEME, ours)
    ours.selected_label = 9
    assert legend.add_value_button.text() == "Add 9 as a class"
    legend.add_class("dimples", 9)
    assert [(c.value, c.name) for c in scheme_of(ours)][-1] == (9, "dimples")
    assert (ours.selected_label, ours.mode) == (9, "paint")
    assert legend.line.isHidden()
    with pytest.raises(ClassSchemeError, match="dimples is used"):
        legend.add_class("dimples", 11)


def test_a_label_above_255_can_only_be_left(legend, qtbot):
    layer = labels_layer(np.zeros((2, 2), np.int32), DEFAULT_SCHEME, name="wide")
    legend.show_scheme(DEFAULT_SCHEME, layer)
    layer.selected_label = 300
    assert "label 300, which is no class" in legend.line.text()
    assert legend.add_value_button.isHidden()


def test_labels_in_the_data_that_are_no_class_are_listed(legend, foreign, qtbot):
    legend.show_scheme(DEFAULT_SCHEME, foreign)
    click(qtbot, legend.use_button)
    assert "Labels that are no class: 7 (2 px)" in legend.line.text()
    foreign.selected_label = 7
    assert "label 7, which is no class (2 px)" in legend.line.text()
    assert "Labels that are no class" not in legend.line.text()


# ---- classes are edited -----------------------------------------------------------------------


def test_a_class_is_renamed(legend, ours, qtbot):
    legend.show_scheme(DEFAULT_SCHEME, ours)
    with qtbot.waitSignal(legend.edited, timeout=20_000):
        menu_entry(legend, 2, "Rename …").trigger()
        dialog = legend.findChild(QInputDialog)
        assert dialog.textValue() == "transgranular"
        dialog.setTextValue("cleavage")
        dialog.accept()
    assert scheme_of(ours).names == ("intergranular", "cleavage", "background")
    assert "cleavage" in legend.buttons[2].text()
    assert list(ours.features["class"])[2] == "cleavage"


def test_a_name_that_is_taken_is_refused_in_words(legend, ours):
    legend.show_scheme(DEFAULT_SCHEME, ours)
    legend.rename_class(2, "intergranular")
    assert scheme_of(ours) == DEFAULT_SCHEME
    assert "name intergranular is used by more than one class" in legend.line.text()
    legend.rename_class(2, "cleavage")
    assert legend.line.isHidden()


def test_a_class_is_recoloured(legend, ours):
    legend.show_scheme(DEFAULT_SCHEME, ours)
    legend.recolour_class(1, "#ff0000")
    np.testing.assert_allclose(ours.get_color(1), (1, 0, 0, 1))
    assert scheme_of(ours).by_value(1).color == "#ff0000"


def test_a_class_without_pixels_is_removed(legend, ours):
    legend.show_scheme(DEFAULT_SCHEME, ours)
    ours.selected_label = 3
    menu_entry(legend, 3, "Remove").trigger()
    assert scheme_of(ours).names == ("intergranular", "transgranular")
    assert sorted(legend.buttons) == [1, 2]
    assert ours.selected_label == 1


def test_a_class_with_pixels_stays_and_its_pixels_are_counted(legend, ours):
    before = ours.data.copy()
    legend.show_scheme(DEFAULT_SCHEME, ours)
    menu_entry(legend, 2, "Remove").trigger()
    assert scheme_of(ours) == DEFAULT_SCHEME
    assert "transgranular has 2 px and stays" in legend.line.text()
    np.testing.assert_array_equal(ours.data, before)


def test_nothing_is_removed_before_it_is_counted(qtbot, ours):
    legend = ClassLegend(counts=lambda layer: None)
    qtbot.addWidget(legend)
    legend.show_scheme(DEFAULT_SCHEME, ours)
    legend.remove_class(3)
    assert scheme_of(ours) == DEFAULT_SCHEME
    assert "being counted" in legend.line.text()
