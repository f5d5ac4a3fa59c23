"""*Live* on a micrograph with an info bar."""

import numpy as np
import pytest

from napari_fractoseg._napari import jobs
from napari_fractoseg._napari.excluded import areas_of
from napari_fractoseg._napari.layers import labels_layer
from napari_fractoseg._napari.train.dock import TrainWidget
from napari_fractoseg.classes import DEFAULT_SCHEME

pytestmark = pytest.mark.usefixtures("no_job_left")

LONG = 120_000


@pytest.fixture
def live(viewer, qtbot, shallow_model, tmp_path, monkeypatch, barred):
    """*Live*, switched on on an empty layer of an image with a bar in its rows 176 to 199."""
    monkeypatch.setenv("FRACTOSEG_MODELS", str(tmp_path / "models"))
    folder = shallow_model.save(tmp_path / "models" / "shallow")
    dock = TrainWidget(viewer)
    viewer.window.add_dock_widget(dock, name="Train")
    qtbot.waitUntil(lambda: not jobs.runs_under_way(), timeout=LONG)
    dock.settings.start.choice.value = str(folder)
    dock.settings.device.choice.value = "cpu"
    viewer.add_image(barred, name="s17")
    labels = labels_layer(np.zeros(barred.shape, np.uint8), DEFAULT_SCHEME, name="s17 · live")
    viewer.add_layer(labels)
    dock.live.switch.click()
    rest(dock, qtbot)
    return dock, labels


def rest(dock, qtbot):
    qtbot.waitUntil(lambda: dock.live.session.is_at_rest, timeout=LONG)


def test_strokes_in_the_bar_are_not_learnt_from_and_it_gets_no_labels(live, viewer, qtbot):
    dock, labels = live
    labels.brush_size = 10
    labels.paint((190, 60), 2)
    rest(dock, qtbot)
    assert not dock.live.session.has_learnt
    labels.paint((50, 180), 1)
    rest(dock, qtbot)
    assert dock.live.session.has_learnt
    assert labels.data[:176].all()
    in_bar = labels.data[176:]
    assert set(np.unique(in_bar)) == {0, 2}
    assert np.count_nonzero(in_bar) < 120
    areas_of(viewer).leave_out(viewer.layers["s17"], False)
    qtbot.waitUntil(lambda: labels.data.all(), timeout=LONG)
    rest(dock, qtbot)
