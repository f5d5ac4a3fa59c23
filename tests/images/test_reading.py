import imageio.v3 as iio
import numpy as np
import pytest
import tifffile
import zarr

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
    assert isinstance(stack.data, zarr.Array)
    np.testing.assert_array_equal(stack.plane((1,)).data, GREY)

    group = zarr.create_group(tmp_path / "ome.zarr")
    group.create_array("full", data=GREY)
    group.attrs["ome"] = {"multiscales": [{"datasets": [{"path": "full"}, {"path": "half"}]}]}
    np.testing.assert_array_equal(read_image(tmp_path / "ome.zarr").plane().data, GREY)


def test_errors_name_the_file(tmp_path):
    with pytest.raises(ImageError, match=r"none\.tif does not exist"):
        read_image(tmp_path / "none.tif")
    for name in ("text.png", "text.tif", "text.jpg"):
        (tmp_path / name).write_text("this is no picture")
        with pytest.raises(ImageError, match=rf"{name} cannot be read as an image"):
            read_image(tmp_path / name)
    zarr.create_group(tmp_path / "empty.zarr")
    with pytest.raises(ImageError, match="without OME-Zarr multiscales"):
        read_image(tmp_path / "empty.zarr")


def test_truncated_files_are_refused(tmp_path):
    for name in ("a.png", "a.tif"):
        iio.imwrite(tmp_path / name, np.random.default_rng(0).integers(0, 255, (64, 64), np.uint8))
        whole = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(whole[: len(whole) // 2])
        with pytest.raises(ImageError, match=name):
            read_image(tmp_path / name)


def test_folders_list_images_only(tmp_path):
    for name in ("b.png", "a.TIF", "notes.txt", "c.jpg"):
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
    with pytest.raises(ImageError, match="Save class values, not colours"):
        read_mask(tmp_path / "colour.png")
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
