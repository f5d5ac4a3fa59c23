"""Commands that leave info bars out, and say so."""

import json

import imageio.v3 as iio
import numpy as np
import pytest
from typer.testing import CliRunner

import sem_files as made
from napari_fractoseg.cli.app import app


def run(*arguments, code=0):
    result = CliRunner().invoke(app, [str(a) for a in arguments])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    return " ".join(result.output.split())


@pytest.fixture(scope="module")
def model(tmp_path_factory, tiny_model):
    return tiny_model.save(tmp_path_factory.mktemp("models") / "tiny", half=True)


@pytest.fixture
def images(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    for name in "abcde":
        made.write_tiff(folder / f"{name}.tif", {made.FEI: made.FEI_TEXT}, shape=(36, 40))
    return folder


def test_the_rows_are_said_once_for_files_that_have_the_same(images, model, tmp_path):
    text = run("segment", images, "-o", tmp_path / "out", "--model", model, "--device", "cpu")
    assert "a.tif, b.tif, c.tif and 2 more: rows 30 to 35 left out (info bar). FEI" in text
    run("measure", tmp_path / "out", "-o", tmp_path / "tables", "--no-facets")
    page = (tmp_path / "tables" / "report.html").read_text(encoding="utf-8")
    assert "Of all 5 images, rows 30 to 35 (FEI" in page
    assert "is left out: no specimen is shown there." in page


def test_rows_that_cannot_be_are_one_line_and_exit_code_2(images, model, tmp_path):
    arguments = ("segment", images, "-o", tmp_path / "out", "--model", model)
    result = CliRunner().invoke(app, [*map(str, arguments), "--exclude-bar", "bottom"])
    assert result.exit_code != 0
    text = result.output + str(result.exception)
    assert "exclude_bar is 'bottom'. Give auto, none, a number of rows at the lower edge" in text


def test_evaluating_leaves_labels_in_the_bar_out(images, model, tmp_path):
    (tmp_path / "masks").mkdir()
    for name in "abcde":
        iio.imwrite(tmp_path / "masks" / f"{name}.png", np.ones((36, 40), np.uint8))
    out = tmp_path / "found.json"
    arguments = ("evaluate", "--images", images, "--labels", tmp_path / "masks", "--model", model)
    text = run(*arguments, "-o", out, "--device", "cpu")
    assert "info bar of 5 images left out: a.tif, b.tif, c.tif, d.tif, e.tif" in text
    found = json.loads(out.read_text())["images"]
    assert [found[name]["labelled_px"] for name in "abcde"] == [30 * 40] * 5


def test_labels_that_are_all_in_the_bar_are_no_evaluation(images, model, tmp_path):
    (tmp_path / "masks").mkdir()
    mask = np.zeros((36, 40), np.uint8)
    mask[30:] = 1
    for name in "abcde":
        iio.imwrite(tmp_path / "masks" / f"{name}.png", mask)
    out = tmp_path / "found.json"
    arguments = ("evaluate", "--images", images, "--labels", tmp_path / "masks", "--model", model)
    text = run(*arguments, "-o", out, "--device", "cpu", code=2)
    assert "No labelled pixel is left in 5 images to compare a model with. Labels do not" in text
    assert "in what is left out: rows 30 to 35 of a, b, c, d, e." in text
    assert "Options: --mask-values, --exclude-bar none." in text
    assert not out.exists()
