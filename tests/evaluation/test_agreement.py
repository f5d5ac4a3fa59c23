import json
import math

import numpy as np
import pytest

from napari_fractoseg.errors import OptionError
from napari_fractoseg.evaluation.agreement import cohens_kappa


def test_kappa_with_its_standard_error_and_interval():
    found = cohens_kappa([[20, 5], [10, 15]])
    assert found.kappa == pytest.approx(0.4)
    assert found.standard_error == pytest.approx(0.126996, abs=5e-7)
    assert (found.low, found.high) == pytest.approx((0.1511, 0.6489), abs=5e-5)
    assert found.agreement == 0.7
    assert found.n == 50


@pytest.mark.parametrize(
    ("counts", "kappa"), [([[45, 15], [25, 15]], 0.130435), ([[25, 35], [5, 35]], 0.259259)]
)
def test_kappa_of_other_tables(counts, kappa):
    assert cohens_kappa(counts).kappa == pytest.approx(kappa, abs=5e-7)


def test_an_interval_never_leaves_what_kappa_can_be():
    found = cohens_kappa([[9, 1], [0, 10]])
    assert found.kappa + 1.96 * found.standard_error > 1
    assert found.low < found.kappa < found.high == 1
    assert "to 1.00" in str(found)


def test_judges_may_change_places_and_unused_classes_count_for_nothing():
    counts = np.array([[20, 5, 1], [10, 15, 2], [0, 3, 4]])
    found = cohens_kappa(counts).to_dict()
    assert cohens_kappa(counts.T).to_dict() == pytest.approx(found)
    assert cohens_kappa(np.pad(counts, (0, 1))).to_dict() == pytest.approx(found)


def test_standard_error_is_the_spread_of_many_samples():
    p = np.array([[0.4, 0.1], [0.2, 0.3]])
    samples = np.random.default_rng(1).multinomial(400, p.ravel(), 400).reshape(-1, 2, 2)
    spread = np.std([cohens_kappa(sample).kappa for sample in samples])
    assert cohens_kappa(400 * p).standard_error == pytest.approx(spread, rel=0.1)


def test_full_agreement_is_one():
    found = cohens_kappa([[7, 0], [0, 3]])
    assert found.kappa == 1
    assert found.standard_error == pytest.approx(0, abs=1e-8)


@pytest.mark.parametrize(
    ("counts", "why"), [([[0, 0], [0, 0]], "no point"), ([[9, 0], [0, 0]], "the same class")]
)
def test_what_has_no_kappa_says_why(counts, why):
    found = cohens_kappa(counts)
    assert math.isnan(found.kappa)
    assert why in str(found)
    assert json.loads(json.dumps(found.to_dict(), allow_nan=False))["kappa"] is None


def test_one_judge_with_a_single_class_agrees_as_chance_would():
    assert cohens_kappa([[5, 0], [5, 0]]).kappa == 0


@pytest.mark.parametrize("counts", [[[1, 2, 3]], [[1, -1], [0, 2]], [[math.nan, 1], [1, 1]], [3]])
def test_other_tables_are_refused(counts):
    with pytest.raises(OptionError, match="no square matrix"):
        cohens_kappa(counts)
