"""ROIs of ImageJ, alone and in zip files."""

import io
import math
import zipfile
from pathlib import Path

import numpy as np
import pytest
from roifile import ROI_OPTIONS, ROI_SUBTYPE, ROI_TYPE, ImagejRoi

from napari_fractoseg.annotations import (
    AnnotatedImage,
    Flavour,
    Region,
    rasterise,
    read_annotations,
)
from napari_fractoseg.annotations.class_mapping import map_classes
from napari_fractoseg.annotations.formats.neighbours.imagej import image_name, parse
from napari_fractoseg.annotations.reading import flavour_of
from napari_fractoseg.classes import DEFAULT_SCHEME
from napari_fractoseg.errors import AnnotationError


def roi(kind=ROI_TYPE.RECT, box=(2, 1, 6, 9), **changes):
    top, left, bottom, right = box
    made = ImagejRoi(roitype=kind, top=top, left=left, bottom=bottom, right=right)
    for name, value in changes.items():
        setattr(made, name, value)
    return made


def points(kind, *xy, **changes):
    made = ImagejRoi.frompoints(xy)
    made.roitype = kind
    for name, value in changes.items():
        setattr(made, name, value)
    return made


def not_finite():
    made = points(ROI_TYPE.POLYGON, (1, 2), (3, 4), (5.5, 4))
    made.subpixel_coordinates[2] = math.nan
    return made


def regions_of(made, name="a.roi"):
    return parse(made.tobytes(), name)[0].regions


def archive(**members):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name, content in members.items():
            file.writestr(name.replace("__", "."), content)
    return buffer.getvalue()


def test_areas_have_the_edges_of_their_pixels():
    (rect,) = regions_of(roi(name="t"))
    assert rect.shape == {"name": "rect", "x": 1, "y": 2, "width": 8, "height": 4}
    (oval,) = regions_of(roi(ROI_TYPE.OVAL))
    assert oval.shape == {"name": "ellipse", "cx": 5, "cy": 4, "rx": 4, "ry": 2}
    for kind in (ROI_TYPE.POLYGON, ROI_TYPE.FREEHAND, ROI_TYPE.TRACED):
        (polygon,) = regions_of(points(kind, (3, 4), (9, 4), (9, 8)))
        assert polygon.shape["all_points_x"] == [3, 9, 9]
        assert polygon.shape["all_points_y"] == [4, 4, 8]


def test_lines_and_points_lie_in_the_middle_of_pixels():
    (line,) = regions_of(points(ROI_TYPE.POLYLINE, (3, 4), (9, 4)))
    assert line.shape == {
        "name": "polyline",
        "all_points_x": [3.5, 9.5],
        "all_points_y": [4.5, 4.5],
    }
    straight = roi(ROI_TYPE.LINE, x1=1.0, y1=2.0, x2=3.0, y2=2.5)
    assert regions_of(straight)[0].shape["all_points_y"] == [2.5, 3]
    found = regions_of(points(ROI_TYPE.POINT, (3, 4), (9, 4)))
    assert [(r.kind, r.shape["cx"], r.shape["cy"]) for r in found] == [
        ("point", 3.5, 4.5),
        ("point", 9.5, 4.5),
    ]


def test_coordinates_between_pixels():
    polygon = points(ROI_TYPE.POLYGON, (3.25, 4), (9, 4.5), (9, 8))
    assert regions_of(polygon)[0].shape["all_points_x"] == [3.25, 9, 9]
    rect = roi(xd=1.5, yd=2.25, widthd=3.5, heightd=4.0, version=227)
    rect.options = ROI_OPTIONS.SUB_PIXEL_RESOLUTION
    expected = {"name": "rect", "x": 1.5, "y": 2.25, "width": 3.5, "height": 4}
    assert regions_of(rect)[0].shape == expected


def test_rings_of_a_composite_are_filled_by_turns():
    ring = [0, 1, 1, 1, 9, 1, 1, 9, 9, 1, 1, 9, 4, 0, 3, 3, 1, 3, 6, 1, 6, 6, 1, 6, 3, 4]
    made = roi(box=(1, 1, 9, 9), multi_coordinates=np.array(ring, np.float32))
    made.shape_roi_size = len(ring)
    labelled = tuple(Region(r.shape, {"name": "t"}) for r in regions_of(made))
    image = AnnotatedImage("a.tif", labelled)
    labels = rasterise(image, (12, 12), map_classes([image], DEFAULT_SCHEME)).labels
    expected = np.zeros((12, 12), bool)
    expected[1:9, 1:9] = True
    expected[3:6, 3:6] = False
    np.testing.assert_array_equal(labels > 0, expected)


@pytest.mark.parametrize(
    ("name", "attributes"),
    [
        ("t", {"name": "t"}),
        ("inter-granular", {"name": "inter-granular"}),
        ("t-12", {"name": "t"}),
        ("0001-0123-0456", {}),
        ("", {}),
    ],
)
def test_a_name_is_the_class_unless_imagej_gave_it(name, attributes):
    (region,) = regions_of(roi(name=name))
    assert dict(region.attributes) == attributes
    assert region.extras == ({"roi": name} if name else {})


def test_groups_and_colours_are_attributes():
    (region,) = regions_of(roi(name="t", group=2, stroke_color=b"\xff\xff\x00\x10"))
    assert region.attributes == {"name": "t", "group": "2", "stroke": "#ff0010"}


def test_a_zip_file_of_rois_is_one_image(tmp_path):
    members = {"t__roi": roi().tobytes(), "t-1__roi": roi(name="i").tobytes(), "a__txt": b"x"}
    path = tmp_path / "s17_3_RoiSet.zip"
    path.write_bytes(archive(**members))
    assert flavour_of(path) is Flavour.IMAGEJ_ROI
    document = read_annotations(path)
    assert [image.filename for image in document] == ["s17_3.tif"]
    assert [dict(r.attributes) for r in document[0].regions] == [{"name": "t"}, {"name": "i"}]
    assert document.notes == ("Left out files that are no ROIs: 1 ('a.txt').",)
    path.write_bytes(archive(a__txt=b"x"))
    assert flavour_of(path) is None


@pytest.mark.parametrize(
    ("made", "problem"),
    [
        (roi(name="t", position=3), "'t': it lies on plane 3 of a stack"),
        (roi(z_position=2, name="t"), "plane 2"),
        (roi(subtype=ROI_SUBTYPE.ARROW, kind=ROI_TYPE.LINE), "an arrow"),
        (roi(ROI_TYPE.NOROI), "it has no points"),
        (not_finite(), "it has no points"),
    ],
)
def test_rois_that_are_no_region_say_why(made, problem):
    (region,) = regions_of(made)
    assert problem in region.problem


def test_a_damaged_roi_costs_only_itself(tmp_path):
    whole = points(ROI_TYPE.POLYGON, (3, 4), (9, 4), (9, 8), name="t").tobytes()
    path = tmp_path / "a.zip"
    path.write_bytes(archive(a__roi=whole, b__roi=whole[:70]))
    document = read_annotations(path, strict=False)
    assert [bool(r.problem) for r in document[0].regions] == [False, True]
    with pytest.raises(AnnotationError, match=r"region 1: ROI 'b': .*Draw it again in ImageJ"):
        read_annotations(path)


def test_a_zip_file_that_unpacks_to_gigabytes_is_not_unpacked(tmp_path):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for number in range(70):
            file.writestr(f"{number}.roi", b"")
            file.filelist[-1].file_size = 2**24  # as its table of contents will say
    path = tmp_path / "a.zip"
    path.write_bytes(buffer.getvalue())
    with pytest.raises(AnnotationError, match=r"a\.zip cannot be read as ImageJ ROIs: it unpacks"):
        read_annotations(path)


@pytest.mark.parametrize(
    ("file", "image"),
    [
        ("s1.5k.roi", "s1.5k.tif"),
        ("a.jpg.roi", "a.jpg"),
        ("a RoiSet.zip", "a.tif"),
        ("RoiSet_a.zip", "a.tif"),
        ("a-rois.zip", "a.tif"),
        ("heroic.zip", "heroic.tif"),
    ],
)
def test_the_image_is_called_as_the_file(file, image):
    assert image_name(Path(file)) == image
