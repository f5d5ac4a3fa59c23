import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra import numpy as hnp

from napari_fractoseg.classes import DEFAULT_SCHEME
from napari_fractoseg.datasets.supervision import (
    LEARNT,
    NOT_LEARNT,
    Corrections,
    TaughtPixels,
    changed_labels,
    judged_strokes,
    painted_pairs,
)
from napari_fractoseg.errors import ClassSchemeError, TrainingError
from napari_fractoseg.images import MicrographStack

LABELS = hnp.arrays(np.uint8, (6, 7), elements={"min_value": 0, "max_value": 3})


@given(LABELS, LABELS, hnp.arrays(bool, (6, 7)))
def test_every_labelled_pixel_is_corrected_or_checked_or_untouched(labels, predicted, checked):
    areas = Corrections(labels, predicted, checked)
    sum_of_parts = areas.corrected.astype(int) + areas.confirmed + areas.untouched
    np.testing.assert_array_equal(sum_of_parts, labels > 0)
    np.testing.assert_array_equal(areas.truth > 0, areas.corrected | areas.confirmed)
    np.testing.assert_array_equal(areas.truth[areas.truth > 0], labels[areas.truth > 0])


@given(LABELS)
def test_an_untouched_prediction_teaches_nothing(labels):
    assert not Corrections(labels, labels.copy()).truth.any()


@given(LABELS)
def test_what_did_not_begin_as_a_prediction_was_painted(labels):
    np.testing.assert_array_equal(Corrections(labels).truth, labels)


def test_an_erased_pixel_teaches_nothing():
    areas = Corrections(np.array([[0, 1]]), np.array([[2, 1]]), np.array([[True, False]]))
    assert not areas.truth.any()


class TestTaughtPixels:
    @pytest.mark.parametrize(("columns", "is_dense"), [(0, False), (5, False), (6, True)])
    def test_labels_of_more_than_half_of_a_plane_are_dense(self, columns, is_dense):
        labels = np.zeros((4, 10), np.uint8)
        labels[:, :columns] = 2
        taught = TaughtPixels.of(Corrections(labels))
        assert taught.is_dense is is_dense
        assert (taught.total, taught.labelled) == (40, 4 * columns)

    def test_only_planes_with_labels_are_compared(self):
        labels = np.zeros((5, 4, 10), np.uint8)
        labels[3, :, :6] = 1
        predicted = labels.copy()
        labels[3, 0, 0] = 2
        taught = TaughtPixels.of(Corrections(labels, predicted))
        assert (taught.n_taught, taught.labelled, taught.in_labelled_planes) == (1, 24, 40)
        assert taught.is_dense


class TestPaintedPairs:
    def stack(self, *shape):
        return MicrographStack(np.arange(np.prod(shape)).reshape(shape), name="s17")

    def test_only_planes_with_truth_are_learnt_from(self):
        labels = np.zeros((3, 4, 5), np.int64)
        labels[1, 0, 0] = 2
        (pair,) = painted_pairs(self.stack(3, 4, 5), Corrections(labels), DEFAULT_SCHEME)
        assert (pair.name, pair.group) == ("s17, plane 2 of 3 (index 1)", "s17")
        assert pair.labels.dtype == np.uint8
        assert pair.labels[0, 0] == 2
        assert np.count_nonzero(pair.labels) == 1

    def test_corrections_and_checked_areas_are_drawn_from_by_turns(self):
        predicted = np.ones((4, 5), np.uint8)
        labels = predicted.copy()
        labels[0, 0] = 2
        corrections = Corrections(labels, predicted, np.ones((4, 5), bool))
        first, second = painted_pairs(self.stack(4, 5), corrections, DEFAULT_SCHEME)
        assert [np.count_nonzero(p.labels) for p in (first, second)] == [1, 19]
        assert first.image is second.image

    def test_other_shapes_and_unknown_values_are_refused(self):
        with pytest.raises(TrainingError, match=r"s17: the image has 5 x 4 px, its labels"):
            list(painted_pairs(self.stack(4, 5), Corrections(np.ones((5, 4), int)), DEFAULT_SCHEME))
        labels = np.full((4, 5), 300)
        with pytest.raises(ClassSchemeError, match=r"no class: 300 \(20 px\)"):
            list(painted_pairs(self.stack(4, 5), Corrections(labels), DEFAULT_SCHEME))
        with pytest.raises(TrainingError, match=r"labels have 5 x 4 px, their prediction"):
            Corrections(np.ones((4, 5), int), np.ones((5, 4), int))


def test_what_a_new_model_changed_is_told_apart_from_strokes():
    predicted = np.array([[1, 1, 2, 2, 3, 0]], np.uint8)
    painted = Corrections(np.array([[1, 2, 2, 1, 3, 2]], np.uint8), predicted)
    new = np.array([[2, 2, 2, 3, 0, 2]], np.uint8)
    # Only the first pixel: the others were painted, are the same, or are not labelled now.
    np.testing.assert_array_equal(changed_labels(painted, new), [[2, 0, 0, 0, 0, 0]])
    np.testing.assert_array_equal(
        judged_strokes(painted, new), [[0, LEARNT, 0, NOT_LEARNT, 0, LEARNT]]
    )


def test_what_is_excluded_teaches_nothing_and_is_not_counted():
    labels = np.array([[[1, 2], [2, 1]], [[0, 0], [1, 1]]])
    excluded = np.array([[False, False], [True, True]])
    areas = Corrections(labels, None, None, excluded)
    np.testing.assert_array_equal(areas.truth, [[[1, 2], [0, 0]], [[0, 0], [0, 0]]])
    taught = TaughtPixels.of(areas)
    assert (taught.by_value, taught.total, taught.in_labelled_planes) == ({1: 1, 2: 1}, 4, 2)
    kept = Corrections(labels, labels.copy(), np.ones(labels.shape, bool), excluded)
    assert (kept.confirmed.sum(), kept.untouched.sum()) == (2, 0)
    assert Corrections(labels, labels.copy(), None, excluded).untouched.sum() == 2
