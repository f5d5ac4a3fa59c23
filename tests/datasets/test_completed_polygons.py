"""The polygons that complete four of the fracture images are where they say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from napari_fractoseg.annotations import read_via
from napari_fractoseg.annotations.shapes import outline_px

SCRIPTS = Path(__file__).parents[2] / "scripts"
WINDOWS = json.loads((SCRIPTS / "completed_windows.json").read_text())


def test_each_polygon_lies_in_a_window_and_names_a_mode():
    document = read_via(SCRIPTS / "completed_polygons.json")
    assert {image.filename for image in document} == set(WINDOWS)
    assert sum(len(image.regions) for image in document) == 627
    for image in document:
        for region in image.regions:
            assert region.attributes["name"] in ("i", "t")
            rows, columns = outline_px(region)
            assert any(
                row0 <= rows.min() < rows.max() <= row1
                and column0 <= columns.min() < columns.max() <= column1
                for row0, row1, column0, column1 in WINDOWS[image.filename]
            )


@pytest.mark.shared_data
def test_what_was_annotated_before_is_not_annotated_again(shared_data):
    given = json.loads((shared_data / "fracture" / "annotated_windows.json").read_text())
    for name, windows in WINDOWS.items():
        places = [*windows, *given[name]]
        for number, (row0, row1, column0, column1) in enumerate(places):
            for other in places[:number]:
                is_apart = row0 >= other[1] or other[0] >= row1
                assert is_apart or column0 >= other[3] or other[2] >= column1
