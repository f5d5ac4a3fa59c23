"""JSON files of LabelMe and X-AnyLabeling."""

import base64
import io
import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from napari_fractoseg.annotations import (
    AnnotatedImage,
    Flavour,
    Region,
    rasterise,
    read_annotations,
)
from napari_fractoseg.annotations.class_mapping import ClassMapping, map_classes
from napari_fractoseg.annotations.formats.neighbours.labelme import is_labelme, parse
from napari_fractoseg.annotations.image_lookup import ImageLookup
from napari_fractoseg.classes import DEFAULT_SCHEME
from napari_fractoseg.errors import AnnotationError


def shape(points, kind="polygon", **changes):
    said = {"label": "t", "points": points, "shape_type": kind, "flags": {}}
    return {**said, "group_id": None, "description": "", "mask": None, **changes}


def labelme(*shapes, **changes):
    data = {"version": "5.4.1", "flags": {}, "shapes": list(shapes), "imagePath": "a.png"}
    return {**data, "imageData": None, "imageHeight": 12, "imageWidth": 20, **changes}


def document_of(*shapes, **changes):
    return parse(labelme(*shapes, **changes), "folder/a.json")


def png(mask):
    buffer = io.BytesIO()
    Image.fromarray(mask.astype(np.uint8)).save(buffer, format="PNG")
    return base64.b64encode(buffer.getvalue()).decode()


SQUARE = [[1, 2], [5, 2], [5, 6], [1, 6]]


def test_a_file_is_one_image_with_labels():
    document = document_of(shape([[0, 0], [9.5, 0], [0, 9]]), shape(SQUARE, label="i", group_id=3))
    assert document.flavour is Flavour.LABELME
    (image,) = document
    assert (image.filename, image.extras) == ("a.png", {"width": 20, "height": 12})
    first, second = image.regions
    outline = {"name": "polygon", "all_points_x": [0, 9.5, 0], "all_points_y": [0, 0, 9]}
    assert first == Region(outline, {"label": "t"})
    assert second.attributes == {"label": "i", "group_id": 3}
    assert map_classes(document, DEFAULT_SCHEME).attribute == "label"


@pytest.mark.parametrize(
    ("kind", "points", "expected"),
    [
        ("rectangle", [[5, 6], [1, 2]], {"name": "rect", "x": 1, "y": 2, "width": 4, "height": 4}),
        ("rectangle", SQUARE, {"name": "rect", "x": 1, "y": 2, "width": 4, "height": 4}),
        ("circle", [[5, 6], [8, 10]], {"name": "circle", "cx": 5, "cy": 6, "r": 5}),
        ("point", [[1.5, 2]], {"name": "point", "cx": 1.5, "cy": 2}),
        ("line", [[0, 1], [2, 3]], {"all_points_x": [0, 2], "all_points_y": [1, 3]}),
        ("linestrip", [[0, 1], [2, 3]], {"name": "polyline"}),
        ("oriented_rectangle", [[0, 1], [2, 3], [1, 4], [-1, 2]], {"name": "polygon"}),
        ("rotation", [[0, 1], [2, 3], [1, 4], [-1, 2]], {"name": "polygon"}),
        ("rectangle", [[0, 1], [2, 3], [1, 4], [-1, 2]], {"name": "polygon"}),
        (None, SQUARE, {"name": "polygon"}),
    ],
)
def test_each_type_of_shape(kind, points, expected):
    (region,) = document_of(shape(points, kind))[0].regions
    assert not region.problem
    assert expected.items() <= region.shape.items()


def test_several_points_are_several_regions():
    regions = document_of(shape([[1, 2], [3, 4]], "points"))[0].regions
    assert [(r.kind, r.shape["cx"], r.shape["cy"]) for r in regions] == [
        ("point", 1, 2),
        ("point", 3, 4),
    ]


@given(arrays(bool, st.tuples(st.integers(1, 9), st.integers(1, 9))), st.integers(0, 4))
def test_masks_become_polygons_of_the_same_pixels(mask, left):
    height, width = mask.shape
    points = [[left, 1], [left + width - 1, height]]
    regions = document_of(shape(points, "mask", mask=png(mask)))[0].regions
    mapping = ClassMapping("label", DEFAULT_SCHEME, {"t": "transgranular"})
    labels = rasterise(AnnotatedImage("a.png", regions), (12, 20), mapping).labels
    expected = np.zeros((12, 20), bool)
    expected[1 : 1 + height, left : left + width] = mask
    np.testing.assert_array_equal(labels > 0, expected)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"kind": "mask", "points": [[0, 0], [3, 3]], "mask": "?"}, "no picture in base64"),
        ({"kind": "mask", "points": [[0, 0], [3, 3]], "mask": "aGVsbG8="}, "is no PNG"),
        (
            {"kind": "mask", "points": [[0, 0], [3, 3]], "mask": png(np.ones((2, 4)))},
            "mask of 4 x 2 px for a box of 4 x 4",
        ),
        (
            {"kind": "mask", "points": [[0, 0], [3, 1]], "mask": png(np.ones((2, 4)))[:60]},
            "mask",
        ),
        ({"kind": "cuboid", "points": SQUARE}, "a shape 'cuboid' of 4 points"),
        ({"kind": "circle", "points": [[1, 2]]}, "a shape 'circle' of 1 point"),
        ({"kind": "polygon", "points": [[1, 2], [3, 4]]}, "a polygon of 2 points"),
        ({"kind": "polygon", "points": [[1, 2], [3]]}, "are not pairs of numbers"),
        ({"kind": "polygon", "points": [[1, math.nan], [3, 4]]}, "are not pairs of numbers"),
        ({"kind": "polygon", "points": None}, "are not pairs of numbers"),
    ],
)
def test_shapes_that_cannot_be_drawn_say_why(changes, problem):
    (region,) = document_of(shape(**changes))[0].regions
    assert problem in region.problem


def test_flags_and_descriptions_are_attributes_where_they_say_something():
    document = document_of(
        shape(SQUARE, flags={"sharp": True}, description="river lines", difficult=False),
        flags={"good": True, "bad": False},
    )
    (region,) = document[0].regions
    assert region.attributes["flags"] == {"sharp": True}
    assert region.attributes["description"] == "river lines"
    assert region.extras == {"difficult": False}
    assert document[0].attributes == {"flags": {"good": True}}


def test_only_files_of_labelme_are_taken():
    assert is_labelme(labelme())
    assert not is_labelme({"shapes": [], "path": "a.png"})
    assert not is_labelme(labelme({"label": "x"}))
    assert not is_labelme([])


def test_copies_of_images_are_not_read_but_told(tmp_path):
    document = document_of(shape(SQUARE), imageData="aGVsbG8=")
    note = "Copies of images inside annotation files are not read"
    missing = ImageLookup.scan(tmp_path).find_all(document.images)
    assert missing.notes[-1].startswith(note)
    Image.new("L", (20, 12)).save(tmp_path / "a.png")
    assert ImageLookup.scan(tmp_path).find_all(document.images).notes == ()


def test_a_folder_of_files_is_one_set_of_annotations(tmp_path):
    for name, label in (("b", "t"), ("a", "i")):
        data = labelme(shape(SQUARE, label=label), imagePath=f"{name}.png")
        (tmp_path / f"{name}.json").write_text(json.dumps(data))
    (tmp_path / "classes.json").write_text("{}")
    document = read_annotations(tmp_path)
    assert [image.filename for image in document] == ["a.png", "b.png"]
    assert list(document.definition("label").options) == ["t", "i"]
    (tmp_path / "c.json").write_text(json.dumps(labelme(shape(SQUARE)))[:-9])
    with pytest.raises(AnnotationError, match=r"c\.json is not valid JSON"):
        read_annotations(tmp_path)


def test_a_folder_without_such_files_says_so(tmp_path):
    with pytest.raises(AnnotationError, match="holds no annotations of LabelMe"):
        read_annotations(tmp_path)
