"""What is believed of a pixel size that another program gave an opened image."""

import pytest
import tifffile

import sem_files as made
from napari_fractoseg.images.calibration import PixelSize
from napari_fractoseg.images.calibration.claims import LAYER_SCALE, file_says, same_edges
from napari_fractoseg.images.calibration.prints import print_edges_um
from sem_files import write_tiff

DPI_96 = 25400 / 96


@pytest.fixture
def zeiss(tmp_path):
    return file_says(write_tiff(tmp_path / "zeiss.tif", {made.ZEISS: made.ZEISS_TEXT}))


def test_a_layer_that_has_what_its_file_says_has_its_origin(zeiss):
    assert zeiss.judge(0.2, 0.2).source == "Zeiss ap_image_pixel_size"


def test_a_print_resolution_is_not_believed_whatever_the_file_says(zeiss, tmp_path):
    for says in (zeiss, file_says(write_tiff(tmp_path / "plain.tif"))):
        size = says.judge(DPI_96, DPI_96)
        assert size.x_um is None
        assert size.notes == (
            "The layer has 264.6 µm a pixel: 96 dots per inch is the resolution of a screen or "
            "print, not of the specimen.",
        )


def test_the_print_resolution_of_the_file_itself_is_not_believed_either(tmp_path):
    odd = write_tiff(tmp_path / "a.tif", resolution=(146.12, 146.12))
    assert print_edges_um(odd) == pytest.approx((173.83, 173.83), rel=1e-4)
    assert file_says(odd).judge(25400 / 146.12, 25400 / 146.12).x_um is None
    assert file_says(odd).judge(150.0, 150.0) == PixelSize(150.0, 150.0, LAYER_SCALE)


def test_a_size_that_somebody_gave_is_believed_also_if_the_file_says_another(zeiss):
    assert zeiss.judge(0.1, 0.1) == PixelSize(0.1, 0.1, LAYER_SCALE)


def test_resolution_that_is_the_pixel_size_of_our_own_results_is_believed(tmp_path):
    path = tmp_path / "labels.tif"
    said = {"PhysicalSizeX": 100.0, "PhysicalSizeXUnit": "µm"}
    said |= {"PhysicalSizeY": 100.0, "PhysicalSizeYUnit": "µm"}
    pixels = made.np.zeros((4, 5), "uint8")
    tifffile.imwrite(
        path, pixels, metadata=said, resolution=(100, 100), resolutionunit="CENTIMETER"
    )
    assert file_says(path).judge(100.0, 100.0).square_um == 100


def test_what_is_no_tiff_or_says_no_resolution_has_no_print(tmp_path):
    assert print_edges_um(tmp_path / "no.tif") is None
    (tmp_path / "a.png").write_bytes(b"")
    assert print_edges_um(tmp_path / "a.png") is None
    broken = tmp_path / "broken.tif"
    broken.write_bytes(b"II*\0")
    assert print_edges_um(broken) is None
    assert "cannot be read" in file_says(broken).facts.notes[0]
    assert print_edges_um(write_tiff(tmp_path / "none.tif", resolutionunit="NONE")) is None


def test_sizes_that_are_not_known_are_not_the_same():
    known = PixelSize(0.2, 0.3)
    assert same_edges(known, PixelSize(0.2001, 0.3))
    assert not same_edges(known, PixelSize(0.2, 0.2))
    assert not same_edges(PixelSize(), PixelSize())


def test_a_pixel_size_survives_json_and_nonsense_is_unknown():
    size = PixelSize(0.2, 0.3, "scale bar", ("± 1 %",))
    assert PixelSize.from_dict(size.to_dict()) == size
    for nonsense in (None, [], {"x_um": "a"}, {"x_um": -1, "y_um": 1}, {"x_um": 1}):
        assert PixelSize.from_dict(nonsense).x_um is None
