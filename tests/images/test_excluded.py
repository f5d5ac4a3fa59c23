"""Excluded area of an image: masks, and what networks see in its place."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_fractoseg.errors import ImageError
from napari_fractoseg.images import ExcludedArea, GreyRange, InfoBar, LazyPlane, MicrographStack
from napari_fractoseg.images.excluded import FilledPlane

ROWS, COLUMNS = 12, 5


def image() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (ROWS, COLUMNS)).astype(np.uint8)


class TestMask:
    def test_a_bar_is_a_band(self):
        area = ExcludedArea.of_bar(InfoBar((9, 12), "Zeiss"), (3, ROWS, COLUMNS))
        assert area is not None
        assert area.source == "Zeiss"
        expected = np.zeros((ROWS, COLUMNS), bool)
        expected[9:] = True
        np.testing.assert_array_equal(area.of_plane((1,)), expected)

    def test_no_bar_is_no_area(self):
        assert ExcludedArea.of_bar(InfoBar(None, "none"), (ROWS, COLUMNS)) is None

    def test_a_mask_of_a_stack_is_that_of_its_plane(self):
        mask = np.zeros((2, ROWS, COLUMNS), np.uint8)
        mask[1, 3, 2] = 7
        area = ExcludedArea(mask.shape, mask=mask)
        assert not np.asarray(area.of_plane((0,))).any()
        assert np.argwhere(area.of_plane((1,))).tolist() == [[3, 2]]

    def test_it_is_described_and_read_back(self):
        area = ExcludedArea((ROWS, COLUMNS), ((0, 2),), source="by hand")
        again = ExcludedArea.from_dict(area.to_dict(), area.shape)
        assert again is not None
        assert (again.bands, again.source) == (((0, 2),), "by hand")
        assert ExcludedArea.from_dict({}, area.shape) is None

    @pytest.mark.parametrize("band", [(0, 13), (5, 5), (-1, 3)])
    def test_rows_that_are_not_there_are_refused(self, band):
        with pytest.raises(ImageError, match=f"image of {ROWS} rows"):
            ExcludedArea((ROWS, COLUMNS), (band,))

    def test_a_mask_of_another_size_is_refused(self):
        with pytest.raises(ImageError, match="3 x 3 .*the image"):
            ExcludedArea((ROWS, COLUMNS), mask=np.ones((3, 3)))

    def test_an_area_of_another_image_is_refused(self):
        with pytest.raises(ImageError, match="Give that of this image"):
            MicrographStack(image(), excluded=ExcludedArea((ROWS, 7), ((0, 2),)))

    def test_nothing_left_is_refused(self):
        with pytest.raises(ImageError, match="All 12 rows"):
            MicrographStack(image(), excluded=ExcludedArea((ROWS, COLUMNS), ((0, ROWS),))).plane()


class TestFilled:
    def test_a_bar_is_mirrored_from_the_rows_above_it(self):
        data = image()
        plane = MicrographStack(data, excluded=ExcludedArea(data.shape, ((9, 12),))).plane()
        expected = np.pad(data[:9], ((0, 3), (0, 0)), mode="reflect")
        np.testing.assert_array_equal(plane.data, expected)
        assert plane.grey_range == GreyRange.of(data[:9])

    def test_the_middle_gets_the_median_of_the_rest(self):
        data = np.arange(60.0).reshape(ROWS, COLUMNS)
        mask = np.zeros(data.shape, bool)
        mask[4:6, 1:3] = True
        plane = MicrographStack(data, excluded=ExcludedArea(data.shape, mask=mask)).plane()
        assert set(plane.data[mask]) == {np.median(data[~mask])}
        np.testing.assert_array_equal(plane.data[~mask], data[~mask])
        assert plane.grey_range == GreyRange.of(data[~mask])

    @given(st.integers(0, 11), st.integers(0, 11), st.integers(0, 255))
    def test_what_is_excluded_is_never_seen(self, first, height, grey):
        end = min(first + height, ROWS)
        if end == first or (first, end) == (0, ROWS):
            return
        data, other = image(), image()
        other[first:end] = grey
        area = ExcludedArea(data.shape, ((first, end),))
        one, two = (MicrographStack(x, excluded=area).plane() for x in (data, other))
        np.testing.assert_array_equal(one.data, two.data)
        assert one.grey_range == two.grey_range

    def test_a_lazy_plane_is_the_same_in_parts(self):
        data = image()
        mask = np.zeros(data.shape, bool)
        mask[2, 1] = True
        area = ExcludedArea(data.shape, ((10, 12),), mask).of_plane()
        filled = FilledPlane(LazyPlane(data), area)
        whole = np.asarray(filled)
        np.testing.assert_array_equal(whole, FilledPlane(data, area)[...])
        np.testing.assert_array_equal(filled[3:11, 1:4], whole[3:11, 1:4])
        np.testing.assert_array_equal(filled[11], whole[11])
        assert filled[11, 2] == whole[11, 2]


class TestDrawnArea:
    def test_whole_rows_of_a_mask_become_bands(self):
        mask = np.zeros((6, 4), np.uint8)
        mask[0], mask[4:] = 1, 2
        mask[2, 1] = 1
        area = ExcludedArea.of_mask(mask, (3, 6, 4), "drawn")
        assert area.bands == ((0, 1), (4, 6))
        np.testing.assert_array_equal(area.of_plane((2,))[...], mask != 0)
        assert area.where == "rows 0 to 0, 4 to 5, an area that was drawn"
        mask[...] = 0
        assert area.of_plane()[2, 1]
        assert ExcludedArea.of_mask(mask, (6, 4)) is None

    @given(st.lists(st.booleans(), min_size=12, max_size=12))
    def test_areas_of_the_same_pixels_are_told_to_be_equal(self, drawn):
        mask = np.array(drawn).reshape(4, 3)
        area = ExcludedArea.of_mask(mask, (4, 3))
        other = ExcludedArea.of_mask(mask.astype(np.uint8) * 7, (4, 3), "another source")
        assert (area is None) == (other is None) == (not mask.any())
        if area is not None:
            assert area.key == other.key
            np.testing.assert_array_equal(area.of_plane()[...], mask)
            changed = ~mask if not mask.all() else mask & (np.arange(12).reshape(4, 3) > 0)
            different = ExcludedArea.of_mask(changed, (4, 3))
            assert different.key != area.key
