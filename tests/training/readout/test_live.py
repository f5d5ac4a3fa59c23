"""A readout that follows what somebody paints, region by region."""

from dataclasses import replace

import numpy as np
import pytest

from napari_fractoseg.classes import DEFAULT_SCHEME, ClassScheme, FractureClass
from napari_fractoseg.images import ExcludedArea, MicrographStack
from napari_fractoseg.jobs import drain
from napari_fractoseg.models.devices import choose_device
from napari_fractoseg.tiling import Box
from napari_fractoseg.training.readout.live import LiveReadout, RegionLabels
from napari_fractoseg.training.readout.plan import ReadoutPlan
from napari_fractoseg.training.readout.regions import Region, nearest_first, regions_of

SHAPE = (96, 160)
OTHER = ClassScheme(
    "surface", (FractureClass(1, "smooth", "#ff0000"), FractureClass(2, "rough", "#00ff00"))
)
WHOLE = Box(0, 96, 0, 160)


@pytest.fixture
def stack():
    """Two planes that are smooth on the left and rough on the right; a third that is blank."""
    random = np.random.default_rng(0)
    grey = random.normal(128, 3, (3, *SHAPE))
    grey[:2, :, 80:] += random.normal(0, 40, (2, 96, 80))
    grey[2] = 7
    return MicrographStack(np.clip(grey, 0, 255).astype(np.uint8), name="halves")


@pytest.fixture
def live(shallow_model, stack):
    return LiveReadout(shallow_model, stack, ReadoutPlan(n_components=8), choose_device("cpu"))


def painted(*values):
    labels = np.zeros(SHAPE, np.uint8)
    if 1 in values:
        labels[30:40, 10:60] = 1
    if 2 in values:
        labels[50:60, 100:150] = 2
    return labels


def truth():
    labels = np.ones(SHAPE, np.uint8)
    labels[:, 80:] = 2
    return labels


def labelled(live, learnt, *regions):
    found = {}
    drain(live.label_job(learnt, regions, found.__setitem__))
    return found


class TestLiveReadout:
    def test_strokes_on_one_plane_label_the_others(self, live):
        first, second, blank = (Region((i,), WHOLE) for i in range(3))
        learnt = drain(live.learn_job({first: RegionLabels(painted(1, 2))}, OTHER))
        found = labelled(live, learnt, first, second, blank)
        assert set(found) == {first, second}  # nothing is said of a plane that shows nothing
        for labels in found.values():
            assert np.mean(labels == truth()) > 0.9

    def test_regions_that_were_painted_before_still_teach(self, live):
        first, second = Region((0,), WHOLE), Region((1,), WHOLE)
        assert drain(live.learn_job({first: RegionLabels(painted(1))}, OTHER)) is None
        learnt = drain(live.learn_job({second: RegionLabels(painted(2))}, OTHER))
        assert np.mean(labelled(live, learnt, first)[first] == truth()) > 0.9

    def test_what_was_taken_back_is_forgotten(self, live):
        first = Region((0,), WHOLE)
        assert drain(live.learn_job({first: RegionLabels(painted(1, 2))}, OTHER)) is not None
        assert drain(live.learn_job({first: RegionLabels(painted())}, OTHER)) is None

    def test_the_answer_counts_where_nothing_is_painted(self, live):
        """One stroke of one class does not make all of the plane that class."""
        first = Region((0,), WHOLE)
        labels = RegionLabels(painted(1), truth())
        learnt = drain(live.learn_job({first: labels}, OTHER))
        assert np.mean(labelled(live, learnt, first)[first] == truth()) > 0.9

    def test_a_new_class_appears_beside_those_of_the_answer(self, live):
        first = Region((0,), WHOLE)
        scheme = OTHER.with_class("river lines", 3)
        strokes = painted(2)
        strokes[5:25, 90:150] = 3
        learnt = drain(live.learn_job({first: RegionLabels(strokes, truth())}, scheme))
        found = labelled(live, learnt, first)[first]
        assert set(np.unique(found[:, :60])) == {1} or np.mean(found[:, :60] == 1) > 0.9
        assert (found == 3).any()

    def test_the_model_is_asked_once_for_a_region(self, live):
        region = Region((0,), WHOLE)

        def messages(*values):
            said = []
            job = live.learn_job({region: RegionLabels(painted(*values))}, DEFAULT_SCHEME)
            drain(job, lambda progress: said.append(progress.message))
            return said

        assert "asking the model" in messages(1)
        assert "asking the model" not in messages(1, 2)

    def test_without_an_answer_the_model_gives_one_for_its_own_classes(self, live):
        """A stroke on an empty layer corrects what the model says, where it knows the class."""
        first = Region((0,), WHOLE)
        learnt = drain(live.learn_job({first: RegionLabels(painted(1))}, DEFAULT_SCHEME))
        assert learnt is not None
        assert set(np.unique(labelled(live, learnt, first)[first])) <= set(DEFAULT_SCHEME.values)

    def test_regions_of_a_plane_fit_together(self, live):
        """The parts of a plane have the labels of the whole: no seam shows."""
        first = Region((0,), WHOLE)
        learnt = drain(live.learn_job({first: RegionLabels(painted(1, 2))}, OTHER))
        whole = labelled(live, learnt, first)[first]
        left, right = Region((0,), Box(0, 96, 0, 64)), Region((0,), Box(0, 96, 64, 160))
        parts = labelled(live, learnt, left, right)
        assert np.mean(np.hstack([parts[left], parts[right]]) == whole) > 0.99

    def test_features_stay_within_their_budget(self, shallow_model, stack):
        plan = ReadoutPlan(n_components=8)
        live = LiveReadout(shallow_model, stack, plan, choose_device("cpu"), budget_bytes=1)
        first, second = Region((0,), WHOLE), Region((1,), WHOLE)
        features = drain(live.read_job(first))
        assert drain(live.read_job(first)) is features
        drain(live.read_job(second))
        assert live.n_bytes == features.n_bytes
        assert drain(live.read_job(first)) is not features


class TestExcluded:
    """What an area shows that is excluded is neither learnt nor labelled."""

    BAR = 75

    def changed(self, stack, fill):
        data = stack.data.copy()
        data[:, self.BAR :] = fill
        data[0, :8, :30] = fill
        mask = np.zeros(data.shape, bool)
        mask[0, :8, :30] = True
        area = ExcludedArea(data.shape, ((self.BAR, 96),), mask)
        return replace(stack, data=data, excluded=area)

    def found(self, model, image, strokes):
        live = LiveReadout(model, image, ReadoutPlan(n_components=8), choose_device("cpu"))
        upper, lower = Region((0,), Box(0, 80, 0, 160)), Region((0,), Box(80, 96, 0, 160))
        changed = {r: RegionLabels(strokes[r.box.slices]) for r in (upper, lower)}
        learnt = drain(live.learn_job(changed, OTHER))
        return learnt, labelled(live, learnt, upper, lower), upper

    def test_nothing_there_changes_what_is_learnt_or_labelled(self, shallow_model, stack):
        strokes = painted(1, 2)
        learnt, labels, upper = self.found(shallow_model, self.changed(stack, 0), strokes)
        strokes[78:, :] = 1  # in the bar
        again, other, _ = self.found(shallow_model, self.changed(stack, 255), strokes)
        np.testing.assert_array_equal(learnt.weights, again.weights)
        assert list(labels) == list(other) == [upper]  # nothing is said of the bar's region
        np.testing.assert_array_equal(labels[upper], other[upper])
        assert np.mean(labels[upper][10 : self.BAR] == truth()[10 : self.BAR]) > 0.9
        assert not labels[upper][self.BAR :].any()
        assert not labels[upper][:8, :30].any()
        assert labels[upper][:8, 30:].all()


class TestRegions:
    @pytest.mark.parametrize("shape", [(1, 1), (1280, 1280), (1345, 700), (4096, 3000)])
    def test_they_cover_a_plane_once(self, shape):
        count = np.zeros(shape, np.uint8)
        for region in regions_of((2,), shape):
            count[region.box.slices] += 1
            assert max(region.box.shape) <= 1344
        assert (count == 1).all()

    def test_those_in_view_come_first(self):
        view = Box(1500, 1900, 900, 1700)
        found = nearest_first(regions_of((), (4096, 4096)), view)
        assert {(r.box.row0, r.box.column0) for r in found[:2]} == {(1024, 0), (1024, 1024)}
        assert len(found) == 16
