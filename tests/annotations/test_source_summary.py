import imageio.v3 as iio
import numpy as np

from napari_fractoseg.annotations import AnnotatedImage, Region, ViaDocument, write_via
from napari_fractoseg.annotations.options import LENIENT
from napari_fractoseg.annotations.source import AnnotationSource
from napari_fractoseg.jobs import drain

RECT = {"name": "rect", "x": 1, "y": 1, "width": 2, "height": 2}


def opened(tmp_path, *images):
    write_via(ViaDocument(images), tmp_path / "via.json", overwrite=True)
    return drain(AnnotationSource.open_job(tmp_path / "via.json", tmp_path, LENIENT))


def test_a_file_is_described_with_the_images_that_were_found(tmp_path):
    iio.imwrite(tmp_path / "a.png", np.zeros((4, 5), np.uint8))
    regions = (Region(RECT), Region({"name": "blob"}))
    images = AnnotatedImage("a.png", regions), AnnotatedImage("b.png", regions[:1])
    source = opened(tmp_path, *images, AnnotatedImage("bare.png"))
    (stack,) = source.assembly.stacks
    assert [image.filename for image in stack.images] == ["a.png"]
    assert [image.filename for image in source.assembly.missing] == ["b.png"]
    first, second, damaged, missing = source.summary().splitlines()
    assert first == "VIA 2 annotations (JSON), images: 3; rect 2, blob 1"
    assert second == "1 of 2 annotated images found"
    assert damaged.startswith("1 damaged regions are left out")
    assert missing.startswith("1 of 2 images not found")


def test_a_file_without_regions(tmp_path):
    source = opened(tmp_path, AnnotatedImage("a.png"))
    assert source.summary().splitlines() == [
        "VIA 2 annotations (JSON), images: 1; no region",
        "0 of 0 annotated images found",
    ]
