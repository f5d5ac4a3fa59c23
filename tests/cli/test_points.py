"""Commands ``fractoseg points`` and ``fractoseg measure --points``."""

import json
import re

import imageio.v3 as iio
import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from napari_fractoseg.audit.points import PointCount
from napari_fractoseg.cli.app import app


def run(*arguments, code=0):
    result = CliRunner().invoke(app, list(map(str, arguments)))
    assert result.exit_code == code, result.output
    return result.output


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "labels"
    folder.mkdir()
    for number in range(2):
        labels = np.ones((40, 50), np.uint8)
        labels[:, : 10 + 10 * number] = 2
        labels[:4] = 3
        iio.imwrite(folder / f"s{number}.png", labels)
    return folder


def test_points_are_drawn_answered_in_a_table_and_measured(folder, tmp_path):
    path = tmp_path / "points.csv"
    text = run("points", folder, "-n", 60, "--design", "stratified", "--seed", 4, "-o", path)
    assert text.strip() == (
        "60 points on 2 images (35 in intergranular, 15 in transgranular, 10 in background; "
        f"seed 4): {path}"
    )
    table = pd.read_csv(path)
    table["answer_Ada"] = table["stratum"]
    table.loc[0, "answer_Ada"] = "?"
    table.to_csv(path, index=False)
    out = tmp_path / "out"
    text = run("measure", folder, "-o", out, "--points", path, "--no-facets", "--no-report")
    assert "By hand (Ada): intergranular 70.0 % (95 % interval" in text
    assert "How wrong the labels are is not known" not in text
    assert "- 1 of 60 points could not be told" in text
    figures = json.loads((out / "measurement.json").read_text())
    assert figures["audit"]["adjusted"]["overall"]["value"] == 1
    assert figures["audit"]["n_cant_tell"] == 1
    fractions = pd.read_csv(out / "audit.csv")
    assert fractions["by_hand"].tolist() == pytest.approx([0.63, 0.27, 0.1, 0.7, 0.3])
    assert fractions["by_labels"].tolist() == pytest.approx([0.63, 0.27, 0.1, 0.7, 0.3])
    again = run("measure", folder, "-o", out, "--points", path, "--no-facets", code=2)
    assert "--overwrite" in again


def test_a_file_of_points_is_never_replaced(folder, tmp_path):
    path = tmp_path / "points.csv"
    run("points", folder, "-o", path)
    before = path.read_bytes()
    assert "exists already" in run("points", folder, "-o", path, code=2)
    assert path.read_bytes() == before


def test_the_same_seed_gives_the_same_file(folder, tmp_path):
    for name in ("a.csv", "b.csv"):
        run("points", folder, "-n", 30, "--seed", 1, "-o", tmp_path / name)
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()
    assert PointCount.read(tmp_path / "a.csv").seed == 1


def test_points_that_say_nothing_are_refused_before_the_work(folder, tmp_path):
    path = tmp_path / "points.csv"
    run("points", folder, "-n", 30, "-o", path)
    out = tmp_path / "out"
    text = run("measure", folder, "-o", out, "--points", path, code=2)
    assert "No point has an answer yet" in text
    pd.read_csv(path).assign(answer_Ada="i").to_csv(path, index=False)
    text = run("measure", folder, "-o", out, "--points", path, "--operator", "Ben", code=2)
    assert "there are those of Ada. Option: --operator." in text
    text = run("measure", folder / "s0.png", "-o", out, "--points", path, code=2)
    assert "no labels of s1, where points are" in text
    assert not list(out.iterdir())


def test_labels_that_the_points_do_not_fit_are_a_failure_beside_the_measurement(folder, tmp_path):
    path = tmp_path / "points.csv"
    run("points", folder, "-n", 30, "-o", path)
    pd.read_csv(path).assign(answer_Ada="i").to_csv(path, index=False)
    iio.imwrite(folder / "s1.png", np.ones((5, 5), np.uint8))
    out = tmp_path / "out"
    text = run("measure", folder, "-o", out, "--points", path, "--no-facets", "--no-report", code=1)
    assert "failed: the points: s1: point" in text
    assert "is outside the labels of 5 x 5 px" in text
    assert (out / "fractions.csv").exists()
    assert not (out / "audit.csv").exists()


def page_text(path):
    return " ".join(re.sub("<[^>]+>", " ", path.read_text(encoding="utf-8")).split())


@pytest.mark.parametrize("answer", ["?", ""])
def test_points_that_tell_nothing_do_not_say_how_wrong_the_labels_are(folder, tmp_path, answer):
    path, out = tmp_path / "points.csv", tmp_path / "out"
    run("points", folder, "-n", 30, "--seed", 4, "-o", path)
    answers = ["?", *[answer] * (len(pd.read_csv(path)) - 1)]
    pd.read_csv(path).assign(answer_Ada=answers).to_csv(path, index=False)
    text = run("measure", folder, "-o", out, "--points", path, "--no-facets")
    assert "How wrong the labels are is not known" in text
    words = page_text(out / "report.html")
    assert "How wrong the labels are is not known" in words
    assert "the error of the labels was not measured" in words
    assert "is told by the point count" not in words
    assert "The labels were checked at" not in words


def test_only_points_that_were_told_are_checked_ones(folder, tmp_path):
    path, out = tmp_path / "points.csv", tmp_path / "out"
    run("points", folder, "-n", 30, "--design", "random", "--seed", 4, "-o", path)
    table = pd.read_csv(path)
    table["answer_Ada"] = ["?", *table["stratum"][1:12], *[""] * 18]
    table.to_csv(path, index=False)
    run("measure", folder, "-o", out, "--points", path, "--no-facets")
    assert "The labels were checked at 11 points, random." in page_text(out / "report.html")


def test_answers_are_never_replaced_by_their_result(folder, tmp_path):
    path = tmp_path / "audit.csv"
    run("points", folder, "-n", 30, "--seed", 4, "-o", path)
    pd.read_csv(path).assign(answer_Ada="i").to_csv(path, index=False)
    before = path.read_bytes()
    text = run("measure", folder, "-o", tmp_path, "--points", path, "--overwrite", code=2)
    assert "Choose another folder" in " ".join(text.split())
    assert path.read_bytes() == before
