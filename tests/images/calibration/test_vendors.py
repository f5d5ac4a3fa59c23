"""Pixel size and other facts of made-up files of each microscope, with exact values."""

import math
import re

import imageio.v3 as iio
import numpy as np
import pytest
import tifffile
import zarr

import sem_files as made
from napari_fractoseg.errors import ImageError
from napari_fractoseg.images import read_image, read_stack, sem_facts
from sem_files import write_tiff

HITACHI_TAG = made.HITACHI_TEXT.split("\r\n", 1)[1].encode("utf-16-le") + b"\0\0"
THUMBNAIL = b"Y\x14\0\0\x01\0\0\0\0\x0cjP  \r\nPixelSizeX=9e-9\xff\xd9"
VENDORS = {
    # name: (tags, file beside it, origin, detector, kV, WD in mm, magnification, date)
    "fei": ({made.FEI: made.FEI_TEXT}, {}, "FEI [EScan] PixelWidth",
            ("ETD", 2.0, 6.8, None, "2023-11-10T14:09:15")),
    "thermo xml": ({34680: "", made.FEI_XML: made.THERMO_XML}, {}, "Thermo Fisher PixelSize/X",
                   ("TLD", 15.0, 4.0, None, "2020-08-18T13:40:03")),
    "phenom": ({made.FEI_XML: made.PHENOM_XML}, {}, "Phenom pixelWidth",
               ("bsd-all", 15.0, 8.25, None, "2019-08-07T09:37:31")),
    "zeiss": ({made.ZEISS: made.ZEISS_TEXT}, {}, "Zeiss ap_image_pixel_size",
              ("InLens", 5.0, 3.9, 50000.0, "2018-09-25T08:20:42")),
    "tescan": ({made.TESCAN: THUMBNAIL + made.TESCAN_TEXT.encode()}, {}, "TESCAN PixelSizeX",
               ("SE", 10.0, 13.25, 108.08, "2016-05-16T16:03:27")),
    "tescan sidecar": ({}, {".hdr": made.TESCAN_HDR.encode()}, "TESCAN sidecar, PixelSizeX",
                       ("BSE", 20.0, 10.0, 500.0, "2016-05-16T16:03:27")),
    "tescan export": ({}, {"-tif.hdr": made.TESCAN_HDR.encode()}, "TESCAN sidecar, PixelSizeX",
                      ("BSE", 20.0, 10.0, 500.0, "2016-05-16T16:03:27")),
    "hitachi": ({made.COMMENT: HITACHI_TAG}, {}, "Hitachi PixelSize",
                ("BSE", 15.0, 7.9205, 15875.0, "2021-06-23T16:43:33")),
    "hitachi utf-16": ({}, {".txt": b"\xff\xfe" + made.HITACHI_TEXT.encode("utf-16-le")},
                       "Hitachi sidecar, PixelSize",
                       ("BSE", 15.0, 7.9205, 15875.0, "2021-06-23T16:43:33")),
    "hitachi ascii": ({}, {".txt": made.HITACHI_TEXT.encode()}, "Hitachi sidecar, PixelSize",
                      ("BSE", 15.0, 7.9205, 15875.0, "2021-06-23T16:43:33")),
    "jeol": ({}, {".txt": made.JEOL_TEXT.encode()}, "JEOL sidecar, micron bar",
             ("SEI", 7.0, 10.52, 15000.0, "2020-08-31T15:32:31")),
}  # fmt: skip


def beside(path, texts):
    for ending, data in texts.items():
        path.with_name(f"{path.stem}{ending}").write_bytes(data)
    return path


@pytest.mark.parametrize("name", VENDORS)
def test_each_vendor_says_200_nm(tmp_path, name):
    tags, texts, origin, about = VENDORS[name]
    path = beside(write_tiff(tmp_path / "a.tif", tags), texts)
    facts = sem_facts(path)
    assert facts.pixel_size_um == pytest.approx(0.2, rel=1e-12)
    assert facts.pixel_size_from == origin
    found = (facts.detector, facts.voltage_kv, facts.working_distance_mm, facts.magnification,
             facts.date)  # fmt: skip
    assert found == about
    assert facts.notes == ()
    stack = read_image(path)
    assert stack.pixel_size_um == facts.pixel_size_um
    assert stack.pixel_size_from == origin


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        *(("fei", "PixelWidth=2e-07", f"PixelWidth={odd}") for odd in ("0", "-2e-07", "nan")),
        ("fei", "PixelWidth=2e-07", "PixelWidth=2.5"),  # metres
        ("fei", "PixelWidth=2e-07", "PixelWidth=1e400"),
        ("phenom", ">200<", ">0<"),
        ("phenom", 'unit="nm"', 'unit="lightyear"'),
        ("thermo xml", 'unitPrefixPower="1"', 'unitPrefixPower="-9"'),
        ("thermo xml", ">2E-07<", ">-2E-07<"),
        ("zeiss", "Size = 200.0 nm", "Size = 0.0 nm"),
        ("zeiss", "Size = 200.0 nm", "Size = 2,000 nm"),
        ("tescan", "X=2.0e-7", "X=0.0"),
        ("hitachi ascii", "PixelSize=200", "PixelSize=-200"),
        ("hitachi ascii", "PixelSize=200", "PixelSize=2000000000000"),
        ("jeol", "MICRON_BAR 10", "MICRON_BAR 0"),
        ("jeol", "MARKER 2um", "MARKER two"),
    ],
)  # fmt: skip
def test_absurd_values_are_unknown_with_a_word(tmp_path, name, old, new):
    facts = sem_facts(changed(tmp_path, name, old, new))
    assert facts.pixel_size_um is None
    assert facts.pixel_size.x_um is None
    assert "no size of a pixel. Give the pixel size by hand." in " ".join(facts.notes)


@pytest.mark.parametrize(
    ("name", "old", "new", "said"),
    [
        ("fei", "PixelWidth=2e-07", "PixelWidth=3e-07", "says 300 nm a pixel, .* 200 nm"),
        ("zeiss", "Size = 200.0 nm", "Size = 201.6 nm", "says 201.6 nm a pixel, .* 200 nm"),
        ("thermo xml", ">2E-07<", ">4E-07<", "contradicts itself"),
        ("fei", "ResolutionX=40\r\nResolutionY=30", "ResolutionX=80\r\nResolutionY=60",
         "40 x 30 px, its metadata say 80 x 60 px: it was resized|contradicts itself"),
        ("hitachi ascii", "DataSize=40x30", "DataSize=80x60", "80 x 60 px: it was resized"),
        ("jeol", "FULL_SIZE 40 30", "FULL_SIZE 80 60", "80 x 60 px: it was resized"),
    ],
)  # fmt: skip
def test_contradictions_are_unknown_with_a_word(tmp_path, name, old, new, said):
    facts = sem_facts(changed(tmp_path, name, old, new))
    assert facts.pixel_size_um is None
    assert any(re.search(said, note) for note in facts.notes)


def changed(folder, name, old, new):
    """Write the file of a vendor with another text in it."""
    tags, texts, *_ = VENDORS[name]

    def replaced(data):
        data = data.encode("cp1252") if isinstance(data, str) else data
        return data.replace(old.encode(), new.encode())

    assert any(replaced(data) != data for data in [*tags.values(), *texts.values()] if data)
    path = write_tiff(folder / "a.tif", {code: replaced(data) for code, data in tags.items()})
    return beside(path, {ending: replaced(data) for ending, data in texts.items()})


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [("hitachi ascii", "Magnification=15875", "Magnification=30000"),
     ("jeol", "CM_MAG 15000", "CM_MAG 20000")],
)  # fmt: skip
def test_a_magnification_that_does_not_fit_is_told(tmp_path, name, old, new):
    facts = sem_facts(changed(tmp_path, name, old, new))
    assert facts.pixel_size_um == pytest.approx(0.2)
    (note,) = facts.notes
    assert "check it with the scale bar" in note


def test_a_part_that_was_cut_out_keeps_its_pixel_size_with_a_word(tmp_path):
    text = made.JEOL_TEXT.replace("FULL_SIZE 40 30", "FULL_SIZE 80 30")
    path = beside(write_tiff(tmp_path / "a.tif"), {".txt": text.encode()})
    facts = sem_facts(path)
    assert facts.pixel_size_um == pytest.approx(0.2)
    assert "if it was resized, not cut, the pixel size is wrong" in facts.notes[0]


def test_pixels_that_are_not_square_have_two_edges_and_no_single_one(tmp_path):
    text = made.FEI_TEXT.replace("PixelHeight=2e-07", "PixelHeight=3e-07")
    path = write_tiff(tmp_path / "a.tif", {made.FEI: text.replace("VFW=6e-06", "VFW=9e-06")})
    facts = sem_facts(path)
    assert (facts.pixel_size.x_um, facts.pixel_size.y_um) == pytest.approx((0.2, 0.3))
    assert facts.pixel_size_um is None
    assert "not square: 200 nm along a row, 300 nm along a column" in facts.notes[0]
    stack = read_image(path)
    assert stack.pixel_size_um is None
    assert [axis.scale for axis in stack.axes] == pytest.approx([0.3, 0.2])


def test_jeol_without_a_micron_bar_is_estimated_from_the_magnification(tmp_path):
    text = made.JEOL_TEXT.replace("$$SM_MICRON_BAR 10\r\n", "").replace("8530F", "4700F")
    facts = sem_facts(beside(write_tiff(tmp_path / "a.tif"), {".txt": text.encode()}))
    assert facts.pixel_size_um == pytest.approx(128e3 / 15000 / 40)
    assert facts.is_estimated
    assert "7 % off" in facts.notes[0]


def test_the_short_text_of_hitachi_has_the_beam_in_one_line(tmp_path):
    text = "SignalName=BSE\r\nPixelSize=200\r\nCondition=Vacc=15.0kV Mag=x15.9k WD=7.9mm\r\n"
    path = write_tiff(tmp_path / "a.tif", {made.COMMENT: text.encode("utf-16-le")})
    facts = sem_facts(path)
    assert (facts.pixel_size_um, facts.notes) == (pytest.approx(0.2), ())
    assert (facts.voltage_kv, facts.working_distance_mm) == (15.0, 7.9)
    assert facts.magnification == 15900


def test_a_pixel_size_that_nothing_confirms_is_told(tmp_path):
    text = made.HITACHI_TEXT.partition("Magnification")[0]
    facts = sem_facts(beside(write_tiff(tmp_path / "a.tif"), {".txt": text.encode()}))
    assert facts.pixel_size_um == pytest.approx(0.2)
    assert "the only one that says the pixel size" in facts.notes[0]


@pytest.mark.parametrize(
    ("tags", "texts", "source"),
    [
        ({made.FEI: made.FEI_TEXT}, {}, "FEI [Image] ResolutionY"),
        ({made.FEI_XML: made.THERMO_XML}, {}, "Thermo Fisher ImageSize/Y"),
        ({made.TESCAN: made.TESCAN_TEXT.encode()}, {}, "TESCAN ImageStripSize"),
        ({}, {".txt": made.JEOL_TEXT.encode()}, "JEOL $CM_FULL_SIZE"),
    ],
)
def test_rows_of_the_image_above_an_info_bar_that_was_added(tmp_path, tags, texts, source):
    facts = sem_facts(beside(write_tiff(tmp_path / "a.tif", tags, shape=(36, 40)), texts))
    assert (facts.image_rows, facts.image_rows_from) == (30, source)
    assert facts.pixel_size_um == pytest.approx(0.2)
    assert facts.notes == ()


def test_a_camera_of_fei_has_the_field_of_view_over_its_pixels(tmp_path):
    text = "[Beam]\nBeam=IRBeam\nScan=\n[IRBeam]\nHFW=0.02\nVFW=0.015\n[Image]\nResolutionX=40\n"
    with_scale = write_tiff(tmp_path / "a.tif", {made.FEI: f"{text}ResolutionY=30\n"})
    assert sem_facts(with_scale).pixel_size_um == 500
    without = f"{text}ResolutionY=30\n".replace("[IRBeam]", "[Other]")
    facts = sem_facts(write_tiff(tmp_path / "b.tif", {made.FEI: without}))
    assert (facts.pixel_size_um, facts.notes) == (None, ())


@pytest.mark.parametrize("encoding", ["cp1252", "utf-8"])
def test_a_micro_sign_is_read_in_both_encodings(tmp_path, encoding):
    text = made.ZEISS_TEXT.replace("Size = 200.0 nm", "Size = 0.2000 µm")
    path = write_tiff(tmp_path / "a.tif", {made.ZEISS: text.encode(encoding)})
    assert sem_facts(path).pixel_size_um == pytest.approx(0.2)


def test_an_old_zeiss_file_says_the_width_only(tmp_path):
    text = made.ZEISS_TEXT.replace("AP_IMAGE_PIXEL_SIZE", "AP_OTHER")
    facts = sem_facts(write_tiff(tmp_path / "a.tif", {made.ZEISS: text}))
    assert facts.pixel_size_um == pytest.approx(0.2)
    assert facts.pixel_size_from == "Zeiss ap_width / columns"
    cut = sem_facts(write_tiff(tmp_path / "b.tif", {made.ZEISS: text}, shape=(30, 20)))
    assert cut.pixel_size_um is None
    assert "it was cut" in cut.notes[0]


@pytest.mark.parametrize("unit", ["INCH", "CENTIMETER", "NONE"])
def test_print_resolution_is_no_pixel_size(tmp_path, unit):
    path = write_tiff(tmp_path / "a.tif", resolution=(96, 96), resolutionunit=unit)
    assert sem_facts(path).pixel_size_um is None
    assert read_image(path).pixel_size_um is None


@pytest.mark.parametrize(
    ("description", "resolution", "um"),
    [
        ("ImageJ=1.54f\nunit=um\n", (5, 5), 0.2),
        ("ImageJ=1.54f\nunit=\\u00B5m\n", (5, 5), 0.2),
        ("ImageJ=1.54f\nunit=nm\n", (0.005, 0.005), 0.2),
        ("ImageJ=1.54f\nunit=inch\n", (96, 96), None),
        ("ImageJ=1.54f\nunit=cm\n", (37, 37), None),
        ("ImageJ=1.54f\n", (96, 96), None),
        ("A note.", (96, 96), None),
        ('{"PhysicalSizeX": "two", "PhysicalSizeY": 2}', (96, 96), None),
        ("{", (96, 96), None),
    ],
)
def test_the_scale_of_imagej_is_that_of_the_image_unless_it_is_of_a_print(
    tmp_path, description, resolution, um
):
    path = write_tiff(tmp_path / "a.tif", description=description, resolution=resolution,
                      resolutionunit="NONE")  # fmt: skip
    assert sem_facts(path).pixel_size_um == (um and pytest.approx(um, rel=1e-4))


@pytest.mark.parametrize(
    ("size", "unit", "um"),
    [(0.25, "µm", 0.25), (250.0, "nm", 0.25), (0.25, None, 0.25), (264.5833, "µm", None),
     (0, "µm", None), (3, "pixel", None)],
)  # fmt: skip
def test_ome_tiff(tmp_path, size, unit, um):
    metadata = {"axes": "YX", "PhysicalSizeX": size, "PhysicalSizeY": size}
    if unit:
        metadata |= {"PhysicalSizeXUnit": unit, "PhysicalSizeYUnit": unit}
    path = tmp_path / "a.ome.tif"
    tifffile.imwrite(path, np.zeros((30, 40), np.uint8), ome=True, metadata=metadata)
    facts = sem_facts(path)
    assert facts.pixel_size_um == um
    assert facts.pixel_size_from == ("OME-TIFF PhysicalSize" if um else "")
    assert bool(facts.notes) == (um is None)


def test_a_picture_has_the_pixel_size_of_the_file_beside_it(tmp_path):
    iio.imwrite(tmp_path / "a.bmp", np.zeros((30, 40), np.uint8))
    beside(tmp_path / "a.bmp", {".txt": made.JEOL_TEXT.encode()})
    stack = read_image(tmp_path / "a.bmp")
    assert stack.pixel_size_um == pytest.approx(0.2)
    assert stack.pixel_size_from == "JEOL sidecar, micron bar"


@pytest.mark.parametrize("text", [b"", b"A note on the specimen.", b"\xff\xfe\0", b"\xff" * 2000])
def test_other_texts_beside_an_image_say_nothing(tmp_path, text):
    facts = sem_facts(beside(write_tiff(tmp_path / "a.tif"), {".txt": text, ".hdr": text}))
    assert (facts.pixel_size_um, facts.notes) == (None, ())


def test_a_text_that_is_too_long_is_told(tmp_path):
    facts = sem_facts(beside(write_tiff(tmp_path / "a.tif"), {".txt": b"x" * (2**20 + 1)}))
    assert "a.txt beside the image cannot be read: it is larger than 1 MB" in facts.notes[0]


def test_xml_with_entities_is_not_read(tmp_path):
    bomb = f'<!DOCTYPE x [<!ENTITY a "200">]>{made.PHENOM_XML.partition("?>")[2]}'
    path = write_tiff(tmp_path / "a.tif", {made.FEI_XML: bomb.replace(">200<", ">&a;<")})
    assert sem_facts(path).pixel_size_um is None


def test_xml_that_is_damaged_is_told_and_the_image_is_read(tmp_path):
    path = write_tiff(tmp_path / "a.tif", {made.FEI_XML: made.PHENOM_XML[:-20]})
    stack = read_image(path)
    assert stack.pixel_size_um is None
    assert stack.notes[0].startswith("a.tif: The metadata (fei xml) cannot be read")


def test_what_is_no_image_is_an_error(tmp_path):
    (tmp_path / "a.tif").write_bytes(b"II*\0")
    for name in ("a.tif", "b.tif"):
        with pytest.raises(ImageError, match=name):
            sem_facts(tmp_path / name)


def test_ome_zarr_says_its_scale(tmp_path):
    group = zarr.create_group(tmp_path / "a.zarr")
    group.create_array("0", shape=(30, 40), dtype="u1", chunks=(30, 40))
    axes = [{"name": n, "type": "space", "unit": "nanometer"} for n in "yx"]
    scale = [{"type": "scale", "scale": [200, 200]}]
    datasets = [{"path": "0", "coordinateTransformations": scale}]
    group.attrs["ome"] = {"version": "0.5", "multiscales": [{"axes": axes, "datasets": datasets}]}
    facts, stack = sem_facts(tmp_path / "a.zarr"), read_image(tmp_path / "a.zarr")
    assert math.isclose(facts.pixel_size_um, 0.2)
    assert facts.pixel_size_from == stack.pixel_size_from == "OME-Zarr scale"


def test_a_stack_of_files_has_the_pixel_size_that_all_of_them_say(tmp_path):
    for name in ("a", "b"):
        write_tiff(tmp_path / f"{name}.tif", {made.FEI: made.FEI_TEXT})
    stack = read_stack(tmp_path)
    assert (stack.pixel_size_um, stack.notes) == (pytest.approx(0.2), ())
    write_tiff(tmp_path / "c.tif")
    stack = read_stack(tmp_path)
    assert stack.pixel_size_um is None
    assert "1 say none" in stack.notes[0]
    (tmp_path / "c.tif").unlink()
    text = made.FEI_TEXT
    for was, now in (("8e-06", "4e-06"), ("6e-06", "3e-06"), ("2e-07", "1e-07")):
        text = text.replace(was, now)
    write_tiff(tmp_path / "b.tif", {made.FEI: text})
    (note,) = read_stack(tmp_path).notes
    assert "do not all say the same pixel size (0.1 to 0.2 µm): that of the stack" in note
