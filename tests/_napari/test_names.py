"""Names of layers, classes, models and files as other people may have chosen them."""

import os

import numpy as np
import pytest
from napari.utils.notifications import notification_manager
from qtpy.QtCore import Qt

from napari_fractoseg._napari.jobs import Run, State
from napari_fractoseg._napari.layers import labels_layer
from napari_fractoseg._napari.result_reader import get_labels_reader, read_results
from napari_fractoseg._napari.segment.dock import SegmentWidget
from napari_fractoseg._napari.via.reader import get_reader
from napari_fractoseg._napari.widgets.dock import Dock
from napari_fractoseg._napari.widgets.model_picker import ModelPicker
from napari_fractoseg._napari.widgets.run_controls import RunControls
from napari_fractoseg.classes import ClassScheme, FractureClass
from napari_fractoseg.errors import ImageError
from napari_fractoseg.jobs import Progress
from napari_fractoseg.models.card import CARD, WEIGHTS

pytestmark = pytest.mark.usefixtures("no_job_left")

PICTURE = "<img src='/dev/null'>"
SCHEME = ClassScheme(PICTURE, (FractureClass(1, PICTURE, "#ff0000"),))


needs_pipes = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")


@pytest.fixture
def picker(qtbot, tmp_path, monkeypatch):
    """Make a choice of the models in a folder of the user."""

    def make():
        monkeypatch.setenv("FRACTOSEG_MODELS", str(tmp_path / "models"))
        picker = ModelPicker()
        qtbot.addWidget(picker)
        return picker

    return make


def choices(picker):
    """The titles that are shown, and the folder that each chooses."""
    box = picker.choice.native
    found = {}
    for row in range(box.count()):
        box.setCurrentIndex(row)
        found[box.itemText(row)] = picker.entry.folder.name
    return found


# ---- in what is napari's ---------------------------------------------------------------------


def test_under_the_cursor_the_name_of_a_class_is_text(is_rich):
    layer = labels_layer(np.ones((4, 4), np.uint8), SCHEME, name=f"s17 · {PICTURE}")
    status = layer.get_status((1, 1), view_direction=np.zeros(2), dims_displayed=[0, 1])
    shown = str(status["coordinates"])  # in napari's status bar
    _where, value = shown.replace("\u200b", "").split("]", 1)  # with commas since napari 0.7
    assert value == f": 1; class: {PICTURE}"
    assert not is_rich(shown)
    assert not is_rich(layer.name)
    assert layer.name.replace("\u200b", "") == f"s17 · {PICTURE}"


def test_the_same_holds_for_labels_in_a_foreign_file(is_rich, tmp_path):
    from napari_fractoseg.results.label_writer import ZarrLabels

    group = ZarrLabels(tmp_path / "<b>s17.zarr", {"shape": [4, 4], "dtype": "uint8"}, anew=True)
    group.array[...] = 1
    group.describe("s17", tmp_path / "a.tif", SCHEME, 0.25, None)
    group.finish(overwrite=True)
    ((_, arguments, _),) = read_results(str(tmp_path / "<b>s17.zarr"))
    assert not is_rich(arguments["name"])
    assert not is_rich(arguments["features"]["class"][1])


def test_an_error_keeps_its_details_when_its_tags_are_shown(qtbot, is_rich):
    def divide():
        yield Progress(0, 1)
        return 1 / 0

    def fail():
        try:
            yield from divide()
        except ZeroDivisionError as error:
            raise ImageError("<b>a</b>.tif is damaged.") from error

    run = Run(fail(), "reading")
    run.start()
    qtbot.waitUntil(lambda: run.state is State.FAILED, timeout=10_000)
    shown = notification_manager.records[-1].exception
    assert not is_rich(str(shown))
    assert isinstance(shown.__cause__, ZeroDivisionError)
    assert shown.__traceback__ is not None


# ---- long names ------------------------------------------------------------------------------


def test_of_an_endless_name_both_ends_are_shown_and_what_to_do(viewer, qtbot):
    dock = Dock(viewer)
    qtbot.addWidget(dock)
    controls = RunControls(dock, viewer, "Segment", blocked=lambda: "")
    qtbot.addWidget(controls)
    controls.refuse(ImageError(f"{'a' * 10_000}.tif is empty. Choose another image."))
    assert controls.state_line.text() == (
        f"That did not work. {'a' * 30}…aaaaaa.tif is empty. Choose another image."
    )


def test_an_image_with_an_endless_name_is_saved_under_its_beginning(
    segment_dock, noise, qtbot, tmp_path
):
    folder = tmp_path / "results"
    folder.mkdir()
    segment_dock.viewer.add_image(noise(48, 64), name="µ" * 10_000)
    segment_dock.advanced.save.value = folder
    for _ in range(2):
        qtbot.mouseClick(segment_dock.controls.button, Qt.MouseButton.LeftButton)
        qtbot.waitUntil(lambda: segment_dock.controls.is_idle, timeout=60_000)
        assert segment_dock.controls.state is State.DONE
    names = sorted(path.name for path in folder.iterdir())
    assert names == [f"{'µ' * 107} [2]_labels.zarr", f"{'µ' * 107}_labels.zarr"]


# ---- models ----------------------------------------------------------------------------------


def test_no_model_takes_the_place_of_another_one_of_its_title(picker, tiny_model, tmp_path):
    bundled = next(iter(choices(picker())))
    for folder, name in (("a", "same"), ("b", "same"), ("stranger", bundled)):
        tiny_model.with_card(name=name).save(tmp_path / "models" / folder)
    found = choices(picker())
    assert found[bundled] == "fracture-modes"
    assert found == {
        bundled: "fracture-modes",
        "same": "a",
        "same · b": "b",
        f"{bundled} · stranger": "stranger",
    }


@needs_pipes
def test_beside_folders_that_are_no_models_the_others_are_offered(picker, tiny_model, tmp_path):
    folder = tmp_path / "models"
    tiny_model.save(folder / "good")
    for name, content in (("cut", b'{"name'), ("binary", bytes(range(256))), ("list", b"[]")):
        (folder / name).mkdir()
        (folder / name / CARD).write_bytes(content)
    (folder / "pipe").mkdir()
    os.mkfifo(folder / "pipe" / CARD)
    (folder / "a file").touch()
    assert list(choices(picker()).values()) == ["fracture-modes", "good"]


def test_a_damaged_model_is_told_as_such(tiny_alone, viewer, noise, qtbot):
    viewer.add_image(noise(48, 64), name="a")
    (tiny_alone / WEIGHTS).write_bytes(b"damaged")
    dock = SegmentWidget(viewer)
    qtbot.addWidget(dock)
    dock.model.choice.value = str(tiny_alone)
    qtbot.mouseClick(dock.controls.button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: dock.controls.is_idle, timeout=60_000)
    text = dock.controls.state_line.text()
    assert text.startswith("That did not work.")
    assert WEIGHTS in text
    assert "unexpected" not in text


# ---- what is dropped on the window -----------------------------------------------------------


@needs_pipes
@pytest.mark.parametrize("name", ["a.json", "a.csv", "a.zarr"])
def test_a_pipe_that_is_dropped_is_left_to_others(tmp_path, name):
    os.mkfifo(tmp_path / name)
    path = str(tmp_path / name)
    assert get_reader(path) is None
    assert get_labels_reader(path) is None
