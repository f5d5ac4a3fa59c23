import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import distance_transform_cdt

from napari_fractoseg.datasets.dataset import TrainingPair, TrainingSet
from napari_fractoseg.errors import TrainingError
from napari_fractoseg.images import Micrograph
from napari_fractoseg.training.data.split import split_training_set


def pair(seed, labels=None, group="", shape=(120, 150)):
    rng = np.random.default_rng(seed)
    if labels is None:
        labels = np.ones(shape, np.uint8)
        labels[:, shape[1] // 2 :] = 2
    return TrainingPair(
        Micrograph(rng.integers(0, 255, labels.shape), name=f"i{seed}"), labels, group=group
    )


def strokes(seed, n=12, shape=(120, 150)):
    """A labels array with short strokes of two classes."""
    rng = np.random.default_rng(seed)
    labels = np.zeros(shape, np.uint8)
    for number in range(n):
        row, column = rng.integers(0, shape[0] - 6), rng.integers(0, shape[1] - 12)
        labels[row : row + 6, column : column + 12] = 1 + number % 2
    return labels


@pytest.mark.slow
@given(
    seeds=st.lists(st.integers(0, 50), min_size=1, max_size=3, unique=True),
    gap=st.integers(0, 40),
    part=st.floats(0.05, 0.5),
    dense=st.booleans(),
)
def test_blocks_never_leak(seeds, gap, part, dense):
    pairs = tuple(pair(s, None if dense else strokes(s)) for s in seeds)
    split = split_training_set(TrainingSet(pairs), "blocks", held_out=part, gap_px=gap)
    if split.validation is None:
        assert split.learn.pairs == pairs
        assert split.notes
        return
    learn = {p.image_digest: p.labels for p in split.learn.pairs}
    check = {p.image_digest: p.labels for p in split.validation.pairs}
    for original in pairs:
        zeros = np.zeros_like(original.labels)
        taught = learn.get(original.image_digest, zeros)
        held = check.get(original.image_digest, zeros)
        assert not (taught.astype(bool) & held.astype(bool)).any()
        both = taught + held
        np.testing.assert_array_equal(both[both > 0], original.labels[both > 0])
        if taught.any() and held.any():
            far = distance_transform_cdt(held == 0, metric="chessboard")
            assert far[taught > 0].min() > gap
    counts, before = split.learn.pixel_counts(), TrainingSet(pairs).pixel_counts()
    assert all(counts[name] > 0 for name, px in before.items() if px)


@given(st.integers(3, 20), st.integers(1, 4))
def test_groups_are_never_on_both_sides(n_groups, per_group):
    pairs = tuple(
        pair(10 * g + k, group=f"specimen {g}", shape=(24, 30))
        for g in range(n_groups)
        for k in range(per_group)
    )
    split = split_training_set(TrainingSet(pairs))
    groups = [{p.group for p in part.pairs} for part in (split.learn, split.validation)]
    assert not groups[0] & groups[1]
    assert len(groups[0] | groups[1]) == n_groups
    assert len(groups[1]) == max(1, round(0.2 * n_groups))


def test_about_a_fifth_of_each_class_is_held_out_of_a_single_image():
    split = split_training_set(TrainingSet((pair(0, shape=(600, 600)),)), gap_px=8)
    counts = split.validation.pixel_counts()
    for name in ("intergranular", "transgranular"):
        assert 0.15 < counts[name] / (600 * 300) < 0.25
    assert any("Only one image validates" in note for note in split.notes)


def test_planes_of_a_stack_hold_out_the_same_place():
    split = split_training_set(TrainingSet((pair(0, group="stack"), pair(1, group="stack"))))
    first, second = split.held_out.values()
    assert first == second != ()


def test_a_group_may_have_images_of_several_sizes():
    sizes = [(120, 150), (120, 150), (90, 200)]
    pairs = tuple(pair(n, group="specimen", shape=shape) for n, shape in enumerate(sizes))
    split = split_training_set(TrainingSet(pairs), gap_px=4)
    first, second, other = (split.held_out[p.image_digest] for p in pairs)
    assert first == second != ()
    assert other != ()
    assert max(box.row1 for box in other) <= 90
    for original in pairs:
        held = next(
            p for p in split.validation.pairs if p.image_digest == original.image_digest
        ).labels
        assert set(np.unique(held)) == {0, 1, 2}
        assert 0.1 < np.count_nonzero(held) / held.size < 0.3


def test_training_that_goes_on_holds_out_the_same():
    first = split_training_set(TrainingSet((pair(0),)), gap_px=8)
    more = TrainingSet((pair(0, strokes(3, 40)), pair(1)))
    again = split_training_set(more, gap_px=8, earlier=first.held_out)
    assert again.held_out[more.pairs[0].image_digest] == tuple(
        first.held_out[more.pairs[0].image_digest]
    )
    assert again.held_out[more.pairs[1].image_digest] == ()


def test_of_images_that_were_learnt_from_as_a_whole_nothing_is_unseen():
    taught = TrainingSet((pair(0),))
    first = split_training_set(taught, "none", gap_px=8)
    assert first.held_out == {taught.pairs[0].image_digest: ()}
    again = split_training_set(taught, gap_px=8, earlier=first.held_out)
    assert (again.learn, again.validation) == (taught, None)
    assert again.held_out == first.held_out
    assert "has learnt from all of these images" in again.notes[0]
    with_another = TrainingSet((pair(0), pair(1)))
    other = split_training_set(with_another, gap_px=8, earlier=first.held_out)
    assert {p.name for p in other.validation.pairs} == {with_another.pairs[1].name}


def test_a_class_that_is_painted_in_one_spot_is_not_given_away():
    labels = np.ones((120, 150), np.uint8)
    labels[:10, :10] = 2
    split = split_training_set(TrainingSet((pair(0, labels),)), gap_px=8)
    assert split.learn.pixel_counts()["transgranular"] > 0
    assert split.notes


def test_too_little_to_hold_out_is_said():
    labels = np.zeros((120, 150), np.uint8)
    labels[5, 5], labels[5, 6] = 1, 2
    split = split_training_set(TrainingSet((pair(0, labels),)))
    assert split.validation is None
    assert "too little is labelled" in split.notes[0]


def test_one_validating_class_is_warned_about():
    labels = np.zeros((120, 150), np.uint8)
    labels[:40] = 1
    labels[60:64, 60:64] = 2
    split = split_training_set(TrainingSet((pair(0, labels),)), gap_px=4)
    assert any("Only intergranular validates" in note for note in split.notes)


def test_corrected_and_checked_labels_of_an_image_are_judged_together():
    first, second = np.zeros((2, 120, 150), np.uint8)
    first[:, :75:2], second[:, 75::2] = 1, 2
    image = Micrograph(np.arange(120 * 150).reshape(120, 150))
    pairs = (TrainingPair(image, first, group="a"), TrainingPair(image, second, group="a"))
    split = split_training_set(TrainingSet(pairs), gap_px=4)
    assert len(split.validation) == 1
    assert len(split.learn) == 2
    assert set(np.unique(split.validation.pairs[0].labels)) == {0, 1, 2}


def test_whole_images_of_one_image_cannot_be_held_out():
    with pytest.raises(TrainingError, match="there is 1 image or stack.*hold out blocks"):
        split_training_set(TrainingSet((pair(0),)), "images")


def test_none_holds_out_nothing():
    training_set = TrainingSet((pair(0),))
    split = split_training_set(training_set, "none")
    assert (split.learn, split.validation) == (training_set, None)
