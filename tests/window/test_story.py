"""One story from file to number, told by mouse and keys in a real window."""

from __future__ import annotations

import numpy as np
import pytest
from napari.layers import Labels
from PIL import Image
from qtpy.QtCore import Qt

from napari_fractoseg._napari.audit.dock import AuditWidget
from napari_fractoseg._napari.corrections import prediction_of
from napari_fractoseg._napari.jobs import State
from napari_fractoseg._napari.layers import scheme_of
from napari_fractoseg._napari.measure.dock import MeasureWidget
from napari_fractoseg._napari.segment.dock import SegmentWidget
from napari_fractoseg._napari.train.dock import TrainWidget
from napari_fractoseg.samples import synthetic_fracture

pytestmark = pytest.mark.window


def ended(controls) -> bool:
    """Whether the last run of a dock ended, which has to be well."""
    assert controls.state in (State.DONE, State.RUNNING, State.WAITING), controls.state_line.text()
    return controls.state is State.DONE and controls.is_idle


@pytest.fixture
def micrograph(tmp_path):
    """File of a surface."""
    path = tmp_path / "surface.png"
    Image.fromarray(synthetic_fracture(seed=3, shape=(512, 640)).image).save(path)
    return path


def test_from_a_file_to_a_number(person, micrograph, tmp_path):
    viewer = person.viewer

    # Open and segment.
    viewer.open(micrograph)
    person.menu("Plugins", "Fractoseg", "Segment fracture modes (Fractoseg)")
    segmenting = person.dock(SegmentWidget)
    person.until(lambda: segmenting.controls.button.isEnabled())
    person.click(segmenting.controls.button)
    person.until(lambda: ended(segmenting.controls))
    labels = segmenting.result
    first = labels.data.copy()
    assert labels.data.shape == (512, 640)
    assert "%" in segmenting.result_line.text()
    person.look("segmented")

    # Correct with the brush: key 2 and a stroke.
    person.click(segmenting.brush_button)
    value = 2 if np.mean(first[200:260, 200:300] == 2) < 0.5 else 1
    keys = {1: Qt.Key.Key_1, 2: Qt.Key.Key_2}
    person.key(keys[value])
    person.stroke((230, 220), (230, 290))
    person.look("corrected")
    assert (labels.data[230, 225:286] == value).all()
    assert "corrected" in segmenting.result_line.text()

    # Live: another stroke, of the other class, changes pixels that nobody touched.
    person.menu("Plugins", "Fractoseg", "Train on corrections (Fractoseg)")
    training = person.dock(TrainWidget)
    person.until(lambda: training.settings.start.entry is not None)
    person.click(training.live.switch)
    session = training.live.session
    person.until(lambda: session.is_at_rest)
    before = labels.data.copy()
    person.key(keys[3 - value])
    person.stroke((120, 420), (120, 480))
    person.until(lambda: session.is_at_rest and "Learnt" in training.live.line.text())
    assert np.count_nonzero(labels.data != before) > np.count_nonzero(
        labels.data[100:140, 400:500] != before[100:140, 400:500]
    )
    person.look("live")
    person.click(training.live.labels_button)

    # Train, in seconds, and segment with the new model.
    training.settings.budget.value = 0.0
    training.settings.name.value = "of the story"
    person.click(training.controls.button)
    person.until(lambda: ended(training.controls))
    person.look("trained")
    assert training.next_steps.segment_button.isVisible()

    # Measure, in fields.
    person.tab(SegmentWidget)
    person.click(segmenting.measure_button)
    measuring = person.dock(MeasureWidget)
    person.click(measuring.controls.button)
    person.until(lambda: ended(measuring.controls))
    person.click(measuring.divide_button)
    person.until(lambda: measuring.result is not None and ended(measuring.controls))
    assert "95 % interval" in person.reads(measuring.lines)
    person.look("measured")

    # Audit three points with keys.
    person.click(measuring.audit_button)
    audit = person.dock(AuditWidget)
    audit.form.n_points.value = 9
    audit.form.file.value = tmp_path / "points.csv"
    person.click(audit.controls.button)
    person.until(lambda: audit.session is not None)
    for number, key in enumerate((Qt.Key.Key_1, Qt.Key.Key_2, Qt.Key.Key_X), start=1):
        person.key(key)
        person.until(lambda n=number: len(audit.session.answers) == n, seconds=20)
    assert (tmp_path / "points.csv").read_text().count("\n") > 3
    person.look("audited")
    person.click(audit.panel.stop_button)

    # Save the result, and open it again.
    viewer.layers.selection.active = labels
    person.tab(SegmentWidget)
    read = segmenting.result_line.text()
    person.click(segmenting.save_row.button)
    saver = segmenting.save_row.saver
    person.until(lambda: not saver.is_busy)
    assert saver.run.state is State.DONE, segmenting.save_row.line.text()
    folder = saver.run.result.folder
    assert {"run.json", "fractions.csv", "report.html"} <= {p.name for p in folder.iterdir()}
    person.look("saved")
    there = set(viewer.layers)
    viewer.open(folder / "run.json", plugin=None)  # as a drop does
    (again,) = (x for x in viewer.layers if isinstance(x, Labels) and x not in there)
    viewer.layers.selection.active = again
    np.testing.assert_array_equal(again.data, labels.data)
    np.testing.assert_array_equal(prediction_of(again), prediction_of(labels))
    assert scheme_of(again) == scheme_of(labels)
    person.until(segmenting.result_line.text)
    person.look("opened")
    assert segmenting.result_line.text() == f"{again.name}:\n{read}"
