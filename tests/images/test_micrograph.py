import dask.array as da
import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis.extra import numpy as hnp

from napari_fractoseg.errors import ImageError
from napari_fractoseg.images import (
    Axis,
    GreyRange,
    LazyPlane,
    Micrograph,
    MicrographStack,
    has_colours,
    to_grey,
)

LEVELS = hnp.arrays(np.uint8, hnp.array_shapes(min_dims=2, max_dims=2, max_side=12))


@given(LEVELS)
def test_the_same_grey_levels_in_any_type_normalise_alike(levels):
    expected = Micrograph(levels).normalised()
    assert expected.dtype == np.float32
    for same in (levels.astype(np.uint16) * 257, levels.astype(np.int32) - 40, levels / 255):
        np.testing.assert_allclose(Micrograph(same).normalised(), expected, atol=1e-6)


@given(LEVELS)
def test_normalised_levels_stay_within_two(levels):
    assert np.abs(Micrograph(levels).normalised()).max() <= 2


def test_percentiles_become_minus_one_and_one():
    ramp = np.arange(101, dtype=np.uint8).reshape(1, -1)
    assert GreyRange.of(ramp) == GreyRange(1.0, 99.0)
    normalised = Micrograph(ramp).normalised()
    assert normalised[0, 1] == -1
    assert normalised[0, 50] == 0
    assert normalised[0, 99] == 1


def test_a_constant_image_is_all_zero_and_a_single_bright_pixel_is_seen():
    assert not Micrograph(np.full((5, 5), 17, np.uint16)).normalised().any()
    spot = np.zeros((20, 20))
    spot[3, 4] = 5
    normalised = Micrograph(spot).normalised()
    assert np.argmax(normalised) == 3 * 20 + 4


def test_the_image_is_not_changed():
    data = np.arange(12.0).reshape(3, 4)
    before = data.copy()
    Micrograph(data).normalised()
    np.testing.assert_array_equal(data, before)


def test_nan_and_infinity_are_refused_with_a_count():
    data = np.zeros((4, 5), np.float32)
    data[0, :2] = np.nan
    data[1, 1] = np.inf
    with pytest.raises(ImageError, match=r"s1: 3 of 20 pixels are NaN or infinite. Replace them"):
        Micrograph(data, name="s1")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (np.zeros(4), "got 4 values in a row"),
        (np.zeros((2, 3, 4)), "expected one plane, got 2 planes of 4 x 3 px"),
        (np.zeros((2, 3), complex), "complex128"),
        (np.zeros((0, 3)), "empty"),
    ],
)
def test_what_is_no_grey_level_image_is_refused(data, message):
    with pytest.raises(ImageError, match=message):
        Micrograph(data)


def test_luminance_keeps_grey_levels_and_ignores_alpha():
    grey = np.array([[0, 100], [200, 255]], np.uint8)
    np.testing.assert_allclose(to_grey(np.stack([grey] * 3, axis=-1)), grey)
    rgba = np.stack([grey, grey, grey, np.array([[0, 255], [9, 80]])], axis=-1)
    np.testing.assert_allclose(to_grey(rgba), grey)
    assert to_grey(np.array([[[0, 255, 0]]], np.uint8))[0, 0] == pytest.approx(0.7154 * 255)


@pytest.mark.parametrize("kind", ["numpy", "dask", "zarr"])
def test_planes_of_every_kind_of_array(kind):
    data = np.arange(2 * 3 * 4 * 5, dtype=np.uint16).reshape(2, 3, 4, 5)
    stored = {
        "numpy": lambda: data,
        "dask": lambda: da.from_array(data, chunks=(1, 1, 4, 5)),
        "zarr": lambda: zarr.array(data),
    }[kind]()
    stack = MicrographStack(stored, name="fields")
    assert stack.shape == (2, 3, 4, 5)
    assert stack.n_planes == 6
    assert list(stack.indices())[-1] == (1, 2)
    plane = stack.plane((1, 0))
    np.testing.assert_array_equal(plane.data, data[1, 0])
    assert plane.name == "fields, plane 4 of 6 (index 1, 0)"


def test_only_the_wanted_plane_is_computed():
    computed = []

    def load(block_info):
        computed.append(block_info[None]["chunk-location"])
        return np.ones((1, 4, 4), np.uint8)

    lazy = da.map_blocks(
        load, chunks=((1,) * 5, (4,), (4,)), dtype=np.uint8, meta=np.empty((0,) * 3, np.uint8)
    )
    MicrographStack(lazy).plane((3,))
    assert computed == [(3, 0, 0)]


def test_an_rgb_stack_gives_grey_planes():
    rgb = np.zeros((2, 4, 5, 3), np.uint8)
    rgb[1, ..., 0] = 255
    stack = MicrographStack(rgb, rgb=True)
    assert stack.shape == (2, 4, 5)
    np.testing.assert_allclose(stack.plane((1,)).data, 0.2125 * 255)


@pytest.mark.parametrize("shape", [(24, 64, 3), (2, 24, 64, 4), (30, 41, 2), (30, 41, 1)])
def test_a_last_axis_as_short_as_colours_is_not_guessed(shape):
    with pytest.raises(ImageError, match=r"may hold colours or pixels\. Pass rgb=True"):
        has_colours(shape)
    assert has_colours(shape, rgb=True)
    assert not has_colours(shape, rgb=False)


@pytest.mark.parametrize("shape", [(5, 3), (1, 1), (3, 24, 64), (2, 3, 8, 5)])
def test_grey_images_and_stacks_need_no_flag(shape):
    assert not has_colours(shape)


def test_bad_shapes_are_refused():
    with pytest.raises(ImageError, match="3 or 4 colours"):
        MicrographStack(np.zeros((4, 5)), rgb=True)
    with pytest.raises(ImageError, match="expected rows and columns, got 5 values in a row"):
        MicrographStack(np.zeros(5))
    with pytest.raises(ImageError, match="empty"):
        MicrographStack(np.zeros((0, 4, 5)))


def test_a_stack_knows_its_axes_without_that_of_the_colours():
    axes = (Axis.named("z"), Axis.named("y"), Axis.named("x"))
    assert MicrographStack(np.zeros((2, 4, 5)), axes=axes).axes == axes
    assert MicrographStack(np.zeros((2, 4, 5, 3)), rgb=True, axes=axes).shape == (2, 4, 5)
    with pytest.raises(ImageError, match=r"s1: 3 axes were named \(z, y, x\) of .* 5 x 4 px"):
        MicrographStack(np.zeros((4, 5)), name="s1", axes=axes)


def test_a_plane_on_disk_becomes_an_array_where_one_is_needed():
    colours = np.arange(2 * 4 * 5 * 3, dtype=np.uint8).reshape(2, 4, 5, 3)
    plane = LazyPlane(zarr.array(colours), (1,), rgb=True)
    assert (plane.shape, plane.ndim, plane.dtype) == ((4, 5), 2, np.float64)
    np.testing.assert_array_equal(np.asarray(plane), to_grey(colours[1]))
    np.testing.assert_array_equal(plane[2], to_grey(colours[1, 2]))


def test_a_large_plane_of_a_memory_map_is_read_in_parts(tmp_path):
    shape = (2, 8193, 8193, 3)
    colours = np.memmap(tmp_path / "colours", np.uint8, "w+", shape=shape)
    colours[1, 0, 8190:] = [[0, 255, 0], [255, 0, 0], [0, 0, 0]]
    plane = MicrographStack(colours, rgb=True).plane((1,)).data
    assert isinstance(plane, LazyPlane)
    expected = [[0.7154 * 255, 0.2125 * 255, 0], [0, 0, 0]]
    np.testing.assert_allclose(plane[:2, 8190:], expected)
    small = MicrographStack(colours[..., :50, 1]).plane((1,)).data
    assert np.shares_memory(small, colours)
