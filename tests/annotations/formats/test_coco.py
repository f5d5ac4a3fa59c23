import json
import re
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_fractoseg.annotations.document import AnnotatedImage, Flavour, Region, ViaDocument
from napari_fractoseg.annotations.formats.coco import is_via_coco, parse
from napari_fractoseg.annotations.formats.coco_write import render
from napari_fractoseg.errors import AnnotationError

INFO = {"description": "Exported using VGG Image Annotator (http://...)"}
SQUARE = [10, 20, 40, 20, 40, 60, 10, 60]
RECT = {"name": "rect", "x": 10, "y": 20, "width": 30, "height": 40}
TRIANGLE = [0, 0, 10, 0, 0, 10.5]
POLYGON = {"name": "polygon", "all_points_x": [0, 10, 0], "all_points_y": [0, 0, 10.5]}
POINT = {"name": "point", "cx": 3, "cy": 4}


def coco(annotations=(), images=None, categories=None):
    return {
        "info": INFO,
        "images": images or [{"id": 1, "file_name": "a.png", "width": 64, "height": 48}],
        "annotations": list(annotations),
        "categories": categories
        if categories is not None
        else [
            {"supercategory": "mode", "id": 1, "name": "inter"},
            {"supercategory": "mode", "id": 2, "name": "trans"},
        ],
    }


def annotation(segmentation=(SQUARE,), **changes):
    entry = {"id": 1, "image_id": 1, "category_id": 1, "segmentation": segmentation, "iscrowd": 0}
    return {**entry, "segmentation": list(segmentation), **changes}


def regions_of(*annotations):
    return parse(coco(annotations), "coco.json")[0].regions


def definitions(attribute, *values):
    options = {value: value for value in values}
    dropdown = {"type": "dropdown", "description": "", "options": options, "default_options": {}}
    return {"region": {attribute: dropdown}, "file": {}}


def document_of(*regions, **changes):
    return ViaDocument((AnnotatedImage("a.png", regions),), Flavour.COCO, **changes)


def test_only_files_of_via_are_known():
    assert is_via_coco(coco())
    assert not is_via_coco({**coco(), "info": {"description": "COCO 2017"}})
    assert not is_via_coco({**coco(), "info": None})
    assert not is_via_coco({**coco(), "annotations": {}})
    assert not is_via_coco([])


@pytest.mark.parametrize("segmentation", [[SQUARE], SQUARE, [[*SQUARE, 10, 20]]])
@pytest.mark.parametrize("image_id", [1, "1"])
@pytest.mark.parametrize("category_id", [2, "2"])
def test_ids_may_be_text_and_outlines_flat(segmentation, image_id, category_id):
    entry = annotation(segmentation, image_id=image_id, category_id=category_id)
    document = parse(coco([entry]), "coco.json")
    image = AnnotatedImage(
        "a.png", (Region(RECT, {"mode": "trans"}),), extras={"width": 64, "height": 48}
    )
    expected = ViaDocument((image,), Flavour.COCO, definitions("mode", "inter", "trans"))
    assert document == expected
    assert document.notes == ()


def test_open_and_closed_polygons_points_and_extra_keys():
    regions = regions_of(
        annotation([TRIANGLE]),
        annotation([[*TRIANGLE, 0, 0]], score=0.5, area=1, bbox=[]),
        annotation([[]], keypoints=[3, 4, 2], num_keypoints=1, bbox=[], area=[]),
    )
    mode = {"mode": "inter"}
    assert regions == (
        Region(POLYGON, mode),
        Region(POLYGON, mode, {"score": 0.5}),
        Region(POINT, mode),
    )


@pytest.mark.parametrize(
    ("outline", "is_rect"),
    [
        ([40, 60, 10, 60, 10, 20, 40, 20], True),
        ([10, 20, 10, 60, 40, 60, 40, 20], True),
        ([10, 20, 40, 60, 40, 20, 10, 60], False),
        ([10, 20, 40, 20, 40, 60, 10, 61], False),
        ([10, 20, 40, 20, 40, 60, 25, 60, 10, 60], False),
    ],
)
def test_upright_rectangles_are_told_from_polygons(outline, is_rect):
    (region,) = regions_of(annotation([outline], bbox=[10, 20, 30, 40]))
    assert region.kind == ("rect" if is_rect else "polygon")
    if is_rect:
        assert region.shape == RECT


def test_rectangles_have_the_numbers_of_their_box():
    x, width = 0.1, 0.2
    right = x + width
    assert right - x != width
    outline = [x, 1, right, 1, right, 2, x, 2]
    (exact,) = regions_of(annotation([outline], bbox=[x, 1, width, 1]))
    assert exact.shape == {"name": "rect", "x": x, "y": 1, "width": width, "height": 1}
    for wrong in (None, [], [x, 1, 9, 1], [x, 1, "a", 1]):
        (region,) = regions_of(annotation([outline], bbox=wrong))
        assert region.shape["width"] == right - x


def test_several_parts_become_several_regions():
    document = parse(coco([annotation([SQUARE, TRIANGLE])]), "coco.json")
    assert document[0].regions == (
        Region(RECT, {"mode": "inter"}),
        Region(POLYGON, {"mode": "inter"}),
    )
    assert document.notes == (
        "Annotations of several parts, each made a region: 1 (annotation 0).",
    )


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"segmentation": {"counts": "x", "size": [4, 4]}}, "run-length"),
        ({"segmentation": []}, r"no outline in segmentation \[\]"),
        ({"segmentation": [[]]}, "no outline"),
        ({"segmentation": None}, "no outline in segmentation None"),
        ({"segmentation": [[1, 2, 3, 4]]}, r"\[1, 2, 3, 4\] is not x, y of three points"),
        ({"segmentation": [[1, 2, 3, 4, 5, 6, 7]]}, "is not x, y of three points"),
        ({"segmentation": [[1, 2, 3, 4, 5, None]]}, "polygon, all_points_y"),
        ({"segmentation": [[1, 2, 3, 4, 5, 6], 7]}, "7 is not x, y"),
        ({"segmentation": [], "keypoints": [1, None, 2]}, "point, cy"),
        ({"segmentation": [], "keypoints": [1, 2, 2, 3, 4, 2]}, "no outline"),
    ],
)
def test_what_cannot_be_drawn_is_a_damaged_region(changes, problem):
    region = regions_of({**annotation(), **changes})[-1]
    assert region.attributes == {"mode": "inter"}
    assert re.search(problem, region.problem)


def test_numbers_as_text_are_left_as_they_are():
    (region,) = regions_of(annotation([["0", 0, 10, 0, 0, 10.5]]))
    assert region.problem == ""
    assert region.shape["all_points_x"] == ["0", 10, 0]


def test_categories_without_names():
    # VIA 2.0.11 writes the descriptions of options, which are often empty.
    categories = [
        {"supercategory": "dd", "id": 1, "name": ""},
        {"supercategory": "", "id": 2, "name": "inter"},
        {"id": 3, "name": 7},
    ]
    entries = [annotation(category_id=n) for n in (1, 2, 3)]
    document = parse(coco(entries, categories=categories), "coco.json")
    assert [r.attributes for r in document[0].regions] == [
        {"dd": "1"},
        {"class": "inter"},
        {"class": "7"},
    ]
    assert set(document.definitions["region"]) == {"dd", "class"}


@pytest.mark.parametrize("category", [{}, {"category_id": ""}, {"category_id": 9}])
def test_annotations_without_a_category(category):
    entry = {k: v for k, v in annotation().items() if k != "category_id"} | category
    document = parse(coco([entry]), "coco.json")
    assert document[0].regions == (Region(RECT),)
    assert document.notes == ("Annotations without a category of the file: 1 (annotation 0).",)


def test_categories_that_occur_twice():
    twice = coco()["categories"] * 2
    assert parse(coco(categories=twice), "x").notes == ()
    other = [*twice, {"supercategory": "mode", "id": 1, "name": "x"}, {"id": None, "name": "y"}]
    document = parse(coco([annotation()], categories=other), "x")
    assert document[0].regions[0].attributes == {"mode": "inter"}
    assert document.notes == (
        "Ignored categories with the id of an earlier one: 1 ('x').",
        "Ignored categories without an id: 1 ('y').",
    )


def test_copies_of_an_annotation_are_read_once():
    """VIA 2.0.10 writes a region once for each of its dropdown and radio attributes."""
    entries = [annotation(), annotation(), annotation(category_id=2), annotation([TRIANGLE], id=2)]
    document = parse(coco(entries), "x")
    assert [region.attributes["mode"] for region in document[0].regions] == [
        "inter", "trans", "inter",
    ]  # fmt: skip
    assert document.notes == ("Left out copies of an earlier annotation: 1 (annotation 1).",)
    without_id = [{k: v for k, v in annotation().items() if k != "id"}] * 2
    assert len(parse(coco(without_id), "x")[0].regions) == 2


def test_images_that_occur_twice_or_not_at_all():
    images = [{"id": 2020, "file_name": name, "width": -1, "height": -1} for name in ("a", "b")]
    entries = [annotation(image_id=2020), annotation(image_id=5), 7]
    document = parse(coco(entries, images), "x")
    assert document.images == (AnnotatedImage("a", (Region(RECT, {"mode": "inter"}),)),)
    assert document.notes == (
        "Left out images with the id of an earlier one, which gets their regions: 1 ('b').",
        "Skipped annotations of images that are not in the file: 2 (annotation 1, annotation 2).",
    )


def test_an_image_without_a_name():
    with pytest.raises(AnnotationError, match=r"coco\.json, image 1: no file_name in \{'id': 4\}"):
        parse(coco(images=[{"id": 1, "file_name": "a"}, {"id": 4}]), "coco.json")


def test_layout_of_what_is_written():
    image = AnnotatedImage(
        "a.png",
        (Region(RECT, {"mode": "t"}), Region(POINT, {"mode": "i"})),
        extras={"width": 64, "height": 48},
    )
    document = ViaDocument((image, AnnotatedImage("b.png")), definitions=definitions("mode", "i"))
    data, notes = render(document)
    assert notes == ()
    assert list(data) == ["info", "images", "annotations", "licenses", "categories"]
    assert is_via_coco(data)
    assert data["info"]["date_created"] == ""
    assert data["images"] == [
        {
            "id": 1,
            "width": 64,
            "height": 48,
            "file_name": "a.png",
            "license": 0,
            "date_captured": "",
        },
        {
            "id": 2,
            "width": -1,
            "height": -1,
            "file_name": "b.png",
            "license": 0,
            "date_captured": "",
        },
    ]
    assert json.dumps(data["annotations"]) == json.dumps(
        [
            {
                "segmentation": [SQUARE],
                "area": 1200,
                "bbox": [10, 20, 30, 40],
                "iscrowd": 0,
                "id": 1,
                "image_id": 1,
                "category_id": 2,
            },
            {
                "segmentation": [[]],
                "area": 0,
                "bbox": [3, 4, 0, 0],
                "iscrowd": 0,
                "keypoints": [3, 4, 2],
                "num_keypoints": 1,
                "id": 2,
                "image_id": 1,
                "category_id": 1,
            },
        ]
    )
    assert data["categories"] == [
        {"supercategory": "mode", "id": 1, "name": "i"},
        {"supercategory": "mode", "id": 2, "name": "t"},
    ]


def test_area_is_that_of_the_outline():
    (entry,) = render(document_of(Region(POLYGON, {"mode": "i"})))[0]["annotations"]
    assert (entry["area"], entry["bbox"]) == (52.5, [0, 0, 10, 10.5])


def test_rectangles_dragged_inside_out_and_numbers_as_text():
    shape = {"name": "rect", "x": 40, "y": "60", "width": -30, "height": -40}
    (entry,) = render(document_of(Region(shape, {"mode": "i"})))[0]["annotations"]
    assert entry["segmentation"] == [[40, 60, 10, 60, 10, 20, 40, 20]]
    assert (entry["area"], entry["bbox"]) == (1200, [10, 20, 30, 40])


def test_curves_are_polygons_of_72_points():
    circle = Region({"name": "circle", "cx": 260, "cy": 80, "r": 50}, {"mode": "i"})
    turned = {"name": "ellipse", "cx": 0, "cy": 0, "rx": 10, "ry": 5, "theta": 0.5}
    first, second = render(document_of(circle, Region(turned, {"mode": "i"})))[0]["annotations"]
    (outline,) = first["segmentation"]
    assert len(outline) == 144
    assert outline[:6] == [310, 80, 309.81, 84.358, 309.24, 88.682]
    assert first["bbox"] == [210, 30, 100, 100]
    assert second["segmentation"][0][:2] == [8.776, 4.794]


def test_what_coco_cannot_hold_is_noted():
    line = {"name": "polyline", "all_points_x": [1, 2], "all_points_y": [1, 2]}
    two = {"name": "polygon", "all_points_x": [1, 2, 1], "all_points_y": [1, 2, 1]}
    regions = (
        Region({}, {"mode": "i"}, problem="no shape"),
        Region({"name": "circle", "cx": 1, "cy": 1, "r": -1}, {"mode": "i"}),
        Region(line, {"mode": "i"}),
        Region(two, {"mode": "i"}),
        Region(RECT, {"mode": " "}),
        Region(RECT, {"mode": {"i": True, "t": True, "x": False}, "note": "n"}),
    )
    image = AnnotatedImage("a.png", regions, attributes={"q": "good"})
    data, notes = render(ViaDocument((image,)), attribute="mode")
    assert [a["category_id"] for a in data["annotations"]] == [1, 2]
    assert notes == (
        "Images whose attributes or extra keys COCO cannot hold: 1 ('a.png').",
        "Left out damaged regions: 2 ('a.png' region 0, 'a.png' region 1).",
        "Left out polylines, which COCO does not have: 1 ('a.png' region 2).",
        "Left out polygons of fewer than three points: 1 ('a.png' region 3).",
        "Left out regions without a value of 'mode': 1 ('a.png' region 4).",
        "Regions written once for each value of 'mode': 1 ('a.png' region 5).",
        "Regions whose other attributes COCO cannot hold: 1 ('a.png' region 5).",
    )


def types(**kinds):
    return {"region": {n: {"type": k, "options": {}} for n, k in kinds.items()}, "file": {}}


@pytest.mark.parametrize(
    ("defined", "attributes", "expected"),
    [
        (types(mode="radio", note="text"), [{"note": "x"}, {"mode": "i", "note": "x"}], "mode"),
        ({}, [{"mode": "i"}, {"mode": "t", "note": "x"}, {}], "mode"),
        (
            types(a="radio", b="dropdown"),
            [{"a": "1", "c": "x"}, {"a": "1", "b": "2", "c": "x"}],
            "a",
        ),
        ({}, [{"mode": "i"}, {"mode": ""}], "mode"),
        ({}, [{}, {}], "class"),
        (types(a="radio", b="dropdown"), [], "class"),
    ],
)
def test_which_attribute_names_the_category(defined, attributes, expected):
    regions = [Region(RECT, values) for values in attributes]
    data, _ = render(document_of(*regions, definitions=defined))
    assert {c["supercategory"] for c in data["categories"]} <= {expected}
    written = sum(bool(values.get(expected)) for values in attributes)
    assert len(data["annotations"]) == written


def test_attributes_that_could_all_name_the_category():
    document = document_of(Region(RECT, {"mode": "i", "note": "x"}))
    with pytest.raises(
        AnnotationError, match=r"\['mode', 'note'\] could be it\. Make one.*dropdown"
    ):
        render(document)
    assert render(document, attribute="note")[0]["categories"][0]["name"] == "x"


coordinates = st.one_of(st.integers(-5, 3000), st.floats(-5, 3000).map(lambda x: round(x, 3)))
lengths = st.one_of(st.integers(0, 500), st.floats(0, 500).map(lambda x: round(x, 3)))
rects = st.fixed_dictionaries(
    {
        "name": st.just("rect"),
        "x": coordinates,
        "y": coordinates,
        "width": lengths,
        "height": lengths,
    }
)
points = st.fixed_dictionaries({"name": st.just("point"), "cx": coordinates, "cy": coordinates})
corners = st.lists(st.tuples(coordinates, coordinates), min_size=3, max_size=7, unique=True)
polygons = corners.filter(lambda c: len(c) != 4 or max(Counter(x for x, _ in c).values()) == 1).map(
    lambda c: {
        "name": "polygon",
        "all_points_x": [x for x, _ in c],
        "all_points_y": [y for _, y in c],
    }
)
names = st.text(st.characters(codec="utf-8"), min_size=1, max_size=8).filter(str.strip)
sides = st.one_of(
    st.just({}), st.fixed_dictionaries({"width": st.integers(1, 9), "height": st.integers(1, 9)})
)


@st.composite
def documents(draw):
    attribute = draw(names)
    values = draw(st.lists(names, min_size=1, max_size=4, unique=True))
    regions = st.builds(
        Region,
        st.one_of(rects, points, polygons),
        st.sampled_from(values).map(lambda value: {attribute: value}),
        st.dictionaries(st.just("score"), st.floats(0, 1), max_size=1),
    )
    images = st.builds(
        AnnotatedImage, names, st.lists(regions, max_size=3).map(tuple), extras=sides
    )
    return ViaDocument(
        tuple(draw(st.lists(images, max_size=3))), Flavour.COCO, definitions(attribute, *values)
    )


@settings(max_examples=80, deadline=None)
@given(documents())
def test_reading_is_the_inverse_of_writing(document):
    data, notes = render(document)
    back = parse(json.loads(json.dumps(data)), "x")
    assert back == document
    assert (notes, back.notes) == ((), ())


@pytest.mark.shared_data
@pytest.mark.parametrize(
    ("name", "images", "shapes"),
    [
        ("from_via_app/via-2.0.11_drawn_coco.json", 1, {"rect": 1, "polygon": 3, "point": 1}),
        ("wild/egutierrezc93+example_data__via_export_coco.json", 6, {"rect": 18}),
        ("wild/nramak01+intelligent-game-analyser__via_export_coco.json", 42, {"polygon": 144}),
    ],
)
def test_real_files(shared_data, name, images, shapes):
    data = json.loads((shared_data / "via_files" / name).read_text(encoding="utf-8-sig"))
    assert is_via_coco(data)
    document = parse(data, name)
    assert (len(document), document.shape_counts()) == (images, shapes)
    assert (document.damaged(), document.notes) == ([], ())
    written, notes = render(document)
    assert parse(written, name).images == document.images
    assert notes == ()


@pytest.mark.shared_data
def test_what_is_written_has_the_numbers_that_via_writes(shared_data):
    folder = shared_data / "via_files" / "from_via_app"
    theirs = json.loads((folder / "via-2.0.11_drawn_coco.json").read_text())
    project = json.loads((folder / "via-2.0.11_drawn_project.json").read_text())
    raw = project["_via_img_metadata"]["swatch.png1951"]["regions"]
    shapes = [r["shape_attributes"] for r in raw if r["shape_attributes"]["name"] != "polyline"]
    ours, _ = render(document_of(*(Region(shape, {"dd": "1"}) for shape in shapes)))
    for mine, via in zip(ours["annotations"], theirs["annotations"], strict=True):
        assert list(mine) == list(via)
        assert mine["segmentation"] == via["segmentation"]
        assert mine.get("keypoints") == via.get("keypoints")
        if via["bbox"]:
            assert mine["bbox"] == via["bbox"]
