import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_fractoseg.classes import (
    DEFAULT_SCHEME,
    IGNORE_INDEX,
    PALETTES,
    ClassScheme,
    FractureClass,
)
from napari_fractoseg.errors import ClassSchemeError

SPARSE = ClassScheme(
    "sparse", (FractureClass(200, "dimples", "#102030"), FractureClass(7, "cleavage", "#a0b0c080"))
)


def test_default_classes_are_those_of_the_field():
    assert dict(zip(DEFAULT_SCHEME.names, DEFAULT_SCHEME.values, strict=True)) == {
        "intergranular": 1,
        "transgranular": 2,
        "background": 3,
    }
    assert [c.name for c in DEFAULT_SCHEME.fracture_modes] == ["intergranular", "transgranular"]
    blue, green, background = DEFAULT_SCHEME.classes
    assert blue.rgba[2] == max(blue.rgba[:3])
    assert green.rgba[1] == max(green.rgba[:3])
    assert background.is_transparent


def test_targets_follow_the_order_of_the_scheme():
    targets = SPARSE.to_targets(np.array([[0, 7], [200, 7]], dtype=np.uint16))
    assert targets.dtype == np.int64
    np.testing.assert_array_equal(targets, [[IGNORE_INDEX, 1], [0, 1]])


@given(st.lists(st.sampled_from([0, 7, 200]), min_size=1))
def test_labels_survive_the_way_to_targets_and_back(values):
    labels = np.array(values, dtype=np.uint8)
    back = SPARSE.to_labels(SPARSE.to_targets(labels))
    assert back.dtype == np.uint8
    np.testing.assert_array_equal(back, labels)


def test_unknown_values_are_refused_with_their_counts():
    with pytest.raises(ClassSchemeError, match=r"4 \(2 px\), 300 \(1 px\).*relabel them"):
        DEFAULT_SCHEME.to_targets(np.array([1, 4, 4, 300]))


def test_negative_and_fractional_labels_are_refused():
    with pytest.raises(ClassSchemeError, match=r"-1 \(1 px\)"):
        DEFAULT_SCHEME.to_targets(np.array([-1, 1]))
    with pytest.raises(ClassSchemeError, match="float64; they must be whole numbers"):
        DEFAULT_SCHEME.to_targets(np.array([1.0]))


@pytest.mark.parametrize("text", ["t", " T ", "Transgranular", "TRANS"])
def test_aliases_ignore_case_and_blanks(text):
    assert DEFAULT_SCHEME.find(text).name == "transgranular"


def test_an_unknown_name_says_which_names_there_are():
    with pytest.raises(ClassSchemeError, match="'inter-granular'.*intergranular.*Rename"):
        DEFAULT_SCHEME.find("inter-granular")


def test_names_win_over_aliases():
    scheme = ClassScheme(
        "s", (FractureClass(1, "a", "#000000", ("b",)), FractureClass(2, "b", "#ffffff"))
    )
    assert scheme.find("b").value == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, "x", "#000000"), "value 0 is out of range.*0 means unlabelled"),
        ((256, "x", "#000000"), "256 is out of range"),
        ((1.5, "x", "#000000"), "1.5 is not a whole number"),
        ((True, "x", "#000000"), "True is not a whole number"),
        ((1, " ", "#000000"), "has no name"),
        ((1, "x", "blue"), "'blue' is not of the form #rrggbb"),
    ],
)
def test_bad_classes_are_refused(arguments, message):
    with pytest.raises(ClassSchemeError, match=message):
        FractureClass(*arguments)


def test_a_scheme_needs_unique_values_and_names():
    one = FractureClass(1, "One", "#000000")
    with pytest.raises(ClassSchemeError, match="value 1 is used"):
        ClassScheme("s", (one, FractureClass(1, "two", "#000000")))
    with pytest.raises(ClassSchemeError, match="name one is used"):
        ClassScheme("s", (one, FractureClass(2, "one", "#000000")))
    with pytest.raises(ClassSchemeError, match="no classes"):
        ClassScheme("s", ())


def test_new_names_get_free_values_and_colours_and_known_ones_stay():
    grown = DEFAULT_SCHEME.with_names(["dimples", "I", "dimples", "striations"])
    assert grown.names == (*DEFAULT_SCHEME.names, "dimples", "striations")
    assert grown.values == (1, 2, 3, 4, 5)
    assert len({c.color for c in grown}) == 5
    assert grown.classes[:3] == DEFAULT_SCHEME.classes


def test_the_colour_blind_palette_keeps_transparent_classes():
    safe = DEFAULT_SCHEME.with_palette("colour-blind-safe")
    assert [c.color for c in safe] == [*PALETTES["colour-blind-safe"][:2], "#00000000"]
    with pytest.raises(ClassSchemeError, match="'rainbow' is not known"):
        DEFAULT_SCHEME.with_palette("rainbow")


def test_json_round_trip():
    scheme = DEFAULT_SCHEME.with_names(["dimples"])
    assert ClassScheme.from_json(scheme.to_json()) == scheme


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        "{}",
        '{"name": "x", "classes": [1]}',
        json.dumps({"name": "x", "classes": [{"value": 1, "name": "a", "colour": "#000000"}]}),
    ],
)
def test_json_that_is_no_scheme_is_refused(text):
    with pytest.raises(ClassSchemeError, match="no class scheme"):
        ClassScheme.from_json(text)


def test_colours_are_taken_over_by_name():
    larger = DEFAULT_SCHEME.with_palette("colour-blind-safe").with_names(["dimples"])
    again = larger.with_colors_of(DEFAULT_SCHEME)
    assert again.classes[:3] == DEFAULT_SCHEME.classes
    assert again.classes[3] == larger.classes[3]


@pytest.mark.parametrize("name", ["red\x1b[31m", "two\nlines", "a\tb", "turned\u202e", "\udcb5m"])
def test_names_that_cannot_be_shown_are_refused(name):
    with pytest.raises(ClassSchemeError, match="line breaks, tabs or control characters"):
        FractureClass(1, name, "#123456")


def test_names_of_others_become_ones_that_can_be_shown():
    scheme = DEFAULT_SCHEME.with_names(["river\nlines", "red\x1b[31m", "river lines", "dimples"])
    assert scheme.names[3:] == ("river lines", "red\\x1b[31m", "dimples")
    assert scheme.find("red\x1b[31m").value == 5


@pytest.mark.parametrize(
    "text", ["[" * 100_000, '{"name": "x", "classes": [[]]}', '{"name": "x", "classes": 5}']
)
def test_any_other_json_is_no_scheme(text):
    with pytest.raises(ClassSchemeError, match="This is no class scheme"):
        ClassScheme.from_json(text)


# ---- classes that a user changes ------------------------------------------------------------


def test_a_class_of_a_certain_value():
    scheme = DEFAULT_SCHEME.with_class(" dimples\n", 7)
    assert [(c.value, c.name) for c in scheme][-1] == (7, "dimples")
    assert scheme.classes[-1].color not in {c.color for c in DEFAULT_SCHEME}
    with pytest.raises(ClassSchemeError, match="value 2 is used by more than one"):
        DEFAULT_SCHEME.with_class("dimples", 2)
    with pytest.raises(ClassSchemeError, match="name transgranular is used by more than one"):
        DEFAULT_SCHEME.with_class("Transgranular", 7)
    with pytest.raises(ClassSchemeError, match="value 256 is out of range"):
        DEFAULT_SCHEME.with_class("dimples", 256)


def test_a_renamed_class_answers_to_its_old_name():
    scheme = DEFAULT_SCHEME.renamed(2, "cleavage")
    assert scheme.names == ("intergranular", "cleavage", "background")
    assert scheme.find("transgranular").value == scheme.find("t").value == 2
    with pytest.raises(ClassSchemeError, match="name intergranular is used"):
        DEFAULT_SCHEME.renamed(2, "intergranular")


def test_a_recoloured_class_changes_nothing_else():
    scheme = DEFAULT_SCHEME.recoloured(3, "#102030")
    assert scheme.by_value(3).color == "#102030"
    assert not scheme.by_value(3).is_fracture_mode
    assert scheme.classes[:2] == DEFAULT_SCHEME.classes[:2]


def test_the_last_class_cannot_be_removed():
    scheme = DEFAULT_SCHEME.without(2).without(3)
    assert scheme.names == ("intergranular",)
    with pytest.raises(ClassSchemeError, match="'intergranular' is the only one"):
        scheme.without(1)
    with pytest.raises(ClassSchemeError, match="Label value 2 is not in the scheme"):
        scheme.without(2)


def test_the_classes_of_a_model_follow_what_was_changed_on_its_result():
    edited = DEFAULT_SCHEME.with_names(["dimples"]).renamed(1, "IG").recoloured(2, "#102030")
    assert DEFAULT_SCHEME.changed_like(edited) == edited
    assert DEFAULT_SCHEME.changed_like(DEFAULT_SCHEME) == DEFAULT_SCHEME


def test_a_class_that_a_model_gives_comes_back_though_its_name_is_taken():
    edited = DEFAULT_SCHEME.without(3).renamed(2, "background")
    scheme = DEFAULT_SCHEME.changed_like(edited)
    assert [(c.value, c.name) for c in scheme] == [
        (1, "intergranular"), (2, "background"), (3, "background (3)"),
    ]  # fmt: skip


def test_an_error_on_many_values_names_the_first():
    with pytest.raises(ClassSchemeError, match=r"4 \(1 px\), .* 11 \(1 px\), 189 more\. The"):
        DEFAULT_SCHEME.check_labels(np.arange(201, dtype=np.uint8))
