"""What is left out of an image in the docks that measure, audit, learn and outline."""

import numpy as np
import pytest
from qtpy.QtCore import Qt

from napari_fractoseg._napari.audit.dock import AuditWidget
from napari_fractoseg._napari.audit.plan_form import plan_job
from napari_fractoseg._napari.corrections import corrections_of
from napari_fractoseg._napari.excluded import areas_of
from napari_fractoseg._napari.facets.tool import FacetTool
from napari_fractoseg._napari.layers import labels_layer
from napari_fractoseg._napari.measure.choices import OF_IMAGE
from napari_fractoseg._napari.measure.dock import MeasureWidget
from napari_fractoseg._napari.train.next_places import place_requests
from napari_fractoseg._napari.train.pairs import PairRow
from napari_fractoseg.classes import DEFAULT_SCHEME
from napari_fractoseg.datasets.supervision import painted_pairs
from napari_fractoseg.jobs import drain

pytestmark = pytest.mark.usefixtures("no_job_left")

LONG = 60_000


@pytest.fixture
def image(viewer, barred):
    return viewer.add_image(barred, name="s17")


@pytest.fixture
def labels(viewer, image):
    """Labels that also cover the info bar: intergranular, and transgranular in the bar."""
    values = np.ones((200, 240), np.uint8)
    values[176:] = 2
    layer = labels_layer(values, DEFAULT_SCHEME, name="painted", metadata={"image": "s17"})
    return viewer.add_layer(layer)


# ---- Measure ---------------------------------------------------------------------------------


@pytest.fixture
def dock(viewer, labels):
    dock = MeasureWidget(viewer)
    viewer.window.add_dock_widget(dock, name="Measure")
    return dock


@pytest.fixture
def measure(dock, qtbot):
    """Press Measure, and return the numbers of pixels: excluded, and of each class."""

    def run():
        qtbot.mouseClick(dock.controls.button, Qt.MouseButton.LeftButton)
        qtbot.waitUntil(lambda: dock.controls.is_idle, timeout=LONG)
        (row,) = dock.result.measurement.fields.to_dict("records")
        return tuple(row[name] for name in ("excluded_px", "area_px_intergranular",
                                            "area_px_transgranular"))  # fmt: skip

    return run


def test_the_bar_of_the_image_is_excluded_by_itself(dock, measure, labels, viewer, image):
    assert dock.excluded.choice.value == OF_IMAGE
    assert dock.excluded.choice.current_choice == "of the image: rows 176 to 199"
    assert measure() == (24 * 240, 176 * 240, 0)
    assert "rows 176 to 199" in dock.result.request.excluded_by
    dock.excluded.choice.value = None
    assert dock.outdated() == "The excluded area has changed since: measure again."
    assert measure() == (0, 176 * 240, 24 * 240)
    assert dock.result.request.excluded_by == ""
    areas_of(viewer).leave_out(image, False)
    assert dock.excluded.choice.value is None


def test_a_result_is_old_once_the_area_is_another_and_new_again_when_it_is_back(
    dock, measure, viewer, image, qtbot
):
    measure()
    helper = areas_of(viewer).edit(image)
    qtbot.wait(400)
    assert dock.outdated() == ""
    helper.brush_size = 10
    helper.paint((20, 20), 1)
    qtbot.waitUntil(lambda: "excluded area has changed" in dock.outdated(), timeout=LONG)
    helper.undo()
    qtbot.waitUntil(lambda: dock.outdated() == "", timeout=LONG)
    viewer.layers.remove(helper)
    qtbot.waitUntil(lambda: "excluded area has changed" in dock.outdated(), timeout=LONG)
    assert dock.excluded.choice.value is None
    assert measure()[0] == 0


# ---- Audit -----------------------------------------------------------------------------------


def test_no_point_is_in_the_bar(viewer, labels):
    dock = AuditWidget(viewer)
    viewer.window.add_dock_widget(dock, name="Audit")
    chosen = dock.sources.chosen()
    count = drain(plan_job(chosen.arrays(), chosen, 200, "grid"))
    assert count.excluded_px == 24 * 240
    assert count.points["row_px"].max() < 176


# ---- training --------------------------------------------------------------------------------


def test_labels_in_the_bar_teach_nothing_and_its_pixels_are_not_seen(
    viewer, labels, image, barred, qtbot
):
    row = PairRow(viewer, labels)
    qtbot.addWidget(row)
    row.refresh_images()
    row.recount()
    assert row.taught.by_value == {1: 176 * 240}
    assert row.taught.total == 176 * 240
    painted = row.painted(DEFAULT_SCHEME)
    (pair,) = painted_pairs(painted.image, painted.corrections, painted.scheme)
    assert not pair.labels[176:].any()
    np.testing.assert_array_equal(pair.image.data[:176], barred[:176])
    np.testing.assert_array_equal(pair.image.data[176:], barred[174:150:-1])
    areas_of(viewer).leave_out(image, False)
    qtbot.waitUntil(lambda: row.taught.by_value == {1: 176 * 240, 2: 24 * 240}, timeout=LONG)
    row.forget()


def test_no_place_to_paint_is_looked_for_in_the_bar(viewer, labels, qtbot):
    labels.data[...] = 0
    row = PairRow(viewer, labels)
    qtbot.addWidget(row)
    row.refresh_images()
    ((stack, index, painted),) = place_requests(viewer, [row])
    assert (index, stack.excluded.bands) == ((), ((176, 200),))
    assert painted[176:].all()
    assert not painted[:176].any()
    row.forget()


def test_what_is_checked_in_the_bar_teaches_nothing(viewer, labels, image):
    assert corrections_of(viewer, labels).corrected.sum() == 176 * 240
    areas_of(viewer).leave_out(image, False)
    assert corrections_of(viewer, labels).corrected.sum() == 200 * 240


# ---- facets ----------------------------------------------------------------------------------


def test_no_facet_is_outlined_or_painted_in_the_bar(viewer, labels, qtbot):
    tool = FacetTool(viewer)
    labels.data[...] = 0
    viewer.layers.selection.active = labels
    tool.start()
    qtbot.waitUntil(lambda: tool._tree() is not None, timeout=LONG)
    tool._pixel = (100, 100)
    tool._show_facet()
    assert tool.facet is not None
    tool._pixel = (190, 100)
    tool._show_facet()
    assert tool.facet is None
    tool.stop()
