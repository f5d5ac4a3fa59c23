"""The line on fractions, which follows layer, plane and brush."""

import numpy as np
import pytest
import zarr
from napari.layers import Labels

from napari_fractoseg._napari import jobs
from napari_fractoseg._napari.corrections import remember_prediction
from napari_fractoseg._napari.layers import apply_scheme, labels_layer
from napari_fractoseg._napari.widgets.fractions_line import FractionsLine
from napari_fractoseg.classes import DEFAULT_SCHEME
from napari_fractoseg.results.editable_labels import SavedArray

pytestmark = pytest.mark.usefixtures("no_job_left")

LONG = 20_000


@pytest.fixture
def line(viewer, qtbot):
    line = FractionsLine(viewer)
    viewer.window.add_dock_widget(line, name="Fractions")
    return line


@pytest.fixture
def becomes(line, qtbot):
    """Wait until the line begins with a text."""

    def wait(*lines):
        def begins():
            assert line.text().replace("\u00a0", " ").splitlines()[: len(lines)] == list(lines)

        qtbot.waitUntil(begins, timeout=LONG)

    return wait


def halves(*shape):
    """Labels that are intergranular on the left and transgranular on the right."""
    labels = np.ones(shape, np.uint8)
    labels[..., shape[-1] // 2 :] = 2
    return labels


def by_hand(viewer, labels):
    return viewer.add_layer(labels_layer(labels, DEFAULT_SCHEME, name="by hand"))


def predicted(viewer, labels):
    layer = labels_layer(labels, DEFAULT_SCHEME, name="result", metadata={"model_name": "gone"})
    remember_prediction(layer, labels.copy())
    return viewer.add_layer(layer)


HALF = "Intergranular 50.0 %   Transgranular 50.0 %"


def test_it_follows_the_brush_and_undo(line, viewer, becomes):
    layer = by_hand(viewer, halves(10, 10))
    line.follow(layer)
    becomes(HALF, "of the 100 % that show a fracture mode")
    layer.brush_size = 1
    layer.paint((0, 0), 2)
    becomes("Intergranular 49.0 %   Transgranular 51.0 %")
    layer.paint((0, 1), 3)
    becomes("Intergranular 48.5 %   Transgranular 51.5 %", "of the 99 % that show a fracture mode")
    layer.undo()
    layer.undo()
    becomes(HALF)
    layer.redo()
    becomes("Intergranular 49.0 %   Transgranular 51.0 %")


def test_model_and_correction_are_told_apart_without_false_digits(line, viewer, becomes):
    layer = predicted(viewer, halves(10, 10))
    line.follow(layer)
    becomes("Intergranular 50 %   Transgranular 50 %")
    layer.brush_size = 1
    for column in range(3):
        layer.paint((0, column), 2)
    becomes(
        "Intergranular: model 50 % → corrected 47 %",
        "Transgranular: model 50 % → corrected 53 %",
        "of the 100 % that show a fracture mode",
        "The model's error is not known: the model is not on this computer.",
    )


def test_the_error_is_that_on_the_models_card(line, viewer, becomes):
    layer = labels_layer(
        halves(4, 4),
        DEFAULT_SCHEME,
        name="r",
        metadata={"model_name": "fracture modes", "model": "fracture-modes"},
    )
    viewer.add_layer(layer)
    line.follow(layer)
    becomes(
        "Intergranular 50 %   Transgranular 50 %",
        "of the 100 % that show a fracture mode",
        "Model's error on unseen images: ± 12 points",
    )


def test_it_follows_the_plane_and_tells_of_the_stack(line, viewer, becomes):
    labels = np.stack([halves(10, 10), np.ones((10, 10), np.uint8), np.zeros((10, 10), np.uint8)])
    viewer.dims.set_current_step(0, 0)
    layer = by_hand(viewer, labels)
    viewer.dims.set_current_step(0, 0)
    line.follow(layer)
    stack = "2 labelled planes of 3: intergranular 75.0 %, transgranular 25.0 %"
    becomes("Plane 1 of 3:", HALF, "of the 100 % that show a fracture mode", stack)
    viewer.dims.set_current_step(0, 1)
    one = "Intergranular 100.0 %   Transgranular 0.0 %"
    becomes("Plane 2 of 3:", one, "of the 100 % that show a fracture mode", stack)
    viewer.dims.set_current_step(0, 2)
    becomes("Plane 3 of 3:", "Nothing is labelled here yet.", stack)
    layer.brush_size = 30
    layer.paint((2, 5, 5), 2)
    becomes(
        "Plane 3 of 3:",
        "Intergranular 0.0 %   Transgranular 100.0 %",
        "of the 100 % that show a fracture mode",
        "All 3 planes: intergranular 50.0 %, transgranular 50.0 %",
    )


def test_it_follows_labels_that_a_program_changes(line, viewer, becomes):
    labels = halves(2, 10, 10)
    layer = by_hand(viewer, labels)
    viewer.dims.set_current_step(0, 0)
    line.follow(layer)
    becomes("Plane 1 of 2:", HALF)
    labels[0, 0, 0] = 2
    layer.refresh()
    becomes("Plane 1 of 2:", "Intergranular 49.0 %   Transgranular 51.0 %")
    labels[1] = 2  # on a plane that is not shown
    line.recount()
    becomes(
        "Plane 1 of 2:",
        "Intergranular 49.0 %   Transgranular 51.0 %",
        "of the 100 % that show a fracture mode",
        "All 2 planes: intergranular 24.5 %, transgranular 75.5 %",
    )
    layer.data = halves(2, 10, 10)
    becomes("Plane 1 of 2:", HALF)


def test_it_goes_with_its_layer(line, viewer, becomes, qtbot):
    first, second = by_hand(viewer, halves(4, 4)), by_hand(viewer, np.ones((4, 4), np.uint8))
    line.follow(first)
    becomes("by hand:", HALF)
    line.follow(second)
    becomes("by hand [1]:", "Intergranular 100.0 %   Transgranular 0.0 %")
    second.name = "mine"
    becomes("mine:")
    first.brush_size = 1
    first.paint((0, 0), 2)
    viewer.layers.remove(first)
    becomes("Intergranular 100.0 %   Transgranular 0.0 %")
    viewer.layers.remove(second)
    assert line.text() == ""
    assert line.isHidden()


def test_layers_without_classes_have_no_fractions_until_they_get_some(line, viewer, becomes):
    layer = viewer.add_labels(halves(4, 4))
    line.follow(layer)
    assert line.text() == ""
    apply_scheme(layer, DEFAULT_SCHEME)
    becomes(HALF)
    line.follow(None)
    assert line.text() == ""


def test_labels_that_a_run_fills_have_none_until_it_ends(line, viewer, becomes):
    labels = np.zeros((4, 4), np.uint8)
    layer = by_hand(viewer, labels)
    layer.editable = False
    line.follow(layer)
    assert line.text() == ""
    labels[:] = halves(4, 4)
    layer.editable = True
    becomes(HALF)


def test_notes_stay_with_their_layer(line, viewer, becomes):
    first, second = by_hand(viewer, halves(4, 4)), by_hand(viewer, halves(4, 4))
    line.follow(first)
    line.note("Plane 2 is blank.", first)
    becomes("by hand:", HALF, "of the 100 % that show a fracture mode", "Plane 2 is blank.")
    line.follow(second)
    assert "blank" not in line.text()
    line.follow(first)
    assert line.text().endswith("Plane 2 is blank.")
    viewer.layers.remove(first)
    assert line.text() == ""


def test_large_labels_are_counted_in_a_thread(line, viewer, becomes, qtbot):
    layer = by_hand(viewer, halves(2100, 2000))
    line.follow(layer)
    assert len(jobs.runs_under_way()) == 1
    becomes(HALF)
    layer.brush_size = 100
    layer.paint((1000, 500), 2)
    becomes("Intergranular 49.8 %   Transgranular 50.2 %")


def test_the_thread_ends_when_another_layer_is_followed(line, viewer, becomes, qtbot):
    large, small = by_hand(viewer, halves(9000, 1000)), by_hand(viewer, np.ones((4, 4), np.uint8))
    line.follow(large)
    line.follow(small)
    becomes("by hand [1]:", "Intergranular 100.0 %   Transgranular 0.0 %")
    qtbot.waitUntil(lambda: not jobs.runs_under_way(), timeout=LONG)
    becomes("by hand [1]:", "Intergranular 100.0 %   Transgranular 0.0 %")


def test_labels_on_disk(line, viewer, becomes, tmp_path):
    group = zarr.create_group(tmp_path / "a_labels.zarr")
    group.create_array("0", data=halves(10, 10), chunks=(5, 5))
    data = SavedArray(group["0"], is_prediction=True)
    layer = labels_layer(data, DEFAULT_SCHEME, name="r", metadata={"model_name": "gone"})
    viewer.add_layer(layer)
    line.follow(layer)
    becomes("Intergranular 50 %   Transgranular 50 %")
    layer.brush_size = 1
    layer.paint((0, 0), 2)
    layer.paint((0, 1), 2)
    becomes("Intergranular: model 50 % → corrected 48 %")
    layer.undo()
    layer.undo()
    becomes("Intergranular 50 %   Transgranular 50 %")


def test_a_stroke_over_several_planes(line, viewer, qtbot):
    layer = by_hand(viewer, np.ones((3, 10, 10), np.uint8))
    viewer.dims.set_current_step(0, 1)
    layer.n_edit_dimensions = 3
    line.follow(layer)
    layer.brush_size = 3
    layer.paint((1, 5, 5), 2)
    assert (layer.data[0] == 2).any()
    share = f"{(layer.data == 1).mean():.1%}".replace("%", " %")

    def tells_of_all():
        text = line.text().replace("\u00a0", " ")
        assert f"All 3 planes: intergranular {share}" in text

    qtbot.waitUntil(tells_of_all, timeout=LONG)


def test_multiscale_labels_are_counted_at_full_resolution(line, viewer, becomes):
    full = halves(8, 8)
    layer = Labels([full, full[::2, ::2]], multiscale=True)
    apply_scheme(layer, DEFAULT_SCHEME)
    viewer.add_layer(layer)
    line.follow(layer)
    becomes(HALF)
