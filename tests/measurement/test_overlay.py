from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_fractoseg.classes import DEFAULT_SCHEME, ClassScheme
from napari_fractoseg.errors import ClassSchemeError
from napari_fractoseg.measurement import overlay
from napari_fractoseg.measurement.overlay import thumbnail

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


def test_a_thumbnail_shows_means_of_the_image_and_the_middle_labels():
    image = np.zeros((40, 90))
    image[:, 45:] = np.tile([0, 200], 45)[:45]
    labels = np.full((40, 90), 3)
    labels[:, 45:] = 1
    small = thumbnail(image, labels, DEFAULT_SCHEME, edge_px=18)
    assert small.shape == (8, 18, 3)
    assert (small[:, :9] == small[0, 0]).all()
    blue = DEFAULT_SCHEME.find("i").rgba[2]
    assert small[0, 12, 2] > 0.4 * 255 * blue
    assert small[0, 0].tolist() == [0, 0, 0]


@pytest.mark.parametrize("shape", [(1, 1), (3, 1000), (1000, 7), (479, 481), (960, 960)])
def test_thumbnails_of_any_shape_are_small(shape):
    small = thumbnail(np.zeros(shape), np.ones(shape, int), DEFAULT_SCHEME, edge_px=48)
    assert max(small.shape[:2]) <= 48
    assert min(small.shape[:2]) >= 1


def test_labels_without_an_image_are_on_white():
    small = thumbnail(None, np.array([[1, 0, 3]]), DEFAULT_SCHEME)
    assert small.tolist() == [[[47, 107, 255], [255, 255, 255], [255, 255, 255]]]
    with pytest.raises(ValueError, match=r"shape \(2, 2\)"):
        thumbnail(np.zeros((2, 2)), np.ones((3, 3), int), DEFAULT_SCHEME)
