import json

import pytest

from napari_fractoseg.annotations.document import AnnotatedImage, Flavour, Region, ViaDocument
from napari_fractoseg.annotations.formats.via3 import is_via3, parse
from napari_fractoseg.annotations.formats.via3_csv import parse_csv
from napari_fractoseg.errors import AnnotationError

FILES = {
    "1": {"fid": "1", "fname": "a.png", "type": 2, "loc": 1, "src": "a.png"},
    "2": {"fid": 2, "fname": "b.png", "type": 2, "loc": 1, "src": ""},
}
VIEWS = {"v1": {"fid_list": ["1"]}, "v2": {"fid_list": [2]}}
ATTRIBUTES = {
    "1": {"aname": "note", "anchor_id": "FILE1_Z0_XY1", "type": 1, "default_option_id": "dv"},
    "2": {
        "aname": "mode",
        "anchor_id": "FILE1_Z0_XY1",
        "type": 4,
        "desc": "how",
        "options": {"i": "inter", "t": "trans"},
        "default_option_id": "i",
    },
    "3": {
        "aname": "box",
        "anchor_id": "FILE1_Z0_XY1",
        "type": 2,
        "options": {"a": "", "b": ""},
        "default_option_id": "",
    },
    "4": {"aname": "note", "anchor_id": "FILE1_Z0_XY0", "type": 1},
    "5": {"aname": "what", "anchor_id": "FILE1_Z2_XY0", "type": 3, "options": {}},
}
POINT = {"name": "point", "cx": 1, "cy": 2}


def record(xy=(1, 1, 2), vid="v1", z=(), av=None, flg=0):
    return {"vid": vid, "flg": flg, "z": list(z), "xy": list(xy), "av": av or {}}


def project(*records, **changes):
    data = {
        "project": {"data_format_version": "3.1.1", "vid_list": ["v1", "v2"]},
        "config": {},
        "attribute": ATTRIBUTES,
        "file": FILES,
        "metadata": {f"m{n}": r for n, r in enumerate(records)},
        "view": VIEWS,
    }
    return {**data, **changes}


def read(*records, **changes):
    return parse(project(*records, **changes), "via3.json")


def names(document):
    return [image.filename for image in document]


def test_only_projects_of_via_3_are_known():
    assert is_via3(project())
    assert not is_via3({"project": {}, "metadata": {}})
    assert not is_via3({**project(), "file": []})
    assert not is_via3([])


def test_images_regions_and_attributes():
    document = read(
        record(av={"1": "x", "2": "i", "3": "a,b", "9": "?"}),
        record((), av={"4": "good"}),
        record(vid="v2", av={"3": ""}),
    )
    values = {"note": "x", "mode": "i", "box": {"a": True, "b": True}, "9": "?"}
    assert document.images == (
        AnnotatedImage(
            "a.png", (Region(POINT, values, {"mid": "m0"}),), -1, {"note": "good"}, key="1"
        ),
        AnnotatedImage("b.png", (Region(POINT, {"box": {}}, {"mid": "m2"}),), -1, key="2"),
    )
    assert document.flavour is Flavour.VIA3
    assert document.notes == ()


def test_definitions_are_as_via_2_has_them():
    assert read().definitions == {
        "region": {
            "note": {"type": "text", "description": "", "default_value": "dv"},
            "mode": {
                "type": "dropdown",
                "description": "how",
                "options": {"i": "inter", "t": "trans"},
                "default_options": {"i": True},
            },
            "box": {
                "type": "checkbox",
                "description": "",
                "options": {"a": "", "b": ""},
                "default_options": {},
            },
        },
        "file": {"note": {"type": "text", "description": "", "default_value": ""}},
    }


def test_attributes_of_the_same_name_are_told_apart():
    twice = {"1": ATTRIBUTES["1"], "2": {**ATTRIBUTES["2"], "aname": "note"}, "3": {"type": 1}}
    document = read(record(av={"1": "x", "2": "i", "3": "y"}), attribute=twice)
    assert document[0].regions[0].attributes == {"note": "x", "note (2)": "i", "3": "y"}
    assert list(document.definitions["region"]) == ["note", "note (2)"]


LINE = {"name": "polyline", "all_points_x": [1, 3], "all_points_y": [2, 4]}


@pytest.mark.parametrize(
    ("xy", "shape"),
    [
        ([1, 1, 2], POINT),
        ([2, 1, 2, 3, 4.5], {"name": "rect", "x": 1, "y": 2, "width": 3, "height": 4.5}),
        ([3, 1, 2, 3], {"name": "circle", "cx": 1, "cy": 2, "r": 3}),
        ([4, 1, 2, 3, 4], {"name": "ellipse", "cx": 1, "cy": 2, "rx": 3, "ry": 4}),
        ([5, 1, 2, 3, 4], LINE),
        ([6, 1, 2, 3, 4], LINE),
        (
            [7, 1, 2, 3, 4, 5, 0],
            {"name": "polygon", "all_points_x": [1, 3, 5], "all_points_y": [2, 4, 0]},
        ),
        (
            [8, 10, 50, 60, 20, 110, 55, 50, 90],
            {"name": "rect", "x": 10, "y": 20, "width": 100, "height": 70},
        ),
        ([9, 0, 1, 1, 0, 2, 1], {"name": "circle", "cx": 1, "cy": 1, "r": 1}),
    ],
)
def test_shapes_are_as_via_2_has_them(xy, shape):
    (region,) = read(record(xy))[0].regions
    assert region.problem == ""
    assert region.shape == pytest.approx(shape) if xy[0] == 9 else region.shape == shape


@pytest.mark.parametrize(
    ("xy", "problem"),
    [
        ([10, 1, 2], "[10, 1, 2] is not one of VIA 3's shapes 1 to 9 and its coordinates"),
        (["1", 1, 2], "is not one of VIA 3's shapes"),
        ([[], 1], "is not one of VIA 3's shapes"),
        ([1, "1", 2], "is not one of VIA 3's shapes"),
        ([1, float("nan"), 2], "is not one of VIA 3's shapes"),
        ("1,2", "'1,2' is not one of VIA 3's shapes"),
        ([1, 1], "POINT of 1 numbers instead of 2"),
        ([2, 1, 2, 3], "RECTANGLE of 3 numbers instead of 4"),
        ([6, 1, 2, 3], "POLYLINE of 3 numbers instead of 2 or more, two for each point"),
        ([7], "POLYGON of 0 numbers instead of 2 or more"),
        ([8, 1, 2, 3, 4, 5, 6], "EXTREME_RECTANGLE of 6 numbers instead of 8"),
        ([9, 0, 0, 1, 1, 2, 2], "EXTREME_CIRCLE through points on one line"),
        ([3, 1, 2, -3], "circle, r"),
    ],
)
def test_what_cannot_be_drawn_is_a_damaged_region(xy, problem):
    (region,) = read({**record(av={"2": "i"}), "xy": xy})[0].regions
    assert problem in region.problem
    assert region.attributes == {"mode": "i"}
    # Numbers that are no shape are kept for the way back.
    assert region.extras == {"mid": "m0"} if region.shape else {"mid": "m0", "xy": xy}


def test_order_of_the_images():
    files = {str(n): {"fname": f"{n}.png", "type": 2} for n in range(4)}
    views = {"a": {"fid_list": ["2"]}, "b": {"fid_list": [1, 7]}, "c": {}}
    assert names(read(file=files, view=views, project={"vid_list": ["b"]})) == [
        "1.png",
        "2.png",
        "0.png",
        "3.png",
    ]
    old = read(file=files, view=views, project={}, vid_list=["b", "a"])
    assert names(old) == names(read(file=files, view=views, project={"vid_list": ["b", "a"]}))


@pytest.mark.parametrize(
    ("src", "name"),
    [
        ("https://e.org/x/a.png", "a.png"),
        ("C:\\x\\a.png", "a.png"),
        ("data:image/png;base64,AA/A", "file 1"),
    ],
)
def test_files_without_a_name_are_called_after_their_source(src, name):
    assert names(read(file={"1": {"fname": "", "src": src, "type": 2}}, view={})) == [name]


def test_files_without_name_and_source():
    with pytest.raises(AnnotationError, match=r"via3\.json, file '1': neither fname nor src.*Add"):
        read(file={"1": {"type": 2}})


def test_videos_sounds_and_times_are_skipped():
    files = {**FILES, "2": {"fname": "b.mp4", "type": 4}, "3": {"fname": "c.mp3", "type": 8}}
    document = read(
        record(),
        record(z=[1.5]),
        record((), z=[1, 2]),
        record(vid="v2"),
        file=files,
    )
    assert names(document) == ["a.png"]
    assert len(document[0].regions) == 1
    assert document.notes == (
        "Skipped videos and sound files: 2 ('b.mp4', 'c.mp3').",
        "Skipped annotations of videos, sounds and times in them: 3.",
    )


@pytest.mark.parametrize(("version", "kept"), [("3.1.0", ["m0"]), ("3.1.1", ["m0", "m1", "m2"])])
def test_deleted_and_hidden_regions_of_the_first_versions(version, kept):
    records = [record(flg=flag) for flag in (0, 1, 2)]
    document = read(*records, project={"data_format_version": version})
    assert [r.extras["mid"] for r in document[0].regions] == kept
    assert bool(document.notes) == (version == "3.1.0")


def test_files_shown_together_and_files_that_are_not_there():
    views = {"v1": {"fid_list": ["2", "1"]}}
    document = read(record(), record(vid="gone"), record(vid="1"), view=views)
    assert [(i.filename, len(i.regions)) for i in document] == [("b.png", 1), ("a.png", 1)]
    assert document.notes == (
        "Annotations of several files shown together, given to the first: 1 (m0).",
        "Skipped annotations of files that are not in the project: 1 (m1).",
    )


def test_missing_and_odd_parts_of_a_project():
    data = {"project": {}, "file": FILES, "metadata": {"m": None, "n": {"vid": "1", "av": None}}}
    document = parse(data, "x")
    assert names(document) == ["a.png", "b.png"]
    assert document.notes == ("Skipped annotations of files that are not in the project: 1 (m).",)


COMMENT = f"# ATTRIBUTE = {json.dumps(ATTRIBUTES)}"
COLUMNS = "metadata_id,file_list,flags,temporal_coordinates,spatial_coordinates,metadata"


def cell(value):
    text = value if isinstance(value, str) else json.dumps(value)
    return '"' + text.replace('"', '""') + '"'


def row(mid="m0", files=("a.png",), z=(), xy=(1, 1, 2), av="{}"):
    return ",".join([cell(mid), cell(files), "0", cell(z), cell(xy), cell(av)])


def table(*rows, attributes=COMMENT, end="", columns=COLUMNS):
    lines = [f"# by VIA{end}", f"{attributes}{end}", f"# CSV_HEADER = {columns}{end}", *rows]
    return "\n".join(lines)


@pytest.mark.parametrize("end", ["", ",,,", "\r"])
def test_csv(end):
    text = table(
        row(av={"1": 'x, "y"', "3": "a"}),
        row("m1", xy=(), av={"4": "good"}),
        row("m2", ["b.mp4"], [1, 2], ()),
        row("m3", ["c.png"]) + ",,",
        end=end,
    )
    document = parse_csv(text, "via3.csv")
    values = {"note": 'x, "y"', "box": {"a": True}}
    images = (
        AnnotatedImage("a.png", (Region(POINT, values, {"mid": "m0"}),), -1, {"note": "good"}),
        AnnotatedImage("c.png", (Region(POINT, {}, {"mid": "m3"}),), -1),
    )
    assert document == ViaDocument(images, Flavour.VIA3_CSV, read().definitions)
    assert document.notes == ("Skipped annotations of videos, sounds and times in them: 1.",)


def test_csv_of_the_first_versions_has_the_names_only():
    text = table(row(av={"1": "x", "2": "i"}), attributes='# ATTRIBUTES = {"1":"note"}')
    document = parse_csv(text, "x")
    assert document[0].regions[0].attributes == {"note": "x", "2": "i"}
    assert document.definitions == {"region": {}, "file": {}}


@pytest.mark.parametrize("attributes", ["# none", '"# ATTRIBUTE = {""1"":{""aname:note'])
def test_csv_without_the_names_of_its_attributes(attributes):
    document = parse_csv(table(row(av={"1": "x"}), attributes=attributes), "x")
    assert document[0].regions[0].attributes == {"1": "x"}
    assert document.notes == (
        "Attributes are called by their numbers, as the names are not in the file: 1.",
    )


def test_damaged_cells_and_rows_of_csv():
    text = table(
        row(xy="[1,2"),
        row(av="x"),
        row(files="a.png"),
        row(z="1"),
        "a,b",
        "# a comment",
        row("m5", ["a.png", "b.png"]),
    )
    document = parse_csv(text, "x")
    assert [r.problem for r in document[0].regions] == [
        "spatial_coordinates '[1,2' (line 4) is no JSON",
        "metadata 'x' (line 5) is no JSON",
        "",
    ]
    assert document.notes == (
        "Skipped rows whose file or times cannot be read: 2 (line 6, line 7).",
        "Skipped rows with a wrong number of cells: 1 (line 8).",
        "Annotations of several files shown together, given to the first: 1 (line 10).",
    )


@pytest.mark.parametrize("files", [[None], ["a.png", 1], [["a.png"]]])
def test_csv_rows_whose_file_has_no_name_are_skipped(files):
    document = parse_csv(table(row(files=files), row()), "x")
    assert [image.filename for image in document] == ["a.png"]
    assert document.notes == ("Skipped rows whose file or times cannot be read: 1 (line 4).",)


def test_csv_without_a_readable_row():
    with pytest.raises(AnnotationError, match=r"x\.csv: no row could be read.*line 4.*Export"):
        parse_csv(table("a,b"), "x.csv")
    assert parse_csv(table(), "x.csv").images == ()


def test_temporal_segments_have_no_regions():
    columns = "metadata_id,file_list,temporal_segment_start,temporal_segment_end,metadata"
    with pytest.raises(
        AnnotationError, match=r"x\.csv has no regions.*temporal_segment_start.*Exp"
    ):
        parse_csv(table(columns=columns), "x.csv")
    with pytest.raises(AnnotationError, match="no regions: its columns are unknown"):
        parse_csv("a,b", "x.csv")


ALL_SHAPES = {"rect": 3, "circle": 3, "ellipse": 2, "polygon": 2, "polyline": 3, "point": 2}


@pytest.mark.shared_data
def test_real_projects(shared_data):
    folder = shared_data / "via_files" / "from_via_app"
    data = json.loads((folder / "via-3.0.10_all_shapes_project.json").read_text("utf-8-sig"))
    assert is_via3(data)
    document = parse(data, "x")
    assert (names(document), document.shape_counts()) == (["swatch.png"], ALL_SHAPES)
    assert document.damaged() == []
    assert document.notes == ("Skipped annotations of videos, sounds and times in them: 2.",)
    text = (folder / "via-3.0.10_all_shapes_export.csv").read_text("utf-8-sig")
    exported = parse_csv(text, "x")
    assert exported[0].regions == document[0].regions
    assert exported.definitions == document.definitions
    assert exported.notes == document.notes


@pytest.mark.shared_data
def test_a_project_that_via_3_made_of_one_of_via_2(shared_data):
    folder = shared_data / "via_files" / "from_via_app"
    data = json.loads((folder / "via-3.0.10_imported_from_via2_project.json").read_text())
    original = json.loads((folder / "via-2.0.11_drawn_project.json").read_text())
    theirs = [
        {k: v for k, v in r["shape_attributes"].items() if k != "theta"}
        for r in original["_via_img_metadata"]["swatch.png1951"]["regions"]
    ]
    document = parse(data, "x")
    assert [region.shape for region in document[0].regions] == theirs
    assert document[0].regions[0].attributes == {"txt": "dv", "ra": "y", "cb": {"b": True}}
