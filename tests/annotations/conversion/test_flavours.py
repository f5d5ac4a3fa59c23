from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given

from napari_fractoseg.annotations import AnnotatedImage, Flavour, Region, ViaDocument
from napari_fractoseg.annotations.conversion.definitions import with_used_options
from napari_fractoseg.annotations.conversion.flavours import (
    edited,
    in_flavour,
    joined,
    named_after,
    project_of,
)
from napari_fractoseg.annotations.via import read_via, write_via
from napari_fractoseg.classes import DEFAULT_SCHEME
from via_strategies import documents

TRIANGLE = {"name": "polygon", "all_points_x": [0, 4, 4], "all_points_y": [0, 0, 4]}
CLOSED = {"name": "polygon", "all_points_x": [0, 4, 4, 0], "all_points_y": [0, 0, 4, 0]}


def document(shape=TRIANGLE, flavour=Flavour.VIA2, **options):
    image = AnnotatedImage("a.png", (Region(shape, {"name": "i"}, {"by": "me"}),), 12)
    return ViaDocument((image,), flavour, **options)


def test_polygons_are_closed_for_via_1_and_open_for_via_2():
    assert in_flavour(document(), Flavour.VIA1)[0].regions[0].shape == CLOSED
    closed = document(CLOSED, Flavour.VIA1)
    assert in_flavour(closed, Flavour.VIA2_CSV)[0].regions[0].shape == TRIANGLE
    assert in_flavour(closed, Flavour.VIA1) is closed


@given(documents(Flavour.VIA2))
def test_via_2_to_via_1_and_back_is_the_same(original):
    assert in_flavour(in_flavour(original, Flavour.VIA1), Flavour.VIA2) == original


def test_a_project_defines_every_attribute_and_has_all_settings():
    project = in_flavour(document(), Flavour.VIA2_PROJECT)
    assert project.definition("name").kind == "text"
    assert set(project.settings) == {"ui", "core", "project"}
    assert not project.notes


def defined(*values, **options):
    regions = tuple(Region(TRIANGLE, {} if v is None else {"mode": v}) for v in values)
    images = (AnnotatedImage("a.png", regions),)
    project = in_flavour(ViaDocument(images, **options), Flavour.VIA2_PROJECT)
    return project.definitions["region"].get("mode", {})


@pytest.mark.parametrize(
    ("values", "kind", "options"),
    [
        ([{"i": True}, {"t": False}, {}, None], "checkbox", ["i", "t"]),
        (["t", "i", "t", "i", "", None], "radio", ["i", "t"]),
        (["only"] * 2, "radio", ["only"]),
        ([str(n % 6) for n in range(12)], "dropdown", list("012345")),
        ([f"{n % 21}" for n in range(60)], "text", []),
        (["t", "i", "b"], "text", []),  # each once: may be anything
        (["i", "i", 1, 1], "text", []),
        (["i", "i", {"i": True}], "text", []),
        (["a\nb"] * 4, "text", []),
        (["x" * 41] * 4, "text", []),
        ([" i "] * 4, "text", []),
        (["", None], "text", []),
    ],
)
def test_a_project_shows_values_by_what_they_are(values, kind, options):
    definition = defined(*values)
    assert definition["type"] == kind
    assert list(definition.get("options", {})) == options


def test_types_that_a_file_says_are_kept():
    said = {"region": {"mode": {"type": "text", "description": "free"}}, "file": {}}
    options = {"flavour": Flavour.VIA3, "definitions": said}
    assert defined("i", "i", "t", "t", **options) == said["region"]["mode"]


@pytest.mark.shared_data
def test_ticks_of_a_real_file_become_a_checkbox(shared_data):
    wild = shared_data / "via_files" / "wild"
    ticked = 0
    for path in sorted(wild.iterdir()):
        document = read_via(path, strict=False)
        if document.flavour not in (Flavour.VIA2, Flavour.VIA2_CSV):
            continue
        project = in_flavour(document, Flavour.VIA2_PROJECT)
        for name, definition in project.definitions["region"].items():
            values = [
                r.attributes[name] for i in document for r in i.regions if name in r.attributes
            ]
            is_ticks = {isinstance(value, dict) for value in values if value} == {True}
            assert (definition["type"] == "checkbox") == is_ticks, (path.name, name)
            ticked += is_ticks
    assert ticked


def test_a_project_is_named_after_its_file():
    project = named_after(in_flavour(document(), Flavour.VIA2_PROJECT), Path("x/s17.json"))
    assert project.settings["project"] == {"name": "s17"}
    named = replace(project, settings={"project": {"name": "mine"}})
    assert named_after(named, Path("x/s18.json")) is named
    assert named_after(document(), Path("x/s18.json")) == document()


def test_what_a_flavour_cannot_hold_is_said():
    definitions = {"region": {"name": {"type": "radio", "options": {"i": ""}}}, "file": {}}
    project = document(flavour=Flavour.VIA2_PROJECT, definitions=definitions)
    plain = in_flavour(project, Flavour.VIA2)
    assert plain.definitions == {}
    assert "a VIA 2 project keeps them" in plain.notes[0]
    ellipse = {"name": "ellipse", "cx": 1, "cy": 1, "rx": 3, "ry": 2, "theta": 0.5}
    assert "1 ellipses are turned" in in_flavour(document(ellipse), Flavour.VIA1).notes[0]
    image = AnnotatedImage("a.png", extras={"reviewed": True})
    csv = in_flavour(ViaDocument((image,)), Flavour.VIA2_CSV)
    assert csv[0].extras == {}
    assert "Extra keys of 1 image" in csv.notes[0]


def test_what_belongs_to_one_flavour_does_not_go_to_another():
    image = AnnotatedImage("a.png", (Region(TRIANGLE, {}, {"mid": "1_x"}),), key="7")
    converted = in_flavour(ViaDocument((image,), Flavour.VIA3), Flavour.VIA2)
    assert converted[0].key == ""
    assert converted[0].regions[0].extras == {}


def test_a_project_of_classes_has_radio_buttons():
    project = project_of((AnnotatedImage("a.png"),), DEFAULT_SCHEME, "mode")
    assert project.definition("mode").kind == "radio"
    assert list(project.definition("mode").options) == list(DEFAULT_SCHEME.names)
    assert project.settings["ui"]["image"]["region_color"] == "mode"


def test_edited_images_are_found_by_key_and_everything_else_is_as_it_was():
    first = AnnotatedImage("a.png", (Region(CLOSED, {"name": "i"}),), 12, {"q": "good"})
    original = ViaDocument((first, AnnotatedImage("a.png", size=7)), extras={"mine": 1})
    changed = AnnotatedImage("a.png", (Region(TRIANGLE, {"name": "t"}),), 7)
    result = edited(original, {"a.png7": changed})
    assert result.images == (first, changed)
    assert result.extras == {"mine": 1}


def test_joined_documents_have_the_images_of_both():
    one = project_of((AnnotatedImage("a.png"), AnnotatedImage("b.png")), DEFAULT_SCHEME, "mode")
    newer = AnnotatedImage("b.png", (Region(TRIANGLE),))
    other = AnnotatedImage("a.png", (Region(CLOSED),))
    two = project_of((other, newer, AnnotatedImage("c.png")), DEFAULT_SCHEME, "class")
    result = joined(one, two, prefer={"b.png-1"})
    assert [image.filename for image in result] == ["a.png", "b.png", "c.png"]
    assert result[0].regions == ()
    assert result[1].regions == newer.regions
    assert set(result.definitions["region"]) == {"mode", "class"}


@pytest.mark.parametrize("known", [{"i": "inter"}, {}])
def test_joining_joins_the_options_of_an_attribute(known):
    radio = {"type": "radio", "description": "", "options": known, "default_options": {}}
    original = ViaDocument(
        (), Flavour.VIA2_PROJECT, definitions={"region": {"mode": radio}, "file": {}}
    )
    result = joined(original, project_of((), DEFAULT_SCHEME, "mode"))
    options = result.definition("mode").options
    assert options.items() >= known.items()
    assert set(DEFAULT_SCHEME.names) <= set(options)


@pytest.mark.parametrize("odd", [{"region": {"mode": "text"}}, {"region": ["mode"]}, {"region": 1}])
def test_odd_definitions_do_not_stop_anything(odd):
    original = ViaDocument((), Flavour.VIA2_PROJECT, definitions=odd)
    result = joined(original, project_of((), DEFAULT_SCHEME, "other"))
    assert result.definition("other").kind == "radio"


def test_values_that_are_no_option_become_one():
    image = AnnotatedImage("a.png", (Region(TRIANGLE, {"mode": "dimple"}),))
    project = project_of((image,), DEFAULT_SCHEME, "mode")
    options = with_used_options(project, "mode").definition("mode").options
    assert options["dimple"] == "dimple"
    assert with_used_options(document(), "name") == document()


def test_csv_says_which_regions_it_cannot_hold():
    regions = (Region(TRIANGLE, {"name": "i"}, {"score": 1}), Region({}, problem="no shape"))
    csv = in_flavour(ViaDocument((AnnotatedImage("a.png", regions),)), Flavour.VIA2_CSV)
    assert any("Extra keys of 1 region" in note for note in csv.notes)
    assert any("1 damaged regions without shape" in note for note in csv.notes)
    project = in_flavour(
        ViaDocument((), Flavour.VIA2_PROJECT, settings={"x": 1}, extras={"mine": 1}), Flavour.VIA2
    )
    assert "Settings and extra keys" in project.notes[0]


def test_what_stands_beside_the_images_goes_along():
    original = document(extras={"version": "1.0"})
    for flavour in (Flavour.VIA1, Flavour.VIA2_PROJECT):
        assert in_flavour(original, flavour).extras == {"version": "1.0"}
        assert not in_flavour(original, flavour).notes
    csv = in_flavour(original, Flavour.VIA2_CSV)
    assert csv.extras == {}
    assert any(note.startswith("Settings and extra keys of the file") for note in csv.notes)


def test_ticks_are_said_where_there_are_only_texts():
    regions = (Region(TRIANGLE, {"mode": {"i": True}}), Region(TRIANGLE, {"mode": "i"}))
    original = ViaDocument((AnnotatedImage("a.png", regions),))
    assert "1 region has values that are no texts" in in_flavour(original, Flavour.VIA1).notes[0]
    assert not in_flavour(original, Flavour.VIA2_PROJECT).notes


def test_a_file_that_is_shown_twice_gets_two_keys(tmp_path):
    images = tuple(AnnotatedImage("a.png", key=key) for key in "123")
    converted = in_flavour(ViaDocument(images, Flavour.VIA3), Flavour.VIA2)
    assert [image.image_key for image in converted] == ["a.png-1", "a.png-1-2", "a.png-1-3"]
    assert converted.notes[0].startswith("2 images have the name and size of an earlier one")
    write_via(converted, tmp_path / "via.json")
    assert read_via(tmp_path / "via.json") == converted


def test_cells_that_cannot_be_read_go_from_csv_to_csv_only():
    cells = {"region_shape_attributes": "x", "mine": 1}
    region = Region({}, {}, cells, problem="no JSON")
    original = ViaDocument((AnnotatedImage("a.png", (region,), 1),), Flavour.VIA1_CSV)
    csv = in_flavour(original, Flavour.VIA2_CSV)
    assert csv[0].regions[0].extras == {"region_shape_attributes": "x"}
    from_json = in_flavour(replace(original, flavour=Flavour.VIA2), Flavour.VIA2_CSV)
    assert from_json[0].regions == ()  # a row of it would say nothing
