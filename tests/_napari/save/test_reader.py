"""What a run of the command line wrote is opened through its report."""

import imageio.v3 as iio
import numpy as np
import pytest
from napari.layers import Image, Labels

from napari_fractoseg import batch
from napari_fractoseg._napari.corrections import prediction_of
from napari_fractoseg._napari.layer_metadata import file_of
from napari_fractoseg._napari.layers import images_of, scheme_of
from napari_fractoseg._napari.open_files import open_paths
from napari_fractoseg._napari.save.reader import get_run_reader
from napari_fractoseg._napari.save.restore import placement_in
from napari_fractoseg.errors import AnnotationError
from napari_fractoseg.jobs import drain

pytestmark = pytest.mark.usefixtures("no_job_left")


@pytest.fixture
def segmented(tiny_installed, tmp_path, noise):
    """Two images that the command line segmented, as TIFF or OME-Zarr."""

    def make(**options):
        for name in "ab":
            iio.imwrite(tmp_path / f"{name}.png", noise(48, 64))
        settings = batch.SegmentSettings(tiny_installed, "cpu", confidence=True, **options)
        paths = [tmp_path / "a.png", tmp_path / "b.png"]
        drain(batch.run(batch.plan(paths, tmp_path / "out", settings)))
        return tmp_path / "out"

    return make


@pytest.mark.parametrize("zarr", [False, True])
def test_images_labels_and_confidence_are_opened(viewer, segmented, zarr):
    out = segmented(zarr=zarr, overlay=True)
    layers = viewer.open(str(out / "run.json"), plugin=None)
    names = [layer.name for layer in layers]
    assert names == ["a", "a · confidence", "a_labels", "b", "b · confidence", "b_labels"]
    assert [layer.visible for layer in layers] == [True, False, True, False, False, False]
    for image, confidence, labels in (layers[:3], layers[3:]):
        assert images_of(viewer, labels)[0] == image
        assert (type(image), type(labels)) == (Image, Labels)
        np.testing.assert_array_equal(np.asarray(prediction_of(labels)), np.asarray(labels.data))
        assert list(confidence.contrast_limits) == [0, 1]
        assert file_of(labels) == out / f"{image.name}_labels.{'zarr' if zarr else 'tif'}"
        assert scheme_of(labels).names == ("intergranular", "transgranular", "background")


def test_an_image_is_found_beside_the_folder_or_left_out(viewer, segmented, tmp_path, capsys):
    out = segmented()
    (tmp_path / "a.png").rename(out / "a.png")
    iio.imwrite(tmp_path / "b.png", np.zeros((8, 9), np.uint8))  # another one
    layers = open_paths(viewer, [out])
    assert [type(x) for x in layers] == [Image, Image, Labels, Image, Labels]
    assert "b.png has 9 x 8 px" in capsys.readouterr().out
    (tmp_path / "b.png").unlink()
    open_paths(viewer, [out])
    assert "b_labels.tif: its image" in capsys.readouterr().out


def test_other_files_are_left_to_other_readers(tmp_path, segmented):
    out = segmented()
    assert get_run_reader(str(out / "run.json")) is not None
    for text in ("", "{}", "[]", '{"files": [{"outputs": ["../../secret.tif"]}]}', '{"files": 3}'):
        (tmp_path / "run.json").write_text(text)
        assert get_run_reader(str(tmp_path / "run.json")) is None
    for path in out.glob("*_labels.tif"):
        path.unlink()
    assert get_run_reader(str(out / "run.json")) is None
    with pytest.raises(AnnotationError, match="neither labels nor annotations"):
        open_paths(None, [out / "run.json"])


PLACE = {
    "scale": [0.5, 0.25],
    "translate": [1, 2],
    "rotate": [[1, 0], [0, 1]],
    "shear": [0],
    "affine": [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
    "units": ["micrometer", "pixel"],
    "axis_labels": ["y", "x"],
}


@pytest.mark.parametrize(
    "wrong",
    [
        {"scale": [0, 1]},
        {"scale": ["a", "b"]},
        {"scale": [1, 1, 1]},
        {"translate": [float("nan"), 0]},
        {"affine": [[0] * 3] * 3},
        {"rotate": None},
        {"units": ["furlong!", "pixel"]},
        {"units": "um"},
        {"axis_labels": [1, 2]},
    ],
)
def test_a_placement_that_is_none_is_passed_over(wrong):
    place = placement_in({"place": PLACE}, 2)
    Labels(np.zeros((3, 4), np.uint8), **place)
    assert tuple(place["scale"]) == (0.5, 0.25)
    assert placement_in({"place": {**PLACE, **wrong}}, 2) == {}
    assert placement_in({"place": wrong}, 2) == placement_in({"place": 3}, 2) == {}
