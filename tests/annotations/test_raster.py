import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_fractoseg.annotations import AnnotatedImage, Region, rasterise
from napari_fractoseg.annotations.raster import class_attribute
from napari_fractoseg.classes import DEFAULT_SCHEME
from napari_fractoseg.errors import AnnotationError


def rect(x, y, width, height, name="i"):
    shape = {"name": "rect", "x": x, "y": y, "width": width, "height": height}
    return Region(shape, {"name": name})


def draw(*regions, shape=(6, 8)):
    return rasterise(AnnotatedImage("a.png", regions), shape, DEFAULT_SCHEME, "name")


@given(st.integers(0, 7), st.integers(0, 5), st.integers(1, 8), st.integers(1, 6))
def test_whole_number_rectangles_cover_exactly_their_pixels(x, y, width, height):
    expected = np.zeros((6, 8), np.uint8)
    expected[y : y + height, x : x + width] = 1
    np.testing.assert_array_equal(draw(rect(x, y, width, height)), expected)


def test_a_polygon_round_the_image_covers_all_of_it():
    points = {"name": "polygon", "all_points_x": [0, 8, 8, 0], "all_points_y": [0, 0, 6, 6]}
    assert (draw(Region(points, {"name": "T"})) == 2).all()


def test_later_regions_win():
    labels = draw(rect(0, 0, 8, 6, "i"), rect(2, 2, 2, 2, "transgranular"))
    assert (labels == 2).sum() == 4
    assert (labels == 1).sum() == 44


def test_regions_outside_the_image_are_cut():
    assert draw(rect(-3, -3, 5, 5)).sum() == 4


def test_circles_and_turned_ellipses():
    circle = Region({"name": "circle", "cx": 50, "cy": 40, "r": 20}, {"name": "i"})
    area = (draw(circle, shape=(100, 100)) == 1).sum()
    assert area == pytest.approx(np.pi * 400, rel=0.01)
    shape = {"name": "ellipse", "cx": 50, "cy": 50, "rx": 30, "ry": 5, "theta": np.pi / 2}
    labels = draw(Region(shape, {"name": "i"}), shape=(100, 100))
    rows, columns = np.nonzero(labels)
    assert np.ptp(rows) == pytest.approx(59, abs=1)
    assert np.ptp(columns) == pytest.approx(9, abs=1)


@pytest.mark.parametrize(
    ("region", "message"),
    [
        (rect(0, 0, 1, 1, "dimple"), r"image 'a\.png', region 0: class 'dimple'.*add it to"),
        (Region({"name": "rect", "x": 0}, {"name": "i"}), "rect with unusable coordinates"),
        (Region({"name": "point", "cx": 1, "cy": 1}, {"name": "i"}), "point.*no area"),
        (
            Region({"name": "polygon", "all_points_x": [0, 1], "all_points_y": [0]}, {"name": "i"}),
            "2 x and 1 y coordinates",
        ),
        (
            Region({"name": "circle", "cx": "a", "cy": 1, "r": 3}, {"name": "i"}),
            "unusable coordinates",
        ),
    ],
)  # fmt: skip
def test_unusable_regions_are_named(region, message):
    with pytest.raises(AnnotationError, match=message):
        draw(region)


def test_the_class_attribute_is_the_one_that_fits():
    regions = [Region({"name": "rect"}, {"mode": "i", "note": "x"}), Region({}, {"mode": "T"})]
    assert class_attribute([AnnotatedImage("a", tuple(regions))], DEFAULT_SCHEME) == "mode"
    unfit = [AnnotatedImage("a", (Region({}, {"kind": "round"}),))]
    with pytest.raises(AnnotationError, match=r"no attribute holds.*'kind': \{'round': 1\}"):
        class_attribute(unfit, DEFAULT_SCHEME)
    both = [AnnotatedImage("a", (Region({}, {"one": "i", "two": "t"}),))]
    with pytest.raises(AnnotationError, match="several attributes hold"):
        class_attribute(both, DEFAULT_SCHEME)
