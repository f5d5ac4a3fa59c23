import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from napari_fractoseg.errors import OptionError
from napari_fractoseg.evaluation.adjusted_areas import adjusted_areas, adjusted_areas_of_points

# Olofsson et al. 2014, table 8: rows are the map; pixels of 30 m
CONFUSION = [[66, 0, 5, 4], [0, 55, 8, 12], [1, 0, 153, 11], [2, 1, 9, 313]]
MAPPED_PX = [200_000, 150_000, 3_200_000, 6_450_000]
HECTARES = 10_000_000 * 0.09
PAPER = adjusted_areas(CONFUSION, MAPPED_PX)

# Olofsson et al. 2013, example 1
EARLIER = adjusted_areas([[97, 0, 3], [3, 279, 18], [2, 1, 97]], [22353, 1122543, 610228])


def of(proportions, figure="value"):
    return [getattr(proportion, figure) for proportion in proportions]


def test_areas_of_olofsson_2014():
    assert of(PAPER.areas) == pytest.approx([0.0235086, 0.0129846, 0.3175221, 0.6459846], abs=5e-8)
    assert of(PAPER.areas, "standard_error") == pytest.approx(
        [0.003491, 0.002129, 0.008792, 0.009230], abs=5e-7
    )
    hectares = [HECTARES * area for area in of(PAPER.areas)]
    assert hectares == pytest.approx([21157.76, 11686.15, 285769.93, 581386.15], abs=6e-3)
    half = [HECTARES * width for width in of(PAPER.areas, "half_width")]
    assert half == pytest.approx([6157.5, 3755.8, 15509.6, 16281.4], abs=0.3)


def test_accuracies_of_olofsson_2014():
    assert of(PAPER.users) == pytest.approx([0.88, 0.733333, 0.927273, 0.963077], abs=5e-7)
    half = of(PAPER.users, "half_width")
    assert half == pytest.approx([0.0740, 0.1008, 0.0397, 0.0205], abs=5e-5)
    producers = [0.748661, 0.847156, 0.934509, 0.961609]
    assert of(PAPER.producers) == pytest.approx(producers, abs=5e-7)
    assert PAPER.overall.value == pytest.approx(0.9465119, abs=5e-8)
    assert PAPER.overall.half_width == pytest.approx(0.0184833, abs=5e-7)


def test_areas_of_olofsson_2013():
    areas = [EARLIER.total_px * area for area in of(EARLIER.areas)]
    assert areas == pytest.approx([45112.40, 1050067.27, 659944.33], abs=6e-3)
    errors = [EARLIER.total_px * error for error in of(EARLIER.areas, "standard_error")]
    assert errors == pytest.approx([10751.40, 17652.04, 18635.86], abs=6e-3)
    assert EARLIER.overall.value == pytest.approx(0.944417, abs=5e-7)
    assert EARLIER.overall.half_width == pytest.approx(0.021882, abs=1e-6)


def stehman():
    """The 40 points of Stehman 2014, table 2."""
    strata = "A" * 10 + "B" * 10 + "C" * 10 + "D" * 10
    labels = "A" * 7 + "BBB" + "A" + "B" * 11 + "C" * 6 + "BB" + "D" * 10
    references = "AAAAACBABC" + "ABBBBBAABB" + "CCCCCDDBBA" + "DDDDDDDCCB"
    sizes = {"A": 40_000, "B": 30_000, "C": 20_000, "D": 10_000}
    return adjusted_areas_of_points(strata, labels, references, sizes)


def test_points_of_stehman_2014_whose_strata_are_not_the_labels():
    found = stehman()
    assert found.areas[0].value == pytest.approx(0.35)
    assert found.areas[2].value == pytest.approx(0.20)
    assert found.overall.value == pytest.approx(0.63)
    assert found.users[1].value == pytest.approx(0.574, abs=5e-4)
    assert found.producers[1].value == pytest.approx(0.794, abs=5e-4)
    assert found.matrix[1, 2] == pytest.approx(0.08)
    assert found.areas[0].standard_error == pytest.approx(0.082, abs=5e-4)
    assert found.areas[2].standard_error == pytest.approx(0.064, abs=5e-4)
    assert found.overall.standard_error == pytest.approx(0.085, abs=5e-4)
    assert found.users[1].standard_error == pytest.approx(0.125, abs=5e-4)
    assert found.producers[1].standard_error == pytest.approx(0.116, abs=1e-3)


MATRIX = hnp.arrays(np.int64, (3, 3), elements=st.integers(0, 9)).filter(
    lambda found: (found.sum(axis=1) > 1).all()
)


def by_the_paper(n, area):
    """Areas and standard errors as written in Olofsson et al. 2014, eqs. 9-10 and 5-7."""
    weight, rows = area / area.sum(), n.sum(axis=1)
    p = weight[:, None] * n / rows[:, None]
    spread = (weight[:, None] * p - p**2) / (rows[:, None] - 1)
    users = np.diag(n) / rows
    return {
        "areas": (p.sum(axis=0), np.sqrt(np.maximum(spread.sum(axis=0), 0))),
        "users": (users, np.sqrt(users * (1 - users) / (rows - 1))),
        "producers": (np.diag(p) / p.sum(axis=0), _producers_error(n, area)),
    }


def _producers_error(n, area):
    rows, users, errors = n.sum(axis=1), np.diag(n) / n.sum(axis=1), []
    for j in range(len(n)):
        total = sum(area[i] * n[i, j] / rows[i] for i in range(len(n)))
        producer = area[j] * users[j] / total
        own = area[j] ** 2 * (1 - producer) ** 2 * users[j] * (1 - users[j]) / (rows[j] - 1)
        q = n[:, j] / rows
        rest = sum(
            area[i] ** 2 * q[i] * (1 - q[i]) / (rows[i] - 1) for i in range(len(n)) if i != j
        )
        errors.append(math.sqrt((own + producer**2 * rest) / total**2))
    return errors


@given(MATRIX.filter(lambda found: (found.sum(axis=0) > 0).all()))
def test_formulas_are_those_of_the_paper(n):
    area = np.array([100.0, 900.0, 4000.0])
    found = adjusted_areas(n, area)
    for what, (values, errors) in by_the_paper(n, area).items():
        np.testing.assert_allclose(of(getattr(found, what)), values, atol=1e-12)
        np.testing.assert_allclose(
            of(getattr(found, what), "standard_error"), errors, atol=1e-7, err_msg=what
        )


@given(MATRIX)
def test_strata_that_are_the_labels_give_the_same_by_both_estimators(n):
    area = {"a": 100, "b": 900, "c": 4000}
    points = [("abc"[i], "abc"[j]) for i in range(3) for j in range(3) for _ in range(n[i, j])]
    labels, references = zip(*points, strict=True)
    stehman = adjusted_areas_of_points(labels, labels, references, area, "abc")
    olofsson = adjusted_areas(n, list(area.values()), list("abc"))
    assert stehman.to_dict() == olofsson.to_dict()


@given(MATRIX)
def test_intervals_hold_the_estimate_and_stay_within_bounds(n):
    found = adjusted_areas(n, [100, 900, 4000])
    for one in (*found.areas, *found.of_modes, *found.users, *found.producers, found.overall):
        assert math.isnan(one.value) or 0 <= one.low <= one.value <= one.high <= 1
    assert sum(of(found.areas)) == pytest.approx(1)


def test_without_an_error_among_the_points_the_interval_still_has_a_width():
    found = adjusted_areas([[20, 0], [0, 20]], [500, 500])
    assert found.areas[0].standard_error == 0
    assert found.areas[0].low < 0.45
    assert found.areas[0].high > 0.55
    assert found.overall.low < 0.95
    assert found.users[0].low < 0.9


def test_a_label_without_area_and_points_counts_for_nothing():
    found = adjusted_areas([[18, 2, 0], [3, 27, 0], [0, 0, 0]], [300, 700, 0])
    two = adjusted_areas([[18, 2], [3, 27]], [300, 700])
    assert of(found.areas) == pytest.approx([*of(two.areas), 0])
    assert math.isnan(found.users[2].value)
    assert found.to_dict()["users"]["class 3"]["value"] is None
    assert found.notes == ()


def test_one_point_in_a_stratum_has_no_standard_error_and_it_is_said():
    found = adjusted_areas([[1, 0], [3, 27]], [300, 700], ["inter", "trans"])
    assert found.areas[0].value == pytest.approx(0.3 + 0.07)
    assert math.isnan(found.areas[0].standard_error)
    assert found.notes[0].startswith("No standard errors: only one point was checked in inter")
    assert found.to_dict()["areas"]["inter"]["standard_error"] is None


@pytest.mark.parametrize(
    ("confusion", "mapped", "text"),
    [
        ([[5, 1]], [10], "as many rows as columns"),
        ([[5, 1], [1, 5]], [10], "2 classes, there are 1 mapped areas"),
        ([[5, 1], [0, 0]], [10, 20], "No point was checked in class 2, which have area"),
        ([[5, 1], [1, 5]], [10, 0], "class 2, which have no area.*adjusted_areas_of_points"),
        ([[5, -1], [1, 5]], [10, 20], "0 or more"),
        ([[5, 1], [1, 5]], [math.nan, 20], "0 or more"),
        ([[0, 0], [0, 0]], [0, 0], "No label has any area"),
    ],
)
def test_numbers_that_do_not_fit_together_are_refused(confusion, mapped, text):
    with pytest.raises(OptionError, match=text):
        adjusted_areas(confusion, mapped)


def test_points_of_unknown_strata_and_classes_are_refused():
    with pytest.raises(OptionError, match="strata without an area: C. The strata are A"):
        adjusted_areas_of_points("AC", "ii", "ii", {"A": 5})
    with pytest.raises(OptionError, match="not asked for: b"):
        adjusted_areas_of_points("AA", "ii", "ib", {"A": 5}, ["i", "t"])


def test_results_are_json_a_table_and_a_sentence():
    found = adjusted_areas([[45, 5], [5, 95]], [3000, 7000], ["inter", "trans"])
    assert json.loads(json.dumps(found.to_dict(), allow_nan=False))["mapped"][
        "inter"
    ] == pytest.approx(0.3)
    table = found.table()
    assert table["mapped_fraction"].tolist() == pytest.approx([0.3, 0.7])
    assert table["area_fraction"].tolist() == pytest.approx([0.305, 0.695])
    assert {"area_fraction_low", "users_accuracy", "producers_accuracy_high"} <= set(table)
    assert str(found).startswith("inter 30.5 % (95 % interval ")
    assert "corrected by 150 checked points, overall accuracy 93.5 %" in str(found)


def test_fraction_of_the_modes_leaves_background_out():
    confusion = [[40, 5, 5], [10, 70, 20], [0, 5, 45]]
    names = ["inter", "trans", "background"]
    found = adjusted_areas(confusion, [200, 500, 300], names, modes=names[:2])
    inter, trans = of(found.areas)[:2]
    assert of(found.of_modes)[:2] == pytest.approx(
        [inter / (inter + trans), trans / (inter + trans)]
    )
    assert math.isnan(found.of_modes[2].value)
    assert found.of_modes[0].standard_error == pytest.approx(found.of_modes[1].standard_error)
    assert found.of_modes[0].low == pytest.approx(1 - found.of_modes[1].high)
    with pytest.raises(OptionError, match="cleavage are not among the classes inter, trans"):
        adjusted_areas(confusion, [200, 500, 300], names, modes=["cleavage"])


@given(MATRIX)
def test_where_all_classes_are_modes_their_fractions_are_the_areas(n):
    found = adjusted_areas(n, [100, 900, 4000])
    for area, share in zip(found.areas, found.of_modes, strict=True):
        np.testing.assert_allclose(
            list(area.to_dict().values()), list(share.to_dict().values()), atol=1e-7
        )


def test_users_accuracy_of_labels_that_are_the_strata_has_the_interval_of_wilson():
    found = adjusted_areas([[8, 2], [35, 15]], [300, 700])
    assert (found.users[0].low, found.users[0].high) == pytest.approx((0.49016, 0.94332), abs=5e-6)
    assert (found.users[1].low, found.users[1].high) == pytest.approx((0.19104, 0.43750), abs=5e-6)


def test_a_point_on_a_border_counts_half_for_each_class():
    found = adjusted_areas_of_points(
        "AAAABBB", "iiiittt", "iiittti", {"A": 300, "B": 700}, weights=[1, 1, 0.5, 0.5, 1, 1, 1]
    )
    halves = adjusted_areas([[2.5, 0.5], [1, 2]], [300, 700], ["i", "t"])
    assert found.to_dict() == halves.to_dict()
    assert found.areas[0].value == pytest.approx(0.3 * 2.5 / 3 + 0.7 / 3)
    assert found.n_points == 6


@pytest.mark.slow
@pytest.mark.parametrize(
    ("weights", "true", "n"),
    [
        ((0.3, 0.7), (0.85, 0.1), (100, 200)),
        ((0.025, 0.975), (0.7, 0.0025), (50, 150)),
        ((0.02, 0.98), (0.8, 0.005), (100, 400)),
    ],
)
def test_the_interval_that_is_shown_holds_the_truth_as_often_as_it_says(weights, true, n):
    """Of each label a part is truly of the first class."""
    rng = np.random.default_rng(0)
    truth = float(np.dot(weights, true))
    held = 0
    for hits in rng.binomial(n, true, (1000, 2)):
        area = adjusted_areas(np.column_stack([hits, n - hits]), weights).areas[0]
        held += area.low <= truth <= area.high
    assert 930 <= held <= 970
