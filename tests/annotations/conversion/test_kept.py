"""Annotations that are kept beside labels come back as they were."""

import json

import pytest

from napari_fractoseg.annotations import Flavour, read_via
from napari_fractoseg.annotations.class_mapping import ClassMapping
from napari_fractoseg.annotations.conversion.flavours import in_flavour
from napari_fractoseg.annotations.conversion.kept import KeptAnnotations
from napari_fractoseg.annotations.document import AnnotatedImage, Region, ViaDocument
from napari_fractoseg.classes import DEFAULT_SCHEME
from napari_fractoseg.errors import AnnotationError

POLYGON = {"name": "polygon", "all_points_x": [1, 9, 9], "all_points_y": [1, 1, 9]}
MAPPING = ClassMapping("mode", DEFAULT_SCHEME, {"": None, "i": "intergranular", "x": None}, "first")
DRAWING = {"overlap": "smaller", "unannotated": "background"}


@pytest.fixture
def document(tmp_path):
    """Two images, with a region that is damaged, and more than VIA's own entries."""
    regions = [
        {"shape_attributes": shape, "region_attributes": {"mode": mode}, "by": "me"}
        for shape, mode in ((POLYGON, "i"), ({"name": "blob"}, "x"))
    ]
    entries = {
        f"{name}7": {"filename": name, "size": 7, "regions": regions, "file_attributes": {"q": "1"}}
        for name in ("a.png", "b.png")
    }
    path = tmp_path / "original.json"
    path.write_text(json.dumps(entries))
    return read_via(path, strict=False)


def kept(document, **changes):
    keys = tuple(image.image_key for image in reversed(document))
    values = {"source": "", "mapping": MAPPING, "drawing": DRAWING, "saved": "", **changes}
    return KeptAnnotations(document, keys, **values)


def there_and_back(annotations, folder):
    """Write annotations, and read them again; what is kept with labels is JSON."""
    _, entry, _ = annotations.write(folder, "s17")
    return KeptAnnotations.read(folder / "s17_labels.tif", json.loads(json.dumps(entry)))


@pytest.mark.parametrize(
    "flavour",
    [Flavour.VIA1, Flavour.VIA1_CSV, Flavour.VIA2, Flavour.VIA2_CSV, Flavour.VIA2_PROJECT],
)
def test_via_files_lose_nothing(document, tmp_path, flavour):
    before = in_flavour(document, flavour)
    again = there_and_back(kept(before), tmp_path)
    assert again.document == before
    assert again.images == tuple(image.image_key for image in reversed(before))
    assert again.mapping == MAPPING
    assert again.drawing == DRAWING


def test_other_programs_become_a_project_with_the_same_regions(tmp_path):
    regions = (Region(POLYGON, {"category": "i"}),)
    images = tuple(AnnotatedImage(n, regions, extras={"width": 9, "height": 9}) for n in "ab")
    again = there_and_back(kept(ViaDocument(images, Flavour.COCO_DATASET)), tmp_path)
    assert again.document.flavour is Flavour.VIA2_PROJECT
    assert [image.filename for image in again.document] == ["a", "b"]
    assert [image.regions[0].attributes for image in again.document] == [{"category": "i"}] * 2
    assert again.images == tuple(image.image_key for image in reversed(again.document))


def test_where_it_was_and_was_saved_is_proposed_again_if_it_is_on_this_computer(document, tmp_path):
    here = {"source": str(tmp_path / "via.json"), "saved": str(tmp_path / "via corrected.json")}
    (tmp_path / "result").mkdir()
    again = there_and_back(kept(document, **here), tmp_path / "result")
    assert {"source": again.source, "saved": again.saved} == here
    (tmp_path / "other").mkdir()
    for path in ("//server/share/via.json", str(tmp_path / "gone" / "via.json"), "via.json"):
        again = there_and_back(kept(document, source=path), tmp_path / "other")
        assert again.source == str(tmp_path / "other" / "via.json")
        assert again.saved == ""
        (tmp_path / "other" / "s17_via.json").unlink()


def test_a_file_that_is_gone_or_changed_says_so(document, tmp_path):
    path, entry, _ = kept(document).write(tmp_path, "s17")
    labels = tmp_path / "s17_labels.tif"
    path.write_text(path.read_text() + " ")
    with pytest.raises(AnnotationError, match="s17_via.json, from which s17_labels.tif was"):
        KeptAnnotations.read(labels, entry)
    path.unlink()
    with pytest.raises(AnnotationError, match="not beside it any more"):
        KeptAnnotations.read(labels, entry)


@pytest.mark.parametrize(
    "change",
    [
        {"images": [7]},
        {"images": "a"},
        {"mapping": {"attribute": "mode"}},
        {"drawing": {"overlap": "none", "unannotated": None}},
        {"file": None},
        {"sha256": 3},
    ],
)
def test_an_entry_that_somebody_else_wrote_is_refused_in_words(document, tmp_path, change):
    _, entry, _ = kept(document).write(tmp_path, "s17")
    with pytest.raises(AnnotationError):
        KeptAnnotations.read(tmp_path / "s17_labels.tif", {**entry, **change})
    with pytest.raises(AnnotationError):
        KeptAnnotations.read(tmp_path / "s17_labels.tif", "nothing")
