"""A word about images that seem to be others than those that were annotated."""

import json

import numpy as np
import pytest
import tifffile

from napari_fractoseg.annotations import AnnotatedImage, Region, read_annotations
from napari_fractoseg.annotations.conversion.convert import convert
from napari_fractoseg.annotations.fit import fit_notes
from napari_fractoseg.annotations.image_lookup import ImageLookup
from napari_fractoseg.annotations.stacks import assemble
from napari_fractoseg.datasets.sources import read_training_set


def rect(x, y, width, height, **changes):
    shape = {"name": "rect", "x": x, "y": y, "width": width, "height": height}
    return Region(shape, {"name": "t"}, **changes)


@pytest.fixture
def notes(tmp_path):
    def of(*regions, shape=(100, 200), name="a.tif", **changes):
        tifffile.imwrite(tmp_path / "a.tif", np.zeros(shape, np.uint8))
        image = AnnotatedImage(name, regions, **changes)
        return fit_notes([(image, tmp_path / "a.tif", shape)])

    return of


def test_regions_within_an_image_or_a_little_beyond_need_no_word(notes):
    assert notes(rect(0, 0, 200, 100), rect(-5, -5, 210, 110)) == ()
    assert notes() == ()


@pytest.mark.parametrize("region", [rect(0, 0, 206, 9), rect(0, 0, 9, 106), rect(-6, 0, 9, 9)])
def test_regions_far_beyond_an_image_are_told(notes, region):
    (note,) = notes(region)
    assert note.startswith(
        "1 image is smaller than what its regions cover: a.tif (200 x 100 px, regions from "
    )
    assert notes(rect(0, 0, 9, 9), rect(900, 0, 9, 9, problem="damaged")) == ()


@pytest.mark.parametrize("extent", [{"width": 400, "height": 200}, {"width": 100, "height": 200}])
def test_another_noted_size_is_told(notes, extent):
    (note,) = notes(rect(0, 0, 9, 9), extras=extent)
    noted = f"{extent['width']} x {extent['height']}"
    assert f"another size than the annotations say: a.tif (200 x 100 px, annotated {noted})" in note
    assert notes(extras={"width": 200, "height": 100}) == notes(extras={"width": 9}) == ()


def test_a_changed_file_of_the_same_name_is_told(notes, tmp_path):
    (note,) = notes(size=1)
    n_bytes = (tmp_path / "a.tif").stat().st_size
    text = "1 image file has changed since it was annotated: a.tif "
    text += f"({n_bytes} bytes, annotated 1)."
    assert note == text
    assert notes(size=n_bytes) == notes(size=-1) == notes(size=1, name="a.jpg") == ()
    assert notes(size=1, name=r"C:\lab\a.tif") == (text,)


def test_every_door_has_the_words(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((100, 200), np.uint8))
    entry = {"image_id": 1, "category_id": 1, "segmentation": [], "bbox": [1, 1, 300, 300]}
    data = {
        "images": [{"id": 1, "file_name": "a.tif"}],
        "annotations": [{"id": 1, **entry}],
        "categories": [{"id": 1, "name": "t"}],
    }
    (tmp_path / "coco.json").write_text(json.dumps(data))
    document = read_annotations(tmp_path / "coco.json")
    (note,) = assemble(ImageLookup.scan(tmp_path).find_all(document.images)).notes
    assert "1 image is smaller than what its regions cover: a.tif" in note
    assert note in convert(tmp_path / "coco.json", tmp_path / "masks", "masks").notes
    assert f"coco.json: {note}" in read_training_set(tmp_path, tmp_path / "coco.json").notes
