import json

import imageio.v3 as iio
import napari
import numpy as np
import pytest
from napari.layers import Layer
from roifile import ROI_TYPE, ImagejRoi

from napari_fractoseg._napari.layers import scheme_of
from napari_fractoseg._napari.via import layers as via_layers
from napari_fractoseg._napari.via.reader import get_reader, read_layers
from napari_fractoseg._napari.via.shape_data import shape_data
from napari_fractoseg.annotations import Region
from napari_fractoseg.classes import DEFAULT_SCHEME
from napari_fractoseg.errors import AnnotationError

CSV_HEADER = (
    "filename,file_size,file_attributes,region_count,region_id,region_shape_attributes,"
    "region_attributes"
)


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


@pytest.fixture
def warned(monkeypatch):
    """What the reader says to the user."""
    messages = []
    monkeypatch.setattr("napari_fractoseg._napari.via.reader.show_warning", messages.append)
    return messages


def layers(path):
    return [Layer.create(*entry) for entry in get_reader(str(path))(str(path))]


def kinds(path):
    return [type(layer).__name__ for layer in layers(path)]


def test_an_annotated_image_becomes_image_labels_and_shapes(annotated):
    image, labels, shapes = layers(annotated)
    assert image.data.shape == (20, 30)
    assert labels.data.dtype == np.uint8
    assert labels.data[4, 3] == 1
    assert labels.data[2, 12] == 2
    assert np.count_nonzero(labels.data == 1) == 4 * 5
    assert scheme_of(labels) == DEFAULT_SCHEME
    assert list(shapes.features["class"]) == ["intergranular", "transgranular"]
    assert shapes.shape_type == ["rectangle", "polygon"]
    assert list(shapes.text.values) == ["intergranular", "transgranular"]
    np.testing.assert_allclose(shapes.edge_color, [c.rgba for c in DEFAULT_SCHEME.fracture_modes])


def test_shapes_lie_on_the_pixels_they_label(annotated):
    _, labels, shapes = layers(annotated)
    rows, columns = np.nonzero(labels.data == 1)
    outline = shapes.data[0]
    np.testing.assert_allclose(outline.min(axis=0), (rows.min() - 0.5, columns.min() - 0.5))
    np.testing.assert_allclose(outline.max(axis=0), (rows.max() + 0.5, columns.max() + 0.5))


@pytest.mark.parametrize(
    ("shape", "corners"),
    [
        (
            {"name": "circle", "cx": 5, "cy": 4, "r": 2},
            [(1.5, 2.5), (1.5, 6.5), (5.5, 6.5), (5.5, 2.5)],
        ),
        (
            {"name": "ellipse", "cx": 5, "cy": 4, "rx": 2, "ry": 1, "theta": np.pi / 2},
            [(1.5, 5.5), (5.5, 5.5), (5.5, 3.5), (1.5, 3.5)],
        ),
        ({"name": "point", "cx": 5, "cy": 4}, [(0.5, 1.5), (0.5, 7.5), (6.5, 7.5), (6.5, 1.5)]),
    ],
)  # fmt: skip
def test_round_shapes_lie_in_their_box(shape, corners):
    np.testing.assert_allclose(shape_data(Region(shape)), corners, atol=1e-12)


def test_every_kind_of_shape_can_be_shown(write):
    shapes = [
        {"name": "circle", "cx": 5, "cy": 4, "r": 2},
        {"name": "ellipse", "cx": 5, "cy": 4, "rx": 2, "ry": 1, "theta": 0.5},
        {"name": "polyline", "all_points_x": [1, 5, 9], "all_points_y": [1, 2, 1]},
        {"name": "point", "cx": 5, "cy": 4},
        {"name": "rect", "x": 3, "y": 3, "width": 0, "height": 0},
        {"name": "polygon", "all_points_x": [1, 4], "all_points_y": [1, 4]},
        {"name": "polygon", "all_points_x": [1], "all_points_y": [1]},
        {"name": "polyline", "all_points_x": [1], "all_points_y": [1]},
        {"name": "circle", "cx": 5, "cy": 4, "r": 0},
    ]
    path = write(
        **{"gone.png": [{"shape_attributes": s, "region_attributes": {"n": "i"}} for s in shapes]}
    )
    (layer,) = layers(path)
    assert len(layer.data) == len(shapes)


def test_an_image_that_is_not_there_leaves_its_shapes_and_is_named(write, warned):
    path = write(**{"gone.jpg": [triangle("i")]})
    (shapes,) = layers(path)
    assert shapes.name == "gone · regions"
    assert len(shapes.data) == 1
    assert "1 of 1 images not found" in warned[0]
    assert "gone.jpg" in warned[0]


@pytest.mark.parametrize("style", ["{folder}/secret.png", "../secret.png", "..\\secret.png"])
def test_nothing_outside_the_folder_is_opened(write, tmp_path, style, warned):
    iio.imwrite(tmp_path / "secret.png", np.zeros((20, 30), np.uint8))
    path = write(**{style.format(folder=tmp_path): [triangle("i")]})
    assert kinds(path) == ["Shapes"]


@pytest.mark.parametrize("name", ["via.json", "..", ".", "", "https://example.org/"])
def test_names_that_are_no_image_are_not_opened(write, name, warned):
    path = write(**{name: [triangle("i")]})
    assert kinds(path) == ["Shapes"]


def test_images_in_subfolders_are_found_by_the_last_part_of_a_path(write):
    path = write(**{"C:\\images\\a.png": [triangle("i")]})
    (path.parent / "sem").mkdir()
    iio.imwrite(path.parent / "sem" / "a.tif", np.zeros((20, 30), np.uint8))
    assert kinds(path) == ["Image", "Labels", "Shapes"]


def test_images_of_the_same_size_are_a_stack(write):
    path = write(**{"a.png": [rectangle("i")], "b.png": [triangle("t")], "empty.png": []})
    for number, name in enumerate(("a.png", "b.png")):
        iio.imwrite(path.parent / name, np.full((20, 30), number, np.uint8))
    image, labels, shapes = layers(path)
    assert image.name == "via (2 images)"
    assert image.data.shape == (2, 20, 30)
    np.testing.assert_array_equal(np.asarray(image.data[:, 0, 0]), [0, 1])
    assert image.axis_labels[0] == "image"
    assert [set(np.unique(plane)) for plane in labels.data] == [{0, 1}, {0, 2}]
    assert [set(vertices[:, 0]) for vertices in shapes.data] == [{0}, {1}]
    assert list(shapes.features["image"]) == ["a.png", "b.png"]


def test_images_of_different_sizes_are_sets_of_which_the_first_is_visible(write):
    path = write(**{"a.png": [triangle("i")], "b.png": [triangle("t")]})
    iio.imwrite(path.parent / "a.png", np.zeros((20, 30), np.uint8))
    iio.imwrite(path.parent / "b.png", np.zeros((20, 31), np.uint8))
    opened = layers(path)
    assert [layer.visible for layer in opened] == [True] * 3 + [False] * 3
    assert [layer.name for layer in opened][::3] == ["a", "b"]


def test_beyond_the_limits_there_is_a_message(write, warned, monkeypatch):
    monkeypatch.setattr(via_layers, "MAX_SETS", 1)
    monkeypatch.setattr(via_layers, "MAX_SHAPES", 1)
    path = write(**{"a.png": [triangle("i")] * 2, "b.png": [triangle("t")]})
    iio.imwrite(path.parent / "a.png", np.zeros((20, 30), np.uint8))
    iio.imwrite(path.parent / "b.png", np.zeros((20, 31), np.uint8))
    assert kinds(path) == ["Image", "Labels"]
    assert "2 regions are not drawn as shapes" in warned[0]
    assert "1 more images in 1 other sizes are not opened" in warned[0]


def test_regions_without_a_class_are_left_out_of_the_labels_and_counted(write, warned):
    path = write(**{"a.png": [rectangle("i"), triangle("")]})
    iio.imwrite(path.parent / "a.png", np.zeros((20, 30), np.uint8))
    _, labels, shapes = layers(path)
    assert set(np.unique(labels.data)) == {0, 1}
    assert len(shapes.data) == 2
    assert "1 region without a class is left out of the labels." in warned[0]


def test_unknown_values_become_classes(write, warned):
    path = write(**{"a.png": [triangle("dimple"), rectangle("i")]})
    iio.imwrite(path.parent / "a.png", np.zeros((20, 30), np.uint8))
    _, labels, shapes = layers(path)
    assert scheme_of(labels).names[-1] == "dimple"
    assert set(np.unique(labels.data)) == {0, 1, 4}
    assert list(shapes.features["class"]) == ["dimple", "intergranular"]
    assert "New classes: dimple" in warned[0]


def test_without_a_class_attribute_there_are_grey_shapes_and_a_reason(write, warned):
    region = triangle("i")
    path = write(**{"a.png": [region, {**region, "region_attributes": {}}]})
    data = json.loads(path.read_text())
    for entry in data["a.png"]["regions"]:
        entry["region_attributes"] = {"one": "i", "two": "t"}
    path.write_text(json.dumps(data))
    iio.imwrite(path.parent / "a.png", np.zeros((20, 30), np.uint8))
    assert kinds(path) == ["Image", "Shapes"]
    assert "No labels were made" in warned[0]
    assert "Open annotations" in warned[0]


def test_damaged_regions_are_counted(write, warned):
    path = write(**{"a.png": [triangle("i"), {"shape_attributes": {"name": "blob"}}]})
    (shapes,) = layers(path)
    assert len(shapes.data) == 1
    assert "1 damaged regions are left out" in warned[0]


def test_overlapping_regions_are_said(annotated, write, warned):
    path = write(**{"a.png": [rectangle("i"), rectangle("t", x=3)]})
    layers(path)
    assert "intergranular / transgranular 15 px" in warned[0]


def test_an_image_with_damaged_pixels_leaves_the_shapes(annotated, warned):
    path = annotated.parent / "a.png"
    noise = np.random.default_rng(0).integers(0, 255, (200, 300), dtype=np.uint8)
    iio.imwrite(path, noise)
    path.write_bytes(path.read_bytes()[:-20_000])
    (shapes,) = layers(annotated)
    assert len(shapes.data) == 2
    assert "a.png cannot be read" in warned[0]


def test_an_image_with_nothing_but_damaged_regions_opens(write, warned):
    path = write(**{"a.png": [{"shape_attributes": {"name": "blob"}}], "b.png": [triangle("i")]})
    iio.imwrite(path.parent / "a.png", np.zeros((20, 30), np.uint8))
    assert kinds(path) == ["Image", "Labels", "Shapes"]


def test_a_csv_file_opens_too(tmp_path, warned):
    path = tmp_path / "via.csv"
    row = 'a.png,12,"{}",1,0,"{""name"":""circle"",""cx"":5,""cy"":5,""r"":3}","{""name"":""i""}"'
    path.write_text(f"{CSV_HEADER}\n{row}")
    (shapes,) = layers(path)
    assert list(shapes.features["class"]) == ["intergranular"]


@pytest.mark.parametrize("text", ["{}", "[1, 2]", "{'no json", '{"a": {"b": 1}}', "index,x\n0,1\n"])
def test_other_files_are_left_to_other_readers(tmp_path, text):
    path = tmp_path / "other.json"
    path.write_text(text)
    assert get_reader(str(path)) is None
    assert get_reader([str(path)]) is None


def test_a_via_file_that_was_cut_off_says_so(annotated):
    annotated.write_text(annotated.read_text()[:-3])
    with pytest.raises(AnnotationError, match=r"via\.json is not valid JSON.*cut off"):
        layers(annotated)


def test_a_file_without_regions_says_so(write):
    path = write(**{"a.png": []})
    with pytest.raises(AnnotationError, match=r"via\.json: there are no regions"):
        read_layers([str(path)])


def test_napari_opens_a_via_file(annotated, make_napari_viewer):
    viewer = make_napari_viewer()
    assert isinstance(viewer, napari.Viewer)
    viewer.open(str(annotated), plugin="napari-fractoseg")
    assert [layer.name for layer in viewer.layers] == ["a", "a · annotation", "a · regions"]


@pytest.mark.shared_data
def test_the_fracture_annotations_open_by_drag_and_drop(
    shared_data, make_napari_viewer, tmp_path, warned
):
    source = shared_data / "fracture"
    data = json.loads((source / "via_region_data.json").read_text())
    kept = {k: e for k, e in data.items() if e["filename"] in ("s4_1.jpg", "s4_2.jpg")}
    (tmp_path / "via.json").write_text(json.dumps(kept))
    (tmp_path / "images").symlink_to(source / "images", target_is_directory=True)
    viewer = make_napari_viewer()
    viewer.open(str(tmp_path / "via.json"), plugin="napari-fractoseg")
    (shapes,) = viewer.layers  # a link out of the folder is not followed
    viewer.layers.clear()
    (tmp_path / "images").unlink()
    for entry in kept.values():
        (tmp_path / entry["filename"]).write_bytes(
            (source / "images" / entry["filename"]).read_bytes()
        )
    viewer.open(str(tmp_path / "via.json"), plugin="napari-fractoseg")
    image, labels, shapes = viewer.layers
    assert image.data.shape == labels.data.shape == (2, 640, 640)
    assert len(shapes.data) == sum(len(entry["regions"]) for entry in kept.values())
    assert set(np.unique(labels.data)) == {0, 1, 2}


def test_files_of_other_programs_open_too(tmp_path, warned):
    iio.imwrite(tmp_path / "a.png", np.full((20, 30), 128, np.uint8))
    box = "<xmin>2</xmin><ymin>3</ymin><xmax>6</xmax><ymax>8</ymax>"
    entry = f"<object><name>i</name><bndbox>{box}</bndbox></object>"
    (tmp_path / "voc.xml").write_text(f"<annotation><filename>a.png</filename>{entry}</annotation>")
    coco = {
        "images": [{"id": 5, "file_name": "images/a.png", "width": 60, "height": 40}],
        "annotations": [{"id": 1, "image_id": 5, "category_id": 9, "bbox": [2, 3, 4, 5]}],
        "categories": [{"id": 9, "name": "intergranular", "supercategory": "none"}],
    }
    (tmp_path / "coco.json").write_text(json.dumps(coco))
    roi = ImagejRoi(roitype=ROI_TYPE.RECT, left=2, top=3, right=6, bottom=8, name="i-1")
    (tmp_path / "a.roi").write_bytes(roi.tobytes())
    for name in ("voc.xml", "coco.json", "a.roi"):
        image, labels, shapes = layers(tmp_path / name)
        assert image.data.shape == (20, 30)
        expected = np.zeros((20, 30), np.uint8)
        expected[3:8, 2:6] = 1
        np.testing.assert_array_equal(labels.data, expected)
        assert shapes.features["class"].tolist() == ["intergranular"]
    (message,) = warned
    assert "of which the box is taken: 1" in message
    assert "a.png (30 x 20 px, annotated 60 x 40)" in message
