"""A result that is saved in one click is the same when it is opened again."""

import dask.array
import npe2
import numpy as np
import pytest
import tifffile
from napari._app_model import get_app_model
from napari.layers import Image, Labels
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFileDialog
from typer.testing import CliRunner

from napari_fractoseg import batch
from napari_fractoseg._napari.corrections import (
    checked_layer,
    corrections_of,
    first_answer_of,
    mark_checked,
    prediction_of,
    remember_first_answer,
    remember_prediction,
)
from napari_fractoseg._napari.excluded import area_of_labels, areas_of
from napari_fractoseg._napari.layer_metadata import add_facts, facts_of
from napari_fractoseg._napari.layers import apply_scheme, images_of, labels_layer, scheme_of
from napari_fractoseg._napari.open_files import open_paths
from napari_fractoseg._napari.origin import count_taught, is_foreign, recognise
from napari_fractoseg._napari.save.restorer import restorer_of
from napari_fractoseg._napari.save.saver import saver_of
from napari_fractoseg._napari.segment.dock import SegmentWidget
from napari_fractoseg.classes import DEFAULT_SCHEME, ClassScheme, FractureClass
from napari_fractoseg.cli.app import app
from napari_fractoseg.images import ExcludedArea
from napari_fractoseg.jobs import drain
from napari_fractoseg.results.record import LabelRecord
from napari_fractoseg.results.saved import SavedLabels, write_labels_job

pytestmark = pytest.mark.usefixtures("no_job_left")

LONG = 60_000
SHAPE = (48, 64)


def click(qtbot, button):
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)


@pytest.fixture
def segmented(segment_dock, qtbot, noise, tmp_path):
    """A dock with the result of an image in a file, of any number of planes."""

    def make(*shape, rgb=False, **options):
        viewer = segment_dock.viewer
        data = noise(*shape)
        file = tmp_path / "s17.tif"
        if rgb:
            data = np.stack([data, data, data], -1)
        tifffile.imwrite(file, data, photometric="rgb" if rgb else "minisblack")
        (image,) = viewer.open(str(file), plugin="napari")
        image.scale = (*(1.0,) * (len(shape) - 2), 0.25, 0.25)
        image.units = (*("pixel",) * (len(shape) - 2), "um", "um")
        if len(shape) > 2:
            segment_dock.source.extent.value = "all"
        for name, value in options.items():
            getattr(segment_dock.advanced, name).value = value
        click(qtbot, segment_dock.controls.button)
        qtbot.waitUntil(lambda: not segment_dock.queue.is_busy, timeout=LONG)
        return segment_dock

    return make


def saved(dock, qtbot):
    """Save what a dock follows by its button; return the folder."""
    click(qtbot, dock.save_row.button)
    qtbot.waitUntil(lambda: not dock.save_row.saver.is_busy, timeout=LONG)
    return dock.save_row.saver.run.result.folder


def correct(labels):
    """Paint a square of class 3, by the brush's way."""
    index = (slice(None),) * (labels.data.ndim - 2)
    labels.data[(*index, slice(4, 12), slice(4, 12))] = 3
    labels.refresh()


def state_of(viewer, layer):
    """All that is to be as before."""
    checked, corrections = checked_layer(viewer, layer), corrections_of(viewer, layer)
    facts = facts_of(layer)
    return {
        "labels": np.asarray(layer.data),
        "predicted": np.asarray(prediction_of(layer)),
        "first": np.asarray(first_answer_of(layer)),
        "corrected": corrections.corrected,
        "checked": None if checked is None else np.asarray(checked.data),
        "scheme": scheme_of(layer).to_dict(),
        "record": LabelRecord.from_dict(facts).to_dict(),
        "strokes": facts.get("learnt_strokes"),
        "scale": tuple(layer.scale),
        "units": tuple(map(str, layer.units)),
        "translate": tuple(layer.translate),
        "colours": {k: tuple(v) for k, v in layer.colormap.color_dict.items()},
        "classes": list(layer.features["class"]),
    }


def assert_same(now, before):
    for name, value in before.items():
        if isinstance(value, np.ndarray):
            np.testing.assert_array_equal(now[name], value, err_msg=name)
        else:
            assert now[name] == value, name


def opened_by_napari(viewer, folder):
    """Open the labels as a drop on the window does, with napari's own reader."""
    (layer,) = viewer.open(str(folder / "s17_labels.tif"), plugin=None)
    return layer


def opened_by_command(viewer, folder):
    (name,) = [p for p in folder.iterdir() if p.name.startswith("s17_labels.")]
    (layer,) = open_paths(viewer, [name])
    return layer


def opened_by_report(viewer, folder):
    """Drop ``run.json`` on the window: no other plugin reads it, so that nobody is asked."""
    layers = viewer.open(str(folder / "run.json"), plugin=None)
    return next(layer for layer in layers if isinstance(layer, Labels))


WAYS = [opened_by_napari, opened_by_command, opened_by_report]


@pytest.mark.parametrize("opened", WAYS)
def test_all_is_as_before(segmented, qtbot, opened):
    dock = segmented(*SHAPE, confidence=True)
    viewer, result = dock.viewer, dock.result
    renamed = scheme_of(result).with_class("dimples", 7)
    apply_scheme(result, renamed)
    correct(result)
    mark_checked(viewer, result).data[30:40, 30:40] = 1
    before, line = state_of(viewer, result), dock.result_line
    qtbot.waitUntil(lambda: "→" in line.text() or "->" in line.text(), timeout=LONG)
    text = line.text()
    folder = saved(dock, qtbot)

    viewer.layers.clear()
    layer = opened(viewer, folder)
    restorer_of(viewer).look()
    assert_same(state_of(viewer, layer), before)
    viewer.layers.selection.active = layer
    qtbot.waitUntil(lambda: line.text() == text, timeout=LONG)
    assert layer.editable
    assert layer.data.dtype == np.uint8


def test_results_in_a_new_window_are_corrected_with_the_brush(
    segmented, qtbot, make_napari_viewer, tmp_path
):
    earlier = segmented(*SHAPE)
    folder, record = saved(earlier, qtbot), LabelRecord.from_dict(facts_of(earlier.result))
    (tmp_path / "zarr").mkdir()
    on_disk = SavedLabels(earlier.result.data, DEFAULT_SCHEME, "s17", record)
    drain(write_labels_job(tmp_path / "zarr" / "s17_labels.zarr", on_disk, tmp_path / "s17.tif"))
    viewer = make_napari_viewer()
    dock = SegmentWidget(viewer)
    viewer.window.add_dock_widget(dock)
    for opened, place in (
        (opened_by_report, folder),
        (opened_by_napari, folder),
        (opened_by_command, tmp_path / "zarr"),
    ):
        viewer.layers.clear()
        if opened is not opened_by_report:
            viewer.open(str(tmp_path / "s17.tif"), plugin="napari")
        assert not dock.after.isVisibleTo(dock)
        layer = opened(viewer, place)
        restorer_of(viewer).look()
        assert viewer.layers.selection.active is layer
        click(qtbot, dock.brush_button)
        assert layer.mode == "paint"

        layer.mode = "pan_zoom"
        viewer.layers.selection.active = viewer.layers["s17"]
        assert dock.save_row.isVisibleTo(dock), "as for the result of a run"
        assert "%" in dock.result_line.text()
        click(qtbot, dock.brush_button)
        assert viewer.layers.selection.active is layer
        assert layer.mode == "paint"


def test_what_cannot_be_painted_on_has_no_brush(segment_dock, noise):
    viewer = segment_dock.viewer
    viewer.add_image(noise(*SHAPE), name="s17")
    levels = [np.ones(SHAPE, np.uint8), np.ones((24, 32), np.uint8)]
    apply_scheme(viewer.add_labels(levels, name="large"), DEFAULT_SCHEME)
    assert segment_dock.after.isVisibleTo(segment_dock)
    assert not segment_dock.brush_button.isVisibleTo(segment_dock)
    viewer.add_labels(np.ones(SHAPE, np.uint8), name="no classes")
    assert not segment_dock.brush_button.isVisibleTo(segment_dock)


@pytest.mark.parametrize(
    ("shape", "rgb"), [((3, *SHAPE), False), (SHAPE, True)], ids=["stack", "rgb"]
)
def test_stacks_and_colours(segmented, qtbot, shape, rgb):
    dock = segmented(*shape, rgb=rgb)
    correct(dock.result)
    before = state_of(dock.viewer, dock.result)
    folder = saved(dock, qtbot)
    dock.viewer.layers.clear()
    layers = dock.viewer.open(str(folder / "run.json"), plugin=None)
    image, labels = layers
    assert isinstance(image, Image)
    assert image.rgb == rgb
    assert images_of(dock.viewer, labels) == [image]
    assert_same(state_of(dock.viewer, labels), before)


def test_labels_on_disk(segmented, qtbot, tmp_path):
    (tmp_path / "disk").mkdir()
    dock = segmented(*SHAPE, save=tmp_path / "disk")
    dock.result.brush_size = 9
    dock.result.paint((20, 20), 3)
    before = state_of(dock.viewer, dock.result)
    folder = saved(dock, qtbot)
    assert (folder / "s17_labels.zarr").is_dir()
    dock.viewer.layers.clear()
    assert_same(state_of(dock.viewer, opened_by_report(dock.viewer, folder)), before)


def test_what_was_learnt_from_strokes_stays_apart_from_strokes_and_the_first_answer(
    segmented, qtbot
):
    dock = segmented(*SHAPE)
    viewer, result = dock.viewer, dock.result
    first = np.array(prediction_of(result))
    learnt, stroke = np.full_like(first, 2), np.s_[4:9, 4:9]
    result.data[...] = learnt
    result.data[stroke], learnt[stroke] = 1, 0  # as Live keeps them
    remember_first_answer(result, first)
    remember_prediction(result, learnt)
    add_facts(result, {"learnt_strokes": 1})
    before = state_of(viewer, result)
    assert before["corrected"].sum() == 25
    folder = saved(dock, qtbot)
    viewer.layers.clear()
    assert_same(state_of(viewer, opened_by_report(viewer, folder)), before)


@pytest.mark.parametrize("as_zarr", [False, True])
def test_an_area_that_was_drawn_is_left_out_again(segmented, qtbot, as_zarr, tmp_path):
    (tmp_path / "disk").mkdir()
    dock = segmented(2, *SHAPE, save=tmp_path / "disk" if as_zarr else None)
    viewer, result = dock.viewer, dock.result
    (image,) = images_of(viewer, result)
    areas_of(viewer).edit(image).data[40:, :30] = 1
    areas_of(viewer)._note(image)
    before = area_of_labels(viewer, result)
    folder = saved(dock, qtbot)
    viewer.layers.clear()
    layer = opened_by_report(viewer, folder)
    restorer_of(viewer).look()
    now = area_of_labels(viewer, layer)
    np.testing.assert_array_equal(now.of_plane()[...], before.of_plane()[...])
    labels_only = open_paths(viewer, [next(folder.glob("s17_labels.*"))])[0]
    viewer.layers.remove(images_of(viewer, layer)[0])
    now = area_of_labels(viewer, labels_only)
    np.testing.assert_array_equal(now.of_plane()[...], before.of_plane()[...])


def test_an_area_is_restored_once_the_bar_of_a_large_image_was_looked_for(viewer, qtbot, tmp_path):
    shape = (2100, 2100)
    path = tmp_path / "big_labels.tif"
    area = ExcludedArea(shape, bands=((2000, 2100),), source="drawn")
    saved_then = SavedLabels(np.ones(shape, np.uint8), DEFAULT_SCHEME, "big", excluded=area)
    drain(write_labels_job(path, saved_then, tmp_path / "big.tif"))
    restorer_of(viewer)
    viewer.add_image(np.zeros(shape, np.uint8), name="big")
    (labels,) = open_paths(viewer, [path])
    qtbot.waitUntil(
        lambda: (found := area_of_labels(viewer, labels)) is not None and found.key == area.key,
        timeout=LONG,
    )


def test_the_command_line_measures_the_same(segmented, qtbot, tmp_path):
    dock = segmented(2, *SHAPE)
    correct(dock.result)
    data = np.array(dock.result.data)
    folder = saved(dock, qtbot)
    names = sorted(path.name for path in folder.iterdir())
    assert names == [
        "fractions.csv",
        "report.html",
        "run.json",
        "s17_labels.tif",
        "s17_overlay_0.png",
        "s17_overlay_1.png",
        "s17_predicted.tif",
    ]
    found = CliRunner().invoke(
        app, ["measure", str(folder), "-o", str(tmp_path / "measured"), "--no-facets"]
    )
    assert found.exit_code == 0, found.output
    part = (data == 1).sum() / ((data == 1) | (data == 2)).sum()
    fields = [np.mean(p == 1) / np.isin(p, (1, 2)).mean() for p in data]
    assert f"{100 * part:.1f}" in found.output or f"{100 * np.mean(fields):.1f}" in found.output
    said = (folder / "report.html").read_text()
    assert "-draft" not in said + (folder / "run.json").read_text()


def test_nothing_is_overwritten_and_a_stop_leaves_nothing(segmented, qtbot, tmp_path):
    dock = segmented(*SHAPE)
    first, second = saved(dock, qtbot), saved(dock, qtbot)
    assert (first.name, second.name) == ("s17_result", "s17_result-2")
    assert dock.save_row.line.text() == f"Saved in {second}"
    dock.result.paint((20, 20), 3)
    assert dock.save_row.line.text() == f"Saved in {second}. The layer was changed since."
    before = sorted(tmp_path.iterdir())
    click(qtbot, dock.save_row.button)
    assert dock.save_row.button.text() == "Stop saving"
    click(qtbot, dock.save_row.button)
    qtbot.waitUntil(lambda: not dock.save_row.saver.is_busy, timeout=LONG)
    assert sorted(tmp_path.iterdir()) == before
    assert "Stopped. Nothing was written" in dock.save_row.line.text()


def test_labels_painted_by_hand_are_saved_with_their_classes(
    segment_dock, qtbot, tmp_path, noise, monkeypatch
):
    """An image without a file is saved beside them, into a folder that the user is asked for."""
    viewer = segment_dock.viewer
    viewer.add_image(noise(*SHAPE), name="mine")
    labels = viewer.add_labels(np.zeros(SHAPE, np.uint8), name="by hand")
    own = ClassScheme("own", (FractureClass(1, "dimples", "#ff9f1c"),))
    apply_scheme(labels, own)
    count_taught(viewer, labels)
    labels.brush_size = 40
    labels.paint((20, 20), 1)
    mark_checked(viewer, labels).data[:5] = 1
    segment_dock.viewer.layers.selection.active = labels
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(tmp_path))
    folder = saved(segment_dock, qtbot)
    assert folder == tmp_path / "mine_result"
    np.testing.assert_array_equal(tifffile.imread(folder / "mine.tif"), noise(*SHAPE))
    data = np.array(labels.data)
    viewer.layers.clear()
    assert [t.path.name for t in batch.plan([folder], tmp_path / "elsewhere")] == ["mine.tif"]
    image, again = viewer.open(str(folder / "run.json"), plugin=None)
    assert (image.name, scheme_of(again)) == ("mine", own)
    assert again.name == "by hand"
    np.testing.assert_array_equal(again.data, data)
    found = CliRunner().invoke(app, ["measure", str(folder), "-o", str(tmp_path / "out")])
    assert "dimples" in found.output


def test_a_stack_of_files_is_saved_with_its_labels(viewer, qtbot, noise, tmp_path):
    """napari reads such stacks plane by plane, and keeps no name of a file."""
    data = noise(2, *SHAPE)
    image = viewer.add_image(dask.array.from_array(data, chunks=(1, -1, -1)), name="series")
    labels = labels_layer(
        np.ones((2, *SHAPE), np.uint8), DEFAULT_SCHEME, name="mine", metadata={"image": "series"}
    )
    viewer.add_layer(labels)
    saver = saver_of(viewer)
    run = saver.save(labels, saver.snapshot(labels), tmp_path)
    qtbot.waitUntil(lambda: run.state.has_ended, timeout=LONG)
    image, _ = viewer.open(str(run.result.folder / "run.json"), plugin=None)
    np.testing.assert_array_equal(image.data, data)


def test_labels_without_classes_are_refused_in_words(segment_dock, noise):
    viewer = segment_dock.viewer
    viewer.add_image(noise(*SHAPE), name="mine")
    viewer.layers.selection.active = viewer.add_labels(np.zeros(SHAPE, np.uint8), name="by hand")
    segment_dock.save_row.save()
    assert "by hand has no classes to save" in segment_dock.save_row.line.text()
    other = labels_layer(np.ones(SHAPE, np.uint8), DEFAULT_SCHEME, name="other")
    viewer.layers.selection.active = viewer.add_layer(other)
    assert segment_dock.save_row.line.text() == ""


def test_a_part_of_another_result_is_not_taken(segmented, qtbot):
    dock = segmented(*SHAPE)
    correct(dock.result)
    folder = saved(dock, qtbot)
    other = tifffile.imread(folder / "s17_predicted.tif")
    tifffile.imwrite(folder / "s17_predicted.tif", np.roll(other, 1))
    dock.viewer.layers.clear()
    layer = opened_by_command(dock.viewer, folder)
    assert prediction_of(layer) is None
    assert facts_of(layer)["changed_since"] == "tiny"


def test_the_command_in_the_menu(segmented, qtbot, tmp_path):
    dock = segmented(*SHAPE)
    dock.viewer.layers.selection.active = None
    run = get_app_model().commands.execute_command("napari-fractoseg.save_result").result()
    qtbot.waitUntil(lambda: run.state.has_ended, timeout=LONG)
    assert (tmp_path / "s17_result" / "run.json").is_file()
    opened = open_paths(dock.viewer, [tmp_path / "s17_result"])
    assert [type(layer) for layer in opened] == [Image, Labels]


# ---- what napari makes of files ----------------------------------------------------------------


def test_napari_asks_nobody_about_what_was_saved(segmented, qtbot):
    folder = saved(segmented(*SHAPE), qtbot)
    manager = npe2.PluginManager.instance()
    for path in folder.iterdir():
        plugins = {r.plugin_name for r in manager.iter_compatible_readers([str(path)])}
        assert len(plugins) <= 1, path.name


def test_labels_of_the_command_line_that_napari_takes_for_an_image(segmented, qtbot):
    """Their values have eight bits, which is an image to napari, until a dock is there."""
    dock = segmented(*SHAPE)
    folder = saved(dock, qtbot)
    eight = folder / "t_labels.tif"
    with tifffile.TiffFile(folder / "s17_labels.tif") as tif:
        data, description = tif.asarray(), tif.pages.first.description.encode()
    tifffile.imwrite(eight, data.astype(np.uint8), description=description, metadata=None)
    dock.viewer.layers.clear()
    dock.viewer.open(str(eight), plugin="napari")
    qtbot.waitUntil(lambda: isinstance(dock.viewer.layers[0], Labels), timeout=LONG)
    (layer,) = dock.viewer.layers
    assert layer.name == "t_labels"
    np.testing.assert_array_equal(layer.data, data)
    assert scheme_of(layer).names == DEFAULT_SCHEME.names


def test_what_napari_saved_itself_is_recognised(segmented, qtbot, tmp_path):
    dock = segmented(*SHAPE)
    dock.result.save(str(tmp_path / "plain.tif"))
    correct(dock.result)
    dock.result.save(str(tmp_path / "painted.tif"))
    data = np.array(dock.result.data)
    dock.viewer.layers.remove(dock.result)
    (plain,) = dock.viewer.open(str(tmp_path / "plain.tif"), plugin=None)
    recognise(plain)
    assert scheme_of(plain).names == DEFAULT_SCHEME.names
    assert facts_of(plain)["model_name"] == "tiny"
    (painted,) = dock.viewer.open(str(tmp_path / "painted.tif"), plugin=None)
    dock.viewer.layers.selection.active = painted
    np.testing.assert_array_equal(painted.data, data)
    assert not is_foreign(painted)
    click(qtbot, dock.legend.use_button)
    assert scheme_of(painted).names == DEFAULT_SCHEME.names
