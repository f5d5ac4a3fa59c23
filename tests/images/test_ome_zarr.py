"""What OME-Zarr groups say of themselves: the same for images, labels and the napari reader."""

from __future__ import annotations

import copy
import json

import numpy as np
import pytest
import zarr

from napari_fractoseg._napari.layers import pixel_size_um
from napari_fractoseg._napari.result_reader import get_labels_reader
from napari_fractoseg.errors import ImageError
from napari_fractoseg.images import read_image
from napari_fractoseg.images.axes import Axis
from napari_fractoseg.images.ome_zarr import LabelNames, read_metadata

PIXELS = np.array([[1, 2, 3, 0]] * 6, np.uint8)
Y, X = ({"name": name, "type": "space", "unit": "micrometer"} for name in "yx")
LABEL = {
    "colors": [{"label-value": 1, "rgba": [0, 0, 255, 255]}],
    "properties": [
        {"label-value": 1, "class": "intergranular"},
        {"label-value": 2, "class": "dimples"},
    ],
}


def scaling(*scale):
    return {"type": "scale", "scale": list(scale)}


def moving(*translation):
    return {"type": "translation", "translation": list(translation)}


def write(path, *, dataset=(), image=(), zarr_format=3, axes=(Y, X), data=PIXELS, **more):
    """Write one level, with the transformations of the dataset and of the multiscale image."""
    group = zarr.create_group(path, zarr_format=zarr_format)
    group.create_array("0", data=data)
    level = {"path": "0", "coordinateTransformations": list(dataset)}
    multiscale = {"axes": list(axes), "datasets": [level]}
    if image:
        multiscale["coordinateTransformations"] = list(image)
    version = "0.5" if zarr_format == 3 else "0.4"
    ome = {"multiscales": [{"version": version, **multiscale}], "image-label": LABEL, **more}
    group.attrs.update({"ome": ome} if zarr_format == 3 else ome)
    return path


def labels_layer_of(make_napari_viewer, path):
    marker = "zarr.json" if (path / "zarr.json").exists() else ".zattrs"
    (layer,) = make_napari_viewer().open(str(path / marker), plugin="napari-fractoseg")
    return layer


def change(path, edit):
    """Change the attributes of a group of version 0.5."""
    node = json.loads((path / "zarr.json").read_text())
    edit(node["attributes"]["ome"])
    (path / "zarr.json").write_text(json.dumps(node))
    return path


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize(
    ("dataset", "image", "size"),
    [
        ([scaling(0.25, 0.25)], [], 0.25),
        ([scaling(1, 1)], [scaling(0.25, 0.25)], 0.25),
        ([scaling(0.5, 0.5)], [scaling(0.25, 0.25)], 0.125),
        ([], [scaling(0.25, 0.25)], 0.25),
        ([{"type": "identity"}], [scaling(2, 2), scaling(0.25, 0.25)], 0.5),
    ],
)
def test_image_and_labels_have_the_same_scale(
    make_napari_viewer, tmp_path, dataset, image, size, zarr_format
):
    path = write(tmp_path / "a.zarr", dataset=dataset, image=image, zarr_format=zarr_format)
    assert read_image(path).pixel_size_um == size
    layer = labels_layer_of(make_napari_viewer, path)
    assert pixel_size_um(layer) == size
    np.testing.assert_array_equal(layer.scale, [size, size])


@pytest.mark.parametrize(
    "dataset", [[], [scaling(0.5)], [scaling(0, 0)], [scaling("1", 1)], [{"type": "scale"}]]
)
def test_a_unit_without_a_scale_is_no_pixel_size_anywhere(make_napari_viewer, tmp_path, dataset):
    path = write(tmp_path / "a.zarr", dataset=dataset)
    stack = read_image(path)
    assert stack.pixel_size_um is None
    assert stack.axes == (Axis("y", "space"), Axis("x", "space"))
    assert pixel_size_um(labels_layer_of(make_napari_viewer, path)) is None


@pytest.mark.parametrize(
    ("dataset", "image", "corner"),
    [
        ([scaling(0.5, 0.5), moving(10, 20)], [], [10, 20]),
        ([scaling(0.5, 0.5), moving(10, 20)], [scaling(2, 3), moving(1, 0)], [21, 60]),
        ([scaling(0.5, 0.5), moving(10)], [], [0, 0]),
    ],
)
def test_labels_lie_where_the_file_says(make_napari_viewer, tmp_path, dataset, image, corner):
    path = write(tmp_path / "a.zarr", dataset=dataset, image=image)
    np.testing.assert_array_equal(labels_layer_of(make_napari_viewer, path).translate, corner)


@pytest.mark.parametrize("unit", ["arbitrary", "m*", "(", "3 um"])
def test_a_unit_that_napari_does_not_know_is_a_pixel(make_napari_viewer, tmp_path, unit):
    axes = [{**Y, "unit": unit}, X]
    path = write(tmp_path / "a.zarr", dataset=[scaling(0.25, 0.25)], axes=axes)
    layer = labels_layer_of(make_napari_viewer, path)
    assert [str(u) for u in layer.units] == ["pixel", "micrometer"]
    assert pixel_size_um(layer) is None


def test_names_and_colours_of_labels_are_read(tmp_path):
    metadata = read_metadata(write(tmp_path / "a.zarr", dataset=[scaling(1, 1)]))
    assert metadata.labels == LabelNames({1: "intergranular", 2: "dimples"}, {1: (0, 0, 255, 255)})
    assert metadata.shape == (6, 4)


def test_what_is_no_image_is_nothing(tmp_path):
    zarr.create_group(tmp_path / "group.zarr")
    zarr.create_array(tmp_path / "array.zarr", data=PIXELS)
    for name in ("missing", "group", "array"):
        assert read_metadata(tmp_path / f"{name}.zarr") is None


def no_datasets(ome):
    del ome["multiscales"][0]["datasets"]


def number_for_multiscales(ome):
    ome["multiscales"] = 3


def text_for_transformations(ome):
    ome["multiscales"][0]["coordinateTransformations"] = ["scale"]


def array_elsewhere(ome):
    ome["multiscales"][0]["datasets"][0]["path"] = "s0"


def property_without_value(ome):
    del ome["image-label"]["properties"][1]["label-value"]


def colour_of_two_numbers(ome):
    ome["image-label"]["colors"][0]["rgba"] = [1, 2]


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (no_datasets, "'datasets' is missing"),
        (number_for_multiscales, "not built as OME-NGFF says"),
        (text_for_transformations, "not built as OME-NGFF says"),
        (array_elsewhere, "there is no array 's0' in it"),
        (property_without_value, "'label-value' is missing"),
        (colour_of_two_numbers, r"\[1, 2\] is no colour"),
    ],
)
def test_damage_is_said_when_read_and_left_to_others_when_peeked_at(tmp_path, edit, reason):
    path = change(write(tmp_path / "a.zarr", dataset=[scaling(1, 1)]), edit)
    with pytest.raises(ImageError, match=rf"a\.zarr: its OME-Zarr metadata.*{reason}.*again"):
        read_image(path)
    assert get_labels_reader(str(path)) is None


@pytest.mark.parametrize("omero", [[], {"channels": 3}, {"channels": [None, "SE"]}, "SE"])
def test_channels_that_are_not_described_have_no_names(tmp_path, omero):
    axes = [{"name": "c", "type": "channel"}, Y, X]
    data = np.stack([PIXELS, 255 - PIXELS])
    path = write(tmp_path / "a.zarr", dataset=[scaling(1, 1, 1)], axes=axes, data=data, omero=omero)
    with pytest.raises(ImageError, match=r"2 channels .* its shape 2 x 6 x 4\. Choose one"):
        read_image(path)
    np.testing.assert_array_equal(read_image(path, channel=1).plane().data, 255 - PIXELS)


def test_a_level_that_was_not_copied_is_left_out(tmp_path):
    path = write(tmp_path / "a.zarr", dataset=[scaling(1, 1)])

    def more_levels(ome):
        datasets = ome["multiscales"][0]["datasets"]
        datasets.append({**copy.deepcopy(datasets[0]), "path": "1"})

    assert read_metadata(change(path, more_levels)).paths == ("0",)
