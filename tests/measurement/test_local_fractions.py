"""Maps of local fractions."""

import numpy as np
import pytest

from napari_fractoseg.classes import DEFAULT_SCHEME
from napari_fractoseg.errors import ClassSchemeError, OptionError
from napari_fractoseg.measurement.local_fractions import local_fractions

LABELS = np.random.default_rng(3).integers(0, 4, (37, 53)).astype(np.uint8)


def by_hand(labels, row, column, reach):
    window = labels[max(row - reach, 0) : row + reach + 1, max(column - reach, 0) :][
        :, : min(column, reach) + reach + 1
    ]
    modes = np.isin(window, (1, 2)).sum()
    return (window == 1).sum() / modes if modes else np.nan


def test_each_pixel_has_the_fraction_in_the_window_around_it():
    found = local_fractions(LABELS, DEFAULT_SCHEME, "intergranular", 7)
    assert found.dtype == np.float32
    expected = [[by_hand(LABELS, r, c, 3) for c in range(53)] for r in range(37)]
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_the_two_modes_are_all_there_is():
    both = [local_fractions(LABELS, DEFAULT_SCHEME, mode, 9) for mode in ("i", "t")]
    np.testing.assert_allclose(both[0] + both[1], 1, atol=1e-6)


@pytest.mark.parametrize("block_px", [5, 16, 64])
def test_blocks_give_the_map_of_the_whole(block_px):
    out = np.zeros((37, 53), np.float32)
    found = local_fractions(LABELS, DEFAULT_SCHEME, "i", 11, out=out, block_px=block_px)
    assert found is out
    np.testing.assert_array_equal(out, local_fractions(LABELS, DEFAULT_SCHEME, "i", 11))


def test_nothing_is_said_where_no_mode_is_near_or_the_area_is_excluded():
    labels = np.array([[1, 1, 3, 3, 0, 0, 2]])
    exclude = np.array([[0, 1, 0, 0, 0, 0, 0]])
    found = local_fractions(labels, DEFAULT_SCHEME, "i", 3, exclude=exclude)
    np.testing.assert_array_equal(found, [[1, np.nan, np.nan, np.nan, np.nan, 0, 0]])


def test_an_even_window_gets_a_middle():
    two, three = (local_fractions(LABELS, DEFAULT_SCHEME, "i", n) for n in (2, 3))
    np.testing.assert_array_equal(two, three)


def test_what_cannot_be_mapped_is_refused():
    with pytest.raises(OptionError, match="window is 0 px"):
        local_fractions(LABELS, DEFAULT_SCHEME, "i", 0)
    with pytest.raises(OptionError, match="background is no fracture mode"):
        local_fractions(LABELS, DEFAULT_SCHEME, "background", 5)
    with pytest.raises(ClassSchemeError, match="'dimples'"):
        local_fractions(LABELS, DEFAULT_SCHEME, "dimples", 5)
