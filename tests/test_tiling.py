import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_fractoseg.tiling import Box, Canvas, Tiler, reflected_window

SHAPES = st.tuples(st.integers(1, 90), st.integers(1, 90))
TILERS = st.builds(
    lambda multiple, tile, halo: Tiler(tile * multiple, halo * multiple, multiple),
    st.integers(1, 16),
    st.integers(1, 4),
    st.integers(0, 4),
)


@given(SHAPES, TILERS)
def test_cores_cover_every_pixel_exactly_once(shape, tiler):
    hits = np.zeros(shape, int)
    for tile in tiler.tiles(shape):
        hits[tile.core.slices] += 1
    assert (hits == 1).all()


@given(SHAPES, TILERS)
def test_windows_are_aligned_and_hold_core_and_halo_up_to_the_edge(shape, tiler):
    for tile in tiler.tiles(shape):
        core, window = tile.core, tile.window
        assert window.row0 == max(core.row0 - tiler.halo_px, 0)
        assert window.column0 == max(core.column0 - tiler.halo_px, 0)
        assert window.row1 >= min(core.row1 + tiler.halo_px, shape[0])
        assert window.column1 >= min(core.column1 + tiler.halo_px, shape[1])
        assert window.row1 < shape[0] + tiler.multiple_px
        assert window.column1 < shape[1] + tiler.multiple_px
        edges = (window.row0, window.row1, window.column0, window.column1)
        assert all(n % tiler.multiple_px == 0 for n in edges)
        assert max(core.shape) <= tiler.tile_px


def test_windows_inside_the_image_are_equal():
    tiles = [t for t in Tiler(64, 32).tiles((400, 400)) if t.core.row0 > 0 and t.core.row1 < 400]
    inside = [t for t in tiles if t.core.column0 > 0 and t.core.column1 < 400]
    assert {t.window.shape for t in inside} == {(128, 128)}
    assert len(inside) == 25


@given(SHAPES, TILERS)
def test_cutting_and_keeping_puts_the_image_together_again(shape, tiler):
    image = np.arange(np.prod(shape)).reshape(shape)
    result = np.full(shape, -1)
    canvas = Canvas(result)
    for tile in tiler.tiles(shape):
        canvas.put(tile, tile.keep(tile.cut(image)))
    np.testing.assert_array_equal(result, image)


@given(SHAPES, st.integers(0, 200), st.integers(0, 200))
def test_windows_reflect_the_whole_image_and_only_beyond_its_edge(shape, before, after):
    image = np.random.default_rng(0).integers(0, 1000, shape)
    box = Box(-before, shape[0] + after, -after, shape[1] + before)
    expected = np.pad(image, ((before, after), (after, before)), mode="reflect")
    np.testing.assert_array_equal(reflected_window(image, box), expected)


def test_cores_are_about_equal_so_that_no_sliver_remains():
    cores = [t.core.shape[1] for t in Tiler(640, 128).tiles((32, 1300))]
    assert cores == [448, 448, 404]


def test_a_tiny_image_is_one_tile():
    (tile,) = Tiler(64, 32).tiles((3, 5))
    assert tile.core == Box(0, 3, 0, 5)
    assert tile.window == Box(0, 32, 0, 32)


def test_canvas_writes_one_plane_and_refuses_wrong_shapes():
    stack = np.zeros((2, 4, 4), int)
    (tile,) = Tiler(32, 0).tiles((4, 4))
    Canvas(stack, (1,)).put(tile, np.ones((4, 4), int))
    assert stack[0].sum() == 0
    assert stack[1].sum() == 16
    with pytest.raises(ValueError, match=r"\(4, 4\), the result \(3, 4\)"):
        Canvas(stack, (1,)).put(tile, np.ones((3, 4), int))


@pytest.mark.parametrize("sizes", [(33, 32), (64, 5), (0, 0), (64, -32)])
def test_sizes_that_do_not_fit_the_stride_are_refused(sizes):
    with pytest.raises(ValueError, match="multiple of 32|must be positive"):
        Tiler(*sizes)
