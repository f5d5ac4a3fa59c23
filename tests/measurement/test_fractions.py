from __future__ import annotations

import numpy as np
import pytest

from napari_fractoseg.classes import DEFAULT_SCHEME, ClassScheme, FractureClass
from napari_fractoseg.errors import ClassSchemeError
from napari_fractoseg.measurement import class_fractions


def test_areas_and_fractions_are_exact():
    labels = np.array([[1, 1, 1, 2], [3, 3, 0, 0]], dtype=np.uint8)
    table = class_fractions(labels, DEFAULT_SCHEME)
    assert list(table.columns) == [
        "class_value",
        "class_name",
        "is_fracture_mode",
        "area_px",
        "fraction_of_image",
        "fraction_of_modes",
    ]
    assert table.class_name.tolist() == ["intergranular", "transgranular", "background"]
    assert table.is_fracture_mode.tolist() == [True, True, False]
    assert table.area_px.tolist() == [3, 1, 2]
    assert table.fraction_of_image.tolist() == [3 / 8, 1 / 8, 2 / 8]
    np.testing.assert_array_equal(table.fraction_of_modes, [0.75, 0.25, np.nan])


def test_rows_follow_the_scheme_not_the_values():
    scheme = ClassScheme(
        "own", (FractureClass(9, "dimples", "#ff0000"), FractureClass(4, "cleavage", "#00ff00"))
    )
    table = class_fractions(np.array([[4, 9, 9, 9]]), scheme)
    assert table.class_value.tolist() == [9, 4]
    assert table.area_px.tolist() == [3, 1]


def test_without_a_fracture_mode_the_mode_fractions_are_unknown():
    table = class_fractions(np.array([[3, 3], [0, 3]]), DEFAULT_SCHEME)
    assert table.fraction_of_modes.isna().all()
    assert table.fraction_of_image.tolist() == [0, 0, 0.75]


def test_a_stack_is_measured_as_a_whole():
    stack = np.array([[[1, 1]], [[2, 1]]], dtype=np.uint8)
    assert class_fractions(stack, DEFAULT_SCHEME).area_px.tolist() == [3, 1, 0]


def test_labels_are_not_changed_and_may_be_of_any_integer_type():
    labels = np.array([[1, 2]], dtype=np.int64)
    class_fractions(labels, DEFAULT_SCHEME)
    assert labels.tolist() == [[1, 2]]


def test_values_without_a_class_are_refused():
    with pytest.raises(ClassSchemeError, match=r"no class: 7 \(2 px\)"):
        class_fractions(np.array([[7, 7, 1]]), DEFAULT_SCHEME)
