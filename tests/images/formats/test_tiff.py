"""Large TIFFs are read when they are sliced, and hold what they hold when they are loaded."""

from __future__ import annotations

import gc

import numpy as np
import psutil
import pytest
import tifffile

from napari_fractoseg.errors import ImageError
from napari_fractoseg.images import MicrographStack, image_shape, read_image
from napari_fractoseg.images.formats.tiff import read_tiff

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 255, (40, 50), np.uint8)
STACK = RNG.integers(0, 255, (3, 40, 50), np.uint8)
COLOURS = RNG.integers(0, 255, (40, 50, 3), np.uint8)
INK = RNG.integers(0, 255, (40, 50, 4), np.uint8)
DEEP = STACK.astype(np.uint16) * 257
ALPHA = np.stack([GREY, 255 - GREY], axis=-1)

PLAIN = {"photometric": "minisblack"}
ZLIB = {"photometric": "minisblack", "compression": "zlib", "rowsperstrip": 16}
ALPHA_OF = {**PLAIN, "extrasamples": ["unassalpha"]}

CASES = {
    # name: (stored, how, expected values, whether it is a memory map)
    "contiguous": (STACK, PLAIN, STACK),
    "big-endian": (DEEP, {**PLAIN, "byteorder": ">"}, DEEP),
    "strips": (STACK, ZLIB, STACK),
    "big-endian strips": (DEEP, {**ZLIB, "byteorder": ">"}, DEEP),
    "tiles": (STACK, {**PLAIN, "tile": (16, 16)}, STACK),
    "predictor": (DEEP, {**ZLIB, "predictor": True}, DEEP),
    "float": (GREY / 7, {**ZLIB}, GREY / 7),
    "white is zero": (GREY, {"photometric": "miniswhite"}, 255 - GREY),
    "white is zero, strips": (
        GREY, {"photometric": "miniswhite", "compression": "zlib"}, 255 - GREY
    ),
    "bits": (GREY > 99, {"photometric": "miniswhite"}, GREY <= 99),
    "colours": (COLOURS, {"photometric": "rgb"}, COLOURS),
    "planar colours": (
        np.moveaxis(COLOURS, -1, 0), {"photometric": "rgb", "planarconfig": "separate"},
        COLOURS
    ),
    "colours, tiles": (
        COLOURS, {"photometric": "rgb", "tile": (16, 16), "compression": "lzw"}, COLOURS
    ),
    "alpha": (ALPHA, {**ALPHA_OF, "planarconfig": "contig"}, GREY),
    "alpha, strips": (
        ALPHA, {**ALPHA_OF, "planarconfig": "contig", "compression": "zlib"}, GREY
    ),
    "planar alpha": (
        np.moveaxis(ALPHA, -1, 0), {**ALPHA_OF, "planarconfig": "separate"}, GREY
    ),
    "planar alpha, strips": (
        np.moveaxis(ALPHA, -1, 0), {**ALPHA_OF, "planarconfig": "separate", "compression": "lzw"},
        GREY
    ),
    "planar colours, strips": (
        np.moveaxis(COLOURS, -1, 0),
        {"photometric": "rgb", "planarconfig": "separate", "compression": "lzw"}, COLOURS
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_what_is_sliced_is_what_is_loaded(tmp_path, name):
    stored, how, expected = CASES[name]
    path = tmp_path / "image.tif"
    tifffile.imwrite(path, stored, **how)
    loaded, large = read_tiff(path), read_tiff(path, most_values=0)
    assert not isinstance(large.data, np.ndarray)
    assert (large.rgb, large.axes, large.shape) == (loaded.rgb, loaded.axes, loaded.shape)
    assert large.data.dtype.newbyteorder("=") == expected.dtype
    np.testing.assert_array_equal(loaded.data, expected)
    np.testing.assert_array_equal(np.asarray(large.data), expected)
    np.testing.assert_array_equal(large.data[..., 7:30, 2:3], expected[..., 7:30, 2:3])
    np.testing.assert_array_equal(large.data[1], expected[1])
    assert image_shape(path) == (expected.shape, expected.dtype)


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_cmyk_is_the_same_in_parts(tmp_path, compression):
    path = tmp_path / "ink.tif"
    tifffile.imwrite(path, INK, photometric="separated", compression=compression)
    loaded, large = read_tiff(path), read_tiff(path, most_values=0)
    assert (large.rgb, large.shape) == (True, (40, 50, 3))
    light = (255 - INK[..., :3].astype(float)) * (255 - INK[..., 3:].astype(float)) / 255
    np.testing.assert_array_equal(loaded.data, np.rint(light))
    np.testing.assert_array_equal(large.data[3:9, 5], loaded.data[3:9, 5])
    np.testing.assert_array_equal(large.data[3:9, 5:8, 1], loaded.data[3:9, 5:8, 1])


def test_pages_and_pyramids(tmp_path):
    with tifffile.TiffWriter(tmp_path / "pages.tif") as tif:
        for plane in STACK:
            tif.write(plane, contiguous=False, metadata=None, compression="zlib")
    with tifffile.TiffWriter(tmp_path / "pyramid.tif") as tif:
        tif.write(GREY, subifds=1, tile=(16, 16), photometric="minisblack")
        tif.write(GREY[::2, ::2], subfiletype=1, tile=(16, 16), photometric="minisblack")
    for name, expected in (("pages.tif", STACK), ("pyramid.tif", GREY)):
        large = read_tiff(tmp_path / name, most_values=0)
        np.testing.assert_array_equal(large.data[...], expected)
    assert [axis.name for axis in read_image(tmp_path / "pages.tif").axes] == ["plane", "y", "x"]


def test_a_large_file_is_not_loaded(tmp_path):
    edge = 8300
    mapped = tifffile.memmap(tmp_path / "map.tif", shape=(edge, edge), dtype=np.uint8)
    mapped[5, 7] = 9
    mapped.flush()
    del mapped
    stack = read_image(tmp_path / "map.tif")
    plane = stack.plane()
    assert not isinstance(stack.data, np.ndarray)
    assert not isinstance(plane.data, np.ndarray)
    np.testing.assert_array_equal(plane.data[4:7, 6:9], [[0, 0, 0], [0, 9, 0], [0, 0, 0]])

    image = np.zeros((edge, edge), np.uint8)
    image[5, 7] = 9
    tifffile.imwrite(tmp_path / "strips.tif", image, compression="zlib", rowsperstrip=64)
    plane = read_image(tmp_path / "strips.tif").plane()
    assert not isinstance(plane.data, np.ndarray)
    np.testing.assert_array_equal(plane.data[4:7, 6:9], [[0, 0, 0], [0, 9, 0], [0, 0, 0]])


def test_no_file_stays_open(tmp_path):
    path = tmp_path / "strips.tif"
    tifffile.imwrite(path, STACK, **ZLIB)
    data = read_tiff(path, most_values=0).data
    np.testing.assert_array_equal(data[1, :20], STACK[1, :20])
    assert str(path) not in {file.path for file in psutil.Process().open_files()}
    del data
    gc.collect()  # a handle that is left would warn


def test_a_strip_is_decoded_once_for_tiles_beside_each_other(tmp_path):
    path = tmp_path / "strips.tif"
    tifffile.imwrite(path, GREY, **ZLIB)
    data = read_tiff(path, most_values=0).data
    data[:16, :10]
    path.unlink()
    np.testing.assert_array_equal(data[:16, 10:20], GREY[:16, 10:20])
    with pytest.raises(ImageError, match=r"strips\.tif cannot be read: .*damaged or was changed"):
        data[16:32]


def test_a_damaged_strip_is_an_error_of_its_plane(tmp_path):
    path = tmp_path / "strips.tif"
    tifffile.imwrite(path, STACK, **ZLIB)
    with tifffile.TiffFile(path) as tif:
        offset = tif.series[0].pages[1].dataoffsets[0]
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(b"\xff" * 40)
    stack = MicrographStack(read_tiff(path, most_values=0).data, name="strips")
    np.testing.assert_array_equal(stack.plane((0,)).data, STACK[0])
    with pytest.raises(ImageError, match=r"strips\.tif cannot be read"):
        stack.plane((1,))
    with pytest.raises(ImageError, match=r"strips\.tif cannot be read as an image"):
        read_image(path)


@pytest.mark.parametrize("how", [PLAIN, ZLIB, {**PLAIN, "tile": (16, 16)}])
def test_a_large_file_that_ends_early_is_refused_when_it_is_opened(tmp_path, how):
    path = tmp_path / "cut.tif"
    tifffile.imwrite(path, GREY, **how)
    whole = path.read_bytes()
    path.write_bytes(whole[:-300])
    with pytest.raises(ImageError, match=r"cut\.tif cannot be read as an image"):
        image_shape(path)  # opens it as a large one


def test_an_index_out_of_range_is_the_callers(tmp_path):
    path = tmp_path / "strips.tif"
    tifffile.imwrite(path, GREY, **ZLIB)
    data = read_tiff(path, most_values=0).data
    for index in ((40, 0), (0, 0, 0)):
        with pytest.raises(IndexError):
            data[index]


@pytest.mark.parametrize("samples", [2, 3, 5])
def test_samples_that_are_no_colours_are_channels(tmp_path, samples):
    stored = RNG.integers(0, 255, (40, 50, samples), np.uint8)
    path = tmp_path / "detectors.tif"
    tifffile.imwrite(path, stored, photometric="minisblack", planarconfig="contig")
    with pytest.raises(ImageError, match=rf"has {samples} channels on the axis 'c'"):
        read_image(path)
    stack = read_image(path, channel=1)
    assert (stack.rgb, stack.shape) == (False, (40, 50))
    np.testing.assert_array_equal(stack.plane().data, stored[..., 1])
    if samples == 3:
        np.testing.assert_array_equal(read_image(path, rgb=True).data, stored)


def test_channels_of_ome_and_imagej_have_names(tmp_path):
    stacks = np.stack([STACK, 255 - STACK])
    tifffile.imwrite(
        tmp_path / "a.ome.tif", stacks, photometric="minisblack",
        metadata={"axes": "ZCYX", "Channel": {"Name": ["SE", "BSE", "InLens"]}},
    )  # fmt: skip
    tifffile.imwrite(
        tmp_path / "b.tif", STACK, imagej=True,
        metadata={"axes": "CYX", "Labels": ["SE", "BSE", "InLens"]},
    )  # fmt: skip
    for name, expected in (("a.ome.tif", stacks[:, 2]), ("b.tif", STACK[2])):
        with pytest.raises(ImageError, match=r"3 channels .*: SE, BSE, InLens\. Choose one"):
            read_image(tmp_path / name)
        stack = read_image(tmp_path / name, channel="InLens")
        np.testing.assert_array_equal(stack.data, expected)
    z, y, x = read_image(tmp_path / "a.ome.tif", channel=0).axes
    assert [(a.name, a.type, a.unit, a.scale) for a in (z, y, x)] == [
        ("z", "space", None, 1.0), ("y", "space", None, 1.0), ("x", "space", None, 1.0)
    ]  # fmt: skip


def test_labels_of_planes_are_no_names_of_channels(tmp_path):
    stacks = np.stack([STACK[:2], STACK[1:]])
    labels = ["z1 SE", "z1 BSE", "z2 SE", "z2 BSE"]
    metadata = {"axes": "ZCYX", "Labels": labels}
    tifffile.imwrite(tmp_path / "b.tif", stacks, imagej=True, metadata=metadata)
    with pytest.raises(ImageError, match=r"2 x 40 x 50\. Choose one by .*, 0 to 1, or"):
        read_image(tmp_path / "b.tif")


@pytest.mark.shared_data
def test_sem_files_of_every_vendor_are_the_same_in_parts(shared_data):
    paths = sorted((shared_data / "sem_files").glob("*.tif"))
    assert len(paths) > 5
    for path in paths:
        loaded = read_image(path)
        large = read_tiff(path, most_values=0)
        np.testing.assert_array_equal(np.asarray(large.data), loaded.data, err_msg=path.name)
        assert image_shape(path) == (loaded.data.shape, loaded.data.dtype)
