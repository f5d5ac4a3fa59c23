"""XML files of Pascal VOC, as LabelImg, CVAT, Roboflow and roLabelImg write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_fractoseg.annotations import Flavour, Region, read_annotations
from napari_fractoseg.annotations.class_mapping import map_classes
from napari_fractoseg.annotations.formats.neighbours.pascal_voc import parse, root_of
from napari_fractoseg.annotations.reading import flavour_of
from napari_fractoseg.classes import DEFAULT_SCHEME
from napari_fractoseg.errors import AnnotationError

BOX = "<bndbox><xmin>1</xmin><ymin>2</ymin><xmax>4.5</xmax><ymax>6</ymax></bndbox>"
BNDBOX = {"name": "rect", "x": 1, "y": 2, "width": 3.5, "height": 4}


def voc(*objects, filename="a.jpg", size="<width>20</width><height>12</height><depth>1</depth>"):
    return (
        f"<annotation><folder>x</folder><filename>{filename}</filename><size>{size}</size>"
        f"{''.join(f'<object>{o}</object>' for o in objects)}</annotation>"
    )


def document_of(*objects, **changes):
    root = root_of(voc(*objects, **changes), "a.xml")
    return parse(root, "folder/a.xml")


def test_a_file_is_one_image_with_boxes():
    document = document_of(
        f"<name>t</name><pose>Unspecified</pose><truncated>0</truncated><difficult>1</difficult>{BOX}"
    )
    assert document.flavour is Flavour.PASCAL_VOC
    (image,) = document
    assert (image.filename, image.extras) == ("a.jpg", {"width": 20, "height": 12})
    assert image.regions == (Region(BNDBOX, {"name": "t", "difficult": "1"}),)
    assert map_classes(document, DEFAULT_SCHEME).attribute == "name"


@pytest.mark.parametrize(
    "polygon",
    [
        "<x1>0</x1><y1>1</y1><x2>5.5</x2><y2>1</y2><x3>0</x3><y3>7</y3>",
        "<pt><x>0</x><y>1</y></pt><pt><x>5.5</x><y>1</y></pt><pt><x>0</x><y>7</y></pt>",
    ],
)
def test_an_outline_counts_before_the_box(polygon):
    document = document_of(f"<name>t</name>{BOX}<polygon>{polygon}</polygon>")
    outline = {"name": "polygon", "all_points_x": [0, 5.5, 0], "all_points_y": [1, 1, 7]}
    assert document[0].regions == (Region(outline, {"name": "t"}),)


def test_turned_boxes_turn_clockwise():
    box = "<cx>10</cx><cy>10</cy><w>8</w><h>4</h><angle>1.5707963267948966</angle>"
    (region,) = document_of(f"<name>t</name><robndbox>{box}</robndbox>")[0].regions
    assert region.shape["all_points_x"] == [12, 12, 8, 8]
    assert region.shape["all_points_y"] == [6, 14, 14, 6]


def test_parts_and_deleted_objects_are_told():
    part = f"<part><name>head</name>{BOX}</part>"
    document = document_of(f"<name>t</name>{BOX}{part}", f"<name>i</name><deleted>1</deleted>{BOX}")
    assert len(document[0].regions) == 1
    assert document.notes == (
        "Left out parts of objects, such as heads and hands: 1 (object 0).",
        "Skipped objects that are deleted: 1 (object 1).",
    )


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        ("<name>t</name>", "neither bndbox nor polygon"),
        ("<bndbox><xmin>a</xmin></bndbox>", "are not four numbers"),
        (BOX.replace("4.5", "inf"), "width"),
        ("<polygon><x1>1</x1><y1>2</y1></polygon>", "a polygon of 1 point"),
        ("<polygon><x1>1</x1><x2>1</x2><x3>1</x3></polygon>", "all_points_y"),
        ("<robndbox><cx>1</cx></robndbox>", "are not five numbers"),
    ],
)
def test_objects_that_cannot_be_drawn_say_why(entry, problem):
    (region,) = document_of(entry)[0].regions
    assert problem in region.problem


def test_an_image_without_a_name_is_called_after_the_file():
    assert document_of(filename="")[0].filename == "a.png"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_xml_of_others_is_declined(tmp_path, encoding):
    path = tmp_path / "a.xml"
    path.write_bytes(voc(f"<name>t</name>{BOX}").encode(encoding))
    assert flavour_of(path) is Flavour.PASCAL_VOC
    assert read_annotations(path)[0].regions[0].shape == BNDBOX
    for text in ("<OME/>", "<annotation><a/></annotation>", "<annotations><object/></annotations>"):
        path.write_bytes(text.encode(encoding))
        assert flavour_of(path) is None
        with pytest.raises(AnnotationError, match=r"a\.xml is not a file of the VGG"):
            read_annotations(path)


@pytest.mark.parametrize(
    "head",
    [
        '<!DOCTYPE a [<!ENTITY b "xxxxxxxxxx"><!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;">]>',
        '<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]>',
        '<!DOCTYPE a SYSTEM "http://127.0.0.1/a.dtd">',
    ],
)
def test_entities_are_refused_before_anything_is_made_of_them(tmp_path, head):
    path = tmp_path / "a.xml"
    path.write_text(f'<?xml version="1.0"?>{head}{voc("<name>&c;</name>" + BOX)}')
    with pytest.raises(AnnotationError, match=r"a\.xml defines a document type or entities"):
        read_annotations(path)


@given(st.text())
def test_any_text_is_an_annotation_or_one_error(text):
    try:
        root = root_of(f"<annotation><object>{text}</object></annotation>", "a.xml")
    except AnnotationError as error:
        assert str(error).startswith("a.xml")  # noqa: PT017
    else:
        assert parse(root, "a.xml").flavour is Flavour.PASCAL_VOC
