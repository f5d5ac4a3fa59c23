"""What is shown after a training: what changed, and where to paint next."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from napari_fractoseg._napari.corrections import is_teachable, remember_prediction
from napari_fractoseg._napari.layer_metadata import facts_of
from napari_fractoseg._napari.layers import is_segmentable, labels_layer
from napari_fractoseg._napari.train.next_steps import NextSteps
from napari_fractoseg._napari.train.place_mark import PlaceMark
from napari_fractoseg.classes import DEFAULT_SCHEME
from napari_fractoseg.training.active_learning import Suggestion


def add_result(viewer, labels, name):
    layer = labels_layer(labels, DEFAULT_SCHEME, name=name, metadata={"image": "s17"})
    remember_prediction(layer, labels.copy())
    return viewer.add_layer(layer)


@pytest.fixture
def image(viewer):
    return viewer.add_image(np.zeros((12, 12), np.uint8), name="s17")


@pytest.fixture
def results(viewer, image):
    """An earlier result with two strokes on it, and a later one."""
    first = add_result(viewer, np.ones((12, 12), np.uint8), "first")
    first.brush_size = 1
    for row in range(2):
        first.paint((row, 0), 2)
        first.paint((row, 5), 3)
    labels = np.ones((12, 12), np.uint8)
    labels[:, 0], labels[6:, 8:] = 2, 3
    return first, add_result(viewer, labels, "second")


@pytest.fixture
def steps(viewer, image, qtbot):
    steps = NextSteps(viewer)
    qtbot.addWidget(steps)
    steps.offer(SimpleNamespace(folder=Path("second")), [image])
    return steps


def helpers(viewer):
    return [layer for layer in viewer.layers if "helper" in facts_of(layer)]


def test_what_changed_is_outlined_and_own_strokes_are_apart(viewer, steps, results):
    first, second = results
    changed, strokes = steps.show_changes()
    expected = np.zeros((12, 12), np.uint8)
    expected[2:, 0], expected[6:, 8:] = 2, 3  # not the strokes: they are the user's own
    np.testing.assert_array_equal(changed.data, expected)
    judged = np.zeros((12, 12), np.uint8)
    judged[:2, 0], judged[:2, 5] = 1, 2
    np.testing.assert_array_equal(strokes.data, judged)
    assert changed.contour > 0
    assert strokes.contour > 0
    assert changed.get_color(3)[-1] == 1  # background, too, can be seen
    assert strokes.get_status((0, 5), world=True)["value"].endswith("the new model does not agree")
    assert not any(map(is_teachable, (changed, strokes)))
    assert (first.visible, second.visible) == (False, True)
    assert viewer.layers.selection.active is second


def test_later_strokes_on_the_new_result_are_no_changes_of_the_model(steps, results):
    results[1].paint((9, 2), 2)
    changed, _ = steps.show_changes()
    assert changed.data[9, 2] == 0


def test_outlines_that_were_shown_before_are_hidden(viewer, steps, results):
    steps.show_changes()
    before = helpers(viewer)
    again = steps.show_changes()
    assert [layer.visible for layer in before] == [False, False]
    assert [layer.visible for layer in again] == [True, True]
    assert [layer for layer in helpers(viewer) if layer.visible] == again


def test_other_images_stay_as_they_are(viewer, steps, results):
    other = labels_layer(
        np.ones((12, 12), np.uint8), DEFAULT_SCHEME, name="o", metadata={"image": "t13"}
    )
    viewer.add_layer(other)
    viewer.layers.move(viewer.layers.index(other), 0)
    steps.show_changes()
    assert other.visible


# ---- where to paint next -----------------------------------------------------------------------


def place(row, column, plane=(), size=4):
    return Suggestion("s17", plane, row, column, size, 1, 0.4)


def test_the_place_is_outlined_and_goes_when_one_paints_there(viewer, results, image):
    labels = results[1]
    viewer.layers.selection.active = labels
    mark = PlaceMark(viewer)
    mark.show(place(6, 4), image)
    (box,) = helpers(viewer)
    corners = np.array(box.data[0])
    assert (corners.min(axis=0).tolist(), corners.max(axis=0).tolist()) == ([4, 2], [8, 6])
    assert viewer.layers.selection.active is labels
    assert not is_teachable(box)
    assert not is_segmentable(box)
    labels.brush_size = 1
    labels.paint((11, 11), 2)
    assert helpers(viewer) == [box]
    labels.paint((5, 3), 2)
    assert helpers(viewer) == []
    assert viewer.layers.selection.active is labels
    labels.paint((5, 4), 3)  # nothing is left that listens


def test_the_next_place_takes_the_mark_with_it(viewer, image):
    mark = PlaceMark(viewer)
    mark.show(place(6, 4), image)
    mark.show(place(2, 2), image)
    (box,) = helpers(viewer)
    assert np.array(box.data[0]).min() == 0
    viewer.layers.remove(box)  # by the user
    mark.remove()
    assert helpers(viewer) == []


def test_on_another_plane_a_stroke_leaves_the_mark(viewer):
    image = viewer.add_image(np.zeros((2, 12, 12), np.uint8), scale=(1, 0.5, 0.5))
    labels = viewer.add_labels(np.zeros((2, 12, 12), np.uint8))
    mark = PlaceMark(viewer)
    mark.show(place(6, 6, (1,)), image)
    (box,) = helpers(viewer)
    np.testing.assert_allclose(box.scale, image.scale)
    assert np.array(box.data[0])[:, 0].tolist() == [1, 1, 1, 1]
    labels.paint((0, 6, 6), 1)
    assert helpers(viewer) == [box]
    labels.paint((1, 6, 6), 1)
    assert helpers(viewer) == []
