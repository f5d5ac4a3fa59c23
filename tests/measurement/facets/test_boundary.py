from __future__ import annotations

import numpy as np
import pytest

from napari_fractoseg.classes import DEFAULT_SCHEME, ClassScheme, FractureClass
from napari_fractoseg.errors import OptionError
from napari_fractoseg.measurement.facets.boundary import boundary_lengths


def half_plane(angle_deg, size=600):
    """Two modes, the boundary of which goes through the centre at an angle to the rows."""
    rows, columns = np.mgrid[:size, :size] - (size - 1) / 2
    rows += 0.1  # through no pixel's centre
    angle = np.radians(angle_deg)
    return np.where(rows * np.cos(angle) > columns * np.sin(angle), 1, 2).astype(np.uint8)


@pytest.mark.parametrize(
    ("angle_deg", "error"), [(0, -0.052), (90, -0.052), (45, -0.052), (22.5, 0.026), (112.5, 0.026)]
)
def test_a_straight_line_has_the_stated_error(angle_deg, error):
    angle = np.radians(angle_deg)
    true = 600 / max(abs(np.cos(angle)), abs(np.sin(angle)))
    table = boundary_lengths(half_plane(angle_deg), DEFAULT_SCHEME)
    assert table.length_px[0] / true - 1 == pytest.approx(error, abs=0.004)


def test_lines_of_all_directions_are_measured_without_bias():
    ratios = []
    for angle_deg in np.arange(0, 180, 5):
        angle = np.radians(angle_deg)
        true = 600 / max(abs(np.cos(angle)), abs(np.sin(angle)))
        length = boundary_lengths(half_plane(angle_deg), DEFAULT_SCHEME).length_px[0]
        ratios.append(length / true)
    assert np.mean(ratios) == pytest.approx(1, abs=0.005)


def test_a_circle_has_its_circumference():
    rows, columns = np.mgrid[:500, :500]
    inside = (rows - 250) ** 2 + (columns - 250) ** 2 <= 200**2
    table = boundary_lengths(np.where(inside, 1, 2), DEFAULT_SCHEME)
    assert table.length_px[0] == pytest.approx(2 * np.pi * 200, rel=0.005)
    assert table.length_per_area_per_px[0] == table.length_px[0] / 250_000


def test_micrometres_follow_from_the_pixel_size():
    labels = half_plane(0)
    in_px = boundary_lengths(labels, DEFAULT_SCHEME).iloc[0]
    in_um = boundary_lengths(labels, DEFAULT_SCHEME, pixel_size_um=0.5).iloc[0]
    assert in_um.length_um == in_px.length_px / 2
    assert in_um.length_per_area_per_um == pytest.approx(in_px.length_per_area_per_px * 2)
    with pytest.raises(OptionError, match="pixel size is -1"):
        boundary_lengths(labels, DEFAULT_SCHEME, pixel_size_um=-1)


def test_only_modes_side_by_side_have_a_boundary():
    labels = np.full((20, 30), 1, np.uint8)
    labels[:, 10:20] = 3  # background between the modes
    labels[:, 20:] = 2
    assert boundary_lengths(labels, DEFAULT_SCHEME).length_px.tolist() == [0]
    labels[:, 10:20] = 2
    bar = np.zeros(labels.shape, bool)
    bar[10:] = True
    table = boundary_lengths(labels, DEFAULT_SCHEME, exclude=bar)
    n_diagonal = 9 + 9
    assert table.length_px[0] == pytest.approx(np.pi / 8 * (10 + n_diagonal * np.sqrt(0.5)))
    assert table.length_per_area_per_px[0] == table.length_px[0] / 300


def test_what_is_unlabelled_is_no_part_of_the_area():
    whole = half_plane(22.5, size=60)
    part = np.zeros((200, 180), np.uint8)
    part[100:160, 20:80] = whole
    found, wanted = (boundary_lengths(each, DEFAULT_SCHEME) for each in (part, whole))
    assert found.equals(wanted)
    assert np.isnan(boundary_lengths(0 * part, DEFAULT_SCHEME).length_per_area_per_px[0])


def test_blocks_make_no_difference():
    labels = np.random.default_rng(0).integers(0, 4, (40, 31)).astype(np.uint8)
    whole = boundary_lengths(labels, DEFAULT_SCHEME)
    assert boundary_lengths(labels, DEFAULT_SCHEME, block_px=7).equals(whole)


def test_each_pair_of_modes_has_a_row():
    names = ("dimples", "cleavage", "striations")
    scheme = ClassScheme(
        "own", tuple(FractureClass(9 - i, name, f"#00000{i}") for i, name in enumerate(names))
    )
    table = boundary_lengths(np.array([[9, 8, 7]]), scheme)
    assert table[["class_name_a", "class_name_b"]].to_numpy().tolist() == [
        ["dimples", "cleavage"],
        ["dimples", "striations"],
        ["cleavage", "striations"],
    ]
    assert table.length_px.tolist() == [np.pi / 8, 0, np.pi / 8]
