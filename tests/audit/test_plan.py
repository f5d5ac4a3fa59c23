"""Where the points of an audit are: each pixel has its fair chance."""

from collections import Counter

import numpy as np
import pandas as pd
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_fractoseg.audit.plan import allocated, grid_lines, plan_points
from napari_fractoseg.audit.planes import labels_at_points
from napari_fractoseg.audit.points import DESIGNS
from napari_fractoseg.classes import DEFAULT_SCHEME
from napari_fractoseg.errors import ClassSchemeError, ImageError, OptionError


def pixels(count):
    """How often each pixel has a point."""
    return Counter(count.place(point) for point in count.points["point"])


@settings(deadline=None)
@given(st.integers(1, 60), st.integers(1, 12), st.integers(1, 5))
def test_each_line_is_on_the_grid_for_the_same_part_of_all_starts(length, whole, parts):
    spacing = whole + (parts - 1) / parts  # such as 3, 3 1/2 or 3 2/3
    steps = round(spacing * parts)
    hits = np.zeros(length, int)
    for step in range(steps):  # starts that cover 0 to the spacing evenly
        lines = grid_lines(length, spacing, (step + 0.5) / parts)
        assert (np.diff(lines) >= np.floor(spacing)).all()
        hits[lines] += 1
    assert (hits == parts).all()


def test_a_grid_has_the_same_spacing_in_all_planes_and_begins_at_random_in_each():
    labels = {"a": np.ones((3, 64, 96), int), "b": np.ones((80, 40), int)}
    count = plan_points(labels, n_points=200, seed=3)
    assert count.spacing_px == pytest.approx(np.sqrt((3 * 64 * 96 + 80 * 40) / 200))
    starts = set()
    for _, points in count.points.groupby(["image", "plane"]):
        rows, columns = (sorted(set(points[title])) for title in ("row_px", "column_px"))
        assert len(points) == len(rows) * len(columns)
        for lines in (rows, columns):
            assert set(np.diff(lines)) <= {int(count.spacing_px), int(count.spacing_px) + 1}
        starts.add((rows[0], columns[0]))
    assert len(starts) == 4
    assert abs(len(count) - 200) < 40


def test_a_grid_has_as_many_points_as_were_asked_for_on_average():
    n = [len(plan_points(np.ones((30, 50), int), n_points=40, seed=seed)) for seed in range(60)]
    assert np.mean(n) == pytest.approx(40, abs=2)


def test_a_grid_as_dense_as_the_pixels_is_on_each_pixel():
    labels = np.array([[1, 2, 0], [3, 1, 2]])
    count = plan_points(labels, n_points=5)
    assert count.spacing_px == 1
    assert {(p.row_px, p.column_px) for p in count.points.itertuples()} == {
        (0, 0), (0, 1), (1, 0), (1, 1), (1, 2),
    }  # fmt: skip


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from(DESIGNS), st.integers(10, 60))
def test_points_are_in_the_analysed_area_on_different_pixels(seed, design, n_points):
    rng = np.random.default_rng(seed)
    labels = {"a": rng.integers(0, 4, (2, 9, 12)).astype(np.uint8), "b": rng.integers(0, 3, (9, 7))}
    exclude = {"a": np.arange(12)[None] % 12 < 3, "b": np.zeros((9, 7))}
    exclude["a"] = np.broadcast_to(exclude["a"], (9, 12))
    count = plan_points(labels, n_points=n_points, design=design, seed=seed, exclude=exclude)
    assert max(pixels(count).values()) == 1
    for row in count.points.itertuples():
        place = count.place(row.point)
        value = labels[row.image][(*place.index, row.row_px, row.column_px)]
        assert DEFAULT_SCHEME.by_value(value).name == row.stratum
        assert row.image == "b" or row.column_px >= 3
    whole = 2 * 9 * 12 + 63
    assert count.excluded_px == 2 * 9 * 3
    assert count.analysed_px + count.excluded_px + count.unlabelled_px == whole
    assert count.points["point"].tolist() == list(range(1, len(count) + 1))
    assert len(count) == n_points or design == "grid"


@pytest.mark.parametrize("design", ["random", "stratified"])
def test_as_many_points_as_pixels_take_each_once(design):
    labels = {"a": np.array([[[1, 2]], [[0, 1]]]), "b": np.array([[3, 3, 2, 0]])}
    found = pixels(plan_points(labels, n_points=6, design=design, seed=1))
    places = {(p.image, p.index, p.row_px, p.column_px) for p in found}
    assert places == {
        ("a", (0,), 0, 0), ("a", (0,), 0, 1), ("a", (1,), 0, 1),
        ("b", (), 0, 0), ("b", (), 0, 1), ("b", (), 0, 2),
    }  # fmt: skip


def test_random_points_hit_all_parts_of_all_images_alike():
    labels = {"a": np.ones((100, 100), int), "b": np.ones((50, 100), int)}
    count = plan_points(labels, n_points=3000, design="random", seed=1)
    blocks = count.points.groupby(["image", count.points["row_px"] // 10]).size()
    assert len(blocks) == 15
    assert ((blocks - 200).abs() < 60).all(), blocks  # 5 standard deviations
    first = count.points[:300]  # those that are visited first are a fair sample
    assert abs((first["image"] == "a").sum() - 200) < 40
    assert abs(first["row_px"].groupby(first["image"]).mean()["a"] - 49.5) < 10


def test_strata_are_the_classes_that_are_there_with_enough_points_each():
    labels = np.ones((100, 100), np.uint8)
    labels[:10] = 2
    labels[0, :3] = 0
    count = plan_points(labels, n_points=60, design="stratified", seed=1)
    assert count.stratum_px == {"intergranular": 9000, "transgranular": 997}
    assert count.unlabelled_px == 3
    assert count.points["stratum"].value_counts().to_dict() == {
        "intergranular": 45, "transgranular": 15,
    }  # fmt: skip


@given(st.lists(st.integers(1, 10**9), min_size=1, max_size=6), st.integers(2, 400))
def test_all_points_are_shared_out(areas, n_points):
    n_points = min(n_points, sum(areas))
    if n_points < 2 * len(areas):
        with pytest.raises(OptionError, match=r"too few for \d classes"):
            allocated(areas, n_points)
        return
    counts = allocated(areas, n_points)
    assert sum(counts) == n_points
    least = max(2, n_points // (2 * len(areas)))
    assert all(min(least, area) <= n <= area for n, area in zip(counts, areas, strict=True))
    for n, area in zip(counts, areas, strict=True):  # more than the least only by its area
        assert n <= max(least, n_points * area / sum(areas) + len(areas)) or sum(areas) < 2e4


@pytest.mark.parametrize("design", DESIGNS)
def test_the_same_seed_gives_the_same_points(design):
    labels = np.random.default_rng(0).integers(1, 4, (2, 30, 30))
    one, two = (plan_points(labels, n_points=20, design=design, seed=5) for _ in range(2))
    assert one.is_same_plan(two)
    assert not one.is_same_plan(plan_points(labels, n_points=20, design=design, seed=6))
    drawn = plan_points(labels, n_points=20, design=design)
    assert drawn.is_same_plan(plan_points(labels, n_points=20, design=design, seed=drawn.seed))


@pytest.mark.parametrize("design", DESIGNS)
def test_labels_on_disk_give_the_points_of_those_in_memory(tmp_path, design):
    labels = np.random.default_rng(1).integers(0, 4, (2, 2100, 11)).astype(np.uint8)
    array = zarr.create_array(
        tmp_path / "a.zarr", shape=labels.shape, dtype="u1", chunks=(1, 512, 11)
    )
    array[:] = labels
    one, two = (
        plan_points({"a": each}, n_points=50, design=design, seed=2) for each in (labels, array)
    )
    assert one.is_same_plan(two)
    pd.testing.assert_series_equal(labels_at_points(one, labels), labels_at_points(one, array))


def test_plans_that_are_not_possible_are_refused():
    for labels, options, kind, message in (
        (np.zeros((4, 4), int), {}, ImageError, "no labelled pixel"),
        (np.ones((4, 4), int), {"n_points": 17}, OptionError, "17 points .* 16 analysed pixels"),
        (np.ones((4, 4), int), {"n_points": 0}, OptionError, "at least 1"),
        (np.full((4, 4), 7), {}, ClassSchemeError, "^image: Labels hold values"),
        (np.ones(4, int), {}, ImageError, "no plane"),
        (np.ones((9, 9), int), {"exclude": np.ones((2, 2))}, ImageError, "excluded area has 2 x 2"),
        ({"a": np.ones((9, 9), int)}, {"exclude": {"b": np.ones((9, 9))}}, OptionError, "areas of"),
        (np.eye(9, dtype=int) + 1, {"design": "stratified", "n_points": 3}, OptionError, "two of"),
    ):
        with pytest.raises(kind, match=message):
            plan_points(labels, **{"n_points": 9, **options})


def test_labels_of_other_images_are_refused():
    count = plan_points({"a": np.ones((2, 9, 9), int)}, n_points=9, design="random", seed=1)
    for labels, message in (
        ({"b": np.ones((2, 9, 9), int)}, "no labels of a, where points are. There are those of b"),
        ({"a": np.ones((9, 9), int)}, "a: the points are on plane"),
        ({"a": np.ones((1, 9, 9), int)}, "a: the points are on plane 2"),
        ({"a": np.ones((2, 5, 9), int)}, r"outside the labels of 9 x 5 px"),
    ):
        with pytest.raises(ImageError, match=message):
            labels_at_points(count, labels)
    two = plan_points({"a": np.ones((9, 9), int), "b": np.ones((9, 9), int)}, n_points=30, seed=1)
    with pytest.raises(ImageError, match="on 2 images. Give the labels of each"):
        labels_at_points(two, np.ones((9, 9), int))


def test_labels_are_looked_up_under_the_points():
    labels = np.random.default_rng(2).integers(0, 4, (40, 50))
    count = plan_points({"a": labels}, n_points=30, design="random", seed=1)
    assert labels_at_points(count, labels).tolist() == count.points["stratum"].tolist()
    assert labels_at_points(count, np.zeros((40, 50), int)).tolist() == [""] * 30


def test_a_truth_value_is_no_number_of_points():
    with pytest.raises(OptionError, match="n_points is True"):
        plan_points({"a": np.ones((4, 8), np.uint8)}, n_points=True)
