"""Counts and percentiles of arrays, block by block."""

from __future__ import annotations

import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from napari_fractoseg import arrays
from napari_fractoseg.images.micrograph import LazyPlane

KINDS = [np.uint8, np.int8, np.uint16, np.int16, np.bool_, np.int32, np.float32, np.float64]


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_percentiles_are_those_of_numpy(kind, data):
    shape = npst.array_shapes(min_dims=2, max_dims=2, max_side=9)
    is_float = np.dtype(kind).kind == "f"
    finite = {"allow_nan": False, "allow_infinity": False} if is_float else {}
    elements = npst.from_dtype(np.dtype(kind), **finite)
    array = data.draw(npst.arrays(kind, shape, elements=elements))
    wanted = (0, 1, 37.5, 99, 100)
    with np.errstate(over="ignore", invalid="ignore"):
        expected = np.percentile(array.astype(np.float64), wanted)
    found = arrays.percentiles(array, wanted)
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("kind", [*KINDS, np.float16, np.int64, np.uint64, ">f4", ">u2"])
@given(data=st.data())
def test_ranked_elements_are_those_of_a_sorted_array(kind, data):
    is_float = np.dtype(kind).kind == "f"
    finite = {"allow_nan": False, "allow_infinity": False} if is_float else {}
    elements = npst.from_dtype(np.dtype(kind), **finite)
    array = data.draw(npst.arrays(kind, npst.array_shapes(max_dims=1), elements=elements))
    found = arrays.ranked(array, range(array.size))
    assert [found[rank] for rank in range(array.size)] == [float(v) for v in np.sort(array)]


@given(npst.arrays(np.int16, npst.array_shapes(max_dims=3)))
def test_values_are_counted_as_numpy_counts_them(array):
    values, counts = np.unique(array, return_counts=True)
    assert arrays.value_counts(array) == dict(zip(values.tolist(), counts.tolist(), strict=True))
    assert arrays.value_counts(array.astype(np.int64)) == arrays.value_counts(array)


@pytest.mark.parametrize("view", [(..., 0), (slice(None), slice(1, 4)), (slice(None, None, 2),)])
def test_a_view_with_gaps_is_counted_without_a_copy(view):
    data = np.random.default_rng(0).integers(0, 9, (4, 5, 6), np.uint8)[view]
    assert not data.flags.c_contiguous
    assert all(np.shares_memory(block, data) for block in arrays.blocks(data))
    values, counts = np.unique(data, return_counts=True)
    assert arrays.value_counts(data) == dict(zip(values.tolist(), counts.tolist(), strict=True))


@pytest.fixture
def on_disk(tmp_path):
    """Three planes with more rows than a block holds, and the array itself."""
    data = np.random.default_rng(0).integers(0, 4000, (3, 700, 9000)).astype(np.uint16)
    stored = zarr.create_array(tmp_path / "a.zarr", shape=data.shape, chunks=(1, 256, 512),
                               dtype=data.dtype)  # fmt: skip
    stored[...] = data
    return stored, data


def test_planes_on_disk_are_read_in_blocks(on_disk):
    stored, data = on_disk
    plane = LazyPlane(stored, (1,))
    sizes = [block.size for block in arrays.blocks(plane)]
    assert len(sizes) > 1
    assert sum(sizes) == data[1].size
    assert arrays.percentiles(plane, (1, 99)) == list(np.percentile(data[1], (1, 99)))
    np.testing.assert_array_equal(plane[100:300, 40:50], data[1, 100:300, 40:50])


def test_percentiles_of_a_plane_of_floats_on_disk_are_found_block_by_block(on_disk, monkeypatch):
    stored, data = on_disk
    floats = zarr.create_array(
        stored.store_path.store.root.parent / "f.zarr", data=(data[0] - 1000.5).astype(np.float32)
    )
    monkeypatch.setattr(arrays, "_BLOCK_PX", 2**18)
    expected = np.percentile(floats[...].astype(np.float64), (1, 99))
    assert arrays.percentiles(LazyPlane(floats), (1, 99)) == list(expected)


def test_what_is_not_finite_is_counted():
    array = np.zeros((30, 40), np.float32)
    assert arrays.n_not_finite(array) == 0
    array[3, 4], array[5, 6] = np.nan, -np.inf
    assert arrays.n_not_finite(array) == 2
    assert arrays.n_not_finite(array.astype(bool)) == 0


def test_constant_is_what_has_one_value():
    assert arrays.is_constant(np.full((5, 6), 7))
    array = np.zeros((3000, 2000), np.uint8)
    assert arrays.is_constant(array)
    array[-1, -1] = 1
    assert not arrays.is_constant(array)
