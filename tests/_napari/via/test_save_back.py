"""VIA files written as the kind that they came from, with the corrections of all their layers."""

import json
from dataclasses import replace
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest
from napari._app_model import get_app_model
from napari.layers import Labels
from qtpy.QtWidgets import QFileDialog

from napari_fractoseg._napari.jobs import State
from napari_fractoseg._napari.open_files import open_paths
from napari_fractoseg._napari.plane_names import shown_plane_name
from napari_fractoseg._napari.save.saver import saver_of
from napari_fractoseg._napari.via.dock import ViaImportWidget
from napari_fractoseg._napari.via.save_back import SaveBackRun, layers_to_save, suggested_path
from napari_fractoseg.annotations import Flavour, read_via, write_via
from napari_fractoseg.annotations.conversion.flavours import in_flavour, named_after
from napari_fractoseg.errors import AnnotationError

pytestmark = pytest.mark.usefixtures("no_job_left")

POLYGON = {"name": "polygon", "all_points_x": [1, 9, 9, 1], "all_points_y": [1, 1, 9, 9]}
CIRCLE = {"name": "circle", "cx": 15, "cy": 10, "r": 3}
BROKEN = {"name": "blob"}


def entry(name):
    shapes = ((POLYGON, "i"), (BROKEN, "i"), (CIRCLE, "t"))
    regions = [
        {"shape_attributes": shape, "region_attributes": {"mode": mode, "note": "x"}}
        for shape, mode in shapes
    ]
    return {"filename": name, "size": 7, "regions": regions, "file_attributes": {"quality": "ok"}}


@pytest.fixture
def source(tmp_path):
    """A VIA 2 file of three images, two of which are there in different sizes."""
    for name, shape in (("a.png", (20, 30)), ("b.png", (16, 24))):
        iio.imwrite(tmp_path / name, np.full(shape, 128, np.uint8))
    path = tmp_path / "via.json"
    path.write_text(json.dumps({f"{n}7": entry(n) for n in ("a.png", "b.png", "gone.png")}))
    return path


@pytest.fixture
def stack(tmp_path):
    """A VIA 2 file of two images of one size."""
    for name in ("a.png", "b.png"):
        iio.imwrite(tmp_path / name, np.full((20, 30), 128, np.uint8))
    path = tmp_path / "via.json"
    path.write_text(json.dumps({f"{n}7": entry(n) for n in ("a.png", "b.png")}))
    return path


@pytest.fixture
def saved(viewer, qtbot, tmp_path):
    def saved(name="out.json"):
        run = SaveBackRun(layers_to_save(viewer), tmp_path / name)
        run.start()
        qtbot.waitUntil(lambda: run.state.has_ended, timeout=20_000)
        assert run.state is State.DONE, run.error
        return run

    return saved


def as_flavour(source, flavour):
    """Write the file as another kind, and return its path."""
    document = in_flavour(read_via(source, strict=False), flavour)
    document = named_after(document, Path("a project.json"))
    path = source.with_name("other.csv" if flavour.value.endswith("csv") else "other.json")
    write_via(document, path)
    return path


@pytest.mark.parametrize(
    "flavour",
    [Flavour.VIA2, Flavour.VIA2_CSV, Flavour.VIA2_PROJECT, Flavour.VIA1, Flavour.VIA1_CSV],
)
def test_what_was_not_touched_is_as_it_was_read(viewer, source, saved, flavour):
    path = source if flavour is Flavour.VIA2 else as_flavour(source, flavour)
    open_paths(viewer, [path])
    assert len(layers_to_save(viewer)) == 5
    run = saved("out" + path.suffix)
    assert read_via(run.result.path, strict=False) == read_via(path, strict=False)
    assert run.end_text() == f"Saved 9 regions of 3 images in {run.result.path}."


def test_via_3_is_saved_as_via_3_and_other_programs_as_a_project_of_via_2(
    viewer, source, saved, tmp_path
):
    document = in_flavour(read_via(source, strict=False), Flavour.VIA3)
    write_via(document, tmp_path / "three.json")
    shape = {"label": "t", "points": [[1, 1], [9, 9]], "shape_type": "rectangle", "group_id": 4}
    labelme = tmp_path / "labelme.json"
    labelme.write_text(json.dumps({"shapes": [shape], "imagePath": "a.png"}))
    open_paths(viewer, [tmp_path / "three.json"])
    assert read_via(saved("out3.json").result.path) == read_via(tmp_path / "three.json")
    viewer.layers.clear()
    open_paths(viewer, [labelme])
    viewer.layers["a · annotation"].data[12:14, 2:6] = 1
    (image,) = read_via(saved("out2.json").result.path)
    assert read_via(tmp_path / "out2.json").flavour is Flavour.VIA2_PROJECT
    assert sorted(r.attributes["label"] for r in image.regions) == ["intergranular", "t"]


@pytest.mark.parametrize("flavour", [Flavour.VIA2, Flavour.VIA1])
def test_corrections_of_all_layers_are_saved(viewer, source, saved, flavour):
    path = source if flavour is Flavour.VIA2 else as_flavour(source, flavour)
    open_paths(viewer, [path])
    viewer.layers["a · annotation"].data[12:14, 2:6] = 2
    shapes = viewer.layers["b · regions"]
    shapes.data = [vertices + np.array([0, 1]) for vertices in shapes.data]
    run = saved()
    document, before = read_via(run.result.path, strict=False), read_via(path, strict=False)
    assert document.flavour is flavour
    a, b, gone = document
    assert {r.attributes["mode"] for r in a.regions} == {"i", "t"}
    assert b.regions[1].shape["cx"] == CIRCLE["cx"] + 1
    assert gone == before[2]
    new = a.regions[0].shape
    points = list(zip(new["all_points_x"], new["all_points_y"], strict=True))
    assert (points[0] == points[-1]) == flavour.is_closed
    assert "other attributes ['note'] are not kept" in run.end_text()
    for layer in list(viewer.layers):
        viewer.layers.remove(layer)
    open_paths(viewer, [run.result.path])
    assert (viewer.layers["a · annotation"].data[12:14, 2:6] == 2).all()


def test_labels_and_shapes_of_one_image_cannot_both_be_right(viewer, source, qtbot, tmp_path):
    open_paths(viewer, [source])
    viewer.layers["a · annotation"].data[12:14, 2:6] = 2
    shapes = viewer.layers["a · regions"]
    shapes.data = [vertices + np.array([0, 1]) for vertices in shapes.data]
    run = SaveBackRun(layers_to_save(viewer), tmp_path / "out.json")
    with qtbot.capture_exceptions():
        run.start()
        qtbot.waitUntil(lambda: run.state.has_ended, timeout=20_000)
    assert "regions of 'a.png' were changed in both" in str(run.error)
    assert not (tmp_path / "out.json").exists()


def test_the_file_to_save_is_that_of_the_active_layer(viewer, source, tmp_path):
    with pytest.raises(AnnotationError, match="No layer here came from a VIA file"):
        layers_to_save(viewer)
    first = open_paths(viewer, [source])
    viewer.add_layer(Labels(np.zeros((4, 4), np.uint8), name="mine"))
    viewer.layers.selection.active = viewer.layers["mine"]
    assert len(layers_to_save(viewer)) == 5  # the only file
    open_paths(viewer, [source])
    viewer.layers.selection.active = viewer.layers["mine"]
    with pytest.raises(AnnotationError, match="came from 2 VIA files. Select a layer"):
        layers_to_save(viewer)
    viewer.layers.selection.active = first[1]
    assert set(layers_to_save(viewer)) == set(first) - {first[0], first[3]}


def test_a_new_name_is_proposed_then_the_one_used_last(viewer, source, saved, tmp_path):
    layers = [x for x in open_paths(viewer, [source]) if isinstance(x, Labels)]
    assert suggested_path(layers[0]) == tmp_path / "via corrected.json"
    (tmp_path / "via corrected.json").touch()
    assert suggested_path(layers[0]) == tmp_path / "via corrected [2].json"
    saved()
    assert suggested_path(layers[0]) == tmp_path / "out.json"


def test_the_dock_asks_and_saves(viewer, source, monkeypatch, qtbot, tmp_path):
    dock = ViaImportWidget(viewer)
    viewer.window.add_dock_widget(dock)
    dock.save_button.click()
    assert "No layer here came from a VIA file" in dock.controls.state_line.text()
    open_paths(viewer, [source])
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(tmp_path / "back"), ""))
    dock.save_button.click()
    qtbot.waitUntil(lambda: dock.controls.is_idle, timeout=20_000)
    assert "Saved 9 regions of 3 images in" in dock.controls.state_line.text()
    assert read_via(tmp_path / "back.json", strict=False) == read_via(source, strict=False)
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: ("", ""))
    dock.save_button.click()
    assert dock.controls.is_idle


def test_the_command_in_the_menu_saves_too(viewer, source, monkeypatch, qtbot, tmp_path):
    open_paths(viewer, [source])
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(tmp_path / "back.csv"), ""))
    get_app_model().commands.execute_command("napari-fractoseg.save_back").result()
    qtbot.waitUntil((tmp_path / "back.csv").exists, timeout=20_000)
    assert read_via(tmp_path / "back.csv", strict=False).flavour is Flavour.VIA2_CSV


@pytest.mark.parametrize("as_zarr", [False, True])
def test_a_saved_result_keeps_its_via_file(viewer, qtbot, stack, saved, tmp_path, as_zarr):
    open_paths(viewer, [stack])
    labels = viewer.layers["via (2 images) · annotation"]
    labels.data[1, 12:14, 2:6] = 2
    viewer.layers.selection.active = labels
    direct = read_via(saved("direct.json").result.path, strict=False)

    saver = saver_of(viewer)
    snapshot = replace(saver.snapshot(labels), as_zarr=as_zarr)
    run = saver.save(labels, snapshot, tmp_path)
    qtbot.waitUntil(lambda: run.state.has_ended, timeout=60_000)
    folder = run.result.folder
    assert "via (2 images)_via.json" in [path.name for path in folder.iterdir()]
    viewer.layers.clear()
    image, again = viewer.open(str(folder / "run.json"), plugin=None)
    assert layers_to_save(viewer) == [again]
    viewer.dims.set_current_step(0, 1)
    assert shown_plane_name(viewer, again) == shown_plane_name(viewer, image) == "b.png"
    assert suggested_path(again) == tmp_path / "direct.json", "where it was saved last"
    assert read_via(saved("again.json").result.path, strict=False) == direct

    again.data[0, 12:14, 2:6] = 2  # and it goes on
    a, b = read_via(saved("later.json").result.path, strict=False)
    assert len(a.regions) == len(b.regions) == len(direct[1].regions)


def test_a_via_file_that_was_changed_since_is_told(viewer, qtbot, stack, tmp_path, capsys):
    open_paths(viewer, [stack])
    labels = viewer.layers["via (2 images) · annotation"]
    saver = saver_of(viewer)
    run = saver.save(labels, saver.snapshot(labels), tmp_path)
    qtbot.waitUntil(lambda: run.state.has_ended, timeout=60_000)
    (kept,) = run.result.folder.glob("*_via.json")
    kept.write_text(kept.read_text() + " ")
    viewer.layers.clear()
    viewer.open(str(run.result.folder / "run.json"), plugin=None)
    assert "was changed since. The labels cannot be saved back to VIA." in capsys.readouterr().out
    with pytest.raises(AnnotationError, match="came from a VIA file"):
        layers_to_save(viewer)
