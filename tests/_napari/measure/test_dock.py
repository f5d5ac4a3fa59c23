"""The Measure dock: what it measures, when its number is old, layers, tables and files of it."""

from __future__ import annotations

import html
import io
import json

import numpy as np
import pandas as pd
import pytest
import zarr
from napari.layers import Image, Labels
from qtpy.QtCore import Qt
from qtpy.QtGui import QGuiApplication
from qtpy.QtWidgets import QDialog

import napari_fractoseg as nf
from napari_fractoseg._napari.corrections import is_teachable
from napari_fractoseg._napari.layers import apply_scheme, labels_layer
from napari_fractoseg._napari.measure.dock import MeasureWidget
from napari_fractoseg._napari.measure.plots import MAP, SIZES
from napari_fractoseg._napari.widgets.fractions_line import FractionsLine
from napari_fractoseg.classes import DEFAULT_SCHEME, ClassScheme, FractureClass
from napari_fractoseg.results.editable_labels import SavedArray
from napari_fractoseg.results.record import LabelRecord, labels_digest

pytestmark = pytest.mark.usefixtures("no_job_left")

LONG = 20_000
UM = {"scale": (0.5, 0.5), "units": ("µm", "µm")}
CHANGED = "The labels have changed since: measure again."


def quarter(*shape):
    """Labels of which a quarter is intergranular, the rest transgranular."""
    labels = np.full(shape, 2, np.uint8)
    labels[..., : shape[-1] // 4] = 1
    return labels


def two_facets():
    """A transgranular plane with an intergranular facet of 2 x 3 px, and some background."""
    labels = np.full((12, 16), 2, np.uint8)
    labels[4:6, 5:8] = 1
    labels[:, -2:] = 3
    return labels


def by_hand(viewer, labels, name="s17_3", **place):
    layer = labels_layer(labels, DEFAULT_SCHEME, name=name, place=place or None)
    return viewer.add_layer(layer)


@pytest.fixture
def dock(viewer):
    dock = MeasureWidget(viewer)
    viewer.window.add_dock_widget(dock, name="Measure")
    return dock


@pytest.fixture
def finished(dock, qtbot):
    """Wait until nothing is being measured."""

    def wait():
        qtbot.waitUntil(lambda: dock.controls.is_idle, timeout=LONG)

    return wait


@pytest.fixture
def measured(dock, finished):
    """Press Measure, and return the sentence."""

    def measure():
        dock.controls.button.click()
        finished()
        return dock.lines.sentence.text()

    return measure


def clipboard():
    return QGuiApplication.clipboard().text()


# ---- the number ------------------------------------------------------------------------------


def test_the_sentence_is_that_of_the_library_with_denominator_and_caveats(viewer, dock, measured):
    labels = two_facets()
    by_hand(viewer, labels)
    dock.fields.kind.value = "parts"
    dock.fields.parts.setValue(2)
    found = nf.measure(labels, name="s17_3", fields="grid:2x2")
    assert measured() == str(found)
    assert str(found.areas) in dock.lines.areas.text()
    assert "%RA" in dock.lines.areas.text()
    assert dock.lines.error.text() == found.error_sentence
    assert "projected area" in dock.lines.caveats.text()
    assert dock.outdated() == ""


def test_one_plane_has_no_interval_until_it_is_divided(viewer, dock, measured, finished):
    by_hand(viewer, quarter(16, 16))
    assert "no interval: 1 field" in measured()
    dock.divide_button.click()
    finished()
    assert "n = 16 fields" in dock.lines.sentence.text()
    assert dock.divide_button.isHidden()


def test_the_line_of_the_segment_dock_and_the_dock_say_the_same_of_a_plane(
    viewer, dock, measured, qtbot
):
    labels = np.stack([quarter(8, 8), np.full((8, 8), 1, np.uint8), np.full((8, 8), 3, np.uint8)])
    labels[0, 0, 0] = 0
    layer = by_hand(viewer, labels)
    viewer.dims.set_current_step(0, 0)
    line = FractionsLine(viewer)
    viewer.window.add_dock_widget(line, name="Line")
    line.follow(layer)
    dock.planes.value = "current"
    sentence = measured()
    qtbot.waitUntil(lambda: "Plane 1 of 3" in line.text(), timeout=LONG)
    said = line.text().replace("\u00a0", " ")
    for mode in ("ntergranular 23.8 %", "ransgranular 76.2 %"):
        assert mode in said
        assert mode in sentence


def test_the_active_labels_are_ticked_until_others_are_ticked_by_hand(viewer, dock, measured):
    first, second = by_hand(viewer, quarter(8, 8), "a"), by_hand(viewer, quarter(8, 8) // 2, "b")
    assert dock.labels.ticked() == (second,)
    viewer.layers.selection.active = first
    assert dock.labels.ticked() == (first,)
    dock.labels.tick(first, second)
    viewer.layers.selection.active = second
    assert dock.labels.ticked() == (second, first)
    assert "n = 2 images" in measured()
    viewer.layers.remove(second)
    assert dock.labels.ticked() == (first,)


def test_images_are_grouped_by_a_pattern_on_their_names(viewer, dock, measured):
    layers = [by_hand(viewer, quarter(8, 8), n) for n in ("s1_a", "s1_b", "s2_a")]
    layers[0].data[:] = 1
    dock.labels.tick(*layers)
    dock.specimens.kind.value = "first part"
    assert "n = 2 specimens" in measured()
    assert dock.result.measurement.groups()["specimen"].tolist() == ["s2", "s1"]


def test_the_error_of_the_model_stands_beside_until_labels_are_corrected(viewer, dock, measured):
    labels = quarter(8, 8)
    record = LabelRecord(
        "fracture modes",
        "",
        "s17",
        DEFAULT_SCHEME,
        labels_digest(labels),
        model="fracture-modes",
    )
    layer = labels_layer(labels, DEFAULT_SCHEME, name="result", metadata=record.to_dict())
    viewer.add_layer(layer)
    measured()
    assert "Model's error on unseen images: ± 12 points" in dock.lines.error.text()
    layer.paint((0, 0), 2)
    measured()
    assert "How wrong the labels are is not known" in dock.lines.error.text()


def test_pixel_size_is_that_of_the_layer_or_by_hand_and_says_which(viewer, dock, measured):
    by_hand(viewer, quarter(8, 8), **UM)
    assert "as the layer says" in dock.pixel_size.line.text()
    measured()
    assert dock.result.measurement.fields["analysed_um2"].tolist() == [16.0]
    dock.pixel_size.edit.setText("0.25")
    assert "by hand (layer says 0.5)" in dock.pixel_size.line.text()
    assert dock.outdated() == "Choices have changed since: measure again."
    measured()
    assert dock.result.measurement.fields["analysed_um2"].tolist() == [4.0]
    dock.pixel_size.edit.clear()
    by_hand(viewer, quarter(8, 8), "b")
    assert dock.pixel_size.line.text() == "not known: sizes in pixels"
    measured()
    assert "analysed_um2" not in dock.result.measurement.fields


@pytest.mark.parametrize("kind", ["dask", "multiscale"])
def test_labels_that_are_read_in_parts_are_measured_as_well(viewer, dock, measured, kind):
    import dask.array as da

    labels = quarter(2, 3, 16, 16)
    lazy = da.from_array(labels, chunks=(1, 1, 8, 8))
    data = lazy if kind == "dask" else [lazy, lazy[..., ::2, ::2]]
    viewer.add_labels(data, name="stack", multiscale=kind == "multiscale")
    assert measured() == str(nf.measure(labels))
    assert "n = 6 planes" in dock.lines.sentence.text() or "all 6 planes" in measured()


# ---- refusals --------------------------------------------------------------------------------


def test_what_cannot_be_measured_is_refused_in_words(viewer, dock):
    said = dock.controls.state_line.text
    assert "there is no labels layer to measure" in said()
    assert not dock.controls.button.isEnabled()
    first = by_hand(viewer, quarter(8, 8), "a")
    dock.labels.tick()
    assert said() == "Tick the labels that are to be measured."
    facts = {"image": "s17"}
    twins = [labels_layer(quarter(8, 8), DEFAULT_SCHEME, name=n, metadata=facts) for n in "bc"]
    for twin in twins:
        viewer.add_layer(twin)
    dock.labels.tick(*twins)
    assert "c and b are both of the image s17, which would count twice" in said()
    other = labels_layer(
        quarter(8, 8), ClassScheme("x", (FractureClass(1, "dimples", "#ff0000"),)), name="d"
    )
    viewer.add_layer(other)
    dock.labels.tick(first, other)
    assert "d has dimples. Measure them apart." in said()
    twins[0].editable = False
    dock.labels.tick(twins[0])
    assert said() == "b is being segmented. Wait until it is done."
    twins[0].editable = True
    assert dock.controls.button.isEnabled()


def test_fields_that_do_not_fit_are_refused_with_what_to_do(viewer, dock, measured):
    by_hand(viewer, quarter(8, 8))
    dock.fields.kind.value = "um"
    measured()
    assert "the pixel size is not known" in dock.controls.state_line.text()
    assert dock.lines.isHidden()


# ---- when the number is old ------------------------------------------------------------------


def test_a_stroke_marks_the_number_and_undo_takes_the_mark_back(viewer, dock, measured, qtbot):
    layer = by_hand(viewer, quarter(16, 16))
    layer.brush_size = 1
    measured()
    layer.paint((3, 3), 2)
    assert dock.lines.old.text() == CHANGED
    assert not dock.lines.sentence.isEnabled()
    assert dock.controls.button.text() == "Measure again"
    assert not dock.save_button.isEnabled()
    layer.undo()
    assert dock.lines.old.isHidden()
    assert dock.controls.button.text() == "Measure"
    assert dock.save_button.isEnabled()
    layer.redo()
    assert dock.lines.old.text() == CHANGED
    assert "24.6 %" in measured()
    assert dock.lines.old.isHidden()


def test_a_program_that_changes_labels_marks_the_number(viewer, dock, measured, qtbot):
    layer = by_hand(viewer, quarter(16, 16))
    measured()
    layer.data[0] = 1
    layer.refresh()
    assert dock.lines.old.text() == CHANGED
    measured()
    layer.data = quarter(16, 16)
    assert dock.lines.old.text() == CHANGED
    measured()
    layer.data[1] = 3  # and says nothing
    qtbot.waitUntil(lambda: dock.lines.old.text() == CHANGED, timeout=LONG)


def test_what_changes_no_label_marks_nothing(viewer, dock, measured):
    layer = by_hand(viewer, quarter(3, 16, 16))
    measured()
    layer.visible = False
    layer.visible = True
    layer.opacity = 0.2
    layer.contour = 2
    viewer.dims.set_current_step(0, 2)
    viewer.layers.selection.clear()
    assert dock.lines.old.isHidden()


def test_large_labels_are_compared_in_a_thread(viewer, dock, measured, qtbot, monkeypatch):
    monkeypatch.setattr("napari_fractoseg._napari.measure.watch._AT_ONCE_PX", 10)
    layer = by_hand(viewer, quarter(16, 16))
    layer.brush_size = 1
    measured()
    layer.paint((3, 3), 2)
    assert dock.lines.old.text() == CHANGED
    layer.undo()
    qtbot.waitUntil(dock.lines.old.isHidden, timeout=LONG)
    layer.redo()
    assert dock.lines.old.text() == CHANGED
    qtbot.wait(100)
    assert dock.lines.old.text() == CHANGED


def test_labels_on_disk_are_watched_as_well(viewer, dock, measured, qtbot, tmp_path):
    group = zarr.create_group(tmp_path / "labels.zarr")
    array = group.create_array("0", data=quarter(16, 16), chunks=(8, 8))
    layer = by_hand(viewer, SavedArray(array, is_prediction=False))
    layer.brush_size = 1
    assert "25.0 %" in measured()
    layer.paint((3, 3), 2)
    assert dock.lines.old.text() == CHANGED
    layer.undo()
    qtbot.waitUntil(dock.lines.old.isHidden, timeout=LONG)


def test_a_stroke_while_it_is_measured_marks_the_number(viewer, dock, finished):
    layer = by_hand(viewer, quarter(16, 16))
    dock.controls.button.click()
    layer.paint((3, 3), 2)
    layer.undo()
    finished()
    assert dock.lines.old.text() == CHANGED


def test_the_plane_that_is_shown_belongs_to_the_number_of_one_plane(viewer, dock, measured):
    layer = by_hand(viewer, quarter(3, 16, 16))
    viewer.dims.set_current_step(0, 1)
    dock.planes.value = "current"
    measured()
    assert dock.result.measurement.fields["image"].tolist() == ["s17_3, plane 2 of 3"]
    viewer.dims.set_current_step(0, 2)
    assert dock.lines.old.text() == "Another plane is shown: measure again."
    layer.paint((2, 8, 8), 3)  # of another plane than was measured
    viewer.dims.set_current_step(0, 1)
    assert dock.lines.old.isHidden()
    layer.paint((1, 8, 8), 3)
    assert dock.lines.old.text() == CHANGED


@pytest.mark.parametrize(
    ("change", "back"),
    [
        (lambda d, _: d.fields.divide(), lambda d, _: setattr(d.fields.kind, "value", "each")),
        (
            lambda d, _: setattr(d.specimens.kind, "value", "first part"),
            lambda d, _: setattr(d.specimens.kind, "value", "none"),
        ),
        (
            lambda d, _: d.pixel_size.edit.setText("2"),
            lambda d, _: d.pixel_size.edit.clear(),
        ),
        (
            lambda _, layer: apply_scheme(layer, DEFAULT_SCHEME.renamed(1, "decohesion")),
            lambda _, layer: apply_scheme(layer, DEFAULT_SCHEME),
        ),
        (
            lambda _, layer: setattr(layer, "units", ("µm", "µm")),
            lambda _, layer: setattr(layer, "units", ("pixel", "pixel")),
        ),
    ],
    ids=["fields", "specimens", "pixel size", "classes", "units"],
)
def test_another_choice_marks_the_number_until_it_is_taken_back(
    viewer, dock, measured, change, back
):
    layer = by_hand(viewer, quarter(16, 16), "s17_3")
    measured()
    change(dock, layer)
    assert dock.lines.old.text() == "Choices have changed since: measure again."
    back(dock, layer)
    assert dock.lines.old.isHidden()


def test_a_number_whose_layer_is_gone_is_marked(viewer, dock, measured):
    layer = by_hand(viewer, quarter(16, 16))
    by_hand(viewer, quarter(16, 16), "other")
    viewer.layers.selection.active = layer
    measured()
    viewer.layers.remove(layer)
    assert dock.lines.old.text() == "A layer that was measured is gone: measure again."


# ---- excluded area ---------------------------------------------------------------------------


def test_shapes_exclude_what_they_cover_whatever_the_scales(viewer, dock, measured):
    by_hand(viewer, quarter(16, 16), **UM)
    bar = viewer.add_shapes(
        [[[6, -1], [6, 20], [20, 20], [20, -1]]],
        shape_type="rectangle",
        name="bar",
        units=UM["units"],
    )
    dock.excluded.choice.value = bar
    measured()
    assert dock.result.measurement.areas.excluded_px == 4 * 16  # from row 12 on: 6 µm of 0.5
    assert dock.result.measurement.areas.analysed_px == 12 * 16
    bar.data = [np.array([[4, -1], [4, 20], [20, 20], [20, -1]])]
    assert dock.lines.old.text() == CHANGED
    measured()
    assert dock.result.measurement.areas.excluded_px == 8 * 16


def test_a_shape_counts_on_its_plane_or_on_all(viewer, dock, measured):
    by_hand(viewer, quarter(3, 8, 8))
    corners = [[1, 5.5, -1], [1, 5.5, 9], [1, 9, 9], [1, 9, -1]]
    dock.excluded.choice.value = viewer.add_shapes([corners], shape_type="polygon", name="bar")
    measured()
    assert dock.result.measurement.fields["excluded_px"].tolist() == [0, 16, 0]
    dock.excluded.on_all.setChecked(True)
    assert dock.lines.old.text() == "The excluded area has changed since: measure again."
    measured()
    assert dock.result.measurement.fields["excluded_px"].tolist() == [16, 16, 16]


def test_labels_exclude_where_they_are_not_0(viewer, dock, measured):
    by_hand(viewer, quarter(8, 8))
    mask = np.zeros((8, 8), np.uint8)
    mask[0] = 7
    layer = viewer.add_labels(mask, name="mask")
    dock.labels.tick(viewer.layers["s17_3"])
    dock.excluded.choice.value = layer
    measured()
    assert dock.result.measurement.areas.excluded_px == 8
    layer.data[1] = 1
    layer.refresh()
    assert dock.lines.old.text() == CHANGED


def test_a_layer_without_a_shape_is_refused(viewer, dock, measured):
    by_hand(viewer, quarter(8, 8))
    dock.excluded.choice.value = viewer.add_shapes(name="bar")
    measured()
    assert "bar of the excluded area has no shape" in dock.controls.state_line.text()


# ---- figures ---------------------------------------------------------------------------------


def test_tabs_measure_what_they_show_and_open_large(viewer, dock, measured, finished):
    by_hand(viewer, two_facets(), **UM)
    measured()
    assert dock.plots.is_drawn
    dock.plots.choose(SIZES)
    finished()
    assert dock.plots.is_drawn
    assert "1 intergranular, 1 transgranular; 1 at the border" in dock.plots.caption.text()
    dock.plots.choose(MAP)
    finished()
    assert dock.plots.is_drawn
    assert "window 1 px" in dock.plots.caption.text()
    dialog = dock.plots.open_large()
    assert isinstance(dialog, QDialog)
    assert dialog.isVisible()
    dialog.close()


def test_an_old_number_measures_nothing_further(viewer, dock, measured):
    layer = by_hand(viewer, two_facets())
    layer.brush_size = 1
    measured()
    layer.paint((0, 0), 1)
    dock.plots.choose(SIZES)
    assert dock.controls.is_idle
    assert not dock.plots.is_drawn
    assert dock.plots.caption.text() == CHANGED
    layer.undo()
    assert not dock.controls.is_idle  # it is that of now again


def test_facet_options_belong_to_the_sizes(viewer, dock, measured, finished):
    by_hand(viewer, two_facets())
    measured()
    dock.plots.choose(SIZES)
    finished()
    dock.facet_options.smallest.setValue(7)
    finished()
    assert "0 intergranular, 1 transgranular" in dock.plots.caption.text()


# ---- layers ----------------------------------------------------------------------------------


def test_facets_are_a_layer_whose_table_leads_to_them(viewer, dock, measured, finished):
    layer = by_hand(viewer, two_facets(), **UM)
    viewer.add_image(np.full((12, 16), 90, np.uint8), name="s17_3 image", **UM)
    viewer.layers.selection.active = layer
    measured()
    dock.facets_button.click()
    finished()
    found = viewer.layers["s17_3 · facets"]
    table = pd.DataFrame(found.features)
    assert table["index"].tolist() == [0, 1, 2]
    assert table["class"].tolist() == ["no facet", "transgranular", "intergranular"]
    assert table["area_um2"].tolist()[1:] == [162 * 0.25, 6 * 0.25]
    assert table["mean_grey"].tolist()[1:] == [90, 90]
    assert len(table.columns) <= 11
    assert found.data[4, 5] == 2
    assert found.data[0, 15] == 0  # background is no facet
    assert not is_teachable(found)
    found.selected_label = 2
    camera = getattr(viewer, "scene", viewer).camera
    assert camera.center[-2:] == pytest.approx((4.5 * 0.5, 6 * 0.5))
    assert dock.labels.ticked() == (layer,)
    dock.facets_button.click()
    finished()
    assert "s17_3 · facets [2]" in viewer.layers
    layer.paint((0, 0), 3)
    assert "Of an earlier state: s17_3 · facets, s17_3 · facets [2]" in dock.lines.old.text()


def test_facets_of_a_stack_are_numbered_on_and_shown_on_their_plane(
    viewer, dock, measured, finished
):
    by_hand(viewer, np.stack([two_facets()] * 3))
    measured()
    dock.facets_button.click()
    finished()
    found = viewer.layers["s17_3 · facets"]
    assert found.features["index"].tolist() == [0, 1, 2, 3, 4, 5, 6]
    assert found.features["plane"].tolist() == [0, 1, 1, 2, 2, 3, 3]
    found.selected_label = 6
    assert viewer.dims.current_step[0] == 2
    assert found.data[2, 4, 5] == 6


def test_the_map_is_a_layer_from_0_to_1(viewer, dock, measured, finished):
    labels = quarter(8, 8)
    layer = by_hand(viewer, labels, **UM)
    measured()
    dock.facet_options.window_px.setValue(1)
    dock.map_button.click()
    finished()
    found = viewer.layers["s17_3 · local intergranular"]
    assert isinstance(found, Image)
    assert found.data.tolist() == (labels == 1).tolist()
    assert found.contrast_limits == [0, 1]
    assert found.scale.tolist() == layer.scale.tolist()


# ---- tables and files ------------------------------------------------------------------------


def test_tables_are_copied_with_headers_and_do_no_harm(viewer, dock, measured, finished):
    scheme = DEFAULT_SCHEME.renamed(1, "=1+1")
    layer = viewer.add_layer(labels_layer(two_facets(), scheme, name="@s17", place=UM))
    assert isinstance(layer, Labels)
    measured()
    dock.copy("fields")
    header, row = clipboard().splitlines()
    assert header.split("\t")[:4] == ["image", "plane", "field", "specimen"]
    assert row.startswith("'@s17\t1\t1\t")
    dock.copy("facets")
    finished()
    lines = [line.split("\t") for line in clipboard().splitlines()]
    assert lines[0][:6] == ["image", "plane", "specimen", "index", "class_value", "class_name"]
    assert [line[5] for line in lines[1:]] == ["transgranular", "background", "'=1+1"]
    assert dock.controls.state_line.text() == "Copied 3 rows of facets, with headers."
    layer.paint((0, 0), 3)
    dock.copy("fields")
    assert clipboard().splitlines()[0].startswith("image\tplane\tspecimen")  # as it was


def test_names_of_others_are_text(viewer, dock, measured):
    scheme = DEFAULT_SCHEME.renamed(1, "<b>bold</b>")
    viewer.add_layer(labels_layer(quarter(8, 8), scheme, name="<i>s17</i>"))
    assert "<b>bold</b> 25.0 %" in measured()
    assert dock.lines.sentence.textFormat() == Qt.TextFormat.PlainText


def test_a_measurement_is_saved_once(viewer, dock, measured, finished, tmp_path):
    layer = by_hand(viewer, two_facets(), **UM)
    dock.fields.divide()
    sentence = measured()
    folder = tmp_path / "report"
    dock.save(str(folder))
    finished()
    assert {p.name for p in folder.iterdir()} >= {
        "report.html",
        "fractions.csv",
        "fields.csv",
        "facets.csv",
        "measurement.json",
        "figures",
    }
    saved = json.loads((folder / "measurement.json").read_text())
    assert saved["sentence"] == sentence
    assert saved["files"][0]["sha256"] == labels_digest(layer.data)
    assert saved["settings"]["fields"] == "grid:4x4"
    assert "Saved in" in dock.controls.state_line.text()
    before = (folder / "report.html").read_bytes()
    dock.save(str(folder))
    assert "which are not replaced. Choose another folder" in dock.controls.state_line.text()
    assert (folder / "report.html").read_bytes() == before


def test_points_that_are_open_in_the_audit_dock_are_in_the_report(
    viewer, dock, measured, finished, tmp_path
):
    labels = two_facets()
    by_hand(viewer, labels)
    measured()
    audit = dock.audit()
    count = nf.plan_points({"s17_3": labels}, DEFAULT_SCHEME, n_points=12, seed=1)
    for point in count.points["point"]:
        count = count.answered(point, "transgranular", "Ada")
    audit.count = count
    dock.save(str(tmp_path / "a"))
    finished()
    saved = json.loads((tmp_path / "a" / "measurement.json").read_text())
    assert saved["settings"]["point count"] == f"{len(count.points)} points by Ada"
    page = html.unescape((tmp_path / "a" / "report.html").read_text(encoding="utf-8"))
    assert saved["audit"]["sentence"] in page
    assert (tmp_path / "a" / "audit.csv").exists()
    other = nf.plan_points({"t13": labels}, DEFAULT_SCHEME, n_points=12, seed=1)
    audit.count = other.answered(1, "transgranular", "Ada")
    dock.save(str(tmp_path / "b"))
    finished()
    saved = json.loads((tmp_path / "b" / "measurement.json").read_text())
    assert "left out, for its points are of other images" in saved["settings"]["point count"]
    assert "audit" not in saved


def test_of_several_each_has_the_image_of_its_name(viewer, dock, measured, finished):
    layers = []
    for grey, name in ((10, "a"), (20, "b")):
        viewer.add_image(np.full((12, 16), grey, np.uint8), name=name)
        layers.append(by_hand(viewer, two_facets(), f"{name} · fracture modes"))
    layers.append(by_hand(viewer, two_facets(), "c"))
    dock.labels.tick(*layers)
    measured()
    dock.copy("facets")
    finished()
    table = pd.read_csv(io.StringIO(clipboard()), sep="\t").groupby("image")["mean_grey"].max()
    assert table["a · fracture modes"] == 10
    assert table["b · fracture modes"] == 20
    assert np.isnan(table["c"])
