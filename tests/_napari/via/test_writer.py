import json

import imageio.v3 as iio
import napari
import numpy as np
import pytest
from napari.layers import Image, Labels, Layer, Shapes

from napari_fractoseg._napari.layers import labels_layer
from napari_fractoseg._napari.via.documents import document_of_layers
from napari_fractoseg._napari.via.reader import read_layers
from napari_fractoseg._napari.via.writer import (
    write_via2,
    write_via2_csv,
    write_via2_project,
)
from napari_fractoseg.annotations import Flavour, read_via
from napari_fractoseg.classes import DEFAULT_SCHEME
from napari_fractoseg.errors import AnnotationError

SHAPES = [
    {"name": "rect", "x": 2, "y": 3, "width": 4, "height": 5},
    {"name": "circle", "cx": 15, "cy": 10, "r": 3},
    {"name": "ellipse", "cx": 22, "cy": 10, "rx": 4, "ry": 2, "theta": 0.5},
    {"name": "polygon", "all_points_x": [10, 18, 10], "all_points_y": [1, 1, 9]},
    {"name": "polyline", "all_points_x": [1, 5, 9], "all_points_y": [15, 16, 15]},
    {"name": "point", "cx": 25, "cy": 4},
]


def region(shape, value="i", **attributes):
    return {"shape_attributes": shape, "region_attributes": {"mode": value, **attributes}}


PROJECT = {
    "_via_settings": {"project": {"name": "mine"}, "ui": {}, "core": {}},
    "_via_img_metadata": {
        "a.png7": {
            "filename": "a.png",
            "size": 7,
            "regions": [region(s, "it"[n % 2], note=str(n)) for n, s in enumerate(SHAPES)],
            "file_attributes": {"quality": "good"},
            "reviewed": True,
        },
        "b.png-1": {
            "filename": "b.png", "size": -1, "regions": [region(SHAPES[0])], "file_attributes": {},
        },
        "empty.png9": {
            "filename": "empty.png", "size": 9, "regions": [], "file_attributes": {},
        },
    },
    "_via_attributes": {
        "region": {
            "mode": {
                "type": "radio",
                "description": "",
                "options": {"i": "inter", "t": "trans"},
                "default_options": {},
            }
        },
        "file": {},
    },
    "_via_data_format_version": "2.0.10",
    "_via_image_id_list": ["a.png7", "b.png-1", "empty.png9"],
}  # fmt: skip


@pytest.fixture(autouse=True)
def said(monkeypatch):
    """What reader and writer say to the user."""
    messages = []
    monkeypatch.setattr("napari_fractoseg._napari.via.reader.show_warning", messages.append)
    monkeypatch.setattr("napari_fractoseg._napari.via.writer.show_info", messages.append)
    return messages


@pytest.fixture
def project(tmp_path):
    """A VIA project with two images of the same size beside it."""
    path = tmp_path / "in" / "project.json"
    path.parent.mkdir()
    path.write_text(json.dumps(PROJECT))
    for name in ("a.png", "b.png"):
        iio.imwrite(path.parent / name, np.full((20, 30), 128, np.uint8))
    return path


def opened(path):
    return {type(x).__name__: x for x in (Layer.create(*e) for e in read_layers(str(path)))}


def saved(tmp_path, write, *layers, suffix=".json"):
    path = tmp_path / f"out{suffix}"
    assert write(str(path), [layer.as_layer_data_tuple() for layer in layers]) == [str(path)]
    return path


@pytest.mark.parametrize("kind", ["Shapes", "Labels"])
def test_layers_that_were_not_changed_are_written_as_they_were_read(project, tmp_path, kind):
    path = saved(tmp_path, write_via2_project, opened(project)[kind])
    assert json.loads(path.read_text()) == PROJECT


def test_annotations_and_csv_hold_the_same_regions(project, tmp_path):
    shapes = opened(project)["Shapes"]
    original = read_via(project)
    json_file = read_via(saved(tmp_path, write_via2, shapes))
    csv_file = read_via(saved(tmp_path, write_via2_csv, shapes, suffix=".csv"))
    for document, flavour in ((json_file, Flavour.VIA2), (csv_file, Flavour.VIA2_CSV)):
        assert document.flavour is flavour
        assert [[(r.shape, r.attributes) for r in i.regions] for i in document] == [
            [(r.shape, r.attributes) for r in i.regions] for i in original
        ]


def test_a_moved_shape_keeps_its_attributes(project, tmp_path):
    shapes = opened(project)["Shapes"]
    data = [vertices.copy() for vertices in shapes.data]
    for vertices in data:
        vertices[:, 1:] += (1, 2)
    shapes.data = data
    document = read_via(saved(tmp_path, write_via2_project, shapes))
    moved = [dict(r.shape) for r in document[0].regions]
    assert moved[0] == {"name": "rect", "x": 4, "y": 4, "width": 4, "height": 5}
    assert moved[1] == {"name": "circle", "cx": 17, "cy": 11, "r": 3}
    assert moved[2]["name"] == "ellipse"
    assert [moved[2][k] for k in ("cx", "cy", "rx", "ry", "theta")] == [24, 11, 4, 2, 0.5]
    assert moved[3]["all_points_x"] == [12, 20, 12]
    assert moved[4]["all_points_y"] == [16, 17, 16]
    assert moved[5] == {"name": "point", "cx": 27, "cy": 5}
    assert [r.attributes["note"] for r in document[0].regions] == list("012345")
    assert document[0].attributes == {"quality": "good"}


def test_a_changed_class_is_written_in_the_words_of_the_file(project, tmp_path):
    shapes = opened(project)["Shapes"]
    shapes.features.loc[0, "class"] = "transgranular"
    shapes.features.loc[1, "class"] = "background"
    regions = read_via(saved(tmp_path, write_via2_project, shapes))[0].regions
    assert regions[0].attributes == {"mode": "t", "note": "0"}
    assert regions[1].attributes["mode"] == "background"
    assert regions[2].attributes["mode"] == "i"


def test_new_and_copied_shapes_become_new_regions(project, tmp_path):
    shapes = opened(project)["Shapes"]
    shapes.add(np.array([[1, 2.5, 3.5], [1, 2.5, 9.5], [1, 8.5, 9.5]]), shape_type="polygon")
    shapes.features.loc[7, "class"] = "transgranular"
    document = read_via(saved(tmp_path, write_via2_project, shapes))
    assert [len(image.regions) for image in document] == [6, 2, 0]
    new = document[1].regions[1]
    assert new.shape == {
        "name": "polygon", "all_points_x": [4, 10, 10], "all_points_y": [3, 3, 9],
    }  # fmt: skip
    assert new.attributes == {"mode": "t"}


def test_a_removed_shape_is_removed(project, tmp_path):
    shapes = opened(project)["Shapes"]
    shapes.selected_data = {0, 6}
    shapes.remove_selected()
    document = read_via(saved(tmp_path, write_via2_project, shapes))
    assert [r.attributes["note"] for r in document[0].regions] == list("12345")
    assert document[1].regions == ()


def test_regions_without_a_class_are_written_as_they_were_read(project, tmp_path):
    data = json.loads(project.read_text())
    data["_via_attributes"] = {"region": {}, "file": {}}
    for number, entry in enumerate(data["_via_img_metadata"]["a.png7"]["regions"]):
        entry["region_attributes"] = {"name": f"free {number}", "other": str(number)}
    project.write_text(json.dumps(data))
    layers = opened(project)
    path = saved(tmp_path, write_via2_project, layers["Shapes"])
    assert json.loads(path.read_text())["_via_img_metadata"] == data["_via_img_metadata"]


def test_painting_changes_only_the_plane_that_was_painted(project, tmp_path):
    labels = opened(project)["Labels"]
    labels.data[1, 10:12, 20:25] = 2
    document = read_via(saved(tmp_path, write_via2_project, labels))
    original = read_via(project)
    assert document[0] == original[0]
    assert [r.kind for r in document[1].regions] == ["polygon", "polygon"]
    assert document[1].regions[1].attributes == {"mode": "t"}
    (project.parent / "project.json").write_bytes((tmp_path / "out.json").read_bytes())
    np.testing.assert_array_equal(opened(project)["Labels"].data, labels.data)


def test_damaged_regions_are_carried_through(project, tmp_path):
    data = json.loads(project.read_text())
    broken = {"shape_attributes": {"name": "blob"}, "region_attributes": {"mode": "i"}}
    data["_via_img_metadata"]["a.png7"]["regions"].append(broken)
    project.write_text(json.dumps(data))
    path = saved(tmp_path, write_via2_project, opened(project)["Shapes"])
    assert json.loads(path.read_text()) == data


def test_a_prediction_becomes_a_project_with_radio_buttons(tmp_path):
    data = np.zeros((20, 30), np.uint8)
    data[2:10, 3:9], data[12:15, 20:25] = 1, 2
    labels = labels_layer(
        data, DEFAULT_SCHEME, name="s17 · fracture modes [2]", metadata={"image": "s17"}
    )
    path = saved(tmp_path, write_via2_project, labels)
    document = read_via(path)
    assert [image.filename for image in document] == ["s17.png"]
    assert [r.attributes for r in document[0].regions] == [
        {"name": "intergranular"}, {"name": "transgranular"},
    ]  # fmt: skip
    assert document.definition("name").kind == "radio"
    iio.imwrite(tmp_path / "s17.png", data)
    np.testing.assert_array_equal(opened(path)["Labels"].data, data)


def test_planes_of_a_stack_become_numbered_images(tmp_path):
    data = np.zeros((11, 5, 6), np.uint8)
    data[10, 1:3] = 1
    path = saved(tmp_path, write_via2, Labels(data, name="stack"))
    assert [image.filename for image in read_via(path)] == ["stack_10.png"]


def test_shapes_over_a_scaled_image_are_written_in_its_pixels(tmp_path):
    image = Image(np.zeros((20, 30), np.uint8), scale=(0.1, 0.1), name="a")
    corners = np.array([[0.15, 0.25], [0.15, 0.65], [0.85, 0.65], [0.85, 0.25]])
    shapes = Shapes([corners], shape_type="rectangle", features={"class": ["i"]}, name="drawn")
    document = read_via(saved(tmp_path, write_via2, image, shapes))
    assert dict(document[0].regions[0].shape) == {
        "name": "rect", "x": 3, "y": 2, "width": 4, "height": 7,
    }  # fmt: skip
    assert document[0].filename == "a.png"
    other = Image(np.zeros((20, 30), np.uint8), name="b")  # which of the two is not known
    document = read_via(saved(tmp_path, write_via2, image, other, shapes))
    assert document[0].filename == "drawn.png"


def test_labels_of_several_resolutions_are_written_at_the_finest(tmp_path):
    levels = [np.ones((8, 10), np.uint8), np.ones((4, 5), np.uint8)]
    (image,) = read_via(saved(tmp_path, write_via2, Labels(levels)))
    assert image.regions[0].shape["all_points_x"] == [0, 10, 10, 0]


def test_what_cannot_be_written_says_why(project, tmp_path):
    layers = opened(project)
    both = [layers[kind].as_layer_data_tuple() for kind in ("Labels", "Shapes")]
    assert document_of_layers(both) == read_via(project)  # none was touched
    layers["Labels"].data[0, 0, 0] = 2
    layers["Shapes"].selected_data = {0}
    layers["Shapes"].remove_selected()
    both = [layers[kind].as_layer_data_tuple() for kind in ("Labels", "Shapes")]
    with pytest.raises(AnnotationError, match="'a.png' were changed in both .*Select the layer"):
        document_of_layers(both)
    with pytest.raises(AnnotationError, match="select a labels or shapes layer"):
        document_of_layers([layers["Image"].as_layer_data_tuple()])
    with pytest.raises(AnnotationError, match="Labels: nothing is labelled.*Paint some"):
        document_of_layers([Labels(np.zeros((4, 4), np.uint8)).as_layer_data_tuple()])
    nameless = Shapes([np.zeros((3, 2))], shape_type="polygon")
    with pytest.raises(AnnotationError, match="Shape 0 on image .* has no class"):
        document_of_layers([nameless.as_layer_data_tuple()])
    shapes = opened(project)["Shapes"]
    shapes.data = [v + np.array([5, 0, 0]) for v in shapes.data]
    with pytest.raises(AnnotationError, match="Shape 0 lies on plane 5, but there are 2 images"):
        document_of_layers([shapes.as_layer_data_tuple()])


def test_napari_saves_selected_layers(project, tmp_path, make_napari_viewer):
    viewer = make_napari_viewer()
    assert isinstance(viewer, napari.Viewer)
    viewer.open(str(project), plugin="napari-fractoseg")
    viewer.layers.selection = {viewer.layers["project (2 images) · regions"]}
    path = tmp_path / "saved.json"
    written = viewer.layers.save(str(path), selected=True, plugin="napari-fractoseg")
    assert written == [str(path)]
    assert json.loads(path.read_text()) == PROJECT


def test_saving_shapes_as_csv_is_left_to_napari_unless_asked(tmp_path, make_napari_viewer):
    viewer = make_napari_viewer()
    viewer.add_shapes([np.array([[0, 0], [0, 5], [5, 5]])], shape_type="polygon")
    viewer.layers.save(str(tmp_path / "shapes.csv"))
    assert (tmp_path / "shapes.csv").read_text().startswith("index,shape-type")


def change(project, **entries):
    """Change image entries of the project file."""
    data = json.loads(project.read_text())
    for key, changes in entries.items():
        data["_via_img_metadata"][key.replace("_", ".", 1)].update(changes)
    project.write_text(json.dumps(data))
    return data


@pytest.mark.parametrize("kind", ["Shapes", "Labels"])
def test_two_entries_of_the_same_file_name_stay_apart(project, tmp_path, kind):
    data = json.loads(project.read_text())
    twin = {**data["_via_img_metadata"]["b.png-1"], "size": 77, "regions": [region(SHAPES[3], "t")]}
    data["_via_img_metadata"]["b.png77"] = twin
    data["_via_image_id_list"].append("b.png77")
    project.write_text(json.dumps(data))
    path = saved(tmp_path, write_via2_project, opened(project)[kind])
    assert json.loads(path.read_text()) == data


def test_painting_keeps_what_the_labels_never_showed(project, tmp_path, said):
    hidden = [
        {"shape_attributes": {"name": "blob"}, "region_attributes": {"mode": "i"}},
        {"shape_attributes": SHAPES[0], "region_attributes": {"note": "scratch"}},
    ]
    change(project, a_png7={"regions": [region(SHAPES[0], note="x"), *hidden]})
    labels = opened(project)["Labels"]
    labels.data[0, 0, 0] = 2
    path = saved(tmp_path, write_via2_project, labels)
    regions = json.loads(path.read_text())["_via_img_metadata"]["a.png7"]["regions"]
    assert regions[-2:] == hidden
    assert [r["region_attributes"] for r in regions[:-2]] == [{"mode": "t"}, {"mode": "i"}]
    assert "other attributes ['note'] are not kept" in said[-1]


OUTSIDE = {"name": "rect", "x": 100, "y": 3, "width": 4, "height": 5}
TINY = {"name": "rect", "x": 25, "y": 15, "width": 0.2, "height": 0.2}
COVERED = {"name": "rect", "x": 3, "y": 4, "width": 2, "height": 2}


def test_painting_keeps_regions_that_no_pixel_shows_and_they_stay_hidden(project, tmp_path, said):
    hidden = [region(shape, "t", note=str(n)) for n, shape in enumerate((OUTSIDE, TINY, COVERED))]
    change(project, a_png7={"regions": [*hidden, region(SHAPES[0]), region(SHAPES[3], "t")]})
    labels = opened(project)["Labels"]
    labels.data[0, 10:12, 2:4] = 2
    path = saved(tmp_path, write_via2_project, labels)
    regions = json.loads(path.read_text())["_via_img_metadata"]["a.png7"]["regions"]
    assert regions[:3] == hidden
    assert len(regions) == 6
    assert "left" not in said[-1]
    project.write_bytes(path.read_bytes())
    np.testing.assert_array_equal(opened(project)["Labels"].data, labels.data)


@pytest.mark.parametrize("erased", [0, 2])
def test_a_covered_region_does_not_show_where_labels_were_changed(project, tmp_path, said, erased):
    change(project, a_png7={"regions": [region(COVERED, "i"), region(OUTSIDE), region(SHAPES[0])]})
    labels = opened(project)["Labels"]
    labels.data[0, 4:6, 3:5] = erased
    path = saved(tmp_path, write_via2_project, labels)
    regions = json.loads(path.read_text())["_via_img_metadata"]["a.png7"]["regions"]
    kept = [r["shape_attributes"] for r in regions if r["shape_attributes"]["name"] == "rect"]
    assert kept == ([OUTSIDE] if erased == 0 else [COVERED, OUTSIDE])
    assert ("1 region that others covered is left out" in said[-1]) == (erased == 0)
    project.write_bytes(path.read_bytes())
    np.testing.assert_array_equal(opened(project)["Labels"].data, labels.data)


def test_corrections_in_two_sets_of_one_file_are_both_written(tmp_path):
    """The file says no sizes, so that the project calls its images otherwise."""
    entries = {}
    for name, shape in (("a.png", (20, 30)), ("b.png", (16, 24))):
        iio.imwrite(tmp_path / name, np.full(shape, 128, np.uint8))
        entries[name] = {"filename": name, "regions": [region(SHAPES[0])], "file_attributes": {}}
    (tmp_path / "via.json").write_text(json.dumps(entries))
    layers = [Layer.create(*e) for e in read_layers(str(tmp_path / "via.json")) if e[2] == "labels"]
    for layer in layers:
        layer.data[10:14, 10:20] = 2
    document = read_via(saved(tmp_path, write_via2_project, *layers))
    assert [[r.attributes["mode"] for r in image.regions] for image in document] == [
        ["i", "transgranular"]
    ] * 2


@pytest.mark.parametrize("order", [1, -1])
def test_the_order_of_layers_does_not_matter(project, tmp_path, order):
    fresh = labels_layer(np.eye(5, dtype=np.uint8), DEFAULT_SCHEME, name="new")
    layers = [opened(project)["Shapes"], fresh][::order]
    data = json.loads(saved(tmp_path, write_via2_project, *layers).read_text())
    entries = data["_via_img_metadata"]
    assert list(entries) == ["a.png7", "b.png-1", "empty.png9", "new.png-1"]
    assert entries["a.png7"] == PROJECT["_via_img_metadata"]["a.png7"]
    assert data["_via_settings"] == PROJECT["_via_settings"]


def test_new_regions_use_the_options_of_the_file(project, tmp_path):
    data = json.loads(project.read_text())
    mode = data["_via_attributes"]["region"]["mode"]
    mode.update(type="checkbox", options={"1": "intergranular", "2": "transgranular"})
    for entry in data["_via_img_metadata"].values():
        for r in entry["regions"]:
            r["region_attributes"] = {"mode": {"1": True}}
    project.write_text(json.dumps(data))
    labels = opened(project)["Labels"]
    labels.data[1, 10:12, 20:25] = 2
    labels.data[1, 14:16, 20:25] = 3
    document = read_via(saved(tmp_path, write_via2_project, labels))
    assert [r.attributes["mode"] for r in document[1].regions] == [
        {"1": True}, {"2": True}, {"background": True},
    ]  # fmt: skip
    assert list(document.definition("mode").options) == ["1", "2", "background"]


def test_annotations_without_types_become_radio_buttons_in_the_words_of_the_file(tmp_path):
    path = tmp_path / "plain.json"
    entry = {"filename": "a.png", "size": 1, "regions": [region(SHAPES[0])], "file_attributes": {}}
    path.write_text(json.dumps({"a.png1": entry}))
    document = read_via(saved(tmp_path, write_via2_project, opened(path)["Shapes"]))
    assert document.definition("mode").kind == "radio"
    assert document.definition("mode").options == {
        "i": "intergranular", "transgranular": "transgranular", "background": "background",
    }  # fmt: skip
    assert document[0].regions[0].attributes == {"mode": "i"}


def test_a_stack_that_lost_planes_is_refused(project):
    labels = opened(project)["Labels"]
    labels.data = labels.data[:1]
    with pytest.raises(AnnotationError, match="has 1 plane, but came from 2 images"):
        document_of_layers([labels.as_layer_data_tuple()])


def test_a_guessed_file_name_is_said(tmp_path, said):
    saved(tmp_path, write_via2, Labels(np.eye(4, dtype=np.uint8), name="cells"))
    assert "it is called cells.png after the layer" in said[-1]


def test_other_metadata_does_not_matter(project, tmp_path):
    shapes = opened(project)["Shapes"]
    shapes.metadata = {"other": {"via": 1}, **shapes.metadata}
    path = saved(tmp_path, write_via2_project, shapes)
    assert json.loads(path.read_text()) == PROJECT
