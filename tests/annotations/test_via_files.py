"""What VIA's own pages wrote, and what other people published: ``via_files/INDEX.md``."""

import json
import re
from pathlib import Path
from typing import NamedTuple

import pytest

from napari_fractoseg.annotations import Flavour, read_via, write_via
from napari_fractoseg.annotations.reading import flavour_of
from napari_fractoseg.annotations.via import SUFFIXES

pytestmark = pytest.mark.shared_data

FLAVOURS = {
    "VIA1 JSON": Flavour.VIA1,
    "VIA2 JSON": Flavour.VIA2,
    "VIA2 project": Flavour.VIA2_PROJECT,
    "VIA2 attributes": Flavour.VIA2_ATTRIBUTES,
    "VIA CSV (# header)": Flavour.VIA1_CSV,
    "VIA CSV": Flavour.VIA2_CSV,
    "COCO": Flavour.COCO,
}
SUMMARY = re.compile(
    r"- (?P<flavour>[^;\n]+?)(?: dfv=\S+)?; images (?P<images>\d+); regions (?P<regions>\d+); "
    r"shapes: (?P<shapes>.+)"
)
JSON = (Flavour.VIA1, Flavour.VIA2, Flavour.VIA2_PROJECT, Flavour.VIA2_ATTRIBUTES)
CSV = (Flavour.VIA1_CSV, Flavour.VIA2_CSV)
DAMAGED = {"iteam1+2label__via_region_data_old_broken_shapes.json": 8}


class Row(NamedTuple):
    """What the index says about a file."""

    flavour: Flavour
    n_images: int
    n_regions: int
    shapes: dict[str, int]
    attributes: set[str]


def read_index(folder):
    rows = {}
    for section in (folder / "INDEX.md").read_text(encoding="utf-8").split("\n## ")[1:]:
        name, _, text = section.partition("\n")
        found = SUMMARY.search(text)
        shapes = re.findall(r"(\w+):(\d+)", found["shapes"])
        listed = re.search(r"- region attributes: (.*?); file attributes", text)[1]
        rows[name.strip()] = Row(
            FLAVOURS[found["flavour"]],
            int(found["images"]),
            int(found["regions"]),
            {shape: int(n) for shape, n in shapes},
            set(re.findall(r"'([^']*)'", listed)),
        )
    return rows


@pytest.fixture(scope="module")
def folder(shared_data):
    return shared_data / "via_files"


@pytest.fixture(scope="module")
def documents(folder):
    """All files, read."""
    paths = sorted((folder / "from_via_app").iterdir()) + sorted((folder / "wild").iterdir())
    return {path: read_via(path, strict=False) for path in paths}


@pytest.fixture(scope="module")
def drawn(documents):
    """Name -> document of what was drawn in VIA's own pages."""
    return {p.name: d for p, d in documents.items() if p.parent.name == "from_via_app"}


def test_the_index_is_about_the_files_there_are(folder):
    names = {path.name for path in (folder / "wild").iterdir()}
    assert set(read_index(folder)) == names
    assert len(names) == 27


def test_published_files_hold_what_the_index_says(folder, documents):
    found = {path.name: document for path, document in documents.items()}
    for name, row in read_index(folder).items():
        document = found[name]
        assert document.flavour is row.flavour, name
        assert len(document) == row.n_images, name
        assert sum(len(image.regions) for image in document) == row.n_regions, name
        if row.flavour is not Flavour.COCO:  # COCO has outlines, no kinds of shapes
            assert document.shape_counts() == row.shapes, name


def test_published_files_have_the_attributes_that_the_index_says(folder, documents):
    found = {path.name: document for path, document in documents.items()}
    for name, row in read_index(folder).items():
        document = found[name]
        defined = document.definitions.get("region", {})
        if row.flavour is Flavour.COCO:  # the index has the first eight categories
            categories = {f"{a}:{option}" for a in defined for option in defined[a]["options"]}
            assert row.attributes <= categories, name
        elif len(document):
            used = {a for image in document for r in image.regions for a in r.attributes}
            assert used == row.attributes, name
        else:
            assert row.attributes <= set(defined), name


def test_damaged_regions_are_only_where_they_are_known(documents):
    damaged = {path.name: len(d.damaged()) for path, d in documents.items() if d.damaged()}
    assert damaged == DAMAGED


def test_each_file_is_recognised_as_what_it_is_read_as(documents):
    for path, document in documents.items():
        assert flavour_of(path) is document.flavour, path.name
    assert {document.flavour for document in documents.values()} == {f for f in Flavour if f.is_via}


def test_what_is_written_is_read_back(documents, tmp_path):
    for path, document in documents.items():
        if document.flavour in SUFFIXES:
            out = tmp_path / f"via{SUFFIXES[document.flavour]}"
            write_via(document, out, overwrite=True)
            back = read_via(out, strict=False)
            if document.flavour is Flavour.COCO:
                # Categories that no region has are kept of the attribute that is written only.
                assert back.images == document.images, path.name
            else:
                assert back == document, path.name


def normalised(data, flavour):
    """Return JSON as it is written: the two keys that VIA has had since 2.0.10 are added."""
    if flavour is not Flavour.VIA2_PROJECT:
        return data
    order = list(data["_via_img_metadata"])
    return {"_via_data_format_version": "2.0.10", "_via_image_id_list": order, **data}


def test_json_is_written_as_it_was(documents, tmp_path):
    """Equal as data and in the order of images; VIA 1's regions are in numeric order anyway."""
    for path, document in documents.items():
        if document.flavour in JSON:
            out = tmp_path / "via.json"
            write_via(document, out, overwrite=True)
            before = normalised(json.loads(path.read_text("utf-8-sig")), document.flavour)
            after = json.loads(out.read_text("utf-8"))
            assert after == before, path.name
            images = "_via_img_metadata"
            assert list(after.get(images, after)) == list(before.get(images, before)), path.name


def normalised_csv(text):
    """Return CSV as it is written: without 'undefined' and the commas at line ends of 1.0.2."""
    lines = re.sub(r',""\w+"":undefined', "", text).splitlines()
    return [line.removesuffix(",") for line in lines]


def test_csv_is_written_as_it_was(documents, tmp_path):
    """But for names in place of the numbers of regions, which a person wrote in one file."""
    renumbered = []
    for path, document in documents.items():
        if document.flavour in CSV:
            out = tmp_path / "via.csv"
            write_via(document, out, overwrite=True)
            before = normalised_csv(path.read_text("utf-8-sig"))
            if out.read_text("utf-8").splitlines() != before:
                renumbered.append(path.name)
    assert renumbered == ["umangraval+covid19-instabot__via_export_csv.csv"]


def session(drawn, start):
    """Return flavour -> regions of the files of one session."""
    return {d.flavour: d[0].regions for name, d in drawn.items() if name.startswith(start)}


@pytest.mark.parametrize(
    ("start", "flavours", "kinds"),
    [
        ("via-1.0.2", {Flavour.VIA1, Flavour.VIA1_CSV}, "rect circle ellipse polygon point"),
        ("via-1.0.6", {Flavour.VIA1, Flavour.VIA1_CSV}, "rect circle ellipse polygon point"),
        (
            "via-2.0.0",
            {Flavour.VIA2, Flavour.VIA2_CSV, Flavour.VIA2_PROJECT},
            "rect circle ellipse point",
        ),
        (
            "via-2.0.11",
            {Flavour.VIA2, Flavour.VIA2_CSV, Flavour.VIA2_PROJECT},
            "rect circle ellipse polygon polyline point",
        ),
    ],
)
def test_the_files_of_one_session_hold_the_same_regions(drawn, start, flavours, kinds):
    regions = session(drawn, start)
    regions.pop(Flavour.COCO, None)
    assert set(regions) == flavours
    first, *others = regions.values()
    assert [region.kind for region in first] == kinds.split()
    assert all(other == first for other in others)


def test_via_1_and_via_2_drew_the_same_but_for_the_closing_point(drawn):
    via1 = session(drawn, "via-1.0.6")[Flavour.VIA1]
    via2 = session(drawn, "via-2.0.11")[Flavour.VIA2]
    assert via1[0].shape == via2[0].shape
    assert via1[3].shape["all_points_x"] == [*via2[3].shape["all_points_x"], 40]


def test_coco_has_the_outlines_of_the_same_session(drawn):
    rect, circle, ellipse, polygon, point = session(drawn, "via-2.0.11")[Flavour.COCO]
    regions = session(drawn, "via-2.0.11")[Flavour.VIA2]
    assert rect.shape == regions[0].shape
    assert polygon.shape == regions[3].shape
    assert point.shape == regions[5].shape
    assert [len(r.shape["all_points_x"]) for r in (circle, ellipse)] == [72, 72]
    assert max(circle.shape["all_points_x"]) == 260 + 50


def test_via_3_has_the_shapes_that_via_2_has(drawn):
    wanted = [
        {k: v for k, v in region.shape.items() if k != "theta"}
        for region in session(drawn, "via-2.0.11")[Flavour.VIA2]
    ]
    project = drawn["via-3.0.10_all_shapes_project.json"][0].regions
    assert [region.shape for region in project][: len(wanted)] == wanted
    csv = drawn["via-3.0.10_all_shapes_export.csv"][0].regions
    assert csv == project
    imported = drawn["via-3.0.10_imported_from_via2_project.json"][0].regions
    assert [region.shape for region in imported] == wanted
    assert imported[0].attributes["ra"] == "y"


def test_no_file_of_the_folder_is_taken_for_another_kind(folder):
    assert flavour_of(folder / "INDEX.md") is None
    assert all(Path(p).suffix in (".json", ".csv") for p in (folder / "wild").iterdir())
