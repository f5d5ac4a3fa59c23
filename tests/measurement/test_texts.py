import numpy as np
import pytest

from napari_fractoseg.classes import DEFAULT_SCHEME, ClassScheme, FractureClass
from napari_fractoseg.files import file_sha256
from napari_fractoseg.measurement import class_fractions
from napari_fractoseg.measurement.texts import (
    FractionError,
    MeasuredPlanes,
    error_of_model,
    familiarity_caveats,
    fraction_error,
    fractions_text,
    labels_error,
    plane_title,
    stack_title,
)
from napari_fractoseg.models.card import ModelCard
from napari_fractoseg.models.registry import bundled_folder
from napari_fractoseg.results.familiar import untold_text
from napari_fractoseg.results.record import LabelRecord, Origin

SEVERAL_POINTS = FractionError(0.1342, "on unseen images")


def table(intergranular, transgranular, background=0, unlabelled=0, scheme=DEFAULT_SCHEME):
    n_px = (unlabelled, intergranular, transgranular, background)
    return class_fractions(np.repeat(np.arange(4, dtype=np.uint8), n_px), scheme)


def lines(*arguments, **options):
    return fractions_text(*arguments, **options).replace("\u00a0", " ").splitlines()


def card(**metrics):
    return ModelCard("a", DEFAULT_SCHEME, "Unet", "resnet18", metrics=metrics)


def test_what_a_model_gave_has_the_digits_that_its_error_allows():
    measured = MeasuredPlanes(table(569, 431, 200, 66))
    assert lines(measured, SEVERAL_POINTS) == [
        "Intergranular 57 %   Transgranular 43 %",
        "of the 79 % that show a fracture mode",
        "Model's error on unseen images: ± 13 points",
    ]
    assert lines(measured, FractionError(0.004, "on held-out pixels")) == [
        "Intergranular 56.9 %   Transgranular 43.1 %",
        "of the 79 % that show a fracture mode",
        "Model's error on held-out pixels: ± 0.4 points",
    ]


def test_a_model_that_nobody_checked_gets_no_decimals_and_that_is_said():
    unknown = fraction_error(card())
    assert lines(MeasuredPlanes(table(569, 431)), unknown) == [
        "Intergranular 57 %   Transgranular 43 %",
        "of the 100 % that show a fracture mode",
        "The model's error is not known: it was not checked against annotations.",
    ]


def test_labels_of_a_person_are_as_exact_as_they_are_counted():
    assert (
        lines(MeasuredPlanes(table(569, 431)))[0] == "Intergranular 56.9 %   Transgranular 43.1 %"
    )


def test_model_and_correction_are_told_apart():
    corrected = MeasuredPlanes(table(470, 530), table(569, 431))
    assert lines(corrected, SEVERAL_POINTS)[:2] == [
        "Intergranular: model 57 % → corrected 47 %",
        "Transgranular: model 43 % → corrected 53 %",
    ]
    exactly = lines(corrected, FractionError(0.004, "on held-out pixels"))
    assert exactly[0] == "Intergranular: model 56.9 % → corrected 47.0 %"


def test_a_change_that_the_digits_hide_is_told():
    assert lines(MeasuredPlanes(table(566, 434), table(569, 431)), SEVERAL_POINTS)[:2] == [
        "Intergranular: model 57 % → corrected 57 % (\u22120.3)",
        "Transgranular: model 43 % → corrected 43 % (+0.3)",
    ]


def test_a_class_that_was_not_touched_has_one_figure():
    measured = MeasuredPlanes(table(569, 431, 10), table(569, 431, 90))
    assert lines(measured, SEVERAL_POINTS)[0] == "Intergranular 57 %   Transgranular 43 %"


@pytest.mark.parametrize(
    ("areas", "text"),
    [
        ((1, 999), "Intergranular < 1 %   Transgranular > 99 %"),
        ((0, 9), "Intergranular 0 %   Transgranular 100 %"),
        ((5, 995), "Intergranular < 1 %   Transgranular > 99 %"),
        ((6, 994), "Intergranular 1 %   Transgranular 99 %"),
    ],
)
def test_a_little_is_not_nothing_and_most_is_not_all(areas, text):
    assert lines(MeasuredPlanes(table(*areas)), SEVERAL_POINTS)[0] == text


def test_planes_without_a_fracture_mode_say_so():
    assert lines(MeasuredPlanes(table(0, 0, 5))) == ["No intergranular or transgranular area."]
    assert lines(MeasuredPlanes(table(0, 0, 0, 5))) == ["Nothing is labelled here yet."]


def test_a_mode_that_the_model_found_nowhere():
    found = MeasuredPlanes(table(5, 5), table(0, 0, 10))
    assert lines(found)[0] == "Intergranular: model none → corrected 50.0 %"


def test_the_plane_and_its_stack():
    plane, stack = MeasuredPlanes(table(9, 1)), MeasuredPlanes(table(6, 4), table(7, 3))
    assert lines(
        plane, SEVERAL_POINTS, title="Plane 3 of 34", stack=stack, stack_title="All 34 planes"
    ) == [
        "Plane 3 of 34:",
        "Intergranular 90 %   Transgranular 10 %",
        "of the 100 % that show a fracture mode",
        "All 34 planes: intergranular 70 % → 60 %, transgranular 30 % → 40 %",
        "Model's error on unseen images: ± 13 points",
    ]


def test_names_of_planes_and_stacks():
    assert plane_title((1, 2), (2, 3, 9, 9)) == "Plane 6 of 6"
    assert plane_title((0,), (1, 9, 9)) == plane_title((), (9, 9)) == ""
    assert plane_title((1, 2), (2, 3, 9, 9), "z") == "z, plane 6 of 6"
    assert plane_title((), (9, 9), "z") == "z"
    assert stack_title(34, 34) == "All 34 planes"
    assert stack_title(1, 34) == "1 labelled plane of 34"
    assert stack_title(2, 34) == "2 labelled planes of 34"


def test_names_of_others_stay_as_they_are():
    scheme = ClassScheme("own", (FractureClass(1, "Zr <b>", "#ff0000"),))
    measured = MeasuredPlanes(class_fractions(np.ones(4, np.uint8), scheme))
    assert lines(measured)[0] == "Zr <b> 100.0 %"


# ---- the error on a model's card -------------------------------------------------------------


def test_the_bundled_model_has_the_larger_error_of_its_references():
    bundled = ModelCard.read(bundled_folder() / "fracture-modes")
    error = fraction_error(bundled)
    means = [
        bundled.metrics["cross_validation"][reference]["mean"]["fraction_error"]
        for reference in ("published", "polygons")
    ]
    assert error == FractionError(max(means), "on unseen images")


def test_the_error_is_that_of_the_model_by_its_weights_not_by_its_name_alone(tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    own = card(validation={"fraction_error": 0.02})
    (folder / "card.json").write_text(own.to_json())
    weights = folder / "model.safetensors"
    weights.write_bytes(b"first")
    first = file_sha256(weights)
    assert error_of_model(str(folder), first) == error_of_model(str(folder))
    assert error_of_model(str(folder), first).error == 0.02
    weights.write_bytes(b"another model of this name")
    other = error_of_model(str(folder), first)
    assert other.error is None
    assert "with other weights" in str(other)


def test_an_own_model_has_that_of_its_held_out_pixels():
    own = card(validation={"fraction_error": 0.081})
    assert str(fraction_error(own)).replace("\u00a0", " ") == (
        "Model's error on held-out pixels: ± 8 points"
    )


@pytest.mark.parametrize("figure", [None, "0.1", float("nan"), -0.1, 1.5, True, [0.1], {}])
def test_figures_of_another_kind_are_passed_over(figure):
    odd = card(
        cross_validation={"method": "?", "a": {"mean": {"fraction_error": figure}}, "b": 3},
        validation={"fraction_error": figure},
    )
    assert fraction_error(odd).error is None


@pytest.mark.parametrize(
    ("unlike", "is_known"), [("", True), ("A part of it (about 20 %, left) looks unlike.", False)]
)
def test_the_figures_of_a_model_say_nothing_of_what_looks_unlike_its_images(unlike, is_known):
    record = LabelRecord(
        "m", "", "s17", DEFAULT_SCHEME, model="default", familiarity=1.39,
        familiarity_limit=1.4, unlike=unlike,
    )  # fmt: skip
    error = labels_error([(record, Origin.PREDICTION)])
    assert (error.error is not None) == is_known
    if not is_known:
        assert "it was measured on other surfaces than this one" in str(error)


def test_images_of_which_nothing_is_known_are_named():
    def record(name, **told):
        return LabelRecord("m", "", name, DEFAULT_SCHEME, **told)

    why = untold_text("the image is too small")
    small = [record(name, untold=why) for name in ("a", "b")]
    assert familiarity_caveats([record("s17")]) == ()
    assert familiarity_caveats(small[:1]) == (why,)
    assert familiarity_caveats([small[0], record("s17")]) == (f"a: {why}",)
    assert familiarity_caveats([*small, record("c", unlike="It looks unlike."), None]) == (
        "c: It looks unlike.",
        "Of 2 of 4 images it is not known whether they look like what the model learnt: a, b. "
        "Check some points.",
    )
