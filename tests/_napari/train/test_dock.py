"""The Train dock, driven as a user would: strokes, buttons and keys, with a real small network."""

import json
import shlex
import time

import numpy as np
import pytest
import tifffile
from napari.utils.notifications import notification_manager
from qtpy.QtCore import Qt, QTimer

from napari_fractoseg._napari import jobs
from napari_fractoseg._napari.corrections import corrections_of, remember_prediction
from napari_fractoseg._napari.jobs import State
from napari_fractoseg._napari.layers import labels_layer
from napari_fractoseg._napari.train.dock import TrainWidget
from napari_fractoseg._napari.train.request import (
    TrainingTask,
    saved_trainings,
    unfinished_trainings,
)
from napari_fractoseg.classes import DEFAULT_SCHEME
from napari_fractoseg.inference.predictor import segment
from napari_fractoseg.jobs import Progress
from napari_fractoseg.models.card import LEARNT_FROM_ALL
from napari_fractoseg.models.model import SegmentationModel
from napari_fractoseg.models.readme import kept_text
from napari_fractoseg.models.registry import list_models
from napari_fractoseg.training.presets import suggested_plan

pytestmark = pytest.mark.usefixtures("no_job_left", "tiny_alone")

LONG = 120_000


@pytest.fixture
def widget(viewer, qtbot, tiny_alone):
    """The dock, with the tiny model to start from, and a training of three seconds."""
    widget = TrainWidget(viewer)
    viewer.window.add_dock_widget(widget, name="Train")
    qtbot.waitUntil(lambda: not jobs.runs_under_way(), timeout=LONG)
    widget.settings.start.choice.value = str(tiny_alone)
    widget.settings.device.choice.value = "cpu"
    widget.settings.budget.choices = [("3 s", 0.05)]
    widget.settings.options.patch_px.value = 128
    widget.settings.options.batch_size.value = 1
    return widget


def click(qtbot, button):
    qtbot.waitUntil(button.isEnabled, timeout=LONG)  # strokes are counted when the hand rests
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)


@pytest.fixture
def surface(noise):
    """An image that is smooth on the left and rough on the right."""
    image = np.full((96, 128), 120, np.uint8)
    image[:, 64:] = noise(96, 64)
    return image


def prediction(shape):
    """What a bad model says: all of it intergranular."""
    labels = np.ones(shape, np.uint8)
    layer = labels_layer(
        labels, DEFAULT_SCHEME, name="s17 · fracture modes", metadata={"image": "s17"}
    )
    remember_prediction(layer, labels.copy())
    return layer


@pytest.fixture
def corrected(viewer, surface):
    """A prediction on which two spots were corrected and a third one was not."""
    viewer.add_image(surface, name="s17")
    layer = viewer.add_layer(prediction(surface.shape))
    layer.brush_size = 12
    layer.paint((20, 90), 2)
    layer.paint((70, 100), 2)
    layer.paint((50, 20), 3)
    return layer


def train(widget, qtbot, state=State.DONE):
    """Click Train and wait for the end."""
    click(qtbot, widget.controls.button)
    qtbot.waitUntil(lambda: widget.controls.is_idle, timeout=LONG)
    assert widget.controls.state is state, widget.controls.state_line.text()


def text_of(row):
    return row.counts.text().replace("&nbsp;", " ")


# ---- what is learnt from -------------------------------------------------------------------


def test_without_strokes_the_button_waits_and_a_line_says_why(widget, viewer, surface):
    assert widget.controls.state is State.NOT_READY
    assert "Nothing to learn from yet" in widget.controls.state_line.text()
    viewer.add_image(surface, name="s17")
    viewer.add_layer(prediction(surface.shape))
    assert widget.controls.state is State.NOT_READY
    assert not widget.controls.button.isEnabled()
    (row,) = widget.learn_from.pairs.rows
    assert "corrected 0 % · checked 0 % · untouched 100.0 %" in text_of(row)


def test_only_what_was_corrected_counts(widget, corrected, qtbot):
    (row,) = widget.learn_from.pairs.rows
    qtbot.waitUntil(lambda: row.taught is not None and row.taught.n_taught > 0, timeout=LONG)
    truth = corrections_of(widget.viewer, corrected).truth
    assert row.taught.by_value == {2: int((truth == 2).sum()), 3: int((truth == 3).sum())}
    assert row.use.isChecked()
    assert widget.controls.state is State.READY
    assert f"transgranular {(truth == 2).sum()} px" in text_of(row)
    assert row.image.value.name == "s17"


def test_one_class_cannot_be_learnt(widget, viewer, surface, qtbot):
    viewer.add_image(surface, name="s17")
    layer = viewer.add_layer(prediction(surface.shape))
    layer.paint((20, 90), 2)
    qtbot.waitUntil(lambda: "Only one class" in widget.controls.state_line.text(), timeout=LONG)
    assert not widget.controls.button.isEnabled()


def test_a_plane_or_an_area_is_marked_as_correct(widget, viewer, corrected, qtbot):
    (row,) = widget.learn_from.pairs.rows
    viewer.layers.selection.active = corrected
    click(qtbot, widget.learn_from.area_button)
    area = viewer.layers.selection.active
    assert (area.name, area.mode) == ("s17 · fracture modes · checked", "paint")
    area.brush_size = 10
    area.paint((10, 10), 1)
    qtbot.waitUntil(lambda: row.taught.confirmed > 0, timeout=LONG)
    assert row.taught.confirmed == int((area.data == 1).sum())
    assert len(widget.learn_from.pairs.rows) == 1  # the layer of checked areas is not learnt from
    viewer.layers.selection.active = corrected
    click(qtbot, widget.learn_from.plane_button)
    assert row.taught.untouched == 0
    assert row.taught.n_taught == corrected.data.size


def test_a_plane_that_was_called_correct_can_be_taken_back(widget, viewer, noise, qtbot):
    """Taken back, of the plane is checked what was checked before, and nothing of the others."""
    viewer.add_image(noise(3, 96, 128), name="z")
    layer = viewer.add_layer(prediction((3, 96, 128)))
    plane_button, area_button = widget.learn_from.plane_button, widget.learn_from.area_button
    (row,) = widget.learn_from.pairs.rows
    viewer.dims.set_current_step(0, 1)
    click(qtbot, area_button)
    area = viewer.layers.selection.active
    area.data[1, :5, :4] = 1
    area.data[2, 0, 0] = 1
    before = area.data.copy()
    viewer.layers.selection.active = layer
    assert plane_button.text() == "This plane is correct"
    click(qtbot, plane_button)
    assert row.taught.confirmed == 96 * 128 + 1
    assert plane_button.text() == "Take “correct” back"
    viewer.dims.set_current_step(0, 2)
    assert plane_button.text() == "This plane is correct"
    viewer.dims.set_current_step(0, 1)
    click(qtbot, plane_button)
    np.testing.assert_array_equal(area.data, before)
    assert row.taught.confirmed == 21
    assert plane_button.text() == "This plane is correct"
    assert area in viewer.layers


def test_taken_back_at_once_it_is_as_if_it_had_never_been_said(widget, viewer, corrected, qtbot):
    (row,) = widget.learn_from.pairs.rows
    names = [layer.name for layer in viewer.layers]
    row.recount()
    taught = row.taught
    click(qtbot, widget.learn_from.plane_button)
    assert row.taught.untouched == 0
    click(qtbot, widget.learn_from.plane_button)
    assert row.taught == taught
    assert [layer.name for layer in viewer.layers] == names


def test_labels_without_an_image_of_their_size_are_left_out(widget, viewer, surface):
    viewer.add_image(surface[:40], name="other")
    viewer.add_layer(prediction(surface.shape))
    (row,) = widget.learn_from.pairs.rows
    assert not row.use.isEnabled()
    assert "no image of its size" in row.counts.text()


def test_plain_labels_are_painted_in_the_classes_of_the_start(widget, viewer, surface, qtbot):
    viewer.add_image(surface, name="s17")
    labels = np.zeros(surface.shape, int)
    labels[:20, :20], labels[:20, 100:] = 1, 2
    viewer.add_labels(labels, name="strokes")
    widget.learn_from.pairs.rows[0].use.click()
    request = widget.request()
    assert request.scheme == DEFAULT_SCHEME
    assert request.painted[0].corrections.truth.sum() == labels.sum()


def test_values_that_are_no_class_are_refused_before_anything_is_saved(
    widget, viewer, surface, qtbot, monkeypatch
):
    monkeypatch.setattr(notification_manager, "dispatch", lambda *_: None)
    viewer.add_image(surface, name="s17")
    labels = np.zeros(surface.shape, int)
    labels[:20, :20], labels[:20, 100:] = 1, 77
    viewer.add_labels(labels, name="strokes")
    assert "The labels of strokes were not painted here" in widget.controls.state_line.text()
    widget.learn_from.pairs.rows[0].use.click()
    train(widget, qtbot, State.FAILED)
    said = widget.controls.state_line.text()
    assert said == (
        "That did not work. Layer “strokes”: Labels hold values that are no class: 77 (560 px). "
        "The scheme 'fracture modes' has 1 intergranular, 2 transgranular, 3 background; relabel "
        "them or add classes."
    )
    assert not widget.curves.isVisibleTo(widget)  # there is nothing to draw


@pytest.mark.slow
def test_annotated_folders_are_learnt_from_too(widget, viewer, surface, qtbot, tmp_path):
    for part in ("images", "masks"):
        (tmp_path / part).mkdir()
    tifffile.imwrite(tmp_path / "images" / "old.tif", surface)
    labels = np.where(np.arange(128) < 64, 1, 2)[None].repeat(96, 0).astype(np.uint8)
    tifffile.imwrite(tmp_path / "masks" / "old.tif", labels)
    dialog = widget.learn_from.ask_for_source()
    dialog.accept()
    assert dialog.problem.text() == "Choose the folder of the images."
    dialog.images.value = tmp_path / "images"
    dialog.accept()
    assert "either annotations or a folder of masks" in dialog.problem.text()
    dialog.masks.value = tmp_path / "masks"
    dialog.accept()
    assert widget.controls.state is State.READY
    train(widget, qtbot)
    card = SegmentationModel.load(widget.run.result.folder).card
    assert list(card.lineage.data) == ["old"]
    assert f"--labels {tmp_path / 'masks'}" in widget.run.task.command


@pytest.mark.slow
def test_what_via_files_leave_open_is_chosen_with_them(widget, surface, qtbot, tmp_path):
    (tmp_path / "images").mkdir()
    tifffile.imwrite(tmp_path / "images" / "old.tif", surface)

    def region(x, value):
        shape = {"name": "rect", "x": x, "y": 0, "width": 40, "height": 96}
        return {"shape_attributes": shape, "region_attributes": {"mode": value, "by": "t"}}

    regions = [region(0, "i"), region(44, ""), region(88, "t")]
    entry = {"filename": "old.tif", "size": -1, "regions": regions, "file_attributes": {}}
    (tmp_path / "via.json").write_text(json.dumps({"old.tif": entry}))

    def choose(attribute, skip_unclassified):
        dialog = widget.learn_from.ask_for_source()
        dialog.images.value, dialog.file.value = tmp_path / "images", tmp_path / "via.json"
        dialog.attribute.value = attribute
        dialog.skip_unclassified.value = skip_unclassified
        dialog.accept()

    choose("mode", False)
    assert widget.request().annotations.skip_unclassified is False
    choose("mode", True)
    assert len(widget.request().sources) == 1
    train(widget, qtbot)
    text = widget.result_line.text()
    assert "1 region without a class is left out of the labels." in text
    command = shlex.split(widget.command_button.toolTip().splitlines()[1])
    assert "--skip-unclassified" in command
    assert command[command.index("--attribute") + 1] == "mode"


# ---- a run ----------------------------------------------------------------------------------


@pytest.mark.slow
def test_strokes_make_a_model_that_can_be_used_at_once(widget, viewer, corrected, qtbot):
    before = corrected.data.copy()
    train(widget, qtbot)
    assert widget.settings.name.value == "my tiny 2"
    entry = next(e for e in list_models() if e.key == "my tiny")
    lineage = entry.card.lineage
    assert lineage.parent == SegmentationModel.load(entry.folder.parent / "tiny").digest
    assert widget.settings.start.entry == entry
    assert "my tiny" in widget.result_line.text()
    assert "Only corrections validate" in widget.result_line.text()
    assert kept_text(entry.card) in widget.result_line.text()
    assert len(widget.curves.history) == lineage.plan["steps_done"]
    assert not unfinished_trainings()
    np.testing.assert_array_equal(corrected.data, before)

    click(qtbot, widget.next_steps.segment_button)
    qtbot.waitUntil(lambda: not jobs.runs_under_way(), timeout=LONG)
    new = viewer.layers["s17 · fracture modes [2]"]
    assert new.metadata["fractoseg"]["model"] == "my tiny"
    changes, strokes = widget.next_steps.show_changes()
    truth = corrections_of(viewer, corrected).truth > 0
    np.testing.assert_array_equal(changes.data > 0, (new.data != corrected.data) & ~truth)
    np.testing.assert_array_equal(changes.data[changes.data > 0], new.data[changes.data > 0])
    np.testing.assert_array_equal(strokes.data > 0, truth)
    assert len(widget.learn_from.pairs.rows) == 2  # what only shows changes is not learnt from


@pytest.mark.slow
def test_in_seconds_a_model_learns_to_sum_up_what_it_sees(widget, viewer, corrected, qtbot):
    settings = widget.settings
    settings.budget.choices = [("seconds", 0.0)]
    settings.name.value = "quick"
    click(qtbot, widget.controls.button)
    qtbot.waitUntil(lambda: widget.controls.state is State.DONE, timeout=LONG)
    model = SegmentationModel.load(settings.start.entry.folder)
    assert (model.card.name, model.card.lineage.plan["method"]) == ("quick", "readout")
    assert "quick</b>: learnt in " in widget.result_line.text()
    assert widget.curves.isHidden()
    labels = segment(viewer.layers["s17"].data, model, device="cpu")
    truth = corrections_of(viewer, corrected).truth
    assert np.array_equal(labels[truth > 0], truth[truth > 0])


def test_a_new_network_takes_more_than_seconds(widget, corrected, qtbot):
    settings = widget.settings
    settings.start.choice.value = ""
    settings.budget.choices = [("seconds", 0.0)]
    assert not widget.controls.button.isEnabled()
    assert "takes longer than seconds" in widget.controls.state_line.text()


def test_painting_goes_on_while_it_trains(widget, corrected, qtbot):
    truth = corrections_of(widget.viewer, corrected).truth.copy()
    widget.settings.budget.choices = [("1 s", 0.02)]
    click(qtbot, widget.controls.button)
    corrected.data[:] = 2
    qtbot.waitUntil(lambda: widget.controls.is_idle, timeout=LONG)
    assert widget.controls.state is State.DONE
    (folder,) = saved_trainings()
    with np.load(folder / "1.npz") as saved:
        assert (saved["labels"] != 2).any()
        np.testing.assert_array_equal(
            np.where(saved["labels"] != saved["predicted"], saved["labels"], 0), truth
        )


@pytest.mark.slow
def test_the_window_stays_alive(widget, corrected, qtbot):
    ticks = []
    timer = QTimer()
    timer.setInterval(10)
    timer.timeout.connect(lambda: ticks.append(time.monotonic()))
    widget.settings.budget.choices = [("6 s", 0.1)]
    click(qtbot, widget.controls.button)
    qtbot.waitUntil(lambda: len(widget.curves.history) > 0, timeout=LONG)
    timer.start()
    qtbot.waitUntil(lambda: widget.controls.is_idle, timeout=LONG)
    timer.stop()
    assert len(ticks) > 10


@pytest.mark.slow
def test_stopping_keeps_the_best_so_far(widget, corrected, qtbot):
    widget.settings.budget.choices = [("1 h", 60.0)]
    click(qtbot, widget.controls.button)
    qtbot.waitUntil(lambda: len(widget.curves.history) > 1, timeout=LONG)
    assert not widget.controls.button.isEnabled()
    click(qtbot, widget.controls.progress.cancel_button)
    assert widget.controls.state is State.STOPPING
    qtbot.waitUntil(lambda: widget.controls.is_idle, timeout=LONG)
    assert widget.controls.state is State.DONE
    assert "my tiny" in [e.key for e in list_models()]


def test_a_name_that_is_taken_is_refused_and_nothing_is_overwritten(widget, corrected, qtbot):
    widget.settings.name.value = "tiny"
    click(qtbot, widget.controls.button)
    assert widget.controls.state is State.FAILED
    assert "named 'tiny' already" in widget.controls.state_line.text()
    assert widget.controls.is_idle


@pytest.mark.slow
def test_an_interrupted_training_is_offered_and_taken_up(widget, viewer, corrected, qtbot):
    task = TrainingTask(widget.request())
    job = task.job()
    for progress in job:
        if isinstance(progress, Progress) and (task.folder / "checkpoint").exists():
            break
    job.close()  # as when the computer was switched off: a checkpoint, and no model
    widget.unfinished.offer(is_idle=True)
    assert widget.unfinished.resume_button.isVisibleTo(widget)
    assert "my tiny" in widget.unfinished.banner.text()
    steps = widget.curves.history
    click(qtbot, widget.unfinished.resume_button)
    qtbot.waitUntil(lambda: widget.controls.is_idle, timeout=LONG)
    assert widget.controls.state is State.DONE, widget.controls.state_line.text()
    assert len(widget.curves.history) >= len(steps)
    assert not widget.unfinished.resume_button.isVisibleTo(widget)
    assert "my tiny" in [e.key for e in list_models()]


@pytest.mark.slow
def test_a_training_that_another_window_runs_is_not_taken_up(widget, corrected, qtbot, monkeypatch):
    monkeypatch.setattr(notification_manager, "dispatch", lambda *_: None)
    task = TrainingTask(widget.request())
    job = task.job()
    while not (task.folder / "checkpoint").exists():
        next(job)
    job.close()
    other = TrainWidget(widget.viewer)  # a second window, which offers it as well
    qtbot.addWidget(other)
    qtbot.waitUntil(lambda: not jobs.runs_under_way(), timeout=LONG)
    running = TrainingTask.resume(task.folder).job()
    while not next(running).metrics:
        pass
    click(qtbot, other.unfinished.resume_button)
    qtbot.waitUntil(lambda: other.controls.is_idle, timeout=LONG)
    assert other.controls.state is State.FAILED
    assert "is running, in another window" in other.controls.state_line.text()
    running.close()


def test_the_plan_is_the_preset_with_what_was_chosen(widget, viewer, corrected):
    panel, chosen = widget.settings, {"patch_px": 128, "batch_size": 1}
    card = panel.start.entry.card
    assert widget.request().plan == suggested_plan(card, max_minutes=0.05, **chosen)
    panel.options.stay_close.value = False
    panel.options.batch_size.value = None
    panel.device.choice.choices = ["auto", "cpu"]
    panel.device.choice.value = "auto"  # before the devices are known
    plan = widget.request().plan
    assert plan == suggested_plan(card, max_minutes=0.05, patch_px=128, stay_close=0)
    assert plan.batch_size is None
    panel.start.choice.value = ""
    assert widget.request().plan == suggested_plan(None, max_minutes=0.05, patch_px=128)


@pytest.mark.slow
def test_painted_layers_are_saved_first_and_come_back(widget, viewer, corrected, qtbot):
    viewer.layers.selection.active = corrected
    click(qtbot, widget.learn_from.area_button)
    viewer.layers["s17 · fracture modes · checked"].data[:5] = 1
    expected = corrections_of(viewer, corrected).truth.copy()
    train(widget, qtbot)
    (folder,) = saved_trainings()
    viewer.layers.clear()
    widget.learn_from.fill_restore_menu()
    assert [a.text() for a in widget.learn_from.restore_menu.actions()] == [folder.parent.name]
    (layer,) = widget.learn_from.restore(folder)
    assert layer.name == "s17 · fracture modes (restored)"
    np.testing.assert_array_equal(corrections_of(viewer, layer).truth, expected)


def learnt_from_all(card):
    return card.metrics.get("candidates", {}).get(LEARNT_FROM_ALL, False)


@pytest.mark.slow
def test_the_command_that_is_shown_repeats_the_run(widget, corrected, qtbot, tmp_path):
    from typer.testing import CliRunner

    from napari_fractoseg.cli.app import app

    train(widget, qtbot)
    words = shlex.split(widget.run.task.command)[1:]
    out = tmp_path / "again"
    words[words.index("-o") + 1] = str(out)
    plan = tmp_path / "plan.json"
    steps = SegmentationModel.load(widget.run.result.folder).card.lineage.plan["steps_done"]
    saved = json.loads((widget.run.task.folder / "plan.json").read_text())
    plan.write_text(json.dumps({**saved, "max_minutes": None, "max_steps": 2}))
    words[words.index("--plan") + 1] = str(plan)
    done = CliRunner().invoke(app, [*words, "--device", "cpu"])
    assert done.exit_code == 0, done.output
    again, first = (SegmentationModel.load(f).card for f in (out, widget.run.result.folder))
    assert again.lineage.data.keys() == first.lineage.data.keys() == {"s17"}
    assert again.lineage.held_out.keys() == first.lineage.held_out.keys()
    # How many steps there are decides what is kept, and a kept readout learns from all labels.
    if learnt_from_all(again) == learnt_from_all(first):
        assert again.lineage.data == first.lineage.data
        assert again.lineage.held_out == first.lineage.held_out
    assert steps >= 1


@pytest.mark.slow
def test_a_new_class_on_the_layer_becomes_one_of_the_model(widget, viewer, corrected, qtbot):
    from napari_fractoseg._napari.layers import apply_scheme

    apply_scheme(corrected, DEFAULT_SCHEME.with_names(["dimples"]))
    corrected.paint((80, 20), 4)
    train(widget, qtbot)
    model = SegmentationModel.load(widget.run.result.folder)
    assert model.card.scheme.names == (*DEFAULT_SCHEME.names, "dimples")


@pytest.mark.slow
def test_a_new_network_needs_no_parent(widget, corrected, qtbot):
    widget.settings.start.choice.value = ""
    assert not widget.settings.options.encoder.native.isHidden()
    assert widget.settings.options.stay_close.native.isHidden()
    assert widget.settings.name.value == "my model"
    train(widget, qtbot)
    card = SegmentationModel.load(widget.run.result.folder).card
    assert card.lineage.parent is None
    assert card.encoder == "resnet18"


# ---- where to paint next ---------------------------------------------------------------------


def test_the_places_to_paint_next_move_the_camera(widget, viewer, corrected, qtbot):
    click(qtbot, widget.places.find_button)
    qtbot.waitUntil(lambda: not jobs.runs_under_way(), timeout=LONG)
    places = widget.places
    assert places.list.count() > 0
    assert "% sure · s17" in places.list.item(0).text().replace("\u00a0", " ")
    for row in range(places.list.count()):
        places.list.setCurrentRow(row)
        place, layer = places.places[row]
        marked = [x for x in viewer.layers if x.metadata.get("fractoseg", {}).get("helper")]
        (box,) = (np.array(layer.data[0]) for layer in marked)
        np.testing.assert_allclose(box.mean(axis=0), (place.row, place.column), atol=0.5)
        camera = getattr(viewer, "scene", viewer).camera
        assert tuple(camera.center[-2:]) == tuple(layer.data_to_world((place.row, place.column)))
    assert places.list.currentRow() == places.list.count() - 1
    click(qtbot, places.next_button)
    assert places.list.currentRow() == 0
    click(qtbot, places.previous_button)
    assert places.list.currentRow() == places.list.count() - 1


# ---- a new network -------------------------------------------------------------------------


@pytest.mark.slow
def test_without_a_network_random_weights_are_offered(widget, corrected, qtbot, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    widget.settings.start.choice.value = ""
    widget.settings.name.value = "from photographs"
    widget.settings.options.encoder_weights.value = "imagenet"
    widget.settings.options.reduction.value = 1
    train(widget, qtbot, State.FAILED)
    assert "could not be fetched from http://127.0.0.1:9/" in widget.controls.state_line.text()
    assert "start from random weights" in widget.controls.state_line.text()
    assert widget.random_button.isVisibleTo(widget)
    click(qtbot, widget.random_button)
    qtbot.waitUntil(lambda: widget.controls.is_idle, timeout=LONG)
    assert widget.controls.state is State.DONE, widget.controls.state_line.text()
    assert not widget.random_button.isVisibleTo(widget)
    (entry,) = [e for e in list_models() if e.key == "from photographs"]
    assert entry.card.lineage.plan["encoder_weights"] == "none"
    assert entry.card.inference.reductions == (1,)


def test_what_only_a_new_network_has_is_hidden_otherwise(widget):
    options = widget.settings.options
    only_new = (options.encoder, options.encoder_weights, options.reduction)
    assert [c.native.isVisibleTo(options) for c in only_new] == [False] * 3
    widget.settings.start.choice.value = ""
    assert [c.native.isVisibleTo(options) for c in only_new] == [True] * 3


def test_nothing_is_cut_off_beside_the_scroll_bar(make_napari_viewer, qtbot):
    viewer = make_napari_viewer(show=True)
    viewer.window.resize(1366, 740)
    dock = TrainWidget(viewer)
    viewer.window.add_dock_widget(dock, name="Train")
    dock.settings.options.expand(animate=False)
    dock.curves.show()
    bar = dock.area.verticalScrollBar()
    qtbot.waitUntil(bar.isVisible, timeout=LONG)
    assert dock.area.widget().width() <= dock.area.viewport().width()
    qtbot.waitUntil(lambda: not jobs.runs_under_way(), timeout=LONG)


def test_from_the_menu_the_plane_of_the_active_layer_is_said_to_be_correct(
    make_napari_viewer, surface, qtbot, tiny_alone, no_job_left
):
    """napari hands a plugin its viewer, and the layers in it, in a wrapper."""
    viewer = make_napari_viewer()
    viewer.add_image(surface, name="s17")
    layers = [viewer.add_labels(np.ones(surface.shape, np.uint8), name=n) for n in "ab"]
    _, widget = viewer.window.add_plugin_dock_widget("napari-fractoseg", "Train on corrections")
    for layer in layers:
        viewer.layers.selection.active = layer
        assert widget.learn_from.plane_button.isEnabled()
    click(qtbot, widget.learn_from.plane_button)
    assert viewer.layers["b · checked"].data.all()
    assert [row.taught.confirmed for row in widget.learn_from.pairs.rows] == [surface.size, 0]
