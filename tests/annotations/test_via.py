import json
from dataclasses import replace

import pytest
from hypothesis import given

from napari_fractoseg.annotations import (
    AnnotatedImage,
    Flavour,
    Region,
    ViaDocument,
    read_via,
    write_via,
)
from napari_fractoseg.annotations.conversion.flavours import in_flavour
from napari_fractoseg.annotations.reading import flavour_of
from napari_fractoseg.annotations.via import SUFFIXES
from napari_fractoseg.errors import AnnotationError, OutputExistsError
from via_strategies import documents

RECT = {"name": "rect", "x": 1, "y": 2, "width": 3, "height": 4}
REGION = {"shape_attributes": RECT, "region_attributes": {"name": "i"}}


def entry(**changes):
    return {"filename": "a.png", "size": 12, "regions": [], "file_attributes": {}, **changes}


def write(tmp_path, document, encoding="utf-8"):
    path = tmp_path / "via.json"
    path.write_text(json.dumps(document), encoding=encoding)
    return path


def via2(tmp_path, **changes):
    return read_via(write(tmp_path, {"a.png12": entry(**changes)}), strict=False)[0]


def test_annotations_are_read_as_they_are(tmp_path):
    path = write(tmp_path, {"a.png12": entry(regions=[REGION], file_attributes={"q": "good"})})
    document = read_via(path)
    assert document.flavour is Flavour.VIA2
    (image,) = document
    assert image == AnnotatedImage("a.png", (Region(RECT, {"name": "i"}),), 12, {"q": "good"})
    assert image.regions[0].kind == "rect"


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (-1, None),
        ("77", 77),
        ("-1", None),
        (None, None),
        (12.0, 12),
        ("9" * 18, 10**18 - 1),
        ("9" * 19, None),
        (10**18, None),
        ("9" * 5000, None),
    ],
)
def test_sizes_may_be_unknown_or_text(tmp_path, size, expected):
    assert via2(tmp_path, size=size).size_bytes == expected


def test_a_missing_size_stays_missing(tmp_path):
    data = {"a.png": {k: v for k, v in entry().items() if k != "size"}}
    document = read_via(write(tmp_path, data))
    assert document[0].key == ""
    write_via(document, tmp_path / "back.json")
    assert json.loads((tmp_path / "back.json").read_text()) == data


def test_regions_of_via_1_come_in_numeric_order(tmp_path):
    regions = {str(n): {"shape_attributes": {**RECT, "x": n}} for n in (0, 1, 10, 11, 2)}
    image = via2(tmp_path, regions=regions)
    assert [r.shape["x"] for r in image.regions] == [0, 1, 2, 10, 11]


def test_keys_of_thousands_of_digits_are_text(tmp_path):
    keys = ("9" * 5000, "1", "0")
    regions = {key: {"shape_attributes": {**RECT, "x": x}} for x, key in enumerate(keys)}
    assert [r.shape["x"] for r in via2(tmp_path, regions=regions).regions] == [0, 1, 2]
    del regions["9" * 5000]
    assert [r.shape["x"] for r in via2(tmp_path, regions=regions).regions] == [2, 1]


@pytest.mark.parametrize("regions", [None, [], {}])
def test_images_without_regions(tmp_path, regions):
    assert via2(tmp_path, regions=regions).regions == ()


def test_null_attributes_and_unknown_keys(tmp_path):
    region = {"shape_attributes": {**RECT, "z": 1}, "region_attributes": None, "by": "me"}
    image = via2(tmp_path, regions=[region], file_attributes=None, reviewed=True)
    assert image.extras == {"reviewed": True}
    assert image.regions[0] == Region({**RECT, "z": 1}, {}, {"by": "me"})


PROJECT = {
    "_via_settings": {"project": {"name": "p"}},
    "_via_img_metadata": {"a.png12": entry(regions=[REGION])},
    "_via_attributes": {"region": {"name": {"type": "radio", "options": {"i": "inter"}}}},
    "_via_image_id_list": ["a.png12"],
}


def test_projects_keep_settings_definitions_and_unknown_keys(tmp_path):
    document = read_via(write(tmp_path, {**PROJECT, "mine": [1]}, encoding="utf-8-sig"))
    assert document.flavour is Flavour.VIA2_PROJECT
    assert document.definition("name").kind == "radio"
    assert document.definition("name").options == {"i": "inter"}
    assert document.definition("other").kind == "text"
    write_via(document, tmp_path / "back.json")
    back = json.loads((tmp_path / "back.json").read_text())
    assert back == {**PROJECT, "mine": [1], "_via_data_format_version": "2.0.10"}


def test_the_order_of_images_on_screen_is_kept_only_if_it_is_valid(tmp_path):
    both = {"a.png12": entry(), "b.png1": entry(filename="b.png", size=1)}
    for order, expected in ((["b.png1", "a.png12"], ["b.png1", "a.png12"]), (["x"], list(both))):
        project = {**PROJECT, "_via_img_metadata": both, "_via_image_id_list": order}
        document = read_via(write(tmp_path, project))
        write_via(document, tmp_path / "back.json", overwrite=True)
        back = json.loads((tmp_path / "back.json").read_text())
        assert back["_via_image_id_list"] == expected


def test_a_project_says_for_every_image_that_its_size_is_unknown(tmp_path):
    """VIA 2.0.10 and later drop entries without a size, and then stop at their keys."""
    unsized = {k: v for k, v in entry().items() if k != "size"}
    for data in ({"a.png": unsized}, {**PROJECT, "_via_img_metadata": {"a.png": unsized}}):
        document = in_flavour(read_via(write(tmp_path, data)), Flavour.VIA2_PROJECT)
        write_via(document, tmp_path / "back.json", overwrite=True)
        back = json.loads((tmp_path / "back.json").read_text())
        assert [e["size"] for e in back["_via_img_metadata"].values()] == [-1]
        assert back["_via_image_id_list"] == list(back["_via_img_metadata"])


def test_utf16_and_crlf(tmp_path):
    path = tmp_path / "via.json"
    text = json.dumps({"ä.png12": entry(filename="ä.png")}, indent=1, ensure_ascii=False)
    path.write_bytes(text.replace("\n", "\r\n").encode("utf-16"))
    assert read_via(path)[0].filename == "ä.png"


def test_attribute_files_have_no_images(tmp_path):
    data = {"region": {"mode": {"type": "dropdown", "options": {"i": ""}}}, "file": {}}
    document = read_via(write(tmp_path, data))
    assert document.flavour is Flavour.VIA2_ATTRIBUTES
    assert len(document) == 0
    assert document.definition("mode").options == {"i": ""}


@pytest.mark.parametrize(
    "document",
    [
        [],
        {},
        {"a": 1},
        {"a": {"b": 1}},
        {"images": [], "annotations": []},
        {"region": 1, "file": 2},
        {"type": "FeatureCollection", "features": []},
    ],
)
def test_json_that_is_not_via_is_declined(tmp_path, document):
    path = write(tmp_path, document)
    assert flavour_of(path) is None
    with pytest.raises(AnnotationError, match=r"via\.json is not a file of the VGG Image"):
        read_via(path)


@pytest.mark.parametrize("content", [b"", b"x,y\n1,2\n", b"\x89PNG\r\n", b'{"a": '])
def test_other_files_are_declined(tmp_path, content):
    path = tmp_path / "file.csv"
    path.write_bytes(content)
    assert flavour_of(path) is None
    with pytest.raises(AnnotationError):
        read_via(path)


DAMAGED = [
    ({"name": "square"}, "shape 'square' is none of"),
    ({}, "shape None is none of"),
    ({"name": "rect", "x": 1}, "rect without"),
    ({"name": "polyline"}, "polyline without all_points_x"),
    ({"name": "polygon", "all_points_x": [], "all_points_y": []}, "polygon, all_points_x"),
    ({"name": "polygon", "all_points_x": [1, 2], "all_points_y": [1]}, "2 x and 1 y"),
    ({"name": "circle", "cx": "a", "cy": 1, "r": 3}, "circle, cx 'a'"),
    ({"name": "circle", "cx": 1, "cy": 1, "r": -3}, "circle, r '-3'"),
    ({"name": "point", "cx": None, "cy": 1}, "point, cx 'None'"),
]


@pytest.mark.parametrize(("shape", "message"), DAMAGED)
def test_damaged_regions_are_an_error_or_kept_and_counted(tmp_path, shape, message):
    regions = [REGION, {"shape_attributes": shape, "region_attributes": {"name": "t"}}]
    path = write(tmp_path, {"a.png12": entry(regions=regions)})
    with pytest.raises(AnnotationError, match=r"via\.json, image 'a\.png', region 1: ") as caught:
        read_via(path)
    assert message in str(caught.value)
    assert str(caught.value).endswith("or have damaged regions left out.")
    assert caught.value.options == ("skip_damaged",)
    document = read_via(path, strict=False)
    assert [bool(r.problem) for r in document[0].regions] == [False, True]
    assert len(document[0].drawable) == 1
    assert document.notes[0].startswith("1 damaged regions are left out")
    write_via(document, tmp_path / "back.json")
    assert json.loads((tmp_path / "back.json").read_text()) == {"a.png12": entry(regions=regions)}


@pytest.mark.parametrize("region", [None, 3, "x", {"shape_attributes": 5}])
def test_what_is_no_region_is_carried_through(tmp_path, region):
    path = write(tmp_path, {"a.png12": entry(regions=[region])})
    document = read_via(path, strict=False)
    assert document[0].drawable == ()
    write_via(document, tmp_path / "back.json")
    (back,) = json.loads((tmp_path / "back.json").read_text())["a.png12"]["regions"]
    assert back == region or back["shape_attributes"] == 5


def json_back(tmp_path, data):
    """Return what is written of a file that was read."""
    document = read_via(write(tmp_path, data), strict=False)
    write_via(document, tmp_path / "back.json", overwrite=True)
    return document, json.loads((tmp_path / "back.json").read_text())


@pytest.mark.parametrize("value", [True, -1, "x", ["i"]])
def test_values_in_place_of_attributes_are_kept(tmp_path, value):
    region = {"shape_attributes": RECT, "region_attributes": value}
    data = {"a.png12": entry(regions=[region], file_attributes=value)}
    document, back = json_back(tmp_path, data)
    assert back == data
    assert document[0].regions[0].attributes == {}
    named = replace(document[0].regions[0], attributes={"name": "i"})
    changed = document.with_images([replace(document[0], regions=(named,))])
    write_via(changed, tmp_path / "changed.json")
    (again,) = read_via(tmp_path / "changed.json")[0].regions
    assert again.attributes == {"name": "i"}


@pytest.mark.parametrize("other", [None, "1.0", 3, [], {"by": "me"}])
def test_entries_that_are_no_images_are_kept_and_said(tmp_path, other):
    data = {"a.png12": entry(regions=[REGION]), "version": other}
    document, back = json_back(tmp_path, data)
    assert back == data
    assert len(document) == 1
    assert document.notes == (
        "Kept, but not understood: entries that are no images: 1 ('version').",
    )
    project = {**PROJECT, "_via_img_metadata": data}
    document, back = json_back(tmp_path, project)
    assert back["_via_img_metadata"] == data
    assert back["_via_image_id_list"] == ["a.png12"]
    assert len(document) == 1


def test_regions_of_another_tool_are_no_via_regions(tmp_path):
    data = {"a.png12": entry(regions=[{"x": 1, "y": 2, "label": "i"}])}
    assert flavour_of(write(tmp_path, data)) is None


def test_the_layout_of_the_regions_tells_the_version(tmp_path):
    old = {"fileref": "", "base64_img_data": ""}
    listed = {"a.png12": entry(regions=[REGION], **old)}
    document, back = json_back(tmp_path, listed)
    assert document.flavour is Flavour.VIA2
    assert back == listed
    neither = {"a.png12": {**entry(**old), "regions": None}}
    assert read_via(write(tmp_path, neither)).flavour is Flavour.VIA1


def test_both_layouts_in_one_file_are_read_and_said(tmp_path):
    data = {"a.png12": entry(regions={"0": REGION}), "b": entry(filename="b", regions=[REGION])}
    document, _ = json_back(tmp_path, data)
    assert document.flavour is Flavour.VIA1
    assert [len(image.regions) for image in document] == [1, 1]
    assert document.notes == (
        "Images whose regions are written as VIA 1 annotations (JSON) has them: 1 ('b').",
    )
    project = {**PROJECT, "_via_img_metadata": {"a.png12": entry(regions={"0": REGION})}}
    document, back = json_back(tmp_path, project)
    assert back["_via_img_metadata"]["a.png12"]["regions"] == [REGION]
    assert "as VIA 2 project has them: 1" in document.notes[0]


def test_names_of_regions_are_said_to_become_numbers(tmp_path):
    data = {"a.png12": entry(regions={"grain": REGION, "1": REGION}), "b": entry(regions={})}
    document, back = json_back(tmp_path, data)
    assert list(back["a.png12"]["regions"]) == ["0", "1"]
    assert document.notes == (
        "Images whose regions have names, which become numbers: 1 ('a.png12').",
    )


def test_empty_keys_of_via_1_survive_in_a_project(tmp_path):
    data = {**PROJECT, "_via_img_metadata": {"a.png12": entry(fileref="", regions=[REGION])}}
    _, back = json_back(tmp_path, data)
    assert back["_via_img_metadata"] == data["_via_img_metadata"]


def test_numbers_as_text_can_be_drawn(tmp_path):
    shape = {"name": "circle", "cx": "10", "cy": "4.5", "r": "3"}
    assert via2(tmp_path, regions=[{"shape_attributes": shape}]).regions[0].problem == ""


def test_errors_name_file_image_and_remedy(tmp_path):
    with pytest.raises(AnnotationError, match="cannot be read"):
        read_via(tmp_path / "none.json")
    (tmp_path / "cut.json").write_text('{"a": ')
    with pytest.raises(AnnotationError, match=r"cut\.json is not valid JSON.*Export"):
        read_via(tmp_path / "cut.json")
    (tmp_path / "latin.json").write_bytes(b'{"\xe4": 1}')
    with pytest.raises(AnnotationError, match="not UTF-8 text"):
        read_via(tmp_path / "latin.json")
    with pytest.raises(AnnotationError, match=r"image 'b': no file name"):
        read_via(write(tmp_path, {"a": entry(), "b": {"regions": []}}))
    with pytest.raises(AnnotationError, match=r"image 'a': its regions are 'x'"):
        read_via(write(tmp_path, {"a": entry(regions="x")}))
    with pytest.raises(AnnotationError, match=r"image 'a': size \[1\]"):
        read_via(write(tmp_path, {"a": entry(size=[1])}))


@pytest.mark.parametrize(
    "flavour",
    [Flavour.VIA1, Flavour.VIA1_CSV, Flavour.VIA2, Flavour.VIA2_CSV, Flavour.VIA2_PROJECT],
)
def test_what_is_written_is_read_back(flavour, tmp_path_factory):
    path = tmp_path_factory.mktemp("round") / f"via{SUFFIXES[flavour]}"

    @given(documents(flavour))
    def check(document):
        if not len(document):
            return  # an empty object is no VIA file
        write_via(document, path, overwrite=True)
        assert read_via(path) == document

    check()


def test_nothing_is_overwritten_unasked(tmp_path):
    document = ViaDocument((AnnotatedImage("a.png"),))
    path = tmp_path / "via.json"
    write_via(document, path)
    before = path.read_bytes()
    with pytest.raises(OutputExistsError, match="exists already"):
        write_via(document, path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["via.json"]


def test_what_cannot_be_written_says_why(tmp_path):
    image = AnnotatedImage("a.png", (Region({**RECT, "x": float("nan")}),))
    with pytest.raises(AnnotationError, match="finite"):
        write_via(ViaDocument((image,)), tmp_path / "via.json")
    assert not (tmp_path / "via.json").exists()
    with pytest.raises(AnnotationError, match=r"Two images have the key 'a\.png-1'"):
        write_via(ViaDocument((AnnotatedImage("a.png"),) * 2), tmp_path / "via.json")
    with pytest.raises(AnnotationError, match=r"ends in \.csv"):
        write_via(ViaDocument((), Flavour.VIA2_CSV), tmp_path / "via.json")
    with pytest.raises(AnnotationError, match="LabelMe annotations cannot be written"):
        write_via(ViaDocument((), Flavour.LABELME), tmp_path / "via.json")


def test_broken_names_are_written_as_escapes(tmp_path):
    document = ViaDocument((AnnotatedImage("a\ud800.png"),))
    write_via(document, tmp_path / "via.json")
    assert read_via(tmp_path / "via.json") == document


@pytest.mark.shared_data
def test_the_fracture_annotations(shared_data):
    images = read_via(shared_data / "fracture" / "via_region_data.json")
    assert len(images) == 16
    assert sum(len(i.regions) for i in images) == 703


def test_the_attribute_of_the_categories_can_be_named(tmp_path):
    image = AnnotatedImage("a.png", (Region(RECT, {"mode": "i", "note": "x"}),))
    document = ViaDocument((image,), Flavour.COCO)
    path = tmp_path / "coco.json"
    with pytest.raises(AnnotationError, match="or name the attribute"):
        write_via(document, path)
    assert write_via(document, path, attribute="note") == (
        "Regions whose other attributes COCO cannot hold: 1 ('a.png' region 0).",
    )
    (category,) = json.loads(path.read_text())["categories"]
    assert category == {"supercategory": "note", "id": 1, "name": "x"}
    with pytest.raises(
        AnnotationError, match=r"No region has an attribute 'six'; there are \['mode', 'note'\]"
    ):
        write_via(document, path, overwrite=True, attribute="six")
