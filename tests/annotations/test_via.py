import json

import pytest

from napari_fractoseg.annotations import read_via
from napari_fractoseg.annotations.via import is_via
from napari_fractoseg.errors import AnnotationError

RECT = {"name": "rect", "x": 1, "y": 2, "width": 3, "height": 4}


def entry(**changes):
    return {"filename": "a.png", "size": 12, "regions": [], "file_attributes": {}, **changes}


def write(tmp_path, document, encoding="utf-8"):
    path = tmp_path / "via.json"
    path.write_text(json.dumps(document), encoding=encoding)
    return path


def test_annotations_are_read_as_they_are(tmp_path):
    region = {"shape_attributes": RECT, "region_attributes": {"name": "i"}}
    path = write(tmp_path, {"a.png12": entry(regions=[region], file_attributes={"q": "good"})})
    (image,) = read_via(path)
    assert image.filename == "a.png"
    assert image.size_bytes == 12
    assert image.attributes == {"q": "good"}
    assert image.regions[0].kind == "rect"
    assert dict(image.regions[0].shape) == RECT
    assert image.regions[0].attributes == {"name": "i"}


@pytest.mark.parametrize(("size", "expected"), [(-1, None), ("77", 77), (None, None)])
def test_sizes_may_be_unknown_or_text(tmp_path, size, expected):
    assert read_via(write(tmp_path, {"a": entry(size=size)}))[0].size_bytes == expected


def test_projects_and_a_byte_order_mark(tmp_path):
    project = {"_via_settings": {}, "_via_img_metadata": {"a": entry()}, "_via_attributes": {}}
    assert len(read_via(write(tmp_path, project, encoding="utf-8-sig"))) == 1


@pytest.mark.parametrize("document", [[], {}, {"a": 1}, {"images": [], "annotations": []}])
def test_json_that_is_not_via_is_declined(tmp_path, document):
    path = write(tmp_path, document)
    assert not is_via(path)
    with pytest.raises(AnnotationError, match="not a VIA 2 annotation file"):
        read_via(path)


def test_errors_name_file_image_and_region(tmp_path):
    path = write(tmp_path, {"a.png12": entry(regions=[{"region_attributes": {}}])})
    with pytest.raises(AnnotationError, match=r"via\.json, image 'a\.png12', region 0: no shape"):
        read_via(path)
    with pytest.raises(AnnotationError, match="VIA 1 layout"):
        read_via(write(tmp_path, {"a": entry(regions={"0": {}})}))
    with pytest.raises(AnnotationError, match="cannot be read"):
        read_via(tmp_path / "none.json")
    (tmp_path / "cut.json").write_text('{"a": ')
    with pytest.raises(AnnotationError, match="not JSON"):
        read_via(tmp_path / "cut.json")


@pytest.mark.shared_data
def test_the_fracture_annotations(shared_data):
    images = read_via(shared_data / "fracture" / "via_region_data.json")
    assert len(images) == 16
    assert sum(len(i.regions) for i in images) == 703
