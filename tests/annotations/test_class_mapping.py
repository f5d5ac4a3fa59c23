from collections import Counter

import pytest

from napari_fractoseg.annotations.class_mapping import (
    RESEARCH_MASK_VALUES,
    ClassMapping,
    attribute_values,
    class_attribute,
    map_classes,
)
from napari_fractoseg.annotations.document import AnnotatedImage, Region, ViaDocument
from napari_fractoseg.classes import DEFAULT_SCHEME
from napari_fractoseg.errors import AnnotationError, ClassSchemeError

POINT = {"name": "point", "cx": 1, "cy": 1}


def region(**attributes):
    return Region(POINT, attributes)


def document(*attributes, **definitions):
    """One image, a region for each mapping of attributes."""
    image = AnnotatedImage("a.png", tuple(Region(POINT, a) for a in attributes))
    return ViaDocument((image,), definitions={"region": definitions})


def modes(*values):
    return document(*({"mode": value} for value in values))


def dropdown(kind="dropdown", **options):
    return {"type": kind, "options": options}


def names(mapping, *attributes):
    found = [mapping.class_of(Region(POINT, a), "region") for a in attributes]
    return [None if c is None else c.name for c in found]


def test_values_are_counted_with_those_that_are_missing():
    images = [
        AnnotatedImage("a", (region(mode="i", n=1), region(mode=" "), region())),
        AnnotatedImage("b", (region(mode="i"), Region({}, {"mode": "t", "x": "y"}, problem="bad"))),
    ]
    assert attribute_values(iter(images)) == {
        "mode": Counter({"i": 2, "": 2}),
        "n": Counter({"1": 1, "": 3}),
    }


def test_each_ticked_option_counts():
    ticks = ({"i": True, "t": True}, {"t": "true", "b": False}, {})
    assert attribute_values(modes(*ticks)) == {"mode": Counter({"t": 2, "i": 1, "": 1})}


@pytest.mark.parametrize(
    "doc",
    [
        document({"mode": "i", "note": "x"}, {"mode": " T "}, {"mode": "", "note": "x"}),
        document(
            {"mode": "1", "note": "A"}, {"mode": "2"}, mode=dropdown(**{"1": "IG", "2": "trans"})
        ),
        document(
            {"mode": {"1": True}, "note": "A"}, mode=dropdown("checkbox", **{"1": "background"})
        ),
    ],
    ids=["names and aliases", "descriptions of options", "ticked options"],
)
def test_the_class_attribute_is_the_one_whose_values_are_all_classes(doc):
    assert class_attribute(doc, DEFAULT_SCHEME) == "mode"


@pytest.mark.parametrize("kind", ["dropdown", "radio", "checkbox", "image"])
def test_else_it_is_the_only_one_with_options(kind):
    value = {"dimples": True} if kind == "checkbox" else "dimples"
    attributes = [{"mode": value, "text": "same"}] * 4
    definitions = {"mode": dropdown(kind, dimples=""), "text": {"type": "text"}}
    assert class_attribute(document(*attributes, **definitions), DEFAULT_SCHEME) == "mode"


def test_options_decide_among_several_that_fit():
    doc = document({"mode": "i", "note": "t", "size": "s"}, mode=dropdown(i="", t=""))
    assert class_attribute(doc, DEFAULT_SCHEME) == "mode"


def test_else_it_is_the_only_one_whose_values_repeat():
    attributes = [{"id": str(i), "mode": "ab"[i % 2]} for i in range(4)]
    assert class_attribute(document(*attributes), DEFAULT_SCHEME) == "mode"


def test_else_it_is_the_only_one_with_few_values():
    assert class_attribute(modes("a", "b", "c"), DEFAULT_SCHEME) == "mode"
    attributes = [{"id": str(i)} for i in range(21)]
    attributes[0]["mode"] = "dimples"
    assert class_attribute(document(*attributes), DEFAULT_SCHEME) == "mode"


@pytest.mark.parametrize(
    ("doc", "message"),
    [
        (
            document({"one": "i", "two": "t"}),
            r"each of 'one', 'two' may hold the class.*'one': 'i' 1; 'two': 't' 1\. Name the",
        ),
        (
            document({"one": "i", "two": "t"}, *[{"one": "i"}] * 2, {"one": "t"}),
            r"each of 'one', 'two' may hold.*'one': 'i' 3, 't' 1; 'two': 't' 1\.",
        ),
        (
            document({"one": "x", "two": "y"}, one=dropdown(x=""), two=dropdown("radio", y="")),
            r"each of 'one', 'two' may hold",
        ),
        (document(*[{"one": "x", "two": "y"}] * 3), r"'one': 'x' 3; 'two': 'y' 3"),
        (
            document(*({"id": str(i)} for i in range(21))),
            "no attribute holds the class.*'id': '0' 1, '1' 1, '2' 1, '3' 1, '4' 1 and 16 more",
        ),
        (document({}, {}), r"no region has a value.*attributes: none\. Add one in VIA"),
        (document({"mode": ""}), r"attributes: 'mode'\..*one of intergranular"),
        (ViaDocument(()), "no region has a value"),
    ],
)  # fmt: skip
def test_without_one_class_attribute_the_candidates_are_listed(doc, message):
    with pytest.raises(AnnotationError, match=message):
        class_attribute(doc, DEFAULT_SCHEME)


def test_values_are_found_in_the_scheme_whatever_case_and_blanks():
    mapping = map_classes(iter(modes("I ", "transGranular", "i")), DEFAULT_SCHEME)
    assert mapping.attribute == "mode"
    assert mapping.scheme == DEFAULT_SCHEME
    assert mapping.classes == {
        "I ": "intergranular", "i": "intergranular", "transGranular": "transgranular",
    }  # fmt: skip
    assert names(mapping, {"mode": "i"}, {"mode": " TRANSgranular"}) == [
        "intergranular", "transgranular",
    ]  # fmt: skip


def test_the_attribute_can_be_given():
    doc = document({"one": "i", "two": "t"})
    assert map_classes(doc, DEFAULT_SCHEME, attribute="two").classes == {"t": "transgranular"}
    with pytest.raises(AnnotationError, match=r"no region has an attribute 'six'.*'one': 'i' 1"):
        map_classes(doc, DEFAULT_SCHEME, attribute="six")


def test_given_values_come_first_then_the_scheme_then_descriptions():
    doc = document(
        {"mode": "i"}, {"mode": "t"}, {"mode": "3"}, {"mode": "?"},
        mode=dropdown(i="transgranular", t="intergranular", **{"3": " Background "}),
    )  # fmt: skip
    mapping = map_classes(doc, DEFAULT_SCHEME, values={" I": "TG", "?": None, "absent": "b"})
    assert names(mapping, *({"mode": v} for v in "it3?")) == [
        "transgranular", "transgranular", "background", None,
    ]  # fmt: skip
    assert mapping.classes == {
        " I": "transgranular", "?": None, "absent": "background",
        "t": "transgranular", "3": "background",
    }  # fmt: skip


def test_the_exact_spelling_of_a_given_value_wins():
    mapping = map_classes(modes("I", "i"), DEFAULT_SCHEME, values={"i": "b", "I": "t"})
    assert names(mapping, {"mode": "I"}, {"mode": "i"}) == ["transgranular", "background"]


def test_all_unknown_values_are_listed_with_counts_and_remedies():
    with pytest.raises(
        AnnotationError,
        match=r"'mode' are not in the scheme of intergranular, .*: 'dimples' 2, 'cleavage' 1 "
        r"\(regions\)\. Rename them in VIA, map them to classes, or have new",
    ):
        map_classes(modes("cleavage", "dimples", "i", "dimples"), DEFAULT_SCHEME)


def test_unknown_values_become_new_classes():
    doc = document(
        {"mode": "i"}, {"mode": "d"}, {"mode": "c "}, {"mode": "C"}, {"mode": "x"}, {"mode": ""},
        mode=dropdown(d="dimples", c="  ", x="y"),
    )  # fmt: skip
    values = {"x": "striations"}
    mapping = map_classes(doc, DEFAULT_SCHEME, values=values, new_classes=True)
    assert mapping.scheme.names == (*DEFAULT_SCHEME.names, "striations", "dimples", "c")
    assert mapping.scheme.values == (1, 2, 3, 4, 5, 6)
    assert names(mapping, *({"mode": v} for v in "idcCx")) == [
        "intergranular", "dimples", "c", "c", "striations",
    ]  # fmt: skip


def test_values_mapped_to_an_unknown_class_are_refused():
    with pytest.raises(AnnotationError, match=r"mapped to '', 'trnas', not in the scheme"):
        map_classes(modes("x"), DEFAULT_SCHEME, values={"x": "trnas", "y": "", "z": "i"})


@pytest.mark.parametrize("attributes", [{}, {"mode": None}, {"mode": " "}, {"mode": {"i": False}}])
def test_regions_without_a_value_are_refused_unless_mapped(attributes):
    doc = modes("i", "")
    with pytest.raises(
        AnnotationError,
        match=r"^image 'b', region 7: attribute 'mode' has no value\. Give.*in VIA, or have",
    ):
        map_classes(doc, DEFAULT_SCHEME).class_of(Region(POINT, attributes), "image 'b', region 7")
    for given, expected in ((None, None), ("b", "background")):
        mapping = map_classes(doc, DEFAULT_SCHEME, values={"": given})
        assert names(mapping, attributes) == [expected]


def test_values_of_another_document_are_refused():
    mapping = map_classes(modes("i"), DEFAULT_SCHEME)
    with pytest.raises(AnnotationError, match=r"^here: 'dimples' \(attribute 'mode'\) is mapped"):
        mapping.class_of(region(mode="dimples"), "here")


def test_mappings_can_be_made_by_hand():
    mapping = ClassMapping("mode", DEFAULT_SCHEME, {"x": "TG"})
    assert names(mapping, {"mode": "X"}) == ["transgranular"]
    with pytest.raises(ClassSchemeError, match="'y' is not in the scheme"):
        ClassMapping("mode", DEFAULT_SCHEME, {"x": "y"}).class_of(region(mode="x"), "here")


def test_several_ticked_options_are_refused_by_name():
    mapping = map_classes(modes({"t": True, "i": True}), DEFAULT_SCHEME)
    message = (
        r"^image 'a', region 2: the ticked options 't', 'i' of attribute 'mode' are several "
        r"classes\. Tick one"
    )
    with pytest.raises(AnnotationError, match=message):
        mapping.class_of(region(mode={"t": True, "i": True, "b": False}), "image 'a', region 2")
    with pytest.raises(AnnotationError, match="several='all' is neither 'error' nor 'first'"):
        map_classes(modes("i"), DEFAULT_SCHEME, several="all")


def test_the_first_of_several_in_the_order_of_the_scheme_is_taken_and_counted():
    both, same, one = {"t": True, "i": True}, {"t": True, "tg": True}, {"b": True}
    left_out = {"i": True, "unsure": True}
    doc = modes(both, same, one, left_out, {})
    mapping = map_classes(doc, DEFAULT_SCHEME, values={"unsure": None}, several="first")
    found = names(mapping, *({"mode": ticks} for ticks in (both, same, one, left_out)))
    assert found == ["intergranular", "transgranular", "background", None]
    assert mapping.several_ticked(doc) == 2


def test_ticked_spellings_of_one_class_are_no_conflict():
    mapping = map_classes(modes({"t": True, "tg": True}), DEFAULT_SCHEME)
    assert names(mapping, {"mode": {"tg": True, "t": True}}) == ["transgranular"]
    assert mapping.several_ticked(modes({"t": True, "tg": True})) == 0


def test_the_masks_of_the_research_code_have_1_transgranular():
    assert RESEARCH_MASK_VALUES == {0: "background", 1: "transgranular", 2: "intergranular"}
    assert all(DEFAULT_SCHEME.get(name) for name in RESEARCH_MASK_VALUES.values())


def test_values_that_cannot_be_shown_become_names_that_can():
    values = ({"mode": "red\x1b[31m"}, {"mode": "river\nlines"}, {"mode": "o"})
    doc = document(*values, mode=dropdown(o="a\tb"))
    mapping = map_classes(doc, DEFAULT_SCHEME, new_classes=True)
    found = names(mapping, *values)
    assert found == ["red\\x1b[31m", "river lines", "a b"]


@pytest.mark.parametrize("values", [("x", "R", "c", "p", "d"), ("d", "p", "c", "R", "x")])
def test_the_order_of_regions_does_not_number_new_classes(values):
    attributes = [{"mode": value} for value in values]
    doc = document(*attributes, mode=dropdown(d="dimples", unused="", C="", x=""))
    scheme = map_classes(doc, DEFAULT_SCHEME, new_classes=True).scheme
    assert scheme.names[3:] == ("dimples", "c", "x", "p", "R")
    assert scheme.values[3:] == (4, 5, 6, 7, 8)
    without = map_classes(document(*attributes), DEFAULT_SCHEME, new_classes=True).scheme
    assert without.names[3:] == ("c", "d", "p", "R", "x")


def test_pictures_and_missing_descriptions_name_no_class():
    pictures = {"river": "https://example.org/river.png", "t": "data:image/png;base64,AAAA"}
    for options in (pictures, {"river": None, "t": None}):
        doc = document({"mode": "river"}, {"mode": "t"}, mode=dropdown("image", **options))
        mapping = map_classes(doc, DEFAULT_SCHEME, new_classes=True)
        assert names(mapping, {"mode": "river"}, {"mode": "t"}) == ["river", "transgranular"]
    doc = document({"mode": "river"}, mode=dropdown(river=None))
    assert map_classes(doc, DEFAULT_SCHEME, new_classes=True).scheme.names[-1] == "river"
