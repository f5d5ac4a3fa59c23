"""Pixel sizes that a person types, or measures on a scale bar."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_fractoseg.errors import ImageError
from napari_fractoseg.images.calibration.by_hand import BarLine, typed_length_um, typed_size


@pytest.mark.parametrize(
    ("text", "unit", "um"),
    [
        ("88", "nm", 0.088),
        ("0,5", "µm", 0.5),
        ("10 µm", "nm", 10),
        ("2um", "", 2),
        ("1", "mm", 1e3),
    ],
)
def test_a_number_with_its_own_unit_or_the_chosen_one(text, unit, um):
    assert typed_length_um(text, unit) == pytest.approx(um, rel=1e-12)


@pytest.mark.parametrize("text", ["", "abc", "-3", "0", "3 parsec", "nan", "inf", "1e999"])
def test_what_is_no_length_is_refused(text):
    with pytest.raises(ImageError, match="Type a number with a unit"):
        typed_length_um(text, "µm")


def test_a_pixel_that_cannot_be_is_refused():
    assert typed_size("88", "nm").square_um == pytest.approx(0.088)
    with pytest.raises(ImageError, match="No pixel is 20 mm wide"):
        typed_size("20", "mm")


@given(
    angle=st.floats(0, 2 * math.pi),
    length=st.floats(10, 5000),
    bar_um=st.floats(0.1, 1000),
)
def test_a_line_in_any_direction_gives_the_same_size(angle, length, bar_um):
    end = (3 + length * math.sin(angle), 7 + length * math.cos(angle))
    size = BarLine((3, 7), end).size(bar_um)
    assert size.x_um == size.y_um == pytest.approx(bar_um / length)
    assert size.source == "scale bar"


def test_the_error_of_the_ends_is_told():
    line = BarLine((0, 0), (0, 100))
    assert line.relative_error == 0.01
    assert line.size(50).notes == ("± 1.0 %, if the ends are right to a pixel",)
    assert line.text(50).startswith("100 px = 50 µm: 0.5 µm a pixel (± 1.0 %")

    small = BarLine((0, 0), (0, 100), error_px=2.5)
    assert small.text(50).endswith("(± 2.5 %, as it was drawn to 2.5 px: zoom in for less)")


def test_a_line_without_a_length_is_refused():
    with pytest.raises(ImageError, match=r"0\.0 px long"):
        BarLine((5, 5), (5, 5)).size(10)
