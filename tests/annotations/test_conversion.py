import pytest
from hypothesis import given
from via_strategies import documents

from napari_fractoseg.annotations import AnnotatedImage, Flavour, Region, ViaDocument
from napari_fractoseg.annotations.conversion import in_flavour, merged, project_of
from napari_fractoseg.classes import DEFAULT_SCHEME

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
    assert "Extra keys of 1 images" in csv.notes[0]


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


def test_merging_keeps_everything_but_the_regions_that_were_changed():
    original = ViaDocument(
        (
            AnnotatedImage("a.png", (Region(CLOSED, {"name": "i"}),), 12, {"q": "good"}),
            AnnotatedImage("b.png", (Region(CLOSED, {"name": "t"}),), 7),
        ),
        Flavour.VIA1,
        extras={"mine": 1},
    )
    new = (AnnotatedImage("a.png", (Region(TRIANGLE, {"name": "t"}),)), AnnotatedImage("c.png"))
    result = merged(original, project_of(new, DEFAULT_SCHEME, "name"))
    a, b, c = result
    assert (a.size, a.attributes) == (12, {"q": "good"})
    assert a.regions == (Region(CLOSED, {"name": "t"}),)
    assert b == original[1]
    assert c.filename == "c.png"
    assert (result.flavour, result.extras) == (Flavour.VIA1, {"mine": 1})


@pytest.mark.parametrize("known", [{"i": "inter"}, {}])
def test_merging_joins_the_options_of_an_attribute(known):
    radio = {"type": "radio", "description": "", "options": known, "default_options": {}}
    original = ViaDocument(
        (), Flavour.VIA2_PROJECT, definitions={"region": {"mode": radio}, "file": {}}
    )
    result = merged(original, project_of((), DEFAULT_SCHEME, "mode"))
    options = result.definition("mode").options
    assert options.items() >= known.items()
    assert set(DEFAULT_SCHEME.names) <= set(options)
