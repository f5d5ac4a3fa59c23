"""Files beside images that are pipes, loops or nested without end: one clear error, or left out."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest
import tifffile

from napari_fractoseg.annotations import AnnotatedImage, ViaDocument, write_via
from napari_fractoseg.annotations.formats.csv_rows import HEADER
from napari_fractoseg.annotations.formats.masks import SCHEME_FILE, read_scheme
from napari_fractoseg.annotations.image_lookup import ImageLookup
from napari_fractoseg.annotations.reading import flavour_of, is_damaged
from napari_fractoseg.annotations.via import read_via
from napari_fractoseg.datasets.sources import GROUPS_FILE, read_training_set
from napari_fractoseg.errors import AnnotationError, ClassSchemeError, TrainingError
from napari_fractoseg.results.record import LabelRecord, read_record

DEEP = "[" * 100_000
needs_pipes = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")


@needs_pipes
@pytest.mark.parametrize("name", ["via.json", "via.csv"])
def test_a_pipe_is_no_annotation_and_not_waited_for(tmp_path, name):
    os.mkfifo(tmp_path / name)
    assert flavour_of(tmp_path / name) is None
    assert not is_damaged(tmp_path / name)
    with pytest.raises(AnnotationError, match=rf"{name} cannot be read: it is no file but"):
        read_via(tmp_path / name)


def test_annotations_nested_without_end_are_refused(tmp_path):
    (tmp_path / "via.json").write_text(f'{{"_via_img_metadata": {DEEP}')
    with pytest.raises(AnnotationError, match=r"via\.json is not valid JSON: it is nested too"):
        read_via(tmp_path / "via.json")


@pytest.mark.parametrize("innermost", ['"x"', "NaN"])
@pytest.mark.parametrize(("start", "end"), [('{"a":', "}"), ("[", "]")])
def test_values_nested_hundreds_deep_are_refused(tmp_path, start, end, innermost):
    value = start * 500 + innermost + end * 500
    attributes = f'{{"name": "i", "note": {value}}}'
    shape = '{"name":"point","cx":1,"cy":2}'
    region = f'{{"shape_attributes": {shape}, "region_attributes": {attributes}}}'
    (tmp_path / "via.json").write_text(f'{{"a": {{"filename": "a.png", "regions": [{region}]}}}}')
    with pytest.raises(AnnotationError, match=r"via\.json is not valid JSON: .*100 deep"):
        read_via(tmp_path / "via.json")
    cells = [cell.replace('"', '""') for cell in (shape, attributes)]
    row = f'a.png,1,"{{}}",1,0,"{cells[0]}","{cells[1]}"'
    (tmp_path / "via.csv").write_text(f"{HEADER}\n{row}\n")
    document = read_via(tmp_path / "via.csv", strict=False)
    assert "no JSON object" in document[0].regions[0].problem
    write_via(document, tmp_path / "back.csv")
    assert (tmp_path / "back.csv").read_text() == f"{HEADER}\n{row}"


def test_values_nested_as_deep_as_somebody_may_want_are_kept(tmp_path):
    value: object = "x"
    for _ in range(40):
        value = {"a": [value]}
    image = AnnotatedImage("a.png", attributes={"note": value})
    write_via(ViaDocument((image,)), tmp_path / "via.json")
    assert read_via(tmp_path / "via.json")[0].attributes == {"note": value}


@needs_pipes
def test_a_search_for_images_survives_what_is_no_file(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((4, 5), np.uint8))
    os.mkfifo(tmp_path / "pipe.tif")
    (tmp_path / "loop.tif").symlink_to("loop.tif")
    (tmp_path / "loop").symlink_to("loop")
    odd = os.fsdecode(b"5\xb5m.tif")
    try:
        tifffile.imwrite(tmp_path / odd, np.zeros((4, 5), np.uint8))
    except OSError:  # such as on macOS
        odd = "a.tif"
    for follow_links in (False, True):
        found = ImageLookup.scan(tmp_path, without=tmp_path / "loop", follow_links=follow_links)
        assert {path.name for path in found.paths} == {"a.tif", odd}
    assert ImageLookup.scan(tmp_path / "loop").paths == ()


@pytest.mark.parametrize(
    "text", [DEEP, "5", '{"name": "x", "classes": [{"value": 1e400}]}', "\ud800", '{"classes": 5}']
)
def test_damaged_classes_are_one_error(tmp_path, text):
    (tmp_path / SCHEME_FILE).write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(ClassSchemeError, match=r"classes\.json: .*Correct it, remove it"):
        read_scheme(tmp_path / SCHEME_FILE)


@pytest.mark.parametrize("content", [DEEP.encode(), b"[1]", b"\xff", None])
def test_damaged_groups_are_one_error(tmp_path, content):
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
        tifffile.imwrite(tmp_path / folder / "a.tif", np.ones((8, 8), np.uint8))
    groups = tmp_path / "images" / GROUPS_FILE
    if content is not None:
        groups.write_bytes(content)
    elif hasattr(os, "mkfifo"):
        os.mkfifo(groups)
    else:
        pytest.skip("no named pipes here")
    with pytest.raises(TrainingError, match=r"groups\.json is not of the form .*Correct or remove"):
        read_training_set(tmp_path / "images", tmp_path / "masks")


@pytest.mark.parametrize(
    "change",
    [{"record": float("inf")}, {"scheme": {"name": "x", "classes": 5}}, {"tile_px": "wide"},
     {"device": ["cpu"]}, {"flips": "yes"}, {"image": 3}],
)  # fmt: skip
def test_a_record_of_wrong_types_is_none(tmp_path, change):
    classes = [{"value": 1, "name": "dimples", "color": "#ff0000"}]
    record = {
        "record": 1, "model_name": "m", "model_digest": "0", "image": "a",
        "scheme": {"name": "x", "classes": classes},
    }  # fmt: skip
    assert LabelRecord.from_dict(record) is not None
    assert LabelRecord.from_dict({**record, **change}) is None
    path = tmp_path / "a.tif"
    text = json.dumps({"fractoseg": {**record, **change}})
    tifffile.imwrite(path, np.zeros((4, 5), np.uint8), description=text, metadata=None)
    assert read_record(path) is None


def test_a_record_nested_without_end_is_none(tmp_path):
    text = f'{{"fractoseg": {DEEP}'
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((4, 5), np.uint8), description=text,
                     metadata=None)  # fmt: skip
    assert read_record(tmp_path / "a.tif") is None
