from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_fractoseg.classes import DEFAULT_SCHEME, ClassScheme
from napari_fractoseg.errors import ClassSchemeError
from napari_fractoseg.measurement import overlay

BLUE = (47, 107, 255)


def ramp(low: float, high: float, dtype: type) -> np.ndarray:
    return np.linspace(low, high, 101).reshape(1, -1).astype(dtype)


def test_colours_are_mixed_with_the_image():
    image = np.array([[0, 255, 0, 255]], np.uint8)
    painted = overlay(image, np.array([[1, 1, 0, 3]]), DEFAULT_SCHEME, opacity=0.5)
    assert painted.dtype == np.uint8
    assert painted[0, 0].tolist() == [round(c / 2) for c in BLUE]
    assert painted[0, 1].tolist() == [round((255 + c) / 2) for c in BLUE]


def test_unlabelled_and_transparent_pixels_show_the_image():
    image = np.array([[0, 255, 0, 255]], np.uint8)
    painted = overlay(image, np.array([[0, 0, 3, 3]]), DEFAULT_SCHEME)
    assert painted[0, :, 0].tolist() == [0, 255, 0, 255]


def test_grey_levels_are_shown_from_the_1st_to_the_99th_percentile():
    image = ramp(1000, 2000, np.uint16)
    grey = overlay(image, np.zeros(image.shape, int), DEFAULT_SCHEME)[0, :, 0]
    assert grey[:2].tolist() == [0, 0]
    assert grey[-2:].tolist() == [255, 255]
    assert grey[50] in (127, 128)


def test_the_same_grey_levels_of_another_type_look_the_same():
    labels = np.ones((1, 101), np.uint8)
    expected = overlay(ramp(0, 200, np.uint8), labels, DEFAULT_SCHEME)
    as_float = ramp(0, 200, np.uint8).astype(np.float32) / 255
    np.testing.assert_array_equal(overlay(as_float, labels, DEFAULT_SCHEME), expected)


def test_a_half_transparent_class_colours_half_as_much():
    faint = replace(DEFAULT_SCHEME.classes[0], color="#ff000080")
    scheme = ClassScheme("faint", (faint,))
    painted = overlay(np.array([[0, 255]], np.uint8), np.array([[1, 1]]), scheme, opacity=1)
    assert painted[0, 0].tolist() == [128, 0, 0]


def test_inputs_are_not_changed():
    image, labels = np.array([[0, 9]], np.uint8), np.array([[1, 2]], np.uint8)
    overlay(image, labels, DEFAULT_SCHEME)
    assert image.tolist() == [[0, 9]]
    assert labels.tolist() == [[1, 2]]


def test_shapes_must_agree():
    with pytest.raises(ValueError, match=r"\(2, 3\), its labels \(3, 2\)"):
        overlay(np.zeros((2, 3)), np.zeros((3, 2), int), DEFAULT_SCHEME)


def test_values_without_a_class_are_refused():
    with pytest.raises(ClassSchemeError, match="7"):
        overlay(np.zeros((1, 2)), np.array([[7, 1]]), DEFAULT_SCHEME)
