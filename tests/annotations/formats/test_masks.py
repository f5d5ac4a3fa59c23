import imageio.v3 as iio
import numpy as np
import pytest

from napari_fractoseg.annotations.formats.masks import (
    image_of_mask,
    mask_stem,
    parse_mask_values,
    read_label_mask,
)
from napari_fractoseg.annotations.image_lookup import ImageLookup
from napari_fractoseg.classes import DEFAULT_SCHEME
from napari_fractoseg.errors import AnnotationError, ClassSchemeError, ImageError

RESEARCH = {0: "background", 1: "transgranular", 2: "intergranular"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0=background,1=transgranular,2=intergranular", RESEARCH),
        ("research", RESEARCH),
        (" research ", RESEARCH),
        (" 7 = river lines , 255=dimples", {7: "river lines", 255: "dimples"}),
    ],
)
def test_mask_values_are_parsed(text, expected):
    assert parse_mask_values(text) == expected


@pytest.mark.parametrize("text", ["", "1", "a=b", "1=", "1=a,1=b", "1=a,,2=b", "-1=a", "Research"])
def test_mask_values_that_cannot_be_parsed(text):
    with pytest.raises(AnnotationError, match="not of the form VALUE=CLASS"):
        parse_mask_values(text)


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("a.png", "a"),
        ("a_labels.tif", "a"),
        ("s17.3_labels.tif", "s17.3"),
        ("labels.png", "labels"),
    ],
)
def test_the_name_of_the_image_of_a_mask(tmp_path, name, stem):
    assert mask_stem(tmp_path / name) == stem


def test_the_image_of_a_mask(tmp_path):
    for name in ("a.png", "a.tif", "b.jpg", "s17.3.tif", "old/b.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    images = ImageLookup.scan(tmp_path)
    expected = {
        "a.tif": "a.tif", "a.png": "a.png", "b.png": "b.jpg", "s17.3_labels.tif": "s17.3.tif",
        "s17_labels.tif": None,
    }  # fmt: skip
    for mask, image in expected.items():
        found = image_of_mask(tmp_path / "masks" / mask, images)
        assert found == (None if image is None else tmp_path.resolve() / image)
    for mask in ("a_labels.tif", "a.bmp"):
        with pytest.raises(AnnotationError, match=rf"{mask} fits several .*: a\.png, a\.tif\."):
            image_of_mask(tmp_path / "masks" / mask, images)


@pytest.fixture
def mask(tmp_path):
    path = tmp_path / "a.png"
    iio.imwrite(path, np.array([[0, 1, 2], [3, 3, 0]], np.uint8))
    return path


def test_values_are_those_of_the_scheme(mask):
    labels = read_label_mask(mask, DEFAULT_SCHEME)
    assert labels.dtype == np.uint8
    assert labels.tolist() == [[0, 1, 2], [3, 3, 0]]


def test_values_can_be_mapped_and_the_rest_is_unlabelled(mask):
    assert read_label_mask(mask, DEFAULT_SCHEME, RESEARCH).tolist() == [[3, 2, 1], [0, 0, 3]]
    assert read_label_mask(mask, DEFAULT_SCHEME, {3: "i"}).tolist() == [[0, 0, 0], [1, 1, 0]]


def test_what_is_no_mask_of_the_scheme(mask, tmp_path):
    with pytest.raises(AnnotationError, match=r"a\.png: none of the mask values 7 occurs.*0, 1"):
        read_label_mask(mask, DEFAULT_SCHEME, {7: "background"})
    with pytest.raises(ClassSchemeError, match="'dimples' is not in the scheme"):
        read_label_mask(mask, DEFAULT_SCHEME, {1: "dimples"})
    iio.imwrite(tmp_path / "b.png", np.full((2, 2), 9, np.uint8))
    with pytest.raises(ClassSchemeError, match=r"b\.png: Labels hold .* 9 \(4 px\)"):
        read_label_mask(tmp_path / "b.png", DEFAULT_SCHEME)
    with pytest.raises(ImageError, match="does not exist"):
        read_label_mask(tmp_path / "c.png", DEFAULT_SCHEME)
