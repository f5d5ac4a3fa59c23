import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from napari_fractoseg.classes import DEFAULT_SCHEME
from napari_fractoseg.errors import ClassSchemeError, ImageError, OptionError
from napari_fractoseg.measurement.fields import EACH, FieldLayout, field_table, parse_fields
from napari_fractoseg.measurement.fractions import class_fractions


@pytest.mark.parametrize(
    ("text", "layout", "said"),
    [
        ("each", EACH, "each"),
        ("grid:512um", FieldLayout(512, "um"), "grid:512um"),
        ("grid:0.5 µm", FieldLayout(0.5, "um"), "grid:0.5um"),
        ("Grid:320px", FieldLayout(320), "grid:320px"),
        ("grid: 4 x 4", FieldLayout(parts=4), "grid:4x4"),
    ],
)
def test_fields_are_read_as_users_write_them_and_written_back(text, layout, said):
    assert parse_fields(text) == layout
    assert str(layout) == said
    assert parse_fields(said) == layout
    assert parse_fields(layout) is layout


@pytest.mark.parametrize(
    "text",
    ["", "grid", "grid:320", "grid:-3px", "grid:0px", "grid:2.5px", "grid:3mm", "all", "grid:3x4"],
)
def test_other_fields_are_refused_with_an_example(text):
    with pytest.raises(OptionError, match="grid:320px"):
        parse_fields(text)


def test_a_grid_has_whole_squares_only_and_says_what_it_leaves_out():
    layout = FieldLayout(3)
    places = [(f.row, f.column, f.height_px, f.width_px) for f in layout.fields((7, 8))]
    assert places == [(0, 0, 3, 3), (0, 3, 3, 3), (3, 0, 3, 3), (3, 3, 3, 3)]
    assert layout.left_out_px((7, 8)) == 56 - 36
    assert EACH.left_out_px((7, 8)) == 0


def test_a_plane_is_divided_into_as_many_fields_along_each_side_that_cover_all_of_it():
    halves = FieldLayout(parts=2)
    places = [(f.row, f.column, f.height_px, f.width_px) for f in halves.fields((5, 8))]
    assert places == [(0, 0, 2, 4), (0, 4, 2, 4), (2, 0, 3, 4), (2, 4, 3, 4)]
    assert halves.left_out_px((5, 8)) == 0
    with pytest.raises(OptionError, match=r"6 x 6 fields do not fit into a plane of 8 x 5 px"):
        FieldLayout(parts=6).fields((5, 8))
    with pytest.raises(OptionError, match=r"grid of 0 x 0 fields is not possible"):
        parse_fields("grid:0x0")


def test_micrometres_become_pixels_only_with_a_pixel_size():
    assert FieldLayout(10, "um").size_px(pixel_size_um=2.4) == 4
    with pytest.raises(OptionError, match=r"10 µm cannot be laid out.*pixel size is not known"):
        FieldLayout(10, "um").fields((50, 50))
    with pytest.raises(OptionError, match=r"10 µm are smaller than a pixel of 25 µm"):
        FieldLayout(10, "um").fields((50, 50), pixel_size_um=25)


def test_a_field_that_does_not_fit_is_refused():
    with pytest.raises(OptionError, match=r"9 x 9 px \(grid:9px\) does not fit.*20 x 8 px"):
        FieldLayout(9).fields((8, 20))


LABELS = np.array(
    [
        [1, 1, 2, 2, 3, 3],
        [1, 0, 2, 1, 3, 3],
        [9, 9, 9, 9, 9, 9],  # the info bar
    ],
    np.uint8,
)
BAR = np.arange(3)[:, None] * np.ones(6) == 2


def test_areas_of_each_field_by_hand():
    table = field_table(
        LABELS[:2], DEFAULT_SCHEME, FieldLayout(1, "um"), image="s17", pixel_size_um=0.5
    )
    assert table["image"].tolist() == ["s17"] * 3
    assert table["field"].tolist() == [1, 2, 3]
    assert table["column"].tolist() == [0, 2, 4]
    assert table["field_px"].tolist() == [4, 4, 4]
    assert table["unlabelled_px"].tolist() == [1, 0, 0]
    assert table["analysed_px"].tolist() == [3, 4, 4]
    assert table["analysed_um2"].tolist() == [0.75, 1, 1]
    assert table["area_px_intergranular"].tolist() == [3, 1, 0]
    assert table["fraction_of_analysed_transgranular"].tolist() == [0, 0.75, 0]
    assert table["fraction_of_analysed_background"].tolist() == [0, 0, 1]
    np.testing.assert_array_equal(table["fraction_of_modes_intergranular"], [1, 0.25, np.nan])
    assert "fraction_of_modes_background" not in table


def test_excluded_area_is_in_no_denominator_whatever_its_labels_are():
    table = field_table(LABELS, DEFAULT_SCHEME, exclude=BAR)
    row = table.iloc[0]
    assert (row["field_px"], row["excluded_px"], row["unlabelled_px"]) == (18, 6, 1)
    assert row["analysed_px"] == 11
    assert row["fraction_of_analysed_intergranular"] == pytest.approx(4 / 11)
    assert row["fraction_of_modes_intergranular"] == pytest.approx(4 / 7)
    assert "analysed_um2" not in table


def test_what_is_all_excluded_has_no_fractions():
    row = field_table(LABELS, DEFAULT_SCHEME, exclude=np.ones((3, 6))).iloc[0]
    assert row["analysed_px"] == 0
    assert math.isnan(row["fraction_of_analysed_intergranular"])


def test_planes_of_a_stack_are_rows_and_may_share_the_excluded_area():
    stack = np.stack([LABELS, np.where(LABELS == 1, 2, LABELS)])
    for exclude in (BAR, np.stack([BAR, BAR])):
        table = field_table(stack, DEFAULT_SCHEME, exclude=exclude)
        assert table["plane"].tolist() == [1, 2]
        assert table["area_px_intergranular"].tolist() == [4, 0]


def test_excluded_area_of_another_image_and_unknown_values_are_refused():
    with pytest.raises(ImageError, match=r"s17: the excluded area has 6 x 2 px.*6 x 3 px"):
        field_table(LABELS, DEFAULT_SCHEME, image="s17", exclude=BAR[:2])
    with pytest.raises(ClassSchemeError, match=r"no class: 9 \(6 px\)"):
        field_table(LABELS, DEFAULT_SCHEME)
    with pytest.raises(ClassSchemeError, match="whole numbers"):
        field_table(LABELS * 0.5, DEFAULT_SCHEME)
    with pytest.raises(ImageError, match="no plane"):
        field_table(np.zeros(5, np.uint8), DEFAULT_SCHEME)


def test_arrays_on_disk_are_measured_as_those_in_memory():
    dask = pytest.importorskip("dask.array")
    stack = np.random.default_rng(0).integers(0, 4, (2, 40, 30), np.uint8)
    lazy = dask.from_array(stack, chunks=(1, 16, 16))
    here, there = (field_table(data, DEFAULT_SCHEME, FieldLayout(10)) for data in (stack, lazy))
    assert here.equals(there)


@given(hnp.arrays(np.uint8, (12, 12), elements=st.integers(0, 3)), st.sampled_from([1, 2, 3, 6]))
def test_areas_of_fields_add_up_to_those_of_the_plane(labels, size):
    table = field_table(labels, DEFAULT_SCHEME, FieldLayout(size))
    whole = class_fractions(labels, DEFAULT_SCHEME)
    for name, area in zip(whole["class_name"], whole["area_px"], strict=True):
        assert table[f"area_px_{name}"].sum() == area
    assert table["analysed_px"].sum() == whole["area_px"].sum()


def test_a_large_plane_is_counted_in_parts_without_losing_a_pixel():
    labels = np.ones((2100, 2100), np.uint8)
    labels[-1] = 2
    mask = np.zeros(labels.shape, bool)
    mask[2000:2099] = True
    row = field_table(labels, DEFAULT_SCHEME, exclude=mask).iloc[0]
    assert row["area_px_intergranular"] == 2000 * 2100
    assert row["area_px_transgranular"] == 2100
    assert row["excluded_px"] == 99 * 2100
