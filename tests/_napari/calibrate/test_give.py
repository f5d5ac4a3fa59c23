"""A pixel size is given to an image and all that was made from it, and taken back."""

from __future__ import annotations

import numpy as np
import pytest
from napari.layers import Image, Labels

from napari_fractoseg._napari.calibrate.family import family_of
from napari_fractoseg._napari.calibrate.give import can_take_back, give_size, take_back
from napari_fractoseg._napari.calibrate.sizes import size_of
from napari_fractoseg._napari.camera import camera_of, scale_bar_of, screen_px
from napari_fractoseg._napari.layer_metadata import metadata_with
from napari_fractoseg._napari.layers import labels_layer, placement, stack_of
from napari_fractoseg.classes import DEFAULT_SCHEME
from napari_fractoseg.images.calibration import PixelSize

ZEISS = PixelSize(0.05, 0.05, "Zeiss ap_image_pixel_size")
OBLONG = PixelSize(0.05, 0.06, "Thermo Fisher PixelSize/X")


def add_image(viewer, name="s17", shape=(40, 60), **place):
    return viewer.add_image(np.zeros(shape, np.uint8), name=name, **place)


def units(layer):
    return [str(unit) for unit in layer.units]


def labels_of(viewer, image, name=None):
    labels = labels_layer(
        np.zeros(image.data.shape, np.uint8),
        DEFAULT_SCHEME,
        name=name or f"{image.name} · fracture modes",
        place=placement(image),
        metadata={"image": str(image.name)},
    )
    return viewer.add_layer(labels)


def test_the_image_gets_scale_and_units_and_says_where_they_are_from(viewer):
    image = add_image(viewer)
    give_size(viewer, image, ZEISS)
    assert image.scale == pytest.approx([0.05, 0.05])
    assert units(image) == ["micrometer"] * 2
    assert size_of(image) == ZEISS
    stack = stack_of(image)
    assert (stack.pixel_size_um, stack.pixel_size_from) == (0.05, ZEISS.source)
    assert scale_bar_of(viewer).visible


def test_pixels_that_are_not_square_keep_both_edges_in_the_stack(viewer):
    image = add_image(viewer)
    give_size(viewer, image, OBLONG)
    assert image.scale == pytest.approx([0.06, 0.05])
    stack = stack_of(image)
    assert stack.pixel_size_um is None
    assert (stack.pixel_size.x_um, stack.pixel_size.y_um) == (0.05, 0.06)
    assert stack.pixel_size.source == OBLONG.source


def test_planes_of_a_stack_keep_their_distance_and_unit(viewer):
    image = add_image(viewer, shape=(3, 40, 60))
    give_size(viewer, image, ZEISS)
    assert image.scale == pytest.approx([1, 0.05, 0.05])
    assert units(image) == ["pixel", "micrometer", "micrometer"]


@pytest.mark.parametrize("size", [ZEISS, OBLONG])
@pytest.mark.parametrize("rotate", [0, 30])
def test_all_that_lies_on_the_image_goes_along_and_stays_where_it_was(viewer, size, rotate):
    image = add_image(viewer, translate=(100, 20), rotate=rotate)
    labels = labels_of(viewer, image)
    coarse = viewer.add_image(
        np.zeros((10, 15), np.float32),
        name="map",
        metadata=metadata_with({"helper": "local fraction", "image": "s17"}),
        **placement(image) | {"scale": (4, 4)},
    )
    coarse.translate = image.data_to_world((1.5, 1.5))
    shapes = viewer.add_shapes(
        [np.array([[5, 5], [20, 30]])], shape_type="line", **placement(image)
    )
    on_image = {
        layer: image.world_to_data(layer.data_to_world(place))
        for layer, place in ((labels, (7, 9)), (coarse, (2, 3)), (shapes, (20, 30)))
    }
    changed = give_size(viewer, image, size)
    assert set(changed) == {labels, coarse, shapes}
    for layer, place in ((labels, (7, 9)), (coarse, (2, 3)), (shapes, (20, 30))):
        again = image.world_to_data(layer.data_to_world(place))
        assert again == pytest.approx(on_image[layer])
        assert units(layer) == ["micrometer"] * 2
        assert size_of(layer).source == size.source or layer is coarse
    assert coarse.scale == pytest.approx([4 * size.y_um, 4 * size.x_um])


def test_back_restores_all_layers_also_those_made_since(viewer):
    image = add_image(viewer, translate=(100, 20))
    labels = labels_of(viewer, image)
    assert not can_take_back(image)
    give_size(viewer, image, ZEISS)
    later = labels_of(viewer, image, "s17 again")
    assert can_take_back(image)
    take_back(viewer, image)
    for layer in (image, labels, later):
        assert layer.scale == pytest.approx([1, 1])
        assert layer.translate == pytest.approx([100, 20])
        assert units(layer) == ["pixel"] * 2
        assert size_of(layer) == PixelSize()
    assert not can_take_back(image)
    assert not scale_bar_of(viewer).visible


def test_back_is_not_offered_once_somebody_changed_the_scale(viewer):
    image = add_image(viewer)
    give_size(viewer, image, ZEISS)
    image.scale = (0.2, 0.2)
    assert not can_take_back(image)
    assert size_of(image).source == "the layer's scale"


def test_an_unknown_size_makes_pixels_of_micrometres(viewer):
    image = add_image(viewer, scale=(264.583, 264.583), units=("um", "um"))
    labels = labels_of(viewer, image)
    give_size(viewer, image, PixelSize())
    for layer in (image, labels):
        assert layer.scale == pytest.approx([1, 1])
        assert units(layer) == ["pixel"] * 2


def test_what_is_seen_stays_the_same(viewer):
    image = add_image(viewer)
    camera = camera_of(viewer)
    camera.center, camera.zoom = (0, 10, 25), 8.0
    give_size(viewer, image, ZEISS)
    assert image.world_to_data(camera.center[-2:]) == pytest.approx((10, 25))
    assert screen_px(viewer, image) == pytest.approx(8)
    take_back(viewer, image)
    assert camera.center[-2:] == pytest.approx((10, 25))
    assert camera.zoom == pytest.approx(8)


def test_another_image_and_its_layers_stay_as_they_are(viewer):
    image, other = add_image(viewer), add_image(viewer, "t13")
    ours, theirs = labels_of(viewer, image), labels_of(viewer, other)
    named = viewer.add_labels(np.zeros((40, 60), np.uint8), name="s17 painted")
    unnamed = viewer.add_labels(np.zeros((40, 60), np.uint8), name="Labels")
    family = family_of(viewer, image)
    assert set(family.sure) == {ours, named}
    assert family.perhaps == (unnamed,)
    give_size(viewer, image, ZEISS)
    assert units(other) == units(theirs) == units(unnamed) == ["pixel"] * 2


def test_a_layer_that_may_be_of_another_image_goes_along_if_the_user_says_so(viewer):
    image = add_image(viewer)
    add_image(viewer, "t13")
    unnamed = viewer.add_labels(np.zeros((40, 60), np.uint8), name="Labels")
    assert give_size(viewer, image, ZEISS, [unnamed]) == (unnamed,)
    assert units(unnamed) == ["micrometer"] * 2


def test_unnamed_layers_belong_to_the_only_image(viewer):
    image = add_image(viewer)
    painted = viewer.add_labels(np.zeros((40, 60), np.uint8), name="Labels")
    drawn = viewer.add_shapes(name="Shapes")
    smaller = viewer.add_labels(np.zeros((20, 20), np.uint8), name="crop")
    assert set(family_of(viewer, image).sure) == {painted, drawn}
    assert smaller not in give_size(viewer, image, ZEISS)


def test_layers_about_a_layer_of_the_family_go_along(viewer):
    image = add_image(viewer)
    add_image(viewer, "t13")
    labels = labels_of(viewer, image)
    helpers = [
        viewer.add_layer(
            Labels(
                np.zeros((40, 60), np.uint8),
                name=name,
                metadata=metadata_with({"helper": name, key: str(layer.unique_id)}),
            )
        )
        for name, key, layer in (
            ("checked", "checked_for", labels),
            ("excluded", "excluded_for", image),
        )
    ]
    assert set(family_of(viewer, image).sure) == {labels, *helpers}


def test_images_of_one_file_belong_together(viewer):
    data = np.zeros((40, 60), np.uint8)
    first, second = viewer.add_image(data, name="a"), viewer.add_image(data, name="b")
    assert family_of(viewer, first).sure == (second,)


def test_layers_that_have_their_size_already_are_left_alone(viewer):
    image = add_image(viewer)
    saved = viewer.add_layer(
        Labels(
            np.zeros((40, 60), np.uint8),
            name="s17_labels",
            scale=(0.05, 0.05),
            units=("um", "um"),
            metadata=metadata_with({"image": "s17"}),
        )
    )
    assert give_size(viewer, image, ZEISS) == ()
    assert saved.scale == pytest.approx([0.05, 0.05])
    assert isinstance(image, Image)
