import json
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_fractoseg.errors import OptionError
from napari_fractoseg.measurement.statistics import Estimate, block_bootstrap, design_effect

HITS = [3, 4.5, 2, 5, 3, 4, 3.5, 2.5, 4, 3]
"""Ten fields of 25 points."""
TEN = Estimate.of(hits / 25 for hits in HITS)


def test_ten_fields_in_the_manner_of_e562():
    assert TEN.n == 10
    assert 100 * TEN.mean == pytest.approx(13.8)
    assert 100 * TEN.s == pytest.approx(3.7059, abs=5e-5)
    assert 100 * TEN.half_width == pytest.approx(2.651, abs=5e-4)
    assert TEN.relative_accuracy_percent == pytest.approx(19.21, abs=5e-3)
    assert TEN.low == TEN.mean - TEN.half_width
    assert TEN.high == TEN.mean + TEN.half_width
    assert str(TEN) == "13.8 % (95 % interval 11.1 to 16.5 %; n = 10 fields)"


@pytest.mark.parametrize(
    ("n", "t"),
    [(5, 2.776), (6, 2.571), (8, 2.365), (10, 2.262), (15, 2.145), (20, 2.093), (30, 2.045)],
)
def test_t_is_that_of_the_table(n, t):
    assert Estimate(0.5, 0.1, n).t == pytest.approx(t, abs=5e-4)


def test_fields_needed_have_the_wanted_accuracy_and_one_less_has_not():
    n = TEN.fields_needed(10)
    assert n == 31
    assert Estimate(TEN.mean, TEN.s, n).relative_accuracy_percent <= 10
    assert Estimate(TEN.mean, TEN.s, n - 1).relative_accuracy_percent > 10


@given(st.lists(st.floats(0.01, 1), min_size=2, max_size=40, unique=True))
def test_the_accuracy_that_is_reached_needs_the_fields_that_are_there(values):
    estimate = Estimate.of(values)
    assert estimate.fields_needed(estimate.relative_accuracy_percent) == len(values)


@pytest.mark.parametrize(
    ("values", "reason"),
    [([], "no fields, and it takes two"), ([0.4], "1 field, and it takes two")],
)
def test_below_two_fields_there_is_no_interval(values, reason):
    estimate = Estimate.of([*values, math.nan])
    assert estimate.no_interval == reason
    for figure in (estimate.s, estimate.t, estimate.half_width, estimate.low, *estimate.shown):
        assert math.isnan(figure)
    assert math.isnan(estimate.relative_accuracy_percent)
    assert estimate.fields_needed(10) is None
    assert estimate.to_dict()["half_width"] is None


def test_fields_that_are_all_the_same_say_so_instead_of_an_exact_interval():
    estimate = Estimate.of([0.1] * 3, "specimens")
    assert estimate.half_width == 0
    assert estimate.no_interval == "all 3 specimens have the same value"
    assert str(estimate) == "10.0 % (no interval: all 3 specimens have the same value)"
    assert estimate.to_dict()["low"] is None
    assert estimate.fields_needed(10) is None


def test_a_rare_class_has_an_interval_above_zero():
    estimate = Estimate.of([0, 0, 0.01, 0.09, 0, 0.02])
    assert estimate.low < 0
    low, high = estimate.shown
    assert 0 < low < estimate.mean < high < 1
    assert high - estimate.mean > estimate.mean - low
    mirrored = Estimate.of([1, 1, 0.99, 0.91, 1, 0.98])
    assert mirrored.shown == pytest.approx((1 - high, 1 - low))


def test_a_common_class_is_shown_with_the_interval_of_student():
    assert TEN.shown == (TEN.low, TEN.high)


def test_alike_neighbours_widen_the_interval_that_is_shown_and_not_that_of_e562():
    wide = replace(TEN, design_effect=2.25)
    assert (wide.half_width, wide.low, wide.relative_accuracy_percent) == (
        TEN.half_width,
        TEN.low,
        TEN.relative_accuracy_percent,
    )
    assert wide.shown == pytest.approx((0.138 - 1.5 * TEN.half_width, 0.138 + 1.5 * TEN.half_width))
    rare = Estimate.of([0, 0, 0.02, 0.04, 0, 0.01])
    assert replace(rare, design_effect=2.25).shown[1] > rare.shown[1] > 0


def test_design_effect_of_a_small_grid():
    """Differences -1, -1, 1, 1 of 2: two like neighbours, two unlike ones; s^2 is 4/3."""
    places = [0, 0, 1, 1], [0, 1, 0, 1]
    assert design_effect([1, 1, 3, 3], *places) == pytest.approx(1 + 2 * (0 + 4 / 3) / (16 / 3))
    assert design_effect([1, 3, 3, 1], *places) == 1
    assert design_effect([1, math.nan, 3, 3], *places) == design_effect(
        [1, 3, 3], [0, 1, 1], [0, 0, 1]
    )
    apart = [0, 0, 5, 5], [0, 5, 0, 5]
    assert design_effect([1, 1, 3, 3], *apart) == 1


@pytest.mark.parametrize("values", [[], [0.2], [0.3, 0.3], [math.nan, 0.1]])
def test_too_few_or_equal_fields_have_no_design_effect(values):
    assert design_effect(values, range(len(values)), range(len(values))) == 1


@pytest.mark.parametrize("wanted", [0, -5, math.nan])
def test_an_accuracy_that_cannot_be_reached_is_refused(wanted):
    with pytest.raises(OptionError, match="more than 0 %"):
        TEN.fields_needed(wanted)


def test_figures_are_json():
    assert json.loads(json.dumps(TEN.to_dict(), allow_nan=False))["n"] == 10


def test_bootstrap_of_blocks_is_the_same_each_time_and_near_the_interval_of_student():
    values = [hits / 25 for hits in HITS]
    low, high = block_bootstrap(values)
    assert (low, high) == block_bootstrap(values)
    assert low == pytest.approx(TEN.low, abs=0.01)
    assert high == pytest.approx(TEN.high, abs=0.01)


@pytest.mark.parametrize("values", [[], [0.2], [0.2, 0.3], [0.1] * 9, [0, 0, 0, 1, math.nan]])
def test_bootstrap_needs_blocks_that_differ(values):
    assert block_bootstrap(values) is None


@pytest.mark.parametrize("p", [0.02, 0.3])
def test_the_interval_that_is_shown_holds_the_truth_as_often_as_it_says(p):
    """25 fields of 64 facets of unlike size, each of the class with the probability p."""
    rng = np.random.default_rng(0)
    n_runs, held = 1000, 0
    areas = rng.gamma(3.6, size=(n_runs, 25, 64))  # as those of Voronoi cells are spread
    values = (areas * (rng.random(areas.shape) < p)).sum(axis=2) / areas.sum(axis=2)
    for fields in values:
        low, high = Estimate.of(fields).shown
        held += low <= p <= high
    assert 930 <= held <= 970
