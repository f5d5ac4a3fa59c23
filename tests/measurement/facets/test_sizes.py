from __future__ import annotations

import numpy as np
import pytest

from napari_fractoseg.classes import DEFAULT_SCHEME
from napari_fractoseg.errors import OptionError
from napari_fractoseg.measurement.facets.plane import facets
from napari_fractoseg.measurement.facets.sizes import size_distributions


def bars(lengths, value=1, **options):
    """Facets of one row each, of these lengths in pixels, inside the image."""
    labels = np.zeros((2 * len(lengths) + 1, max(lengths) + 2), np.uint8)
    for i, length in enumerate(lengths):
        labels[2 * i + 1, 1 : 1 + length] = value
    return facets(labels, DEFAULT_SCHEME, **options)


def of(table, weighting, statistic):
    chosen = table[(table.weighting == weighting) & (table.statistic == statistic)]
    assert len(chosen) == 1
    return chosen.iloc[0]


def test_means_and_quantiles_by_number_and_by_area():
    table = size_distributions(bars([1, 2, 3, 4]), "area", quantiles=[0.5, 0.9])
    assert of(table, "number", "mean").value == 2.5
    assert of(table, "number", "q0.5").value == 2
    assert of(table, "number", "q0.9").value == 4
    assert of(table, "area", "mean").value == (1 + 4 + 9 + 16) / 10
    assert of(table, "area", "q0.5").value == 3  # 1 + 2 of 10 are less than half
    assert of(table, "area", "q0.9").value == 4
    assert set(table["size"]) == {"area_px"}
    assert set(table.n_facets) == {4}


def test_few_facets_have_no_interval_but_a_reason():
    table = size_distributions(bars(range(1, 10)), "area")
    assert table[["low", "high"]].isna().all(axis=None)
    assert set(table.reason) == {"9 facets, fewer than the 10 it takes"}
    table = size_distributions(bars(range(1, 11)), "area")
    assert set(table.reason) == {""}
    assert set(table.resampled) == {"facets"}
    assert (table.low <= table.value).all()
    assert (table.value <= table.high).all()


def test_the_interval_of_a_mean_is_about_that_of_theory():
    lengths = np.random.default_rng(1).integers(1, 60, 200).tolist()
    row = of(size_distributions(bars(lengths), "area"), "number", "mean")
    half = 1.96 * np.std(lengths, ddof=1) / np.sqrt(200)
    assert row.value == np.mean(lengths)
    assert row.low == pytest.approx(row.value - half, abs=0.15 * half)
    assert row.high == pytest.approx(row.value + half, abs=0.15 * half)


def test_the_same_seed_gives_the_same_intervals():
    found = bars(range(1, 30))
    assert size_distributions(found, seed=3).equals(size_distributions(found, seed=3))
    assert not size_distributions(found, seed=3).equals(size_distributions(found, seed=4))


def test_facets_of_one_image_are_drawn_together():
    # images of equal facets: drawing facets as if independent gives far too narrow an interval
    images = [bars([length] * 20) for length in (10, 20, 30, 40, 50, 60)]
    together = of(size_distributions(images, "area"), "number", "mean")
    alone = of(size_distributions(bars([*range(10, 70, 10)] * 20), "area"), "number", "mean")
    assert together.value == alone.value == 35
    assert (together.n_images, together.n_facets, together.resampled) == (6, 120, "images")
    assert together.high - together.low > 3 * (alone.high - alone.low)
    table = size_distributions(images[:3], "area")
    assert set(table.reason) == {"3 images, fewer than the 5 it takes"}


def test_images_of_one_specimen_are_drawn_together():
    images = [bars([length] * 20) for length in (10, 20, 30, 40, 50, 60) for _ in range(3)]
    names = [f"s{number // 3}" for number in range(18)]
    alone = of(size_distributions(images, "area"), "number", "mean")
    grouped = of(size_distributions(images, "area", specimens=names), "number", "mean")
    assert (grouped.resampled, grouped.n_images) == ("specimens", 18)
    assert grouped.value == alone.value
    assert grouped.high - grouped.low > 1.4 * (alone.high - alone.low)
    few = size_distributions(images[:9], "area", specimens=names[:9])
    assert set(few.reason) == {"3 specimens, fewer than the 5 it takes"}
    one = size_distributions(images[:9], "area", specimens=["s0"] * 9)
    assert set(one.resampled) == {"images"}
    with pytest.raises(OptionError, match="2 specimens for the facets of 18 images"):
        size_distributions(images, specimens=["a", "b"])


def test_facets_at_the_border_are_left_out_and_counted():
    labels = np.zeros((7, 9), np.uint8)
    labels[0, :5] = 2
    labels[3, 2:5] = 2
    row = of(size_distributions(facets(labels, DEFAULT_SCHEME), "area"), "number", "mean")
    assert (row.value, row.n_facets, row.n_border) == (3, 1, 1)
    only_border = facets(np.full((3, 3), 1), DEFAULT_SCHEME)
    row = of(size_distributions(only_border), "area", "mean")
    assert np.isnan(row.value)
    assert (row.n_facets, row.reason) == (0, "0 facets, fewer than the 10 it takes")


def test_weights_of_miles_and_lantuejoul_are_used():
    found = bars([1, 6], weights=True)  # frame 5 x 8
    weights = 5 * 8 / np.array([3 * 6, 3 * 1])
    assert found.table.weight.tolist() == pytest.approx(weights.tolist())
    table = size_distributions(found, "area")
    assert of(table, "number", "mean").value == pytest.approx((weights @ [1, 6]) / weights.sum())
    assert of(table, "number", "q0.5").value == 6


def test_classes_are_apart_and_in_micrometres():
    labels = np.zeros((5, 9), np.uint8)
    labels[1, 1:5], labels[3, 1:3] = 1, 2
    found = facets(labels, DEFAULT_SCHEME, pixel_size_um=2)
    table = size_distributions(found, "area", quantiles=[])
    assert table.class_name.tolist() == ["intergranular"] * 2 + ["transgranular"] * 2
    assert table.value.tolist() == [16, 16, 8, 8]
    assert set(table["size"]) == {"area_um2"}


def test_facets_of_unknown_shape_are_counted():
    labels = np.zeros((30, 30), np.uint8)
    labels[1:29, 1:29] = 1
    found = facets(labels, DEFAULT_SCHEME, block_px=10, largest_box_px=100)
    row = of(size_distributions(found, "feret_max"), "number", "mean")
    assert (row.n_facets, row.n_unknown) == (0, 1)


def test_what_does_not_fit_is_refused():
    one = bars([1, 2])
    with pytest.raises(OptionError, match="no size 'colour'.*equivalent_diameter"):
        size_distributions(one, "colour")
    with pytest.raises(OptionError, match="pixel size, or none"):
        size_distributions([one, bars([1, 2], pixel_size_um=1)])
    with pytest.raises(OptionError, match="different settings"):
        size_distributions([one, bars([1, 2], connectivity=2)])
    with pytest.raises(OptionError, match="no facets of any image"):
        size_distributions([])
    with pytest.raises(OptionError, match="between 0 and 1; 95 is not"):
        size_distributions(one, level=95)


def test_a_class_that_few_images_have_is_without_an_interval_and_without_a_warning():
    labels = np.full((20, 20), 2)
    labels[1:19:4, 1:19:4] = 1  # 25 facets of 1 px
    found = [facets(each, DEFAULT_SCHEME) for each in (labels, *[np.full((20, 20), 2)] * 6)]
    table = size_distributions(found, "area")
    inter = table[table["class_name"] == "intergranular"]
    assert set(inter["reason"]) == {"too few images have facets of this class"}
    assert inter["low"].isna().all()
    assert set(inter["value"]) == {1.0}
