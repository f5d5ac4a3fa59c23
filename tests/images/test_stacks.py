from __future__ import annotations

import imageio.v3 as iio
import numpy as np
import pytest
import tifffile
import zarr

from napari_fractoseg.errors import ImageError
from napari_fractoseg.images import Axis, read_stack

RNG = np.random.default_rng(0)
PLANES = RNG.integers(0, 255, (4, 20, 30), np.uint8)
COLOURS = RNG.integers(0, 255, (3, 20, 30, 4), np.uint8)


@pytest.fixture
def folder(tmp_path):
    """Four images whose order by letters is not that of their numbers."""
    folder = tmp_path / "sections"
    folder.mkdir()
    iio.imwrite(folder / "plane1.png", PLANES[0])
    tifffile.imwrite(folder / "plane2.tif", PLANES[1], compression="zlib")
    zarr.create_array(folder / "Plane9.zarr", data=PLANES[2][None], dimension_names=["c", "y", "x"])
    iio.imwrite(folder / "plane10.bmp", PLANES[3])
    (folder / "notes.txt").write_text("no image")
    return folder


def test_the_images_of_a_folder_are_the_planes_in_natural_order(folder):
    stack = read_stack(folder)
    assert (stack.name, stack.shape, stack.rgb) == ("sections", (4, 20, 30), False)
    assert stack.axes == (Axis("plane"), Axis("y", "space"), Axis("x", "space"))
    assert (stack.data.dtype, stack.data.ndim) == (np.uint8, 3)
    for index in stack.indices():
        np.testing.assert_array_equal(stack.plane(index).data, PLANES[index])
    for key in (..., (slice(1, 3), 5), (-1, slice(2, 4), 7), slice(3, 3), (slice(None, None, 2),)):
        np.testing.assert_array_equal(stack.data[key], PLANES[key])
    np.testing.assert_array_equal(np.asarray(stack.data), PLANES)
    with pytest.raises(IndexError):
        stack.data[4]


def test_a_list_keeps_its_order(folder):
    names = ["plane10.bmp", "plane1.png"]
    stack = read_stack([str(folder / name) for name in names])
    np.testing.assert_array_equal(stack.data[...], PLANES[[3, 0]])
    with pytest.raises(ImageError, match="the list is empty"):
        read_stack([])


def test_files_are_read_when_they_are_needed_and_the_last_one_is_kept(folder):
    stack = read_stack(folder)
    (folder / "plane10.bmp").unlink()
    np.testing.assert_array_equal(stack.data[0, :5], PLANES[0, :5])
    (folder / "plane1.png").unlink()
    np.testing.assert_array_equal(stack.data[0, 5:], PLANES[0, 5:])
    with pytest.raises(ImageError, match=r"plane10\.bmp does not exist"):
        stack.plane((3,))


def test_colours_are_colours_if_all_images_have_them(tmp_path):
    iio.imwrite(tmp_path / "a.png", COLOURS[0])
    iio.imwrite(tmp_path / "b.png", COLOURS[1, ..., :3])
    planar = np.moveaxis(COLOURS[2, ..., :3], -1, 0)
    tifffile.imwrite(tmp_path / "c.tif", planar, photometric="rgb", planarconfig="separate")
    stack = read_stack(tmp_path)
    assert (stack.rgb, stack.shape) == (True, (3, 20, 30))
    np.testing.assert_array_equal(stack.data[...], COLOURS[..., :3])
    np.testing.assert_array_equal(stack.data[1, 3:9, 4, 1:], COLOURS[1, 3:9, 4, 1:3])
    grey = COLOURS[2, ..., :3] @ [0.2125, 0.7154, 0.0721]
    np.testing.assert_allclose(stack.plane((2,)).data, grey)
    iio.imwrite(tmp_path / "d.png", PLANES[0])
    with pytest.raises(ImageError, match=r"d\.png .*: it is 30 x 20 px of uint8, a\.png .*colours"):
        read_stack(tmp_path)


@pytest.mark.parametrize(
    ("odd", "described"),
    [
        (np.zeros((20, 31), np.uint8), "31 x 20 px of uint8"),
        (np.zeros((20, 30), np.uint16), "30 x 20 px of uint16"),
    ],
)
def test_the_first_image_that_does_not_fit_is_named(folder, odd, described):
    tifffile.imwrite(folder / "plane3.tif", odd)
    tifffile.imwrite(folder / "plane4.tif", odd)
    with pytest.raises(
        ImageError,
        match=rf"plane3\.tif does not fit .*it is {described}, plane1\.png is 30 x 20 px of uint8",
    ):
        read_stack(folder)


def test_big_and_little_endian_files_are_of_one_type(tmp_path):
    deep = PLANES.astype(np.uint16) * 256
    for name, plane, order in (("a", deep[0], ">"), ("b", deep[1], "<")):
        tifffile.imwrite(tmp_path / f"{name}.tif", plane, byteorder=order)
    np.testing.assert_array_equal(read_stack(tmp_path).data[...], deep[:2])


def test_a_file_of_several_planes_is_refused(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", PLANES, photometric="minisblack")
    with pytest.raises(ImageError, match=r"a\.tif has 4 planes, not one"):
        read_stack(tmp_path)


def test_a_channel_is_chosen_in_all_files(tmp_path):
    for number in range(2):
        pair = PLANES[2 * number : 2 * number + 2]
        tifffile.imwrite(tmp_path / f"{number}.tif", pair, imagej=True, metadata={"axes": "CYX"})
    with pytest.raises(ImageError, match=r"0\.tif has 2 channels"):
        read_stack(tmp_path)
    np.testing.assert_array_equal(read_stack(tmp_path, channel=1).data[...], PLANES[1::2])


def test_a_file_that_was_changed_is_said(folder):
    stack = read_stack(folder)
    iio.imwrite(folder / "plane1.png", PLANES[0, :10])
    with pytest.raises(ImageError, match=r"plane1\.png was changed .* it is 30 x 10 px now"):
        stack.plane((0,))


def test_a_damaged_file_costs_only_its_plane(folder):
    stack = read_stack(folder)
    whole = (folder / "plane1.png").read_bytes()
    (folder / "plane1.png").write_bytes(whole[:100])
    with pytest.raises(ImageError, match=r"plane1\.png cannot be read"):
        stack.plane((0,))
    np.testing.assert_array_equal(stack.plane((1,)).data, PLANES[1])
