"""Labels in three parts: strokes, first answer, and what was learnt."""

import numpy as np
import pytest

from napari_fractoseg._napari.live.strokes import Brushed, LiveLabels

ALL = (slice(0, 2), slice(0, 4))


@pytest.fixture
def live():
    """Two rows of four pixels, of which the model says 1, 1, 2, 2."""
    labels = np.array([[1, 1, 2, 2], [1, 1, 2, 2]], np.uint8)
    return LiveLabels(labels, labels.copy(), np.zeros_like(labels))


def paint(live, row, columns, value):
    live.labels[row, columns] = value
    return live.note_stroke((slice(row, row + 1), columns))


def test_what_is_painted_stays(live):
    paint(live, 0, slice(0, 2), 3)
    live.show(ALL, np.full((2, 4), 2, np.uint8))
    assert live.labels.tolist() == [[3, 3, 2, 2], [2, 2, 2, 2]]
    assert live.painted.tolist() == [[3, 3, 0, 0], [0, 0, 0, 0]]
    assert live.answer.tolist() == [[0, 0, 2, 2], [2, 2, 2, 2]]  # a correction differs from it


def test_a_stroke_of_the_class_that_is_shown_changes_nothing(live):
    assert not paint(live, 0, slice(0, 2), 1)
    assert live.n_strokes == 0


def test_what_is_being_painted_is_not_labelled_anew(live):
    live.labels[0, 0] = 3  # the mouse button is still down
    live.show(ALL, np.full((2, 4), 2, np.uint8))
    assert live.labels[0].tolist() == [3, 2, 2, 2]
    assert live.note_stroke((slice(0, 1), slice(0, 1)))
    assert live.painted[0].tolist() == [3, 0, 0, 0]


def test_an_erased_stroke_is_labelled_by_what_is_learnt(live):
    paint(live, 0, slice(0, 2), 3)
    paint(live, 0, slice(0, 1), 0)
    live.show(ALL, np.full((2, 4), 2, np.uint8))
    assert live.labels[0].tolist() == [2, 3, 2, 2]
    assert live.painted[0].tolist() == [0, 3, 0, 0]


def test_undo_takes_the_last_stroke_back_and_redo_brings_it_again(live):
    paint(live, 0, slice(0, 2), 3)
    live.show(ALL, np.full((2, 4), 2, np.uint8))
    paint(live, 0, slice(1, 4), 1)
    live.labels[0, 1:] = [3, 2, 2]  # as napari undoes it
    assert live.note_change(()) == (slice(0, 1), slice(1, 4))
    assert live.painted[0].tolist() == [3, 3, 0, 0]
    assert (live.n_strokes, live.answer[0].tolist()) == (1, [0, 0, 2, 2])
    live.labels[0, 1:] = 1
    assert live.note_change(()) == (slice(0, 1), slice(1, 4))
    assert (live.n_strokes, live.painted[0].tolist()) == (2, [3, 1, 1, 1])
    assert live.note_change(()) is None


def test_an_undone_eraser_brings_the_stroke_back(live):
    paint(live, 0, slice(0, 2), 3)
    paint(live, 0, slice(0, 2), 0)
    live.show(ALL, np.full((2, 4), 2, np.uint8))
    live.labels[0, :2] = 3
    assert live.note_change(()) is not None
    assert (live.n_strokes, live.painted[0].tolist()) == (1, [3, 3, 0, 0])


def test_what_a_program_writes_is_painted(live):
    live.labels[1, 2:] = 3
    assert live.note_change(()) is not None
    assert live.painted.tolist() == [[0, 0, 0, 0], [0, 0, 3, 3]]


def test_checked_pixels_stay_and_are_no_corrections(live):
    checked = np.zeros((2, 4), bool)
    checked[1] = True
    live.show(ALL, np.full((2, 4), 2, np.uint8), checked)
    assert live.labels.tolist() == live.answer.tolist() == [[2, 2, 2, 2], [1, 1, 2, 2]]


def test_the_first_answer_comes_back_under_the_strokes(live):
    paint(live, 0, slice(0, 1), 3)
    live.show(ALL, np.full((2, 4), 2, np.uint8))
    live.show_first()
    assert live.labels.tolist() == [[3, 1, 2, 2], [1, 1, 2, 2]]
    assert live.answer.tolist() == [[0, 1, 2, 2], [1, 1, 2, 2]]


def confirm(live, row, columns, value, joins=False):
    mask = np.zeros((1, 4), bool)
    mask[0, columns] = True
    return live.confirm(Brushed((slice(row, row + 1), slice(0, 4)), mask, value), joins)


def test_a_stroke_of_the_class_that_is_shown_confirms_it(live):
    assert confirm(live, 0, slice(0, 4), 1)  # the others show 2
    assert live.painted.tolist() == [[1, 1, 0, 0], [0, 0, 0, 0]]
    assert live.n_strokes == 1
    live.show(ALL, np.full((2, 4), 3, np.uint8))
    assert live.labels.tolist() == [[1, 1, 3, 3], [3, 3, 3, 3]]
    assert not confirm(live, 0, slice(0, 2), 1)  # it was painted already
    assert live.n_strokes == 1


def test_the_part_of_a_stroke_that_changes_nothing_is_no_stroke_of_its_own(live):
    paint(live, 0, slice(2, 4), 1)
    confirm(live, 0, slice(0, 4), 1, joins=True)
    assert live.painted[0].tolist() == [1, 1, 1, 1]
    assert live.n_strokes == 1


def test_confirmed_pixels_go_and_come_with_the_stroke_before_them(live):
    paint(live, 0, slice(2, 4), 1)
    confirm(live, 0, slice(0, 2), 1)
    confirm(live, 1, slice(2, 4), 2)
    live.show(ALL, np.full((2, 4), 3, np.uint8))
    live.labels[0, 2:4] = 2  # napari takes back the stroke that it knows of
    assert live.note_change(()) == (slice(0, 2), slice(0, 4))
    assert live.n_strokes == 0
    assert not live.painted.any()
    live.show(ALL, np.full((2, 4), 3, np.uint8))
    live.labels[0, 2:4] = 1
    live.note_change(())
    assert live.n_strokes == 3
    assert live.painted.tolist() == [[1, 1, 1, 1], [0, 0, 2, 2]]
    assert live.labels.tolist() == [[1, 1, 1, 1], [3, 3, 2, 2]]


def test_what_was_confirmed_can_be_erased(live):
    confirm(live, 0, slice(0, 2), 1)
    paint(live, 0, slice(0, 1), 0)
    assert live.painted[0].tolist() == [0, 1, 0, 0]
