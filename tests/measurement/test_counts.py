import numpy as np
import pytest

from napari_fractoseg.jobs import drain
from napari_fractoseg.measurement.counts import RunningCounts, count_job


def counted(labels):
    counts = RunningCounts(labels)
    drain(counts.job())
    return counts


class Reads:
    """Labels that note which rows of which planes are read."""

    def __init__(self, labels):
        self.labels, self.shape, self.dtype, self.read = labels, labels.shape, labels.dtype, []

    def __getitem__(self, key):
        *plane, rows = key
        self.read.append((tuple(plane), rows.start))
        return self.labels[key]


def test_planes_and_stack_are_counted():
    labels = np.zeros((2, 2, 3, 4), np.uint8)
    labels[0, 1], labels[1, 0, 0, :3] = 2, 7
    counts = counted(labels)
    assert counts.of_plane((0, 1)) == {2: 12}
    assert counts.of_plane((1, 0)) == {0: 9, 7: 3}
    assert counts.of_all() == {0: 33, 2: 12, 7: 3}
    assert (counts.n_planes, counts.n_labelled_planes()) == (4, 2)


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.int64, bool])
def test_every_type_of_whole_numbers_is_counted(dtype):
    labels = np.array([[0, 1, 1], [1, 1, 0]], dtype)
    assert counted(labels).of_all() == {0: 2, 1: 4}


def test_large_and_negative_labels_are_counted_as_they_are():
    assert counted(np.array([[-1, 70_000, 70_000]], np.int32)).of_all() == {-1: 1, 70_000: 2}


def test_only_the_rows_of_a_stroke_are_read_again():
    reads = Reads(np.ones((2, 3000, 5), np.uint8))
    counts = counted(reads)
    reads.labels[1, 2000:2100] = 2
    reads.read.clear()
    counts.forget((1,), (2000, 2100))
    assert counts.of_plane((1,)) is None
    assert counts.of_plane((0,)) == {1: 15_000}
    drain(counts.job())
    assert reads.read == [((1,), 1024), ((1,), 2048)]
    assert counts.of_plane((1,)) == {1: 14_500, 2: 500}


def test_the_plane_that_is_shown_is_counted_first():
    reads = Reads(np.ones((4, 2, 2), np.uint8))
    counts = RunningCounts(reads)
    job = counts.job()
    counts.first = (2,)
    next(job)
    assert counts.of_plane((2,)) == {1: 4}
    assert counts.of_all() is None
    counts.first = (3,)
    next(job)
    assert [plane for plane, _ in reads.read] == [(2,), (3,)]


def test_what_changes_while_it_is_counted_is_counted_again():
    labels = np.ones((3, 4), np.uint8)

    class Paints(Reads):
        def __getitem__(self, key):
            found = super().__getitem__(key).copy()
            if len(self.read) == 1:  # a stroke while the first look goes on
                labels[0, 0] = 2
                counts.forget(())
            return found

    counts = RunningCounts(Paints(labels))
    drain(counts.job())
    assert counts.of_all() == {1: 11, 2: 1}


def test_labels_and_prediction_are_counted_by_turns():
    one, two = RunningCounts(np.ones((3, 2, 2), np.uint8)), RunningCounts(np.ones((3, 2, 2), int))
    one.first = two.first = (1,)
    job = count_job(one, two)
    next(job)
    next(job)
    assert one.of_plane((1,)) == two.of_plane((1,)) == {1: 4}
    drain(job)
    assert one.of_all() == two.of_all() == {1: 12}


def test_what_is_excluded_is_not_counted_on_any_plane():
    labels = np.ones((2, 3, 4), np.uint8)
    labels[:, 2], labels[1, 0, 0] = 2, 3
    exclude = np.zeros((3, 4), np.uint8)
    exclude[2] = exclude[0, 1] = 1
    counts = RunningCounts(labels, exclude)
    drain(counts.job())
    assert (counts.of_plane((0,)), counts.of_all()) == ({1: 7}, {1: 13, 3: 1})
    labels[0, 2] = 3
    counts.forget((0,), (2, 3))
    drain(counts.job())
    assert counts.of_plane((0,)) == {1: 7}
