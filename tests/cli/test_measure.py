"""Command ``fractoseg measure``."""

import json
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pandas as pd
import pytest
import tifffile
from typer.testing import CliRunner

from napari_fractoseg.cli.app import app
from napari_fractoseg.files import file_sha256
from napari_fractoseg.reporting.report import FIGURE_KINDS


def run(*arguments, code=0):
    return run_command("measure", *arguments, code=code)


def run_command(command, *arguments, code=0):
    result = CliRunner().invoke(app, [command, *map(str, arguments)])
    assert result.exit_code == code, result.output
    return result.output


def test_a_folder_is_measured_by_specimen(tmp_path):
    for name, value in (("s1_a", 1), ("s1_b", 2), ("s2_a", 1)):
        iio.imwrite(tmp_path / f"{name}.png", np.full((4, 8), value, np.uint8))
    text = run(tmp_path, "-o", tmp_path / "out", "--group-by", r"^(s\d)_", "--no-report")
    assert "Intergranular 75.0 % (95 % interval" in text
    assert "n = 2 specimens" in text
    assert "of the projected area that shows a fracture mode" in text
    figures = json.loads((tmp_path / "out" / "measurement.json").read_text())
    assert figures["n_fields"] == 3
    assert "--overwrite" in run(tmp_path, "-o", tmp_path / "out", code=2)


def test_a_file_that_fails_is_told_and_the_others_are_measured(tmp_path):
    iio.imwrite(tmp_path / "a.png", np.ones((4, 8), np.uint8))
    iio.imwrite(tmp_path / "b.png", np.full((4, 8), 9, np.uint8))
    text = run(tmp_path, "-o", tmp_path / "out", "--no-report", code=1)
    assert "Intergranular 100.00 % (no interval: 1 field, and it takes two)" in text
    assert "failed: " in text
    assert "9" in text.split("failed: ")[1]


@pytest.mark.parametrize("name", ["no_image.tif", "cut.png", "real.tif"])
def test_a_file_that_fails_is_named_once(tmp_path, name):
    if name == "real.tif":
        tifffile.imwrite(tmp_path / name, np.ones((4, 8), np.float32))
    else:
        (tmp_path / name).write_text("no image")
    text = run(tmp_path / name, "-o", tmp_path / "out", "--no-report", code=1)
    assert f"failed: {name}: " in text
    assert text.split("failed: ")[1].count(Path(name).stem) == 1


def test_an_unknown_grid_is_refused(tmp_path):
    iio.imwrite(tmp_path / "a.png", np.ones((4, 8), np.uint8))
    assert "grid:320px" in run(tmp_path, "-o", tmp_path / "out", "--fields", "nine", code=2)


def write_squares(folder, name):
    """Labels with two facets of class 1, of 4 and 9 px, on one of class 2."""
    labels = np.full((16, 24), 2, np.uint8)
    labels[2:4, 2:4], labels[8:11, 8:11] = 1, 1
    iio.imwrite(folder / f"{name}.png", labels)


def test_facets_sizes_boundaries_figures_and_a_report_are_written(tmp_path):
    for name in ("a", "b"):
        write_squares(tmp_path, name)
    (tmp_path / "images").mkdir()
    iio.imwrite(tmp_path / "images" / "a.png", np.full((16, 24), 7, np.uint8))
    out = tmp_path / "out"
    text = run(tmp_path, "-o", out, "--pixel-size-um", 0.5, "--images", tmp_path / "images")
    assert "note: b: There is no micrograph of this name." in text
    facets = pd.read_csv(out / "facets.csv")
    assert facets["area_um2"].tolist() == [(384 - 13) / 4, 1, 2.25] * 2
    assert facets["mean_grey"].fillna(-1).tolist() == [7, 7, 7, -1, -1, -1]
    assert set(pd.read_csv(out / "sizes.csv")["size"]) == {"equivalent_diameter_um", "area_um2"}
    assert pd.read_csv(out / "boundary.csv")["image"].tolist() == ["a", "b"]
    assert {path.name for path in (out / "figures").iterdir()} == {
        f"{name}.{kind}" for name in ("fractions", "groups", "sizes") for kind in FIGURE_KINDS
    }
    page = (out / "report.html").read_text(encoding="utf-8")
    assert page.count('src="data:image/jpeg;base64,') == 1
    assert file_sha256(tmp_path / "a.png") in page
    assert "--overwrite" in run(tmp_path, "-o", out, code=2)
    run(tmp_path, "-o", out, "--overwrite", "--no-report", "--min-facet-px", 5)
    assert pd.read_csv(out / "facets.csv")["area_px"].tolist() == [371, 9] * 2


def test_facets_and_the_report_can_be_left_out(tmp_path):
    write_squares(tmp_path, "a")
    run(tmp_path, "-o", tmp_path / "out", "--no-facets", "--no-report")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "fractions.csv", "fields.csv", "groups.csv", "files.csv", "measurement.json",
    }  # fmt: skip


def test_an_earlier_report_is_not_replaced_unasked(tmp_path):
    write_squares(tmp_path, "a")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "report.html").write_text("mine")
    assert "report.html exists already" in run(tmp_path, "-o", tmp_path / "out", code=2)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["report.html"]


def test_a_folder_in_which_nothing_can_be_measured_has_no_report(tmp_path):
    iio.imwrite(tmp_path / "a.png", np.full((4, 8), 9, np.uint8))
    run(tmp_path, "-o", tmp_path / "out", code=1)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"files.csv", "measurement.json"}


def test_segment_reports_what_it_labelled(tmp_path, tiny_model):
    model = tiny_model.save(tmp_path / "tiny", half=True)
    grey = np.random.default_rng(0).integers(0, 255, (64, 96)).astype(np.uint8)
    (tmp_path / "images").mkdir()
    iio.imwrite(tmp_path / "images" / "a.png", grey)
    arguments = [tmp_path / "images", "-o", tmp_path / "out", "--model", model, "--device", "cpu"]
    text = run_command("segment", *arguments, "--report")
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert f"Report: {tmp_path / 'out' / 'report.html'}" in text
    assert (
        "The labels of the image are as the model tiny (Unet with tu-test_resnet, SHA-256" in page
    )
    assert page.count('src="data:image/jpeg;base64,') == 1
    (tmp_path / "out" / "report.html").write_text("old")
    assert "Nothing to do" in run_command("segment", *arguments, "--report", "--resume")
    assert (tmp_path / "out" / "report.html").read_text(encoding="utf-8") == page
    arguments[2] = tmp_path / "other"
    arguments[2].mkdir()
    (arguments[2] / "report.html").write_text("mine")
    assert "report.html exists already" in run_command("segment", *arguments, "--report", code=2)


def test_segment_tells_labels_that_are_not_in_its_report(tmp_path, tiny_model):
    model = tiny_model.save(tmp_path / "tiny", half=True)
    grey = np.random.default_rng(0).integers(0, 255, (64, 96)).astype(np.uint8)
    iio.imwrite(tmp_path / "a.png", grey)
    out = tmp_path / "out"
    out.mkdir()
    iio.imwrite(out / "b_labels.png", np.full((4, 8), 99, np.uint8))
    arguments = [tmp_path / "a.png", "-o", out, "--model", model, "--device", "cpu", "--report"]
    text = run_command("segment", *arguments, code=1)
    assert "failed: " in text
    assert "99 (32 px)" in text
    assert "99 (32 px)" in run_command("segment", *arguments, "--resume", code=1)


def test_overwriting_leaves_no_number_of_an_earlier_measurement(tmp_path):
    iio.imwrite(tmp_path / "a.png", np.ones((4, 8), np.uint8))
    out = tmp_path / "out"
    run(tmp_path / "a.png", "-o", out)
    (out / "audit.csv").write_text("by_hand\n0.5\n")
    (out / "figures" / "mine.png").write_text("of the user")
    run(tmp_path / "a.png", "-o", out, "--overwrite", "--no-report", "--no-facets")
    left = sorted(path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file())
    assert left == [
        "fields.csv",
        "figures/mine.png",
        "files.csv",
        "fractions.csv",
        "groups.csv",
        "measurement.json",
    ]


def test_earlier_numbers_stay_where_nothing_can_be_measured(tmp_path):
    out = tmp_path / "out"
    iio.imwrite(tmp_path / "a.png", np.ones((4, 8), np.uint8))
    run(tmp_path / "a.png", "-o", out, "--no-report")
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    iio.imwrite(tmp_path / "a.png", np.full((4, 8), 9, np.uint8))
    text = run(tmp_path / "a.png", "-o", out, "--no-report", "--overwrite", code=1)
    assert "failed: " in text
    assert "Nothing could be measured" in text
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


def test_the_table_of_segmented_images_is_never_replaced(tmp_path):
    iio.imwrite(tmp_path / "a.png", np.ones((4, 8), np.uint8))
    (tmp_path / "fractions.csv").write_text("file,plane,class_value\n")
    for more in ((), ("--overwrite",)):
        text = " ".join(run(tmp_path, "-o", tmp_path, *more, code=2).split())
        assert "Choose another folder for the measurement" in text
        assert "have it replaced" not in text
    assert [path.name for path in tmp_path.iterdir() if path.suffix == ".csv"] == ["fractions.csv"]


def test_an_input_is_never_replaced(tmp_path):
    iio.imwrite(tmp_path / "s1.png", np.ones((4, 8), np.uint8))
    specimens = tmp_path / "groups.csv"
    specimens.write_text("image,specimen\ns1,A\n")
    text = run(tmp_path, "-o", tmp_path, "--group-by", specimens, "--overwrite", code=2)
    assert "groups.csv" in text
    assert "Choose another folder" in " ".join(text.split())
    assert specimens.read_text() == "image,specimen\ns1,A\n"
    assert not (tmp_path / "fractions.csv").exists()


def test_pixels_that_are_nearly_square_have_lengths(tmp_path):
    labels = np.full((16, 24), 2, np.uint8)
    labels[2:4, 2:4] = 1
    metadata = {"axes": "YX", "PhysicalSizeY": 0.502, "PhysicalSizeX": 0.5}
    tifffile.imwrite(tmp_path / "a.ome.tif", labels, metadata=metadata)
    out = tmp_path / "out"
    assert "not square" not in run(tmp_path, "-o", out)
    areas = pd.read_csv(out / "facets.csv").set_index("class_name")["area_um2"]
    assert areas["intergranular"] == pytest.approx(4 * 0.502 * 0.5)


def test_why_there_are_no_sizes_and_no_pixel_size_is_told(tmp_path):
    labels = np.full((16, 24), 2, np.uint8)
    labels[2:4, 2:4] = 1
    for name, edges in (("square", (0.5, 0.5)), ("oblong", (1.0, 0.5))):
        metadata = {"axes": "YX", "PhysicalSizeY": edges[0], "PhysicalSizeX": edges[1]}
        tifffile.imwrite(tmp_path / f"{name}.ome.tif", labels, metadata=metadata)
    out = tmp_path / "out"
    text = " ".join(run(tmp_path, "-o", out).split())
    assert (
        "note: oblong.ome: The pixels are not square (500 nm x 1 µm): lengths are in pixels."
        in text
    )
    assert "No sizes of facets: Some images have a pixel size and some have none" in text
    assert not (out / "sizes.csv").exists()
    notes = pd.read_csv(out / "files.csv", keep_default_na=False).set_index("image")["note"]
    assert notes.str.contains("not square").to_dict() == {"oblong.ome": True, "square.ome": False}
    assert (
        "Some images have a pixel size"
        in json.loads((out / "measurement.json").read_text(encoding="utf-8"))["settings"][
            "sizes of facets"
        ]
    )


@pytest.mark.parametrize("edge_um", ["1e300", "inf", "nan", "0", "-1", "1e-7"])
@pytest.mark.parametrize("command", ["measure", "segment"])
def test_edges_that_no_pixel_has_are_refused(tmp_path, command, edge_um):
    write_squares(tmp_path, "a")
    out = tmp_path / "out"
    text = run_command(command, tmp_path, "-o", out, "--pixel-size-um", edge_um, code=2)
    assert text == (
        f"error: pixel_size_um is {float(edge_um)!r}. The edge of a pixel is a number from 1e-06 "
        "to 10000 µm.\n"
    )
    assert not out.exists()
