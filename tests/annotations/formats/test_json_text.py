import json
import math

import pytest

from napari_fractoseg.annotations import AnnotatedImage, Flavour, Region, ViaDocument
from napari_fractoseg.annotations.formats.csv_rows import Tally
from napari_fractoseg.annotations.formats.json_text import dumps, loads
from napari_fractoseg.annotations.via import SUFFIXES, read_via, write_via
from napari_fractoseg.errors import AnnotationError

RECT = {"name": "rect", "x": 1, "y": 2, "width": 3, "height": 4}
WRITTEN = [Flavour.VIA1, Flavour.VIA2, Flavour.VIA2_PROJECT, Flavour.VIA1_CSV, Flavour.VIA2_CSV]


def test_keys_that_occur_twice_are_noted():
    tally = Tally()
    assert loads('{"a": {"b": 1, "b": 2}, "c": 1, "c": 3, "d": 0}', tally) == {
        "a": {"b": 2},
        "c": 3,
        "d": 0,
    }
    assert tally.notes == (
        "Keys that occur twice in the file, of which the last counts, as in VIA: 2 ('b', 'c').",
    )


def test_entries_that_occur_twice_are_said(tmp_path):
    entry = '{"filename": "a.png", "size": 1, "regions": [], "file_attributes": {}}'
    path = tmp_path / "via.json"
    path.write_text(f'{{"a.png1": {entry}, "a.png1": {entry}}}')
    document = read_via(path)
    assert len(document) == 1
    assert "occur twice" in document.notes[0]
    assert "'a.png1'" in document.notes[0]


def test_half_of_a_surrogate_pair_is_escaped():
    assert dumps(["ä"]) == '["ä"]'
    assert dumps(["\ud800"]) == '["\\ud800"]'


@pytest.mark.parametrize("flavour", WRITTEN)
def test_numbers_that_json_does_not_have_become_null_where_nothing_is_drawn(flavour, tmp_path):
    regions = (
        Region(RECT, {"score": math.nan, "deep": {"er": [math.inf, "x"]}}),
        Region({**RECT, "x": -math.inf}, problem="x is infinite"),
    )
    document = ViaDocument((AnnotatedImage("a.png", regions, 1, {"q": math.nan}),), flavour)
    path = tmp_path / f"via{SUFFIXES[flavour]}"
    notes = write_via(document, path)
    assert notes == (
        "Numbers that are not finite are written as null, as JavaScript does: 4 ("
        "Image 'a.png', region 0, Image 'a.png', region 1, Image 'a.png').",
    )
    (image,) = read_via(path, strict=False)
    assert image.attributes == {"q": None}
    assert image.regions[0].attributes == {"score": None, "deep": {"er": [None, "x"]}}
    assert image.regions[1].shape == {**RECT, "x": None}


def test_a_damaged_region_of_a_file_can_be_written_back(tmp_path):
    path = tmp_path / "via.json"
    regions = [{"shape_attributes": {**RECT, "x": math.nan}, "region_attributes": {}}]
    path.write_text(json.dumps({"a.png": {"filename": "a.png", "regions": regions}}))
    assert "NaN" in path.read_text()
    write_via(read_via(path, strict=False), tmp_path / "back.json")
    assert "NaN" not in (tmp_path / "back.json").read_text()


@pytest.mark.parametrize("flavour", WRITTEN)
@pytest.mark.parametrize(
    ("value", "why"), [(math.nan, "cannot be drawn"), ({1, 2}, "JSON has no set")]
)
def test_values_that_cannot_be_written_name_image_and_region(flavour, value, why, tmp_path):
    image = AnnotatedImage("a.png", (Region(RECT), Region({**RECT, "x": value})))
    path = tmp_path / f"via{SUFFIXES[flavour]}"
    with pytest.raises(AnnotationError, match=rf"Image 'a\.png', region 1: .*{why}.*finite"):
        write_via(ViaDocument((image,), flavour), path)
    assert not path.exists()
