import imageio.v3 as iio
import numpy as np
import pytest
import tifffile
import zarr
from PIL import Image

from napari_fractoseg.errors import ImageError
from napari_fractoseg.images import find_images, image_shape, read_image, read_mask

GREY = np.arange(30, dtype=np.uint8).reshape(5, 6)


@pytest.mark.parametrize("suffix", [".tif", ".png", ".bmp", ".TIFF"])
def test_grey_images_come_back_as_they_are(tmp_path, suffix):
    path = tmp_path / f"s17_3{suffix}"
    if suffix.lower().startswith(".tif"):
        tifffile.imwrite(path, GREY)
    else:
        iio.imwrite(path, GREY)
    stack = read_image(path)
    assert stack.name == "s17_3"
    assert stack.pixel_size_um is None
    np.testing.assert_array_equal(stack.plane().data, GREY)


def test_sixteen_bit_and_float_tiffs_keep_their_type(tmp_path):
    for dtype in (np.uint16, np.float32):
        path = tmp_path / f"{np.dtype(dtype).name}.tif"
        tifffile.imwrite(path, GREY.astype(dtype) * 3)
        assert read_image(path).plane().data.dtype == dtype


def test_a_tiff_stack_has_planes(tmp_path):
    tifffile.imwrite(tmp_path / "stack.tif", np.stack([GREY, GREY + 1]), photometric="minisblack")
    assert read_image(tmp_path / "stack.tif").shape == (2, 5, 6)


@pytest.mark.parametrize("planar", [False, True])
def test_colour_tiffs_are_rgb(tmp_path, planar):
    rgb = np.stack([GREY, GREY * 2, GREY * 3], axis=-1)
    stored = np.moveaxis(rgb, -1, 0) if planar else rgb
    config = "separate" if planar else "contig"
    tifffile.imwrite(tmp_path / "c.tif", stored, photometric="rgb", planarconfig=config)
    stack = read_image(tmp_path / "c.tif")
    assert stack.rgb
    np.testing.assert_array_equal(np.asarray(stack.data), rgb)


def test_grey_png_with_alpha_is_grey(tmp_path):
    iio.imwrite(tmp_path / "la.png", np.stack([GREY, np.full_like(GREY, 255)], axis=-1), mode="LA")
    stack = read_image(tmp_path / "la.png")
    np.testing.assert_array_equal(stack.plane().data, GREY)


def test_zarr_arrays_and_ome_zarr_open_lazily(tmp_path):
    plain = zarr.create_array(tmp_path / "plain.zarr", shape=(2, 5, 6), dtype="u1")
    plain[1] = GREY
    stack = read_image(tmp_path / "plain.zarr")
    assert not isinstance(stack.data, np.ndarray)
    np.testing.assert_array_equal(stack.plane((1,)).data, GREY)

    group = zarr.create_group(tmp_path / "ome.zarr")
    group.create_array("full", data=GREY)
    group.attrs["ome"] = {"multiscales": [{"datasets": [{"path": "full"}, {"path": "half"}]}]}
    np.testing.assert_array_equal(read_image(tmp_path / "ome.zarr").plane().data, GREY)


@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_grey_tiff_with_alpha_is_grey(tmp_path, planar):
    samples = [GREY, np.full_like(GREY, 255)]
    stored = np.stack(samples, axis=-1 if planar == "contig" else 0)
    path = tmp_path / "la.tif"
    tifffile.imwrite(path, stored, photometric="minisblack", planarconfig=planar,
                     extrasamples=["unassalpha"])  # fmt: skip
    stack = read_image(path)
    np.testing.assert_array_equal(stack.plane().data, GREY)
    assert image_shape(path) == ((5, 6), np.uint8)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, np.float32, bool])
def test_black_is_black_where_a_tiff_says_that_zero_is_white(tmp_path, dtype):
    levels = (GREY % 2).astype(bool) if dtype is bool else GREY.astype(dtype)
    tifffile.imwrite(tmp_path / "w.tif", levels, photometric="miniswhite")
    data = read_image(tmp_path / "w.tif").plane().data
    assert data.dtype == dtype
    shown, stored = data.astype(float), levels.astype(float)
    np.testing.assert_array_equal(shown + stored, np.full(GREY.shape, shown[0, 0] + stored[0, 0]))
    if dtype is np.uint8:
        np.testing.assert_array_equal(data, 255 - GREY)
        np.testing.assert_array_equal(read_mask(tmp_path / "w.tif"), GREY)


def test_cmyk_is_read_as_it_looks(tmp_path):
    grey = np.kron(GREY * 8, np.ones((8, 8), np.uint8))
    rgb = Image.fromarray(grey).convert("RGB")
    rgb.convert("CMYK").save(tmp_path / "c.jpg", quality=95)
    ink = np.asarray(rgb.convert("CMYK"))
    tifffile.imwrite(tmp_path / "c.tif", ink, photometric="separated")
    for name in ("c.jpg", "c.tif"):
        stack = read_image(tmp_path / name)
        assert stack.data.shape == (*grey.shape, 3)
        assert np.abs(stack.plane().data - grey).max() < 8
        assert image_shape(tmp_path / name) == (stack.data.shape, np.uint8)


def test_the_axes_of_a_zarr_tell_colours_from_planes(tmp_path):
    rgb = np.stack([GREY] * 3, axis=-1)
    ome = zarr.create_group(tmp_path / "ome.zarr")
    ome.create_array("0", data=rgb)
    axes = [{"name": "y", "type": "space"}, {"name": "x"}, {"name": "colours", "type": "channel"}]
    ome.attrs["ome"] = {"multiscales": [{"axes": axes, "datasets": [{"path": "0"}]}]}
    named = zarr.create_array(
        tmp_path / "named.zarr", shape=rgb.shape, dtype="u1", dimension_names=["y", "x", "c"]
    )
    named[:] = rgb
    for name in ("ome.zarr", "named.zarr"):
        stack = read_image(tmp_path / name)
        assert (stack.rgb, stack.shape) == (True, (5, 6))
        np.testing.assert_allclose(stack.plane().data, GREY)
    planes = zarr.create_array(
        tmp_path / "planes.zarr", shape=rgb.shape, dtype="u1", dimension_names=["z", "y", "x"]
    )
    assert planes.shape == read_image(tmp_path / "planes.zarr").shape
    alpha = zarr.create_array(
        tmp_path / "alpha.zarr", shape=(5, 6, 1), dtype="u1", dimension_names=["y", "x", "c"]
    )
    alpha[..., 0] = GREY
    np.testing.assert_array_equal(read_image(tmp_path / "alpha.zarr").plane().data, GREY)


def test_a_zarr_that_may_be_colour_is_refused_until_it_is_said(tmp_path):
    path = tmp_path / "plain.zarr"
    zarr.create_array(path, shape=(5, 6, 3), dtype="u1")
    with pytest.raises(ImageError, match=r"plain\.zarr.*\(5, 6, 3\) may hold.*dimension_names"):
        read_image(path)
    assert read_image(path, rgb=True).shape == (5, 6)
    assert read_image(path, rgb=False).shape == (5, 6, 3)


def test_errors_name_the_file(tmp_path):
    with pytest.raises(ImageError, match=r"none\.tif does not exist"):
        read_image(tmp_path / "none.tif")
    for name in ("text.png", "text.tif", "text.jpg"):
        (tmp_path / name).write_text("this is no picture")
        with pytest.raises(ImageError, match=rf"{name} cannot be read as an image") as caught:
            read_image(tmp_path / name)
        assert str(caught.value).count(name) == 1
    zarr.create_group(tmp_path / "empty.zarr")
    with pytest.raises(ImageError, match="without OME-Zarr multiscales"):
        read_image(tmp_path / "empty.zarr")


def test_a_tiff_without_pages_is_one_clear_error(tmp_path, caplog):
    (tmp_path / "bad.tif").write_bytes(b"II*\0" + b"\0\xff" * 50)
    with pytest.raises(ImageError, match="it is damaged, incomplete or no image"):
        read_image(tmp_path / "bad.tif")
    assert not caplog.records


def test_truncated_files_are_refused(tmp_path):
    for name in ("a.png", "a.tif"):
        iio.imwrite(tmp_path / name, np.random.default_rng(0).integers(0, 255, (64, 64), np.uint8))
        whole = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(whole[: len(whole) // 2])
        with pytest.raises(ImageError, match=name):
            read_image(tmp_path / name)


def test_folders_list_images_only(tmp_path):
    for name in ("b.png", "a.TIF", "notes.txt", "c.jpg", "._b.png", ".d.tif"):
        (tmp_path / name).touch()
    assert [p.name for p in find_images(tmp_path)] == ["a.TIF", "b.png", "c.jpg"]
    with pytest.raises(ImageError, match="not a folder"):
        find_images(tmp_path / "notes.txt")
    (tmp_path / "sub").mkdir()
    with pytest.raises(ImageError, match=r"No image in .*\.tif"):
        find_images(tmp_path / "sub")


def test_masks_are_whole_numbers(tmp_path):
    iio.imwrite(tmp_path / "m.png", GREY)
    np.testing.assert_array_equal(read_mask(tmp_path / "m.png"), GREY)
    iio.imwrite(tmp_path / "same.png", np.stack([GREY] * 3, axis=-1))
    np.testing.assert_array_equal(read_mask(tmp_path / "same.png"), GREY)
    iio.imwrite(tmp_path / "colour.png", np.stack([GREY, GREY, GREY + 1], axis=-1))
    with pytest.raises(ImageError, match=r"px in colours .* Save class values, not colours"):
        read_mask(tmp_path / "colour.png")
    iio.imwrite(tmp_path / "m.jpg", GREY)
    with pytest.raises(ImageError, match="cannot be a JPEG"):
        read_mask(tmp_path / "m.jpg")
    tifffile.imwrite(tmp_path / "f.tif", GREY.astype(np.float32))
    with pytest.raises(ImageError, match="float32"):
        read_mask(tmp_path / "f.tif")


@pytest.mark.shared_data
def test_sem_files_of_every_vendor_open(shared_data):
    paths = sorted((shared_data / "sem_files").glob("*.tif"))
    assert len(paths) > 5
    for path in paths:
        assert len(read_image(path).shape) == 2, path.name


@pytest.mark.parametrize(
    ("name", "array", "shape"),
    [
        ("grey.png", GREY, (5, 6)),
        ("deep.png", GREY.astype(np.uint16) * 300, (5, 6)),
        ("colour.jpg", np.stack([GREY] * 3, axis=-1), (5, 6, 3)),
        ("grey.bmp", GREY, (5, 6)),
        ("float.tif", GREY.astype(np.float32), (5, 6)),
    ],
)
def test_shape_and_type_are_those_of_the_array(tmp_path, name, array, shape):
    iio.imwrite(tmp_path / name, array)
    assert image_shape(tmp_path / name) == (shape, array.dtype)
    data = read_image(tmp_path / name).data
    assert image_shape(tmp_path / name) == (data.shape, data.dtype)


def test_the_shape_of_a_zarr(tmp_path):
    zarr.create_array(tmp_path / "a.zarr", shape=(2, 5, 6), dtype="u2")
    assert image_shape(tmp_path / "a.zarr") == ((2, 5, 6), np.dtype(np.uint16))


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif"])
def test_a_shape_that_cannot_be_told(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    with pytest.raises(ImageError, match=rf"a\{suffix} does not exist"):
        image_shape(path)
    path.write_text("this is no picture")
    with pytest.raises(ImageError, match=rf"a\{suffix} cannot be read as an image"):
        image_shape(path)


def test_the_shape_of_grey_with_alpha_is_that_of_its_grey_levels(tmp_path):
    path = tmp_path / "la.png"
    iio.imwrite(path, np.zeros((5, 6, 2), np.uint8))
    assert image_shape(path) == ((5, 6), np.uint8)
    assert read_image(path).shape == (5, 6)


def test_a_channel_of_a_picture_is_refused(tmp_path):
    iio.imwrite(tmp_path / "grey.png", GREY)
    iio.imwrite(tmp_path / "colour.png", np.stack([GREY] * 3, axis=-1))
    tifffile.imwrite(tmp_path / "colour.tif", np.stack([GREY] * 3, axis=-1), photometric="rgb")
    for name, reason in (
        ("grey.png", "has no channel axis"),
        ("colour.png", "has colours"),
        ("colour.tif", "has colours"),
    ):
        for read in (read_image, image_shape):
            with pytest.raises(ImageError, match=rf"{name}: channel 0 was chosen, .*{reason}"):
                read(tmp_path / name, channel=0)


def test_a_damaged_compressed_tiff_is_said(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, GREY, compression="zlib")
    with tifffile.TiffFile(path) as tif:
        offset = tif.pages[0].dataoffsets[0]
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(b"\xff" * 20)
    with pytest.raises(ImageError, match=r"a\.tif cannot be read as an image"):
        read_image(path)
