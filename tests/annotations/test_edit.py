import math

import numpy as np
import pytest

from napari_fractoseg.annotations import Region
from napari_fractoseg.annotations.class_mapping import ClassMapping
from napari_fractoseg.annotations.document import AttributeDefinition
from napari_fractoseg.annotations.edit import (
    ClassWords,
    number,
    shape_of_box,
    shape_of_points,
    with_class,
)
from napari_fractoseg.annotations.shapes import outline_px
from napari_fractoseg.classes import DEFAULT_SCHEME

POINT = {"name": "point", "cx": 1, "cy": 2}
MAPPING = ClassMapping(
    "mode",
    DEFAULT_SCHEME,
    {"": "background", "ig": "intergranular", "Korngrenze": "intergranular", "?": None},
)


def region(**attributes):
    return Region(POINT, attributes)


def corners(width, height, *, centre=(20, 30), turn=0.0):
    """Return rows and columns of a box's corners; `turn` is clockwise on the screen."""
    x = np.array([-width, width, width, -width]) / 2
    y = np.array([-height, -height, height, height]) / 2
    rows = centre[1] + x * math.sin(turn) + y * math.cos(turn)
    columns = centre[0] + x * math.cos(turn) - y * math.sin(turn)
    return rows, columns


OPTIONS = AttributeDefinition("checkbox", {"2": "transgranular", "i": "border"})


@pytest.mark.parametrize(
    ("words", "name", "value"),
    [
        (ClassWords("mode"), "intergranular", "intergranular"),
        (ClassWords("mode", MAPPING), "intergranular", "ig"),
        (ClassWords("mode", MAPPING), "transgranular", "transgranular"),
        (ClassWords("mode", MAPPING), "background", "background"),  # no value is no word for it
        (ClassWords("mode", MAPPING, OPTIONS), "transgranular", {"2": True}),
        (ClassWords("mode", MAPPING, OPTIONS), "intergranular", {"ig": True}),
    ],
)
def test_a_class_is_called_what_the_file_calls_it(words, name, value):
    assert words.value(name) == value


@pytest.mark.parametrize(
    ("attributes", "class_name"),
    [
        ({"mode": "ig"}, "intergranular"),
        ({"mode": " IG "}, "intergranular"),
        ({"mode": "Korngrenze"}, "intergranular"),
        ({"mode": {"ig": True, "Korngrenze": True}}, "intergranular"),
        ({"mode": {"?": True, "ig": False}}, ""),
        ({"mode": ""}, "background"),
        ({}, "background"),
    ],
)
def test_a_region_that_has_the_class_is_not_touched(attributes, class_name):
    before = region(**attributes)
    assert with_class(before, class_name, ClassWords("mode", MAPPING)) is before


@pytest.mark.parametrize(
    ("before", "class_name", "after"),
    [
        ({"mode": "?"}, "intergranular", {"mode": "ig"}),
        ({"mode": "ig", "who": "me"}, "transgranular", {"who": "me", "mode": "transgranular"}),
        ({"mode": {"ig": True}}, "transgranular", {"mode": {"transgranular": True}}),
        ({"mode": {"transgranular": True}}, "intergranular", {"mode": {"ig": True}}),
        ({"mode": "ig", "who": "me"}, "", {"who": "me"}),
    ],
)
def test_another_class_replaces_the_value_alone(before, class_name, after):
    assert with_class(region(**before), class_name, ClassWords("mode", MAPPING)) == region(**after)


def test_a_region_that_was_drawn_anew_gets_its_class():
    strict = ClassMapping("mode", DEFAULT_SCHEME, {"ig": "intergranular"})
    assert with_class(region(), "intergranular", ClassWords("mode", strict)) == region(mode="ig")
    assert with_class(region(mode="x"), "intergranular", ClassWords("mode", strict)) == region(
        mode="ig"
    )
    assert with_class(region(), "intergranular", ClassWords("mode", None)) == region(
        mode="intergranular"
    )


def test_without_a_mapping_an_empty_class_says_nothing():
    before = region(mode="ig")
    assert with_class(before, "", ClassWords("mode", None)) is before


@pytest.mark.parametrize("first", range(4))
def test_an_upright_box_is_a_rectangle_whatever_its_first_corner(first):
    rows, columns = (np.roll(v, first) for v in corners(4.5, 3))
    rect = {"name": "rect", "x": 17.75, "y": 28.5, "width": 4.5, "height": 3}
    assert shape_of_box("rect", rows, columns) == rect
    assert shape_of_box("rect", rows[::-1], columns[::-1]) == rect


def test_a_turned_rectangle_is_a_polygon():
    rows, columns = np.array([0, 2, 4, 2.0]), np.array([2, 0, 2, 4.0])
    assert shape_of_box("rect", rows, columns) == {
        "name": "polygon",
        "all_points_x": [2, 0, 2, 4],
        "all_points_y": [0, 2, 4, 2],
    }


def test_an_ellipse_with_equal_axes_is_a_circle():
    circle = {"name": "circle", "cx": 20, "cy": 30, "r": 5.5}
    assert shape_of_box("ellipse", *corners(11, 11)) == circle
    assert shape_of_box("ellipse", *corners(11, 11, turn=0.4)) == circle


def test_a_circle_stays_one_in_single_precision():
    rows, columns = corners(100.6, 100.6, centre=(2500.3, 3100.7))
    shape = shape_of_box("ellipse", rows.astype(np.float32), columns.astype(np.float32))
    assert shape == {"name": "circle", "cx": 2500.3, "cy": 3100.7, "r": 50.3}


@pytest.mark.parametrize("first", range(4))
@pytest.mark.parametrize("turn", [0, 0.3, 1.2, 2.0, -0.7, math.pi / 2])
def test_a_turned_ellipse_has_the_outline_that_fits_the_box(turn, first):
    rows, columns = (np.roll(v, first) for v in corners(40, 10, turn=turn))
    shape = shape_of_box("ellipse", rows, columns)
    assert sorted([shape["rx"], shape["ry"]]) == [5, 20]
    outline_rows, outline_columns = outline_px(Region(shape))
    # Turned back, the outline lies in the box and touches all of its sides.
    x, y = outline_columns - 20, outline_rows - 30
    along = x * math.cos(turn) + y * math.sin(turn)
    across = y * math.cos(turn) - x * math.sin(turn)
    assert [along.min(), along.max()] == pytest.approx([-20, 20], abs=0.02)
    assert [across.min(), across.max()] == pytest.approx([-5, 5], abs=0.02)


def test_theta_turns_clockwise_and_has_three_decimals():
    shape = shape_of_box("ellipse", *corners(40, 10, turn=math.pi / 6))
    assert shape == {"name": "ellipse", "cx": 20, "cy": 30, "rx": 20, "ry": 5, "theta": 0.524}


def test_a_point_lies_in_the_middle_of_its_box():
    assert shape_of_box("point", *corners(6, 6)) == {"name": "point", "cx": 20, "cy": 30}


def test_points_are_written_as_via_writes_them():
    assert shape_of_points("polyline", np.array([1.0, 2.25]), np.array([3.0, 4.00049])) == {
        "name": "polyline",
        "all_points_x": [3, 4],
        "all_points_y": [1, 2.25],
    }


@pytest.mark.parametrize(
    ("value", "expected"),
    [(3.0, 3), (np.float32(0.5), 0.5), (1 / 3, 0.333), (2.9999, 3), (-0.0001, 0), (-1.5, -1.5)],
)
def test_whole_numbers_and_three_decimals(value, expected):
    assert number(value) == expected
    assert type(number(value)) is type(expected)
    assert str(number(value)) == str(expected)
