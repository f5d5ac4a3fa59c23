import numpy as np
import pytest
from napari.layers import Image, Labels, Shapes

from napari_fractoseg._napari.layers import (
    PAINTED_COLOR,
    apply_scheme,
    current_plane,
    image_text,
    is_segmentable,
    labels_layer,
    pixel_size_um,
    placement,
    scheme_of,
    stack_of,
    uncertainty_layer,
    unique_name,
)
from napari_fractoseg.classes import DEFAULT_SCHEME


def test_a_grey_stack_is_taken_without_a_copy():
    data = np.zeros((3, 20, 30), np.uint16)
    stack = stack_of(Image(data, name="s17"))
    assert stack.data is data
    assert (stack.shape, stack.n_planes, stack.name) == ((3, 20, 30), 3, "s17")


def test_rgb_and_multiscale_layers():
    rgb = stack_of(Image(np.zeros((20, 30, 3), np.uint8), rgb=True))
    assert rgb.rgb
    assert rgb.shape == (20, 30)
    levels = [np.zeros((40, 60), np.uint8), np.zeros((20, 30), np.uint8)]
    assert stack_of(Image(levels, multiscale=True)).shape == (40, 60)


@pytest.mark.parametrize(
    ("scale", "units", "expected"),
    [
        ((1, 1), None, None),
        ((0.088, 0.088), ("um", "um"), 0.088),
        ((88, 88), ("nm", "nm"), 0.088),
        ((2e-5, 2e-5), ("mm", "mm"), 0.02),
        ((0.1, 0.2), ("um", "um"), None),
        ((0.1, 0.1), ("pixel", "um"), None),
    ],
)
def test_the_pixel_size_is_known_only_from_units_of_length(scale, units, expected):
    layer = Image(np.zeros((4, 5)), scale=scale, units=units)
    assert pixel_size_um(layer) == (None if expected is None else pytest.approx(expected))


def test_the_image_lines_say_size_planes_and_pixel_size():
    known = Image(np.zeros((34, 12, 20)), scale=(1, 0.088, 0.088), units=("um", "um", "um"))
    assert image_text(stack_of(known)) == "20 × 12 px, 34 planes\n0.088 µm/px"  # noqa: RUF001
    assert image_text(stack_of(Image(np.zeros((12, 20))))).endswith("1 plane\npixel size unknown")


def test_a_result_lies_exactly_on_its_image():
    image = Image(
        np.zeros((2, 8, 9)),
        scale=(3, 0.5, 0.5),
        translate=(1, 2, 3),
        rotate=30,
        shear=(0.1, 0.2, 0.3),
        affine=np.diag([1, 2, 2, 1]),
        units=("s", "um", "um"),
        axis_labels=("t", "y", "x"),
    )
    labels = labels_layer(
        np.zeros((2, 8, 9), np.uint8), DEFAULT_SCHEME, name="r", place=placement(image)
    )
    assert labels.units == image.units
    assert labels.axis_labels == ("t", "y", "x")
    for corner in np.ndindex(2, 2, 2):
        position = np.array(corner) * (1, 7, 8)
        np.testing.assert_allclose(labels.data_to_world(position), image.data_to_world(position))


def test_a_labels_layer_is_ready_to_paint_on():
    data = np.zeros((8, 9), np.uint8)
    data[2, 3] = 2
    layer = labels_layer(data, DEFAULT_SCHEME, name="r", metadata={"model": "m"})
    assert layer.data is data
    assert layer.editable
    assert layer.selected_label == 1
    layer.paint((5, 5), 3)
    assert data[5, 5] == 3
    assert layer.metadata["fractoseg"]["model"] == "m"
    assert scheme_of(layer) == DEFAULT_SCHEME


def test_colours_and_names_come_from_the_scheme():
    layer = labels_layer(np.array([[0, 1], [2, 3]], np.uint8), DEFAULT_SCHEME, name="r")
    for fracture_class in DEFAULT_SCHEME:
        np.testing.assert_allclose(
            layer.get_color(fracture_class.value), fracture_class.rgba, atol=1e-6
        )
    np.testing.assert_allclose(layer.colormap.map(0)[-1], 0)
    np.testing.assert_allclose(layer.colormap.map(77)[-1], 0)
    status = layer.get_status((1, 0), world=True)
    assert "class: transgranular" in status["value"]


def test_keys_select_classes_on_our_layers_only():
    layer = labels_layer(np.zeros((4, 4), np.uint8), DEFAULT_SCHEME, name="r")
    bound = {str(key): action for key, action in layer.keymap.items()}
    bound["2"](layer)
    assert (layer.selected_label, layer.mode) == (2, "paint")
    bound["9"](layer)  # no class, and none of napari's tools
    assert (layer.selected_label, layer.mode) == (2, "paint")
    assert not Labels(np.zeros((4, 4), np.uint8)).keymap


def test_background_is_seen_while_its_layer_is_painted_on():
    layer = labels_layer(np.full((4, 4), 3, np.uint8), DEFAULT_SCHEME, name="r")
    assert layer.get_color(3)[-1] == 0
    for tool in ("paint", "fill", "erase", "polygon", "pick"):
        layer.mode = tool
        np.testing.assert_allclose(layer.get_color(3), PAINTED_COLOR, atol=1e-6)
        layer.mode = "pan_zoom"
        assert layer.get_color(3)[-1] == 0
    layer.mode = "paint"
    apply_scheme(layer, DEFAULT_SCHEME.with_names(["dimples"]))
    np.testing.assert_allclose(layer.get_color(3), PAINTED_COLOR, atol=1e-6)
    np.testing.assert_allclose(layer.get_color(1), DEFAULT_SCHEME.classes[0].rgba, atol=1e-6)
    assert scheme_of(layer).by_value(3).is_transparent


def test_a_larger_scheme_replaces_the_smaller_one_and_keeps_the_rest_of_the_metadata():
    layer = labels_layer(np.zeros((4, 4), np.uint8), DEFAULT_SCHEME, name="r", metadata={"a": 1})
    larger = DEFAULT_SCHEME.with_names(["dimples"])
    apply_scheme(layer, larger)
    assert scheme_of(layer) == larger
    assert layer.metadata["fractoseg"]["a"] == 1
    assert list(layer.features["class"])[-1] == "dimples"


def test_only_labels_with_a_scheme_have_one():
    assert scheme_of(None) is None
    assert scheme_of(Shapes()) is None
    assert scheme_of(Labels(np.zeros((2, 2), np.uint8))) is None
    odd = Labels(np.zeros((2, 2), np.uint8), metadata={"fractoseg": {"scheme": "?"}})
    assert scheme_of(odd) is None


def test_confidence_maps_are_not_offered_as_images():
    confidence = uncertainty_layer(np.zeros((4, 4), np.float32), name="c")
    assert not is_segmentable(confidence)
    assert confidence.contrast_limits == [0, 1]
    assert is_segmentable(Image(np.zeros((4, 4))))
    assert not is_segmentable(Labels(np.zeros((4, 4), np.uint8)))


def test_names_are_counted_from_two():
    assert unique_name("a", []) == "a"
    assert unique_name("a", ["a", "b"]) == "a [2]"
    assert unique_name("a", ["a", "a [2]"]) == "a [3]"


@pytest.mark.parametrize(
    ("point", "expected"),
    [((5.0, 6.0, 0, 0), (0, 1)), ((7.2, 12.0, 0, 0), (1, 2)), ((99, -99, 0, 0), (1, 0))],
)
def test_the_current_plane_follows_scale_and_translate(point, expected):
    image = Image(np.zeros((2, 3, 8, 9)), scale=(2, 6, 1, 1), translate=(5, 0, 0, 0))
    assert current_plane(image, point) == expected


def test_the_current_plane_in_a_viewer_of_more_axes():
    assert current_plane(Image(np.zeros((3, 8, 9))), (4, 2, 0, 0)) == (2,)
    assert current_plane(Image(np.zeros((8, 9))), (4, 2, 0, 0)) == ()
    rgb = Image(np.zeros((3, 8, 9, 3)), rgb=True)
    assert current_plane(rgb, (1, 0, 0)) == (1,)
