"""VIA 3 projects, written and read back, and compared with what VIA 3 itself writes."""

import json

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
from napari_fractoseg.annotations.formats.via3 import is_via3, parse
from napari_fractoseg.annotations.formats.via3_write import render
from via_strategies import documents

RECT = {"name": "rect", "x": 10, "y": 20, "width": 30, "height": 40}
ELLIPSE = {"name": "ellipse", "cx": 3, "cy": 4, "rx": 2, "ry": 1}
LINE = {"name": "polyline", "all_points_x": [0, 4], "all_points_y": [0, 4.5]}


def document_of(*regions, **changes):
    return ViaDocument((AnnotatedImage("a.png", regions, **changes),), Flavour.VIA2)


def written(document):
    data, notes = render(in_flavour(document, Flavour.VIA3), "project")
    return json.loads(json.dumps(data)), notes


def test_shapes_and_values_have_the_numbers_of_via_3():
    regions = [Region(RECT, {"name": "i"}), Region(ELLIPSE, {"name": "i"}), Region(LINE)]
    data, notes = written(
        document_of(*regions, Region(RECT, {"ticks": {"a": True, "b": False, "c": True}}))
    )
    assert is_via3(data)
    assert notes == ()
    assert [m["xy"] for m in data["metadata"].values()] == [
        [2, 10, 20, 30, 40],
        [4, 3, 4, 2, 1],
        [6, 0, 0, 4, 4.5],
        [2, 10, 20, 30, 40],
    ]
    assert {m["vid"] for m in data["metadata"].values()} == {"1"}
    attributes = {a["aname"]: (aid, a) for aid, a in data["attribute"].items()}
    number, name = attributes["name"]
    assert (name["type"], name["anchor_id"]) == (3, "FILE1_Z0_XY1")
    values = [m["av"] for m in data["metadata"].values()]
    assert values == [{number: "i"}, {number: "i"}, {}, {attributes["ticks"][0]: "a,c"}]
    assert data["view"] == {"1": {"fid_list": ["1"]}}
    assert data["file"]["1"] == {"fid": "1", "fname": "a.png", "type": 2, "loc": 1, "src": "a.png"}


def test_what_via_3_cannot_hold_is_told():
    turned = Region({**ELLIPSE, "theta": 0.5}, {"name": 3})
    damaged = Region({"name": "rect"}, problem="rect without x")
    data, notes = written(document_of(turned, damaged, Region(RECT, {}, {"score": 1})))
    assert notes == (
        "Values that are no texts, written as texts: 1 ('a.png' region 0).",
        "Turned ellipses, which VIA 3 does not have, as polygons of 72 points: 1 "
        "('a.png' region 0).",
        "Left out damaged regions: 1 ('a.png' region 1).",
        "Regions with extra keys, which VIA 3 cannot hold: 1 ('a.png' region 2).",
    )
    assert [m["xy"][0] for m in data["metadata"].values()] == [7, 2]


@given(documents(Flavour.VIA2))
def test_shapes_are_the_same_when_they_are_read_back(document):
    before = in_flavour(document, Flavour.VIA3)
    data, _ = written(document)
    back = parse(data, "via3.json")
    assert [i.filename for i in back] == [i.filename for i in before if i.filename]
    for image, read in zip(before, back, strict=True):
        for region, found in zip(image.regions, read.regions, strict=True):
            shape = {k: v for k, v in region.shape.items() if k != "theta"}
            assert found.shape == shape or region.shape["theta"]
            for name, value in region.attributes.items():
                if name and isinstance(value, str):
                    assert name in found.attributes


def test_a_project_of_via_3_is_written_as_it_was_read(tmp_path):
    region = Region(RECT, {"name": "i"}, {"mid": "7_abcdefgh"})
    image = AnnotatedImage("a.png", (region,), attributes={"note": "good"}, key="7")
    choice = {"type": "radio", "description": "", "options": {"i": "inter"}, "default_options": {}}
    text = {"type": "text", "description": "", "default_value": ""}
    definitions = {"region": {"name": choice}, "file": {"note": text}}
    document = ViaDocument((image,), Flavour.VIA3, definitions)
    write_via(document, tmp_path / "via3.json")
    assert read_via(tmp_path / "via3.json") == document
    assert json.loads((tmp_path / "via3.json").read_text())["project"]["pname"] == "via3"


@pytest.mark.shared_data
@pytest.mark.parametrize("name", ["all_shapes", "imported_from_via2"])
def test_a_project_has_every_entry_that_those_of_via_3_have(shared_data, name):
    path = shared_data / "via_files" / "from_via_app" / f"via-3.0.10_{name}_project.json"
    theirs = json.loads(path.read_text())
    ours, _ = render(read_via(path, strict=False), theirs["project"]["pname"])
    assert list(ours) == list(theirs)
    assert list(ours["project"]) == list(theirs["project"])
    assert ours["config"] == theirs["config"]
    assert ours["attribute"] == theirs["attribute"]
    assert (ours["file"], ours["view"]) == (theirs["file"], theirs["view"])
    regions = {k: m for k, m in theirs["metadata"].items() if m["xy"] and not m["z"]}
    whole = [k for k, m in regions.items() if m["xy"][0] not in (5, 8, 9)]  # LINE and extremes
    assert {k: ours["metadata"][k] for k in whole} == {k: regions[k] for k in whole}
    assert list(regions) == [k for k in ours["metadata"] if k in regions]
