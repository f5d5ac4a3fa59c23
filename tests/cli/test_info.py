"""Command ``fractoseg info``."""

import json

import pytest
from typer.testing import CliRunner

import sem_files as made
from napari_fractoseg.cli.app import app


def run(*arguments, code=0):
    result = CliRunner().invoke(app, ["info", *map(str, arguments)])
    assert result.exit_code == code, result.output
    return result


@pytest.fixture
def folder(tmp_path):
    made.write_tiff(tmp_path / "a_zeiss.tif", {made.ZEISS: made.ZEISS_TEXT})
    made.write_tiff(tmp_path / "b_plain.tif")
    return tmp_path


def test_a_table_says_pixel_size_origin_and_beam(folder):
    lines = run(folder).stdout.splitlines()
    zeiss = next(line for line in lines if "a_zeiss.tif" in line)
    for text in ("40 x 30", "200 nm", "Zeiss", "InLens", "5 kV", "2018-09-25"):
        assert text in zeiss
    plain = next(line for line in lines if "b_plain.tif" in line)
    assert "unknown" in plain


def test_json_has_everything(folder):
    zeiss, plain = json.loads(run(folder, "--json").stdout)
    assert zeiss["file"] == str(folder / "a_zeiss.tif")
    assert zeiss["shape"] == [30, 40]
    assert zeiss["pixel_size_um"] == zeiss["pixel_size_x_um"] == pytest.approx(0.2)
    assert zeiss["pixel_size_from"] == "Zeiss ap_image_pixel_size"
    assert (zeiss["voltage_kv"], zeiss["working_distance_mm"]) == (5.0, 3.9)
    assert zeiss["info_bar_rows"] is None
    assert (plain["pixel_size_um"], plain["pixel_size_from"]) == (None, "")


def test_the_info_bar_is_told_in_rows(tmp_path):
    text = made.FEI_TEXT.replace("ResolutionY=30", "ResolutionY=25")
    path = made.write_tiff(tmp_path / "a.tif", {made.FEI: text.replace("VFW=6e-06", "VFW=5e-06")})
    assert "rows 25 to" in run(path).stdout
    (found,) = json.loads(run(path, "--json").stdout)
    assert found["info_bar_rows"] == [25, 30]


def test_what_is_not_believed_is_a_note(tmp_path):
    text = made.FEI_TEXT.replace("PixelWidth=2e-07", "PixelWidth=0")
    path = made.write_tiff(tmp_path / "a.tif", {made.FEI: text})
    assert "note: a.tif: FEI [EScan] PixelWidth says 0 nm" in run(path).stderr


def test_a_file_that_cannot_be_read_is_told_and_the_others_are_shown(folder):
    (folder / "c.tif").write_bytes(b"II*\0")
    result = run(folder, code=1)
    assert "a_zeiss.tif" in result.stdout
    assert "failed: " in result.stderr
    assert "c.tif" in result.stderr
    assert json.loads(run(folder / "c.tif", "--json", code=1).stdout)[0]["error"]
