import json

import imageio.v3 as iio
import numpy as np
import pytest

from napari_fractoseg._napari.jobs import State
from napari_fractoseg._napari.layers import scheme_of
from napari_fractoseg._napari.via.class_table import LEFT_OUT
from napari_fractoseg._napari.via.dock import ViaImportWidget
from napari_fractoseg._napari.via.documents import document_of_layers


def region(x, **attributes):
    shape = {"name": "rect", "x": x, "y": 0, "width": 4, "height": 6}
    return {"shape_attributes": shape, "region_attributes": attributes}


REGIONS = [
    region(0, mode="smooth", by="me"),
    region(3, mode="smooth", by="you"),
    region(6, mode="rough", by="me"),
    region(12, mode="T", by="me"),
]


@pytest.fixture
def via_file(tmp_path):
    entry = {"filename": "a.png", "size": -1, "regions": REGIONS, "file_attributes": {}}
    gone = {**entry, "filename": "gone.png", "regions": REGIONS[:1]}
    path = tmp_path / "annotations" / "via.json"
    path.parent.mkdir()
    path.write_text(json.dumps({"a.png-1": entry, "gone.png-1": gone}))
    (tmp_path / "sem").mkdir()
    iio.imwrite(tmp_path / "sem" / "a.png", np.full((6, 20), 99, np.uint8))
    return path


@pytest.fixture
def widget(make_napari_viewer, qtbot, no_job_left):
    viewer = make_napari_viewer()
    widget = ViaImportWidget(viewer)
    viewer.window.add_dock_widget(widget)
    return widget


@pytest.fixture
def load(widget, qtbot, via_file):
    def load(folder=via_file.parents[1] / "sem", path=via_file):
        widget.file.value = path
        settled = (State.READY, State.FAILED, State.NOT_READY)
        qtbot.waitUntil(
            lambda: widget.controls.is_idle and widget.controls.state in settled, timeout=20_000
        )
        if folder is not None:
            widget.folder.value = folder
            qtbot.waitUntil(
                lambda: widget.controls.is_idle and widget.controls.state in settled, timeout=20_000
            )

    return load


def run(widget, qtbot):
    widget.controls.button.click()
    qtbot.waitUntil(lambda: widget.controls.is_idle, timeout=20_000)
    return widget.viewer.layers


def test_it_says_what_it_needs(widget):
    assert not widget.controls.button.isEnabled()
    assert (
        widget.controls.state_line.text()
        == "Choose an annotation file: VIA, COCO, LabelMe, Pascal VOC or ImageJ."
    )


def test_a_file_is_described_with_values_and_counts(widget, load):
    load()
    assert "VIA 2 annotations (JSON), images: 2; rect 5" in widget.file_line.text()
    assert "1 of 2 annotated images found" in widget.file_line.text()
    assert "gone.png" in widget.file_line.text()
    widget.attribute.value = "mode"
    assert [widget.table.item(row, 0).text() for row in range(3)] == ["smooth", "rough", "T"]
    assert [widget.table.item(row, 1).text() for row in range(3)] == ["3", "1", "1"]
    assert widget.table.choices["T"].currentText() == "transgranular"
    assert widget.table.choices["smooth"].currentText() == "smooth"
    assert widget.preview.text() == "Regions: smooth 3 · rough 1 · transgranular 1"
    assert widget.controls.button.isEnabled()


def test_links_count_in_a_folder_that_was_chosen_but_not_beside_the_file(widget, load, via_file):
    for folder in (via_file.parent, via_file.parents[1] / "linked"):
        folder.mkdir(exist_ok=True)
        (folder / "a.png").symlink_to(via_file.parents[1] / "sem" / "a.png")
    load(folder=None)
    assert "0 of 2 annotated images found" in widget.file_line.text()
    load(folder=via_file.parents[1] / "linked")
    assert "1 of 2 annotated images found" in widget.file_line.text()


def test_the_preview_follows_the_choices(widget, load):
    load()
    widget.attribute.value = "mode"
    widget.table.choices["smooth"].setCurrentText("intergranular")
    widget.table.choices["rough"].setCurrentText(LEFT_OUT)
    assert widget.preview.text() == "Regions: intergranular 3 · leave out 1 · transgranular 1"
    widget.attribute.value = "by"
    assert widget.preview.text() == "Regions: me 4 · you 1"


@pytest.mark.parametrize(
    ("overlap", "unannotated", "row"),
    [
        ("later", None, [1] * 6 + [2] * 4 + [0] * 2 + [2] * 4 + [0] * 4),
        ("unlabelled", None, [1] * 6 + [0] + [2] * 3 + [0] * 2 + [2] * 4 + [0] * 4),
        ("later", "background", [1] * 6 + [2] * 4 + [3] * 2 + [2] * 4 + [3] * 4),
    ],
)
def test_import_makes_what_was_chosen(widget, load, qtbot, overlap, unannotated, row):
    load()
    widget.attribute.value = "mode"
    widget.table.choices["smooth"].setCurrentText("intergranular")
    widget.table.choices["rough"].setCurrentText("transgranular")
    widget.overlap.value, widget.unannotated.value = overlap, unannotated
    layers = run(widget, qtbot)
    assert widget.controls.state is State.DONE
    assert [layer.name for layer in layers] == [
        "a", "a · annotation", "a · regions", "gone · regions",
    ]  # fmt: skip
    np.testing.assert_array_equal(layers["a · annotation"].data[2], row)
    assert scheme_of(layers["a · annotation"]).names == (
        "intergranular", "transgranular", "background",
    )  # fmt: skip
    assert "1 of" not in widget.controls.state_line.text()


def test_a_second_import_gets_its_own_layers(widget, load, qtbot):
    load()
    run(widget, qtbot)
    layers = run(widget, qtbot)
    assert "a · annotation [2]" in layers
    assert len(layers) == 8


def test_without_the_images_there_are_shapes(widget, load, qtbot):
    load(folder=None)
    assert "0 of 2 annotated images found" in widget.file_line.text()
    (layer,) = run(widget, qtbot)
    assert len(layer.data) == 5


@pytest.mark.parametrize("text", ["{}", '{"a": '])
def test_files_that_cannot_be_read_are_refused(widget, load, tmp_path, capsys, text):
    path = tmp_path / "other.json"
    path.write_text(text)
    load(folder=None, path=path)
    assert widget.controls.state is State.FAILED
    assert "other.json" in widget.controls.state_line.text()
    assert not widget.controls.button.isEnabled()


def test_a_file_that_is_gone_is_said(widget, load, tmp_path):
    load(folder=None, path=tmp_path / "none.json")
    assert widget.controls.state is State.NOT_READY
    assert "There is no file" in widget.controls.state_line.text()


def test_a_folder_that_is_not_there_is_said(widget, load, tmp_path):
    load(folder=tmp_path / "nowhere")
    assert widget.controls.state is State.NOT_READY
    assert f"There is no folder {tmp_path / 'nowhere'}" in widget.controls.state_line.text()


def test_the_last_file_that_was_chosen_counts(widget, load, via_file, tmp_path, qtbot):
    other = tmp_path / "other.json"
    other.write_text(via_file.read_text().replace("smooth", "polished"))
    for path in (via_file, other, via_file, other):
        widget.file.value = path
    load(folder=None, path=other)
    assert widget.source.document[0].regions[0].attributes["mode"] == "polished"


def test_free_texts_do_not_fill_the_table(widget, load, tmp_path):
    regions = [region(0, note=str(n)) for n in range(130)]
    entry = {"filename": "a.png", "size": -1, "regions": regions, "file_attributes": {}}
    path = tmp_path / "notes.json"
    path.write_text(json.dumps({"a": entry}))
    load(folder=None, path=path)
    assert widget.table.rowCount() == 101
    assert widget.table.item(100, 0).text() == "30 more values"
    assert widget.preview.text() == f"Regions: {LEFT_OUT} 130"


def test_values_are_shown_as_they_are_and_leave_room_for_their_class(
    widget, load, via_file, is_rich, tmp_path
):
    value = f"<b>{'a' * 10_000}\x1b[31m"
    path = tmp_path / "odd.json"
    path.write_text(via_file.read_text().replace("rough", json.dumps(value)[1:-1]))
    load(path=path)
    widget.attribute.value = "mode"
    cells = [widget.table.item(row, 0) for row in range(widget.table.rowCount())]
    assert [cell.text() for cell in cells] == ["smooth", "<b>aaaaaaaaaaaaa…", "T"]
    assert not any(is_rich(cell.toolTip()) for cell in cells)
    assert "\x1b" not in cells[1].toolTip()


@pytest.fixture
def plain(tmp_path, load):
    """The dock with a file whose regions have no attributes."""
    entry = {"filename": "a.png", "size": -1, "regions": [region(0)], "file_attributes": {}}
    path = tmp_path / "plain.json"
    path.write_text(json.dumps({"a": entry}))
    load(folder=None, path=path)


@pytest.mark.usefixtures("plain")
def test_regions_without_attributes_are_opened_as_shapes_unless_a_class_is_chosen(widget, qtbot):
    assert "Choose in the table which class all regions are" in widget.controls.state_line.text()
    assert widget.preview.text() == f"Regions: {LEFT_OUT} 1"
    layers = run(widget, qtbot)
    assert [layer.name for layer in layers] == ["a", "a · regions"]
    assert list(layers["a · regions"].features["class"]) == [""]


@pytest.mark.usefixtures("plain")
def test_all_regions_can_be_of_one_class(widget, qtbot):
    widget.table.choices[""].setCurrentText("transgranular")
    assert widget.preview.text() == "Regions: transgranular 1"
    assert widget.controls.state_line.text() == ""
    layers = run(widget, qtbot)
    assert set(np.unique(layers["a · annotation"].data)) == {0, 2}
    document = document_of_layers([layers["a · annotation"].as_layer_data_tuple()])
    assert [r.attributes for r in document[0].regions] == [{"name": "transgranular"}]


def test_all_regions_can_be_of_one_class_whatever_they_say(widget, load, qtbot):
    load()
    widget.attribute.value = widget.attribute.choices[-1]
    assert [widget.table.item(0, column).text() for column in (0, 1)] == ["(all regions)", "5"]
    widget.table.choices[""].setCurrentText("intergranular")
    layers = run(widget, qtbot)
    assert set(np.unique(layers["a · annotation"].data)) == {0, 1}


def test_several_ticks_and_where_regions_overlap_are_said(widget, load, tmp_path, qtbot):
    regions = [region(0, mode={"t": True, "i": True}), region(2, mode={"t": True})]
    entry = {"filename": "a.png", "size": -1, "regions": regions, "file_attributes": {}}
    path = tmp_path / "ticks.json"
    path.write_text(json.dumps({"a.png-1": entry}))
    load(folder=None, path=path)
    layers = run(widget, qtbot)
    assert layers["a · annotation"].data[0, 0] == 1
    said = widget.controls.state_line.text()
    assert "1 region has several ticks; the first class counts." in said
    assert "a: Regions of different classes overlap (intergranular / transgranular 12 px)" in said


def test_all_files_of_a_folder_where_each_has_one_image(widget, load, qtbot, tmp_path):
    folder = tmp_path / "labelme"
    folder.mkdir()
    for name, label in (("a", "i"), ("b", "t")):
        iio.imwrite(folder / f"{name}.png", np.full((6, 20), 99, np.uint8))
        shape = {"label": label, "points": [[0, 0], [4, 6]], "shape_type": "rectangle"}
        data = {"shapes": [shape], "imagePath": f"{name}.png"}
        (folder / f"{name}.json").write_text(json.dumps(data))
    load(folder=None, path=folder / "b.json")
    assert widget.file_line.text().startswith("LabelMe annotations, images: 1; rect 1")
    assert not widget.siblings.native.isHidden()
    widget.siblings.value = True
    qtbot.waitUntil(lambda: widget.controls.is_idle and widget.source is not None, timeout=20_000)
    assert widget.file_line.text().startswith("LabelMe annotations, images: 2; rect 2")
    assert widget.attribute.value == "label"
    assert widget.preview.text() == "Regions: intergranular 1 · transgranular 1"
    layers = run(widget, qtbot)
    assert [layer.name for layer in layers][:2] == [
        "labelme (2 images)",
        "labelme (2 images) · annotation",
    ]
    assert layers[1].data[:, 0, :5].tolist() == [[1, 1, 1, 1, 0], [2, 2, 2, 2, 0]]


def test_files_of_all_images_have_no_folder_to_offer(widget, load, via_file):
    load()
    assert widget.siblings.native.isHidden()
