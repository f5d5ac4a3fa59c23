"""Zarr and OME-Zarr of both formats: laziness, axes, scale, pixel size, channels."""

from __future__ import annotations

import numpy as np
import pytest
import zarr

from napari_fractoseg.errors import ImageError
from napari_fractoseg.images import Axis, image_shape, read_image

PLANES = np.random.default_rng(0).integers(0, 255, (2, 30, 40), np.uint8)
CHANNELS = np.stack([PLANES, 255 - PLANES, PLANES // 2], axis=1)
"""Shape (z, c, y, x) = (2, 3, 30, 40)."""
Z, C, Y, X = (
    {"name": "z", "type": "space", "unit": "micrometer"},
    {"name": "c", "type": "channel"},
    {"name": "y", "type": "space", "unit": "nanometer"},
    {"name": "x", "type": "space", "unit": "nanometer"},
)


def scaling(*scale):
    return [{"type": "scale", "scale": list(scale)}]


def write_ome(path, data, image, *, zarr_format=3, **more):
    """Write an OME-Zarr of two levels: 0.5 in zarr format 3, 0.4 in format 2."""
    group = zarr.create_group(path, zarr_format=zarr_format)
    group.create_array("s0", data=data, chunks=(*[1] * (data.ndim - 2), 16, 16))
    group.create_array("s1", data=data[..., ::2, ::2])
    datasets = [{"path": "s0", **image.pop("level", {})}, {"path": "s1"}]
    version = "0.5" if zarr_format == 3 else "0.4"
    attributes = {"multiscales": [{"version": version, "datasets": datasets, **image}], **more}
    group.attrs.update({"ome": attributes} if zarr_format == 3 else attributes)
    return path


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("is_ome", [False, True])
def test_every_zarr_is_read_lazily_and_gives_the_same_planes(tmp_path, zarr_format, is_ome):
    path = tmp_path / "image.zarr"
    if is_ome:
        write_ome(path, PLANES, {"axes": [Z, Y, X]}, zarr_format=zarr_format)
    else:
        zarr.create_array(path, data=PLANES, chunks=(1, 16, 16), zarr_format=zarr_format)
    stack = read_image(path)
    assert not isinstance(stack.data, np.ndarray)
    assert (path / "zarr.json").exists() is (zarr_format == 3)
    assert (stack.shape, stack.rgb, stack.name) == ((2, 30, 40), False, "image")
    for index in stack.indices():
        np.testing.assert_array_equal(stack.plane(index).data, PLANES[index])
    assert image_shape(path) == (PLANES.shape, PLANES.dtype)


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_axes_and_pixel_size_are_those_of_ome_zarr(tmp_path, zarr_format):
    image = {
        "axes": [Z, Y, X],
        "level": {"coordinateTransformations": scaling(2.5, 100, 100)},
        "coordinateTransformations": scaling(2, 5, 5),
    }
    stack = read_image(write_ome(tmp_path / "a.zarr", PLANES, image, zarr_format=zarr_format))
    assert stack.axes == (
        Axis("z", "space", "micrometer", 5.0),
        Axis("y", "space", "nanometer", 500.0),
        Axis("x", "space", "nanometer", 500.0),
    )
    assert stack.pixel_size_um == 0.5
    assert stack.plane((1,)).pixel_size_um == 0.5


@pytest.mark.parametrize(
    "level",
    [
        {},
        {"coordinateTransformations": [{"type": "identity"}]},
        {"coordinateTransformations": scaling(1, 5)},
        {"coordinateTransformations": scaling(1, 0, 0)},
        {"coordinateTransformations": scaling(1, "5", "5")},
        {"coordinateTransformations": scaling(1, 5, 6)},
    ],
)
def test_a_scale_that_is_not_there_or_makes_no_sense_is_no_pixel_size(tmp_path, level):
    path = write_ome(tmp_path / "a.zarr", PLANES, {"axes": [Z, Y, X], "level": level})
    stack = read_image(path)
    assert stack.pixel_size_um is None
    assert [axis.name for axis in stack.axes] == ["z", "y", "x"]


def test_a_scale_without_unit_is_kept_but_no_pixel_size(tmp_path):
    axes = [{"name": name, "type": "space"} for name in "zyx"]
    level = {"coordinateTransformations": scaling(3, 2, 2)}
    stack = read_image(write_ome(tmp_path / "a.zarr", PLANES, {"axes": axes, "level": level}))
    assert [axis.scale for axis in stack.axes] == [3.0, 2.0, 2.0]
    assert stack.pixel_size_um is None


def test_a_channel_is_chosen_by_number_or_name(tmp_path):
    omero = {"channels": [{"label": "SE"}, {"label": "BSE"}, {"label": "InLens"}]}
    level = {"coordinateTransformations": scaling(2.5, 1, 100, 100)}
    image = {"axes": [Z, C, Y, X], "level": level}
    path = write_ome(tmp_path / "a.zarr", CHANNELS, image, omero=omero)
    expected = (
        r"a\.zarr has 3 channels on the axis 'c' of its shape 2 x 3 x 30 x 40: SE, BSE, InLens\. "
        r"Choose one by its name or its number, 0 to 2, or save it as an image of its own\.$"
    )
    with pytest.raises(ImageError, match=expected):
        read_image(path)
    for channel in (1, "BSE", "1"):
        stack = read_image(path, channel=channel)
        assert not isinstance(stack.data, np.ndarray)
        assert [axis.name for axis in stack.axes] == ["z", "y", "x"]
        assert [axis.scale for axis in stack.axes] == [2.5, 100, 100]
        assert stack.pixel_size_um == 0.1
        np.testing.assert_array_equal(stack.plane((1,)).data, CHANNELS[1, 1])
    assert image_shape(path, channel=2) == ((2, 30, 40), np.uint8)
    for channel in (3, -1, "TLD"):
        with pytest.raises(ImageError, match=r"no channel .* its 3: 0 to 2, called SE, BSE, InL"):
            read_image(path, channel=channel)


def test_names_that_are_used_twice_are_no_choice(tmp_path):
    omero = {"channels": [{"label": "SE"}, {"label": "SE"}, {"label": "BSE"}]}
    path = write_ome(tmp_path / "a.zarr", CHANNELS, {"axes": [Z, C, Y, X]}, omero=omero)
    with pytest.raises(ImageError, match="2 channels are called 'SE'. Choose one by its number"):
        read_image(path, channel="SE")
    np.testing.assert_array_equal(read_image(path, channel="BSE").data[...], CHANNELS[:, 2])


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_dimension_names_name_the_channel_axis_of_plain_zarr(tmp_path, zarr_format):
    names = ["channel", "y", "x"]
    how = {"dimension_names": names} if zarr_format == 3 else {
        "attributes": {"_ARRAY_DIMENSIONS": names}
    }  # fmt: skip
    path = tmp_path / "a.zarr"
    zarr.create_array(path, data=PLANES, zarr_format=zarr_format, **how)
    with pytest.raises(ImageError, match=r"2 channels on the axis 'channel'.*number, 0 to 1"):
        read_image(path)
    stack = read_image(path, channel=1)
    np.testing.assert_array_equal(stack.plane().data, PLANES[1])
    assert stack.axes == (Axis("y", "space"), Axis("x", "space"))


def test_a_single_channel_needs_no_choice(tmp_path):
    path = write_ome(tmp_path / "a.zarr", CHANNELS[:, :1], {"axes": [Z, C, Y, X]})
    for channel in (None, 0):
        np.testing.assert_array_equal(read_image(path, channel=channel).data[...], PLANES)
    with pytest.raises(ImageError, match=r"no channel 1. Choose one of its 1: only 0\."):
        read_image(path, channel=1)


@pytest.mark.parametrize("n_colours", [3, 4])
def test_channels_at_the_end_are_colours_unless_one_is_chosen(tmp_path, n_colours):
    colours = np.stack([PLANES[0], PLANES[1], 255 - PLANES[0], PLANES[0] // 2][:n_colours], -1)
    path = tmp_path / "a.zarr"
    zarr.create_array(path, data=colours, dimension_names=["y", "x", "c"])
    stack = read_image(path)
    assert (stack.rgb, stack.shape) == (True, (30, 40))
    assert stack.axes == (Axis("y", "space"), Axis("x", "space"))
    np.testing.assert_array_equal(read_image(path, channel=1).plane().data, PLANES[1])
    with pytest.raises(ImageError, match=rf"{n_colours} channels on the axis 'c'"):
        read_image(path, rgb=False)


def test_two_or_five_channels_at_the_end_are_no_colours(tmp_path):
    for n in (2, 5):
        path = tmp_path / f"{n}.zarr"
        data = np.stack([PLANES[0] // (i + 1) for i in range(n)], axis=-1)
        zarr.create_array(path, data=data, dimension_names=["y", "x", "c"])
        with pytest.raises(ImageError, match=rf"has {n} channels"):
            read_image(path)
        np.testing.assert_array_equal(read_image(path, channel=1).plane().data, data[..., 1])


def test_a_channel_of_an_image_that_has_none_is_refused(tmp_path):
    named, unnamed, flat = (tmp_path / f"{name}.zarr" for name in ("named", "unnamed", "flat"))
    zarr.create_array(named, data=PLANES, dimension_names=["z", "y", "x"])
    zarr.create_array(unnamed, data=PLANES)
    zarr.create_array(flat, data=PLANES[0])
    with pytest.raises(ImageError, match="has no channel axis. Leave the channel out"):
        read_image(named, channel=0)
    with pytest.raises(ImageError, match=r"does not say which axis of its shape 2 x 30 x 40"):
        read_image(unnamed, channel=0)
    with pytest.raises(ImageError, match="has no channel axis"):
        read_image(flat, channel="SE")


def test_early_versions_have_five_axes(tmp_path):
    data = CHANNELS.transpose(1, 0, 2, 3)[None]
    path = write_ome(tmp_path / "a.zarr", data, {"version": "0.2"}, zarr_format=2)
    stack = read_image(path, channel=2)
    np.testing.assert_array_equal(stack.data[0], CHANNELS[:, 2])
    assert [axis.name for axis in stack.axes] == ["t", "z", "y", "x"]
    texts = {"version": "0.3", "axes": ["z", "c", "y", "x"]}
    path = write_ome(tmp_path / "b.zarr", CHANNELS, texts, zarr_format=2)
    np.testing.assert_array_equal(read_image(path, channel=0).data[...], PLANES)


def test_rows_and_columns_that_are_not_last_are_refused(tmp_path):
    path = tmp_path / "a.zarr"
    zarr.create_array(path, data=PLANES, dimension_names=["x", "y", "z"])
    with pytest.raises(ImageError, match=r"its axes are x, y, z, but .* the last two"):
        read_image(path)


def test_names_that_say_nothing(tmp_path):
    for name, names in (("twice", ["a", "a", "x"]), ("last", ["z", "y", None])):
        zarr.create_array(tmp_path / f"{name}.zarr", data=PLANES, dimension_names=names)
        assert read_image(tmp_path / f"{name}.zarr").axes is None
    zarr.create_array(tmp_path / "some.zarr", data=PLANES, dimension_names=[None, "y", "x"])
    assert [axis.name for axis in read_image(tmp_path / "some.zarr").axes] == ["axis0", "y", "x"]


def test_an_array_inside_a_group_is_named_by_its_path(tmp_path):
    group = zarr.create_group(tmp_path / "sample.zarr")
    group.create_array("fields", data=PLANES)
    with pytest.raises(ImageError, match="Name the array inside it"):
        read_image(tmp_path / "sample.zarr")
    np.testing.assert_array_equal(read_image(tmp_path / "sample.zarr" / "fields").data[...], PLANES)
