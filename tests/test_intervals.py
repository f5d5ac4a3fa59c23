import math

import pytest
from scipy.stats import binomtest

from napari_fractoseg.errors import OptionError
from napari_fractoseg.intervals import normal_quantile, wilson_interval


@pytest.mark.parametrize(
    ("hits", "n", "low", "high"), [(15, 50, 0.19104, 0.43750), (8, 10, 0.49016, 0.94332)]
)
def test_wilson_intervals_of_the_books(hits, n, low, high):
    assert wilson_interval(hits, n) == pytest.approx((low, high), abs=5e-6)


@pytest.mark.parametrize(("hits", "n"), [(0, 1), (1, 1), (0, 20), (20, 20), (3, 7), (250, 1000)])
@pytest.mark.parametrize("confidence", [0.9, 0.95])
def test_whole_numbers_have_the_interval_of_scipy(hits, n, confidence):
    expected = binomtest(hits, n).proportion_ci(confidence, "wilson")
    assert wilson_interval(hits, n, confidence) == pytest.approx(tuple(expected), abs=1e-12)


def test_half_counts_lie_between_whole_ones():
    low, high = wilson_interval([3, 3.5, 4], 10)
    assert low[0] < low[1] < low[2]
    assert high[0] < high[1] < high[2]


def test_no_point_gives_no_interval():
    assert all(math.isnan(limit) for limit in wilson_interval(0, 0))


def test_impossible_counts_and_confidences_are_refused():
    with pytest.raises(OptionError, match=r"6 hits of 5 points.*Count"):
        wilson_interval([1, 6], 5)
    with pytest.raises(OptionError, match=r"95 is not between 0 and 1.*0\.95"):
        normal_quantile(95)
