from __future__ import annotations

import math

import pytest

from napari_fractoseg.errors import ImageError
from napari_fractoseg.images import Axis
from napari_fractoseg.images.axes import may_end_in_planes, pixel_size_um


def square(unit, scale, x_scale=None):
    return [Axis("y", "space", unit, scale), Axis("x", "space", unit, x_scale or scale)]


@pytest.mark.parametrize(
    ("unit", "edge", "edge_um"),
    [
        ("micrometer", 0.25, 0.25), ("\u00b5m", 0.25, 0.25), ("\u03bcm", 0.25, 0.25),
        ("um", 0.25, 0.25), ("nanometer", 250, 0.25), ("nm", 250, 0.25),
        ("angstrom", 2500, 0.25), ("picometer", 250_000, 0.25), ("millimeter", 0.25, 250),
        ("meter", 2e-6, 2.0),
    ],
)  # fmt: skip
def test_a_length_becomes_micrometres(unit, edge, edge_um):
    assert pixel_size_um(square(unit, edge)) == pytest.approx(edge_um, rel=1e-12)


@pytest.mark.parametrize("unit", [None, "second", "pixel", ""])
def test_what_is_no_length_gives_no_pixel_size(unit):
    assert pixel_size_um(square(unit, 0.25)) is None


def test_pixels_that_are_not_square_have_no_size():
    assert pixel_size_um(square("micrometer", 0.25, 0.2502)) == 0.2502
    assert pixel_size_um(square("micrometer", 0.25, 0.252)) == pytest.approx(math.sqrt(0.063))
    assert pixel_size_um(square("micrometer", 0.25, 0.2526)) is None
    mixed = [Axis("y", "space", "nanometer", 250), Axis("x", "space", "micrometer", 0.25)]
    assert pixel_size_um(mixed) == 0.25
    assert pixel_size_um([Axis("t", "time", "second", 3), *square("um", 0.5)]) == 0.5


def test_common_names_have_a_type():
    assert [Axis.named(name).type for name in ("t", "c", "z", "Y", "x", "plane")] == [
        "time", "channel", "space", "space", "space", None
    ]  # fmt: skip


@pytest.mark.parametrize("scale", [0, -1.0, float("nan"), float("inf")])
def test_a_scale_that_makes_no_sense_is_refused(scale):
    with pytest.raises(ImageError, match=rf"Axis 'z' has the scale {scale}"):
        Axis("z", scale=scale)
    with pytest.raises(ImageError, match="needs a name"):
        Axis("")


@pytest.mark.parametrize(
    ("shape", "is_doubtful"),
    [
        ((1024, 1280, 34), True),
        ((256, 256, 64), True),
        ((255, 256, 64), False),
        ((1024, 1280, 65), False),
        ((34, 1024, 1280), False),
        ((1024, 1280, 1), False),
        ((1280, 34), False),
        ((2, 1024, 1280, 34), False),
    ],
)
def test_a_short_last_axis_may_be_that_of_planes(shape, is_doubtful):
    assert may_end_in_planes(shape) is is_doubtful
