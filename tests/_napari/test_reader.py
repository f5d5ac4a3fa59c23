import json

import imageio.v3 as iio
import napari
import numpy as np
import pytest
from napari.layers import Layer

from napari_fractoseg._napari.layers import scheme_of
from napari_fractoseg._napari.reader import get_reader, read_layers
from napari_fractoseg.classes import DEFAULT_SCHEME
from napari_fractoseg.errors import AnnotationError


def rectangle(value, x=2, y=3, width=4, height=5):
    shape = {"name": "rect", "x": x, "y": y, "width": width, "height": height}
    return {"shape_attributes": shape, "region_attributes": {"name": value}}


def triangle(value):
    shape = {"name": "polygon", "all_points_x": [10, 18, 10], "all_points_y": [1, 1, 9]}
    return {"shape_attributes": shape, "region_attributes": {"name": value}}


@pytest.fixture
def write(tmp_path):
    """Write a VIA 2 file of image names and their regions."""

    def make(**images):
        entries = {
            name: {"filename": name, "size": -1, "regions": regions, "file_attributes": {}}
            for name, regions in images.items()
        }
        path = tmp_path / "project" / "via.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(entries))
        return path

    return make


@pytest.fixture
def annotated(write):
    path = write(**{"a.png": [rectangle("i"), triangle("t")]})
    iio.imwrite(path.parent / "a.png", np.full((20, 30), 128, np.uint8))
    return path


def layers(path):
    return [Layer.create(*entry) for entry in get_reader(str(path))(str(path))]


def test_an_annotated_image_becomes_image_labels_and_shapes(annotated):
    image, labels, shapes = layers(annotated)
    assert image.data.shape == (20, 30)
    assert labels.data.dtype == np.uint8
    assert labels.data[4, 3] == 1
    assert labels.data[2, 12] == 2
    assert np.count_nonzero(labels.data == 1) == 4 * 5
    assert scheme_of(labels) == DEFAULT_SCHEME
    assert list(shapes.features["class"]) == ["intergranular", "transgranular"]
    np.testing.assert_allclose(shapes.edge_color, [c.rgba for c in DEFAULT_SCHEME.fracture_modes])


def test_shapes_lie_on_the_pixels_they_label(annotated):
    _, labels, shapes = layers(annotated)
    rows, columns = np.nonzero(labels.data == 1)
    outline = shapes.data[0]
    np.testing.assert_allclose(outline.min(axis=0), (rows.min() - 0.5, columns.min() - 0.5))
    np.testing.assert_allclose(outline.max(axis=0), (rows.max() + 0.5, columns.max() + 0.5))


def test_an_image_that_is_not_there_leaves_its_shapes(write):
    path = write(**{"gone.jpg": [triangle("i")]})
    (shapes,) = layers(path)
    assert shapes.name == "gone · regions"
    assert len(shapes.data) == 1


@pytest.mark.parametrize("style", ["{folder}/secret.png", "../secret.png", "..\\secret.png"])
def test_nothing_outside_the_folder_is_opened(write, tmp_path, style):
    iio.imwrite(tmp_path / "secret.png", np.zeros((20, 30), np.uint8))
    path = write(**{style.format(folder=tmp_path): [triangle("i")]})
    assert [type(layer).__name__ for layer in layers(path)] == ["Shapes"]


@pytest.mark.parametrize("name", ["via.json", "..", ".", "", "https://example.org/"])
def test_names_that_are_no_image_are_not_opened(write, name):
    path = write(**{name: [triangle("i")]})
    assert [type(layer).__name__ for layer in layers(path)] == ["Shapes"]


def test_the_last_part_of_a_path_is_looked_for_beside_the_file(write):
    path = write(**{"C:\\images\\a.png": [triangle("i")]})
    iio.imwrite(path.parent / "a.png", np.zeros((20, 30), np.uint8))
    assert [type(layer).__name__ for layer in layers(path)] == ["Image", "Labels", "Shapes"]


def test_only_the_layers_of_the_first_image_are_visible(write):
    path = write(**{"a.png": [triangle("i")], "b.png": [triangle("t")], "c.png": []})
    assert [layer.visible for layer in layers(path)] == [True, False]


@pytest.mark.parametrize("text", ["{}", "[1, 2]", "{'no json", '{"a": {"b": 1}}'])
def test_other_json_is_left_to_other_readers(tmp_path, text):
    path = tmp_path / "other.json"
    path.write_text(text)
    assert get_reader(str(path)) is None
    assert get_reader([str(path)]) is None


def test_unknown_classes_are_named_with_the_file(write):
    path = write(**{"a.png": [triangle("dimple")]})
    with pytest.raises(AnnotationError, match=r"via\.json: .*'dimple'"):
        read_layers(str(path))


def test_a_file_without_regions_says_so(write):
    path = write(**{"a.png": []})
    with pytest.raises(AnnotationError, match="no regions"):
        read_layers([str(path)])


def test_napari_opens_a_via_file(annotated, make_napari_viewer):
    viewer = make_napari_viewer()
    assert isinstance(viewer, napari.Viewer)
    viewer.open(str(annotated), plugin="napari-fractoseg")
    assert [layer.name for layer in viewer.layers] == ["a", "a · annotation", "a · regions"]


def test_the_published_annotations_open(shared_data):
    path = shared_data / "fracture" / "via_region_data.json"
    assert all(kind == "shapes" for *_, kind in read_layers(str(path)))
