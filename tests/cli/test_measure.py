"""Command ``fractoseg measure``."""

import json

import imageio.v3 as iio
import numpy as np
from typer.testing import CliRunner

from napari_fractoseg.cli.app import app


def run(*arguments, code=0):
    result = CliRunner().invoke(app, ["measure", *map(str, arguments)])
    assert result.exit_code == code, result.output
    return result.output


def test_a_folder_is_measured_by_specimen(tmp_path):
    for name, value in (("s1_a", 1), ("s1_b", 2), ("s2_a", 1)):
        iio.imwrite(tmp_path / f"{name}.png", np.full((4, 8), value, np.uint8))
    text = run(tmp_path, "-o", tmp_path / "out", "--group-by", r"^(s\d)_")
    assert "Intergranular 75.0 % (95 % interval" in text
    assert "n = 2 specimens" in text
    assert "of the projected area that shows a fracture mode" in text
    figures = json.loads((tmp_path / "out" / "measurement.json").read_text())
    assert figures["n_fields"] == 3
    assert "--overwrite" in run(tmp_path, "-o", tmp_path / "out", code=2)


def test_a_file_that_fails_is_told_and_the_others_are_measured(tmp_path):
    iio.imwrite(tmp_path / "a.png", np.ones((4, 8), np.uint8))
    iio.imwrite(tmp_path / "b.png", np.full((4, 8), 9, np.uint8))
    text = run(tmp_path, "-o", tmp_path / "out", code=1)
    assert "Intergranular 100.00 % (no interval: 1 field, and it takes two)" in text
    assert "failed: " in text
    assert "9" in text.split("failed: ")[1]


def test_an_unknown_grid_is_refused(tmp_path):
    iio.imwrite(tmp_path / "a.png", np.ones((4, 8), np.uint8))
    assert "grid:320px" in run(tmp_path, "-o", tmp_path / "out", "--fields", "nine", code=2)
