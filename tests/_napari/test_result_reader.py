"""Labels on disk, opened by dropping them on napari."""

import json
from pathlib import Path

import numpy as np
import pytest
import zarr
from napari.layers import Image, Labels
from qtpy.QtCore import Qt

import napari_fractoseg as nf
from napari_fractoseg import batch
from napari_fractoseg._napari.corrections import prediction_of
from napari_fractoseg._napari.layers import pixel_size_um, scheme_of
from napari_fractoseg._napari.result_reader import get_labels_reader
from napari_fractoseg._napari.segment.dock import SegmentWidget
from napari_fractoseg.classes import DEFAULT_SCHEME, ClassScheme, FractureClass
from napari_fractoseg.jobs import drain
from napari_fractoseg.results.editable_labels import SavedArray
from napari_fractoseg.results.record import LabelRecord, labels_digest

pytestmark = pytest.mark.usefixtures("no_job_left")

LABELS = np.array([[1, 2, 3, 0]] * 6, np.uint8)


def write_ngff(path, labels=LABELS, scheme=DEFAULT_SCHEME, size=0.25, dtype="uint8", record=None):
    """Write labels as `fractoseg segment` does; with a record they are those of a model."""
    from napari_fractoseg.results.label_writer import ZarrLabels

    group = ZarrLabels(path, {"shape": list(labels.shape), "dtype": dtype}, anew=True)
    group.array[...] = labels
    group.describe(path.stem, path.parent / "a.tif", scheme, size, record)
    group.finish(overwrite=True)
    return path


def open_in(viewer, path):
    """Open a group by the file in it that says what it is: napari is told of no folders."""
    name = "zarr.json" if (path / "zarr.json").exists() else ".zattrs"
    (layer,) = viewer.open(str(path / name), plugin="napari-fractoseg")
    return layer


@pytest.mark.parametrize("shape", [(6, 4), (3, 6, 4), (2, 3, 6, 4)])
def test_labels_come_with_classes_colours_and_scale(viewer, tmp_path, shape):
    labels = np.broadcast_to(LABELS, shape)
    layer = open_in(viewer, write_ngff(tmp_path / "a_labels.zarr", labels))
    assert isinstance(layer, Labels)
    assert layer.name == "a_labels"
    np.testing.assert_array_equal(np.asarray(layer.data), labels)
    assert scheme_of(layer) == DEFAULT_SCHEME
    np.testing.assert_allclose(layer.colormap.color_dict[2], DEFAULT_SCHEME.classes[1].rgba)
    assert list(layer.features["class"][1:]) == list(DEFAULT_SCHEME.names)
    assert layer.axis_labels[-2:] == ("y", "x")
    if len(shape) == 2:
        assert pixel_size_um(layer) == 0.25
    np.testing.assert_allclose(layer.scale[-2:], 0.25)


def test_nothing_is_read_until_it_is_shown(viewer, tmp_path):
    path = write_ngff(tmp_path / "a_labels.zarr", np.broadcast_to(LABELS, (5, 6, 4)))
    ((data, _, _),) = get_labels_reader(str(path))(str(path))
    assert isinstance(data, SavedArray)
    assert data.shape == (5, 6, 4)


def test_other_classes_and_colours_are_kept(viewer, tmp_path):
    scheme = ClassScheme(
        "classes",
        (
            FractureClass(2, "dimples", "#ff9f1c"),
            FractureClass(7, "unclear", "#00000000", is_fracture_mode=False),
        ),
    )
    layer = open_in(viewer, write_ngff(tmp_path / "a_labels.zarr", scheme=scheme))
    assert scheme_of(layer) == scheme


def test_keys_and_legend_work_as_on_a_result(viewer, tmp_path, tiny_installed, qtbot):
    dock = SegmentWidget(viewer)
    viewer.window.add_dock_widget(dock)
    layer = open_in(viewer, write_ngff(tmp_path / "a_labels.zarr"))
    viewer.layers.selection.active = layer
    qtbot.mouseClick(dock.legend.buttons[2], Qt.MouseButton.LeftButton)
    assert layer.selected_label == 2
    keys = {str(key): action for key, action in layer.keymap.items()}
    keys["3"](layer)
    assert layer.selected_label == 3


@pytest.mark.parametrize("by_us", [True, False])
def test_strokes_are_saved_and_a_prediction_is_kept(viewer, tmp_path, by_us):
    record = LabelRecord("tiny", "0123", "a", DEFAULT_SCHEME, labels_digest(LABELS))
    path = write_ngff(tmp_path / "a_labels.zarr", record=record if by_us else None)
    (tmp_path / "run.json").write_text("{}")  # files beside it decide nothing
    layer = open_in(viewer, path)
    layer.brush_size = 1
    layer.paint((2, 0), 3)
    assert zarr.open_group(path, mode="r")["0"][2, 0] == 3
    again = open_in(viewer, path)
    assert np.asarray(again.data)[2, 0] == 3
    if by_us:
        np.testing.assert_array_equal(prediction_of(again), LABELS)
    else:
        assert prediction_of(again) is None  # somebody painted all of it


def test_a_saved_result_is_opened_as_it_was(segment_dock, noise, qtbot, tmp_path):
    dock, viewer = segment_dock, segment_dock.viewer
    viewer.add_image(noise(48, 64), name="s17", scale=(0.5, 0.5), units=("um", "um"))
    dock.advanced.save.value = tmp_path
    dock.advanced.confidence.value = dock.advanced.margin.value = True
    dock.advanced.palette.value = "colour-blind-safe"
    qtbot.mouseClick(dock.controls.button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: not dock.queue.is_busy, timeout=60_000)
    result = dock.result
    layer = open_in(viewer, tmp_path / "s17_labels.zarr")
    np.testing.assert_array_equal(np.asarray(layer.data), np.asarray(result.data))
    assert scheme_of(layer) == scheme_of(result)
    assert layer.metadata["fractoseg"]["model_name"] == "tiny"
    assert pixel_size_um(layer) == 0.5
    for kind in ("confidence", "margin"):
        uncertainty = open_in(viewer, tmp_path / f"s17_{kind}.zarr")
        assert isinstance(uncertainty, Image)
        assert (uncertainty.colormap.name, list(uncertainty.contrast_limits)) == ("viridis", [0, 1])
        assert uncertainty not in dock.source.choice.choices


def as_version_04(path):
    """Write the metadata of a group as OME-NGFF 0.4 and zarr 2 have them."""
    ome = json.loads((path / "zarr.json").read_text())["attributes"]["ome"]
    values = zarr.open_group(path, mode="r")["0"][...]
    old = path.with_name("old.zarr")
    group = zarr.create_group(old, zarr_format=2, attributes=ome)
    group.create_array("0", data=values)
    return old


def test_the_older_version_is_read_too(viewer, tmp_path):
    layer = open_in(viewer, as_version_04(write_ngff(tmp_path / "a_labels.zarr")))
    assert scheme_of(layer) == DEFAULT_SCHEME
    np.testing.assert_array_equal(np.asarray(layer.data), LABELS)


@pytest.mark.parametrize(("edge", "is_multiscale"), [(8192, False), (8200, True)])
def test_large_planes_are_shown_in_several_resolutions(viewer, tmp_path, edge, is_multiscale):
    path = write_ngff(tmp_path / "a_labels.zarr", np.zeros((edge, 8), np.uint8))
    group = zarr.open_group(path, mode="r+")
    group.create_array("1", data=np.ones((edge // 2, 4), np.uint8))
    ome = group.attrs["ome"]
    datasets = ome["multiscales"][0]["datasets"]
    datasets.append({**datasets[0], "path": "1"})
    group.attrs["ome"] = ome
    layer = open_in(viewer, path)
    assert layer.multiscale is is_multiscale
    assert layer.editable is not is_multiscale


def rubbish(path: Path, what: str):
    path.mkdir()
    if what == "empty":
        return
    if what == "not json":
        (path / "zarr.json").write_text("{")
    elif what == "list":
        (path / "zarr.json").write_text("[]")
    elif what == "image":
        write_ngff(path, scheme=None)
    elif what == "no names":
        write_ngff(path)
        group = zarr.open_group(path, mode="r+")
        ome = group.attrs["ome"]
        ome["image-label"].pop("properties")
        group.attrs["ome"] = ome
    elif what == "strange":
        (path / "zarr.json").write_text(json.dumps({"attributes": {"ome": {"multiscales": 3}}}))


@pytest.mark.parametrize("what", ["empty", "not json", "list", "image", "no names", "strange"])
def test_other_zarrs_are_left_to_other_readers(tmp_path, what):
    path = tmp_path / "a.zarr"
    rubbish(path, what)
    assert get_labels_reader(str(path)) is None


def test_what_is_no_folder_is_left_alone(tmp_path):
    assert get_labels_reader(str(tmp_path / "missing.zarr")) is None
    assert get_labels_reader([]) is None


def test_several_are_opened_together(tmp_path):
    paths = [str(write_ngff(tmp_path / f"{name}_labels.zarr")) for name in "ab"]
    layers = get_labels_reader(paths)(paths)
    assert [arguments["name"] for _, arguments, _ in layers] == ["a_labels", "b_labels"]


def test_a_result_of_the_command_line_is_opened_with_all_that_is_known(
    viewer, tiny_model, tmp_path
):
    data = np.random.default_rng(0).integers(0, 255, (60, 80), dtype=np.uint8)
    zarr.create_array(tmp_path / "s.zarr", data=data, dimension_names=("y", "x"))
    folder = tiny_model.save(tmp_path / "model")
    settings = batch.SegmentSettings(folder, "cpu", confidence=True, palette="colour-blind-safe")
    drain(batch.run(batch.plan([tmp_path / "s.zarr"], tmp_path / "out", settings)))
    labels = open_in(viewer, tmp_path / "out" / "s_labels.zarr")
    assert scheme_of(labels) == tiny_model.card.scheme.with_palette("colour-blind-safe")
    assert labels.metadata["fractoseg"]["model_digest"] == nf.load_model(folder).digest
    confidence = open_in(viewer, tmp_path / "out" / "s_confidence.zarr")
    assert np.asarray(confidence.data).max() <= 1
