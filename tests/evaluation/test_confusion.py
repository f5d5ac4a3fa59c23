import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from napari_fractoseg.classes import DEFAULT_SCHEME
from napari_fractoseg.errors import ClassSchemeError
from napari_fractoseg.evaluation.confusion import Confusion

# 10 pixels: 6 reference i (4 hit, 1 t, 1 b), 3 reference t (2 hit, 1 i), 1 reference b (hit)
REFERENCE = np.array([[1, 1, 1, 1, 1, 1, 2, 2, 2, 3, 0, 0]])
PREDICTED = np.array([[1, 1, 1, 1, 2, 3, 2, 2, 1, 3, 1, 2]])
CONFUSION = Confusion.of(REFERENCE, PREDICTED, DEFAULT_SCHEME)


def test_counts_have_reference_rows_and_predicted_columns():
    np.testing.assert_array_equal(CONFUSION.counts, [[4, 1, 1], [1, 2, 0], [0, 0, 1]])
    assert CONFUSION.n_px == 10


def test_figures_by_hand():
    assert CONFUSION.agreement == 0.7
    assert CONFUSION.mode_agreement == 6 / 8
    assert CONFUSION.iou == {"intergranular": 4 / 7, "transgranular": 2 / 4, "background": 1 / 2}
    assert CONFUSION.f1 == {"intergranular": 8 / 11, "transgranular": 4 / 6, "background": 2 / 3}
    assert CONFUSION.mean_iou == pytest.approx((4 / 7 + 0.5 + 0.5) / 3)
    reference, predicted = CONFUSION.mode_fractions
    assert reference == {"intergranular": 6 / 9, "transgranular": 3 / 9}
    assert predicted == {"intergranular": 5 / 8, "transgranular": 3 / 8}
    assert CONFUSION.fraction_error == pytest.approx(6 / 9 - 5 / 8)


def test_classes_on_neither_side_are_none_in_reports():
    only_one = Confusion.of(np.array([[1, 1]]), np.array([[1, 1]]), DEFAULT_SCHEME)
    assert math.isnan(only_one.iou["background"])
    assert only_one.mean_iou == 1
    report = only_one.to_dict()
    assert report["iou"] == {"intergranular": 1.0, "transgranular": None, "background": None}
    assert report["confusion_matrix"] == [[2, 0, 0], [0, 0, 0], [0, 0, 0]]


def test_nothing_labelled_gives_no_figures():
    empty = Confusion.of(np.zeros((2, 2), int), np.ones((2, 2), int), DEFAULT_SCHEME)
    assert empty.n_px == 0
    assert empty.to_dict()["agreement"] is None


def test_unknown_values_are_refused():
    with pytest.raises(ClassSchemeError, match="9"):
        Confusion.of(np.array([9]), np.array([1]), DEFAULT_SCHEME)


LABELS = hnp.arrays(np.uint8, (6, 6), elements=st.integers(1, 3))


@given(LABELS, LABELS, LABELS)
def test_pooling_is_the_same_as_one_large_image(reference, predicted, more):
    parts = Confusion.of(reference, predicted, DEFAULT_SCHEME) + Confusion.of(
        more, predicted, DEFAULT_SCHEME
    )
    whole = Confusion.of(
        np.vstack([reference, more]), np.vstack([predicted, predicted]), DEFAULT_SCHEME
    )
    np.testing.assert_array_equal(parts.counts, whole.counts)
    assert Confusion.of(reference, reference, DEFAULT_SCHEME).agreement == 1
