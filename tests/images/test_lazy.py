from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
import zarr

from napari_fractoseg.images.lazy import AtIndex, Converted, at_index, converted

DATA = np.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5)
KEYS = [
    (),
    ...,
    1,
    (0, slice(1, 3)),
    (..., slice(0, 2)),
    (slice(None), 2, slice(1, 4, 2)),
    (1, ..., 1),
    (1, 2, 1),
    (-1, -2),
]


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("axis", [0, 1, 2, 3])
def test_one_index_of_an_axis_is_sliced_as_a_view_would_be(key, axis):
    view = at_index(zarr.array(DATA), axis, 1)
    expected = np.take(DATA, 1, axis=axis)
    assert (view.shape, view.ndim, view.dtype) == (expected.shape, 3, DATA.dtype)
    np.testing.assert_array_equal(view[key], expected[key])


def test_of_an_array_in_memory_it_is_a_view():
    assert np.shares_memory(at_index(DATA, 1, 2), DATA)
    np.testing.assert_array_equal(at_index(DATA, 1, 2), DATA[:, 2])
    lazy = at_index(da.from_array(DATA, chunks=2), 3, 4)
    assert isinstance(lazy, AtIndex)
    np.testing.assert_array_equal(lazy[0], DATA[0, ..., 4])


def reversed_samples(block):
    return block[..., ::-1]


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("axis", [0, 1, 2, 3])
def test_samples_are_converted_wherever_they_are(key, axis):
    lazy = converted(zarr.array(DATA), reversed_samples, axis)
    loaded = converted(DATA, reversed_samples, axis)
    assert isinstance(lazy, Converted)
    assert lazy.shape == loaded.shape
    np.testing.assert_array_equal(loaded, np.moveaxis(DATA, axis, -1)[..., ::-1])
    np.testing.assert_array_equal(lazy[key], loaded[key])


def test_elements_are_converted_and_read_as_a_whole_by_numpy():
    lazy = converted(zarr.array(DATA), np.negative)
    np.testing.assert_array_equal(np.asarray(lazy), -DATA)
    np.testing.assert_array_equal(np.asarray(lazy, dtype=np.float32), -DATA.astype(np.float32))
    np.testing.assert_array_equal(da.from_array(lazy, chunks=3).compute(), -DATA)
    with pytest.raises(ValueError, match="without reading it"):
        np.asarray(lazy, copy=False)
    with pytest.raises(IndexError, match=r"5 indices for an array of shape \(2, 3, 4, 5\)"):
        lazy[0, 0, 0, 0, 0]
