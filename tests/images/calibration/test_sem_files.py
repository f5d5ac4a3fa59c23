"""Files as microscopes write them: pixel size, origin, and rows of the info bar."""

from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_fractoseg.images import find_info_bar, read_image, sem_facts
from napari_fractoseg.images.file_info import file_info

pytestmark = pytest.mark.shared_data

FILES = {
    # name: (nm along a row, origin, (detector, kV, WD in mm), date, first row of the info bar)
    "fei_helios_ebeam_8bit_blank": (
        3372.4, "FEI [EScan] PixelWidth", ("ETD", 5.0, 4.03466), "2016-06-13T17:06:40", 442),
    "fei_helios_navcam_blank": (
        263973.96, "FEI [IRBeam] HFW / ResolutionX", ("Nav-Cam", None, None),
        "2022-05-17T09:07:08", 512),
    "fei_helios_navcam_noscale_blank": (
        None, "", ("Nav-Cam", None, None), "2022-05-17T09:07:08", 512),
    "hitachi_tm4000_x1.2k": (
        82.68229, "Hitachi PixelSize", ("BSE", 15.0, 7.9), "2021-06-23T16:43:33", 901),
    "jeol_8530f_databar": (
        990.099, "JEOL sidecar, micron bar", ("SEI", 7.0, 10.52), "2020-08-31T15:32:31", 960),
    "jeol_odemis_4700f_lzw": (
        2000.0, "JEOL sidecar, estimated from the magnification", ("LED", 5.0, 9.07),
        "2025-11-20T13:42:14", None),
    "phenom_embedded_in_elid": (
        975.779, "Phenom pixelWidth", ("bsd-all", 15.0, 8.14175), "2019-08-07T09:37:31", None),
    "tescan_odemis_mira3": (
        2501.2, "TESCAN PixelSizeX", ("SE", 10.0, 13.25), "2016-05-16T16:03:27", 768),
    "thermo_kit_autoslice_dual_tags": (
        385.417, "FEI [EScan] PixelWidth", ("ETD", 15.0, 4.02349), "2020-08-18T13:40:03", None),
    "thermo_odemis_tfs": (
        269.792, "FEI [EScan] PixelWidth", ("ETD", 2.0, 6.81643), "2023-11-10T14:09:15", 1024),
    "zeiss_ks00x": (
        55.825, "Zeiss ap_image_pixel_size", ("SE2", 8.0, 7.7), "2018-08-10T11:41:13", None),
    "zeiss_rsciio_1k": (
        2614.514, "Zeiss ap_image_pixel_size", ("HE-SE2", 25.0, 14.808), "2015-12-23T09:40:32",
        691),
    "zeiss_rsciio_512": (
        11.650, "Zeiss ap_width / columns", ("InLens", 5.0, 3.9), "2018-09-25T08:20:42", 350),
}  # fmt: skip
BLANK = ("fei_helios_ebeam_8bit_blank", "fei_helios_navcam_blank",
         "fei_helios_navcam_noscale_blank", "phenom_embedded_in_elid")  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_pixel_size_and_info_bar(shared_data, name):
    nm, origin, about, date, first_row = FILES[name]
    path = shared_data / "sem_files" / f"{name}.tif"
    found = file_info(path)
    facts, n_rows = found.facts, found.shape[0]
    assert facts.pixel_size_um == (nm and pytest.approx(nm / 1e3, rel=1e-5))
    assert facts.pixel_size_from == origin
    assert (facts.detector, facts.voltage_kv, facts.working_distance_mm) == about
    assert facts.date == date
    assert found.bar.rows == (None if first_row is None else (first_row, n_rows))
    assert found.bar.is_over_image == (name == "jeol_odemis_4700f_lzw")
    assert facts.is_estimated == (name == "jeol_odemis_4700f_lzw")
    assert bool(facts.notes) == facts.is_estimated
    stack = read_image(path)
    assert (stack.pixel_size_um, stack.pixel_size_from) == (facts.pixel_size_um, origin)


def test_every_file_that_is_there_is_in_the_table(shared_data):
    there = {path.stem for path in (shared_data / "sem_files").glob("*.tif")}
    assert there == set(FILES)


@pytest.mark.parametrize("name", [name for name in FILES if name not in BLANK])
def test_without_metadata_the_same_rows_are_found_in_the_image(shared_data, tmp_path, name):
    pixels = tifffile.imread(shared_data / "sem_files" / f"{name}.tif")
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="minisblack", metadata=None)
    assert sem_facts(tmp_path / "a.tif").image_rows is None
    bar = file_info(tmp_path / "a.tif").bar
    first_row = FILES[name][-1]
    assert bar.rows == (None if first_row is None else (first_row, len(pixels)))
    assert bar.is_over_image == (name == "jeol_odemis_4700f_lzw")


@pytest.mark.parametrize("name", [n for n, row in FILES.items() if row[-1] and n not in BLANK])
def test_above_its_info_bar_an_image_has_none(shared_data, name):
    pixels = tifffile.imread(shared_data / "sem_files" / f"{name}.tif")
    bar = find_info_bar(pixels[: FILES[name][-1]])
    assert (bar.rows, bar.is_over_image) == (None, False)


def no_bar(shared_data):
    folders = [shared_data / "fracture" / "images", shared_data / "fracture" / "paper_labels"]
    folders += sorted((shared_data / "nasa_microscopy").glob("*/*/images"))
    return [path for folder in folders for path in sorted(folder.glob("*.*"))]


def test_nothing_is_found_on_images_without_an_info_bar(shared_data):
    images = no_bar(shared_data)
    assert len(images) > 40
    wrong = [path.name for path in images if found_anything(path)]
    assert wrong == []


def found_anything(path: Path) -> bool:
    image = np.asarray(read_image(path).data)
    for turned in (image, image[::-1], np.swapaxes(image, 0, 1)):
        bar = find_info_bar(turned)
        if bar.rows is not None or bar.is_over_image:
            return True
    return False
