"""What the points say: exact numbers."""

import json
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_fractoseg.audit.agreement import operators_kappa
from napari_fractoseg.audit.plan import plan_points
from napari_fractoseg.audit.points import DESIGNS, PointCount, answer_text
from napari_fractoseg.audit.result import audit_result
from napari_fractoseg.classes import DEFAULT_SCHEME, ClassScheme, FractureClass
from napari_fractoseg.errors import OptionError

I, T, B = DEFAULT_SCHEME.names  # noqa: E741


def told(points, *, design="random", areas=None, scheme=DEFAULT_SCHEME, columns="stratum Ada"):
    """A point count of which each point is (stratum, answer), or as the columns say."""
    titles = columns.split()
    rows = [dict(zip(titles, point, strict=True)) for point in points]
    table = pd.DataFrame({"point": range(1, len(rows) + 1)})
    table["image"] = [row.get("image", "a") for row in rows]
    table["plane"] = [row.get("plane", "") for row in rows]
    table["row_px"] = range(len(rows))
    table["column_px"] = 0
    table["stratum"] = [row["stratum"] for row in rows]
    strata = list(dict.fromkeys(table["stratum"]))
    areas = dict.fromkeys(strata, 1000) if areas is None else areas
    for name in (title for title in titles if title in ("Ada", "Ben")):
        table[f"answer_{name}"] = [answer_text(row[name], scheme) for row in rows]
    return PointCount(table, scheme, design, 0, areas)


def test_the_fraction_by_hand_is_that_of_the_fields_as_of_astm_e562():
    points = []
    for field, hits in enumerate([3, 4.5, 2, 5, 3, 4, 3.5, 2.5, 4, 3]):
        answers = ["i"] * int(hits) + ["i|t"] * (hits % 1 > 0)
        answers += ["t"] * (25 - len(answers))
        points += [(I, answer, f"field {field}") for answer in answers]
    found = audit_result(told(points, columns="stratum Ada image"), "Ada")
    fraction = found.fraction(I, "analysed area")
    assert (fraction.hits, fraction.n_points) == (34.5, 250)
    assert fraction.value == pytest.approx(0.138)
    fields = fraction.fields
    assert (fields.n, fields.unit) == (10, "images")
    assert 100 * fields.s == pytest.approx(3.7059, abs=5e-5)
    assert 100 * fields.half_width == pytest.approx(2.651, abs=5e-4)
    assert fields.relative_accuracy_percent == pytest.approx(19.21, abs=5e-3)
    assert (fraction.low, fraction.high) == pytest.approx((0.11149, 0.16451), abs=1e-5)
    assert found.n_border == 3
    assert "of 10 images, in the manner of ASTM E562" in " ".join(found.caveats)


def test_fields_with_more_points_weigh_more():
    # 5 planes of 10, 20, 10, 20, 40 points, half of them intergranular in each: no spread but 0
    sizes = [10, 20, 10, 20, 40]
    points = [(I, "it"[k % 2], str(f + 1)) for f, n in enumerate(sizes) for k in range(n)]
    points[0] = (I, "i", "1")
    points[1] = (I, "i", "1")
    found = audit_result(told(points, columns="stratum Ada plane"), "Ada").fraction(I)
    assert found.value == 51 / 100
    assert found.fields.unit == "planes"
    z = [0.51 + (y - 0.51 * n) / 20 for y, n in zip([6, 10, 5, 10, 20], sizes, strict=True)]
    assert found.fields.s == pytest.approx(np.std(z, ddof=1))
    assert found.fields.half_width == pytest.approx(2.776 * np.std(z, ddof=1) / 5**0.5, rel=1e-3)


def test_with_few_fields_the_points_say_how_sure_it_is():
    answers = [(I, "i")] * 15 + [(I, "t")] * 35 + [(T, "background")] * 10
    found = audit_result(told(answers), "Ada")
    fraction = found.fraction(I)  # of the area that shows a fracture mode
    assert (fraction.hits, fraction.n_points, fraction.n_judged) == (15, 50, 60)
    assert fraction.fields is None
    assert (fraction.value, fraction.low, fraction.high) == pytest.approx(
        (0.3, 0.19104, 0.43750), abs=5e-6
    )
    assert found.fraction(I, "analysed area").value == 0.25
    assert "within these images only" in " ".join(found.caveats)
    assert str(found).startswith(
        "By hand (Ada): intergranular 30.0 % (95 % interval 19.1 to 43.8 %; 50 points), "
        "transgranular 70.0 % (95 % interval 56.2 to 80.9 %; 50 points) of the projected area that "
        "shows a fracture mode."
    )


def test_fields_that_are_all_alike_have_the_interval_of_the_points():
    points = [(I, "i", str(f)) for f in range(1, 7) for _ in range(5)]
    found = audit_result(told(points, columns="stratum Ada plane"), "Ada").fraction(I)
    assert found.fields is None
    assert (found.value, found.low, found.high) == pytest.approx((1, 30 / (30 + 1.96**2), 1), 1e-4)


OLOFSSON = [[66, 0, 5, 4], [0, 55, 8, 12], [1, 0, 153, 11], [2, 1, 9, 313]]
MAPPED = [200000, 150000, 3200000, 6450000]


def olofsson(design="stratified"):
    names = ("deforestation", "gain", "forest", "other")
    classes = tuple(FractureClass(v, n, f"#00000{v}") for v, n in enumerate(names, start=1))
    points = [
        (names[row], names[column])
        for row in range(4)
        for column in range(4)
        for _ in range(OLOFSSON[row][column])
    ]
    areas = dict(zip(names, MAPPED, strict=True))
    return told(points, design=design, areas=areas, scheme=ClassScheme("land", classes))


def test_corrected_fractions_are_those_of_olofsson_2014():
    found = audit_result(olofsson(), "Ada")
    areas = found.adjusted.areas
    assert [a.value for a in areas] == pytest.approx(
        [0.0235086, 0.0129846, 0.3175221, 0.6459846], abs=5e-8
    )
    assert [a.standard_error for a in areas] == pytest.approx(
        [0.003491, 0.002129, 0.008792, 0.009230], abs=5e-7
    )
    assert found.adjusted.overall.value == pytest.approx(0.9465119, abs=5e-8)
    assert found.confusion.to_numpy().tolist() == OLOFSSON
    assert found.labelled == pytest.approx({"deforestation": 0.02, "gain": 0.015,
                                            "forest": 0.32, "other": 0.645})  # fmt: skip


def test_the_fraction_by_hand_of_a_stratified_plan_is_weighted_by_the_areas():
    found = audit_result(olofsson(), "Ada")
    by_hand = found.fraction("deforestation", "analysed area")
    assert by_hand.value == pytest.approx(0.0235086, abs=5e-8), "not 69 / 640"
    assert (by_hand.low, by_hand.high) == (
        found.adjusted.areas[0].low, found.adjusted.areas[0].high,
    )  # fmt: skip
    assert by_hand.hits == 69
    spread = 0.0235086 * (1 - 0.0235086) / 0.003491**2
    assert by_hand.n_effective == pytest.approx(spread, rel=1e-3)


def test_the_same_points_at_random_are_strata_after_the_fact():
    found = audit_result(olofsson("random"), "Ada")
    assert found.adjusted.areas[0].value == pytest.approx(0.0235086, abs=5e-8)
    assert found.fraction("deforestation", "analysed area").value == 69 / 640


def test_labels_changed_since_keep_the_strata_of_the_plan():
    # half of the intergranular points were relabelled, as the operator sees them
    count = told(
        [(I, "i")] * 6 + [(I, "t")] * 6 + [(T, "t")] * 9 + [(T, "i")] * 3,
        design="stratified",
        areas={I: 3000, T: 1000},
    )
    before = audit_result(count, "Ada")
    now = pd.Series([I] * 6 + [T] * 6 + [T] * 9 + [I] * 3, range(1, 25))
    after = audit_result(count, "Ada", now)
    assert before.adjusted.areas[0].value == after.adjusted.areas[0].value == 0.75 / 2 + 0.25 / 4
    assert before.adjusted.overall.value == pytest.approx(0.75 * 0.5 + 0.25 * 0.75)
    assert after.adjusted.overall.value == 1
    assert before.labelled == {I: 0.75, T: 0.25, B: 0}
    assert after.labelled == pytest.approx({I: 0.4375, T: 0.5625, B: 0})
    assert after.confusion.loc[T, T] == 15
    assert after.agreement.kappa == 1


def test_what_the_labels_say_is_counted_in_all_of_them_as_they_are_now():
    labels = np.repeat([[1, 2]], 30, axis=0).astype(np.uint8).repeat(10, axis=1)
    count = plan_points({"a": labels}, n_points=20, design="random", seed=1)
    for row in count.points.itertuples():
        count = count.answered(row.point, row.stratum, "Ada")
    now = np.ones_like(labels)
    places = count.points["row_px"], count.points["column_px"]
    now[places] = labels[places]  # changed, but at no point
    found = audit_result(count, "Ada", {"a": now})
    assert found.labelled[I] == (now == 1).mean() > 0.9
    assert f"The labels say intergranular {100 * found.labelled[I]:.1f} %" in str(found)
    assert found.adjusted.areas[0].value == 0.5


def test_points_without_a_label_now_are_wrong_but_count():
    labels = np.repeat([[1, 2]], 30, axis=0).astype(np.uint8)
    count = plan_points({"a": labels}, n_points=20, design="random", seed=1)
    for row in count.points.itertuples():
        count = count.answered(row.point, row.stratum, "Ada")
    n_left = int((count.points["column_px"] == 0).sum())
    labels[:, 0] = 0
    found = audit_result(count, "Ada", {"a": labels})
    assert found.confusion.loc["(no label)", I] == n_left
    assert found.adjusted.areas[0].value == pytest.approx(0.5)
    assert found.adjusted.overall.value == pytest.approx(0.5)
    assert found.agreement.n == 20 - n_left
    assert f"{n_left} points have no label any more" in " ".join(found.caveats)
    assert found.labelled[I] == 0


@pytest.mark.parametrize("who", ["labels", "operators"])
def test_kappa_of_labels_and_of_operators(who):
    cells = [(I, "i", 20), (I, "t", 5), (T, "i", 10), (T, "t", 15)]
    points = [(I, one, two) for one, two, n in cells for _ in range(n)]
    count = told(points, columns="stratum Ada Ben", design="grid", areas={I: 500, T: 500})
    if who == "operators":
        found = operators_kappa(count, "Ada", "Ben")
    else:
        now = pd.Series([one for _, one, _ in points], range(1, 51))
        found = audit_result(count, "Ben", now).agreement
    assert found.kappa == pytest.approx(0.4)
    assert found.standard_error == pytest.approx(0.126996, abs=5e-7)
    assert (found.low, found.high) == pytest.approx((0.1511, 0.6489), abs=5e-5)


def test_on_a_border_judges_agree_as_far_as_they_name_the_same():
    answers = [("i|t", "i|t"), ("i|t", "i"), ("i|t", "t|background"), ("t", "?"), ("i", "")]
    count = told([(I, *pair) for pair in answers], columns="stratum Ada Ben")
    found = operators_kappa(count, "Ada", "Ben")
    assert found.n == 3
    assert found.agreement == pytest.approx((1 + 0.5 + 0.5) / 3)


def test_kappa_of_a_stratified_plan_is_of_the_area():
    points = [(I, "i")] * 9 + [(I, "t")] + [(T, "t")] * 5 + [(T, "i")] * 5
    areas = {I: 9000, T: 1000}
    found = audit_result(told(points, design="stratified", areas=areas), "Ada").agreement
    assert found.agreement == pytest.approx(0.9 * 0.9 + 0.1 * 0.5), "not 14 / 20"
    expected = 0.9 * (0.81 + 0.05) + 0.1 * (0.09 + 0.05)
    assert found.kappa == pytest.approx((0.86 - expected) / (1 - expected))
    assert found.n == 20


def test_points_that_nobody_can_tell_are_left_out_and_said():
    found = audit_result(told([(I, "i")] * 3 + [(I, "t")] + [(I, "?")] * 2 + [(I, "")]), "Ada")
    assert (found.n_points, found.n_answered, found.n_cant_tell, found.n_judged) == (7, 6, 2, 4)
    assert found.fraction(I).value == 0.75
    text = " ".join(found.caveats)
    assert "2 of 6 points could not be told" in text
    assert "6 of 7 points are answered, a random part of them" in text


def test_points_needed_for_a_half_width():
    half = [(I, "i")] * 30 + [(I, "t")] * 30
    found = audit_result(told(half), "Ada")
    n = found.points_needed(0.05)  # (z / 0.1)² - z² of Wilson's interval at a half
    assert n == math.ceil((1.959964 / 0.1) ** 2 - 1.959964**2) == 381
    assert found.points_needed(0.2) < 60
    more = half + [(I, "background")] * 60 + [(I, "?")] * 40
    assert audit_result(told(more), "Ada").points_needed(0.05) == math.ceil(761 * 160 / 120)
    for wrong in (0, 0.5, 5):
        with pytest.raises(OptionError, match=r"Use 0\.05 for 5 percentage points"):
            found.points_needed(wrong)


def test_points_needed_in_strata_are_fewer_where_the_labels_are_right():
    points = [(I, "i")] * 28 + [(I, "t")] * 2 + [(T, "t")] * 28 + [(T, "i")] * 2
    found = {
        design: audit_result(told(points, design=design), "Ada").points_needed(0.05)
        for design in ("stratified", "random")
    }
    assert found["random"] == 381
    assert found["stratified"] == pytest.approx(381 * 4 * (28 * 2 / 900) * 30 / 29, rel=0.05)


def test_nothing_is_known_before_the_first_answer():
    found = audit_result(told([(I, ""), (T, "?")], design="stratified"), "Ada")
    assert str(found) == "By hand (Ada): not known yet; 0 points are told."
    assert found.points_needed(0.05) is None
    assert found.adjusted is None
    assert found.agreement.n == 0
    assert json.loads(json.dumps(found.to_dict()))["manual"][0]["value"] is None
    assert found.table()["by_hand"].isna().all()


def test_a_stratified_plan_says_nothing_until_each_class_has_an_answer():
    found = audit_result(told([(I, "i")] * 5 + [(T, "")] * 5, design="stratified"), "Ada")
    assert math.isnan(found.fraction(I).value)
    assert found.adjusted is None
    assert "no point of transgranular is told" in " ".join(found.caveats)
    assert found.points_needed(0.05) is None


def test_rare_classes_without_points_on_a_grid_are_taken_with_another():
    points = [(I, "i")] * 8 + [(I, "t")] * 2 + [(T, "t")] * 3 + [(T, "i")]
    areas = {I: 6000, T: 3000, B: 1000}
    found = audit_result(told(points, design="grid", areas=areas), "Ada")
    # background has no point: it counts as part of transgranular, which has the fewest
    assert found.adjusted.areas[0].value == pytest.approx(0.6 * 0.8 + 0.4 * 0.25)
    assert "background, transgranular: they are corrected as one" in " ".join(found.caveats)
    assert found.labelled[B] == 0.1


def test_areas_that_are_left_out_and_other_images_are_said():
    labels = np.ones((10, 20), np.uint8)
    labels[:, :5] = 0
    count = plan_points({"a": labels}, n_points=10, design="random", exclude=np.eye(10, 20))
    found = audit_result(count, "Ada", {"a": labels, "b": labels})
    text = " ".join(found.caveats)
    assert "5.0 % of the area was excluded, and has no points." in text
    assert "22.5 % of the area had no label, and has no points." in text
    assert "The points were drawn from 200 pixels, the labels have 400" in text


def test_a_scheme_without_fracture_modes_is_counted():
    pore = FractureClass(1, "pore", "#ff0000", is_fracture_mode=False)
    rest = FractureClass(2, "rest", "#00ff00", is_fracture_mode=False)
    scheme = ClassScheme("s", (pore, rest))
    found = audit_result(told([("pore", "pore"), ("rest", "pore")], scheme=scheme), "Ada")
    assert found.mode_fractions == ()
    assert "pore 100.0 %" in str(found)
    assert found.points_needed(0.1) > 2


def test_the_table_and_the_json_have_all_figures():
    found = audit_result(olofsson(), "Ada")
    table = found.table()
    assert table["by_labels"].tolist()[:4] == pytest.approx([0.02, 0.015, 0.32, 0.645])
    assert table["corrected"].tolist()[:4] == pytest.approx([a.value for a in found.adjusted.areas])
    figures = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert figures["sentence"] == str(found)
    assert figures["confusion"]["points"] == OLOFSSON
    assert figures["manual"][0]["hits"] == 69
    with pytest.raises(OptionError, match="no fraction of 'river'"):
        found.fraction("river")


answers = st.sampled_from(["i", "t", "background", "i|t", "t|background", "?", ""])
strata = st.sampled_from([I, T, B])
planes = st.sampled_from("1234567")


@settings(max_examples=15, deadline=None)
@given(
    st.lists(st.tuples(strata, answers, answers, planes), min_size=1, max_size=25),
    st.sampled_from(DESIGNS),
    st.data(),
)
def test_whatever_is_answered_the_numbers_fit_together(points, design, data):
    sizes = data.draw(st.lists(st.integers(1, 10**6), min_size=3, max_size=3))
    present = {stratum for stratum, *_ in points}
    areas = {n: px for n, px in zip((I, T, B), sizes, strict=True) if n in present or px % 2}
    count = told(points, columns="stratum Ada Ben plane", design=design, areas=areas)
    n = len(points)
    names = data.draw(st.lists(st.sampled_from([I, T, B, ""]), min_size=n, max_size=n))
    now = pd.Series(names, range(1, n + 1))
    for labels in (None, now):
        found = audit_result(count, "Ada", labels)
        whole = [f for f in found.manual if f.of == "analysed area"]
        assert math.isnan(whole[0].value) or sum(f.value for f in whole) == pytest.approx(1)
        for each in found.manual:
            assert math.isnan(each.value) or 0 <= each.low <= each.value <= each.high <= 1
        if found.adjusted is not None:
            assert sum(a.value for a in found.adjusted.areas) == pytest.approx(1)
            assert found.confusion.to_numpy().sum() == found.n_judged
        json.dumps(found.to_dict(), allow_nan=False)
        needed = found.points_needed(0.1)
        assert needed is None or needed > 0
    one, two = (operators_kappa(count, *pair) for pair in (("Ada", "Ben"), ("Ben", "Ada")))
    assert one.to_dict() == pytest.approx(two.to_dict(), nan_ok=True)
