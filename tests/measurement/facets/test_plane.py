from __future__ import annotations

import dask.array as da
import numpy as np
import pandas as pd
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage
from skimage.measure import label, regionprops_table

import napari_fractoseg as nf
from napari_fractoseg.classes import DEFAULT_SCHEME
from napari_fractoseg.errors import ClassSchemeError, OptionError
from napari_fractoseg.measurement.facets.plane import facets

NAMES = {
    "area_px": "area",
    "equivalent_diameter_px": "equivalent_diameter_area",
    "perimeter_px": "perimeter",
    "axis_major_px": "axis_major_length",
    "axis_minor_px": "axis_minor_length",
    "feret_max_px": "feret_diameter_max",
    "solidity": "solidity",
    "mean_grey": "intensity_mean",
    "row": "centroid-0",
    "column": "centroid-1",
    "row0": "bbox-0",
    "column0": "bbox-1",
    "row1": "bbox-2",
    "column1": "bbox-3",
}


def of_whole(labels, image, connectivity):
    """Table of scikit-image, of the whole array at once."""
    wanted = [name.partition("-")[0] for name in NAMES.values()]
    regions = label(labels, background=0, connectivity=connectivity)
    properties = [*dict.fromkeys(wanted), "orientation"]
    return regions, pd.DataFrame(regionprops_table(regions, image, properties=properties))


def fracture(shape=(60, 75), seed=0):
    rng = np.random.default_rng(seed)
    field = ndimage.gaussian_filter(rng.normal(size=shape), 3)
    labels = np.digitize(field, [-0.03, 0.0, 0.05]).astype(np.uint8)
    return labels, rng.integers(0, 60000, shape).astype(np.uint16)


def test_facets_of_two_classes_are_not_joined_and_are_numbered_from_1():
    labels = np.array([[1, 1, 2, 0], [1, 0, 2, 0], [0, 2, 0, 3]])
    found = nf.facets(labels, DEFAULT_SCHEME, image=labels * 10, regions=True)
    table = found.table
    assert table["index"].tolist() == [1, 2, 3, 4]
    assert table.class_name.tolist() == [
        "intergranular",
        "transgranular",
        "transgranular",
        "background",
    ]
    assert table.class_value.tolist() == [1, 2, 2, 3]
    assert table.area_px.tolist() == [3, 2, 1, 1]
    assert table.mean_grey.tolist() == [10, 20, 20, 30]
    assert found.regions.dtype == np.int32
    assert found.regions.tolist() == [[1, 1, 2, 0], [1, 0, 2, 0], [0, 3, 0, 4]]
    across_corners = facets(labels, DEFAULT_SCHEME, connectivity=2)
    assert across_corners.table.area_px.tolist() == [3, 3, 1]


def test_small_facets_are_left_out_counted_and_stay_in_the_fractions():
    labels = np.array([[1, 1, 2, 3], [1, 1, 1, 1]])
    found = facets(labels, DEFAULT_SCHEME, min_area_px=2, regions=True)
    assert found.table.area_px.tolist() == [6]
    assert (found.n_small, found.small_area_px) == (2, 2)
    assert found.fractions.area_px.tolist() == [6, 1, 1]
    assert found.regions.tolist() == [[1, 1, 0, 0], [1, 1, 1, 1]]


@pytest.mark.parametrize("connectivity", [1, 2])
@pytest.mark.parametrize("block_px", [2048, 32, 7])
def test_every_size_is_that_of_scikit_image(connectivity, block_px):
    labels, image = fracture()
    found = facets(
        labels,
        DEFAULT_SCHEME,
        image=image,
        connectivity=connectivity,
        block_px=block_px,
        regions=True,
    )
    regions, expected = of_whole(labels, image, connectivity)
    np.testing.assert_array_equal(found.regions, regions)
    for ours, theirs in NAMES.items():
        np.testing.assert_allclose(found.table[ours], expected[theirs], atol=1e-6, err_msg=ours)
    np.testing.assert_allclose(
        found.table.orientation_deg, np.degrees(expected.orientation), atol=1e-6
    )


@settings(max_examples=40)
@given(
    labels=hnp.arrays(
        np.uint8, hnp.array_shapes(min_dims=2, max_dims=2, max_side=9), elements=st.integers(0, 3)
    ),
    block_px=st.integers(1, 8),
    connectivity=st.sampled_from([1, 2]),
    min_area_px=st.integers(1, 3),
    seed=st.integers(0, 9),
    excluding=st.booleans(),
)
def test_facets_by_blocks_are_exactly_those_of_the_whole(
    labels, block_px, connectivity, min_area_px, seed, excluding
):
    rng = np.random.default_rng(seed)
    given_arrays = {
        "image": rng.integers(0, 65536, labels.shape).astype(np.uint16),
        "exclude": rng.random(labels.shape) < 0.1 if excluding else None,
    }
    options = {"connectivity": connectivity, "min_area_px": min_area_px, "regions": True}
    whole = facets(labels, DEFAULT_SCHEME, **given_arrays, **options)
    parts = facets(labels, DEFAULT_SCHEME, **given_arrays, **options, block_px=block_px)
    pd.testing.assert_frame_equal(parts.table, whole.table, check_exact=True)
    pd.testing.assert_frame_equal(parts.fractions, whole.fractions, check_exact=True)
    np.testing.assert_array_equal(parts.regions, whole.regions)
    assert (parts.n_small, parts.small_area_px) == (whole.n_small, whole.small_area_px)
    assert (parts.analysed_px, parts.n_border) == (whole.analysed_px, whole.n_border)


@pytest.mark.parametrize("kind", ["zarr", "dask", "memmap"])
def test_arrays_on_disk_are_measured_like_those_in_memory(kind, tmp_path):
    labels, image = fracture((40, 33))
    if kind == "zarr":
        array = zarr.create_array(tmp_path / "labels.zarr", data=labels, chunks=(16, 16))
    elif kind == "dask":
        array = da.from_array(labels, chunks=(16, 16))
    else:
        array = np.memmap(tmp_path / "labels", np.uint8, "w+", shape=labels.shape)
        array[:] = labels
    regions = zarr.create_array(
        tmp_path / "regions.zarr", shape=labels.shape, dtype=np.int32, chunks=(16, 16)
    )
    found = facets(array, DEFAULT_SCHEME, image=image, block_px=16, regions=regions)
    expected = facets(labels, DEFAULT_SCHEME, image=image, regions=True)
    pd.testing.assert_frame_equal(found.table, expected.table, check_exact=True)
    np.testing.assert_array_equal(regions[:], expected.regions)


def test_micrometres_stand_in_the_names_of_columns_only_where_the_pixel_size_is_known():
    labels = np.zeros((8, 9), np.uint8)
    labels[2:6, 2:7] = 2
    in_px = facets(labels, DEFAULT_SCHEME).table
    in_um = facets(labels, DEFAULT_SCHEME, pixel_size_um=0.5).table
    assert [c for c in in_px if c.endswith(("_um", "_um2"))] == []
    assert [c for c in in_um if c.endswith("_px")] == []
    assert in_um.area_um2.tolist() == [20 * 0.25]
    for name in ("equivalent_diameter", "perimeter", "axis_major", "axis_minor", "feret_max"):
        np.testing.assert_allclose(in_um[f"{name}_um"], in_px[f"{name}_px"] / 2)
    assert in_um.perimeter_um.tolist() == [7.0]  # through the centres of its pixels: 2 (4 + 3) px
    assert in_um[["row", "column", "row0", "row1", "column0", "column1"]].to_numpy().tolist() == [
        [3.5, 4, 2, 6, 2, 7]
    ]


def test_facets_at_the_border_and_at_the_excluded_area_are_marked():
    labels = np.zeros((9, 12), np.uint8)
    labels[0:2, 1:3] = 1  # at the upper border
    labels[3:5, 3:5] = 1  # inside
    labels[5:9, 8:10] = 2  # cut by the info bar
    labels[4:7, 6] = 1  # beside it: touches it by an edge
    bar = np.zeros(labels.shape, bool)
    bar[7:] = True
    for block_px in (2048, 4):
        found = facets(labels, DEFAULT_SCHEME, exclude=bar, block_px=block_px)
        assert found.table.area_px.tolist() == [4, 4, 3, 4]
        assert found.table.touches_border.tolist() == [True, False, True, True]
        assert (found.analysed_px, found.excluded_px, found.n_border) == (84, 24, 3)
        assert found.fractions.fraction_of_image.tolist() == [11 / 84, 4 / 84, 0]


def test_weights_of_miles_and_lantuejoul():
    labels = np.zeros((40, 60), np.uint8)
    labels[5:12, 20:31] = 1  # box 7 x 11
    labels[30:40, 3:5] = 1
    found = facets(labels, DEFAULT_SCHEME, weights=True)
    assert found.table.weight.tolist() == [1.5625, 0]
    # an info bar below: the frame is what is left
    tall = np.pad(labels, ((0, 10), (0, 0)))
    bar = np.arange(50)[:, None] >= np.full(60, 40)
    assert facets(tall, DEFAULT_SCHEME, exclude=bar, weights=True).table.weight.tolist() == [
        1.5625,
        0,
    ]


def test_weights_count_the_placements_inside_the_frame():
    starts = np.argwhere(np.ones((40, 60)))
    inside = (starts > 0).all(axis=1) & (starts + np.array([7, 11]) < (40, 60)).all(axis=1)
    assert inside.sum() == 1536
    assert 40 * 60 / inside.sum() == 1.5625


def test_weights_are_refused_where_the_analysed_area_is_no_rectangle():
    hole = np.zeros((9, 9), bool)
    hole[4, 4] = True
    with pytest.raises(OptionError, match=r"80 px is no rectangle.*without weights"):
        facets(np.ones((9, 9), np.uint8), DEFAULT_SCHEME, exclude=hole, weights=True)


def test_shapes_of_facets_too_large_for_the_memory_are_unknown_and_counted():
    labels = np.ones((30, 30), np.uint8)
    labels[2:5, 2:5] = 2
    found = facets(labels, DEFAULT_SCHEME, block_px=10, largest_box_px=100)
    assert found.n_without_shape == 1
    large, small = found.table.itertuples()
    assert np.isnan([large.perimeter_px, large.solidity, large.feret_max_px]).all()
    assert (large.area_px, large.row) == (891, found.table.row[0])
    assert large.axis_major_px > 30
    assert (small.perimeter_px, small.solidity) == (8, 1)


def test_a_disc_has_the_diameter_and_feret_diameter_of_a_disc():
    rows, columns = np.mgrid[:101, :101]
    labels = ((rows - 50) ** 2 + (columns - 50) ** 2 <= 40**2).astype(np.uint8)
    row = facets(labels, DEFAULT_SCHEME).table.iloc[0]
    assert row.equivalent_diameter_px == pytest.approx(80, abs=0.2)
    assert row.feret_max_px == pytest.approx(81, abs=1)  # from edge to edge of the pixels
    assert row.solidity == pytest.approx(1, abs=0.02)


def test_an_oblong_has_its_axes_and_orientation():
    labels = np.zeros((40, 60), np.uint8)
    labels[18:22, 10:50] = 1
    row = facets(labels, DEFAULT_SCHEME).table.iloc[0]
    assert abs(row.orientation_deg) == 90
    assert row.axis_major_px == pytest.approx(4 * np.sqrt((40**2 - 1) / 12))
    assert row.axis_minor_px == pytest.approx(4 * np.sqrt((4**2 - 1) / 12))


def test_confidence_is_averaged_over_each_facet():
    confidence = np.array([[0.5, 1.0, 0.25]])
    table = facets(np.array([[1, 1, 2]]), DEFAULT_SCHEME, confidence=confidence).table
    assert table.mean_confidence.tolist() == [0.75, 0.25]
    assert "mean_grey" not in table


def test_labels_without_any_facet_have_an_empty_table():
    found = facets(np.zeros((3, 4), np.uint8), DEFAULT_SCHEME, image=np.zeros((3, 4)), weights=True)
    assert len(found.table) == 0
    assert {"area_px", "touches_border", "weight", "mean_grey"} <= set(found.table)
    assert found.fractions.area_px.tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"connectivity": 4}, "connectivity is 4; choose 1"),
        ({"min_area_px": 0}, "min_area_px is 0"),
        ({"pixel_size_um": 0.0}, "pixel size is 0.0 µm.*Leave it out"),
        ({"image": np.zeros((2, 3))}, r"mean_grey has shape \(2, 3\), the labels \(3, 3\)"),
        ({"exclude": np.zeros((2, 3))}, r"excluded area has shape \(2, 3\)"),
    ],
)
def test_wrong_options_are_refused(options, message):
    with pytest.raises(OptionError, match=message):
        facets(np.ones((3, 3), np.uint8), DEFAULT_SCHEME, **options)


def test_wrong_labels_are_refused():
    with pytest.raises(ClassSchemeError, match=r"9 \(4 px\)"):
        facets(np.full((2, 2), 9), DEFAULT_SCHEME)
    with pytest.raises(ClassSchemeError, match="float64"):
        facets(np.ones((2, 2)), DEFAULT_SCHEME)
    with pytest.raises(OptionError, match="one plane"):
        facets(np.ones((2, 2, 2), np.uint8), DEFAULT_SCHEME)
    with pytest.raises(OptionError, match="no pixel"):
        facets(np.ones((0, 2), np.uint8), DEFAULT_SCHEME)


@pytest.mark.parametrize("kind", [bool, np.int8, np.int64, np.uint64])
def test_labels_of_any_whole_numbers_are_measured(kind):
    table = facets(np.array([[1, 1, 0], [0, 0, 1]]).astype(kind), DEFAULT_SCHEME).table
    assert table.area_px.tolist() == [2, 1]


def test_moments_of_planes_beyond_64_bits_stay_exact():
    labels = np.ones((1, 2**21 + 2), np.uint8)
    labels[0, -2:] = 2
    table = facets(labels, DEFAULT_SCHEME, block_px=8192, largest_box_px=100).table
    assert table.area_px.tolist() == [2**21, 2]
    assert table.column.tolist() == [(2**21 - 1) / 2, 2**21 + 0.5]
    assert table.axis_major_px.tolist() == pytest.approx([4 * np.sqrt((2**42 - 1) / 12), 2])


@pytest.mark.parametrize("name", ["connectivity", "min_area_px", "pixel_size_um"])
def test_a_truth_value_is_no_number(name):
    with pytest.raises(OptionError, match="True"):
        facets(np.ones((4, 8), np.uint8), DEFAULT_SCHEME, **{name: True})
