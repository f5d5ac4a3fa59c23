"""What is said of images that look unlike what a model learnt."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from napari_fractoseg.classes import DEFAULT_SCHEME
from napari_fractoseg.results.familiar import Familiar, map_of, record_entries, unlike_text
from napari_fractoseg.results.record import LabelRecord


def familiar(scores, limit=0.9):
    return Familiar(np.array(scores, float), limit)


def test_a_familiar_surface_needs_no_sentence():
    assert familiar([[0.5, 0.9]]).sentence == ""
    assert unlike_text({(): familiar([[0.5]])}) == ""


def test_a_surface_that_is_not_known():
    assert familiar([[3.1, 3.1]]).sentence == (
        "This surface looks unlike what the model learnt (3.1; images of its kind: up to 0.9). "
        "Check some points, or paint and train."
    )


def test_score_and_limit_never_read_alike():
    assert "(0.92; images of its kind: up to 0.90)" in familiar([[0.92]]).sentence


@pytest.mark.parametrize(
    ("place", "where"),
    [
        ((0, 0), "upper left"),
        ((2, 2), "lower right"),
        ((slice(None), 0), "left"),
        ((0, slice(None)), "upper"),
        ((1, 1), "middle"),
    ],
)
def test_a_part_is_named_by_size_and_place(place, where):
    scores = np.full((3, 3), 0.5)
    scores[place] = 1.3
    found = familiar(scores)
    share = 100 * (scores > 1).mean()
    assert f"A part of it (about {share:.0f} %, {where}) looks unlike" in found.sentence
    assert "(1.3; images of its kind: up to 0.9)" in found.sentence


def test_next_to_nothing_is_not_worth_a_sentence():
    scores = np.full((8, 8), 0.5)
    scores[0, 0] = 2.0
    assert familiar(scores).sentence == ""


def test_most_of_it_is_all_of_it():
    assert familiar([[1.0, 1.0, 0.1]]).sentence.startswith("This surface")


distances = st.floats(0.01, 9) | st.sampled_from([0.9, 0.9001, 0.8999, 0.90000001])


@given(
    arrays(float, array_shapes(min_dims=2, max_dims=2, max_side=7), elements=distances)
    | arrays(float, (1, 1), elements=distances),
    st.floats(0.02, 5) | st.just(0.9),
)
def test_what_is_said_and_the_number_told_agree(scores, limit):
    found = Familiar(scores, limit)
    is_said = found.sentence != ""
    assert (found.score > limit) == is_said
    told = found.to_dict()
    assert (told["score"] > told["limit"]) == is_said
    entries = record_entries({(): found})
    assert (entries["familiarity"] > entries["familiarity_limit"]) == is_said
    assert replace(LabelRecord("m", "", "s17", DEFAULT_SCHEME), **entries).is_unlike == is_said
    if is_said:
        score, limit_told = found.figures.split("; images of its kind: up to ")
        assert float(score) > float(limit_told)


def test_what_is_excluded_is_neither_told_nor_counted():
    found = familiar([[np.nan, 0.5], [0.5, 1.5]])
    assert found.part_text == "about 33 %, lower right"
    assert json.loads(json.dumps(found.to_dict()))["scores"] == [[None, 0.5], [0.5, 1.5]]
    assert map_of({(): found}).tolist() == [[0, 0.5], [0.5, 1.5]]
    assert familiar([[np.nan, 0.5]]).score == 0.5


class TestStacks:
    def test_one_plane_is_named(self):
        found = {(z,): familiar([[0.4 if z != 3 else 2.0]]) for z in range(5)}
        assert unlike_text(found, (5,)).startswith("Plane 4 looks unlike what the model learnt (2.")

    def test_a_part_of_one_plane(self):
        found = {(0,): familiar([[0.4, 2.0, 0.4, 0.4]])}
        text = unlike_text(found, (5,))
        assert text.startswith("A part of plane 1 (about 25 %, left) looks unlike")

    def test_many_planes_are_counted(self):
        found = {(z,): familiar([[3.0]]) for z in range(20)}
        text = unlike_text(found, (20,))
        assert text.startswith("20 of 20 planes look unlike what the model learnt (up to 3.0;")
        assert "planes 1, 2, 3, 4, 5, 6, 7, 8, 12 more." in text

    def test_a_record_keeps_the_farthest(self):
        found = {(0,): familiar([[0.4]]), (1,): familiar([[3.0]])}
        entries = record_entries(found, (2,))
        assert (entries["familiarity"], entries["familiarity_limit"]) == (3.0, 0.9)
        assert entries["unlike"].startswith("Plane 2 looks unlike")
        assert record_entries({}, untold="Nobody knows.") == {"untold": "Nobody knows."}

    def test_maps_of_other_sizes_share_one(self):
        found = {(1,): familiar([[1, 2], [3, 4]]), (2,): familiar([[5]])}
        expected = [[[0, 0], [0, 0]], [[1, 2], [3, 4]], [[5, 5], [5, 5]]]
        assert map_of(found, (3,)).tolist() == expected
