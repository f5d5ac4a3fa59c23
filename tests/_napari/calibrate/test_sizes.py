"""Pixel size of a layer: which number is believed, and where it is from."""

from __future__ import annotations

import numpy as np
import pytest
from napari.layers import Image, Labels

import sem_files as made
from napari_fractoseg._napari.calibrate.sizes import size_entry, size_of
from napari_fractoseg._napari.layer_metadata import metadata_with
from napari_fractoseg._napari.layers import pixel_size_um, planes_first, stack_of

DPI_96 = 25400 / 96


def test_a_layer_without_units_of_length_has_none_though_its_file_says_one(zeiss, opened):
    layer = opened(zeiss)
    assert size_of(layer).x_um is None
    assert stack_of(layer).pixel_size_um is None


def test_a_layer_with_the_size_of_its_file_says_where_it_is_from(zeiss, opened):
    layer = opened(zeiss, 0.2)
    assert size_of(layer).source == "Zeiss ap_image_pixel_size"
    assert stack_of(layer).pixel_size_from == "Zeiss ap_image_pixel_size"


@pytest.mark.parametrize("name", ["zeiss", "plain"])
def test_print_resolution_as_napari_tiff_sets_it_is_not_believed(name, request, opened):
    layer = opened(request.getfixturevalue(name), DPI_96)
    assert pixel_size_um(layer) is None
    assert stack_of(layer).pixel_size_um is None
    assert "96 dots per inch" in size_of(layer).notes[0]


def test_odd_print_resolution_of_the_file_is_not_believed_either(tmp_path, opened):
    path = made.write_tiff(tmp_path / "a.tif", resolution=(146.12, 146.12))
    assert pixel_size_um(opened(path, 25400 / 146.12)) is None
    assert pixel_size_um(opened(path, 0.1)) == pytest.approx(0.1)


def test_a_scale_of_somebody_else_is_the_layers_scale(zeiss, opened):
    layer = opened(zeiss, 0.3)
    assert size_of(layer).square_um == pytest.approx(0.3)
    assert size_of(layer).source == "the layer's scale"
    without_file = Image(np.zeros((4, 5)), scale=(DPI_96,) * 2, units=("um", "um"))
    assert size_of(without_file).square_um == pytest.approx(DPI_96)


def test_labels_take_the_origin_and_the_doubt_of_the_image_they_lie_on(zeiss, opened):
    image = opened(zeiss, 0.2)
    labels = Labels(np.zeros((30, 40), np.uint8), scale=image.scale, units=image.units)
    assert size_of(labels).source == "the layer's scale"
    assert size_of(labels, [image]).source == "Zeiss ap_image_pixel_size"
    image.scale = labels.scale = (DPI_96, DPI_96)
    assert size_of(labels, [image]).x_um is None


def test_labels_made_from_a_doubted_image_stay_doubted_without_it(plain, opened):
    image = opened(plain, DPI_96)
    labels = Labels(
        np.zeros((30, 40), np.uint8),
        scale=image.scale,
        units=image.units,
        metadata=metadata_with({"pixel_size": size_entry(image)}),
    )
    assert size_of(labels).x_um is None
    labels.scale = (0.2, 0.2)
    assert size_of(labels).square_um == pytest.approx(0.2)


def test_the_planes_of_an_image_are_of_the_same_file(viewer, tmp_path, opened):
    path = made.write_tiff(tmp_path / "a.tif", shape=(30, 40, 5))
    image = opened(path)
    assert planes_first(image, []).source.path == str(path)
